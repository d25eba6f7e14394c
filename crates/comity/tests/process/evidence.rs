//! What was said, shown to somebody who has a file and nothing else: exported, merged, verified, erased.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::support::{Run, TestNode, comity, start_demo_pair, wait_until};

const THREAD: &str = "a-deal";

/// A pair of nodes whose agents agreed on something, and have it in logs that the other has cosigned.
struct Agreed {
    a: TestNode,
    b: TestNode,
    aria: Value,
    bruno: Value,
    offer: Value,
    folder: tempfile::TempDir,
}

impl Agreed {
    fn new() -> Self {
        let (a, aria, b, bruno) = start_demo_pair();
        let say = |node: &TestNode, name: &str, to: &Value, words: &str| {
            let body = json!({ "content": words }).to_string();
            let send = ["send", "--as", name, to["did"].as_str().unwrap(), &body];
            node.run(&[&send[..], &["--thread", THREAD, "--wait", "accepted"]].concat()).ok()
        };
        let offer = say(&a, "aria", &bruno, "40 units at 12 EUR?");
        say(&b, "bruno", &aria, "Agreed.");
        let folder = tempfile::tempdir().unwrap();
        let agreed = Self { a, b, aria, bruno, offer, folder };
        wait_until("two logs that witnessed each other", || agreed.case().0.code == 0);
        agreed
    }

