//! The story, step by step. Each step does one thing that people do and checks what it claims.

use std::{
    path::Path,
    time::{Duration, SystemTime},
};

use comity_core::{receipt::State, refusal::Refusal, trust::subject};
use comity_didcomm::UnixTime;
use comity_sdk::{Agent, Facts, HandlerError};
use tokio::sync::mpsc;

use super::{
    Scene, Show, crash, dispute, door,
    stage::{Ending, Outcome, Proposal, Stage, Task, Update},
    wait::{check, failed, ladder, next, sdk, seen, soon, until},
};
use crate::{client::Look, error::CliError, limits::STEP_MAX};

/// How long the permission of Aria lasts: "until this date".
const PERMISSION: Duration = Duration::from_secs(30 * 24 * 3600);

/// How long the message is of use that nobody takes in time.
const SHORT: Duration = Duration::from_secs(2);

/// Messages that are looked at in a mailbox at once.
pub(super) const PAGE: usize = 64;

/// Bruno's program: it answers tasks by itself and tells the play about proposals.
pub(super) struct BrunoAtWork {
    agent: Agent,
    proposals: mpsc::Receiver<(Facts, Proposal)>,
}

pub(super) async fn play(folder: &Path, scene: Scene, show: &mut Show) -> Result<(), CliError> {
    let name = match scene {
        Scene::Direct => "Two nodes start, with an agent each",
        Scene::Relayed => "A relay takes two nodes on, with an agent each",
    };
    let mut stage = show.step(name, set(folder, scene)).await?;
    let aria = stage.a.connect().await?;
    show.step("A stranger is held for the operator", stranger(&mut stage, &aria)).await?;
    show.step("Her second message is refused", second(&mut stage, &aria)).await?;
    let mut bruno = show.step("Bruno's program connects", connect_bruno(&stage)).await?;
    show.step("Approval hands the held message over", approve(&stage, &mut bruno)).await?;
    show.step("A request gets a signed reply", request(&mut stage, &aria)).await?;
    show.step("Bruno starts a conversation too", other_way(&mut stage, &aria, &bruno)).await?;
    bruno.agent.shutdown().await;
    show.step("Bruno is away while three messages come", away(&mut stage, &aria)).await?;
    let bruno = show.step("Back, he gets them once and in order", back(&stage)).await?;
    match scene {
        Scene::Direct => {
            let crash = crash::crash(&mut stage, &aria, &bruno);
            show.step("Node B is killed while both hold messages", crash).await?;
        }
        Scene::Relayed => {
            let crash = crash::crash_both(&mut stage, &aria, &bruno);
            show.step("Node B is killed, and the relay while it keeps messages", crash).await?;
        }
    }
    show.step("Restarted, nothing is lost or doubled", crash::recover(&mut stage, &bruno)).await?;
    bruno.shutdown().await;
    show.step("A message that nobody takes expires, and Aria is told", expire(&mut stage, &aria))
        .await?;
    show.step("The permission is revoked, and the next message refused", revoke(&mut stage, &aria))
        .await?;
    if scene == Scene::Direct {
        show.step("A newcomer's knock costs work; three vouches waive it", door::vouches(&stage))
            .await?;
        show.step("A grant is handed on in part, and revoked", door::grants(&stage)).await?;
    }
    show.step("Every message has its full ladder", ladders(&stage)).await?;
    if scene == Scene::Direct {
        let shown = dispute::verify(&stage, folder);
        let shown = show.step("Both show what they have, and a stranger verifies", shown).await?;
        show.step("One byte of it is changed, and found", dispute::flip(&shown)).await?;
        show.step("Node B goes back to an old copy of its data", dispute::roll_back(&mut stage))
            .await?;
        let anew = dispute::begin_anew(&mut stage, &aria);
        show.step("It begins another log, and node A notices", anew).await?;
    }
    aria.shutdown().await;
    show.step("The nodes stop in good order", stop(&mut stage)).await
}

async fn set(folder: &Path, scene: Scene) -> Result<(Stage, String), CliError> {
    let stage = Stage::set(folder, scene).await?;
    let [a, b] = [&stage.a, &stage.b].map(|organisation| name_of(&organisation.agent.did));
    let detail = match &stage.relay {
        None => format!("{a} and {b}"),
        Some(relay) => format!("{a} and {b}, behind {}", relay.ready().did),
    };
    Ok((stage, detail))
}

