//! Who may read it: `to`, the key ids of the recipients, `apv`, and the keys that the content was really encrypted to.

use serde_json::{Map, Value, json};

use super::{ENCRYPTED, honest};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::AGREEMENT;
use crate::forge::jwe::apv;
use crate::forge::letter::{Layer, Letter, Place};
use crate::forge::text::{b64, unb64};
use crate::forge::world::{ALICE, BOB, CAROL, MALLORY};

const TO: Group = Group {
    name: "addressee",
    spec: "Message Layer Addressing Consistency: the recipient is in to; to inside an encrypted signature",
};
const KID: Group =
    Group { name: "recipient-kid", spec: "DIDComm Encrypted Messages: kid identifies the key" };
const APV: Group = Group {
    name: "apv",
    spec: "ECDH-ES and ECDH-1PU common protected headers: apv is the digest of the sorted kids",
};

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for curve in AGREEMENT {
        for nest in ENCRYPTED {
            addressees(corpus, &honest(nest, curve));
        }
        two_recipients_in_two_layers(corpus, &honest(&[Layer::Anoncrypt, Layer::Authcrypt], curve));
        for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
            let letter = honest(&[layer], curve);
            kids(corpus, &letter);
            lists(corpus, &to_both(&letter));
            digests(corpus, &to_both(&letter));
        }
    }
}

fn addressees(corpus: &mut Corpus<'_>, letter: &Letter) {
    let mut cases = vec![
        ("to=carol", json!([CAROL])),
        ("to=carol,mallory", json!([CAROL, MALLORY])),
        ("to=alice", json!([ALICE])),
    ];
    if letter.nest.contains(&Layer::Sign) {
        cases.extend([("to is empty", json!([])), ("to is absent", Value::Null)]);
    }
    for (text, to) in cases {
        let wrong = letter.clone().saying("to", to);
        corpus.refuse(TO, letter, &Fault::new(text, code::NOT_ADDRESSED), &wrong);
    }
}

/// Whoever can open both layers is not the one whom both are for.
fn two_recipients_in_two_layers(corpus: &mut Corpus<'_>, letter: &Letter) {
    let carols = letter.recipients[0][0].0.replace(BOB, CAROL);
    for (text, at, to) in [
        ("outside to carol, inside to bob, to=bob", 0, BOB),
        ("outside to carol, inside to bob, to=carol", 0, CAROL),
        ("outside to bob, inside to carol, to=bob", 1, BOB),
        ("outside to bob, inside to carol, to=carol", 1, CAROL),
    ] {
        let wrong = letter.clone().saying("to", json!([to]));
        let wrong =
            wrong.with(|letter| letter.recipients[at] = vec![(carols.clone(), carols.clone())]);
        let fault = Fault { text, code: code::NOT_ADDRESSED, receivers: &[BOB, CAROL] };
        corpus.refuse(TO, letter, &fault, &wrong);
    }
}

fn kids(corpus: &mut Corpus<'_>, letter: &Letter) {
    let bobs = letter.recipients[0][0].0.clone();
    let carols = bobs.replace(BOB, CAROL);
    let swapped = |named: String, real: &str| {
        letter.clone().with(|letter| letter.recipients[0] = vec![(named, real.to_owned())])
    };
    for (text, code, wrong) in [
        ("kid=carol, encrypted to bob", code::UNKNOWN_RECIPIENT, swapped(carols, &bobs)),
        (
            "kid of another key of bob, not for agreement",
            code::UNKNOWN_RECIPIENT,
            swapped(format!("{bobs}-none"), &bobs),
        ),
        (
            "encrypted to a key of bob that is not for agreement",
            code::CRYPTO,
            swapped(bobs.clone(), &format!("{bobs}-none")),
        ),
        ("kid without a fragment", code::MALFORMED, swapped(BOB.to_owned(), &bobs)),
        ("relative kid", code::MALFORMED, swapped(bobs.replace(BOB, ""), &bobs)),
        ("kid in capitals", code::MALFORMED, swapped(bobs.replace("did", "DID"), &bobs)),
        ("kid with a query", code::MALFORMED, swapped(bobs.replace('#', "?versionId=1#"), &bobs)),
    ] {
        corpus.refuse(KID, letter, &Fault::new(text, code), &wrong);
    }
}

