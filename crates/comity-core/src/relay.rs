//! The relay role: a standard DIDComm mediator for agents and homes that cannot be reached or are
//! often offline (ADR 0024, `docs/protocols/relay.md`).
//!
//! Pure: who may register ([`register`]), whom for ([`change`]), what is held ([`admit`]) and what it
//! is to its recipient ([`change_rule`]), who may pick it up ([`may_pick_up`]) and what is answered
//! ([`compose`]) are decided here. The shell
//! reads the rows that these functions ask for, applies what they return in one batch, and sends
//! the answer. A relay holds ciphertext only and sees who has messages waiting, never what they
//! say.

mod admit;
mod compose;
mod pick_up;
mod policy;
mod recipients;
mod register;
mod request;

pub(crate) use admit::refusal_of;
pub use admit::{Held, HeldRow, Route, RouteFacts, admit, pool_full};
pub use compose::{Answer, Features, compose, compose_live, pack};
pub use pick_up::{DeliveryPlan, Figures, may_pick_up, plan_delivery};
pub use policy::{Pool, Quotas, Recipients, Register, RelayPolicy, UnknownChoice};
pub use recipients::{Change, RecipientFacts, RecipientRow, Verdict, change, change_rule};
pub use register::{AnswerGoes, Decision, Invitation, RegisterFacts, Registrant, register};
pub use request::{Live, Request, Served};
pub(crate) use request::{is_served, parse};

#[cfg(test)]
mod tests;
