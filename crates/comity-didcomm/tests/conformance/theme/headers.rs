//! Headers that demand what is never done: to decompress, to fetch or trust keys, to understand extensions; and headers
//! that stand where nothing authenticates them.

use std::cell::RefCell;
use std::rc::Rc;

use serde_json::{Value, json};

use super::{MUST, honest};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::{Curve, Key, SIGNING};
use crate::forge::letter::{Layer, Letter, Place};
use crate::forge::naive;
use crate::forge::text::{b64, unb64};
use crate::forge::world::{ALICE, MALLORY};

const PARAMETER: Group = Group {
    name: "header-parameter",
    spec: "RFC 7515, section 4.1.11 (crit); RFC 7516, section 4.1.3 (zip); RFC 7797 (b64); RFC 8725, section 3.10 (keys)",
};
const PLACE: Group =
    Group { name: "header-place", spec: "ECDH-ES and ECDH-1PU common protected headers" };
const TYP: Group = Group { name: "typ", spec: "IANA Media Types; RFC 8725, section 3.11" };

const CURVES: [Curve; 2] = [Curve::X25519, Curve::P384];

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for curve in CURVES {
        for nest in super::ENCRYPTED {
            // Of two layers, one nesting on one curve stands for all.
            if 1 < nest.len() && (curve != CURVES[0] || nest != [Layer::Anoncrypt, Layer::Sign]) {
                continue;
            }
            let letter = honest(nest, curve);
            parameters(corpus, &letter, Place::Protected(0), "protected header of the encryption");
            if nest.contains(&Layer::Sign) {
                parameters(
                    corpus,
                    &letter,
                    Place::Protected(1),
                    "protected header of the signature",
                );
            }
        }
        recipient_headers(corpus, &honest(&[Layer::Anoncrypt], curve));
        recipient_headers(corpus, &honest(&[Layer::Authcrypt], curve));
        compressed(corpus, curve);
    }
    moved(corpus, &honest(&[Layer::Anoncrypt], CURVES[0]));
    moved(corpus, &honest(&[Layer::Authcrypt], CURVES[1]));
    for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
        for curve in MUST {
            outside(corpus, &honest(&[layer], curve));
        }
    }
    for signing in SIGNING {
        let letter = Letter::new(&[Layer::Sign], Curve::X25519, signing);
        parameters(corpus, &letter, Place::Protected(0), "protected header");
        parameters(corpus, &letter, Place::Unprotected(0), "unprotected header");
        unencoded(corpus, signing);
        two_signatures(corpus, signing);
    }
    types(corpus);
}

fn values() -> Vec<(&'static str, Value)> {
    let key = Key::new(Curve::Ed25519, "nobody").jwk();
    vec![
        ("crit", json!(["exp"])),
        ("crit", json!([])),
        ("jwk", key),
        ("jku", json!("https://mallory.example/keys.json")),
        ("x5u", json!("https://mallory.example/chain.pem")),
        ("x5c", json!(["AAAA"])),
        ("x5t", json!("AAAA")),
        ("x5t#S256", json!("AAAA")),
        ("p2c", json!(2_000_000_000)),
        ("p2s", json!("AAAA")),
    ]
}

fn parameters(corpus: &mut Corpus<'_>, letter: &Letter, place: Place, place_name: &str) {
    for (name, value) in values() {
        let empty = if value == json!([]) { "empty " } else { "" };
        let text = format!("{empty}{name} in the {place_name}");
        let wrong = letter.clone().changed(place, move |header| {
            header.insert(name.to_owned(), value.clone());
        });
        corpus.refuse(PARAMETER, letter, &Fault::new(&text, code::UNSUPPORTED), &wrong);
    }
}

fn recipient_headers(corpus: &mut Corpus<'_>, letter: &Letter) {
    for (name, value) in values() {
        let empty = if value == json!([]) { "empty " } else { "" };
        let text = format!("{empty}{name} in the header of a recipient");
        let wrong = letter.clone().changed(Place::Finished(0), move |envelope| {
            envelope["recipients"][0]["header"][name] = value.clone();
        });
        corpus.refuse(PARAMETER, letter, &Fault::new(&text, code::UNSUPPORTED), &wrong);
    }
}

fn compressed(corpus: &mut Corpus<'_>, curve: Curve) {
    for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
        let letter = honest(&[layer], curve);
        let wrong = letter.clone().with(|letter| letter.encode = Some(naive::deflated));
        let wrong = wrong.changed(Place::Protected(0), |header| {
            header.insert("zip".to_owned(), json!("DEF"));
        });
        let fault = Fault::new("compressed with zip", code::UNSUPPORTED);
        corpus.refuse(PARAMETER, &letter, &fault, &wrong);
    }
}

fn unencoded(corpus: &mut Corpus<'_>, signing: Curve) {
    for nest in [&[Layer::Sign][..], &[Layer::Anoncrypt, Layer::Sign]] {
        let letter = Letter::new(nest, Curve::X25519, signing);
        let at = nest.len() - 1;
        for critical in [true, false] {
            let wrong = letter.clone().changed(Place::Protected(at), move |header| {
                header.insert("b64".to_owned(), json!(false));
                if critical {
                    header.insert("crit".to_owned(), json!(["b64"]));
                }
            });
            let text = if critical { "b64=false with crit" } else { "b64=false without crit" };
            corpus.refuse(PARAMETER, &letter, &Fault::new(text, code::UNSUPPORTED), &wrong);
        }
    }
}

