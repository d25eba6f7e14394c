//! [`Session`]: everything a home says and hears on one connection to its relay.

use std::collections::{BTreeSet, VecDeque};

use comity_didcomm::problem::ProblemCode;
use comity_didcomm::{Did, Message, MessageId, Opened, UnixTime};
use rand_core::CryptoRng;
use serde_json::Value;

use super::hands::{Delivered, Fate, Hands};
use super::rules::{Reported, Rules};
use super::{Input, Output, Parties, Trouble, addressed, is_from, reported};
use crate::limits::{
    VIA_ACKNOWLEDGED_MAX, VIA_BATCH, VIA_BLOCKED_MAX, VIA_LOOK_TICKS, VIA_RENEW_TICKS,
    VIA_RETRY_TICKS_MAX, VIA_UPDATES_MAX,
};
use crate::protocol::admission::AdmissionMessage;
use crate::protocol::coordinate_mediation::{
    Action, Mediation, Update, UpdateResult, Updated, Version,
};
use crate::protocol::discover_features::DiscoverFeatures;
use crate::protocol::pickup::{self, LIVE_MODE_NOT_SUPPORTED, Pickup, Status, Waiting};
use crate::refusal::Refusal;
use crate::trust::subject;

/// The machine of one connection.
///
/// First it registers the identities that are not yet, and fetches what waits; when nothing waits
/// any more it asks for live delivery. An identity that is added later is registered at once. From
/// time to time it asks what waits, in case something was lost.
pub struct Session {
    pub(super) parties: Parties,
    /// Everybody who lives in the home.
    identities: Vec<Did>,
    /// Identities that are to be registered.
    unregistered: VecDeque<Did>,
    /// Those of the registration under way.
    registering: Vec<Did>,
    /// Those that the relay did not take, to be tried again.
    rejected: Vec<Did>,
    renewal: Renewal,
    rules: Rules,
    hands: Hands,
    fetching: Fetching,
    live: Live,
    /// How often the relay had more to deliver and showed only what was put off, since it last had
    /// nothing else.
    blocked: u32,
    others: Others,
    ticks: u32,
    retry: Retry,
    outputs: VecDeque<Output>,
}

/// Whether the relay was asked for its service anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Renewal {
    Asked,
    NotNeeded,
}

/// Whether a page of the queue is being fetched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fetching {
    /// Nothing is asked for, as far as is known because nothing more waits.
    Drained,
    /// A page was delivered; when it is taken in, the next one is asked for.
    Page,
    /// A page was asked for.
    Requested,
}

/// Whether the relay has said, since it last showed something new, that it has more than we know of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Others {
    Unsaid,
    Wait,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Live {
    Asked,
    Off,
    On,
    /// The relay does not offer it on this connection; it is asked from time to time.
    Refused,
}

/// When what was put off is tried again.
#[derive(Clone, Copy, Debug, Default)]
struct Retry {
    /// Ticks until then.
    left: u32,
    /// Ticks of the whole pause; the next one is twice as long.
    pause: u32,
}

/// What the handlers need to say something.
struct Voice<'a> {
    now: UnixTime,
    rng: &'a mut dyn CryptoRng,
}

impl Session {
    /// Begins a session for these identities, some of which the relay has confirmed before.
    #[must_use]
    pub fn new(
        parties: Parties,
        identities: Vec<Did>,
        is_confirmed: &dyn Fn(&Did) -> bool,
        now: UnixTime,
        rng: &mut dyn CryptoRng,
    ) -> Self {
        let mut session = Self {
            parties,
            unregistered: identities.iter().filter(|did| !is_confirmed(did)).cloned().collect(),
            identities,
            registering: Vec::new(),
            rejected: Vec::new(),
            renewal: Renewal::NotNeeded,
            rules: Rules::default(),
            hands: Hands::default(),
            fetching: Fetching::Drained,
            live: Live::Off,
            blocked: 0,
            others: Others::Unsaid,
            ticks: 0,
            retry: Retry::default(),
            outputs: VecDeque::new(),
        };
        session.register();
        session.fetch(&mut Voice { now, rng });
        session
    }

