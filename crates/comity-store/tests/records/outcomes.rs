//! How work ended, as it is kept: the latest word, within bounds, for a year.

use comity_core::limits::{
    OUTCOME_KEPT_S, OUTCOME_PROPOSALS_PER_PEER_MAX, OUTCOMES_SHOWN_MAX,
    OUTCOMES_SHOWN_PER_WORKER_MAX,
};
use comity_core::trust::{Ending, TokenId, Work};
use comity_didcomm::{Did, UnixTime};
use comity_store::Batch;
use comity_store::records::due::{self, Due};
use comity_store::records::outcomes::{self, Agreed, Kept, Proposed, Side};

use super::support::{NOW, Round};

fn work(worker: &Did, client: &Did, thid: &str, outcome: Ending, at: u64) -> Work {
    Work {
        worker: worker.clone(),
        client: client.clone(),
        thid: thid.to_owned(),
        protocol: "https://example.org/task/1.0".parse().unwrap(),
        outcome,
        at: UnixTime(at),
    }
}

fn name(work: &Work) -> TokenId {
    TokenId::of(format!("{work:?}").as_bytes())
}

async fn propose(round: &Round, side: Side, work: Work) -> Kept {
    let mut batch = Batch::new();
    let id = name(&work);
    let (token, message) = ("a.b.c".to_owned(), "o-1".to_owned());
    let proposed = Proposed { id, side, work, token, message, comment: None };
    let store = round.store.as_ref();
    let kept = outcomes::propose(store, &mut batch, &round.bruno.did, &proposed, NOW).await;
    round.store.commit(batch).await.unwrap();
    kept.unwrap()
}

async fn agree(round: &Round, work: &Work) -> Kept {
    let mut batch = Batch::new();
    let agreed = Agreed { id: name(work), work: work.clone() };
    let tokens = ["a.b.c".to_owned(), format!("{}.e.f", work.at.0)];
    let (store, agent) = (round.store.as_ref(), &round.bruno.did);
    let kept = outcomes::agree(store, &mut batch, agent, &agreed, &tokens, NOW).await;
    round.store.commit(batch).await.unwrap();
    kept.unwrap()
}

async fn waiting(round: &Round) -> Vec<Proposed> {
    outcomes::proposals(round.store.as_ref(), &round.bruno.did).await.unwrap()
}

async fn own(round: &Round) -> Vec<Agreed> {
    outcomes::own(round.store.as_ref(), &round.bruno.did).await.unwrap()
}

async fn shown(round: &Round) -> Vec<Agreed> {
    outcomes::shown(round.store.as_ref(), &round.bruno.did).await.unwrap()
}

/// Does what is due at a time.
async fn forget(round: &Round, now: UnixTime) {
    for row in due::until(round.store.as_ref(), now, None, 10_000).await.unwrap() {
        if let Due::ForgetMeta(key) = &row.due {
            let forgetting = |batch: &mut Batch| {
                due::done(batch, &row);
                due::forget_meta(batch, key);
            };
            round.commit(forgetting).await.unwrap();
        }
    }
}

