//! Layers that the specification's table does not allow, each of them honestly made.

use super::honest;
use crate::forge::corpus::{Corpus, Fault, Group, code};
use crate::forge::curve::Curve;
use crate::forge::letter::Layer::{self, Anoncrypt, Authcrypt, Sign};

const GROUP: Group = Group { name: "nesting", spec: "IANA Media Types: allowed combinations" };

const LEGAL: [&[Layer]; 3] = [&[Anoncrypt, Authcrypt], &[Anoncrypt, Sign], &[Authcrypt, Sign]];

pub(crate) fn add(corpus: &mut Corpus<'_>) {
    let layers = [Anoncrypt, Authcrypt, Sign];
    let mut stacks: Vec<Vec<Layer>> = layers.iter().map(|layer| vec![*layer]).collect();
    for depth in 2..=4 {
        let shallower: Vec<Vec<Layer>> =
            stacks.iter().filter(|stack| stack.len() == depth - 1).cloned().collect();
        for stack in shallower {
            stacks.extend(layers.iter().map(|layer| [&stack[..], &[*layer]].concat()));
        }
    }
    for stack in stacks.iter().filter(|stack| 1 < stack.len()) {
        if LEGAL.contains(&stack.as_slice()) {
            continue;
        }
        let curves: &[Curve] = match stack.len() {
            2 => &[Curve::X25519, Curve::P256, Curve::P384],
            3 => &[Curve::X25519],
            // Deep ones grow by a third a layer; one sort of outermost layer is enough.
            _ if stack[..2] == [Anoncrypt; 2] => &[Curve::X25519],
            _ => &[],
        };
        for curve in curves {
            let letter = honest(&stack[..1], *curve);
            let mut wrong = honest(stack, *curve);
            let text = wrong.label.split('/').next().unwrap().to_owned();
            wrong.label.clone_from(&letter.label);
            corpus.refuse(GROUP, &letter, &Fault::new(&text, code::ENVELOPE), &wrong);
        }
    }
}
