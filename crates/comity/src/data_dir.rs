//! Where a node keeps what it has to remember, and how a command finds the node that runs there.
//!
//! Reads two files of that folder, `node.json` and `admin.token`; everything else in it belongs to the node.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use comity_node::Ready;
use etcetera::BaseStrategy as _;

use crate::error::CliError;

/// Environment variable that names the data directory when `--data` does not.
const VARIABLE: &str = "COMITY_DATA";

/// Decides on the data directory: the flag, else the environment, else the platform's place for data.
pub(crate) fn choose(flag: Option<PathBuf>) -> Result<PathBuf, CliError> {
    let named = flag.or_else(|| {
        std::env::var_os(VARIABLE).filter(|value| !value.is_empty()).map(PathBuf::from)
    });
    if let Some(named) = named {
        return Ok(named);
    }
    let strategy = etcetera::choose_base_strategy().map_err(|error| {
        CliError::config("data.unknown", "The data directory is unknown")
            .why(error)
            .hint(format!("Name one with --data DIR or {VARIABLE}"))
    })?;
    Ok(strategy.data_dir().join("comity"))
}

/// Reads where the node of this data directory listens.
pub(crate) fn ready(data: &Path) -> Result<Ready, CliError> {
    let path = data.join("node.json");
    let text = fs::read_to_string(&path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => not_running(data),
        _ => unreadable(&path, &error),
    })?;
    serde_json::from_str(&text).map_err(|error| unreadable(&path, &error))
}

/// Reads the token that the node's admin API asks for.
pub(crate) fn admin_token(data: &Path) -> Result<String, CliError> {
    let path = data.join("admin.token");
    let text = fs::read_to_string(&path).map_err(|error| unreadable(&path, &error))?;
    Ok(text.trim().to_owned())
}

/// Says that no node runs there, and how to start one.
pub(crate) fn not_running(data: &Path) -> CliError {
    CliError::config(
        "node.not-running",
        format!("No node runs with the data directory {}", data.display()),
    )
    .hint(format!(
        "Start it with comity up, or name another data directory with --data or {VARIABLE}"
    ))
}

fn unreadable(path: &Path, why: &dyn std::error::Error) -> CliError {
    CliError::config("data.unreadable", format!("{} cannot be read", path.display()))
        .why(why)
        .hint("Use the account that the node runs under")
}
