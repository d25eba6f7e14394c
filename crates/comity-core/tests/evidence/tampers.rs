//! Ten thousand tampers, by whoever has the file and by whoever has the agent's keys too: none is believed.

use comity_core::evidence::{
    Bundle, Export, MessageSeen, Outcome, Part, Selection, Shown, Trusted, Verdict, verify,
};
use comity_core::log::{Checkpoint, TreeHead};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::{Value, json};

use super::world::{Side, World};

const TAMPERS: usize = 2_500;

fn verdict(text: &str) -> Verdict {
    verify(text.as_bytes(), &Trusted::default())
}

pub(crate) fn worlds() -> Vec<World> {
    let mut worlds = vec![World::web(1), World::peer(2), World::web(3)];
    worlds.iter_mut().for_each(World::talk);
    worlds
}

/// Bytes of the file are changed, inserted and deleted, and it is cut off.
#[test]
fn no_damaged_file_is_believed() {
    let mut rng = StdRng::seed_from_u64(1);
    let files: Vec<String> = worlds().iter().map(|world| world.case().to_text()).collect();
    for number in 0..TAMPERS {
        let file = files.choose(&mut rng).unwrap();
        let mut bytes = file.clone().into_bytes();
        let at = rng.random_range(0..bytes.len());
        match number % 5 {
            0 => bytes[at] ^= 1 << rng.random_range(0..7),
            1 => bytes.insert(at, rng.random_range(32..127)),
            2 => drop(bytes.remove(at)),
            3 => bytes.truncate(at),
            _ => {
                let end = (at + rng.random_range(1..200)).min(bytes.len());
                bytes.drain(at..end);
            }
        }
        if bytes == file.as_bytes() {
            continue;
        }
        let verdict = verify(&bytes, &Trusted::default());
        let is_found = matches!(verdict.outcome, Outcome::Malformed | Outcome::Contradiction);
        assert!(is_found, "{number}: {:?} at {at}", verdict.outcome);
    }
}

/// Values are changed, list items deleted, repeated, reordered and spliced from another file, so that it
/// is still a well-formed file.
#[test]
fn no_edit_without_the_keys_is_believed() {
    let mut rng = StdRng::seed_from_u64(2);
    let files: Vec<Value> = worlds().iter().map(|world| json!(world.case())).collect();
    for number in 0..TAMPERS {
        let mut file = files[number % files.len()].clone();
        let honest = file.clone();
        let other = &files[(number + 1) % files.len()];
        edit(&mut file["parts"], &other["parts"], &mut rng);
        if file == honest {
            continue;
        }
        let verdict = verdict(&file.to_string());
        let is_found = matches!(verdict.outcome, Outcome::Malformed | Outcome::Contradiction);
        // Parts that were signed are not changed by standing beside others.
        let known = [&honest["parts"], &other["parts"]].map(|parts| parts.as_array().unwrap());
        let parts = file["parts"].as_array().map(Vec::as_slice).unwrap_or_default();
        let is_whole = parts.iter().all(|part| known.iter().any(|known| known.contains(part)));
        assert!(is_found || is_whole, "{number}: {:?} {:?}", verdict.outcome, verdict.missing);
    }
}

