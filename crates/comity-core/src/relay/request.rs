//! What may be asked of the node itself: the messages of the protocols that it serves.

use std::sync::Arc;

use comity_didcomm::{Did, DidDocument, Message, MessageType, ReturnRoute, UnixTime};

use crate::admission::Rule;
use crate::protocol::admission::{ADMISSION, ADMISSION_TOKEN, AdmissionMessage};
use crate::protocol::coordinate_mediation::{
    self, COORDINATE_MEDIATION_2, COORDINATE_MEDIATION_3, Mediation, Paginate, Update,
};
use crate::protocol::discover_features::{DISCOVER_FEATURES, DiscoverFeatures, FeatureQuery};
use crate::protocol::pickup::{self, PICKUP_3, PICKUP_4, Pickup};
use crate::protocol::trust_ping::{TRUST_PING, TrustPing};
use crate::protocol::{ProtocolError, is_type};
use crate::refusal::Refusal;

/// Something asked of the node itself, by a proven sender.
#[derive(Clone, Debug)]
pub struct Served {
    pub(crate) request: Result<Request, Refusal>,
    pub(crate) sender: Did,
    pub(crate) document: Arc<DidDocument>,
    pub(crate) id: String,
    pub(crate) thid: String,
    pub(crate) pthid: Option<String>,
    pub(crate) return_route: ReturnRoute,
    pub(crate) digest: String,
    pub(crate) expires: Option<UnixTime>,
}

/// What is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Request {
    /// Change the registered DIDs.
    ChangeRecipients(coordinate_mediation::Version, Vec<Update>),
    /// Deliver messages.
    Deliver(pickup::Version, Option<Did>, u64),
    /// Say what is supported.
    Disclose(Vec<FeatureQuery>),
    /// List the registered DIDs.
    ListRecipients(coordinate_mediation::Version, Option<Paginate>),
    /// Turn live delivery on or off.
    Live(pickup::Version, Live),
    /// Nothing is asked: an answer to what we did not ask, or a ping that wants none.
    Nothing,
    /// Say that you are there.
    Ping,
    /// Forget messages that have arrived.
    Received(pickup::Version, Vec<String>),
    /// Take messages for me.
    Register(coordinate_mediation::Version),
    /// Tell friends of this DID from strangers by this rule, or by none.
    Rule(Did, Option<Rule>),
    /// Say what waits.
    Status(pickup::Version, Option<Did>),
}

/// Whether messages are delivered as they come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Live {
    /// They wait to be asked for.
    Off,
    /// They are.
    On,
}

impl Served {
    /// Returns what is asked, or why that cannot be made out.
    pub const fn request(&self) -> &Result<Request, Refusal> {
        &self.request
    }

    /// Returns who asks, proven.
    #[must_use]
    pub const fn sender(&self) -> &Did {
        &self.sender
    }

    /// Returns the sender's document as it was used.
    #[must_use]
    pub const fn document(&self) -> &Arc<DidDocument> {
        &self.document
    }

    /// Returns the id of the message that asks.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the thread of the answer.
    #[must_use]
    pub fn thid(&self) -> &str {
        &self.thid
    }

    /// Returns the thread it came out of.
    #[must_use]
    pub fn pthid(&self) -> Option<&str> {
        self.pthid.as_deref()
    }

    /// Returns SHA-256 of the plaintext, base64url.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// Returns until when the message is one; from then on a repeat of it is refused as expired.
    #[must_use]
    pub const fn expires(&self) -> Option<UnixTime> {
        self.expires
    }

    /// Whether the answer may travel back on the connection that brought the question. Each answer
    /// is in the question's thread, so a wish for one thread is served too.
    #[must_use]
    pub const fn wants_return(&self) -> bool {
        matches!(self.return_route, ReturnRoute::All | ReturnRoute::Thread)
    }
}

/// Whether a message is one for the node itself to serve. A token that somebody gives the node is
/// not: like what it says to any of its agents, it is taken or not by the home.
pub(crate) fn is_served(type_: &MessageType) -> bool {
    let known = [
        ADMISSION,
        COORDINATE_MEDIATION_3,
        COORDINATE_MEDIATION_2,
        PICKUP_3,
        PICKUP_4,
        DISCOVER_FEATURES,
        TRUST_PING,
    ];
    let protocol = type_.protocol();
    let is_known = known.iter().any(|uri| uri.parse().is_ok_and(|known| protocol.matches(&known)));
    is_known && !is_type(type_, ADMISSION_TOKEN)
}

/// Makes out what a message asks.
pub(crate) fn parse(message: &Message) -> Result<Request, Refusal> {
    let malformed = |error| match error {
        ProtocolError::Unknown => Refusal::HomeProtocol,
        ProtocolError::Malformed | ProtocolError::TooMany => Refusal::Malformed,
    };
    let protocol = message.type_.protocol();
    let is = |uri: &str| uri.parse().is_ok_and(|known| protocol.matches(&known));
    if is(TRUST_PING) {
        return TrustPing::parse(message).map_err(malformed).map(|ping| match ping {
            TrustPing::Ping { response_requested: true } => Request::Ping,
            _ => Request::Nothing,
        });
    }
    if is(DISCOVER_FEATURES) {
        return DiscoverFeatures::parse(message).map_err(malformed).map(|message| match message {
            DiscoverFeatures::Queries(queries) => Request::Disclose(queries),
            DiscoverFeatures::Disclose(_) => Request::Nothing,
        });
    }
    if is(ADMISSION) {
        return AdmissionMessage::parse(message).map_err(malformed).map(|message| match message {
            AdmissionMessage::Rule { recipient_did, rule } => Request::Rule(recipient_did, rule),
            AdmissionMessage::RuleSet { .. } | AdmissionMessage::Token { .. } => Request::Nothing,
        });
    }
    if is(PICKUP_3) || is(PICKUP_4) {
        let (version, pickup) = Pickup::parse(message).map_err(malformed)?;
        return Ok(match pickup {
            Pickup::StatusRequest { recipient_did } => Request::Status(version, recipient_did),
            Pickup::DeliveryRequest { recipient_did, limit } => {
                Request::Deliver(version, recipient_did, limit)
            }
            Pickup::MessagesReceived { ids } => Request::Received(version, ids),
            Pickup::LiveDeliveryChange { live_delivery: true } => Request::Live(version, Live::On),
            Pickup::LiveDeliveryChange { live_delivery: false } => {
                Request::Live(version, Live::Off)
            }
            Pickup::Delivery { .. } | Pickup::Status(_) => Request::Nothing,
        });
    }
    let (version, mediation) = Mediation::parse(message).map_err(malformed)?;
    Ok(match mediation {
        Mediation::Request => Request::Register(version),
        Mediation::Update(updates) => Request::ChangeRecipients(version, updates),
        Mediation::Query { paginate } => Request::ListRecipients(version, paginate),
        Mediation::Deny
        | Mediation::Grant { .. }
        | Mediation::List { .. }
        | Mediation::Updated(_) => Request::Nothing,
    })
}
