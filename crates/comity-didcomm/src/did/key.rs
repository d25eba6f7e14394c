//! did:key (W3C CCG did:key v0.9): the identifier is the public key. An Ed25519 key also gives the X25519 key of its
//! holder. Cannot change or name a service, so it suits throw-away identities.

use crate::did::{Did, DidError};
use crate::document::{DidDocument, VerificationMethod};
use crate::key::PublicKey;

/// Creates the did:key of a public key.
#[must_use]
#[expect(clippy::expect_used, reason = "base58 is spelled with characters that a DID may have")]
pub fn create(key: &PublicKey) -> Did {
    Did::parse(&format!("did:key:{}", key.to_multibase())).expect("base58 fits into a DID")
}

/// Resolves a did:key.
///
/// # Errors
/// When the identifier is not a supported public key.
pub fn resolve(did: &Did) -> Result<DidDocument, DidError> {
    if did.method() != "key" {
        return Err(DidError::Method);
    }
    let key = PublicKey::from_multibase(did.method_specific_id()).map_err(|_| DidError::Method)?;
    let mut document = DidDocument::new(did.clone());
    let own = document.add_key(VerificationMethod::new(did.url(&key.to_multibase()), key));
    if key.is_signing() {
        document.authentication.push(own.clone());
        document.assertion_method.push(own.clone());
    }
    match key.to_agreement() {
        // The one key of the DID does both, as far as its kind can.
        Some(agreement) if agreement == key => document.key_agreement.push(own),
        Some(agreement) => {
            let id = did.url(&agreement.to_multibase());
            let id = document.add_key(VerificationMethod::new(id, agreement));
            document.key_agreement.push(id);
        }
        None => {}
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_specification_resolves() {
        let did = Did::parse("did:key:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK").unwrap();
        let document = resolve(&did).unwrap();
        let (kid, key) = document.signing_keys().next().unwrap();
        assert_eq!(kid, &did.url("z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK"));
        assert_eq!(create(key), did);
        let (kid, key) = document.agreement_keys().next().unwrap();
        assert_eq!(kid.fragment().unwrap(), key.to_multibase());
        assert_eq!(kid.fragment().unwrap(), "z6LSj72tK8brWgZja8NLRwPigth2T9QRiG1uH9oKZuKjdh9p");
    }

    #[test]
    fn an_agreement_key_alone_cannot_sign() {
        let did = Did::parse("did:key:z6LSj72tK8brWgZja8NLRwPigth2T9QRiG1uH9oKZuKjdh9p").unwrap();
        let document = resolve(&did).unwrap();
        assert_eq!(document.signing_keys().count(), 0);
        assert_eq!(document.agreement_keys().count(), 1);
    }

    #[test]
    fn what_is_not_a_key_is_refused() {
        for bad in [
            "did:key:a",
            "did:key:z",
            "did:key:z6Mk",
            // BLS12-381, which no message is signed or sealed with.
            "did:key:zUC7K4ndUaGZgV7Cp2yJy6JtMoUHY6u7tkcSYUvPrEidqBmLCTLmi6d5WvwnUqejscAkERJ3bfjEiSYtdPkRSE8kSa11hFBr4sTgnbZ95SJj19PN2jdvJjyzpSZgxkyyxNnBNnY",
            "did:key:1:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            "did:web:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        ] {
            assert_eq!(resolve(&Did::parse(bad).unwrap()), Err(DidError::Method), "{bad}");
        }
    }
}
