//! Where each record lies. One letter, then fixed-size parts, so that a range is a prefix.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | body | `m` seq | envelope of a received message |
//! | body | `e`, `x`, all of log | | see `log.rs` and `chain.rs` |
//! | body | `o` seq | envelope of an outgoing message |
//! | body | `R` seq | envelope that the relay holds |
//! | body | `v` seq | signed receipt message, kept as evidence, or the key under which the log keeps it |
//! | index | `d` message | what is known of a received message, stamped: also tells a repeat |
//! | index | `E` seq | what an operator should know, see `events.rs` |
//! | index | `h` message rank | rung of a received message, stamped |
//! | index | `i` agent id message | finds received messages by id |
//! | index | `m` mailbox seq | row of a mailbox |
//! | index | `o` destination seq | row of the outbox |
//! | index | `p` message | row of a sent message in the outbox: destination, stamped |
//! | index | `q` mailbox subject | a stranger's request, stamped |
//! | index | `r` peer seq | receipts that are to be sent, stamped |
//! | index | `R` ... | rows of the relay, see `relay.rs` |
//! | index | `S` challenge | work that was spent: empty |
//! | index | `s` message | what is known of a sent message, stamped: also tells a repeat |
//! | index | `t` message rank | rung of a sent message, stamped |
//! | index | `w` agent thread-and-peer level | that the agent wrote there: time |
//! | index | `x` time kind rest | what is due then |
//! | meta | `A` ... | rows of admission, see `admission.rs` |
//! | meta | `a` name | an agent |
//! | meta | `B` token | a vouch that was shown and verified |
//! | meta | `c` ... | counters |
//! | meta | `C` agent subject | what is remembered of a contact |
//! | meta | `D` digest | a DID document as it was used |
//! | meta | `E` ... | up to where events were told and forgotten, see `events.rs` |
//! | meta | `d` agent digest | that the log says that the agent used the document: empty |
//! | meta | `e` agent subject | an operator's decision about one party, on the way in |
//! | meta | `h` agent whom | the same about many |
//! | meta | `f` agent subject | an operator's decision about one party, on the way out |
//! | meta | `F` agent whom | the same about many |
//! | meta | `g` agent subject | that the agent's operator believes the vouches of somebody: its DID |
//! | meta | `G` agent subject token | a grant that the agent gave to somebody, or handed on |
//! | meta | `H` agent audience token | a grant that the agent holds for access to somebody |
//! | meta | `j` did | log of an agent's did:webvh |
//! | meta | `k` did | sealed keys |
//! | meta | `l` did | the last DID document that was had of somebody written to |
//! | meta | `node` | the node's own identity |
//! | meta | `OA` agent work | how work of the agent's own ended, as both say |
//! | meta | `OP` agent peer thread side | what one side says how work ended, which waits for the other |
//! | meta | `OS` agent work | how work of others ended, as the agent was shown |
//! | meta | `OT` agent work | the two signed texts of one of these |
//! | meta | `Q` agent token asker | who asked whether a vouch by the agent holds: its DID |
//! | meta | `R` ... | rows and counters of the relay, see `relay.rs` |
//! | meta | `T` token issuer | that the issuer took the token back: until when it has to be known |
//! | meta | `U` agent subject token | that somebody took back what it had handed on of the agent's grants |
//! | meta | `via` | the relay that the home is behind |
//! | meta | `V` agent token | a vouch by the agent |
//! | meta | `W` agent token | a vouch for the agent, with the way to its voucher |

use comity_core::receipt::State;
use comity_core::record::{Received, key_hash};
use comity_core::trust::{ChallengeId, Direction, Level, MeterId, TokenId, Whom, Work, subject};
use comity_didcomm::{Did, UnixTime};

use crate::batch::Seq;
use crate::wake::MailboxKey;

/// Stands for one message in keys: sixteen bytes of a hash.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageKey(pub [u8; 16]);

impl MessageKey {
    /// Returns the key of a message that came to `recipient` from `sender`. Ids compare without
    /// regard to case (DIDComm v2.1, `id`).
    #[must_use]
    pub fn received(recipient: &Did, sender: &Did, id: &str) -> Self {
        let (recipient, sender) = (subject(recipient), subject(sender));
        let id = id.to_ascii_lowercase();
        Self(key_hash(&[
            b"in",
            recipient.as_str().as_bytes(),
            sender.as_str().as_bytes(),
            id.as_bytes(),
        ]))
    }

    /// Returns the key of a message that `sender` of this home sent.
    #[must_use]
    pub fn sent(sender: &Did, id: &str) -> Self {
        let id = id.to_ascii_lowercase();
        Self(key_hash(&[b"out", subject(sender).as_str().as_bytes(), id.as_bytes()]))
    }
}

/// Stands for those who get receipts together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PeerKey(pub [u8; 16]);

