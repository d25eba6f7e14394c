//! What is known to differ, in one list: the only place that excuses an outcome.
//!
//! A run fails when an outcome is not excused here, and as well when an excuse is no longer needed, so that the list
//! stays true. A reason says whose choice it is and why.

use super::exchange::Outcome;

/// One known difference.
#[derive(Debug)]
pub(super) struct Quirk {
    /// Who differs.
    pub(super) peer: &'static str,
    /// In what role.
    pub(super) side: Side,
    /// In exchanges with whom; empty: with everybody.
    pub(super) with: &'static [&'static str],
    /// In which cases, by name; `*` stands for anything.
    pub(super) cases: &'static [&'static str],
    /// What the table calls it.
    pub(super) kind: Kind,
    /// A part of the words that show it.
    pub(super) words: &'static str,
    /// Why, in a sentence.
    pub(super) reason: &'static str,
}

/// The role in which a peer differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Opens,
    Packs,
}

/// What a difference is called in the table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// It is a defect of the peer.
    Defect,
    /// The peer does not have it.
    NotOffered,
}

impl Kind {
    /// Returns the words of the table.
    pub(super) const fn words(self) -> &'static str {
        match self {
            Self::Defect => "defect",
            Self::NotOffered => "not offered",
        }
    }
}

impl Quirk {
    /// Tells whether this is about an exchange.
    pub(super) fn is_about(&self, packer: &str, opener: &str, case: &str) -> bool {
        let (peer, other) = match self.side {
            Side::Opens => (opener, packer),
            Side::Packs => (packer, opener),
        };
        let with = self.with.is_empty() || self.with.contains(&other);
        peer == self.peer && with && self.cases.iter().any(|pattern| matches(pattern, case))
    }

    /// Tells whether an outcome is what this excuses.
    pub(super) fn excuses(&self, outcome: &Outcome) -> bool {
        match outcome {
            Outcome::Understood => false,
            Outcome::NotPacked(words) => self.side == Side::Packs && words.contains(self.words),
            Outcome::NotOpened(words) | Outcome::Misunderstood(words) => words.contains(self.words),
        }
    }
}

/// Matches a name with a pattern, in which `*` stands for anything.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else {
        return pattern == name;
    };
    let Some(rest) = name.strip_prefix(before) else {
        return false;
    };
    let tails = (0..=rest.len()).filter_map(|i| rest.get(i..));
    tails.into_iter().any(|tail| matches(after, tail))
}

/// All known differences.
pub(super) const QUIRKS: &[Quirk] = &[
    Quirk {
        peer: "Python",
        side: Side::Packs,
        with: &[],
        cases: &[
            "forward, a mediator's DID as endpoint, hop by hop",
            "forward, a mediator's DID as endpoint, unwrapped*",
        ],
        kind: Kind::Defect,
        words: "",
        reason: "a mediator's DID as endpoint is a routing key by itself, but it wraps only where others are listed",
    },
    Quirk {
        peer: "WASM",
        side: Side::Packs,
        with: &[],
        cases: &["*crypt*P-384*", "*crypt*P-521*"],
        kind: Kind::NotOffered,
        words: "No ",
        reason: "it has X25519 and P-256 only, though P-384 is a MUST",
    },
    Quirk {
        peer: "WASM",
        side: Side::Opens,
        with: &[],
        cases: &["*crypt*P-384*", "*crypt*P-521*"],
        kind: Kind::NotOffered,
        words: "Unsupported",
        reason: "it has X25519 and P-256 only, though P-384 is a MUST",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Packs,
        with: &[],
        cases: &["*XC20P", "*A256GCM"],
        kind: Kind::NotOffered,
        words: "",
        reason: "it encrypts content with A256CBC-HS512 only",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Opens,
        with: &[],
        cases: &["*XC20P", "*A256GCM"],
        kind: Kind::NotOffered,
        words: "IV must be 16 bytes",
        reason: "it decrypts content with A256CBC-HS512 only, though A256GCM is recommended",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Packs,
        with: &[],
        cases: &["anoncrypt+authcrypt*"],
        kind: Kind::NotOffered,
        words: "",
        reason: "it has no call for two encrypted layers",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Opens,
        with: &[],
        cases: &["anoncrypt+authcrypt*A256CBC-HS512"],
        kind: Kind::NotOffered,
        words: "missing field",
        reason: "it looks for a message below an encrypted layer, or a signature, never for a second envelope",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Packs,
        with: &[],
        cases: &["from_prior*"],
        kind: Kind::NotOffered,
        words: "from_prior",
        reason: "it neither signs nor checks from_prior and passes it on as an unknown header",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Opens,
        with: &[],
        cases: &["from_prior*"],
        kind: Kind::NotOffered,
        words: "from_prior_kid",
        reason: "it neither signs nor checks from_prior and passes it on as an unknown header",
    },
    Quirk {
        peer: "Affinidi",
        side: Side::Opens,
        with: &[],
        cases: &["forward*unwrapped by the library"],
        kind: Kind::Defect,
        words: "missing attachments in forward",
        reason: "its unwrap_forward looks for the attachments among the unknown headers, where its own parser never \
                 leaves them",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_stands_for_anything() {
        assert!(matches("anoncrypt, *, XC20P", "anoncrypt, P-384, XC20P"));
        assert!(matches("*P-384*", "authcrypt, P-384"));
        assert!(matches("plaintext", "plaintext"));
        assert!(!matches("plaintext", "plaintext 2"));
        assert!(!matches("anoncrypt, *, XC20P", "anoncrypt, P-384, A256GCM"));
    }
}
