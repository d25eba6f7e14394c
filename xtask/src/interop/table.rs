//! The outcomes as a table for people, as JSON for programs, and as the page docs/interop.md.

use std::{fmt::Write as _, fs, path::Path};

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::{Run, cases::Case, exchange::Outcome, quirks::QUIRKS};

/// Draws one row a case and one column a direction; a figure points to the list of reasons below.
pub(super) fn text(runs: &[Run], cases: &[Case], libraries: &[String]) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    for run in runs {
        if !columns.contains(&(run.packer, run.opener)) {
            columns.push((run.packer, run.opener));
        }
    }
    let mut text = String::new();
    let _ = writeln!(text, "Libraries: {}.\n", libraries.join(", "));
    let _ = write!(text, "| case |");
    for (packer, opener) in &columns {
        let _ = write!(text, " {packer} → {opener} |");
    }
    let _ = writeln!(text, "\n|---|{}", "---|".repeat(columns.len()));
    for case in cases {
        let _ = write!(text, "| {} |", case.name);
        for (packer, opener) in &columns {
            let run = runs.iter().find(|run| {
                run.packer == *packer && run.opener == *opener && run.case == case.name
            });
            let _ = write!(text, " {} |", run.map_or_else(String::new, cell));
        }
        text.push('\n');
    }
    let _ = writeln!(text, "\n{} of {} exchanges are ok.", count(runs), runs.len());
    for (i, quirk) in QUIRKS.iter().enumerate() {
        let _ =
            writeln!(text, "{}. {}, {}: {}", i + 1, quirk.peer, quirk.kind.words(), quirk.reason);
    }
    text
}

/// Writes everything down for programs.
pub(super) fn json(runs: &[Run], libraries: &[String], findings: &[String]) -> Value {
    let runs: Vec<_> = runs
        .iter()
        .map(|run| {
            let excuse = run.excuse();
            json!({
                "packer": run.packer,
                "opener": run.opener,
                "case": run.case,
                "outcome": run.outcome.to_string(),
                "expected": run.outcome == Outcome::Understood || excuse.is_some(),
                "reason": excuse.map(|(_, quirk)| quirk.reason),
            })
        })
        .collect();
    json!({ "libraries": libraries, "runs": runs, "findings": findings })
}

/// Rewrites the named tables in the page, each between its two marks.
pub(super) fn bless(root: &Path, tables: [(&str, &String); 2]) -> Result<()> {
    let path = root.join("docs/interop.md");
    let mut page = fs::read_to_string(&path).context("cannot read docs/interop.md")?;
    for (name, table) in tables {
        let begin = format!("<!-- {name}: written by cargo xtask interop --bless -->");
        let end = format!("<!-- end of {name} -->");
        let lost = || format!("docs/interop.md has lost a mark of {name}");
        let (before, rest) = page.split_once(&begin).with_context(lost)?;
        let (_, after) = rest.split_once(&end).with_context(lost)?;
        page = format!("{before}{begin}\n{table}\n{end}{after}");
    }
    fs::write(&path, page)?;
    println!("docs/interop.md holds this run");
    Ok(())
}

fn cell(run: &Run) -> String {
    match (&run.outcome, run.excuse()) {
        (Outcome::Understood, _) => "ok".to_owned(),
        (_, Some((i, quirk))) => format!("{} ({})", quirk.kind.words(), i + 1),
        (outcome, None) => format!("**{outcome}**").replace('|', "/"),
    }
}

fn count(runs: &[Run]) -> usize {
    runs.iter().filter(|run| run.outcome == Outcome::Understood).count()
}