/// Changes something somewhere.
pub(crate) fn edit(value: &mut Value, other: &Value, rng: &mut StdRng) {
    match value {
        Value::Array(items) if !items.is_empty() => {
            let at = rng.random_range(0..items.len());
            match rng.random_range(0..10) {
                0 => drop(items.remove(at)),
                1 => items.insert(at, items[at].clone()),
                2 => {
                    let to = rng.random_range(0..items.len());
                    items.swap(at, to);
                }
                3 => items.truncate(at),
                4 => {
                    if let Some(theirs) = other.get(at.min(other.as_array().map_or(0, Vec::len))) {
                        items[at] = theirs.clone();
                    }
                }
                _ => edit(&mut items[at], other.get(at).unwrap_or(&Value::Null), rng),
            }
        }
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            let name = names.choose(rng).unwrap();
            let theirs = other.get(name).unwrap_or(&Value::Null);
            if rng.random_range(0..10) == 0 && !theirs.is_null() {
                members[name] = theirs.clone();
            } else {
                edit(&mut members[name], theirs, rng);
            }
        }
        Value::String(text) if !text.is_empty() => {
            let at = rng.random_range(0..text.len());
            if text.is_char_boundary(at) && text.is_char_boundary(at + 1) {
                let c = rng.random_range(b'A'..=b'Z') as char;
                text.replace_range(at..=at, c.encode_utf8(&mut [0; 4]));
            }
        }
        Value::Number(number) => *value = json!(number.as_u64().unwrap() + rng.random_range(1..3)),
        _ => {}
    }
}

/// What one side does to its own export with its own keys, which it then signs: whatever is still believed
/// is what the other side says too.
#[test]
fn nothing_false_is_believed_of_who_has_the_keys() {
    let mut rng = StdRng::seed_from_u64(3);
    let worlds = worlds();
    let honest: Vec<Vec<MessageSeen>> =
        worlds.iter().map(|world| verdict(&world.case().to_text()).messages).collect();
    let (mut found, mut harmless) = (0, 0);
    for number in 0..TAMPERS {
        let (world, honest) = (&worlds[number % worlds.len()], &honest[number % worlds.len()]);
        let other = &worlds[(number + 1) % worlds.len()];
        let case = world.case();
        let mut value = json!(case.parts[0].export);
        edit(&mut value, &json!(other.case().parts[0].export), &mut rng);
        let Ok(export) = serde_json::from_value::<Export>(value) else { continue };
        let parts = vec![world.a.sign(export), case.parts[1].clone()];
        let verdict = verdict(&Bundle { parts, ..case }.to_text());
        match verdict.outcome {
            Outcome::Malformed | Outcome::Contradiction => found += 1,
            Outcome::Insufficient => {}
            Outcome::Proven => {
                harmless += 1;
                let said = |messages: &[MessageSeen]| -> Vec<_> {
                    messages
                        .iter()
                        .map(|one| {
                            let (sent, received) = (one.sent.clone(), one.received.clone());
                            let claimed =
                                [sent, received].map(|times| times.map(|times| times.claimed));
                            (one.id.clone(), one.from.clone(), one.body.clone(), claimed)
                        })
                        .collect()
                };
                assert_eq!(said(&verdict.messages), said(honest), "{number}");
            }
        }
    }
    println!("{found} found, {harmless} changed nothing that is said");
    assert!(0 < found && 0 < harmless);
}

/// What the keeper of a log does, knowing what he does; each has its finding.
#[test]
fn each_kind_of_rewriting_is_found() {
    let mut rng = StdRng::seed_from_u64(4);
    let worlds = worlds();
    for number in 0..TAMPERS {
        let world = &worlds[number % worlds.len()];
        let (kind, part) = rewrite(number % 9, world, &mut rng);
        let case = world.case();
        let parts = vec![part, case.parts[1].clone()];
        let verdict = verdict(&Bundle { parts, ..case }.to_text());
        assert_eq!(
            verdict.outcome,
            Outcome::Contradiction,
            "{number}: {kind}: {:?}",
            verdict.missing
        );
        for one in &verdict.contradictions {
            assert!(!one.first.place.is_empty() && one.first != one.second, "{kind}: two pieces");
        }
    }
}

