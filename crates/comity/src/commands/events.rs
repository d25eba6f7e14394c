//! `comity events`: what happened at the node, and what happens.

use std::{
    collections::{HashMap, VecDeque},
    time::Duration,
};

use comity_core::{
    api::{AgentInfo, EventInfo, Events},
    event::{Decider, Event, KeyRuling, ShownId},
    trust::{EntryKind, subject},
};
use comity_didcomm::{Did, UnixTime};

use super::Context;
use crate::{
    client::Client,
    error::CliError,
    limits::POLL_MAX,
    output::{Output, Style, escape},
};

/// Events that are shown when nothing says how many.
const LIMIT_DEFAULT: usize = 50;

/// Arguments of `comity events`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Go on and show what happens
    #[arg(long)]
    follow: bool,
    /// Show all that came after this number, which stands before each event
    #[arg(long, value_name = "SEQ", conflicts_with = "limit")]
    after: Option<u64>,
    /// Show at most so many of what happened, the newest; 50 when nothing says otherwise
    #[arg(long, value_name = "N")]
    limit: Option<usize>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let (client, output) = (context.client()?, &context.output);
    let names = Names::of(client.get("/admin/agents").await?);
    let limit = match args.after {
        Some(_) => usize::MAX,
        None => args.limit.unwrap_or(LIMIT_DEFAULT),
    };
    let mut after = args.after.unwrap_or(0);
    let shown = match args.after {
        Some(_) => show_all(&client, output, &names, &mut after, Duration::ZERO).await?,
        None => show_newest(&client, output, &names, &mut after, limit).await?,
    };
    if args.follow {
        loop {
            show_all(&client, output, &names, &mut after, POLL_MAX).await?;
        }
    }
    match shown {
        0 => output.remark("Nothing has happened that an operator should know"),
        _ => Ok(()),
    }
}

/// Shows everything after a place, and moves the place; waits for the first if there is nothing.
async fn show_all(
    client: &Client,
    output: &Output,
    names: &Names,
    after: &mut u64,
    mut wait: Duration,
) -> Result<usize, CliError> {
    let mut shown = 0;
    loop {
        let page = client.events(*after, wait).await?;
        let Some(last) = page.events.last() else { return Ok(shown) };
        if page.missed {
            output.remark("Some events before these have been forgotten")?;
        }
        *after = last.seq;
        for info in &page.events {
            output.object(info, || describe(output, names, info))?;
        }
        shown += page.events.len();
        wait = Duration::ZERO;
    }
}

/// Shows the newest of what happened; the node gives the oldest first.
async fn show_newest(
    client: &Client,
    output: &Output,
    names: &Names,
    after: &mut u64,
    limit: usize,
) -> Result<usize, CliError> {
    let mut newest = VecDeque::new();
    loop {
        let Events { events, .. } = client.events(*after, Duration::ZERO).await?;
        let Some(last) = events.last() else { break };
        *after = last.seq;
        newest.extend(events);
        while limit < newest.len() {
            newest.pop_front();
        }
    }
    newest.iter().try_for_each(|info| output.object(info, || describe(output, names, info)))?;
    Ok(newest.len())
}

/// The names of the node's agents, by their DIDs.
struct Names(HashMap<Did, String>);

impl Names {
    fn of(agents: Vec<AgentInfo>) -> Self {
        let named = agents.into_iter().filter_map(|agent| {
            let did: Did = agent.did.parse().ok()?;
            Some((subject(&did), agent.name))
        });
        Self(named.collect())
    }

    fn name<'a>(&'a self, agent: &'a Did) -> &'a str {
        self.0.get(&subject(agent)).map_or(agent.as_str(), String::as_str)
    }
}

fn describe(output: &Output, names: &Names, info: &EventInfo) -> String {
    let (type_, rest) = words(names, &info.event);
    format!(
        "{} {} {}  {}",
        output.paint(Style::Dim, &format!("{:>6}", info.seq)),
        output.paint(Style::Dim, &escape(&info.at)),
        output.paint(style(&info.event), &format!("{type_:<16}")),
        escape(&rest),
    )
}

