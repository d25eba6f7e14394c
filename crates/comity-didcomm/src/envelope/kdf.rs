//! Derives the key that wraps the content key: Concat KDF with SHA-256 (RFC 7518, section 4.6; ECDH-1PU draft 04,
//! section 2.3).

use aws_lc_rs::digest;
use zeroize::Zeroizing;

use super::KeyManagement;
use crate::key::{AgreementKey, PublicKey, Secret};

/// What the derived key depends on, besides the secrets: the same for all recipients of one envelope.
pub(crate) struct Parties<'a> {
    pub(crate) alg: KeyManagement,
    pub(crate) apu: &'a [u8],
    pub(crate) apv: &'a [u8],
    /// The tag of the content, under ECDH-1PU: it ties the wrapped key to this one content.
    pub(crate) tag: &'a [u8],
}

/// The two agreements: with the ephemeral key, and under ECDH-1PU with the sender's.
pub(crate) struct Secrets {
    pub(crate) ephemeral: Secret,
    pub(crate) sender: Option<Secret>,
}

impl Secrets {
    /// Agrees as the recipient does. `None` when a secret would be known to everybody.
    pub(crate) fn of_recipient(
        own: &AgreementKey,
        epk: &PublicKey,
        sender: Option<&PublicKey>,
    ) -> Option<Self> {
        let sender = match sender {
            None => None,
            Some(key) => Some(own.agree_static(key)?),
        };
        Some(Self { ephemeral: own.agree(epk)?, sender })
    }

    /// Agrees as the sender does.
    pub(crate) fn of_sender(
        ephemeral: &AgreementKey,
        sender: Option<&AgreementKey>,
        recipient: &PublicKey,
    ) -> Option<Self> {
        let sender = match sender {
            None => None,
            Some(key) => Some(key.agree_static(recipient)?),
        };
        Some(Self { ephemeral: ephemeral.agree(recipient)?, sender })
    }
}

/// Derives the 256-bit wrapping key.
pub(crate) fn derive(secrets: &Secrets, parties: &Parties<'_>) -> Zeroizing<[u8; 32]> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let field = |hash: &mut digest::Context, bytes: &[u8]| {
        // Every field is bounded far below 4 GiB by the limits on envelopes.
        hash.update(&u32::try_from(bytes.len()).unwrap_or(u32::MAX).to_be_bytes());
        hash.update(bytes);
    };
    // One round suffices: the hash is as long as the key.
    hash.update(&1_u32.to_be_bytes());
    hash.update(secrets.ephemeral.as_bytes());
    if let Some(sender) = &secrets.sender {
        hash.update(sender.as_bytes());
    }
    field(&mut hash, parties.alg.name().as_bytes());
    field(&mut hash, parties.apu);
    field(&mut hash, parties.apv);
    hash.update(&256_u32.to_be_bytes());
    if parties.alg == KeyManagement::Ecdh1PuA256Kw {
        // With its length: draft 04 says so, and leaving it out was a known fault of other implementations.
        field(&mut hash, parties.tag);
    }
    let mut key = Zeroizing::new([0; 32]);
    key.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    fn derived(alg: KeyManagement, sender: Option<u8>, tag: &[u8]) -> String {
        let secrets = Secrets {
            ephemeral: Secret::new(&[1; 32]).unwrap(),
            sender: sender.map(|byte| Secret::new(&[byte; 32]).unwrap()),
        };
        let parties = Parties { alg, apu: b"Alice", apv: b"Bob", tag };
        derive(&secrets, &parties).iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// The expected values were computed apart from this code, with Python's hashlib, from the two specifications.
    #[test]
    fn the_derivation_is_that_of_the_specifications() {
        assert_eq!(
            derived(KeyManagement::EcdhEsA256Kw, None, b"ignored"),
            "50a9afa846bb13dbb6d066dd4662ad16dacb1562db4035d4128173ff19a54bc9"
        );
        assert_eq!(
            derived(KeyManagement::Ecdh1PuA256Kw, Some(2), &[3; 32]),
            "eb652ec0332da0e93f0ad7025ad0976fdc2647babf2c97802a743317e0d23000"
        );
    }

    #[test]
    fn the_tag_is_part_of_the_authenticated_derivation() {
        let one = derived(KeyManagement::Ecdh1PuA256Kw, Some(2), &[3; 32]);
        assert_ne!(one, derived(KeyManagement::Ecdh1PuA256Kw, Some(2), &[4; 32]));
    }
}
