//! The vouches that this home was shown: takes them into the book, and asks vouchers whether they
//! still hold.
//!
//! What vouches are worth is decided in `comity_core::trust`. What a message of vouch/1.0 tells is in
//! `told.rs`, what agents give and hold in `wallet.rs`.

mod told;
mod wallet;

pub(crate) use told::from_message;
pub(crate) use wallet::{GiveError, Wanted, ask_for, give, revoke, to_show};

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use comity_core::limits::{TOKEN_IDS_MAX, VOUCH_ASKED_S, VOUCH_STATUS_S_MAX};
use comity_core::protocol::vouch::{VouchMessage, VouchState};
use comity_core::trust::{CredentialStatus, Facts, Question, TokenId, VouchBook};
use comity_didcomm::{Did, Message, MessageId, UnixTime};
use comity_store::records::notices::Debts;
use comity_store::records::{revocations, vouches};
use comity_store::{Batch, Store, StoreFault};
use tokio::sync::{Notify, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::home::{Committed, Home};
use crate::limits::{ASKING_MAX, AWAY_MAX, AWAY_S, VOUCHERS_WAIT};
use crate::outbound;

/// The book in memory, as it is in the store, with what vouchers said since the start.
pub(crate) struct Vouches {
    book: RwLock<Arc<VouchBook>>,
    /// Tells those who wait for an answer that something changed.
    changed: Notify,
    /// Vouchers whose documents cannot be had, and since when.
    away: Mutex<BTreeMap<Did, UnixTime>>,
    /// Places for those who are being asked.
    asking: Semaphore,
}

impl Vouches {
    /// Reads the book. What held before is asked anew; what was revoked stays so.
    pub(crate) async fn load(store: &dyn Store, now: UnixTime) -> Result<Self, StoreFault> {
        let mut book = VouchBook::default();
        for vouch in vouches::known(store).await? {
            let (id, issuer) = (vouch.id(), vouch.issuer().clone());
            let is_revoked = !revocations::among(store, &[(id, issuer.clone())]).await?.is_empty();
            book.insert(vouch, now);
            if is_revoked {
                book.say(&issuer, id, VouchState::Revoked, now);
            }
        }
        book.forget_expired(now);
        Ok(Self {
            book: RwLock::new(Arc::new(book)),
            changed: Notify::new(),
            away: Mutex::default(),
            asking: Semaphore::new(ASKING_MAX),
        })
    }

    /// Returns the book as it is now.
    pub(crate) fn book(&self) -> Arc<VouchBook> {
        Arc::clone(&self.book.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, act: impl FnOnce(&mut VouchBook) -> T) -> T {
        let mut book = self.book.write().unwrap_or_else(PoisonError::into_inner);
        let result = act(Arc::make_mut(&mut book));
        drop(book);
        self.changed.notify_waiters();
        result
    }

    /// Waits a moment for the answers of those who were asked on somebody's behalf.
    pub(crate) async fn wait(&self, anchors: &BTreeSet<Did>, of: &Did, now: UnixTime) {
        let end = Instant::now() + VOUCHERS_WAIT;
        loop {
            // Made before the look, so that no change is missed.
            let changed = self.changed.notified();
            let book = self.book();
            let is_asked =
                book.ways(anchors, of, now).iter().any(|one| book.is_asked(one.id(), now));
            if !is_asked || timeout_at(end, changed).await.is_err() {
                return;
            }
        }
    }

    /// Whether a message waits for the document of somebody who vouches for its sender and who
    /// cannot be reached: as long as for an answer.
    pub(crate) fn is_worth_waiting_for(&self, did: &Did, now: UnixTime) -> bool {
        let mut away = self.away.lock().unwrap_or_else(PoisonError::into_inner);
        away.retain(|_, since| now < since.saturating_add(AWAY_S));
        if AWAY_MAX <= away.len() {
            return false;
        }
        let since = away.entry(did.clone()).or_insert(now);
        now < since.saturating_add(VOUCH_ASKED_S)
    }
}

/// Takes what a sender shows into the book, has vouchers asked about what is on its way and not
/// known, and returns the book for the decision.
pub(crate) async fn look(
    home: &Arc<Home>,
    question: &Question,
    facts: &Facts,
) -> Result<Arc<VouchBook>, StoreFault> {
    let (now, shown) = (home.now(), &question.shown);
    let of_entries = facts.entries.iter().flat_map(|entry| shown.credentials_for(&entry.whom));
    let watched: Vec<_> = of_entries
        .filter(|credential| matches!(credential.status(), CredentialStatus::Vouch { .. }))
        .collect();
    let known = home.vouches.book();
    let is_new = |id, issuer: &Did| !known.knows(id, issuer);
    let new = shown.vouches.iter().filter(|vouch| is_new(vouch.id(), vouch.issuer()));
    let new: Vec<_> = new.collect();
    let unwatched = watched.iter().filter(|one| is_new(one.id(), one.issuer()));
    let unwatched: Vec<_> = unwatched.collect();
    // Whoever changes the book copies it while somebody reads it.
    drop(known);
    let mut batch = Batch::new();
    if !new.is_empty() || !unwatched.is_empty() {
        home.vouches.change(|book| {
            for vouch in new {
                let Some(gone) = book.insert(vouch.clone(), now) else { continue };
                vouches::put_known(&mut batch, vouch);
                gone.into_iter().for_each(|id| vouches::remove_known(&mut batch, id));
            }
            for credential in unwatched {
                book.watch(credential, now);
            }
        });
    }
    if !batch.is_empty() {
        home.commit(batch, Debts::new(), None).await.map(drop)?;
    }
    let to_ask = {
        let book = home.vouches.book();
        let on_way = book.ways(&facts.anchors, &question.sender, now);
        // The operator named the issuers of these, so they are the nearest.
        let watched = watched.iter().map(|credential| (credential.id(), credential.issuer()));
        let vouches = on_way.iter().map(|vouch| (vouch.id(), vouch.issuer()));
        book.to_ask(watched.chain(vouches), now)
    };
    for (voucher, ids) in to_ask {
        ask(home, &question.recipient, voucher, ids).await?;
    }
    Ok(home.vouches.book())
}

/// Asks a voucher in an agent's name whether its vouches hold; one of this home answers at once.
async fn ask(
    home: &Arc<Home>,
    agent: &Did,
    voucher: Did,
    mut ids: Vec<TokenId>,
) -> Result<(), StoreFault> {
    let now = home.now();
    if home.identities.by_did(&voucher).is_some() {
        for id in ids {
            let state = wallet::state(home, &voucher, id).await?;
            let until = now.saturating_add(VOUCH_STATUS_S_MAX);
            home.vouches.change(|book| book.say(&voucher, id, state, until));
        }
        return Ok(());
    }
    // Two messages may come in one moment; one of them asks.
    home.vouches.change(|book| ids.retain(|id| book.ask(*id, now)));
    ids.truncate(TOKEN_IDS_MAX);
    let query = VouchMessage::Query { ids: ids.clone() };
    let (Some(agent), false) = (home.identities.by_did(agent), ids.is_empty()) else {
        return Ok(());
    };
    let Some(message) = address(query, &agent.did, &voucher, None) else { return Ok(()) };
    let home = Arc::clone(home);
    // Apart from the message that is being judged: its sender waits for the answer elsewhere.
    tokio::spawn(async move {
        // Nobody is asked again before long, so no more wait for a place than there are vouches.
        let place = home.vouches.asking.acquire().await;
        if place.is_err() || !send(&home, message).await {
            home.vouches.change(|book| ids.iter().for_each(|id| book.give_up(*id)));
        }
    });
    Ok(())
}

/// Sends what the home says for an agent; nobody waits for it.
pub(crate) fn post(home: &Arc<Home>, message: Message) {
    let home = Arc::clone(home);
    tokio::spawn(async move { send(&home, message).await });
}

/// Puts what the home says for an agent into the outbox; says whether it is there.
async fn send(home: &Arc<Home>, message: Message) -> bool {
    let queued = match outbound::prepare_notice(home, message).await {
        Ok(queued) => queued,
        Err(reason) => {
            tracing::debug!(%reason, "a message about vouches cannot be sent");
            return false;
        }
    };
    let committed = home.commit(Batch::new(), Debts::new(), Some(queued)).await;
    matches!(committed, Ok(Committed::Durable))
}

/// Makes a message of the protocol from an agent to a peer.
fn address(message: VouchMessage, from: &Did, to: &Did, thid: Option<&str>) -> Option<Message> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    let mut message = message.into_message(id);
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message.thid = thid.map(str::to_owned);
    Some(message)
}
