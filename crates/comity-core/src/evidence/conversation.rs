//! What is known of each message, and of each export.

use std::collections::BTreeMap;

use super::chain::Told;
use super::join::Joined;
use super::log::cosigners;
use super::messages::{Name, Said};
use super::part::{Findings, Seen};
use super::verdict::{Allowed, ExportSeen, MessageSeen, Reached, Times};
use crate::log::Act;
use crate::trust::Admission;

impl Joined<'_, '_> {
    /// Gathers what is known of each message.
    pub(super) fn messages(&self, findings: &mut Findings) -> Vec<MessageSeen> {
        let mut messages: BTreeMap<&Name, MessageSeen> = BTreeMap::new();
        let mut digests: BTreeMap<&Name, &String> = BTreeMap::new();
        for (number, (part, said)) in self.seen.iter().zip(self.said).enumerate() {
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
                    message.key = Some(self.key_state(one, signed, findings));
                }
                match one.act {
                    Act::Sent => message.sent = message.sent.take().or(Some(times)),
                    _ => {
                        message.received = message.received.take().or(Some(times));
                        message.allowed = Some(allowed(part, one));
                    }
                }
            }
        }
        for (name, message) in &mut messages {
            for (receipt_message, receipt) in self.receipts.get(*name).into_iter().flatten() {
                let is_of_another_text =
                    digests.get(*name).is_some_and(|digest| **digest != receipt.digest);
                if is_of_another_text {
                    continue;
                }
                let reached = Reached {
                    state: receipt.state.as_str().to_owned(),
                    at: receipt.at,
                    by: receipt_message.signer.clone(),
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

    fn times(&self, one: &Said, part: usize, findings: &mut Findings) -> Times {
        let (after, before) = self.clock(part).bounds(one.index);
        let seen = self.seen.get(part);
        let is_witnessed = match (&self.trusted.policy, seen) {
            (Some(policy), Some(seen)) => policy.is_met(&cosigners(&seen.points, one.index)),
            _ => before.is_some(),
        };
        if !is_witnessed {
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

/// Finds the decision or grant that let a message in: the last about its sender before it, or, of one
/// that waited for the operator, the first after it.
fn allowed(part: &Seen<'_>, one: &Said) -> Allowed {
    let about = |told: &&Told<'_>| {
        let is_decision = matches!(told.statement.act, Act::Decided | Act::Granted);
        is_decision && told.statement.peer == one.name.from
    };
    let place = part.told.partition_point(|told| told.seq < one.seq);
    let by = match one.ground {
        Some(_) => part.told.iter().take(place).rev().find(about),
        None => part.told.iter().skip(place).find(about),
    };
    Allowed {
        ground: one.ground.map_or("request", Admission::as_str).to_owned(),
        seq: by.map(|told| told.seq),
        by: by.and_then(|told| told.object).map(str::to_owned),
    }
}
