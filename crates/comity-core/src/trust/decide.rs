//! The policy, as one function whose order is its meaning: what the operator forbade comes before
//! what he allowed, and that before what may be inferred.

use comity_didcomm::{Did, UnixTime};

use super::contact::{others_of_grantors, others_of_prior, others_of_sender};
use super::score::{Score, score};
use super::{
    Admission, Decision, Direction, Entry, EntryKind, Facts, GrantError, Granted, Level, Meter,
    Question, Recipient, RequestState, Ruling, Scrutiny, Template, Used, WayIn, WorkShown,
};
use crate::admission::Class;
use crate::limits::{ANTS_TOKEN_BITS, REQUEST_BYTES_MAX};
use crate::protocol::{ADMISSION, EMPTY, OPERATOR, RECEIPT, REPORT_PROBLEM};
use crate::refusal::Refusal;

/// Decides whether a message may go on, and says why.
#[must_use]
pub(crate) fn decide(question: &Question, facts: &Facts, now: UnixTime) -> Ruling {
    let needed = facts.policy.required(&question.protocol);
    let case = Case { question, facts, needed, now };
    if facts.recipient == Recipient::Home {
        return case.for_home();
    }
    if facts.sender_is_home {
        return case.allow(Admission::OwnHome, needed, "The agent's own home reports to it");
    }
    if let Some(ruling) = case.barred() {
        return ruling;
    }
    if question.is_for_home {
        // What it says is checked where it is applied; it gives nobody more than he has.
        return case.allow(Admission::HomeProtocol, needed, "The agent's home answers this for it");
    }
    let shortfall = match case.by_entry() {
        Ok(ruling) => return ruling,
        Err(shortfall) => shortfall,
    };
    let grant_shortfall = match case.by_grant() {
        Ok(ruling) => return ruling,
        Err(shortfall) => shortfall,
    };
    let may_answer = shortfall.as_ref().is_none_or(Shortfall::leaves_answers);
    if let Some(ruling) = case.by_thread().filter(|_| may_answer) {
        return ruling;
    }
    // Somebody of whom the operator has decided is no stranger, and gets no further as one.
    if let Some(shortfall) = shortfall {
        return case.fall_short(&shortfall);
    }
    let vouched = case.vouched();
    let ruling = case
        .by_vouches(&vouched)
        .or_else(|| case.by_policy(&vouched))
        .or_else(|| case.being_asked())
        // Its holder thinks that it has a right to this; whoever may come without is not worse off with.
        .or_else(|| grant_shortfall.map(|shortfall| case.fall_short(&shortfall)))
        .unwrap_or_else(|| case.for_stranger(&vouched));
    let grounds = vouched.map_or(Vec::new(), |score| score.lines());
    Ruling { grounds, ..ruling }
}

/// Why what the sender was allowed or granted does not suffice.
struct Shortfall {
    refusal: Refusal,
    why: String,
    change: String,
}

impl Shortfall {
    /// Whether the sender may still answer where the agent wrote first.
    fn leaves_answers(&self) -> bool {
        matches!(self.refusal, Refusal::LevelTooLow | Refusal::ProtocolNotAllowed)
    }
}

/// One message before the policy.
struct Case<'a> {
    question: &'a Question,
    facts: &'a Facts,
    needed: Level,
    now: UnixTime,
}

