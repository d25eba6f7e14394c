//! The published corpus of `docs/conformance/`: that it is what the forging kit makes, that every envelope in
//! `must-accept.json` opens with the meaning it lists, and that every one in `must-refuse.json` is refused with its code.
//! Also the other direction, with the kit's reader.
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

use comity_didcomm::{
    AgreementKey, ContentEncryption, DidUrl, Message, Protection, PublicKey, SenderProof,
    SigningKey, seal,
};
use forge::curve::{AGREEMENT, SIGNING};
use forge::files::{self, entries};
use forge::library::{Library, Meaning};
use forge::naive;
use forge::world::{ALICE, BOB, World, agreement_name, signing_name};
use rand::SeedableRng as _;
use rand::rngs::StdRng;
use serde_json::{Value, json};

fn library() -> Library {
    Library::new(&files::read("dids.json")["dids"], &files::read("secrets.json")["secrets"])
}

fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_else(|| panic!("{name} of {entry}"))
}

fn receivers(entry: &Value) -> Vec<&str> {
    entry["receivers"].as_array().unwrap().iter().map(|did| did.as_str().unwrap()).collect()
}

fn group(entry: &Value) -> &str {
    text(entry, "id").split(':').next().unwrap()
}

/// Every byte comes from labels, so a changed file is a changed kit.
#[test]
fn the_conformance_corpus_is_current() {
    let world = World::new();
    let corpus = forge::corpus(&world);
    files::check("dids.json", &files::documents(&world));
    files::check("secrets.json", &files::secrets(&world));
    let head = files::head("every entry must be opened, with the meaning it lists");
    files::check("must-accept.json", &files::list(&head, "entries", &corpus.accept));
    let mut head = files::head("every entry must be refused; its control must be opened");
    head.insert("groups".to_owned(), json!(corpus.groups));
    files::check("must-refuse.json", &files::list(&head, "entries", &corpus.refuse));
}

#[test]
fn every_honest_envelope_opens_with_its_meaning() {
    all_honest_open(&library());
}

#[test]
fn every_wrong_envelope_is_refused_with_its_code() {
    all_wrong_are_refused(&library());
}

/// What two keys agreed on says nothing about the next message between them.
#[test]
fn remembered_agreements_change_nothing() {
    let library = library().with_cache();
    all_wrong_are_refused(&library);
    for _ in 0..2 {
        all_honest_open(&library);
        all_wrong_are_refused(&library);
    }
}

fn all_honest_open(library: &Library) {
    let mut faults = Vec::new();
    let accepted = entries("must-accept.json");
    for entry in &accepted {
        let id = text(entry, "id");
        let opened = match library.open(&receivers(entry), text(entry, "packed").as_bytes()) {
            Ok(opened) => Meaning::of(&opened),
            Err(error) => {
                faults.push(format!("{id}: {error}"));
                continue;
            }
        };
        let plaintext: Value = serde_json::from_slice(&opened.plaintext).unwrap();
        let sender = opened.sender.as_ref();
        let proven = |proof| sender.filter(|sender| sender.2 == proof).map(|sender| &sender.1);
        // A signature is the stronger proof, and hides the other.
        let from_kid = if entry["sign_kid"].is_null() { &entry["from_kid"] } else { &Value::Null };
        let rotation = opened
            .rotation
            .as_ref()
            .map(|(iss, sub, kid, iat)| json!({ "iss": iss, "sub": sub, "kid": kid, "iat": iat }));
        let same = json!(opened.layers) == entry["layers"]
            && plaintext == entry["message"]
            && json!(proven(SenderProof::Signature)) == entry["sign_kid"]
            && json!(proven(SenderProof::Authcrypt)) == *from_kid
            && sender.is_none_or(|sender| entry["message"]["from"] == sender.0)
            && json!(opened.opened_by) == entry["opened_by"]
            && json!(rotation) == entry["rotation"];
        if !same {
            faults.push(format!("{id}: opened as {opened:?}"));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), accepted.len(), faults.join("\n"));
    assert!(200 <= accepted.len());
}

fn all_wrong_are_refused(library: &Library) {
    let refused = entries("must-refuse.json");
    let mut faults = Vec::new();
    for entry in &refused {
        let code = match library.open(&receivers(entry), text(entry, "packed").as_bytes()) {
            Ok(_) => "OPENED",
            Err(error) => error.code(),
        };
        if entry["code"] != code {
            faults.push(format!("{}: {code}, not {}", text(entry, "id"), entry["code"]));
        }
    }
    assert!(faults.is_empty(), "{} of {}:\n{}", faults.len(), refused.len(), faults.join("\n"));
}

