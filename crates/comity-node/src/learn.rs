//! What messages tell about those that this home sent: receipts, acknowledgements, problem reports.
//!
//! Whether a peer may say so is decided by `comity_core::receipt`; here it is looked up and stored.

use std::collections::BTreeSet;
use std::sync::Arc;

use comity_core::event::Event;
use comity_core::inbound::{Commit, Placement};
use comity_core::limits::RECEIPTS_PER_MESSAGE_MAX;
use comity_core::log::{Act, Statement};
use comity_core::protocol::{RECEIPT_QUERY, RECEIPT_RECEIPT};
use comity_core::receipt::{self, QueryItem, Receipt, Rung, State};
use comity_core::record::{Notice, Sent};
use comity_core::trust::subject;
use comity_didcomm::{Did, DidDocument, Message};
use comity_store::records::due::Due;
use comity_store::records::notices::Debts;
use comity_store::records::{MessageKey, ladder, mailbox, outbox};
use comity_store::{Batch, StoreFault};
use serde_json::Value;

use crate::deliver::StateEvent;
use crate::grants;
use crate::home::Home;
use crate::{ledger, outcomes, vouches};

/// What was learned, to be told once it is durable.
#[derive(Default)]
pub(crate) struct Learned {
    events: Vec<StateEvent>,
    /// Whether somebody asked about messages that it may ask about.
    answered: bool,
    /// What was said about grants.
    pub(crate) grants: grants::Heard,
    /// What operators should know.
    pub(crate) happened: Vec<Event>,
    /// What the home answers to it, in its agent's name.
    answers: Vec<Message>,
    /// Whether the sender spoke of messages of this home, and may.
    is_counterparty: bool,
    /// What the sender tells of its log and of ours, not read yet.
    pub(crate) quote: Option<Value>,
    /// Whose log says now that the sender's document was used.
    documents: Vec<(Did, Arc<DidDocument>)>,
}

impl Learned {
    /// Tells the agents whose messages got further, and answers.
    pub(crate) fn tell(self, home: &Arc<Home>) {
        self.events.iter().for_each(|event| home.mailboxes.tell(event));
        self.documents.iter().for_each(|(agent, used)| home.document_recorded(agent, used));
        self.answers.into_iter().for_each(|answer| vouches::post(home, answer));
    }

    /// Whether it was about messages that the sender and this home have to do with each other for.
    pub(crate) const fn was_of_use(&self) -> bool {
        self.answered || !self.events.is_empty()
    }

    /// Keeps the receipts, and adds to the log of each agent whose messages got further that they came.
    async fn record(
        &mut self,
        home: &Home,
        batch: &mut Batch,
        commit: &Commit,
        jws: &str,
    ) -> Result<(), StoreFault> {
        if !home.ledger.recording().is_kept() {
            ladder::put_evidence(batch, jws);
            return Ok(());
        }
        let agents: BTreeSet<Did> = self.events.iter().map(|event| event.agent.clone()).collect();
        let (received, salt) = (commit.received(), rand::random());
        let shared = home.share(batch, &salt, jws);
        ladder::put_evidence_shared(batch, &shared);
        let (recipient, sender) = (&received.recipient, &received.sender);
        // Hashed once: what one agent shows of it, the others may.
        let mut statement = Statement::about_message(
            Act::Receipt,
            (recipient, sender),
            &received.id,
            jws.as_bytes(),
            &salt,
            home.now(),
        );
        statement.document = Some(received.document.clone());
        statement.type_.clone_from(&received.type_);
        for agent in agents {
            statement.agent = subject(&agent);
            home.recording_shared(&shared).append(batch, &statement);
            if home.record_document(batch, &agent, commit.document()).await? {
                self.documents.push((agent, Arc::clone(commit.document())));
            }
        }
        Ok(())
    }

    /// Adds a rung to a sent message, unless the state is known already: the first word counts.
    pub(crate) async fn climb(
        &mut self,
        home: &Home,
        batch: &mut Batch,
        sent: &Sent,
        rung: Rung,
    ) -> Result<bool, StoreFault> {
        let message = MessageKey::sent(&sent.sender, &sent.id);
        let repeated = self.events.iter().any(|event| event.is(sent, rung.state))
            || ladder::has_reached(home.store.as_ref(), message, rung.state).await?;
        if repeated {
            return Ok(false);
        }
        ladder::put_sent(batch, message, &rung);
        grants::drop_refused(home, batch, sent, &rung).await?;
        self.events.push(StateEvent { agent: sent.sender.clone(), id: sent.id.clone(), rung });
        Ok(true)
    }
}

