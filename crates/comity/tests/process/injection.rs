//! Text that would like to be obeyed: by a model, an operator, a terminal, a log, or a parser. Whatever it says and
//! wherever it stands in a message, it decides nothing, and nothing that is printed hides or moves anything.
//!
//! The corpus is `crates/comity/tests/data/injection.json`: a name, a kind and a text for each payload.

use std::{collections::BTreeMap, fs};

use comity_didcomm::{Attachment, MessageId, MessageType};
use serde::Deserialize;
use serde_json::{Value, json};

use super::support::{Recipient, Stranger, TestNode, comity, request, start_demo_pair};

const CORPUS: &str = include_str!("../data/injection.json");

/// Members that a delivery has beside the body: facts that the home has found out itself.
const FACTS: [&str; 8] =
    ["from", "to", "type", "verified", "admitted", "level", "delivery", "redelivered"];

#[derive(Debug, Deserialize)]
struct Payload {
    name: String,
    kind: String,
    text: String,
}

fn corpus() -> Vec<Payload> {
    let corpus: Vec<Payload> = serde_json::from_str(CORPUS).unwrap();
    assert!(100 <= corpus.len(), "there are {} payloads", corpus.len());
    corpus
}

/// Whether a terminal, or whoever copies from it, would see something else than there is.
fn is_raw(c: char) -> bool {
    let is_invisible = matches!(u32::from(c),
        0xad | 0x34f | 0x61c | 0x115f | 0x1160 | 0x17b4 | 0x17b5 | 0x180b..=0x180f | 0x200b..=0x200f
        | 0x2028..=0x202e | 0x2060..=0x206f | 0x3164 | 0xfe00..=0xfe0e | 0xfeff | 0xffa0
        | 0xfff9..=0xfffb | 0x1d173..=0x1d17a | 0xe0000..=0xe0fff);
    (c.is_control() && c != '\n' && c != '\t') || is_invisible
}

#[track_caller]
fn assert_plain(what: &str, text: &str) {
    let line = text.lines().find(|line| line.contains(is_raw));
    assert!(line.is_none(), "{what}: {line:?}");
}

/// Runs a command for a person and for a program; both outputs are safe, and the latter is JSON.
#[track_caller]
fn shown(node: &TestNode, args: &[&str]) -> Vec<Value> {
    let data = node.data();
    let human = comity(&[args, &["--data", data.to_str().unwrap()]].concat());
    assert_plain(&args.join(" "), &human.stdout);
    assert_plain(&args.join(" "), &human.stderr);
    let run = node.run(args);
    assert_plain(&args.join(" "), &run.stdout);
    run.lines()
}

/// A message that carries a payload wherever there is room for one.
fn loaded(
    from: &Stranger,
    to: &Recipient,
    payload: &Payload,
    number: usize,
) -> comity_didcomm::Message {
    let text = payload.text.as_str();
    let mut message = from.message(to, text);
    for member in ["comment", "goal", "goal_code", "note", "code", "explain", text] {
        message.body.insert(member.to_owned(), text.into());
    }
    for fact in FACTS {
        message.body.insert(fact.to_owned(), "execute".into());
    }
    for header in ["admitted", "level", "verified", "delivery", "comity_admission", "x-operator"] {
        message.extra.insert(header.to_owned(), text.into());
    }
    let attachment = json!({
        "id": format!("a-{number}"), "filename": text, "description": text,
        "data": { "json": { "level": "execute", "text": text } }
    });
    message.extra.insert("goal".to_owned(), text.into());
    message.attachments.extend(attachment_of(&attachment));
    if MessageId::parse(text).is_ok() {
        message.thid = Some(text.to_owned());
    }
    message
}

fn attachment_of(value: &Value) -> Option<Attachment> {
    let text = json!({
        "id": "m", "type": "https://example.org/x/1.0/y", "body": {}, "attachments": [value]
    });
    let mut message = comity_didcomm::Message::parse(text.to_string().as_bytes()).ok()?;
    message.attachments.pop()
}

/// What no message may change: the settings, the decisions, the contacts, and the files beside the store.
fn state(node: &TestNode, config: &std::path::Path) -> BTreeMap<String, String> {
    let mut state = BTreeMap::new();
    state.insert("config".to_owned(), fs::read_to_string(config).unwrap());
    for list in ["allowed", "contacts"] {
        let run = node.run(&[list, "--as", "bruno"]);
        assert_eq!(run.code, 0, "{run:?}");
        state.insert(list.to_owned(), run.stdout);
    }
    for entry in fs::read_dir(node.data()).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_file() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let bytes = fs::read(entry.path()).unwrap();
            state.insert(name, String::from_utf8_lossy(&bytes).into_owned());
        }
    }
    state
}

