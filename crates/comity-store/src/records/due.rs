//! What is due when: expiry, checks, forgetting. A due row is a hint; whoever acts on one reads the
//! truth first.

use comity_core::trust::ChallengeId;
use comity_didcomm::{Did, UnixTime};

use super::admission::TokenRow;
use super::keys::{self, MessageKey};
use super::relay::{HeldId, Relayed};
use super::spent::Knock;
use crate::batch::{Batch, Keyspace, Seq};
use crate::store::{KeyRange, Store, StoreFault};
use crate::wake::MailboxKey;

/// Something that is due at a time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Due {
    /// Look again at how far a sent message got.
    CheckSent(MessageKey),
    /// A message in a mailbox expires, if it is still there; whether or not, it need not be
    /// remembered for ever.
    ExpireMessage {
        /// The mailbox.
        mailbox: MailboxKey,
        /// Its place there.
        seq: Seq,
        /// The message.
        message: MessageKey,
    },
    /// A request expires.
    ExpireRequest {
        /// Whose request row.
        recipient: Did,
        /// Who asked.
        sender: Did,
    },
    /// A message that the relay holds expires, if it is still there.
    ExpireHeld(HeldId),
    /// A row of the keyspace meta that nothing else is planned for need not be kept any more.
    ForgetMeta(Vec<u8>),
    /// A request of a sender makes its next one no dearer any more.
    ForgetKnock(Knock),
    /// A row of the relay need not be kept any more.
    ForgetRelayed(Relayed),
    /// A received message need not be remembered any more.
    ForgetReceived(MessageKey),
    /// A sent message need not be remembered any more.
    ForgetSent(MessageKey),
    /// A token of admission has run out, if it has not been replaced.
    ForgetToken(TokenRow),
    /// Spent work has expired, and need not be remembered any more.
    ForgetSpent(ChallengeId),
    /// A peer has said that a sent message expired, and its sender is to be told.
    ReportExpired(MessageKey),
    /// An hour is over, and how many requests had no event of their own is to be told.
    TellUntold {
        /// Whose requests.
        agent: Did,
        /// When the hour began.
        hour: UnixTime,
    },
}

const CHECK_SENT: u8 = b'c';
const EXPIRE_MESSAGE: u8 = b'e';
const EXPIRE_HELD: u8 = b'h';
const EXPIRE_REQUEST: u8 = b'q';
const FORGET_META: u8 = b'd';
const FORGET_RECEIVED: u8 = b'f';
const FORGET_SENT: u8 = b'g';
const FORGET_KNOCK: u8 = b'k';
const FORGET_SPENT: u8 = b's';
const FORGET_RELAYED: u8 = b'v';
const FORGET_TOKEN: u8 = b'a';
const REPORT_EXPIRED: u8 = b'r';
const TELL_UNTOLD: u8 = b'u';

impl Due {
    /// Adds it to a batch.
    pub fn put(&self, batch: &mut Batch, at: UnixTime) {
        batch.put(Keyspace::Index, &self.key(at), self.value());
    }

    /// Takes it away again, so that it is not looked at in vain.
    pub(super) fn cancel(&self, batch: &mut Batch, at: UnixTime) {
        batch.delete(Keyspace::Index, &self.key(at));
    }

    /// Adds the expiry of the message whose mailbox row is in the same batch.
    pub(super) fn put_expiry(
        batch: &mut Batch,
        at: UnixTime,
        mailbox: MailboxKey,
        message: MessageKey,
    ) {
        let prefix = keys::due(at, EXPIRE_MESSAGE, &mailbox.0);
        batch.put_stamped_key(Keyspace::Index, &prefix, message.0);
    }

    /// Adds the expiry of the held message whose row is in the same batch.
    pub(super) fn put_held_expiry(batch: &mut Batch, at: UnixTime, queue: MailboxKey) {
        let prefix = keys::due(at, EXPIRE_HELD, &queue.0);
        batch.put_stamped_key(Keyspace::Index, &prefix, Vec::new());
    }

    fn key(&self, at: UnixTime) -> Vec<u8> {
        match self {
            Self::CheckSent(message) => keys::due(at, CHECK_SENT, &message.0),
            Self::ExpireMessage { mailbox, seq, .. } => {
                keys::due(at, EXPIRE_MESSAGE, &[&mailbox.0[..], &seq.to_bytes()[..]].concat())
            }
            Self::ExpireRequest { recipient, sender } => {
                let row = keys::request(recipient, sender);
                keys::due(at, EXPIRE_REQUEST, &row)
            }
            Self::ExpireHeld(held) => {
                keys::due(at, EXPIRE_HELD, &[&held.queue.0[..], &held.seq.to_bytes()[..]].concat())
            }
            Self::ForgetKnock(knock) => keys::due(at, FORGET_KNOCK, &knock.to_bytes()),
            Self::ForgetMeta(key) => keys::due(at, FORGET_META, key),
            Self::ForgetRelayed(row) => keys::due(at, FORGET_RELAYED, &row.to_bytes()),
            Self::ForgetReceived(message) => keys::due(at, FORGET_RECEIVED, &message.0),
            Self::ForgetSent(message) => keys::due(at, FORGET_SENT, &message.0),
            Self::ForgetSpent(challenge) => keys::due(at, FORGET_SPENT, &challenge.0),
            Self::ForgetToken(row) => keys::due(at, FORGET_TOKEN, &row.to_bytes()),
            Self::ReportExpired(message) => keys::due(at, REPORT_EXPIRED, &message.0),
            Self::TellUntold { agent, .. } => keys::due(at, TELL_UNTOLD, &keys::did_hash(agent)),
        }
    }

