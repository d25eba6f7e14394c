//! Live delivery: who is connected and wants messages as they come. In memory only: it is off after
//! every reconnect, and what was not acknowledged is in its queue.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use comity_core::protocol::pickup::{Version, Waiting};
use comity_core::relay::{HeldRow, compose_live, may_pick_up, pack, plan_delivery};
use comity_core::trust::subject;
use comity_didcomm::{Did, DidDocument, MessageId};
use comity_store::records::relay::{self, HeldId, queue_key};
use comity_store::{MailboxKey, Seq, StoreFault};
use tokio::sync::{Notify, OwnedSemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::room::{Parcel, Room};
use crate::home::Home;
use crate::limits::{LIVE_AHEAD_MAX, LIVE_BATCH_MAX, SOCKET_DIDS_MAX};

/// All live deliveries of the relay, by who wants them. The newest wins: two sockets of one DID
/// would each get half.
#[derive(Default)]
pub(crate) struct Lives {
    by: Arc<Mutex<HashMap<MailboxKey, Arc<Live>>>>,
    numbers: AtomicU64,
    delayed: Mutex<JoinSet<()>>,
    /// What waits to be written to all sockets.
    pub(super) room: Room,
}

/// One connected peer's wish for messages as they come.
struct Live {
    session: u64,
    arrived: Mutex<Arrived>,
    more: Notify,
}

/// What came and is not delivered yet.
#[derive(Default)]
struct Arrived {
    ids: VecDeque<HeldId>,
    /// From where on to read the queues, when more came than is remembered.
    lost_from: Option<Seq>,
}

/// A WebSocket on the public listener, as the relay sees it.
pub(crate) struct Session {
    number: u64,
    /// Envelopes for the peer.
    frames: mpsc::Sender<Parcel>,
    /// Room for the answer to what is being worked on.
    room: Mutex<Option<OwnedSemaphorePermit>>,
    /// Who, proven, asked for answers on this socket.
    routes: Mutex<HashSet<Did>>,
    has_ended: AtomicBool,
    tasks: Mutex<JoinSet<()>>,
}

impl Lives {
    /// Names a new session.
    pub(crate) fn session(&self, frames: mpsc::Sender<Parcel>) -> Arc<Session> {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (room, routes, tasks) = (Mutex::default(), Mutex::default(), Mutex::default());
        let has_ended = AtomicBool::new(false);
        Arc::new(Session { number, frames, room, routes, has_ended, tasks })
    }

    /// Counts who has live delivery.
    pub(crate) fn count(&self) -> usize {
        self.by.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Tells whoever waits for it that a message came: its registrant, or the DID itself.
    pub(crate) fn arrived(&self, home: &Home, row: &HeldRow, id: HeldId) {
        let wait_s = row.not_before.0.saturating_sub(home.now().0);
        let registrant = queue_key(&row.registrant);
        self.tell(registrant, id, wait_s);
        if registrant != id.queue {
            self.tell(id.queue, id, wait_s);
        }
    }

    fn tell(&self, key: MailboxKey, id: HeldId, wait_s: u64) {
        if wait_s == 0 {
            if let Some(live) = self.live(key) {
                live.push(id);
            }
            return;
        }
        let mut delayed = self.delayed.lock().unwrap_or_else(PoisonError::into_inner);
        while delayed.try_join_next().is_some() {}
        // Beyond the bound it is picked up like any other.
        if delayed.len() < LIVE_AHEAD_MAX {
            let by = Arc::clone(&self.by);
            delayed.spawn(async move {
                tokio::time::sleep(Duration::from_secs(wait_s)).await;
                // Whoever is connected by now: it may be another socket than when the message came.
                if let Some(live) = find(&by, key) {
                    live.push(id);
                }
            });
        }
    }

    fn live(&self, key: MailboxKey) -> Option<Arc<Live>> {
        find(&self.by, key)
    }

    fn is_on(&self, key: MailboxKey, session: u64) -> bool {
        self.live(key).is_some_and(|live| live.session == session)
    }

    fn is_current(&self, key: MailboxKey, live: &Arc<Live>) -> bool {
        self.live(key).is_some_and(|current| Arc::ptr_eq(&current, live))
    }

    /// Begins a live delivery, in place of an older one; none for a session that has ended: what
    /// was begun on its socket may come to this point when the peer is on another one.
    fn begin(&self, key: MailboxKey, session: &Session) -> Option<Arc<Live>> {
        let (arrived, more) = (Mutex::default(), Notify::new());
        let live = Arc::new(Live { session: session.number, arrived, more });
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if session.has_ended.load(Ordering::Relaxed) {
            return None;
        }
        if let Some(former) = by.insert(key, Arc::clone(&live)) {
            former.more.notify_one();
        }
        Some(live)
    }

    /// Takes away what [`Self::begin`] added, unless another has taken its place.
    fn finish(&self, key: MailboxKey, live: &Arc<Live>) {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        if by.get(&key).is_some_and(|current| Arc::ptr_eq(current, live)) {
            by.remove(&key);
        }
    }

    /// Ends all live deliveries of a session.
    fn end(&self, session: &Session) {
        let mut by = self.by.lock().unwrap_or_else(PoisonError::into_inner);
        // While the lock is held: whoever begins one later sees it.
        session.has_ended.store(true, Ordering::Relaxed);
        by.retain(|_, live| live.session != session.number);
    }
}

fn find(by: &Mutex<HashMap<MailboxKey, Arc<Live>>>, key: MailboxKey) -> Option<Arc<Live>> {
    by.lock().unwrap_or_else(PoisonError::into_inner).get(&key).map(Arc::clone)
}

impl Live {
    fn push(&self, id: HeldId) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let full = LIVE_AHEAD_MAX <= arrived.ids.len();
        match arrived.lost_from {
            Some(seq) => arrived.lost_from = Some(seq.min(id.seq)),
            None if full => arrived.lost_from = Some(id.seq),
            None => arrived.ids.push_back(id),
        }
        drop(arrived);
        self.more.notify_one();
    }

    /// Takes what came, at most one delivery's worth, and where reading has to begin again.
    fn take(&self) -> (Vec<HeldId>, Option<Seq>) {
        let mut arrived = self.arrived.lock().unwrap_or_else(PoisonError::into_inner);
        let count = arrived.ids.len().min(LIVE_BATCH_MAX);
        let ids: Vec<HeldId> = arrived.ids.drain(..count).collect();
        let lost_from = if ids.is_empty() { arrived.lost_from.take() } else { None };
        (ids, lost_from)
    }
}

impl Session {
    /// Notes that somebody wants its answers here; says whether they go here.
    pub(crate) fn route(&self, sender: &Did, wish: Wish) -> bool {
        let mut routes = self.routes.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = subject(sender);
        if wish == Wish::Here && routes.len() < SOCKET_DIDS_MAX {
            routes.insert(sender.clone());
        }
        routes.contains(&sender)
    }

    /// Whether anybody wants its answers here.
    pub(super) fn has_routes(&self) -> bool {
        !self.routes.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Takes room for an answer before it is made; says whether there is some.
    pub(super) async fn make_room(&self, home: &Home) -> bool {
        let made = home.relay.room.reserve_soon().await;
        let is_made = made.is_some();
        *self.room.lock().unwrap_or_else(PoisonError::into_inner) = made;
        is_made
    }

    /// Returns the room that was taken.
    pub(super) fn take_room(&self) -> Option<OwnedSemaphorePermit> {
        self.room.lock().unwrap_or_else(PoisonError::into_inner).take()
    }

    /// Whether somebody has live delivery here.
    pub(crate) fn is_live(&self, home: &Home, sender: &Did) -> bool {
        home.relay.is_on(queue_key(sender), self.number)
    }

    /// Begins live delivery of what comes from now on.
    pub(crate) fn go_live(
        self: &Arc<Self>,
        home: &Arc<Home>,
        sender: &Did,
        document: &Arc<DidDocument>,
        version: Version,
    ) {
        if self.is_live(home, sender) {
            return;
        }
        let key = queue_key(sender);
        let Some(live) = home.relay.begin(key, self) else { return };
        let (home, frames) = (Arc::clone(home), self.frames.clone());
        let peer = Peer { did: sender.clone(), document: Arc::clone(document), version };
        let mut tasks = self.tasks.lock().unwrap_or_else(PoisonError::into_inner);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            if let Err(fault) = run(&home, &peer, &live, &frames).await {
                tracing::error!(%fault, "a queue cannot be read; live delivery ends");
            }
            // So that nobody is told that it goes on, and it can be asked for again.
            home.relay.finish(key, &live);
        });
    }

    /// Ends live delivery to somebody.
    pub(crate) fn stop_live(&self, home: &Home, sender: &Did) {
        let key = queue_key(sender);
        let mut by = home.relay.by.lock().unwrap_or_else(PoisonError::into_inner);
        if by.get(&key).is_some_and(|live| live.session == self.number)
            && let Some(live) = by.remove(&key)
        {
            live.more.notify_one();
        }
    }

    /// Ends everything that hangs on the session.
    pub(crate) fn end(&self, home: &Home) {
        home.relay.end(self);
        self.tasks.lock().unwrap_or_else(PoisonError::into_inner).abort_all();
    }
}

