//! Step 4: what is written before anybody is told anything. One commit per message, all or nothing.

use std::sync::Arc;

use comity_didcomm::problem::ProblemReport;
use comity_didcomm::{Did, DidDocument, Message, MessageId, Opened, UnixTime};

use super::Authenticated;
use super::authorize::Remembered;
use super::authorize::{Authorized, Grant, Reach, Refused, Verdict};
use crate::Context;
use crate::limits::{EXPIRES_S_DEFAULT, EXPIRES_S_MAX, REQUEST_AGE_S_MAX};
use crate::log::{Act, Statement};
use crate::protocol::{EMPTY, RECEIPT, RECEIPT_TO, REPORT_PROBLEM, is_for_home};
use crate::receipt::{Rung, State};
use crate::record::{Notice, Received, digest_text, key_hash};
use crate::refusal::Refusal;
use crate::trust::{Admission, ChallengeId, Contact, Level, Meter, MeterId};

/// Everything about one message that has to become durable together. Only an authorized or a duly
/// refused message becomes one.
#[derive(Debug)]
pub struct Commit {
    opened: Opened,
    document: Arc<DidDocument>,
    envelope: Vec<u8>,
    received: Received,
    placement: Placement,
    rung: Rung,
    statement: Option<Statement>,
    salt: [u8; 16],
    meters: Vec<Meter>,
    contact: Option<Remembered>,
    prior: Option<Did>,
    spent: Option<Spent>,
    why: String,
}

/// Work that a message was paid with: worth something once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Spent {
    /// The challenge that was solved.
    pub id: ChallengeId,
    /// Until when it is remembered.
    pub expires: UnixTime,
    /// What the message costs if the work was spent before.
    pub(crate) price_bits: u8,
}

/// Where a message goes.
#[derive(Debug)]
pub enum Placement {
    /// Nowhere but into the home's own knowledge: receipts, acknowledgements, reports between
    /// homes.
    Home,
    /// Into the recipient's mailbox.
    Mailbox,
    /// Nowhere. The report, if one is due, goes to the sender in the same commit.
    Refused(Refusal, Option<Box<Message>>),
    /// To the operator.
    Request,
}

/// What became of a [`Commit`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// It is durable. `seq` names the message in its mailbox.
    New {
        /// Position of the message in the store.
        seq: u64,
    },
    /// A message with this id from this sender to this recipient was there before; this is the
    /// digest of its plaintext.
    Repeat {
        /// As in [`Received::digest`].
        digest: String,
    },
    /// The work that it was paid with had been spent before.
    Spent,
    /// It could not be written now.
    Temporary(Refusal),
}

impl Commit {
    /// Returns the opened message.
    #[must_use]
    pub const fn opened(&self) -> &Opened {
        &self.opened
    }

    /// Returns the plaintext message.
    #[must_use]
    pub const fn message(&self) -> &Message {
        &self.opened.message
    }

    /// Returns the sender's document as it was used.
    #[must_use]
    pub const fn document(&self) -> &Arc<DidDocument> {
        &self.document
    }

    /// Returns the envelope as it came.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Returns the row that remembers it.
    #[must_use]
    pub const fn received(&self) -> &Received {
        &self.received
    }

    /// Returns where it goes.
    #[must_use]
    pub const fn placement(&self) -> &Placement {
        &self.placement
    }

    /// Returns the first answer about it, which every repeat gets again.
    #[must_use]
    pub const fn rung(&self) -> &Rung {
        &self.rung
    }

    /// Returns what the log will say of it; of the home's own messages it says nothing.
    #[must_use]
    pub const fn statement(&self) -> Option<&Statement> {
        self.statement.as_ref()
    }

    /// Returns what opens the statement's digest: the salt and the signed message. Nothing is kept of
    /// a message that was refused, nor of one that is not signed and proves nothing to others.
    #[must_use]
    pub fn opening(&self) -> Option<(&[u8; 16], &str)> {
        let is_taken = matches!(self.placement, Placement::Mailbox | Placement::Request);
        Some((&self.salt, self.opened.signed().filter(|_| is_taken)?))
    }

    /// Returns what the message counts against.
    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// Returns what is to be remembered of the sender from now on, if it is something new.
    #[must_use]
    pub fn contact(&self) -> Option<&Contact> {
        self.contact.as_ref().map(|contact| &contact.after)
    }

