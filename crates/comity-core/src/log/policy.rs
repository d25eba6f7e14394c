//! Which logs are trusted, and which witnesses have to have cosigned: the text format of C2SP
//! tlog-policy.

use std::collections::HashMap;

use thiserror::Error;

use super::note::{KeyKind, VerifierKey};
use crate::limits::{POLICY_BYTES_MAX, POLICY_LINES_MAX};

/// A witness policy.
///
/// ```
/// use comity_core::log::WitnessPolicy;
///
/// let policy = WitnessPolicy::parse("quorum none\n")?;
/// assert!(policy.is_met(&[]));
/// assert!(WitnessPolicy::parse("quorum somebody\n").is_err());
/// # Ok::<(), comity_core::log::PolicyError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WitnessPolicy {
    /// The logs that are trusted, with the URL of each if it has one.
    pub logs: Vec<(VerifierKey, Option<String>)>,
    /// The witnesses, with the prefix under which each takes checkpoints.
    pub witnesses: Vec<(VerifierKey, Option<String>)>,
    /// Witnesses and groups in the order of the file.
    members: Vec<Member>,
    /// What has to be met; nothing for `none`.
    quorum: Option<usize>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Member {
    Witness(VerifierKey),
    Group { threshold: usize, members: Vec<usize> },
}

/// Says why a text is no policy.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line} of the policy: {reason}")]
pub struct PolicyError {
    /// The line, from 1; the number of lines if something is missing.
    pub line: usize,
    /// What is wrong.
    pub reason: &'static str,
}

impl WitnessPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// When it is not of the format; says where.
    pub fn parse(text: &str) -> Result<Self, PolicyError> {
        let mut policy =
            Self { logs: Vec::new(), witnesses: Vec::new(), members: Vec::new(), quorum: None };
        let mut names = HashMap::new();
        let (mut has_quorum, mut last) = (false, 0);
        let mut grouped = Vec::new();
        if POLICY_BYTES_MAX < text.len() {
            return Err(PolicyError { line: 1, reason: "the policy is too long" });
        }
        for (number, line) in text.split_terminator('\n').enumerate() {
            last = number + 1;
            let wrong = |reason| PolicyError { line: number + 1, reason };
            let words: Vec<&str> =
                line.split([' ', '\t']).filter(|word| !word.is_empty()).collect();
            if POLICY_LINES_MAX < last {
                return Err(wrong("there are too many lines"));
            }
            if line.contains(|c: char| c.is_ascii_control() && c != '\t') {
                return Err(wrong("there is a control character"));
            }
            match words.as_slice() {
                [] => {}
                [first, ..] if first.starts_with('#') => {}
                ["log", key, url @ ..] if url.len() < 2 => {
                    let key =
                        read_key(key, KeyKind::Log).ok_or_else(|| wrong("no key of a log"))?;
                    let is_known =
                        |(known, _): &(VerifierKey, _)| known.as_bytes() == key.as_bytes();
                    if policy.logs.iter().any(is_known) {
                        return Err(wrong("the log is there already"));
                    }
                    policy.logs.push((key, url.first().map(|&url| url.to_owned())));
                }
                ["witness", name, key, url @ ..] if url.len() < 2 => {
                    let key = read_key(key, KeyKind::Witness)
                        .ok_or_else(|| wrong("no key of a witness"))?;
                    let is_known =
                        |(known, _): &(VerifierKey, _)| known.as_bytes() == key.as_bytes();
                    if policy.witnesses.iter().any(is_known) {
                        return Err(wrong("the witness is there already"));
                    }
                    policy.name(&mut names, name).map_err(wrong)?;
                    policy.members.push(Member::Witness(key.clone()));
                    policy.witnesses.push((key, url.first().map(|&url| url.to_owned())));
                }
                ["group", name, threshold, members @ ..] if !members.is_empty() => {
                    let members: Option<Vec<usize>> =
                        members.iter().map(|member| names.get(*member).copied()).collect();
                    let members = members.ok_or_else(|| wrong("a member is not known"))?;
                    let count = members.len();
                    for member in &members {
                        // So that nobody counts in two ways.
                        if grouped.contains(member) {
                            return Err(wrong("a member is in a group already"));
                        }
                        grouped.push(*member);
                    }
                    let threshold = match *threshold {
                        "all" => Some(count),
                        "any" => Some(1),
                        number => number.parse().ok(),
                    };
                    let threshold = threshold.filter(|number| (1..=count).contains(number));
                    let threshold =
                        threshold.ok_or_else(|| wrong("the threshold cannot be met"))?;
                    policy.name(&mut names, name).map_err(wrong)?;
                    policy.members.push(Member::Group { threshold, members });
                }
                ["quorum", name] if !has_quorum => {
                    has_quorum = true;
                    policy.quorum = match *name {
                        "none" => None,
                        name => Some(*names.get(name).ok_or_else(|| wrong("it is not known"))?),
                    };
                }
                _ => return Err(wrong("it says nothing that is known")),
            }
        }
        let missing = PolicyError { line: last, reason: "there is no quorum" };
        if has_quorum { Ok(policy) } else { Err(missing) }
    }

    /// Whether these witnesses are enough.
    #[must_use]
    pub fn is_met(&self, cosigned: &[VerifierKey]) -> bool {
        let Some(quorum) = self.quorum else { return true };
        let mut met: Vec<bool> = Vec::with_capacity(self.members.len());
        for member in &self.members {
            let is_met = match member {
                Member::Witness(key) => cosigned.contains(key),
                Member::Group { threshold, members } => {
                    let count = members.iter().filter(|at| met.get(**at) == Some(&true)).count();
                    *threshold <= count
                }
            };
            met.push(is_met);
        }
        met.get(quorum) == Some(&true)
    }

    /// Gives a name to the member that comes next.
    fn name<'n>(
        &self,
        names: &mut HashMap<&'n str, usize>,
        name: &'n str,
    ) -> Result<(), &'static str> {
        if name == "none" || names.insert(name, self.members.len()).is_some() {
            return Err("the name is taken");
        }
        Ok(())
    }
}

