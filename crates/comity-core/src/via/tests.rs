//! A home and its relay, message by message. The relay here is what the test says; that the real
//! one says the same is shown by the node's tests.

use std::sync::Arc;

use rand::rng;
use serde_json::json;

use super::*;
use crate::inbound::Outcome;
use crate::limits::{
    VIA_BATCH, VIA_HELD_MAX, VIA_LOOK_TICKS, VIA_PUT_OFF_MAX, VIA_RENEW_TICKS, VIA_UPDATES_MAX,
};
use crate::protocol::coordinate_mediation::{Action, UpdateResult, Updated};
use crate::protocol::pickup::{self, Pickup, Status};
use crate::testing::{How, NOW, Party};
use crate::trust::Challenge;

mod rules;

struct Stand {
    relay: Party,
    registrant: Party,
    session: Session,
}

fn did(text: &str) -> Did {
    text.parse().unwrap()
}

fn agent(number: usize) -> Did {
    did(&format!("did:web:a.example:agents:agent-{number}"))
}

fn waiting(id: usize) -> Waiting {
    Waiting { id: id.to_string(), envelope: b"{}".to_vec(), class: None }
}

impl Stand {
    fn new(identities: Vec<Did>) -> Self {
        let relay = Party::new("did:web:relay.example", None);
        let registrant = Party::new("did:web:registrant.example", None);
        let parties = Parties {
            relay: relay.did.clone(),
            registrant: registrant.did.clone(),
            routing: relay.did.clone(),
        };
        let session = Session::new(parties, identities, &|_| false, NOW, &mut rng());
        Self { relay, registrant, session }
    }

    /// Returns a stand that is registered, has fetched everything, and is live.
    fn live() -> Self {
        let mut stand = Self::new(vec![agent(0)]);
        stand.outputs();
        stand.prove(&[agent(0)]);
        stand.updated(&[(agent(0), UpdateResult::Success)]);
        stand.status(0, false);
        stand.status(0, true);
        stand.outputs();
        stand
    }

    fn input(&mut self, input: Input) {
        self.session.handle_input(input, NOW, &mut rng());
    }

    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.session.poll_output()).collect()
    }

    /// Returns what is said to the relay and to be taken in, in short.
    fn shorts(&mut self) -> Vec<String> {
        self.outputs().iter().map(short).collect()
    }

    fn hear_from(&mut self, sender: &Party, message: Message) {
        let message = message.with_from(sender.did.clone()).with_to([self.registrant.did.clone()]);
        let envelope = sender.seal(&message, &self.registrant, How::Authcrypt);
        let opened = self.registrant.open(&envelope, sender).unwrap();
        self.input(Input::Heard(Box::new(opened)));
    }

    fn hear(&mut self, message: Message) {
        let relay = self.relay.changed(&|_| {});
        self.hear_from(&relay, message);
    }

    fn hear_pickup(&mut self, pickup: Pickup) {
        self.hear(pickup.into_message(pickup::Version::V3, MessageId::random(&mut rng())));
    }

    fn hear_mediation(&mut self, mediation: Mediation) {
        self.hear(mediation.into_message(Version::V3, MessageId::random(&mut rng())));
    }

    fn delivery(&mut self, ids: impl IntoIterator<Item = usize>) {
        let messages = ids.into_iter().map(waiting).collect();
        self.hear_pickup(Pickup::Delivery { recipient_did: None, messages });
    }

    fn status(&mut self, message_count: u64, live_delivery: bool) {
        self.hear_pickup(Pickup::Status(Status {
            message_count,
            live_delivery,
            ..Status::default()
        }));
    }

    fn updated(&mut self, results: &[(Did, UpdateResult)]) {
        self.updated_with(results, None);
    }

    fn updated_with(&mut self, results: &[(Did, UpdateResult)], code: Option<&str>) {
        let updated = results.iter().map(|(did, result)| Updated {
            recipient_did: did.clone(),
            action: Action::Add,
            result: *result,
            code: code.map(str::to_owned),
        });
        let updated = updated.collect();
        self.hear_mediation(Mediation::Updated(updated));
    }

    fn prove(&mut self, dids: &[Did]) {
        let proofs = dids.iter().map(|did| (did.clone(), json!({ "of": did }))).collect();
        self.input(Input::Proofs(proofs));
    }

    fn taken(&mut self, id: usize, fate: Fate) {
        self.input(Input::Taken { id: id.to_string(), fate });
    }

    fn ticks(&mut self, count: u32) {
        (0..count).for_each(|_| self.input(Input::Tick));
    }
}

