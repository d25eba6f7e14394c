//! What statements are about, kept sealed beside the log until it is old or is to be forgotten.

use comity_core::limits::{DAY_S, EXPIRES_S_MAX, HISTORY_S};
use comity_core::outbound::Queued;
use comity_store::records::log::{self, Ledger as Recording};
use comity_store::{Batch, Store, StoreFault};

use super::commit;
use crate::home::Home;
use crate::limits::FORGOTTEN_AT_ONCE;

/// Under which name the objects of statements are sealed. No DID is called like it.
const KEPT: &str = "kept";

/// Receipts are shown for as long as the messages are remembered that they are about, which a node
/// that was away while they expired remembers longer.
const RECEIPTS_KEPT_S: u64 = EXPIRES_S_MAX + 2 * HISTORY_S;

/// The name of what several statements are about: when it was kept, and 16 random bytes. Nothing
/// sealed is that short.
pub(crate) type Shared = [u8; 24];

/// What opens the digest of a statement.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) salt: [u8; 16],
    pub(crate) object: String,
}

impl Home {
    /// Returns how a statement about a message is recorded, with what opens its digest.
    pub(crate) fn recording(&self, opening: Option<(&[u8; 16], &str)>) -> Recording<'_> {
        let recording = self.ledger.recording();
        let opening = opening.filter(|_| recording.is_kept());
        recording.keeping(opening.map(|(salt, object)| {
            // When it was kept is not secret: it says when it is to be forgotten.
            let at = self.now().0.to_be_bytes();
            self.keystore.seal_after(&at, KEPT, &[salt, object.as_bytes()])
        }))
    }

    /// Returns how statements are recorded whose object and salt [`Self::share`] has kept.
    pub(crate) fn recording_shared(&self, shared: &Shared) -> Recording<'_> {
        self.ledger.recording().keeping(Some(shared.to_vec()))
    }

    /// Adds to a batch what statements of several agents are about, and their salt.
    pub(crate) fn share(&self, batch: &mut Batch, salt: &[u8; 16], object: &str) -> Shared {
        let mut shared: Shared = rand::random();
        let (at, _) = shared.split_at_mut(8);
        at.copy_from_slice(&self.now().0.to_be_bytes());
        let sealed = self.keystore.seal_after(&[], KEPT, &[salt, object.as_bytes()]);
        log::keep_shared(batch, &shared, sealed);
        shared
    }

    /// Returns how what is said of an outgoing message is recorded.
    pub(crate) fn recording_of(&self, queued: &Queued) -> Recording<'_> {
        self.recording(queued.opening().filter(|_| queued.statement().is_some()))
    }

    /// Opens what is kept of a statement's object.
    pub(crate) async fn open_kept(&self, kept: &[u8]) -> Result<Option<Opening>, StoreFault> {
        if kept.len() == size_of::<Shared>() {
            let shared = log::shared(self.store.as_ref(), kept).await?;
            return Ok(shared.and_then(|sealed| self.open_shared(&sealed)));
        }
        Ok(kept.split_first_chunk::<8>().and_then(|(_, sealed)| self.open_shared(sealed)))
    }

    /// Opens what several statements are about.
    pub(crate) fn open_shared(&self, sealed: &[u8]) -> Option<Opening> {
        let plain = self.keystore.unseal_bytes(KEPT, sealed).ok()?;
        let (salt, object) = plain.split_first_chunk()?;
        let object = String::from_utf8(object.to_vec()).ok()?;
        Some(Opening { salt: *salt, object })
    }

    /// Forgets what was kept long enough.
    pub(super) async fn forget_old(&self) -> Result<(), StoreFault> {
        let (store, now) = (self.store.as_ref(), self.now().0);
        let kept_s = u64::from(self.config.ledger.messages_days) * DAY_S;
        forget_before(store, now.saturating_sub(kept_s)).await?;
        forget_shared_before(store, now.saturating_sub(kept_s.max(RECEIPTS_KEPT_S))).await
    }
}

/// Forgets what single statements were about and was kept before a time.
async fn forget_before(store: &dyn Store, oldest: u64) -> Result<(), StoreFault> {
    let mut from = 0;
    loop {
        let page = log::kept_from(store, from, FORGOTTEN_AT_ONCE).await?;
        let Some((last, _)) = page.last() else { return Ok(()) };
        from = last + 1;
        let is_old =
            |kept: &[u8]| kept.first_chunk::<8>().is_none_or(|at| u64::from_be_bytes(*at) < oldest);
        let mut batch = Batch::new();
        let old = page.iter().filter(|(_, kept)| is_old(kept));
        old.for_each(|(index, _)| log::forget_kept(&mut batch, *index));
        // They lie in the order of their age, but for what clocks did.
        if batch.is_empty() {
            return Ok(());
        }
        commit(store, batch).await?;
    }
}

/// Forgets what several statements were about and was kept before a time.
async fn forget_shared_before(store: &dyn Store, oldest: u64) -> Result<(), StoreFault> {
    loop {
        let (mut batch, end) = (Batch::new(), (&oldest.to_be_bytes()[..], FORGOTTEN_AT_ONCE));
        if !log::forget_shared_before(store, &mut batch, end).await? {
            return Ok(());
        }
        commit(store, batch).await?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use comity_core::log::{Act, Statement, TagSecret};
    use comity_didcomm::{Did, UnixTime};
    use comity_store::MemoryStore;

    /// Keeps something of a second each, for single statements and for several.
    async fn kept_until(store: &dyn Store, seconds: u64) {
        let agent: Did = "did:web:a.example".parse().unwrap();
        let secret = TagSecret::new(&[1; 32]);
        for at in 0..seconds {
            let name = [&at.to_be_bytes()[..], &[7; 16]].concat();
            let mut batch = Batch::new();
            let (parties, id) = ((&agent, &agent), at.to_string());
            let statement = Statement::new(Act::Receipt, parties, &id, b"", &[7; 16], UnixTime(at));
            batch.append_statement(statement.stated(&secret), Some(name.clone()));
            log::keep_shared(&mut batch, &name, b"sealed".to_vec());
            commit(store, batch).await.unwrap();
        }
    }

    async fn is_kept(store: &dyn Store, at: u64) -> [bool; 2] {
        let single = log::kept(store, at).await.unwrap();
        let name = [&at.to_be_bytes()[..], &[7; 16]].concat();
        [single.is_some(), log::shared(store, &name).await.unwrap().is_some()]
    }

    #[tokio::test]
    async fn what_is_old_goes_and_what_is_not_stays() {
        let store = MemoryStore::new();
        // More than goes at once.
        let (seconds, oldest) = (3 * FORGOTTEN_AT_ONCE as u64, 2 * FORGOTTEN_AT_ONCE as u64 + 9);
        kept_until(&store, seconds).await;
        forget_before(&store, oldest).await.unwrap();
        assert_eq!(is_kept(&store, 0).await, [false, true], "each has its own time");
        forget_shared_before(&store, oldest).await.unwrap();
        for at in [0, oldest - 1] {
            assert_eq!(is_kept(&store, at).await, [false, false], "{at}");
        }
        for at in [oldest, seconds - 1] {
            assert_eq!(is_kept(&store, at).await, [true, true], "{at}");
        }
    }
}
