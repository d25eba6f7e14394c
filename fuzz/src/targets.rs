//! One function a target: takes any bytes, says whether they were understood, and panics when a promise is broken.
//!
//! Each asserts more than that nothing panics: what is read and written again reads the same, and what opens is what
//! was sealed, by whom the crate says. Time and randomness are fixed, so that an input always does the same.

mod envelopes;
pub mod parties;
mod texts;
pub mod tokens;
pub mod webvh;

/// Says whether an input was understood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is what the target reads, and every assertion held.
    Accepted,
    /// It is refused.
    Refused,
}

/// A target: its name, which is its folder in the corpus, and what it does with an input.
pub type Target = (&'static str, fn(&[u8]) -> Verdict);

/// All targets.
pub const TARGETS: [Target; 14] = [
    ("did_document", texts::did_document),
    ("did_url", texts::did_url),
    ("forward", texts::forward),
    ("from_prior", envelopes::from_prior),
    ("inside_anoncrypt", envelopes::inside_anoncrypt),
    ("inside_authcrypt", envelopes::inside_authcrypt),
    ("invitation", texts::invitation),
    ("jwe", envelopes::jwe),
    ("jws", envelopes::jws),
    ("jwt", tokens::jwt),
    ("key", texts::key),
    ("names", texts::names),
    ("plaintext", texts::plaintext),
    ("webvh_log", webvh::webvh_log),
];

/// Runs a target by its name.
///
/// # Panics
/// When there is no such target, or a promise is broken.
pub fn run(name: &str, data: &[u8]) -> Verdict {
    let found = TARGETS.iter().find(|(found, _)| *found == name);
    let (_, target) = found.unwrap_or_else(|| panic!("there is no target {name}"));
    target(data)
}
