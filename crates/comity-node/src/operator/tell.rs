//! Tells the operator's agent of requests, and of what has become of them: event by event, each once.

use std::sync::Arc;
use std::time::Duration;

use comity_core::event::Event;
use comity_core::limits::RETRY_MS_MAX;
use comity_core::protocol::operator::{Asked, Operator, Outcome};
use comity_core::trust::subject;
use comity_didcomm::{Did, Message, MessageId};
use comity_store::records::events::{self, Happened, Progress, Reader};
use comity_store::records::notices::Debts;
use comity_store::records::outbox::{self, Destination};
use comity_store::records::{MessageKey, mailbox, message_key};
use comity_store::{Batch, Seq, StoreFault};
use tokio::time::timeout;

use super::{addressed, decided, thread_of};
use crate::home::{Committed, Home};
use crate::limits::{EVENTS_READ_AT_ONCE, OPERATOR_ROWS_LOOKED_AT, OPERATOR_UNTOLD_MAX, SLOW_POLL};
use crate::outbound;

/// How far one step came.
enum Step {
    /// Everything that has happened is told.
    All,
    /// Something was told.
    Further,
    /// The operator cannot be told at this moment, and why.
    Later(String),
}

/// Tells the operator, for as long as the node runs.
pub(crate) async fn run(home: Arc<Home>, operator: Did) {
    let mut news = home.news.listen();
    let mut pause = PAUSE_FIRST;
    loop {
        let step = tell(&home, &operator).await;
        let trouble = match step {
            Ok(Step::All) => {
                home.told.set(None);
                pause = PAUSE_FIRST;
                let _woken_or_time = timeout(SLOW_POLL, news.changed()).await.is_ok();
                continue;
            }
            Ok(Step::Further) => {
                pause = PAUSE_FIRST;
                continue;
            }
            Ok(Step::Later(trouble)) => trouble,
            Err(fault) => {
                tracing::error!(%fault, "events cannot be read for the operator");
                fault.to_string()
            }
        };
        home.told.set(Some(trouble));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_millis(RETRY_MS_MAX));
    }
}

const PAUSE_FIRST: Duration = Duration::from_secs(1);

async fn tell(home: &Arc<Home>, operator: &Did) -> Result<Step, StoreFault> {
    let store = home.store.as_ref();
    let who = subject(operator);
    let mut progress = events::begin(store, Reader::Operator, who.as_str()).await?;
    let happened = events::after(store, progress.place, EVENTS_READ_AT_ONCE).await?;
    if happened.is_empty() {
        return Ok(Step::All);
    }
    let mut is_saved = true;
    for event in happened {
        progress.place = event.place;
        let Some(message) = compose(home, operator, &event, &progress).await? else {
            is_saved = false;
            continue;
        };
        let queued = match outbound::prepare_notice(home, message).await {
            Ok(queued) => queued,
            Err(reason) => return Ok(Step::Later(reason.to_string())),
        };
        // Whoever is away for long is told the rest later, and receipts for others have room.
        let destination = Destination::of(queued.outgoing());
        let rows = outbox::rows(store, destination, Seq(0), OPERATOR_ROWS_LOOKED_AT).await?;
        let is_ours = |sender: &Did, to: &Did| *sender == home.did && to.same_subject(operator);
        let waiting = rows.iter().filter(|(_, row)| is_ours(&row.sender, &row.recipient)).count();
        if OPERATOR_UNTOLD_MAX <= waiting {
            return Ok(Step::Later(format!("{waiting} messages wait to be sent to it")));
        }
        let mut batch = Batch::new();
        events::put_progress(&mut batch, Reader::Operator, &progress);
        if home.commit(batch, Debts::new(), Some(queued)).await? != Committed::Durable {
            return Ok(Step::Later("the outbox is full".to_owned()));
        }
        is_saved = true;
    }
    if !is_saved {
        let mut batch = Batch::new();
        events::put_progress(&mut batch, Reader::Operator, &progress);
        home.commit(batch, Debts::new(), None).await.map(drop)?;
    }
    Ok(Step::Further)
}

/// Composes what an event says to the operator, if it says anything.
async fn compose(
    home: &Home,
    operator: &Did,
    happened: &Happened,
    progress: &Progress,
) -> Result<Option<Message>, StoreFault> {
    let ended = |agent, peer, id: &str, outcome| {
        // Of what was over before, this operator was never asked.
        let is_new = progress.since < happened.place.seq;
        let thread = thread_of(MessageKey::received(agent, peer, id));
        is_new.then(|| decided(home, operator, &thread, outcome)).flatten()
    };
    Ok(match &happened.event {
        Event::RequestArrived { agent, peer, message, .. } => {
            let message = MessageKey::received(agent, peer, message.as_str());
            let waiting = mailbox::request(home.store.as_ref(), agent, peer).await?;
            let waiting = waiting.filter(|one| message_key(&one.held.received) == message);
            waiting.and_then(|waiting| asked(home, operator, message, &waiting))
        }
        Event::RequestDecided { agent, peer, message, decision, .. } => {
            ended(agent, peer, message.as_str(), Outcome::from(*decision))
        }
        Event::RequestExpired { agent, peer, message } => {
            ended(agent, peer, message.as_str(), Outcome::Expired)
        }
        _ => None,
    })
}

fn asked(
    home: &Home,
    operator: &Did,
    message: MessageKey,
    waiting: &mailbox::Waiting,
) -> Option<Message> {
    let (request, received) = (&waiting.held.request, &waiting.held.received);
    let agent = home.identities.by_did(&received.recipient)?;
    let asked = Asked {
        agent: agent.name.clone(),
        agent_did: agent.did.clone(),
        did: request.did.clone(),
        protocol: request.protocol.clone(),
        message: received.id.parse().ok()?,
        received_at: request.received_at,
        until: request.until,
        size_bytes: received.size_bytes as u64,
    };
    let id = MessageId::parse(&thread_of(message)).ok()?;
    let message = Operator::Request(Box::new(asked)).into_message(id);
    // It is of no use for longer than the request waits.
    Some(addressed(home, operator, message, request.until))
}
