//! A world in memory: nodes with logs that witness each other, agents with keys, and what is said between
//! them. What a node writes is made here by the same functions, without store and network.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::evidence::{
    BUNDLE_FORMAT, Bundle, Export, Mark, Object, Part, Rest, Selection, Shown, sign_export,
};
use comity_core::log::{
    Act, Checkpoint, Frontier, KeyKind, LogQuote, Node as Subtree, NoteKey, Plan, Statement,
    TagSecret, VerifierKey, leaf_hash, node_hash, sign_head,
};
use comity_core::receipt::{Receipt, State, compose_receipts};
use comity_core::record::digest_text;
use comity_core::trust::{Admission, subject};
use comity_didcomm::{
    Did, DidDocument, DidUrl, Message, MessageId, SigningKey, UnixTime, VerificationMethod, did,
    sign,
};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

pub(crate) const START: u64 = 1_800_000_000;

/// An identity with its key.
#[derive(Clone)]
pub(crate) struct Party {
    pub(crate) did: Did,
    pub(crate) document: DidDocument,
    pub(crate) kid: DidUrl,
    pub(crate) key: SigningKey,
}

impl Party {
    pub(crate) fn web(name: &str, controller: Option<&Did>, rng: &mut StdRng) -> Self {
        let did: Did = format!("did:web:{name}").parse().unwrap();
        let key = SigningKey::generate(rng);
        let mut document = DidDocument::new(did.clone());
        let kid = document.add_key(VerificationMethod::new(did.url("key-1"), key.public()));
        document.authentication.push(kid.clone());
        document.controller.extend(controller.cloned());
        Self { did, document, kid, key }
    }

    pub(crate) fn peer(rng: &mut StdRng) -> Self {
        let key = SigningKey::generate(rng);
        let agreement = comity_didcomm::AgreementKey::generate(rng);
        let did = did::peer::create_4(&[key.public(), agreement.public()], &[]).unwrap().long;
        let document = comity_didcomm::resolve_self_contained(&did).unwrap().unwrap();
        let kid = document.authentication[0].clone();
        Self { did, document, kid, key }
    }

    /// Takes other keys, and leaves the former out of its document.
    pub(crate) fn rotate(&mut self, rng: &mut StdRng) {
        let number = self.document.verification_method.len() + 2;
        let key = SigningKey::generate(rng);
        let mut document = DidDocument::new(self.did.clone());
        document.controller.clone_from(&self.document.controller);
        let kid = self.did.url(&format!("key-{number}"));
        let kid = document.add_key(VerificationMethod::new(kid, key.public()));
        document.authentication.push(kid.clone());
        (self.document, self.kid, self.key) = (document, kid, key);
    }

    pub(crate) fn text(&self) -> String {
        self.document.to_json().to_string()
    }
}

/// A statement as its node has it.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) seq: u64,
    pub(crate) index: u64,
    pub(crate) statement: Statement,
    pub(crate) rest: Rest,
    pub(crate) entry: [u8; 32],
    pub(crate) object: Option<Object>,
}

/// A node with one agent.
#[derive(Clone)]
pub(crate) struct Side {
    pub(crate) node: Party,
    pub(crate) agent: Party,
    pub(crate) log: NoteKey,
    pub(crate) witness: NoteKey,
    pub(crate) tags: TagSecret,
    pub(crate) leaves: Vec<[u8; 32]>,
    pub(crate) chain: Vec<Line>,
    /// Checkpoints by size, with their cosignatures.
    pub(crate) points: BTreeMap<u64, String>,
    pub(crate) now: u64,
    known: Vec<String>,
}

impl Side {
    pub(crate) fn new(name: &str, agent: Party, node: Party, rng: &mut StdRng) -> Self {
        let note_key = |kind, rng: &mut StdRng| {
            NoteKey::new(&format!("{name}/log/00000001"), kind, SigningKey::generate(rng)).unwrap()
        };
        let (log, witness) = (note_key(KeyKind::Log, rng), note_key(KeyKind::Witness, rng));
        let mut side = Self {
            node,
            agent,
            log,
            witness,
            tags: TagSecret::new(&rng.random()),
            leaves: Vec::new(),
            chain: Vec::new(),
            points: BTreeMap::new(),
            now: START,
            known: Vec::new(),
        };
        let (own, of_node) = (side.agent.clone(), side.node.clone());
        side.use_document(&own, rng);
        side.use_document(&of_node, rng);
        side
    }

