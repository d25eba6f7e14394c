//! Who succeeds whom: `from_prior` tokens that are well signed by somebody, but not by the prior DID for the sender of
//! the message that carries them.

use serde_json::{Value, json};

use super::{MUST, PROVEN, honest, partner};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::Curve;
use crate::forge::jws::{Signer, compact};
use crate::forge::letter::{Layer, Letter, NOW};
use crate::forge::world::{ALICE, MALLORY, PRIOR, World, signing_name};

const GROUP: Group = Group { name: "from-prior", spec: "DID Rotation" };

/// The plan of one token.
#[derive(Clone)]
pub(crate) struct Token {
    header: Value,
    claims: Value,
    /// Whose key really signs.
    signer: String,
}

impl Token {
    /// An honest token: the prior DID says that Alice succeeds it.
    pub(crate) fn new(curve: Curve) -> Self {
        let kid = format!("{PRIOR}#{}", signing_name(curve));
        Self {
            header: json!({ "typ": "JWT", "alg": curve.alg(), "kid": kid }),
            claims: json!({ "iss": PRIOR, "sub": ALICE, "iat": NOW - 100 }),
            signer: kid,
        }
    }

    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    fn claiming(self, name: &str, value: Value) -> Self {
        self.with(|token| set(&mut token.claims, name, value))
    }

    fn heading(self, name: &str, value: Value) -> Self {
        self.with(|token| set(&mut token.header, name, value))
    }

    /// Names another key and signs with it.
    fn signed_by(self, kid: &str) -> Self {
        self.heading("kid", json!(kid)).with(|token| token.signer = kid.to_owned())
    }

    pub(crate) fn write(&self, world: &World) -> Value {
        let key = world.key(&self.signer);
        let signer = match self.header["alg"].as_str() {
            Some("none") => Signer::Nothing,
            Some("HS256") => Signer::Hmac(&key.public),
            _ => Signer::Key(key),
        };
        json!(compact(&self.header, &self.claims, signer))
    }
}

fn set(object: &mut Value, name: &str, value: Value) {
    if value.is_null() {
        object.as_object_mut().unwrap().remove(name);
    } else {
        object[name] = value;
    }
}

/// An honest letter that carries an honest token.
pub(crate) fn rotating(world: &World, letter: &Letter, curve: Curve) -> Letter {
    let token = Token::new(curve).write(world);
    letter.clone().labelled("from_prior").saying("from_prior", token)
}

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for nest in PROVEN {
        // The token does not know what carries it: one nesting on all curves, the others on one.
        let curves = if nest.len() == 1 { &MUST[..] } else { &MUST[..1] };
        for curve in curves {
            carried(corpus, &honest(nest, *curve), partner(*curve));
        }
    }
    for curve in MUST {
        not_proven(corpus, curve);
    }
}

