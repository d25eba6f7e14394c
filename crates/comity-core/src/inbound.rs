//! The way in, one machine per message: accept, authenticate, authorize, commit, deliver.
//!
//! [`Inbound`] asks for what it needs ([`Output`]) and is given it ([`Input`]). The contract: call
//! [`Inbound::poll_output`]; do what the output says; if it asks for something, answer with exactly
//! one [`Inbound::handle_input`]; poll again until [`Output::Done`]. Polling again without an
//! answer repeats the question.
//!
//! The steps are the files of this folder. What each hands on can be built by that step alone: no
//! envelope is opened that was not [`Accepted`], nothing is judged that was not [`Authenticated`],
//! and the store's functions that keep a message take a [`Commit`], which only an authorized (or
//! duly refused) message becomes.

mod accept;
mod authenticate;
mod authorize;
mod commit;
mod deliver;

pub use accept::{Accepted, Arrival};
pub use authenticate::Authenticated;
pub use authorize::{Authorized, Grant, Verdict};
pub use commit::{Commit, Placement, Written, problem_report};
pub use deliver::{Delivered, Outcome};

use std::sync::Arc;

use comity_didcomm::{AgreementKey, Did, DidDocument, DidUrl};

use crate::Context;
use crate::refusal::Refusal;
use crate::trust::{Facts, Question};

/// What the machine asks for, or hands over.
#[derive(Debug)]
#[non_exhaustive]
pub enum Output {
    /// Write this, all or nothing, durably. Answer with [`Input::Written`].
    Commit(Arc<Commit>),
    /// A message is in its mailbox: wake the agent. Needs no answer.
    Deliver(Delivered),
    /// The end, and what to tell whoever brought the message.
    Done(Outcome),
    /// Look up what is known about this sender and recipient. Answer with [`Input::Facts`].
    Judge(Question),
    /// Which of these keys are ours? Answer with [`Input::Keys`].
    Keys(Vec<DidUrl>),
    /// Get this DID's document. Answer with [`Input::Document`] or [`Input::Unresolvable`].
    Resolve(Did),
}

/// An answer to an [`Output`].
#[non_exhaustive]
pub enum Input {
    /// The document that was asked for.
    Document(Arc<DidDocument>),
    /// What is known.
    Facts(Facts),
    /// The keys that are ours.
    Keys(Vec<(DidUrl, AgreementKey)>),
    /// There is no such document to be had.
    Unresolvable(Did),
    /// What became of the commit.
    Written(Written),
}

/// The machine.
pub struct Inbound {
    context: Context,
    stage: Stage,
}

enum Stage {
    Authenticate(Box<Accepted>),
    Authorize(Box<Authenticated>),
    Commit(Arc<Commit>),
    Deliver(Delivered, Outcome),
    Done(Outcome),
}

impl Inbound {
    /// Takes bytes that arrived. Refuses them at once when their size, media type or shape is
    /// wrong; nothing was decrypted by then.
    ///
    /// # Errors
    /// A refusal of the transport plane.
    pub fn new(arrival: Arrival, context: Context) -> Result<Self, Refusal> {
        let accepted = accept::accept(arrival, context.now)?;
        Ok(Self { context, stage: Stage::Authenticate(Box::new(accepted)) })
    }

    /// Says what is needed next.
    pub fn poll_output(&mut self) -> Output {
        loop {
            match &mut self.stage {
                Stage::Authenticate(accepted) => match authenticate::poll(accepted) {
                    Ok(authenticate::Poll::Needs(output)) => return output,
                    Ok(authenticate::Poll::Ready(authenticated)) => {
                        self.stage = Stage::Authorize(authenticated);
                    }
                    Err(refusal) => self.stage = Stage::Done(Outcome::TurnedAway(refusal)),
                },
                Stage::Authorize(authenticated) => return Output::Judge(authenticated.question()),
                Stage::Commit(commit) => return Output::Commit(Arc::clone(commit)),
                Stage::Deliver(delivered, outcome) => {
                    let delivered = delivered.clone();
                    self.stage = Stage::Done(*outcome);
                    return Output::Deliver(delivered);
                }
                Stage::Done(outcome) => return Output::Done(*outcome),
            }
        }
    }

    /// Takes the answer to the last output. An answer to a question that was not asked changes
    /// nothing.
    pub fn handle_input(&mut self, input: Input) {
        let stage =
            std::mem::replace(&mut self.stage, Stage::Done(Outcome::TurnedAway(Refusal::Busy)));
        self.stage = match (stage, input) {
            (Stage::Authenticate(mut accepted), Input::Document(document)) => {
                authenticate::document(&mut accepted, document);
                Stage::Authenticate(accepted)
            }
            (Stage::Authenticate(mut accepted), Input::Unresolvable(did)) => {
                authenticate::unresolvable(&mut accepted, did);
                Stage::Authenticate(accepted)
            }
            (Stage::Authenticate(mut accepted), Input::Keys(keys)) => {
                authenticate::keys(&mut accepted, keys);
                Stage::Authenticate(accepted)
            }
            (Stage::Authorize(authenticated), Input::Facts(facts)) => {
                let verdict = authorize::authorize(*authenticated, &facts, self.context.now);
                Stage::Commit(Arc::new(commit::commit(verdict, &self.context)))
            }
            (Stage::Commit(commit), Input::Written(written)) => {
                match deliver::deliver(&commit, written) {
                    (Some(delivered), outcome) => Stage::Deliver(delivered, outcome),
                    (None, outcome) => Stage::Done(outcome),
                }
            }
            (stage, _) => stage,
        };
    }
}

#[cfg(test)]
mod tests;
