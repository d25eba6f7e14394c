//! Headers as the specification prescribes them, and what is refused.

use serde_json::json;

use super::*;

fn parse(message: &Value) -> Result<Message, MessageError> {
    Message::parse(message.to_string().as_bytes())
}

fn full() -> Value {
    json!({
        "id": "m-1",
        "typ": "application/didcomm-plain+json",
        "type": "https://didcomm.org/basicmessage/2.0/message",
        "to": ["did:web:b.example"],
        "from": "did:web:a.example",
        "thid": "t-1",
        "pthid": "p-1",
        "created_time": 1_516_269_022,
        "expires_time": 1_516_385_931,
        "body": { "content": "x", "n": [1, { "deep": null }] },
        "attachments": [{ "id": "a-1", "media_type": "text/plain", "lastmod_time": 5, "byte_count": 1,
            "data": { "base64": "eA" } }],
        "from_prior": "a.b.c",
        "please_ack": [""],
        "ack": ["m-0"],
        "lang": "en",
        "accept-lang": ["de", "en"],
        "l10n": { "inline": [] },
        "return_route": "thread",
        "return_route_thread": "t-1",
        "trace": "https://trace.example",
        "sender_order": 3,
        "sent_count": 1,
        "received_orders": [{ "id": "did:web:b.example", "last": 2, "gaps": [1] }],
        "x-unknown": { "kept": true },
    })
}

#[test]
fn every_header_survives() {
    let message = parse(&full()).unwrap();
    assert_eq!(message.extra.len(), 1);
    assert_eq!(message.return_route, Some(ReturnRoute::Thread));
    assert_eq!(message.received_orders[0].gaps, [1]);
    assert_eq!(message.attachments[0].data.bytes().unwrap(), b"x");
    let written: Value = serde_json::from_slice(&message.to_json()).unwrap();
    assert_eq!(written, full());
}

#[test]
fn a_minimal_message_gets_typ_and_body() {
    let message = parse(&json!({ "id": "1", "type": "https://a.example/p/1.0/m" })).unwrap();
    assert_eq!(message.thread_id(), "1");
    let written: Value = serde_json::from_slice(&message.to_json()).unwrap();
    assert_eq!(written["typ"], "application/didcomm-plain+json");
    assert_eq!(written["body"], json!({}));
}

#[test]
fn headers_that_decide_must_be_well_formed() {
    for (name, value) in [
        ("id", json!(1)),
        ("id", json!("")),
        ("id", json!("a b")),
        ("type", json!("hello")),
        ("typ", json!("application/didcomm-signed+json")),
        ("to", json!("did:web:b.example")),
        ("to", json!(["did:web:b.example#key"])),
        ("to", json!(["not a did"])),
        ("to", json!(vec!["did:web:b.example"; 65])),
        ("from", json!("did:web:a.example#key")),
        ("from", json!("did:web:a.example?x=y#key")),
        ("from", json!("did:web:a.example?x=\"y")),
        ("to", json!([format!("did:web:b.example/{}", "x".repeat(512))])),
        ("from", json!(["did:web:a.example"])),
        ("from", json!(null)),
        ("thid", json!("")),
        ("thid", json!("a/b")),
        ("pthid", json!(7)),
        ("created_time", json!("1516269022")),
        ("created_time", json!(1_516_269_022.5)),
        ("expires_time", json!(-1)),
        ("expires_time", json!(1e30)),
        ("body", json!("text")),
        ("body", json!(null)),
        ("attachments", json!({})),
        ("attachments", json!([{ "id": "a" }])),
        ("attachments", json!([{ "id": "a", "data": {} }])),
        ("attachments", json!([{ "id": "a/b", "data": { "json": 1 } }])),
        ("attachments", json!([{ "id": "a", "data": { "links": ["https://x"] } }])),
        ("from_prior", json!({})),
        ("please_ack", json!("m")),
        ("ack", json!([1])),
        ("ack", json!(["a b"])),
    ] {
        let mut message = full();
        message[name] = value.clone();
        assert_eq!(parse(&message), Err(MessageError::Header(name)), "{name}: {value}");
    }
    for name in ["id", "type"] {
        let mut message = full();
        message.as_object_mut().unwrap().remove(name);
        assert_eq!(parse(&message), Err(MessageError::Missing(name)));
    }
}

