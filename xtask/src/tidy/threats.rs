//! Rule: the files and tests that docs/threats.md names exist.
//!
//! The table has the columns number, attack, file, test. In the last two, a path between backticks
//! is a file or folder from the root of the checkout, and in the last one `path::name` is a test
//! function in that file.

use super::{Finding, Tree};

const TABLE: &str = "docs/threats.md";
const WHY: &str = "a defence that cannot be found cannot be trusted";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.text(TABLE) else {
        return Vec::new();
    };
    text.lines().enumerate().flat_map(|(i, line)| check_line(tree, line, i + 1)).collect()
}

fn check_line(tree: &Tree, line: &str, number: usize) -> Vec<Finding> {
    let cells: Vec<&str> = line.split('|').map(str::trim).collect();
    let ["", threat, _, files, tests, ""] = cells.as_slice() else {
        return Vec::new();
    };
    // The head of the table and its rule name nothing.
    if !threat.starts_with('T') {
        return Vec::new();
    }
    let finding = |what: String, fix: &str| Finding {
        at: format!("{TABLE}:{number}"),
        what,
        why: WHY,
        fix: fix.to_owned(),
    };
    let mut findings = Vec::new();
    for path in quoted(files).filter(|path| !tree.contains(path)) {
        findings
            .push(finding(format!("{threat} names `{path}`, which is not there"), "mend the path"));
    }
    for test in quoted(tests) {
        let (path, name) = test.split_once("::").unwrap_or((test, ""));
        if !tree.contains(path) {
            findings.push(finding(
                format!("{threat} names `{path}`, which is not there"),
                "mend the path",
            ));
        } else if !name.is_empty() && !has_test(tree.text(path).unwrap_or(""), name) {
            findings.push(finding(
                format!("`{path}` has no test `{name}`"),
                "mend the name, or write the test",
            ));
        }
    }
    if quoted(files).next().is_none() || quoted(tests).next().is_none() {
        findings.push(finding(
            format!("{threat} names no file or no test"),
            "name both, or take the row out",
        ));
    }
    findings
}

fn has_test(text: &str, name: &str) -> bool {
    text.contains(&format!("fn {name}("))
}

/// Iterates over what stands between backticks.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "# Threats\n\n| # | Attack | File | Test |\n|---|---|---|---|\n";

    fn whats(rows: &str) -> Vec<String> {
        let text = format!("{HEAD}{rows}");
        let tree = Tree::from([
            ("docs/threats.md", text.as_str()),
            ("a/open.rs", ""),
            ("a/tests/refusals.rs", "#[test]\nfn forged_sender_is_refused() {}\n"),
        ]);
        check(&tree)
            .into_iter()
            .map(|finding| format!("{}: {}", finding.at, finding.what))
            .collect()
    }

    #[test]
    fn rows_whose_files_and_tests_exist_are_in_order() {
        let rows = "| T1 | forged | `a/open.rs`, `a/tests` | `a/tests/refusals.rs::forged_sender_is_refused` |\n\
                    | T2 | other | `a/open.rs` | `a/tests/refusals.rs` |\n";
        assert_eq!(whats(rows), [""; 0]);
    }

    #[test]
    fn what_is_named_and_missing_is_found() {
        let rows = "| T1 | forged | `a/gone.rs` | `a/tests/refusals.rs::gone` |\n\
                    | T2 | other | `a/open.rs` | none yet |\n";
        assert_eq!(
            whats(rows),
            [
                "docs/threats.md:5: T1 names `a/gone.rs`, which is not there",
                "docs/threats.md:5: `a/tests/refusals.rs` has no test `gone`",
                "docs/threats.md:6: T2 names no file or no test",
            ]
        );
    }
}
