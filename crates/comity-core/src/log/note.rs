//! Signed notes (C2SP signed-note v1.0.0): text with signatures by named keys, and the two kinds of
//! Ed25519 signatures that a log and its witnesses make.
//!
//! What it is: parsing, signing and verifying, keys as text (`vkey`). What it is not: what the text
//! means; a checkpoint is in `checkpoint.rs`.

use std::fmt;
use std::str::FromStr;

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_didcomm::{PublicKey, SigningKey, UnixTime};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use thiserror::Error;

use crate::limits::{NOTE_BYTES_MAX, NOTE_SIGNATURES_MAX};

/// Says why a text is not a signed note, or not one by a known key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum NoteError {
    /// It does not have the form of a note or of a key.
    #[error("the text is not a signed note")]
    Malformed,
    /// A signature that a known key is said to have made does not verify.
    #[error("a signature of the note is not that of its key")]
    Signature,
    /// None of its signatures is by a known key.
    #[error("no known key has signed the note")]
    UnknownKey,
}

/// What a key's signatures say.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum KeyKind {
    /// The text is the key's own (signature type 0x01).
    Log,
    /// The text was seen at a time, and continues what was seen before (type 0x04, cosignature/v1).
    Witness,
}

/// The name and public key of a log or a witness: a `vkey`.
///
/// ```
/// use comity_core::log::VerifierKey;
///
/// let text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
/// let key: VerifierKey = text.parse()?;
/// assert_eq!(key.name(), "example.com/foo");
/// assert_eq!(key.to_string(), text);
/// # Ok::<(), comity_core::log::NoteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VerifierKey {
    name: String,
    kind: KeyKind,
    key: [u8; 32],
}

/// A key that signs notes.
#[derive(Clone)]
pub struct NoteKey {
    key: SigningKey,
    public: VerifierKey,
}

/// A note that was read and is *not verified*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    text: String,
    signatures: Vec<NoteSignature>,
}

/// One signature line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NoteSignature {
    name: String,
    id: [u8; 4],
    signature: Vec<u8>,
}

/// A cosignature that verified.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cosigned {
    /// The witness.
    pub by: VerifierKey,
    /// When, by its clock.
    pub at: UnixTime,
}

impl VerifierKey {
    /// Names a public key.
    ///
    /// # Errors
    /// When the name is empty or has a space or plus sign in it, or the key is not one to verify with.
    pub fn new(name: &str, kind: KeyKind, key: [u8; 32]) -> Result<Self, NoteError> {
        let key = Self { name: name.to_owned(), kind, key };
        let is_key = PublicKey::from_raw(comity_didcomm::Curve::Ed25519, &key.key).is_ok();
        if is_name(name) && is_key { Ok(key) } else { Err(NoteError::Malformed) }
    }

    /// Returns the name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns what its signatures say.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        self.kind
    }

    /// Returns the public key.
    #[must_use]
    pub const fn as_bytes(&self) -> &[u8; 32] {
        &self.key
    }

    /// Computes the key id: what tells keys of one name apart.
    #[must_use]
    pub fn id(&self) -> [u8; 4] {
        let mut context = digest::Context::new(&digest::SHA256);
        context.update(self.name.as_bytes());
        context.update(&[b'\n', self.kind.byte()]);
        context.update(&self.key);
        let mut id = [0; 4];
        id.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
        id
    }

    /// Verifies the signature of a log's key on a note.
    ///
    /// # Errors
    /// When the key has not signed it, or a signature with its name and id is not the key's.
    pub fn verify(&self, note: &Note) -> Result<(), NoteError> {
        self.of(note)?.try_for_each(|line| self.check(note.text.as_bytes(), &line.signature))
    }

    /// Verifies the cosignatures of a witness's key on a note; the earliest counts.
    ///
    /// # Errors
    /// When the key has not signed it, or a signature with its name and id is not the key's.
    pub fn verify_cosignature(&self, note: &Note) -> Result<Cosigned, NoteError> {
        let mut earliest: Option<UnixTime> = None;
        for line in self.of(note)? {
            let (time, signature) =
                line.signature.split_first_chunk::<8>().ok_or(NoteError::Signature)?;
            let at = UnixTime(u64::from_be_bytes(*time));
            if at.0 == 0 || i64::MAX.cast_unsigned() < at.0 {
                return Err(NoteError::Signature);
            }
            self.check(cosigned_text(&note.text, at).as_bytes(), signature)?;
            earliest = Some(earliest.map_or(at, |known| known.min(at)));
        }
        earliest.map(|at| Cosigned { by: self.clone(), at }).ok_or(NoteError::UnknownKey)
    }

    /// The signatures that are said to be this key's; at least one.
    fn of<'n>(&self, note: &'n Note) -> Result<impl Iterator<Item = &'n NoteSignature>, NoteError> {
        let (name, id) = (self.name.clone(), self.id());
        let is_ours = move |line: &&NoteSignature| line.name == name && line.id == id;
        let mut lines = note.signatures.iter().filter(is_ours).peekable();
        if lines.peek().is_none() { Err(NoteError::UnknownKey) } else { Ok(lines) }
    }

    fn check(&self, text: &[u8], signature: &[u8]) -> Result<(), NoteError> {
        PublicKey::Ed25519(self.key).verify(text, signature).map_err(|_| NoteError::Signature)
    }
}