    fn value(&self) -> Vec<u8> {
        match self {
            Self::ExpireMessage { message, .. } => message.0.to_vec(),
            Self::ExpireRequest { recipient, sender } => super::encode(&(recipient, sender)),
            Self::TellUntold { agent, hour } => super::encode(&(agent, hour)),
            _ => Vec::new(),
        }
    }

    fn read(kind: u8, rest: &[u8], value: &[u8]) -> Result<Self, StoreFault> {
        let unreadable = || StoreFault::Corrupt("a due row is unreadable".to_owned());
        let message = || rest.try_into().map(MessageKey).map_err(|_| unreadable());
        match kind {
            CHECK_SENT => Ok(Self::CheckSent(message()?)),
            EXPIRE_MESSAGE => {
                let (mailbox, seq) = Seq::split_key(rest).ok_or_else(unreadable)?;
                let mailbox = mailbox.try_into().map_err(|_| unreadable())?;
                let message = MessageKey(value.try_into().map_err(|_| unreadable())?);
                Ok(Self::ExpireMessage { mailbox: MailboxKey(mailbox), seq, message })
            }
            EXPIRE_REQUEST => {
                let (recipient, sender) = super::decode(value)?;
                Ok(Self::ExpireRequest { recipient, sender })
            }
            EXPIRE_HELD => {
                let (queue, seq) = Seq::split_key(rest).ok_or_else(unreadable)?;
                let queue = MailboxKey(queue.try_into().map_err(|_| unreadable())?);
                Ok(Self::ExpireHeld(HeldId { queue, seq }))
            }
            FORGET_META => Ok(Self::ForgetMeta(rest.to_vec())),
            FORGET_KNOCK => Knock::from_bytes(rest).map(Self::ForgetKnock).ok_or_else(unreadable),
            FORGET_RELAYED => {
                Relayed::from_bytes(rest).map(Self::ForgetRelayed).ok_or_else(unreadable)
            }
            FORGET_RECEIVED => Ok(Self::ForgetReceived(message()?)),
            FORGET_SENT => Ok(Self::ForgetSent(message()?)),
            FORGET_SPENT => {
                let id = rest.try_into().map_err(|_| unreadable())?;
                Ok(Self::ForgetSpent(ChallengeId(id)))
            }
            FORGET_TOKEN => {
                TokenRow::from_bytes(rest).map(Self::ForgetToken).ok_or_else(unreadable)
            }
            REPORT_EXPIRED => Ok(Self::ReportExpired(message()?)),
            TELL_UNTOLD => {
                let (agent, hour) = super::decode(value)?;
                Ok(Self::TellUntold { agent, hour })
            }
            _ => Err(unreadable()),
        }
    }
}

/// Something due, with its row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DueRow {
    /// What.
    pub due: Due,
    key: Vec<u8>,
}

/// Reads what is due by now, oldest first, from a row on.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn until(
    store: &dyn Store,
    now: UnixTime,
    after: Option<&DueRow>,
    limit: usize,
) -> Result<Vec<DueRow>, StoreFault> {
    // The key after a key is the key with a zero byte.
    let from = match after {
        Some(row) => [&row.key[..], &[0]].concat(),
        None => keys::due(UnixTime(0), 0, &[]),
    };
    let to = keys::due(now.saturating_add(1), 0, &[]);
    let rows = store.read(Keyspace::Index, KeyRange::between(&from, &to), limit).await?;
    rows.into_iter()
        .map(|row| {
            let short = || StoreFault::Corrupt("a due key is too short".to_owned());
            let (kind, rest) = row.key.get(9..).and_then(<[u8]>::split_first).ok_or_else(short)?;
            Ok(DueRow { due: Due::read(*kind, rest, &row.value)?, key: row.key })
        })
        .collect()
}

/// Forgets the row that a [`Due::ForgetMeta`] names.
pub fn forget_meta(batch: &mut Batch, key: &[u8]) {
    batch.delete(Keyspace::Meta, key);
}

/// Crosses off what was done.
pub fn done(batch: &mut Batch, row: &DueRow) {
    batch.delete(Keyspace::Index, &row.key);
}
