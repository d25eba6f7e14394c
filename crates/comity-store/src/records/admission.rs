//! Tokens of admission that identities of this home have given and hold, and what their keys are
//! made from.
//!
//! | keyspace | key | value |
//! |---|---|---|
//! | meta | `As` | the sealed secret from which the keys are derived |
//! | meta | `Ag` identity | generation of the key that signs its tokens; absent: the first |
//! | meta | `Ai` identity peer | the token that was given to the peer |
//! | meta | `At` identity peer | the token that the peer gave |
//!
//! Counters: tokens given and held, by identity. Both rows go when the token has run out.

use comity_core::admission::{HeldToken, Issued};
use comity_core::limits::{ADMISSIONS_GIVEN_MAX, ADMISSIONS_HELD_MAX};
use comity_didcomm::{Did, UnixTime};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::due::Due;
use super::keys::{did_hash, join};
use super::{decode, encode};
use crate::batch::{Batch, Keyspace};
use crate::store::{Store, StoreFault};

/// A token of one pair that is kept for its time only.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TokenRow {
    side: Side,
    pair: [u8; 32],
}

/// Which side of the token the identity is on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Side {
    /// It gave the token.
    Given,
    /// It holds the token.
    Held,
}

impl Side {
    const fn letter(self) -> u8 {
        match self {
            Self::Given => b'i',
            Self::Held => b't',
        }
    }

    const fn max(self) -> i64 {
        match self {
            Self::Given => ADMISSIONS_GIVEN_MAX,
            Self::Held => ADMISSIONS_HELD_MAX,
        }
    }
}

impl TokenRow {
    fn new(side: Side, identity: &Did, peer: &Did) -> Self {
        let mut pair = [0; 32];
        let hashes = did_hash(identity).into_iter().chain(did_hash(peer));
        pair.iter_mut().zip(hashes).for_each(|(to, from)| *to = from);
        Self { side, pair }
    }

    fn key(self) -> Vec<u8> {
        join(b'A', &[&[self.side.letter()], &self.pair])
    }

    fn counter(self) -> Vec<u8> {
        let identity = self.pair.first_chunk::<16>().copied().unwrap_or_default();
        join(b'c', &[b"A", &[self.side.letter()], &identity])
    }

    pub(super) fn to_bytes(self) -> Vec<u8> {
        join(self.side.letter(), &[&self.pair])
    }

    pub(super) fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (letter, pair) = bytes.split_first()?;
        let side = [Side::Given, Side::Held].into_iter().find(|side| side.letter() == *letter)?;
        Some(Self { side, pair: pair.try_into().ok()? })
    }
}

/// Reads the sealed secret.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn sealed_secret(store: &dyn Store) -> Result<Option<Vec<u8>>, StoreFault> {
    store.get(Keyspace::Meta, SECRET).await
}

/// Sets the sealed secret. The batch conflicts if there is one.
pub fn put_secret(batch: &mut Batch, sealed: &[u8]) {
    batch.assert_absent(Keyspace::Meta, SECRET);
    batch.put(Keyspace::Meta, SECRET, sealed);
}

/// Reads the generation of the key that signs an identity's tokens.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn generation(store: &dyn Store, identity: &Did) -> Result<u32, StoreFault> {
    let row = store.get(Keyspace::Meta, &generation_key(identity)).await?;
    row.map_or(Ok(0), |row| decode(&row))
}

/// Sets the generation of the key that signs an identity's tokens: what the former ones signed is
/// void when the relay knows of it.
pub fn put_generation(batch: &mut Batch, identity: &Did, generation: u32) {
    batch.put(Keyspace::Meta, &generation_key(identity), encode(&generation));
}

/// Reads which token an identity has given to a peer.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn given(
    store: &dyn Store,
    identity: &Did,
    peer: &Did,
) -> Result<Option<Issued>, StoreFault> {
    read(store, TokenRow::new(Side::Given, identity, peer)).await
}

/// Notes which token an identity has given to a peer, in place of `before`. The batch conflicts if
/// that is not what is known, or if as many have been given as may be.
pub fn put_given(
    batch: &mut Batch,
    identity: &Did,
    peer: &Did,
    before: Option<&Issued>,
    issued: &Issued,
) {
    put(batch, TokenRow::new(Side::Given, identity, peer), before, issued, issued.expires);
}

/// Reads which token of a peer an identity holds.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn held(
    store: &dyn Store,
    identity: &Did,
    peer: &Did,
) -> Result<Option<HeldToken>, StoreFault> {
    read(store, TokenRow::new(Side::Held, identity, peer)).await
}

/// Keeps a token that a peer has given to an identity, in place of `before`. The batch conflicts if
/// that is not what is known, or if as many are held as may be.
pub fn put_held(
    batch: &mut Batch,
    identity: &Did,
    peer: &Did,
    before: Option<&HeldToken>,
    token: &HeldToken,
) {
    put(batch, TokenRow::new(Side::Held, identity, peer), before, token, token.expires);
}

/// Takes a row away whose token has run out. The batch conflicts if it is replaced in this moment.
///
/// # Errors
///
/// Fails if the store cannot be read.
pub async fn forget(
    store: &dyn Store,
    batch: &mut Batch,
    row: TokenRow,
    now: UnixTime,
) -> Result<(), StoreFault> {
    let Some(value) = store.get(Keyspace::Meta, &row.key()).await? else { return Ok(()) };
    let expires = match row.side {
        Side::Given => decode::<Issued>(&value)?.expires,
        Side::Held => decode::<HeldToken>(&value)?.expires,
    };
    if now < expires {
        // Another one has taken its place, and is due at another time.
        return Ok(());
    }
    batch.assert_value(Keyspace::Meta, &row.key(), &value);
    batch.delete(Keyspace::Meta, &row.key());
    batch.add(&row.counter(), -1);
    Ok(())
}