fn short(output: &Output) -> String {
    match output {
        Output::Live => "live".to_owned(),
        Output::Prove(dids) => format!("prove {}", dids.len()),
        Output::Registered(_) => "registered".to_owned(),
        Output::Ruled(..) => "ruled".to_owned(),
        Output::Take(waiting) => format!("take {}", waiting.id),
        Output::Trouble(trouble) => trouble.to_string(),
        Output::Say(message) => match Pickup::parse(message) {
            Ok((_, Pickup::DeliveryRequest { limit, .. })) => format!("fetch {limit}"),
            Ok((_, Pickup::MessagesReceived { ids })) => format!("got {}", ids.join(" ")),
            _ => message.type_.name().to_owned(),
        },
    }
}

const LATER: Fate = Fate::Later(Refusal::DidUnavailable);

#[test]
fn a_request_is_granted_denied_or_refused_by_the_relay_alone() {
    let (relay, home) =
        (Party::new("did:web:relay.example", None), Party::new("did:web:h.example", None));
    let id = || MessageId::random(&mut rng());
    let asked = request(id(), &relay.did, &home.did, Some("i-1"), NOW);
    assert_eq!(asked.expires_time, Some(NOW.saturating_add(VIA_EXPIRES_S)));
    assert_eq!(asked.pthid.as_deref(), Some("i-1"));
    assert_eq!(asked.return_route, Some(ReturnRoute::All), "the answer finds no other way back");

    let judge = |answer: Message, from: &Party| {
        let answer = answer.with_from(from.did.clone()).with_to([home.did.clone()]);
        let opened = home.open(&from.seal(&answer, &home, How::Authcrypt), from).unwrap();
        granted(&opened, &relay.did)
    };
    let grant = |routing_did| Mediation::Grant { routing_did }.into_message(Version::V3, id());
    let routing = vec![did("did:web:routing.example")];
    assert_eq!(judge(grant(routing.clone()), &relay), Ok(routing.clone()));
    assert_eq!(judge(grant(Vec::new()), &relay), Err(NotGranted::Unexpected));
    let stranger = Party::new("did:web:evil.example", None);
    assert_eq!(judge(grant(routing), &stranger), Err(NotGranted::Unexpected));
    let deny = Mediation::Deny.into_message(Version::V3, id());
    assert_eq!(judge(deny, &relay), Err(NotGranted::Denied));
    let report = Refusal::Denied.to_report().into_message(id(), "t", Vec::new());
    let code = Refusal::Denied.code().to_owned();
    assert_eq!(judge(report, &relay), Err(NotGranted::Reported(code)));
}

#[test]
fn a_session_registers_fetches_what_waits_and_goes_live_when_nothing_does() {
    let mut stand = Stand::new(vec![agent(0)]);
    assert_eq!(stand.shorts(), ["prove 1", &format!("fetch {VIA_BATCH}")]);
    stand.prove(&[agent(0)]);
    assert_eq!(stand.shorts(), ["recipient-update"]);
    stand.updated(&[(agent(0), UpdateResult::NoChange)]);
    assert_eq!(stand.outputs(), [Output::Registered(agent(0))]);
    stand.delivery([1, 2]);
    assert_eq!(stand.shorts(), ["take 1", "take 2"]);
    stand.taken(1, Fate::Done);
    assert!(stand.shorts().is_empty(), "the relay is told of a page at once");
    stand.taken(2, Fate::Done);
    assert_eq!(stand.shorts(), ["got 1 2", &format!("fetch {VIA_BATCH}")]);
    stand.status(0, false);
    assert_eq!(stand.shorts(), ["live-delivery-change"]);
    stand.status(0, true);
    assert_eq!(stand.shorts(), ["live"]);
    stand.delivery([3]);
    assert_eq!(stand.shorts(), ["take 3"]);
    stand.taken(3, Fate::Done);
    assert_eq!(stand.shorts(), ["got 3"]);
}

