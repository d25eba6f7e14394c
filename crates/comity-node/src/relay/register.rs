//! Coordinate Mediation: who has messages taken, and for whom.

use std::sync::Arc;

use comity_core::admission::Rule;
use comity_core::limits::{RECIPIENT_UPDATES_MAX, RECIPIENTS_LISTED_MAX};
use comity_core::protocol::coordinate_mediation::{
    Action, Mediation, Paginate, Pagination, Update, UpdateResult, Updated, Version,
};
use comity_core::refusal::Refusal;
use comity_core::relay::{
    Answer, AnswerGoes, Change, Decision, RecipientFacts, Recipients, RegisterFacts, Registrant,
    Served, Verdict, change, change_rule, register,
};
use comity_core::trust::subject;
use comity_didcomm::{Did, DidDocument};
use comity_store::records::relay;
use comity_store::{Batch, CommitError, Conflict, StoreFault};
use futures_util::future::join_all;

use super::serve::repeated;
use crate::home::Home;
use crate::limits::CONFLICTS_MAX;

/// Answers a `mediate-request`.
pub(super) async fn mediate(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    answer: AnswerGoes,
) -> Result<Answer, StoreFault> {
    let store = home.store.as_ref();
    let grant =
        Answer::Mediation(version, Mediation::Grant { routing_did: vec![home.did.clone()] });
    for _attempt in 0..CONFLICTS_MAX {
        let invitation = match served.pthid() {
            Some(id) => relay::invitation(store, id).await?,
            None => None,
        };
        let registrant = relay::registrant(store, served.sender()).await?;
        let facts = RegisterFacts { registrant, invitation, answer };
        let policy = home.config.relay.as_ref();
        let (registrant, invitation) = match register(served.sender(), policy, &facts, home.now()) {
            Decision::Deny => return Ok(Answer::Mediation(version, Mediation::Deny)),
            Decision::Known => return Ok(grant),
            Decision::Grant { registrant, invitation } => (registrant, invitation),
        };
        let mut batch = Batch::new();
        // A repeat of the request finds the grant; the row is for one that comes when it is gone.
        let first = relay::remember(&mut batch, served, Vec::new(), home.now());
        relay::grant(&mut batch, &registrant, facts.registrant.as_ref(), invitation.as_ref());
        match store.commit(batch).await {
            Ok(_) => {
                tracing::info!(registrant = %registrant.did, "mediation was granted");
                return Ok(grant);
            }
            Err(CommitError::Conflict(Conflict::Assertion { index })) if index == first => {
                // The same request in this moment, or one whose grant is gone by now.
                let known = granted(home, served.sender()).await?.is_some();
                return Ok(if known { grant } else { Answer::Mediation(version, Mediation::Deny) });
            }
            Err(CommitError::Conflict(Conflict::Assertion { .. })) => {}
            Err(CommitError::Conflict(Conflict::Bound { .. })) => {
                tracing::warn!("the relay has as many registrants as it takes");
                return Ok(Answer::Problem(Refusal::Busy));
            }
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(Answer::Problem(Refusal::Busy))
}

/// Reads a grant that the policy still honours.
pub(super) async fn granted(home: &Home, sender: &Did) -> Result<Option<Registrant>, StoreFault> {
    let Some(registrant) = relay::registrant(home.store.as_ref(), sender).await? else {
        return Ok(None);
    };
    let (known, answer) = (Some(registrant.clone()), AnswerGoes::Back);
    let facts = RegisterFacts { registrant: known, invitation: None, answer };
    let decision = register(sender, home.config.relay.as_ref(), &facts, home.now());
    Ok((decision == Decision::Known).then_some(registrant))
}

/// Notes that a grant is used: the asker's own, and the one under which it is registered.
pub(super) async fn note_use(home: &Home, sender: &Did) -> Result<(), StoreFault> {
    let store = home.store.as_ref();
    let registered = relay::recipient(store, sender).await?.map(|row| row.registrant);
    let other = registered.filter(|registrant| !registrant.same_subject(sender));
    for did in [Some(sender), other.as_ref()].into_iter().flatten() {
        let Some(registrant) = relay::registrant(store, did).await? else { continue };
        let Some(batch) = relay::used(store, &registrant, home.now()).await? else { continue };
        match store.commit(batch).await {
            // It has ended in this moment, or is another one.
            Ok(_) | Err(CommitError::Conflict(_)) => {}
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(())
}

/// Answers a `recipient-update` or `keylist-update`.
pub(super) async fn update(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    updates: &[Update],
) -> Result<Answer, StoreFault> {
    match repeated(home, served).await? {
        Some(Ok(known)) => return Ok(first_answer(version, updates, &known)),
        Some(Err(refusal)) => return Ok(Answer::Problem(refusal)),
        None => {}
    }
    let Some(registrant) = granted(home, served.sender()).await? else {
        return Ok(Answer::Problem(Refusal::NotGranted));
    };
    let documents = documents(home, served, updates).await;
    for _attempt in 0..CONFLICTS_MAX {
        let decided = decide(home, served, updates, &documents).await?;
        let results = decided.iter().map(Decided::result).collect();
        let mut batch = Batch::new();
        let first = relay::remember(&mut batch, served, results, home.now());
        relay::assert_granted(&mut batch, &registrant);
        let quotas = home.config.relay.as_ref().map(|policy| policy.quotas).unwrap_or_default();
        for change in decided.iter().filter_map(|decided| decided.change.as_ref()) {
            relay::apply(home.store.as_ref(), &mut batch, change, &quotas).await?;
        }
        match home.store.commit(batch).await {
            Ok(_) => {
                let updated = updates.iter().zip(decided).map(|(update, decided)| Updated {
                    recipient_did: update.recipient_did.clone(),
                    action: update.action,
                    result: decided.result,
                    code: decided.refusal.map(|refusal| refusal.code().to_owned()),
                });
                return Ok(Answer::Mediation(version, Mediation::Updated(updated.collect())));
            }
            Err(CommitError::Conflict(Conflict::Assertion { index })) if index == first => {
                // The same request came on another connection in this moment.
                return match repeated(home, served).await? {
                    Some(Ok(known)) => Ok(first_answer(version, updates, &known)),
                    _ => Ok(Answer::Problem(Refusal::IdReuse)),
                };
            }
            Err(CommitError::Conflict(Conflict::Assertion { .. })) => {}
            Err(CommitError::Conflict(Conflict::Bound { .. })) => {
                return Ok(Answer::Problem(Refusal::RecipientsFull));
            }
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(Answer::Problem(Refusal::Busy))
}

/// Answers a `rule` of Admission.
pub(super) async fn rule(
    home: &Arc<Home>,
    served: &Served,
    did: &Did,
    rule: Option<&Rule>,
) -> Result<Answer, StoreFault> {
    let store = home.store.as_ref();
    let answer = Answer::RuleSet(did.clone());
    for _attempt in 0..CONFLICTS_MAX {
        // A recorded request must not bring a former key back.
        match repeated(home, served).await? {
            Some(Ok(_)) => return Ok(answer),
            Some(Err(refusal)) => return Ok(Answer::Problem(refusal)),
            None => {}
        }
        let row = relay::recipient(store, did).await?;
        let is_own = row.as_ref().is_some_and(|row| row.did.same_subject(served.sender()));
        if !is_own && granted(home, served.sender()).await?.is_none() {
            return Ok(Answer::Problem(Refusal::NotGranted));
        }
        let change = match change_rule(served.sender(), rule, row.as_ref()) {
            Ok(change) => change,
            Err(refusal) => return Ok(Answer::Problem(refusal)),
        };
        let mut batch = Batch::new();
        relay::remember(&mut batch, served, Vec::new(), home.now());
        if let Some(change) = &change {
            let quotas = home.config.relay.as_ref().map(|policy| policy.quotas).unwrap_or_default();
            relay::apply(store, &mut batch, change, &quotas).await?;
        }
        match store.commit(batch).await {
            Ok(_) => return Ok(answer),
            // The registration has changed in this moment, or the same request came twice: look
            // again.
            Err(CommitError::Conflict(Conflict::Assertion { .. })) => {}
            Err(CommitError::Conflict(Conflict::Bound { .. })) => break,
            Err(CommitError::Fault(fault)) => return Err(fault),
        }
    }
    Ok(Answer::Problem(Refusal::Busy))
}

/// Answers a `recipient-query` or `keylist-query`.
pub(super) async fn list(
    home: &Arc<Home>,
    served: &Served,
    version: Version,
    page: Option<Paginate>,
) -> Result<Answer, StoreFault> {
    if granted(home, served.sender()).await?.is_none() {
        return Ok(Answer::Problem(Refusal::NotGranted));
    }
    let whole = Paginate { limit: RECIPIENTS_LISTED_MAX as u64, offset: 0 };
    let page = page.unwrap_or(whole);
    let size = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    let max = home.config.relay.as_ref().map_or(0, |policy| policy.quotas.recipients_max);
    let max = size(u64::from(max)).max(RECIPIENTS_LISTED_MAX);
    let (dids, _) = relay::recipients_of(home.store.as_ref(), served.sender(), max).await?;
    let all = dids.len();
    let limit = size(page.limit).min(RECIPIENTS_LISTED_MAX);
    let dids: Vec<Did> = dids.into_iter().skip(size(page.offset)).take(limit).collect();
    let count = dids.len() as u64;
    let remaining = (all as u64).saturating_sub(page.offset.saturating_add(count));
    let pagination = Some(Pagination { count, offset: page.offset, remaining });
    Ok(Answer::Mediation(version, Mediation::List { dids, pagination }))
}

/// What was decided about one item.
struct Decided {
    change: Option<Box<Change>>,
    result: UpdateResult,
    refusal: Option<Refusal>,
}

impl Decided {
    fn result(&self) -> (String, Option<String>) {
        (self.result.as_str().to_owned(), self.refusal.map(|refusal| refusal.code().to_owned()))
    }
}

async fn decide(
    home: &Home,
    served: &Served,
    updates: &[Update],
    documents: &[Option<Arc<DidDocument>>],
) -> Result<Vec<Decided>, StoreFault> {
    let Some(policy) = &home.config.relay else { return Ok(Vec::new()) };
    let store = home.store.as_ref();
    let (_, registered) = relay::recipients_of(store, served.sender(), 0).await?;
    let mut registered = u64::try_from(registered).unwrap_or(0);
    let mut seen: Vec<Did> = Vec::with_capacity(updates.len());
    let mut decided = Vec::with_capacity(updates.len());
    for (update, document) in updates.iter().zip(documents) {
        let did = subject(&update.recipient_did);
        if seen.contains(&did) {
            // Twice in one message: the rows that decide are those from before it.
            let (result, refusal) = (UpdateResult::ClientError, Some(Refusal::Malformed));
            decided.push(Decided { change: None, result, refusal });
            continue;
        }
        let row = relay::recipient(store, &did).await?;
        let document = document.as_deref();
        let facts = RecipientFacts { row: row.as_ref(), document, registered };
        let verdict = change(served.sender(), update, policy, &facts, &home.did, home.now());
        decided.push(match verdict {
            Verdict::Change(change) => {
                let gains = change.after.is_some() && change.before.is_none();
                registered = registered.saturating_add(u64::from(gains));
                let (result, refusal) = (UpdateResult::Success, None);
                Decided { change: Some(change), result, refusal }
            }
            Verdict::Leave(result, refusal) => Decided { change: None, result, refusal },
        });
        seen.push(did);
    }
    Ok(decided)
}

/// Gets the documents of those who are to be registered. The asker's own is at hand.
async fn documents(
    home: &Home,
    served: &Served,
    updates: &[Update],
) -> Vec<Option<Arc<DidDocument>>> {
    let policy = home.config.relay.as_ref();
    let needs_proof = policy.is_none_or(|policy| policy.recipients == Recipients::Proven);
    let document = async |update: &Update| {
        if update.action == Action::Remove {
            return None;
        }
        if update.recipient_did.same_subject(served.sender()) {
            return Some(Arc::clone(served.document()));
        }
        // What is refused in any case is no reason to ask a third party for its document.
        if update.proof.is_none() && needs_proof {
            return None;
        }
        let resolved = home.resolve(&update.recipient_did).await.ok()?;
        Some(Arc::clone(&resolved.document))
    };
    join_all(updates.iter().take(RECIPIENT_UPDATES_MAX).map(document)).await
}

fn first_answer(version: Version, updates: &[Update], known: &relay::Answered) -> Answer {
    let all = [
        UpdateResult::ClientError,
        UpdateResult::NoChange,
        UpdateResult::ServerError,
        UpdateResult::Success,
    ];
    let updated = updates.iter().zip(&known.results).map(|(update, (word, code))| Updated {
        recipient_did: update.recipient_did.clone(),
        action: update.action,
        result: all
            .into_iter()
            .find(|result| result.as_str() == word)
            .unwrap_or(UpdateResult::ServerError),
        code: code.clone(),
    });
    Answer::Mediation(version, Mediation::Updated(updated.collect()))
}
