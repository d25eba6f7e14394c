//! One connection to the relay, from its opening to its end.

use std::collections::{HashMap, HashSet};
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use comity_core::admission::Rule;
use comity_core::limits::VIA_TICK_S;
use comity_core::protocol::mediation_proof;
use comity_core::protocol::pickup::Waiting;
use comity_core::trust::subject;
use comity_core::via::{Input, Output, RuleStanding, Session};
use comity_didcomm::{Did, DidDocument, Message, MessageId, OpenError, OpenPolicy, Opening};
use comity_net::{PeerSocket, SocketError};
use comity_store::Batch;
use comity_store::records::via::{self, ViaRecord};
use serde_json::Value;
use thiserror::Error;
use tokio::time::{MissedTickBehavior, interval};

use super::enrol::{open_from, seal_for};
use super::takes::Takes;
use super::{Link, Via};
use crate::home::Home;
use crate::outbound::known_document;

/// Why a session ended, or was none.
#[derive(Debug, Error)]
pub(super) enum End {
    #[error("its document names no WebSocket address")]
    NoSocket,
    #[error("what it says cannot be opened: {0}")]
    NotUnderstood(OpenError),
    #[error("its document cannot be had")]
    Unresolvable,
    #[error("nothing can be sealed for it")]
    Seal,
    #[error(transparent)]
    Socket(#[from] SocketError),
}

/// Opens a session and serves it until it ends, which every session does.
pub(super) async fn run(home: &Arc<Home>, via: &Arc<Via>) -> End {
    let Err(end) = serve(home, via).await;
    // Perhaps it has another address now, or other keys. While it cannot be asked, what was known
    // of it stands.
    if let Ok(fresh) = home.resolver.resolve_fresh(&via.parties.relay).await {
        via.remember(Some(Arc::clone(&fresh.document)));
    }
    end
}

struct Serving<'a> {
    home: &'a Arc<Home>,
    via: &'a Arc<Via>,
    relay: Arc<DidDocument>,
    socket: PeerSocket,
    session: Session,
    takes: Takes,
    /// Identities that the session knows of, as subjects.
    known: HashSet<Did>,
    /// The rules that the session was given, by subject.
    rules: HashMap<Did, Rule>,
}

async fn serve(home: &Arc<Home>, via: &Arc<Via>) -> Result<Infallible, End> {
    let relay = match via.remembered() {
        Some(relay) => relay,
        // The last one that was had will do: that the relay was away a moment ago is remembered.
        None => known_document(home, &via.parties.relay).await.ok_or(End::Unresolvable)?,
    };
    via.remember(Some(Arc::clone(&relay)));
    let is_socket = |uri: &str| uri.starts_with("wss://") || uri.starts_with("ws://");
    let endpoint = relay.didcomm_endpoints().into_iter().find(|endpoint| is_socket(&endpoint.uri));
    let socket = home.dialer.open(&endpoint.ok_or(End::NoSocket)?.uri).await?;
    via.set(|state| {
        state.link = Link::Open;
        state.trouble = None;
    });
    let identities = identities(home);
    let known = identities.iter().map(subject).collect();
    let confirmed = via.state();
    let is_confirmed = |did: &Did| confirmed.is_registered(did);
    let (parties, now) = (via.parties.clone(), home.now());
    let session = Session::new(parties, identities, &is_confirmed, now, &mut rand::rng());
    let takes = Takes::new(Arc::clone(home));
    let rules = HashMap::new();
    let mut serving = Serving { home, via, relay, socket, session, takes, known, rules };
    serving.add_rules();
    serving.run().await
}