#[test]
fn what_the_relay_has_confirmed_is_not_registered_anew_unless_it_has_forgotten() {
    let identities = vec![agent(0), agent(1)];
    let is_confirmed = |did: &Did| *did == agent(0);
    let mut stand = Stand::new(Vec::new());
    let parties = stand.session.parties.clone();
    stand.session = Session::new(parties, identities.clone(), &is_confirmed, NOW, &mut rng());
    assert_eq!(stand.outputs()[0], Output::Prove(vec![agent(1)]));
    let report = Refusal::NotGranted.to_report();
    stand.hear(report.into_message(MessageId::random(&mut rng()), "t", Vec::new()));
    assert_eq!(stand.shorts()[0], "mediate-request");
    let routing_did = vec![stand.relay.did.clone()];
    stand.hear_mediation(Mediation::Grant { routing_did });
    assert_eq!(stand.outputs(), [Output::Prove(identities)]);
}

#[test]
fn an_empty_delivery_means_the_same_as_a_status_of_nothing() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.outputs();
    stand.delivery([]);
    assert_eq!(stand.shorts(), ["live-delivery-change"]);
}

#[test]
fn what_the_relay_says_is_believed_of_the_relay_alone() {
    let mut stand = Stand::live();
    let stranger = Party::new("did:web:evil.example", None);
    let delivery = Pickup::Delivery { recipient_did: None, messages: vec![waiting(1)] };
    let message = delivery.into_message(pickup::Version::V3, MessageId::random(&mut rng()));
    stand.hear_from(&stranger, message);
    assert!(stand.outputs().is_empty());
}

#[test]
fn everything_said_is_for_the_relay_and_finds_its_answer_on_the_connection() {
    let mut stand = Stand::new(vec![agent(0)]);
    for output in stand.outputs() {
        let Output::Say(message) = output else { continue };
        assert_eq!(message.to, [stand.relay.did.clone()]);
        assert_eq!(message.return_route, Some(ReturnRoute::All));
        let envelope = stand.registrant.seal(&message, &stand.relay, How::Authcrypt);
        let document = Arc::clone(&stand.registrant.document);
        let opened = stand.relay.open(&envelope, &stand.registrant).unwrap();
        assert_eq!(opened.sender().unwrap().did(), &document.id);
    }
}

#[test]
fn many_identities_are_registered_some_at_a_time_and_late_ones_too() {
    let identities: Vec<_> = (0..VIA_UPDATES_MAX + 1).map(agent).collect();
    let mut stand = Stand::new(identities.clone());
    assert_eq!(stand.shorts()[0], format!("prove {VIA_UPDATES_MAX}"));
    let (first, rest) = identities.split_at(VIA_UPDATES_MAX);
    stand.prove(first);
    stand.input(Input::Added(agent(99)));
    assert_eq!(stand.shorts(), ["recipient-update"], "one registration at a time");
    let results: Vec<_> = first.iter().map(|did| (did.clone(), UpdateResult::Success)).collect();
    stand.updated(&results);
    let outputs = stand.outputs();
    assert_eq!(outputs.len(), VIA_UPDATES_MAX + 1);
    assert_eq!(outputs.last(), Some(&Output::Prove(vec![rest[0].clone(), agent(99)])));
}

#[test]
fn a_rejected_identity_is_told_and_tried_again_later() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.prove(&[agent(0)]);
    stand.outputs();
    stand.updated(&[(agent(0), UpdateResult::ClientError)]);
    let rejected = Trouble::Rejected { did: agent(0), code: None };
    assert_eq!(stand.outputs(), [Output::Trouble(rejected)]);
    stand.ticks(VIA_LOOK_TICKS);
    assert_eq!(stand.outputs()[0], Output::Prove(vec![agent(0)]));
}

#[test]
fn all_identities_are_registered_anew_now_and_then() {
    let mut stand = Stand::live();
    stand.ticks(VIA_RENEW_TICKS - 1);
    let is_proof = |output: &Output| matches!(output, Output::Prove(_));
    assert!(!stand.outputs().iter().any(is_proof));
    stand.ticks(1);
    assert_eq!(stand.outputs()[0], Output::Prove(vec![agent(0)]));
}

#[test]
fn of_a_rejection_only_what_is_a_code_is_told() {
    for (said, told) in [("e.p.me.nope", Some("e.p.me.nope")), ("\u{1b}[2J", None)] {
        let mut stand = Stand::new(vec![agent(0)]);
        stand.prove(&[agent(0)]);
        stand.outputs();
        stand.updated_with(&[(agent(0), UpdateResult::ClientError)], Some(said));
        let code = told.map(str::to_owned);
        let rejected = Trouble::Rejected { did: agent(0), code };
        assert_eq!(stand.outputs(), [Output::Trouble(rejected)]);
    }
}