fn carried(corpus: &mut Corpus<'_>, letter: &Letter, signing: Curve) {
    let world = corpus.world;
    let letter = rotating(world, letter, signing);
    let token = Token::new(signing);
    let name = signing_name(signing);
    let kid_of = |did: &str| format!("{did}#{name}");
    let cases = [
        ("sub=mallory", token.clone().claiming("sub", json!(MALLORY))),
        ("sub=prior, the issuer", token.clone().claiming("sub", json!(PRIOR))),
        ("sub is absent, from is not", token.clone().claiming("sub", Value::Null)),
        ("sub is a key id", token.clone().claiming("sub", json!(kid_of(ALICE)))),
        ("iss=mallory, signed by prior", token.clone().claiming("iss", json!(MALLORY))),
        ("iss=alice, signed by prior", token.clone().claiming("iss", json!(ALICE))),
        ("iss is absent", token.clone().claiming("iss", Value::Null)),
        ("iss=alice, signed by alice", {
            token.clone().claiming("iss", json!(ALICE)).signed_by(&kid_of(ALICE))
        }),
        ("iss=prior, signed by mallory", token.clone().signed_by(&kid_of(MALLORY))),
        ("iss=prior, signed by alice", token.clone().signed_by(&kid_of(ALICE))),
        ("iss=mallory sub=mallory, signed by mallory", {
            let token = token.clone().claiming("iss", json!(MALLORY));
            token.claiming("sub", json!(MALLORY)).signed_by(&kid_of(MALLORY))
        }),
        ("signed with a key of the other relationship", {
            token.clone().signed_by(&format!("{}-other", kid_of(PRIOR)))
        }),
        ("signed with a key of assertionMethod", {
            token.clone().signed_by(&format!("{}-assert", kid_of(PRIOR)))
        }),
        ("signed with a key of no relationship", {
            token.clone().signed_by(&format!("{}-none", kid_of(PRIOR)))
        }),
        ("signed with a key whose controller is mallory", {
            token.clone().signed_by(&format!("{}-lent", kid_of(PRIOR)))
        }),
        ("alg=none", token.clone().heading("alg", json!("none"))),
        ("alg=HS256 with the public key", token.clone().heading("alg", json!("HS256"))),
        ("alg of another kind of key", {
            let other = if signing == Curve::Ed25519 { "ES256" } else { "EdDSA" };
            token.clone().heading("alg", json!(other))
        }),
        ("kid is absent", token.clone().heading("kid", Value::Null)),
        ("kid without a fragment", token.clone().heading("kid", json!(PRIOR))),
        ("crit in the header", token.clone().heading("crit", json!(["exp"]))),
        ("iat is absent", token.clone().claiming("iat", Value::Null)),
        ("typ of a message", token.heading("typ", json!("application/didcomm-signed+json"))),
    ];
    for (text, token) in cases {
        let wrong = letter.clone().saying("from_prior", token.write(world));
        corpus.refuse(GROUP, &letter, &Fault::new(text, code::FROM_PRIOR), &wrong);
    }
    // Mallory takes the token that was made for Alice, and carries it herself.
    let steal = |kid: &str| kid.replace(ALICE, MALLORY);
    let stolen = letter.clone().saying("from", json!(MALLORY)).with(|letter| {
        letter.sealer = steal(&letter.sealer);
        letter.signer = steal(&letter.signer);
        for kid in [&mut letter.skid, &mut letter.apu, &mut letter.kid, &mut letter.header_kid] {
            *kid = kid.as_deref().map(steal);
        }
    });
    let fault = Fault::new("an honest token of alice, carried by mallory", code::FROM_PRIOR);
    corpus.refuse(GROUP, &letter, &fault, &stolen);
}

/// Tokens in messages that prove no sender or are not encrypted.
fn not_proven(corpus: &mut Corpus<'_>, curve: Curve) {
    let world = corpus.world;
    let token = Token::new(partner(curve));
    let anon = honest(&[Layer::Anoncrypt], curve);
    let signed = honest(&[Layer::Sign], curve);
    for (text, letter, token) in [
        ("carried by an unproven from", &anon, token.clone()),
        ("carried in the clear", &signed, token.clone()),
    ] {
        let wrong = letter.clone().saying("from_prior", token.write(world));
        corpus.refuse(GROUP, letter, &Fault::new(text, code::FROM_PRIOR), &wrong);
    }
    let nobody = anon.labelled("the relation ends").saying("from", Value::Null);
    let end = token.clone().claiming("sub", Value::Null);
    let nobody = nobody.saying("from_prior", end.write(world));
    for (text, token) in [
        ("sub=alice, from is absent", token),
        ("the end, signed by mallory", end.clone().signed_by(&format!("{MALLORY}#ed25519"))),
        ("the end, iss=mallory, signed by prior", end.claiming("iss", json!(MALLORY))),
    ] {
        // Mallory signs with Ed25519, whatever the letter's own algorithm is.
        let alg = if token.signer.starts_with(MALLORY) { "EdDSA" } else { partner(curve).alg() };
        let token = token.heading("alg", json!(alg));
        let wrong = nobody.clone().saying("from_prior", token.write(world));
        corpus.refuse(GROUP, &nobody, &Fault::new(text, code::FROM_PRIOR), &wrong);
    }
}