impl Serving<'_> {
    async fn run(mut self) -> Result<Infallible, End> {
        let mut tick = interval(Duration::from_secs(VIA_TICK_S));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        tick.reset();
        loop {
            while let Some(output) = self.session.poll_output() {
                self.act(output).await?;
            }
            let input = tokio::select! {
                envelope = self.socket.next(), if self.takes.has_room() => match self.hear(&envelope?)? {
                    Some(input) => input,
                    None => continue,
                },
                (id, fate) = self.takes.next() => Input::Taken { id, fate },
                () = self.via.added.notified() => {
                    self.add_new();
                    self.add_rules();
                    continue;
                }
                _ = tick.tick() => Input::Tick,
            };
            self.input(input);
        }
    }

    fn input(&mut self, input: Input) {
        self.session.handle_input(input, self.home.now(), &mut rand::rng());
    }

    async fn act(&mut self, output: Output) -> Result<(), End> {
        match output {
            Output::Say(message) => self.say(&message).await?,
            Output::Take(waiting) => self.takes.push(waiting),
            Output::Prove(dids) => {
                let proofs =
                    dids.into_iter().filter_map(|did| Some((did.clone(), self.prove(&did)?)));
                let proofs = proofs.collect();
                self.input(Input::Proofs(proofs));
            }
            Output::Registered(did) => self.via.set(|state| {
                state.registered.insert(subject(&did));
            }),
            Output::Ruled(did, rule) => {
                if !self.via.has_rules() {
                    remember_rules(self.home).await;
                }
                self.via.set(|state| {
                    state.rules.insert(subject(&did), rule);
                    state.has_rules = true;
                });
            }
            Output::Live => {
                tracing::info!(relay = %self.via.parties.relay, "the relay delivers what comes");
                self.via.set(|state| state.link = Link::Live);
            }
            Output::Trouble(trouble) => {
                tracing::warn!(relay = %self.via.parties.relay, "{trouble}");
                self.via.set(|state| state.trouble = Some(trouble.to_string()));
            }
            // The machine asks for nothing else; a new wish would have to be fulfilled here.
            _ => {}
        }
        Ok(())
    }

    async fn say(&mut self, message: &Message) -> Result<(), End> {
        let envelope = seal_for(message, &self.via.registrant, &self.relay);
        self.socket.send(&envelope.map_err(|_| End::Seal)?).await?;
        Ok(())
    }

    /// Opens what the relay says to us. What is not for the registrant is an envelope for somebody
    /// who lives here, which some mediators pass on as it is. The machine does not count these; the
    /// relay is not listened to while too many wait.
    fn hear(&mut self, envelope: &[u8]) -> Result<Option<Input>, End> {
        let Ok(opening) = Opening::new(envelope, &OpenPolicy::default(), self.home.now()) else {
            tracing::debug!("something on the relay's connection is no envelope");
            return Ok(None);
        };
        let registrant = &self.via.registrant;
        if !opening.outline().recipients.iter().any(|kid| kid.did().same_subject(&registrant.did)) {
            let (id, envelope) = (String::new(), envelope.to_vec());
            self.takes.push(Waiting { id, envelope, class: None });
            return Ok(None);
        }
        match open_from(envelope, registrant, &self.relay, self.home.now()) {
            Ok(opened) => Ok(Some(Input::Heard(Box::new(opened)))),
            Err(reason @ (OpenError::Crypto | OpenError::SenderMismatch)) => {
                Err(End::NotUnderstood(reason))
            }
            Err(reason) => {
                tracing::debug!(%reason, "something on the relay's connection is not the relay's");
                Ok(None)
            }
        }
    }

    fn prove(&self, did: &Did) -> Option<Value> {
        let (kid, key) = self.home.identities.by_did(did)?.sender_keys().signing;
        let id = MessageId::random(&mut rand::rng());
        let parties = &self.via.parties;
        let now = self.home.now();
        let signer = (&kid, &key);
        Some(mediation_proof::make(id, signer, did, &parties.registrant, &parties.relay, now))
    }

    /// Gives the session the rules that it has not, or has another of.
    fn add_rules(&mut self) {
        let confirmed = self.via.state();
        for did in identities(self.home) {
            let rule = self.home.admission.rule(&did);
            if self.rules.insert(subject(&did), rule.clone()).is_some_and(|known| known == rule) {
                continue;
            }
            let standing = match confirmed.has_rule(&did, &rule) {
                true => RuleStanding::Set,
                false => RuleStanding::Missing,
            };
            self.input(Input::Rule { did, rule, standing });
        }
    }

    fn add_new(&mut self) {
        for did in identities(self.home) {
            if self.known.insert(subject(&did)) {
                self.input(Input::Added(did));
            }
        }
    }
}

/// Remembers over a restart that the relay takes rules.
async fn remember_rules(home: &Home) {
    let noted = async {
        let record = via::get(home.store.as_ref()).await?;
        let mut batch = Batch::new();
        if let Some(record) = record {
            via::put(&mut batch, &ViaRecord { has_rules: true, ..record });
        }
        home.store.commit(batch).await
    };
    if let Err(error) = noted.await {
        tracing::warn!(%error, "that the relay takes rules was not noted");
    }
}

/// Everybody who lives here.
fn identities(home: &Home) -> Vec<Did> {
    let agents = home.identities.agents().into_iter().map(|agent| agent.did.clone());
    std::iter::once(home.did.clone()).chain(agents).collect()
}