impl Case<'_> {
    fn for_home(&self) -> Ruling {
        let spoken = [RECEIPT, REPORT_PROBLEM, EMPTY, ADMISSION];
        if spoken.contains(&self.question.protocol.as_str()) {
            // Whether the content concerns anything this home sent is checked where it is applied;
            // nothing else comes of it.
            let why = "Homes speak this protocol with each other";
            return self.allow(Admission::HomeProtocol, self.needed, why);
        }
        if self.facts.sender_is_operator && self.question.protocol.as_str() == OPERATOR {
            // Whoever took the operator's domain would decide everything.
            if others_of_sender(self.question, self.facts).is_some() {
                return self.key_changed();
            }
            let why = "The operator decides by this protocol";
            return self.allow(Admission::HomeProtocol, self.needed, why);
        }
        let why = "The home itself speaks only its own protocols";
        self.refuse(Refusal::HomeProtocol, why.to_owned(), &[])
    }

    /// Deny wins over everything, revocation over all that was granted before it.
    fn barred(&self) -> Option<Ruling> {
        let about = |kind| self.entries().find(move |entry| entry.kind == kind);
        if let Some(entry) = about(EntryKind::Deny) {
            let why = format!("The operator denied {}", whom(entry));
            let change = match entry.whom.did() {
                Some(_) => "comity allow WHO".to_owned(),
                // To allow it would let all of them in.
                None => format!("comity revoke '{}' takes the denial back", entry.whom),
            };
            return Some(self.refuse(Refusal::Denied, why, &[&change]));
        }
        // What was allowed to many is taken back by forgetting it, and bars nobody.
        let is_revoked = about(EntryKind::Revoke).is_some_and(|entry| entry.whom.did().is_some());
        if is_revoked {
            let why = "The operator revoked this sender's permission".to_owned();
            return Some(self.refuse(Refusal::Revoked, why, &["comity allow WHO gives it back"]));
        }
        self.has_other_keys().then(|| self.key_changed())
    }

    fn key_changed(&self) -> Ruling {
        let why = "The sender has other keys than it had, and nothing proves that they are its own";
        let change = "comity contacts approve WHO, after asking them by other means";
        self.refuse(Refusal::KeyChanged, why.to_owned(), &[change])
    }

    /// With a stolen domain come other keys. At the lower levels they can do little; but whoever
    /// succeeds its owner by one of them would keep what he takes.
    fn has_other_keys(&self) -> bool {
        let is_allowed =
            |entry: &&Entry| entry.kind == EntryKind::Allow && !entry.is_over(self.now);
        let levels = self.entries().filter(is_allowed).map(|entry| entry.level);
        let most = levels.chain(self.facts.wrote_in_thread).max();
        let is_far = most.is_some_and(|most| Level::Task <= most);
        (is_far && others_of_sender(self.question, self.facts).is_some())
            || others_of_prior(self.question, self.facts).is_some()
    }

    /// Whether an entry is about the sender, under this DID or under the one that it had before. What
    /// is allowed to all agents of a host is not for those who have left it; a denial goes along.
    fn is_about_sender(&self, entry: &Entry) -> bool {
        let goes_along = entry.whom.did().is_some() || entry.kind == EntryKind::Deny;
        let prior = self.question.prior.as_ref().filter(|_| goes_along);
        let is_named = entry.whom.is(&self.question.sender)
            || self.question.shown.holds(&entry.whom, &self.facts.book, self.now)
            || prior.is_some_and(|prior| entry.whom.is(&prior.did));
        is_named && entry.direction == Direction::In
    }

    /// Returns the operator's entries about the sender, what is said about it alone first.
    fn entries(&self) -> impl Iterator<Item = &Entry> {
        let mut entries: Vec<&Entry> =
            self.facts.entries.iter().filter(|entry| self.is_about_sender(entry)).collect();
        entries.sort_by_key(|entry| entry.whom.rank());
        entries.into_iter()
    }

    fn by_entry(&self) -> Result<Ruling, Option<Shortfall>> {
        let mut shortfall = None;
        for entry in self.entries().filter(|entry| entry.kind == EntryKind::Allow) {
            let meter = Meter { id: entry.meter(&self.question.recipient), limits: entry.limits };
            match self.falls_short(entry, &meter) {
                None => {
                    let why = match entry.whom.did() {
                        Some(_) => "The operator allowed this sender and protocol".to_owned(),
                        None => format!("The operator allowed {} for this protocol", whom(entry)),
                    };
                    let mut ruling = self.allow(Admission::AllowList, entry.level, &why);
                    ruling.meters.extend((!entry.limits.is_unlimited()).then_some(meter));
                    return Ok(ruling);
                }
                // "No more than this" is not got around by what else is allowed.
                Some(short) if short.refusal == Refusal::LimitReached => return Err(Some(short)),
                // What is said about many leaves each of them free to ask for more.
                Some(short) if entry.whom.did().is_some() => {
                    shortfall = shortfall.or(Some(short));
                }
                Some(_) => {}
            }
        }
        Err(shortfall)
    }

    fn fall_short(&self, Shortfall { refusal, why, change }: &Shortfall) -> Ruling {
        self.refuse(*refusal, why.clone(), &[change])
    }

    fn falls_short(&self, entry: &Entry, meter: &Meter) -> Option<Shortfall> {
        let short = |refusal, why: &str, change: &str| {
            Some(Shortfall { refusal, why: why.to_owned(), change: change.to_owned() })
        };
        let Err(refusal) = entry.admits(&self.question.protocol, self.needed, self.now) else {
            let broken = meter.limits.broken_by(self.facts.used_of(meter.id), self.counts_as())?;
            let why = format!("The sender has used up what the operator allows it: {broken}");
            return short(Refusal::LimitReached, &why, "comity allow WHO with higher limits");
        };
        match refusal {
            Refusal::NotYetAllowed => {
                let why = "The permission for this sender does not hold yet";
                short(refusal, why, "comity allow WHO without --from")
            }
            Refusal::ProtocolNotAllowed => {
                let why = "The operator allowed this sender, but not for this protocol";
                short(refusal, why, "comity allow WHO --for PIURI")
            }
            Refusal::LevelTooLow => {
                let (level, needed) = (entry.level, self.needed);
                let why = format!(
                    "The operator allowed this sender up to the level {level}, and this protocol needs {needed}"
                );
                short(refusal, &why, &format!("comity allow WHO --level {needed}"))
            }
            _ => {
                let why = "The permission for this sender has run out";
                short(refusal, why, "comity allow WHO --until DATE renews it")
            }
        }
    }

    /// Returns what this message would use up: nothing, if it stays with the home and is not kept.
    fn counts_as(&self) -> Used {
        match self.question.protocol.as_str() {
            EMPTY => Used::default(),
            _ => counts_as(self.question.size_bytes, self.needed),
        }
    }

    /// A grant lets the sender in as far as it goes.
    fn by_grant(&self) -> Result<Ruling, Option<Shortfall>> {
        let shown = &self.question.shown;
        let short = |refusal, why: String, change: &str| {
            Err(Some(Shortfall { refusal, why, change: change.to_owned() }))
        };
        if let Some(error) = shown.grant_error {
            let refusal = match error {
                GrantError::Expired => Refusal::GrantExpired,
                GrantError::Revoked => Refusal::GrantRevoked,
                // Anybody can make something up: who shows it is whoever he is without it.
                _ => return Err(None),
            };
            return short(refusal, sentence(&error.to_string()), "comity grant give WHO");
        }
        let Some(granted) = &shown.granted else { return Err(None) };
        if let Some(entry) = self.barred_grantor(granted) {
            let why =
                format!("It was handed on by somebody whom the operator shut out: {}", entry.whom);
            return short(Refusal::GrantRevoked, why, "comity allow WHO for each of them");
        }
        let Question { recipient, sender, protocol, .. } = self.question;
        let Some(level) = granted.gives(recipient, sender, protocol, self.now) else {
            let why = "The sender's grant is not for this protocol".to_owned();
            return short(Refusal::GrantInvalid, why, "comity grant give WHO --for PIURI");
        };
        if level < self.needed {
            let why = format!("The sender's grant goes up to {level}, not to {}", self.needed);
            return short(Refusal::LevelTooLow, why, "comity grant give WHO --level LEVEL");
        }
        if Level::Task <= level && others_of_sender(self.question, self.facts).is_some() {
            let why =
                "The sender has other keys than it had, and nothing proves that they are its own";
            return short(Refusal::KeyChanged, why.to_owned(), "comity contacts approve WHO");
        }
        let grantor = others_of_grantors(self.question, self.facts);
        if let Some((grantor, _)) = grantor.filter(|_| Level::Task <= level) {
            let why =
                format!("It was handed on by {}, which has other keys than it had", grantor.did);
            return short(Refusal::KeyChanged, why, "comity contacts approve WHO");
        }
        let meters = granted.meters();
        let used_up = meters.iter().find_map(|meter| {
            meter.limits.broken_by(self.facts.used_of(meter.id), self.counts_as())
        });
        if let Some(broken) = used_up {
            let why = format!("What was granted is used up: {broken}");
            return short(Refusal::LimitReached, why, "comity grant give WHO with higher limits");
        }
        let path: Vec<_> = granted.path().iter().map(ToString::to_string).collect();
        let why = format!("It was granted: {}", path.join(" > "));
        Ok(Ruling { meters, ..self.allow(Admission::Grant, level, &why) })
    }

    /// Whoever may not come may not send others either, who may be himself under another name.
    fn barred_grantor(&self, granted: &Granted) -> Option<&Entry> {
        let mut entries = self.facts.entries.iter().chain(&self.facts.go_betweens);
        entries.find(|entry| granted.handed_on_by().any(|(did, _)| entry.shuts_out(did)))
    }

    /// An answer is welcome, as far as the agent itself went in that thread; so is what asks for no
    /// more than a message.
    fn by_thread(&self) -> Option<Ruling> {
        // Who has moved on answers under its new DID, of which the operator may think otherwise.
        if self.facts.contact.as_ref().is_some_and(|contact| contact.moved_to.is_some()) {
            return None;
        }
        let level = self.facts.wrote_in_thread?.max(Level::Message);
        let why = "The agent wrote to this sender in this thread";
        (self.needed <= level).then(|| self.allow(Admission::Thread, level, why))
    }

    /// Finds out how far the vouches of others carry the sender.
    fn vouched(&self) -> Option<Score<Did>> {
        let Facts { anchors, book, standings, entries, go_betweens, .. } = self.facts;
        if self.question.scrutiny == Scrutiny::Quick || anchors.is_empty() {
            return None;
        }
        let entries = entries.iter().chain(go_betweens);
        let web = book.web(&self.question.protocol, standings, entries, self.now);
        let score = score(&web, anchors, &self.question.sender, self.now);
        let level = score.level.min(standings.of(&self.question.sender).most());
        Some(Score { level, ..score })
    }

    fn by_vouches(&self, vouched: &Option<Score<Did>>) -> Option<Ruling> {
        let score = vouched.as_ref().filter(|score| self.needed <= score.level)?;
        // Who vouched for the owner of a domain did not vouch for whoever took it.
        if Level::Task <= score.level && others_of_sender(self.question, self.facts).is_some() {
            return Some(self.key_changed());
        }
        let why = "Others vouch for the sender, and the operator believes them so far";
        Some(self.allow(Admission::Vouches, score.level, why))
    }

    /// What the sender shows may still let it in: nothing is recorded before that is known.
    fn being_asked(&self) -> Option<Ruling> {
        let book = &self.facts.book;
        let mut shown = self.question.shown.asked_after();
        shown.any(|id| book.is_asked(id, self.now)).then(|| {
            let why = "It is being asked whether the vouches for the sender still hold".to_owned();
            self.refuse(Refusal::Checking, why, &["The answer of the vouchers"])
        })
    }

    /// What the policy allows to those of whom nothing was decided: never more than messages.
    fn by_policy(&self, vouched: &Option<Score<Did>>) -> Option<Ruling> {
        let (admission, level, why) = match self.facts.policy.template {
            Template::Open => (
                Admission::OpenPolicy,
                Level::Message,
                "The policy is open: whoever proves a DID may send messages",
            ),
            Template::Ants => (
                Admission::KnownForLong,
                self.climbed(vouched),
                "The sender has been known for long, and the policy goes by that",
            ),
            Template::Closed | Template::Guarded => return None,
        };
        (self.needed <= level).then(|| self.allow(admission, level, why))
    }

    /// Returns how far the sender has gone up by itself.
    fn climbed(&self, vouched: &Option<Score<Did>>) -> Level {
        let contact = self.facts.contact.as_ref().or(self.facts.prior_contact.as_ref());
        let since = contact.filter(|known| known.moved_to.is_none()).map(|known| known.since);
        let age_s = since.map_or(0, |since| self.now.0.saturating_sub(since.0));
        let (introduced, message) = vouched
            .as_ref()
            .map_or((0, 0), |score| (score.introduced.anchors, score.message.anchors));
        let thresholds = self.facts.policy.ants;
        if thresholds.message.is_reached(age_s, self.facts.processed, message) {
            Level::Message
        } else if thresholds.introduced.is_reached(age_s, self.facts.processed, introduced) {
            Level::Introduced
        } else {
            Level::Blocked
        }
    }

    fn is_paid(&self, price_bits: u8) -> bool {
        match self.facts.work {
            WorkShown::Paid { .. } => true,
            WorkShown::AntsToken { .. } => {
                self.facts.policy.template == Template::Ants && price_bits <= ANTS_TOKEN_BITS
            }
            WorkShown::Invalid | WorkShown::None => false,
        }
    }

    fn for_stranger(&self, vouched: &Option<Score<Did>>) -> Ruling {
        if self.facts.policy.template == Template::Closed {
            let why = "The policy is closed: the operator has not allowed this sender";
            return self.refuse(Refusal::Closed, why.to_owned(), &["comity allow WHO"]);
        }
        let decide = "comity requests, then comity allow or comity deny";
        if let Some(RequestState::Pending) = self.facts.request {
            let why = "An earlier request of this sender is undecided".to_owned();
            return self.refuse(Refusal::Pending, why, &[decide]);
        }
        let level = vouched.as_ref().map_or(Level::Blocked, |score| score.level);
        // Whoever is vouched for has paid in another coin; so has an agent of this home, which its
        // operator made.
        let is_waived = Level::Introduced <= level || self.question.way_in == WayIn::SameHome;
        let price_bits = if is_waived { 0 } else { self.facts.price_bits };
        let is_paid = self.is_paid(price_bits);
        let is_full = self.facts.pool.is_full(self.question.size_bytes);
        match self.question.way_in {
            // Who has paid nothing gets no answer that has to be kept and sent, which would cost the home
            // more than the stranger.
            WayIn::Direct if 0 < price_bits && !is_paid && is_full => {
                let why = "Too many requests are undecided to ask for work".to_owned();
                return self.refuse(Refusal::MailboxFull, why, &[decide]);
            }
            WayIn::Direct if 0 < price_bits && !is_paid => {
                let why = "A sender that was never heard of, and has shown no work".to_owned();
                let change = "Work, which the sender's home does by itself";
                return self.rule(Decision::Charge(price_bits), level, why, &[change]);
            }
            // There is no answer by which work could be demanded: what has paid nothing at the relay
            // gets a part of the pool, and leaves the rest to those who have.
            WayIn::Relay(class)
                if 0 < price_bits
                    && class != Some(Class::Paid)
                    && self.facts.pool.is_full_for_unpaid() =>
            {
                let why = "Too many requests that cost no work are undecided".to_owned();
                return self.refuse(Refusal::RequestsFull, why, &[decide]);
            }
            WayIn::Direct | WayIn::Relay(_) | WayIn::SameHome => {}
        }
        if REQUEST_BYTES_MAX < self.question.size_bytes {
            let why = "A stranger's first message is too large to keep".to_owned();
            return self.refuse(Refusal::RequestTooLarge, why, &["comity allow WHO"]);
        }
        if is_full {
            let why = "Too many requests are undecided".to_owned();
            return self.refuse(Refusal::RequestsFull, why, &[decide]);
        }
        let why = match self.question.way_in {
            WayIn::SameHome => {
                "An agent of this home of whom nothing was decided; kept for the operator"
            }
            _ => "A sender that was never heard of; kept for the operator",
        };
        self.rule(Decision::Hold, level, why.to_owned(), &[decide])
    }

    fn allow(&self, admission: Admission, level: Level, why: &str) -> Ruling {
        self.rule(Decision::Allow(admission), level, why.to_owned(), &[])
    }

    fn refuse(&self, refusal: Refusal, why: String, changes: &[&str]) -> Ruling {
        self.rule(Decision::Refuse(refusal), Level::Blocked, why, changes)
    }

    fn rule(&self, decision: Decision, level: Level, why: String, changes: &[&str]) -> Ruling {
        let changes = changes.iter().map(|change| (*change).to_owned()).collect();
        let (grounds, meters) = (Vec::new(), Vec::new());
        Ruling { decision, level, needed: self.needed, why, changes, grounds, meters }
    }
}

/// Begins a sentence with a capital letter.
fn sentence(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or(String::new(), |first| first.to_uppercase().chain(chars).collect())
}

fn whom(entry: &Entry) -> String {
    match entry.whom.did() {
        Some(_) => "this sender".to_owned(),
        None => entry.whom.to_string(),
    }
}

/// Returns what a message uses up: only what needs the level of tasks opens one.
pub(super) fn counts_as(size_bytes: usize, needed: Level) -> Used {
    Used { messages: 1, bytes: size_bytes as u64, tasks: u64::from(Level::Task <= needed) }
}

#[cfg(test)]
mod tests;
