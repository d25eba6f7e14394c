//! Gathers the evidence of an agent: the statements that were asked for, what they are about, and the
//! proofs that they are in the log (`docs/protocols/evidence.md`).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::evidence::{Export, Mark, Object, Part, Rest, Selection, Shown, sign_export};
use comity_core::log::{
    Act, Checkpoint, LogQuote, Plan, Statement, VerifierKey, salted_digest, statement_hash,
};
use comity_core::receipt::parse_receipts;
use comity_core::trust::{Direction, Whom, subject};
use comity_didcomm::{Did, Message, UnixTime};
use comity_store::StoreFault;
use comity_store::records::log::checkpoints::{self, Kept};
use comity_store::records::log::tiles::Prover;
use comity_store::records::log::{self, Recorded, peers};
use comity_store::records::{documents, relations};
use serde_json::Value;

use super::head_now;
use super::witness::asked;
use crate::home::Home;
use crate::identities::Identity;
use crate::limits::{EXPORT_LINKS_MAX, EXPORT_STATEMENTS_MAX, LOGS_KNOWN_MAX, STATEMENTS_READ};

/// What is asked for.
#[derive(Clone, Debug)]
pub(crate) struct Wish {
    pub(crate) about: About,
    /// Whether the signed messages are shown, and not only that they were sent.
    pub(crate) bodies: Bodies,
}

/// About what.
#[derive(Clone, Debug)]
pub(crate) enum About {
    /// Everything between two times.
    Between(UnixTime, UnixTime),
    /// A thread.
    Thread(String),
    /// Somebody.
    With(Did),
}

/// Whether signed messages are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bodies {
    Shown,
    Withheld,
}

/// Why there is no export.
#[derive(Debug)]
pub(crate) enum NoExport {
    /// The store failed.
    Fault(StoreFault),
    /// The node keeps no log.
    NoLog,
    /// The log says nothing of it.
    Nothing,
    /// It is more than one file takes.
    TooMuch,
}

impl From<StoreFault> for NoExport {
    fn from(fault: StoreFault) -> Self {
        Self::Fault(fault)
    }
}

/// A statement of the chain, with its text read.
struct Line {
    recorded: Recorded,
    statement: Option<Statement>,
}

/// Gathers and signs an export.
pub(crate) async fn export(
    home: &Arc<Home>,
    identity: &Identity,
    wish: &Wish,
) -> Result<Part, NoExport> {
    let keys = home.ledger.log_key().zip(home.ledger.witness_key());
    let (log_key, witness_key) = keys.ok_or(NoExport::NoLog)?;
    let (last, head, latest) = head_now(home, identity).await?.ok_or(NoExport::Nothing)?;
    let store = home.store.as_ref();
    let agent = subject(&identity.did);
    let lines = chain(home, &agent, last).await?;
    let lines: Vec<&Line> = lines.iter().collect();
    let (selection, chosen) = choose(&wish.about, &lines)?;
    let mut shown: BTreeSet<u64> = chosen.iter().map(|line| line.recorded.seq).collect();
    shown.extend(own(&agent, &lines));
    shown.extend(grounds(&chosen, &lines));
    let mut objects: HashMap<u64, Object> = HashMap::new();
    let indexes: Vec<u64> = chosen.iter().map(|line| line.recorded.index).collect();
    let witnesses = witnesses(home, &points(home, &indexes, latest.clone()).await?).await?;
    shown.extend(receipts(home, (&chosen, &lines), &witnesses, &mut objects).await?);
    shown.extend(used_documents(&subject(&home.did), &shown, &lines));
    if EXPORT_STATEMENTS_MAX < shown.len() {
        return Err(NoExport::TooMuch);
    }
    let lines: BTreeMap<u64, &Line> =
        lines.into_iter().map(|line| (line.recorded.seq, line)).collect();
    let indexes: Vec<u64> =
        shown.iter().filter_map(|seq| Some(lines.get(seq)?.recorded.index)).collect();
    let points = points(home, &indexes, latest).await?;
    let mut statements = Vec::with_capacity(shown.len());
    let mut provers: HashMap<u64, Prover<'_>> = HashMap::new();
    for seq in &shown {
        let Some(Line { recorded, statement: Some(statement) }) = lines.get(seq) else {
            return Err(NoExport::Nothing);
        };
        let place = points.iter().position(|point| recorded.index < point.size);
        let place = place.ok_or(NoExport::Nothing)?;
        let size = points.get(place).map_or(0, |point| point.size);
        let prover = provers.entry(size).or_insert_with(|| Prover::new(store, size));
        let plan = Plan::inclusion(recorded.index, size).ok_or(NoExport::Nothing)?;
        let proof = prover.prove(&plan).await?;
        let object = match objects.remove(seq) {
            Some(object) => Some(object),
            None => object(home, wish.bodies, recorded, statement).await?,
        };
        statements.push(Shown {
            checkpoint: place as u64,
            index: recorded.index,
            object,
            proof: encoded(&proof),
            seq: *seq,
            text: recorded.text.clone(),
        });
    }
    let marks = marks(home, &points).await?;
    let rest = |line: &&Line| Rest {
        peer: line.recorded.peer.clone(),
        statement: statement_hash(&line.recorded.text),
        thread: line.recorded.thread.clone(),
    };
    let links = lines.values().map(rest).collect();
    let witnessed = witnessed(home, &statements).await?;
    let export = Export {
        agent: identity.did.clone(),
        at: home.now(),
        checkpoints: marks,
        head,
        links,
        log: log_key.public().clone(),
        node: home.did.clone(),
        prev: URL_SAFE_NO_PAD.encode([0; 32]),
        selection,
        since: 1,
        statements,
        witness: witness_key.public().clone(),
        witnessed,
        witnesses,
    };
    let (kid, key) = identity.sender_keys().signing;
    Ok(sign_export(export, (&kid, &key)))
}

