//! Rule: deny.toml gives a reason for each direct external dependency, and for nothing else.
//!
//! A reason is a line `# reason: NAME: why`, a comment to cargo-deny and a table to this rule. The
//! dependencies are those of `[workspace.dependencies]` in the root manifest and any that a crate
//! declares on its own.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Finding, Tree,
    workspace::{Origin, Workspace},
};

const REASONS: &str = "deny.toml";
const MANIFEST: &str = "Cargo.toml";

pub(super) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let reasons = reasons(tree.text(REASONS).unwrap_or(""));
    let declared = declared(tree.text(MANIFEST).unwrap_or(""));
    let used: BTreeSet<&str> = workspace
        .crates
        .iter()
        .flat_map(|member| &member.dependencies)
        .filter(|dependency| dependency.origin == Origin::External)
        .map(|dependency| dependency.name.as_str())
        .collect();
    let mut findings = Vec::new();
    for name in declared.union(&used).filter(|name| !reasons.contains_key(**name)) {
        findings.push(Finding {
            at: REASONS.to_owned(),
            what: format!("dependency `{name}` has no reason"),
            why: "each dependency is somebody else's code in our process",
            fix: format!("write `# reason: {name}: why it and not our own or another`"),
        });
    }
    for name in declared.difference(&used) {
        findings.push(Finding {
            at: MANIFEST.to_owned(),
            what: format!("no crate uses dependency `{name}`"),
            why: "the list should show what is there",
            fix: "take it out of [workspace.dependencies], with its reason".to_owned(),
        });
    }
    for (name, (line, why)) in reasons {
        let at = format!("{REASONS}:{line}");
        if !declared.contains(name) && !used.contains(name) {
            findings.push(Finding {
                at,
                what: format!("`{name}` has a reason and is no dependency"),
                why: "the list should show what is there",
                fix: "take the line out".to_owned(),
            });
        } else if why.split_whitespace().count() < WORDS_MIN {
            findings.push(Finding {
                at,
                what: format!("the reason for `{name}` says nothing"),
                why: "each dependency is somebody else's code in our process",
                fix: "say what it does for us and why not our own or another".to_owned(),
            });
        }
    }
    findings
}

/// Fewer words cannot say why.
const WORDS_MIN: usize = 4;

/// Reads the reasons: name to line number and text.
fn reasons(text: &str) -> BTreeMap<&str, (usize, &str)> {
    let lines = text.lines().enumerate();
    let reasons = lines.filter_map(|(i, line)| {
        let (name, why) = line.strip_prefix("# reason: ")?.split_once(':')?;
        Some((name.trim(), (i + 1, why.trim())))
    });
    reasons.collect()
}

/// Reads the names in `[workspace.dependencies]` that are not crates of ours. Each is one line of
/// the manifest.
fn declared(manifest: &str) -> BTreeSet<&str> {
    let lines =
        manifest.lines().skip_while(|line| line.trim() != "[workspace.dependencies]").skip(1);
    let entries = lines.take_while(|line| !line.starts_with('['));
    let external = entries.filter(|line| !line.contains("path =") && !line.starts_with('#'));
    external.filter_map(|line| Some(line.split_once('=')?.0.trim())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROOT: &str = "[workspace]\nmembers = []\n\n[workspace.dependencies]\n# Ours.\n\
        comity-core = { path = \"crates/comity-core\" }\nserde = { version = \"1\", features = [\"rc\"] }\n\
        bytes = \"1\"\n\n[workspace.lints.rust]\nunsafe_code = \"forbid\"\n";

    fn whats(tree: &Tree, workspace: &Workspace) -> Vec<String> {
        check(tree, workspace)
            .iter()
            .map(|finding| format!("{}: {}", finding.at, finding.what))
            .collect()
    }

    #[test]
    fn every_dependency_with_a_reason_is_in_order() {
        let tree = Tree::from([
            ("Cargo.toml", ROOT),
            (
                "deny.toml",
                "# reason: bytes: shared buffers without copying\n# reason: serde: the one way to and from JSON\n",
            ),
        ]);
        let workspace = Workspace::made_of(&[("comity-core", &["serde", "bytes dev"])]);
        assert_eq!(check(&tree, &workspace), []);
    }

    #[test]
    fn missing_stale_and_empty_reasons_are_found() {
        let tree = Tree::from([
            ("Cargo.toml", ROOT),
            (
                "deny.toml",
                "\n# reason: bytes: needed\n# reason: hyper: it was here once upon a time\n",
            ),
        ]);
        let workspace = Workspace::made_of(&[("comity-core", &["bytes", "cc"])]);
        assert_eq!(
            whats(&tree, &workspace),
            [
                "deny.toml: dependency `cc` has no reason",
                "deny.toml: dependency `serde` has no reason",
                "Cargo.toml: no crate uses dependency `serde`",
                "deny.toml:2: the reason for `bytes` says nothing",
                "deny.toml:3: `hyper` has a reason and is no dependency",
            ]
        );
    }
}
