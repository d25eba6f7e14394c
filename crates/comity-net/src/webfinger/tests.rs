//! Handles as texts, and answers of hosts that are wrong in every way.

use std::sync::{Arc, Mutex};

use super::*;
use crate::testing::{FakeNet, answer, status};

const DID: &str = "did:web:org-b.example:agents:bruno";

fn handle() -> Handle {
    Handle::parse("bruno@localhost:7700").unwrap()
}

fn find(jrd: &Value) -> Result<Did, ResolveHandleError> {
    did_in(jrd.to_string().as_bytes(), &handle())
}

#[test]
fn handles_are_parsed_into_lower_case_and_written_back() {
    for (text, expected) in [
        ("bruno@org-b.example", "bruno@org-b.example"),
        ("Bruno@ORG-B.Example:8443", "bruno@org-b.example:8443"),
        ("a.b_c-d9@localhost:7700", "a.b_c-d9@localhost:7700"),
        ("a@127.0.0.1:1", "a@127.0.0.1:1"),
        ("_x@a1.b2c", "_x@a1.b2c"),
    ] {
        let handle = Handle::parse(text).unwrap();
        assert_eq!(handle.to_string(), expected);
        assert_eq!(Handle::parse_resource(&handle.resource()), Ok(handle));
    }
}

#[test]
fn what_is_not_a_handle_is_refused() {
    use ParseHandleError::{Host, Name, Port, Shape};
    let long_name = format!("{}@a.example", "a".repeat(HANDLE_NAME_BYTES_MAX + 1));
    let long_label = format!("a@{}.example", "b".repeat(64));
    let long_host = format!("a@{}example", "b.".repeat(130));
    for (text, expected) in [
        ("", Shape),
        ("bruno", Shape),
        ("a@b@c.example", Shape),
        ("did:web:org-b.example", Shape),
        ("@a.example", Name),
        ("a b@a.example", Name),
        (" a@a.example", Name),
        ("a%40@a.example", Name),
        ("a/b@a.example", Name),
        ("a?b@a.example", Name),
        ("a&b@a.example", Name),
        ("acct:a@a.example", Name),
        ("..@a.example", Name),
        (".a@a.example", Name),
        ("a.@a.example", Name),
        ("a..b@a.example", Name),
        ("-a@a.example", Name),
        ("br\u{fc}no@a.example", Name),
        ("a\n@a.example", Name),
        (&long_name, Name),
        ("a@", Host),
        ("a@.", Host),
        ("a@a..example", Host),
        ("a@a.example.", Host),
        ("a@-a.example", Host),
        ("a@a-.example", Host),
        ("a@a_b.example", Host),
        ("a@a.example/x", Host),
        ("a@a.example#x", Host),
        ("a@a.example?x", Host),
        ("a@a%2eexample", Host),
        ("a@b\u{fc}.example", Host),
        ("a@127.1", Host),
        ("a@2130706433", Host),
        ("a@0x7f000001", Host),
        ("a@a.0x7f", Host),
        ("a@256.1.1.1", Host),
        (&long_label, Host),
        (&long_host, Host),
        ("a@[::1]", Port),
        ("a@a.example:", Port),
        ("a@a.example:0", Port),
        ("a@a.example:080", Port),
        ("a@a.example:+80", Port),
        ("a@a.example:65536", Port),
        ("a@a.example:80:80", Port),
        ("a@a.example:80/", Port),
    ] {
        assert_eq!(Handle::parse(text), Err(expected), "{text}");
    }
    assert_eq!(Handle::parse_resource("https://a.example/"), Err(Shape));
    assert_eq!(Handle::parse_resource("a@a.example"), Err(Shape));
}

#[tokio::test]
async fn a_handle_resolves_to_the_did_its_host_serves() {
    let asked = Arc::new(Mutex::new(String::new()));
    let asked_at_host = Arc::clone(&asked);
    let net = FakeNet::new(move |request| {
        *asked_at_host.lock().unwrap() = request.uri().to_string();
        let did = Did::parse(DID).unwrap();
        async move { answer(200, JRD_MEDIA_TYPE, jrd(&handle(), &did).to_string()) }
    });
    let did = resolve_handle(&net.fetcher(), &handle()).await.unwrap();
    assert_eq!(did.as_str(), DID);
    let query = "/.well-known/webfinger?resource=acct%3Abruno%40localhost%3A7700";
    assert_eq!(*asked.lock().unwrap(), query);
}

#[tokio::test]
async fn a_host_that_does_not_know_the_name_is_an_error() {
    let net = FakeNet::new(|_request| async { status(404) });
    let outcome = resolve_handle(&net.fetcher(), &handle()).await;
    assert_eq!(outcome, Err(FetchError::NotFound.into()));
}

#[test]
fn the_link_goes_before_the_aliases() {
    let answer = json!({
        "subject": "acct:Bruno@localhost:7700",
        "aliases": ["https://org-b.example/bruno", "did:web:alias.example"],
        "links": [
            { "rel": "self", "href": "did:web:self.example" },
            { "rel": REL_DID },
            { "rel": REL_DID, "href": "https://org-b.example/" },
            { "rel": REL_DID, "href": DID, "type": "application/did+json" },
            { "rel": REL_DID, "href": "did:web:later.example" },
        ],
    });
    assert_eq!(find(&answer).unwrap().as_str(), DID);
    let aliases = json!({ "aliases": ["https://org-b.example/bruno", "did:web:alias.example"] });
    assert_eq!(find(&aliases).unwrap().as_str(), "did:web:alias.example");
}

#[test]
fn an_answer_about_somebody_else_is_refused() {
    for subject in ["acct:eve@localhost:7700", "acct:bruno@localhost", "https://a.example", ""] {
        let answer = json!({ "subject": subject, "aliases": [DID] });
        assert_eq!(find(&answer), Err(ResolveHandleError::OtherSubject), "{subject}");
    }
}

#[test]
fn an_answer_without_a_did_or_shape_is_refused() {
    for answer in [
        json!({}),
        json!({ "aliases": [], "links": [] }),
        json!({ "aliases": ["did:", "https://a.example"] }),
        json!({ "links": [{ "rel": "self", "href": DID }] }),
    ] {
        assert_eq!(find(&answer), Err(ResolveHandleError::NoDid), "{answer}");
    }
    for answer in
        ["", "[]x", "7", "null", r#"{"aliases":"did:web:a.example"}"#, r#"{"links":[{}]}"#]
    {
        let outcome = did_in(answer.as_bytes(), &handle());
        assert_eq!(outcome, Err(ResolveHandleError::Malformed), "{answer}");
    }
}