/// An honest letter to Bob and Carol.
pub(crate) fn to_both(letter: &Letter) -> Letter {
    let letter = letter.clone().labelled("two recipients").saying("to", json!([BOB, CAROL]));
    letter.with(|letter| {
        let carols = letter.recipients[0][0].0.replace(BOB, CAROL);
        letter.recipients[0].push((carols.clone(), carols));
    })
}

fn recipients(envelope: &mut Map<String, Value>) -> &mut Vec<Value> {
    envelope.get_mut("recipients").unwrap().as_array_mut().unwrap()
}

fn lists(corpus: &mut Corpus<'_>, letter: &Letter) {
    let mallorys = letter.recipients[0][0].0.replace(BOB, MALLORY);
    let finished =
        |change: fn(&mut Map<String, Value>)| letter.clone().changed(Place::Finished(0), change);
    let added = letter.clone().changed(Place::Finished(0), move |envelope| {
        let mut one = recipients(envelope)[0].clone();
        one["header"]["kid"] = json!(mallorys);
        recipients(envelope).push(one);
    });
    let twice = letter.clone().with(|letter| {
        let one = letter.recipients[0][0].clone();
        letter.recipients[0].push(one);
    });
    for (text, code, wrong) in [
        (
            "a recipient taken out",
            code::MALFORMED,
            finished(|envelope| drop(recipients(envelope).pop())),
        ),
        ("a recipient added", code::MALFORMED, added),
        ("the same recipient twice", code::MALFORMED, twice),
        (
            "the kids of two recipients exchanged",
            code::CRYPTO,
            finished(|envelope| {
                let list = recipients(envelope);
                let first = list[0]["header"].clone();
                list[0]["header"] = list[1]["header"].clone();
                list[1]["header"] = first;
            }),
        ),
        (
            "the recipients as an object",
            code::MALFORMED,
            finished(|envelope| {
                let one = recipients(envelope)[0].clone();
                envelope.insert("recipients".to_owned(), one);
            }),
        ),
    ] {
        corpus.refuse(KID, letter, &Fault::new(text, code), &wrong);
    }
}

fn digests(corpus: &mut Corpus<'_>, letter: &Letter) {
    let kids: Vec<String> = letter.recipients[0].iter().map(|(kid, _)| kid.clone()).collect();
    let of = |kids: &[&str]| json!(b64(apv(kids.iter().copied())));
    let text = |text: String| json!(b64(apv([text.as_str()].into_iter())));
    let honest = apv(kids.iter().map(String::as_str));
    let hexed: String = honest.iter().map(|byte| format!("{byte:02x}")).collect();
    let cases = [
        ("apv of one of two recipients", of(&[&kids[0]])),
        ("apv of others", of(&[&kids[0].replace(BOB, MALLORY), &kids[1]])),
        ("apv of one recipient more", of(&[&kids[0], &kids[1], "did:example:mallory#x"])),
        ("apv of the kids not sorted", text(format!("{}.{}", kids[1], kids[0]))),
        ("apv of the kids joined by commas", text(kids.join(","))),
        ("apv of the kids not joined", text(kids.concat())),
        ("apv of the DIDs", of(&[BOB, CAROL])),
        ("apv is the kids themselves", json!(b64(kids.join(".")))),
        ("apv is the digest in hexadecimal", json!(b64(&hexed))),
        ("apv is shortened", json!(b64(&honest[..16]))),
        ("apv is padded base64", json!(format!("{}=", b64(&honest)))),
        ("apv is empty", json!("")),
        ("apv is absent", Value::Null),
    ];
    for (text, value) in cases {
        // What does not decode is no digest either, and cannot be derived from.
        if text == "apv is padded base64" && value.as_str().and_then(unb64).is_some() {
            continue;
        }
        let wrong = letter.clone().changed(Place::Protected(0), move |header| {
            if value.is_null() {
                header.remove("apv");
            } else {
                header.insert("apv".to_owned(), value.clone());
            }
        });
        corpus.refuse(APV, letter, &Fault::new(text, code::MALFORMED), &wrong);
    }
}
