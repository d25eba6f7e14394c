//! What messages tell about how work ended. Nothing of it is kept that is not about this home's agent
//! or by somebody whom its operator believes, so strangers fill nothing.

use std::sync::Arc;

use comity_core::inbound::{Commit, Placement};
use comity_core::protocol::OUTCOME;
use comity_core::protocol::attached_tokens::{AttachedTokens, TokenKind};
use comity_core::protocol::outcome::OutcomeMessage;
use comity_core::trust::{Level, Outcome, OutcomeError, SignedOutcome, Work};
use comity_didcomm::{Attachment, Did};
use comity_store::records::notices::Debts;
use comity_store::records::outcomes::{self, Kept, Proposed, Side};
use comity_store::records::relations;
use comity_store::{Batch, StoreFault};

use super::{Unproven, had_thread, keep, trust, verify_side};
use crate::home::Home;

/// Adds to a message's own batch what it tells about outcomes.
pub(crate) async fn from_message(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
) -> Result<(), StoreFault> {
    let message = commit.message();
    let is_ours = OUTCOME.parse().is_ok_and(|known| message.type_.protocol().matches(&known));
    if !is_ours || !matches!(commit.placement(), Placement::Home) {
        return Ok(());
    }
    match OutcomeMessage::parse(message) {
        Ok(OutcomeMessage::Propose { token, comment }) => {
            proposed(home, batch, commit, token, comment).await
        }
        Ok(OutcomeMessage::Agreed { outcomes }) => shown(home, batch, commit, &outcomes).await,
        Err(error) => {
            tracing::debug!(%error, "a message about an outcome is passed over");
            Ok(())
        }
    }
}

/// Takes what is shown besides a message that was let in, when that is durable: documents may have to be
/// fetched, and what the operator decides meanwhile is about the next message.
pub(crate) async fn take_besides(home: &Arc<Home>, commit: &Commit) -> Result<(), StoreFault> {
    let message = commit.message();
    let is_let_in = matches!(commit.placement(), Placement::Mailbox);
    if !is_let_in || !message.attachments.iter().any(is_outcome) {
        return Ok(());
    }
    let tokens = AttachedTokens::read(message).unwrap_or_default().outcomes;
    let mut batch = Batch::new();
    shown(home, &mut batch, commit, tokens.as_chunks::<2>().0).await?;
    home.commit(batch, Debts::new(), None).await.map(drop)
}

fn is_outcome(attachment: &Attachment) -> bool {
    TokenKind::of(attachment) == Some(TokenKind::Outcome)
}

/// Takes what the sender proposes, for the agent's operator to agree to.
async fn proposed(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
    token: String,
    comment: Option<String>,
) -> Result<(), StoreFault> {
    let (agent, sender) = (&commit.received().recipient, &commit.received().sender);
    let verified = SignedOutcome::parse(&token).and_then(|signed| {
        let is_its_own = signed.signer().same_subject(sender);
        let signed = is_its_own.then_some(signed).ok_or(OutcomeError::Party)?;
        signed.verify(commit.document(), home.now())
    });
    let proposal = match verified {
        Ok(proposal) if proposal.work().is_party(agent) => proposal,
        Ok(_) => return Ok(()),
        Err(error) => {
            tracing::debug!(%sender, %error, "a proposal is passed over");
            return Ok(());
        }
    };
    if !had_thread(home, agent, sender, &proposal.work().thid).await? {
        tracing::debug!(%sender, %agent, "a proposal is about no thread that there was");
        return Ok(());
    }
    let proposed = Proposed {
        id: proposal.id(),
        side: Side::Theirs,
        work: proposal.work().clone(),
        token,
        message: commit.received().id.clone(),
        comment,
    };
    let store = home.store.as_ref();
    if outcomes::propose(store, batch, agent, &proposed, home.now()).await? == Kept::Full {
        tracing::warn!(%agent, "there is no room for another proposal");
    }
    Ok(())
}

/// Takes outcomes that the sender shows: of what it and the agent did together, and of what it did with
/// somebody whom the agent's operator believes.
async fn shown(
    home: &Home,
    batch: &mut Batch,
    commit: &Commit,
    outcomes: &[[String; 2]],
) -> Result<(), StoreFault> {
    let (agent, sender) = (&commit.received().recipient, &commit.received().sender);
    for tokens in outcomes {
        let outcome = match verify(home, commit, tokens).await {
            Ok(Some(outcome)) => outcome,
            Ok(None) => continue,
            Err(Unheard::Store(fault)) => return Err(fault),
            Err(Unheard::Unproven(error)) => {
                tracing::debug!(%sender, %error, "an outcome is passed over");
                continue;
            }
        };
        if keep(home, batch, agent, &outcome, tokens).await? == Kept::Full {
            tracing::debug!(%agent, "there is no room for another outcome");
        }
    }
    Ok(())
}

enum Unheard {
    Store(StoreFault),
    Unproven(Unproven),
}

impl From<StoreFault> for Unheard {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

impl From<OutcomeError> for Unheard {
    fn from(error: OutcomeError) -> Self {
        Self::Unproven(error.into())
    }
}

impl From<Unproven> for Unheard {
    fn from(error: Unproven) -> Self {
        Self::Unproven(error)
    }
}

/// Verifies an outcome, first what the sender signed, so that a document is fetched only for what it
/// answers for, and only of somebody who is believed.
async fn verify(
    home: &Home,
    commit: &Commit,
    tokens: &[String; 2],
) -> Result<Option<Outcome>, Unheard> {
    let (agent, sender) = (&commit.received().recipient, &commit.received().sender);
    let [one, other] = tokens;
    let signed = (SignedOutcome::parse(one)?, SignedOutcome::parse(other)?);
    let ((by_sender, by_other), other) = match signed.0.signer().same_subject(sender) {
        true => (signed, other),
        false => ((signed.1, signed.0), one),
    };
    if !by_sender.signer().same_subject(sender) {
        return Ok(None);
    }
    let by_sender = by_sender.verify(commit.document(), home.now())?;
    // The sender wrote whose work it was, and might name anybody as the other signer.
    let is_of_both = by_other.signer().same_subject(by_sender.work().other_than(sender));
    if !is_of_both || !is_worth_a_look(home, agent, by_sender.work()).await? {
        return Ok(None);
    }
    let by_other = verify_side(home, other).await?;
    Ok(Some(by_sender.with(&by_other)?))
}

async fn is_worth_a_look(home: &Home, agent: &Did, work: &Work) -> Result<bool, StoreFault> {
    if work.is_party(agent) {
        return Ok(true);
    }
    let anchors = relations::anchors(home.store.as_ref(), agent, home.now()).await?;
    Ok(Level::Message <= trust(home, agent, &anchors, &work.client).await?)
}
