//! What evidence weighs: the proof of one message in a log of a million entries.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use comity_core::evidence::Mark;
use comity_core::log::{Checkpoint, KeyKind, NoteKey, Plan, TreeHead};
use comity_didcomm::{SigningKey, UnixTime};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use serde_json::json;

/// What a proof weighs does not depend on what its hashes are.
#[test]
fn a_proof_in_a_log_of_a_million_with_two_witnesses_is_within_two_kilobytes() {
    let mut rng = StdRng::seed_from_u64(1);
    let mut key =
        |name: &str, kind| NoteKey::new(name, kind, SigningKey::generate(&mut rng)).unwrap();
    let log = key("research.organisation-a.example/log/0123abcd", KeyKind::Log);
    let witnesses = ["organisation-b.example", "witness.organisation-c.example"]
        .map(|name| key(&format!("{name}/log/0123abcd"), KeyKind::Witness));
    let mut note = Checkpoint::sign(&log, TreeHead { size: 1_000_000, root: [7; 32] });
    for witness in &witnesses {
        let line = Checkpoint::parse(&note).unwrap().cosign(witness, UnixTime(1_800_000_000));
        note.push_str(&line);
    }
    let mut rng = StdRng::seed_from_u64(2);
    let plan = Plan::inclusion(777_777, 1_000_000).unwrap();
    let proof = plan.hashes(|_| Ok::<[u8; 32], ()>(rng.random())).unwrap();
    let proof: Vec<String> = proof.iter().map(|hash| URL_SAFE_NO_PAD.encode(hash)).collect();
    let mark = Mark { consistency: Vec::new(), note };
    let bytes = json!({ "index": 777_777, "mark": mark, "proof": proof }).to_string().len();
    println!("a proof in a log of 1,000,000 entries with two witnesses: {bytes} bytes");
    assert!(bytes <= 2_048, "{bytes}");
}
