//! What can be typed: the commands, the options they share, and how durations are read.
//!
//! Each command's own arguments stand in its file under `commands/`.

use std::{path::PathBuf, time::Duration};

use clap::{Parser, Subcommand};

use crate::commands::{
    agent, allow, allowed, bench, completions, contacts, demo, deny, did, didcomm, doctor, events,
    evidence, forget, grant, inbox, invite, log, outcome, relay, requests, revoke, send, status,
    trace, trust, up, vouch,
};

/// A network in which agents of different organisations deal with each other as peers.
#[derive(Debug, Parser)]
#[command(
    name = "comity",
    version,
    after_help = "Exit codes: 0 in order, 1 usage, 2 configuration, 3 refused by a peer or by policy, 4 our fault.\n\
                  Start with: comity demo"
)]
pub(crate) struct Cli {
    /// Print JSON: one object, or one a line for lists; errors as {"error":{..}}
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Data directory of the node; else $COMITY_DATA, else `comity` in the XDG data folder
    #[arg(long, global = true, value_name = "DIR")]
    pub(crate) data: Option<PathBuf>,

    #[command(subcommand)]
    pub(crate) command: Command,
}

/// The commands, in the order in which one meets them.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Run a node until it is told to stop
    Up(up::Args),
    /// Add, list and show the agents of the node
    Agent(agent::Args),
    /// Look up an identity
    Did(did::Args),
    /// Send a message as one of the node's agents
    Send(send::Args),
    /// Show what has come for one of the node's agents
    Inbox(inbox::Args),
    /// Make an invitation: a link and a QR code by which others can write first
    Invite(invite::Args),
    /// List who asks to be allowed
    Requests(requests::Args),
    /// Allow somebody, and hand over the message that was held
    Allow(allow::Args),
    /// Deny somebody
    Deny(deny::Args),
    /// Take back what was allowed
    Revoke(revoke::Args),
    /// List what was decided about whom
    Allowed(allowed::Args),
    /// Give access by signed tokens that can be handed on, take it back, and see what was given
    Grant(grant::Args),
    /// List whose messages come in, and approve keys that have changed
    Contacts(contacts::Args),
    /// Explain what becomes of somebody's messages, and why; draw who vouches for whom
    Trust(trust::Args),
    /// Ask for vouches, give them and take them back
    Vouch(vouch::Args),
    /// Agree with the other side on how work ended, and count what others did
    Outcome(outcome::Args),
    /// List and remove those who have messages kept at the node, a relay
    Relay(relay::Args),
    /// Show what happened at the node that an operator should know
    Events(events::Args),
    /// Show how far a message got, and who says so
    Trace(trace::Args),
    /// Show to a stranger who said what, when, and that nothing was left out; verify what others show
    Evidence(evidence::Args),
    /// Show the node's log, who witnesses it, and what it says of an agent
    Log(log::Args),
    /// Erase the texts of messages that are kept for evidence
    Forget(forget::Args),
    /// Show counts, queues and sizes of the running node
    Status(status::Args),
    /// Check the node and say what to do
    Doctor(doctor::Args),
    /// Play the whole story on this machine: two nodes, two agents, a stranger, a crash, a revocation
    Demo(demo::Args),
    /// Measure messages through two nodes on this machine
    Bench(bench::Args),
    /// Pack, open and explain DIDComm envelopes with keys of your own; needs no node
    Didcomm(didcomm::Args),
    /// Print completions for a shell
    Completions(completions::Args),
}

/// Reads `500ms`, `30s`, `5m`, `2h`, `7d`, `1w`.
pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    const WRONG: &str = "write a number and a unit: 500ms, 30s, 5m, 2h, 7d";
    let split = text.find(|c: char| !c.is_ascii_digit()).ok_or(WRONG)?;
    let (number, unit) = text.split_at_checked(split).ok_or(WRONG)?;
    let number: u64 = number.parse().map_err(|_| WRONG)?;
    let unit_ms: u64 = match unit {
        "ms" => 1,
        "s" => 1000,
        "m" => 60 * 1000,
        "h" => 3600 * 1000,
        "d" => 24 * 3600 * 1000,
        "w" => 7 * 24 * 3600 * 1000,
        _ => return Err(WRONG.to_owned()),
    };
    number.checked_mul(unit_ms).map(Duration::from_millis).ok_or_else(|| WRONG.to_owned())
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_arguments_contradict_themselves_nowhere() {
        Cli::command().debug_assert();
    }

    #[test]
    fn durations_have_a_number_and_a_unit() {
        assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(parse_duration("2h"), Ok(Duration::from_secs(7200)));
        assert_eq!(parse_duration("7d"), Ok(Duration::from_secs(604_800)));
        for wrong in ["", "5", "s", "1.5h", "-1s", "5 m", "99999999999999999d", "5mm"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }
}
