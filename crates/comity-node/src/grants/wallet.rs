//! The grants that an agent holds: which one it shows, and which makes room for another.

use comity_core::limits::{
    GRANTS_GIVEN_MAX, GRANTS_HELD_MAX, GRANTS_OF_ONE_MAX, GRANTS_UNASKED_MAX,
};
use comity_core::receipt::Rung;
use comity_core::record::Sent;
use comity_core::refusal::Refusal;
use comity_core::trust::{Limits, Passage, TokenId};
use comity_didcomm::{Did, MessageType, UnixTime};
use comity_store::records::grants::{self, Given, Held, Standing};
use comity_store::{Batch, StoreFault};

use crate::home::Home;

/// Rows that the grants of one agent take at most.
pub(super) const WALLET_MAX: usize = 2 * GRANTS_HELD_MAX + GRANTS_UNASKED_MAX;

/// Returns the chain that an agent shows with a message: of those that cover its protocol and came
/// most surely, the one that goes furthest.
pub(crate) async fn carried(home: &Home, passage: &Passage) -> Result<Vec<String>, StoreFault> {
    let store = home.store.as_ref();
    let held = grants::held_for(store, &passage.from, &passage.to, WALLET_MAX).await?;
    Ok(best(held, passage, home.now()).map_or(Vec::new(), |best| best.chain))
}

fn best(held: Vec<Held>, passage: &Passage, now: UnixTime) -> Option<Held> {
    let is_good = |held: &Held| {
        let terms = &held.terms;
        terms.from <= now && now < terms.until && terms.covers(&passage.protocol)
    };
    // What was handed on may have been made to be refused, whatever level it has. Between equals what
    // the operator added comes first, then what has no limit of its own, then what holds longer.
    let rank = |held: &Held| {
        let Held { terms, standing, .. } = held;
        let surety = if is_handed_on(held) { *standing } else { Standing::Added };
        (surety, terms.level, *standing, terms.limits == Limits::UNLIMITED, terms.until)
    };
    held.into_iter().filter(is_good).max_by_key(rank)
}

/// Whether somebody else than the agent that it gives access to chose its terms.
fn is_handed_on(held: &Held) -> bool {
    1 < held.chain.len()
}

/// Drops the grant that an agent has shown in vain, when its audience says that it was taken back:
/// without it the agent can at least ask, as a stranger does. What a stranger handed on is dropped
/// also when it is no good: it may have been made for that.
pub(crate) async fn drop_refused(
    home: &Home,
    batch: &mut Batch,
    sent: &Sent,
    rung: &Rung,
) -> Result<(), StoreFault> {
    let Ok(type_) = sent.type_.parse::<MessageType>() else { return Ok(()) };
    let says = |refusal: Refusal| rung.code.as_deref() == Some(refusal.code());
    let (is_over, is_no_good) = (says(Refusal::GrantRevoked), says(Refusal::GrantInvalid));
    if !is_over && !is_no_good {
        return Ok(());
    }
    let (from, to) = (sent.sender.clone(), sent.recipient.clone());
    let (id, protocol) = (sent.id.clone(), type_.protocol().clone());
    let passage = Passage { id, from, to, protocol, threads: Vec::new() };
    let (store, agent) = (home.store.as_ref(), &sent.sender);
    let held = grants::held_for(store, agent, &sent.recipient, WALLET_MAX).await?;
    let is_made_up = |held: &Held| held.standing == Standing::Unasked && is_handed_on(held);
    let shown = best(held, &passage, home.now());
    if let Some(shown) = shown.filter(|shown| is_over || is_made_up(shown)) {
        tracing::info!(%agent, grant = %shown.id, "a grant was refused, and is dropped");
        grants::remove_held(batch, agent, &shown);
    }
    Ok(())
}

/// What becomes of a grant that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room<'a> {
    /// There is room, once these are gone.
    Free(Vec<&'a Held>),
    /// There is none.
    Full,
    /// It is held already, and stays as it is.
    Held,
}

/// Makes room for a grant. What strangers send makes way for what other strangers send, and for
/// nothing else; what the operator added makes way for nothing.
pub(super) fn room_for<'a>(wallet: &'a [Held], new: &Held) -> Room<'a> {
    let of_same_standing = || wallet.iter().filter(|held| held.standing == new.standing);
    if let Some(same) = wallet.iter().find(|held| held.id == new.id) {
        let is_better = same.standing < new.standing;
        return if is_better { Room::Free(vec![same]) } else { Room::Held };
    }
    if new.standing == Standing::Added {
        let is_full = GRANTS_HELD_MAX <= of_same_standing().count();
        return if is_full { Room::Full } else { Room::Free(Vec::new()) };
    }
    let max = if new.standing == Standing::Known { GRANTS_HELD_MAX } else { GRANTS_UNASKED_MAX };
    let of_one = of_same_standing().filter(|held| held.grantor().same_subject(new.grantor()));
    let mut gone = oldest(of_one.collect(), GRANTS_OF_ONE_MAX);
    let others = of_same_standing().filter(|held| !gone.contains(held)).collect();
    gone.extend(oldest(others, max));
    Room::Free(gone)
}

/// Picks the oldest, so many that there is room for one more.
fn oldest(mut held: Vec<&Held>, max: usize) -> Vec<&Held> {
    held.sort_by_key(|held| held.held_since);
    held.truncate((held.len() + 1).saturating_sub(max));
    held
}