pub(crate) fn rewrite(kind: usize, world: &World, rng: &mut StdRng) -> (&'static str, Part) {
    let side = &world.a;
    let selection = || Selection::Thread("t-1".to_owned());
    let mut export = side.export(selection(), &world.witnesses());
    let any = rng.random_range(0..export.statements.len());
    let kind = match kind {
        0 => {
            // Delete: one that the selection covers.
            let covered: Vec<usize> = (0..export.statements.len())
                .filter(|at| export.statements[*at].text.contains("\"thid\":\"t-1\""))
                .collect();
            export.statements.remove(*covered.choose(rng).unwrap());
            "delete"
        }
        1 => {
            // Edit: the text of a statement.
            let text = &mut export.statements[any].text;
            let digit = text.find("\"at\":1800").unwrap() + 13;
            let new = if text.as_bytes()[digit] == b'9' { "8" } else { "9" };
            text.replace_range(digit..=digit, new);
            "edit"
        }
        2 => {
            // Insert: a statement of the other chain.
            let theirs = world.b.export(selection(), &world.witnesses()).statements;
            let end = export.links.len() as u64;
            let theirs: Vec<&Shown> =
                theirs.iter().filter(|one| (2..=end).contains(&one.seq)).collect();
            let one = (*theirs.choose(rng).unwrap()).clone();
            export.statements.retain(|shown| shown.seq != one.seq);
            let at = export.statements.partition_point(|shown| shown.seq < one.seq);
            export.statements.insert(at, one);
            "insert"
        }
        3 => {
            // Reorder: two links change places.
            let (one, other) =
                (rng.random_range(0..export.links.len()), rng.random_range(1..export.links.len()));
            let other = (one + other) % export.links.len();
            export.links.swap(one, other);
            "reorder"
        }
        4 => {
            // Truncate: the end of the chain is cut off, and the former head kept.
            let keep = rng.random_range(1..export.links.len());
            export.links.truncate(keep);
            export.statements.retain(|shown| shown.seq <= keep as u64);
            "truncate"
        }
        5 => {
            // Fork: another root under a size that was cosigned.
            let at = rng.random_range(0..export.checkpoints.len());
            let size = Checkpoint::parse(&export.checkpoints[at].note).unwrap().claimed().size;
            export.checkpoints[at].note =
                Checkpoint::sign(&side.log, TreeHead { size, root: rng.random() });
            "fork"
        }
        6 => {
            // Back-date: in a chain that is rewritten with all its consequences but the witnesses'.
            let mut other = side.clone();
            back_date(&mut other, rng);
            export = other.export(selection(), &world.witnesses());
            export.checkpoints = side.export(selection(), &world.witnesses()).checkpoints;
            "back-date"
        }
        7 => {
            // Swap keys: of the log, or of its witnesses.
            if rng.random() {
                export.log = world.b.log.public().clone();
            } else {
                // The last cosignature is replaced by one that another witness made of another text.
                let note = &mut export.checkpoints.last_mut().unwrap().note;
                note.truncate(note.trim_end().rfind('\n').unwrap() + 1);
                note.push_str(&world.a.witness.cosign("other\n", comity_didcomm::UnixTime(1)));
            }
            "swap keys"
        }
        _ => {
            // Splice: the chain of the other from some number on.
            let theirs = world.b.export(selection(), &world.witnesses()).links;
            let at = rng.random_range(0..export.links.len().min(theirs.len()));
            let end = export.links.len();
            export.links.truncate(at);
            export.links.extend(theirs.into_iter().skip(at));
            export.links.resize_with(end, || comity_core::evidence::Rest {
                peer: "A".repeat(16),
                statement: "A".repeat(43),
                thread: "A".repeat(16),
            });
            "splice"
        }
    };
    (kind, side.sign(export))
}

/// Makes the first message of a chain older, and links all after it anew.
fn back_date(side: &mut Side, rng: &mut StdRng) {
    let lines = std::mem::take(&mut side.chain);
    let earlier = rng.random_range(400..4_000);
    let mut is_done = false;
    for line in lines {
        let mut statement = line.statement;
        if !is_done && !statement.thid.is_empty() {
            statement.at.0 -= earlier;
            is_done = true;
        }
        let index = line.index;
        let appended = side.append(statement, line.object);
        appended.index = index;
        side.leaves.pop();
    }
}