#[test]
fn a_relay_that_has_forgotten_us_is_asked_for_its_service_again() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.prove(&[agent(0)]);
    stand.outputs();
    let report =
        || Refusal::Denied.to_report().into_message(MessageId::random(&mut rng()), "t", Vec::new());
    stand.hear(report());
    assert_eq!(stand.shorts()[0], "mediate-request");
    let routing_did = vec![stand.relay.did.clone()];
    stand.hear_mediation(Mediation::Grant { routing_did });
    assert_eq!(stand.shorts(), ["prove 1"]);
    stand.hear(report());
    assert_eq!(stand.outputs().len(), 1, "once is enough: {:?}", report().body);
    let elsewhere = did("did:web:elsewhere.example");
    stand.hear_mediation(Mediation::Grant { routing_did: vec![elsewhere.clone()] });
    assert_eq!(stand.outputs(), [Output::Trouble(Trouble::Moved(elsewhere))]);
}

#[test]
fn what_cannot_be_taken_in_stays_with_the_relay_and_holds_up_nothing() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.outputs();
    stand.delivery([1, 2]);
    stand.taken(1, LATER);
    stand.taken(2, Fate::Done);
    let fetch = format!("fetch {}", VIA_BATCH + 1);
    assert_eq!(stand.shorts(), ["take 1", "take 2", "got 2", &fetch]);
    stand.delivery([1]);
    assert_eq!(stand.shorts(), ["live-delivery-change"], "it is known, and nothing else waits");
    stand.status(1, true);
    assert_eq!(stand.shorts(), ["live"]);
    stand.ticks(1);
    assert_eq!(stand.shorts(), [fetch]);
    stand.delivery([1]);
    stand.taken(1, Fate::Done);
    assert_eq!(stand.shorts(), ["take 1", "got 1", &format!("fetch {VIA_BATCH}")]);
}

#[test]
fn what_fails_again_and_again_is_tried_more_and_more_rarely() {
    let mut stand = Stand::live();
    stand.delivery([1]);
    stand.taken(1, LATER);
    stand.outputs();
    let mut tries = Vec::new();
    for tick in 1..=30 {
        stand.ticks(1);
        if stand.shorts().iter().any(|said| said.starts_with("fetch")) {
            tries.push(tick);
            stand.delivery([1]);
            stand.taken(1, LATER);
            stand.delivery([1]);
            stand.outputs();
        }
    }
    assert_eq!(tries, [1, 3, 7, 15, 27]);
}

#[test]
fn so_much_is_put_off_and_no_more_but_never_for_a_fault_of_ours() {
    for (refusal, given_up) in [(Refusal::MailboxFull, 1), (Refusal::Busy, 0)] {
        let mut stand = Stand::live();
        stand.delivery(0..=VIA_PUT_OFF_MAX);
        (0..=VIA_PUT_OFF_MAX).for_each(|id| stand.taken(id, Fate::Later(refusal)));
        let outputs = stand.outputs();
        let troubles = |output: &&Output| matches!(output, Output::Trouble(Trouble::GivenUp(_)));
        assert_eq!(outputs.iter().filter(troubles).count(), given_up, "{refusal:?}");
        let told = outputs.iter().any(|output| short(output) == "got 0");
        assert_eq!(told, given_up == 1, "the oldest, and the relay need not keep it");
    }
}

#[test]
fn what_nobody_has_proven_drives_out_nothing_that_somebody_has() {
    // Forged messages are put off too, while their pretended sender's document is in doubt: enough
    // of them had the oldest of all given up, which waited for room in its mailbox.
    let mut stand = Stand::live();
    stand.delivery(0..=VIA_PUT_OFF_MAX);
    stand.taken(0, Fate::Later(Refusal::MailboxFull));
    (1..=VIA_PUT_OFF_MAX).for_each(|id| stand.taken(id, LATER));
    let shorts = stand.shorts();
    assert!(shorts.contains(&"got 1".to_owned()), "{shorts:?}");
}

#[test]
fn those_that_cannot_be_taken_in_do_not_bar_the_others_for_good() {
    let mut stand = Stand::live();
    stand.delivery([1]);
    stand.taken(1, LATER);
    stand.outputs();
    // The relay has two, and delivers only the first at once.
    let mut given_up = Vec::new();
    for round in 1..=5 {
        stand.status(2, true);
        stand.delivery([1]);
        given_up.extend(stand.shorts().into_iter().filter(|said| said == "got 1").map(|_| round));
    }
    assert_eq!(given_up, [3]);
}

