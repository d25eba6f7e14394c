//! [`inspect`]: what an envelope shows to somebody without keys, good or bad: its form, algorithms,
//! key ids and sizes, and which of the checks that need no key it passes.
//!
//! For people who look for the fault in an envelope. It reads on where [`open`](crate::open())
//! stops at the first fault, so nothing it says is to be relied on, and a program that decides
//! something calls `open`.

use aws_lc_rs::digest;

use crate::did::DidUrl;
use crate::encoding;
use crate::envelope::{
    ContentEncryption, ENCRYPTED_TYPE, KeyManagement, Layer, SIGNED_TYPE, SignatureAlgorithm,
    header,
};
use crate::json::{Array, Json, Object, Tree};
use crate::key::PublicKey;
use crate::limits::{ENVELOPE_BYTES_MAX, PROTECTED_CHARS_MAX, RECIPIENTS_MAX};
use crate::message::{Message, is_media_type};

/// Holds what an envelope shows.
#[derive(Clone, Debug, Default, PartialEq)]
#[non_exhaustive]
pub struct Inspection {
    /// Bytes of the envelope.
    pub bytes: usize,
    /// The outermost layer; `None`: a bare plaintext, or nothing that is known.
    pub layer: Option<Layer>,
    /// Facts in reading order: name and value. Values are the sender's text.
    pub facts: Vec<(&'static str, String)>,
    /// Ids of the recipients' keys, as far as they are ids.
    pub recipients: Vec<DidUrl>,
    /// The message, when it can be read without a key.
    pub message: Option<Message>,
    /// The checks that need no key, in the order in which [`open`](crate::open()) makes them.
    pub checks: Vec<Check>,
}

/// Holds the outcome of one check.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Check {
    /// What is checked, as a sentence that is true when it passes.
    pub what: &'static str,
    /// Why it fails; `None`: it passes.
    pub fails: Option<String>,
}

/// Looks at an envelope.
#[must_use]
pub fn inspect(envelope: &[u8]) -> Inspection {
    let mut inspection = Inspection { bytes: envelope.len(), ..Inspection::default() };
    let tree = match Tree::read_object(envelope, ENVELOPE_BYTES_MAX) {
        Ok(tree) => tree,
        Err(error) => {
            inspection.fail("it is strict JSON within the bounds", error.to_string());
            return inspection;
        }
    };
    inspection.pass("it is strict JSON within the bounds");
    let object = tree.object();
    if object.contains("ciphertext") {
        inspection.encrypted(object);
    } else if object.contains("payload") {
        inspection.signed(object);
    } else {
        inspection.plaintext(object);
    }
    inspection
}

