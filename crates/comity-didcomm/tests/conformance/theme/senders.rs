//! Who sent it: every way in which `from`, `skid`, `apu` and the two key ids of a signature can name two parties, sealed
//! and signed with the real keys of those that they name.

use serde_json::{Value, json};

use super::{MUST, PROVEN, honest, partner};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::{AGREEMENT, Curve, Key, SIGNING};
use crate::forge::letter::{Layer, Letter};
use crate::forge::world::{ALICE, MALLORY};

const GROUP: Group = Group {
    name: "sender",
    spec: "Message Layer Addressing Consistency; ECDH-1PU key wrapping and common protected headers",
};

/// One choice of a party for each field.
#[derive(Clone, Copy)]
struct Names {
    from: Option<&'static str>,
    skid: Option<&'static str>,
    apu: &'static str,
    sealer: &'static str,
    kid: Option<&'static str>,
    header_kid: Option<&'static str>,
    signer: &'static str,
}

const HONEST: Names = Names {
    from: Some(ALICE),
    skid: Some(ALICE),
    apu: ALICE,
    sealer: ALICE,
    kid: Some(ALICE),
    header_kid: Some(ALICE),
    signer: ALICE,
};

const PARTIES: [&str; 2] = [ALICE, MALLORY];

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for nest in PROVEN {
        let curves: &[Curve] = if nest.contains(&Layer::Sign) { &MUST } else { &AGREEMENT };
        for curve in curves {
            let pairs: &[Curve] =
                if nest == [Layer::Anoncrypt, Layer::Sign] { &SIGNING } else { &[partner(*curve)] };
            for signing in pairs {
                all(corpus, &Letter::new(nest, *curve, *signing));
            }
        }
    }
    for signing in SIGNING {
        all(corpus, &Letter::new(&[Layer::Sign], Curve::X25519, signing));
    }
    unsealed(corpus);
}

fn all(corpus: &mut Corpus<'_>, letter: &Letter) {
    let seals = letter.nest.contains(&Layer::Authcrypt);
    let signs = letter.nest.contains(&Layer::Sign);
    let mut choices = vec![HONEST];
    let each = |choices: &mut Vec<Names>, set: &dyn Fn(&mut Names, &'static str)| {
        *choices = choices
            .iter()
            .flat_map(|names| {
                PARTIES.map(|party| {
                    let mut names = *names;
                    set(&mut names, party);
                    names
                })
            })
            .collect();
    };
    each(&mut choices, &|names, party| names.from = Some(party));
    if seals {
        each(&mut choices, &|names, party| names.skid = Some(party));
        each(&mut choices, &|names, party| names.apu = party);
        each(&mut choices, &|names, party| names.sealer = party);
    }
    if signs {
        each(&mut choices, &|names, party| names.kid = Some(party));
        // Under authcrypt the two ids of the signature go together, or the cases would be too many.
        if seals {
            choices.iter_mut().for_each(|names| names.header_kid = names.kid);
            choices.iter_mut().for_each(|names| names.signer = names.kid.unwrap());
        } else {
            each(&mut choices, &|names, party| names.header_kid = Some(party));
            each(&mut choices, &|names, party| names.signer = party);
        }
    }
    let mut extra = Vec::new();
    for party in PARTIES {
        extra.push(Names { from: None, ..named(party) });
    }
    if seals {
        extra.push(Names { skid: None, from: Some(ALICE), ..named(MALLORY) });
        extra.push(Names { skid: None, from: Some(MALLORY), ..named(ALICE) });
    }
    if signs {
        for (from, signer) in [(ALICE, MALLORY), (MALLORY, ALICE)] {
            let names = if seals { named(from) } else { named(signer) };
            let signed = Names {
                from: Some(from),
                signer,
                kid: Some(signer),
                header_kid: Some(signer),
                ..names
            };
            extra.push(Names { kid: None, ..signed });
            extra.push(Names { header_kid: None, ..signed });
        }
    }
    for names in choices.into_iter().chain(extra) {
        if is_wrong(&names, seals, signs) {
            let text = text(&names, seals, signs);
            let fault = Fault::new(&text, code::MISMATCH);
            corpus.refuse(GROUP, letter, &fault, &renamed(letter, &names));
        }
    }
}