/// Reads an agent's chain up to a number.
async fn chain(home: &Home, agent: &Did, last: u64) -> Result<Vec<Line>, NoExport> {
    if EXPORT_LINKS_MAX < last {
        return Err(NoExport::TooMuch);
    }
    let (mut lines, mut from) = (Vec::new(), 1);
    while from <= last {
        let page = log::statements(home.store.as_ref(), agent, from, STATEMENTS_READ).await?;
        let Some(end) = page.last() else { break };
        from = end.seq + 1;
        lines.extend(page.into_iter().filter(|one| one.seq <= last).map(|recorded| {
            let statement = Statement::parse(&recorded.text);
            Line { recorded, statement }
        }));
        // Others have to be served, too.
        tokio::task::yield_now().await;
    }
    Ok(lines)
}

/// Chooses the statements that were asked for.
fn choose<'l>(about: &About, lines: &[&'l Line]) -> Result<(Selection, Vec<&'l Line>), NoExport> {
    let with = |is_wanted: &dyn Fn(&Statement) -> bool| -> Vec<&'l Line> {
        let wanted = |line: &&&Line| line.statement.as_ref().is_some_and(is_wanted);
        lines.iter().filter(wanted).copied().collect()
    };
    let (selection, chosen) = match about {
        About::Thread(thid) => (Selection::Thread(thid.clone()), with(&|one| one.thid == *thid)),
        About::With(did) => {
            let did = subject(did);
            let chosen = with(&|one| one.peer == did);
            (Selection::With(did), chosen)
        }
        About::Between(since, until) => {
            let chosen = with(&|one| (*since..=*until).contains(&one.at));
            let seq = |line: Option<&&Line>| line.map_or(0, |line| line.recorded.seq);
            let (from, to) = (seq(chosen.first()), seq(chosen.last()));
            // Between the first and the last of these none is left out, whatever a clock said.
            let numbers = |line: &&&Line| (from..=to).contains(&line.recorded.seq);
            let chosen = lines.iter().filter(numbers).copied().collect();
            (Selection::Numbers { from, to }, chosen)
        }
    };
    if chosen.is_empty() { Err(NoExport::Nothing) } else { Ok((selection, chosen)) }
}

/// What the agent says of itself, its keys above all.
fn own<'l>(agent: &'l Did, lines: &'l [&Line]) -> impl Iterator<Item = u64> + 'l {
    let is_own = move |line: &&&Line| line.statement.as_ref().is_some_and(|one| one.peer == *agent);
    lines.iter().filter(is_own).map(|line| line.recorded.seq)
}

/// What was decided about those whom the chosen messages are from or to.
fn grounds<'l>(chosen: &[&Line], lines: &'l [&Line]) -> Vec<u64> {
    let peers: BTreeSet<&Did> =
        chosen.iter().filter_map(|line| Some(&line.statement.as_ref()?.peer)).collect();
    let is_ground = |line: &&&'l Line| {
        line.statement.as_ref().is_some_and(|one| {
            matches!(one.act, Act::Decided | Act::Granted | Act::Revoked)
                && peers.contains(&one.peer)
        })
    };
    lines.iter().filter(is_ground).map(|line| line.recorded.seq).collect()
}