/// Aria knows a handle and nothing else; or an invitation, since nobody can look Bruno up behind his relay.
async fn stranger(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    let (who, called) = match &stage.relay {
        None => (stage.b.agent.handle.clone(), stage.b.agent.handle.clone()),
        Some(_) => {
            (stage.b.invite("Work together").await?.url, "Bruno, by his invitation,".to_owned())
        }
    };
    let resolved = stage.a.resolve(&who).await?;
    check(resolved.did == stage.b.agent.did, "What is known of Bruno leads to another DID")?;
    let proposal = Proposal { text: "Shall we work together?".to_owned() };
    let sent = aria.send(&who, &proposal).await.map_err(sdk)?;
    let accepted = until(stage.a.as_agent(), &sent.id, State::Accepted).await?;
    check(accepted.pending, "The stranger's message is not held")?;
    let inbox = stage.b.as_agent().messages(Look::Peek, None, PAGE, Duration::ZERO).await?;
    check(inbox.is_empty(), "The stranger's message went straight to Bruno")?;
    let requests = stage.b.client.relations(&stage.b.agent.name, "requests").await?;
    let aria_did = &stage.a.agent.did;
    let is_listed = requests.len() == 1
        && requests.iter().all(|one| is_same(&one.did, aria_did) && one.state == "pending");
    check(is_listed, "The operator's list of requests is not Aria's one request")?;
    stage.of_aria.push(Ending { id: sent.id, state: State::Processed });
    let from = name_of(aria_did);
    Ok(((), format!("{called} has one request, from {from}; Bruno's inbox is empty")))
}

async fn second(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    let proposal = Proposal { text: "Hello? Hello?".to_owned() };
    let sent = aria.send(&stage.b.agent.did, &proposal).await.map_err(sdk)?;
    let refused = until(stage.a.as_agent(), &sent.id, State::Refused).await?;
    let code = expect_code(refused.code.as_deref(), Refusal::Pending)?;
    expect_report(aria, &sent.thid, Refusal::Pending).await?;
    stage.of_aria.push(Ending { id: sent.id, state: State::Refused });
    Ok(((), format!("refused with {code}, and reported to Aria; the first one still waits")))
}

async fn connect_bruno(stage: &Stage) -> Result<(BrunoAtWork, String), CliError> {
    let agent = stage.b.connect().await?;
    let (tell, proposals) = mpsc::channel(8);
    agent.on::<Proposal, _, _>(move |message, _| {
        let tell = tell.clone();
        async move {
            let told = tell.send((message.facts, message.body)).await;
            told.map_err(|_| HandlerError::refuse("Nobody takes proposals any more"))
        }
    });
    agent.on::<Task, _, _>(|message, context| async move {
        let sum = message.body.numbers.iter().sum();
        context.reply(&Outcome { sum }).await?;
        Ok(())
    });
    let running = agent.clone();
    // It ends with `shutdown`; its handlers' errors reach the senders.
    tokio::spawn(async move { drop(running.run().await) });
    let detail = format!("{} has an address, a token and two handlers; no key", agent.name());
    Ok((BrunoAtWork { agent, proposals }, detail))
}

async fn approve(stage: &Stage, bruno: &mut BrunoAtWork) -> Result<((), String), CliError> {
    let aria_did = &stage.a.agent.did;
    let relation = stage.b.decide("allow", aria_did, Some(from_now(PERMISSION))).await?;
    check(relation.state == "allowed", "The operator's approval is not recorded")?;
    let handed = soon("The held message", bruno.proposals.recv()).await?;
    let (facts, proposal) = handed.ok_or_else(|| failed("Bruno's program ended"))?;
    check(is_same(&facts.from, aria_did), "The held message names another sender")?;
    check(facts.verified == "signature", "The held message proves its sender by no signature")?;
    check(facts.admitted == "approved", "The held message was not admitted by approval")?;
    check(proposal.text == "Shall we work together?", "The held message has changed")?;
    let first = stage.of_aria.first().ok_or_else(|| failed("There is no first message"))?;
    until(stage.a.as_agent(), &first.id, State::Processed).await?;
    let until_when = relation.until.unwrap_or_default();
    Ok(((), format!("allowed until {until_when}; \"{}\" is processed", proposal.text)))
}

