//! Rule: nothing in the tree names a folder of the machine it was written on.
//!
//! Such a path works for one person and tells everyone else about that person's machine.

use super::{Finding, Tree};

/// Folders of build machines, written in two pieces so that this file passes its own rule.
const MACHINE_FOLDERS: [&str; 2] = [concat!("/", "root/"), concat!("/", "work/")];

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    tree.files().flat_map(|(path, text)| check_file(path, text)).collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let folders = MACHINE_FOLDERS.iter().filter(|folder| names_folder(line, folder));
        findings.extend(folders.map(|folder| Finding {
            at: format!("{path}:{}", i + 1),
            what: format!("it names `{folder}`"),
            why: "a path of one machine works on no other",
            fix: "make it relative to the checkout, or take it from an argument".to_owned(),
        }));
    }
    findings
}

/// Tells whether a path from the root begins here, as opposed to a part of a longer path or
/// address.
fn names_folder(line: &str, folder: &str) -> bool {
    line.match_indices(folder).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        !before.is_some_and(|c| c.is_alphanumeric() || "/.-_~}$".contains(c))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_a_machine_are_found_and_parts_of_others_are_not() {
        let [first, second] = MACHINE_FOLDERS;
        let text =
            format!("see {first}x\nhttps://comity.dev/protocols{second}1.0\n\"{second}y\"\n");
        let tree = Tree::from([("docs/a.md", text.as_str())]);
        let found: Vec<_> = check(&tree).into_iter().map(|finding| finding.at).collect();
        assert_eq!(found, ["docs/a.md:1", "docs/a.md:3"]);
    }
}
