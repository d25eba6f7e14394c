//! The part of the story about trust: what a knock costs, whose word waives it, and what is granted, handed on and
//! taken back. Its people are further agents of organisation A, of whom Bruno's operator has never heard.

use std::time::Duration;

use comity_core::{
    api::{
        AddAgent, AgentInfo, Decide, Delivery, Disposition, Explained, GiveGrant, GiveVouch,
        GrantInfo, HandOnGrant, Relation, RevokeGrant, SendRequest, VouchInfo,
    },
    receipt::State,
    refusal::Refusal,
};
use comity_sdk::Body;
use serde_json::Value;

use super::{
    play::{PAGE, expect_code},
    stage::{Organisation, PROTOCOL, Stage, Update},
    wait::{check, failed, ladder, seen, until},
};
use crate::{
    client::{AgentClient, Look, encode},
    error::CliError,
    limits::STEP_MAX,
};

/// An agent of organisation A, moved by hand.
struct Extra {
    info: AgentInfo,
    client: AgentClient,
}

impl Extra {
    async fn join(organisation: &Organisation, name: &str) -> Result<Self, CliError> {
        let add = AddAgent { name: name.to_owned(), did: None };
        let info = organisation.client.post("/admin/agents", &add).await?;
        Ok(Self { info, client: organisation.client.agent(name)? })
    }

    fn path(&self, rest: &str) -> String {
        format!("/admin/agents/{}/{rest}", encode(&self.info.name))
    }

    /// Writes to Bruno; returns the message's id.
    async fn write(&self, stage: &Stage, number: u64) -> Result<String, CliError> {
        let Ok(Value::Object(body)) = serde_json::to_value(Update { number }) else {
            return Err(failed("A message is no object"));
        };
        let request = SendRequest {
            to: stage.b.agent.did.clone(),
            type_: Some(Update::TYPE.to_owned()),
            body,
            ..SendRequest::default()
        };
        Ok(self.client.send(&request).await?.id)
    }

    /// Writes to Bruno, who gets the message at once and on this ground, and is done with it.
    async fn gets_through(&self, stage: &Stage, number: u64, ground: &str) -> Result<(), CliError> {
        let id = self.write(stage, number).await?;
        let accepted = until(&self.client, &id, State::Accepted).await?;
        check(!accepted.pending, "The message waits for the operator")?;
        let message = take(stage).await?;
        check(message.id == id, "Bruno got another message")?;
        check(message.admitted == ground, &format!("It was admitted as {}", message.admitted))?;
        until(&self.client, &id, State::Processed).await.map(drop)
    }

    async fn is_refused(
        &self,
        stage: &Stage,
        number: u64,
        refusal: Refusal,
    ) -> Result<(), CliError> {
        let id = self.write(stage, number).await?;
        let refused = until(&self.client, &id, State::Refused).await?;
        expect_code(refused.code.as_deref(), refusal).map(drop)
    }

    /// Writes to Bruno, and is refused; or is the stranger again that it was, if its home knows already.
    async fn is_kept_out(&self, stage: &Stage, number: u64) -> Result<(), CliError> {
        let id = self.write(stage, number).await?;
        let trace = self.client.trace(&id, Some((State::Accepted, STEP_MAX))).await?;
        let is_kept_out = trace.states.iter().any(|rung| {
            rung.state == State::Refused.as_str()
                || (rung.state == State::Accepted.as_str() && rung.pending)
        });
        check(is_kept_out, &format!("A message is not kept out, but {}", ladder(&trace)))
    }
}

/// Takes the one message that waits for Bruno.
async fn take(stage: &Stage) -> Result<Delivery, CliError> {
    let bruno = stage.b.as_agent();
    let messages = bruno.messages(Look::Take, None, PAGE, Duration::from_secs(10)).await?;
    let mut messages = messages.into_iter();
    let (Some(message), None) = (messages.next(), messages.next()) else {
        return Err(failed("Bruno has not exactly one message"));
    };
    bruno.settle(&Disposition::Ack { deliveries: vec![message.delivery] }).await?;
    Ok(message)
}

async fn explain(stage: &Stage, who: &str) -> Result<Explained, CliError> {
    let name = encode(&stage.b.agent.name);
    let (who, protocol) = (encode(who), encode(PROTOCOL));
    stage.b.client.get(&format!("/admin/agents/{name}/explain?who={who}&protocol={protocol}")).await
}

