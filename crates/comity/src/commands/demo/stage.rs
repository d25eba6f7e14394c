//! What the demo is played on: two nodes, an agent at each, and the small protocol they speak.

use std::path::Path;

use comity_core::{
    api::{AddAgent, AgentInfo, Decide, Invite, Invited, Relation, Resolved, Status, rfc3339},
    receipt::State,
};
use comity_didcomm::UnixTime;
use comity_sdk::{Agent, Body};
use serde::{Deserialize, Serialize};

use super::Scene;
use crate::{
    client::{AgentClient, Client, encode},
    error::CliError,
    node_process::NodeProcess,
};

/// The demo's protocol: what Bruno's operator allows Aria.
pub(super) const PROTOCOL: &str = "https://comity.dev/protocols/demo/1.0";

/// A stranger introduces herself.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Proposal {
    pub(super) text: String,
}

impl Body for Proposal {
    const TYPE: &'static str = "https://comity.dev/protocols/demo/1.0/proposal";
}

/// Work to be done: numbers to be added up.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Task {
    pub(super) numbers: Vec<u64>,
}

impl Body for Task {
    const TYPE: &'static str = "https://comity.dev/protocols/demo/1.0/task";
}

/// What came of it.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Outcome {
    pub(super) sum: u64,
}

impl Body for Outcome {
    const TYPE: &'static str = "https://comity.dev/protocols/demo/1.0/result";
}

/// News, numbered.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Update {
    pub(super) number: u64,
}

impl Body for Update {
    const TYPE: &'static str = "https://comity.dev/protocols/demo/1.0/update";
}

/// One organisation: a node and its agent.
pub(super) struct Organisation {
    pub(super) node: NodeProcess,
    pub(super) client: Client,
    pub(super) agent: AgentInfo,
    as_agent: AgentClient,
}

impl Organisation {
    pub(super) async fn found(node: NodeProcess, name: &str) -> Result<Self, CliError> {
        let client = node.client()?;
        let add = AddAgent { name: name.to_owned(), did: None };
        let agent = client.post("/admin/agents", &add).await?;
        let as_agent = client.agent(name)?;
        Ok(Self { node, client, agent, as_agent })
    }

    /// Connects the organisation's agent, as its program would: with the local address and a token, and nothing else.
    pub(super) async fn connect(&self) -> Result<Agent, CliError> {
        let token = self.agent.token.as_deref().unwrap_or_default();
        Agent::connect(&self.node.ready().local, token)
            .await
            .map_err(|error| CliError::fault("demo.connect", "An agent cannot connect").why(error))
    }

    /// Acts as the agent over HTTP, with the operator's rights.
    pub(super) fn as_agent(&self) -> &AgentClient {
        &self.as_agent
    }

    /// Decides about somebody, as the operator.
    pub(super) async fn decide(
        &self,
        verb: &str,
        who: &str,
        until: Option<UnixTime>,
    ) -> Result<Relation, CliError> {
        let decide = Decide {
            who: who.to_owned(),
            protocols: vec![PROTOCOL.to_owned()],
            until: until.map(rfc3339),
            ..Decide::default()
        };
        self.client
            .post(&format!("/admin/agents/{}/{verb}", encode(&self.agent.name)), &decide)
            .await
    }

    /// Looks somebody up, as the node does before it sends.
    pub(super) async fn resolve(&self, who: &str) -> Result<Resolved, CliError> {
        self.client.get(&format!("/admin/resolve?who={}", encode(who))).await
    }

    /// Has the agent make an invitation: how somebody without an address of its own is found.
    pub(super) async fn invite(&self, goal: &str) -> Result<Invited, CliError> {
        let agent = Some(self.agent.name.clone());
        let invite = Invite { agent, goal: Some(goal.to_owned()), ..Invite::default() };
        self.client.post("/admin/invitations", &invite).await
    }

    pub(super) async fn status(&self) -> Result<Status, CliError> {
        self.client.get("/admin/status").await
    }
}

/// The stage: both organisations, perhaps a relay, and what was sent on it.
pub(super) struct Stage {
    pub(super) relay: Option<NodeProcess>,
    pub(super) a: Organisation,
    pub(super) b: Organisation,
    /// Messages of Aria, with the state in which each has to end.
    pub(super) of_aria: Vec<Ending>,
    /// Messages of Bruno.
    pub(super) of_bruno: Vec<Ending>,
}

/// How a message has to end.
#[derive(Clone, Debug)]
pub(super) struct Ending {
    pub(super) id: String,
    pub(super) state: State,
}

impl Stage {
    /// Counts the messages that the relay holds.
    pub(super) async fn held_by_relay(&self) -> Result<u64, CliError> {
        let Some(relay) = &self.relay else { return Ok(0) };
        let status: Status = relay.client()?.get("/admin/status").await?;
        Ok(status.relay.unwrap_or_default().messages)
    }

    /// Starts both nodes, behind a relay if the scene has one, and adds an agent to each.
    pub(super) async fn set(folder: &Path, scene: Scene) -> Result<Self, CliError> {
        let (data_a, data_b) = (folder.join("node-a"), folder.join("node-b"));
        let mut relay = None;
        let mut via = Vec::new();
        if scene == Scene::Relayed {
            let node = NodeProcess::start_with(&folder.join("relay"), &["--relay"]).await?;
            let invite = Invite { uses: Some(2), ..Invite::default() };
            let invited: Invited = node.client()?.post("/admin/invitations", &invite).await?;
            via = vec!["--via".to_owned(), invited.url];
            relay = Some(node);
        }
        let via: Vec<_> = via.iter().map(String::as_str).collect();
        let (a, b) = tokio::try_join!(
            NodeProcess::start_with(&data_a, &via),
            NodeProcess::start_with(&data_b, &via)
        )?;
        Ok(Self {
            relay,
            a: Organisation::found(a, "aria").await?,
            b: Organisation::found(b, "bruno").await?,
            of_aria: Vec::new(),
            of_bruno: Vec::new(),
        })
    }
}
