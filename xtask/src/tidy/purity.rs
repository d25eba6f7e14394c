//! Rule: `comity-didcomm` and `comity-core` are pure (docs/adr/0014-the-world-is-an-input.md).
//!
//! No clock, randomness, files, sockets, environment, threads or async in their code outside tests,
//! and no dependency that is not on their list. The `clippy.toml` of each names the methods; this
//! rule also sees types, imports and dependencies, and needs no build.

use super::{
    Finding, Tree,
    rust_code::{code_outside_tests, is_name, lines_with},
    workspace::{Crate, Kind, Workspace},
};

/// Each pure crate and the dependencies it may have: formats and primitives, nothing that performs
/// I/O.
const PURE: [(&str, &[&str]); 2] = [
    (
        "comity-didcomm",
        &[
            "aws-lc-rs",
            "base64",
            "bs58",
            "chacha20poly1305",
            "curve25519-dalek",
            "rand_core",
            "serde",
            "serde_json",
            "thiserror",
            "zeroize",
        ],
    ),
    (
        "comity-core",
        &[
            "aws-lc-rs",
            "base64",
            "comity-didcomm",
            // Reads and writes dates; its clock is in clippy.toml.
            "jiff",
            "rand_core",
            "serde",
            "serde_json",
            "thiserror",
            // Derives the schema of the API types.
            "utoipa",
        ],
    ),
];

/// What may not stand in their code, and what to do instead.
const IMPURE: [(&str, &str); 17] = [
    ("Instant::now", NOW),
    ("OsRng", RANDOMNESS),
    ("SystemRandom", RANDOMNESS),
    ("SystemTime", NOW),
    ("async fn", ANSWERS),
    ("async move", ANSWERS),
    ("dyn Future", ANSWERS),
    ("impl Future", ANSWERS),
    ("rand::random", RANDOMNESS),
    ("rand::rng", RANDOMNESS),
    ("std::env", SHELL),
    ("std::fs", SHELL),
    ("std::net", SHELL),
    ("std::process", SHELL),
    ("std::thread", SHELL),
    ("thread_rng", RANDOMNESS),
    ("tokio", SHELL),
];

const ANSWERS: &str = "ask through an `Output` and be answered through an `Input`";
const NOW: &str = "take `now` as an argument";
const RANDOMNESS: &str = "take the source of randomness as an argument";
const SHELL: &str =
    "let the shell (comity-node, comity-net, comity-store) do it and pass in the result";
const WHY: &str = "the crate is pure so that a simulator can run it";

/// Modules of `std` that may not be reached through `use std::{..}` either.
const IMPURE_STD: [&str; 5] = ["env", "fs", "net", "process", "thread"];

pub(super) fn check(tree: &Tree, workspace: &Workspace) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (name, allowed) in PURE {
        let member = workspace.crates.iter().find(|member| member.name == name);
        findings.extend(member.into_iter().flat_map(|member| check_dependencies(member, allowed)));
        let folder = format!("crates/{name}/src/");
        let files =
            tree.rust_files().filter(|(path, _)| path.starts_with(&folder) && !is_test(path));
        findings.extend(files.flat_map(|(path, text)| check_file(path, text)));
    }
    findings
}

fn check_dependencies(member: &Crate, allowed: &[&str]) -> Vec<Finding> {
    let strangers = member.dependencies.iter().filter(|dependency| {
        dependency.kind == Kind::Normal && !allowed.contains(&dependency.name.as_str())
    });
    let findings = strangers.map(|stranger| Finding {
        at: member.manifest.clone(),
        what: format!("it depends on `{}`", stranger.name),
        why: WHY,
        fix: "use it in the shell, or add it to the list in xtask/src/tidy/purity.rs if it does no I/O"
            .to_owned(),
    });
    findings.collect()
}