#[test]
fn many_that_nobody_has_proven_do_not_each_bar_the_others_for_minutes() {
    // Each filled what the relay delivers at once, and each was waited for anew for three minutes.
    let mut stand = Stand::live();
    let (count, mut first) = (20, 0);
    for _tick in 0..8 * VIA_LOOK_TICKS {
        stand.ticks(1);
        for _answer in 0..8 {
            for said in stand.shorts() {
                match said.split_once(' ').unwrap_or((&said, "")) {
                    ("status-request", _) => stand.status(count as u64 - first as u64 + 1, true),
                    ("fetch", _) => stand.delivery([first]),
                    ("take", id) => stand.taken(id.parse().unwrap(), LATER),
                    ("got", _) => first += 1,
                    _ => {}
                }
            }
        }
    }
    assert!(count / 2 <= first, "after eight minutes {first} of {count} were out of the way");
}

#[test]
fn those_whose_sender_is_known_are_waited_for_also_when_they_bar_others() {
    let mut stand = Stand::live();
    stand.delivery([1]);
    stand.taken(1, Fate::Later(Refusal::MailboxFull));
    stand.outputs();
    for _round in 1..=2 {
        stand.ticks(VIA_LOOK_TICKS);
        let asked = stand.shorts().iter().filter(|said| *said == "status-request").count();
        assert_eq!(asked, 1, "once a minute");
        stand.status(2, true);
        stand.delivery([1]);
        stand.taken(1, Fate::Later(Refusal::MailboxFull));
        assert!(!stand.shorts().contains(&"got 1".to_owned()));
    }
}

#[test]
fn no_more_is_in_hand_than_the_bound_and_the_rest_is_fetched_later() {
    let mut stand = Stand::live();
    for first in (0..=VIA_HELD_MAX).step_by(50) {
        stand.delivery(first..first + 50);
    }
    assert_eq!(stand.shorts().len(), VIA_HELD_MAX);
    (0..VIA_HELD_MAX).for_each(|id| stand.taken(id, Fate::Done));
    stand.outputs();
    stand.status(22, true);
    assert_eq!(stand.shorts(), [format!("fetch {VIA_BATCH}")]);
}

#[test]
fn what_is_delivered_twice_is_taken_in_once() {
    let mut stand = Stand::live();
    stand.delivery([1]);
    stand.delivery([1, 2]);
    assert_eq!(stand.shorts(), ["take 1", "take 2"]);
}

#[test]
fn what_was_lost_is_found_by_looking_now_and_then() {
    let mut stand = Stand::live();
    stand.ticks(VIA_LOOK_TICKS);
    assert_eq!(stand.shorts(), ["status-request"]);
    stand.status(1, true);
    assert_eq!(stand.shorts(), [format!("fetch {VIA_BATCH}")]);
}

#[test]
fn a_relay_without_live_delivery_is_asked_now_and_then() {
    let mut stand = Stand::new(vec![agent(0)]);
    stand.outputs();
    stand.status(0, false);
    stand.outputs();
    let code = comity_didcomm::problem::ProblemCode::parse(pickup::LIVE_MODE_NOT_SUPPORTED);
    let report = ProblemReport::new(code.unwrap(), "no");
    stand.hear(report.into_message(MessageId::random(&mut rng()), "t", Vec::new()));
    assert_eq!(stand.shorts(), ["live"], "as live as it gets");
    stand.ticks(VIA_LOOK_TICKS);
    assert!(stand.shorts().contains(&"status-request".to_owned()));
}

#[test]
fn an_outcome_is_told_when_it_is_durable_or_will_not_change() {
    for outcome in [
        Outcome::Accepted,
        Outcome::Held,
        Outcome::Noted,
        Outcome::Repeated,
        Outcome::Refused(Refusal::Denied),
        Outcome::TurnedAway(Refusal::Crypto),
    ] {
        assert_eq!(Fate::of(&outcome), Fate::Done, "{outcome:?}");
    }
    for refusal in Refusal::ALL.iter().copied().filter(|refusal| refusal.is_temporary()) {
        assert_eq!(Fate::of(&Outcome::TurnedAway(refusal)), Fate::Later(refusal));
    }
    let challenge = Challenge { challenge: String::new(), bits: 1, expires: NOW };
    let charged = Fate::of(&Outcome::Charged(challenge));
    assert_eq!(charged, Fate::Later(Refusal::WorkRequired), "its sender is known, and not lost");
}
