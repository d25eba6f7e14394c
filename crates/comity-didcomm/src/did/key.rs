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
    if key.is_signing() {
        let id = document.add_key(VerificationMethod::new(did.url(&key.to_multibase()), key));
        document.authentication.push(id.clone());
        document.assertion_method.push(id);
    }
    let agreement = if key.is_agreement() { Some(key) } else { key.to_agreement() };
    if let Some(agreement) = agreement {
        let fragment = agreement.to_multibase();
        let id = document.add_key(VerificationMethod::new(did.url(&fragment), agreement));
        document.key_agreement.push(id);
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
            "did:key:zQ3shokFTS3brHcDQrn82RUDfCZESWL1ZdCEJwekUDPQiYBme",
            "did:key:1:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
            "did:web:z6MkhaXgBZDvotDkL5257faiztiGiC2QtKLGpbnnEGta2doK",
        ] {
            assert_eq!(resolve(&Did::parse(bad).unwrap()), Err(DidError::Method), "{bad}");
        }
    }
}
