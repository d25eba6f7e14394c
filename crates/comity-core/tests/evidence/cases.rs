//! The corpus: what each kind of honest and of dishonest bundle is found to be. Each case is also a file
//! of the published corpus (`golden.rs`).

use comity_core::evidence::{Bundle, KeyState, Outcome, Selection, Trusted, Verdict, verify};
use comity_core::log::{Act, Checkpoint, WitnessPolicy};
use comity_core::receipt::State;
use comity_didcomm::DidDocument;
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use super::world::{Party, World, bundle};

/// A case of the corpus.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) text: String,
    pub(crate) policy: Option<String>,
    pub(crate) documents: Vec<DidDocument>,
    pub(crate) outcome: Outcome,
    /// Words of the finding that decides, if one does.
    pub(crate) finding: &'static str,
}

impl Case {
    fn new(name: &'static str, bundle: &Bundle, outcome: Outcome, finding: &'static str) -> Self {
        let text = format!("{}\n", bundle.to_text());
        Self { name, text, policy: None, documents: Vec::new(), outcome, finding }
    }

    fn text(name: &'static str, text: String, outcome: Outcome) -> Self {
        Self { name, text, policy: None, documents: Vec::new(), outcome, finding: "" }
    }

    fn with_policy(self, policy: String) -> Self {
        Self { policy: Some(policy), ..self }
    }

    fn given(self, documents: &[&Party]) -> Self {
        let documents = documents.iter().map(|party| party.document.clone()).collect();
        Self { documents, ..self }
    }

    pub(crate) fn verdict(&self) -> Verdict {
        let policy = self.policy.as_deref().map(|policy| WitnessPolicy::parse(policy).unwrap());
        let trusted = Trusted { policy, documents: self.documents.clone() };
        verify(self.text.as_bytes(), &trusted)
    }
}

fn thread() -> Selection {
    Selection::Thread("t-1".to_owned())
}

/// Every case.
pub(crate) fn all() -> Vec<Case> {
    let mut cases = honest();
    cases.extend(of_one_side());
    cases.extend(of_both_sides());
    cases.extend(of_the_log());
    cases.extend(of_keys());
    cases.extend(of_the_form());
    cases
}

fn web() -> World {
    let mut world = World::web(1);
    world.talk();
    world
}

fn honest() -> Vec<Case> {
    use Outcome::{Insufficient, Proven};
    let world = web();
    let (a, b) = (&world.a, &world.b);
    let one = bundle(vec![world.part_a(thread())]);
    let mut peers = World::peer(2);
    peers.talk();
    let peer = bundle(vec![peers.part_a(thread())]);
    let mut without = world.a.export(thread(), &world.witnesses());
    let messages = [Act::Sent, Act::Received].map(Act::as_str);
    for shown in &mut without.statements {
        if messages.iter().any(|act| shown.text.contains(&format!("\"act\":\"{act}\""))) {
            shown.object = None;
        }
    }
    let without = bundle(vec![a.sign(without), world.part_b(thread())]);
    let numbers =
        |side: &super::world::Side| Selection::Numbers { from: 1, to: side.chain.len() as u64 };
    let all = bundle(vec![world.part_a(numbers(a)), world.part_b(numbers(b))]);
    let with = bundle(vec![
        world.part_a(Selection::With(b.agent.did.clone())),
        world.part_b(Selection::With(a.agent.did.clone())),
    ]);
    let mut old_head = world.a.export(thread(), &world.witnesses());
    old_head.at.0 += 301;
    let old_head = bundle(vec![a.sign(old_head), world.part_b(thread())]);
    let unknown = || Selection::Thread("t-unknown".to_owned());
    // One exports, and says something more before the other exports.
    let mut goes_on = web();
    let earlier = goes_on.part_a(thread());
    goes_on.pass(1_000);
    goes_on.say(true, "t-1", "One thing more.");
    goes_on.pass(5);
    goes_on.witness();
    let goes_on = bundle(vec![earlier, goes_on.part_b(thread())]);
    // Who cosigned has nothing to do with either side.
    let mut of_stranger = World::web(3);
    of_stranger.say(true, "t-1", "A stranger sees this.");
    let cosigner = World::web(9).b.witness;
    let now = of_stranger.a.now;
    for side in [&mut of_stranger.a, &mut of_stranger.b] {
        let size = side.checkpoint();
        side.cosigned_by(size, &cosigner, now);
    }
    let known = [of_stranger.witnesses().to_vec(), vec![cosigner.public().clone()]].concat();
    let of_stranger = bundle(vec![
        of_stranger.a.sign(of_stranger.a.export(thread(), &known)),
        of_stranger.b.sign(of_stranger.b.export(thread(), &known)),
    ]);
    let nothing = bundle(vec![world.part_a(unknown()), world.part_b(unknown())]);
    let mut alone = World::web(3);
    alone.say(true, "t-1", "Nobody sees this.");
    alone.a.checkpoint();
    alone.b.checkpoint();
    let stranger = World::web(9);
    vec![
        Case::new("both-sides", &world.case(), Proven, ""),
        Case::new("one-side", &one, Insufficient, "has the key"),
        Case::new("one-side-documents-given", &one, Proven, "")
            .given(&[&a.agent, &b.agent, &a.node, &b.node]),
        Case::new("one-side-did-peer", &peer, Proven, ""),
        Case::new("both-sides-policy", &world.case(), Proven, "").with_policy(world.policy()),
        Case::new("policy-of-others", &world.case(), Insufficient, "does not name the log")
            .with_policy(stranger.policy()),
        Case::new("quorum-not-met", &world.case(), Insufficient, "quorum")
            .with_policy(world.policy().replace("any a b", "all a b")),
        Case::new("without-bodies", &without, Insufficient, "signed text"),
        Case::new("everything", &all, Proven, ""),
        Case::new("with-the-other", &with, Proven, ""),
        Case::new("exported-at-different-times", &goes_on, Proven, ""),
        Case::new("witnessed-by-a-stranger", &of_stranger, Insufficient, "no other node"),
        Case::new("old-head", &old_head, Insufficient, "what came between"),
        Case::new("nothing-of-it", &nothing, Insufficient, "shows nothing"),
        Case::new("not-witnessed", &alone.case(), Insufficient, "no other node"),
    ]
}

