//! did:jwk: the identifier is a JWK, base64url-encoded. One key, `#0`, with the uses that its kind allows.

use crate::did::{Did, DidError};
use crate::document::{DidDocument, VerificationMethod};
use crate::encoding;
use crate::json::Tree;
use crate::key::PublicKey;
use crate::limits::DID_BYTES_MAX;

/// Creates the did:jwk of a public key.
#[must_use]
#[expect(clippy::expect_used, reason = "base64url is spelled with characters that a DID may have")]
pub fn create(key: &PublicKey) -> Did {
    let jwk = serde_json::Value::Object(key.to_jwk()).to_string();
    Did::parse(&format!("did:jwk:{}", encoding::base64url(jwk))).expect("base64url fits into a DID")
}

/// Resolves a did:jwk.
///
/// # Errors
/// When the identifier is not the JWK of a supported public key.
pub fn resolve(did: &Did) -> Result<DidDocument, DidError> {
    if did.method() != "jwk" {
        return Err(DidError::Method);
    }
    let text = encoding::from_base64url(did.method_specific_id()).ok_or(DidError::Method)?;
    let tree = Tree::read_object(&text, DID_BYTES_MAX).map_err(|_| DidError::Method)?;
    let jwk = tree.object();
    let key = PublicKey::from_jwk_object(jwk).map_err(|_| DidError::Method)?;
    let mut document = DidDocument::new(did.clone());
    let id = document.add_key(VerificationMethod::new(did.url("0"), key));
    // `use` narrows what the kind of the key allows; it cannot widen it.
    let purpose = jwk.get_str("use");
    if key.is_signing() && matches!(purpose, Some("sig") | None) {
        document.authentication.push(id.clone());
        document.assertion_method.push(id.clone());
    }
    if key.is_agreement() && matches!(purpose, Some("enc") | None) {
        document.key_agreement.push(id);
    }
    Ok(document)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_x25519_example_of_the_specification_resolves() {
        let did = Did::parse(
            "did:jwk:eyJrdHkiOiJPS1AiLCJjcnYiOiJYMjU1MTkiLCJ1c2UiOiJlbmMiLCJ4IjoiM3A3YmZYdDl3YlRUVzJIQzdPUTFOei1EUThoYmVHZE5yZngtRkctSUswOCJ9",
        )
        .unwrap();
        let document = resolve(&did).unwrap();
        let (kid, key) = document.agreement_keys().next().unwrap();
        assert_eq!(kid, &did.url("0"));
        assert_eq!(key.to_jwk().get("x").unwrap(), "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08");
        assert_eq!(document.signing_keys().count(), 0);
    }

    #[test]
    fn created_ones_resolve_to_their_key() {
        let key = crate::SigningKey::from_seed([7; 32].into()).public();
        let document = resolve(&create(&key)).unwrap();
        assert_eq!(document.signing_keys().next().unwrap().1, &key);
        assert_eq!(document.agreement_keys().count(), 0);
    }

    #[test]
    fn private_and_malformed_keys_are_refused() {
        let of = |jwk: &str| Did::parse(&format!("did:jwk:{}", encoding::base64url(jwk))).unwrap();
        let x = "3p7bfXt9wbTTW2HC7OQ1Nz-DQ8hbeGdNrfx-FG-IK08";
        for bad in [
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}","d":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}","x":"{x}"}}"#),
            format!(r#"{{"kty":"OKP","crv":"X25519","x":"{x}="}}"#),
            format!(r#"{{"kty":"EC","crv":"X25519","x":"{x}"}}"#),
            r#"{"kty":"OKP","crv":"X25519","x":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}"#
                .to_owned(),
            "[]".to_owned(),
        ] {
            assert_eq!(resolve(&of(&bad)), Err(DidError::Method), "{bad}");
        }
    }
}
