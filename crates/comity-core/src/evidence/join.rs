//! All exports of a bundle together: what they say of the same messages and logs, and what that proves.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use comity_didcomm::{Did, resolve_self_contained};

use super::Trusted;
use super::bundle::{Bundle, BundleError, Selection};
use super::chain::Told;
use super::log::{bounds, cosigners};
use super::part::{Findings, Seen, Used, grouped, look, says};
use super::said::{Name, Said, Word, messages, words};
use super::verdict::{
    Allowed, ExportSeen, KeyState, MessageSeen, Outcome, Reached, Root, Times, Verdict,
};
use crate::limits::CLOCK_SKEW_S_MAX;
use crate::log::{Act, Checkpoint, TreeHead, VerifierKey};
use crate::receipt::State;
use crate::trust::{Admission, subject};

/// Verifies a bundle.
pub(super) fn verify(bundle: &Bundle, trusted: &Trusted) -> Verdict {
    let mut findings = Findings::default();
    let mut seen = Vec::new();
    for (number, part) in bundle.parts.iter().enumerate() {
        match look(part, format!("parts[{number}].export"), &mut findings) {
            Ok(part) => seen.push(part),
            Err(malformed) => return Verdict::malformed(&BundleError::Shape(malformed.0)),
        }
    }
    if seen.is_empty() {
        return Verdict::malformed(&BundleError::Shape("there is no export".to_owned()));
    }
    let said: Vec<Vec<Said>> = seen.iter_mut().map(|part| messages(part, &mut findings)).collect();
    let words: Vec<Vec<Word>> = seen.iter_mut().map(|part| words(part, &mut findings)).collect();
    let joined = Joined { seen: &seen, said: &said, words: &words, trusted };
    joined.compare_logs(&mut findings);
    joined.compare_messages(&mut findings);
    joined.check_times(&mut findings);
    let rests_on = joined.roots(&mut findings);
    let messages = joined.messages(&mut findings);
    let outcome = match (findings.contradictions.is_empty(), findings.missing.is_empty()) {
        (false, _) => Outcome::Contradiction,
        (true, false) => Outcome::Insufficient,
        (true, true) => Outcome::Proven,
    };
    Verdict {
        outcome,
        malformed: None,
        contradictions: findings.contradictions,
        missing: findings.missing,
        messages,
        exports: joined.exports(),
        rests_on,
    }
}

struct Joined<'a, 'b> {
    seen: &'a [Seen<'b>],
    said: &'a [Vec<Said>],
    words: &'a [Vec<Word>],
    trusted: &'a Trusted,
}

impl Joined<'_, '_> {
    /// Finds logs that show two histories, and agents that have two chains.
    fn compare_logs(&self, findings: &mut Findings) {
        // Every checkpoint of which it is known which log has signed it.
        let mut points: BTreeMap<(String, u64), (TreeHead, String, String)> = BTreeMap::new();
        let mut claim = |log: &VerifierKey, note: &str, place: &str, findings: &mut Findings| {
            let Ok(checkpoint) = Checkpoint::parse(note) else { return };
            let Ok(head) = checkpoint.verify(log) else { return };
            let key = (log.to_string(), head.size);
            let (known, first, at) =
                points.entry(key).or_insert_with(|| (head, note.to_owned(), place.to_owned()));
            if *known != head {
                findings.contradict(
                    "a log has signed two histories of one size",
                    says(at, first),
                    says(place, note),
                );
            }
        };
        let logs: BTreeSet<VerifierKey> = self.logs();
        for (part, words) in self.seen.iter().zip(self.words) {
            for (number, mark) in part.export.checkpoints.iter().enumerate() {
                let place = format!("{}.checkpoints[{number}]", part.place);
                claim(&part.export.log, &mark.note, &place, findings);
            }
            for (number, note) in part.export.witnessed.iter().enumerate() {
                let place = format!("{}.witnessed[{number}]", part.place);
                logs.iter().for_each(|log| claim(log, note, &place, findings));
            }
            for word in words {
                let Some(quote) = &word.quote else { continue };
                for note in [Some(&quote.checkpoint), quote.seen.as_ref()].into_iter().flatten() {
                    logs.iter().for_each(|log| claim(log, note, &word.place, findings));
                }
            }
        }
        for (number, one) in self.seen.iter().enumerate() {
            for other in self.seen.iter().skip(number + 1) {
                let (first, second) = (&one.export.log, &other.export.log);
                if first.name() == second.name() && first != second {
                    findings.contradict(
                        "a log has two keys",
                        says(&format!("{}.log", one.place), &first.to_string()),
                        says(&format!("{}.log", other.place), &second.to_string()),
                    );
                }
                if subject(&one.export.agent) == subject(&other.export.agent) && first == second {
                    compare_chains(one, other, findings);
                }
            }
        }
    }

