//! The command line as scripts rely on it: names, JSON keys, exit codes, and errors that say what to do.

use std::{collections::BTreeSet, process::Command};

use serde_json::{Value, json};

use super::support::{TestNode, comity, start_demo_pair};

#[track_caller]
fn assert_keys(object: &Value, keys: &[&str]) {
    let have: BTreeSet<_> =
        object.as_object().expect("an object").keys().map(String::as_str).collect();
    let missing: Vec<_> = keys.iter().filter(|key| !have.contains(**key)).collect();
    assert!(missing.is_empty(), "{missing:?} is missing in {object}");
}

fn did(agent: &Value) -> &str {
    agent["did"].as_str().unwrap()
}

#[test]
fn agents_are_added_listed_and_shown() {
    let node = TestNode::start();
    assert_keys(&node.ready, &["did", "url", "local", "pid"]);
    assert_eq!(node.ready["pid"], node.pid());
    let aria = node.add("aria");
    assert_keys(&aria, &["name", "did", "handle", "token"]);
    assert!(did(&aria).starts_with("did:web:"), "{aria}");
    let peer = node.run(&["agent", "add", "bruno", "--did", "peer"]).ok();
    assert!(did(&peer).starts_with("did:peer:"), "{peer}");
    let list = node.run(&["agent", "list"]).lines();
    assert_eq!(list.len(), 2);
    for agent in list.iter().chain([&node.run(&["agent", "show", "aria"]).ok()]) {
        assert_keys(agent, &["name", "did", "handle"]);
        assert!(agent.get("token").is_none_or(Value::is_null), "shown once: {agent}");
    }
    for (args, code) in [
        (&["agent", "add", "aria"][..], 1),
        (&["agent", "add", "No Such Name"], 1),
        (&["agent", "show", "nobody"], 1),
    ] {
        node.run(args).error(code);
    }
}

#[test]
fn identities_resolve_by_did_and_by_handle() {
    let node = TestNode::start();
    let aria = node.add("aria");
    for who in [did(&aria), aria["handle"].as_str().unwrap()] {
        let resolved = node.run(&["did", "resolve", who]).ok();
        assert_keys(&resolved, &["did", "document"]);
        assert_eq!(resolved["did"], aria["did"]);
        assert_eq!(resolved["document"]["id"], aria["did"]);
    }
    node.run(&["did", "resolve", "did:web:localhost%3A1:agents:x"]).error(3);
}

