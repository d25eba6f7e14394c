//! Invitations as people pass them on: made by one command, given to another.

use serde_json::json;

use super::support::{TestNode, comity, start_demo_pair};

#[test]
fn an_invitation_is_answered_like_an_address() {
    let (a, _, b, bruno) = start_demo_pair();
    let invited = b.run(&["invite", "--as", "bruno", "--goal", "Plan the harvest"]).ok();
    assert_eq!(invited["from"], bruno["did"]);
    let link = invited["url"].as_str().unwrap();
    let content = r#"{"content":"Good morning"}"#;
    let sent = a.run(&["send", "--as", "aria", link, content, "--wait", "accepted"]).ok();
    assert_eq!(sent["state"], "accepted");
    let inbox = b.run(&["inbox", "--as", "bruno"]).lines();
    assert_eq!(inbox[0]["pthid"], invited["id"], "the answer names the invitation");
    // The same link says whom to allow.
    let allowed = a.run(&["allow", "--as", "aria", link]).ok();
    assert_eq!(allowed["did"], bruno["did"]);
}

#[test]
fn a_home_behind_a_relay_is_set_up_by_its_invitation() {
    let relay = TestNode::start_with(&["--dev", "--relay"]);
    let invited = relay.run(&["invite", "--relay", "--uses", "2"]).ok();
    let link = invited["url"].as_str().unwrap();
    let home = TestNode::start_with(&["--dev", "--via", link]);
    assert_eq!(home.ready["url"], relay.ready["did"]);
    let bruno = home.add("bruno");
    assert!(bruno["did"].as_str().unwrap().starts_with("did:peer:4"), "{bruno}");
    let status = relay.admin("GET", "/admin/status", None);
    assert_eq!(status["relay"]["registrants"], json!(1));
    // A node behind a relay is nobody's relay.
    let run = home.run(&["invite", "--relay"]);
    assert_eq!(run.json()["error"]["code"], "node.no-relay", "{run:?}");
}

#[test]
fn an_invitation_is_somebodys() {
    comity(&["invite", "--json"]).error(1);
    comity(&["invite", "--relay", "--as", "bruno", "--json"]).error(1);
    comity(&["invite", "--as", "bruno", "--uses", "2", "--json"]).error(1);
}
