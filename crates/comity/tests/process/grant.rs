//! Grants as operators give them: sent, or printed and added by hand.

use serde_json::Value;

use super::support::{TestNode, comity, start_demo_pair, wait_until};

const ASK: &str = "https://example.org/question/1.0/ask";

fn did(agent: &Value) -> &str {
    agent["did"].as_str().unwrap()
}

#[test]
fn a_grant_is_given_used_and_taken_back() {
    let (a, b) = (TestNode::start(), TestNode::start());
    let (aria, bruno) = (a.add("aria"), b.add("bruno"));
    assert!(b.run(&["grant", "list", "--as", "bruno"]).lines().is_empty());
    let grant = ["grant", "give", "--as", "bruno", did(&aria), "--messages", "5", "--depth", "1"];
    let given = b.run(&grant).ok();
    assert_eq!((&given["state"], &given["level"]), (&"valid".into(), &"message".into()));
    let held = || a.run(&["grant", "list", "--as", "aria"]).lines();
    wait_until("the grant is held", || !held().is_empty());
    let id = given["id"].as_str().unwrap();
    assert_eq!(held()[0]["id"], id);

    // Its id may be cut short.
    let short = &id[..8];
    let more = ["grant", "hand-on", "--as", "aria", short, did(&aria), "--messages", "9"];
    assert_eq!(a.run(&more).error(1)["code"], "http.bad-request", "to itself");
    let who = "did:key:z6Mkon3Necd6NkkyfoGoHxid2znGc59LU3K7mubaRcFbLfLX";
    let more = ["grant", "hand-on", "--as", "aria", short, who, "--messages", "9", "--print"];
    assert_eq!(a.run(&more).error(1)["code"], "node.bad-grant");
    let part = a.run(&[&more[..6], &["--print"]].concat()).ok();
    assert_eq!(part["chain"].as_array().unwrap().len(), 2);

    let send = ["send", "--as", "aria", did(&bruno), "{}", "--type", ASK, "--wait", "accepted"];
    assert_eq!(a.run(&send).ok()["state"], "accepted");
    assert_eq!(b.run(&["inbox", "--as", "bruno"]).lines()[0]["admitted"], "grant");
    let revoked = b.run(&["grant", "revoke", "--as", "bruno", short]).ok();
    assert_eq!((&revoked["state"], &revoked["id"]), (&"revoked".into(), &given["id"]));
    wait_until("its holder drops it", || held().iter().all(|one| one["kind"] != "held"));
    assert_eq!(
        b.run(&["grant", "revoke", "--as", "bruno", "~"]).error(1)["code"],
        "node.no-such-grant"
    );
}

#[test]
fn a_grant_is_printed_and_added() {
    let (a, aria, b, _) = start_demo_pair();
    let data = b.data();
    let data = data.to_str().unwrap();
    let args = ["grant", "give", "--as", "bruno", did(&aria), "--print", "--data", data];
    let printed = comity(&args).stdout;
    assert!(printed.starts_with("ey") && printed.lines().count() == 1, "{printed}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), &printed).unwrap();
    let path = file.path().to_str().unwrap();
    let added = a.run(&["grant", "add", "--as", "aria", path]).ok();
    assert_eq!((&added["kind"], &added["state"]), (&"held".into(), &"valid".into()));
    std::fs::write(file.path(), "hello").unwrap();
    assert_eq!(a.run(&["grant", "add", "--as", "aria", path]).error(1)["code"], "node.bad-grant");
    a.run(&["grant", "add", "--as", "aria", "/nowhere"]).error(2);
}