    /// Appends a statement, as a store does.
    pub(crate) fn append(&mut self, statement: Statement, object: Option<Object>) -> &mut Line {
        let seq = self.chain.len() as u64 + 1;
        let prev = self.chain.last().map_or([0; 32], |line| line.entry);
        let (link, _) = statement.stated(&self.tags).link(seq, &prev);
        let entry = link.entry();
        let index = self.leaves.len() as u64;
        self.leaves.push(leaf_hash(&entry).0);
        let rest = Rest { peer: link.peer, statement: link.statement, thread: link.thread };
        self.chain.push(Line { seq, index, statement, rest, entry, object });
        self.chain.last_mut().unwrap()
    }

    /// Appends an entry of another chain of the same node.
    pub(crate) fn append_foreign(&mut self, rng: &mut StdRng) {
        self.leaves.push(leaf_hash(&rng.random::<[u8; 32]>()).0);
    }

    pub(crate) fn use_document(&mut self, party: &Party, rng: &mut StdRng) {
        let text = party.text();
        if self.known.contains(&text) {
            return;
        }
        self.known.push(text.clone());
        let act = match party.did == self.agent.did && 2 < self.chain.len() {
            true => Act::KeyChanged,
            false => Act::Document,
        };
        let salt: [u8; 16] = rng.random();
        let parties = (&self.agent.did, &party.did);
        let id = if act == Act::KeyChanged { "compromised" } else { "" };
        let mut statement =
            Statement::new(act, parties, id, text.as_bytes(), &salt, UnixTime(self.now));
        statement.document = Some(digest_text(text.as_bytes()));
        self.append(statement, Some(object(&salt, &text)));
    }

    pub(crate) fn decide(&mut self, about: &Did, rng: &mut StdRng) {
        let (salt, text): ([u8; 16], _) = (rng.random(), r#"{"decision":"allow"}"#);
        let parties = (&self.agent.did, about);
        let statement =
            Statement::new(Act::Decided, parties, "", text.as_bytes(), &salt, UnixTime(self.now));
        self.append(statement, Some(object(&salt, text)));
    }

    /// Makes a checkpoint.
    pub(crate) fn checkpoint(&mut self) -> u64 {
        let head = self.head(self.leaves.len() as u64);
        self.points.insert(head.size, Checkpoint::sign(&self.log, head));
        head.size
    }

    /// Has a checkpoint cosigned.
    pub(crate) fn cosigned_by(&mut self, size: u64, witness: &NoteKey, at: u64) {
        let note = self.points.get_mut(&size).unwrap();
        let line = Checkpoint::parse(note).unwrap().cosign(witness, UnixTime(at));
        note.push_str(&line);
    }

    pub(crate) fn head(&self, size: u64) -> comity_core::log::TreeHead {
        let mut frontier = Frontier::default();
        for leaf in self.leaves.iter().take(size as usize) {
            frontier.append(comity_core::log::LeafHash(*leaf));
        }
        frontier.root()
    }

    /// The hashes of all complete subtrees, by their height.
    fn levels(&self) -> Vec<Vec<[u8; 32]>> {
        let mut levels = vec![self.leaves.clone()];
        while let Some(last) = levels.last().filter(|last| 1 < last.len()) {
            let (pairs, _) = last.as_chunks::<2>();
            let above = pairs.iter().map(|[left, right]| node_hash(left, right)).collect();
            levels.push(above);
        }
        levels
    }

    pub(crate) fn signed_head(&self) -> String {
        let last = self.chain.last().unwrap();
        let key = (&self.agent.kid, &self.agent.key);
        let agent = subject(&self.agent.did);
        let end = (last.seq, &last.entry);
        sign_head(key, &agent, end, self.log.public(), UnixTime(self.now))
    }

    /// Exports what a selection covers, and all that belongs to it.
    pub(crate) fn export(&self, selection: Selection, witnesses: &[VerifierKey]) -> Export {
        let covers = |line: &Line| match &selection {
            Selection::With(did) => line.statement.peer == subject(did),
            Selection::Thread(thid) => line.statement.thid == *thid,
            Selection::Numbers { from, to } => (*from..=*to).contains(&line.seq),
        };
        let is_beside =
            |line: &Line| !matches!(line.statement.act, Act::Sent | Act::Received | Act::Refused);
        let shown = self.chain.iter().filter(|line| covers(line) || is_beside(line));
        let sizes: Vec<u64> = self.points.keys().copied().collect();
        let levels = self.levels();
        let statements = shown
            .map(|line| {
                let place = sizes.iter().position(|size| line.index < *size).unwrap();
                Shown {
                    checkpoint: place as u64,
                    index: line.index,
                    object: line.object.clone(),
                    proof: proof(&levels, &Plan::inclusion(line.index, sizes[place]).unwrap()),
                    seq: line.seq,
                    text: line.statement.to_text(),
                }
            })
            .collect();
        let mut before = None;
        let checkpoints = self
            .points
            .iter()
            .map(|(size, note)| {
                let consistency = match before.replace(*size) {
                    Some(old) => proof(&levels, &Plan::consistency(old, *size).unwrap()),
                    None => Vec::new(),
                };
                Mark { consistency, note: note.clone() }
            })
            .collect();
        Export {
            agent: self.agent.did.clone(),
            at: UnixTime(self.now),
            checkpoints,
            head: self.signed_head(),
            links: self.chain.iter().map(|line| line.rest.clone()).collect(),
            log: self.log.public().clone(),
            node: self.node.did.clone(),
            prev: URL_SAFE_NO_PAD.encode([0; 32]),
            selection,
            since: 1,
            statements,
            witness: self.witness.public().clone(),
            witnessed: Vec::new(),
            witnesses: witnesses.to_vec(),
        }
    }

    pub(crate) fn sign(&self, export: Export) -> Part {
        sign_export(export, (&self.agent.kid, &self.agent.key))
    }
}

fn proof(levels: &[Vec<[u8; 32]>], plan: &Plan) -> Vec<String> {
    let hash = |node: Subtree| Ok::<_, ()>(levels[node.level as usize][node.index as usize]);
    let hashes = plan.hashes(hash).unwrap();
    hashes.iter().map(|hash| URL_SAFE_NO_PAD.encode(hash)).collect()
}

pub(crate) fn object(salt: &[u8; 16], text: &str) -> Object {
    Object { salt: URL_SAFE_NO_PAD.encode(salt), text: text.to_owned() }
}

/// Two sides that deal with each other.
pub(crate) struct World {
    pub(crate) a: Side,
    pub(crate) b: Side,
    pub(crate) rng: StdRng,
    number: u64,
}

impl Clone for World {
    /// Goes on as the other does, with other randomness: a generator cannot be copied.
    fn clone(&self) -> Self {
        let rng = StdRng::seed_from_u64(self.number + 1_000);
        Self { a: self.a.clone(), b: self.b.clone(), rng, number: self.number }
    }
}

impl World {
    /// Two organisations whose agents have did:web, which their nodes control.
    pub(crate) fn web(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut side = |name: &str, agent: &str| {
            let node = Party::web(name, None, &mut rng);
            let agent = Party::web(&format!("{name}:agents:{agent}"), Some(&node.did), &mut rng);
            Side::new(name, agent, node, &mut rng)
        };
        let (a, b) = (side("a.example", "aria"), side("b.example", "bruno"));
        Self { a, b, rng, number: 0 }
    }

