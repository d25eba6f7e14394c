//! The dispute: both sides show what they have, somebody with neither node verifies it, and whoever changes his
//! story is found out.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use comity_core::{
    api::{LogStatus, OtherLog},
    evidence::{Bundle, Outcome as Found, Verdict},
    receipt::State,
};
use comity_sdk::Agent;
use tokio::process::Command;

use super::{
    stage::{Ending, Organisation, Stage, Update},
    wait::{check, failed, sdk, seen, until},
};
use crate::{client::encode, error::CliError};

/// What both sides show.
pub(super) struct Shown {
    folder: PathBuf,
    case: PathBuf,
}

/// Both export, and somebody with an empty home verifies what they have in common.
pub(super) async fn verify(stage: &Stage, folder: &Path) -> Result<(Shown, String), CliError> {
    let folder = folder.join("dispute");
    let shown = Shown { case: folder.join("case.json"), folder };
    std::fs::create_dir_all(shown.folder.join("home"))
        .map_err(|error| failed("The dispute has no folder").why(error))?;
    let (a, b) = (&stage.a, &stage.b);
    // The last words are there when the other node has cosigned them.
    let verdict = seen("A proven case", async || {
        let mut parts = export(a, &b.agent.did).await?.parts;
        parts.extend(export(b, &a.agent.did).await?.parts);
        let bundle = Bundle { format: comity_core::evidence::BUNDLE_FORMAT.to_owned(), parts };
        write(&shown.case, bundle.to_text().as_bytes())?;
        let verdict = judge(&shown, &shown.case).await?;
        Ok((verdict.outcome == Found::Proven).then_some(verdict))
    })
    .await?;
    let witnessed = verdict.messages.iter().filter(|one| {
        let times = one.sent.iter().chain(&one.received);
        times.filter(|times| times.before.is_some()).count() == 2
    });
    let (count, witnessed) = (verdict.messages.len(), witnessed.count());
    check(
        10 <= witnessed,
        &format!("{witnessed} of {count} messages are witnessed on both sides"),
    )?;
    let seen = format!(
        "{count} messages, {witnessed} of them witnessed on both sides: proven, without a node, a network or a key"
    );
    Ok((shown, seen))
}

/// One byte of the file is changed.
pub(super) async fn flip(shown: &Shown) -> Result<((), String), CliError> {
    let mut bytes =
        std::fs::read(&shown.case).map_err(|error| failed("The case is gone").why(error))?;
    let place = bytes.len() / 2;
    let place = bytes
        .iter()
        .skip(place)
        .position(u8::is_ascii_lowercase)
        .map(|beyond| place + beyond)
        .ok_or_else(|| failed("The case has no letters"))?;
    if let Some(byte) = bytes.get_mut(place) {
        *byte = if *byte == b'x' { b'y' } else { b'x' };
    }
    let flipped = shown.folder.join("flipped.json");
    write(&flipped, &bytes)?;
    let verdict = judge(shown, &flipped).await?;
    let is_found = matches!(verdict.outcome, Found::Contradiction | Found::Malformed);
    check(is_found, "The flipped byte was not found")?;
    let what = verdict.contradictions.first().map(|one| one.what.clone());
    let what = what.or(verdict.malformed).unwrap_or_default();
    Ok(((), format!("byte {place} of {} is another: {what}", bytes.len())))
}

/// Bruno's operator copies his data, decides something, and puts the copy back, as if he had not.
pub(super) async fn roll_back(stage: &mut Stage) -> Result<((), String), CliError> {
    stage.b.node.stop().await?;
    stage.b.node.copy()?;
    stage.b.node.restart().await?;
    stage.b.decide("deny", &stage.a.agent.did, None).await?;
    let decided = stage.b.status().await?.log_size;
    seen("A cosignature of the decision", async || {
        let status: LogStatus = stage.b.client.get("/admin/log").await?;
        let is_cosigned = status.witnesses.iter().any(|witness| decided <= witness.cosigned);
        Ok(is_cosigned.then_some(()))
    })
    .await?;
    stage.b.node.stop().await?;
    stage.b.node.put_back()?;
    let why = match stage.b.node.restart().await {
        Ok(()) => return Err(failed("Node B started on an old copy of its data")),
        Err(error) => error.why,
    };
    let is_it = why.contains("does not continue");
    check(is_it, &format!("Node B did not start, but for another reason: {why}"))?;
    Ok(((), "it does not start: node A has cosigned a longer log than it has".to_owned()))
}

/// He begins another log instead, and Aria's node notices.
pub(super) async fn begin_anew(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    stage.b.node.restart_with("--new-log").await?;
    let message = aria.message(&stage.b.agent.did, &Update { number: 99 }).thread("dispute");
    let id = message.send().await.map_err(sdk)?.id;
    // Her permission was revoked before the copy: the refusal comes with what B says of its log.
    until(stage.a.as_agent(), &id, State::Refused).await?;
    stage.of_aria.push(Ending { id, state: State::Refused });
    let did = stage.b.node.ready().did.clone();
    let found = seen("The discovery at node A", async || {
        let status: LogStatus = stage.a.client.get("/admin/log").await?;
        let contradicted =
            |other: &&OtherLog| other.node == did && !other.contradictions.is_empty();
        Ok(status
            .others
            .iter()
            .find(contradicted)
            .and_then(|other| other.contradictions.first().cloned()))
    })
    .await?;
    check(found.finding == "another-log", &format!("Node A found {}", found.finding))?;
    check(!found.first.is_empty() && !found.second.is_empty(), "A piece of the two is missing")?;
    Ok(((), "node A keeps both logs' signed checkpoints, and told its operator".to_owned()))
}

async fn export(side: &Organisation, with: &str) -> Result<Bundle, CliError> {
    let path = format!("/admin/agents/{}/evidence?with={}", encode(&side.agent.name), encode(with));
    side.client.get(&path).await
}

/// Runs the verifier as a process of its own, whose home is empty.
async fn judge(shown: &Shown, file: &Path) -> Result<Verdict, CliError> {
    let home = shown.folder.join("home");
    let program =
        std::env::current_exe().map_err(|error| failed("This program is gone").why(error))?;
    let answer = Command::new(program)
        .args(["evidence", "verify", "--json", "--data"])
        .arg(home.join("none"))
        .arg(file)
        .env_clear()
        .env("HOME", &home)
        .current_dir(&home)
        .stdin(Stdio::null())
        .output()
        .await
        .map_err(|error| failed("The verifier does not run").why(error))?;
    let verdict: Verdict = serde_json::from_slice(&answer.stdout)
        .map_err(|error| failed("The verifier's answer cannot be read").why(error))?;
    let code = i32::from(verdict.outcome.exit_code());
    check(answer.status.code() == Some(code), "The exit code is not that of the verdict")?;
    Ok(verdict)
}

fn write(file: &Path, content: &[u8]) -> Result<(), CliError> {
    std::fs::write(file, content).map_err(|error| failed("A file cannot be written").why(error))
}
