//! [`Secret`]: the one secret from which a home derives all its keys for admission, so that there is
//! one thing to seal, and no row for each correspondent.

use std::fmt;

use aws_lc_rs::hmac;
use comity_didcomm::{Did, SigningKey};

use crate::trust::subject;

/// Derives keys. It shows itself nowhere.
pub struct Secret(hmac::Key);

impl Secret {
    /// Takes 32 random bytes.
    #[must_use]
    pub fn new(bytes: &[u8; 32]) -> Self {
        Self(hmac::Key::new(hmac::HMAC_SHA256, bytes))
    }

    /// Returns the key that signs the tokens of an identity of this home. With each generation there
    /// is another, and what the former ones signed is worth nothing any more.
    #[must_use]
    pub fn rule_key(&self, identity: &Did, generation: u32) -> SigningKey {
        self.derive(&[
            b"admission rule",
            subject(identity).as_str().as_bytes(),
            &generation.to_be_bytes(),
        ])
    }

    /// Returns the key by which an identity of this home is known at the relay of one correspondent,
    /// and at no other.
    #[must_use]
    pub fn pair_key(&self, identity: &Did, correspondent: &Did) -> SigningKey {
        self.derive(&[
            b"admission pair",
            subject(identity).as_str().as_bytes(),
            subject(correspondent).as_str().as_bytes(),
        ])
    }

    /// HMAC-SHA256 over length-prefixed parts; every 32 bytes are the seed of a key.
    fn derive(&self, parts: &[&[u8]]) -> SigningKey {
        let mut context = hmac::Context::with_key(&self.0);
        for part in parts {
            context.update(&(part.len() as u64).to_be_bytes());
            context.update(part);
        }
        let mut seed = [0; 32];
        seed.iter_mut().zip(context.sign().as_ref()).for_each(|(to, from)| *to = *from);
        SigningKey::from_seed(seed.into())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}
