//! Rule: one policy function for every way in (ARCHITECTURE.md, I9). `trust::decide` is called by the
//! step that authorizes a message, and by `explain`, which shows the same decision and does nothing.
//!
//! Outside the crate nobody can call it, which the compiler sees to. Other functions of that name, of other
//! modules, do not count.

use super::{
    Finding, Tree,
    rust_code::{code_outside_tests, lines_with},
};

/// The folder of the function, and its own file.
const TRUST: &str = "crates/comity-core/src/trust";
const OWN: &str = "crates/comity-core/src/trust/decide.rs";
/// Who may call it.
const CALLERS: [&str; 2] =
    ["crates/comity-core/src/inbound/authorize.rs", "crates/comity-core/src/trust/explain.rs"];
const WHY: &str = "a second caller would be a way in of its own";

pub(super) fn check(tree: &Tree) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, text) in tree.rust_files().filter(|(path, _)| is_source(path)) {
        let code = code_outside_tests(text);
        let lines = calls(path, &code);
        let count = lines.len();
        let fix = match CALLERS.contains(&path) {
            true if count == 1 => continue,
            true => "call it exactly once",
            false if count == 0 => continue,
            false => "hand the message to `inbound`, or ask `trust::explain`",
        };
        let at = lines.first().map_or(path.to_owned(), |line| format!("{path}:{line}"));
        let what = format!("`trust::decide` is called {count} times");
        findings.push(Finding { at, what, why: WHY, fix: fix.to_owned() });
    }
    findings
}

/// Sources of the product: tests may ask the function what they like.
fn is_source(path: &str) -> bool {
    let Some(rest) = path.strip_prefix("crates/") else { return false };
    let is_test = rest.ends_with("/tests.rs") || rest.contains("/tests/");
    rest.contains("/src/") && !is_test && path != OWN
}

/// Iterates over the lines with a call: by the path anywhere, and by the bare name where it is imported
/// or in the folder of the function.
fn calls(path: &str, code: &str) -> Vec<usize> {
    let squeezed: Vec<String> =
        code.lines().map(|line| line.split_whitespace().collect::<String>()).collect();
    let is_imported = imports(code).any(|import| names_it(&import));
    let is_at_home = path.starts_with(TRUST);
    let mut lines: Vec<usize> = lines_with(code, "decide")
        .filter(|number| {
            let line = squeezed.get(number - 1).map_or("", String::as_str);
            let is_call = line.contains("decide(") && !line.contains("fndecide(");
            let is_path = line.contains("trust::decide") && !line.starts_with("pubuse");
            // A method or another module's function of that name is none of this.
            let is_bare = line.match_indices("decide(").any(|(at, _)| {
                let before = line.get(..at).unwrap_or("");
                !before.ends_with("::") && !before.ends_with('.')
            });
            is_path || (is_call && is_bare && (is_imported || is_at_home))
        })
        .collect();
    lines.dedup();
    lines.retain(|number| !squeezed.get(number - 1).is_some_and(|line| line.starts_with("use")));
    lines
}

/// Iterates over the imports, each without its white space.
fn imports(code: &str) -> impl Iterator<Item = String> {
    code.split(';').filter_map(|item| {
        let import = item.split_once("use ").map(|(_, import)| import)?;
        Some(import.split_whitespace().collect())
    })
}

/// Tells whether an import brings the function's bare name in.
fn names_it(import: &str) -> bool {
    let Some((_, of_trust)) = import.split_once("trust::") else { return false };
    of_trust.split(['{', '}', ',']).any(|name| name == "decide" || name == "*")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: [(&str, &str); 3] = [
        ("crates/comity-core/src/inbound/authorize.rs", "fn a() { trust::decide(&q, &f, now); }\n"),
        ("crates/comity-core/src/trust/explain.rs", "fn b() { decide(q, f, now); }\n"),
        ("crates/comity-core/src/trust/decide.rs", "pub fn decide() { decide() }\n"),
    ];

    fn ats(more: (&str, &str)) -> Vec<String> {
        let tree = Tree::from([GOOD[0], GOOD[1], GOOD[2], more]);
        check(&tree).into_iter().map(|finding| finding.at).collect()
    }

    #[test]
    fn the_two_callers_and_functions_of_that_name_elsewhere_are_in_order() {
        let others = "// trust::decide\nuse super::decide;\nfn c() { decide(1); decide::show(); x.decide(); }\n\
                      #[cfg(test)]\nmod tests { fn d() { trust::decide(); } }\n";
        assert_eq!(ats(("crates/comity/src/commands/allow.rs", others)), [""; 0]);
        assert_eq!(ats(("crates/comity-core/src/trust/decide/tests.rs", GOOD[0].1)), [""; 0]);
    }

    #[test]
    fn another_caller_is_found_however_it_names_the_function() {
        for text in [
            "\nfn a() { comity_core::trust::decide(q); }\n",
            "use comity_core::trust::decide;\nfn a() { decide(q); }\n",
            "use comity_core::trust::{Facts, decide};\nfn a() { decide(q); }\n",
            "use comity_core::trust::*;\nfn a() { decide(q); }\n",
            "\nconst A: F = trust::decide;\n",
        ] {
            assert_eq!(
                ats(("crates/comity-node/src/x.rs", text)),
                ["crates/comity-node/src/x.rs:2"]
            );
        }
        let sister = ("crates/comity-core/src/trust/fence.rs", "fn a() { decide(q); }\n");
        assert_eq!(ats(sister), ["crates/comity-core/src/trust/fence.rs:1"]);
    }

    #[test]
    fn a_caller_that_stops_calling_or_calls_twice_is_found() {
        let path = "crates/comity-core/src/inbound/authorize.rs";
        assert_eq!(check(&Tree::from([(path, "fn a() {}\n")])).len(), 1);
        let twice = "fn a() {\n trust::decide();\n trust::decide();\n}\n";
        assert_eq!(check(&Tree::from([(path, twice)])).len(), 1);
    }
}
