//! One envelope as a plan: who it says it is from, for and by, and whose keys really made it. A theme takes an honest
//! letter, changes one thing, and writes both.

use std::fmt;
use std::rc::Rc;

use serde_json::{Map, Value, json};

use super::curve::{Curve, Key};
use super::jwe::{Jwe, object};
use super::jws::{self, Signer};
use super::seed::Seed;
use super::text::b64;
use super::world::{ALICE, BOB, World, agreement_name, signing_name};

/// The moment at which everything is opened. Long ago, so that a reader with a clock of its own finds the same.
pub(crate) const NOW: u64 = 1_700_000_000;

/// One layer of protection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Layer {
    Anoncrypt,
    Authcrypt,
    Sign,
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Anoncrypt => "anoncrypt",
            Self::Authcrypt => "authcrypt",
            Self::Sign => "sign",
        })
    }
}

/// Which part of a letter is changed. The layer is counted from outside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// The protected header, before anything is computed.
    Protected(usize),
    /// The unprotected header of a signature.
    Unprotected(usize),
    /// The finished layer.
    Finished(usize),
}

/// A change of one object.
pub(crate) type Change = Rc<dyn Fn(&mut Map<String, Value>)>;

/// How the signature is made, if not with the signer's key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signing {
    Honest,
    /// HMAC with the signer's public key as its secret.
    Hmac,
    Nothing,
}

/// The plan of one envelope.
#[derive(Clone)]
pub(crate) struct Letter {
    /// Names the honest letter that this one came from; also the seed of its ephemeral keys.
    pub(crate) label: String,
    /// Outermost first.
    pub(crate) nest: Vec<Layer>,
    pub(crate) message: Map<String, Value>,
    /// Written instead of `message`, if it is there.
    pub(crate) plaintext: Option<String>,
    pub(crate) anon: (&'static str, &'static str),
    pub(crate) auth: (&'static str, &'static str),
    pub(crate) tag_bytes: usize,
    pub(crate) skid: Option<String>,
    pub(crate) apu: Option<String>,
    /// Whose key really seals.
    pub(crate) sealer: String,
    /// The key id in the protected header of the signature, and in the other.
    pub(crate) kid: Option<String>,
    pub(crate) header_kid: Option<String>,
    /// Whose key really signs, and its algorithm.
    pub(crate) signer: String,
    pub(crate) alg: &'static str,
    pub(crate) signing: Signing,
    /// Signs instead of the signer's key, if it is there.
    pub(crate) own_key: Option<Key>,
    /// Key ids that the envelope names, and those of the keys that it is really encrypted to; outermost layer first.
    pub(crate) recipients: Vec<Vec<(String, String)>>,
    pub(crate) ephemeral_secret: Option<Vec<u8>>,
    pub(crate) changes: Vec<(Place, Change)>,
    /// Turns the plaintext bytes into what is encrypted or signed.
    pub(crate) encode: Option<fn(Vec<u8>) -> Vec<u8>>,
}

impl Letter {
    /// An honest letter from Alice to Bob.
    pub(crate) fn new(nest: &[Layer], curve: Curve, signing: Curve) -> Self {
        let seal = format!("{ALICE}#{}", agreement_name(curve));
        let sign = format!("{ALICE}#{}", signing_name(signing));
        let open = format!("{BOB}#{}", agreement_name(curve));
        let names: Vec<String> = nest.iter().map(Layer::to_string).collect();
        let mut label = format!("{}{}", names.join("("), ")".repeat(nest.len().saturating_sub(1)));
        if nest.iter().any(|layer| *layer != Layer::Sign) {
            label.push_str(&format!("/{}", curve.crv()));
        }
        if nest.contains(&Layer::Sign) {
            label.push_str(&format!("/{}", signing.alg()));
        }
        let message = json!({
            "id": "m-1",
            "typ": "application/didcomm-plain+json",
            "type": "https://didcomm.org/basicmessage/2.0/message",
            "from": ALICE,
            "to": [BOB],
            "created_time": NOW - 10,
            "body": { "content": "hello" },
        });
        Self {
            label,
            nest: nest.to_vec(),
            message: object(message),
            plaintext: None,
            anon: ("ECDH-ES+A256KW", "A256CBC-HS512"),
            auth: ("ECDH-1PU+A256KW", "A256CBC-HS512"),
            tag_bytes: 64,
            skid: Some(seal.clone()),
            apu: Some(seal.clone()),
            sealer: seal,
            kid: Some(sign.clone()),
            header_kid: Some(sign.clone()),
            signer: sign,
            alg: signing.alg(),
            signing: Signing::Honest,
            own_key: None,
            recipients: nest.iter().map(|_| vec![(open.clone(), open.clone())]).collect(),
            ephemeral_secret: None,
            changes: Vec::new(),
            encode: None,
        }
    }