#[test]
fn of_a_did_url_without_fragment_the_did_is_taken() {
    let mut message = full();
    message["from"] = json!("did:web:a.example?service=files");
    message["to"] = json!(["did:web:b.example/inbox", "did:web:b.example"]);
    let read = parse(&message).unwrap();
    assert_eq!(read.from, Some(Did::parse("did:web:a.example").unwrap()));
    assert_eq!(read.to, [Did::parse("did:web:b.example").unwrap(), read.to[0].clone()]);
    let written: Value = serde_json::from_slice(&read.to_json()).unwrap();
    assert_eq!(written["from"], "did:web:a.example");
    assert_eq!(written["to"], json!(["did:web:b.example", "did:web:b.example"]));
}

#[test]
fn advisory_headers_never_fail_a_message() {
    for (name, value) in [
        ("lang", json!(5)),
        ("accept-lang", json!("de")),
        ("return_route", json!("sideways")),
        ("trace", json!({ "target": "https://x" })),
        ("sender_order", json!("3")),
        ("received_orders", json!([{}])),
    ] {
        let mut expected = full();
        expected[name] = value.clone();
        let message = parse(&expected).unwrap();
        assert_eq!(message.extra.get(name), Some(&value), "kept, not understood");
        let written: Value = serde_json::from_slice(&message.to_json()).unwrap();
        assert_eq!(written, expected);
    }
}

#[test]
fn a_typed_header_wins_over_one_in_extra() {
    let mut message = parse(&full()).unwrap();
    message.extra.insert("id".to_owned(), json!("forged"));
    message.extra.insert("lang".to_owned(), json!("fr"));
    let written = Message::parse(&message.to_json()).unwrap();
    assert_eq!((written.id.as_str(), written.lang.as_deref()), ("m-1", Some("en")));
}

#[test]
fn typ_is_taken_with_and_without_its_prefix() {
    for typ in ["didcomm-plain+json", "application/DIDComm-plain+json"] {
        let mut message = full();
        message["typ"] = json!(typ);
        assert!(parse(&message).is_ok(), "{typ}");
    }
}

#[test]
fn attachments_decode_whatever_the_padding() {
    let data = |text: &str| AttachmentData { base64: Some(text.to_owned()), ..Default::default() };
    assert_eq!(data("eHk").bytes().unwrap(), b"xy");
    assert_eq!(data("eHk=").bytes().unwrap(), b"xy");
    assert_eq!(data("e!").bytes(), None);
    let made = Attachment::from_bytes(Some("a".to_owned()), None, &[0xff, 0xfe]);
    assert_eq!(made.data.bytes().unwrap(), [0xff, 0xfe]);
    let json = Attachment::from_json(None, None, json!({ "a": 1 }));
    let message = parse(&full()).unwrap().with_attachment(json);
    assert_eq!(Message::parse(&message.to_json()).unwrap(), message);
}

/// Found by fuzzing: the last digits of a long decimal were read wrongly, and what was read changed when it was written
/// and read again.
#[test]
fn a_long_decimal_is_read_as_the_nearest_number() {
    let text = r#"{"id":"1","type":"https://a.example/b/1.0/c","body":{"n":1.33333333333333333333333333333335}}"#;
    let message = Message::parse(text.as_bytes()).unwrap();
    assert_eq!(message.body["n"].as_f64(), Some(4.0 / 3.0));
    assert_eq!(Message::parse(&message.to_json()), Ok(message));
}
