//! The data directory: one node at a time, the admin token, and where the node is found.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::webhook::Secrets;

use super::{Ready, StartError};
use crate::config::WebhookSecret;
use crate::keystore::write_private;

/// Takes the data directory for this process alone.
pub(super) fn lock(data: &Path) -> Result<File, StartError> {
    use std::os::unix::fs::DirBuilderExt as _;
    let cannot = |error| StartError::Data { path: data.to_owned(), error };
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true).mode(0o700).create(data).map_err(cannot)?;
    let file = File::create(data.join("lock")).map_err(cannot)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(StartError::Running(data.to_owned())),
        Err(TryLockError::Error(error)) => Err(cannot(error)),
    }
}

/// Reads the admin token, or makes it at the first start.
pub(super) fn admin_token(data: &Path) -> Result<String, StartError> {
    let path = data.join("admin.token");
    let cannot = |error| StartError::Data { path: path.clone(), error };
    if !path.exists() {
        write_private(&path, random_token().as_bytes()).map_err(cannot)?;
    }
    let text = fs::read_to_string(&path).map_err(cannot)?;
    Ok(text.trim().to_owned())
}

/// Reads the webhook's secret, or makes it when there is none.
pub(super) fn webhook_secret(data: &Path) -> Result<(WebhookSecret, PathBuf), StartError> {
    let path = data.join("webhook.secret");
    let cannot = |error| StartError::Data { path: path.clone(), error };
    if !path.exists() {
        let secret = Secrets::compose(&rand::random());
        write_private(&path, secret.as_bytes()).map_err(cannot)?;
    }
    let text = fs::read_to_string(&path).map_err(cannot)?;
    match WebhookSecret::parse(text) {
        Some(secret) => Ok((secret, path)),
        None => Err(StartError::WebhookSecret(path)),
    }
}

/// Writes where the node is found, whole or not at all.
pub(super) fn announce(data: &Path, ready: &Ready) -> Result<(), StartError> {
    let path = data.join("node.json");
    let fresh = data.join("node.json.new");
    let cannot = |error| StartError::Data { path: path.clone(), error };
    let text = serde_json::to_string(ready).map_err(|error| cannot(io::Error::other(error)))?;
    fs::write(&fresh, text).map_err(cannot)?;
    fs::rename(&fresh, &path).map_err(cannot)
}

/// Makes a bearer token: 256 random bits.
pub(super) fn random_token() -> String {
    let bytes: [u8; 32] = rand::random();
    URL_SAFE_NO_PAD.encode(bytes)
}
