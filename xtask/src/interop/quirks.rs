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
    /// In what roles.
    pub(super) sides: &'static [Side],
    /// In which cases, by name; `*` stands for anything.
    pub(super) cases: &'static [&'static str],
    /// What the table calls it.
    pub(super) kind: Kind,
    /// Words that show it: one of them is in the outcome.
    pub(super) words: &'static [&'static str],
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
        let in_role = self.sides.iter().any(|side| match side {
            Side::Opens => opener == self.peer,
            Side::Packs => packer == self.peer,
        });
        in_role && self.cases.iter().any(|pattern| matches(pattern, case))
    }

    /// Tells whether an outcome is what this excuses.
    pub(super) fn excuses(&self, outcome: &Outcome) -> bool {
        let words = match outcome {
            Outcome::Understood => return false,
            Outcome::Misunderstood(words)
            | Outcome::NotOpened(words)
            | Outcome::NotPacked(words) => words,
        };
        self.words.iter().any(|part| words.contains(part))
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
        sides: &[Side::Packs],
        cases: &[
            "forward, a mediator's DID as endpoint, hop by hop",
            "forward, a mediator's DID as endpoint, unwrapped*",
        ],
        kind: Kind::Defect,
        words: &["no secret", "unknown-recipient", "re_wrapped"],
        reason: "a mediator's DID as endpoint is a routing key by itself, but it wraps only where others are listed",
    },
    Quirk {
        peer: "WASM",
        sides: BOTH,
        cases: &["*crypt*P-384*", "*crypt*P-521*"],
        kind: Kind::NotOffered,
        words: &["No key agreement keys", "No common keys", "Unsupported key type or curve"],
        reason: "it has X25519 and P-256 only, though P-384 is a MUST",
    },
    Quirk {
        peer: "WASM",
        sides: BOTH,
        cases: &["an attachment with a detached signature*"],
        kind: Kind::Defect,
        words: &["AttachmentData", "not a valid JWE, JWS or JWM"],
        reason: "it wants the `jws` of an attachment as text, where the specification has an object",
    },
    Quirk {
        peer: "Affinidi",
        sides: BOTH,
        cases: &["*XC20P", "*A256GCM"],
        kind: Kind::NotOffered,
        words: &["encrypts with A256CBC-HS512 only", "IV must be 16 bytes", "anoncrypt+authcrypt"],
        reason: "it has A256CBC-HS512 only, though A256GCM is recommended",
    },
    Quirk {
        peer: "Affinidi",
        sides: BOTH,
        cases: &["anoncrypt+authcrypt*A256CBC-HS512"],
        kind: Kind::NotOffered,
        words: &["anoncrypt+authcrypt", "missing field"],
        reason: "below an encrypted layer it looks for a message or a signature, never for a second envelope",
    },
    Quirk {
        peer: "Affinidi",
        sides: BOTH,
        cases: &["from_prior*"],
        kind: Kind::NotOffered,
        words: &["from_prior"],
        reason: "it neither signs nor checks from_prior and passes it on as an unknown header",
    },
    Quirk {
        peer: "Affinidi",
        sides: BOTH,
        cases: &["an attachment with a detached signature*"],
        kind: Kind::Defect,
        words: &["expected a string"],
        reason: "it wants the `jws` of an attachment as text, where the specification has an object",
    },
    Quirk {
        peer: "Affinidi",
        sides: &[Side::Opens],
        cases: &["forward*unwrapped by the library"],
        kind: Kind::Defect,
        words: &["missing attachments in forward"],
        reason: "its unwrap_forward looks for the attachments among the unknown headers, where its own parser never \
                 leaves them",
    },
];

const BOTH: &[Side] = &[Side::Opens, Side::Packs];

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
