//! `comity invite`: makes a link by which somebody can write to an agent, or use the node as a relay (Out-of-Band 2.0).

use std::time::Duration;

use comity_core::api::{Invite, Invited};
use qrcode::{Color, EcLevel, QrCode};

use super::Context;
use crate::{
    cli::parse_duration,
    error::CliError,
    output::{Output, Style, columns, escape},
};

/// Arguments of `comity invite`.
#[derive(Debug, clap::Args)]
#[command(
    group = clap::ArgGroup::new("inviter").required(true),
    after_help = "\
Whoever has the link to an agent can send one first message, which waits for the operator. Whoever has the link to a \
relay can have messages kept there, within the relay's quotas: comity up --via LINK.

Example: comity invite --as bruno --goal 'Talk about the harvest'"
)]
pub(crate) struct Args {
    /// The agent that invites
    #[arg(long = "as", value_name = "NAME", group = "inviter")]
    name: Option<String>,
    /// Invite to use this node as a relay
    #[arg(long, group = "inviter")]
    relay: bool,
    /// What it is for, for people
    #[arg(long, value_name = "TEXT")]
    goal: Option<String>,
    /// What it is for, for programs
    #[arg(long, value_name = "CODE")]
    goal_code: Option<String>,
    /// Until when it holds: 30s, 5m, 2h, 7d; an agent's for good, one to a relay for 7 days when absent
    #[arg(long, value_name = "DURATION", value_parser = parse_duration)]
    expires: Option<Duration>,
    /// How many may use the relay by it; one when absent
    #[arg(long, value_name = "NUMBER", conflicts_with = "name")]
    uses: Option<u32>,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let request = Invite {
        agent: args.name,
        goal: args.goal,
        goal_code: args.goal_code,
        expires_in_s: args.expires.map(|expires| expires.as_secs().max(1)),
        uses: args.uses,
    };
    let invited: Invited = context.client()?.post("/admin/invitations", &request).await?;
    let output = &context.output;
    output.object(&invited, || describe(output, &invited))
}

fn describe(output: &Output, invited: &Invited) -> String {
    let until = invited.expires_at.as_deref().unwrap_or("it does not expire");
    let rows = [["from", &invited.from], ["until", until]];
    let facts = columns(&rows.map(|row| row.map(escape).to_vec()));
    let link = output.paint(Style::Bold, &escape(&invited.url));
    match output.columns() {
        Some(columns) => format!("{}\n{facts}\n\n{link}", drawing(output, &invited.url, columns)),
        None => format!("{facts}\n\n{link}"),
    }
}

/// Draws the link for a terminal so wide, or says why not.
fn drawing(output: &Output, link: &str, columns: usize) -> String {
    let Ok(code) = QrCode::with_error_correction_level(link, EcLevel::L) else {
        return "(The link is too long for a QR code.)".to_owned();
    };
    let width = code.width() + 2 * QUIET;
    if columns < width {
        return format!(
            "(The QR code needs a terminal of {width} columns; this one has {columns}.)"
        );
    }
    let ink = if output.is_coloured() { Ink::Dark } else { Ink::Light };
    let lines = lines(&code, ink);
    lines.iter().map(|line| output.paint(Style::Ink, line)).collect::<Vec<_>>().join("\n")
}

/// Modules of nothing around the code, by which readers find it. The standard asks for four; all read two, and the
/// terminal is only so wide.
const QUIET: usize = 2;

/// Which modules are drawn: the dark ones where paper is white, the light ones on a terminal that is probably dark.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ink {
    Dark,
    Light,
}

/// Draws a code with two modules a character, one above the other.
fn lines(code: &QrCode, ink: Ink) -> Vec<String> {
    let size = code.width();
    let drawn = |x: usize, y: usize| {
        let inside = (QUIET..size + QUIET).contains(&x) && (QUIET..size + QUIET).contains(&y);
        // Below an odd last row there is neither paper nor ink.
        if size + 2 * QUIET <= y {
            return false;
        }
        let dark = inside && code[(x - QUIET, y - QUIET)] == Color::Dark;
        dark == (ink == Ink::Dark)
    };
    let line = |y: usize| {
        let character = |x: usize| match (drawn(x, y), drawn(x, y + 1)) {
            (true, true) => '█',
            (true, false) => '▀',
            (false, true) => '▄',
            (false, false) => ' ',
        };
        (0..size + 2 * QUIET).map(character).collect()
    };
    (0..size + 2 * QUIET).step_by(2).map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_drawn_dark_on_light_or_light_on_dark() {
        let lines = |ink| {
            let code = QrCode::with_error_correction_level("x", EcLevel::L).ok();
            code.map(|code| lines(&code, ink)).unwrap_or_default()
        };
        let (dark, light) = (lines(Ink::Dark), lines(Ink::Light));
        // 21 modules and the quiet zone, two rows a line.
        assert_eq!(dark.len(), 13);
        assert!(dark.iter().chain(&light).all(|line| line.chars().count() == 25));
        let row = |lines: &[String], number: usize| lines.get(number).cloned().unwrap_or_default();
        assert_eq!(row(&dark, 0).trim(), "", "the quiet zone is empty");
        // The corner that every code has: a dark frame of seven modules.
        assert!(row(&dark, 1).starts_with("  █▀▀▀▀▀█ "), "{dark:#?}");
        assert!(row(&light, 1).starts_with("██ ▄▄▄▄▄ █"), "{light:#?}");
    }
}
