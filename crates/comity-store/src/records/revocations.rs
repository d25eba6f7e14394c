//! Which signed tokens their issuers took back. A revocation counts only as that of who signed the
//! token, so both are in its key.

use comity_core::trust::{TokenId, subject};
use comity_didcomm::{Did, UnixTime};

use super::due::Due;
use super::keys;
use crate::batch::{Batch, Keyspace};
use crate::store::{Store, StoreFault};

/// Remembers that an issuer took a token back, for as long as it would have held.
pub fn put(batch: &mut Batch, issuer: &Did, token: TokenId, until: UnixTime) {
    let key = keys::revocation(&subject(issuer), token);
    batch.put(Keyspace::Meta, &key, until.0.to_be_bytes());
    Due::ForgetMeta(key).put(batch, until);
}

/// Tells which of some tokens their issuers took back.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn among(
    store: &dyn Store,
    tokens: &[(TokenId, Did)],
) -> Result<Vec<TokenId>, StoreFault> {
    let mut revoked = Vec::new();
    for (token, issuer) in tokens {
        let key = keys::revocation(&subject(issuer), *token);
        if store.get(Keyspace::Meta, &key).await?.is_some() {
            revoked.push(*token);
        }
    }
    Ok(revoked)
}
