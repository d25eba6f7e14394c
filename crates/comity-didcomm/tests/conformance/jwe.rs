//! A writer of encrypted envelopes that checks nothing: whatever its fields claim, the result is cryptographically
//! sound, because key derivation and additional data follow what the finished header says.

use aws_lc_rs::digest;
use serde_json::{Map, Value, json};

use super::cipher::{self, Derivation};
use super::curve::Key;
use super::seed::Seed;
use super::text::{b64, unb64};

/// Changes a JSON object.
pub(crate) type Edit<'a> = &'a dyn Fn(&mut Map<String, Value>);

/// One encrypted envelope to be written.
pub(crate) struct Jwe<'a> {
    pub(crate) alg: &'a str,
    pub(crate) enc: &'a str,
    /// The sender's own key, under ECDH-1PU.
    pub(crate) sealer: Option<&'a Key>,
    pub(crate) skid: Option<&'a str>,
    pub(crate) apu: Option<&'a str>,
    /// The ids that the envelope names, and the keys that it is really encrypted to.
    pub(crate) recipients: &'a [(String, Key)],
    /// Given instead of the agreement with the ephemeral key.
    pub(crate) ephemeral_secret: Option<&'a [u8]>,
    /// Bytes of tag that are kept.
    pub(crate) tag_bytes: usize,
    pub(crate) header: Edit<'a>,
    pub(crate) seed: Seed,
}

impl Jwe<'_> {
    pub(crate) fn write(mut self, text: &[u8]) -> Map<String, Value> {
        let ephemeral = ephemeral(self.recipients[0].1.curve, &mut self.seed);
        let protected = self.protected(&ephemeral);
        let header = unb64(&protected).unwrap();
        let header: Map<String, Value> = serde_json::from_slice(&header).unwrap();
        let (key_bytes, iv_bytes) = cipher::sizes(self.enc).unwrap();
        let mut key = self.seed.bytes(key_bytes);
        let iv = self.seed.bytes(iv_bytes);
        let is_direct = !self.alg.contains('+');
        if is_direct {
            key = self.kek(&header, &ephemeral, &self.recipients[0].1, None);
        }
        let (text, mut tag) = cipher::encrypt(self.enc, &key, &iv, protected.as_bytes(), text);
        tag.truncate(self.tag_bytes);
        let recipient = |(kid, public): &(String, Key)| {
            let wrapped = if is_direct {
                Vec::new()
            } else {
                cipher::wrap(&self.kek(&header, &ephemeral, public, Some(&tag)), &key)
            };
            json!({ "header": { "kid": kid }, "encrypted_key": b64(wrapped) })
        };
        let recipients: Vec<Value> = self.recipients.iter().map(recipient).collect();
        object(json!({
            "protected": protected,
            "recipients": recipients,
            "iv": b64(iv),
            "ciphertext": b64(text),
            "tag": b64(tag),
        }))
    }

    fn protected(&self, ephemeral: &Key) -> String {
        let mut header = object(json!({
            "typ": "application/didcomm-encrypted+json",
            "alg": self.alg,
            "enc": self.enc,
            "epk": ephemeral.jwk(),
            "apv": b64(apv(self.recipients.iter().map(|(kid, _)| kid.as_str()))),
        }));
        if let Some(skid) = self.skid {
            header.insert("skid".to_owned(), json!(skid));
        }
        if let Some(apu) = self.apu {
            header.insert("apu".to_owned(), json!(b64(apu)));
        }
        (self.header)(&mut header);
        b64(twice(&header))
    }

    fn kek(
        &self,
        header: &Map<String, Value>,
        ephemeral: &Key,
        public: &Key,
        tag: Option<&[u8]>,
    ) -> Vec<u8> {
        let part = |name: &str| header.get(name).and_then(Value::as_str).and_then(unb64);
        let mut secret = match self.ephemeral_secret {
            Some(secret) => secret.to_vec(),
            None => ephemeral.agree(public).unwrap(),
        };
        if let Some(sealer) = self.sealer {
            secret.extend(sealer.agree(public).unwrap());
        }
        let from = Derivation {
            alg: self.alg,
            enc: self.enc,
            apu: &part("apu").unwrap_or_default(),
            apv: &part("apv").unwrap_or_default(),
            tag: tag.filter(|_| self.sealer.is_some()),
        };
        cipher::derive(&secret, &from)
    }
}

/// The digest of key ids that `apv` should be.
pub(crate) fn apv<'k>(kids: impl Iterator<Item = &'k str>) -> Vec<u8> {
    let mut kids: Vec<&str> = kids.collect();
    kids.sort_unstable();
    digest::digest(&digest::SHA256, kids.join(".").as_bytes()).as_ref().to_vec()
}

pub(crate) fn object(value: Value) -> Map<String, Value> {
    let Value::Object(object) = value else { panic!("not an object") };
    object
}

fn ephemeral(curve: super::curve::Curve, seed: &mut Seed) -> Key {
    let label = seed.bytes(16);
    Key::new(curve, &format!("ephemeral/{}", b64(label)))
}

/// Writes a JSON object; a name that begins with `twice:` is written without that, to stand there a second time.
pub(crate) fn twice(object: &Map<String, Value>) -> String {
    Value::Object(object.clone()).to_string().replace("\"twice:", "\"")
}
