//! DIDs, DIDComm v2.1 messages and their envelopes, without I/O: what is needed to send a message
//! that provably comes from a DID, and to open one without being deceived.
//!
//! Everything is a pure function or a machine that is fed. Time and randomness are arguments. Keys
//! and documents are asked for ([`Output::Keys`], [`Output::Resolve`]) and given ([`Input`]), so
//! the same code runs under any runtime, in a simulator, or over a recorded exchange.
//!
//! # Goals
//! * One [`open`] (or its machine, [`Opening`]) that makes all receiver checks of the specification
//!   and cannot be asked to skip one. A [`Sender`] is a type that only a verified key can build;
//!   the `from` header alone is never one.
//! * A closed table of algorithms and nestings. What has no row does not parse.
//! * [`seal`] refuses what [`open`] would refuse.
//! * Evidence: the exact signed text comes out of [`Opened::signed`], and [`verify_jws`] needs only
//!   a document.
//! * Bounded work for any input: sizes, depths and counts are in [`limits`], and are checked before
//!   cryptography.
//!
//! * Every part of the specification that can be a function of its inputs is here, so that two
//!   programs on this crate differ in what they carry and keep, and not in what they understand.
//!
//! # Non-goals
//! * Fetching documents and linked attachments, delivering messages, storing keys, remembering ids
//!   (check 14 below), deciding who may write.
//! * DIDComm v1, compression, header extensions, keys from headers.
//!
//! # What is where
//!
//! | to | use |
//! |---|---|
//! | write, read and answer messages | [`Message`], [`Attachment`], [`MessageType`], [`ProtocolId`], [`acks_owed`], [`choose_language`] |
//! | know a party | [`Did`], [`DidDocument`], [`resolve_self_contained`], [`did`] |
//! | make and keep keys | [`SigningKey`], [`AgreementKey`], [`PublicKey`], [`Curve`] |
//! | send | [`seal`]; [`routing::Route`] and [`routing::wrap`] for a recipient behind mediators |
//! | receive | [`open`] or [`Opening`], [`OpenPolicy`]; [`routing::open_forwarded`] behind a mediator that wraps again |
//! | be a mediator | [`routing::Forward`] |
//! | prove to others who said what | [`Opened::signed`], [`verify_jws`], [`Attachment::verify_jws`] |
//! | sign and verify tokens, such as credentials | [`Jwt`], [`CompactJws`], [`Relationship`] |
//! | change or end an identity | [`from_prior`](from_prior()), [`Opened::rotation`], [`verify_from_prior`] |
//! | be written to first | [`invitation::Invitation`] |
//! | report and read problems | [`problem::ProblemReport`], [`problem::ProblemCode`], [`problem::ErrorCount`] |
//! | look for the fault in an envelope | [`inspect::inspect`] |
//!
//! The folder `examples` has whole programs: two parties that write to each other, an anonymous
//! message through a mediator, evidence verified offline, and a party that moves to a new DID.
//!
//! # Minimum program
//! ```
//! use std::sync::Arc;
//! use comity_didcomm::{
//!     AgreementKey, ContentEncryption, Curve, Endpoint, Message, MessageId, MessageType, OpenPolicy, Protection, SigningKey,
//!     UnixTime, did, open, resolve_self_contained, seal,
//! };
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let mut rng: rand::rngs::StdRng = rand::make_rng();
//! // Each party has keys and a DID that carries its document.
//! let party = |signing: &SigningKey, agreement: &AgreementKey| {
//!     let keys = [signing.public(), agreement.public()];
//!     did::peer::create_4(&keys, &[Endpoint::new("https://example.org/didcomm")]).map(|peer| peer.long)
//! };
//! let (aria_sign, aria_agree) = (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
//! let (bruno_sign, bruno_agree) = (SigningKey::generate(&mut rng), AgreementKey::generate(&mut rng));
//! let (aria, bruno) = (party(&aria_sign, &aria_agree)?, party(&bruno_sign, &bruno_agree)?);
//!
//! // Aria writes to Bruno.
//! let now = UnixTime(1_800_000_000);
//! let message = Message::new("m-1".parse()?, "https://didcomm.org/basicmessage/2.0/message".parse()?)
//!     .with_from(aria.clone())
//!     .with_to([bruno.clone()])
//!     .with_times(Some(now), Some(now.saturating_add(3600)))
//!     .with_body_member("content", "hello");
//! let document = resolve_self_contained(&bruno)?.ok_or("carries its document")?;
//! let recipients = document.choose_recipients(&Curve::AGREEMENT);
//! let kid = aria.url("key-1");
//! let protection = Protection::Accountable { kid: &kid, key: &aria_sign, enc: ContentEncryption::default() };
//! let sealed = seal(&message, protection, &recipients, &mut rng)?;
//!
//! // Bruno opens it.
//! let opened = open(
//!     sealed.envelope.as_bytes(),
//!     &OpenPolicy::default(),
//!     now,
//!     &|kid| (*kid == bruno.url("key-2")).then(|| bruno_agree.clone()),
//!     &|did| resolve_self_contained(did).ok().flatten().map(Arc::new),
//! )?;
//! assert_eq!(opened.sender().ok_or("it is signed")?.did(), &aria);
//! assert_eq!(opened.message.body["content"], "hello");
//! # Ok(()) }
//! ```
//!
//! # The checks, and what each stops
//!
//! | | check | attack |
//! |---|---|---|
//! | 1 | under authcrypt, `from` is there and is the DID of the sealing key | sealing with one's own key as another |
//! | 2 | `skid` and `apu` name the same key | two readers see two senders |
//! | 3 | the key that decrypted belongs to a DID in `to` | passing on a message that was meant for others |
//! | 4 | the signing key is in `from`'s `authentication`; both headers name it | signing with one's own or a lesser key |
//! | 5 | the sealing key is in `keyAgreement` of the sender, and held by it | lending somebody else's key |
//! | 6 | `apv` is the digest of the recipients' key ids | adding or removing recipients |
//! | 7 | the layers are in the specification's table; authcrypt(sign) has one author | nested spoofing, nesting |
//! | 8 | a signature inside encryption comes with `to` | surreptitious forwarding |
//! | 9 | every point is on the one curve of the envelope and not of small order; no all-zero secret | a secret, or a signature, that everybody knows; learning a private key from what fails |
//! | 10 | ECDH-1PU only with A256CBC-HS512 | forgery among recipients |
//! | 11 | no `crit`, `zip`, `b64`, `jwk`, `jku`, `x5*`, `p2*` | bombs, keys of the sender's choosing, forced costs |
//! | 12 | the algorithm fits the key and is never `none` | algorithm confusion |
//! | 13 | `from_prior` is signed by the prior DID, names `from` and came encrypted | taking over another's relation |
//! | 14 | an id is taken once per sender | replay: the caller's part, it needs memory |
//! | | strict JSON: no name twice, bounded depth, count and size | two readers of one text; exhaustion |
//! | | recipients are counted, and ours found, before any key agreement | exhaustion by computation |
//! | | a DID that only a signature's header names is not resolved | making us fetch what the sender chooses |
//! | | one answer for every failure to decrypt or verify | oracles |
//! | | `expires_time` has not passed, `created_time` is not far ahead | stale or pre-made messages |
//! | | a forward to ourselves is unwrapped only if its payload is encrypted to a key of ours that `next` names, [a few times](limits::REWRAPPINGS_MAX) | being made a mediator; endless wrappings |
//! | | a mediator's address is no DID again, and the mediators of a route are [few](limits::ROUTE_HOPS_MAX) | being led from document to document |
//!
//! # What it costs
//!
//! Best CPU time in microseconds of `cargo bench -p comity-didcomm` (x86-64, 1 KiB body, one
//! recipient key, authcrypt); the sum of the bare primitives on X25519 is 56 to open and 63 to
//! pack. Agreements are nearly all of it, so a sender takes the cheapest curve that both sides have
//! ([`DidDocument::choose_recipients`]), and regular peers profit from an [`AgreementCache`].
//!
//! | | X25519 | X25519, cached | P-256 | P-384 | P-521 |
//! |---|---|---|---|---|---|
//! | open | 62 | 37 | 103 | 293 | 479 |
//! | pack | 69 | 44 | 120 | 387 | 631 |
//!
//! | | `EdDSA` | `ES256` | `ES256K` |
//! |---|---|---|---|
//! | sign 2 KiB | 15 | 16 | 228 |
//! | verify | 39 | 52 | 221 |

