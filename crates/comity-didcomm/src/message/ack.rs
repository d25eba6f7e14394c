//! Acknowledgements (DIDComm v2.1, section "ACKs"): which ids a received message makes one owe, so
//! that two parties never acknowledge each other for ever.
//!
//! What was received and what was acknowledged is remembered by the caller. Nobody is obliged to
//! acknowledge.

use super::{Message, MessageId, MessageType};
use crate::routing::Forward;

/// The type of a message that says nothing but what its headers say.
pub const EMPTY: &str = "https://didcomm.org/empty/1.0/empty";

/// Answers what one remembers about the messages of one sender.
pub trait AckHistory {
    /// Returns the position of a message in the order in which messages were received; `None`: it
    /// was not received.
    fn received_at(&self, id: &str) -> Option<u64>;

    /// Whether a request for this message has been honoured already.
    fn is_acknowledged(&self, id: &str) -> bool;
}

/// Returns the ids to acknowledge for a received message, oldest first, this one last.
///
/// Nothing for a forward, because a mediator does not honour such requests; nothing for a message
/// that is itself only an acknowledgement, because that would be answered in turn; no id twice, and
/// none that one has not received.
#[must_use]
pub fn acks_owed(message: &Message, history: &dyn AckHistory) -> Vec<String> {
    if Forward::is_forward(message) || is_pure_ack(message) {
        return Vec::new();
    }
    let id = message.id.as_str();
    let is_this = |asked: &str| asked.is_empty() || asked.eq_ignore_ascii_case(id);
    let mut earlier: Vec<(u64, &String)> = message
        .please_ack
        .iter()
        .filter(|asked| !is_this(asked) && !history.is_acknowledged(asked))
        .filter_map(|asked| Some((history.received_at(asked)?, asked)))
        .collect();
    earlier.sort_unstable_by_key(|(at, _)| *at);
    earlier.dedup_by_key(|(at, _)| *at);
    let mut owed: Vec<String> = earlier.into_iter().map(|(_, asked)| asked.clone()).collect();
    if message.please_ack.iter().any(|asked| is_this(asked)) && !history.is_acknowledged(id) {
        owed.push(id.to_owned());
    }
    owed
}

/// Whether a message does nothing but acknowledge.
#[must_use]
pub fn is_pure_ack(message: &Message) -> bool {
    let name = message.type_.name();
    let says_nothing = message.body.is_empty() && message.attachments.is_empty();
    !message.ack.is_empty()
        && (name.eq_ignore_ascii_case("ack")
            || empty_type().matches(&message.type_)
            || says_nothing)
}

/// Creates a message that does nothing but acknowledge. It asks for nothing in turn.
#[must_use]
pub fn pure_ack(id: MessageId, acks: Vec<String>) -> Message {
    let mut message = Message::new(id, empty_type());
    message.ack = acks;
    message
}

#[expect(clippy::expect_used, reason = "the type is a constant")]
fn empty_type() -> MessageType {
    MessageType::parse(EMPTY).expect("the constant is a message type")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    /// Has received `a`, then `b`, then `c`, and acknowledged `b`.
    struct History;

    impl AckHistory for History {
        fn received_at(&self, id: &str) -> Option<u64> {
            ["a", "b", "c"]
                .iter()
                .position(|known| known.eq_ignore_ascii_case(id))
                .map(|at| at as u64)
        }

        fn is_acknowledged(&self, id: &str) -> bool {
            id.eq_ignore_ascii_case("b")
        }
    }

    fn message(type_: &str, please_ack: &[&str]) -> Message {
        let mut message = Message::new("m-1".parse().unwrap(), type_.parse().unwrap());
        message.please_ack = please_ack.iter().map(|&id| id.to_owned()).collect();
        message.with_body_member("x", 1)
    }

    fn owed(please_ack: &[&str]) -> Vec<String> {
        acks_owed(&message("https://a.example/p/1.0/m", please_ack), &History)
    }

    #[test]
    fn what_was_received_is_acknowledged_oldest_first() {
        assert_eq!(owed(&[]), [""; 0]);
        assert_eq!(owed(&[""]), ["m-1"]);
        assert_eq!(owed(&["c", "", "a"]), ["a", "c", "m-1"]);
    }

    #[test]
    fn no_request_is_honoured_twice() {
        assert_eq!(owed(&["b", "A", "a", "", "", "M-1"]), ["A", "m-1"]);
        struct Again;
        impl AckHistory for Again {
            fn received_at(&self, _: &str) -> Option<u64> {
                Some(0)
            }
            fn is_acknowledged(&self, _: &str) -> bool {
                true
            }
        }
        assert!(acks_owed(&message("https://a.example/p/1.0/m", &["", "a"]), &Again).is_empty());
    }

    #[test]
    fn what_was_not_received_is_not_acknowledged() {
        assert_eq!(owed(&["z"]), [""; 0]);
    }

    #[test]
    fn an_acknowledgement_that_asks_is_not_answered() {
        let pure = pure_ack("p".parse().unwrap(), vec!["a".to_owned()]);
        assert!(is_pure_ack(&pure) && pure.please_ack.is_empty());
        for type_ in [EMPTY, "https://a.example/p/1.0/ack"] {
            let mut asks = message(type_, &[""]);
            assert!(!is_pure_ack(&asks), "it acknowledges nothing yet");
            asks.ack = vec!["a".to_owned()];
            assert!(acks_owed(&asks, &History).is_empty(), "{type_}");
        }
        let mut bare = message("https://a.example/p/1.0/m", &[""]);
        bare.ack = vec!["a".to_owned()];
        assert_eq!(acks_owed(&bare, &History), ["m-1"], "it says something else too");
        bare.body.clear();
        assert!(acks_owed(&bare, &History).is_empty());
    }

    #[test]
    fn two_parties_do_not_acknowledge_for_ever() {
        let mut message = message("https://a.example/p/1.0/m", &[""]);
        let mut rounds = 0;
        loop {
            let owed = acks_owed(&message, &History);
            if owed.is_empty() {
                break;
            }
            rounds += 1;
            // The other side breaks the rules: its acknowledgements ask as well.
            message = pure_ack(format!("p-{rounds}").parse().unwrap(), owed);
            message.please_ack = vec![String::new()];
        }
        assert_eq!(rounds, 1);
    }

    #[test]
    fn a_mediator_honours_no_request() {
        let mut forward = message(crate::routing::FORWARD, &[""]);
        forward.body.insert("next".to_owned(), json!("did:a:b"));
        assert!(acks_owed(&forward, &History).is_empty());
    }
}
