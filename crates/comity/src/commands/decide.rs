//! What `allow`, `deny` and `revoke` have in common: whom it is about, and how the decision reads. Also how
//! `requests` and `allowed` list.

use comity_core::api::{Decide, Relation, parse_rfc3339};

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
    /// Whom it is about: a DID, a handle NAME@HOST, or the link of their invitation
    who: String,
    /// Only for this protocol, named by its URI without the message name; can be repeated
    #[arg(long = "for", value_name = "PIURI")]
    protocols: Vec<String>,
    /// Until when: 2027-01-31, or RFC 3339
    #[arg(long, value_name = "DATE", value_parser = parse_date)]
    until: Option<String>,
}

/// Tells the node a decision, named by the last part of its route.
pub(crate) async fn run(verb: &str, args: Args, context: &Context) -> Result<(), CliError> {
    let path = format!("/admin/agents/{}/{verb}", encode(&args.name));
    let decide = Decide { who: args.who, protocols: args.protocols, until: args.until };
    let relation: Relation = context.client()?.post(&path, &decide).await?;
    context.output.object(&relation, || columns(&[row(&relation)]))
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

fn row(relation: &Relation) -> Vec<String> {
    let protocols = match relation.protocols.as_slice() {
        [] => "all protocols".to_owned(),
        named => named.join(" "),
    };
    let until = relation.until.as_ref().map(|until| format!("until {until}"));
    vec![
        relation.state.clone(),
        escape(&relation.did),
        escape(&protocols),
        until.unwrap_or_default(),
    ]
}

fn parse_date(text: &str) -> Result<String, String> {
    parse_rfc3339(text)
        .map(comity_core::api::rfc3339)
        .ok_or_else(|| "write a date as 2027-01-31, or a time as 2027-01-31T12:00:00Z".to_owned())
}
