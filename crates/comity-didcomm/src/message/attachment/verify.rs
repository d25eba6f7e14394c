//! The hash and the detached signature of an attachment, made and verified on demand (DIDComm v2.1,
//! section "Attachments"; RFC 7515, appendix F).
//!
//! Both are about bytes, and so about `base64` content and about what was fetched from `links`. A
//! `json` content has no one text, so there is nothing that two parties could agree to have hashed
//! or signed.

use std::borrow::Cow;

use aws_lc_rs::digest;
use serde_json::{Value, json};
use thiserror::Error;

use super::Attachment;
use crate::did::DidUrl;
use crate::document::DidDocument;
use crate::encoding;
use crate::envelope::{SignatureAlgorithm, header};
use crate::json::Tree;
use crate::key::SigningKey;
use crate::limits::{ATTACHMENT_SIGNATURES_MAX, KEY_CHARS_MAX, PROTECTED_CHARS_MAX};

/// Says why an attachment is not what its sender or signer says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum AttachmentError {
    /// There is no content to look at: fetch the link, and give what came.
    #[error("the attachment has no bytes in it")]
    Content,
    /// The content is another than the hash says.
    #[error("the content of the attachment is not what its hash says")]
    Hash,
    /// There is no hash, or not one that can be read.
    #[error("the hash of the attachment is missing or not a multihash of SHA-256")]
    HashForm,
    /// There is no detached signature, or not one that can be read.
    #[error("the signature of the attachment is missing or malformed")]
    JwsForm,
    /// The signature is not one of this party over this content.
    #[error("the signature of the attachment does not verify")]
    Signature,
}

/// The multihash prefix of SHA-256: the code, and the length.
const SHA2_256: [u8; 2] = [0x12, 32];

impl Attachment {
    /// Creates an attachment that can be fetched from somewhere else, with the hash of what will be
    /// found there.
    #[must_use]
    pub fn from_links(
        id: Option<String>,
        media_type: Option<String>,
        links: Vec<String>,
        content: &[u8],
    ) -> Self {
        let byte_count = u64::try_from(content.len()).ok();
        let mut attachment = Self { id, media_type, byte_count, ..Self::default() };
        attachment.data.links = links;
        attachment.data.hash = Some(multihash(content));
        attachment
    }

    /// Adds the hash of the content.
    ///
    /// # Errors
    /// When the content is not bytes.
    pub fn with_hash(mut self) -> Result<Self, AttachmentError> {
        self.data.hash = Some(multihash(&self.content()?));
        Ok(self)
    }

    /// Adds a detached signature over the content. The signer need not be the sender of the
    /// message.
    ///
    /// # Errors
    /// When the content is not bytes.
    pub fn with_signature(
        mut self,
        kid: &DidUrl,
        key: &SigningKey,
    ) -> Result<Self, AttachmentError> {
        // The type keeps the signature from being taken for that of a message, whatever the content
        // is.
        let protected = json!({ "typ": TYP, "alg": key.algorithm().name(), "kid": kid });
        let protected = encoding::base64url(protected.to_string());
        let mut input = protected.clone();
        input.push('.');
        encoding::push_base64url(self.content()?.as_ref(), &mut input);
        let signature = encoding::base64url(key.sign(input.as_bytes()));
        self.data.jws = Some(json!({
            "header": { "kid": kid }, "protected": protected, "signature": signature,
        }));
        Ok(self)
    }

    /// Checks the content that is in the attachment against its hash.
    ///
    /// # Errors
    /// When there is no such content or hash, or they differ.
    pub fn check_hash(&self) -> Result<(), AttachmentError> {
        self.check_hash_of(&self.content()?)
    }

    /// Checks what was fetched from a link against the hash. Takes SHA-256 as a multihash in
    /// base58btc, with or without its multibase letter, and in base64url with it.
    ///
    /// # Errors
    /// When there is no such hash, or the content is another.
    pub fn check_hash_of(&self, content: &[u8]) -> Result<(), AttachmentError> {
        let text = self.data.hash.as_deref().filter(|text| text.len() <= KEY_CHARS_MAX);
        let hash = text.and_then(read_multihash).ok_or(AttachmentError::HashForm)?;
        let ours = digest::digest(&digest::SHA256, content);
        if ours.as_ref() == hash { Ok(()) } else { Err(AttachmentError::Hash) }
    }