/// What one side alone can do to its own export, with its own keys.
fn of_one_side() -> Vec<Case> {
    use Outcome::Contradiction;
    let world = web();
    let changed = |change: &dyn Fn(&mut comity_core::evidence::Export)| {
        let mut export = world.a.export(thread(), &world.witnesses());
        change(&mut export);
        bundle(vec![world.a.sign(export), world.part_b(thread())])
    };
    let message = |export: &comity_core::evidence::Export| {
        export.statements.iter().position(|one| one.text.contains("\"act\":\"sent\"")).unwrap()
    };
    let mut unsigned = world.case();
    unsigned.parts[0].export.at.0 += 1;
    vec![
        Case::new("edited-after-signing", &unsigned, Contradiction, "not what its agent signed"),
        Case::new(
            "text-changed",
            &changed(&|export| {
                let at = message(export);
                let object = export.statements[at].object.as_mut().unwrap();
                object.text = object.text.replacen("eyJ", "eyK", 1);
            }),
            Contradiction,
            "another digest",
        ),
        Case::new(
            "salt-changed",
            &changed(&|export| {
                let at = message(export);
                export.statements[at].object.as_mut().unwrap().salt = "A".repeat(22);
            }),
            Contradiction,
            "another digest",
        ),
        Case::new(
            "statement-changed",
            &changed(&|export| {
                let at = message(export);
                let text = &mut export.statements[at].text;
                *text = text.replacen("1800000010", "1800000011", 1);
            }),
            Contradiction,
            "not the one that its chain has",
        ),
        Case::new(
            "left-out",
            &changed(&|export| {
                let at = message(export);
                export.statements.remove(at);
            }),
            Contradiction,
            "left out",
        ),
        Case::new(
            "chain-cut",
            &changed(&|export| {
                export.links.pop();
                export.statements.retain(|one| one.seq <= export.links.len() as u64);
            }),
            Contradiction,
            "do not lead to the end",
        ),
        Case::new(
            "link-changed",
            &changed(&|export| export.links[3].peer = "AAAAAAAAAAAAAAAA".to_owned()),
            Contradiction,
            "do not lead to the end",
        ),
        Case::new(
            "index-swapped",
            &changed(&|export| {
                let at = message(export);
                export.statements[at].index += 1;
            }),
            Contradiction,
            "not in the log there",
        ),
        Case::new(
            "numbers-beyond-the-chain",
            &changed(&|export| {
                export.selection = Selection::Numbers { from: 1, to: 1_000 };
            }),
            Contradiction,
            "not accounted for",
        ),
        Case::new(
            "another-log-key",
            &changed(&|export| export.log = world.b.log.public().clone()),
            Contradiction,
            "not signed by its log",
        ),
    ]
}

