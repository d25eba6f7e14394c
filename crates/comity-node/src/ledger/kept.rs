//! What statements are about, kept sealed beside the log until it is old or is to be forgotten.

use comity_core::limits::DAY_S;
use comity_core::outbound::Queued;
use comity_core::record::digest_text;
use comity_store::records::log::{self, Ledger as Recording};
use comity_store::{Batch, StoreFault};

use super::commit;
use crate::home::Home;
use crate::limits::FORGOTTEN_AT_ONCE;

/// Under which name the objects of statements are sealed. No DID is called like it.
const KEPT: &str = "kept";

/// What stands before the name of an object that several statements are about. No text begins with it.
const SHARED: u8 = 0;

/// The name of what several statements are about: when it was kept, and its SHA-256.
pub(crate) type Shared = Vec<u8>;

/// What opens the digest of a statement.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Opening {
    pub(crate) salt: [u8; 16],
    pub(crate) object: String,
}

impl Home {
    /// Returns how a statement about a message is recorded, with what opens its digest.
    pub(crate) fn recording(&self, opening: Option<(&[u8; 16], &str)>) -> Recording<'_> {
        self.keeping(opening.map(|(salt, object)| (salt, [object.as_bytes(), &[]])))
    }

    /// Returns how a statement is recorded whose object [`Self::share`] has kept.
    pub(crate) fn recording_shared(&self, salt: &[u8; 16], shared: &[u8]) -> Recording<'_> {
        self.keeping(Some((salt, [&[SHARED], shared])))
    }

    /// Adds to a batch what statements of several agents are about.
    pub(crate) fn share(&self, batch: &mut Batch, object: &str) -> Shared {
        let digest = digest_text(object.as_bytes());
        let shared = [&self.now().0.to_be_bytes()[..], digest.as_bytes()].concat();
        if self.ledger.keys.is_some() {
            let sealed = self.keystore.seal_bytes(KEPT, object.as_bytes());
            log::keep_shared(batch, &shared, sealed);
        }
        shared
    }

    /// Keeps a salt and an object, which has two parts.
    fn keeping(&self, opening: Option<(&[u8; 16], [&[u8]; 2])>) -> Recording<'_> {
        let recording = self.ledger.recording();
        let opening = opening.filter(|_| recording.is_kept());
        recording.keeping(opening.map(|(salt, [object, rest])| {
            // When it was kept is not secret: it says when it is to be forgotten.
            let at = self.now().0.to_be_bytes();
            self.keystore.seal_after(&at, KEPT, &[salt, object, rest])
        }))
    }

    /// Returns how what is said of an outgoing message is recorded.
    pub(crate) fn recording_of(&self, queued: &Queued) -> Recording<'_> {
        self.recording(queued.opening().filter(|_| queued.statement().is_some()))
    }

    /// Opens what is kept of a statement's object.
    pub(crate) async fn open_kept(&self, kept: &[u8]) -> Result<Option<Opening>, StoreFault> {
        let unseal = |sealed: &[u8]| self.keystore.unseal_bytes(KEPT, sealed).ok();
        let plain = kept.split_first_chunk::<8>().and_then(|(_, sealed)| unseal(sealed));
        let Some((salt, object)) = plain.as_ref().and_then(|plain| plain.split_first_chunk())
        else {
            return Ok(None);
        };
        let object = match object {
            [SHARED, name @ ..] => {
                let shared = log::shared(self.store.as_ref(), name).await?;
                shared.and_then(|sealed| unseal(&sealed)).map(|object| object.to_vec())
            }
            object => Some(object.to_vec()),
        };
        let object = object.and_then(|object| String::from_utf8(object).ok());
        Ok(object.map(|object| Opening { salt: *salt, object }))
    }

    /// Forgets what was kept long enough.
    pub(super) async fn forget_old(&self) -> Result<(), StoreFault> {
        let kept_s = u64::from(self.config.ledger.messages_days) * DAY_S;
        let oldest = self.now().0.saturating_sub(kept_s);
        self.forget_old_shared(oldest).await?;
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