    fn file(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Exports the thread on both sides, and joins them; returns what is found.
    fn case(&self) -> (Run, PathBuf) {
        let [one, other, both] = ["a.json", "b.json", "case.json"].map(|name| self.file(name));
        for (node, name, file) in [(&self.a, "aria", &one), (&self.b, "bruno", &other)] {
            export(node, name, &["--thread", THREAD], file).ok();
        }
        let [one, other] = [&one, &other].map(|file| file.to_str().unwrap());
        comity(&["--json", "evidence", "merge", one, other, "-o", both.to_str().unwrap()]).ok();
        (verify(&both, &[]), both)
    }
}

fn export(node: &TestNode, name: &str, what: &[&str], file: &Path) -> Run {
    let export = ["evidence", "export", "--as", name, "-o", file.to_str().unwrap()];
    node.run(&[&export[..], what].concat())
}

/// Verifies a file, as a stranger does: there is no node and no home.
fn verify(file: &Path, more: &[&str]) -> Run {
    comity(&[&["--json", "evidence", "verify", file.to_str().unwrap()][..], more].concat())
}

#[test]
fn what_was_said_is_proven_to_a_stranger_and_what_was_changed_is_found() {
    let agreed = Agreed::new();
    let (run, file) = agreed.case();
    let verdict = run.ok();
    assert_eq!(verdict["outcome"], "proven");
    let [offer, answer] = verdict["messages"].as_array().unwrap().as_slice() else {
        panic!("{verdict}");
    };
    assert_eq!((&offer["id"], &offer["thid"]), (&agreed.offer["id"], &json!(THREAD)));
    assert_eq!((&offer["from"], &offer["to"]), (&agreed.aria["did"], &agreed.bruno["did"]));
    assert_eq!((&answer["from"], &answer["to"]), (&agreed.bruno["did"], &agreed.aria["did"]));
    assert!(offer["body"].as_str().unwrap().contains("40 units"), "{offer}");
    assert_eq!(offer["allowed"]["ground"], "allow-list");
    let reached: Vec<_> = offer["reached"].as_array().unwrap().iter().collect();
    assert!(reached.iter().any(|reached| reached["state"] == "accepted"), "{offer}");
    for side in ["sent", "received"] {
        assert!(offer[side]["before"]["witness"].is_string(), "{side}: {offer}");
    }

    // For people: the report, and a page that needs nothing else.
    let page = agreed.file("case.html");
    let read = ["evidence", "verify", file.to_str().unwrap(), "--html", page.to_str().unwrap()];
    let report = comity(&read);
    assert_eq!(report.code, 0, "{report:?}");
    assert!(report.stdout.contains("40 units"), "{report:?}");
    let page = std::fs::read_to_string(page).unwrap();
    assert!(page.contains("40 units") && page.contains("</html>"), "{page}");
    for foreign in ["<script", "<link", "<img", "@import", "url(", "src="] {
        assert!(!page.contains(foreign), "{foreign}: {page}");
    }

    // One byte of what was said.
    let text = std::fs::read_to_string(&file).unwrap();
    let at = text.find("\\\"payload\\\":\\\"").unwrap() + 40;
    let other = if &text[at..=at] == "A" { "B" } else { "A" };
    let changed = agreed.file("changed.json");
    std::fs::write(&changed, format!("{}{other}{}", &text[..at], &text[at + 1..])).unwrap();
    let found = verify(&changed, &[]);
    assert_eq!(found.code, 2, "{found:?}");
    let found = found.json();
    assert!(!found["contradictions"].as_array().unwrap().is_empty(), "{found}");
    for piece in ["first", "second"] {
        let piece = &found["contradictions"][0][piece];
        assert!(!piece["place"].as_str().unwrap().is_empty(), "{found}");
        assert!(!piece["says"].as_str().unwrap().is_empty(), "{found}");
    }
    std::fs::write(&changed, &text[..text.len() / 2]).unwrap();
    let cut = verify(&changed, &[]);
    assert_eq!((cut.code, &cut.json()["outcome"]), (1, &json!("malformed")));

    // Of one side alone not all is proven; it says what is missing.
    let alone = verify(&agreed.file("a.json"), &[]);
    assert_eq!(alone.code, 3, "{alone:?}");
    assert!(!alone.json()["missing"].as_array().unwrap().is_empty(), "{alone:?}");

    // A verifier who trusts other logs believes nothing of it.
    let policy = agreed.file("policy");
    std::fs::write(&policy, "quorum none\n").unwrap();
    let of_nobody = verify(&file, &["--policy", policy.to_str().unwrap()]);
    assert_eq!(of_nobody.code, 3, "{of_nobody:?}");
}

#[test]
fn texts_are_withheld_or_erased_and_the_rest_still_verifies() {
    let agreed = Agreed::new();
    let file = agreed.file("withheld.json");
    export(&agreed.b, "bruno", &["--thread", THREAD, "--no-bodies"], &file).ok();
    let said = |file: &Path| {
        let run = verify(file, &[]);
        assert_eq!(run.code, 3, "{run:?}");
        let messages = run.json()["messages"].as_array().unwrap().clone();
        messages.iter().map(|one| one["body"].clone()).collect::<Vec<_>>()
    };
    assert_eq!(said(&file), [Value::Null, Value::Null]);

    let forget = ["forget", "--as", "bruno", "--thread", THREAD];
    assert_eq!(agreed.b.run(&forget).ok()["erased"], 2);
    assert_eq!(agreed.b.run(&forget).ok()["erased"], 0);
    let kept = agreed.b.run(&["log", "tail", "--as", "bruno"]).lines();
    let of_messages = ["sent", "received"];
    let is_message = |one: &&Value| of_messages.iter().any(|act| one["statement"]["act"] == *act);
    let messages: Vec<_> = kept.iter().filter(is_message).collect();
    assert_eq!(messages.len(), 2);
    assert!(messages.iter().all(|one| one["kept"] == false), "{messages:?}");
    export(&agreed.b, "bruno", &["--thread", THREAD], &file).ok();
    assert_eq!(said(&file), [Value::Null, Value::Null]);
    // What the other side keeps is theirs, and proves the same.
    let (run, _) = agreed.case();
    assert_eq!(run.code, 3, "{run:?}");
    let verdict = run.json();
    assert_eq!(verdict["contradictions"], json!([]));
    assert!(verdict["messages"][0]["body"].as_str().unwrap().contains("40 units"), "{verdict}");
}

#[test]
fn the_log_is_looked_at_and_written_as_tiles() {
    let agreed = Agreed::new();
    let status = agreed.a.run(&["log", "status"]).ok();
    assert!(0 < status["size"].as_u64().unwrap(), "{status}");
    assert!(!status["others"].as_array().unwrap().is_empty(), "{status}");
    assert_eq!(status["others"][0]["contradictions"], json!([]));
    let head = agreed.a.run(&["log", "head"]).ok();
    let note = head["checkpoint"].as_str().unwrap();
    let origin = note.lines().next().unwrap();
    assert!(status["key"].as_str().unwrap().starts_with(&format!("{origin}+")), "{status} {head}");

    let folder = agreed.file("tiles");
    let tiles = ["log", "tiles", "-o", folder.to_str().unwrap()];
    let written = agreed.a.run(&tiles).ok();
    let size: u64 = written["size"].as_u64().unwrap();
    assert_eq!(agreed.a.run(&tiles).ok()["files"], written["files"], "the same again");
    let note = std::fs::read_to_string(folder.join("checkpoint")).unwrap();
    assert_eq!(note.lines().nth(1), Some(size.to_string().as_str()));
    let entries = std::fs::read(folder.join(format!("tile/entries/000.p/{size}"))).unwrap();
    assert_eq!(entries.len() as u64, 34 * size, "each has 32 bytes, after its length");
    let hashes = std::fs::read(folder.join(format!("tile/0/000.p/{size}"))).unwrap();
    assert_eq!(hashes.len() as u64, 32 * size);
}

#[test]
fn the_rules_of_an_agent_are_in_its_log_each_time_that_they_change() {
    let mut node = TestNode::start();
    let bruno = node.add("bruno");
    let said = |node: &TestNode| -> Vec<Value> {
        let lines = node.run(&["log", "tail", "--as", "bruno"]).lines();
        lines.into_iter().filter(|one| one["statement"]["act"] == "policy").collect()
    };
    assert_eq!(said(&node).len(), 1);
    node = node.restart();
    assert_eq!(said(&node).len(), 1, "they are the same");
    let settings = "[agents.bruno.policy]\ntemplate = \"closed\"\n";
    std::fs::write(node.data().join("comity.toml"), settings).unwrap();
    node = node.restart();
    assert_eq!(said(&node).len(), 2);
    let file = node.data().join("bruno.json");
    export(&node, "bruno", &["--with", bruno["did"].as_str().unwrap()], &file).ok();
    let bundle: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    let shown = bundle["parts"][0]["export"]["statements"].as_array().unwrap();
    let rules: Vec<Value> = shown
        .iter()
        .filter(|one| one["text"].as_str().unwrap().contains("\"act\":\"policy\""))
        .map(|one| one["object"]["text"].as_str().map_or(Value::Null, |text| json!(text)))
        .collect();
    let [former, latest] = rules.as_slice() else { panic!("{rules:?}") };
    assert!(former.is_null(), "what is not in force any more is not kept");
    assert!(latest.as_str().unwrap().contains("\"template\":\"closed\""), "{latest}");
}

#[test]
fn what_cannot_be_shown_or_read_says_what_to_do() {
    let (a, _aria, _b, _bruno) = start_demo_pair();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("none.json");
    let export = |name: &str| export(&a, name, &["--thread", "no-such"], &file).error(1);
    assert_eq!(export("aria")["code"], "node.no-evidence");
    assert_eq!(export("nobody")["code"], "node.no-such-agent");
    assert!(!file.exists());
    assert_eq!(verify(&file, &[]).error(1)["code"], "file.unreadable");
    std::fs::write(&file, "{}").unwrap();
    let out = folder.path().join("merged.json");
    let paths = [&file, &out].map(|path| path.to_str().unwrap());
    let merge = comity(&["--json", "evidence", "merge", paths[0], "-o", paths[1]]);
    assert_eq!(merge.error(1)["code"], "evidence.malformed");
    let policy = verify(&file, &["--policy", paths[0]]);
    assert_eq!(policy.error(1)["code"], "policy.malformed");
    let document = verify(&file, &["--document", paths[0]]);
    assert_eq!(document.error(1)["code"], "document.malformed");
}