/// What shows only when both sides are there.
fn of_both_sides() -> Vec<Case> {
    use Outcome::{Contradiction, Insufficient};
    // The recipient signs that it has a message, and rewrites its log without it.
    let mut denied = World::web(4);
    denied.talk();
    let honest = denied.clone();
    denied.b = World::web(4).b;
    let (a, peer) = (denied.a.agent.did.clone(), honest.a.agent);
    denied.b.decide(&a, &mut denied.rng);
    denied.b.use_document(&peer, &mut denied.rng);
    let unsaid = |mut world: World| {
        world.b.now = world.a.now;
        let size = world.b.checkpoint();
        world.b.cosigned_by(size, &world.a.witness, world.b.now);
        bundle(vec![
            world.part_a(thread()),
            world.part_b(Selection::With(world.a.agent.did.clone())),
        ])
    };
    let denied = unsaid(denied);
    // The sender leaves out what it said.
    let mut unsaid = World::web(5);
    unsaid.pass(1_000);
    unsaid.talk();
    let mut without = World::web(5);
    let (a, b) = (without.a.agent.did.clone(), without.b.agent.did.clone());
    without.b.decide(&a, &mut without.rng);
    without.a.decide(&b, &mut without.rng);
    let node = unsaid.b.node.clone();
    without.a.use_document(&node, &mut without.rng);
    let other = unsaid.b.agent.clone();
    without.a.use_document(&other, &mut without.rng);
    without.a.now = unsaid.a.now + 1_000;
    let size = without.a.checkpoint();
    without.a.cosigned_by(size, &unsaid.b.witness, without.a.now);
    let part = without
        .a
        .sign(without.a.export(Selection::With(unsaid.b.agent.did.clone()), &unsaid.witnesses()));
    let unsaid = bundle(vec![part, unsaid.part_b(thread())]);
    // Each side has another text, both signed by the sender.
    let mut two_texts = World::web(6);
    two_texts.talk();
    let mut other = World::web(6);
    other.b.decide(&two_texts.a.agent.did.clone(), &mut other.rng);
    other.a.decide(&two_texts.b.agent.did.clone(), &mut other.rng);
    other.witness();
    other.pass(10);
    other.say(true, "t-1", "Shall we not?");
    other.pass(10);
    other.witness();
    let two_texts = bundle(vec![two_texts.part_a(thread()), other.part_b(thread())]);
    // The receipt names another place in the log than the message has.
    let mut elsewhere = World::web(7);
    elsewhere.witness();
    elsewhere.pass(10);
    let id = elsewhere.send(true, "t-1", "Where is it?");
    let mut moved = elsewhere.clone();
    let line = moved.b.chain.iter_mut().find(|line| line.statement.act == Act::Received).unwrap();
    line.index += 7;
    moved.receipt(true, &id);
    elsewhere.a = moved.a;
    elsewhere.rng = moved.rng;
    elsewhere.pass(10);
    elsewhere.witness();
    // The receipt is about another text.
    let mut other_text = World::web(7);
    other_text.witness();
    other_text.pass(10);
    let another = other_text.say(true, "t-2", "Another.");
    let id = other_text.send(true, "t-1", "This one.");
    let mut mistaken = other_text.clone();
    let is_of = |id: &str, line: &super::world::Line| {
        line.statement.act == Act::Received && line.statement.id == id
    };
    let object = |world: &World| {
        world.b.chain.iter().find(|line| is_of(&another, line)).unwrap().object.clone()
    };
    let text = object(&mistaken);
    mistaken.b.chain.iter_mut().find(|line| is_of(&id, line)).unwrap().object = text;
    mistaken.receipt(true, &id);
    other_text.a = mistaken.a;
    other_text.pass(10);
    other_text.witness();
    vec![
        Case::new("receipt-of-another-text", &other_text.case(), Insufficient, "another text"),
        Case::new("accepted-and-left-out", &denied, Contradiction, "leaves it out"),
        Case::new("signed-and-left-out", &unsaid, Contradiction, "that its export leaves out"),
        Case::new("two-texts", &two_texts, Contradiction, "different texts"),
        Case::new("elsewhere-in-the-log", &elsewhere.case(), Contradiction, "elsewhere"),
    ]
}

