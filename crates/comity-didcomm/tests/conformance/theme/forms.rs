//! Texts that two readers may read as two messages, or that are no message at all: members that stand twice, headers of
//! another form, times that are not now.

use serde_json::{Value, json};

use super::honest;
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::Curve;
use crate::forge::letter::{Layer, Letter, NOW, Place};
use crate::forge::world::{ALICE, BOB, MALLORY};

const TWICE: Group =
    Group { name: "twice", spec: "RFC 8259, section 4; RFC 7515, section 4: names are unique" };
const MESSAGE: Group = Group { name: "message", spec: "Plaintext Message Structure: headers" };
const TIME: Group = Group { name: "time", spec: "Plaintext Message Structure: expires_time" };
const BARE: Group =
    Group { name: "bare", spec: "DIDComm Plaintext Messages: not across trust boundaries" };

const NESTS: [&[Layer]; 5] = [
    &[Layer::Anoncrypt],
    &[Layer::Authcrypt],
    &[Layer::Sign],
    &[Layer::Anoncrypt, Layer::Sign],
    &[Layer::Anoncrypt, Layer::Authcrypt],
];

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for nest in NESTS {
        let letter = honest(nest, Curve::X25519);
        members(corpus, &letter);
        headers(corpus, &letter);
    }
    for nest in [&[Layer::Authcrypt][..], &[Layer::Anoncrypt, Layer::Sign], &[Layer::Sign]] {
        messages(corpus, &honest(nest, Curve::X25519));
        times(corpus, &honest(nest, Curve::X25519));
    }
    bare(corpus);
}

/// The message holds a member twice: first what the attacker wants, then what is true, and the other way round.
fn members(corpus: &mut Corpus<'_>, letter: &Letter) {
    let honest = Value::Object(letter.message.clone()).to_string();
    let open = honest.strip_suffix('}').unwrap();
    for (name, value) in [
        ("from", json!(MALLORY)),
        ("to", json!([MALLORY])),
        ("id", json!("m-2")),
        ("type", json!("https://didcomm.org/basicmessage/1.0/message")),
        ("body", json!({ "content": "another" })),
        ("created_time", json!(NOW - 20)),
        ("fr\\u006fm", json!(MALLORY)),
    ] {
        let more = format!("\"{name}\":{value}");
        let first = format!("{{{more},{}", &honest[1..]);
        let last = format!("{open},{more}}}");
        for (place, plaintext) in [("first", first), ("last", last)] {
            let wrong = letter.clone().with(|letter| letter.plaintext = Some(plaintext));
            let text = format!("{name} twice, the false one {place}");
            corpus.refuse(TWICE, letter, &Fault::new(&text, code::MALFORMED), &wrong);
        }
    }
    let nested = honest.replace("\"content\":", "\"content\":\"another\",\"content\":");
    let wrong = letter.clone().with(|letter| letter.plaintext = Some(nested));
    let fault = Fault::new("a member of the body twice", code::MALFORMED);
    corpus.refuse(TWICE, letter, &fault, &wrong);
}

/// The protected header, or the envelope, holds a member twice.
fn headers(corpus: &mut Corpus<'_>, letter: &Letter) {
    let names = match letter.nest[0] {
        Layer::Anoncrypt => &["alg", "enc", "apv", "epk", "typ"][..],
        Layer::Authcrypt => &["alg", "enc", "apv", "epk", "typ", "skid", "apu"],
        Layer::Sign => &["alg", "kid", "typ"],
    };
    for name in names {
        let name = *name;
        let wrong = letter.clone().changed(Place::Protected(0), move |header| {
            let value = header[name].clone();
            header.insert(format!("twice:{name}"), value);
        });
        let text = format!("{name} twice in the protected header");
        corpus.refuse(TWICE, letter, &Fault::new(&text, code::MALFORMED), &wrong);
    }
    let names = match letter.nest[0] {
        Layer::Sign => &["payload", "signatures"][..],
        _ => &["protected", "ciphertext", "iv", "tag", "recipients"],
    };
    let packed = letter.write(corpus.world);
    let envelope: Value = serde_json::from_str(&packed).unwrap();
    for name in names {
        let twice = format!("{{\"{name}\":{},{}", envelope[name], &packed[1..]);
        let text = format!("{name} twice in the envelope");
        corpus.refuse_as(TWICE, letter, &Fault::new(&text, code::MALFORMED), &twice);
    }
}

fn messages(corpus: &mut Corpus<'_>, letter: &Letter) {
    for (text, name, value) in [
        ("from with a fragment", "from", json!(letter.sealer)),
        ("from in capitals", "from", json!(ALICE.replace("did", "DID"))),
        ("from with a blank", "from", json!(format!("{ALICE} "))),
        ("from is a list", "from", json!([ALICE])),
        ("from is empty", "from", json!("")),
        ("to is text", "to", json!(BOB)),
        ("to with a fragment", "to", json!([letter.recipients[0][0].0])),
        ("to holds a number", "to", json!([BOB, 1])),
        ("id is absent", "id", Value::Null),
        ("id is a number", "id", json!(1)),
        ("id with a slash", "id", json!("a/b")),
        ("type is absent", "type", Value::Null),
        ("type is no message type", "type", json!("message")),
        ("typ of a signed message", "typ", json!("application/didcomm-signed+json")),
        ("typ is a number", "typ", json!(2)),
        ("body is a list", "body", json!([])),
        ("body is text", "body", json!("hello")),
        ("created_time is text", "created_time", json!("1699999990")),
        ("expires_time is text", "expires_time", json!("1900000000")),
        ("expires_time is negative", "expires_time", json!(-1)),
        ("thid is a number", "thid", json!(1)),
        ("from_prior is an object", "from_prior", json!({})),
        ("attachments is an object", "attachments", json!({})),
    ] {
        let wrong = letter.clone().saying(name, value);
        corpus.refuse(MESSAGE, letter, &Fault::new(text, code::MALFORMED), &wrong);
    }
}

fn times(corpus: &mut Corpus<'_>, letter: &Letter) {
    for (text, expires) in
        [("expired an hour ago", NOW - 3600), ("expires now", NOW), ("expired at 0", 0)]
    {
        let wrong = letter.clone().saying("expires_time", json!(expires));
        corpus.refuse(TIME, letter, &Fault::new(text, code::EXPIRED), &wrong);
    }
    let wrong = letter.clone().saying("created_time", json!(4_102_444_800_u64));
    let fault = Fault::new("made in the year 2100", code::NOT_YET);
    corpus.refuse(TIME, letter, &fault, &wrong);
}

fn bare(corpus: &mut Corpus<'_>) {
    let letter = honest(&[Layer::Anoncrypt], Curve::X25519);
    let plain = letter.clone().with(|letter| letter.nest.clear());
    let fault = Fault::new("a message without any protection", code::UNPROTECTED);
    corpus.refuse(BARE, &letter, &fault, &plain);
    let nobody = plain.saying("from", Value::Null);
    let fault = Fault::new("a message without any protection and without from", code::UNPROTECTED);
    corpus.refuse(BARE, &letter, &fault, &nobody);
}