    /// Verifies the detached signature over the content that is in the attachment; returns the key
    /// that made it, which is in `authentication` of the document.
    ///
    /// # Errors
    /// When there is no such content, or no signature of this party over it.
    pub fn verify_jws(&self, document: &DidDocument) -> Result<DidUrl, AttachmentError> {
        self.verify_jws_of(&self.content()?, document)
    }

    /// Verifies the detached signature over what was fetched from a link.
    ///
    /// # Errors
    /// When there is no signature of this party over it.
    pub fn verify_jws_of(
        &self,
        content: &[u8],
        document: &DidDocument,
    ) -> Result<DidUrl, AttachmentError> {
        let jws = self.data.jws.as_ref().ok_or(AttachmentError::JwsForm)?;
        if jws.get("payload").is_some() {
            return Err(AttachmentError::JwsForm);
        }
        let signatures = match jws.get("signatures") {
            None => std::slice::from_ref(jws),
            Some(Value::Array(several)) if several.len() <= ATTACHMENT_SIGNATURES_MAX => several,
            Some(_) => return Err(AttachmentError::JwsForm),
        };
        let payload = encoding::base64url(content);
        let mut failed = AttachmentError::JwsForm;
        for signature in signatures {
            match verify(signature, &payload, document) {
                Ok(kid) => return Ok(kid),
                Err(error) => failed = error,
            }
        }
        Err(failed)
    }

    fn content(&self) -> Result<Cow<'_, [u8]>, AttachmentError> {
        self.data.bytes().map(Cow::Owned).ok_or(AttachmentError::Content)
    }
}

const TYP: &str = "JOSE+JSON";

fn verify(
    signature: &Value,
    payload: &str,
    document: &DidDocument,
) -> Result<DidUrl, AttachmentError> {
    let text =
        |name: &str| signature.get(name).and_then(Value::as_str).ok_or(AttachmentError::JwsForm);
    let protected = text("protected")?;
    let decoded = Some(protected).filter(|text| text.len() <= PROTECTED_CHARS_MAX);
    let decoded = decoded.and_then(encoding::from_base64url).ok_or(AttachmentError::JwsForm)?;
    let header =
        Tree::read_object(&decoded, PROTECTED_CHARS_MAX).map_err(|_| AttachmentError::JwsForm)?;
    let header = header.object();
    header::refuse_parameters(header).map_err(|_| AttachmentError::JwsForm)?;
    // A signature that was made over a message or a token says nothing about an attachment.
    if header.get("typ").is_some_and(|typ| !typ.as_str().is_some_and(is_of_attachments)) {
        return Err(AttachmentError::JwsForm);
    }
    let unprotected = signature.get("header").and_then(|header| header.get("kid"));
    let unprotected = unprotected.and_then(Value::as_str);
    let kid = match (header.get_str("kid"), unprotected) {
        (Some(one), Some(other)) if one != other => return Err(AttachmentError::JwsForm),
        (Some(kid), _) | (None, Some(kid)) => kid,
        (None, None) => return Err(AttachmentError::JwsForm),
    };
    let kid = header::key_id(kid).map_err(|_| AttachmentError::JwsForm)?;
    // A document may give a key of its own an id that names somebody else.
    if !kid.did().same_subject(&document.id) {
        return Err(AttachmentError::Signature);
    }
    let alg = header.get_str("alg").and_then(SignatureAlgorithm::from_name);
    let alg = alg.ok_or(AttachmentError::JwsForm)?;
    let key = document.authentication_key(&kid).filter(|key| alg.fits(key));
    let signature = encoding::from_base64url(text("signature")?).ok_or(AttachmentError::JwsForm)?;
    key.ok_or(AttachmentError::Signature)?
        .verify(format!("{protected}.{payload}").as_bytes(), &signature)
        .map_err(|_| AttachmentError::Signature)?;
    Ok(kid)
}

/// Whether a `typ` may stand over an attachment: not that of a message, nor that of a token, of which
/// there are many kinds (RFC 8725, section 3.11).
fn is_of_attachments(typ: &str) -> bool {
    let typ = typ.to_ascii_lowercase();
    let short = typ.strip_prefix("application/").unwrap_or(&typ);
    let is_token = short == "jwt" || short.ends_with("+jwt");
    !is_token && !short.starts_with("didcomm-")
}