    /// Takes what happened.
    pub fn handle_input(&mut self, input: Input, now: UnixTime, rng: &mut dyn CryptoRng) {
        let voice = &mut Voice { now, rng };
        match input {
            Input::Added(did) => {
                self.identities.push(did.clone());
                self.unregistered.push_back(did);
                self.register();
            }
            Input::Heard(opened) => self.heard(&opened, voice),
            Input::Proofs(proofs) => self.update(proofs, voice),
            Input::Rule { did, rule, standing } => {
                self.rules.want(did, rule, standing);
                self.tell_rules(voice);
            }
            Input::Taken { id, fate } => self.taken(id, fate, voice),
            Input::Tick => self.tick(voice),
        }
    }

    /// Says what is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    fn heard(&mut self, opened: &Opened, voice: &mut Voice<'_>) {
        // Anybody may write to the registrant; only the relay means anything.
        if !is_from(opened, &self.parties.relay) {
            return;
        }
        let message = &opened.message;
        if let Some(code) = reported(message) {
            return match self.rules.reported(message) {
                Some(Reported::NoOffer) => {}
                Some(Reported::Refused(did)) => self.trouble(Trouble::RuleRefused { did, code }),
                None => self.reported(code, voice),
            };
        }
        if let Ok(DiscoverFeatures::Disclose(features)) = DiscoverFeatures::parse(message) {
            self.rules.disclosed(&features);
            return self.tell_rules(voice);
        }
        if let Ok(AdmissionMessage::RuleSet { .. }) = AdmissionMessage::parse(message) {
            if let Some((did, rule)) = self.rules.set(message.thread_id()) {
                self.outputs.push_back(Output::Ruled(did, rule));
            }
            return self.tell_rules(voice);
        }
        match Pickup::parse(message) {
            Ok((_, Pickup::Delivery { messages, .. })) => return self.delivered(messages, voice),
            Ok((_, Pickup::Status(status))) => return self.status(&status, voice),
            _ => {}
        }
        match Mediation::parse(message) {
            Ok((_, Mediation::Updated(updated))) => self.updated(updated, voice),
            Ok((_, Mediation::Grant { routing_did })) => self.granted(routing_did),
            Ok((_, Mediation::Deny)) => self.trouble(Trouble::Denied),
            _ => {}
        }
    }

    // --- registration ---

    /// Asks for proofs for the next identities, one registration at a time.
    fn register(&mut self) {
        if !self.registering.is_empty() || self.unregistered.is_empty() {
            return;
        }
        let next = VIA_UPDATES_MAX.min(self.unregistered.len());
        self.registering = self.unregistered.drain(..next).collect();
        self.outputs.push_back(Output::Prove(self.registering.clone()));
    }

    fn update(&mut self, proofs: Vec<(Did, Value)>, voice: &mut Voice<'_>) {
        self.registering.retain(|did| proofs.iter().any(|(proven, _)| proven == did));
        if self.registering.is_empty() {
            return self.register();
        }
        let updates = proofs
            .into_iter()
            .filter(|(did, _)| self.registering.contains(did))
            .map(|(did, proof)| {
                let proof = Some(proof);
                Update { recipient_did: did, action: Action::Add, proof }
            })
            .collect();
        self.say_mediation(Mediation::Update(updates), voice);
    }

    fn updated(&mut self, updated: Vec<Updated>, voice: &mut Voice<'_>) {
        for one in updated {
            let is_it = |did: &Did| did.same_subject(&one.recipient_did);
            let Some(at) = self.registering.iter().position(is_it) else { continue };
            let did = self.registering.remove(at);
            match one.result {
                UpdateResult::Success | UpdateResult::NoChange => {
                    if one.result == UpdateResult::Success {
                        self.rules.lost(&did);
                    }
                    self.outputs.push_back(Output::Registered(did));
                }
                UpdateResult::ClientError | UpdateResult::ServerError => {
                    // It goes to the log and to terminals: nothing that is not a code.
                    let code = one.code.filter(|code| ProblemCode::parse(code).is_ok());
                    self.trouble(Trouble::Rejected { did: did.clone(), code });
                    self.rejected.push(did);
                }
            }
        }
        self.register();
        self.tell_rules(voice);
    }

    fn reported(&mut self, code: String, voice: &mut Voice<'_>) {
        if code == LIVE_MODE_NOT_SUPPORTED && self.live == Live::Asked {
            self.live = Live::Refused;
            return self.outputs.push_back(Output::Live);
        }
        // A relay that has lost its memory knows neither us nor our identities: ask it once more.
        if self.renewal == Renewal::NotNeeded {
            self.renewal = Renewal::Asked;
            self.say_mediation(Mediation::Request, voice);
        }
        self.trouble(Trouble::Reported(code));
    }

    fn granted(&mut self, routing_did: Vec<Did>) {
        let routing = &self.parties.routing;
        if !routing_did.iter().any(|did| did.same_subject(routing)) {
            let Some(other) = routing_did.into_iter().next() else { return };
            return self.trouble(Trouble::Moved(other));
        }
        self.registering.clear();
        self.unregistered = self.identities.iter().cloned().collect();
        self.register();
    }

    // --- rules ---

    /// Tells the relay the rules that it does not know, if it knows the protocol.
    fn tell_rules(&mut self, voice: &mut Voice<'_>) {
        let id = MessageId::random(voice.rng);
        if let Some(query) = self.rules.discover(id.as_str()) {
            let question = DiscoverFeatures::Queries(vec![query]).into_message(id);
            return self.say(question, voice.now);
        }
        let waiting = [&self.registering, &self.rejected].into_iter().flatten();
        let waiting: BTreeSet<Did> = waiting.chain(&self.unregistered).map(subject).collect();
        let is_registered = |did: &Did| !waiting.contains(&subject(did));
        let mut said = Vec::new();
        while let Some((did, rule)) = self.rules.next(&is_registered) {
            let id = MessageId::random(voice.rng);
            self.rules.told(&did, id.as_str());
            let (recipient_did, rule) = (did, Some(rule));
            said.push(AdmissionMessage::Rule { recipient_did, rule }.into_message(id));
        }
        said.into_iter().for_each(|message| self.say(message, voice.now));
    }

    // --- what waits ---

    fn fetch(&mut self, voice: &mut Voice<'_>) {
        self.fetch_beside(self.hands.put_off(), voice);
    }

    /// Asks for a page that has room for so many beside those that are delivered first.
    fn fetch_beside(&mut self, first: usize, voice: &mut Voice<'_>) {
        self.fetching = Fetching::Requested;
        let limit = VIA_BATCH.saturating_add(first) as u64;
        self.say_pickup(Pickup::DeliveryRequest { recipient_did: None, limit }, voice);
    }

    fn delivered(&mut self, messages: Vec<Waiting>, voice: &mut Voice<'_>) {
        let is_empty = messages.is_empty();
        let mut found_new = false;
        for waiting in messages {
            if self.hands.deliver(&waiting.id) == Delivered::New {
                found_new = true;
                self.outputs.push_back(Output::Take(waiting));
            }
        }
        if is_empty {
            return self.drained(voice);
        }
        if found_new {
            // That others are barred is not over with this: it may be barred like them.
            self.others = Others::Unsaid;
        }
        if self.fetching != Fetching::Requested {
            return;
        }
        self.fetching = Fetching::Page;
        if !found_new && self.hands.is_idle() {
            self.fetching = Fetching::Drained;
            self.unblock(voice);
            self.go_live(voice);
        }
    }

    /// The relay shows the oldest first. When those that were put off fill what it delivers at
    /// once, and it has said time and again that there are others, the oldest is given up. From
    /// then on those that nobody has proven are not waited for, until the others are through:
    /// otherwise each of them would bar the way for as long as the first.
    fn unblock(&mut self, voice: &mut Voice<'_>) {
        if std::mem::replace(&mut self.others, Others::Unsaid) == Others::Unsaid {
            return;
        }
        self.blocked = self.blocked.saturating_add(1);
        if VIA_BLOCKED_MAX <= self.blocked {
            self.give_up(Hands::give_up, voice);
        }
    }

    fn status(&mut self, status: &Status, voice: &mut Voice<'_>) {
        if status.live_delivery && self.live != Live::On {
            self.live = Live::On;
            self.outputs.push_back(Output::Live);
        }
        if status.message_count == 0 {
            return self.drained(voice);
        }
        if status.message_count <= self.hands.known() as u64 {
            self.blocked = 0;
        } else if self.fetching == Fetching::Drained {
            self.others = Others::Wait;
            self.fetch(voice);
        }
    }

    fn drained(&mut self, voice: &mut Voice<'_>) {
        if self.fetching == Fetching::Requested {
            self.fetching = Fetching::Drained;
        }
        self.blocked = 0;
        self.go_live(voice);
    }

    fn go_live(&mut self, voice: &mut Voice<'_>) {
        if self.live == Live::Off {
            self.live = Live::Asked;
            self.say_pickup(Pickup::LiveDeliveryChange { live_delivery: true }, voice);
        }
    }

    fn taken(&mut self, id: String, fate: Fate, voice: &mut Voice<'_>) {
        self.hands.taken(id, fate);
        self.give_up(Hands::give_up_beyond_bound, voice);
        let is_idle = self.hands.is_idle();
        if is_idle || VIA_ACKNOWLEDGED_MAX <= self.hands.done() {
            self.acknowledge(voice);
        }
        if is_idle && self.fetching == Fetching::Page {
            self.fetch(voice);
        }
    }

    fn acknowledge(&mut self, voice: &mut Voice<'_>) {
        let ids = self.hands.told();
        if !ids.is_empty() {
            self.say_pickup(Pickup::MessagesReceived { ids }, voice);
        }
    }

    fn give_up(&mut self, choose: fn(&mut Hands) -> Option<Refusal>, voice: &mut Voice<'_>) {
        if let Some(refusal) = choose(&mut self.hands) {
            self.trouble(Trouble::GivenUp(refusal));
            if self.hands.is_idle() {
                self.acknowledge(voice);
            }
        }
    }

    fn tick(&mut self, voice: &mut Voice<'_>) {
        self.ticks = self.ticks.wrapping_add(1);
        self.try_again(voice);
        if self.ticks.is_multiple_of(VIA_LOOK_TICKS) {
            self.look(voice);
        } else if VIA_BLOCKED_MAX <= self.blocked && !self.hands.awaits_known_only() {
            self.ask_what_waits(voice);
        }
    }

    /// Tries again what was put off, more and more rarely.
    fn try_again(&mut self, voice: &mut Voice<'_>) {
        if self.hands.known() == 0 {
            self.retry = Retry::default();
        }
        if self.hands.put_off() == 0 {
            return;
        }
        if self.retry.left == 0 {
            let pause = self.retry.pause.saturating_mul(2).clamp(1, VIA_RETRY_TICKS_MAX);
            self.retry = Retry { left: pause, pause };
        }
        self.retry.left = self.retry.left.saturating_sub(1);
        if self.retry.left == 0 && self.hands.is_idle() {
            let first = self.hands.try_again();
            self.fetch_beside(first, voice);
        }
    }

    /// Asks again what has not been answered for long, and what waits.
    fn look(&mut self, voice: &mut Voice<'_>) {
        self.unregistered.extend(self.registering.drain(..));
        self.unregistered.append(&mut std::mem::take(&mut self.rejected).into());
        self.renewal = Renewal::NotNeeded;
        let is_renewal = self.ticks.is_multiple_of(VIA_RENEW_TICKS);
        if is_renewal && self.registering.is_empty() {
            // A relay may have lost one of them without a word.
            self.unregistered = self.identities.iter().cloned().collect();
        }
        self.rules.ask_again(is_renewal);
        self.register();
        self.tell_rules(voice);
        if self.live == Live::Asked {
            self.live = Live::Off;
        }
        if self.hands.is_idle() {
            self.acknowledge(voice);
            self.fetching = Fetching::Drained;
        }
        self.ask_what_waits(voice);
    }

    fn ask_what_waits(&mut self, voice: &mut Voice<'_>) {
        self.say_pickup(Pickup::StatusRequest { recipient_did: None }, voice);
    }

    // --- speaking ---

    fn say_mediation(&mut self, mediation: Mediation, voice: &mut Voice<'_>) {
        self.say(mediation.into_message(Version::V3, MessageId::random(voice.rng)), voice.now);
    }

    fn say_pickup(&mut self, pickup: Pickup, voice: &mut Voice<'_>) {
        let id = MessageId::random(voice.rng);
        self.say(pickup.into_message(pickup::Version::V3, id), voice.now);
    }

    fn say(&mut self, message: Message, now: UnixTime) {
        let message = addressed(message, &self.parties.relay, &self.parties.registrant, now);
        self.outputs.push_back(Output::Say(Box::new(message)));
    }

    fn trouble(&mut self, trouble: Trouble) {
        self.outputs.push_back(Output::Trouble(trouble));
    }
}
