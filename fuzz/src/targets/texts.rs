//! Texts that are read without cryptography: messages, DIDs, documents, keys, names, forwards, invitations.

use comity_didcomm::{
    Did, DidDocument, DidUrl, Message, MessageId, MessageType, ProtocolId, PublicKey, did,
    invitation::{Invitation, Invited},
    limits,
    problem::{ProblemCode, ProblemReport},
    resolve_self_contained,
    routing::Forward,
};
use serde_json::Value;

use super::Verdict;

/// A plaintext message: written again it reads the same, and another reader of JSON reads the same.
pub(super) fn plaintext(data: &[u8]) -> Verdict {
    let Ok(message) = Message::parse(data) else {
        return Verdict::Refused;
    };
    let written = message.to_json();
    assert_eq!(Message::parse(&written).as_ref(), Ok(&message));

    let other: Value = serde_json::from_slice(data).expect("what we read, others read");
    assert_eq!(other["id"], message.id.as_str());
    assert_eq!(other["type"], message.type_.to_string());
    let body = other.get("body").cloned().unwrap_or_else(|| Value::Object(Default::default()));
    assert_eq!(body, Value::Object(message.body.clone()));

    assert!(message.to.len() <= limits::TO_MAX);
    assert!(message.attachments.len() <= limits::ATTACHMENTS_MAX);
    for attachment in &message.attachments {
        let _content = attachment.data.bytes();
    }
    if let Ok(report) = ProblemReport::from_message(&message) {
        let rendered = report.rendered_comment();
        assert!(rendered.len() <= 64 * (data.len() + 64), "a short report renders short");
    }
    Verdict::Accepted
}

/// A DID or DID URL, and what it carries or where it leads.
pub(super) fn did_url(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let url = DidUrl::parse(text);
    if let Ok(url) = &url {
        assert_eq!(url.as_str(), text);
        assert!(text.starts_with(url.did().as_str()));
        assert_eq!(Did::parse(url.did().as_str()).as_ref(), Ok(url.did()));
    }
    let Ok(did) = Did::parse(text) else {
        return url.map_or(Verdict::Refused, |_| Verdict::Accepted);
    };
    assert_eq!(did.as_str(), text);
    assert_eq!(DidUrl::parse(text).map(|url| url.did().clone()), Ok(did.clone()));
    assert!(did.as_str().len() <= limits::DID_BYTES_MAX);
    assert!(did.same_subject(&did));
    if let Ok(Some(document)) = resolve_self_contained(&did) {
        assert!(document.id.same_subject(&did));
        read_again(&document);
    }
    if let Ok(location) = did::web::document_url(&did) {
        let url = location.https_url();
        let rest = url.strip_prefix("https://").expect("no other scheme");
        let (host, path) = rest.split_once('/').expect("a path");
        assert!(!host.is_empty() && !host.contains(['@', '\\', '?', '#', '%']), "{url}");
        assert!(path.ends_with("did.json") && !path.contains(['?', '#', '\\']), "{url}");
        assert!(path.split('/').all(|segment| segment != ".." && segment != "."), "{url}");
    }
    Verdict::Accepted
}

/// A DID document, read as that of whatever DID it names: written again it reads the same.
pub(super) fn did_document(data: &[u8]) -> Verdict {
    let claimed = serde_json::from_slice::<Value>(data).ok();
    let claimed = claimed.as_ref().and_then(|document| Did::parse(document["id"].as_str()?).ok());
    let did = claimed.unwrap_or_else(|| Did::parse("did:web:a.example").expect("a DID"));
    let Ok(document) = DidDocument::parse(data, &did) else {
        return Verdict::Refused;
    };
    assert_eq!(document.id, did);
    assert!(document.verification_method.len() <= limits::VERIFICATION_METHODS_MAX);
    assert!(document.service.len() <= limits::SERVICES_MAX);
    assert!(document.didcomm_endpoints().len() <= limits::ENDPOINTS_MAX);
    for (kid, key) in document.agreement_keys() {
        assert_eq!(document.agreement_key(kid), Some(key));
        assert!(key.is_agreement());
    }
    for (kid, key) in document.signing_keys() {
        assert_eq!(document.authentication_key(kid), Some(key));
    }
    read_again(&document);
    Verdict::Accepted
}