impl Inspection {
    /// Whether every check that needs no key passes.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.checks.iter().all(|check| check.fails.is_none())
    }

    fn encrypted(&mut self, envelope: Object<'_>) {
        let unknown = ["aad", "encrypted_key", "header", "payload", "signatures", "unprotected"];
        let found = unknown.into_iter().find(|name| envelope.contains(name));
        let general = envelope.get("recipients").and_then(Json::as_array);
        self.check(
            "it is a JWE in the general form",
            match (general, found) {
                (None, _) => Some("it has no array of recipients".to_owned()),
                (_, Some(name)) => Some(format!("it has the member {name}")),
                _ => None,
            },
        );
        let count = general.map_or(0, Array::len);
        self.check(
            "it has recipients, and not too many",
            (!(1..=RECIPIENTS_MAX).contains(&count)).then(|| format!("it has {count}")),
        );
        for name in ["ciphertext", "iv", "tag"] {
            let size = envelope.get_str(name).and_then(encoding::from_base64url);
            let size = size.map_or_else(|| "not base64url".to_owned(), |it| bytes(it.len()));
            self.fact(name, size);
        }
        // Bounded here too: this reads on after the check has failed.
        let kid = |recipient: Json<'_>| {
            let header = recipient.as_object()?.get("header")?.as_object()?;
            header.get_str("kid").map(str::to_owned)
        };
        let recipients = general.into_iter().flat_map(Array::items);
        let kids: Vec<_> = recipients.take(RECIPIENTS_MAX).map(kid).collect();
        self.recipients = kids
            .iter()
            .flatten()
            .filter_map(|kid| DidUrl::parse(kid).ok().filter(DidUrl::is_key_id))
            .collect();
        self.check(
            "every recipient is named by the id of a key",
            (self.recipients.len() != count).then(|| "one has no kid, or no DID URL".to_owned()),
        );
        let Some(text) = self.protected(envelope.get_str("protected"), ENCRYPTED_TYPE) else {
            return;
        };
        let Ok(header) = Tree::read_object(&text, PROTECTED_CHARS_MAX) else { return };
        let header = header.object();
        self.encryption(header);
        let kids: Vec<_> = kids.into_iter().flatten().collect();
        let apv = header.get_str("apv").and_then(encoding::from_base64url);
        self.check(
            "apv is the digest of the recipients' key ids",
            match apv {
                None => Some("apv is missing or not base64url".to_owned()),
                Some(apv) if apv == recipients_digest(kids) => None,
                Some(_) => {
                    Some("it is another: recipients were added, removed or renamed".to_owned())
                }
            },
        );
    }

    fn encryption(&mut self, header: Object<'_>) {
        let alg = header.get_str("alg").unwrap_or_default();
        let enc = header.get_str("enc").unwrap_or_default();
        self.fact("alg", alg.to_owned());
        self.fact("enc", enc.to_owned());
        let known = KeyManagement::from_name(alg).zip(ContentEncryption::from_name(enc));
        self.check(
            "alg and enc are known and may go together",
            match known {
                None => Some("one of them is unknown".to_owned()),
                Some((alg, enc)) if alg.allows(enc) => None,
                Some(_) => Some("authcrypt is only safe with A256CBC-HS512".to_owned()),
            },
        );
        self.layer = known.map(|(alg, _)| alg.layer());
        let epk = header.get("epk").and_then(Json::as_object);
        if let Some(curve) = epk.and_then(|epk| epk.get_str("crv")) {
            self.fact("curve", curve.to_owned());
        }
        let key = epk.map(PublicKey::from_jwk_object);
        self.check(
            "epk is a safe point of a curve that agrees",
            match key {
                None => Some("epk is missing".to_owned()),
                Some(Err(error)) => Some(error.to_string()),
                Some(Ok(key)) if !key.is_agreement() => Some("its curve only signs".to_owned()),
                Some(Ok(_)) => None,
            },
        );
        let skid = header.get_str("skid");
        let apu = header.get_str("apu").and_then(encoding::from_base64url);
        let apu = apu.map(|apu| String::from_utf8_lossy(&apu).into_owned());
        if let Some(sender) = skid.map(str::to_owned).or_else(|| apu.clone()) {
            self.fact("sealed by", sender);
        }
        if self.layer == Some(Layer::Authcrypt) {
            self.check(
                "skid and apu name the same key",
                match (skid, apu) {
                    (_, None) => Some("apu is missing or not base64url".to_owned()),
                    (Some(skid), Some(apu)) if skid != apu => Some(format!("apu names {apu}")),
                    _ => None,
                },
            );
        } else if skid.is_some() {
            self.fail("an anonymous envelope names no sender", "it has a skid");
        }
    }

    fn signed(&mut self, envelope: Object<'_>) {
        self.layer = Some(Layer::Signed);
        let signatures = envelope.get("signatures").and_then(Json::as_array);
        let flattened = envelope.contains("signature");
        let signature = match signatures {
            Some(one) if one.len() == 1 && !flattened => {
                one.items().next().and_then(Json::as_object)
            }
            None if flattened => Some(envelope),
            _ => None,
        };
        let form = if flattened { "flattened" } else { "general" };
        self.fact("form", form.to_owned());
        self.check(
            "it is a JWS with one signature",
            signature.is_none().then(|| "it has none, several, or both forms at once".to_owned()),
        );
        let mut signer = None;
        if let Some(signature) = signature {
            signer = self.signature(signature);
        }
        let payload = envelope.get_str("payload").and_then(encoding::from_base64url);
        let Some(payload) = payload else {
            return self.fail("the payload is base64url", "it is not");
        };
        self.fact("payload", bytes(payload.len()));
        let Ok(inner) = Tree::read_object(&payload, ENVELOPE_BYTES_MAX) else {
            return self.fail("the payload is strict JSON", "it is not");
        };
        let inner = inner.object();
        if inner.contains("ciphertext") || inner.contains("payload") {
            return self
                .fail("a signature stands around a plaintext", "it stands around an envelope");
        }
        self.plaintext(inner);
        let Some(message) = &self.message else { return };
        let from = message.from.clone();
        let fails = match (&from, &signer) {
            (None, _) => Some("the message has no from".to_owned()),
            (Some(from), Some(kid)) if from.same_subject(kid.did()) => None,
            (Some(from), _) => Some(format!("from is {from}")),
        };
        self.check("the key that is named as the signer's belongs to from", fails);
    }

    fn signature(&mut self, signature: Object<'_>) -> Option<DidUrl> {
        let text = self.protected(signature.get_str("protected"), SIGNED_TYPE)?;
        let header = Tree::read_object(&text, PROTECTED_CHARS_MAX).ok()?;
        let header = header.object();
        let alg = header.get_str("alg").unwrap_or_default();
        self.fact("alg", alg.to_owned());
        let known = SignatureAlgorithm::from_name(alg).is_some();
        self.check("the algorithm is known", (!known).then(|| "it is not".to_owned()));
        let unprotected = signature.get("header").and_then(Json::as_object);
        let unprotected = unprotected.and_then(|header| header.get_str("kid"));
        let kid = header.get_str("kid").or(unprotected);
        if let Some(kid) = kid {
            self.fact("signed by", kid.to_owned());
        }
        let signer = kid.and_then(|kid| DidUrl::parse(kid).ok()).filter(DidUrl::is_key_id);
        self.check(
            "the signer's key is named, in both headers the same",
            match (header.get_str("kid"), unprotected) {
                (Some(one), Some(other)) if one != other => Some(format!("one names {other}")),
                _ if signer.is_none() => Some("kid is missing or no DID URL".to_owned()),
                _ => None,
            },
        );
        signer
    }

    fn plaintext(&mut self, object: Object<'_>) {
        match Message::from_object(object, &[]) {
            Ok(message) => {
                self.pass("it is a DIDComm v2 message");
                self.message = Some(message);
            }
            Err(error) => self.fail("it is a DIDComm v2 message", error.to_string()),
        }
    }

    /// Decodes a protected header and makes the checks that all have in common.
    fn protected(&mut self, encoded: Option<&str>, media_type: &str) -> Option<Vec<u8>> {
        let encoded = encoded.filter(|encoded| encoded.len() <= PROTECTED_CHARS_MAX);
        let text = encoded.and_then(encoding::from_base64url);
        let object =
            text.as_deref().and_then(|text| Tree::read_object(text, PROTECTED_CHARS_MAX).ok());
        let Some(object) = object else {
            self.fail("the protected header is an object in base64url", "it is missing or is not");
            return None;
        };
        self.pass("the protected header is an object in base64url");
        let object = object.object();
        let typ = object.get("typ");
        self.fact("typ", typ.and_then(Json::as_str).unwrap_or("none").to_owned());
        let typ_ok =
            typ.is_none_or(|typ| typ.as_str().is_some_and(|typ| is_media_type(typ, media_type)));
        self.check("typ says what it is", (!typ_ok).then(|| "it says something else".to_owned()));
        let refused = header::refuse_parameters(object).is_err();
        self.check(
            "no header asks to fetch, trust, decompress or understand more",
            refused.then(|| "one of crit, zip, b64, jwk, jku, x5*, p2* is there".to_owned()),
        );
        text
    }

    fn fact(&mut self, name: &'static str, value: String) {
        self.facts.push((name, value));
    }

    fn pass(&mut self, what: &'static str) {
        self.check(what, None);
    }

    fn fail(&mut self, what: &'static str, why: impl Into<String>) {
        self.check(what, Some(why.into()));
    }

    fn check(&mut self, what: &'static str, fails: Option<String>) {
        self.checks.push(Check { what, fails });
    }
}

fn bytes(count: usize) -> String {
    format!("{count} bytes")
}

fn recipients_digest(mut kids: Vec<String>) -> Vec<u8> {
    kids.sort_unstable();
    digest::digest(&digest::SHA256, kids.join(".").as_bytes()).as_ref().to_vec()
}

#[cfg(test)]
mod tests;
