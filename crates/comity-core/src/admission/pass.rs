//! What a sender shows at a recipient's relay, and how it asks for what it has not.

use comity_didcomm::{Curve, Did, Message, PublicKey, SigningKey, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::proof;
use crate::limits::ADMISSION_RENEW_S;
use crate::protocol::ADMISSION_KEY;

/// A token that a home holds: a row.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeldToken {
    /// The token.
    pub token: String,
    /// Until when it holds.
    pub expires: UnixTime,
}

/// The pairwise key of a sender and a recipient, with the token for it if there is one.
#[derive(Clone, Debug)]
pub struct Pass {
    key: SigningKey,
    held: Option<HeldToken>,
    asking: Asking,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asking {
    Allowed,
    Forbidden,
}

impl Pass {
    /// Joins a key and its token.
    #[must_use]
    pub const fn new(key: SigningKey, held: Option<HeldToken>) -> Self {
        Self { key, held, asking: Asking::Allowed }
    }

    /// Forbids to ask for a token: whoever is told the key can give one, and that is not for
    /// strangers to whom only a report goes.
    #[must_use]
    pub fn without_asking(self) -> Self {
        Self { asking: Asking::Forbidden, ..self }
    }

    /// Returns what a message says to be given a token: the public key, while there is none that
    /// holds for a day more.
    pub(crate) fn asks(&self, now: UnixTime) -> Option<Value> {
        let soon = now.saturating_add(ADMISSION_RENEW_S);
        let is_good = self.held.as_ref().is_some_and(|held| soon < held.expires);
        let may_ask = self.asking == Asking::Allowed;
        (may_ask && !is_good).then(|| Value::Object(self.key.public().to_jwk()))
    }

    /// Returns what a forward shows for a payload; nothing while there is no token that holds.
    #[must_use]
    pub fn show(&self, recipient: &Did, payload: &[u8], now: UnixTime) -> Option<Value> {
        let held = self.held.as_ref().filter(|held| now < held.expires)?;
        let proof = proof::make(&self.key, recipient, payload)?;
        Some(json!({ "token": held.token, "proof": proof }))
    }
}

/// Reads the key that a message asks a token for.
#[must_use]
pub fn offered_key(message: &Message) -> Option<PublicKey> {
    let jwk = message.extra.get(ADMISSION_KEY)?.as_object()?;
    PublicKey::from_jwk(jwk).ok().filter(|key| key.curve() == Curve::Ed25519)
}
