//! Rule: no module is a drawer for whatever fits nowhere else, and none is a `mod.rs`.
//!
//! A drawer grows until everything depends on it. A listing full of `mod.rs` says nothing.

use super::{
    Finding, Tree,
    rust_code::{code_of, is_name},
};

const DRAWERS: [&str; 9] =
    ["common", "helper", "helpers", "manager", "managers", "misc", "util", "utilities", "utils"];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.rust_files().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    if path == "mod.rs" || path.ends_with("/mod.rs") {
        findings.push(Finding {
            at: path.to_owned(),
            what: "it is a `mod.rs`".to_owned(),
            why: "a listing should show the parts by their names",
            fix: "name it after its folder, beside it".to_owned(),
        });
    }
    let stem = path.trim_end_matches(".rs");
    let names = stem.split('/').filter(|name| DRAWERS.contains(name));
    findings.extend(names.map(|name| drawer(path.to_owned(), name)));
    for (i, line) in code_of(text).lines().enumerate() {
        if let Some(name) = inline_module(line).filter(|name| DRAWERS.contains(name)) {
            findings.push(drawer(format!("{path}:{}", i + 1), name));
        }
    }
    findings
}

fn drawer(at: String, name: &str) -> Finding {
    Finding {
        at,
        what: format!("`{name}` names a drawer"),
        why: "a drawer grows until everything depends on it",
        fix: "name the module after the one thing in it, or put each thing where it is used"
            .to_owned(),
    }
}

/// Returns the name of a module whose body begins on this line.
fn inline_module(line: &str) -> Option<&str> {
    let (before, after) = line.trim_end().strip_suffix('{')?.split_once("mod ")?;
    let name = after.trim();
    let is_declaration = before.is_empty() || before.ends_with([' ', ')']);
    (is_declaration && name.chars().all(is_name)).then_some(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drawers_and_mod_files_are_found() {
        let tree = Tree::from([
            ("crates/a/src/util.rs", "//! A.\n"),
            ("crates/a/tests/common/setup.rs", "//! A.\n"),
            ("crates/a/src/queue/mod.rs", "//! A.\n"),
            ("crates/a/src/b.rs", "//! mod misc {\npub(crate) mod helpers {\n}\nmod queue {\n}\n"),
            ("crates/a/src/utility.rs", "//! A name of its own.\n"),
            ("docs/common.md", ""),
        ]);
        let found: Vec<_> = check(&tree)
            .iter()
            .map(|finding| format!("{}: {}", finding.at, finding.what))
            .collect();
        assert_eq!(
            found,
            [
                "crates/a/src/b.rs:2: `helpers` names a drawer",
                "crates/a/src/queue/mod.rs: it is a `mod.rs`",
                "crates/a/src/util.rs: `util` names a drawer",
                "crates/a/tests/common/setup.rs: `common` names a drawer",
            ]
        );
    }
}