/// Whether a message asks that answers come back on its socket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Wish {
    /// It does.
    Here,
    /// It says nothing of it.
    Unsaid,
}

/// Who is delivered to.
struct Peer {
    did: Did,
    document: Arc<DidDocument>,
    version: Version,
}

/// Delivers what comes, until somebody else takes over or the socket ends.
async fn run(
    home: &Arc<Home>,
    peer: &Peer,
    live: &Arc<Live>,
    frames: &mpsc::Sender<Parcel>,
) -> Result<(), StoreFault> {
    let key = queue_key(&peer.did);
    while home.relay.is_current(key, live) {
        let (ids, lost_from) = live.take();
        if ids.is_empty() && lost_from.is_none() {
            live.more.notified().await;
            continue;
        }
        let mut rows = Vec::new();
        for id in ids {
            if let Some(row) = relay::row(home.store.as_ref(), id).await? {
                rows.push((id, row));
            }
        }
        if !rows.is_empty() && !deliver(home, peer, rows, frames).await? {
            return Ok(());
        }
        if let Some(from) = lost_from
            && !catch_up(home, peer, from, frames).await?
        {
            return Ok(());
        }
    }
    Ok(())
}

/// Delivers what came while more waited than is remembered.
async fn catch_up(
    home: &Arc<Home>,
    peer: &Peer,
    from: Seq,
    frames: &mpsc::Sender<Parcel>,
) -> Result<bool, StoreFault> {
    for did in super::queues(home, &peer.did).await? {
        let mut after = Seq(from.0.saturating_sub(1));
        loop {
            let store = home.store.as_ref();
            let rows = relay::oldest_first(store, queue_key(&did), after, LIVE_BATCH_MAX).await?;
            let Some((last, _)) = rows.last() else { break };
            after = last.seq;
            if !deliver(home, peer, rows, frames).await? {
                return Ok(false);
            }
        }
    }
    Ok(true)
}

