//! How the work of this home's agents ended, and that of others as far as they were shown: keeps what
//! both sides signed, and counts it for the policy.
//!
//! What messages tell is in `hear.rs`, what operators do in `act.rs`. What outcomes are worth is
//! decided in `comity_core::trust::reputation`.

mod act;
mod hear;

pub(crate) use act::{agree, import, propose, show};
pub(crate) use hear::{from_message, take_besides};

use std::collections::{BTreeMap, BTreeSet};

use comity_core::trust::reputation::{Outcomes, Standings, trust_in, weight};
use comity_core::trust::{
    Direction, Level, Outcome, OutcomeError, Proposal, SignedOutcome, VouchBook, subject,
};
use comity_didcomm::Did;
use comity_store::records::outcomes::{self, Agreed, Kept};
use comity_store::records::{mailbox, outbox, relations};
use comity_store::{Batch, StoreFault};
use tokio::time::timeout;

use crate::home::Home;
use crate::limits::NOTICE_ADDRESS_DEADLINE;

/// Why two texts are not kept as an outcome.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unproven {
    /// A document of one side cannot be had at this moment.
    #[error("the DID document of one side cannot be had")]
    Document,
    /// They are no outcome.
    #[error(transparent)]
    Outcome(#[from] OutcomeError),
}

/// What an agent's operator believes about the work of others.
pub(crate) struct Belief {
    /// Each outcome with its weight, heaviest and newest first.
    pub(crate) weighed: Vec<(Agreed, f64)>,
}

impl Belief {
    /// Counts the outcomes by those who worked.
    pub(crate) fn records(&self) -> BTreeMap<Did, Outcomes> {
        let mut records: BTreeMap<Did, Outcomes> = BTreeMap::new();
        for (agreed, weight) in self.weighed.iter().filter(|(_, weight)| 0.0 < *weight) {
            let record = records.entry(subject(&agreed.work.worker)).or_default();
            record.add(agreed.work.outcome, *weight);
        }
        records
    }
}

/// Computes what outcomes leave of the vouches in a book, as an agent's operator sees it.
pub(crate) async fn standings(
    home: &Home,
    agent: &Did,
    anchors: &BTreeSet<Did>,
    book: &VouchBook,
) -> Result<Standings, StoreFault> {
    let belief = belief(home, agent, anchors).await?;
    Ok(Standings::new(&belief.records(), book, home.now()))
}

/// Weighs all that an agent has of outcomes by how far its operator trusts the client of each.
pub(crate) async fn belief(
    home: &Home,
    agent: &Did,
    anchors: &BTreeSet<Did>,
) -> Result<Belief, StoreFault> {
    let store = home.store.as_ref();
    let mut all = outcomes::own(store, agent).await?;
    all.extend(outcomes::shown(store, agent).await?);
    let mut weights: BTreeMap<Did, f64> = BTreeMap::new();
    let mut weighed = Vec::new();
    for agreed in all {
        let client = subject(&agreed.work.client);
        let weight = match weights.get(&client) {
            Some(weight) => *weight,
            None => {
                let weight = weight(trust(home, agent, anchors, &client).await?);
                weights.insert(client, weight);
                weight
            }
        };
        weighed.push((agreed, weight));
    }
    weighed.sort_by(|(one, weight), (other, its)| {
        its.total_cmp(weight).then(other.work.at.cmp(&one.work.at))
    });
    Ok(Belief { weighed })
}

/// Says how far an agent's operator trusts somebody.
async fn trust(
    home: &Home,
    agent: &Did,
    anchors: &BTreeSet<Did>,
    party: &Did,
) -> Result<Level, StoreFault> {
    let entries = relations::about(home.store.as_ref(), agent, Direction::In, party).await?;
    Ok(trust_in(party, agent, anchors, &entries, home.now()))
}

/// Whether an agent really had to do with somebody in a thread: it wrote there, or it let in the message
/// that began it. Strangers can make neither up.
async fn had_thread(
    home: &Home,
    agent: &Did,
    peer: &Did,
    thread: &str,
) -> Result<bool, StoreFault> {
    let store = home.store.as_ref();
    Ok(outbox::wrote_in_thread(store, agent, peer, thread).await?.is_some()
        || mailbox::began_thread(store, agent, peer, thread).await?)
}

/// Verifies one side's text with the document of whoever claims to have signed it.
async fn verify_side(home: &Home, token: &str) -> Result<Proposal, Unproven> {
    let signed = SignedOutcome::parse(token)?;
    match timeout(NOTICE_ADDRESS_DEADLINE, home.resolve(signed.signer())).await {
        Ok(Ok(resolved)) => Ok(signed.verify(&resolved.document, home.now())?),
        Ok(Err(_)) | Err(_) => Err(Unproven::Document),
    }
}

/// Verifies both.
async fn verify(home: &Home, [one, other]: &[String; 2]) -> Result<Outcome, Unproven> {
    let (one, other) = (verify_side(home, one).await?, verify_side(home, other).await?);
    Ok(one.with(&other)?)
}

/// Adds a verified outcome to a batch, for an agent.
async fn keep(
    home: &Home,
    batch: &mut Batch,
    agent: &Did,
    outcome: &Outcome,
    tokens: &[String; 2],
) -> Result<Kept, StoreFault> {
    let agreed = Agreed { id: outcome.id(), work: outcome.work().clone() };
    outcomes::agree(home.store.as_ref(), batch, agent, &agreed, tokens, home.now()).await
}
