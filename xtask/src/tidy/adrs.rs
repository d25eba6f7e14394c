//! Rule: every decision record is in the index, and has the form that the index describes.
//!
//! `docs/adr/README.md` is the index; records are `docs/adr/NNNN-title.md`, numbered without gaps.

use super::{Finding, Tree};

const FOLDER: &str = "docs/adr/";
const INDEX: &str = "docs/adr/README.md";
const PARTS: [&str; 4] = ["## Context", "## Decision", "## Alternatives", "## Consequences"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let records: Vec<_> = tree
        .files()
        .filter(|(path, _)| path.starts_with(FOLDER) && path.ends_with(".md") && *path != INDEX)
        .collect();
    let index = tree.text(INDEX).unwrap_or("");
    let mut findings = Vec::new();
    for (i, (path, text)) in records.iter().enumerate() {
        findings.extend(check_record(path, text, index, i + 1));
    }
    for name in linked(index).filter(|name| !tree.contains(&format!("{FOLDER}{name}"))) {
        findings.push(Finding {
            at: INDEX.to_owned(),
            what: format!("it links `{name}`, which is not there"),
            why: "the index should lead to the decisions",
            fix: "mend the link".to_owned(),
        });
    }
    findings
}

fn check_record(path: &str, text: &str, index: &str, number: usize) -> Vec<Finding> {
    let name = path.trim_start_matches(FOLDER);
    let finding = |what: String, why, fix: &str| Finding {
        at: path.to_owned(),
        what,
        why,
        fix: fix.to_owned(),
    };
    let mut findings = Vec::new();
    if !name.starts_with(&format!("{number:04}-")) {
        let fix = "number records from 0001 without gaps; a superseded one stays";
        findings.push(finding(
            format!("it should have number {number:04}"),
            "a missing number hides a decision",
            fix,
        ));
    }
    if !linked(index).any(|linked| linked == name) {
        let fix = "add its line to docs/adr/README.md";
        findings.push(finding(
            "the index does not list it".to_owned(),
            "the index should lead to the decisions",
            fix,
        ));
    }
    for part in PARTS.iter().filter(|part| !text.lines().any(|line| line == **part)) {
        let fix = "write it, in the form that docs/adr/README.md shows";
        findings.push(finding(
            format!("it has no part `{part}`"),
            "a decision without its reasons cannot be judged later",
            fix,
        ));
    }
    findings
}

/// Iterates over the records that the index links, e.g. `[One](0001-one.md)`.
fn linked(index: &str) -> impl Iterator<Item = &str> {
    let targets = index.split("](").skip(1).filter_map(|rest| Some(rest.split_once(')')?.0));
    targets.filter(|target| !target.contains('/') && target.ends_with(".md"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const RECORD: &str =
        "# One\n\n## Context\n\n## Decision\n\n## Alternatives\n\n## Consequences\n";

    #[test]
    fn listed_records_of_the_form_are_in_order() {
        let tree = Tree::from([
            ("docs/adr/0001-one.md", RECORD),
            ("docs/adr/README.md", "- [One](0001-one.md)\n- [Elsewhere](../errors.md)\n"),
        ]);
        assert_eq!(check(&tree), []);
    }

    #[test]
    fn unlisted_misnumbered_formless_and_missing_records_are_found() {
        let tree = Tree::from([
            ("docs/adr/0002-two.md", "# Two\n\n## Context\n\n## Decision\n\n## Consequences\n"),
            ("docs/adr/README.md", "- [One](0001-one.md)\n"),
        ]);
        let found: Vec<_> = check(&tree)
            .iter()
            .map(|finding| format!("{}: {}", finding.at, finding.what))
            .collect();
        assert_eq!(
            found,
            [
                "docs/adr/0002-two.md: it should have number 0001",
                "docs/adr/0002-two.md: the index does not list it",
                "docs/adr/0002-two.md: it has no part `## Alternatives`",
                "docs/adr/README.md: it links `0001-one.md`, which is not there",
            ]
        );
    }
}