    /// Returns what was remembered of it when that was decided.
    #[must_use]
    pub fn contact_before(&self) -> Option<&Contact> {
        self.contact.as_ref()?.before.as_ref()
    }

    /// Returns whom the sender was before, if it was let in: what was decided about that DID is
    /// about this one now.
    #[must_use]
    pub const fn prior(&self) -> Option<&Did> {
        self.prior.as_ref()
    }

    /// Returns the work that it was paid with, if it cost any.
    #[must_use]
    pub const fn spent(&self) -> Option<&Spent> {
        self.spent.as_ref()
    }

    /// Returns the policy's reason.
    #[must_use]
    pub fn why(&self) -> &str {
        &self.why
    }
}

pub(super) fn commit(verdict: Verdict, context: &Context) -> Commit {
    let (meters, spent);
    let (authenticated, placement, admitted, contact, why) = match verdict {
        Verdict::Authorized(authorized) => {
            let Authorized { authenticated, grant, contact, why, .. } = authorized;
            (meters, spent) = (authorized.meters, authorized.spent);
            match grant {
                Grant::Admitted(admission, reach) => {
                    let placement = placement(&authenticated, admission);
                    (authenticated, placement, Some((admission, reach)), contact, why)
                }
                Grant::AsRequest => (authenticated, Placement::Request, None, contact, why),
            }
        }
        Verdict::Refused(authenticated, refused) => {
            let Refused { refusal, contact, why, .. } = refused;
            (meters, spent) = (Vec::new(), refused.spent);
            let report = report(&authenticated, refusal, context.now).map(Box::new);
            (authenticated, Placement::Refused(refusal, report), None, contact, why)
        }
    };
    let prior = authenticated.prior().filter(|_| matches!(placement, Placement::Mailbox));
    let prior = prior.map(|prior| prior.did);
    let mut received = received(&authenticated, &placement, admitted, context.now);
    if admitted.is_some_and(|(_, reach)| Level::Task <= reach.needed) {
        received.open_in = meters.iter().filter_map(opens_task).collect();
    }
    let rung = rung(&placement, context);
    let Authenticated { opened, document, envelope, .. } = authenticated;
    let statement = statement(&opened, &received, &placement, context);
    let salt = context.salt;
    Commit {
        opened,
        document,
        envelope,
        received,
        placement,
        rung,
        statement,
        salt,
        meters,
        contact,
        prior,
        spent,
        why,
    }
}

/// What the log will say of a message; nothing of the home's own.
fn statement(
    opened: &Opened,
    received: &Received,
    placement: &Placement,
    context: &Context,
) -> Option<Statement> {
    let object = opened.signed().map_or(opened.plaintext(), str::as_bytes);
    let parties = (&received.recipient, &received.sender);
    let (id, salt, now) = (&received.id, &context.salt, context.now);
    let mut statement = match placement {
        Placement::Home => return None,
        Placement::Mailbox | Placement::Request => {
            Statement::about_message(Act::Received, parties, id, object, salt, now)
        }
        // The message is not kept: who has it, its sender, can hold it against the statement.
        Placement::Refused(refusal, _) => Statement {
            code: Some(refusal.code().to_owned()),
            ..Statement::new(Act::Refused, parties, id, object, salt, now)
        },
    };
    statement.document = Some(received.document.clone());
    statement.ground = received.admitted;
    statement.pthid = opened.message.pthid.clone();
    statement.thid.clone_from(&received.thid);
    statement.type_.clone_from(&received.type_);
    Some(statement)
}

fn opens_task(meter: &Meter) -> Option<MeterId> {
    meter.limits.tasks_open.map(|_| meter.id)
}

/// What only the home can use does not bother the agent: its own protocols, and messages that exist
/// for their headers.
fn placement(authenticated: &Authenticated, admission: Admission) -> Placement {
    let is_empty = authenticated.opened.message.type_.protocol().as_str() == EMPTY;
    match admission {
        Admission::HomeProtocol => Placement::Home,
        _ if is_empty => Placement::Home,
        _ => Placement::Mailbox,
    }
}

