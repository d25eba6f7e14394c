//! `comity send`: sends a message as one of the node's agents and, if told so, waits for what becomes of it.
//!
//! It speaks HTTP and not the agents' WebSocket, because the newest socket of an agent replaces the one its program
//! uses.

use std::{
    io::Read as _,
    time::{Duration, Instant},
};

use clap::ValueEnum;
use comity_core::{
    api::{Delivery, Disposition, SendAnswer, SendRequest, Trace},
    protocol::REPORT_PROBLEM,
    receipt::State,
    trust::subject,
};
use serde_json::{Map, Value, json};

use super::{Context, inbox, trace};
use crate::{
    cli::parse_duration,
    client::{AgentClient, Look},
    error::{CliError, Kind},
    limits::{POLL_MAX, STDIN_BYTES_MAX, WATCH_EVERY},
    output::{Output, Style, escape},
};

/// Messages that are looked through at once for a reply; the node gives no more.
const PAGE: usize = 64;

/// Arguments of `comity send`.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
With --wait, what does not come in time ends in exit code 4; a message that is refused or expires ends in exit code 3. \
In both cases the object also has \"error\".

Example: comity send --as aria bruno@b.example '{\"content\":\"Good morning\"}' --wait reply")]
pub(crate) struct Args {
    /// The agent that sends
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Recipient: a DID, a handle NAME@HOST, or the link of an invitation
    to: String,
    /// Content, a JSON object; `-` reads it from standard input; an empty object when absent
    #[arg(value_name = "BODY-JSON")]
    body: Option<String>,
    /// Message type URI; a basic message when absent
    #[arg(long = "type", value_name = "URI")]
    type_: Option<String>,
    /// Thread that the message continues
    #[arg(long, value_name = "THID")]
    thread: Option<String>,
    /// Until when it is of use: 30s, 5m, 2h, 7d; 7 days when absent
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// Prove the sender to the recipient only, without a signature that could be shown to others
    #[arg(long)]
    deniable: bool,
    /// The dearest puzzle that the node solves when the recipient demands work of strangers, in bits, 0 to 32; the
    /// node's setting work_bits_max when absent
    #[arg(long, value_name = "BITS", value_parser = clap::value_parser!(u8).range(0..=32))]
    work_max: Option<u8>,
    /// Message id; the same id with the same content is sent once
    #[arg(long, value_name = "ID")]
    id: Option<String>,
    /// Wait until the recipient's node has it, the agent was handed it, has processed it, or has replied
    #[arg(long, value_enum, value_name = "WHAT")]
    wait: Option<Wait>,
    /// How long to wait
    #[arg(long, value_name = "DURATION", value_parser = parse_duration, default_value = "30s")]
    timeout: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Wait {
    Accepted,
    Received,
    Processed,
    Reply,
}

/// How a wait ended, other than by its time running out.
enum Outcome {
    Reached(Trace),
    Refused(CliError),
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let request = SendRequest {
        to: args.to,
        type_: args.type_,
        body: read_body(args.body.as_deref())?,
        id: args.id,
        thid: args.thread,
        expires_in_s: args.expires.map(seconds_up),
        deniable: args.deniable,
        work_bits_max: args.work_max,
        ..SendRequest::default()
    };
    let client = context.client()?;
    let agent = client.agent(&args.name)?;
    let sent = agent.send(&request).await?;
    let output = &context.output;
    let Some(wait) = args.wait else {
        return output.object(&sent, || describe(output, &sent.id, &sent.state, None));
    };
    let until = Instant::now() + args.timeout;
    let state = match wait {
        Wait::Accepted => State::Accepted,
        Wait::Received => State::Received,
        Wait::Processed => State::Processed,
        Wait::Reply => return wait_for_reply(&agent, &sent, until, output).await,
    };
    let trace = wait_for_state(&agent, &sent, state, until, output).await?;
    let mut found = facts(&sent, &trace);
    if trace.states.last().is_some_and(|last| last.pending) {
        found.insert("pending".to_owned(), json!(true));
    }
    let state = reached(&trace).to_owned();
    output.object(&found, || describe(output, &sent.id, &state, None))
}

async fn wait_for_state(
    agent: &AgentClient,
    sent: &SendAnswer,
    state: State,
    until: Instant,
    output: &Output,
) -> Result<Trace, CliError> {
    let poll_max = if output.is_watched() { WATCH_EVERY } else { POLL_MAX };
    let mut shown = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let trace = agent.trace(&sent.id, Some((state, left.min(poll_max)))).await?;
        if shown != trace.working {
            shown = trace.working;
            output.progress(&shown.map(trace::describe_work).unwrap_or_default());
        }
        match judge(sent, trace, state) {
            Some(Outcome::Reached(trace)) => return Ok(trace),
            Some(Outcome::Refused(error)) => return Err(error),
            None if left.is_zero() => {
                output.progress("");
                let trace = agent.trace(&sent.id, None).await?;
                return Err(late(sent, &trace, state.as_str()));
            }
            None => {}
        }
    }
}

