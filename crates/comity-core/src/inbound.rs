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
//!
//! The same machine plays the relay's role: a forward to the home shows only its cover
//! ([`Output::Route`]), and its payload becomes a [`Held`], which [`relay::admit`] alone makes. What
//! is asked of the home itself becomes a [`Served`] request.
//!
//! A stranger's message that nobody has paid for leaves the way in between authorize and commit: it
//! is [`Charged`], and nothing is written.

mod accept;
mod authenticate;
mod authorize;
mod charge;
mod commit;
mod deliver;

pub use accept::{Accepted, Arrival};
pub use authenticate::Authenticated;
pub use authorize::{Authorized, Grant, Reach, Refused, Verdict};
pub use charge::Charged;
pub use commit::{Commit, Placement, Spent, Written, problem_report};
pub use deliver::{Delivered, Outcome};

use std::sync::Arc;

use comity_didcomm::{AgreementKey, Did, DidDocument, DidUrl};

use crate::Context;
use crate::limits::REWRAPS_MAX;
use crate::refusal::Refusal;
use crate::relay::{self, Held, Route, RouteFacts, Served};
use crate::trust::{Facts, Question, Showing, ShowingOutput, TokenId};
use authenticate::Poll;
use authorize::Judged;

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
    /// Write this into its recipient's queue, durably. Answer with [`Input::Written`].
    Hold(Arc<Held>),
    /// Look up what is known about this sender and recipient. Answer with [`Input::Facts`].
    Judge(Box<Question>),
    /// Which of these keys are ours? Answer with [`Input::Keys`].
    Keys(Vec<DidUrl>),
    /// Is this message on record from before? Answer with [`Input::Recalled`].
    Recall(Arc<Charged>),
    /// Get this DID's document. Answer with [`Input::Document`] or [`Input::Unresolvable`].
    Resolve(Did),
    /// Which of these tokens did their issuers revoke? Answer with [`Input::Revoked`].
    Revocations(Vec<(TokenId, Did)>),
    /// Is whom this forward names registered here? Answer with [`Input::Routed`].
    Route(Arc<Route>),
    /// Do this for the sender, who asks the home itself. Answer with [`Input::Answered`].
    Serve(Arc<Served>),
}

/// An answer to an [`Output`].
#[non_exhaustive]
pub enum Input {
    /// What was asked of the home is done and durable, or why it is not now.
    Answered(Result<(), Refusal>),
    /// The document that was asked for.
    Document(Arc<DidDocument>),
    /// What is known.
    Facts(Facts),
    /// The keys that are ours.
    Keys(Vec<(DidUrl, AgreementKey)>),
    /// The tokens that were revoked, of those asked about.
    Revoked(Vec<TokenId>),
    /// The digest of the plaintext under which the message is on record, if it is.
    Recalled(Option<String>),
    /// What is known of the recipient of a forward.
    Routed(RouteFacts),
    /// There is no such document to be had.
    Unresolvable(Did),
    /// What became of the commit.
    Written(Written),
}

/// The machine.
pub struct Inbound {
    context: Context,
    rewraps: usize,
    stage: Stage,
}

enum Stage {
    Admit(Arc<Route>),
    Authenticate(Box<Accepted>),
    Authorize(Box<Authenticated>),
    /// The sender is looked at closely.
    LookCloser(Box<Authenticated>, Box<Showing>),
    Charge(Arc<Charged>),
    Commit(Arc<Commit>),
    Deliver(Delivered, Outcome),
    Done(Outcome),
    Hold(Arc<Held>),
    Serve(Arc<Served>),
}

impl Inbound {
    /// Takes bytes that arrived. Refuses them at once when their size, media type or shape is
    /// wrong; nothing was decrypted by then.
    ///
    /// # Errors
    /// A refusal of the transport plane.
    pub fn new(arrival: Arrival, context: Context) -> Result<Self, Refusal> {
        let accepted = accept::accept(arrival, context.now)?;
        Ok(Self { context, rewraps: 0, stage: Stage::Authenticate(Box::new(accepted)) })
    }

