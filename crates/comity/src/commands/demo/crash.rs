//! The crash: node B is killed with SIGKILL while it holds messages and node A still has some to send; behind a relay
//! these wait there, and it is killed too.

use std::collections::BTreeMap;

use comity_core::receipt::State;
use comity_sdk::Agent;

use super::{
    stage::{Ending, Stage, Update},
    wait::{check, failed, next, sdk, seen, until},
};
use crate::error::CliError;

/// Numbers of the messages that node B holds when it is killed. The first of them is acknowledged before.
const HELD: std::ops::RangeInclusive<u64> = 11..=14;
/// Numbers of those that node A cannot hand over then.
const WAITING: std::ops::RangeInclusive<u64> = 15..=17;

/// Fills both nodes with messages, and kills B.
pub(super) async fn crash(
    stage: &mut Stage,
    aria: &Agent,
    bruno: &Agent,
) -> Result<((), String), CliError> {
    hold_and_kill(stage, aria, bruno).await?;
    let waiting = stage.a.status().await?.outbox_messages;
    check(3 <= waiting, &format!("Node A keeps {waiting} messages to be sent instead of 3"))?;
    Ok(((), format!("B had 3 messages in hand and 1 acknowledged; {waiting} wait at A")))
}

/// Fills node B and the relay with messages, and kills both. The relay comes back alone.
pub(super) async fn crash_both(
    stage: &mut Stage,
    aria: &Agent,
    bruno: &Agent,
) -> Result<((), String), CliError> {
    hold_and_kill(stage, aria, bruno).await?;
    seen("An empty outbox at node A", async || {
        Ok((stage.a.status().await?.outbox_messages == 0).then_some(()))
    })
    .await?;
    let before = stage.held_by_relay().await?;
    check(3 <= before, &format!("The relay holds {before} messages instead of 3"))?;
    let relay = stage.relay.as_mut().ok_or_else(|| failed("There is no relay"))?;
    relay.kill().await?;
    relay.restart().await?;
    let took = relay.start_took().as_millis();
    let after = stage.held_by_relay().await?;
    check(after == before, &format!("The relay held {before} messages, and now {after}"))?;
    let seen =
        format!("B had 3 in hand; the relay was back after {took} ms and still keeps {after}");
    Ok(((), seen))
}

/// Lets B accept some messages, kills it, and sends it more.
async fn hold_and_kill(stage: &mut Stage, aria: &Agent, bruno: &Agent) -> Result<(), CliError> {
    let mut held = Vec::new();
    for number in HELD {
        let id = send(stage, aria, number).await?;
        until(stage.a.as_agent(), &id, State::Accepted).await?;
        held.push(id);
    }
    // One of them Bruno has dealt with: it must not come again. The others he has in hand.
    let first = next(bruno).await?;
    check(held.first() == Some(&first.facts.id), "They came out of order")?;
    bruno.ack(&first).await.map_err(sdk)?;
    stage.b.node.kill().await?;
    for number in WAITING {
        let id = send(stage, aria, number).await?;
        let trace = stage.a.as_agent().trace(&id, None).await?;
        let is_waiting = trace.states.iter().all(|rung| rung.state == State::Queued.as_str());
        check(is_waiting, "A message was accepted by a node that is dead")?;
    }
    Ok(())
}

/// Starts B again, and takes everything that comes.
pub(super) async fn recover(stage: &mut Stage, bruno: &Agent) -> Result<((), String), CliError> {
    stage.b.node.restart().await?;
    let mut taken = BTreeMap::new();
    let expected: Vec<u64> = HELD.skip(1).chain(WAITING).collect();
    while taken.len() < expected.len() {
        let received = next(bruno).await?;
        let number = received.body::<Update>().map_err(sdk)?.number;
        *taken.entry(number).or_insert(0_u32) += 1;
        bruno.ack(&received).await.map_err(sdk)?;
    }
    for ending in &stage.of_aria {
        until(stage.a.as_agent(), &ending.id, ending.state).await?;
    }
    let is_once = taken.values().all(|times| *times == 1);
    check(is_once && taken.keys().eq(&expected), &format!("Bruno got (number: times) {taken:?}"))?;
    let left = stage.b.status().await?.mailbox_messages;
    check(left == 0, &format!("{left} messages came twice"))?;
    let took = stage.b.node.start_took().as_millis();
    Ok(((), format!("B was back after {took} ms; Bruno's program reconnected and got all 6 once")))
}

async fn send(stage: &mut Stage, aria: &Agent, number: u64) -> Result<String, CliError> {
    let message = aria.message(&stage.b.agent.did, &Update { number }).thread("crash");
    let sent = message.send().await.map_err(sdk)?;
    stage.of_aria.push(Ending { id: sent.id.clone(), state: State::Processed });
    Ok(sent.id)
}