pub(crate) async fn of_the_same_work_the_latest_word_is_kept_for_a_year(round: Round) {
    let (us, them, now) = (&round.bruno.did, &round.aria.did, NOW.0);
    let of = |outcome, at| work(us, them, "t-1", outcome, at);
    assert_eq!(propose(&round, Side::Theirs, of(Ending::Disputed, now - 9)).await, Kept::New);
    assert_eq!(propose(&round, Side::Theirs, of(Ending::Done, now - 8)).await, Kept::New);
    assert_eq!(propose(&round, Side::Theirs, of(Ending::Expired, now - 9)).await, Kept::Known);
    assert_eq!(propose(&round, Side::Ours, of(Ending::Accepted, now - 9)).await, Kept::New);
    assert_eq!(waiting(&round).await.len(), 2, "one for each side");

    let disputed = of(Ending::Disputed, now - 8);
    assert_eq!(agree(&round, &disputed).await, Kept::New);
    assert!(waiting(&round).await.is_empty());
    assert_eq!(agree(&round, &of(Ending::Done, now - 8)).await, Kept::Known);
    assert_eq!(propose(&round, Side::Theirs, of(Ending::Done, now - 8)).await, Kept::Known);
    let accepted = of(Ending::Accepted, now - 7);
    assert_eq!(agree(&round, &accepted).await, Kept::New, "it was made up");
    assert_eq!(own(&round).await.iter().map(|one| &one.work).collect::<Vec<_>>(), [&accepted]);
    let tokens = outcomes::tokens(round.store.as_ref(), us, &accepted).await.unwrap().unwrap();
    assert_eq!(tokens[1], format!("{}.e.f", now - 7));
    let old = work(us, them, "t-2", Ending::Done, now - OUTCOME_KEPT_S);
    assert_eq!(agree(&round, &old).await, Kept::Known, "too old to count");

    forget(&round, UnixTime(now - 8 + OUTCOME_KEPT_S)).await;
    assert_eq!(own(&round).await.len(), 1, "what was before it is gone, and it is not");
    forget(&round, UnixTime(now - 7 + OUTCOME_KEPT_S)).await;
    assert!(own(&round).await.is_empty());
    assert_eq!(outcomes::tokens(round.store.as_ref(), us, &accepted).await.unwrap(), None);
}

pub(crate) async fn nobody_fills_what_is_kept_of_work(round: Round) {
    let (us, them, now) = (&round.bruno.did, &round.aria.did, NOW.0);
    for number in 0..=OUTCOME_PROPOSALS_PER_PEER_MAX {
        let work = work(us, them, &format!("t-{number}"), Ending::Done, now);
        let is_one_too_many = number == OUTCOME_PROPOSALS_PER_PEER_MAX;
        let expected = if is_one_too_many { Kept::Full } else { Kept::New };
        assert_eq!(propose(&round, Side::Theirs, work).await, expected, "{number}");
    }
    let again = work(us, them, "t-0", Ending::Disputed, now);
    assert_eq!(propose(&round, Side::Theirs, again).await, Kept::New, "in its own place");

    let client: Did = "did:web:client.example".parse().unwrap();
    let of = |thid: &str, outcome| work(them, &client, thid, outcome, now);
    for number in 0..OUTCOMES_SHOWN_PER_WORKER_MAX {
        assert_eq!(agree(&round, &of(&format!("t-{number}"), Ending::Done)).await, Kept::New);
    }
    assert_eq!(agree(&round, &of("t-a", Ending::Accepted)).await, Kept::Full);
    assert_eq!(agree(&round, &of("t-b", Ending::Disputed)).await, Kept::New);
    let shown = shown(&round).await;
    assert_eq!(shown.len(), OUTCOMES_SHOWN_PER_WORKER_MAX, "it took the place of a good one");
    assert!(shown.iter().any(|one| one.work.outcome == Ending::Disputed));
    let other: Did = "did:web:other.example".parse().unwrap();
    let elsewhere = work(&other, &client, "t-1", Ending::Done, now);
    assert_eq!(agree(&round, &elsewhere).await, Kept::New, "the others have their room");

    // Whoever shows good words about many fills all there is; a bad one takes the place of any of them.
    let about = |number: usize, outcome| {
        let worker = format!("did:web:w{number}.example").parse().unwrap();
        work(&worker, &client, "t", outcome, now)
    };
    for number in OUTCOMES_SHOWN_PER_WORKER_MAX + 1..OUTCOMES_SHOWN_MAX {
        assert_eq!(agree(&round, &about(number, Ending::Done)).await, Kept::New, "{number}");
    }
    assert_eq!(agree(&round, &about(0, Ending::Done)).await, Kept::Full);
    assert_eq!(agree(&round, &about(0, Ending::Disputed)).await, Kept::New);
    assert_eq!(self::shown(&round).await.len(), OUTCOMES_SHOWN_MAX);
}
