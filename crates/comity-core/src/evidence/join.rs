//! All exports of a bundle together: what they say of the same messages and logs, and what that proves.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use comity_didcomm::{Did, UnixTime};

use super::Trusted;
use super::bundle::{Bundle, BundleError, Selection};
use super::keys::Speakers;
use super::log::Clock;
use super::messages::{Name, ReceiptMessage, Said, Signed, messages, receipt_messages};
use super::part::{Findings, Seen, grouped, look, says};
use super::verdict::{Outcome, Verdict};
use crate::limits::{CLOCK_SKEW_S_MAX, HEAD_AGE_S_MAX, MESSAGE_STATEMENTS_MAX};
use crate::log::{Act, Checkpoint, TreeHead, VerifierKey};
use crate::receipt::{Receipt, State};
use crate::trust::subject;

/// Verifies a bundle.
pub(super) fn verify(bundle: &Bundle, trusted: &Trusted) -> Verdict {
    let mut findings = Findings::default();
    let mut seen = Vec::new();
    for (number, part) in bundle.parts.iter().enumerate() {
        match look(part, (format!("parts[{number}].export"), trusted), &mut findings) {
            Ok(part) => seen.push(part),
            Err(malformed) => return Verdict::malformed(&BundleError::Shape(malformed.0)),
        }
    }
    if seen.is_empty() {
        return Verdict::malformed(&BundleError::Shape("there is no export".to_owned()));
    }
    let said: Vec<Vec<Said>> = seen.iter_mut().map(|part| messages(part, &mut findings)).collect();
    let receipt_messages: Vec<Vec<ReceiptMessage>> =
        seen.iter_mut().map(|part| receipt_messages(part, &mut findings)).collect();
    let all = said.iter().enumerate();
    let all = all.flat_map(|(part, said)| said.iter().map(move |one| (one, part)));
    let by_name = grouped(all.map(|(one, part)| (&one.name, (one, part))));
    if let Some(name) = by_name.iter().find(|(_, about)| MESSAGE_STATEMENTS_MAX < about.len()) {
        let why = format!("there are too many statements about {}", name.0.id);
        return Verdict::malformed(&BundleError::Shape(why));
    }
    let mut joined = Joined {
        seen: &seen,
        said: &said,
        by_name,
        receipt_messages: &receipt_messages,
        trusted,
        receipts: HashMap::new(),
        witnesses: Vec::new(),
        clocks: Vec::new(),
    };
    joined.hear(&mut findings);
    joined.compare_logs(&mut findings);
    joined.compare_messages(&mut findings);
    joined.check_times(&mut findings);
    joined.check_heads(&mut findings);
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

/// The exports, and what was made of them.
pub(super) struct Joined<'a, 'b> {
    pub(super) seen: &'a [Seen<'b>],
    pub(super) said: &'a [Vec<Said>],
    /// The messages by their names, each with the number of its export.
    pub(super) by_name: HashMap<&'a Name, Vec<(&'a Said, usize)>>,
    receipt_messages: &'a [Vec<ReceiptMessage>],
    pub(super) trusted: &'a Trusted,
    /// The receipts that count, by the message that they are about.
    pub(super) receipts: HashMap<Name, Vec<(&'a ReceiptMessage, &'a Receipt)>>,
    /// The witnesses that are believed about each export's log, and who says that they are his.
    pub(super) witnesses: Vec<BTreeMap<VerifierKey, Option<Did>>>,
    pub(super) clocks: Vec<Clock>,
}