impl KeyKind {
    const fn byte(self) -> u8 {
        match self {
            Self::Log => 0x01,
            Self::Witness => 0x04,
        }
    }
}

impl NoteKey {
    /// Names an Ed25519 signing key.
    ///
    /// # Errors
    /// When the name is none, or the key is of another curve.
    pub fn new(name: &str, kind: KeyKind, key: SigningKey) -> Result<Self, NoteError> {
        let PublicKey::Ed25519(public) = key.public() else { return Err(NoteError::Malformed) };
        Ok(Self { public: VerifierKey::new(name, kind, public)?, key })
    }

    /// Returns the name and public key.
    #[must_use]
    pub const fn public(&self) -> &VerifierKey {
        &self.public
    }

    /// Signs a text as a log does, and writes the line.
    #[must_use]
    pub fn sign(&self, text: &str) -> String {
        self.line(&self.key.sign(text.as_bytes()))
    }

    /// Signs a note's text as a witness does, and writes the line.
    #[must_use]
    pub fn cosign(&self, text: &str, at: UnixTime) -> String {
        let signature = self.key.sign(cosigned_text(text, at).as_bytes());
        self.line(&[&at.0.to_be_bytes()[..], &signature].concat())
    }

    fn line(&self, signature: &[u8]) -> String {
        signature_line(&self.public.name, &self.public.id(), signature)
    }
}

impl fmt::Debug for NoteKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("NoteKey").field(&self.public).finish()
    }
}

impl Note {
    /// Reads a note of at most [`NOTE_BYTES_MAX`] bytes with at most [`NOTE_SIGNATURES_MAX`] signatures.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let is_control = |c: char| c < ' ' && c != '\n';
        if NOTE_BYTES_MAX < note.len() || note.contains(is_control) {
            return Err(NoteError::Malformed);
        }
        let (text, lines) = note.rsplit_once("\n\n").ok_or(NoteError::Malformed)?;
        let lines = lines.strip_suffix('\n').ok_or(NoteError::Malformed)?;
        let signatures = lines.split('\n').map(NoteSignature::parse).collect::<Option<Vec<_>>>();
        let signatures = signatures.ok_or(NoteError::Malformed)?;
        if NOTE_SIGNATURES_MAX < signatures.len() {
            return Err(NoteError::Malformed);
        }
        Ok(Self { text: format!("{text}\n"), signatures })
    }

    /// Returns the text, which ends with a newline.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Writes the note again.
    #[must_use]
    pub fn to_text(&self) -> String {
        let mut note = format!("{}\n", self.text);
        for NoteSignature { name, id, signature } in &self.signatures {
            note.push_str(&signature_line(name, id, signature));
        }
        note
    }

    /// Returns the names and ids of the keys that are said to have signed it.
    pub fn signers(&self) -> impl Iterator<Item = (&str, [u8; 4])> {
        self.signatures.iter().map(|line| (line.name.as_str(), line.id))
    }
}

impl NoteSignature {
    fn parse(line: &str) -> Option<Self> {
        let (name, signature) = line.strip_prefix("\u{2014} ")?.split_once(' ')?;
        let bytes = STANDARD.decode(signature).ok()?;
        let (id, signature) = bytes.split_first_chunk::<4>()?;
        let line = Self { name: name.to_owned(), id: *id, signature: signature.to_vec() };
        (is_name(name) && !signature.is_empty()).then_some(line)
    }
}

impl fmt::Display for VerifierKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}+", self.name)?;
        self.id().iter().try_for_each(|byte| write!(f, "{byte:02x}"))?;
        let bytes = [&[self.kind.byte()][..], &self.key].concat();
        write!(f, "+{}", STANDARD.encode(bytes))
    }
}

impl FromStr for VerifierKey {
    type Err = NoteError;

    fn from_str(text: &str) -> Result<Self, NoteError> {
        let (name, rest) = text.split_once('+').ok_or(NoteError::Malformed)?;
        let (_, bytes) = rest.split_once('+').ok_or(NoteError::Malformed)?;
        let bytes = STANDARD.decode(bytes).map_err(|_| NoteError::Malformed)?;
        let (kind, key) = bytes.split_first().ok_or(NoteError::Malformed)?;
        let kind = match kind {
            0x01 => KeyKind::Log,
            0x04 => KeyKind::Witness,
            _ => return Err(NoteError::Malformed),
        };
        let key = key.try_into().map_err(|_| NoteError::Malformed)?;
        let key = Self::new(name, kind, key)?;
        // The id is that of the key, and everything has one spelling.
        if key.to_string() == text { Ok(key) } else { Err(NoteError::Malformed) }
    }
}

impl Serialize for VerifierKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for VerifierKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

fn signature_line(name: &str, id: &[u8; 4], signature: &[u8]) -> String {
    format!("\u{2014} {name} {}\n", STANDARD.encode([&id[..], signature].concat()))
}