/// What the keeper of a log can do.
fn of_the_log() -> Vec<Case> {
    use Outcome::Contradiction;
    let world = web();
    // The log is rewritten: one more word in it, and all after it anew.
    let mut rewritten = World::web(1);
    let (a, b) = (world.a.agent.did.clone(), world.b.agent.did.clone());
    rewritten.b.decide(&a, &mut rewritten.rng);
    rewritten.a.decide(&b, &mut rewritten.rng);
    rewritten.pass(10);
    rewritten.say(true, "t-1", "Shall we, for nothing?");
    rewritten.pass(10);
    while rewritten.a.leaves.len() < world.a.leaves.len() {
        rewritten.a.append_foreign(&mut rewritten.rng);
    }
    rewritten.witness();
    let mut other = world.b.export(thread(), &world.witnesses());
    other.witnessed = vec![world.a.points.values().last().unwrap().clone()];
    let fork = bundle(vec![rewritten.part_a(thread()), world.b.sign(other)]);
    // A later checkpoint that does not continue the earlier one.
    let mut discontinued = world.clone();
    let last = *discontinued.a.points.keys().last().unwrap();
    let first = *discontinued.a.points.keys().next().unwrap();
    let note = Checkpoint::sign(
        &discontinued.a.log,
        comity_core::log::TreeHead { size: first, root: [7; 32] },
    );
    discontinued.a.points.insert(first, note);
    discontinued.a.cosigned_by(first, &world.b.witness, last);
    // Something is put into the log later, as if it had been said before.
    let mut back_dated = World::web(8);
    back_dated.talk();
    back_dated.pass(1_000);
    back_dated.witness();
    back_dated.a.now -= 900;
    back_dated.b.now -= 900;
    back_dated.say(true, "t-1", "As agreed long ago.");
    back_dated.pass(1_000);
    back_dated.witness();
    let mut post_dated = World::web(8);
    post_dated.talk();
    post_dated.pass(1_000);
    post_dated.say(true, "t-1", "Not yet said.");
    post_dated.a.now -= 900;
    post_dated.b.now -= 900;
    post_dated.witness();
    let mut forged = world.clone();
    let size = *forged.a.points.keys().last().unwrap();
    let note = forged.a.points.get_mut(&size).unwrap();
    let last = note.trim_end().rfind(' ').unwrap() + 20;
    let other = if note.as_bytes()[last] == b'A' { "B" } else { "A" };
    note.replace_range(last..=last, other);
    let mut spliced = world.b.export(thread(), &world.witnesses());
    let mut foreign = world.a.export(thread(), &world.witnesses()).statements;
    spliced.statements[1] = foreign.remove(1);
    let spliced = bundle(vec![world.part_a(thread()), world.b.sign(spliced)]);
    vec![
        Case::new("fork", &fork, Contradiction, "two histories"),
        Case::new("not-continued", &discontinued.case(), Contradiction, "does not continue"),
        Case::new("back-dated", &back_dated.case(), Contradiction, "dated before"),
        Case::new("post-dated", &post_dated.case(), Contradiction, "dated after"),
        Case::new("cosignature-forged", &forged.case(), Contradiction, "cosignature"),
        Case::new("spliced", &spliced, Contradiction, "not the one that its chain has"),
    ]
}

