//! Step 4: durable. From here on the home answers for the message.

use std::sync::Arc;

use super::address::Way;
use super::authorize::{Authorized, Permit};
use super::{Packed, Unsendable};
use crate::Context;
use crate::log::{Act, Statement};
use crate::receipt::{Rung, State};
use crate::record::{Outgoing, Sent, digest_text};
use crate::trust::Meter;

/// Everything about one outgoing message that has to become durable together.
#[derive(Debug)]
pub struct Queued {
    sent: Sent,
    outgoing: Outgoing,
    envelope: Vec<u8>,
    rung: Rung,
    statement: Statement,
    signed: Option<String>,
    salt: [u8; 16],
    is_of_home: bool,
    meters: Vec<Meter>,
    size_bytes: u64,
}

/// What became of a [`Queued`] message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stored {
    /// The sender's outbox is full.
    Full,
    /// The sender has used up what its operator lets it send, by another message in this moment.
    LimitReached,
    /// It is durable.
    New,
    /// The sender has used the id before; this is the digest of what it asked for then.
    Repeat {
        /// As in [`Sent::request_digest`].
        request_digest: String,
    },
    /// It could not be written now.
    Unavailable,
}

impl Queued {
    /// Returns the row that remembers the message.
    #[must_use]
    pub const fn sent(&self) -> &Sent {
        &self.sent
    }

    /// Returns the row of the outbox.
    #[must_use]
    pub const fn outgoing(&self) -> &Outgoing {
        &self.outgoing
    }

    /// Returns the sealed envelope.
    #[must_use]
    pub fn envelope(&self) -> &[u8] {
        &self.envelope
    }

    /// Returns the first rung of the ladder.
    #[must_use]
    pub const fn rung(&self) -> &Rung {
        &self.rung
    }

    /// Returns what the message counts against, on its way out.
    #[must_use]
    pub fn meters(&self) -> &[Meter] {
        &self.meters
    }

    /// Returns how many bytes it counts for.
    #[must_use]
    pub const fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    /// Returns what the log will say of it: what is said in an agent's name, also by its home. Of what
    /// the home says in its own name it says nothing.
    #[must_use]
    pub fn statement(&self) -> Option<&Statement> {
        (!self.is_of_home).then_some(&self.statement)
    }

    /// Returns what opens the statement's digest: the salt and the signed message. A message that is
    /// not signed proves nothing to others and is not kept.
    #[must_use]
    pub fn opening(&self) -> Option<(&[u8; 16], &str)> {
        Some((&self.salt, self.signed.as_deref()?))
    }
}

pub(super) fn queue(packed: Packed, context: &Context) -> Queued {
    let Packed { authorized, thid, envelope, plaintext, request_digest, signed } = packed;
    let Authorized { addressed, permit, .. } = authorized;
    let Permit { expires, meters, level, size_bytes, .. } = permit;
    let size_bytes = size_bytes as u64;
    let submission = addressed.submission;
    let id = submission.id.as_str().to_owned();
    let object = signed.as_ref().map_or(plaintext.as_slice(), |signed| signed.as_bytes());
    let parties = (&submission.from, &submission.to);
    let mut statement =
        Statement::about_message(Act::Sent, parties, &id, object, &context.salt, context.now);
    statement.thid.clone_from(&thid);
    statement.pthid = submission.pthid.clone();
    statement.type_ = submission.type_.to_string();
    let (uri, also, via) = match addressed.way {
        Way::Here => (None, Vec::new(), None),
        Way::Out { route, also } => {
            let via = route.hops.last().map(|hop| hop.name.did().clone());
            (Some(route.uri), also, via)
        }
    };
    let outgoing = Outgoing {
        id: id.clone(),
        sender: submission.from.clone(),
        recipient: submission.to.clone(),
        uri,
        also,
        relayed: via.is_some(),
        expires,
        kind: submission.kind,
        work_bits_max: submission.work_bits_max,
    };
    let sent = Sent {
        id,
        thid,
        sender: submission.from,
        recipient: submission.to,
        recipient_homes: addressed.homes,
        via,
        type_: submission.type_.to_string(),
        digest: digest_text(&plaintext),
        request_digest,
        level,
        queued_at: context.now,
        expires,
    };
    let rung = Rung::new(State::Queued, context.now, context.home.clone());
    let (salt, is_of_home) = (context.salt, sent.sender.same_subject(&context.home));
    Queued {
        sent,
        outgoing,
        envelope,
        rung,
        statement,
        signed,
        salt,
        is_of_home,
        meters,
        size_bytes,
    }
}

pub(super) fn conclude(queued: Arc<Queued>, stored: &Stored) -> Result<Arc<Queued>, Unsendable> {
    match stored {
        Stored::New => Ok(queued),
        // The first answer again (I8): the message is on its way, or has arrived.
        Stored::Repeat { request_digest } if *request_digest == queued.sent.request_digest => {
            Ok(queued)
        }
        Stored::Repeat { .. } => Err(Unsendable::IdReuse),
        Stored::Full => Err(Unsendable::OutboxFull),
        Stored::LimitReached => Err(Unsendable::LimitReached),
        Stored::Unavailable => Err(Unsendable::Unavailable),
    }
}
