//! A verdict for a person at a terminal.

use comity_core::api::rfc3339;
use comity_core::evidence::{KeyState, MessageSeen, Outcome, Times, Verdict};

use crate::output::{Output, Style, escape};

pub(super) fn report(verdict: &Verdict, output: &Output) -> String {
    let mut lines = Vec::new();
    let (style, headline) = headline(verdict.outcome);
    lines.push(output.paint(style, headline));
    lines.extend(verdict.malformed.iter().map(|why| format!("  {}", escape(why))));
    for one in &verdict.contradictions {
        lines.push(format!("  {}", output.paint(Style::Bad, &one.what)));
        for piece in [&one.first, &one.second] {
            lines.push(format!("    {}: {}", escape(&piece.place), short(&piece.says)));
        }
    }
    lines.extend(verdict.missing.iter().map(|what| format!("  missing: {}", escape(what))));
    for message in &verdict.messages {
        lines.push(String::new());
        lines.extend(describe(message, output));
    }
    if !verdict.exports.is_empty() {
        lines.push(String::new());
    }
    for export in &verdict.exports {
        let (from, to) = export.numbers;
        lines.push(format!(
            "export of {}: statements {from} to {to} of its chain without a gap, {} shown, {} withheld",
            export.agent, export.shown, export.withheld,
        ));
    }
    if !verdict.rests_on.is_empty() {
        lines.push("rests on these keys; compare them with what their owners publish:".to_owned());
    }
    for root in &verdict.rests_on {
        lines.push(format!("  {} ({})", escape(&root.key), escape(&root.because)));
    }
    lines.join("\n")
}

pub(super) const fn headline(outcome: Outcome) -> (Style, &'static str) {
    match outcome {
        Outcome::Proven => (Style::Good, "Proven: everything that this file shows"),
        Outcome::Malformed => (Style::Bad, "Malformed: this is no file of evidence"),
        Outcome::Contradiction => (Style::Bad, "Contradiction: something was changed"),
        Outcome::Insufficient => {
            (Style::Notice, "Insufficient: all of it is true, and something is missing")
        }
    }
}

fn describe(message: &MessageSeen, output: &Output) -> Vec<String> {
    let head = format!("{} in {}", escape(&message.id), escape(&message.thid));
    let mut lines = vec![
        format!("{}  {}", output.paint(Style::Bold, &head), escape(&message.type_)),
        format!("  from     {}{}", message.from, key(message)),
        format!("  to       {}", message.to),
    ];
    lines.extend(message.sent.iter().map(|times| format!("  sent     {}", self::times(times))));
    lines.extend(message.received.iter().map(|times| format!("  received {}", self::times(times))));
    for reached in &message.reached {
        let code = reached.code.as_deref().map(|code| format!(" ({})", escape(code)));
        lines.push(format!(
            "  {:<8} {} by {}{}",
            reached.state,
            rfc3339(reached.at),
            reached.by,
            code.unwrap_or_default()
        ));
    }
    if let Some(allowed) = &message.allowed {
        let by = allowed.seq.map(|seq| format!(", decided in statement {seq}"));
        lines.push(format!("  allowed  by {}{}", escape(&allowed.ground), by.unwrap_or_default()));
    }
    lines.extend(message.body.iter().map(|body| format!("  says     {}", short(body))));
    lines
}

fn key(message: &MessageSeen) -> String {
    match (message.key, &message.kid) {
        (Some(state), Some(kid)) => {
            let fragment = kid.rsplit('#').next().unwrap_or_default();
            format!(", signed with {} ({})", escape(fragment), key_words(state))
        }
        _ => ", signature not shown".to_owned(),
    }
}

pub(super) const fn key_words(state: KeyState) -> &'static str {
    match state {
        KeyState::Good => "its key",
        KeyState::ReplacedLater => "its key then, replaced later",
        KeyState::NotToldApart => "replaced, not shown whether before or after this",
        KeyState::ReplacedBefore => "a key that was replaced before: not proven to be its",
    }
}

pub(super) fn times(times: &Times) -> String {
    let mut text = format!("{} by its own clock", rfc3339(times.claimed));
    if let Some(after) = &times.after {
        text = format!("{text}; after {} ({})", rfc3339(after.at), escape(&after.witness));
    }
    match &times.before {
        Some(before) => format!("{text}; by {} ({})", rfc3339(before.at), escape(&before.witness)),
        None => format!("{text}; no witness"),
    }
}

fn short(text: &str) -> String {
    const CHARS_MAX: usize = 200;
    let escaped = escape(text);
    match escaped.char_indices().nth(CHARS_MAX) {
        Some((end, _)) => format!("{}…", escaped.get(..end).unwrap_or_default()),
        None => escaped,
    }
}
