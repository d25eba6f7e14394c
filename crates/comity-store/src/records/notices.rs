//! Receipts that are owed to senders, until the message that carries them is in the outbox.

use comity_core::receipt::{Rung, State};
use comity_core::record::{Notice, Received, key_hash};
use comity_didcomm::Did;
use serde::{Deserialize, Serialize};

use super::keys::{self, MessageKey, PeerKey};
use super::{decode_stamped, encode};
use crate::batch::{Batch, Keyspace};
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

/// Adds a receipt to a batch, if the sender asked for one.
pub fn owe(batch: &mut Batch, received: &Received, message: MessageKey, rung: &Rung) {
    let Some(peer) = peer(received) else { return };
    let owed = Owed {
        notice: received.notice.clone(),
        id: received.id.clone(),
        thid: received.thid.clone(),
        sender: received.sender.clone(),
        recipient: received.recipient.clone(),
        digest: received.digest.clone(),
        rung: rung.clone(),
    };
    let key = keys::join(b'r', &[&peer.0, &message.0, &[rung.state.rank()]]);
    batch.put_stamped_value(Keyspace::Index, &key, encode(&owed));
}

/// Receipts that go to one peer together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Bundle {
    /// The receipts.
    pub owed: Vec<Owed>,
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
        Some(peer) => KeyRange::prefix_after(b"r", &keys::join(b'r', &[&peer.0, &[0xff; 17]])),
        None => KeyRange::prefix(b"r"),
    };
    let rows = store.read(Keyspace::Index, range, 1).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let peer = row.key.get(1..17).and_then(|peer| peer.try_into().ok());
    let short = || StoreFault::Corrupt("the key of an owed receipt is too short".to_owned());
    Ok(Some(PeerKey(peer.ok_or_else(short)?)))
}

/// Reads what is owed to a peer: at most `count_max` receipts, and no more than fit in about
/// `bytes_max`.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn bundle(
    store: &dyn Store,
    peer: PeerKey,
    count_max: usize,
    bytes_max: usize,
) -> Result<Bundle, StoreFault> {
    let range = KeyRange::prefix(&keys::join(b'r', &[&peer.0]));
    let mut bundle = Bundle::default();
    let mut bytes = 0;
    for row in store.read(Keyspace::Index, range, count_max).await? {
        bytes += row.value.len();
        if bytes_max < bytes && !bundle.owed.is_empty() {
            break;
        }
        let (mut owed, stamp): (Owed, _) = decode_stamped(&row.value)?;
        // A first receipt was written before its leaf had an index; one that is repeated has it.
        if owed.rung.state == State::Accepted && owed.rung.log_index.is_none() {
            owed.rung.log_index = Some(stamp.log);
        }
        bundle.owed.push(owed);
        bundle.keys.push(row.key);
    }
    Ok(bundle)
}

/// Crosses a bundle off, in the batch that queues the message that carries it.
pub fn paid(batch: &mut Batch, bundle: &Bundle) {
    bundle.keys.iter().for_each(|key| batch.delete(Keyspace::Index, key));
}

/// Receipts of one signer to one home travel together; a bare acknowledgement belongs to its
/// thread.
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