#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "tests"
    )
)]

/// Gives a type with `Display` and `FromStr` the serde form of its text.
macro_rules! serde_as_string {
    ($type:ty) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text =
                    <std::borrow::Cow<'de, str> as serde::Deserialize>::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

pub mod did;
mod document;
mod encoding;
mod envelope;
pub mod inspect;
pub mod invitation;
mod json;
mod jwt;
mod key;
pub mod limits;
mod message;
mod open;
pub mod problem;
pub mod routing;
mod seal;
#[cfg(test)]
mod tests;
mod time;

pub use did::{Did, DidError, DidUrl, resolve_self_contained};
pub use document::{
    DidDocument, DocumentError, Endpoint, Relationship, Service, VerificationMethod,
};
pub use envelope::compact::{CompactJws, TokenError};
pub use envelope::jws::{VerifiedJws, sign, verify_jws};
pub use envelope::{ContentEncryption, ENCRYPTED_TYPE, Layer, SIGNED_TYPE};
pub use json::JsonError;
pub use jwt::{Jwt, VerifiedJwt};
pub use key::{
    AgreementCache, AgreementKey, Curve, KeyError, Point, PublicKey, SignatureError, SigningKey,
};
pub use message::{
    AckHistory, Attachment, AttachmentData, AttachmentError, EMPTY, IdError, Message, MessageError,
    MessageId, MessageType, ProtocolId, ReceivedOrder, ReturnRoute, TypeError, acks_owed,
    choose_language, is_language_tag, is_pure_ack, pure_ack,
};
pub use open::{
    Choice, Input, OpenError, OpenPolicy, Opened, Opening, Outline, Output, Rotation, Sender,
    SenderProof, from_prior, open, verify_from_prior,
};
pub use rand_core::CryptoRng;
pub use seal::{Protection, SealError, Sealed, anoncrypt, authcrypt, seal};
pub use time::UnixTime;
