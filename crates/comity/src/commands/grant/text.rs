//! How grants read.

use comity_core::api::GrantInfo;

use crate::output::{columns, escape};

/// Writes what came of giving or handing on: the tokens alone where they are to go on by other means.
pub(super) fn given(grant: &GrantInfo, is_printed: bool) -> String {
    if is_printed {
        return grant.chain.join("\n");
    }
    let told = grant.told.iter().map(|did| format!("on its way to {}", escape(did)));
    std::iter::once(lines(std::slice::from_ref(grant))).chain(told).collect::<Vec<_>>().join("\n")
}

/// Writes what came of taking one back.
pub(super) fn revoked(grant: &GrantInfo) -> String {
    let mut all = vec![lines(std::slice::from_ref(grant))];
    all.extend(grant.told.iter().map(|did| format!("on its way to {}", escape(did))));
    for did in &grant.not_told {
        let again = "cannot be told now, try again later";
        let why = if *did == grant.audience { "who would still let it in" } else { "the grantee" };
        all.push(format!("{again}: {}, {why}", escape(did)));
    }
    all.join("\n")
}

/// Writes grants under each other: what they give, and below each whom it is between.
pub(super) fn lines(grants: &[GrantInfo]) -> String {
    let mut rows = Vec::new();
    for grant in grants {
        let protocols = match grant.protocols.as_slice() {
            [] => "all protocols".to_owned(),
            named => named.join(" "),
        };
        rows.push(vec![
            escape(short(&grant.id)),
            escape(&grant.kind),
            escape(&grant.state),
            between(grant),
            escape(&grant.level),
            escape(&protocols),
            format!("until {}", escape(&grant.until)),
            limits(grant),
        ]);
    }
    columns(&rows)
}

/// Enough of an id to find the grant by among those of one agent.
fn short(id: &str) -> &str {
    id.get(..12).unwrap_or(id)
}

fn between(grant: &GrantInfo) -> String {
    match grant.kind.as_str() {
        "given" => format!("to {}", escape(&grant.grantee)),
        "handed-on" => {
            format!("to {} for {}", escape(&grant.grantee), escape(&grant.audience))
        }
        _ if grant.grantor == grant.audience => format!("for {}", escape(&grant.audience)),
        _ => format!("for {} from {}", escape(&grant.audience), escape(&grant.grantor)),
    }
}

fn limits(grant: &GrantInfo) -> String {
    let limit = |limit: Option<u64>, of: &str| limit.map(|limit| format!("{limit} {of}"));
    let mut limits = Vec::new();
    limits.extend(limit(grant.messages_per_day, "messages a day"));
    limits.extend(limit(grant.bytes_per_day, "bytes a day"));
    limits.extend(limit(grant.tasks_open, "open tasks"));
    match grant.depth {
        0 => {}
        1 => limits.push("may be handed on once".to_owned()),
        depth => limits.push(format!("may be handed on {depth} times in a row")),
    }
    limits.join(", ")
}
