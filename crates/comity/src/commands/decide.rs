//! What `allow`, `deny` and `revoke` have in common: whom it is about, and how the decision reads. Also how
//! `requests` and `allowed` list.

use comity_core::api::{Decide, HANDED_OVER, Relation, parse_rfc3339};
use comity_core::refusal::Refusal;
use comity_core::trust::{Level, subject};
use comity_didcomm::Did;

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{columns, escape},
};

/// Arguments of `comity allow`, `comity deny` and `comity revoke`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The agent whose decision it is
    #[arg(long = "as", value_name = "NAME")]
    name: String,
    /// Whom it is about: a DID, a handle NAME@HOST, or the link of their invitation; or many: '*@HOST' for all agents
    /// of a node, '*@*.DOMAIN', or credential:TYPE@ISSUER
    who: String,
    /// It is about what the agent sends to them, not about what they send
    #[arg(long)]
    out: bool,
    /// What is to be remembered about it
    #[arg(long, value_name = "TEXT", default_value = "")]
    note: String,
}

/// Arguments of `comity allow`.
#[derive(Debug, clap::Args)]
pub(crate) struct AllowArgs {
    #[command(flatten)]
    decide: Args,
    /// Only for this protocol, named by its URI without the message name; can be repeated
    #[arg(long = "for", value_name = "PIURI")]
    protocols: Vec<String>,
    /// How far they may go: introduced, message, task or execute; else as far as the protocols named with --for need
    #[arg(long, value_name = "LEVEL")]
    level: Option<Level>,
    /// Their vouches for others count, for 90 days
    #[arg(long)]
    anchor: bool,
    /// From when: 2027-01-31, or RFC 3339
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    from: Option<String>,
    /// Until when
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    until: Option<String>,
    /// How many messages they may send in a day
    #[arg(long, value_name = "N")]
    messages: Option<u64>,
    /// How many bytes they may send in a day
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// How many of their tasks may be open
    #[arg(long, value_name = "N")]
    tasks: Option<u64>,
}

/// Tells the node that somebody is allowed.
pub(crate) async fn allow(args: AllowArgs, context: &Context) -> Result<(), CliError> {
    let AllowArgs { decide: args, protocols, level, anchor, from, until, messages, bytes, tasks } =
        args;
    let decide = Decide {
        protocols,
        level: level.map(|level| level.to_string()),
        anchor,
        from,
        until,
        messages_per_day: messages,
        bytes_per_day: bytes,
        tasks_open: tasks,
        ..args.to_decide()
    };
    tell("allow", &args.name, &decide, context).await
}

/// Tells the node a decision, named by the last part of its route.
pub(crate) async fn run(verb: &str, args: Args, context: &Context) -> Result<(), CliError> {
    tell(verb, &args.name, &args.to_decide(), context).await
}

impl Args {
    fn to_decide(&self) -> Decide {
        Decide {
            who: self.who.clone(),
            outbound: self.out,
            note: self.note.clone(),
            ..Decide::default()
        }
    }
}

async fn tell(verb: &str, name: &str, decide: &Decide, context: &Context) -> Result<(), CliError> {
    let path = format!("/admin/agents/{}/{verb}", encode(name));
    let relation: Relation = context.client()?.post(&path, &decide).await?;
    context.output.object(&relation, || {
        let mut lines = vec![columns(&[row(&relation)])];
        lines.extend(fate(&relation));
        lines.join("\n")
    })
}

/// Says what became of the message that waited.
fn fate(relation: &Relation) -> Option<String> {
    let request = relation.request.as_deref()?;
    if request == HANDED_OVER {
        return Some("The message that waited was handed over".to_owned());
    }
    let refused = format!("The message that waited was refused: {}", escape(request));
    // Allowed, but not what it asked for.
    let refusal = relation.level.as_ref().and_then(|_| Refusal::from_code(request));
    Some(match refusal {
        Some(refusal) => format!("{refused}. {}", refusal.operator_action()),
        None => refused,
    })
}

/// Lists relations, and says what to make of an empty list.
pub(crate) fn list(
    relations: &[Relation],
    when_empty: &str,
    context: &Context,
) -> Result<(), CliError> {
    let output = &context.output;
    if output.is_json() {
        return relations.iter().try_for_each(|relation| output.object(relation, String::new));
    }
    if relations.is_empty() {
        return output.remark(when_empty);
    }
    let rows: Vec<_> = relations.iter().map(row).collect();
    output.remark(&columns(&rows))
}

/// Writes whom it is about; of a did:peer that has its document in it, what it is known by.
fn short(who: &str) -> String {
    match who.parse::<Did>() {
        Ok(did) => escape(subject(&did).as_str()),
        Err(_) => escape(who),
    }
}

/// What every line has comes first, in columns; what only some have follows.
fn row(relation: &Relation) -> Vec<String> {
    let way = if relation.outbound { "to" } else { "from" };
    let whom = format!("{way} {}", short(&relation.did));
    let level = relation.level.clone().unwrap_or_default();
    let mut more = Vec::new();
    more.extend(relation.anchor.then(|| "anchor".to_owned()));
    // What forbids is about everything.
    match relation.protocols.as_slice() {
        [] if relation.level.is_some() => more.push("all protocols".to_owned()),
        protocols => more.extend(protocols.iter().map(|protocol| escape(protocol))),
    }
    more.extend(relation.from.as_ref().map(|from| format!("from {from}")));
    more.extend(relation.until.as_ref().map(|until| format!("until {until}")));
    let limit = |limit: Option<u64>, of: &str| limit.map(|limit| format!("{limit} {of}"));
    more.extend(limit(relation.messages_per_day, "messages a day"));
    more.extend(limit(relation.bytes_per_day, "bytes a day"));
    more.extend(limit(relation.tasks_open, "open tasks"));
    if !relation.note.is_empty() {
        more.push(format!("note: {}", escape(&relation.note)));
    }
    vec![relation.state.clone(), whom, level, more.join(", ")]
}

pub(super) fn parse_date(text: &str) -> Result<String, String> {
    parse_rfc3339(text)
        .map(comity_core::api::rfc3339)
        .ok_or_else(|| "write a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z".to_owned())
}
