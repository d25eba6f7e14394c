//! What must be accepted: every legal nesting on every curve with every algorithm, and the variants that honest peers
//! write.

use serde_json::{Value, json};

use super::recipients::to_both;
use super::rotation::rotating;
use super::{ENCRYPTED, MUST, honest, partner};
use crate::forge::corpus::Corpus;
use crate::forge::curve::{AGREEMENT, Curve, SIGNING};
use crate::forge::ecdsa;
use crate::forge::jws::flattened;
use crate::forge::letter::{Layer, Letter, Place};
use crate::forge::text::{b64, unb64};
use crate::forge::world::{BOB, CAROL};

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    table(corpus);
    for curve in AGREEMENT {
        sealed_variants(corpus, curve);
    }
    for signing in SIGNING {
        signed_variants(corpus, signing);
    }
    for curve in MUST {
        for nest in ENCRYPTED.into_iter().filter(|nest| *nest != [Layer::Anoncrypt]) {
            let letter = rotating(corpus.world, &honest(nest, curve), partner(curve));
            corpus.accept(&letter);
        }
    }
}

/// The specification's table, with every algorithm that it allows at each place.
fn table(corpus: &mut Corpus<'_>) {
    for curve in AGREEMENT {
        for nest in ENCRYPTED {
            let signing: &[Curve] =
                if nest.contains(&Layer::Sign) { &SIGNING } else { &SIGNING[..1] };
            for signing in signing {
                let letter = Letter::new(nest, curve, *signing);
                corpus.accept(&letter);
                if nest[0] == Layer::Anoncrypt {
                    for enc in ["A256GCM", "XC20P"] {
                        let other = letter.clone().labelled(enc);
                        corpus.accept(&other.with(|letter| letter.anon.1 = enc));
                    }
                }
            }
        }
    }
    for signing in SIGNING {
        corpus.accept(&Letter::new(&[Layer::Sign], Curve::X25519, signing));
    }
}

fn sealed_variants(corpus: &mut Corpus<'_>, curve: Curve) {
    for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
        let letter = honest(&[layer], curve);
        corpus.accept(&to_both(&letter));
        let said = |label: &str, name: &str, value: Value| {
            letter.clone().labelled(label).saying(name, value)
        };
        corpus.accept(&said("to is absent", "to", Value::Null));
        corpus.accept(&said("to holds others too", "to", json!([CAROL, BOB])));
        corpus.accept(&said("body is absent", "body", Value::Null));
        corpus.accept(&said("typ of the message is absent", "typ", Value::Null));
        corpus.accept(&said("short typ of the message", "typ", json!("didcomm-plain+json")));
        corpus.accept(&said("an unknown header", "x-unknown", json!({ "a": [1, 2] })));
        let typ = |label: &str, value: Value| {
            letter.clone().labelled(label).changed(Place::Protected(0), move |header| {
                if value.is_null() {
                    header.remove("typ");
                } else {
                    header.insert("typ".to_owned(), value.clone());
                }
            })
        };
        corpus.accept(&typ("typ is absent", Value::Null));
        corpus.accept(&typ("short typ", json!("didcomm-encrypted+json")));
        let unknown = letter.clone().labelled("an unknown protected header");
        corpus.accept(&unknown.changed(Place::Protected(0), |header| {
            header.insert("x-unknown".to_owned(), json!("ignored"));
        }));
        if layer == Layer::Authcrypt {
            let letter = letter.labelled("skid is absent");
            corpus.accept(&letter.with(|letter| letter.skid = None));
        }
    }
    let apu = honest(&[Layer::Anoncrypt], curve).labelled("apu, which names nobody here");
    corpus.accept(&apu.changed(Place::Protected(0), |header| {
        header.insert("apu".to_owned(), json!(b64("did:example:mallory#x25519")));
    }));
    let anon = honest(&[Layer::Anoncrypt], curve).labelled("from is absent");
    corpus.accept(&anon.saying("from", Value::Null));
}

fn signed_variants(corpus: &mut Corpus<'_>, signing: Curve) {
    for nest in [&[Layer::Sign][..], &[Layer::Anoncrypt, Layer::Sign]] {
        let letter = Letter::new(nest, Curve::X25519, signing);
        let at = nest.len() - 1;
        let protected = letter.clone().labelled("kid only protected");
        corpus.accept(&protected.with(|letter| letter.header_kid = None));
        let unprotected = letter.clone().labelled("kid only unprotected");
        corpus.accept(&unprotected.with(|letter| letter.kid = None));
        let flat = letter.clone().labelled("flattened");
        corpus.accept(&flat.changed(Place::Finished(at), |envelope| {
            *envelope = flattened(std::mem::take(envelope));
        }));
        if signing != Curve::Ed25519 {
            let high = letter.labelled("high s");
            corpus.accept(&high.changed(Place::Finished(at), move |envelope| {
                let one = &mut envelope["signatures"][0]["signature"];
                let bytes = one.as_str().and_then(unb64).unwrap();
                *one = json!(b64(ecdsa::with_other_s(signing, &bytes)));
            }));
        }
    }
    let letter = Letter::new(&[Layer::Sign], Curve::X25519, signing).labelled("to is absent");
    corpus.accept(&letter.saying("to", Value::Null));
}