    /// Every log whose key is told by somebody who signed it.
    fn logs(&self) -> BTreeSet<VerifierKey> {
        let own = self.seen.iter().map(|part| part.export.log.clone());
        let quoted = self.words.iter().flatten().filter_map(|word| word.quote.as_ref());
        own.chain(quoted.map(|quote| quote.key.clone())).collect()
    }

    /// Whose witnesses are believed by an export: those of others, by their own signed word, or those
    /// of the policy.
    fn witnesses_of(&self, part: &Seen<'_>) -> BTreeSet<VerifierKey> {
        if let Some(policy) = &self.trusted.policy {
            return policy.witnesses.iter().map(|(key, _)| key.clone()).collect();
        }
        let node = subject(&part.export.node);
        let quoted = self.words.iter().flatten().filter_map(|word| {
            let key = word.quote.as_ref()?.witness.clone()?;
            (word.signer != node).then_some(key)
        });
        let others =
            self.seen.iter().filter(|other| other.is_signed && subject(&other.export.node) != node);
        let mut keys: BTreeSet<VerifierKey> =
            quoted.chain(others.map(|other| other.export.witness.clone())).collect();
        // Nobody is a witness of what is his own.
        keys.remove(&part.export.witness);
        keys
    }

    /// Compares what the two sides of a message say.
    fn compare_messages(&self, findings: &mut Findings) {
        let all = self.said.iter().zip(self.seen);
        let all = all.flat_map(|(said, part)| said.iter().map(move |one| (one, part)));
        let by_name = grouped(all.map(|(one, part)| (&one.name, (one, part))));
        let mut names: Vec<_> = by_name.keys().copied().collect();
        names.sort();
        for name in names {
            let both = by_name.get(name).map(Vec::as_slice).unwrap_or_default();
            let signed = |one: &Said| one.signed.as_ref().map(|signed| signed.digest.clone());
            for ((one, _), (other, _)) in both.iter().zip(both.iter().skip(1)) {
                if let (Some(first), Some(second)) = (signed(one), signed(other))
                    && first != second
                {
                    findings.contradict(
                        "the two sides have different texts of a message",
                        says(&one.place, &first),
                        says(&other.place, &second),
                    );
                }
            }
            let sent = both.iter().find(|(one, _)| one.act == Act::Sent);
            let got = both.iter().find(|(one, _)| one.act != Act::Sent);
            if let (Some((got, _)), None) = (got, sent)
                && got.signed.is_some()
                && let Some(part) = self.covering(&name.from, &got.thid, &name.to)
            {
                findings.contradict(
                    "an agent has signed a message that its export leaves out",
                    says(&got.place, &format!("{} from {}", got.id, name.from)),
                    says(&format!("{}.selection", part.place), "no such message was sent"),
                );
            }
            self.compare_receipts(
                name,
                sent.map(|(one, _)| *one),
                got.map(|(one, _)| *one),
                findings,
            );
        }
    }