const fn named(party: &'static str) -> Names {
    Names {
        from: Some(party),
        skid: Some(party),
        apu: party,
        sealer: party,
        kid: Some(party),
        header_kid: Some(party),
        signer: party,
    }
}

/// Whether the fields disagree, while each key that was used is one that a field names.
fn is_wrong(names: &Names, seals: bool, signs: bool) -> bool {
    let mut fields = vec![names.from];
    if seals {
        if ![names.skid, Some(names.apu)].contains(&Some(names.sealer)) {
            return false;
        }
        fields.extend([names.skid.or(Some(names.apu)), Some(names.apu)]);
    }
    if signs {
        if ![names.kid, names.header_kid].contains(&Some(names.signer)) {
            return false;
        }
        fields.extend([names.kid, names.header_kid].into_iter().filter(Option::is_some));
    }
    fields.windows(2).any(|pair| pair[0] != pair[1])
}

fn text(names: &Names, seals: bool, signs: bool) -> String {
    let short = |party: Option<&str>| match party {
        None => "none",
        Some(ALICE) => "alice",
        Some(_) => "mallory",
    };
    let mut text = format!("from={}", short(names.from));
    if seals {
        text.push_str(&format!(
            " skid={} apu={} sealed-by={}",
            short(names.skid),
            short(Some(names.apu)),
            short(Some(names.sealer))
        ));
    }
    if signs {
        text.push_str(&format!(
            " kid={} header-kid={} signed-by={}",
            short(names.kid),
            short(names.header_kid),
            short(Some(names.signer))
        ));
    }
    text
}

fn renamed(letter: &Letter, names: &Names) -> Letter {
    let swap = |kid: &str, party: &str| kid.replace(ALICE, party);
    let (seal, sign) = (letter.sealer.clone(), letter.signer.clone());
    let renamed = letter.clone().with(|letter| {
        letter.skid = names.skid.map(|party| swap(&seal, party));
        letter.apu = Some(swap(&seal, names.apu));
        letter.sealer = swap(&seal, names.sealer);
        letter.kid = names.kid.map(|party| swap(&sign, party));
        letter.header_kid = names.header_kid.map(|party| swap(&sign, party));
        letter.signer = swap(&sign, names.signer);
    });
    renamed.saying("from", names.from.map_or(Value::Null, |from| json!(from)))
}

/// A sender's key in the headers of an envelope that no sender's key sealed, and the other way round.
fn unsealed(corpus: &mut Corpus<'_>) {
    use crate::forge::letter::Place;
    for curve in AGREEMENT {
        let anon = honest(&[Layer::Anoncrypt], curve);
        let kid = honest(&[Layer::Authcrypt], curve).sealer;
        let apu = crate::forge::text::b64(&kid);
        let fault = Fault::new("anoncrypt with skid and apu", code::MALFORMED);
        let claimed = kid.clone();
        let wrong = anon.clone().changed(Place::Protected(0), move |header| {
            header.insert("skid".to_owned(), json!(claimed));
            header.insert("apu".to_owned(), json!(apu));
        });
        corpus.refuse(GROUP, &anon, &fault, &wrong);
        let fault = Fault::new("anoncrypt with skid", code::MALFORMED);
        let wrong = anon.clone().changed(Place::Protected(0), move |header| {
            header.insert("skid".to_owned(), json!(kid));
        });
        corpus.refuse(GROUP, &anon, &fault, &wrong);
        let auth = honest(&[Layer::Authcrypt], curve);
        let fault = Fault::new("authcrypt without apu", code::MALFORMED);
        corpus.refuse(GROUP, &auth, &fault, &auth.clone().with(|letter| letter.apu = None));
    }
    // A key in the header, which a careless reader would verify with.
    for signing in SIGNING {
        for nest in [&[Layer::Sign][..], &[Layer::Anoncrypt, Layer::Sign]] {
            let letter = Letter::new(nest, Curve::X25519, signing);
            let key = Key::new(signing, "nobody");
            let at = nest.len() - 1;
            let fault = Fault::new("signed with the key of a jwk header", code::UNSUPPORTED);
            let wrong = letter.clone().with(|letter| letter.own_key = Some(key.clone()));
            let wrong = wrong.changed(Place::Protected(at), move |header| {
                header.insert("jwk".to_owned(), key.jwk());
            });
            corpus.refuse(GROUP, &letter, &fault, &wrong);
        }
    }
}