fn read_again(document: &DidDocument) {
    let written = document.to_json().to_string();
    let again =
        DidDocument::parse(written.as_bytes(), &document.id).expect("what we write, we read");
    assert_eq!(with_one_suite(again), with_one_suite(document.clone()));
}

/// Keys are written in one suite, whatever suite they came in.
fn with_one_suite(mut document: DidDocument) -> DidDocument {
    for method in
        document.verification_method.iter_mut().filter(|method| method.public_key.is_some())
    {
        "Multikey".clone_into(&mut method.type_);
    }
    document
}

/// A public key as multibase or as JWK: the same key in either form.
pub(super) fn key(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let jwk = serde_json::from_str(text).ok().and_then(|jwk: Value| jwk.as_object().cloned());
    let key = match jwk {
        Some(jwk) => PublicKey::from_jwk(&jwk),
        None => PublicKey::from_multibase(text),
    };
    let Ok(key) = key else {
        return Verdict::Refused;
    };
    assert_eq!(PublicKey::from_jwk(&key.to_jwk()), Ok(key));
    assert_eq!(PublicKey::from_multibase(&key.to_multibase()), Ok(key));
    let did = did::key::create(&key);
    assert!(did::key::resolve(&did).is_ok());
    assert!(key.verify(b"text", &[0; 64]).is_err(), "nobody signs with zeros");
    Verdict::Accepted
}

/// Ids, type URIs and problem codes, which are compared in more ways than one.
pub(super) fn names(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    let mut verdict = Verdict::Refused;
    if let Ok(type_) = MessageType::parse(text) {
        assert_eq!(type_.to_string(), text);
        assert!(type_.matches(&type_));
        verdict = Verdict::Accepted;
    }
    if let Ok(protocol) = ProtocolId::parse(text) {
        assert!(protocol.matches(&protocol));
        verdict = Verdict::Accepted;
    }
    if let Ok(id) = MessageId::parse(text) {
        assert_eq!(id.as_str(), text);
        assert_eq!(
            MessageId::parse(&id.canonical()).map(|same| same.canonical()),
            Ok(id.canonical())
        );
        verdict = Verdict::Accepted;
    }
    if let Ok(code) = ProblemCode::parse(text) {
        assert_eq!(code.as_str(), text);
        assert!(code.starts_with(text));
        verdict = Verdict::Accepted;
    }
    verdict
}

/// A forward, as a mediator reads it: it hands on what it was given.
pub(super) fn forward(data: &[u8]) -> Verdict {
    let Ok(message) = Message::parse(data) else {
        return Verdict::Refused;
    };
    let Ok(forward) = Forward::from_message(&message) else {
        return Verdict::Refused;
    };
    assert!((1..=limits::FORWARD_PAYLOADS_MAX).contains(&forward.payloads.len()));
    // What is not a JSON object is no envelope: it is read, but not sent on.
    let Ok(again) = forward.clone().into_message(message.id) else {
        return Verdict::Refused;
    };
    let again = Forward::from_message(&again).expect("what we write, we read");
    assert_eq!((&again.next, again.expires_time), (&forward.next, forward.expires_time));
    assert_eq!(again.delay_milli, forward.delay_milli);
    for (again, payload) in again.payloads.iter().zip(&forward.payloads) {
        let [again, payload]: [Value; 2] =
            [again, payload].map(|text| serde_json::from_slice(text).expect("payloads are JSON"));
        assert_eq!(again, payload);
    }
    Verdict::Accepted
}

/// An invitation's link: written again it reads the same.
pub(super) fn invitation(data: &[u8]) -> Verdict {
    let Ok(text) = std::str::from_utf8(data) else {
        return Verdict::Refused;
    };
    match Invited::from_url(text) {
        Ok(Invited::Here(invitation)) => {
            same_link(&invitation);
            Verdict::Accepted
        }
        Ok(Invited::There(id)) => {
            assert!(text.contains("_oobid") || text.chars().any(char::is_whitespace), "{id}");
            Verdict::Accepted
        }
        Ok(_) | Err(_) => Verdict::Refused,
    }
}

fn same_link(invitation: &Invitation) {
    // The body is written as we understood it, so only a link that is near the bound can become too long.
    let Ok(url) = invitation.to_url("https://a.example/") else {
        return;
    };
    let again = Invited::from_url(&url).expect("what we write, we read");
    assert_eq!(again, Invited::Here(Box::new(invitation.clone())));
}