fn check_file(path: &str, text: &str) -> Vec<Finding> {
    let code = code_outside_tests(text);
    let finding = |line: usize, word: &str, fix: &str| Finding {
        at: format!("{path}:{line}"),
        what: format!("it uses `{word}`"),
        why: WHY,
        fix: fix.to_owned(),
    };
    let mut findings = Vec::new();
    for (word, fix) in IMPURE {
        findings.extend(lines_with(&code, word).map(|line| finding(line, word, fix)));
    }
    for (line, module) in grouped_std_imports(&code) {
        if IMPURE_STD.contains(&module) {
            findings.push(finding(line, &format!("std::{module}"), SHELL));
        }
    }
    findings
}

/// Finds what `use std::{a::B, c}` imports, as line of the group and first name of each path.
fn grouped_std_imports(code: &str) -> Vec<(usize, &str)> {
    let mut imports = Vec::new();
    let mut from = 0;
    while let Some(found) = code.get(from..).and_then(|rest| rest.find(GROUP)) {
        let start = from + found + GROUP.len();
        let line = code.get(..start).unwrap_or("").lines().count();
        imports.extend(first_names(code.get(start..).unwrap_or("")).map(|name| (line, name)));
        from = start;
    }
    imports
}

const GROUP: &str = "std::{";

/// Iterates over the first name of each path of a group, whose opening brace is already read.
fn first_names(group: &str) -> impl Iterator<Item = &str> {
    let mut depth = 1_usize;
    let end = group.find(|c| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth - 1,
            _ => depth,
        };
        depth == 0
    });
    let group = end.and_then(|end| group.get(..end)).unwrap_or(group);
    let paths = group.split(move |c| {
        depth = match c {
            '{' => depth + 1,
            '}' => depth.saturating_sub(1),
            _ => depth,
        };
        c == ',' && depth == 0
    });
    paths.map(|path| path.trim().split(|c| !is_name(c)).next().unwrap_or(""))
}

/// Tells whether a file of `src` is compiled for tests only, by the name that the conventions give
/// it.
fn is_test(path: &str) -> bool {
    path.ends_with("/tests.rs") || path.ends_with("/testing.rs") || path.contains("/tests/")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn whats(findings: &[Finding]) -> Vec<String> {
        findings.iter().map(|finding| format!("{}: {}", finding.at, finding.what)).collect()
    }

    #[test]
    fn impure_code_is_found_with_its_line() {
        let tree = Tree::from([(
            "crates/comity-core/src/a.rs",
            "//! Never calls SystemTime.\nuse std::{collections::{BTreeMap, btree_map}, fs::File, fmt};\n\
             use std::time::SystemTime;\npub async fn a() {\n    tokio::spawn(b(\"rand::rng\"));\n}\n",
        )]);
        assert_eq!(
            whats(&check(&tree, &Workspace::default())),
            [
                "crates/comity-core/src/a.rs:3: it uses `SystemTime`",
                "crates/comity-core/src/a.rs:4: it uses `async fn`",
                "crates/comity-core/src/a.rs:5: it uses `tokio`",
                "crates/comity-core/src/a.rs:2: it uses `std::fs`",
            ]
        );
    }

    #[test]
    fn tests_and_other_crates_may_do_as_they_like() {
        let tree = Tree::from([
            (
                "crates/comity-core/src/a.rs",
                "fn a() {}\n#[cfg(test)]\nmod tests { use std::fs; }\n",
            ),
            ("crates/comity-core/src/a/tests.rs", "use std::fs;\n"),
            ("crates/comity-core/tests/b.rs", "use std::fs;\n"),
            ("crates/comity-net/src/c.rs", "async fn c() { tokio::spawn(d()); }\n"),
        ]);
        assert_eq!(check(&tree, &Workspace::default()), []);
    }

    #[test]
    fn only_listed_dependencies_are_pure() {
        let workspace = Workspace::made_of(&[
            ("comity-core", &["serde", "tokio", "proptest dev"]),
            ("comity-net", &["tokio"]),
        ]);
        assert_eq!(
            whats(&check(&Tree::default(), &workspace)),
            ["crates/comity-core/Cargo.toml: it depends on `tokio`"]
        );
    }
}
