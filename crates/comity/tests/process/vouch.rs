//! Vouches as operators handle them: asked for, given, looked at and taken back; and who vouches for whom as a picture.

use comity_core::api::parse_rfc3339;
use serde_json::{Value, json};

use super::support::{TestNode, comity, wait_until};

const ASK: &str = "https://example.org/question/1.0";
const DAY_S: u64 = 24 * 3600;

/// A name that no vouch has.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn did(agent: &Value) -> &str {
    agent["did"].as_str().unwrap()
}

/// Does something with the vouch of this name.
#[track_caller]
fn about(node: &TestNode, args: &[&str], vouch: &Value) -> Value {
    node.run(&[&["vouch"][..], args, &[vouch["id"].as_str().unwrap()]].concat()).ok()
}

#[test]
fn a_vouch_is_asked_for_given_held_and_taken_back() {
    let (a, b) = (TestNode::start(), TestNode::start());
    let (vera, bruno) = (a.add("vera"), b.add("bruno"));
    let held = || b.run(&["vouch", "list", "--as", "bruno"]).lines();
    assert!(held().is_empty());
    a.run(&["allow", "--as", "vera", did(&bruno)]).ok();
    let ask = ["vouch", "ask", "--as", "bruno", did(&vera), "--for", ASK, "--level", "task"];
    let asked = b.run(&[&ask[..], &["--comment", "We met in spring"]].concat()).ok();
    let inbox = || a.run(&["inbox", "--as", "vera"]).lines();
    wait_until("what is asked", || !inbox().is_empty());
    let request = inbox().remove(0);
    assert_eq!(request["type"], "https://comity.dev/protocols/vouch/1.0/request");
    assert_eq!((&request["thid"], &request["from"]), (&asked["thid"], &bruno["did"]));
    let body = json!({ "scope": [ASK], "level": 3, "comment": "We met in spring" });
    assert_eq!(request["body"], body);

    let give = ["vouch", "give", "--as", "vera", did(&bruno), "--for", ASK, "--level", "message"];
    let thread = request["thid"].as_str().unwrap();
    let more = ["--depth", "1", "--days", "7", "--thread", thread];
    let given = a.run(&[&give[..], &more].concat()).ok();
    assert_eq!((&given["kind"], &given["state"]), (&json!("given"), &json!("good")));
    assert_eq!((&given["voucher"], &given["vouched"]), (&vera["did"], &bruno["did"]));
    let terms = (&given["protocols"], &given["level"], &given["depth"]);
    assert_eq!(terms, (&json!([ASK]), &json!("message"), &json!(1)));
    let time = |member: &str| parse_rfc3339(given[member].as_str().unwrap()).unwrap().0;
    assert_eq!(time("until") - time("from"), 7 * DAY_S);
    wait_until("the vouch", || !held().is_empty());
    let mut as_held = given.clone();
    as_held["kind"] = json!("held");
    assert_eq!(held(), [as_held], "the same, and not unasked");
    assert_eq!(a.run(&["vouch", "list", "--as", "vera"]).lines(), std::slice::from_ref(&given));

    let there = about(&a, &["show", "--as", "vera"], &given);
    let here = about(&b, &["show", "--as", "bruno"], &given);
    assert!(here["token"].as_str().unwrap().starts_with("ey"), "{here}");
    assert_eq!((&there["token"], &there["askers"]), (&here["token"], &json!(0)));

    let revoked = about(&a, &["revoke", "--as", "vera"], &given);
    assert_eq!((&revoked["id"], &revoked["state"]), (&given["id"], &json!("revoked")));
    assert!(parse_rfc3339(revoked["revoked_at"].as_str().unwrap()).is_some(), "{revoked}");
    assert_eq!(a.run(&["vouch", "list", "--as", "vera"]).lines(), [revoked]);
    wait_until("that it is taken back", || held().is_empty());
}