/// Drops the grants with tokens that do not count any more, as far as somebody may say so. Returns
/// what the agent had handed on of them, which ends with them.
pub(super) async fn drop_ended(
    home: &Home,
    batch: &mut Batch,
    (agent, said_by): (&Did, &Did),
    ids: &[TokenId],
) -> Result<Vec<Given>, StoreFault> {
    let store = home.store.as_ref();
    let mut held = grants::held(store, agent, WALLET_MAX).await?;
    held.retain(|held| held.is_ended_by(said_by, ids));
    if held.is_empty() {
        return Ok(Vec::new());
    }
    for held in &held {
        tracing::info!(%agent, %said_by, grant = %held.id, "a grant was taken back");
        grants::remove_held(batch, agent, held);
    }
    let mut given = grants::given(store, agent, GRANTS_GIVEN_MAX).await?;
    let is_of = |given: &Given, held: &Held| {
        held.chain.len() < given.chain.len() && given.chain.starts_with(&held.chain)
    };
    given.retain(|given| given.revoked_at.is_none() && held.iter().any(|held| is_of(given, held)));
    for given in &mut given {
        given.revoked_at = Some(home.now());
        grants::put_given(batch, agent, given);
    }
    Ok(given)
}

#[cfg(test)]
mod tests {
    use comity_core::trust::{GrantTerms, Level};

    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn held(number: u64, standing: Standing, grantor: &str) -> Held {
        let grantor: Did = format!("did:web:{grantor}.example").parse().unwrap();
        let id = TokenId::of(&number.to_be_bytes());
        Held {
            id,
            chain: vec![number.to_string()],
            links: vec![(id, grantor.clone())],
            audience: grantor,
            terms: GrantTerms {
                grantee: "did:web:a.example".parse().unwrap(),
                scope: Vec::new(),
                level: Level::Message,
                limits: Limits::UNLIMITED,
                from: NOW,
                until: NOW.saturating_add(60),
                depth: 0,
                name: "g".to_owned(),
            },
            standing,
            held_since: NOW.saturating_add(number),
        }
    }

    #[test]
    fn strangers_crowd_out_strangers_only() {
        let mut wallet =
            vec![held(900, Standing::Added, "bruno"), held(901, Standing::Known, "carol")];
        for number in 0..GRANTS_UNASKED_MAX as u64 {
            wallet.push(held(number, Standing::Unasked, &format!("s{number}")));
        }
        let Room::Free(gone) = room_for(&wallet, &held(800, Standing::Unasked, "mallory")) else {
            panic!("the oldest makes room");
        };
        assert_eq!(gone, [&wallet[2]]);
        let known = room_for(&wallet, &held(801, Standing::Known, "bruno"));
        assert_eq!(known, Room::Free(Vec::new()));
    }

    #[test]
    fn one_grantor_crowds_out_its_own() {
        let of_one = GRANTS_OF_ONE_MAX as u64;
        let mut wallet: Vec<_> =
            (0..of_one).map(|number| held(number + 10, Standing::Known, "bruno")).collect();
        wallet.push(held(1, Standing::Known, "carol"));
        let Room::Free(gone) = room_for(&wallet, &held(800, Standing::Known, "bruno")) else {
            panic!("the oldest of bruno's makes room");
        };
        assert_eq!(gone, [&wallet[0]]);
    }

    #[test]
    fn what_the_operator_added_makes_way_for_nothing() {
        let wallet: Vec<_> = (0..GRANTS_HELD_MAX as u64)
            .map(|number| held(number, Standing::Added, &format!("s{number}")))
            .collect();
        assert_eq!(room_for(&wallet, &held(800, Standing::Added, "bruno")), Room::Full);
        assert_eq!(room_for(&wallet, &held(5, Standing::Unasked, "s5")), Room::Held);
        let unasked = [held(5, Standing::Unasked, "s5")];
        let better = room_for(&unasked, &held(5, Standing::Added, "s5"));
        assert_eq!(better, Room::Free(vec![&unasked[0]]));
    }

    #[test]
    fn the_grant_that_goes_furthest_is_shown() {
        let passage = Passage {
            id: "m-1".to_owned(),
            from: "did:web:a.example".parse().unwrap(),
            to: "did:web:bruno.example".parse().unwrap(),
            protocol: "https://example.org/offer/1.0".parse().unwrap(),
            threads: Vec::new(),
        };
        let low = held(1, Standing::Added, "bruno");
        let mut high = held(2, Standing::Unasked, "bruno");
        high.terms.level = Level::Task;
        let mut over = held(3, Standing::Added, "bruno");
        (over.terms.level, over.terms.until) = (Level::Execute, NOW);
        let mut other = held(4, Standing::Added, "bruno");
        other.terms.level = Level::Execute;
        other.terms.scope = vec!["https://example.org/other/1.0".parse().unwrap()];
        let shown = best(vec![low.clone(), high.clone(), over, other], &passage, NOW);
        assert_eq!(shown, Some(high.clone()));

        // Anybody who may hand on could hand on one with hardly any messages.
        let mut handed_on = high.clone();
        (handed_on.terms.level, handed_on.chain) = (Level::Execute, vec![String::new(); 2]);
        for (others, expected) in [(vec![&high], &high), (vec![&low], &low), (vec![], &handed_on)] {
            let wallet = others.into_iter().chain([&handed_on]).cloned().collect();
            assert_eq!(best(wallet, &passage, NOW).as_ref(), Some(expected));
        }
        let known = Held { standing: Standing::Known, chain: handed_on.chain.clone(), ..low };
        assert_eq!(best(vec![handed_on, known.clone()], &passage, NOW), Some(known));
    }
}