/// Adds to a message's own batch what it tells about others.
pub(crate) async fn from_message(
    home: &Arc<Home>,
    batch: &mut Batch,
    debts: &mut Debts,
    commit: &Commit,
) -> Result<Learned, StoreFault> {
    let mut learned = Learned::default();
    if matches!(commit.placement(), Placement::Refused(..) | Placement::Request) {
        return Ok(learned);
    }
    let message = commit.message();
    let received = commit.received();
    match message.type_.to_string().as_str() {
        RECEIPT_RECEIPT => {
            // What is not signed proves nothing to others, and is not a receipt.
            if let (Ok(receipts), Some(jws)) =
                (receipt::parse_receipts(message), commit.opened().signed())
            {
                from_receipts(home, batch, &mut learned, &received.sender, &receipts).await?;
                if !learned.events.is_empty() {
                    learned.record(home, batch, commit, jws).await?;
                }
                if learned.is_counterparty {
                    ledger::check_times(home, &received.sender, &receipts, jws).await?;
                }
                // Of a log is heard by those who have to do with this home, and know its log or should.
                let is_introduction =
                    receipts.is_empty() && home.ledger.was_shown_to(&received.sender);
                if learned.is_counterparty || is_introduction {
                    learned.quote = message.body.get("log").cloned();
                }
            }
        }
        RECEIPT_QUERY => {
            if let Ok(items) = receipt::parse_query(message) {
                learned.answered = answer_query(home, debts, &received.sender, &items).await?;
            }
        }
        _ => {
            let (answer, happened) = vouches::from_message(home, batch, commit).await?;
            learned.answers.extend(answer);
            learned.happened = happened;
            outcomes::from_message(home, batch, commit).await?;
            from_headers(home, batch, &mut learned, commit).await?;
        }
    }
    if matches!(commit.placement(), Placement::Home) {
        learned.grants = grants::from_message(home, batch, commit).await?;
    }
    Ok(learned)
}

/// Applies receipts that `signer` signed.
pub(crate) async fn from_receipts(
    home: &Home,
    batch: &mut Batch,
    learned: &mut Learned,
    signer: &Did,
    receipts: &[Receipt],
) -> Result<(), StoreFault> {
    for receipt in receipts {
        let message = MessageKey::sent(&receipt.from, &receipt.id);
        let Some(sent) = outbox::sent(home.store.as_ref(), message).await? else { continue };
        if let Some(rung) = receipt::apply(receipt, &sent, signer) {
            learned.is_counterparty = true;
            let expired = rung.state == State::Expired;
            if learned.climb(home, batch, &sent, rung).await? && expired {
                // Its sender hears of it from us; a refusal it hears of from the recipient.
                Due::ReportExpired(message).put(batch, home.now());
            }
        } else {
            tracing::warn!(%signer, "a receipt does not fit the message it names");
        }
    }
    Ok(())
}

/// Owes the receipts again that the asker was owed before. Says whether one of the messages was let
/// in: those of strangers make nobody a peer.
async fn answer_query(
    home: &Home,
    debts: &mut Debts,
    asker: &Did,
    items: &[QueryItem],
) -> Result<bool, StoreFault> {
    let mut was_let_in = false;
    for item in items {
        let message = MessageKey::received(&item.to, &item.from, &item.id);
        let Some((known, _)) = mailbox::known(home.store.as_ref(), message).await? else {
            continue;
        };
        let notice = Notice::Receipts(asker.clone());
        if known.received.notice != notice {
            continue;
        }
        let Some(ladder) = ladder::received(home.store.as_ref(), message).await? else { continue };
        was_let_in |= known.received.admitted.is_some();
        for rung in &ladder.rungs {
            debts.owe(&known.received, rung);
        }
    }
    Ok(was_let_in)
}

/// Reads the `ack` header: what peers say that know only standard DIDComm.
async fn from_headers(
    home: &Home,
    batch: &mut Batch,
    learned: &mut Learned,
    commit: &Commit,
) -> Result<(), StoreFault> {
    let (message, received) = (commit.message(), commit.received());
    for id in message.ack.iter().take(RECEIPTS_PER_MESSAGE_MAX) {
        let key = MessageKey::sent(&received.recipient, id);
        let Some(sent) = outbox::sent(home.store.as_ref(), key).await? else { continue };
        if let Some(rung) = receipt::apply_ack(message, received, &sent) {
            learned.climb(home, batch, &sent, rung).await?;
        }
    }
    Ok(())
}
