//! Grants (`docs/protocols/grant.md`): what an agent gives somebody the right to, as a signed token
//! that its holder carries, hands on in part, and shows with a message.
//!
//! A grant is believed as part of a whole chain, from the agent that gives access to the sender that
//! shows it: [`GrantChain`] verifies one and is the only way to a [`Granted`]. Nothing here decides
//! what a grant is good for, remembers what was revoked, or counts.

mod chain;
mod terms;

pub use chain::{GrantChain, GrantError, GrantInput, GrantOutput};
pub use terms::{GrantTerms, NarrowError, TermsError};

use comity_didcomm::{
    Did, DidDocument, DidUrl, Jwt, ProtocolId, SigningKey, UnixTime, VerifiedJwt,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::{Level, Limits, Meter, MeterId, TokenId, pinned_keys, subject};
use crate::limits::TOKEN_CHARS_MAX;

/// The `typ` of a grant.
pub const GRANT_TYPE: &str = "comity-grant+jwt";

/// One verified token of a chain. Made by verification only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grant {
    id: TokenId,
    grantor: Did,
    /// The grantor's keys, as [`Contact::keys`](super::Contact::keys).
    grantor_keys: Vec<String>,
    audience: Did,
    parent: Option<TokenId>,
    terms: GrantTerms,
}

/// The right that a verified chain of grants gives to the sender who showed it. Made by
/// [`GrantChain`] only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Granted {
    root: Grant,
    /// What was handed on, in order.
    rest: Vec<Grant>,
}

/// A grant as it is signed.
#[derive(Serialize, Deserialize)]
// A claim that is not known here could be one that limits.
#[serde(deny_unknown_fields)]
struct Claims {
    iss: Did,
    sub: Did,
    aud: Did,
    scope: Vec<ProtocolId>,
    level: u8,
    #[serde(
        default,
        skip_serializing_if = "Limits::is_unlimited",
        deserialize_with = "limits_by_name"
    )]
    limits: Limits,
    nbf: UnixTime,
    exp: UnixTime,
    jti: String,
    #[serde(default)]
    depth: u8,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    parent: Option<TokenId>,
}

impl Grant {
    /// Signs the first grant of a chain: the DID of the key, which lists the key for
    /// `authentication`, gives access to itself.
    ///
    /// ```
    /// # use comity_core::trust::{Grant, GrantTerms, Level, Limits};
    /// # use comity_didcomm::{SigningKey, UnixTime, did};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let mut rng: rand::rngs::StdRng = rand::make_rng();
    /// let key = SigningKey::generate(&mut rng);
    /// let bruno = did::key::create(&key.public());
    /// let kid = did::key::resolve(&bruno)?.authentication[0].clone();
    /// let terms = GrantTerms {
    ///     grantee: "did:web:a.example:agents:aria".parse()?,
    ///     scope: vec!["https://example.org/proposal/1.0".parse()?],
    ///     level: Level::Task,
    ///     limits: Limits { messages_per_day: Some(50), ..Limits::UNLIMITED },
    ///     from: UnixTime(1_800_000_000),
    ///     until: UnixTime(1_800_000_000 + 30 * 86_400),
    ///     depth: 1,
    ///     name: "g-1".to_owned(),
    /// };
    /// let token = Grant::issue(&terms, (&kid, &key))?;
    /// # assert!(token.starts_with("ey"));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the terms could not be read as those of a grant.
    pub fn issue(
        terms: &GrantTerms,
        (kid, key): (&DidUrl, &SigningKey),
    ) -> Result<String, TermsError> {
        terms.check()?;
        sign(terms, kid.did(), None, (kid, key))
    }

    /// Returns its name, by which it can be revoked.
    #[must_use]
    pub const fn id(&self) -> TokenId {
        self.id
    }

    /// Returns who signed it.
    #[must_use]
    pub const fn grantor(&self) -> &Did {
        &self.grantor
    }

    /// Returns what it gives, to whom, and for how long.
    #[must_use]
    pub const fn terms(&self) -> &GrantTerms {
        &self.terms
    }

    /// Takes the claims of a token whose signature was verified by its issuer's document, if they are
    /// those of a grant.
    fn read(token: VerifiedJwt, document: &DidDocument) -> Option<Self> {
        let claims: Claims = serde_json::from_value(Value::Object(token.claims)).ok()?;
        let terms = GrantTerms {
            grantee: claims.sub,
            scope: claims.scope,
            level: Level::from_number(claims.level)?,
            limits: claims.limits,
            from: claims.nbf,
            until: claims.exp,
            depth: claims.depth,
            name: claims.jti,
        };
        terms.check().ok()?;
        let id = TokenId::from_digest(token.digest);
        let (grantor, grantor_keys) = (claims.iss, pinned_keys(document));
        let (audience, parent) = (claims.aud, claims.parent);
        Some(Self { id, grantor, grantor_keys, audience, parent, terms })
    }
}