/// Waits for the first message of the thread and acknowledges that one only: the rest of the mailbox belongs to the
/// agent's program.
async fn wait_for_reply(
    agent: &AgentClient,
    sent: &SendAnswer,
    until: Instant,
    output: &Output,
) -> Result<(), CliError> {
    let to = agent.trace(&sent.id, None).await?.to;
    let reply = tokio::select! {
        reply = find_reply(agent, sent, &to, until) => reply,
        error = watch_for_failure(agent, sent, until, output) => Err(error),
    };
    output.progress("");
    let reply = reply?;
    let trace = agent.trace(&sent.id, None).await?;
    let mut found = facts(sent, &trace);
    found.insert("reply".to_owned(), json!(reply));
    agent.settle(&Disposition::Ack { deliveries: vec![reply.delivery] }).await?;
    if is_report(&reply) {
        let text = |key: &str| reply.body.get(key).and_then(Value::as_str).unwrap_or_default();
        return Err(CliError::new(Kind::Refused, text("code"), "The recipient reported a problem")
            .why(text("comment"))
            .found(found));
    }
    let state = reached(&trace);
    output.object(&found, || describe(output, &sent.id, state, Some(&reply)))
}

async fn find_reply(
    agent: &AgentClient,
    sent: &SendAnswer,
    to: &str,
    until: Instant,
) -> Result<Delivery, CliError> {
    let mut after = None;
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let wait = left.min(POLL_MAX);
        for delivery in agent.messages(Look::Peek, after, PAGE, wait).await? {
            after = after.max(Some(delivery.delivery));
            let in_thread = delivery.thid == sent.thid
                || (is_report(&delivery) && delivery.pthid.as_ref() == Some(&sent.thid));
            if in_thread && is_same_subject(&delivery.from, to) {
                return Ok(delivery);
            }
        }
        if left.is_zero() {
            let trace = agent.trace(&sent.id, None).await?;
            return Err(late(sent, &trace, "reply"));
        }
    }
}

/// Returns only when no reply can come any more.
async fn watch_for_failure(
    agent: &AgentClient,
    sent: &SendAnswer,
    until: Instant,
    output: &Output,
) -> CliError {
    match wait_for_state(agent, sent, State::Processed, until, output).await {
        Err(error) if error.kind == Kind::Refused => error,
        // The time is kept by the search for the reply; what is processed may be answered yet.
        _ => std::future::pending().await,
    }
}