fn of_keys() -> Vec<Case> {
    use Outcome::{Contradiction, Insufficient, Proven};
    // A key is replaced after it was used.
    let mut later = web();
    later.pass(100);
    later.witness();
    later.a.agent.rotate(&mut later.rng);
    let own = later.a.agent.clone();
    later.a.use_document(&own, &mut later.rng);
    later.pass(10);
    later.say(true, "t-1", "With my new key.");
    later.pass(10);
    later.witness();
    // A key that was replaced is used again, by whoever has it.
    let mut stolen = web();
    let thief = stolen.a.agent.clone();
    stolen.pass(100);
    stolen.witness();
    stolen.a.agent.rotate(&mut stolen.rng);
    let own = stolen.a.agent.clone();
    stolen.a.use_document(&own, &mut stolen.rng);
    stolen.pass(10);
    stolen.witness();
    stolen.a.append_foreign(&mut stolen.rng);
    stolen.pass(1_000);
    stolen.witness();
    stolen.pass(10);
    let honest = stolen.a.clone();
    stolen.a.agent = thief;
    stolen.send(true, "t-9", "Pay to this account.");
    stolen.a = honest;
    stolen.pass(10);
    stolen.witness();
    let of_thief = Selection::Thread("t-9".to_owned());
    let stolen = bundle(vec![stolen.part_a(thread()), stolen.part_b(of_thief)]);
    // The change and the use of the former key lie between the same two checkpoints.
    let mut meanwhile = web();
    let former = meanwhile.a.agent.clone();
    meanwhile.pass(100);
    meanwhile.a.agent.rotate(&mut meanwhile.rng);
    let own = meanwhile.a.agent.clone();
    meanwhile.a.use_document(&own, &mut meanwhile.rng);
    let honest = meanwhile.a.clone();
    meanwhile.a.agent = former;
    meanwhile.send(true, "t-9", "Who says this?");
    meanwhile.a = honest;
    meanwhile.pass(10);
    meanwhile.witness();
    let of_either = Selection::Thread("t-9".to_owned());
    let meanwhile = bundle(vec![meanwhile.part_a(thread()), meanwhile.part_b(of_either)]);
    // The end of the chain is signed with a key that the agent had replaced.
    let mut old_head = later.clone();
    let present = old_head.a.agent.clone();
    old_head.a.agent = web().a.agent;
    let head = old_head.a.signed_head();
    old_head.a.agent = present;
    let mut export = old_head.a.export(thread(), &old_head.witnesses());
    export.head = head;
    let old_head = bundle(vec![old_head.a.sign(export), old_head.part_b(thread())]);
    // Somebody else's export under the agent's name.
    let mut usurped = web();
    let mut rng = StdRng::seed_from_u64(99);
    let (kid, did) = (usurped.a.agent.kid.clone(), usurped.a.agent.did.clone());
    usurped.a.agent = Party { kid, ..Party::web("m.example", None, &mut rng) };
    usurped.a.agent.did = did;
    vec![
        Case::new("key-replaced-later", &later.case(), Proven, ""),
        Case::new("key-replaced-before", &stolen, Insufficient, "had replaced before"),
        Case::new("key-replaced-meanwhile", &meanwhile, Insufficient, "whether before or after"),
        Case::new("head-by-a-former-key", &old_head, Contradiction, "not signed by its agent"),
        Case::new("another-signed", &usurped.case(), Contradiction, "not what its agent signed"),
    ]
}

fn of_the_form() -> Vec<Case> {
    use Outcome::Malformed;
    let text = web().case().to_text();
    let mut reordered = web().case();
    reordered.parts[0].export.statements.swap(0, 1);
    let part = reordered.parts[0].export.clone();
    reordered.parts[0] = web().a.sign(part);
    let value: serde_json::Value = serde_json::from_str(&text).unwrap();
    let world = web();
    let changed = |change: &dyn Fn(&mut comity_core::evidence::Export)| {
        let mut export = world.a.export(thread(), &world.witnesses());
        change(&mut export);
        bundle(vec![world.a.sign(export), world.part_b(thread())])
    };
    let short_tag = changed(&|export| export.links[3].peer.truncate(15));
    let short_hash = changed(&|export| export.links[3].statement.truncate(42));
    let log_as_witness = changed(&|export| export.witness = export.log.clone());
    let large = changed(&|export| export.statements.last_mut().unwrap().index = 1 << 53);
    let no_note = changed(&|export| export.witnessed.push("no note".to_owned()));
    vec![
        Case::new("tag-too-short", &short_tag, Malformed, ""),
        Case::new("hash-too-short", &short_hash, Malformed, ""),
        Case::new("log-key-as-witness", &log_as_witness, Malformed, ""),
        Case::new("number-too-large", &large, Malformed, ""),
        Case::new("witnessed-no-note", &no_note, Malformed, ""),
        Case::text("empty", String::new(), Malformed),
        Case::text("not-json", "evidence".to_owned(), Malformed),
        Case::text("truncated", text[..text.len() / 2].to_owned(), Malformed),
        Case::text("pretty", serde_json::to_string_pretty(&value).unwrap(), Malformed),
        Case::text(
            "other-format",
            text.replace("comity-evidence/1", "comity-evidence/9"),
            Malformed,
        ),
        Case::text("another-member", text.replacen("\"at\":", "\"as\":1,\"at\":", 1), Malformed),
        Case::text(
            "no-parts",
            r#"{"format":"comity-evidence/1","parts":[]}"#.to_owned(),
            Malformed,
        ),
        Case::text("twice-named", text.replacen("\"at\":", "\"at\":1,\"at\":", 1), Malformed),
        Case::new("reordered", &reordered, Malformed, ""),
    ]
}

