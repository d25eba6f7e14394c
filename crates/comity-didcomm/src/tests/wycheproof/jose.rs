//! The JOSE files of Wycheproof: keys, signatures and encryption in the compact serialisation, which DIDComm has not.
//! So they go through the parts that all serialisations share: headers, algorithm tables, keys, derivation, content.
//!
//! The files are not part of the repository: `COMITY_VECTORS` names their folder. Without them the tests say so and pass.
#![allow(clippy::disallowed_methods, clippy::print_stderr, reason = "reads the files")]

use std::path::PathBuf;

use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::Tally;
use crate::encoding::from_base64url;
use crate::envelope::content::ContentKey;
use crate::envelope::header::ProtectedHeader;
use crate::envelope::kdf::{self, Parties, Secrets};
use crate::envelope::{
    ContentEncryption, ENCRYPTED_TYPE, KeyManagement, SIGNED_TYPE, SignatureAlgorithm, header,
};
use crate::json::Json;
use crate::key::{AgreementKey, PublicKey};
use crate::open::{OpenPolicy, Opening};
use crate::time::UnixTime;

/// One case: the group's keys, and the test itself.
struct Case {
    keys: Vec<Map<String, Value>>,
    test: Value,
}

fn cases(file: &str) -> Vec<Case> {
    let folder = std::env::var_os("COMITY_VECTORS").map_or_else(
        || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/vectors"),
        PathBuf::from,
    );
    let Ok(text) = std::fs::read(folder.join("wycheproof").join(file)) else {
        eprintln!("SKIPPED: no Wycheproof files found; set COMITY_VECTORS to their folder");
        return Vec::new();
    };
    let set: Value = serde_json::from_slice(&text).unwrap();
    let groups = set["testGroups"].as_array().unwrap();
    let cases = groups.iter().flat_map(|group| {
        let keys = match group.get("private").or(group.get("public")).unwrap() {
            Value::Object(keys) if keys.contains_key("keys") => {
                keys["keys"].as_array().unwrap().clone()
            }
            one => vec![one.clone()],
        };
        let keys: Vec<_> = keys.iter().map(|key| key.as_object().unwrap().clone()).collect();
        let tests = group["tests"].as_array().unwrap().iter();
        tests.map(move |test| Case { keys: keys.clone(), test: test.clone() })
    });
    let cases: Vec<_> = cases.collect();
    assert_eq!(set["numberOfTests"], cases.len());
    cases
}

impl Case {
    fn is_valid(&self) -> bool {
        self.test["result"] == "valid"
    }

    fn name(&self) -> String {
        format!("{} {}", self.test["tcId"], self.test["comment"])
    }

