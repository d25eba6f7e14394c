//! Project Wycheproof's attack vectors against what this crate uses: every primitive through the crate's own types, and
//! the JOSE files through its own parsers. Every case that applies must have its result; every other is counted by
//! the reason why it does not. Only compiled for tests.

mod jose;
mod primitives;

use std::collections::BTreeMap;

/// Counts what was done with the cases of one set.
#[derive(Default)]
struct Tally {
    applied: usize,
    skipped: BTreeMap<&'static str, usize>,
    wrong: Vec<String>,
}

impl Tally {
    /// Takes one case that applies.
    fn apply(&mut self, case: impl std::fmt::Display, is_right: bool) {
        self.applied += 1;
        if !is_right {
            self.wrong.push(case.to_string());
        }
    }

    fn skip(&mut self, why: &'static str) {
        *self.skipped.entry(why).or_default() += 1;
    }

    /// Ends the set. `applied` is how many cases there were when the test was written: fewer are fewer attacks.
    #[expect(clippy::print_stderr, reason = "what was skipped should be seen")]
    fn finish(self, set: &str, applied: usize) {
        eprintln!("{set}: {} applied; skipped: {:?}", self.applied, self.skipped);
        assert!(self.wrong.is_empty(), "{set}: {} wrong: {:#?}", self.wrong.len(), self.wrong);
        assert!(applied <= self.applied, "{set}: only {} cases, not {applied}", self.applied);
    }
}
