//! Threads (DIDComm v2.1, sections "Threads" and "Parent Threads"): how a message continues one, or
//! begins another that comes out of it.

use super::{Message, MessageId, MessageType};
use crate::did::Did;

impl Message {
    /// Creates an answer in the same thread: to whoever claims to have sent this one, from the
    /// given DID.
    ///
    /// The answer repeats `pthid`, so that a party who joins late learns it too.
    #[must_use]
    pub fn answer(&self, id: MessageId, type_: MessageType, from: Did) -> Self {
        let mut answer = Self::new(id, type_).with_from(from).with_to(self.from.clone());
        answer.thid = Some(self.thread_id().to_owned());
        answer.pthid.clone_from(&self.pthid);
        answer
    }

    /// Creates the first message of a thread that comes out of this one.
    #[must_use]
    pub fn child(&self, id: MessageId, type_: MessageType, from: Did) -> Self {
        Self::new(id, type_).with_from(from).with_to(self.from.clone()).with_pthid(self.thread_id())
    }

    /// Whether both belong to one thread. Thread ids, being ids of messages, are compared without
    /// regard to case.
    #[must_use]
    pub fn same_thread(&self, other: &Self) -> bool {
        self.thread_id().eq_ignore_ascii_case(other.thread_id())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(id: &str) -> Message {
        let type_ = "https://a.example/p/1.0/m".parse().unwrap();
        Message::new(id.parse().unwrap(), type_).with_from(did("aria")).with_to([did("bruno")])
    }

    fn did(name: &str) -> Did {
        Did::parse(&format!("did:web:{name}.example")).unwrap()
    }

    #[test]
    fn an_answer_stays_in_the_thread_and_goes_back() {
        let first = message("M-1").with_pthid("i-1");
        let type_ = first.type_.clone();
        let answer = first.answer("m-2".parse().unwrap(), type_.clone(), did("bruno"));
        assert_eq!((answer.thid.as_deref(), answer.pthid.as_deref()), (Some("M-1"), Some("i-1")));
        assert_eq!((&answer.from, answer.to.as_slice()), (&Some(did("bruno")), &[did("aria")][..]));
        let third = answer.answer("m-3".parse().unwrap(), type_, did("aria"));
        assert_eq!(third.thid.as_deref(), Some("M-1"));
        assert!(third.same_thread(&first) && first.same_thread(&message("x").with_thid("m-1")));
        assert!(!first.same_thread(&message("m-4")));
    }

    #[test]
    fn a_child_names_its_parent_thread() {
        let parent = message("m-2").with_thid("m-1");
        let child = parent.child("c-1".parse().unwrap(), parent.type_.clone(), did("bruno"));
        assert_eq!((child.thread_id(), child.pthid.as_deref()), ("c-1", Some("m-1")));
    }
}
