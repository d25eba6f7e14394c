//! Whose the keys are: who is believed to be a witness, who speaks for whom, on which keys a verdict
//! rests, and what became of a key that was replaced.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use comity_didcomm::{Did, DidDocument, DidUrl, PublicKey, resolve_self_contained};

use super::documents::Recorded;
use super::join::Joined;
use super::messages::{Said, Signed};
use super::part::{Findings, Role, Seen, Used};
use super::verdict::{KeyState, Root};
use crate::log::VerifierKey;
use crate::trust::subject;

/// For each node the agents that it speaks for.
#[derive(Debug, Default)]
pub(super) struct Speakers(HashMap<Did, HashSet<Did>>);

impl Speakers {
    /// Whether a node speaks for an agent.
    pub(super) fn speaks(&self, node: &Did, agent: &Did) -> bool {
        node == agent || self.0.get(node).is_some_and(|agents| agents.contains(agent))
    }

    /// Whether a node speaks for one of these.
    pub(super) fn speaks_for_any(&self, node: &Did, agents: &HashSet<Did>) -> bool {
        let of_node = self.0.get(node);
        agents.contains(node) || of_node.is_some_and(|own| !own.is_disjoint(agents))
    }
}

/// Where in each export a key ends, by the index in its log, if it does.
pub(super) type Ends = HashMap<(Did, DidUrl, PublicKey), Vec<Option<u64>>>;

impl Joined<'_, '_> {
    /// Whose witnesses are believed about an export's log: those of others, by their own signed word, or
    /// those of the policy.
    pub(super) fn witnesses_of(
        &self,
        part: &Seen<'_>,
        quoted: &BTreeSet<(VerifierKey, Did)>,
    ) -> BTreeMap<VerifierKey, Option<Did>> {
        if let Some(policy) = &self.trusted.policy {
            return policy.witnesses.iter().map(|(key, _)| (key.clone(), None)).collect();
        }
        let node = subject(&part.export.node);
        let quoted = quoted.iter().filter(|(_, signer)| *signer != node);
        let quoted = quoted.map(|(key, signer)| (key.clone(), Some(signer.clone())));
        let others = self.seen.iter().filter(|other| {
            other.is_signed
                && subject(&other.export.node) != node
                && other.export.log != part.export.log
                && other.export.witness.name() == other.export.log.name()
        });
        let others =
            others.map(|other| (other.export.witness.clone(), Some(subject(&other.export.node))));
        let mut keys: BTreeMap<VerifierKey, Option<Did>> = quoted.chain(others).collect();
        // Nobody is a witness of what is his own.
        keys.retain(|key, _| key.as_bytes() != part.export.witness.as_bytes());
        keys
    }

    /// For each node the agents that it speaks for in an export: those of whose documents, as far as they are known to be
    /// theirs, it is a controller.
    pub(super) fn speakers(&self, part: &Seen<'_>) -> Speakers {
        let mut speakers = Speakers::default();
        for one in part.documents.iter() {
            if !one.document.controller.is_empty() && self.is_established(one) {
                for node in &one.document.controller {
                    speakers.0.entry(subject(node)).or_default().insert(one.did.clone());
                }
            }
        }
        speakers
    }

    /// Says on which keys all of it rests, and why they are believed.
    pub(super) fn roots(&self, findings: &mut Findings) -> Vec<Root> {
        let mut roots = BTreeSet::new();
        for (part, witnesses) in self.seen.iter().zip(&self.witnesses) {
            let log = &part.export.log;
            let because = match self.trusted.believes(log) {
                Some(true) => "the policy names it",
                Some(false) => {
                    findings.miss(format!("the policy does not name the log {}", log.name()));
                    continue;
                }
                None => "its agent has signed it",
            };
            roots.insert(Root {
                of: format!("the log {}", log.name()),
                key: log.to_string(),
                because: because.to_owned(),
            });
            let cosigned: BTreeSet<&VerifierKey> =
                part.points.iter().flat_map(|point| &point.cosigned).map(|one| &one.by).collect();
            for (key, node) in witnesses.iter().filter(|(key, _)| cosigned.contains(key)) {
                let because = match node {
                    Some(node) => format!("{node} has signed that it is its own"),
                    None => "the policy names it".to_owned(),
                };
                let of = format!("the witness {}", key.name());
                roots.insert(Root { of, key: key.to_string(), because });
            }
            let mut used: Vec<&Used> = part.used.iter().collect();
            used.sort_by_key(|used| (&used.did, used.kid.to_string(), used.role, &used.digest));
            for used in used {
                match self.believed(used, part) {
                    Some(because) => {
                        roots.insert(Root {
                            of: used.did.to_string(),
                            key: format!("{} {}", used.kid, used.key.to_multibase()),
                            because,
                        });
                    }
                    None => findings.miss(format!(
                        "that {} has the key {} is said by {} only: merge its own export, or give its document",
                        used.did, used.kid, part.export.agent,
                    )),
                }
            }
        }
        roots.into_iter().collect()
    }