async fn request(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    let task = Task { numbers: vec![20, 11, 2026] };
    let reply = aria.request(&stage.b.agent.did, &task).deadline(STEP_MAX).await.map_err(sdk)?;
    check(is_same(&reply.facts.from, &stage.b.agent.did), "The reply comes from somebody else")?;
    check(reply.facts.verified == "signature", "The reply is not signed")?;
    check(reply.facts.admitted == "thread", "The reply was not admitted by its thread")?;
    let outcome: Outcome = reply.body().map_err(sdk)?;
    check(outcome == Outcome { sum: 2057 }, "The reply is wrong")?;
    // The thread of a request is named by the request's own id.
    stage.of_aria.push(Ending { id: reply.facts.thid.clone(), state: State::Processed });
    stage.of_bruno.push(Ending { id: reply.facts.id, state: State::Processed });
    Ok((
        (),
        format!("{} = {}, signed by Bruno, admitted by its thread", "20 + 11 + 2026", outcome.sum),
    ))
}

async fn other_way(
    stage: &mut Stage,
    aria: &Agent,
    bruno: &BrunoAtWork,
) -> Result<((), String), CliError> {
    stage.a.decide("allow", &stage.b.agent.did, None).await?;
    let sent = bruno.agent.send(&stage.a.agent.did, &Update { number: 1 }).await.map_err(sdk)?;
    let received = next(aria).await?;
    check(received.facts.id == sent.id, "Aria got another message")?;
    check(received.facts.admitted == "allow-list", "Bruno was not admitted by Aria's allow-list")?;
    aria.ack(&received).await.map_err(sdk)?;
    until(stage.b.as_agent(), &sent.id, State::Processed).await?;
    stage.of_bruno.push(Ending { id: sent.id, state: State::Processed });
    Ok(((), "Aria's operator allowed Bruno beforehand, so it came straight to her".to_owned()))
}

async fn away(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    for number in 1..=3 {
        let update = Update { number };
        let sent =
            aria.message(&stage.b.agent.did, &update).thread("away").send().await.map_err(sdk)?;
        stage.of_aria.push(Ending { id: sent.id.clone(), state: State::Processed });
        let accepted = until(stage.a.as_agent(), &sent.id, State::Accepted).await?;
        check(!accepted.pending, "An allowed sender's message is held")?;
    }
    let held = stage.b.status().await?.mailbox_messages;
    check(held == 3, &format!("Node B keeps {held} messages instead of 3"))?;
    Ok(((), "node B has promised to keep three messages".to_owned()))
}

async fn back(stage: &Stage) -> Result<(Agent, String), CliError> {
    let bruno = stage.b.connect().await?;
    let mut numbers = Vec::new();
    for _ in 1..=3 {
        let received = next(&bruno).await?;
        numbers.push(received.body::<Update>().map_err(sdk)?.number);
        bruno.ack(&received).await.map_err(sdk)?;
    }
    check(numbers == [1, 2, 3], &format!("They came as {numbers:?}"))?;
    let left = stage.b.status().await?.mailbox_messages;
    check(left == 0, &format!("{left} messages are left over"))?;
    Ok((bruno, "1, 2, 3, and the inbox is empty".to_owned()))
}

async fn expire(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    let update = Update { number: 99 };
    let message = aria.message(&stage.b.agent.did, &update).expires_in(SHORT);
    let sent = message.send().await.map_err(sdk)?;
    let expired = until(stage.a.as_agent(), &sent.id, State::Expired).await?;
    expect_report(aria, &sent.thid, Refusal::Expired).await?;
    stage.of_aria.push(Ending { id: sent.id, state: State::Expired });
    // Each node goes by its own clock: Bruno's may clear its mailbox a moment after Aria's has given up.
    seen("An empty mailbox", async || {
        Ok((stage.b.status().await?.mailbox_messages == 0).then_some(()))
    })
    .await?;
    Ok(((), format!("reported by {}", name_of(&expired.by))))
}

