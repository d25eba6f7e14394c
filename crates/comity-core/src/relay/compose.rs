//! What the node answers, as messages. Each answer is in the thread of its question.

use comity_didcomm::{Did, Message, MessageId, UnixTime};

use super::Served;
use crate::limits::ENVELOPE_BYTES_MAX;
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
    let mut message = match answer {
        Answer::Disclose(features) => DiscoverFeatures::Disclose(features).into_message(id),
        Answer::Mediation(version, mediation) => mediation.into_message(version, id),
        Answer::Pickup(version, pickup) => pickup.into_message(version, id),
        Answer::PingResponse => TrustPing::Response.into_message(id),
        Answer::Problem(refusal) => problem(refusal, served, id),
    };
    if message.pthid.is_none() {
        message.thid = Some(served.thid().to_owned());
    }
    message.from = Some(home.clone());
    message.to = vec![served.sender().clone()];
    message.created_time = Some(now);
    message
}

/// Makes the report about a request that is not fulfilled (Report Problem 2.0).
#[must_use]
pub fn problem(refusal: Refusal, served: &Served, id: MessageId) -> Message {
    refusal.to_report().into_message(id, served.thid(), vec![served.id().to_owned()])
}
