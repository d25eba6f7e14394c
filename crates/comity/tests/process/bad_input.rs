//! Everything that can be wrong with what comes in: each has a status and a code, costs little, and loses nothing else.
//!
//! A full mailbox has a hundred thousand messages; it is tested below, in `comity-core`.

use comity_core::{limits::ENVELOPE_BYTES_MAX, refusal::Refusal};
use comity_didcomm::{ContentEncryption, anoncrypt, authcrypt, sign};
use serde_json::{Value, json};

use super::support::{Answer, Recipient, Stranger, TestNode, request, wait_until};

/// A node with one agent, and a friend whom its operator has allowed.
struct World {
    node: TestNode,
    bruno: Recipient,
    friend: Stranger,
}

impl World {
    fn new(flags: &[&str], method: &str) -> Self {
        let node = TestNode::start_with(flags);
        let agent = node.run(&["agent", "add", "bruno", "--did", method]).ok();
        let friend = Stranger::new();
        let allow = json!({ "who": friend.did });
        node.admin("POST", "/admin/agents/bruno/allow", Some(allow));
        let bruno = Recipient::of(&node, &agent);
        Self { node, bruno, friend }
    }

    fn dev() -> Self {
        Self::new(&["--dev"], "web")
    }

    /// Asserts that a good message still passes, and that it is the only one that did.
    #[track_caller]
    fn good_message_passes(&self, before: u64) {
        let message = self.friend.message(&self.bruno, "good");
        let answer = self.node.post(self.friend.seal(&message, &self.bruno).as_bytes());
        assert_eq!(answer.status, 202, "{answer:?}");
        assert_eq!(self.node.mailbox(), before + 1);
        let inbox = self.node.run(&["inbox", "--as", "bruno"]).lines();
        assert!(inbox.iter().any(|line| line["id"] == message.id.as_str()), "{inbox:?}");
    }
}

#[track_caller]
fn assert_refused(answer: &Answer, refusal: Refusal) {
    let got = (answer.status, answer.code());
    assert_eq!(got, (refusal.status(), refusal.code().to_owned()), "{answer:?}");
    let problem = answer.json();
    for member in ["title", "hint"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "{answer:?}");
    }
}