    fn compare_receipts(
        &self,
        name: &Name,
        sent: Option<&Said>,
        got: Option<&Said>,
        findings: &mut Findings,
    ) {
        let Some(sent) = sent else { return };
        for (word, receipt) in self.receipts(name) {
            if let Some(signed) = &sent.signed
                && signed.digest != receipt.digest
            {
                findings.contradict(
                    "a receipt is about another text than the message that was sent",
                    says(&word.place, &receipt.digest),
                    says(&sent.place, &signed.digest),
                );
            }
            if receipt.state != State::Accepted {
                continue;
            }
            match got {
                Some(got) if got.act == Act::Received => {
                    if receipt.log_index.is_some_and(|index| index != got.index) {
                        findings.contradict(
                            "a message is elsewhere in the log than the receipt says",
                            says(&word.place, &format!("index {:?}", receipt.log_index)),
                            says(&got.place, &format!("index {}", got.index)),
                        );
                    }
                }
                Some(got) => findings.contradict(
                    "a message was accepted by the receipt, and refused by the log",
                    says(&word.place, "accepted"),
                    says(&got.place, got.act.as_str()),
                ),
                None => {
                    if let Some(part) = self.covering(&name.to, &sent.thid, &name.from) {
                        findings.contradict(
                            "a message was accepted, and the export of its recipient leaves it out",
                            says(&word.place, &format!("{} accepted at {}", sent.id, receipt.at.0)),
                            says(
                                &format!("{}.selection", part.place),
                                "no such message was received",
                            ),
                        );
                    }
                }
            }
        }
    }