fn received(
    authenticated: &Authenticated,
    placement: &Placement,
    admitted: Option<(Admission, Reach)>,
    now: UnixTime,
) -> Received {
    let message = &authenticated.opened.message;
    let latest = match placement {
        Placement::Request => now.saturating_add(REQUEST_AGE_S_MAX),
        _ => now.saturating_add(EXPIRES_S_MAX),
    };
    let expires = message.expires_time.unwrap_or_else(|| now.saturating_add(EXPIRES_S_DEFAULT));
    Received {
        id: message.id.as_str().to_owned(),
        sender: authenticated.sender.did().clone(),
        recipient: authenticated.recipient.clone(),
        type_: message.type_.to_string(),
        thid: message.thread_id().to_owned(),
        received_at: now,
        expires: expires.min(latest),
        digest: digest_text(authenticated.opened.plaintext()),
        document: digest_text(authenticated.document.to_json().to_string().as_bytes()),
        admitted: admitted.map(|(admission, _)| admission),
        level: admitted.map_or(Level::Blocked, |(_, reach)| reach.level),
        open_in: Vec::new(),
        notice: notice(authenticated),
        size_bytes: authenticated.envelope.len(),
    }
}

/// Whom to tell how far the message gets. Receipts go only to the sender or to a controller of its
/// document, so that nobody can have them sent to a third party; and the home's own protocols are
/// never acknowledged.
fn notice(authenticated: &Authenticated) -> Notice {
    let message = &authenticated.opened.message;
    if is_notice(message) {
        return Notice::None;
    }
    let sender = authenticated.sender.did();
    if let Some(home) = message.extra.get(RECEIPT_TO).and_then(|value| value.as_str()) {
        let document = &authenticated.document;
        let speaks = |home: &Did| {
            home.same_subject(sender)
                || document.controller.iter().any(|one| one.same_subject(home))
        };
        return match home.parse::<Did>() {
            Ok(home) if speaks(&home) => Notice::Receipts(home),
            _ => Notice::Receipts(sender.clone()),
        };
    }
    if message.please_ack.is_empty() { Notice::None } else { Notice::Ack }
}

fn rung(placement: &Placement, context: &Context) -> Rung {
    let state = match placement {
        Placement::Refused(..) => State::Refused,
        _ => State::Accepted,
    };
    let mut rung = Rung::new(state, context.now, context.home.clone());
    match placement {
        Placement::Refused(refusal, _) => {
            rung.code = Some(refusal.code().to_owned());
            rung.reason = Some(refusal.meaning().to_owned());
        }
        Placement::Request => rung.pending = true,
        Placement::Home | Placement::Mailbox => {}
    }
    rung
}

/// Builds the one report that a refused sender gets; none about a report, nor about any other of
/// the home's own messages.
fn report(authenticated: &Authenticated, refusal: Refusal, now: UnixTime) -> Option<Message> {
    let message = &authenticated.opened.message;
    if is_notice(message) {
        return None;
    }
    Some(problem_report(
        &authenticated.recipient,
        authenticated.sender.did(),
        message.id.as_str(),
        message.thread_id(),
        refusal.to_report(),
        now,
    ))
}

/// Builds a problem report about one message. Its id follows from that message, so that it is the
/// same however often it is built.
#[must_use]
pub fn problem_report(
    from: &Did,
    to: &Did,
    id: &str,
    thid: &str,
    problem: ProblemReport,
    now: UnixTime,
) -> Message {
    let hash = key_hash(&[from.as_str().as_bytes(), to.as_str().as_bytes(), id.as_bytes()]);
    let mut message = problem.into_message(report_id(hash), thid, vec![id.to_owned()]);
    message.from = Some(from.clone());
    message.to = vec![to.clone()];
    message.created_time = Some(now);
    message
}

#[expect(clippy::expect_used, reason = "hexadecimal digits are unreserved characters")]
fn report_id(hash: [u8; 16]) -> MessageId {
    let digits: String = hash.iter().map(|byte| format!("{byte:02x}")).collect();
    MessageId::parse(&format!("report-{digits}")).expect("a short id of unreserved characters")
}

fn is_notice(message: &Message) -> bool {
    [EMPTY, RECEIPT, REPORT_PROBLEM].contains(&message.type_.protocol().as_str())
        || is_for_home(&message.type_)
}
