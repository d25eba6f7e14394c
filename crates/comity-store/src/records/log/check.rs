//! Checks a whole log: that its entries give its head, that each is a link of exactly one chain, and that the
//! chains hold. What the doctor and the tests ask; evidence proves single statements instead.

use std::collections::HashMap;

use comity_core::log::{
    Frontier, Link, Statement, TILE_WIDTH, encode_hash, leaf_hash, statement_hash,
};
use comity_didcomm::Did;

use super::{damaged, recorded, tiles};
use crate::batch::Keyspace;
use crate::chain::ChainKey;
use crate::store::{KeyRange, Store, StoreFault};

/// What a log holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Checked {
    /// Entries.
    pub entries: u64,
    /// Chains.
    pub chains: u64,
}

/// Checks the log as it is when this is called, also while it grows.
///
/// # Errors
///
/// Fails if the store cannot be read, or something does not hold; says what.
pub async fn check(store: &dyn Store) -> Result<Checked, StoreFault> {
    let before = store.frontier().await?;
    let entries = entries(store, &before).await?;
    let mut checked = Checked { entries: before.size(), ..Checked::default() };
    let mut ends: HashMap<ChainKey, (u64, [u8; 32])> = HashMap::new();
    let (mut from, mut statements) = (b"s".to_vec(), 0);
    loop {
        let range = KeyRange::prefix_after(b"s", &from);
        let rows = store.read(Keyspace::Log, range, ROWS).await?;
        let Some(last) = rows.last() else { break };
        from.clone_from(&last.key);
        for row in &rows {
            let statement = recorded(row)?;
            // It came since.
            if before.size() <= statement.index {
                continue;
            }
            let agent = Statement::parse(&statement.text).map(|one| one.agent);
            let agent: Did = agent.ok_or_else(|| damaged("a statement is not one"))?;
            let (seq, prev) = ends.entry(ChainKey::of(&agent)).or_insert((0, [0; 32]));
            let link = Link {
                agent,
                peer: statement.peer,
                prev: encode_hash(prev),
                seq: *seq + 1,
                statement: statement_hash(&statement.text),
                thread: statement.thread,
                v: 1,
            };
            let entry = link.entry();
            if statement.seq != link.seq || entries.get(&statement.index) != Some(&entry) {
                return Err(damaged("a statement is not the one that the log has"));
            }
            (*seq, *prev) = (link.seq, entry);
            statements += 1;
        }
    }
    checked.chains = ends.len() as u64;
    if statements < entries.len() {
        return Err(damaged("an entry of the log has no statement"));
    }
    Ok(checked)
}

/// Reads the entries of chains, and checks that all entries together give the head.
async fn entries(store: &dyn Store, head: &Frontier) -> Result<HashMap<u64, [u8; 32]>, StoreFault> {
    let (mut frontier, mut links) = (Frontier::default(), HashMap::new());
    while frontier.size() < head.size() {
        let first = frontier.size();
        let count = (head.size() - first).min(TILE_WIDTH);
        for (index, entry) in (first..).zip(tiles::entries(store, first, count).await?) {
            frontier.append(leaf_hash(&entry));
            links.insert(index, entry);
        }
    }
    if frontier.root() == head.root() {
        Ok(links)
    } else {
        Err(damaged("the entries of the log do not give its head"))
    }
}

/// Rows that are read at a time.
const ROWS: usize = 1_024;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::batch::Batch;
    use crate::chain;
    use crate::engine::memory::MemoryStore;
    use comity_core::log::{Act, TagSecret};
    use comity_didcomm::UnixTime;

    fn statement(agent: &str, n: u64) -> Statement {
        let (agent, peer) = (agent.parse().unwrap(), "did:web:peer.example".parse().unwrap());
        let about = (&agent, &peer);
        Statement::about_message(Act::Sent, about, &format!("m-{n}"), b"", &[7; 16], UnixTime(n))
    }

    async fn grown() -> MemoryStore {
        let store = MemoryStore::new();
        let secret = TagSecret::new(&[1; 32]);
        for n in 0..300 {
            let mut batch = Batch::new();
            batch.append_statement(statement("did:web:a.example", n).stated(&secret), None);
            batch.append_statement(statement("did:web:b.example", n).stated(&secret), None);
            store.commit(batch).await.unwrap();
        }
        store
    }

    #[tokio::test]
    async fn a_log_as_it_was_written_holds() {
        let checked = check(&grown().await).await.unwrap();
        assert_eq!(checked, Checked { entries: 600, chains: 2 });
        assert_eq!(check(&MemoryStore::new()).await.unwrap(), Checked::default());
    }

    type Change<'a> = &'a dyn Fn(&mut Batch, &[u8]);

    #[tokio::test]
    async fn a_statement_that_was_changed_deleted_or_added_is_found() {
        let agent: Did = "did:web:a.example".parse().unwrap();
        let key = |seq| chain::statement_key(ChainKey::of(&agent), seq);
        let changes: [Change<'_>; 3] = [
            &|batch, row| {
                let row = String::from_utf8_lossy(row).replace("\"at\":6", "\"at\":7");
                batch.put(Keyspace::Log, &key(7), row.into_bytes());
            },
            &|batch, _| batch.delete(Keyspace::Log, &key(300)),
            &|batch, row| batch.put(Keyspace::Log, &key(301), row),
        ];
        for change in changes {
            let store = grown().await;
            let row = store.get(Keyspace::Log, &key(7)).await.unwrap().unwrap();
            let mut batch = Batch::new();
            change(&mut batch, &row);
            store.commit(batch).await.unwrap();
            assert!(matches!(check(&store).await, Err(StoreFault::Corrupt(_))));
        }
    }
}