fn read_key(text: &str, kind: KeyKind) -> Option<VerifierKey> {
    text.parse().ok().filter(|key: &VerifierKey| key.kind() == kind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::NoteKey;
    use comity_didcomm::SigningKey;
    use rand::SeedableRng as _;
    use rand::rngs::StdRng;

    fn key(kind: KeyKind, seed: u64) -> VerifierKey {
        let key = SigningKey::generate(&mut StdRng::seed_from_u64(seed));
        NoteKey::new(&format!("k{seed}.example"), kind, key).unwrap().public().clone()
    }

    fn witness(seed: u64) -> VerifierKey {
        key(KeyKind::Witness, seed)
    }

    #[test]
    fn a_quorum_of_groups_is_met_by_enough_of_each() {
        let text = format!(
            "# two organisations\nlog {} https://a.example/log\n\nwitness X1 {}\n\
             witness X2\t{}\nwitness X3 {} \ngroup X 2 X1 X2 X3\nwitness Y1 {} https://y.example\n\
             group both all X Y1\nquorum both\n",
            key(KeyKind::Log, 9),
            witness(1),
            witness(2),
            witness(3),
            witness(4),
        );
        let policy = WitnessPolicy::parse(&text).unwrap();
        assert_eq!(policy.logs, [(key(KeyKind::Log, 9), Some("https://a.example/log".to_owned()))]);
        assert_eq!(policy.witnesses.len(), 4);
        for (cosigned, is_met) in [
            (vec![], false),
            (vec![1, 2], false),
            (vec![1, 2, 4], true),
            (vec![2, 3, 4], true),
            (vec![1, 4], false),
            (vec![1, 1, 4], false),
            (vec![1, 2, 3, 5], false),
        ] {
            let keys: Vec<_> = cosigned.iter().map(|seed| witness(*seed)).collect();
            assert_eq!(policy.is_met(&keys), is_met, "{cosigned:?}");
        }
    }

    #[test]
    fn other_texts_are_told_with_their_line() {
        let (one, two) = (witness(1), witness(2));
        for (text, line) in [
            (String::new(), 0),
            ("log x\nquorum none\n".to_owned(), 1),
            (format!("log {one}\nquorum none\n"), 1),
            (format!("witness none {one}\nquorum none\n"), 1),
            (format!("witness a {one}\nwitness a {two}\nquorum a\n"), 2),
            (format!("witness a {one}\nwitness b {one}\nquorum a\n"), 2),
            (format!("witness a {one}\ngroup g 2 a\nquorum g\n"), 2),
            (format!("witness a {one}\ngroup g 0 a\nquorum g\n"), 2),
            (format!("witness a {one}\ngroup g any a a\nquorum g\n"), 2),
            (format!("witness a {one}\ngroup g any a\ngroup h any a\nquorum h\n"), 3),
            (format!("witness a {one}\r\nquorum a\n"), 1),
            (format!("witness a {one}\nquorum\u{7} a\n"), 2),
            (format!("group g any a\nwitness a {one}\nquorum g\n"), 1),
            (format!("witness a {one}\nquorum b\n"), 2),
            (format!("witness a {one}\nquorum a\nquorum a\n"), 3),
            (format!("witness a {one}\n"), 1),
            ("allow all\nquorum none\n".to_owned(), 1),
        ] {
            assert_eq!(WitnessPolicy::parse(&text).unwrap_err().line, line, "{text}");
        }
    }
}
