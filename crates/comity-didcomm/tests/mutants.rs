//! A hundred thousand mutants of the honest envelopes of `docs/conformance/must-accept.json`: none is accepted with
//! another meaning. What is accepted with the same meaning is counted by the kind of mutation.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "tests"
)]

#[path = "conformance/forge.rs"]
mod forge;

use std::collections::{BTreeMap, BTreeSet};

use forge::files::{self, entries};
use forge::library::{Library, Meaning};
use forge::mutate::{Golden, INNER, Mutant, mutant};
use forge::world::{BOB, World};
use serde_json::{Value, json};

/// How many mutants there are, in so many tests.
const MUTANTS: usize = 100_000;
const SHARDS: usize = 8;
/// How many of them are published: the first that are text and not long.
const PUBLISHED: usize = 1000;
const PUBLISHED_BYTES_MAX: usize = 1000;

struct Goldens {
    library: Library,
    goldens: Vec<Golden>,
}

/// What became of a mutant.
#[derive(Debug, PartialEq, Eq)]
enum Fate {
    Refused,
    /// Opened, and it says what this golden says: its own, or the one that a part came from.
    Same(usize),
    /// Opened, and it says something else.
    Changed,
}

impl Goldens {
    fn read(is_wanted: impl Fn(&Value) -> bool) -> Self {
        let world = World::new();
        let library = Library::new(
            &files::read("dids.json")["dids"],
            &files::read("secrets.json")["secrets"],
        );
        let goldens = entries("must-accept.json").into_iter().filter(is_wanted).map(|entry| {
            let packed = entry["packed"].as_str().unwrap();
            let meaning = Meaning::of(&library.open(&[BOB], packed.as_bytes()).unwrap());
            Golden::new(&world, &entry, meaning)
        });
        let goldens = goldens.collect();
        Self { library, goldens }
    }

    fn fate(&self, mutant: &Mutant) -> Fate {
        let Ok(opened) = self.library.open(&[BOB], &mutant.bytes) else { return Fate::Refused };
        let meaning = Meaning::of(&opened);
        // Anybody may encrypt a signed message again to those whom it is for: what it says, and who says it, stays.
        let says =
            |one: &Meaning| (one.plaintext.clone(), one.sender.clone(), one.rotation.clone());
        let is_same = |golden: &usize| {
            let known = &self.goldens[*golden].meaning;
            *known == meaning || mutant.kind == INNER && says(known) == says(&meaning)
        };
        [mutant.golden, mutant.other].into_iter().find(is_same).map_or(Fate::Changed, Fate::Same)
    }

    /// Judges every mutant of one shard.
    fn judge(&self, shard: usize) {
        let mut same: BTreeMap<&str, usize> = BTreeMap::new();
        let mut refused = 0;
        for number in (shard..MUTANTS).step_by(SHARDS) {
            let mutant = mutant(&self.goldens, number);
            match self.fate(&mutant) {
                Fate::Refused => refused += 1,
                Fate::Same(_) => *same.entry(mutant.kind).or_default() += 1,
                Fate::Changed => panic!(
                    "mutant {number} of {}, {}, says something else: {}",
                    self.goldens[mutant.golden].id,
                    mutant.kind,
                    String::from_utf8_lossy(&mutant.bytes),
                ),
            }
        }
        let accepted: usize = same.values().sum();
        eprintln!("{refused} refused; {accepted} accepted with the same meaning: {same:#?}");
        assert_eq!(refused + accepted, MUTANTS / SHARDS);
        // Otherwise the mutants are too coarse to say anything, or too fine.
        assert!(accepted * 20 < refused * 10 && 100 < accepted, "{accepted} of {refused}");
    }
}

/// A sample for others, with what became of each here.
#[test]
fn the_sample_of_mutants_is_current() {
    let all = Goldens::read(|_| true);
    let mut seen = BTreeSet::new();
    let entry = |number: usize| {
        let mutant = mutant(&all.goldens, number);
        let packed = std::str::from_utf8(&mutant.bytes).ok()?;
        let is_new = packed.len() <= PUBLISHED_BYTES_MAX && seen.insert(packed.to_owned());
        is_new.then(|| {
            json!({
                "number": number,
                "golden": all.goldens[mutant.golden].id,
                "kind": mutant.kind,
                "same_as": match all.fate(&mutant) {
                    Fate::Same(golden) => json!(all.goldens[golden].id),
                    _ => Value::Null,
                },
                "packed": packed,
            })
        })
    };
    let sample: Vec<Value> = (0..MUTANTS).filter_map(entry).take(PUBLISHED).collect();
    assert_eq!(sample.len(), PUBLISHED);
    let about = "no entry may be opened with another meaning than its golden's; where same_as is null this library refuses";
    files::check("mutants-sample.json", &files::list(&files::head(about), "entries", &sample));
}

fn shard(shard: usize) {
    Goldens::read(|_| true).judge(shard);
}

macro_rules! shards {
    ($($name:ident: $number:literal;)*) => {
        $(
            #[test]
            fn $name() {
                shard($number);
            }
        )*
    };
}

shards! {
    no_mutant_says_something_else_0: 0;
    no_mutant_says_something_else_1: 1;
    no_mutant_says_something_else_2: 2;
    no_mutant_says_something_else_3: 3;
    no_mutant_says_something_else_4: 4;
    no_mutant_says_something_else_5: 5;
    no_mutant_says_something_else_6: 6;
    no_mutant_says_something_else_7: 7;
}
