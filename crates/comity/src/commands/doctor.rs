//! `comity doctor`: one check a line, each with what to do.
//!
//! The node checks itself; this adds what can be seen only from outside, such as that it does not run.

use comity_core::api::CheckResult;

use super::Context;
use crate::{
    error::{CliError, Kind},
    output::{Output, Style, escape},
};

/// Arguments of `comity doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) async fn run(_: Args, context: &Context) -> Result<(), CliError> {
    let mut checks = vec![check_data(context)];
    match ask_node(context).await {
        Ok(of_node) => {
            checks.push(CheckResult {
                name: "node".to_owned(),
                ok: true,
                detail: "it runs and answers".to_owned(),
                hint: String::new(),
            });
            checks.extend(of_node);
        }
        Err(error) => checks.push(CheckResult {
            name: "node".to_owned(),
            ok: false,
            detail: error.what,
            hint: error.hint,
        }),
    }
    let output = &context.output;
    checks.iter().try_for_each(|check| output.object(check, || describe(output, check)))?;
    // What was found is the result, not an error; the exit code tells scripts.
    if checks.iter().all(|check| check.ok) { Ok(()) } else { Err(CliError::told(Kind::Config)) }
}

async fn ask_node(context: &Context) -> Result<Vec<CheckResult>, CliError> {
    context.client()?.get("/admin/checks").await
}

fn check_data(context: &Context) -> CheckResult {
    let there = context.data.is_dir();
    let hint = if there { "" } else { "It is made by comity up; name another with --data DIR" };
    CheckResult {
        name: "data directory".to_owned(),
        ok: there,
        detail: context.data.display().to_string(),
        hint: hint.to_owned(),
    }
}

fn describe(output: &Output, check: &CheckResult) -> String {
    let mark =
        if check.ok { output.paint(Style::Good, "ok  ") } else { output.paint(Style::Bad, "look") };
    let line = format!("{mark}  {}: {}", escape(&check.name), escape(&check.detail));
    if check.ok || check.hint.is_empty() {
        return line;
    }
    format!("{line}\n      {}: {}", output.paint(Style::Notice, "do"), escape(&check.hint))
}