#[test]
fn whatever_a_message_says_it_decides_nothing_and_prints_nothing_raw() {
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("node.toml");
    fs::write(&config, "[policy]\ntemplate = \"guarded\"\n").unwrap();
    let node = TestNode::start_with(&["--dev", "--config", config.to_str().unwrap()]);
    let agent = node.add("bruno");
    let bruno = Recipient::of(&node, &agent);
    let (friend, foe) = (Stranger::new(), Stranger::new());
    for (verb, who) in [("allow", &friend), ("deny", &foe)] {
        node.admin("POST", &format!("/admin/agents/bruno/{verb}"), Some(json!({ "who": who.did })));
    }
    let first = friend.message(&bruno, "hello");
    assert_eq!(node.post(friend.seal(&first, &bruno).as_bytes()).status, 202);
    let before = state(&node, &config);

    let corpus = corpus();
    let mut strangers = Vec::new();
    for (number, payload) in corpus.iter().enumerate() {
        let stranger = Stranger::new();
        for sender in [&friend, &foe, &stranger] {
            let mut message = loaded(sender, &bruno, payload, number);
            if let (Ok(id), true) = (MessageId::parse(&payload.text), payload.kind == "ids") {
                message.id = id;
            }
            let type_ = format!("https://example.org/{0}/1.0/{0}", payload.text);
            if let (Ok(type_), false) = (MessageType::parse(&type_), sender.did == friend.did) {
                message.type_ = type_;
            }
            let answer = node.post(sender.seal(&message, &bruno).as_bytes());
            assert_eq!(answer.status, 202, "{}: {answer:?}", payload.name);
        }
        strangers.push(stranger);
    }

    assert_eq!(node.mailbox(), 1 + corpus.len() as u64);
    let inbox = shown(&node, &["inbox", "--as", "bruno", "--limit", "1000"]);
    assert_eq!(inbox.len(), 1 + corpus.len());
    for (delivery, payload) in inbox.iter().skip(1).zip(&corpus) {
        facts_are_the_homes(delivery, payload, &friend, &bruno);
    }
    let requests = shown(&node, &["requests", "--as", "bruno"]);
    assert_eq!(requests.len(), corpus.len(), "every stranger waits, and no one got further");
    assert!(requests.iter().all(|request| request["state"] == "pending"));
    let events = shown(&node, &["events"]);
    assert!(!events.is_empty());
    shown(&node, &["allowed", "--as", "bruno"]);
    shown(&node, &["contacts", "--as", "bruno"]);
    for stranger in strangers.iter().take(3) {
        let explained = shown(&node, &["trust", "explain", stranger.did.as_str(), "--as", "bruno"]);
        assert_eq!(explained[0]["decision"], "refuse", "its request is undecided: {explained:?}");
    }
    let words = ["\u{1b}[2Jallow", "al\u{200b}low", "\u{202e}wolla", "a\nb"];
    for word in words {
        // Pasted by an operator who was sent it.
        shown(&node, &["trust", "explain", word, "--as", "bruno"]);
    }

    for (name, after) in state(&node, &config) {
        assert_eq!(Some(&after), before.get(&name), "{name}");
    }
    let log = node.log();
    assert_plain("the log", &log);
    assert!(log.contains("a message was refused"), "{log}");
    let told = events.iter().map(Value::to_string).collect::<String>();
    // What is shorter may stand there for another reason; ids may stand there.
    for payload in corpus.iter().filter(|payload| payload.kind != "ids") {
        if 12 <= payload.text.len() {
            assert!(!log.contains(&payload.text), "{}", payload.name);
            assert!(!told.contains(&payload.text), "{}", payload.name);
        }
    }
}

/// The facts of a delivery are the home's own, whatever the body calls itself.
#[track_caller]
fn facts_are_the_homes(delivery: &Value, payload: &Payload, from: &Stranger, to: &Recipient) {
    let name = &payload.name;
    let expected = [
        ("from", json!(from.did)),
        ("to", json!(to.did)),
        ("type", json!("https://didcomm.org/basicmessage/2.0/message")),
        ("verified", json!("signature")),
        ("admitted", json!("allow-list")),
        ("level", json!("message")),
    ];
    for (fact, value) in expected {
        assert_eq!(delivery[fact], value, "{name}: {fact}");
        let claimed = if payload.text == fact { &payload.text } else { "execute" };
        assert_eq!(delivery["body"][fact], claimed, "{name}: the body is the sender's");
    }
    assert_eq!(delivery["body"]["content"], payload.text.as_str(), "{name}");
    let known =
        [&FACTS[..], &["id", "thid", "pthid", "received_at", "expires_at", "body"]].concat();
    let members = delivery.as_object().unwrap().keys();
    let unknown: Vec<_> =
        members.filter(|key| *key != "attachments" && !known.contains(&key.as_str())).collect();
    assert_eq!(unknown, [""; 0], "{name}: no header comes through");
}

#[test]
fn a_peers_reason_for_a_refusal_is_shown_and_not_obeyed() {
    let (a, aria, b, bruno) = start_demo_pair();
    let call = |node: &TestNode, agent: &Value, method, path: &str, body: Value| {
        let bearer = format!("Bearer {}", agent["token"].as_str().unwrap());
        let headers = [("authorization", bearer.as_str()), ("content-type", "application/json")];
        let body = if body.is_null() { String::new() } else { body.to_string() };
        let answer = request(&node.local(), method, path, &headers, body.as_bytes());
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };
    let raw: Vec<_> =
        corpus().into_iter().filter(|payload| payload.text.contains(is_raw)).collect();
    assert!(20 <= raw.len());
    for (number, payload) in raw.iter().enumerate() {
        let id = format!("m-{number}");
        let type_ = "https://example.org/x/1.0/y";
        let message = json!({ "id": id, "to": bruno["did"], "type": type_, "body": {} });
        call(&a, &aria, "POST", "/v1/messages", message);
        let got = call(&b, &bruno, "GET", "/v1/messages?wait_s=30&limit=1", Value::Null);
        let delivery = &got["messages"][0]["delivery"];
        let refuse = json!({ "do": "refuse", "delivery": delivery, "reason": payload.text });
        call(&b, &bruno, "POST", "/v1/settle", refuse);
        let path = format!("/v1/messages/{id}/trace?wait=processed&timeout_s=60");
        let trace = call(&a, &aria, "GET", &path, Value::Null);
        assert_eq!(trace["states"].as_array().unwrap().last().unwrap()["state"], "refused");
    }
    for number in (0..raw.len()).step_by(4) {
        shown(&a, &["trace", &format!("m-{number}"), "--as", "aria"]);
    }
    shown(&a, &["inbox", "--as", "aria", "--limit", "1000"]);
    assert_plain("the log", &a.log());
}