async fn revoke(stage: &mut Stage, aria: &Agent) -> Result<((), String), CliError> {
    let relation = stage.b.decide("revoke", &stage.a.agent.did, None).await?;
    check(relation.state == "revoked", "The revocation is not recorded")?;
    let sent = aria.send(&stage.b.agent.did, &Update { number: 100 }).await.map_err(sdk)?;
    let refused = until(stage.a.as_agent(), &sent.id, State::Refused).await?;
    let code = expect_code(refused.code.as_deref(), Refusal::Revoked)?;
    expect_report(aria, &sent.thid, Refusal::Revoked).await?;
    stage.of_aria.push(Ending { id: sent.id, state: State::Refused });
    Ok(((), format!("refused with {code}")))
}

/// Every message has ended as it should, its ladder begins at its sender's home and has its rungs in order.
async fn ladders(stage: &Stage) -> Result<((), String), CliError> {
    let mut lines = Vec::new();
    for (organisation, endings) in [(&stage.a, &stage.of_aria), (&stage.b, &stage.of_bruno)] {
        for ending in endings {
            let until_end = Some((State::Processed, STEP_MAX));
            let trace = organisation.as_agent().trace(&ending.id, until_end).await?;
            let line = ladder(&trace);
            let states: Result<Vec<State>, _> =
                trace.states.iter().map(|rung| rung.state.parse()).collect();
            let states =
                states.map_err(|error| failed("A ladder has a strange rung").why(error))?;
            check(states.is_sorted(), &format!("A ladder is out of order: {line}"))?;
            let first = states.first() == Some(&State::Queued);
            let last = states.last() == Some(&ending.state);
            let finals = states.iter().filter(|state| state.is_final()).count();
            check(
                first && last && finals == 1,
                &format!("A ladder should end {}: {line}", ending.state),
            )?;
            let is_whole = ending.state != State::Processed || states.len() == 4;
            check(is_whole, &format!("A ladder lacks a rung: {line}"))?;
            if !lines.contains(&line) {
                lines.push(line);
            }
        }
    }
    let count = stage.of_aria.len() + stage.of_bruno.len();
    Ok(((), format!("{count} messages: {}", lines.join("; "))))
}

async fn stop(stage: &mut Stage) -> Result<((), String), CliError> {
    seen("An empty relay", async || Ok((stage.held_by_relay().await? == 0).then_some(()))).await?;
    tokio::try_join!(stage.a.node.stop(), stage.b.node.stop())?;
    if let Some(relay) = &mut stage.relay {
        relay.stop().await?;
    }
    let left = match stage.relay {
        None => "nothing was left to do",
        Some(_) => "nothing was left to do, and the relay held nothing any more",
    };
    Ok(((), left.to_owned()))
}

pub(super) fn expect_code(code: Option<&str>, refusal: Refusal) -> Result<&'static str, CliError> {
    let code = code.unwrap_or("no code");
    check(code == refusal.code(), &format!("It was refused with {code}"))?;
    Ok(refusal.code())
}

/// Takes the problem report about a message that did not get through, which Aria's program gets besides the receipt.
async fn expect_report(aria: &Agent, thid: &str, refusal: Refusal) -> Result<(), CliError> {
    let report = next(aria).await?;
    let code = report.problem().map(|(code, _)| code);
    expect_code(code.as_deref(), refusal)?;
    let is_about_it = report.facts.thid == thid || report.facts.pthid.as_deref() == Some(thid);
    check(is_about_it, "The problem report is about another message")?;
    aria.ack(&report).await.map_err(sdk)
}

fn from_now(duration: Duration) -> UnixTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    UnixTime((since + duration).as_secs())
}

/// Whether two DIDs mean the same, in whichever form.
fn is_same(one: &str, other: &str) -> bool {
    match (one.parse(), other.parse()) {
        (Ok(one), Ok(other)) => subject(&one) == subject(&other),
        _ => false,
    }
}

/// Names a DID in a line: a did:peer:4 by the beginning of its short form.
fn name_of(did: &str) -> String {
    match did.parse() {
        Ok(parsed) if did.starts_with("did:peer:") => {
            let short: String = subject(&parsed).as_str().chars().take(24).collect();
            format!("{short}..")
        }
        _ => did.to_owned(),
    }
}
