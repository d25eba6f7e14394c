//! The keys of the log: how they are made, and how they lie in the store.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::log::{KeyKind, NoteKey, TagSecret};
use comity_core::trust::subject;
use comity_didcomm::{Did, SigningKey};
use comity_store::records::log;
use comity_store::{Batch, Store, StoreFault};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::commit;
use crate::keystore::Keystore;
use crate::node::StartError;

/// The keys, unsealed.
pub(super) struct Keys {
    pub(super) tags: TagSecret,
    pub(super) log: NoteKey,
    pub(super) witness: NoteKey,
}

/// The keys as they are stored.
#[derive(Serialize, Deserialize)]
struct StoredKeys {
    /// Name of the log and of its key.
    origin: String,
    /// Three times 32 bytes, sealed: for tags, for checkpoints, for cosignatures.
    sealed: String,
}

/// What the keys are made of: for tags, for checkpoints, for cosignatures.
pub(super) type Seeds = Zeroizing<[[u8; 32]; 3]>;

impl Keys {
    /// Unseals what the keys are made of, and the name of the log.
    pub(super) fn seeds(keystore: &Keystore, row: &[u8]) -> Result<(Seeds, String), StartError> {
        let damaged = || StoreFault::Corrupt("the keys of the log".to_owned());
        let stored: StoredKeys = serde_json::from_slice(row).map_err(|_| damaged())?;
        let sealed = URL_SAFE_NO_PAD.decode(&stored.sealed).map_err(|_| damaged())?;
        let plain = keystore.unseal_bytes(&stored.origin, &sealed)?;
        let (seeds, rest) = plain.as_chunks::<32>();
        let seeds: [[u8; 32]; 3] = seeds.try_into().map_err(|_| damaged())?;
        if rest.is_empty() {
            Ok((Zeroizing::new(seeds), stored.origin))
        } else {
            Err(damaged().into())
        }
    }

    pub(super) fn read(keystore: &Keystore, row: &[u8]) -> Result<Self, StartError> {
        let (seeds, origin) = Self::seeds(keystore, row)?;
        let [tags, log, witness] = &*seeds;
        let key = |kind, seed: &[u8; 32]| {
            let key = SigningKey::from_seed(Zeroizing::new(*seed));
            let damaged = |_| StoreFault::Corrupt("the keys of the log".to_owned());
            NoteKey::new(&origin, kind, key).map_err(damaged)
        };
        Ok(Self {
            tags: TagSecret::new(tags),
            log: key(KeyKind::Log, log)?,
            witness: key(KeyKind::Witness, witness)?,
        })
    }

    pub(super) async fn make(
        store: &dyn Store,
        keystore: &Keystore,
        (did, public_url): (&Did, &str),
        tags: &[u8; 32],
    ) -> Result<Self, StartError> {
        let mut plain = Zeroizing::new(Vec::with_capacity(96));
        plain.extend_from_slice(tags);
        for _ in 0..2 {
            let seed = Zeroizing::new(rand::random::<[u8; 32]>());
            plain.extend_from_slice(seed.as_ref());
        }
        let sealed = |origin: &str| {
            let sealed = URL_SAFE_NO_PAD.encode(keystore.seal_bytes(origin, &plain));
            serde_json::to_vec(&StoredKeys { origin: origin.to_owned(), sealed })
        };
        // Under the prefix at which the log is served (C2SP tlog-tiles); a node that begins anew under
        // the same name has another log.
        let place = match public_url.split_once("://") {
            Some((_, place)) => place.trim_end_matches('/').to_owned(),
            None => subject(did).to_string(),
        };
        let number: u32 = rand::random();
        let row = sealed(&format!("{place}/log/{number:08x}"));
        let row = row.map_err(|_| StoreFault::Corrupt("the keys of the log".to_owned()))?;
        let mut batch = Batch::new();
        log::put_keys(&mut batch, row.clone());
        commit(store, batch).await?;
        Self::read(keystore, &row)
    }
}