/// A newcomer would have to work for a knock, and then wait. Three whom Bruno's operator believes vouch for her.
pub(super) async fn vouches(stage: &Stage) -> Result<((), String), CliError> {
    let carol = Extra::join(&stage.a, "carol").await?;
    let before = explain(stage, &carol.info.did).await?;
    check(
        before.decision == "charge",
        &format!("A newcomer's message would be: {}", before.decision),
    )?;
    let price = before.known.iter().find(|line| line.starts_with("price"));
    let price = price.cloned().ok_or_else(|| failed("The explanation names no price"))?;
    for name in ["ines", "jon", "kim"] {
        let anchor = Extra::join(&stage.a, name).await?;
        let decide = Decide { who: anchor.info.did.clone(), anchor: true, ..Decide::default() };
        let path = format!("/admin/agents/{}/allow", encode(&stage.b.agent.name));
        let relation: Relation = stage.b.client.post(&path, &decide).await?;
        check(relation.anchor, "The anchor is not recorded")?;
        let give = GiveVouch { who: carol.info.did.clone(), ..GiveVouch::default() };
        let _given: VouchInfo = stage.a.client.post(&anchor.path("vouches"), &give).await?;
    }
    seen("Three vouches", async || {
        let held: Vec<VouchInfo> = stage.a.client.get(&carol.path("vouches")).await?;
        Ok((held.len() == 3).then_some(()))
    })
    .await?;
    carol.gets_through(stage, 1, "vouches").await?;
    let after = explain(stage, &carol.info.did).await?;
    check(after.ground.as_deref() == Some("vouches"), "The explanation names another ground")?;
    let paths = after.known.iter().filter(|line| line.contains(" > ")).count();
    check(paths == 3, &format!("The explanation shows {paths} paths instead of 3"))?;
    Ok((
        (),
        format!(
            "{price}; with three anchors' vouches Carol pays and waits for nothing, up to {}",
            after.level
        ),
    ))
}

/// What Bruno's operator grants one agent, it hands on in part; what is taken back ends for both.
pub(super) async fn grants(stage: &Stage) -> Result<((), String), CliError> {
    let (dora, emil) = (Extra::join(&stage.a, "dora").await?, Extra::join(&stage.a, "emil").await?);
    // Dora wrote to Bruno never; her home takes the grant because it is allowed to write to her.
    let give = GiveGrant {
        who: dora.info.did.clone(),
        protocols: vec![PROTOCOL.to_owned()],
        depth: 1,
        ..GiveGrant::default()
    };
    let path = format!("/admin/agents/{}/grants", encode(&stage.b.agent.name));
    let given: GrantInfo = stage.b.client.post(&path, &give).await?;
    let held = holds(stage, &dora).await?;
    dora.gets_through(stage, 2, "grant").await?;

    let narrower =
        GiveGrant { who: emil.info.did.clone(), messages_per_day: Some(1), ..GiveGrant::default() };
    let hand_on = HandOnGrant { id: held.id, give: narrower };
    let _part: GrantInfo = stage.a.client.post(&dora.path("grants/hand-on"), &hand_on).await?;
    holds(stage, &emil).await?;
    emil.gets_through(stage, 3, "grant").await?;
    emil.is_refused(stage, 4, Refusal::LimitReached).await?;
    dora.gets_through(stage, 5, "grant").await?;

    let revoke = RevokeGrant { id: given.id };
    let revoked: GrantInfo = stage.b.client.post(&format!("{path}/revoke"), &revoke).await?;
    check(revoked.state == "revoked", "The revocation is not recorded")?;
    dora.is_kept_out(stage, 6).await?;
    emil.is_kept_out(stage, 7).await?;
    let inbox = stage.b.as_agent().messages(Look::Peek, None, PAGE, Duration::ZERO).await?;
    check(inbox.is_empty(), "A message came through by a grant that was revoked")?;
    Ok(((), "Dora is let in; Emil, to whom she hands on one message a day, for one; revoked, it lets nobody in".to_owned()))
}

/// Waits until an agent's wallet has the grant that is on its way.
async fn holds(stage: &Stage, agent: &Extra) -> Result<GrantInfo, CliError> {
    seen("A grant", async || {
        let grants: Vec<GrantInfo> = stage.a.client.get(&agent.path("grants")).await?;
        Ok(grants.into_iter().find(|grant| grant.kind == "held"))
    })
    .await
}