/// Sends messages, as many to a delivery as fit; says whether the socket still takes any.
async fn deliver(
    home: &Arc<Home>,
    peer: &Peer,
    rows: Vec<(HeldId, HeldRow)>,
    frames: &mpsc::Sender<Parcel>,
) -> Result<bool, StoreFault> {
    let now = home.now();
    let is_due = |row: &HeldRow| now < row.expires && row.not_before <= now;
    let mut rows = rows.into_iter().filter(|(_, row)| is_due(row)).peekable();
    while rows.peek().is_some() {
        let Some(room) = home.relay.room.reserve().await else { return Ok(false) };
        let mut plan = plan_delivery(LIVE_BATCH_MAX as u64);
        let mut messages = Vec::new();
        while let Some((id, row)) = rows.next_if(|(_, row)| plan.take(row.size_bytes)) {
            // Who may have it can have changed since it came.
            let store = home.store.as_ref();
            let recipient = relay::recipient(store, &row.recipient).await?;
            if may_pick_up(&peer.did, &row.recipient, recipient.as_ref()).is_err() {
                continue;
            }
            if let Some(envelope) = relay::envelope(store, id).await? {
                messages.push(Waiting { id: id.to_string(), envelope, class: row.class });
            }
        }
        if messages.is_empty() {
            continue;
        }
        let Some(envelope) = sealed(home, peer, messages) else { return Ok(false) };
        if frames.send(Parcel::new(envelope, room)).await.is_err() {
            return Ok(false);
        }
    }
    Ok(true)
}

