//! What a key is for: keys that are in the right document, but under the wrong relationship, under none, or held by
//! somebody else.

use super::{ENCRYPTED, MUST};
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::{AGREEMENT, SIGNING};
use crate::forge::letter::{Layer, Letter};
use crate::forge::theme::honest;

/// How a key is wrong, by the end of its name.
const FAULTS: [(&str, &str); 4] = [
    ("-other", "of the other relationship"),
    ("-assert", "of assertionMethod"),
    ("-none", "of no relationship"),
    ("-lent", "whose controller is mallory"),
];

const SEALING: Group = Group {
    name: "sealing-key",
    spec: "Message Layer Addressing Consistency: skid is in keyAgreement of from",
};
const SIGNING_KEY: Group = Group {
    name: "signing-key",
    spec: "DIDComm Signed Messages: kid is in authentication of from",
};
const RECIPIENT: Group = Group {
    name: "recipient-key",
    spec: "DIDComm Encrypted Messages: kid of a recipient is in keyAgreement",
};

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    for (suffix, fault) in FAULTS {
        sealing(corpus, suffix, fault);
        signing(corpus, suffix, fault);
        recipient(corpus, suffix, fault);
    }
}

fn sealing(corpus: &mut Corpus<'_>, suffix: &str, fault: &str) {
    let text = format!("sealed with a key {fault}");
    for nest in [
        &[Layer::Authcrypt][..],
        &[Layer::Anoncrypt, Layer::Authcrypt],
        &[Layer::Authcrypt, Layer::Sign],
    ] {
        for curve in AGREEMENT {
            let letter = honest(nest, curve);
            let wrong = letter.clone().with(|letter| {
                letter.sealer.push_str(suffix);
                letter.skid = Some(letter.sealer.clone());
                letter.apu = Some(letter.sealer.clone());
            });
            corpus.refuse(SEALING, &letter, &Fault::new(&text, code::MISMATCH), &wrong);
        }
    }
}

fn signing(corpus: &mut Corpus<'_>, suffix: &str, fault: &str) {
    let text = format!("signed with a key {fault}");
    for signing in SIGNING {
        let mut letters = vec![Letter::new(&[Layer::Sign], MUST[0], signing)];
        for curve in MUST {
            letters.push(Letter::new(&[Layer::Anoncrypt, Layer::Sign], curve, signing));
        }
        letters.push(Letter::new(&[Layer::Authcrypt, Layer::Sign], MUST[0], signing));
        for letter in letters {
            let wrong = letter.clone().with(|letter| {
                letter.signer.push_str(suffix);
                letter.kid = Some(letter.signer.clone());
                letter.header_kid = Some(letter.signer.clone());
            });
            corpus.refuse(SIGNING_KEY, &letter, &Fault::new(&text, code::MISMATCH), &wrong);
        }
    }
}

fn recipient(corpus: &mut Corpus<'_>, suffix: &str, fault: &str) {
    let text = format!("encrypted to a key {fault}");
    for nest in ENCRYPTED {
        for curve in MUST {
            let letter = honest(nest, curve);
            let wrong = letter.clone().with(|letter| {
                for (named, real) in letter.recipients.iter_mut().flatten() {
                    named.push_str(suffix);
                    real.push_str(suffix);
                }
            });
            let fault = Fault::new(&text, code::UNKNOWN_RECIPIENT);
            corpus.refuse(RECIPIENT, &letter, &fault, &wrong);
        }
    }
}
