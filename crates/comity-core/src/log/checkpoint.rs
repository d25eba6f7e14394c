//! Checkpoints (C2SP tlog-checkpoint v1.0.0): the head of a log as a signed note, with the
//! cosignatures of its witnesses.

use aws_lc_rs::digest;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use comity_didcomm::UnixTime;

use super::note::{Cosigned, KeyKind, Note, NoteError, NoteKey, VerifierKey};
use super::tree::TreeHead;

/// A checkpoint that was read and is *not verified*.
///
/// ```
/// use comity_core::log::{Checkpoint, Frontier, KeyKind, NoteKey};
/// use comity_didcomm::SigningKey;
///
/// # let mut rng: rand::rngs::StdRng = rand::make_rng();
/// let key = NoteKey::new("a.example/log", KeyKind::Log, SigningKey::generate(&mut rng))?;
/// let text = Checkpoint::sign(&key, Frontier::default().root());
/// let checkpoint = Checkpoint::parse(&text)?;
/// assert_eq!(checkpoint.origin(), "a.example/log");
/// assert_eq!(checkpoint.verify(key.public())?.size, 0);
/// # Ok::<(), comity_core::log::NoteError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkpoint {
    note: Note,
    origin: String,
    head: TreeHead,
}

impl Checkpoint {
    /// Signs the head of the log whose origin is the name of the key.
    #[must_use]
    pub fn sign(key: &NoteKey, head: TreeHead) -> String {
        let (origin, size, root) = (key.public().name(), head.size, STANDARD.encode(head.root));
        let text = format!("{origin}\n{size}\n{root}\n");
        format!("{text}\n{}", key.sign(&text))
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// When it is no signed note, or its text is no checkpoint.
    pub fn parse(note: &str) -> Result<Self, NoteError> {
        let note = Note::parse(note)?;
        let mut lines = note.text().split('\n');
        let mut line = || lines.next().ok_or(NoteError::Malformed);
        let (origin, size, root) = (line()?.to_owned(), line()?, line()?);
        let size = decimal(size).ok_or(NoteError::Malformed)?;
        let root = hash(root).ok_or(NoteError::Malformed)?;
        // Of what follows, only the empty end of the last line is no extension.
        let extensions: Vec<&str> = lines.collect();
        let is_ended = extensions.split_last().is_some_and(|(end, extensions)| {
            end.is_empty() && extensions.iter().all(|line| !line.is_empty())
        });
        if origin.is_empty() || !is_ended {
            return Err(NoteError::Malformed);
        }
        Ok(Self { origin, head: TreeHead { size, root }, note })
    }

    /// Returns which log it is said to be of.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Returns the head that it is said to be of.
    #[must_use]
    pub const fn claimed(&self) -> TreeHead {
        self.head
    }

    /// Returns the note.
    #[must_use]
    pub const fn note(&self) -> &Note {
        &self.note
    }

    /// Verifies that the log with this key signed it.
    ///
    /// # Errors
    /// When it is another log's, or the key has not signed it.
    pub fn verify(&self, log: &VerifierKey) -> Result<TreeHead, NoteError> {
        if log.kind() != KeyKind::Log || log.name() != self.origin {
            return Err(NoteError::UnknownKey);
        }
        log.verify(&self.note)?;
        Ok(self.head)
    }

    /// Verifies the cosignatures by these witnesses.
    ///
    /// # Errors
    /// When a signature in the name of one of them is not its own. One that has not signed is no error.
    pub fn cosignatures<'k>(
        &self,
        witnesses: impl IntoIterator<Item = &'k VerifierKey>,
    ) -> Result<Vec<Cosigned>, NoteError> {
        let mut cosigned = Vec::new();
        for witness in witnesses.into_iter().filter(|key| key.kind() == KeyKind::Witness) {
            match witness.verify_cosignature(&self.note) {
                Ok(by) => cosigned.push(by),
                Err(NoteError::UnknownKey) => {}
                Err(error) => return Err(error),
            }
        }
        cosigned.sort_by_key(|by| by.at);
        Ok(cosigned)
    }