#[test]
fn who_vouches_for_whom_is_listed_and_drawn() {
    let (a, b, c) = (TestNode::start(), TestNode::start(), TestNode::start());
    let (vera, bruno, carla) = (a.add("vera"), b.add("bruno"), c.add("carla"));
    let graph = || c.run(&["trust", "graph", "--as", "carla"]).ok();
    assert_eq!((&graph()["nodes"], &graph()["edges"]), (&json!([]), &json!([])));
    let allowed = c.run(&["allow", "--as", "carla", did(&vera), "--anchor"]).ok();
    assert_eq!(allowed["anchor"], true);
    let given = a.run(&["vouch", "give", "--as", "vera", did(&bruno), "--for", ASK]).ok();
    let held = || b.run(&["vouch", "list", "--as", "bruno"]).lines();
    wait_until("the vouch", || !held().is_empty());
    assert_eq!(held()[0]["unasked"], true);
    // His node shows it with what he writes, and hers asks vera's whether it holds.
    b.run(&["send", "--as", "bruno", did(&carla), r#"{"content":"May I?"}"#]).ok();
    let has = |state: &str| graph()["edges"][0]["state"] == state;
    wait_until("a vouch that holds", || has("good"));
    assert_eq!(about(&a, &["show", "--as", "vera"], &given)["askers"], 1);

    let drawn = graph();
    assert_eq!((&drawn["agent"], &drawn["is_part"]), (&carla["did"], &json!(false)));
    let nodes = drawn["nodes"].as_array().unwrap();
    let places: Vec<_> = nodes.iter().map(|node| (&node["did"], &node["distance"])).collect();
    assert_eq!(places, [(&vera["did"], &json!(0)), (&bruno["did"], &json!(1))]);
    let edge = &drawn["edges"][0];
    assert_eq!(drawn["edges"].as_array().unwrap().len(), 1);
    assert_eq!((&edge["from"], &edge["to"]), (&vera["did"], &bruno["did"]));
    for member in ["id", "protocols", "level", "depth", "until"] {
        assert_eq!(edge[member], given[member], "{member}");
    }
    assert!(edge["weight"].is_null(), "it is not for basic messages: {edge}");
    let asking = c.run(&["trust", "graph", "--as", "carla", "--for", ASK]).ok();
    assert_eq!(asking["protocol"], ASK);
    assert!(asking["edges"][0]["weight"].is_number(), "{asking}");

    let data = c.data();
    let picture = ["trust", "graph", "--as", "carla", "--svg", "--data", data.to_str().unwrap()];
    let svg = || comity(&picture).stdout;
    let text = svg();
    assert!(text.starts_with("<svg xmlns=") && text.ends_with("</svg>\n"), "{text}");
    for foreign in ["<script", "<image", "href", "@import", "url(http"] {
        assert!(!text.contains(foreign), "{foreign}: {text}");
    }
    let until = given["until"].as_str().unwrap();
    let about_it = format!("{} vouches for {} until {until}, for {ASK}", did(&vera), did(&bruno));
    assert!(text.contains(&about_it), "{text}");
    assert!(text.contains(r#"<path class="good" marker-end"#), "{text}");
    assert_eq!(c.run(&picture[..5]).error(1)["code"], "usage", "a picture is no JSON");

    about(&a, &["revoke", "--as", "vera"], &given);
    wait_until("that it is taken back", || has("revoked"));
    let events = c.run(&["events"]).lines();
    let told = events.iter().find(|event| event["type"] == "vouch-revoked").unwrap();
    assert_eq!((&told["vouch"], &told["voucher"]), (&given["id"], &vera["did"]));
    assert!(svg().contains(r#"<path class="revoked" marker-end"#));
    assert_eq!(graph()["nodes"].as_array().unwrap().len(), 2);
}

#[test]
fn what_is_no_vouch_or_names_none_is_refused_with_a_way_out() {
    let node = TestNode::start();
    let (vera, bruno) = (node.add("vera"), node.add("bruno"));
    for (args, code, hint) in [
        (&["show", NONE, "--as", "vera"][..], "node.no-such-vouch", "comity vouch list"),
        (&["show", "-AA", "--as", "vera"], "node.no-such-vouch", "comity vouch list"),
        (&["revoke", "x", "--as", "vera"], "node.no-such-vouch", "comity vouch list"),
        (&["list", "--as", "nobody"], "node.no-such-agent", "comity agent list"),
        (&["list"], "argument", "--as NAME"),
        (&["give", did(&vera), "--as", "vera"], "http.bad-request", "somebody else's DID"),
        (&["give", did(&bruno), "--as", "vera", "--days", "91"], "http.bad-request", "1 to 90"),
        (&["ask", did(&bruno), "--as", "vera", "--level", "all"], "http.bad-request", "execute"),
    ] {
        let error = node.run(&[&["vouch"][..], args].concat()).error(1);
        assert_eq!(error["code"], code, "{args:?}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{args:?}: {error}");
    }
    assert!(node.run(&["vouch", "list", "--as", "vera"]).lines().is_empty());
}
