//! Mediation Proof 1.0 (`docs/protocols/mediation-proof.md`): the statement by which a DID lets
//! somebody register it with a mediator. Coordinate Mediation asks for none, and its own notes name
//! that as its hole.
//!
//! The statement is a signed DIDComm message, so that any DIDComm library can make it and the one
//! verifier of signed messages checks it.

use comity_didcomm::{
    Did, DidDocument, Message, MessageId, SigningKey, UnixTime, sign, verify_jws,
};
use serde_json::Value;
use thiserror::Error;

use super::text;
use crate::limits::{CLOCK_SKEW_S_MAX, MEDIATION_PROOF_AGE_S_MAX, MEDIATION_PROOF_BYTES_MAX};
use crate::record::message_type;

/// The only message of the protocol. It is never sent by itself: it stands in a `recipient-update`.
pub const MEDIATION_PROOF: &str = "https://comity.dev/protocols/mediation-proof/1.0/proof";

/// A statement that was verified: made only by [`verify`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediationProof {
    recipient: Did,
    registrant: Did,
    at: UnixTime,
}

/// Why a statement proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum MediationProofError {
    /// It is not a signed message of the protocol.
    #[error("the proof is not a signed message of its protocol")]
    Malformed,
    /// It names another recipient, registrant or mediator.
    #[error("the proof names another recipient, registrant or mediator")]
    Other,
    /// The signature is not one of the recipient's authentication keys.
    #[error("the proof is not signed by the recipient")]
    Signature,
    /// It is not valid at this time, or for longer than allowed.
    #[error("the proof is not valid at this time")]
    Time,
}

impl MediationProof {
    /// Returns the DID that is to be registered.
    #[must_use]
    pub const fn recipient(&self) -> &Did {
        &self.recipient
    }

    /// Returns who may register it.
    #[must_use]
    pub const fn registrant(&self) -> &Did {
        &self.registrant
    }

    /// Returns when it was made, as its signer says: a later one overrules an earlier one.
    #[must_use]
    pub const fn at(&self) -> UnixTime {
        self.at
    }
}

/// Makes the statement that `registrant` may register `recipient` with `mediator`, for the member
/// `proof` of an update. The key is one of the recipient's `authentication`.
#[must_use]
pub fn make(
    id: MessageId,
    (kid, key): (&comity_didcomm::DidUrl, &SigningKey),
    recipient: &Did,
    registrant: &Did,
    mediator: &Did,
    now: UnixTime,
) -> Value {
    let message = Message::new(id, message_type(MEDIATION_PROOF))
        .with_from(recipient.clone())
        .with_to([mediator.clone()])
        .with_times(Some(now), Some(now.saturating_add(MEDIATION_PROOF_AGE_S_MAX)))
        .with_body_member("registrant", registrant.as_str());
    let jws = sign(&message.to_json(), kid, key);
    serde_json::from_str(&jws).unwrap_or(Value::Null)
}

