//! Rule: every Rust file begins by saying what it is, in a `//!` line.
//!
//! Only a `#!` line of a script may stand before it.

use super::{Finding, Tree};

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let bare = tree.rust_files().filter(|(_, text)| !begins_with_docs(text));
    let findings = bare.map(|(path, _)| Finding {
        at: path.to_owned(),
        what: "it does not begin with `//!`".to_owned(),
        why: "a reader learns from the top what a file is and what it is not",
        fix: "write one to three lines above everything else".to_owned(),
    });
    findings.collect()
}

fn begins_with_docs(text: &str) -> bool {
    let mut lines = text.lines();
    let mut first = lines.next().unwrap_or("");
    if first.starts_with("#!/") {
        first = lines.next().unwrap_or("");
    }
    first.strip_prefix("//!").is_some_and(|docs| !docs.trim().is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_without_docs_at_the_top_are_found() {
        let tree = Tree::from([
            ("a.rs", "//! What it is.\n"),
            ("b.rs", "#!/usr/bin/env script\n//! What it is.\n"),
            ("c.rs", "// What it is.\n"),
            ("d.rs", "#![allow(x)]\n//! What it is.\n"),
            ("e.rs", "//!\n//! What it is.\n"),
            ("f.rs", ""),
            ("g.md", "text\n"),
        ]);
        let found: Vec<_> = check(&tree).into_iter().map(|finding| finding.at).collect();
        assert_eq!(found, ["c.rs", "d.rs", "e.rs", "f.rs"]);
    }
}