/// Headers that decide how to decrypt, moved out of what is authenticated.
fn moved(corpus: &mut Corpus<'_>, letter: &Letter) {
    let is_auth = letter.nest == [Layer::Authcrypt];
    // The protected header is honest; a second opinion stands beside it.
    let names = if is_auth {
        &["alg", "apu", "apv", "enc", "epk", "skid"][..]
    } else {
        &["alg", "apv", "enc", "epk"]
    };
    for name in names {
        let name = *name;
        let copied = letter.clone().changed(Place::Finished(0), move |envelope| {
            let header = envelope["protected"].as_str().and_then(unb64).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            envelope["recipients"][0]["header"][name] = header[name].clone();
        });
        let text = format!("{name} also in the header of a recipient");
        corpus.refuse(PLACE, letter, &Fault::new(&text, code::MALFORMED), &copied);
        let shared = letter.clone().changed(Place::Finished(0), move |envelope| {
            let header = envelope["protected"].as_str().and_then(unb64).unwrap();
            let header: Value = serde_json::from_slice(&header).unwrap();
            envelope.insert("unprotected".to_owned(), json!({ name: header[name] }));
        });
        let text = format!("{name} also in a shared unprotected header");
        corpus.refuse(PLACE, letter, &Fault::new(&text, code::MALFORMED), &shared);
    }
    for (text, name, value) in [
        ("an empty shared unprotected header", "unprotected", json!({})),
        ("additional data", "aad", json!(b64("more"))),
        ("a payload beside the ciphertext", "payload", json!(b64("{}"))),
        ("signatures beside the ciphertext", "signatures", json!([])),
    ] {
        let wrong = letter.clone().changed(Place::Finished(0), move |envelope| {
            envelope.insert(name.to_owned(), value.clone());
        });
        corpus.refuse(PLACE, letter, &Fault::new(text, code::MALFORMED), &wrong);
    }
}

/// The only copy of a header stands where nothing protects it, as one library writes `epk`; and other serialisations.
fn outside(corpus: &mut Corpus<'_>, letter: &Letter) {
    for name in ["alg", "apv", "enc", "epk"] {
        let kept = Rc::new(RefCell::new(Value::Null));
        let taken = Rc::clone(&kept);
        let wrong = letter.clone().changed(Place::Protected(0), move |header| {
            *taken.borrow_mut() = header.remove(name).unwrap();
        });
        let wrong = wrong.changed(Place::Finished(0), move |envelope| {
            envelope["recipients"][0]["header"][name] = kept.borrow().clone();
        });
        let text = format!("{name} only in the header of a recipient");
        corpus.refuse(PLACE, letter, &Fault::new(&text, code::MALFORMED), &wrong);
    }
    let flat = letter.clone().changed(Place::Finished(0), |envelope| {
        let mut recipients = envelope.remove("recipients").unwrap();
        envelope.insert("header".to_owned(), recipients[0]["header"].take());
        envelope.insert("encrypted_key".to_owned(), recipients[0]["encrypted_key"].take());
    });
    let fault = Fault::new("the flattened serialisation", code::MALFORMED);
    corpus.refuse(PLACE, letter, &fault, &flat);
}

/// A message has one sender, so a second signature says that there is another.
fn two_signatures(corpus: &mut Corpus<'_>, signing: Curve) {
    for nest in [&[Layer::Sign][..], &[Layer::Anoncrypt, Layer::Sign]] {
        let letter = Letter::new(nest, Curve::X25519, signing);
        let other = letter.signer.replace(ALICE, MALLORY);
        let key = corpus.world.key(&other).clone();
        for is_first in [true, false] {
            let (key, kid) = (key.clone(), other.clone());
            let wrong = letter.clone().changed(Place::Finished(nest.len() - 1), move |envelope| {
                let mut one = envelope["signatures"][0].clone();
                let head = json!({ "alg": signing.alg(), "kid": kid }).to_string();
                let input = format!("{}.{}", b64(head), envelope["payload"].as_str().unwrap());
                one["protected"] = json!(input.split('.').next());
                one["signature"] = json!(b64(key.sign(input.as_bytes())));
                one["header"] = json!({ "kid": kid });
                let list = envelope["signatures"].as_array_mut().unwrap();
                list.insert(usize::from(!is_first), one);
            });
            let place = if is_first { "first" } else { "second" };
            let text = format!("two signatures, mallory's {place}");
            corpus.refuse(PLACE, &letter, &Fault::new(&text, code::MALFORMED), &wrong);
        }
    }
}

/// Tokens made for another purpose.
fn types(corpus: &mut Corpus<'_>) {
    for (nest, curve) in [
        (&[Layer::Anoncrypt][..], Curve::X25519),
        (&[Layer::Authcrypt], Curve::X25519),
        (&[Layer::Authcrypt], Curve::P384),
        (&[Layer::Sign], Curve::X25519),
    ] {
        let letter = honest(nest, curve);
        for typ in [
            json!("JWT"),
            json!("application/didcomm-plain+json"),
            json!("application/didcomm-envelope-enc"),
            json!("JWM"),
            json!(if nest[0] == Layer::Sign {
                "application/didcomm-encrypted+json"
            } else {
                "application/didcomm-signed+json"
            }),
            json!(1),
        ] {
            let text = format!("typ={typ}");
            let wrong = letter.clone().changed(Place::Protected(0), move |header| {
                header.insert("typ".to_owned(), typ.clone());
            });
            corpus.refuse(TYP, &letter, &Fault::new(&text, code::MALFORMED), &wrong);
        }
    }
}