async fn read<T: DeserializeOwned>(
    store: &dyn Store,
    row: TokenRow,
) -> Result<Option<T>, StoreFault> {
    let value = store.get(Keyspace::Meta, &row.key()).await?;
    value.map(|value| decode(&value)).transpose()
}

fn put<T: Serialize>(
    batch: &mut Batch,
    row: TokenRow,
    before: Option<&T>,
    after: &T,
    expires: UnixTime,
) {
    if let Some(before) = before {
        batch.assert_value(Keyspace::Meta, &row.key(), &encode(before));
    } else {
        batch.assert_absent(Keyspace::Meta, &row.key());
        batch.add_bounded(&row.counter(), 1, row.side.max());
    }
    batch.put(Keyspace::Meta, &row.key(), encode(after));
    Due::ForgetToken(row).put(batch, expires);
}

const SECRET: &[u8] = b"As";

fn generation_key(identity: &Did) -> Vec<u8> {
    join(b'A', &[b"g", &did_hash(identity)])
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::engine::memory::MemoryStore;
    use crate::records::due;
    use crate::store::{CommitError, Conflict};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn did(text: &str) -> Did {
        text.parse().unwrap()
    }

    fn issued(generation: u32, expires: u64) -> Issued {
        let expires = NOW.saturating_add(expires);
        Issued { key: "z6Mk".to_owned(), generation, at: NOW, expires }
    }

    /// Does what is due by then.
    async fn sweep(store: &dyn Store, now: UnixTime) {
        for row in due::until(store, now, None, 99).await.unwrap() {
            let mut batch = Batch::new();
            due::done(&mut batch, &row);
            let Due::ForgetToken(token) = row.due else { panic!("{row:?}") };
            forget(store, &mut batch, token, now).await.unwrap();
            store.commit(batch).await.unwrap();
        }
    }

    async fn count(store: &dyn Store, side: Side, identity: &Did) -> i64 {
        store.counter(&TokenRow::new(side, identity, identity).counter()).await.unwrap()
    }

    #[tokio::test]
    async fn a_token_is_known_until_it_has_run_out_and_a_later_one_takes_its_place() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let store = store.as_ref();
        let (aria, bruno) = (did("did:web:a.example"), did("did:web:b.example"));
        // Three times over the same state (I6).
        for _round in 0..3 {
            let (first, second) = (issued(0, 60), issued(1, 120));
            for (before, after) in [(None, &first), (Some(&first), &second)] {
                let mut outcomes = Vec::new();
                for _again in 0..2 {
                    let mut batch = Batch::new();
                    put_given(&mut batch, &bruno, &aria, before, after);
                    outcomes.push(store.commit(batch).await.is_ok());
                }
                assert_eq!(outcomes, [true, false], "it has changed since it was read");
                assert_eq!(given(store, &bruno, &aria).await.unwrap().as_ref(), Some(after));
                assert_eq!(count(store, Side::Given, &bruno).await, 1);
            }
            assert_eq!(held(store, &bruno, &aria).await.unwrap(), None, "the other side is apart");
            sweep(store, NOW.saturating_add(60)).await;
            assert_eq!(given(store, &bruno, &aria).await.unwrap(), Some(second));
            sweep(store, NOW.saturating_add(120)).await;
            assert_eq!(given(store, &bruno, &aria).await.unwrap(), None);
            assert_eq!(count(store, Side::Given, &bruno).await, 0);
        }
    }

    #[tokio::test]
    async fn no_more_tokens_are_held_than_the_bound() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let store = store.as_ref();
        let (aria, bruno) = (did("did:web:a.example"), did("did:web:b.example"));
        let counter = TokenRow::new(Side::Held, &aria, &bruno).counter();
        let mut batch = Batch::new();
        batch.add(&counter, ADMISSIONS_HELD_MAX - 1);
        store.commit(batch).await.unwrap();
        let token = HeldToken { token: "a.b.c".to_owned(), expires: NOW };
        let put_of = |peer: &Did| {
            let mut batch = Batch::new();
            put_held(&mut batch, &aria, peer, None, &token);
            store.commit(batch)
        };
        put_of(&bruno).await.unwrap();
        let full = put_of(&did("did:web:c.example")).await;
        assert!(matches!(full, Err(CommitError::Conflict(Conflict::Bound { .. }))));
        // A later one of somebody known has a place.
        let mut batch = Batch::new();
        put_held(&mut batch, &aria, &bruno, Some(&token), &token);
        store.commit(batch).await.unwrap();
    }

    #[tokio::test]
    async fn generations_and_the_secret_are_kept() {
        let store: Arc<dyn Store> = Arc::new(MemoryStore::new());
        let store = store.as_ref();
        let bruno = did("did:web:b.example");
        assert_eq!(generation(store, &bruno).await.unwrap(), 0);
        assert_eq!(sealed_secret(store).await.unwrap(), None);
        let mut batch = Batch::new();
        put_generation(&mut batch, &bruno, 7);
        put_secret(&mut batch, b"sealed");
        store.commit(batch.clone()).await.unwrap();
        assert_eq!(generation(store, &bruno).await.unwrap(), 7);
        assert_eq!(sealed_secret(store).await.unwrap().as_deref(), Some(&b"sealed"[..]));
        assert!(store.commit(batch).await.is_err(), "nobody's keys are replaced by accident");
    }
}
