//! [`AgreementCache`]: remembers what two long-lived keys agree on, which is the same for every
//! message between them and half of the cost of opening one. Not for ephemeral keys, whose secrets
//! are used once.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use aws_lc_rs::digest;

use super::PublicKey;
use super::agreement::Secret;
use crate::limits::AGREEMENTS_CACHED_MAX;

/// Remembers the secrets of pairs of long-lived keys, for authcrypt between regular peers.
///
/// It is used by the keys that it is attached to
/// ([`AgreementKey::with_cache`](crate::AgreementKey::with_cache)), and by nothing otherwise. It
/// holds a bounded number of secrets, forgets one that was not used lately when it is full, and
/// wipes what it forgets. A receiver's secret enters it only after the message has decrypted, so
/// nobody fills it with keys that are not theirs.
///
/// # What it gives away
/// A hit is faster than a miss by one agreement. Who can measure how long a message takes to be opened can tell whether
/// its sender has written, or been written to, lately. And the memory of the process holds secrets that it would
/// otherwise compute anew from the private key, which it holds as well. Who cannot accept the one or the other attaches
/// no cache; without one the time of an agreement depends on the curve alone.
///
/// ```
/// # use std::sync::Arc;
/// # use comity_didcomm::{AgreementCache, AgreementKey};
/// # let mut rng: rand::rngs::StdRng = rand::make_rng();
/// let cache = Arc::new(AgreementCache::new(1024));
/// let key = AgreementKey::generate(&mut rng).with_cache(Arc::clone(&cache));
/// // `key` opens and seals as before, and faster for peers that it knows.
/// assert_eq!(cache.len(), 0);
/// ```
pub struct AgreementCache {
    capacity: usize,
    entries: Mutex<Entries>,
}

#[derive(Default)]
struct Entries {
    by_name: BTreeMap<Name, usize>,
    slots: Vec<Slot>,
    /// Where the search for a slot to reuse goes on.
    hand: usize,
}

struct Slot {
    name: Name,
    secret: Secret,
    /// Whether it was used since the hand came by.
    used: bool,
}

/// A digest of the two public keys. Not a secret.
type Name = [u8; 32];

impl AgreementCache {
    /// Creates a cache for so many secrets, at least 1 and at most [`AGREEMENTS_CACHED_MAX`].
    #[must_use]
    pub fn new(capacity: usize) -> Self {
        let capacity = capacity.clamp(1, AGREEMENTS_CACHED_MAX);
        Self { capacity, entries: Mutex::default() }
    }

    /// Returns how many secrets it holds.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().slots.len()
    }

    /// Whether it holds none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forgets, and wipes, everything.
    pub fn clear(&self) {
        *self.lock() = Entries::default();
    }

    pub(super) fn get(&self, own: &PublicKey, peer: &PublicKey) -> Option<Secret> {
        let name = name(own, peer);
        let mut entries = self.lock();
        let at = *entries.by_name.get(&name)?;
        let slot = entries.slots.get_mut(at)?;
        slot.used = true;
        Some(slot.secret.clone())
    }

    pub(super) fn put(&self, own: &PublicKey, peer: &PublicKey, secret: &Secret) {
        let name = name(own, peer);
        let slot = Slot { name, secret: secret.clone(), used: false };
        self.lock().put(slot, self.capacity);
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing in here leaves the entries half changed.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entries {
    fn put(&mut self, slot: Slot, capacity: usize) {
        if self.by_name.contains_key(&slot.name) {
            return;
        }
        if self.slots.len() < capacity {
            if self.slots.capacity() == 0 {
                // At once: a vector that grows leaves copies of secrets behind.
                self.slots.reserve_exact(capacity);
            }
            self.by_name.insert(slot.name, self.slots.len());
            self.slots.push(slot);
            return;
        }
        // Second chance: a slot that was used is passed over once. Two rounds find one in any case.
        for _ in 0..=2 * capacity {
            let at = self.hand;
            self.hand = (at + 1) % capacity;
            let Some(old) = self.slots.get_mut(at) else { return };
            if std::mem::take(&mut old.used) {
                continue;
            }
            self.by_name.remove(&old.name);
            self.by_name.insert(slot.name, at);
            // The old secret is wiped as it is dropped.
            *old = slot;
            return;
        }
    }
}

/// Names a pair of keys. The order matters not for the secret, but each holder is always the same
/// side.
fn name(own: &PublicKey, peer: &PublicKey) -> Name {
    let mut hash = digest::Context::new(&digest::SHA256);
    for key in [own, peer] {
        hash.update(key.curve().name().as_bytes());
        hash.update(key.as_bytes());
    }
    let mut name = [0; 32];
    name.iter_mut().zip(hash.finish().as_ref()).for_each(|(to, from)| *to = *from);
    name
}

impl fmt::Debug for AgreementCache {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgreementCache")
            .field("capacity", &self.capacity)
            .field("len", &self.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::key::AgreementKey;

    fn key(byte: u8) -> PublicKey {
        AgreementKey::from_bytes([byte; 32].into()).public()
    }

    fn secret(byte: u8) -> Secret {
        Secret::new(&[byte; 32]).unwrap()
    }

    #[test]
    fn it_holds_no_more_than_its_capacity_and_keeps_what_is_used() {
        let cache = AgreementCache::new(4);
        let own = key(0);
        for byte in 1..=4 {
            cache.put(&own, &key(byte), &secret(byte));
        }
        for byte in 5..40 {
            // A regular peer among many that write once.
            assert!(cache.get(&own, &key(2)) == Some(secret(2)), "{byte}");
            cache.put(&own, &key(byte), &secret(byte));
            assert_eq!(cache.len(), 4);
            assert!(cache.get(&own, &key(byte)).is_some());
        }
        assert!(cache.get(&own, &key(1)).is_none());
        assert!(cache.get(&key(2), &own).is_none(), "another side of the pair is another entry");
        cache.clear();
        assert!(cache.is_empty() && cache.get(&own, &key(2)).is_none());
    }

    #[test]
    fn the_bound_holds_for_any_wish() {
        assert_eq!(AgreementCache::new(0).capacity, 1);
        assert_eq!(AgreementCache::new(usize::MAX).capacity, AGREEMENTS_CACHED_MAX);
    }

    #[test]
    fn a_cached_agreement_is_the_computed_one() {
        let cache = Arc::new(AgreementCache::new(8));
        let plain = AgreementKey::from_bytes([1; 32].into());
        let cached = plain.clone().with_cache(Arc::clone(&cache));
        let peer = key(2);
        for _ in 0..2 {
            let secret = cached.agree_static(&peer).unwrap();
            assert!(Some(&secret) == plain.agree(&peer).as_ref());
            cached.remember(&peer, &secret);
        }
        assert_eq!(cache.len(), 1);
        assert!(cached.agree_static(&PublicKey::X25519([0; 32])).is_none());
        assert!(!format!("{cache:?}").contains("secret"));
    }
}
