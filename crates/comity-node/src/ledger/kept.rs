//! What statements are about, kept sealed beside the log until it is old or is to be forgotten.

use comity_core::limits::{DAY_S, EXPIRES_S_MAX, HISTORY_S};
use comity_core::outbound::Queued;
use comity_store::records::log::{self, Ledger as Recording};
use comity_store::{Batch, StoreFault};

use super::commit;
use crate::home::Home;
use crate::limits::FORGOTTEN_AT_ONCE;

/// Under which name the objects of statements are sealed. No DID is called like it.
const KEPT: &str = "kept";

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
        let kept_s = u64::from(self.config.ledger.messages_days) * DAY_S;
        let oldest = self.now().0.saturating_sub(kept_s);
        // Receipts are shown for as long as the messages are remembered that they are about.
        let shown_s = kept_s.max(EXPIRES_S_MAX + HISTORY_S);
        self.forget_old_shared(self.now().0.saturating_sub(shown_s)).await?;
        let mut from = 0;
        loop {
            let page = log::kept_from(self.store.as_ref(), from, FORGOTTEN_AT_ONCE).await?;
            let Some((last, _)) = page.last() else { return Ok(()) };
            from = last + 1;
            let is_old = |kept: &[u8]| {
                kept.first_chunk::<8>().is_none_or(|at| u64::from_be_bytes(*at) < oldest)
            };
            let mut batch = Batch::new();
            let old = page.iter().filter(|(_, kept)| is_old(kept));
            old.for_each(|(index, _)| log::forget_kept(&mut batch, *index));
            // They lie in the order of their age, but for what clocks did.
            if batch.is_empty() {
                return Ok(());
            }
            commit(self.store.as_ref(), batch).await?;
        }
    }

    /// Forgets what several statements were about and was kept long enough.
    async fn forget_old_shared(&self, oldest: u64) -> Result<(), StoreFault> {
        loop {
            let (mut batch, end) = (Batch::new(), (&oldest.to_be_bytes()[..], FORGOTTEN_AT_ONCE));
            if !log::forget_shared_before(self.store.as_ref(), &mut batch, end).await? {
                return Ok(());
            }
            commit(self.store.as_ref(), batch).await?;
        }
    }
}