impl Granted {
    /// Signs a grant by which the holder of this one hands on a part of it. The key is one of the
    /// holder's `authentication`. The new token is shown behind those of this chain.
    ///
    /// # Errors
    /// When the terms give more than the holder has, or the key is not the holder's.
    pub fn narrow(
        &self,
        terms: &GrantTerms,
        (kid, key): (&DidUrl, &SigningKey),
    ) -> Result<String, NarrowError> {
        let last = self.last();
        if !kid.did().same_subject(&last.terms.grantee) {
            return Err(NarrowError::Holder);
        }
        terms.check()?;
        terms.check_within(&last.terms)?;
        Ok(sign(terms, &self.root.audience, Some(last.id), (kid, key))?)
    }

    /// Returns how far this sender may go at this recipient, with this protocol and at this time;
    /// `None`: it is not a right to that.
    ///
    /// Nothing that was verified is taken for granted here, so it may be asked of a right that was
    /// verified for something else or some time ago. Revocations since then are the caller's.
    #[must_use]
    pub fn gives(
        &self,
        recipient: &Did,
        sender: &Did,
        protocol: &ProtocolId,
        now: UnixTime,
    ) -> Option<Level> {
        let last = &self.last().terms;
        let is_for_both =
            self.root.audience.same_subject(recipient) && last.grantee.same_subject(sender);
        let is_for_this = is_for_both && now < last.until && last.covers(protocol);
        is_for_this.then_some(last.level)
    }

    /// Returns the agent that it gives access to.
    #[must_use]
    pub fn audience(&self) -> Did {
        subject(&self.root.audience)
    }

    /// Returns who has the right.
    #[must_use]
    pub fn holder(&self) -> Did {
        subject(&self.last().terms.grantee)
    }

    /// Returns the protocols that it is for; empty: all.
    #[must_use]
    pub fn scope(&self) -> &[ProtocolId] {
        &self.last().terms.scope
    }

    /// Whether it is for this protocol, by name and major version.
    #[must_use]
    pub fn covers(&self, protocol: &ProtocolId) -> bool {
        self.last().terms.covers(protocol)
    }

    /// Returns how far its holder may go.
    #[must_use]
    pub fn level(&self) -> Level {
        self.last().terms.level
    }

    /// Returns how much its holder may do. What others have handed on has limits of its own, which
    /// all its holders share: see [`links`](Self::links).
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.last().terms.limits
    }

    /// Returns when it ends.
    #[must_use]
    pub fn until(&self) -> UnixTime {
        self.last().terms.until
    }

    /// Returns the tokens of the chain, the first one first.
    ///
    /// Whoever counts what is done counts it under the name of each, against the limits of each: one
    /// that was handed on to many is still one.
    pub fn links(&self) -> impl Iterator<Item = &Grant> {
        std::iter::once(&self.root).chain(&self.rest)
    }

    /// Returns those who handed it on, with the keys that each has now, as
    /// [`Contact::keys`](super::Contact::keys).
    pub fn handed_on_by(&self) -> impl Iterator<Item = (&Did, &[String])> {
        self.rest.iter().map(|link| (&link.grantor, &*link.grantor_keys))
    }

    /// Returns what its use counts against: each token that has limits.
    #[must_use]
    pub fn meters(&self) -> Vec<Meter> {
        let meter =
            |link: &Grant| Meter { id: MeterId::of_grant(link.id), limits: link.terms.limits };
        self.links().map(meter).filter(|meter| !meter.limits.is_unlimited()).collect()
    }

    /// Returns the names of the tokens, by each of which it can be revoked.
    pub fn ids(&self) -> impl Iterator<Item = TokenId> {
        self.links().map(Grant::id)
    }

    /// Returns the name of the first token.
    #[must_use]
    pub const fn root_id(&self) -> TokenId {
        self.root.id
    }

    /// Returns whose hands it went through, from the agent that gives access to the holder.
    #[must_use]
    pub fn path(&self) -> Vec<Did> {
        let grantees = self.links().map(|link| subject(&link.terms.grantee));
        std::iter::once(self.audience()).chain(grantees).collect()
    }

    fn last(&self) -> &Grant {
        self.rest.last().unwrap_or(&self.root)
    }
}

/// Reads limits as an object only: derived readers also take a list of values in order.
fn limits_by_name<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Limits, D::Error> {
    let limits = Map::deserialize(deserializer)?;
    serde_json::from_value(Value::Object(limits)).map_err(serde::de::Error::custom)
}

fn sign(
    terms: &GrantTerms,
    audience: &Did,
    parent: Option<TokenId>,
    (kid, key): (&DidUrl, &SigningKey),
) -> Result<String, TermsError> {
    let claims = Claims {
        iss: kid.did().clone(),
        sub: terms.grantee.clone(),
        aud: audience.clone(),
        scope: terms.scope.clone(),
        level: terms.level.as_number(),
        limits: terms.limits,
        nbf: terms.from,
        exp: terms.until,
        jti: terms.name.clone(),
        depth: terms.depth,
        parent,
    };
    let claims = serde_json::to_value(claims).ok();
    let claims: Map<_, _> =
        claims.and_then(|claims| claims.as_object().cloned()).unwrap_or_default();
    let token = Jwt::sign(GRANT_TYPE, kid, key, &claims).ok();
    token.filter(|token| token.len() <= TOKEN_CHARS_MAX).ok_or(TermsError::TooLarge)
}

#[cfg(test)]
pub(super) mod tests;
