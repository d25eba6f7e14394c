//! What the node answers, as messages. Each answer is in the thread of its question.

use comity_didcomm::{
    ContentEncryption, Curve, Did, DidDocument, Message, MessageId, Protection, SealError,
    UnixTime, seal,
};
use rand_core::CryptoRng;

use super::Served;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::outbound::SenderKeys;
use crate::protocol::admission::{ADMISSION, AdmissionMessage};
use crate::protocol::coordinate_mediation::{
    self, COORDINATE_MEDIATION_2, COORDINATE_MEDIATION_3, Mediation,
};
use crate::protocol::discover_features::{
    DISCOVER_FEATURES, DiscoverFeatures, Feature, FeatureQuery, MAX_RECEIVE_BYTES,
};
use crate::protocol::pickup::{self, PICKUP_3, PICKUP_4, Pickup};
use crate::protocol::trust_ping::{TRUST_PING, TrustPing};
use crate::protocol::{REPORT_PROBLEM, ROUTING};
use crate::refusal::Refusal;

/// An answer to a [`Served`] request.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Answer {
    /// Of Discover Features.
    Disclose(Vec<Feature>),
    /// Of Coordinate Mediation.
    Mediation(coordinate_mediation::Version, Mediation),
    /// Of Message Pickup.
    Pickup(pickup::Version, Pickup),
    /// Of Trust Ping.
    PingResponse,
    /// A problem report.
    Problem(Refusal),
    /// Of Admission: the rule of this DID is as was asked.
    RuleSet(Did),
}

/// What a node understands, by the roles it plays.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Features {
    /// Of a home alone.
    Home,
    /// Of a relay.
    Relay,
}

impl Features {
    /// Returns the features that queries ask for.
    #[must_use]
    pub fn disclose(self, queries: &[FeatureQuery]) -> Vec<Feature> {
        let all = self.all();
        let asked = |feature: &Feature| queries.iter().any(|query| query.matches(feature));
        all.into_iter().filter(asked).collect()
    }

    fn all(self) -> Vec<Feature> {
        let mut features = vec![
            Feature::protocol(DISCOVER_FEATURES, &["requester", "responder"]),
            Feature::protocol(TRUST_PING, &["receiver", "sender"]),
            Feature::protocol(REPORT_PROBLEM, &["notifier", "notified"]),
            Feature { feature_type: "header".to_owned(), ..Feature::protocol("return_route", &[]) },
            Feature::constraint(MAX_RECEIVE_BYTES, ENVELOPE_BYTES_MAX as u64),
        ];
        if self == Self::Relay {
            let protocols =
                [COORDINATE_MEDIATION_3, COORDINATE_MEDIATION_2, ROUTING, PICKUP_3, PICKUP_4];
            features.extend(protocols.map(|uri| Feature::protocol(uri, &["mediator"])));
            features.push(Feature::protocol(ADMISSION, &["relay"]));
        }
        features
    }
}

/// Makes the message that answers a request.
#[must_use]
pub fn compose(
    answer: Answer,
    served: &Served,
    id: MessageId,
    home: &Did,
    now: UnixTime,
) -> Message {
    let message = match answer {
        Answer::Disclose(features) => DiscoverFeatures::Disclose(features).into_message(id),
        Answer::Mediation(version, mediation) => mediation.into_message(version, id),
        Answer::Pickup(version, pickup) => pickup.into_message(version, id),
        Answer::PingResponse => TrustPing::Response.into_message(id),
        Answer::RuleSet(recipient_did) => {
            AdmissionMessage::RuleSet { recipient_did }.into_message(id)
        }
        Answer::Problem(refusal) => {
            // A report stands outside the thread that it is about.
            let ack = vec![served.id().to_owned()];
            let report = refusal.to_report().into_message(id, served.thid(), ack);
            return addressed(report, home, served.sender(), now);
        }
    };
    addressed(message.with_thid(served.thid()), home, served.sender(), now)
}

/// Makes a delivery that nothing asked for but the live mode.
#[must_use]
pub fn compose_live(
    version: pickup::Version,
    messages: Vec<pickup::Waiting>,
    id: MessageId,
    home: &Did,
    to: &Did,
    now: UnixTime,
) -> Message {
    let delivery = Pickup::Delivery { recipient_did: None, messages };
    addressed(delivery.into_message(version, id), home, to, now)
}

fn addressed(message: Message, home: &Did, to: &Did, now: UnixTime) -> Message {
    message.with_from(home.clone()).with_to([to.clone()]).with_times(Some(now), None)
}

/// Seals an answer for whoever asked. Authenticated encryption, since these protocols are to be
/// repudiable; a signature where no key of the asker fits ours.
///
/// # Errors
/// When the asker has no key to encrypt to, or the answer is too large for an envelope.
pub fn pack(
    message: &Message,
    document: &DidDocument,
    keys: &SenderKeys,
    rng: &mut dyn CryptoRng,
) -> Result<Vec<u8>, SealError> {
    let (kid, key) = &keys.agreement;
    let fitting = document.choose_recipients(&[key.public().curve()]);
    if !fitting.is_empty() {
        return seal(message, Protection::Deniable { kid, key }, &fitting, rng)
            .map(|sealed| sealed.envelope.into_bytes());
    }
    let recipients = document.choose_recipients(&Curve::AGREEMENT);
    let (kid, key) = &keys.signing;
    let protection = Protection::Accountable { kid, key, enc: ContentEncryption::A256CbcHs512 };
    seal(message, protection, &recipients, rng).map(|sealed| sealed.envelope.into_bytes())
}