    /// The export of an agent whose selection covers a thread with a peer.
    fn covering(&self, agent: &Did, thid: &str, peer: &Did) -> Option<&Seen<'_>> {
        self.seen.iter().find(|part| {
            let covers = match &part.export.selection {
                Selection::With(did) => did.same_subject(peer) || subject(did) == *peer,
                Selection::Thread(thread) => thread == thid,
                Selection::Numbers { .. } => false,
            };
            subject(&part.export.agent) == *agent && covers
        })
    }

    /// The receipts about a message, by those who speak for its recipient.
    fn receipts<'s>(
        &'s self,
        name: &'s Name,
    ) -> impl Iterator<Item = (&'s Word, &'s crate::receipt::Receipt)> {
        let about = move |receipt: &&crate::receipt::Receipt| {
            subject(&receipt.from) == name.from
                && subject(&receipt.to) == name.to
                && receipt.id.eq_ignore_ascii_case(&name.id)
        };
        let words = self
            .words
            .iter()
            .zip(self.seen)
            .flat_map(|(words, part)| words.iter().map(move |word| (word, part)));
        words.filter(|(word, part)| speaks(part, &word.signer, &name.to)).flat_map(
            move |(word, _)| word.receipts.iter().filter(about).map(move |receipt| (word, receipt)),
        )
    }

    /// Checks what statements say of their times against what witnesses saw.
    fn check_times(&self, findings: &mut Findings) {
        for part in self.seen {
            let believed = self.witnesses_of(part);
            for one in &part.told {
                let (after, before) = bounds(&part.points, one.index, |key| believed.contains(key));
                let at = one.statement.at;
                if let Some(after) = after
                    && at.saturating_add(CLOCK_SKEW_S_MAX) < after.at
                {
                    findings.contradict(
                        "a statement is dated before a time at which the log was seen without it",
                        says(&one.place, &format!("at {}", at.0)),
                        says(
                            &format!("{}.checkpoints", part.place),
                            &format!(
                                "{} entries, seen by {} at {}",
                                one.index, after.witness, after.at.0
                            ),
                        ),
                    );
                }
                if let Some(before) = before
                    && before.at.saturating_add(CLOCK_SKEW_S_MAX) < at
                {
                    findings.contradict(
                        "a statement is dated after a time at which the log was seen with it",
                        says(&one.place, &format!("at {}", at.0)),
                        says(
                            &format!("{}.checkpoints", part.place),
                            &format!("seen by {} at {}", before.witness, before.at.0),
                        ),
                    );
                }
            }
        }
    }

    /// Says on which keys all of it rests, and why they are believed.
    fn roots(&self, findings: &mut Findings) -> Vec<Root> {
        let mut roots = BTreeSet::new();
        for part in self.seen {
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
            for used in &part.used {
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
        let given = self.trusted.documents.iter().any(|document| {
            subject(&document.id) == used.did
                && document.authentication_key(&used.kid) == Some(&used.key)
        });
        if given {
            return Some("its document was given".to_owned());
        }
        let long = part.documents.iter().find(|one| one.text == used.text)?;
        if let Ok(Some(document)) = resolve_self_contained(&long.document.id)
            && document.authentication_key(&used.kid) == Some(&used.key)
        {
            return Some("the DID itself says so".to_owned());
        }
        // Its own chain, in a log of its own.
        let own = self.seen.iter().find(|other| {
            let is_own =
                subject(&other.export.agent) == used.did || subject(&other.export.node) == used.did;
            is_own && other.is_signed && other.documents.iter().any(|one| one.text == used.text)
        })?;
        if self.trusted.policy.is_some() {
            return (self.trusted.believes(&own.export.log) == Some(true))
                .then(|| "its own log says so, which the policy names".to_owned());
        }
        let other = self.seen.iter().find(|other| {
            subject(&other.export.node) != subject(&own.export.node)
                && other.documents.iter().any(|one| one.text == used.text)
        });
        other.map(|_| "two logs of two nodes say so".to_owned())
    }

    /// Gathers what is known of each message.
    fn messages(&self, findings: &mut Findings) -> Vec<MessageSeen> {
        let mut messages: BTreeMap<&Name, MessageSeen> = BTreeMap::new();
        for (part, said) in self.seen.iter().zip(self.said) {
            let believed = self.witnesses_of(part);
            for one in said {
                let times = self.times(one, part, &believed, findings);
                let message = messages.entry(&one.name).or_insert_with(|| MessageSeen {
                    id: one.id.clone(),
                    thid: one.thid.clone(),
                    type_: one.type_.clone(),
                    from: one.name.from.clone(),
                    to: one.name.to.clone(),
                    kid: None,
                    key: None,
                    sent: None,
                    received: None,
                    reached: Vec::new(),
                    allowed: None,
                    body: None,
                });
                if let Some(signed) = &one.signed {
                    message.kid = Some(signed.kid.to_string());
                    message.body = Some(signed.body.clone());
                    message.key = Some(self.key_state(one, signed, findings));
                }
                match one.act {
                    Act::Sent => message.sent = Some(times),
                    _ => message.received = Some(times),
                }
                if one.act == Act::Received {
                    message.allowed = Some(allowed(part, one));
                }
                if one.act == Act::Refused {
                    let by = subject(&part.export.node);
                    let state = State::Refused.as_str().to_owned();
                    message.reached.push(Reached { state, at: one.at, by, code: None });
                }
            }
        }
        for (name, message) in &mut messages {
            for (word, receipt) in self.receipts(name) {
                let reached = Reached {
                    state: receipt.state.as_str().to_owned(),
                    at: receipt.at,
                    by: word.signer.clone(),
                    code: receipt.code.clone(),
                };
                if !message.reached.contains(&reached) {
                    message.reached.push(reached);
                }
            }
            message.reached.sort_by_key(|reached| reached.at);
        }
        let mut messages: Vec<MessageSeen> = messages.into_values().collect();
        messages.sort_by_key(|message| {
            let times = message.sent.as_ref().or(message.received.as_ref());
            let is_reply = message.id != message.thid;
            (message.thid.clone(), times.map(|times| times.claimed), is_reply, message.id.clone())
        });
        messages
    }

    fn times(
        &self,
        one: &Said,
        part: &Seen<'_>,
        believed: &BTreeSet<VerifierKey>,
        findings: &mut Findings,
    ) -> Times {
        let (after, before) = bounds(&part.points, one.index, |key| believed.contains(key));
        let is_witnessed = match &self.trusted.policy {
            Some(policy) => policy.is_met(&cosigners(&part.points, one.index)),
            None => before.is_some(),
        };
        if !is_witnessed {
            let agent = &part.export.agent;
            findings.miss(format!(
                "no {} has cosigned that {} is in the log of {agent}",
                if self.trusted.policy.is_some() { "quorum of the policy" } else { "other node" },
                one.id,
            ));
        }
        Times { claimed: one.at, after, before }
    }

    /// Says what became of the key that signed a message.
    fn key_state(
        &self,
        one: &Said,
        signed: &super::said::Signed,
        findings: &mut Findings,
    ) -> KeyState {
        let mut state = KeyState::Good;
        for part in self.seen {
            let believed = self.witnesses_of(part);
            // The first document of the sender, after one that has the key, that has it no more.
            let mut had = false;
            let left =
                part.documents.iter().filter(|one_| one_.did == one.name.from).find(|recorded| {
                    let has = recorded.document.authentication_key(&signed.kid).is_some();
                    let is_left = had && !has;
                    had |= has;
                    is_left
                });
            let Some(left) = left else { continue };
            let (left_after, _) = bounds(&part.points, left.index, |key| believed.contains(key));
            let is_before = self.seen.iter().zip(self.said).any(|(other, said)| {
                said.iter().filter(|said| said.name == one.name).any(|said| {
                    if other.place == part.place {
                        return said.index < left.index;
                    }
                    let believed = self.witnesses_of(other);
                    let (_, by) = bounds(&other.points, said.index, |key| believed.contains(key));
                    // In another log by a time at which the change was not in its own yet.
                    by.zip(left_after.clone()).is_some_and(|(by, left)| by.at <= left.at)
                })
            });
            if is_before && state == KeyState::Good {
                state = KeyState::ReplacedLater;
            }
            if !is_before {
                findings.miss(format!(
                    "{} was signed with {}, which its owner had replaced before the message was in any log that is shown",
                    one.id, signed.kid,
                ));
                state = KeyState::ReplacedBefore;
            }
        }
        state
    }

    fn exports(&self) -> Vec<ExportSeen> {
        let seen = self.seen.iter().map(|part| {
            let export = part.export;
            let (shown, links) = (export.statements.len(), export.links.len());
            let last = export.since.saturating_add(links as u64).saturating_sub(1);
            ExportSeen {
                agent: export.agent.clone(),
                log: export.log.name().to_owned(),
                selection: export.selection.clone(),
                numbers: (export.since, last),
                shown,
                withheld: links.saturating_sub(shown),
            }
        });
        seen.collect()
    }
}

/// Finds two chains of one agent in one log.
fn compare_chains(one: &Seen<'_>, other: &Seen<'_>, findings: &mut Findings) {
    let links = |part: &Seen<'_>| -> HashMap<u64, String> {
        let links = (part.export.since..).zip(&part.export.links);
        links.map(|(seq, rest)| (seq, rest.statement.clone())).collect()
    };
    let (first, second) = (links(one), links(other));
    let mut both: Vec<u64> = first.keys().filter(|seq| second.contains_key(seq)).copied().collect();
    both.sort_unstable();
    if let Some(seq) = both.into_iter().find(|seq| first.get(seq) != second.get(seq)) {
        let said = |links: &HashMap<u64, String>| links.get(&seq).cloned().unwrap_or_default();
        findings.contradict(
            "an agent has two chains",
            says(&format!("{}.links", one.place), &format!("number {seq}: {}", said(&first))),
            says(&format!("{}.links", other.place), &format!("number {seq}: {}", said(&second))),
        );
    }
}

/// Whether a node speaks for an agent: it is the agent, or a controller of its document.
fn speaks(part: &Seen<'_>, node: &Did, agent: &Did) -> bool {
    let controls = |did: &Did| subject(did) == *node;
    node == agent
        || part
            .documents
            .iter()
            .any(|one| one.did == *agent && one.document.controller.iter().any(controls))
}

/// Finds the decision or grant that let a message in: the last about its sender before it, or, of one
/// that waited for the operator, the first after it.
fn allowed(part: &Seen<'_>, one: &Said) -> Allowed {
    let about = |told: &&Told<'_>| {
        let is_decision = matches!(told.statement.act, Act::Decided | Act::Granted);
        is_decision && told.statement.peer == one.name.from
    };
    let by = match one.ground {
        Some(_) => part.told.iter().rev().filter(about).find(|told| told.seq < one.seq),
        None => part.told.iter().filter(about).find(|told| one.seq < told.seq),
    };
    Allowed {
        ground: one.ground.map_or("request", Admission::as_str).to_owned(),
        seq: by.map(|told| told.seq),
        by: by.and_then(|told| told.object).map(str::to_owned),
    }
}
