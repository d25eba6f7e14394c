//! The end of a chain as its agent signed it: one signature over all of its statements, since each
//! names the one before (`docs/protocols/log.md`, section 3).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_didcomm::{Did, DidDocument, DidUrl, Jwt, Relationship, SigningKey, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::note::VerifierKey;

/// The `typ` of a signed head.
pub const HEAD_TYPE: &str = "comity-head+jwt";

/// What an agent says of its chain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// The entry of the last statement, base64url.
    pub entry: String,
    /// When it was signed.
    pub iat: UnixTime,
    /// Whose chain it is.
    pub iss: Did,
    /// The key of the log that the chain is in.
    pub log: VerifierKey,
    /// The number of the last statement.
    pub seq: u64,
}

/// A signed head that was read and is *not verified*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignedHead(Jwt);

/// Signs the end of a chain.
#[must_use]
pub fn sign_head(
    (kid, key): (&DidUrl, &SigningKey),
    agent: &Did,
    (seq, entry): (u64, &[u8; 32]),
    log: &VerifierKey,
    now: UnixTime,
) -> String {
    let entry = URL_SAFE_NO_PAD.encode(entry);
    let claims = json!({ "entry": entry, "iat": now, "iss": agent, "log": log, "seq": seq });
    let claims: Map<String, Value> = claims.as_object().cloned().unwrap_or_default();
    // It is small, and issued by the DID of its key.
    Jwt::sign(HEAD_TYPE, kid, key, &claims).unwrap_or_default()
}

impl SignedHead {
    /// Reads a signed head; nothing if it is none.
    #[must_use]
    pub fn parse(jws: &str) -> Option<Self> {
        Jwt::parse(jws, HEAD_TYPE).ok().map(Self)
    }

    /// Returns the key that is said to have signed it.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        self.0.kid()
    }

    /// Verifies it with its agent's document; nothing if it is not the agent's, or says something else.
    #[must_use]
    pub fn verify(&self, document: &DidDocument) -> Option<Head> {
        let verified = self.0.verify(document, Relationship::Authentication).ok()?;
        Head::deserialize(Value::Object(verified.claims)).ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::{KeyKind, NoteKey};
    use comity_didcomm::did;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    #[test]
    fn a_head_verifies_with_its_agents_document_only() {
        let mut rng = StdRng::seed_from_u64(1);
        let key = SigningKey::generate(&mut rng);
        let agent = did::key::create(&key.public());
        let document = did::key::resolve(&agent).unwrap();
        let kid = document.authentication[0].clone();
        let log = NoteKey::new("a/log", KeyKind::Log, SigningKey::generate(&mut rng)).unwrap();
        let log = log.public();
        let jws = sign_head((&kid, &key), &agent, (7, &[3; 32]), log, UnixTime(9));
        let head = SignedHead::parse(&jws).unwrap().verify(&document).unwrap();
        assert_eq!((head.seq, head.iat, &head.iss, &head.log), (7, UnixTime(9), &agent, log));
        let other = SigningKey::generate(&mut rng);
        let other = did::key::resolve(&did::key::create(&other.public())).unwrap();
        assert!(SignedHead::parse(&jws).unwrap().verify(&other).is_none());
        assert!(SignedHead::parse(&jws.replace('.', "")).is_none());
    }
}
