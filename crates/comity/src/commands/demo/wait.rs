//! How the demo waits: for states and messages to come, never for time to pass; and how it says what it expected
//! instead.

use std::{fmt, future::Future, time::Duration};

use comity_core::{
    api::{Trace, TraceState},
    receipt::State,
};
use comity_sdk::{Agent, Received};
use tokio::time::{sleep, timeout};

use crate::{client::AgentClient, error::CliError, limits::STEP_MAX};

/// How long to wait before looking again at what cannot be waited for.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// Fails a step.
pub(super) fn failed(what: impl Into<String>) -> CliError {
    CliError::fault("demo.step", what)
}

/// Fails a step unless what it claims is so.
pub(super) fn check(holds: bool, otherwise: &str) -> Result<(), CliError> {
    if holds { Ok(()) } else { Err(failed(otherwise)) }
}

/// Turns an error of the SDK into a failed step.
pub(super) fn sdk(error: impl fmt::Display) -> CliError {
    failed("The SDK reported an error").why(error)
}

/// Waits for something that has to come soon.
pub(super) async fn soon<T>(what: &str, coming: impl Future<Output = T>) -> Result<T, CliError> {
    timeout(STEP_MAX, coming)
        .await
        .map_err(|_| failed(format!("{what} did not come within {} s", STEP_MAX.as_secs())))
}

/// Looks for something that has to come soon, again and again, since nobody tells when it does.
pub(super) async fn seen<T>(
    what: &str,
    look: impl AsyncFn() -> Result<Option<T>, CliError>,
) -> Result<T, CliError> {
    soon(what, async {
        loop {
            if let Some(seen) = look().await? {
                return Ok(seen);
            }
            sleep(LOOK_AGAIN).await;
        }
    })
    .await?
}

/// Waits for the next message of an agent.
pub(super) async fn next(agent: &Agent) -> Result<Received, CliError> {
    soon("A message", agent.next()).await?.map_err(sdk)
}

/// Waits until a message has got so far, or to its end if that comes first.
pub(super) async fn until(
    agent: &AgentClient,
    id: &str,
    state: State,
) -> Result<TraceState, CliError> {
    // Waiting for the last rung also ends at the others that are final.
    let wait_for = if state.is_final() { State::Processed } else { state };
    let trace = agent.trace(id, Some((wait_for, STEP_MAX))).await?;
    let found = trace.states.iter().find(|rung| rung.state == state.as_str()).cloned();
    found.ok_or_else(|| failed(format!("A message is not {state}, but {}", ladder(&trace))))
}

/// Writes a ladder in one line.
pub(super) fn ladder(trace: &Trace) -> String {
    let rungs: Vec<_> = trace.states.iter().map(|rung| rung.state.as_str()).collect();
    rungs.join(" > ")
}