/// What asks for the operator catches the eye.
fn style(event: &Event) -> Style {
    match event {
        Event::RequestArrived { .. }
        | Event::RequestsUntold { .. }
        | Event::KeyChanged { ruling: KeyRuling::NeedsApproval, .. } => Style::Notice,
        Event::LogContradicted { .. } | Event::WebhookDisabled { .. } => Style::Bad,
        _ => Style::Bold,
    }
}

/// Says an event in words: its type, and what else there is to it.
fn words(names: &Names, event: &Event) -> (&'static str, String) {
    match event {
        Event::EntryChanged { agent, whom, decision, until } => {
            let until = until.map(|until| format!(" until {}", rfc3339(until)));
            let (agent, until) = (names.name(agent), until.unwrap_or_default());
            ("entry-changed", format!("{agent}: {} {}{until}", verb(*decision), whom.as_str()))
        }
        Event::GrantIssued { agent, grant, to, until } => {
            let (agent, grant, until) = (names.name(agent), grant.as_str(), rfc3339(*until));
            ("grant-issued", format!("{agent}: {grant} to {to} until {until}"))
        }
        Event::GrantRevoked { agent, grant } => {
            ("grant-revoked", format!("{}: {}", names.name(agent), grant.as_str()))
        }
        Event::KeyChanged { agent, contact, before, after, ruling } => {
            let ruling = match ruling {
                KeyRuling::NeedsApproval => "waits for you",
                KeyRuling::Passed => "passed",
            };
            let (before, after) = (ids(before), ids(after));
            ("key-changed", format!("{contact} at {agent}: {before} to {after}, {ruling}"))
        }
        Event::LogContradicted { node, log, finding } => {
            ("log-contradicted", format!("{node}: {}: {}", log.as_str(), finding.meaning()))
        }
        Event::RequestArrived { agent, peer, protocol, until, size_bytes, .. } => {
            let (agent, until) = (names.name(agent), rfc3339(*until));
            let rest = format!("{agent}: {peer} by {protocol}, {size_bytes} bytes, until {until}");
            ("request-arrived", rest)
        }
        Event::RequestDecided { agent, peer, decision, by, .. } => {
            let by = match by {
                Decider::Admin => "here",
                Decider::OperatorAgent => "by the operator's agent",
            };
            let (agent, decided) = (names.name(agent), verb(*decision));
            ("request-decided", format!("{agent}: {decided} {peer}, decided {by}"))
        }
        Event::RequestExpired { agent, peer, .. } => {
            ("request-expired", format!("{}: {peer}", names.name(agent)))
        }
        Event::RequestsUntold { agent, arrived, expired, since } => {
            let (agent, since) = (names.name(agent), rfc3339(*since));
            let rest = format!(
                "{agent}: {arrived} more arrived and {expired} more expired in the hour from {since}"
            );
            ("requests-untold", rest)
        }
        Event::VouchRevoked { voucher, vouched, vouch } => {
            ("vouch-revoked", format!("{voucher} for {vouched}: {}", vouch.as_str()))
        }
        Event::WebhookDisabled { reason } => ("webhook-disabled", reason.as_str().to_owned()),
        // One of a newer version of the node.
        other => ("other", serde_json::to_string(other).unwrap_or_default()),
    }
}

const fn verb(decision: EntryKind) -> &'static str {
    match decision {
        EntryKind::Allow => "allow",
        EntryKind::Deny => "deny",
        EntryKind::Revoke => "revoke",
    }
}

fn ids(ids: &[ShownId]) -> String {
    let ids: Vec<_> = ids.iter().map(ShownId::as_str).collect();
    if ids.is_empty() { "no key".to_owned() } else { ids.join(" ") }
}

fn rfc3339(time: UnixTime) -> String {
    comity_core::api::rfc3339(time)
}