fn multihash(content: &[u8]) -> String {
    let mut bytes = SHA2_256.to_vec();
    bytes.extend_from_slice(digest::digest(&digest::SHA256, content).as_ref());
    encoding::multibase(&bytes)
}

fn read_multihash(text: &str) -> Option<Vec<u8>> {
    let bytes = match text.as_bytes().first()? {
        b'u' => encoding::from_base64url(text.get(1..)?),
        b'z' => encoding::from_multibase(text),
        // The specification's own example has no multibase letter.
        _ => encoding::from_base58(text),
    }?;
    let hash = bytes.strip_prefix(&SHA2_256)?;
    (hash.len() == 32).then(|| hash.to_vec())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::did::Did;
    use crate::document::VerificationMethod;
    use crate::key::Curve;

    fn attachment() -> Attachment {
        Attachment::from_bytes(Some("a".to_owned()), None, b"Multihash is awesome!")
    }

    /// A party that signs on this curve.
    fn party(name: &str, curve: Curve) -> (DidUrl, SigningKey, DidDocument) {
        let did = Did::parse(&format!("did:web:{name}.example")).unwrap();
        let key = SigningKey::from_bytes_on(curve, &[7; 32]).unwrap();
        let kid = did.url("sign");
        let mut document = DidDocument::new(did);
        let id = document.add_key(VerificationMethod::new(kid.clone(), key.public()));
        document.authentication.push(id);
        (kid, key, document)
    }

    #[test]
    fn hashes_are_read_in_every_form_that_is_in_use() {
        // SHA-256 of "hello world", as `ipfs` and the multihash tables print it.
        let bare = "QmaozNR7DZHQK1ZcU9p7QdrshMvXqWK6gpu5rmrkPdT3L4";
        for hash in [bare.to_owned(), format!("z{bare}")] {
            let mut attachment = Attachment::from_bytes(None, None, b"hello world");
            attachment.data.hash = Some(hash);
            assert_eq!(attachment.check_hash(), Ok(()));
            assert_eq!(attachment.check_hash_of(b"hello World"), Err(AttachmentError::Hash));
        }
        let mut attachment = attachment().with_hash().unwrap();
        let hash = attachment.data.hash.clone().unwrap();
        assert_eq!(attachment.check_hash(), Ok(()));
        let bytes = encoding::from_multibase(&hash).unwrap();
        attachment.data.hash = Some(format!("u{}", encoding::base64url(&bytes)));
        assert_eq!(attachment.check_hash(), Ok(()));
        let short = [&[0x12, 31], &bytes[2..33]].concat();
        let sha512 = [&[0x13, 32], &bytes[2..]].concat();
        for bad in
            ["", "z", "zz", "u*", "Qm", &encoding::multibase(&short), &encoding::multibase(&sha512)]
        {
            attachment.data.hash = Some(bad.to_owned());
            assert_eq!(attachment.check_hash(), Err(AttachmentError::HashForm), "{bad}");
        }
    }

    #[test]
    fn what_a_link_brings_is_checked() {
        let links = vec!["https://a.example/x".to_owned()];
        let attachment = Attachment::from_links(None, None, links, b"content");
        assert_eq!(attachment.check_hash(), Err(AttachmentError::Content));
        assert_eq!(attachment.check_hash_of(b"content"), Ok(()));
        assert_eq!(attachment.check_hash_of(b"other"), Err(AttachmentError::Hash));
    }

    #[test]
    fn json_has_no_bytes_to_hash_or_sign() {
        let (kid, key, _) = party("a", Curve::Ed25519);
        let attachment = Attachment::from_json(None, None, json!({}));
        assert_eq!(attachment.clone().with_hash(), Err(AttachmentError::Content));
        assert_eq!(attachment.with_signature(&kid, &key), Err(AttachmentError::Content));
    }

    #[test]
    fn a_detached_signature_verifies_on_every_curve_that_signs() {
        for curve in Curve::ALL.into_iter().filter(|curve| curve.is_signing()) {
            let (kid, key, document) = party("a", curve);
            let mut signed = attachment().with_signature(&kid, &key).unwrap();
            assert_eq!(signed.verify_jws(&document), Ok(kid.clone()));
            assert_eq!(signed.verify_jws_of(b"other", &document), Err(AttachmentError::Signature));
            let (_, _, other) = party("b", curve);
            assert_eq!(signed.verify_jws(&other), Err(AttachmentError::Signature));
            // The general form, with a signature of somebody else beside ours.
            let (kid_b, key_b, _) = party("b", curve);
            let beside = attachment().with_signature(&kid_b, &key_b).unwrap().data.jws.unwrap();
            signed.data.jws = Some(json!({ "signatures": [beside, signed.data.jws] }));
            assert_eq!(signed.verify_jws(&document), Ok(kid));
        }
    }

    #[test]
    fn a_document_cannot_lend_its_key_the_name_of_somebody_else() {
        // Mallory's document lists a key of its own under an id of Aria: the signature was returned
        // as one by Aria's key.
        let (kid, _, _) = party("aria", Curve::Ed25519);
        let (_, key, mut mallorys) = party("mallory", Curve::Ed25519);
        let mut method = VerificationMethod::new(kid.clone(), key.public());
        method.controller = mallorys.id.clone();
        let id = mallorys.add_key(method);
        mallorys.authentication.push(id);
        let signed = attachment().with_signature(&kid, &key).unwrap();
        assert_eq!(signed.verify_jws(&mallorys), Err(AttachmentError::Signature));
    }

    #[test]
    fn a_malformed_signature_is_refused() {
        let (kid, key, document) = party("a", Curve::Ed25519);
        let good = attachment().with_signature(&kid, &key).unwrap();
        assert_eq!(attachment().verify_jws(&document), Err(AttachmentError::JwsForm));
        let header = |header: Value| json!(encoding::base64url(header.to_string()));
        for (name, value) in [
            ("protected", json!("*")),
            ("protected", header(json!({ "alg": "none", "kid": kid }))),
            (
                "protected",
                header(json!({ "alg": "EdDSA", "kid": kid, "crit": ["b64"], "b64": false })),
            ),
            ("protected", header(json!({ "alg": "EdDSA", "kid": "did:web:b.example#sign" }))),
            ("signature", json!(7)),
            ("payload", json!("AA")),
            ("signatures", json!(vec![json!({}); ATTACHMENT_SIGNATURES_MAX + 1])),
            ("signatures", json!([])),
        ] {
            let mut bad = good.clone();
            bad.data.jws.as_mut().unwrap()[name] = value.clone();
            assert_eq!(bad.verify_jws(&document), Err(AttachmentError::JwsForm), "{name} {value}");
        }
        // The algorithm is that of the key.
        let mut other = good;
        let protected = header(json!({ "alg": "ES256", "kid": kid }));
        other.data.jws.as_mut().unwrap()["protected"] = protected;
        assert_eq!(other.verify_jws(&document), Err(AttachmentError::Signature));
    }

    #[test]
    fn a_signature_of_a_message_or_token_is_not_that_of_an_attachment() {
        let (kid, key, document) = party("a", Curve::Ed25519);
        let typed = |typ: Value| {
            let protected =
                encoding::base64url(json!({ "typ": typ, "alg": "EdDSA", "kid": kid }).to_string());
            let payload = encoding::base64url(b"Multihash is awesome!");
            let signature = key.sign(format!("{protected}.{payload}").as_bytes());
            let mut signed = attachment();
            signed.data.jws = Some(
                json!({ "protected": protected, "signature": encoding::base64url(signature) }),
            );
            signed.verify_jws(&document)
        };
        for typ in ["application/didcomm-signed+json", "DIDComm-Signed+JSON", "JWT", "at+jwt"] {
            assert_eq!(typed(json!(typ)), Err(AttachmentError::JwsForm), "{typ}");
        }
        assert_eq!(typed(json!(7)), Err(AttachmentError::JwsForm));
        for typ in ["JOSE+JSON", "jose", "application/pdf"] {
            assert_eq!(typed(json!(typ)), Ok(kid.clone()), "{typ}");
        }
    }

    #[test]
    fn an_attachments_signature_is_not_that_of_a_message() {
        let (kid, key, document) = party("a", Curve::Ed25519);
        let text = json!({ "id": "m", "type": "https://a.example/p/1.0/m", "from": kid.did() });
        let text = text.to_string();
        let signed = Attachment::from_bytes(None, None, text.as_bytes());
        let mut jws = signed.with_signature(&kid, &key).unwrap().data.jws.unwrap();
        jws["payload"] = json!(encoding::base64url(&text));
        assert!(crate::verify_jws(jws.to_string().as_bytes(), &document).is_err());
    }
}
