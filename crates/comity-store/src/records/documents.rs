//! DID documents as they were used, by digest: an envelope that rests in a mailbox is opened with
//! the document it was accepted with.

use comity_core::record::digest_text;
use comity_didcomm::{Did, DidDocument};

use super::keys;
use crate::batch::{Batch, Keyspace};
use crate::store::{Store, StoreFault};

/// Adds a document under its digest.
pub(super) fn put(batch: &mut Batch, digest: &str, document: &DidDocument) {
    let text = document.to_json().to_string();
    debug_assert_eq!(digest, digest_text(text.as_bytes()), "the digest is of this document");
    batch.put(Keyspace::Meta, &keys::join(b'D', &[digest.as_bytes()]), text.into_bytes());
}

/// Adds a document, and that the log says that an identity has used it.
pub fn record(batch: &mut Batch, agent: &Did, digest: &str, text: String) {
    batch.put(Keyspace::Meta, &keys::join(b'D', &[digest.as_bytes()]), text.into_bytes());
    batch.put(Keyspace::Meta, &recorded(agent, digest), b"");
}

/// Tells whether the log says that an identity has used a document.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn is_recorded(store: &dyn Store, agent: &Did, digest: &str) -> Result<bool, StoreFault> {
    Ok(store.get(Keyspace::Meta, &recorded(agent, digest)).await?.is_some())
}

/// Reads the text of the document with a digest.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn text(store: &dyn Store, digest: &str) -> Result<Option<String>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'D', &[digest.as_bytes()])).await?;
    Ok(row.and_then(|row| String::from_utf8(row).ok()))
}

fn recorded(agent: &Did, digest: &str) -> Vec<u8> {
    keys::join(b'd', &[&keys::did_hash(agent), digest.as_bytes()])
}

/// Adds a document as the last that was had of its DID.
pub fn put_last(batch: &mut Batch, document: &DidDocument) {
    let key = keys::join(b'l', &[&keys::did_hash(&document.id)]);
    batch.put(Keyspace::Meta, &key, document.to_json().to_string().into_bytes());
}

/// Adds the `versionId` that the log of a DID ended with when its document was had last.
pub fn put_head(batch: &mut Batch, id: &Did, version_id: &str) {
    let key = keys::join(b'L', &[&keys::did_hash(id)]);
    batch.put(Keyspace::Meta, &key, version_id.as_bytes().to_vec());
}

/// Reads the `versionId` that the log of a DID ended with when its document was had last: a log
/// without it was rewritten since.
///
/// # Errors
///
/// Fails if the store cannot be read, or holds no text there.
pub async fn head(store: &dyn Store, id: &Did) -> Result<Option<String>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'L', &[&keys::did_hash(id)])).await?;
    let text = |row: Vec<u8>| {
        String::from_utf8(row)
            .map_err(|_| StoreFault::Corrupt("a stored version id is not text".to_owned()))
    };
    row.map(|row| text(row.to_vec())).transpose()
}

/// Reads the last document that was had of a DID: whoever is away can still be written to.
///
/// # Errors
///
/// Fails if the store cannot be read, or holds no valid document there.
pub async fn last(store: &dyn Store, id: &Did) -> Result<Option<DidDocument>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'l', &[&keys::did_hash(id)])).await?;
    row.map(|row| parse(&row, id)).transpose()
}

/// Reads the document with a digest.
///
/// # Errors
///
/// Fails if the store cannot be read, or holds no valid document there.
pub async fn document(
    store: &dyn Store,
    id: &Did,
    digest: &str,
) -> Result<Option<DidDocument>, StoreFault> {
    let row = store.get(Keyspace::Meta, &keys::join(b'D', &[digest.as_bytes()])).await?;
    row.map(|row| parse(&row, id)).transpose()
}

fn parse(row: &[u8], id: &Did) -> Result<DidDocument, StoreFault> {
    DidDocument::parse(row, id)
        .map_err(|_| StoreFault::Corrupt("a stored DID document is not valid".to_owned()))
}
