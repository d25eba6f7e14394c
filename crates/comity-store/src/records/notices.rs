//! Receipts that are owed to senders, until the message that carries them is in the outbox.
//!
//! What one batch owes to one peer is one row, and the rows of a peer lie in commit order: whoever
//! pays goes on from where the last payment ended, and never walks over what was paid.

use std::collections::BTreeMap;

use comity_core::limits::RECEIPT_BYTES_MAX;
use comity_core::receipt::{Rung, State};
use comity_core::record::{Notice, Received, key_hash};
use comity_didcomm::Did;
use serde::{Deserialize, Serialize};

use super::keys::{self, PeerKey};
use super::{decode_stamped, encode};
use crate::batch::{Batch, Keyspace, Seq};
use crate::store::{KeyRange, Store, StoreFault};

/// A receipt that is owed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owed {
    /// To whom, and in which form.
    pub notice: Notice,
    /// Id of the message.
    pub id: String,
    /// Its thread.
    pub thid: String,
    /// Its sender.
    pub sender: Did,
    /// Its recipient.
    pub recipient: Did,
    /// SHA-256 of its plaintext, base64url.
    pub digest: String,
    /// How far it got.
    pub rung: Rung,
}

/// What one batch owes, by peer.
#[derive(Clone, Debug, Default)]
pub struct Debts {
    by_peer: BTreeMap<PeerKey, Vec<Owed>>,
}

impl Debts {
    /// Creates an empty list.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a receipt about a message, if its sender asked for one.
    pub fn owe(&mut self, received: &Received, rung: &Rung) {
        let Some(peer) = peer(received) else { return };
        self.by_peer.entry(peer).or_default().push(Owed {
            notice: received.notice.clone(),
            id: received.id.clone(),
            thid: received.thid.clone(),
            sender: received.sender.clone(),
            recipient: received.recipient.clone(),
            digest: received.digest.clone(),
            rung: rung.clone(),
        });
    }

    /// Adds the rows to the batch, which has no others of this kind, and says to whom something is
    /// owed. What is more than one message carries is left out: whoever misses it asks again.
    pub fn put(self, batch: &mut Batch) -> Vec<PeerKey> {
        let mut peers = Vec::with_capacity(self.by_peer.len());
        for (peer, mut owed) in self.by_peer {
            let mut bytes = 0;
            owed.retain(|owed| {
                bytes += encode(owed).len();
                bytes <= RECEIPT_BYTES_MAX
            });
            let prefix = keys::join(b'r', &[&peer.0]);
            batch.put_stamped(Keyspace::Index, &prefix, encode(&owed));
            peers.push(peer);
        }
        peers
    }
}

/// Receipts that go to one peer together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The receipts.
    pub owed: Vec<Owed>,
    /// Where the next bundle begins.
    pub end: Seq,
    /// Whether more is owed than this bundle holds.
    pub is_part: bool,
    keys: Vec<Vec<u8>>,
}

/// Reads the next peer after another to which something is owed.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn next_peer(
    store: &dyn Store,
    after: Option<PeerKey>,
) -> Result<Option<PeerKey>, StoreFault> {
    let range = match after {
        Some(peer) => KeyRange::prefix_after(b"r", &keys::join(b'r', &[&peer.0, &[0xff; 8]])),
        None => KeyRange::prefix(b"r"),
    };
    let rows = store.read(Keyspace::Index, range, 1).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let peer = row.key.get(1..17).and_then(|peer| peer.try_into().ok());
    let short = || StoreFault::Corrupt("the key of an owed receipt is too short".to_owned());
    Ok(Some(PeerKey(peer.ok_or_else(short)?)))
}

/// Reads what is owed to a peer after a position: about `count_max` receipts, and no more than fit
/// in about one message.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn bundle(
    store: &dyn Store,
    peer: PeerKey,
    after: Seq,
    count_max: usize,
) -> Result<Bundle, StoreFault> {
    let prefix = keys::join(b'r', &[&peer.0]);
    let cursor = keys::join(b'r', &[&peer.0, &after.to_bytes()]);
    let range = KeyRange::prefix_after(&prefix, &cursor);
    let mut bundle = Bundle { end: after, ..Bundle::default() };
    let mut bytes = 0;
    for row in store.read(Keyspace::Index, range, count_max).await? {
        let (owed, stamp): (Vec<Owed>, _) = decode_stamped(&row.value)?;
        bytes += row.value.len();
        let is_full = RECEIPT_BYTES_MAX < bytes || count_max < bundle.owed.len() + owed.len();
        if is_full && !bundle.keys.is_empty() {
            bundle.is_part = true;
            break;
        }
        bundle.owed.extend(owed.into_iter().map(|mut owed| {
            // A first receipt was written before its leaf had an index; one that is repeated has it.
            if owed.rung.state == State::Accepted && owed.rung.log_index.is_none() {
                owed.rung.log_index = Some(stamp.log);
            }
            owed
        }));
        bundle.end = stamp.seq;
        bundle.keys.push(row.key);
    }
    Ok(bundle)
}

/// Crosses a bundle off, in the batch that queues the message that carries it.
pub fn paid(batch: &mut Batch, bundle: &Bundle) {
    bundle.keys.iter().for_each(|key| batch.delete(Keyspace::Index, key));
}

/// Receipts to one home travel together; a bare acknowledgement belongs to its thread.
fn peer(received: &Received) -> Option<PeerKey> {
    let parts: Vec<&str> = match &received.notice {
        Notice::None => return None,
        Notice::Receipts(home) => vec!["receipts", home.as_str()],
        Notice::Ack => {
            vec!["ack", received.recipient.as_str(), received.sender.as_str(), &received.thid]
        }
    };
    let parts: Vec<&[u8]> = parts.into_iter().map(str::as_bytes).collect();
    Some(PeerKey(key_hash(&parts)))
}