    /// Why a key is believed to be its DID's.
    fn believed(&self, used: &Used, part: &Seen<'_>) -> Option<String> {
        let mut given =
            self.trusted.documents.iter().filter(|one| subject(&one.id) == used.did).peekable();
        if given.peek().is_some() {
            // Whoever gives a document means that one.
            let has = given.any(|one| one.authentication_key(&used.kid) == Some(&used.key));
            return has.then(|| "its document was given".to_owned());
        }
        let recorded = part.documents.with_digest(&used.did, &used.digest)?;
        self.established(recorded, used.role)
    }

    /// Whether a document is known to be its DID's.
    fn is_established(&self, recorded: &Recorded<'_>) -> bool {
        let mut given =
            self.trusted.documents.iter().filter(|one| subject(&one.id) == recorded.did).peekable();
        if given.peek().is_some() {
            return given.any(|one| one.controller == recorded.document.controller);
        }
        self.established(recorded, Role::Agent).is_some()
    }

    fn established(&self, recorded: &Recorded<'_>, role: Role) -> Option<String> {
        if says_itself(&recorded.document) {
            return Some("the DID itself says so".to_owned());
        }
        let (did, text) = (&recorded.did, recorded.text);
        let has = |part: &Seen<'_>| part.documents.has(text);
        self.seen
            .iter()
            .filter(|own| own.is_signed && own.speaks_for(did, role) && has(own))
            .find_map(|own| {
                if self.trusted.policy.is_some() {
                    return (self.trusted.believes(&own.export.log) == Some(true))
                        .then(|| "its own log says so, which the policy names".to_owned());
                }
                let is_another = |other: &&Seen<'_>| {
                    other.is_signed
                        && subject(&other.export.node) != subject(&own.export.node)
                        && other.export.log != own.export.log
                };
                let other = self.seen.iter().filter(is_another).find(|other| has(other));
                other.map(|_| "two logs of two nodes say so".to_owned())
            })
    }

    /// Says what became of the key that signed a message.
    pub(super) fn key_state(
        &self,
        one: &Said,
        signed: &Signed,
        (ends, findings): (&mut Ends, &mut Findings),
    ) -> KeyState {
        let mut state = KeyState::Good;
        let ends = ends.entry((one.name.from.clone(), signed.kid.clone(), signed.key));
        let ends = ends.or_insert_with(|| {
            let end = |part| end_of_key(part, &one.name.from, signed).map(|end| end.index);
            self.seen.iter().map(end).collect()
        });
        for (part, end) in ends.iter().enumerate() {
            let Some(end) = *end else { continue };
            let (end_after, end_before) = self.clock(part).bounds(end);
            let (mut is_before, mut is_after) = (false, true);
            for (said, number) in self.by_name.get(&one.name).into_iter().flatten() {
                if *number == part {
                    is_before |= said.index < end;
                    continue;
                }
                let (after, before) = self.clock(*number).bounds(said.index);
                // In another log by a time at which the change was not in its own yet.
                is_before |=
                    before.zip(end_after.as_ref()).is_some_and(|(by, end)| by.at <= end.at);
                is_after &=
                    after.zip(end_before.as_ref()).is_some_and(|(after, end)| end.at <= after.at);
            }
            state = match (is_before, is_after, state) {
                (true, _, KeyState::Good) => KeyState::ReplacedLater,
                (true, _, state) => state,
                (false, true, _) => KeyState::ReplacedBefore,
                (false, false, KeyState::ReplacedBefore) => KeyState::ReplacedBefore,
                (false, false, _) => KeyState::NotToldApart,
            };
        }
        match state {
            KeyState::Good | KeyState::ReplacedLater => {}
            KeyState::ReplacedBefore => findings.miss(format!(
                "{} was signed with {}, which its owner had replaced before the message was in any log that is shown",
                one.id, signed.kid,
            )),
            KeyState::NotToldApart => findings.miss(format!(
                "{} was signed with {}, which its owner has replaced: nothing shows whether before or after",
                one.id, signed.kid,
            )),
        }
        state
    }
}

impl Seen<'_> {
    /// Whether an export is of somebody's own: of the agent, or, for what nodes sign, of an agent whose own
    /// document names the node.
    fn speaks_for(&self, did: &Did, role: Role) -> bool {
        let agent = subject(&self.export.agent);
        let controls = |one: &Did| subject(one) == *did;
        agent == *did
            || (role == Role::Node
                && self
                    .documents
                    .in_force(&agent, u64::MAX)
                    .is_some_and(|own| own.document.controller.iter().any(controls)))
    }
}

/// Whether a document has no other keys and controllers than its DID itself says.
fn says_itself(document: &DidDocument) -> bool {
    let Ok(Some(own)) = resolve_self_contained(&document.id) else { return false };
    let keys = |document: &DidDocument| -> BTreeSet<String> {
        let listed = document.authentication.iter();
        let keys = listed.filter_map(|kid| document.authentication_key(kid));
        keys.map(|key| key.to_multibase()).collect()
    };
    keys(document).is_subset(&keys(&own)) && document.controller == own.controller
}

/// The first document of somebody that has not the key any more, after one that has it.
fn end_of_key<'s>(part: &'s Seen<'_>, did: &Did, signed: &Signed) -> Option<&'s Recorded<'s>> {
    let mut had = false;
    part.documents.of(did).iter().find(|one| {
        let has = one.document.authentication_key(&signed.kid) == Some(&signed.key);
        let is_end = had && !has;
        had |= has;
        is_end
    })
}
