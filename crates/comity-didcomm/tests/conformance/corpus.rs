//! The two lists that the themes fill: envelopes that must be refused, and their honest twins, which must be accepted.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::letter::{Layer, Letter};
use super::naive;
use super::text::unb64;
use super::world::{BOB, World};

/// The codes of the refusals, as this library sends them.
pub(crate) mod code {
    pub(crate) const ALGORITHM: &str = "e.m.trust.crypto.alg";
    pub(crate) const CRYPTO: &str = "e.m.trust.crypto";
    pub(crate) const ENVELOPE: &str = "e.m.msg.envelope";
    pub(crate) const EXPIRED: &str = "e.m.req.time.expired";
    pub(crate) const FROM_PRIOR: &str = "e.m.did.from-prior";
    pub(crate) const KEY: &str = "e.m.trust.crypto.key";
    pub(crate) const MALFORMED: &str = "e.m.msg.malformed";
    pub(crate) const MISMATCH: &str = "e.m.trust.crypto.sender-mismatch";
    pub(crate) const NOT_ADDRESSED: &str = "e.m.trust.not-addressed";
    pub(crate) const NOT_YET: &str = "e.m.req.time";
    pub(crate) const UNKNOWN_RECIPIENT: &str = "e.m.xfer.unknown-recipient";
    pub(crate) const UNPROTECTED: &str = "e.m.msg.unencrypted";
    pub(crate) const UNSUPPORTED: &str = "e.m.msg.unsupported-header";
}

/// What a group of refusals has in common.
#[derive(Clone, Copy)]
pub(crate) struct Group {
    pub(crate) name: &'static str,
    /// The section of the specification that the envelopes break.
    pub(crate) spec: &'static str,
}

/// One fault.
pub(crate) struct Fault<'a> {
    /// Says what is wrong; unique within its group and honest letter.
    pub(crate) text: &'a str,
    pub(crate) code: &'static str,
    /// Whose keys the reader has.
    pub(crate) receivers: &'a [&'static str],
}

impl<'a> Fault<'a> {
    pub(crate) const fn new(text: &'a str, code: &'static str) -> Self {
        Self { text, code, receivers: &[BOB] }
    }
}

/// Both lists.
pub(crate) struct Corpus<'w> {
    pub(crate) world: &'w World,
    pub(crate) accept: Vec<Value>,
    pub(crate) refuse: Vec<Value>,
    /// The groups of the refusals, and the section of the specification that each breaks.
    pub(crate) groups: BTreeMap<&'static str, &'static str>,
    labels: BTreeSet<String>,
}

impl<'w> Corpus<'w> {
    pub(crate) const fn new(world: &'w World) -> Self {
        let groups = BTreeMap::new();
        Self { world, accept: Vec::new(), refuse: Vec::new(), groups, labels: BTreeSet::new() }
    }

    /// Takes an honest letter, unless one of its name is there.
    pub(crate) fn accept(&mut self, letter: &Letter) {
        self.accept_as(letter, &letter.write(self.world));
    }

    /// Takes an honest letter whose finished text was changed into an equivalent one.
    pub(crate) fn accept_as(&mut self, letter: &Letter, packed: &str) {
        if !self.labels.insert(letter.label.clone()) {
            return;
        }
        let has = |layer: Layer| letter.nest.contains(&layer);
        let innermost = letter.nest.iter().rposition(|layer| *layer != Layer::Sign);
        let layers: Vec<String> = letter.nest.iter().map(Layer::to_string).collect();
        let kid = letter.kid.as_ref().or(letter.header_kid.as_ref());
        self.accept.push(json!({
            "id": letter.label,
            "receivers": [BOB],
            "packed": packed,
            "layers": layers,
            "message": letter.message,
            "from_kid": letter.apu.as_ref().filter(|_| has(Layer::Authcrypt)),
            "sign_kid": kid.filter(|_| has(Layer::Sign)),
            "opened_by": innermost.map(|at| &letter.recipients[at][0].0),
            "rotation": letter.message.get("from_prior").map(claims),
        }));
    }

    /// Takes a letter with one fault, and its honest twin.
    pub(crate) fn refuse(
        &mut self,
        group: Group,
        honest: &Letter,
        fault: &Fault<'_>,
        wrong: &Letter,
    ) {
        let packed = wrong.write(self.world);
        self.refuse_as(group, honest, fault, &packed);
    }

    pub(crate) fn refuse_as(
        &mut self,
        group: Group,
        honest: &Letter,
        fault: &Fault<'_>,
        packed: &str,
    ) {
        self.accept(honest);
        self.groups.insert(group.name, group.spec);
        let sound = naive::open(self.world, fault.receivers, packed).is_some();
        self.refuse.push(json!({
            "id": format!("{}: {}: {}", group.name, honest.label, fault.text),
            "control": honest.label,
            "receivers": fault.receivers,
            "sound": sound,
            "code": fault.code,
            "packed": packed,
        }));
    }
}

/// What a token says: who signs, and who succeeds whom.
fn claims(token: &Value) -> Value {
    let parts: Vec<Value> = token
        .as_str()
        .unwrap()
        .split('.')
        .take(2)
        .map(|part| serde_json::from_slice(&unb64(part).unwrap()).unwrap())
        .collect();
    json!({ "kid": parts[0]["kid"], "iss": parts[1]["iss"], "sub": parts[1]["sub"], "iat": parts[1]["iat"] })
}
