//! Algorithms that decrypt or verify, but are not in DIDComm's tables, not in this pair, or not those of the key; and
//! keys with which everybody shares a secret.

use serde_json::json;

use super::{MUST, honest};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::{AGREEMENT, Curve, SIGNING};
use crate::forge::letter::{Layer, Letter, Place, Signing};
use crate::forge::text::{b64, unb64};

const PAIR: Group =
    Group { name: "encryption-algorithm", spec: "Curves and Content Encryption Algorithms" };
const SIGN: Group = Group {
    name: "signature-algorithm",
    spec: "DIDComm Signed Messages: algorithms; RFC 8725, sections 3.1 and 3.2",
};
const POINT: Group = Group {
    name: "ephemeral-key",
    spec: "ECDH-ES, ECDH-1PU: validation of points; RFC 7748, section 6.1",
};

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for curve in MUST {
        pairs(corpus, curve);
    }
    for signing in SIGNING {
        signatures(corpus, signing);
    }
    known_secrets(corpus);
    foreign_points(corpus);
}

fn pairs(corpus: &mut Corpus<'_>, curve: Curve) {
    const KW: &str = "ECDH-1PU+A256KW";
    const ES: &str = "ECDH-ES+A256KW";
    let auth = [
        (KW, "A256GCM"),
        (KW, "XC20P"),
        (KW, "A128GCM"),
        (KW, "A192GCM"),
        (KW, "A128CBC-HS256"),
        (KW, "A192CBC-HS384"),
        ("ECDH-1PU+A128KW", "A256CBC-HS512"),
        ("ECDH-1PU+A128KW", "A128CBC-HS256"),
        ("ECDH-1PU", "A256CBC-HS512"),
        ("ECDH-1PU", "A256GCM"),
    ];
    let anon = [
        (ES, "A128GCM"),
        (ES, "A192GCM"),
        (ES, "A128CBC-HS256"),
        (ES, "A192CBC-HS384"),
        ("ECDH-ES+A128KW", "A256CBC-HS512"),
        ("ECDH-ES+A128KW", "A128GCM"),
        ("ECDH-ES", "A256CBC-HS512"),
        ("ECDH-ES", "A256GCM"),
    ];
    for (nest, list) in [
        (&[Layer::Authcrypt][..], &auth[..]),
        (&[Layer::Anoncrypt, Layer::Authcrypt], &auth),
        (&[Layer::Anoncrypt], &anon),
        (&[Layer::Anoncrypt, Layer::Sign], &anon),
    ] {
        if 1 < nest.len() && curve != MUST[0] {
            continue;
        }
        let letter = honest(nest, curve);
        for pair in list {
            let wrong = letter.clone().with(|letter| {
                if letter.nest.contains(&Layer::Authcrypt) {
                    letter.auth = *pair;
                } else {
                    letter.anon = *pair;
                }
            });
            let text = format!("{} with {}", pair.0, pair.1);
            corpus.refuse(PAIR, &letter, &Fault::new(&text, code::ALGORITHM), &wrong);
        }
    }
    for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
        let letter = honest(&[layer], curve);
        for bytes in [1, 8, 16, 31] {
            let wrong = letter.clone().with(|letter| letter.tag_bytes = bytes);
            let text = format!("the tag cut to {bytes} bytes");
            corpus.refuse(PAIR, &letter, &Fault::new(&text, code::CRYPTO), &wrong);
        }
    }
}

fn signatures(corpus: &mut Corpus<'_>, signing: Curve) {
    for nest in
        [&[Layer::Sign][..], &[Layer::Anoncrypt, Layer::Sign], &[Layer::Authcrypt, Layer::Sign]]
    {
        let letter = Letter::new(nest, Curve::X25519, signing);
        let at = nest.len() - 1;
        let named = |alg: &'static str, signing| {
            letter.clone().with(|letter| {
                letter.alg = alg;
                letter.signing = signing;
            })
        };
        for (text, alg) in [("alg=none", "none"), ("alg=NONE", "NONE")] {
            let wrong = named(alg, Signing::Nothing);
            corpus.refuse(SIGN, &letter, &Fault::new(text, code::ALGORITHM), &wrong);
        }
        let wrong = named("HS256", Signing::Hmac);
        let fault = Fault::new("alg=HS256 with the public key", code::ALGORITHM);
        corpus.refuse(SIGN, &letter, &fault, &wrong);
        for alg in ["EdDSA", "ES256", "ES256K", "ES384", "RS256", "Ed25519"] {
            if alg == signing.alg() {
                continue;
            }
            let text = format!("alg={alg} over a signature of {}", signing.alg());
            let wrong = named(alg, Signing::Honest);
            corpus.refuse(SIGN, &letter, &Fault::new(&text, code::ALGORITHM), &wrong);
        }
        let alg = json!(signing.alg());
        let moved = letter
            .clone()
            .changed(Place::Protected(at), |header| drop(header.remove("alg")))
            .changed(Place::Unprotected(at), move |header| {
                header.insert("alg".to_owned(), alg.clone());
            });
        let fault = Fault::new("alg only in the unprotected header", code::MALFORMED);
        corpus.refuse(SIGN, &letter, &fault, &moved);
        let alg = json!(signing.alg());
        let twice = letter.clone().changed(Place::Unprotected(at), move |header| {
            header.insert("alg".to_owned(), alg.clone());
        });
        let fault = Fault::new("alg in both headers", code::MALFORMED);
        corpus.refuse(SIGN, &letter, &fault, &twice);
    }
}