    /// Makes a witness's signature line.
    #[must_use]
    pub fn cosign(&self, witness: &NoteKey, at: UnixTime) -> String {
        witness.cosign(self.note.text(), at)
    }
}

/// Hashes the name of a log as witnesses do in the path of what they cosigned: SHA-256, lower-case hexadecimal.
#[must_use]
pub fn origin_hash(origin: &str) -> String {
    let hash = digest::digest(&digest::SHA256, origin.as_bytes());
    hash.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a decimal number in its only form.
pub(super) fn decimal(text: &str) -> Option<u64> {
    let number: u64 = text.parse().ok()?;
    (number.to_string() == text).then_some(number)
}

/// Reads a hash in base64.
pub(super) fn hash(text: &str) -> Option<[u8; 32]> {
    STANDARD.decode(text).ok()?.try_into().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::Frontier;
    use comity_didcomm::SigningKey;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn key(name: &str, kind: KeyKind, seed: u64) -> NoteKey {
        NoteKey::new(name, kind, SigningKey::generate(&mut StdRng::seed_from_u64(seed))).unwrap()
    }

    #[test]
    fn a_checkpoint_verifies_for_its_log_only() {
        let log = key("a.example/log", KeyKind::Log, 1);
        let head = TreeHead { size: 7, root: [3; 32] };
        let checkpoint = Checkpoint::parse(&Checkpoint::sign(&log, head)).unwrap();
        assert_eq!(checkpoint.verify(log.public()), Ok(head));
        for other in [key("a.example/log", KeyKind::Log, 2), key("b.example/log", KeyKind::Log, 1)]
        {
            assert_eq!(checkpoint.verify(other.public()), Err(NoteError::UnknownKey));
        }
        let witness = key("a.example/log", KeyKind::Witness, 1);
        assert_eq!(checkpoint.verify(witness.public()), Err(NoteError::UnknownKey));
    }

    #[test]
    fn cosignatures_are_told_with_their_times() {
        let log = key("a.example/log", KeyKind::Log, 1);
        let text = Checkpoint::sign(&log, Frontier::default().root());
        let (one, two) = (key("b", KeyKind::Witness, 2), key("c", KeyKind::Witness, 3));
        let checkpoint = Checkpoint::parse(&text).unwrap();
        let with =
            [text, checkpoint.cosign(&two, UnixTime(20)), checkpoint.cosign(&one, UnixTime(10))];
        let checkpoint = Checkpoint::parse(&with.concat()).unwrap();
        let known = [one.public().clone(), two.public().clone()];
        let times: Vec<_> =
            checkpoint.cosignatures(&known).unwrap().iter().map(|by| by.at.0).collect();
        assert_eq!(times, [10, 20]);
        let stranger = key("d", KeyKind::Witness, 4);
        assert_eq!(checkpoint.cosignatures([stranger.public()]), Ok(Vec::new()));
        let forged = with.concat().replacen("\u{2014} c ", "\u{2014} b ", 1);
        let forged = Checkpoint::parse(&forged).unwrap();
        // The id tells it apart: it is by nobody known.
        assert_eq!(forged.cosignatures(&known).unwrap().len(), 1);
    }

    #[test]
    fn other_texts_are_no_checkpoints() {
        let log = key("a.example/log", KeyKind::Log, 1);
        let root = STANDARD.encode([3; 32]);
        for text in [
            format!("\n7\n{root}\n"),
            format!("a.example/log\n07\n{root}\n"),
            format!("a.example/log\n+7\n{root}\n"),
            format!("a.example/log\n7\n{}\n", &root[1..]),
            format!("a.example/log\n7\n{root}\n\nmore\n"),
            "a.example/log\n7\n".to_owned(),
        ] {
            let note = format!("{text}\n{}", log.sign(&text));
            assert_eq!(Checkpoint::parse(&note), Err(NoteError::Malformed), "{text}");
        }
        let text = format!("a.example/log\n7\n{root}\nan extension\n");
        let note = format!("{text}\n{}", log.sign(&text));
        assert_eq!(Checkpoint::parse(&note).unwrap().verify(log.public()).unwrap().size, 7);
    }
}