/// The receipts about the chosen messages, and one of each witness, by which its key is known.
async fn receipts(
    home: &Home,
    (chosen, lines): (&[&Line], &[&Line]),
    witnesses: &[VerifierKey],
    objects: &mut HashMap<u64, Object>,
) -> Result<Vec<u64>, NoExport> {
    let sent: BTreeSet<String> = chosen
        .iter()
        .filter_map(|line| line.statement.as_ref())
        .filter(|one| one.act == Act::Sent)
        .map(|one| one.id.to_ascii_lowercase())
        .collect();
    let mut found = Vec::new();
    let mut spare: BTreeMap<VerifierKey, Option<(u64, Object)>> = BTreeMap::new();
    let receipts = lines
        .iter()
        .filter(|line| line.statement.as_ref().is_some_and(|one| one.act == Act::Receipt));
    for line in receipts {
        let (seq, index) = (line.recorded.seq, line.recorded.index);
        let Some(object) = opened(home, index).await? else { continue };
        let Some(message) = payload(&object.text) else { continue };
        let lists = parse_receipts(&message).unwrap_or_default();
        let is_about = lists.iter().any(|receipt| sent.contains(&receipt.id.to_ascii_lowercase()));
        let witness = LogQuote::of(&message).and_then(|quote| quote.witness);
        let witness = witness.filter(|witness| witnesses.contains(witness));
        if is_about {
            // These name their witness as well as another would.
            spare.extend(witness.map(|witness| (witness, None)));
            found.push(seq);
            objects.insert(seq, object);
        } else if let Some(witness) = witness {
            spare.entry(witness).or_insert(Some((seq, object)));
        }
    }
    for (seq, object) in spare.into_values().flatten() {
        found.push(seq);
        objects.insert(seq, object);
    }
    Ok(found)
}

/// The documents by which the statements are verified.
fn used_documents(node: &Did, shown: &BTreeSet<u64>, lines: &[&Line]) -> Vec<u64> {
    let statements = || lines.iter().filter_map(|line| Some((line, line.statement.as_ref()?)));
    let needed: BTreeSet<&str> = statements()
        .filter(|(line, _)| shown.contains(&line.recorded.seq))
        .filter_map(|(_, one)| one.document.as_deref())
        .collect();
    let peers: BTreeSet<&Did> = statements()
        .filter(|(line, _)| shown.contains(&line.recorded.seq))
        .map(|(_, one)| &one.peer)
        .collect();
    statements()
        .filter(|(_, one)| {
            let is_needed = one.document.as_deref().is_some_and(|digest| needed.contains(digest));
            // Also those by which messages were sealed, which name who speaks for the recipient, and that
            // of the agent's own node, whose receipts others show.
            let is_known = peers.contains(&one.peer) || one.peer == *node;
            one.act == Act::Document && (is_needed || is_known)
        })
        .map(|(line, _)| line.recorded.seq)
        .collect()
}

/// Finds what a statement is about, if that is kept and to be shown.
async fn object(
    home: &Home,
    bodies: Bodies,
    recorded: &Recorded,
    statement: &Statement,
) -> Result<Option<Object>, NoExport> {
    let store = home.store.as_ref();
    let text = match statement.act {
        Act::Sent | Act::Received | Act::Receipt if bodies == Bodies::Withheld => return Ok(None),
        Act::Sent | Act::Received | Act::Receipt => return opened(home, recorded.index).await,
        Act::Document | Act::KeyChanged => {
            documents::text(store, statement.document.as_deref().unwrap_or_default()).await?
        }
        Act::Granted | Act::Revoked => Some(statement.id.clone()),
        Act::Decided => {
            let whom = Whom::Did(statement.peer.clone());
            let entry = relations::find(store, &statement.agent, Direction::In, &whom).await?;
            entry.map(|found| found.entry.to_object())
        }
        Act::Policy => log::policy(store, &statement.agent).await?,
        Act::Refused => None,
    };
    let Some((text, salt)) = text.zip(statement.salt.clone()) else { return Ok(None) };
    // An entry, or the rules, may have changed since: then the log says only that it was another.
    let bytes = URL_SAFE_NO_PAD.decode(&salt).ok().and_then(|salt| salt.try_into().ok());
    let is_it = bytes.is_some_and(|salt| {
        URL_SAFE_NO_PAD.encode(salted_digest(&salt, text.as_bytes())) == statement.digest
    });
    Ok(is_it.then_some(Object { salt, text }))
}

/// Opens what is kept of a statement.
async fn opened(home: &Home, index: u64) -> Result<Option<Object>, NoExport> {
    let Some(kept) = log::kept(home.store.as_ref(), index).await? else { return Ok(None) };
    let opening = home.open_kept(&kept).await?;
    Ok(opening
        .map(|opening| Object { salt: URL_SAFE_NO_PAD.encode(opening.salt), text: opening.object }))
}

/// Reads the message in a signed envelope of this home's own store, which was verified when it came.
fn payload(jws: &str) -> Option<Message> {
    let value: Value = serde_json::from_str(jws).ok()?;
    let payload = URL_SAFE_NO_PAD.decode(value.get("payload")?.as_str()?).ok()?;
    Message::parse(&payload).ok()
}

