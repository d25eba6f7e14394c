//! Puts what an operator should know into the batches of the acts themselves, and wakes those who wait
//! for it.

use comity_core::api::{EventInfo, rfc3339};
use comity_core::event::{self, Event, KeyRuling};
use comity_core::inbound::{Commit, Placement};
use comity_core::record::Received;
use comity_core::refusal::Refusal;
use comity_didcomm::UnixTime;
use comity_store::records::events::{self, Happened, Occasion};
use comity_store::{Batch, StoreFault};
use tokio::sync::watch;

use crate::home::Home;

/// Tells those who wait that something happened. It may tell them needlessly, and they look now and
/// then in any case: nothing depends on it.
pub(crate) struct News(watch::Sender<()>);

impl Default for News {
    fn default() -> Self {
        Self(watch::Sender::new(()))
    }
}

impl News {
    /// Says that something happened.
    pub(crate) fn wake(&self) {
        self.0.send_replace(());
    }

    /// Listens from now on.
    pub(crate) fn listen(&self) -> watch::Receiver<()> {
        self.0.subscribe()
    }
}

/// Gives the event of a request that arrives with this batch; none, when so many came within the hour
/// that only their number is told.
pub(crate) async fn of_arrival(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
) -> Result<Option<Event>, StoreFault> {
    let received = commit.received();
    let protocol = commit.message().type_.protocol();
    let is_told = count(home, batch, received, Occasion::Arrived, received.received_at).await?;
    Ok(is_told.then(|| Event::request_arrived(received, protocol)))
}

/// Gives the event of a contact that comes with other keys than it had, once for each.
pub(crate) fn of_keys(commit: &Commit) -> Option<Event> {
    let ruling = match commit.placement() {
        // A home has one contact, its operator.
        Placement::Home | Placement::Request | Placement::Refused(Refusal::KeyChanged, _) => {
            KeyRuling::NeedsApproval
        }
        _ => KeyRuling::Passed,
    };
    let received = commit.received();
    let contact = commit.contact()?;
    let event = Event::key_changed(&received.recipient, contact, ruling)?;
    tracing::warn!(agent = %received.recipient, peer = %contact.did, ?ruling, "a contact has other keys");
    Some(event)
}

/// Gives the event of a request that expires with this batch, as [`of_arrival`] does.
pub(crate) async fn of_expiry(
    home: &Home,
    batch: &mut Batch,
    received: &Received,
) -> Result<Option<Event>, StoreFault> {
    let is_told = count(home, batch, received, Occasion::Expired, home.now()).await?;
    Ok(is_told.then(|| Event::request_expired(received)))
}

async fn count(
    home: &Home,
    batch: &mut Batch,
    received: &Received,
    occasion: Occasion,
    now: UnixTime,
) -> Result<bool, StoreFault> {
    events::count_occasion(home.store.as_ref(), batch, &received.recipient, occasion, now).await
}

/// Forgets the oldest beyond what is kept.
pub(crate) async fn forget(home: &Home) -> Result<(), StoreFault> {
    loop {
        let mut batch = Batch::new();
        if !events::forget_oldest(home.store.as_ref(), &mut batch).await? {
            return Ok(());
        }
        if let Err(error) = home.store.commit(batch).await {
            tracing::warn!(%error, "old events were not forgotten");
            return Ok(());
        }
    }
}

/// Describes an event for the APIs.
pub(crate) fn info(home: &Home, happened: Happened) -> EventInfo {
    let Happened { place, at, event } = happened;
    let id = event::id(&home.did, place.seq, place.number, at);
    EventInfo { seq: place.seq, id, at: rfc3339(at), event }
}
