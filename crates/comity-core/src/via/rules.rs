//! What a session tells its relay about friends: a rule for each identity, once the relay has said
//! that it knows the protocol. One that does not is not asked again on the same connection, and keeps
//! everybody's messages alike.

use std::collections::BTreeMap;

use comity_didcomm::{Did, Message};

use super::RuleStanding;
use crate::admission::Rule;
use crate::limits::VIA_UPDATES_MAX;
use crate::protocol::admission::ADMISSION;
use crate::protocol::discover_features::{Feature, FeatureQuery};

/// The rules of a home's identities, and how far the relay knows them.
#[derive(Debug, Default)]
pub(super) struct Rules {
    offer: Offer,
    by: BTreeMap<Did, (Rule, Told)>,
}

/// Whether the relay tells friends from strangers.
#[derive(Debug, Default, PartialEq, Eq)]
enum Offer {
    /// It was asked, by the message of this id.
    Asked(String),
    /// It does.
    Made,
    /// It does not.
    None,
    /// It was not asked.
    #[default]
    Unasked,
}

#[derive(Debug, PartialEq, Eq)]
enum Told {
    /// By the message of this id; the answer has not come.
    Asked(String),
    /// Not yet, or it is to be told once more.
    No,
    /// It has the rule.
    Yes,
}

impl Rules {
    /// Takes the rule of an identity, in place of a former one.
    pub(super) fn want(&mut self, did: Did, rule: Rule, standing: RuleStanding) {
        let told = if standing == RuleStanding::Set { Told::Yes } else { Told::No };
        self.by.insert(did, (rule, told));
    }

    /// Forgets that the relay has the rule of an identity, which it has registered anew.
    pub(super) fn lost(&mut self, did: &Did) {
        if let Some((_, told)) = self.by.get_mut(did) {
            *told = Told::No;
        }
    }

    /// Forgets which questions were asked: their answers do not come any more.
    pub(super) fn ask_again(&mut self, whole: bool) {
        if whole && matches!(self.offer, Offer::Asked(_)) {
            self.offer = Offer::Unasked;
        }
        for (_, told) in self.by.values_mut().filter(|(_, told)| matches!(told, Told::Asked(_))) {
            *told = Told::No;
        }
    }

    /// Whether the relay has to be asked what it knows, before anything is told. The question has
    /// this id, if so.
    pub(super) fn discover(&mut self, id: &str) -> Option<FeatureQuery> {
        let has_some = self.by.values().any(|(_, told)| *told == Told::No);
        if self.offer != Offer::Unasked || !has_some {
            return None;
        }
        self.offer = Offer::Asked(id.to_owned());
        Some(FeatureQuery { feature_type: "protocol".to_owned(), pattern: ADMISSION.to_owned() })
    }

    /// Takes what the relay disclosed.
    pub(super) fn disclosed(&mut self, features: &[Feature]) {
        if !matches!(self.offer, Offer::Asked(_)) {
            return;
        }
        let plays = |feature: &Feature| {
            let is_it = feature.feature_type == "protocol" && feature.id == ADMISSION;
            is_it && feature.roles.iter().any(|role| role == "relay")
        };
        self.offer = if features.iter().any(plays) { Offer::Made } else { Offer::None };
    }

    /// Returns the next rule to be told, of an identity that the relay has registered. A few at a
    /// time are under way.
    pub(super) fn next(&mut self, is_registered: &dyn Fn(&Did) -> bool) -> Option<(Did, Rule)> {
        let under_way = self.by.values().filter(|(_, told)| matches!(told, Told::Asked(_))).count();
        if self.offer != Offer::Made || VIA_UPDATES_MAX <= under_way {
            return None;
        }
        let next = self.by.iter().find(|(did, (_, told))| *told == Told::No && is_registered(did));
        next.map(|(did, (rule, _))| (did.clone(), rule.clone()))
    }

    /// Notes by which message a rule was told.
    pub(super) fn told(&mut self, did: &Did, id: &str) {
        if let Some((_, told)) = self.by.get_mut(did) {
            *told = Told::Asked(id.to_owned());
        }
    }

    /// Takes the relay's word that it has a rule; returns whose and which, if that was asked.
    pub(super) fn set(&mut self, thid: &str) -> Option<(Did, Rule)> {
        let is_it = |told: &Told| matches!(told, Told::Asked(id) if id == thid);
        let (did, (rule, told)) = self.by.iter_mut().find(|(_, (_, told))| is_it(told))?;
        *told = Told::Yes;
        Some((did.clone(), rule.clone()))
    }

    /// Takes a report that may be about one of our questions; says which.
    pub(super) fn reported(&mut self, report: &Message) -> Option<Reported> {
        let is_about = |id: &str| {
            let about = [report.pthid.as_deref(), report.thid.as_deref()];
            about.contains(&Some(id)) || report.ack.iter().any(|ack| ack == id)
        };
        if matches!(&self.offer, Offer::Asked(id) if is_about(id)) {
            self.offer = Offer::None;
            return Some(Reported::NoOffer);
        }
        let is_it = |told: &Told| matches!(told, Told::Asked(id) if is_about(id));
        let (did, (_, told)) = self.by.iter_mut().find(|(_, (_, told))| is_it(told))?;
        // It stays asked until the next look, so that it is not asked without end.
        *told = Told::Asked(String::new());
        Some(Reported::Refused(did.clone()))
    }
}

/// What a report said about rules.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Reported {
    /// The relay does not know the protocol.
    NoOffer,
    /// It does not take the rule of this identity.
    Refused(Did),
}