#[test]
fn every_case_is_found_to_be_what_it_is() {
    for case in all() {
        let verdict = case.verdict();
        assert_eq!(verdict.outcome, case.outcome, "{}: {verdict:#?}", case.name);
        let mut found: Vec<&str> =
            verdict.contradictions.iter().map(|one| one.what.as_str()).collect();
        found.extend(verdict.missing.iter().map(String::as_str));
        assert!(
            case.finding.is_empty() || found.iter().any(|found| found.contains(case.finding)),
            "{}: {found:?}",
            case.name
        );
    }
}

#[test]
fn a_verdict_tells_who_said_what_when_and_what_became_of_it() {
    let verdict = verify(web().case().to_text().as_bytes(), &Trusted::default());
    let said: Vec<_> = verdict
        .messages
        .iter()
        .map(|one| (one.id.as_str(), one.from.as_str(), one.body.clone().unwrap()))
        .collect();
    let (aria, bruno) = ("did:web:a.example:agents:aria", "did:web:b.example:agents:bruno");
    assert_eq!(
        said,
        [
            ("m-1", aria, r#"{"content":"Shall we?"}"#.to_owned()),
            ("m-3", bruno, r#"{"content":"Yes."}"#.to_owned()),
            ("m-7", aria, r#"{"content":"Agreed: 100."}"#.to_owned()),
        ]
    );
    let first = &verdict.messages[0];
    assert_eq!(first.key, Some(KeyState::Good));
    for times in [&first.sent, &first.received] {
        let times = times.as_ref().unwrap();
        let bounds = (times.after.as_ref().unwrap().at.0, times.before.as_ref().unwrap().at.0);
        assert!(bounds.0 <= times.claimed.0 && times.claimed.0 <= bounds.1, "{times:?}");
    }
    assert_eq!(
        first.sent.as_ref().unwrap().before.as_ref().unwrap().witness,
        "b.example/log/00000001"
    );
    assert_eq!(first.reached[0].state, State::Accepted.as_str());
    assert_eq!(first.reached[0].by.as_str(), "did:web:b.example");
    let allowed = first.allowed.as_ref().unwrap();
    assert_eq!(
        (allowed.ground.as_str(), allowed.by.as_deref()),
        ("allow-list", Some(r#"{"decision":"allow"}"#))
    );
    let shown: Vec<_> = verdict.exports.iter().map(|one| (one.numbers.0, one.withheld)).collect();
    assert_eq!(shown, [(1, 1), (1, 1)], "the other thread is accounted for, and not shown");
    assert_eq!(verdict.rests_on.len(), 8, "{:#?}", verdict.rests_on);
}

#[test]
fn times_before_and_after_a_key_was_replaced_are_told_apart() {
    let cases = all();
    let states = |name: &str| -> Vec<Option<KeyState>> {
        let case = cases.iter().find(|case| case.name == name).unwrap();
        case.verdict().messages.iter().map(|one| one.key).collect()
    };
    use KeyState::{Good, ReplacedBefore, ReplacedLater};
    let later = states("key-replaced-later");
    assert_eq!(later, [Some(ReplacedLater), Some(Good), Some(ReplacedLater), Some(Good)]);
    let before = states("key-replaced-before");
    assert!(before.contains(&Some(ReplacedBefore)), "{before:?}");
}

#[test]
fn more_statements_about_one_message_than_are_read_are_refused() {
    let verdict = |count: usize| {
        let mut world = web();
        let line = world.a.chain.iter().find(|line| line.statement.act == Act::Sent).unwrap();
        let (statement, object) = (line.statement.clone(), line.object.clone());
        for _ in 0..count {
            world.a.append(statement.clone(), object.clone());
        }
        world.witness();
        verify(world.case().to_text().as_bytes(), &Trusted::default())
    };
    // Two are there already: one of each side.
    assert_eq!(verdict(998).outcome, Outcome::Proven);
    let refused = verdict(999);
    assert_eq!(refused.outcome, Outcome::Malformed);
    assert!(refused.malformed.unwrap().contains("too many statements about m-1"));
}