    /// Says what is needed next.
    pub fn poll_output(&mut self) -> Output {
        loop {
            match &mut self.stage {
                Stage::Admit(route) => return Output::Route(Arc::clone(route)),
                Stage::Authenticate(accepted) => {
                    let next = match authenticate::poll(accepted, &self.context.home) {
                        Ok(Poll::Needs(output)) => return output,
                        Ok(Poll::Ready(authenticated)) => Ok(Stage::Authorize(authenticated)),
                        Ok(Poll::Forward(route)) => {
                            let route = route.with_work(accepted.work.take());
                            Ok(Stage::Admit(Arc::new(route)))
                        }
                        Ok(Poll::Request(served)) => Ok(Stage::Serve(Arc::from(served))),
                        Ok(Poll::Rewrapped(payload)) => {
                            let (way_in, work) = (accepted.way_in, accepted.work.take());
                            let arrival = Arrival { work, ..Arrival::encrypted(payload, way_in) };
                            self.unwrapped(arrival)
                        }
                        Err(refusal) => Err(refusal),
                    };
                    self.stage =
                        next.unwrap_or_else(|refusal| Stage::Done(Outcome::TurnedAway(refusal)));
                }
                Stage::LookCloser(authenticated, showing) => match showing.poll_output() {
                    ShowingOutput::Resolve(did) => return Output::Resolve(did),
                    ShowingOutput::Revocations(ids) => return Output::Revocations(ids),
                    ShowingOutput::Done(shown) => {
                        authenticated.shown = Some(shown);
                        return Output::Judge(Box::new(authenticated.question()));
                    }
                },
                Stage::Authorize(authenticated) => {
                    return Output::Judge(Box::new(authenticated.question()));
                }
                Stage::Charge(charged) => return Output::Recall(Arc::clone(charged)),
                Stage::Commit(commit) => return Output::Commit(Arc::clone(commit)),
                Stage::Deliver(delivered, outcome) => {
                    let delivered = delivered.clone();
                    self.stage = Stage::Done(outcome.clone());
                    return Output::Deliver(delivered);
                }
                Stage::Done(outcome) => return Output::Done(outcome.clone()),
                Stage::Hold(held) => return Output::Hold(Arc::clone(held)),
                Stage::Serve(served) => return Output::Serve(Arc::clone(served)),
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
                self.judged(*authenticated, facts)
            }
            (Stage::LookCloser(authenticated, _), Input::Facts(facts)) => {
                self.judged(*authenticated, facts)
            }
            (Stage::LookCloser(authenticated, mut showing), Input::Document(document)) => {
                showing.document(document);
                Stage::LookCloser(authenticated, showing)
            }
            (Stage::LookCloser(authenticated, mut showing), Input::Unresolvable(did)) => {
                showing.unresolvable(did);
                Stage::LookCloser(authenticated, showing)
            }
            (Stage::LookCloser(authenticated, mut showing), Input::Revoked(ids)) => {
                showing.revoked(ids);
                Stage::LookCloser(authenticated, showing)
            }
            (Stage::Charge(charged), Input::Recalled(known)) => {
                Stage::Done(charge::conclude(&charged, known.as_deref()))
            }
            (Stage::Admit(route), Input::Routed(facts)) => {
                match relay::admit(&route, &facts, &self.context) {
                    Ok(held) => Stage::Hold(Arc::new(held)),
                    Err(refusal) => Stage::Done(Outcome::TurnedAway(refusal)),
                }
            }
            (Stage::Hold(held), Input::Written(written)) => {
                Stage::Done(deliver::hold(&held, &written, &self.context))
            }
            (Stage::Serve(_), Input::Answered(Ok(()))) => Stage::Done(Outcome::Served),
            (Stage::Serve(_), Input::Answered(Err(refusal))) => {
                Stage::Done(Outcome::TurnedAway(refusal))
            }
            (Stage::Commit(commit), Input::Written(written)) => {
                match deliver::deliver(&commit, written, &self.context) {
                    (Some(delivered), outcome) => Stage::Deliver(delivered, outcome),
                    (None, outcome) => Stage::Done(outcome),
                }
            }
            (stage, _) => stage,
        };
    }

    fn judged(&self, authenticated: Authenticated, facts: Facts) -> Stage {
        match authorize::authorize(authenticated, facts, &self.context) {
            Judged::Charge(charged) => Stage::Charge(Arc::new(charged)),
            Judged::LookCloser(authenticated, showing) => Stage::LookCloser(authenticated, showing),
            Judged::Verdict(verdict) => match *verdict {
                Verdict::Refused(_, refused) if refused.is_for_the_moment() => {
                    Stage::Done(Outcome::TurnedAway(refused.refusal))
                }
                verdict => Stage::Commit(Arc::new(commit::commit(verdict, &self.context))),
            },
        }
    }

    /// Begins again with what a mediator had put a forward around.
    fn unwrapped(&mut self, arrival: Arrival) -> Result<Stage, Refusal> {
        if REWRAPS_MAX <= self.rewraps {
            return Err(Refusal::ForwardLoop);
        }
        self.rewraps += 1;
        let accepted = accept::accept(arrival, self.context.now)?;
        Ok(Stage::Authenticate(Box::new(accepted)))
    }
}

#[cfg(test)]
mod tests;
