//! What is known of each message, and of each export.

use std::collections::{BTreeMap, HashMap, HashSet};

use comity_didcomm::Did;

use super::chain::Told;
use super::join::Joined;
use super::keys::Ends;
use super::messages::{Name, Said};
use super::part::{Findings, Seen, grouped};
use super::verdict::{Allowed, ExportSeen, MessageSeen, Reached, Times};
use crate::log::Act;
use crate::trust::Admission;

impl Joined<'_, '_> {
    /// Gathers what is known of each message.
    pub(super) fn messages(&self, findings: &mut Findings) -> Vec<MessageSeen> {
        let mut messages: BTreeMap<&Name, MessageSeen> = BTreeMap::new();
        let mut digests: BTreeMap<&Name, &String> = BTreeMap::new();
        let mut ends = Ends::new();
        for (number, (part, said)) in self.seen.iter().zip(self.said).enumerate() {
            let decisions = Decisions::of(part);
            for one in said {
                let times = self.times(one, number, findings);
                // That somebody's message was refused is said by who refused it, and proves nothing of it.
                if one.act == Act::Refused {
                    continue;
                }
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
                if let Some(signed) = one.signed.as_ref().filter(|_| message.kid.is_none()) {
                    digests.insert(&one.name, &signed.digest);
                    message.kid = Some(signed.kid.to_string());
                    message.body = Some(signed.body.clone());
                    message.key = Some(self.key_state(one, signed, (&mut ends, findings)));
                }
                match one.act {
                    Act::Sent => message.sent = message.sent.take().or(Some(times)),
                    _ => {
                        message.received = message.received.take().or(Some(times));
                        message.allowed = Some(decisions.allowed(one));
                    }
                }
            }
        }
        for (name, message) in &mut messages {
            let mut reached: HashSet<Reached> = HashSet::new();
            for (receipt_message, receipt) in self.receipts.get(*name).into_iter().flatten() {
                let is_of_another_text =
                    digests.get(*name).is_some_and(|digest| **digest != receipt.digest);
                if is_of_another_text {
                    continue;
                }
                reached.insert(Reached {
                    state: receipt.state.as_str().to_owned(),
                    at: receipt.at,
                    by: receipt_message.signer.clone(),
                    code: receipt.code.clone(),
                });
            }
            message.reached = reached.into_iter().collect();
            message.reached.sort_by_cached_key(|one| {
                (one.at, one.state.clone(), one.by.clone(), one.code.clone())
            });
        }
        let mut messages: Vec<MessageSeen> = messages.into_values().collect();
        messages.sort_by_key(|message| {
            let times = message.sent.as_ref().or(message.received.as_ref());
            let is_reply = message.id != message.thid;
            (message.thid.clone(), times.map(|times| times.claimed), is_reply, message.id.clone())
        });
        messages
    }

    fn times(&self, one: &Said, part: usize, findings: &mut Findings) -> Times {
        let (after, before) = self.clock(part).bounds(one.index);
        let seen = self.seen.get(part);
        if !self.clock(part).is_witnessed(one.index) {
            findings.miss(format!(
                "no {} has cosigned that {} is in the log of {}",
                if self.trusted.policy.is_some() { "quorum of the policy" } else { "other node" },
                one.id,
                seen.map_or("", |seen| seen.export.agent.as_str()),
            ));
        }
        Times { claimed: one.at, after, before }
    }

    pub(super) fn exports(&self) -> Vec<ExportSeen> {
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

/// The decisions and grants of an export, by whom they are about.
struct Decisions<'a, 'b>(HashMap<&'a Did, Vec<&'a Told<'b>>>);

impl<'a, 'b> Decisions<'a, 'b> {
    fn of(part: &'a Seen<'b>) -> Self {
        let is_decision =
            |told: &&Told<'_>| matches!(told.statement.act, Act::Decided | Act::Granted);
        let decisions = part.told.iter().filter(is_decision);
        Self(grouped(decisions.map(|told| (&told.statement.peer, told))))
    }

    /// Finds what let a message in: the last about its sender before it, or, of one that waited for the
    /// operator, the first after it.
    fn allowed(&self, one: &Said) -> Allowed {
        let about = self.0.get(&one.name.from).map(Vec::as_slice).unwrap_or_default();
        let after = about.partition_point(|told| told.seq < one.seq);
        let by = match one.ground {
            Some(_) => after.checked_sub(1).and_then(|before| about.get(before)),
            None => about.get(after),
        };
        Allowed {
            ground: one.ground.map_or("request", Admission::as_str).to_owned(),
            seq: by.map(|told| told.seq),
            by: by.and_then(|told| told.object).map(str::to_owned),
        }
    }
}