impl<'a, 'b> Joined<'a, 'b> {
    /// Sorts out whose receipts count, and whose witnesses.
    fn hear(&mut self, findings: &mut Findings) {
        let parties: HashSet<Did> =
            self.by_name.keys().flat_map(|name| [name.from.clone(), name.to.clone()]).collect();
        let mut receipts: HashMap<Name, Vec<_>> = HashMap::new();
        let mut quoted: BTreeSet<(VerifierKey, Did)> = BTreeSet::new();
        for (part, receipt_messages) in self.seen.iter().zip(self.receipt_messages) {
            let speakers = self.speakers(part);
            for receipt_message in receipt_messages {
                let signer = &receipt_message.signer;
                for receipt in &receipt_message.receipts {
                    let (from, to) = (subject(&receipt.from), subject(&receipt.to));
                    if speakers.speaks(signer, &to) {
                        let name = Name { from, to, id: receipt.id.to_ascii_lowercase() };
                        receipts.entry(name).or_default().push((receipt_message, receipt));
                    }
                }
                let Some(quote) = &receipt_message.quote else { continue };
                self.compare_log(&speakers, (signer, &quote.key), findings);
                // A node's witness has the name of the node's log.
                if let Some(witness) = &quote.witness
                    && witness.name() == quote.key.name()
                    && speakers.speaks_for_any(signer, &parties)
                {
                    quoted.insert((witness.clone(), signer.clone()));
                }
            }
        }
        self.receipts = receipts;
        for part in self.seen {
            let witnesses = self.witnesses_of(part, &quoted);
            let keys: BTreeSet<VerifierKey> = witnesses.keys().cloned().collect();
            self.clocks.push(Clock::new(&part.points, &keys, self.trusted.policy.as_ref()));
            self.witnesses.push(witnesses);
        }
    }

    /// Finds a node that signs another log than the export of its agent is of.
    fn compare_log(
        &self,
        speakers: &Speakers,
        (signer, log): (&Did, &VerifierKey),
        findings: &mut Findings,
    ) {
        for other in self.seen {
            let agent = subject(&other.export.agent);
            if other.export.log != *log && speakers.speaks(signer, &agent) {
                findings.miss(format!(
                    "{signer} signed that its log is {}, and the export of {agent} is of {}",
                    log.name(),
                    other.export.log.name(),
                ));
            }
        }
    }

    /// Finds logs that show two histories, and agents that have two chains.
    fn compare_logs(&self, findings: &mut Findings) {
        let own = self.seen.iter().map(|part| &part.export.log);
        let quoted = self
            .receipt_messages
            .iter()
            .flatten()
            .filter_map(|receipt_message| receipt_message.quote.as_ref());
        let keys: BTreeSet<&VerifierKey> = own.chain(quoted.map(|quote| &quote.key)).collect();
        let logs = grouped(keys.into_iter().map(|key| ((key.name(), key.id()), key)));
        // Every checkpoint of which it is known which log has signed it.
        let mut points: BTreeMap<(&VerifierKey, u64), (TreeHead, &str, String)> = BTreeMap::new();
        let mut claims: Vec<(&str, String)> = Vec::new();
        for (part, receipt_messages) in self.seen.iter().zip(self.receipt_messages) {
            let marks = part.export.checkpoints.iter().map(|mark| &mark.note).enumerate();
            claims.extend(
                marks.map(|(n, note)| (note.as_str(), format!("{}.checkpoints[{n}]", part.place))),
            );
            let witnessed = part.export.witnessed.iter().enumerate();
            claims.extend(
                witnessed
                    .map(|(n, note)| (note.as_str(), format!("{}.witnessed[{n}]", part.place))),
            );
            for receipt_message in receipt_messages {
                let quote = receipt_message.quote.iter();
                let notes = quote.flat_map(|quote| [Some(&quote.checkpoint), quote.seen.as_ref()]);
                claims.extend(
                    notes.flatten().map(|note| (note.as_str(), receipt_message.place.clone())),
                );
            }
        }
        for (note, place) in claims {
            let Ok(checkpoint) = Checkpoint::parse(note) else { continue };
            let signers: BTreeSet<_> = checkpoint.note().signers().collect();
            for log in signers.iter().filter_map(|signer| logs.get(signer)).flatten() {
                let Ok(head) = checkpoint.verify(log) else { continue };
                let key = (*log, head.size);
                let (known, first, at) =
                    points.entry(key).or_insert_with(|| (head, note, place.clone()));
                if *known != head {
                    findings.contradict(
                        "a log has signed two histories of one size",
                        says(at, first),
                        says(&place, note),
                    );
                }
            }
        }
        for (number, one) in self.seen.iter().enumerate() {
            for other in self.seen.iter().skip(number + 1) {
                let (first, second) = (&one.export.log, &other.export.log);
                let agent = subject(&one.export.agent);
                if agent != subject(&other.export.agent) {
                    continue;
                }
                if first == second {
                    compare_chains(one, other, findings);
                } else if first.name() == second.name() {
                    findings.contradict(
                        "a log has two keys",
                        says(&format!("{}.log", one.place), &first.to_string()),
                        says(&format!("{}.log", other.place), &second.to_string()),
                    );
                } else {
                    findings.miss(format!(
                        "{agent} has a chain in {} and one in {}: what was moved is not told from what was left out",
                        first.name(),
                        second.name(),
                    ));
                }
            }
        }
    }

