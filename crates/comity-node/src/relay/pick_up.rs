//! Message Pickup: what waits, what is delivered, and what has arrived.

use std::sync::Arc;

use comity_core::limits::DELIVERY_MESSAGES_MAX;
use comity_core::protocol::pickup::{Pickup, Version, Waiting};
use comity_core::refusal::Refusal;
use comity_core::relay::{Answer, Figures, Live, Served, may_pick_up, plan_delivery};
use comity_didcomm::Did;
use comity_store::records::relay::{self, HeldId, queue_key};
use comity_store::{Batch, CommitError, Seq, StoreFault};

use super::live::Session;
use super::serve::repeated;
use super::{Back, queues, register};
use crate::home::Home;
use crate::limits::{CONFLICTS_MAX, TAKE_OUT_MAX};

/// Answers a `status-request`.
pub(super) async fn status(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    recipient: Option<&Did>,
    back: &Back,
) -> Result<Answer, StoreFault> {
    let dids = match allowed(home, served, recipient).await? {
        Ok(dids) => dids,
        Err(refusal) => return Ok(Answer::Problem(refusal)),
    };
    tell(home, served, version, recipient, &dids, back).await
}

/// Says what waits in these queues.
async fn tell(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    recipient: Option<&Did>,
    dids: &[Did],
    back: &Back,
) -> Result<Answer, StoreFault> {
    let mut figures = Figures::default();
    for did in dids {
        figures = figures.and(relay::figures(home.store.as_ref(), did).await?);
    }
    let is_live = match back {
        Back::Socket(session) => session.is_live(home, served.sender()),
        Back::Nowhere | Back::Response => false,
    };
    let status = figures.to_status(recipient.cloned(), is_live, home.now());
    Ok(Answer::Pickup(version, Pickup::Status(status)))
}

/// Answers a `delivery-request`. Nothing leaves its queue by it.
pub(super) async fn deliver(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    recipient: Option<&Did>,
    limit: u64,
    back: &Back,
) -> Result<Answer, StoreFault> {
    let dids = match allowed(home, served, recipient).await? {
        Ok(dids) => dids,
        Err(refusal) => return Ok(Answer::Problem(refusal)),
    };
    let (store, now) = (home.store.as_ref(), home.now());
    let mut plan = plan_delivery(limit);
    let mut messages = Vec::new();
    for did in &dids {
        let mut after = Seq(0);
        while 0 < plan.messages_left() {
            let rows =
                relay::oldest_first(store, queue_key(did), after, DELIVERY_MESSAGES_MAX).await?;
            let Some((last, _)) = rows.last() else { break };
            after = last.seq;
            for (id, row) in rows {
                if row.expires <= now || now < row.not_before {
                    continue;
                }
                if !plan.take(row.size_bytes) {
                    break;
                }
                if let Some(envelope) = relay::envelope(store, id).await? {
                    messages.push(Waiting { id: id.to_string(), envelope, class: row.class });
                }
            }
        }
    }
    if messages.is_empty() && version == Version::V3 {
        return status(home, served, version, recipient, back).await;
    }
    let recipient_did = recipient.cloned();
    Ok(Answer::Pickup(version, Pickup::Delivery { recipient_did, messages }))
}

/// Takes out what has arrived; ids that name nothing, or nothing of the asker's, change nothing. The
/// answer is a status: 4.0 asks for none, but agents in use wait for it there too, and it goes
/// nowhere without a way back.
pub(super) async fn received(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    ids: &[String],
    back: &Back,
) -> Result<Answer, StoreFault> {
    let ids: Vec<HeldId> = ids.iter().filter_map(|id| id.parse().ok()).collect();
    for ids in ids.chunks(TAKE_OUT_MAX) {
        if !take_out(home, served.sender(), ids).await? {
            return Ok(Answer::Problem(Refusal::Busy));
        }
    }
    // Whoever may take something out of its own queue may hear what is left, granted or not.
    let dids = queues(home, served.sender()).await?;
    tell(home, served, version, None, &dids, back).await
}

/// Turns live delivery on or off. A repeat changes nothing: whoever recorded one must not have
/// another's messages sent to a socket of its own.
pub(super) async fn live(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    live: Live,
    session: &Arc<Session>,
) -> Result<Answer, StoreFault> {
    if let Err(refusal) = allowed(home, served, None).await? {
        return Ok(Answer::Problem(refusal));
    }
    match repeated(home, served).await? {
        None => {
            let mut batch = Batch::new();
            relay::remember(&mut batch, served, Vec::new(), home.now());
            match home.store.commit(batch).await {
                Ok(_) if live == Live::On => {
                    session.go_live(home, served.sender(), served.document(), version);
                }
                Ok(_) => session.stop_live(home, served.sender()),
                Err(CommitError::Conflict(_)) => return Ok(Answer::Problem(Refusal::Busy)),
                Err(CommitError::Fault(fault)) => return Err(fault),
            }
        }
        Some(Ok(_)) => {}
        Some(Err(refusal)) => return Ok(Answer::Problem(refusal)),
    }
    status(home, served, version, None, &Back::Socket(Arc::clone(session))).await
}

/// Whose queues the asker looks into: the one it names, or all that are its own.
async fn allowed(
    home: &Home,
    served: &Served,
    recipient: Option<&Did>,
) -> Result<Result<Vec<Did>, Refusal>, StoreFault> {
    if let Some(did) = recipient {
        let row = relay::recipient(home.store.as_ref(), did).await?;
        let may = may_pick_up(served.sender(), did, row.as_ref());
        return Ok(may.map(|()| vec![did.clone()]));
    }
    let is_recipient = relay::recipient(home.store.as_ref(), served.sender()).await?.is_some();
    if !is_recipient && register::granted(home, served.sender()).await?.is_none() {
        return Ok(Err(Refusal::NotGranted));
    }
    queues(home, served.sender()).await.map(Ok)
}

/// Takes messages out of their queues in one batch; says whether that came to an end.
async fn take_out(home: &Home, sender: &Did, ids: &[HeldId]) -> Result<bool, StoreFault> {
    let store = home.store.as_ref();
    for _attempt in 0..CONFLICTS_MAX {
        let mut batch = Batch::new();
        let mut judged: Option<(Did, bool)> = None;
        let mut taken: Vec<HeldId> = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(row) = relay::row(store, *id).await? else { continue };
            let may = match &judged {
                Some((did, may)) if *did == row.recipient => *may,
                _ => {
                    let recipient = relay::recipient(store, &row.recipient).await?;
                    let may = may_pick_up(sender, &row.recipient, recipient.as_ref()).is_ok();
                    judged = Some((row.recipient.clone(), may));
                    may
                }
            };
            if may && !taken.contains(id) {
                relay::take_out(&mut batch, *id, &row);
                taken.push(*id);
            }
        }
        if batch.is_empty() {
            return Ok(true);
        }
        match store.commit(batch).await {
            Ok(_) => return Ok(true),
            // Some have expired or were acknowledged elsewhere in this moment: look again.
            Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(false)
}
