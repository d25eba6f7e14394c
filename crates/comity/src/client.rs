//! A client of a running node's local listener: one HTTP/1 request a connection, answers as the types of `comity_core::api`.
//!
//! It speaks for the operator, with the admin token, also where it acts as one of the agents. Agents themselves use `comity-sdk`.

use std::{path::Path, time::Duration};

use bytes::Bytes;
use comity_core::api::{
    Delivery, Disposition, DispositionAnswer, Problem, Relation, SendAnswer, SendRequest, Trace,
};
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use tokio::{net::TcpStream, time::timeout};

use crate::{
    data_dir,
    error::CliError,
    limits::{ANSWER_BYTES_MAX, ANSWER_MAX},
};

/// A running node, with the operator's rights.
#[derive(Clone, Debug)]
pub(crate) struct Client {
    /// Host and port of the local listener.
    authority: String,
    token: String,
    /// What to say when nobody answers.
    absent: CliError,
}

/// One of the node's agents, with the operator's rights.
#[derive(Clone, Debug)]
pub(crate) struct AgentClient<'a> {
    client: &'a Client,
    name: &'a str,
}

/// Whether messages that are shown are also taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// They stay as they were.
    Peek,
    /// They are leased: nobody else gets them until they are settled or the lease runs out.
    Take,
}

/// The answer to a look into a mailbox.
#[derive(Debug, Deserialize)]
struct Messages {
    messages: Vec<Delivery>,
}

impl Client {
    /// Finds the node that runs with this data directory.
    pub(crate) fn find(data: &Path) -> Result<Self, CliError> {
        let ready = data_dir::ready(data)?;
        let authority = ready.local.trim_start_matches("http://").trim_end_matches('/').to_owned();
        let token = data_dir::admin_token(data)?;
        Ok(Self { authority, token, absent: data_dir::not_running(data) })
    }

    /// Acts as one of the node's agents.
    pub(crate) fn agent<'a>(&'a self, name: &'a str) -> AgentClient<'a> {
        AgentClient { client: self, name }
    }

    /// Reads something of the admin API.
    pub(crate) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, CliError> {
        self.ask(Method::GET, path, None, None::<&()>, Duration::ZERO).await
    }

    /// Asks the admin API to do something.
    pub(crate) async fn post<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, CliError> {
        self.ask(Method::POST, path, None, Some(body), Duration::ZERO).await
    }

    /// Lists an agent's relations of one kind, `requests` or `allowed`.
    pub(crate) async fn relations(
        &self,
        agent: &str,
        kind: &str,
    ) -> Result<Vec<Relation>, CliError> {
        self.get(&format!("/admin/agents/{}/{kind}", encode(agent))).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        agent: Option<&str>,
        body: Option<&(impl Serialize + ?Sized)>,
        wait: Duration,
    ) -> Result<T, CliError> {
        let bytes = body.map(serde_json::to_vec).transpose().map_err(|error| unclear(&error))?;
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, &self.authority)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token))
            .header(header::CONNECTION, "close");
        if bytes.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        if let Some(agent) = agent {
            request = request.header("comity-agent", agent);
        }
        let request =
            request.body(Full::new(Bytes::from(bytes.unwrap_or_default()))).map_err(|error| {
                CliError::usage("argument", "An argument cannot be sent to the node").why(error)
            })?;
        let answer = timeout(ANSWER_MAX + wait, self.exchange(request)).await.map_err(|_| {
            CliError::fault("node.silent", "The node did not answer in time")
                .hint("See comity doctor, and the node's own log")
        })?;
        let (status, bytes) = answer?;
        if !status.is_success() {
            let problem = serde_json::from_slice::<Problem>(&bytes).unwrap_or_else(|_| Problem {
                status: status.as_u16(),
                code: "node.unclear".to_owned(),
                title: format!("The node answered {status}"),
                hint: "Check that the program and the node have the same version".to_owned(),
            });
            return Err(CliError::of_problem(problem));
        }
        serde_json::from_slice(&bytes).map_err(|error| unclear(&error))
    }

    async fn exchange(
        &self,
        request: Request<Full<Bytes>>,
    ) -> Result<(StatusCode, Bytes), CliError> {
        let stream = TcpStream::connect(&self.authority)
            .await
            .map_err(|error| self.absent.clone().why(error))?;
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
            .await
            .map_err(|error| broken(&error))?;
        let connection = tokio::spawn(connection);
        let answer = sender.send_request(request).await.map_err(|error| broken(&error))?;
        let status = answer.status();
        let body = Limited::new(answer.into_body(), ANSWER_BYTES_MAX);
        let bytes = body.collect().await.map_err(|error| broken(&*error))?.to_bytes();
        connection.abort();
        Ok((status, bytes))
    }
}

impl AgentClient<'_> {
    /// Sends a message; it is durable when this returns.
    pub(crate) async fn send(&self, request: &SendRequest) -> Result<SendAnswer, CliError> {
        self.ask(Method::POST, "/v1/messages", Some(request), Duration::ZERO).await
    }

    /// Looks into the mailbox past a delivery, and waits for a first message if there is none.
    pub(crate) async fn messages(
        &self,
        look: Look,
        after: Option<u64>,
        limit: usize,
        wait: Duration,
    ) -> Result<Vec<Delivery>, CliError> {
        let peek = look == Look::Peek;
        let mut path = format!("/v1/messages?limit={limit}&wait_s={}&peek={peek}", wait.as_secs());
        if let Some(after) = after {
            path = format!("{path}&after={after}");
        }
        let answer: Messages = self.ask(Method::GET, &path, None::<&()>, wait).await?;
        Ok(answer.messages)
    }

    /// Says what is to be done with messages.
    pub(crate) async fn settle(
        &self,
        disposition: &Disposition,
    ) -> Result<DispositionAnswer, CliError> {
        self.ask(Method::POST, "/v1/settle", Some(disposition), Duration::ZERO).await
    }

    /// Reads how far a message got; waits until it has reached a state, or cannot any more, or the time is over.
    pub(crate) async fn trace(
        &self,
        id: &str,
        until: Option<(&str, Duration)>,
    ) -> Result<Trace, CliError> {
        let mut path = format!("/v1/messages/{}/trace", encode(id));
        if let Some((state, wait)) = until {
            path = format!("{path}?wait={state}&timeout_s={}", wait.as_secs());
        }
        let wait = until.map(|(_, wait)| wait).unwrap_or_default();
        self.ask(Method::GET, &path, None::<&()>, wait).await
    }

    async fn ask<T: DeserializeOwned>(
        &self,
        method: Method,
        path: &str,
        body: Option<&(impl Serialize + ?Sized)>,
        wait: Duration,
    ) -> Result<T, CliError> {
        self.client.ask(method, path, Some(self.name), body, wait).await
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters, for use in a path segment or a query.
pub(crate) fn encode(text: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

fn broken(error: &dyn std::error::Error) -> CliError {
    CliError::fault("node.broke-off", "The connection to the node broke off")
        .why(error)
        .hint("Try again; if the node is gone, start it with comity up")
}

fn unclear(error: &serde_json::Error) -> CliError {
    CliError::fault("node.unclear", "The node's answer is not what this program expects")
        .why(error)
        .hint("Check that the program and the node have the same version")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_did_survives_a_query() {
        assert_eq!(encode("did:web:a%3A1"), "did%3Aweb%3Aa%253A1");
        assert_eq!(encode("../x"), "..%2Fx");
    }
}