/// Says whether the wait is over.
fn judge(sent: &SendAnswer, trace: Trace, wanted: State) -> Option<Outcome> {
    let last = trace.states.last()?;
    let error = match last.state.parse() {
        Ok(State::Refused) => {
            let code = last.code.clone().unwrap_or_else(|| "e.m.refused".to_owned());
            CliError::new(Kind::Refused, code, "The message was refused")
                .why(last.reason.as_deref().unwrap_or_default())
                .hint("The code is explained in docs/errors.md")
        }
        Ok(State::Expired) => {
            CliError::new(Kind::Refused, "expired", "The message expired unprocessed")
                .hint("Send it again with a later --expires")
        }
        Ok(state) => return (wanted <= state).then_some(Outcome::Reached(trace)),
        Err(_) => return None,
    };
    Some(Outcome::Refused(error.found(facts(sent, &trace))))
}

fn late(sent: &SendAnswer, trace: &Trace, wanted: &str) -> CliError {
    let pending = trace.states.last().is_some_and(|last| last.pending);
    let hint = if pending {
        "The recipient's operator has to decide first; see how it goes on with comity trace"
    } else if trace.working.is_some() {
        "The recipient demands work of strangers, which the node does: see comity trace, or wait longer with --timeout"
    } else {
        "The message is kept and still on its way: see comity trace, or wait longer with --timeout"
    };
    CliError::fault("send.timeout", format!("Not {wanted} in time"))
        .hint(hint)
        .found(facts(sent, trace))
}

fn facts(sent: &SendAnswer, trace: &Trace) -> Map<String, Value> {
    let mut facts = Map::new();
    facts.insert("id".to_owned(), json!(sent.id));
    facts.insert("thid".to_owned(), json!(sent.thid));
    facts.insert("state".to_owned(), json!(reached(trace)));
    facts
}

fn reached(trace: &Trace) -> &str {
    trace.states.last().map_or(State::Queued.as_str(), |last| last.state.as_str())
}

fn is_report(delivery: &Delivery) -> bool {
    delivery.type_.strip_prefix(REPORT_PROBLEM).is_some_and(|rest| rest.starts_with('/'))
}

fn is_same_subject(one: &str, other: &str) -> bool {
    match (one.parse(), other.parse()) {
        (Ok(one), Ok(other)) => subject(&one) == subject(&other),
        _ => one == other,
    }
}

fn read_body(argument: Option<&str>) -> Result<Map<String, Value>, CliError> {
    let text = match argument {
        None => return Ok(Map::new()),
        Some("-") => {
            let mut text = String::new();
            std::io::stdin().take(STDIN_BYTES_MAX).read_to_string(&mut text).map_err(|error| {
                CliError::usage("body", "Standard input cannot be read as text").why(error)
            })?;
            text
        }
        Some(text) => text.to_owned(),
    };
    match serde_json::from_str(&text) {
        Ok(Value::Object(body)) => Ok(body),
        Ok(_) => Err(CliError::usage("body", "The body is JSON, but not an object")
            .hint(format!("Wrap it: '{}'", json!({ "content": text.trim() })))),
        Err(error) => Err(CliError::usage("body", "The body is not JSON")
            .why(error)
            .hint(format!("For plain text: '{}'", json!({ "content": text.trim() })))),
    }
}

/// Rounds up: a deadline of half a second must not become none.
fn seconds_up(duration: Duration) -> u64 {
    duration.as_secs() + u64::from(duration.subsec_nanos() != 0)
}

fn describe(output: &Output, id: &str, state: &str, reply: Option<&Delivery>) -> String {
    let line = format!("{}  {}", output.paint(Style::Good, &escape(state)), escape(id));
    match reply {
        None => line,
        Some(reply) => format!("{line}\n{}", inbox::describe(output, reply)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_that_is_not_json_gets_the_json_it_could_be() {
        let error = read_body(Some("hello")).err();
        let hint = error.map(|error| error.hint).unwrap_or_default();
        assert_eq!(hint, r#"For plain text: '{"content":"hello"}'"#);
        assert_eq!(read_body(None).ok(), Some(Map::new()));
    }

    #[test]
    fn half_a_second_is_rounded_up() {
        assert_eq!(seconds_up(Duration::from_millis(500)), 1);
        assert_eq!(seconds_up(Duration::from_secs(2)), 2);
    }
}
