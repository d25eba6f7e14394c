//! `comity agent`: the agents that live in the node.

use clap::{Subcommand, ValueEnum};
use comity_core::api::{AddAgent, AgentInfo, DidMethod, NodeInfo, Rotate};

use super::Context;
use crate::{
    client::encode,
    error::CliError,
    output::{Output, Style, columns},
};

/// Arguments of `comity agent`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Add an agent: makes its keys and its DID, and shows its token this once
    Add {
        /// Name: 1 to 64 characters of a-z, 0-9, `-`, `_`, `.`
        name: String,
        /// Kind of DID: `web` and `webvh` can be looked up as NAME@HOST, and `webvh` keeps a signed
        /// history of its keys; `peer` needs no domain. When absent, the kind that the node itself has
        #[arg(long, value_enum, value_name = "METHOD")]
        did: Option<Method>,
    },
    /// List the agents
    List,
    /// Show one agent
    Show {
        /// Name of the agent
        name: String,
    },
    /// Replace the keys of an agent, or of the node, by new ones
    ///
    /// Messages that are under way still arrive: the former keys stay in the DID document for 31
    /// days, after the new ones.
    Rotate {
        /// Name of the agent
        #[arg(required_unless_present = "node")]
        name: Option<String>,
        /// The node's own keys, with which it signs receipts and serves as a relay
        #[arg(long, conflicts_with = "name")]
        node: bool,
        /// Others may have the keys: drop them from the document at once. What is under way with
        /// their signature may be refused
        #[arg(long)]
        compromised: bool,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Method {
    Web,
    Webvh,
    Peer,
}

pub(crate) async fn run(args: Args, context: &Context) -> Result<(), CliError> {
    let client = context.client()?;
    let output = &context.output;
    match args.action {
        Action::Add { name, did } => {
            let did = did.map(|did| match did {
                Method::Peer => DidMethod::Peer,
                Method::Web => DidMethod::Web,
                Method::Webvh => DidMethod::Webvh,
            });
            let added: AgentInfo = client.post("/admin/agents", &AddAgent { name, did }).await?;
            output.object(&added, || describe(output, &added))
        }
        Action::List => {
            let agents: Vec<AgentInfo> = client.get("/admin/agents").await?;
            list(output, &agents)
        }
        Action::Show { name } => {
            let agent: AgentInfo = client.get(&format!("/admin/agents/{}", encode(&name))).await?;
            output.object(&agent, || describe(output, &agent))
        }
        Action::Rotate { name: Some(name), compromised, .. } => {
            let path = format!("/admin/agents/{}/rotate", encode(&name));
            let agent: AgentInfo = client.post(&path, &Rotate { compromised }).await?;
            output.object(&agent, || describe(output, &agent))
        }
        Action::Rotate { name: None, compromised, .. } => {
            let node: NodeInfo = client.post("/admin/rotate", &Rotate { compromised }).await?;
            output.object(&node, || describe_node(&node))
        }
    }
}

fn list(output: &Output, agents: &[AgentInfo]) -> Result<(), CliError> {
    if output.is_json() {
        return agents.iter().try_for_each(|agent| output.object(agent, String::new));
    }
    if agents.is_empty() {
        return output.remark("No agents yet. Add one: comity agent add NAME");
    }
    let rows: Vec<_> = agents
        .iter()
        .map(|agent| vec![agent.name.clone(), agent.handle.clone(), agent.did.clone()])
        .collect();
    output.remark(&columns(&rows))
}

fn describe_node(node: &NodeInfo) -> String {
    let mut rows = vec![
        vec!["node".to_owned(), node.did.clone()],
        vec!["signs with".to_owned(), node.signing_key.clone()],
    ];
    if let Some(version_id) = &node.version_id {
        rows.push(vec!["version".to_owned(), version_id.clone()]);
    }
    columns(&rows)
}

fn describe(output: &Output, agent: &AgentInfo) -> String {
    let mut rows = vec![
        vec!["name".to_owned(), agent.name.clone()],
        vec!["did".to_owned(), agent.did.clone()],
        vec!["signs with".to_owned(), agent.signing_key.clone()],
    ];
    if !agent.handle.is_empty() {
        rows.insert(2, vec!["handle".to_owned(), agent.handle.clone()]);
    }
    if let Some(version_id) = &agent.version_id {
        rows.push(vec!["version".to_owned(), version_id.clone()]);
    }
    let Some(token) = &agent.token else {
        return columns(&rows);
    };
    rows.push(vec!["token".to_owned(), token.clone()]);
    let once =
        output.paint(Style::Notice, "The token is shown this once; the agent's program needs it.");
    format!("{}\n{once}", columns(&rows))
}
