//! How many tests passed, failed and were skipped, read from what the runners print.
//!
//! Understands the summary line of cargo-nextest and the result lines of libtest (and so of doc
//! tests). A run whose totals cannot be read is an error, never a zero.

use std::{
    fmt,
    iter::Sum,
    ops::{Add, AddAssign},
};

use anyhow::{Result, bail};

/// Counts tests by outcome.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    pub(crate) skipped: u64,
}

impl Totals {
    /// Reads the one summary line of cargo-nextest, e.g.
    /// `Summary [ 1.2s] 9 tests run: 7 passed (1 slow), 1 failed, 1 timed out, 2 skipped`.
    pub(crate) fn of_nextest(output: &str) -> Result<Self> {
        let output = without_colours(output);
        let line = output.lines().rev().find(|line| line.trim_start().starts_with("Summary ["));
        let Some((_, counts)) = line.and_then(|line| line.split_once(" run: ")) else {
            bail!("cargo-nextest printed no summary line");
        };
        Ok(without_parentheses(counts).split(',').map(Self::of_count).sum())
    }

    /// Adds up the result lines of libtest, one a test binary, e.g. `test result: ok. 3 passed; 0
    /// failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`.
    pub(crate) fn of_libtest(output: &str) -> Result<Self> {
        let output = without_colours(output);
        let mut lines =
            output.lines().filter_map(|line| line.strip_prefix("test result: ")).peekable();
        if lines.peek().is_none() {
            bail!("the test runner printed no result line");
        }
        let counts = lines.filter_map(|line| line.split_once(". ")).map(|(_, counts)| counts);
        Ok(counts.flat_map(|counts| counts.split(';')).map(Self::of_count).sum())
    }

    /// Reads one `NUMBER OUTCOME`; other figures of a summary count nothing.
    fn of_count(text: &str) -> Self {
        let Some((number, outcome)) = text.trim().split_once(' ') else {
            return Self::default();
        };
        let Ok(count) = number.parse() else {
            return Self::default();
        };
        match outcome.trim() {
            "passed" => Self { passed: count, ..Self::default() },
            "failed" | "exec failed" | "timed out" => Self { failed: count, ..Self::default() },
            "ignored" | "skipped" => Self { skipped: count, ..Self::default() },
            _ => Self::default(),
        }
    }
}

impl AddAssign for Totals {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl Add for Totals {
    type Output = Self;

    fn add(mut self, other: Self) -> Self {
        self += other;
        self
    }
}

impl Sum for Totals {
    fn sum<I: Iterator<Item = Self>>(totals: I) -> Self {
        totals.fold(Self::default(), Add::add)
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

/// Takes out terminal colour sequences (ECMA-48 CSI, which end in a letter).
fn without_colours(text: &str) -> String {
    let mut parts = text.split("\u{1b}[");
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        plain.push_str(
            part.trim_start_matches(|c: char| c.is_ascii_digit() || c == ';')
                .get(1..)
                .unwrap_or(""),
        );
    }
    plain
}

/// Takes out remarks such as `(1 slow, 2 leaky)`, whose commas are not those of the list.
fn without_parentheses(text: &str) -> String {
    let mut plain = String::new();
    let mut depth = 0_usize;
    for c in text.chars() {
        match c {
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            _ if depth == 0 => plain.push(c),
            _ => {}
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nextest_summary_is_read_with_all_its_remarks() {
        let output = "  Starting 12 tests\n     Summary [   2.1s] 12/14 tests run: 8 passed (1 slow, 1 leaky), \
                      2 failed, 1 exec failed, 1 timed out, 3 skipped\n  FAIL [ 0.1s] a::b\n";
        let totals = Totals::of_nextest(output).unwrap();
        assert_eq!(totals.to_string(), "8 passed, 4 failed, 3 skipped");
    }

    #[test]
    fn a_coloured_summary_is_read_too() {
        let output = "\u{1b}[32;1m     Summary\u{1b}[0m [   0.0s] \u{1b}[1m2\u{1b}[0m tests run: \
                      \u{1b}[1m2\u{1b}[0m \u{1b}[32;1mpassed\u{1b}[0m, \u{1b}[1m0\u{1b}[0m skipped\n";
        assert_eq!(
            Totals::of_nextest(output).unwrap().to_string(),
            "2 passed, 0 failed, 0 skipped"
        );
    }

    #[test]
    fn libtest_results_of_all_binaries_add_up() {
        let output = "running 2 tests\n\
            test result: ok. 2 passed; 0 failed; 1 ignored; 0 measured; 5 filtered out; finished in 0.00s\n\
            test result: FAILED. 1 passed; 2 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.10s\n";
        assert_eq!(
            Totals::of_libtest(output).unwrap().to_string(),
            "3 passed, 2 failed, 1 skipped"
        );
    }

    #[test]
    fn a_run_without_totals_is_an_error() {
        assert!(Totals::of_nextest("error: could not compile").is_err());
        assert!(Totals::of_libtest("error: could not compile").is_err());
    }
}