#[test]
fn the_corpus_is_large_sound_and_without_repetition() {
    let (accepted, refused) = (entries("must-accept.json"), entries("must-refuse.json"));
    let honest: BTreeSet<&str> = accepted.iter().map(|entry| text(entry, "id")).collect();
    assert_eq!(honest.len(), accepted.len(), "ids of must-accept");
    let ids: BTreeSet<&str> = refused.iter().map(|entry| text(entry, "id")).collect();
    assert_eq!(ids.len(), refused.len(), "ids of must-refuse");
    let all = || accepted.iter().chain(&refused);
    let mut texts: BTreeMap<&str, &str> = BTreeMap::new();
    for entry in all() {
        if let Some(other) = texts.insert(text(entry, "packed"), text(entry, "id")) {
            panic!("{other} and {} are the same envelope", text(entry, "id"));
        }
    }
    let mut groups: BTreeMap<&str, (usize, usize)> = BTreeMap::new();
    for entry in &refused {
        assert!(honest.contains(text(entry, "control")), "{entry}");
        let count = groups.entry(group(entry)).or_default();
        count.0 += 1;
        count.1 += usize::from(entry["sound"] == true);
    }
    eprintln!("group, entries, of them sound: {groups:#?}");
    let sound: usize = groups.values().map(|(_, sound)| sound).sum();
    assert!(1500 <= sound, "{sound} sound envelopes");
}

/// The fields that name a sender, as an entry of the group `sender` has them: `from=alice skid=mallory ..`.
fn named(entry: &Value) -> BTreeMap<&str, &str> {
    let fault = text(entry, "id").rsplit(": ").next().unwrap();
    fault.split(' ').filter_map(|field| field.split_once('=')).collect()
}

#[test]
fn every_two_fields_that_name_a_sender_disagree_somewhere_on_every_curve() {
    let refused = entries("must-refuse.json");
    let mut seen = BTreeSet::new();
    for entry in refused.iter().filter(|entry| group(entry) == "sender") {
        let mut label = text(entry, "control").split('/');
        let (nest, curve) = (label.next().unwrap(), label.next().unwrap());
        let names = named(entry);
        for (one, party) in &names {
            for (other, another) in &names {
                if one < other && party != another {
                    seen.insert((nest, curve, *one, *other));
                }
            }
        }
    }
    let sealed = ["apu", "from", "sealed-by", "skid"];
    let signed = ["from", "header-kid", "kid", "signed-by"];
    let both = ["apu", "from", "kid", "skid"];
    for curve in ["X25519", "P-256", "P-384"] {
        for (nest, fields) in [
            ("authcrypt", sealed),
            ("anoncrypt(authcrypt)", sealed),
            ("anoncrypt(sign)", signed),
            ("authcrypt(sign)", both),
        ] {
            for (at, one) in fields.iter().enumerate() {
                for other in &fields[at + 1..] {
                    assert!(
                        seen.contains(&(nest, curve, one, other)),
                        "{nest} {curve}: {one} {other}"
                    );
                }
            }
        }
    }
    for algorithm in ["EdDSA", "ES256", "ES256K"] {
        for (at, one) in signed.iter().enumerate() {
            for other in &signed[at + 1..] {
                assert!(
                    seen.contains(&("sign", algorithm, one, other)),
                    "{algorithm}: {one} {other}"
                );
            }
        }
    }
}

#[test]
fn every_group_about_keys_and_names_is_there_on_every_curve() {
    let refused = entries("must-refuse.json");
    for name in
        ["addressee", "from-prior", "recipient-key", "recipient-kid", "sealing-key", "sender"]
    {
        for curve in ["X25519", "P-256", "P-384"] {
            let here = |entry: &&Value| {
                group(entry) == name && text(entry, "control").split('/').any(|part| part == curve)
            };
            assert!(4 <= refused.iter().filter(here).count(), "{name} on {curve}");
        }
    }
}

/// The other direction: what the library writes, the independent reader opens, on every curve and with every algorithm.
#[test]
fn what_the_library_seals_the_independent_reader_opens() {
    let world = World::new();
    let mut rng = StdRng::seed_from_u64(1);
    let message = |id: &str| {
        Message::new(id.parse().unwrap(), "https://didcomm.org/empty/1.0/empty".parse().unwrap())
            .with_from(ALICE.parse().unwrap())
            .with_to([BOB.parse().unwrap()])
    };
    let mut opened = 0;
    for curve in AGREEMENT {
        let name = agreement_name(curve);
        let public = world.key(&format!("{BOB}#{name}")).jwk();
        let public = PublicKey::from_jwk(public.as_object().unwrap()).unwrap();
        let recipients = [(format!("{BOB}#{name}").parse().unwrap(), public)];
        let mut check = |protection: Protection<'_>| {
            let message = message("m-1");
            let sealed = seal(&message, protection, &recipients, &mut rng).unwrap();
            let found = naive::open(&world, &[BOB], &sealed.envelope);
            assert_eq!(found, Some(message.to_json()), "{} {protection:?}", curve.crv());
            opened += 1;
        };
        let kid: DidUrl = format!("{ALICE}#{name}").parse().unwrap();
        let key = AgreementKey::from_jwk(&world.key(kid.as_str()).private_jwk("")).unwrap();
        check(Protection::Deniable { kid: &kid, key: &key });
        for enc in
            [ContentEncryption::A256CbcHs512, ContentEncryption::A256Gcm, ContentEncryption::XC20P]
        {
            check(Protection::Anonymous { enc });
            for signing in SIGNING {
                let kid: DidUrl = format!("{ALICE}#{}", signing_name(signing)).parse().unwrap();
                let key = SigningKey::from_jwk(&world.key(kid.as_str()).private_jwk("")).unwrap();
                check(Protection::Accountable { kid: &kid, key: &key, enc });
            }
        }
    }
    assert_eq!(opened, 4 * (1 + 3 * 4));
}