    /// Compares what the two sides of each message say.
    fn compare_messages(&self, findings: &mut Findings) {
        let mut names: BTreeSet<&Name> = self.by_name.keys().copied().collect();
        names.extend(self.receipts.keys());
        for name in names {
            let both = self.by_name.get(name).map(Vec::as_slice).unwrap_or_default();
            let mut known: Option<(&Said, &Signed)> = None;
            for (one, _) in both {
                let Some(signed) = &one.signed else { continue };
                let (first, text) = *known.get_or_insert((one, signed));
                if text.digest != signed.digest {
                    findings.contradict(
                        "the two sides have different texts of a message",
                        says(&first.place, &text.digest),
                        says(&one.place, &signed.digest),
                    );
                }
            }
            let is_sent = both.iter().any(|(one, _)| one.act == Act::Sent);
            for (got, part) in both.iter().filter(|(one, _)| one.act != Act::Sent) {
                if !is_sent && got.signed.is_some() {
                    self.find_unsent(got, *part, findings);
                }
            }
            let receipts = self.receipts.get(name).map(Vec::as_slice).unwrap_or_default();
            for (receipt_message, receipt) in receipts {
                self.compare_receipt((receipt_message, receipt), (name, both), findings);
            }
        }
    }

    /// Finds an export that leaves out a message which its agent has signed, and which was in the other's log
    /// when the agent signed the end of its chain.
    fn find_unsent(&self, got: &Said, part: usize, findings: &mut Findings) {
        let (_, by) = self.clock(part).bounds(got.index);
        let Some(by) = by else { return };
        for other in self.covering(&got.name.from, &got.thid, &got.name.to) {
            let first = other.told.first().map_or(UnixTime(0), |one| one.statement.at);
            let is_within = by.at.saturating_add(CLOCK_SKEW_S_MAX) <= other.head_at
                && first.saturating_add(CLOCK_SKEW_S_MAX) <= got.at;
            if other.export.since == 1 && is_within {
                findings.contradict(
                    "an agent has signed a message that its export leaves out",
                    says(&got.place, &format!("{} from {}", got.id, got.name.from)),
                    says(&format!("{}.selection", other.place), "no such message was sent"),
                );
            }
        }
    }

    fn compare_receipt(
        &self,
        (receipt_message, receipt): (&ReceiptMessage, &Receipt),
        (name, both): (&Name, &[(&Said, usize)]),
        findings: &mut Findings,
    ) {
        let is_of_another_text = both.iter().any(|(one, _)| {
            one.signed.as_ref().is_some_and(|signed| signed.digest != receipt.digest)
        });
        if is_of_another_text {
            findings.miss(format!(
                "a receipt of {} is about another text than {} from {} and does not count",
                receipt_message.signer, receipt.id, name.from,
            ));
            return;
        }
        if receipt.state != State::Accepted {
            return;
        }
        let quoted = receipt_message.quote.as_ref().map(|quote| &quote.key);
        let got = both.iter().filter(|(one, _)| one.act != Act::Sent);
        let mut is_there = false;
        for (got, part) in got {
            is_there = true;
            let export = self.seen.get(*part).map(|part| part.export);
            let is_same_log = export.is_some_and(|export| quoted == Some(&export.log));
            if got.act == Act::Refused {
                findings.contradict(
                    "a message was accepted by the receipt, and refused by the log",
                    says(&receipt_message.place, "accepted"),
                    says(&got.place, got.act.as_str()),
                );
            } else if is_same_log && receipt.log_index.is_some_and(|index| index != got.index) {
                findings.contradict(
                    "a message is elsewhere in the log than the receipt says",
                    says(&receipt_message.place, &format!("index {:?}", receipt.log_index)),
                    says(&got.place, &format!("index {}", got.index)),
                );
            }
            let (after, _) = self.clock(*part).bounds(got.index);
            if let Some(after) = after.filter(|_| got.act == Act::Received)
                && receipt.at.saturating_add(CLOCK_SKEW_S_MAX) < after.at
            {
                findings.contradict(
                    "a receipt is dated before a time at which the log was seen without the message",
                    says(&receipt_message.place, &format!("accepted at {}", receipt.at.0)),
                    says(&got.place, &format!("not seen by {} at {}", after.witness, after.at.0)),
                );
            }
        }
        let thid =
            both.iter().find(|(one, _)| one.act == Act::Sent).map(|(one, _)| one.thid.as_str());
        let Some(index) = receipt.log_index.filter(|_| !is_there) else { return };
        for part in self.covering(&name.to, thid.unwrap_or_default(), &name.from) {
            let size = part.points.last().map_or(0, |point| point.head.size);
            if quoted == Some(&part.export.log) && index < size {
                findings.contradict(
                    "a message was accepted, and the export of its recipient leaves it out",
                    says(
                        &receipt_message.place,
                        &format!("{} accepted, index {index}", receipt.id),
                    ),
                    says(&format!("{}.selection", part.place), "no such message was received"),
                );
            }
        }
    }