    /// Two agents that are their own nodes, with DIDs that are their keys.
    pub(crate) fn peer(seed: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(seed);
        let mut side = |name: &str| {
            let agent = Party::peer(&mut rng);
            Side::new(name, agent.clone(), agent, &mut rng)
        };
        let (a, b) = (side("a.example"), side("b.example"));
        Self { a, b, rng, number: 0 }
    }

    /// Goes on by some seconds.
    pub(crate) fn pass(&mut self, seconds: u64) {
        self.a.now += seconds;
        self.b.now += seconds;
    }

    /// Both make a checkpoint, and each cosigns the other's.
    pub(crate) fn witness(&mut self) {
        let now = self.a.now;
        let (size_a, size_b) = (self.a.checkpoint(), self.b.checkpoint());
        self.a.cosigned_by(size_a, &self.b.witness, now);
        self.b.cosigned_by(size_b, &self.a.witness, now);
    }

    /// One agent writes to the other, which takes it and says so.
    pub(crate) fn say(&mut self, from_a: bool, thid: &str, words: &str) -> String {
        let id = self.send(from_a, thid, words);
        self.receipt(from_a, &id);
        id
    }

    /// One agent writes to the other, which takes it.
    pub(crate) fn send(&mut self, from_a: bool, thid: &str, words: &str) -> String {
        self.number += 1;
        let id = format!("m-{}", self.number);
        let (sender, recipient) = match from_a {
            true => (&mut self.a, &mut self.b),
            false => (&mut self.b, &mut self.a),
        };
        let type_ = "https://example.org/offer/1.0/make";
        let mut message = Message::new(MessageId::parse(&id).unwrap(), type_.parse().unwrap());
        message.from = Some(sender.agent.did.clone());
        message.to = vec![recipient.agent.did.clone()];
        message.thid = Some(thid.to_owned());
        message.body = json!({ "content": words }).as_object().unwrap().clone();
        let jws = sign(&message.to_json(), &sender.agent.kid, &sender.agent.key);
        let (writer, reader) = (sender.agent.clone(), recipient.agent.clone());
        for (act, side, other) in
            [(Act::Sent, sender, &reader), (Act::Received, recipient, &writer)]
        {
            let salt: [u8; 16] = self.rng.random();
            let parties = (&side.agent.did.clone(), &other.did);
            let at = UnixTime(side.now);
            let mut statement =
                Statement::about_message(act, parties, &id, jws.as_bytes(), &salt, at);
            statement.thid = thid.to_owned();
            statement.type_ = type_.to_owned();
            if act == Act::Received {
                statement.document = Some(digest_text(other.text().as_bytes()));
                statement.ground = Some(Admission::AllowList);
            }
            side.append(statement, Some(object(&salt, &jws)));
            side.use_document(other, &mut self.rng);
        }
        id
    }

