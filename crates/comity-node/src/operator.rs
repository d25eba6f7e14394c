//! The operator's own agent: it is told of strangers' requests, decides about them, and is told what has
//! become of them (`docs/protocols/operator.md`). A person can so decide from anywhere.
//!
//! What it is told follows from the events, so that telling holds up nothing and nobody; what it decides
//! is stored in one batch, before its message is acknowledged.

mod hear;
mod tell;

pub(crate) use hear::{hear, is_for_us};
pub(crate) use tell::run;

use std::sync::{Mutex, PoisonError};

use comity_core::limits::EXPIRES_S_DEFAULT;
use comity_core::protocol::operator::{Operator, Outcome};
use comity_didcomm::{Did, Message, MessageId, UnixTime};
use comity_store::records::MessageKey;

use crate::home::Home;

/// How it stands with telling the operator.
#[derive(Default)]
pub(crate) struct Told {
    trouble: Mutex<Option<String>>,
}

impl Told {
    /// Says why the operator cannot be told at this moment, if so.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn set(&self, trouble: Option<String>) {
        *self.trouble.lock().unwrap_or_else(PoisonError::into_inner) = trouble;
    }
}

/// Names the thread about a stranger's message: it follows from the message, so that nothing has to be
/// kept by which the one is found from the other.
fn thread_of(message: MessageKey) -> String {
    format!("request-{:032x}", u128::from_be_bytes(message.0))
}

/// Finds the message that a thread is about.
fn message_of(thread: &str) -> Option<MessageKey> {
    let digits = thread.to_ascii_lowercase();
    let digits = digits.strip_prefix("request-")?;
    if digits.len() != 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    Some(MessageKey(u128::from_str_radix(digits, 16).ok()?.to_be_bytes()))
}

/// Composes what has become of a request.
fn decided(home: &Home, to: &Did, thread: &str, outcome: Outcome) -> Option<Message> {
    let id = MessageId::parse(&uuid::Uuid::now_v7().to_string()).ok()?;
    let until = home.now().saturating_add(EXPIRES_S_DEFAULT);
    let mut message = addressed(home, to, Operator::Decided(outcome).into_message(id), until);
    message.thid = Some(thread.to_owned());
    Some(message)
}

fn addressed(home: &Home, to: &Did, message: Message, until: UnixTime) -> Message {
    let message = message.with_from(home.did.clone()).with_to([to.clone()]);
    message.with_times(Some(home.now()), Some(until))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_names_its_message_and_nothing_else_does() {
        let message = MessageKey(*b"\x00\x01sixteen bytes.");
        let thread = thread_of(message);
        assert_eq!(message_of(&thread), Some(message));
        assert_eq!(message_of(&thread.to_ascii_uppercase()), Some(message), "ids ignore case");
        let long = format!("{thread}0");
        for other in
            ["", "request-", "request-+0000000000000000000000000000001", &long, &thread[8..]]
        {
            assert_eq!(message_of(other), None, "{other}");
        }
    }
}