    /// Judges the case, or says why it does not apply.
    fn judge(&self) -> Result<bool, &'static str> {
        let (found, expected) = match (&self.test["jws"], &self.test["jwe"]) {
            (Value::String(jws), _) => (self.verify(jws)?, None),
            (_, Value::String(jwe)) => (self.decrypt(jwe)?, self.test["pt"].as_str().map(unhex)),
            // The JSON serialisations, which are what DIDComm has, so the whole reader judges them.
            (one, other) => {
                let envelope = if one.is_null() { other } else { one }.to_string();
                let policy = OpenPolicy::default();
                let opened = Opening::new(envelope.as_bytes(), &policy, UnixTime(0)).is_ok();
                return Ok(!opened && !self.is_valid());
            }
        };
        Ok(match found {
            Some(text) => self.is_valid() && expected.is_none_or(|expected| expected == text),
            None => !self.is_valid(),
        })
    }

    /// Verifies a compact token as a signed envelope is verified. `None`: refused.
    fn verify(&self, jws: &str) -> Result<Option<Vec<u8>>, &'static str> {
        let [key] = self.keys.as_slice() else { return Err("several keys: a document names one") };
        let mut public = key.clone();
        public.remove("d");
        let key = match PublicKey::from_jwk(&public) {
            Ok(key) => key,
            // A curve's key that says something else of itself, or that is no point.
            Err(_) if key.contains_key("crv") => return Ok(None),
            Err(_) => return Err("a kind of key that DIDComm has not"),
        };
        if !key.is_signing() {
            return Err("a curve that DIDComm does not sign with");
        }
        let text = || {
            let [head, payload, signature] = parts(jws)?;
            let decoded = from_base64url(head)?;
            let header = header::read(&decoded, SIGNED_TYPE).ok()?;
            let alg = SignatureAlgorithm::from_name(header.text("alg").ok()??)?;
            let payload_bytes = from_base64url(payload).filter(|bytes| !bytes.is_empty())?;
            let signature = from_base64url(signature)?;
            let input = format!("{head}.{payload}");
            (alg.fits(&key) && key.verify(input.as_bytes(), &signature).is_ok())
                .then_some(payload_bytes)
        };
        match text() {
            Some(_) if !self.is_valid() && self.breaks_use() => {
                Err("alg, use or key_ops of a JWK: the document's relationship decides")
            }
            found => Ok(found),
        }
    }

    /// Whether the fault is only that the JWK itself says what it is for.
    fn breaks_use(&self) -> bool {
        let key = &self.keys[0];
        key.get("use").is_some_and(|used| used != "sig")
            || key.contains_key("key_ops")
            || key.get("alg").is_some_and(|alg| alg != "ES256")
    }

    /// Decrypts a compact envelope as anoncrypt is decrypted. `None`: refused.
    fn decrypt(&self, jwe: &str) -> Result<Option<Vec<u8>>, &'static str> {
        let [key] = self.keys.as_slice() else { return Err("several keys: a document names one") };
        let own = match key["alg"].as_str() {
            Some("ECDH-ES+A256KW") => Own::Agreement(AgreementKey::from_jwk(key).unwrap()),
            // Not in DIDComm by itself, but all that follows an agreement there.
            Some("A256KW") => Own::Wrapping(from_base64url(key["k"].as_str().unwrap()).unwrap()),
            _ => return Err("a key management that DIDComm has not"),
        };
        let enc = self.test["enc"].as_str().and_then(ContentEncryption::from_name);
        if self.is_valid() && enc.is_none() {
            return Err("a content encryption that DIDComm has not");
        }
        let text = || {
            let [head, wrapped, iv, text, tag] = parts(jwe)?;
            let decoded = from_base64url(head)?;
            let header = header::read(&decoded, ENCRYPTED_TYPE).ok()?;
            let alg = header.text("alg").ok()??;
            let enc = ContentEncryption::from_name(header.text("enc").ok()??)?;
            let [wrapped, iv, text, tag] = [wrapped, iv, text, tag].map(from_base64url);
            let (tag, wrapped) = (tag?, wrapped?);
            let kek = own.kek(alg, &header, &tag)?;
            let mut key = Zeroizing::new(vec![0; wrapped.len().checked_sub(8)?]);
            let kek = AesKek::new(&AES_256, &kek).ok()?;
            kek.unwrap(&wrapped, &mut key).ok()?;
            let (key, mut text) = (ContentKey::new(enc, &key)?, text?);
            let length = key.decrypt(&iv?, head.as_bytes(), &tag, &mut text).ok()?;
            text.truncate(length);
            Some(text)
        };
        Ok(text())
    }
}

/// What the receiver of a compact envelope has.
enum Own {
    Agreement(AgreementKey),
    Wrapping(Vec<u8>),
}

impl Own {
    /// The key that wraps the content key, if the header says that it is had in this way.
    fn kek(&self, alg: &str, header: &ProtectedHeader<'_>, tag: &[u8]) -> Option<Vec<u8>> {
        let own = match self {
            Self::Agreement(own) => own,
            Self::Wrapping(kek) => return (alg == "A256KW").then(|| kek.clone()),
        };
        let alg = KeyManagement::from_name(alg)?;
        let part =
            |name: &str| header.text(name).ok().flatten().map_or(Some(Vec::new()), from_base64url);
        let (apu, apv) = (part("apu")?, part("apv")?);
        let epk = header.object().get("epk").and_then(Json::as_object)?;
        let epk = PublicKey::from_jwk_object(epk).ok()?;
        let secrets = Secrets::of_recipient(own, &epk, None)?;
        Some(kdf::derive(&secrets, &Parties { alg, apu: &apu, apv: &apv, tag }).to_vec())
    }
}

/// Exactly so many parts between dots.
fn parts<const N: usize>(text: &str) -> Option<[&str; N]> {
    text.split('.').collect::<Vec<_>>().try_into().ok()
}

fn unhex(text: &str) -> Vec<u8> {
    let digits = text.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).unwrap());
    digits.map(|pair| u8::from_str_radix(pair, 16).unwrap()).collect()
}

fn run(file: &str, applied: usize) {
    let cases = cases(file);
    if cases.is_empty() {
        return;
    }
    let mut tally = Tally::default();
    for case in cases {
        match case.judge() {
            Ok(is_right) => tally.apply(case.name(), is_right),
            Err(why) => tally.skip(why),
        }
    }
    tally.finish(file, applied);
}

#[test]
fn keys_are_judged_as_they_should() {
    run("json_web_key_test.json", 3);
}

#[test]
fn signatures_are_judged_as_they_should() {
    run("json_web_signature_test.json", 39);
    run("json_web_crypto_test.json", 32);
}

#[test]
fn encryption_is_judged_as_it_should() {
    run("json_web_encryption_test.json", 34);
}
