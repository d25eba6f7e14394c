//! DID documents as they were used, by digest: an envelope that rests in a mailbox is opened with the document it was accepted with.

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
    let Some(row) = row else { return Ok(None) };
    let document = DidDocument::parse(&row, id)
        .map_err(|_| StoreFault::Corrupt("a stored DID document is not valid".to_owned()))?;
    Ok(Some(document))
}
