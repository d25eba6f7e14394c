//! How work ended, as operators say it: proposed by one side, agreed by the other, counted, carried to another node.

use serde_json::{Value, json};

use super::support::{TestNode, comity_reading, start_demo_pair, wait_until};

const TASK: &str = "https://example.org/task/1.0";

/// As many bytes of a file as are read.
const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A name that no proposal has.
const NONE: &str = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

fn did(agent: &Value) -> &str {
    agent["did"].as_str().unwrap()
}

/// Lists what is proposed to an agent, or by it, and agreed.
fn listed(node: &TestNode, name: &str) -> Vec<Value> {
    node.run(&["outcome", "list", "--as", name]).lines()
}

/// Counts somebody's work as an agent believes it.
fn record(node: &TestNode, name: &str, who: &Value) -> Value {
    node.run(&["outcome", "record", did(who), "--as", name]).ok()
}

/// Agrees to the only proposal.
fn agree(node: &TestNode, name: &str) -> Value {
    let proposed = listed(node, name).remove(0);
    node.run(&["outcome", "agree", "--as", name, proposed["id"].as_str().unwrap()]).ok()
}

/// Has aria ask bruno to do something; returns the id of the message.
fn ask(a: &TestNode, bruno: &Value) -> Value {
    let type_ = format!("{TASK}/request");
    let send = ["send", "--as", "aria", did(bruno), "{}", "--type", &type_, "--wait", "accepted"];
    a.run(&send).ok()["id"].clone()
}

/// Has bruno say how it ended; returns what he said when aria has heard it.
fn propose((a, b): (&TestNode, &TestNode), message: &Value, ended: &str) -> Value {
    let about = message.as_str().unwrap();
    let propose = ["outcome", "propose", about, "--as", "bruno", "--ended", ended];
    let proposed = b.run(&[&propose[..], &["--comment", "In time"]].concat()).ok();
    wait_until("the proposal", || !listed(a, "aria").is_empty());
    proposed
}

#[test]
fn what_one_side_proposes_and_the_other_agrees_to_is_listed_by_both_and_counted() {
    let (a, aria, b, bruno) = start_demo_pair();
    let message = ask(&a, &bruno);
    let proposed = propose((&a, &b), &message, "accepted");
    assert_eq!((&proposed["state"], &proposed["outcome"]), (&json!("ours"), &json!("accepted")));
    assert_eq!((&proposed["worker"], &proposed["client"]), (&bruno["did"], &aria["did"]));
    assert_eq!((&proposed["thid"], &proposed["protocol"]), (&message, &json!(TASK)));
    assert_eq!(listed(&b, "bruno"), std::slice::from_ref(&proposed));
    let mut heard = proposed.clone();
    heard["state"] = json!("theirs");
    assert_eq!(listed(&a, "aria"), [heard], "with the comment");
    let before = record(&a, "aria", &bruno);
    assert_eq!((&before["accepted"], &before["evidence"]), (&json!(0.0), &json!([])));

    let agreed = agree(&a, "aria");
    assert_eq!((&agreed["id"], &agreed["state"]), (&proposed["id"], &json!("agreed")));
    wait_until("that both agree", || listed(&b, "bruno")[0]["state"] == "agreed");
    assert_eq!(listed(&b, "bruno"), std::slice::from_ref(&agreed), "and nothing waits any more");
    assert_eq!(listed(&a, "aria"), std::slice::from_ref(&agreed));

    let after = record(&a, "aria", &bruno);
    assert_eq!((&after["accepted"], &after["standing"]), (&json!(1.0), &json!(1.0)));
    let evidence = &after["evidence"][0];
    assert_eq!((&evidence["id"], &evidence["weight"]), (&agreed["id"], &json!(1.0)));
    assert_eq!(record(&b, "bruno", &bruno)["accepted"], 0.5, "aria is allowed messages there");
}

