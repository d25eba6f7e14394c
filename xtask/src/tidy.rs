//! `cargo xtask tidy`: rules about the shape of the tree that the compiler and clippy cannot see.
//!
//! One rule a file, each a function from the tree (and, where it is about crates, the workspace) to
//! findings. Rules read text and never change it. Not a style checker: how code reads is rustfmt's
//! and the reviewer's.

use std::{collections::BTreeMap, fmt, fs, path::Path};

use anyhow::{Context as _, Result, bail};

use crate::{Passed, cargo::cargo};

use self::workspace::Workspace;

mod adrs;
mod direction;
mod drawers;
mod machine_paths;
mod module_docs;
mod one_policy;
mod purity;
mod reasons;
mod rust_code;
mod threats;
mod workspace;

/// Checks every rule and prints the findings, one a line.
pub(crate) fn run(root: &Path) -> Result<Passed> {
    let tree = Tree::read(root)?;
    let output = cargo(root, &["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .context("cannot run cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr).trim_end());
    }
    let workspace = Workspace::parse(&output.stdout)?;
    let findings = findings(&tree, &workspace);
    for finding in &findings {
        println!("{finding}");
    }
    if findings.is_empty() {
        println!("{} files are tidy", tree.files.len());
        return Ok(Passed::Yes);
    }
    println!("{} findings", findings.len());
    Ok(Passed::No)
}

fn findings(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    findings.extend(adrs::check(tree));
    findings.extend(direction::check(workspace));
    findings.extend(drawers::check(tree));
    findings.extend(machine_paths::check(tree));
    findings.extend(module_docs::check(tree));
    findings.extend(one_policy::check(tree));
    findings.extend(purity::check(tree, workspace));
    findings.extend(reasons::check(tree, workspace));
    findings.extend(threats::check(tree));
    findings.sort();
    findings
}

/// One breach of a rule, with what its reader needs to mend it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Finding {
    /// Where, from the root of the checkout, with `:LINE` when it is one line.
    pub(crate) at: String,
    /// What is there.
    pub(crate) what: String,
    /// Why it should not be.
    pub(crate) why: &'static str,
    /// What to do about it.
    pub(crate) fix: String,
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}, {}, {}", self.at, self.what, self.why, self.fix)
    }
}

/// The text files of the checkout by their path from its root, written with `/`.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    files: BTreeMap<String, String>,
}

impl Tree {
    /// Reads the checkout, without what is built or belongs to git.
    pub(crate) fn read(root: &Path) -> Result<Self> {
        let mut tree = Self::default();
        tree.read_folder(root, "")?;
        Ok(tree)
    }

    fn read_folder(&mut self, folder: &Path, prefix: &str) -> Result<()> {
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            let path = format!("{prefix}{name}");
            let kind = entry.file_type()?;
            if UNREAD.contains(&name.as_str()) {
                continue;
            }
            if kind.is_dir() {
                self.read_folder(&entry.path(), &format!("{path}/"))?;
            } else if kind.is_file() {
                let bytes = match fs::read(entry.path()) {
                    Ok(bytes) => bytes,
                    // An editor's temporary file may be gone again.
                    Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                    Err(error) => return Err(error).with_context(|| format!("cannot read {path}")),
                };
                self.files.insert(path, String::from_utf8_lossy(&bytes).into_owned());
            }
        }
        Ok(())
    }

    /// Returns the text of a file.
    pub(crate) fn text(&self, path: &str) -> Option<&str> {
        self.files.get(path).map(String::as_str)
    }

    /// Tells whether a path names a file or a folder that holds one.
    pub(crate) fn contains(&self, path: &str) -> bool {
        let folder = format!("{}/", path.trim_end_matches('/'));
        self.files.contains_key(path) || self.files.keys().any(|file| file.starts_with(&folder))
    }

    /// Iterates over all files with their texts.
    pub(crate) fn files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files.iter().map(|(path, text)| (path.as_str(), text.as_str()))
    }

    /// Iterates over the Rust files with their texts.
    pub(crate) fn rust_files(&self) -> impl Iterator<Item = (&str, &str)> {
        self.files().filter(|(path, _)| path.ends_with(".rs"))
    }
}

#[cfg(test)]
impl<const N: usize> From<[(&str, &str); N]> for Tree {
    fn from(files: [(&str, &str); N]) -> Self {
        let files = files.map(|(path, text)| (path.to_owned(), text.to_owned())).into();
        Self { files }
    }
}

/// In a linked worktree `.git` is a file, which names a folder of the machine.
const UNREAD: [&str; 3] = [".git", "node_modules", "target"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_finding_says_where_what_why_and_what_to_do() {
        let finding = Finding {
            at: "a.rs:3".to_owned(),
            what: "it reads the clock".to_owned(),
            why: "the crate is pure",
            fix: "take `now` as an argument".to_owned(),
        };
        assert_eq!(
            finding.to_string(),
            "a.rs:3: it reads the clock, the crate is pure, take `now` as an argument"
        );
    }

    #[test]
    fn a_tree_knows_its_files_and_their_folders() {
        let tree = Tree::from([("a/b/c.rs", "")]);
        assert!(tree.contains("a/b/c.rs"));
        assert!(tree.contains("a/b"));
        assert!(tree.contains("a/b/"));
        assert!(!tree.contains("a/b/c"));
    }

    #[test]
    fn this_very_file_is_read_from_the_checkout() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let tree = Tree::read(folder).unwrap();
        assert_eq!(tree.text("src/tidy.rs"), Some(include_str!("tidy.rs")));
    }
}