    /// The recipient's node signs that it has a message.
    pub(crate) fn receipt(&mut self, from_a: bool, id: &str) {
        let (sender, recipient) = match from_a {
            true => (&mut self.a, &self.b),
            false => (&mut self.b, &self.a),
        };
        let is_it = |line: &&Line| line.statement.id == id && line.statement.act == Act::Received;
        let got = recipient.chain.iter().find(is_it).unwrap();
        let jws: serde_json::Value =
            serde_json::from_str(&got.object.as_ref().unwrap().text).unwrap();
        let payload = URL_SAFE_NO_PAD.decode(jws["payload"].as_str().unwrap()).unwrap();
        let receipt = Receipt {
            id: id.to_owned(),
            from: sender.agent.did.clone(),
            to: recipient.agent.did.clone(),
            state: State::Accepted,
            at: UnixTime(recipient.now),
            digest: digest_text(&payload),
            log_index: Some(got.index),
            pending: false,
            code: None,
            reason: None,
        };
        let quote = LogQuote {
            checkpoint: recipient
                .points
                .values()
                .last()
                .cloned()
                .unwrap_or_else(|| Checkpoint::sign(&recipient.log, recipient.head(0))),
            key: recipient.log.public().clone(),
            seen: None,
            url: None,
            witness: Some(recipient.witness.public().clone()),
        };
        self.number += 1;
        let name = format!("r-{}", self.number);
        let message = compose_receipts(
            MessageId::parse(&name).unwrap(),
            &recipient.node.did,
            &sender.node.did,
            &[receipt],
            Some(&quote),
            UnixTime(recipient.now),
        );
        let jws = sign(&message.to_json(), &recipient.node.kid, &recipient.node.key);
        let salt: [u8; 16] = self.rng.random();
        let parties = (&sender.agent.did.clone(), &recipient.node.did);
        let mut statement = Statement::about_message(
            Act::Receipt,
            parties,
            &name,
            jws.as_bytes(),
            &salt,
            UnixTime(sender.now),
        );
        statement.document = Some(digest_text(recipient.node.text().as_bytes()));
        statement.type_ = message.type_.to_string();
        sender.append(statement, Some(object(&salt, &jws)));
        let node = recipient.node.clone();
        sender.use_document(&node, &mut self.rng);
    }

    /// A conversation as it should be: decided, said, answered, receipted, witnessed.
    pub(crate) fn talk(&mut self) {
        let (a, b) = (self.a.agent.did.clone(), self.b.agent.did.clone());
        self.b.decide(&a, &mut self.rng);
        self.a.decide(&b, &mut self.rng);
        self.witness();
        self.pass(10);
        self.say(true, "t-1", "Shall we?");
        self.a.append_foreign(&mut self.rng);
        self.pass(5);
        self.witness();
        self.say(false, "t-1", "Yes.");
        self.say(true, "t-2", "Something else.");
        self.pass(5);
        self.b.append_foreign(&mut self.rng);
        self.witness();
        self.say(true, "t-1", "Agreed: 100.");
        self.pass(5);
        self.witness();
    }

    pub(crate) fn witnesses(&self) -> [VerifierKey; 2] {
        [self.a.witness.public().clone(), self.b.witness.public().clone()]
    }

    pub(crate) fn part_a(&self, selection: Selection) -> Part {
        self.a.sign(self.a.export(selection, &self.witnesses()))
    }

    pub(crate) fn part_b(&self, selection: Selection) -> Part {
        self.b.sign(self.b.export(selection, &self.witnesses()))
    }

    /// Both sides' exports of a thread.
    pub(crate) fn case(&self) -> Bundle {
        let thread = || Selection::Thread("t-1".to_owned());
        bundle(vec![self.part_a(thread()), self.part_b(thread())])
    }

    /// The policy that names both logs and demands a witness of each organisation.
    pub(crate) fn policy(&self) -> String {
        let [a, b] = self.witnesses();
        format!(
            "log {}\nlog {}\nwitness a {a}\nwitness b {b}\ngroup one any a b\nquorum one\n",
            self.a.log.public(),
            self.b.log.public()
        )
    }
}

pub(crate) fn bundle(parts: Vec<Part>) -> Bundle {
    Bundle { format: BUNDLE_FORMAT.to_owned(), parts }
}
