//! An agent with a did:webvh, its keys replaced while it talks, across a crash.

use serde_json::Value;

use super::support::{TestNode, request};

#[test]
fn an_agent_rotates_its_keys_and_goes_on_where_it_was() {
    let (a, b) = (TestNode::start(), TestNode::start());
    let aria = a.add("aria");
    let bruno = b.run(&["agent", "add", "bruno", "--did", "webvh"]).ok();
    let did = bruno["did"].as_str().unwrap();
    assert!(did.starts_with("did:webvh:Qm"), "{did}");
    b.run(&["allow", "--as", "bruno", aria["did"].as_str().unwrap()]).ok();
    let send = |text: &str| {
        let body = serde_json::json!({ "content": text }).to_string();
        a.run(&["send", "--as", "aria", did, &body, "--wait", "accepted"]).ok();
    };
    send("before");

    let rotated = b.run(&["agent", "rotate", "bruno"]).ok();
    assert_eq!(rotated["did"], bruno["did"]);
    assert_ne!(rotated["signing_key"], bruno["signing_key"]);
    // The sender's node still has the document of before.
    send("between");
    let b = b.restart();
    send("after");
    let inbox = b.run(&["inbox", "--as", "bruno"]).lines();
    let texts: Vec<_> = inbox.iter().map(|message| &message["body"]["content"]).collect();
    assert_eq!(texts, ["before", "between", "after"]);

    let shown = b.run(&["agent", "show", "bruno"]).ok();
    assert_eq!(shown["version_id"], rotated["version_id"]);
    let log = request(&b.url(), "GET", "/agents/bruno/did.jsonl", &[], b"");
    assert_eq!(String::from_utf8(log.body).unwrap().lines().count(), 2);
    let first = a.run(&["did", "resolve", &format!("{did}?versionNumber=1")]).ok();
    assert_eq!(first["metadata"]["versionId"], bruno["version_id"]);
    let keys = |resolved: &Value| resolved["document"]["authentication"].as_array().unwrap().len();
    let latest = b.run(&["did", "resolve", did]).ok();
    assert_eq!((keys(&first), keys(&latest)), (1, 2));
    b.run(&["agent", "rotate", "nobody"]).error(1);

    // The node itself, which signs the receipts.
    let node = b.run(&["agent", "rotate", "--node"]).ok();
    assert_eq!(node["did"], b.ready["did"]);
    assert_eq!(node["signing_key"], format!("{}#key-3", node["did"].as_str().unwrap()));
    send("from now on");
    b.run(&["agent", "rotate", "bruno", "--node"]).error(1);
    b.run(&["agent", "rotate"]).error(1);
}