    /// The same letter under another name, for an honest one with something more.
    #[must_use]
    pub(crate) fn labelled(mut self, more: &str) -> Self {
        self.label = format!("{}/{more}", self.label);
        self
    }

    #[must_use]
    pub(crate) fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    #[must_use]
    pub(crate) fn changed(
        mut self,
        place: Place,
        change: impl Fn(&mut Map<String, Value>) + 'static,
    ) -> Self {
        self.changes.push((place, Rc::new(change)));
        self
    }

    /// Sets, or with null removes, a header of the message.
    #[must_use]
    pub(crate) fn saying(mut self, name: &str, value: Value) -> Self {
        if value.is_null() {
            self.message.remove(name);
        } else {
            self.message.insert(name.to_owned(), value);
        }
        self
    }

    /// Where the first layer of this kind stands.
    pub(crate) fn at(&self, layer: Layer) -> Option<usize> {
        self.nest.iter().position(|one| *one == layer)
    }

    /// Writes the envelope.
    pub(crate) fn write(&self, world: &World) -> String {
        let text = self.plaintext.clone();
        let text = text.unwrap_or_else(|| Value::Object(self.message.clone()).to_string());
        let mut text = text.into_bytes();
        if let Some(encode) = self.encode {
            text = encode(text);
        }
        for at in (0..self.nest.len()).rev() {
            let mut layer = match self.nest[at] {
                Layer::Sign => self.signed(world, at, &text),
                layer => self.encrypted(world, at, layer, &text),
            };
            self.apply(Place::Finished(at), &mut layer);
            text = Value::Object(layer).to_string().into_bytes();
        }
        String::from_utf8(text).unwrap()
    }

    fn apply(&self, place: Place, object: &mut Map<String, Value>) {
        for (_, change) in self.changes.iter().filter(|(at, _)| *at == place) {
            change(object);
        }
    }

    fn encrypted(&self, world: &World, at: usize, layer: Layer, text: &[u8]) -> Map<String, Value> {
        let (alg, enc) = if layer == Layer::Authcrypt { self.auth } else { self.anon };
        let is_auth = layer == Layer::Authcrypt;
        let real = |(named, real): &(String, String)| (named.clone(), world.key(real).clone());
        let recipients: Vec<_> = self.recipients[at].iter().map(real).collect();
        let jwe = Jwe {
            alg,
            enc,
            sealer: is_auth.then(|| world.key(&self.sealer)),
            skid: self.skid.as_deref().filter(|_| is_auth),
            apu: self.apu.as_deref().filter(|_| is_auth),
            recipients: &recipients,
            ephemeral_secret: self.ephemeral_secret.as_deref().filter(|_| at == 0),
            tag_bytes: self.tag_bytes,
            header: &|header| self.apply(Place::Protected(at), header),
            seed: Seed::new(&format!("envelope/{}/{at}", self.label)),
        };
        jwe.write(text)
    }

    fn signed(&self, world: &World, at: usize, text: &[u8]) -> Map<String, Value> {
        let mut protected =
            object(json!({ "typ": "application/didcomm-signed+json", "alg": self.alg }));
        if let Some(kid) = &self.kid {
            protected.insert("kid".to_owned(), json!(kid));
        }
        self.apply(Place::Protected(at), &mut protected);
        let mut header = Map::new();
        if let Some(kid) = &self.header_kid {
            header.insert("kid".to_owned(), json!(kid));
        }
        self.apply(Place::Unprotected(at), &mut header);
        let key = self.own_key.as_ref().unwrap_or_else(|| world.key(&self.signer));
        let signer = match self.signing {
            Signing::Honest => Signer::Key(key),
            Signing::Hmac => Signer::Hmac(&key.public),
            Signing::Nothing => Signer::Nothing,
        };
        if protected.get("b64") == Some(&json!(false)) {
            // The payload as it is, not encoded (RFC 7797).
            let head = b64(Value::Object(protected.clone()).to_string());
            let text = String::from_utf8(text.to_vec()).unwrap();
            let signature = b64(signer.sign(&format!("{head}.{text}")));
            let one = json!({ "protected": head, "signature": signature, "header": header });
            return object(json!({ "payload": text, "signatures": [one] }));
        }
        jws::general(text, &protected, (!header.is_empty()).then_some(&header), signer)
    }
}