fn sealed(home: &Home, peer: &Peer, messages: Vec<Waiting>) -> Option<Vec<u8>> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    let delivery = compose_live(peer.version, messages, id, &home.did, &peer.did, home.now());
    let keys = home.identities.by_did(&home.did)?.sender_keys();
    let sealed = pack(&delivery, &peer.document, &keys, &mut rand::rng());
    sealed.inspect_err(|error| tracing::warn!(%error, "a delivery cannot be sealed")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id(seq: usize) -> HeldId {
        HeldId { queue: MailboxKey([1; 16]), seq: Seq(seq as u64) }
    }

    #[test]
    fn a_session_that_has_ended_takes_no_live_delivery_from_another() {
        let lives = Lives::default();
        let (frames, _kept) = mpsc::channel(1);
        let (old, new) = (lives.session(frames.clone()), lives.session(frames));
        let key = MailboxKey([1; 16]);
        let first = lives.begin(key, &old).unwrap();
        lives.end(&old);
        assert_eq!(lives.count(), 0);
        let second = lives.begin(key, &new).unwrap();
        // What was begun on the old socket comes to its end only now.
        assert!(lives.begin(key, &old).is_none());
        lives.finish(key, &first);
        assert!(lives.is_current(key, &second) && lives.is_on(key, new.number));
        lives.end(&new);
        assert_eq!(lives.count(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_delayed_message_is_told_to_whoever_is_connected_when_its_delay_ends() {
        let lives = Lives::default();
        let (frames, _kept) = mpsc::channel(1);
        let (old, new) = (lives.session(frames.clone()), lives.session(frames));
        let key = MailboxKey([1; 16]);
        let first = lives.begin(key, &old).unwrap();
        lives.tell(key, id(1), 10);
        lives.end(&old);
        // Nobody is connected when this one comes.
        lives.tell(key, id(2), 10);
        let second = lives.begin(key, &new).unwrap();
        assert_eq!(second.take(), (Vec::new(), None));
        let delayed = std::mem::take(&mut *lives.delayed.lock().unwrap());
        delayed.join_all().await;
        assert_eq!(second.take(), (vec![id(1), id(2)], None));
        assert_eq!(first.take(), (Vec::new(), None));
    }

    #[test]
    fn more_than_is_remembered_is_read_again_from_where_it_was_lost() {
        let live = Live { session: 0, arrived: Mutex::default(), more: Notify::new() };
        let lost = 5;
        for seq in 1..=LIVE_AHEAD_MAX + lost {
            live.push(id(seq));
        }
        let mut taken = Vec::new();
        loop {
            let (ids, lost_from) = live.take();
            assert!(ids.len() <= LIVE_BATCH_MAX);
            taken.extend(ids);
            if let Some(from) = lost_from {
                // Nothing between what was taken and where reading begins again.
                assert_eq!(taken.len(), LIVE_AHEAD_MAX);
                assert_eq!(from, id(LIVE_AHEAD_MAX + 1).seq);
                break;
            }
        }
        assert_eq!(live.take(), (Vec::new(), None));
        live.push(id(LIVE_AHEAD_MAX + lost + 1));
        assert_eq!(live.take().0.len(), 1);
    }
}