/// Chooses checkpoints: for each entry the last that was cosigned before it was there, and the first
/// that was cosigned with it; at the end the latest.
async fn points(home: &Home, indexes: &[u64], latest: Kept) -> Result<Vec<Kept>, NoExport> {
    let store = home.store.as_ref();
    let mut chosen: BTreeMap<u64, Kept> = BTreeMap::new();
    let Some(first) = indexes.first() else { return Ok(vec![latest]) };
    // The nearest before the first, looked for further and further back.
    let mut back = 1_024;
    loop {
        let from = first.saturating_sub(back);
        let page = checkpoints::from_size(store, from, CHECKPOINTS_READ).await?;
        let before =
            page.into_iter().rev().find(|one| one.size <= *first && is_cosigned(&one.note));
        if let Some(before) = before {
            chosen.insert(before.size, before);
            break;
        }
        if from == 0 {
            break;
        }
        back = back.saturating_mul(4);
    }
    for index in indexes {
        if chosen.range(index + 1..).next().is_some() {
            continue;
        }
        let mut from = index + 1;
        loop {
            let page = checkpoints::from_size(store, from, CHECKPOINTS_READ).await?;
            let Some(last) = page.last().map(|last| last.size) else { break };
            let is_fit = |one: &Kept| is_ours(home, &one.note) && is_cosigned(&one.note);
            if let Some(after) = page.into_iter().find(is_fit) {
                chosen.insert(after.size, after);
                break;
            }
            from = last + 1;
        }
    }
    chosen.entry(latest.size).or_insert(latest);
    Ok(chosen.into_values().collect())
}

fn is_ours(home: &Home, note: &str) -> bool {
    let key = home.ledger.log_key().map(|key| key.public());
    key.is_some_and(|key| Checkpoint::parse(note).is_ok_and(|one| one.verify(key).is_ok()))
}

fn is_cosigned(note: &str) -> bool {
    Checkpoint::parse(note).is_ok_and(|checkpoint| 1 < checkpoint.note().signers().count())
}

/// Proves of each checkpoint that it continues the one before.
async fn marks(home: &Home, points: &[Kept]) -> Result<Vec<Mark>, NoExport> {
    let mut marks = Vec::with_capacity(points.len());
    let mut before: Option<u64> = None;
    for point in points {
        let consistency = match before {
            None => Vec::new(),
            Some(old) => {
                let plan = Plan::consistency(old, point.size).ok_or(NoExport::Nothing)?;
                encoded(&Prover::new(home.store.as_ref(), point.size).prove(&plan).await?)
            }
        };
        marks.push(Mark { consistency, note: point.note.clone() });
        before = Some(point.size);
    }
    Ok(marks)
}

/// The keys of those who have cosigned these checkpoints.
async fn witnesses(home: &Home, points: &[Kept]) -> Result<Vec<VerifierKey>, NoExport> {
    let asked = asked(home).await?.into_iter().map(|witness| witness.key);
    let known = peers::all(home.store.as_ref(), LOGS_KNOWN_MAX).await?;
    let known = known.into_iter().filter_map(|peer| peer.witness);
    let mut keys: BTreeSet<VerifierKey> = asked.chain(known).collect();
    keys.retain(|key| {
        points.iter().filter_map(|point| Checkpoint::parse(&point.note).ok()).any(|point| {
            point.note().signers().any(|signer| signer == (key.name(), key.id()))
                && point.cosignatures([key]).is_ok_and(|cosigned| !cosigned.is_empty())
        })
    });
    Ok(keys.into_iter().collect())
}

/// The checkpoints of the logs of those who are shown, as far as this node has them.
async fn witnessed(home: &Home, statements: &[Shown]) -> Result<Vec<String>, NoExport> {
    let mut nodes: BTreeSet<Did> = BTreeSet::new();
    for shown in statements {
        let Some(statement) = Statement::parse(&shown.text) else { continue };
        let document = shown.object.as_ref().filter(|_| statement.act == Act::Document);
        let document = document.and_then(|object| serde_json::from_str::<Value>(&object.text).ok());
        let controllers = document.as_ref().and_then(|document| document.get("controller"));
        let controllers = match controllers {
            Some(Value::Array(many)) => many.iter().collect(),
            Some(one) => vec![one],
            None => Vec::new(),
        };
        nodes.extend(controllers.into_iter().filter_map(|did| Did::parse(did.as_str()?).ok()));
        nodes.insert(statement.peer);
    }
    let known = peers::all(home.store.as_ref(), LOGS_KNOWN_MAX).await?;
    let known = known.into_iter().filter(|peer| nodes.contains(&peer.node));
    Ok(known.filter_map(|peer| peer.checkpoint).collect())
}

fn encoded(hashes: &[[u8; 32]]) -> Vec<String> {
    hashes.iter().map(|hash| URL_SAFE_NO_PAD.encode(hash)).collect()
}

/// Checkpoints that are read at a time.
const CHECKPOINTS_READ: usize = 1_024;
