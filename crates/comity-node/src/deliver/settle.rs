//! Takes messages out of a mailbox: acknowledged, or refused with a report to the sender.

use std::sync::Arc;

use comity_core::api::Disposition;
use comity_core::inbound::problem_report;
use comity_core::protocol::is_report;
use comity_core::receipt::{Rung, State, bounded};
use comity_core::record::Received;
use comity_core::refusal::Refusal;
use comity_didcomm::problem::{ProblemCode, ProblemReport};
use comity_store::records::notices::Debts;
use comity_store::records::{mailbox, mailbox_key, message_key};
use comity_store::{Batch, MailboxKey, Seq, StoreFault, Wake as _};

use crate::home::{Committed, Home};
use crate::identities::Identity;
use crate::limits::HAND_OVER_MAX;
use crate::{facts, outbound};

/// Does what an agent says about messages; returns how many are out of the mailbox thereby or
/// before.
pub(crate) async fn settle(
    home: &Arc<Home>,
    agent: &Identity,
    disposition: &Disposition,
) -> Result<usize, StoreFault> {
    match disposition {
        Disposition::Ack { deliveries } => {
            let seqs: Vec<Seq> = deliveries.iter().copied().map(Seq).collect();
            // In steps of bounded size, however many are named.
            for some in seqs.chunks(HAND_OVER_MAX) {
                acknowledge(home, agent, some).await?;
            }
            Ok(seqs.len())
        }
        Disposition::Refuse { delivery, code, reason } => {
            refuse(home, agent, Seq(*delivery), code.as_deref(), reason).await?;
            Ok(1)
        }
    }
}

async fn acknowledge(home: &Arc<Home>, agent: &Identity, seqs: &[Seq]) -> Result<(), StoreFault> {
    let mailbox = mailbox_key(&agent.did);
    let mut rows = Vec::with_capacity(seqs.len());
    for seq in seqs {
        if let Some(received) = mailbox::row(home.store.as_ref(), mailbox, *seq).await? {
            home.opened.remove(&message_key(&received));
            rows.push((*seq, received));
        }
    }
    let (batch, debts) = processed(home, &rows);
    if home.commit(batch, debts, None).await? != Committed::Durable {
        // One of them left the mailbox in this moment: the others go one by one.
        for row in &rows {
            let (batch, debts) = processed(home, std::slice::from_ref(row));
            home.commit(batch, debts, None).await.map(drop)?;
        }
    }
    left(home, mailbox, seqs);
    Ok(())
}

/// Forgets what left a mailbox, and lets the agent have more if its hands were full.
pub(crate) fn left(home: &Home, mailbox: MailboxKey, seqs: &[Seq]) {
    if home.mailboxes.forget(mailbox, seqs) {
        home.wake.wake(&mailbox);
    }
}

fn processed(home: &Home, rows: &[(Seq, Received)]) -> (Batch, Debts) {
    let (mut batch, mut debts) = (Batch::new(), Debts::new());
    let rung = Rung::new(State::Processed, home.now(), home.did.clone());
    for (seq, received) in rows {
        mailbox::settle(&mut batch, &mut debts, *seq, received, &rung);
    }
    (batch, debts)
}

async fn refuse(
    home: &Arc<Home>,
    agent: &Identity,
    seq: Seq,
    code: Option<&str>,
    reason: &str,
) -> Result<(), StoreFault> {
    let mailbox = mailbox_key(&agent.did);
    let Some(received) = mailbox::row(home.store.as_ref(), mailbox, seq).await? else {
        return Ok(());
    };
    // Neither is said to whom the agent may not say anything.
    let (code, reason) = match facts::is_denied(home, &agent.did, &received.sender).await? {
        true => (None, ""),
        false => (code, reason),
    };
    let code = code.and_then(|code| ProblemCode::parse(code).ok());
    let problem = match code {
        Some(code) => ProblemReport::new(code, bounded(reason)),
        None => ProblemReport { comment: Some(bounded(reason)), ..Refusal::ByAgent.to_report() },
    };
    let (code, comment) = (problem.code.as_str(), problem.comment.as_deref());
    let rung = Rung::refused(home.now(), home.did.clone(), code, comment);
    let (mut batch, mut debts) = (Batch::new(), Debts::new());
    mailbox::settle(&mut batch, &mut debts, seq, &received, &rung);
    let mut report = None;
    // A report is not reported on.
    if !is_report(&received.type_) {
        let (id, thid) = (&received.id, &received.thid);
        let message = problem_report(&agent.did, &received.sender, id, thid, problem, home.now());
        report = outbound::prepare_notice(home, message).await.ok();
    }
    // A conflict means that it left the mailbox in this moment.
    home.commit_and_report(batch, debts, report).await.map(drop)?;
    left(home, mailbox, &[seq]);
    Ok(())
}