fn cosigned_text(text: &str, at: UnixTime) -> String {
    format!("cosignature/v1\ntime {}\n{text}", at.0)
}

fn is_name(name: &str) -> bool {
    let is_bad = |c: char| c == '+' || c < ' ' || c.is_whitespace();
    !name.is_empty() && !name.contains(is_bad)
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    const TEXT: &str = "example.com/log\n7\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n";

    fn key(name: &str, kind: KeyKind, seed: u64) -> NoteKey {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(seed));
        NoteKey::new(name, kind, key).unwrap()
    }

    /// The example of the specification.
    #[test]
    fn the_example_of_signed_note_verifies() {
        let key = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k";
        let note = concat!(
            "This is an example message.\n\n",
            "\u{2014} example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n",
        );
        let key: VerifierKey = key.parse().unwrap();
        let note = Note::parse(note).unwrap();
        assert_eq!(key.verify(&note), Ok(()));
        assert_eq!(note.text(), "This is an example message.\n");
        assert_eq!(note.signers().map(|(name, _)| name).collect::<Vec<_>>(), ["example.com/foo"]);
    }

    #[test]
    fn a_note_verifies_with_the_key_that_signed_it_only() {
        let (log, other) = (key("a.example", KeyKind::Log, 1), key("a.example", KeyKind::Log, 2));
        let note = Note::parse(&format!("{TEXT}\n{}", log.sign(TEXT))).unwrap();
        assert_eq!(note.text(), TEXT);
        assert_eq!(note.to_text(), format!("{TEXT}\n{}", log.sign(TEXT)));
        assert_eq!(log.public().verify(&note), Ok(()));
        assert_eq!(other.public().verify(&note), Err(NoteError::UnknownKey));
        let changed = format!("{TEXT}\n{}", log.sign(TEXT)).replace("\n7\n", "\n8\n");
        let changed = Note::parse(&changed).unwrap();
        assert_eq!(log.public().verify(&changed), Err(NoteError::Signature));
        // What others signed besides does not matter; a wrong signature by the same key does.
        let both = format!("{TEXT}\n{}{}", other.sign(TEXT), log.sign(TEXT));
        assert_eq!(log.public().verify(&Note::parse(&both).unwrap()), Ok(()));
        let wrong = format!("{TEXT}\n{}{}", log.sign(TEXT), log.sign("another\n"));
        let wrong = Note::parse(&wrong).unwrap();
        assert_eq!(log.public().verify(&wrong), Err(NoteError::Signature));
    }

    #[test]
    fn a_cosignature_says_when() {
        let witness = key("w.example", KeyKind::Witness, 1);
        let at = UnixTime(1_800_000_000);
        let lines = witness.cosign(TEXT, UnixTime(at.0 + 60)) + &witness.cosign(TEXT, at);
        let note = Note::parse(&format!("{TEXT}\n{lines}")).unwrap();
        let cosigned = witness.public().verify_cosignature(&note).unwrap();
        assert_eq!(cosigned, Cosigned { by: witness.public().clone(), at });
        let timeless = Note::parse(&format!("{TEXT}\n{}", witness.cosign(TEXT, UnixTime(0))));
        let timeless = witness.public().verify_cosignature(&timeless.unwrap());
        assert_eq!(timeless, Err(NoteError::Signature));
        let plain = Note::parse(&format!("{TEXT}\n{}", witness.sign(TEXT))).unwrap();
        assert!(witness.public().verify_cosignature(&plain).is_err());
    }

    #[test]
    fn keys_are_read_as_they_are_written() {
        for kind in [KeyKind::Log, KeyKind::Witness] {
            let key = key("did:web:a.example", kind, 3);
            let text = key.public().to_string();
            assert_eq!(text.parse().as_ref(), Ok(key.public()));
            for wrong in [
                text.replace("did:web", "did web"),
                text.replacen("did:web", "did:wob", 1),
                text.replacen('+', "", 1),
                text.to_uppercase(),
                format!("{text}="),
                format!("{text}+"),
            ] {
                assert_eq!(wrong.parse::<VerifierKey>(), Err(NoteError::Malformed), "{wrong}");
            }
        }
    }

    #[test]
    fn other_texts_are_no_notes() {
        let log = key("a.example", KeyKind::Log, 1);
        let line = log.sign(TEXT);
        for wrong in [
            TEXT.to_owned(),
            format!("{TEXT}\n"),
            format!("{TEXT}{line}"),
            format!("{TEXT}\n{}", line.trim_end()),
            format!("{TEXT}\n{line}\n"),
            format!("{TEXT}\n- a.example AAAAAAA=\n"),
            format!("{TEXT}\n\u{2014} a.example AAAA\n"),
            format!("{TEXT}\n\u{2014} a+b AAAAAAA=\n"),
            format!("{}\n{line}", TEXT.replace('7', "\t")),
            format!("{TEXT}\n{}", line.repeat(NOTE_SIGNATURES_MAX + 1)),
        ] {
            assert_eq!(Note::parse(&wrong), Err(NoteError::Malformed), "{wrong}");
        }
    }
}
