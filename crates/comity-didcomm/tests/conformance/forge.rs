//! The forging kit and the corpus that it makes: an own writer of envelopes over the bare primitives, which writes
//! whatever it is told, a reader that believes everything, and the themes. Not a test itself.
#![allow(dead_code, reason = "each test binary uses its own part")]

pub(crate) mod cipher;
pub(crate) mod corpus;
pub(crate) mod curve;
pub(crate) mod ecdsa;
pub(crate) mod files;
pub(crate) mod jwe;
pub(crate) mod jws;
pub(crate) mod letter;
pub(crate) mod library;
pub(crate) mod mutate;
pub(crate) mod naive;
pub(crate) mod seed;
pub(crate) mod text;
pub(crate) mod theme;
pub(crate) mod world;

use self::corpus::Corpus;
use self::world::World;

/// Makes the whole corpus.
pub(crate) fn corpus(world: &World) -> Corpus<'_> {
    let mut corpus = Corpus::new(world);
    theme::honest::add(&mut corpus);
    theme::senders::add(&mut corpus);
    theme::keys::add(&mut corpus);
    theme::recipients::add(&mut corpus);
    theme::rotation::add(&mut corpus);
    theme::nesting::add(&mut corpus);
    theme::algorithms::add(&mut corpus);
    theme::headers::add(&mut corpus);
    theme::forms::add(&mut corpus);
    corpus
}