/// With these, the agreement gives zero whatever the recipient's key is, so everybody can make the envelope.
fn known_secrets(corpus: &mut Corpus<'_>) {
    let one = |first: u8, last: u8, rest: u8| [&[first][..], &[rest; 30], &[last]].concat();
    let points = [
        ("0", b64([0; 32])),
        ("1", b64(one(1, 0, 0))),
        ("p - 1", b64(one(0xec, 0x7f, 0xff))),
        ("p", b64(one(0xed, 0x7f, 0xff))),
        ("p + 1", b64(one(0xee, 0x7f, 0xff))),
        ("of order 8", "4Ot6fDtBuK4WVuP68Z_EatoJjeucMrH9hmIFFl9JuAA".to_owned()),
        ("of order 8, the other", "X5yVvKNQjCSx0LFVnIPvWwREXMRYHI6G2CJO3dCfEVc".to_owned()),
        ("0 with the unused bit", b64(one(0, 0x80, 0))),
    ];
    for nest in super::ENCRYPTED {
        let letter = honest(nest, Curve::X25519);
        for (name, x) in &points {
            let x = json!(x);
            let wrong = letter.clone().with(|letter| letter.ephemeral_secret = Some(vec![0; 32]));
            let wrong =
                wrong.changed(Place::Protected(0), move |header| header["epk"]["x"] = x.clone());
            let text = format!("an ephemeral key of small order: {name}");
            corpus.refuse(POINT, &letter, &Fault::new(&text, code::KEY), &wrong);
        }
    }
}

/// Ephemeral keys that are no point of the recipient's curve. These do not decrypt; a reader that computes with them
/// gives away its key.
fn foreign_points(corpus: &mut Corpus<'_>) {
    for curve in AGREEMENT {
        for layer in [Layer::Anoncrypt, Layer::Authcrypt] {
            let letter = honest(&[layer], curve);
            let with_d = letter.clone().changed(Place::Protected(0), |header| {
                header["epk"]["d"] = header["epk"]["x"].clone();
            });
            let fault = Fault::new("an ephemeral key with a private part", code::KEY);
            corpus.refuse(POINT, &letter, &fault, &with_d);
            if curve == Curve::X25519 {
                continue;
            }
            let off = letter.clone().changed(Place::Finished(0), |envelope| {
                edit(envelope, |header| header["epk"]["y"] = header["epk"]["x"].clone());
            });
            let fault = Fault::new("an ephemeral key off the curve", code::KEY);
            corpus.refuse(POINT, &letter, &fault, &off);
            let zero = letter.clone().changed(Place::Finished(0), |envelope| {
                edit(envelope, |header| {
                    let bytes = header["epk"]["x"].as_str().and_then(unb64).unwrap().len();
                    header["epk"]["x"] = json!(b64(vec![0; bytes]));
                    header["epk"]["y"] = json!(b64(vec![0; bytes]));
                });
            });
            let fault = Fault::new("an ephemeral key of zeros", code::KEY);
            corpus.refuse(POINT, &letter, &fault, &zero);
            // Too long; one without its leading zeros is read, since honest peers write it so.
            let long = letter.clone().changed(Place::Finished(0), |envelope| {
                edit(envelope, |header| {
                    let x = header["epk"]["x"].as_str().and_then(unb64).unwrap();
                    header["epk"]["x"] = json!(b64([&[0], &x[..]].concat()));
                });
            });
            let fault = Fault::new("a coordinate of the wrong length", code::KEY);
            corpus.refuse(POINT, &letter, &fault, &long);
        }
    }
}

/// Changes a protected header that is already sealed.
fn edit(
    envelope: &mut serde_json::Map<String, serde_json::Value>,
    change: impl FnOnce(&mut serde_json::Value),
) {
    let text = envelope["protected"].as_str().and_then(unb64).unwrap();
    let mut header = serde_json::from_slice(&text).unwrap();
    change(&mut header);
    envelope.insert("protected".to_owned(), json!(b64(header.to_string())));
}