/// Verifies a statement with the recipient's document.
///
/// # Errors
/// When it does not prove that the document's subject lets `registrant` register it with
/// `mediator`, now.
pub fn verify(
    proof: &Value,
    document: &DidDocument,
    registrant: &Did,
    mediator: &Did,
    now: UnixTime,
) -> Result<MediationProof, MediationProofError> {
    let jws = proof.to_string();
    if !proof.is_object() || MEDIATION_PROOF_BYTES_MAX < jws.len() {
        return Err(MediationProofError::Malformed);
    }
    let verified = verify_jws(jws.as_bytes(), document).map_err(|error| match error {
        comity_didcomm::OpenError::Malformed => MediationProofError::Malformed,
        _ => MediationProofError::Signature,
    })?;
    let message = Message::parse(&verified.payload).map_err(|_| MediationProofError::Malformed)?;
    if !message_type(MEDIATION_PROOF).matches(&message.type_) {
        return Err(MediationProofError::Malformed);
    }
    let named = text(&message.body, "registrant").ok().flatten();
    let named: Did =
        named.and_then(|named| named.parse().ok()).ok_or(MediationProofError::Malformed)?;
    let from_recipient = message.from.as_ref().is_some_and(|from| from.same_subject(&document.id));
    let to_mediator = matches!(message.to.as_slice(), [to] if to.same_subject(mediator));
    if !from_recipient || !to_mediator || !named.same_subject(registrant) {
        return Err(MediationProofError::Other);
    }
    let (Some(made), Some(expires)) = (message.created_time, message.expires_time) else {
        return Err(MediationProofError::Time);
    };
    let not_yet = now.saturating_add(CLOCK_SKEW_S_MAX) < made;
    let too_long = made.saturating_add(MEDIATION_PROOF_AGE_S_MAX) < expires;
    if not_yet || too_long || expires <= now {
        return Err(MediationProofError::Time);
    }
    Ok(MediationProof { recipient: document.id.clone(), registrant: named, at: made })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{NOW, Party};

    struct Case {
        recipient: Party,
        registrant: Did,
        mediator: Did,
    }

    fn case() -> Case {
        Case {
            recipient: Party::new("did:web:b.example:agents:bruno", None),
            registrant: "did:web:b.example".parse().unwrap(),
            mediator: "did:web:relay.example".parse().unwrap(),
        }
    }

    impl Case {
        fn proof(&self) -> Value {
            let (kid, key) = self.recipient.keys().signing;
            let id = MessageId::parse("proof-1").unwrap();
            make(id, (&kid, &key), &self.recipient.did, &self.registrant, &self.mediator, NOW)
        }

        fn verify(&self, proof: &Value) -> Result<MediationProof, MediationProofError> {
            verify(proof, &self.recipient.document, &self.registrant, &self.mediator, NOW)
        }
    }

    #[test]
    fn a_proof_says_who_may_register_whom_and_since_when() {
        let case = case();
        let proof = case.verify(&case.proof()).unwrap();
        assert_eq!(
            (proof.recipient(), proof.registrant()),
            (&case.recipient.did, &case.registrant)
        );
        assert_eq!(proof.at(), NOW);
    }

    #[test]
    fn a_proof_for_another_party_proves_nothing() {
        let case = case();
        let proof = case.proof();
        let other: Did = "did:web:mallory.example".parse().unwrap();
        let document = &case.recipient.document;
        let by_other = verify(&proof, document, &other, &case.mediator, NOW);
        assert_eq!(by_other, Err(MediationProofError::Other));
        let at_other = verify(&proof, document, &case.registrant, &other, NOW);
        assert_eq!(at_other, Err(MediationProofError::Other));
        let impostor = Party::new("did:web:b.example:agents:bruno", None);
        let by_key = verify(&proof, &impostor.document, &case.registrant, &case.mediator, NOW);
        assert_eq!(by_key, Err(MediationProofError::Signature));
        let of_other = Party::new("did:web:mallory.example", None);
        let of_other = verify(&proof, &of_other.document, &case.registrant, &case.mediator, NOW);
        assert_eq!(of_other, Err(MediationProofError::Signature));
    }

    #[test]
    fn a_proof_holds_for_ten_minutes() {
        let case = case();
        let proof = case.proof();
        let at = |seconds: i64| {
            let now = UnixTime(NOW.0.saturating_add_signed(seconds));
            let (document, registrant) = (&case.recipient.document, &case.registrant);
            verify(&proof, document, registrant, &case.mediator, now).map(|proof| proof.at())
        };
        assert_eq!((at(-300), at(599)), (Ok(NOW), Ok(NOW)));
        assert_eq!(at(-301), Err(MediationProofError::Time));
        assert_eq!(at(600), Err(MediationProofError::Time));
    }

    #[test]
    fn another_signed_message_of_the_recipient_is_no_proof() {
        let case = case();
        let (kid, key) = case.recipient.keys().signing;
        let basic = "https://didcomm.org/basicmessage/2.0/message";
        let message = Message::new("m-1".parse().unwrap(), message_type(basic))
            .with_from(case.recipient.did.clone())
            .with_to([case.mediator.clone()])
            .with_times(Some(NOW), Some(NOW.saturating_add(60)))
            .with_body_member("registrant", case.registrant.as_str());
        let jws = serde_json::from_str(&sign(&message.to_json(), &kid, &key)).unwrap();
        assert_eq!(case.verify(&jws), Err(MediationProofError::Malformed));
        for bad in [Value::Null, Value::from("x"), serde_json::json!({})] {
            assert_eq!(case.verify(&bad), Err(MediationProofError::Malformed), "{bad}");
        }
    }
}