    /// The exports of an agent whose selection covers a thread with a peer.
    fn covering<'s>(
        &'s self,
        agent: &'s Did,
        thid: &'s str,
        peer: &'s Did,
    ) -> impl Iterator<Item = &'s Seen<'b>> {
        self.seen.iter().filter(move |part| {
            let covers = match &part.export.selection {
                Selection::With(did) => subject(did) == *peer,
                Selection::Thread(thread) => thread == thid,
                Selection::Numbers { .. } => false,
            };
            covers && subject(&part.export.agent) == *agent
        })
    }

    #[expect(clippy::indexing_slicing, reason = "there is one for each export")]
    pub(super) fn clock(&self, part: usize) -> &Clock {
        &self.clocks[part]
    }

    /// Checks what statements say of their times against what witnesses saw.
    fn check_times(&self, findings: &mut Findings) {
        for (part, clock) in self.seen.iter().zip(&self.clocks) {
            for one in &part.told {
                let (after, before) = clock.bounds(one.index);
                let at = one.statement.at;
                if let Some(after) = after
                    && at.saturating_add(CLOCK_SKEW_S_MAX) < after.at
                {
                    let seen = format!("not seen by {} at {}", after.witness, after.at.0);
                    findings.contradict(
                        "a statement is dated before a time at which the log was seen without it",
                        says(&one.place, &format!("at {}", at.0)),
                        says(&format!("{}.checkpoints", part.place), &seen),
                    );
                }
                if let Some(before) = before
                    && before.at.saturating_add(CLOCK_SKEW_S_MAX) < at
                {
                    let seen = format!("seen by {} at {}", before.witness, before.at.0);
                    findings.contradict(
                        "a statement is dated after a time at which the log was seen with it",
                        says(&one.place, &format!("at {}", at.0)),
                        says(&format!("{}.checkpoints", part.place), &seen),
                    );
                }
            }
        }
    }

    /// Finds exports that end long before they were made.
    fn check_heads(&self, findings: &mut Findings) {
        for part in self.seen {
            if part.head_at.saturating_add(HEAD_AGE_S_MAX) < part.export.at {
                findings.miss(format!(
                    "{} signed the end of its chain at {}, and exported it at {}: what came between is not accounted for",
                    part.export.agent, part.head_at.0, part.export.at.0,
                ));
            }
        }
    }
}

/// Finds two chains of one agent in one log.
fn compare_chains(one: &Seen<'_>, other: &Seen<'_>, findings: &mut Findings) {
    let from = one.export.since.max(other.export.since);
    let links = |part: &Seen<'_>| {
        let beyond = usize::try_from(from - part.export.since).unwrap_or(usize::MAX);
        part.export.links.iter().skip(beyond).cloned().collect::<Vec<_>>()
    };
    let (first, second) = (links(one), links(other));
    let differ =
        first.iter().zip(&second).position(|(first, second)| first.statement != second.statement);
    if let Some(at) = differ {
        let said = |links: &[super::bundle::Rest]| {
            links.get(at).map(|link| link.statement.clone()).unwrap_or_default()
        };
        let seq = from.saturating_add(at as u64);
        findings.contradict(
            "an agent has two chains",
            says(&format!("{}.links", one.place), &format!("number {seq}: {}", said(&first))),
            says(&format!("{}.links", other.place), &format!("number {seq}: {}", said(&second))),
        );
    }
}
