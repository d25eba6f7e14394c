//! Makes mutants of golden envelopes: the n-th is always the same. What a kind of mutation does is said in
//! `docs/conformance/README.md`, so that others can do likewise.

mod kinds;

use serde_json::Value;

use self::kinds::{Draw, KINDS};
use super::curve::Key;
use super::jwe::{Jwe, object};
use super::library::Meaning;
use super::seed::Seed;
use super::world::World;

/// An honest envelope that is mutated.
pub(crate) struct Golden {
    pub(crate) id: String,
    pub(crate) packed: String,
    pub(crate) meaning: Meaning,
    value: Value,
    /// What stands inside an outer anoncrypt that anybody could make anew, and whom it is for.
    inner: Option<(Box<Self>, (String, Key))>,
}

impl Golden {
    pub(crate) fn new(world: &World, entry: &Value, meaning: Meaning) -> Self {
        let packed = entry["packed"].as_str().unwrap().to_owned();
        let value: Value = serde_json::from_str(&packed).unwrap();
        let layers = entry["layers"].as_array().unwrap();
        let inner = (layers.len() == 2 && layers[0] == "anoncrypt").then(|| {
            let receivers = [super::world::BOB];
            let text = super::naive::layer(world, &receivers, &object(value.clone())).unwrap();
            let text = String::from_utf8(text).unwrap();
            let kid = entry["opened_by"].as_str().unwrap().to_owned();
            let key = world.key(&kid).clone();
            let value = serde_json::from_str(&text).unwrap();
            let id = String::new();
            let meaning = meaning.clone();
            (Box::new(Self { id, packed: text, meaning, value, inner: None }), (kid, key))
        });
        Self { id: entry["id"].as_str().unwrap().to_owned(), packed, meaning, value, inner }
    }
}

/// A changed golden.
pub(crate) struct Mutant {
    pub(crate) golden: usize,
    /// Where parts of it may come from.
    pub(crate) other: usize,
    pub(crate) kind: &'static str,
    pub(crate) bytes: Vec<u8>,
}

/// The kind of those whose inner layer was changed and honestly encrypted again.
pub(crate) const INNER: &str = "the inner layer";

/// Makes the mutant of this number.
pub(crate) fn mutant(goldens: &[Golden], number: usize) -> Mutant {
    let mut seed = Seed::new(&format!("mutant/{number}"));
    loop {
        let (golden, other) = (seed.below(goldens.len()), seed.below(goldens.len()));
        let (one, another) = (&goldens[golden], &goldens[other]);
        // Every eighth goes into the inner layer, if there is one, and is honestly encrypted again.
        let is_inner = seed.below(8) == 0;
        if let Some((inner, recipient)) = one.inner.as_ref().filter(|_| is_inner) {
            let source = another.inner.as_ref().map_or(another, |(inner, _)| &**inner);
            let mut draw = Draw { seed: &mut seed, golden: inner, other: source };
            let (_, mutate) = KINDS[draw.seed.below(KINDS.len())];
            let Some(bytes) = mutate(&mut draw).filter(|bytes| *bytes != inner.packed.as_bytes())
            else {
                continue;
            };
            let bytes = resealed(&bytes, recipient, seed);
            return Mutant { golden, other, kind: INNER, bytes };
        }
        let mut draw = Draw { seed: &mut seed, golden: one, other: another };
        let (kind, mutate) = KINDS[draw.seed.below(KINDS.len())];
        match mutate(&mut draw) {
            Some(bytes) if bytes != one.packed.as_bytes() => {
                return Mutant { golden, other, kind, bytes };
            }
            _ => {}
        }
    }
}

fn resealed(text: &[u8], recipient: &(String, Key), seed: Seed) -> Vec<u8> {
    let recipients = [recipient.clone()];
    let jwe = Jwe {
        alg: "ECDH-ES+A256KW",
        enc: "A256CBC-HS512",
        sealer: None,
        skid: None,
        apu: None,
        recipients: &recipients,
        ephemeral_secret: None,
        tag_bytes: 64,
        header: &|_| (),
        seed,
    };
    Value::Object(jwe.write(text)).to_string().into_bytes()
}