#[test]
fn outcomes_are_carried_in_a_file_to_a_node_that_counts_what_it_believes() {
    let (a, aria, b, bruno) = start_demo_pair();
    let none = b.run(&["outcome", "show", did(&aria), "--as", "bruno"]).error(1);
    assert_eq!(none["code"], "http.bad-request", "there is nothing to show yet");
    propose((&a, &b), &ask(&a, &bruno), "disputed");
    agree(&a, "aria");
    wait_until("that both agree", || listed(&b, "bruno")[0]["state"] == "agreed");
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let said = b.run(&["outcome", "export", "--as", "bruno", "-o", path]).ok();
    assert_eq!(said, json!({ "file": path, "outcomes": 1, "left_out": 0 }));
    let printed = b.run(&["outcome", "export", "--as", "bruno"]).ok();
    let text = std::fs::read_to_string(path).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), printed);
    assert_eq!(printed["outcomes"][0].as_array().unwrap().len(), 2, "what both signed");

    let c = TestNode::start();
    c.add("carla");
    let import = ["outcome", "import", "--as", "carla"];
    let imported = c.run(&[&import[..], &[path]].concat()).ok();
    assert_eq!(imported, json!({ "kept": 1, "known": 0, "full": 0, "refused": 0 }));
    assert_eq!(listed(&c, "carla")[0]["state"], "shown", "others agreed");
    let unbelieved = record(&c, "carla", &bruno);
    assert_eq!((&unbelieved["disputed"], &unbelieved["standing"]), (&json!(0.0), &json!(1.0)));
    assert_eq!(unbelieved["evidence"][0]["weight"], 0.0, "nothing is known of aria");
    c.run(&["allow", "--as", "carla", did(&aria), "--anchor"]).ok();
    let believed = record(&c, "carla", &bruno);
    assert_eq!(believed["disputed"], 1.0);
    assert!(believed["standing"].as_f64().unwrap() < 1.0, "{believed}");

    let data = c.data();
    let input = [&import[..], &["-", "--json", "--data", data.to_str().unwrap()]].concat();
    assert_eq!(comity_reading(&input, text.as_bytes()).ok()["known"], 1, "a second time");
    let unsigned = comity_reading(&input, br#"{"outcomes":[["a","b"]]}"#).ok();
    assert_eq!((&unsigned["kept"], &unsigned["refused"]), (&json!(0), &json!(1)));
    assert!(!unsigned["why"].as_str().unwrap().is_empty(), "{unsigned}");
}

#[test]
fn what_names_no_work_or_holds_no_outcomes_is_refused_with_a_way_out() {
    let node = TestNode::start();
    node.add("bruno");
    let run = |args: &[&str]| node.run(&[&["outcome"][..], args, &["--as", "bruno"]].concat());
    for (args, code, hint) in [
        (&["agree", NONE][..], "node.no-such-proposal", "comity outcome list"),
        (&["agree", "-AA"], "node.no-such-proposal", "comity outcome list"),
        (&["propose", "m-0", "--ended", "done"], "node.no-such-message", "--with WHO"),
        (&["propose", "m-0", "--ended", "great"], "http.bad-request", "accepted, done"),
    ] {
        let error = run(args).error(1);
        assert_eq!(error["code"], code, "{args:?}");
        assert!(error["hint"].as_str().unwrap().contains(hint), "{args:?}: {error}");
    }
    assert_eq!(node.run(&["outcome", "list"]).error(1)["code"], "argument", "whose?");

    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let blank = " ".repeat(FILE_BYTES_MAX + 1);
    for (text, what) in [("hello", "no outcomes"), (&blank[1..], "no outcomes"), (&blank, "larger")]
    {
        std::fs::write(path, text).unwrap();
        let error = run(&["import", path]).error(1);
        assert_eq!(error["code"], "file", "{what}");
        assert!(error["what"].as_str().unwrap().contains(what), "{error}");
        assert!(error["hint"].as_str().unwrap().contains("comity outcome export"), "{error}");
    }
    assert_eq!(run(&["import", "/nowhere"]).error(2)["code"], "file");
    assert_eq!(run(&["export", "-o", "/nowhere/file"]).error(2)["code"], "file");
    assert!(listed(&node, "bruno").is_empty());
}