#[test]
fn what_is_no_envelope_is_refused() {
    let world = World::dev();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let deep_object = format!("{}1{}", r#"{"a":"#.repeat(50_000), "}".repeat(50_000));
    let twice = r#"{"protected":"e30","protected":"e30"}"#;
    let cases: [&[u8]; 8] = [
        b"",
        b"{}",
        b"not json",
        b"{\"protected\":",
        b"\xff\xfe{}",
        twice.as_bytes(),
        deep.as_bytes(),
        deep_object.as_bytes(),
    ];
    for case in cases {
        assert_refused(&world.node.post(case), Refusal::Malformed);
    }
    world.good_message_passes(0);
}

#[test]
fn what_is_too_large_is_refused() {
    let world = World::dev();
    let huge = vec![b' '; ENVELOPE_BYTES_MAX + 1];
    assert_refused(&world.node.post(&huge), Refusal::TooLarge);
    world.good_message_passes(0);
}

#[test]
fn another_media_type_is_refused() {
    let world = World::dev();
    let message = world.friend.message(&world.bruno, "hello");
    let envelope = world.friend.seal(&message, &world.bruno);
    for media_type in ["text/plain", "application/json", "application/didcomm-plain+json", ""] {
        let answer = world.node.post_as(media_type, envelope.as_bytes());
        assert_refused(&answer, Refusal::MediaType);
    }
    world.good_message_passes(0);
}

#[test]
fn plain_and_merely_signed_messages_are_refused() {
    let world = World::dev();
    let plain = world.friend.message(&world.bruno, "hello").to_json();
    assert_refused(&world.node.post(&plain), Refusal::Unencrypted);
    let signed = sign(&plain, &world.friend.kid, &world.friend.key);
    assert_refused(&world.node.post(signed.as_bytes()), Refusal::Unencrypted);
    world.good_message_passes(0);
}

#[test]
fn an_unknown_recipient_is_refused() {
    let world = World::dev();
    let nobody = Recipient::nobody();
    let message = world.friend.message(&nobody, "hello");
    let answer = world.node.post(world.friend.seal(&message, &nobody).as_bytes());
    assert_refused(&answer, Refusal::UnknownRecipient);
    world.good_message_passes(0);
}

#[test]
fn an_expired_message_is_refused() {
    let world = World::dev();
    let mut message = world.friend.message(&world.bruno, "too late");
    message.created_time = Some(comity_didcomm::UnixTime(1_600_000_000));
    message.expires_time = Some(comity_didcomm::UnixTime(1_600_000_060));
    let answer = world.node.post(world.friend.seal(&message, &world.bruno).as_bytes());
    assert_refused(&answer, Refusal::Expired);
    world.good_message_passes(0);
}

#[test]
fn a_repeated_message_is_taken_once_and_answered_alike() {
    let world = World::dev();
    let message = world.friend.message(&world.bruno, "once");
    let envelope = world.friend.seal(&message, &world.bruno);
    // The same bytes, and the same message in a new envelope.
    let again = world.friend.seal(&message, &world.bruno);
    for envelope in [&envelope, &envelope, &again, &envelope] {
        assert_eq!(world.node.post(envelope.as_bytes()).status, 202);
    }
    assert_eq!(world.node.mailbox(), 1);
    world.good_message_passes(1);
}

#[test]
fn an_id_that_is_used_again_for_another_body_is_refused() {
    let world = World::dev();
    let mut message = world.friend.message(&world.bruno, "first");
    assert_eq!(world.node.post(world.friend.seal(&message, &world.bruno).as_bytes()).status, 202);
    message.body.insert("content".to_owned(), json!("second"));
    let answer = world.node.post(world.friend.seal(&message, &world.bruno).as_bytes());
    assert_refused(&answer, Refusal::IdReuse);
    let inbox = world.node.run(&["inbox", "--as", "bruno"]).lines();
    assert_eq!(inbox.iter().map(|line| &line["body"]["content"]).collect::<Vec<_>>(), ["first"]);
    world.good_message_passes(1);
}

#[test]
fn a_forged_sender_is_refused() {
    let world = World::dev();
    let mallory = Stranger::new();
    let encrypt = |signed: &str| {
        let enc = ContentEncryption::A256CbcHs512;
        anoncrypt(signed.as_bytes(), &world.bruno.keys, enc, &mut rand::rng()).unwrap()
    };
    let forged = world.friend.message(&world.bruno, "from your friend").to_json();
    // Signed with her own key under her own name, then under the friend's name.
    let own_name = encrypt(&sign(&forged, &mallory.kid, &mallory.key));
    assert_refused(&world.node.post(own_name.as_bytes()), Refusal::SenderMismatch);
    let friends_name = encrypt(&sign(&forged, &world.friend.kid, &mallory.key));
    assert_refused(&world.node.post(friends_name.as_bytes()), Refusal::Crypto);
    // The same with authenticated encryption.
    let document = comity_didcomm::did::key::resolve(&mallory.did).unwrap();
    let kid = document.agreement_keys().next().unwrap().0.clone();
    let key = mallory.key.to_agreement().unwrap();
    let sealed = authcrypt(&forged, &kid, &key, &world.bruno.keys, &mut rand::rng()).unwrap();
    assert_refused(&world.node.post(sealed.as_bytes()), Refusal::SenderMismatch);
    world.good_message_passes(0);
}

#[test]
fn an_unsigned_message_is_refused() {
    let world = World::dev();
    let plain = world.friend.message(&world.bruno, "who am I").to_json();
    let enc = ContentEncryption::A256CbcHs512;
    let envelope = anoncrypt(&plain, &world.bruno.keys, enc, &mut rand::rng()).unwrap();
    assert_refused(&world.node.post(envelope.as_bytes()), Refusal::Unauthenticated);
    world.good_message_passes(0);
}

#[test]
fn a_message_that_was_encrypted_to_another_key_is_refused() {
    let world = World::dev();
    let other = Stranger::new().key.to_agreement().unwrap().public();
    let keys: Vec<_> = world.bruno.keys.iter().map(|(kid, _)| (kid.clone(), other)).collect();
    let wrong = Recipient { did: world.bruno.did.clone(), keys };
    let message = world.friend.message(&wrong, "hello");
    let answer = world.node.post(world.friend.seal(&message, &wrong).as_bytes());
    assert_refused(&answer, Refusal::Crypto);
    world.good_message_passes(0);
}

#[test]
fn a_signed_message_for_somebody_else_is_refused() {
    let world = World::dev();
    // The friend wrote to Carol, who passes it on as if it were for Bruno.
    let carol = Recipient::nobody();
    let plain = world.friend.message(&carol, "for your eyes only").to_json();
    let signed = sign(&plain, &world.friend.kid, &world.friend.key);
    let enc = ContentEncryption::A256CbcHs512;
    let passed_on = anoncrypt(signed.as_bytes(), &world.bruno.keys, enc, &mut rand::rng()).unwrap();
    assert_refused(&world.node.post(passed_on.as_bytes()), Refusal::NotAddressed);
    world.good_message_passes(0);
}

#[test]
fn a_did_web_at_a_private_address_is_not_fetched() {
    let world = World::new(&[], "peer");
    let nosy = Stranger::new();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    for host in [
        format!("127.0.0.1%3A{port}"),
        format!("localhost%3A{port}"),
        "10.0.0.1".to_owned(),
        "169.254.169.254".to_owned(),
    ] {
        let mut message = nosy.message(&world.bruno, "fetch this for me");
        let did: comity_didcomm::Did = format!("did:web:{host}").parse().unwrap();
        let kid = did.url("key-1");
        message.from = Some(did);
        let signed = sign(&message.to_json(), &kid, &nosy.key);
        let enc = ContentEncryption::A256CbcHs512;
        let envelope =
            anoncrypt(signed.as_bytes(), &world.bruno.keys, enc, &mut rand::rng()).unwrap();
        assert_refused(&world.node.post(envelope.as_bytes()), Refusal::DidUnresolvable);
    }
    let refused = listener.accept().err().map(|error| error.kind());
    assert_eq!(refused, Some(std::io::ErrorKind::WouldBlock), "nobody connected");
    world.good_message_passes(0);
}

#[test]
fn a_stranger_has_one_request_and_no_more() {
    let world = World::dev();
    let stranger = Stranger::new();
    for text in ["please", "please!", "please!!"] {
        let message = stranger.message(&world.bruno, text);
        // Recorded and reported to the verified sender, so the post itself succeeds.
        assert_eq!(world.node.post(stranger.seal(&message, &world.bruno).as_bytes()).status, 202);
    }
    let requests = world.node.run(&["requests", "--as", "bruno"]).lines();
    assert_eq!(requests.len(), 1, "{requests:?}");
    assert_eq!(requests[0]["did"], stranger.did.as_str());
    assert_eq!(requests[0]["state"], "pending");
    assert_eq!(world.node.mailbox(), 0);
    world.node.run(&["allow", "--as", "bruno", stranger.did.as_str()]).ok();
    wait_until("the held message", || world.node.mailbox() == 1);
    let inbox = world.node.run(&["inbox", "--as", "bruno"]).lines();
    assert_eq!(
        inbox.iter().map(|line: &Value| &line["body"]["content"]).collect::<Vec<_>>(),
        ["please"]
    );
    world.good_message_passes(1);
}

#[test]
fn a_full_disk_loses_nothing_that_was_accepted() {
    let mut world = World::dev();
    world.node = world.node.restart_on_full_disk(1024);
    let filling = "x".repeat(100_000);
    let mut accepted = Vec::new();
    let refused = loop {
        let message = world.friend.message(&world.bruno, &filling);
        let answer = world.node.post(world.friend.seal(&message, &world.bruno).as_bytes());
        if answer.status != 202 {
            break answer;
        }
        accepted.push(message.id.as_str().to_owned());
        assert!(accepted.len() < 64, "the disk is never full");
    };
    assert_refused(&refused, Refusal::Busy);
    assert!(!accepted.is_empty());
    // It still answers, and says what to do.
    assert_eq!(request(&world.node.url(), "GET", "/livez", &[], b"").status, 200);
    let checks = world.node.run(&["doctor"]).lines();
    assert!(
        checks.iter().any(|check| check["name"] == "store" && check["ok"] == false),
        "{checks:?}"
    );

    world.node = world.node.restart_with_room();
    let inbox = world.node.run(&["inbox", "--as", "bruno"]).lines();
    assert_eq!(inbox.iter().map(|line| line["id"].as_str().unwrap()).collect::<Vec<_>>(), accepted);
    world.good_message_passes(accepted.len() as u64);
}