/// Returns the key of an identity's mailbox.
#[must_use]
pub fn mailbox_key(did: &Did) -> MailboxKey {
    MailboxKey(did_hash(did))
}

/// Returns the key of a received message.
#[must_use]
pub fn message_key(received: &Received) -> MessageKey {
    MessageKey::received(&received.recipient, &received.sender, &received.id)
}

pub(super) fn did_hash(did: &Did) -> [u8; 16] {
    key_hash(&[subject(did).as_str().as_bytes()])
}

pub(super) fn join(tag: u8, parts: &[&[u8]]) -> Vec<u8> {
    let mut key = Vec::with_capacity(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    key.push(tag);
    parts.iter().for_each(|part| key.extend_from_slice(part));
    key
}

pub(super) fn body(tag: u8, seq: Seq) -> Vec<u8> {
    join(tag, &[&seq.to_bytes()])
}

pub(super) fn known(message: MessageKey) -> Vec<u8> {
    join(b'd', &[&message.0])
}

pub(super) fn rung_in(message: MessageKey, state: State) -> Vec<u8> {
    join(b'h', &[&message.0, &[state.rank()]])
}

pub(super) fn by_id(agent: &Did, id: &str) -> Vec<u8> {
    let id = id.to_ascii_lowercase();
    join(b'i', &[&did_hash(agent), &key_hash(&[id.as_bytes()])])
}

pub(super) fn mailbox(mailbox: MailboxKey) -> Vec<u8> {
    join(b'm', &[&mailbox.0])
}

pub(super) fn mailbox_row(mailbox: MailboxKey, seq: Seq) -> Vec<u8> {
    join(b'm', &[&mailbox.0, &seq.to_bytes()])
}

pub(super) fn pointer(message: MessageKey) -> Vec<u8> {
    join(b'p', &[&message.0])
}

pub(super) fn request(recipient: &Did, sender: &Did) -> Vec<u8> {
    join(b'q', &[&did_hash(recipient), &did_hash(sender)])
}

pub(super) fn sent(message: MessageKey) -> Vec<u8> {
    join(b's', &[&message.0])
}

pub(super) fn spent(challenge: ChallengeId) -> Vec<u8> {
    join(b'S', &[&challenge.0])
}

pub(super) fn rung_out(message: MessageKey, state: State) -> Vec<u8> {
    join(b't', &[&message.0, &[state.rank()]])
}

/// Begins the keys of what an agent wrote to somebody in a thread, one for each level.
pub(super) fn wrote(agent: &Did, peer: &Did, thread: &str) -> Vec<u8> {
    let there = key_hash(&[&did_hash(peer), thread.as_bytes()]);
    join(b'w', &[&did_hash(agent), &there])
}

pub(super) fn wrote_at(agent: &Did, peer: &Did, thread: &str, level: Level) -> Vec<u8> {
    let mut key = wrote(agent, peer, thread);
    key.push(level.as_number());
    key
}

pub(super) fn due(at: UnixTime, kind: u8, rest: &[u8]) -> Vec<u8> {
    join(b'x', &[&at.0.to_be_bytes(), &[kind], rest])
}

pub(super) fn entry(agent: &Did, direction: Direction, whom: &Whom) -> Vec<u8> {
    let hash = match whom.did() {
        Some(did) => did_hash(did),
        None => key_hash(&[whom.to_string().as_bytes()]),
    };
    join(entries_tag(direction, whom.did().is_some()), &[&did_hash(agent), &hash])
}

/// Stands for a piece of work among those of a kind: its worker, its client and its thread.
pub(super) fn work(kind: &[u8; 2], agent: &Did, work: &Work) -> Vec<u8> {
    let (worker, client) = (did_hash(&work.worker), did_hash(&work.client));
    let hash = key_hash(&[&worker, &client, work.thid.as_bytes()]);
    [&kind[..], &did_hash(agent), &hash].concat()
}

/// Begins the keys of everything of a kind that an agent has of outcomes.
pub(super) fn outcomes(kind: &[u8; 2], agent: &Did) -> Vec<u8> {
    [&kind[..], &did_hash(agent)].concat()
}

/// Begins the keys of the proposals between an agent and one peer.
pub(super) fn proposals_with(agent: &Did, peer: &Did) -> Vec<u8> {
    join(b'O', &[b"P", &did_hash(agent), &did_hash(peer)])
}

pub(super) fn proposal(agent: &Did, peer: &Did, thread: &str, side: u8) -> Vec<u8> {
    let thread = key_hash(&[thread.as_bytes()]);
    join(b'O', &[b"P", &did_hash(agent), &did_hash(peer), &thread, &[side]])
}

/// Stands for a token that its issuer took back.
pub(super) fn revocation(issuer: &Did, token: TokenId) -> Vec<u8> {
    join(b'T', &[token.as_bytes(), &did_hash(issuer)])
}

/// Begins the keys of the grants that an agent gave to somebody.
pub(super) fn given(agent: &Did, grantee: &Did) -> Vec<u8> {
    join(b'G', &[&did_hash(agent), &did_hash(grantee)])
}

/// Begins the keys of the grants that an agent holds for access to somebody.
pub(super) fn held(agent: &Did, audience: &Did) -> Vec<u8> {
    join(b'H', &[&did_hash(agent), &did_hash(audience)])
}

/// Begins the keys of what somebody took back of an agent's grants.
pub(super) fn taken_back(agent: &Did, grantor: &Did) -> Vec<u8> {
    join(b'U', &[&did_hash(agent), &did_hash(grantor)])
}

/// Begins the keys of those who asked whether a vouch holds.
pub(super) fn askers(agent: &Did, token: TokenId) -> Vec<u8> {
    join(b'Q', &[&did_hash(agent), token.as_bytes()])
}

pub(super) fn asker(agent: &Did, token: TokenId, asker: &Did) -> Vec<u8> {
    join(b'Q', &[&did_hash(agent), token.as_bytes(), &did_hash(asker)])
}

/// Stands for a vouch that was shown.
pub(super) fn vouch_shown(token: TokenId) -> Vec<u8> {
    join(b'B', &[token.as_bytes()])
}

/// Begins the keys of the vouches by an agent.
pub(super) fn vouches_given(agent: &Did) -> Vec<u8> {
    join(b'V', &[&did_hash(agent)])
}

/// Begins the keys of the vouches for an agent.
pub(super) fn vouches_held(agent: &Did) -> Vec<u8> {
    join(b'W', &[&did_hash(agent)])
}

/// Stands for an anchor of an agent.
pub(super) fn anchor(agent: &Did, whom: &Did) -> Vec<u8> {
    join(b'g', &[&did_hash(agent), &did_hash(whom)])
}

pub(super) fn contact(agent: &Did, did: &Did) -> Vec<u8> {
    join(b'C', &[&did_hash(agent), &did_hash(did)])
}

/// Counter of one sender's messages that an agent has processed.
pub(super) fn count_processed(agent: &Did, sender: &Did) -> Vec<u8> {
    join(b'c', &[b"p", &did_hash(agent), &did_hash(sender)])
}

/// Returns the letter of the entries about one party, or of those about many.
pub(super) const fn entries_tag(direction: Direction, is_about_one: bool) -> u8 {
    match (direction, is_about_one) {
        (Direction::In, true) => b'e',
        (Direction::In, false) => b'h',
        (Direction::Out, true) => b'f',
        (Direction::Out, false) => b'F',
    }
}

/// Counter of the messages of one day that count together.
pub(super) fn count_messages(meter: MeterId, day: u64) -> Vec<u8> {
    join(b'c', &[b"dm", &meter.0, &day.to_be_bytes()])
}

/// Counter of their bytes.
pub(super) fn count_bytes(meter: MeterId, day: u64) -> Vec<u8> {
    join(b'c', &[b"db", &meter.0, &day.to_be_bytes()])
}

/// Counter of the open tasks that count together.
pub(super) fn count_tasks(meter: MeterId) -> Vec<u8> {
    join(b'c', &[b"dt", &meter.0])
}

/// Counter of the messages in a mailbox.
pub(super) fn count_mailbox(recipient: &Did) -> Vec<u8> {
    join(b'c', &[b"m", &did_hash(recipient)])
}

/// Counter of one sender's messages in a mailbox.
pub(super) fn count_sender(recipient: &Did, sender: &Did) -> Vec<u8> {
    join(b'c', &[b"s", &did_hash(recipient), &did_hash(sender)])
}

/// Counter of the requests that wait for an agent's operator.
pub(super) fn count_requests(recipient: &Did) -> Vec<u8> {
    join(b'c', &[b"q", &did_hash(recipient)])
}

/// Counter of the bytes of these requests.
pub(super) fn count_request_bytes(recipient: &Did) -> Vec<u8> {
    join(b'c', &[b"b", &did_hash(recipient)])
}

/// Counter of the requests to all agents.
pub(super) fn count_requests_of_node() -> Vec<u8> {
    join(b'c', &[b"Q"])
}

/// Counter of the refused messages that are remembered for an identity.
pub(super) fn count_refused(recipient: &Did) -> Vec<u8> {
    join(b'c', &[b"r", &did_hash(recipient)])
}

/// Counter of the requests that an agent had of one sender lately.
pub(super) fn count_knocks(recipient: &[u8; 16], sender: &[u8; 16]) -> Vec<u8> {
    join(b'c', &[b"k", recipient, sender])
}

/// Counter of an identity's messages in the outbox.
pub(super) fn count_outbox(sender: &Did) -> Vec<u8> {
    join(b'c', &[b"o", &did_hash(sender)])
}

/// Counter of what the home itself says in an identity's name and is in the outbox.
pub(super) fn count_notices(sender: &Did) -> Vec<u8> {
    join(b'c', &[b"n", &did_hash(sender)])
}
