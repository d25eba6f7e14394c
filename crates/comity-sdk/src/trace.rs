//! How far a message got: the delivery ladder, asked for (`trace`) or told (`states`).

use std::sync::Arc;
use std::time::Duration;

use comity_core::api::{Problem, Trace, TraceState, Working};
use comity_core::receipt::State;
use tokio::sync::broadcast;
use tokio::time::Instant;

use crate::agent::Agent;
use crate::connection::Backoff;
use crate::http::CallError;
use crate::hub::Hub;
use crate::limits;

/// Why a message could not be traced.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TraceError {
    /// The home could not be asked.
    #[error("the home could not be asked how far the message got")]
    Call(#[source] CallError),
    /// The home would not say.
    #[error("the home did not say how far the message got ({})", .0.code)]
    Refused(Problem),
    /// The home knows no such message of this agent.
    #[error("the home knows no message with this id")]
    Unknown,
}

/// News about the agent's own messages, as they come.
///
/// It is a convenience: what happens while the connection is down, or while this is not read for long, is not told.
/// [`Agent::trace`] always knows.
#[derive(Debug)]
pub struct States(News<TraceState>);

impl States {
    pub(crate) fn new(agent: &Agent) -> Self {
        Self(News { told: agent.hub().states(), hub: Arc::clone(agent.hub()) })
    }

    /// Waits for the next change: a message id and its new rung. `None` once the agent is no longer connected.
    pub async fn next(&mut self) -> Option<(String, TraceState)> {
        self.0.next().await
    }
}

/// How far the home is with the puzzles that it solves for the agent's own messages.
///
/// A recipient may demand work of a stranger before it takes the first message; the home does it by itself. This is told
/// about twice a second while it lasts, and a convenience like [`States`]: [`Trace::working`] says the same.
#[derive(Debug)]
pub struct Progress(News<Working>);

impl Progress {
    pub(crate) fn new(agent: &Agent) -> Self {
        Self(News { told: agent.hub().progress(), hub: Arc::clone(agent.hub()) })
    }

    /// Waits for the next word: a message id, and how much of its puzzle is done. `None` once the agent is no longer
    /// connected.
    pub async fn next(&mut self) -> Option<(String, Working)> {
        self.0.next().await
    }
}

/// What is told about the agent's own messages, by their ids.
#[derive(Debug)]
struct News<T> {
    told: broadcast::Receiver<(String, T)>,
    hub: Arc<Hub>,
}

impl<T: Clone> News<T> {
    async fn next(&mut self) -> Option<(String, T)> {
        loop {
            let told = tokio::select! {
                biased;
                told = self.told.recv() => told,
                _ = self.hub.closed() => return None,
            };
            match told {
                Ok(told) => return Some(told),
                Err(broadcast::error::RecvError::Lagged(lost)) => {
                    tracing::debug!(lost, "news about messages were lost to a slow reader");
                }
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}

/// Asks for the ladder of a message until it has reached `wait` or a final rung, or until `timeout` has passed.
pub(crate) async fn trace(
    agent: &Agent,
    id: &str,
    wait: Option<State>,
    timeout: Duration,
) -> Result<Trace, TraceError> {
    if !is_message_id(id) {
        return Err(TraceError::Unknown);
    }
    let until = Instant::now() + timeout;
    let mut backoff = Backoff::default();
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let waits = left.min(limits::TRACE_WAIT_MAX);
        let path = match wait {
            Some(state) => {
                let seconds = whole_seconds(waits);
                format!("/v1/messages/{id}/trace?wait={}&timeout_s={seconds}", waited_for(state))
            }
            None => format!("/v1/messages/{id}/trace"),
        };
        let answer = agent.http().get_within(&path, waits + limits::CALL_MAX);
        match tokio::time::timeout_at(until + limits::CALL_MAX, answer).await {
            Ok(Ok(trace))
                if left.is_zero() || wait.is_none_or(|wait| has_reached(&trace, wait)) =>
            {
                return Ok(trace);
            }
            Ok(Ok(_)) => {}
            Ok(Err(CallError::Refused(problem))) if problem.status == 404 => {
                return Err(TraceError::Unknown);
            }
            Ok(Err(CallError::Refused(problem))) if problem.status < 500 => {
                return Err(TraceError::Refused(problem));
            }
            // A home that is being restarted is asked again.
            Ok(Err(error)) => {
                let pause = backoff.next_pause();
                if until < Instant::now() + pause {
                    return Err(TraceError::Call(error));
                }
                tokio::time::sleep(pause).await;
            }
            Err(_) => return Err(TraceError::Call(CallError::Timeout)),
        }
    }
}

/// Returns what to ask the home to wait for. It answers at a final rung in any case.
const fn waited_for(state: State) -> State {
    match state {
        State::Queued => State::Accepted,
        _ if state.is_final() => State::Processed,
        _ => state,
    }
}

/// Whether a ladder has reached this rung or a final one.
fn has_reached(trace: &Trace, wait: State) -> bool {
    trace
        .states
        .iter()
        .filter_map(|rung| rung.state.parse::<State>().ok())
        .any(|state| wait <= state || state.is_final())
}

/// Rounds up: a wait must not end before the time that was asked for.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(0 < duration.subsec_nanos())
}

/// Whether a text can be a message id, which consists of unreserved URI characters.
fn is_message_id(id: &str) -> bool {
    let unreserved =
        |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
    (1..=64).contains(&id.len())
        && id.bytes().all(unreserved)
        && !id.bytes().all(|byte| byte == b'.')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_over_at_its_rung_and_at_a_final_one() {
        let at = |state: State| Trace {
            id: "1".to_owned(),
            from: String::new(),
            to: String::new(),
            thid: "1".to_owned(),
            via: None,
            states: vec![TraceState {
                state: state.to_string(),
                at: String::new(),
                by: String::new(),
                log_index: None,
                pending: false,
                code: None,
                reason: None,
            }],
            working: None,
        };
        assert!(!has_reached(&at(State::Queued), State::Accepted));
        assert!(has_reached(&at(State::Accepted), State::Accepted));
        assert!(has_reached(&at(State::Refused), State::Received));
        assert!(has_reached(&at(State::Processed), State::Expired));
        assert!(!has_reached(&at(State::Received), State::Processed));
    }

    #[test]
    fn an_id_that_would_change_the_path_is_none() {
        assert!(is_message_id("0190-a_b.c~d"));
        for id in ["", "..", "a/b", "a?b", "a%2fb", &"x".repeat(65)] {
            assert!(!is_message_id(id), "{id}");
        }
    }

    #[test]
    fn waits_are_rounded_up_to_seconds() {
        assert_eq!(whole_seconds(Duration::from_millis(50)), 1);
        assert_eq!(whole_seconds(Duration::from_secs(2)), 2);
        assert_eq!(whole_seconds(Duration::ZERO), 0);
    }
}