#[test]
fn what_happens_is_listed_the_newest_or_all_after_a_place() {
    let node = TestNode::start();
    let (aria, bruno) = (node.add("aria"), node.add("bruno"));
    assert!(node.run(&["events"]).lines().is_empty());
    let send =
        ["send", "--as", "aria", did(&bruno), r#"{"content":"may I?"}"#, "--wait", "accepted"];
    node.run(&send).ok();
    node.run(&["allow", "--as", "bruno", did(&aria)]).ok();
    let all = node.run(&["events"]).lines();
    let types: Vec<_> = all.iter().map(|event| event["type"].as_str().unwrap()).collect();
    assert_eq!(types, ["request-arrived", "entry-changed", "request-decided"]);
    for event in &all {
        assert_keys(event, &["seq", "id", "at", "type", "agent"]);
        assert_eq!(event["agent"], bruno["did"]);
    }
    assert_eq!(node.run(&["events", "--limit", "1"]).lines(), all[2..]);
    let after = all[0]["seq"].to_string();
    assert_eq!(node.run(&["events", "--after", &after]).lines(), all[1..]);
    node.run(&["events", "--after", "1", "--limit", "1"]).error(1);
}

#[test]
fn a_stranger_asks_is_allowed_writes_and_is_revoked() {
    let node = TestNode::start();
    let (aria, bruno) = (node.add("aria"), node.add("bruno"));
    let send = |more: &[&str]| {
        let mut args = vec!["send", "--as", "aria", did(&bruno)];
        args.extend(more);
        node.run(&args)
    };
    let held = send(&[r#"{"content":"may I?"}"#, "--wait", "accepted"]).ok();
    assert_keys(&held, &["id", "thid", "state"]);
    assert_eq!((&held["state"], &held["pending"]), (&json!("accepted"), &json!(true)));
    let requests = node.run(&["requests", "--as", "bruno"]).lines();
    assert_eq!(requests.len(), 1);
    assert_keys(&requests[0], &["did", "protocols", "until", "state"]);
    assert_eq!((&requests[0]["did"], &requests[0]["state"]), (&aria["did"], &json!("pending")));

    let second = send(&[r#"{"content":"hello?"}"#, "--wait", "processed"]);
    assert_eq!(second.error(3)["code"], "e.m.trust.pending");
    assert_eq!(second.json()["state"], "refused");

    let protocol = "https://didcomm.org/basicmessage/2.0";
    let allowed = node
        .run(&["allow", "--as", "bruno", did(&aria), "--for", protocol, "--until", "2099-01-31"])
        .ok();
    assert_keys(&allowed, &["did", "protocols", "until", "state"]);
    assert_eq!(allowed["protocols"], json!([protocol]));
    assert_eq!(allowed["until"], "2099-01-31T00:00:00Z");
    assert_eq!(node.run(&["allowed", "--as", "bruno"]).lines()[0]["state"], "allowed");
    assert!(node.run(&["requests", "--as", "bruno"]).lines().is_empty());

    let inbox = node.run(&["inbox", "--as", "bruno", "--ack"]).lines();
    assert_eq!(inbox.len(), 1, "{inbox:?}");
    assert_keys(
        &inbox[0],
        &["id", "from", "type", "thid", "body", "verified", "admitted", "received_at"],
    );
    assert_eq!(inbox[0]["id"], held["id"]);
    assert_eq!(inbox[0]["from"], aria["did"]);
    assert_eq!(inbox[0]["verified"], "signature");
    assert_eq!(inbox[0]["admitted"], "approved");
    assert!(node.run(&["inbox", "--as", "bruno"]).lines().is_empty());

    let other =
        send(&["{}", "--type", "https://example.org/other/1.0/thing", "--wait", "processed"]);
    assert_eq!(other.error(3)["code"], "e.m.trust.not-permitted");

    let id = held["id"].as_str().unwrap();
    for args in [&["trace", id, "--as", "aria"][..], &["trace", id]] {
        let run = node.run(args);
        assert_eq!(run.code, 0, "{run:?}");
        let trace = &run.lines()[0];
        assert_keys(trace, &["id", "states"]);
        let states = trace["states"].as_array().unwrap();
        states.iter().for_each(|state| assert_keys(state, &["state", "at", "by"]));
    }
    assert_eq!(node.run(&["revoke", "--as", "bruno", did(&aria)]).ok()["state"], "revoked");
    assert_eq!(send(&["{}", "--wait", "accepted"]).error(3)["code"], "e.m.trust.revoked");
    assert_eq!(node.run(&["deny", "--as", "bruno", did(&aria)]).ok()["state"], "denied");
    assert_eq!(send(&["{}", "--wait", "accepted"]).error(3)["code"], "e.m.trust.denied");
}

#[test]
fn a_decision_has_bounds_and_reads_as_it_was_made() {
    let node = TestNode::start();
    let (aria, bruno) = (node.add("aria"), node.add("bruno"));
    let decide = |verb: &str, who: &str, more: &[&str]| {
        let mut args = vec![verb, "--as", "bruno", who];
        args.extend(more);
        node.run(&args)
    };
    let deploy = "https://example.org/deploy/1.0";
    let bounds = [
        "--for",
        deploy,
        "--level",
        "task",
        "--from",
        "2026-01-31",
        "--until",
        "2099-01-31",
        "--messages",
        "100",
        "--bytes",
        "5000",
        "--tasks",
        "3",
        "--note",
        "of org A",
    ];
    let allowed = decide("allow", did(&aria), &bounds).ok();
    assert_eq!(
        allowed,
        json!({
            "did": aria["did"], "state": "allowed", "level": "task", "protocols": [deploy],
            "from": "2026-01-31T00:00:00Z", "until": "2099-01-31T00:00:00Z",
            "messages_per_day": 100, "bytes_per_day": 5000, "tasks_open": 3, "note": "of org A",
        })
    );
    decide("allow", "*@org-c.example", &["--from", "2099-01-01"]).ok();
    decide("allow", "credential:Employee@did:web:org-d.example", &["--level", "introduced"]).ok();
    decide("deny", "*@*.evil.example", &["--note", "spam"]).ok();
    let out = decide("allow", did(&aria), &["--out", "--messages", "10"]).ok();
    assert_eq!((&out["outbound"], &out["messages_per_day"]), (&json!(true), &json!(10)));
    let anchor = decide("allow", "did:web:org-e.example", &["--anchor"]).ok();
    assert_eq!((&anchor["anchor"], anchor["until"].is_string()), (&json!(true), true));
    let data = node.data();
    let listed = comity(&["allowed", "--as", "bruno", "--data", data.to_str().unwrap()]).stdout;
    let until = anchor["until"].as_str().unwrap();
    let expected = format!(
        "
allowed  from DID  task  {deploy}, from 2026-01-31T00:00:00Z, until 2099-01-31T00:00:00Z, 100 messages a day, 5000 bytes a day, 3 open tasks, note: of org A
allowed  from credential:Employee@did:web:org-d.example  introduced  all protocols
allowed  from did:web:org-e.example  message  anchor, all protocols, until {until}
allowed  to DID  message  all protocols, 10 messages a day
denied  from *@*.evil.example  note: spam
planned  from *@org-c.example  message  all protocols, from 2099-01-01T00:00:00Z"
    );
    // Columns are as wide as the port of this node's DIDs makes them.
    let mut lines: Vec<_> = listed
        .replace(did(&aria), "DID")
        .lines()
        .map(|line| {
            line.split("  ")
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect::<Vec<_>>()
                .join("  ")
        })
        .collect();
    lines.sort();
    assert_eq!(lines.join("\n"), expected.trim_start());

    let explain = |who: &str, more: &[&str]| {
        let mut args = vec!["trust", "explain", who, "--as", "bruno"];
        args.extend(more);
        node.run(&args).ok()
    };
    let explained = explain(did(&aria), &["--for", deploy]);
    assert_keys(&explained, &["did", "protocol", "decision", "level", "needed", "why", "known"]);
    assert_eq!((&explained["decision"], &explained["level"]), (&json!("allow"), &json!("task")));
    assert_eq!(explain(did(&aria), &[])["ground"], "e.m.trust.not-permitted");
    let denied = explain("did:web:x.evil.example", &[]);
    assert_eq!(denied["ground"], "e.m.trust.denied");
    assert_eq!(
        denied["changes"],
        json!(["comity revoke '*@*.evil.example' takes the denial back"])
    );
    let forgotten = decide("revoke", "*@*.evil.example", &[]).ok();
    assert_eq!(forgotten["state"], "revoked");
    assert_ne!(explain("did:web:x.evil.example", &[])["ground"], "e.m.trust.denied");
    assert_eq!(node.run(&["allowed", "--as", "bruno"]).lines().len(), 5);
    assert!(!did(&bruno).is_empty());
}

#[test]
fn a_request_that_is_approved_for_something_else_is_said_to_be_refused() {
    let node = TestNode::start();
    let (aria, bruno) = (node.add("aria"), node.add("bruno"));
    let ask = "https://example.org/question/1.0/ask";
    let send = ["send", "--as", "aria", did(&bruno), "{}", "--type", ask, "--wait", "accepted"];
    node.run(&send).ok();
    let data = node.data();
    let offer = "https://example.org/offer/1.0";
    let data = data.to_str().unwrap();
    let told = comity(&["allow", "--as", "bruno", did(&aria), "--for", offer, "--data", data]);
    assert_eq!(told.code, 0, "{told:?}");
    let line = told.stdout.lines().last().unwrap();
    let expected = "The message that waited was refused: e.m.trust.not-permitted. To widen it: comity allow WHO --for PIURI";
    assert_eq!(line, expected);
}

#[test]
fn contacts_are_listed_with_what_they_are_known_by() {
    let (a, aria, b, _bruno) = start_demo_pair();
    assert!(b.run(&["contacts", "--as", "bruno"]).lines().is_empty());
    let bruno = b.run(&["agent", "show", "bruno"]).ok();
    a.run(&["send", "--as", "aria", did(&bruno), "{}", "--wait", "accepted"]).ok();
    let contacts = b.run(&["contacts", "--as", "bruno"]).lines();
    assert_eq!(contacts.len(), 1);
    assert_keys(&contacts[0], &["did", "since", "processed", "keys"]);
    assert_eq!((&contacts[0]["did"], &contacts[0]["processed"]), (&aria["did"], &json!(0)));
    let data = b.data();
    let human = comity(&["contacts", "--as", "bruno", "--data", data.to_str().unwrap()]).stdout;
    assert!(human.contains("0 processed  2 keys pinned"), "{human}");
    b.run(&["contacts", "approve", did(&aria), "--as", "bruno"]).error(1);
}

#[test]
fn sending_is_idempotent_by_id_and_expiry_is_reported() {
    let (a, _aria, _b, bruno) = start_demo_pair();
    let send = |more: &[&str]| {
        let mut args = vec!["send", "--as", "aria", did(&bruno)];
        args.extend(more);
        a.run(&args)
    };
    let one = send(&[r#"{"n":1}"#, "--id", "m-1"]).ok();
    assert_eq!(one["id"], "m-1");
    assert_eq!(send(&[r#"{"n":1}"#, "--id", "m-1"]).ok()["id"], "m-1");
    send(&[r#"{"n":2}"#, "--id", "m-1"]).error(1);
    let expired = send(&["--expires", "1s", "--wait", "processed"]);
    assert_eq!(expired.error(3)["code"], "expired");
    assert_eq!(expired.json()["state"], "expired");
    // Nobody takes it: the time of the command runs out, the message stays.
    let late = send(&["--wait", "processed", "--timeout", "100ms"]);
    assert_eq!(late.error(4)["code"], "send.timeout");
    assert_keys(&late.json(), &["id", "thid", "state"]);
}

#[test]
fn a_reply_is_waited_for_and_nothing_else_is_taken() {
    let (a, aria, b, bruno) = start_demo_pair();
    a.admin("POST", "/admin/agents/aria/allow", Some(json!({ "who": bruno["did"] })));
    // Something else lies in Aria's inbox already.
    let other = b
        .run(&[
            "send",
            "--as",
            "bruno",
            did(&aria),
            r#"{"content":"by the way"}"#,
            "--wait",
            "accepted",
        ])
        .ok();
    let answer = std::thread::scope(|scope| {
        let answerer = scope.spawn(|| {
            let question =
                &b.run(&["inbox", "--as", "bruno", "--follow", "--limit", "1", "--ack"]).lines()[0];
            let thid = question["thid"].as_str().unwrap();
            b.run(&["send", "--as", "bruno", did(&aria), r#"{"content":"42"}"#, "--thread", thid])
                .ok()
        });
        let asked = a.run(&[
            "send",
            "--as",
            "aria",
            did(&bruno),
            r#"{"content":"6 * 7?"}"#,
            "--wait",
            "reply",
            "--timeout",
            "60s",
        ]);
        let replied = answerer.join().unwrap();
        let asked = asked.ok();
        assert_eq!(asked["reply"]["id"], replied["id"]);
        asked
    });
    assert_keys(&answer, &["id", "thid", "state", "reply"]);
    assert_keys(
        &answer["reply"],
        &["id", "from", "type", "thid", "body", "verified", "admitted", "received_at"],
    );
    assert_eq!(answer["reply"]["body"], json!({"content": "42"}));
    let left = a.run(&["inbox", "--as", "aria"]).lines();
    assert_eq!(left.iter().map(|line| &line["id"]).collect::<Vec<_>>(), [&other["id"]]);
}

#[test]
fn following_shows_what_comes_without_taking_it() {
    let (a, _aria, b, bruno) = start_demo_pair();
    let texts = ["one", "two", "three"];
    std::thread::scope(|scope| {
        let follower =
            scope.spawn(|| b.run(&["inbox", "--as", "bruno", "--follow", "--limit", "3"]).lines());
        for text in texts {
            let body = json!({ "content": text }).to_string();
            a.run(&["send", "--as", "aria", did(&bruno), &body, "--wait", "accepted"]).ok();
        }
        let lines = follower.join().unwrap();
        assert_eq!(lines.iter().map(|line| &line["body"]["content"]).collect::<Vec<_>>(), texts);
    });
    assert_eq!(b.mailbox(), 3);
}

#[test]
fn status_and_doctor_tell_how_the_node_is() {
    let node = TestNode::start();
    node.add("aria");
    let status = node.run(&["status"]).ok();
    assert_keys(
        &status,
        &["did", "agents", "mailbox_messages", "outbox_messages", "store_bytes", "log_size"],
    );
    assert_eq!(status["agents"], 1);
    let doctor = node.run(&["doctor"]);
    for check in doctor.lines() {
        assert_keys(&check, &["name", "ok", "detail", "hint"]);
        assert!(check["ok"] == true || check["hint"] != "", "{check}");
    }
    let nowhere = tempfile::tempdir().unwrap();
    let sick = comity(&["doctor", "--json", "--data", nowhere.path().to_str().unwrap()]);
    assert_eq!(sick.code, 2);
    assert!(sick.lines().iter().any(|check| check["name"] == "node" && check["ok"] == false));
}

#[test]
fn wrong_usage_ends_with_1_and_says_what_to_do() {
    for args in [
        &["--json"][..],
        &["sned", "--json"],
        &["send", "--json"],
        &["send", "--as", "aria", "did:x:y", "{}", "--wait", "never", "--json"],
        &["send", "--as", "aria", "did:x:y", "{}", "--expires", "5", "--json"],
        &["allow", "--as", "aria", "did:x:y", "--until", "soon", "--json"],
        &["allow", "--as", "aria", "did:x:y", "--level", "all", "--json"],
        &["allow", "--as", "aria", "did:x:y", "--messages", "-1", "--json"],
        &["allow", "did:x:y", "--json"],
        &["deny", "--as", "aria", "did:x:y", "--until", "2099-01-31", "--json"],
        &["revoke", "--as", "aria", "did:x:y", "--for", "https://a.example/b/1.0", "--json"],
        &["contacts", "--json"],
        &["trust", "explain", "did:x:y", "--json"],
        &["bench", "--seconds", "0", "--json"],
    ] {
        comity(args).error(1);
    }
    let node = TestNode::start();
    node.add("aria");
    let text = node.run(&["send", "--as", "aria", "did:x:y", "hello"]).error(1);
    assert!(text["hint"].as_str().unwrap().contains(r#"{"content":"hello"}"#), "{text}");
    for (args, hint) in [
        (&["did:x:y", "--level", "blocked"][..], "comity deny"),
        (&["*@Org.example"], "*@host"),
        (&["credential:Employee"], "credential:TYPE@ISSUER"),
        (&["bruno"], "NAME@HOST"),
        (&["did:x:y", "--for", "deploy"], "https://example.org"),
        (&["*@org.example", "--anchor"], "DID"),
        (&["did:x:y", "--out", "--tasks", "1"], "--out"),
    ] {
        let error = node.run(&[&["allow", "--as", "aria"], args].concat()).error(1);
        assert!(error["hint"].as_str().unwrap().contains(hint), "{args:?} {error}");
    }
    node.run(&["send", "--as", "nobody", "did:x:y", "{}"]).error(1);
    node.run(&["trace", "no-such-message"]).error(1);
    node.run(&["trace", "no-such-message", "--as", "aria"]).error(1);
    // For a person the same on standard error, and nothing on standard output.
    let human = comity(&["send"]);
    assert_eq!((human.code, human.stdout.as_str()), (1, ""));
    assert!(human.stderr.contains("--help"), "{human:?}");
}

#[test]
fn wrong_surroundings_end_with_2_and_say_what_to_do() {
    let nowhere = tempfile::tempdir().unwrap();
    let data = nowhere.path().to_str().unwrap();
    let error = comity(&["status", "--json", "--data", data]).error(2);
    assert_eq!(error["code"], "node.not-running");
    assert!(error["hint"].as_str().unwrap().contains("comity up"), "{error}");

    let file = nowhere.path().join("settings.toml");
    std::fs::write(&file, "liste = \"127.0.0.1:0\"\n").unwrap();
    let typo =
        comity(&["up", "--json", "--data", data, "--config", file.to_str().unwrap()]).error(2);
    assert!(typo["hint"].as_str().unwrap().contains("listen"), "{typo}");

    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let taken = taken.local_addr().unwrap().to_string();
    comity(&["up", "--json", "--data", data, "--listen", &taken, "--local", "127.0.0.1:0"])
        .error(2);
}

#[test]
fn a_killed_node_is_said_to_be_gone() {
    let mut node = TestNode::start();
    node.kill();
    assert_eq!(node.run(&["status"]).error(2)["code"], "node.not-running");
}

#[test]
fn a_node_stops_in_good_order_when_told() {
    for signal in ["-TERM", "-INT"] {
        let mut node = TestNode::start();
        let pid = node.pid().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
        assert_eq!(node.wait(), Some(0), "{signal}");
        assert!(!node.data().join("node.json").exists(), "{signal}");
    }
    let mut node = TestNode::start();
    assert_eq!(node.stop(), Some(0));
}

#[test]
fn text_for_people_carries_no_control_characters_of_a_peer() {
    let (a, _aria, b, bruno) = start_demo_pair();
    let body = json!({ "content": "\u{1b}[2J\u{9b}31m\u{202e}gnp.exe" }).to_string();
    a.run(&["send", "--as", "aria", did(&bruno), &body, "--wait", "accepted"]).ok();
    let data = b.data();
    let human = comity(&["inbox", "--as", "bruno", "--data", data.to_str().unwrap()]);
    let json = b.run(&["inbox", "--as", "bruno"]);
    for text in [&human.stdout, &json.stdout] {
        let is_raw = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
        assert!(text.contains("gnp.exe") && !text.contains(is_raw), "{text:?}");
    }
    assert_eq!(json.lines()[0]["body"]["content"], "\u{1b}[2J\u{9b}31m\u{202e}gnp.exe");
}

#[test]
fn the_help_reads_as_reviewed() {
    let mut help = String::new();
    for args in [
        &["--help"][..],
        &["up", "--help"],
        &["agent", "add", "--help"],
        &["send", "--help"],
        &["inbox", "--help"],
        &["allow", "--help"],
        &["invite", "--help"],
        &["demo", "--help"],
        &["bench", "--help"],
        &["didcomm", "--help"],
        &["didcomm", "pack", "--help"],
    ] {
        let run = comity(args);
        assert_eq!(run.code, 0, "{run:?}");
        help.push_str(&format!("$ comity {}\n{}\n", args.join(" "), run.stdout));
    }
    insta::assert_snapshot!(help);
    assert_eq!(comity(&["--version"]).code, 0);
}

#[test]
fn every_shell_gets_completions() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let run = comity(&["completions", shell]);
        assert_eq!(run.code, 0);
        assert!(run.stdout.contains("inbox"), "{shell}");
    }
}
