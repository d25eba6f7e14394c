//! Admission at relays, as far as it reads, writes and sends: what this home shows at others' relays,
//! what it makes of tokens, and to whom it gives some. Decided in `comity_core::admission`.
//!
//! Nothing here is needed for a message to arrive: whatever fails is done with the next one.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use comity_core::admission::{
    Earned, HeldToken, Issued, Pass, Rule, Secret, issue, make_token, offered_key, read_token,
};
use comity_core::inbound::{Commit, Placement};
use comity_core::protocol::admission::AdmissionMessage;
use comity_core::record::Received;
use comity_core::trust::{Admission as Ground, subject};
use comity_didcomm::{Did, Message, MessageId, PublicKey, SigningKey};
use comity_store::records::notices::Debts;
use comity_store::records::{admission, mailbox};
use comity_store::{Batch, CommitError, Store, StoreFault};
use rand::Rng as _;
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

use crate::deliver;
use crate::home::{Committed, Home};
use crate::identities::Identities;
use crate::keystore::Keystore;
use crate::learn::Learned;
use crate::limits::TOKENS_GIVING_MAX;
use crate::node::StartError;
use crate::outbound;

/// The keys of a home for admission.
pub(crate) struct Admission {
    secret: Secret,
    /// What signs the tokens of each identity, by subject.
    signers: Mutex<HashMap<Did, Signer>>,
    giving: Arc<Semaphore>,
}

/// What signs the tokens of an identity.
#[derive(Clone)]
struct Signer {
    key: SigningKey,
    /// How many keys there were before.
    generation: u32,
}

/// Somebody who is perhaps to be given a token, and where it asked.
struct Occasion {
    /// The identity of this home that gives it.
    recipient: Did,
    sender: Did,
    /// The key that it asks with.
    offered: Option<PublicKey>,
    thid: String,
}

impl Admission {
    /// Opens the secret of a home, and makes it when there is none.
    pub(crate) async fn load(
        (store, keystore): (&dyn Store, &Keystore),
        identities: &Identities,
        home: &Did,
    ) -> Result<Self, StartError> {
        let secret = match admission::sealed_secret(store).await? {
            Some(sealed) => keystore.unseal_secret(SECRET, &sealed)?,
            None => {
                let mut fresh = Zeroizing::new([0; 32]);
                rand::rng().fill_bytes(fresh.as_mut());
                let mut batch = Batch::new();
                admission::put_secret(&mut batch, &keystore.seal_secret(SECRET, &fresh));
                match store.commit(batch).await {
                    Ok(_) => fresh,
                    Err(CommitError::Fault(fault)) => return Err(StartError::Store(fault)),
                    Err(CommitError::Conflict(_)) => return Err(StartError::BadIdentity),
                }
            }
        };
        let giving = Arc::new(Semaphore::new(TOKENS_GIVING_MAX));
        let admission = Self { secret: Secret::new(&secret), signers: Mutex::default(), giving };
        let agents = identities.agents().into_iter().map(|agent| agent.did.clone());
        for did in agents.chain([home.clone()]) {
            match admission::generation(store, &did).await? {
                // It is made when it is needed, which it is behind a relay alone.
                0 => {}
                generation => admission.set_generation(&did, generation),
            }
        }
        Ok(admission)
    }

    /// Returns the rule by which the relay is to know the friends of an identity.
    pub(crate) fn rule(&self, identity: &Did) -> Rule {
        Rule { key: self.signer(identity).key.public(), pool_percent: None }
    }

    /// Returns what an identity shows at the relay of a correspondent.
    pub(crate) async fn pass(&self, store: &dyn Store, from: &Did, to: &Did) -> Pass {
        // Whoever shows nothing is taken for a stranger, and not refused.
        let held = admission::held(store, from, to).await.unwrap_or_else(|fault| {
            tracing::warn!(%fault, "a token cannot be read");
            None
        });
        Pass::new(self.secret.pair_key(from, to), held)
    }

    fn signer(&self, identity: &Did) -> Signer {
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        let first = || Signer { key: self.secret.rule_key(identity, 0), generation: 0 };
        signers.entry(subject(identity)).or_insert_with(first).clone()
    }

    fn set_generation(&self, identity: &Did, generation: u32) {
        let key = self.secret.rule_key(identity, generation);
        let mut signers = self.signers.lock().unwrap_or_else(PoisonError::into_inner);
        signers.insert(subject(identity), Signer { key, generation });
    }
}

/// What the sealed secret is authenticated as.
const SECRET: &str = "admission";

/// Looks at a message that is durable: a token is kept, and whoever has earned one is given it.
pub(crate) async fn heard(home: &Arc<Home>, commit: &Commit, learned: &Learned) {
    let received = commit.received();
    if let Ok(message) = AdmissionMessage::parse(commit.message()) {
        if let (AdmissionMessage::Token { token }, Placement::Home) = (message, commit.placement())
            && let Err(fault) = keep(home, received, &token).await
        {
            tracing::warn!(%fault, "a token was not kept");
        }
        return;
    }
    let earned = match (commit.placement(), received.admitted) {
        (Placement::Mailbox, Some(ground)) => Earned::by(ground),
        // To the home anybody may speak; who told it something about its messages is a peer.
        (Placement::Home, Some(Ground::HomeProtocol)) if learned.was_of_use() => Earned::Yes,
        _ => Earned::No,
    };
    if earned == Earned::Yes {
        give(home, Occasion::of(received, commit.message()));
    }
}

/// Gives a token to somebody whose request was approved, if its message asked for one.
pub(crate) fn approved(home: &Arc<Home>, waiting: &mailbox::Waiting) {
    if !may_give(home) {
        return;
    }
    let (home, seq, received) = (Arc::clone(home), waiting.seq, waiting.held.received.clone());
    tokio::spawn(async move {
        match deliver::reopen(&home, seq, &received).await {
            Ok(Some(opened)) => give(&home, Occasion::of(&received, &opened.message)),
            Ok(None) => {}
            Err(fault) => tracing::warn!(%fault, "an approved message cannot be opened"),
        }
    });
}

/// Voids the tokens of an identity, if the operator has just turned away somebody who has one; the
/// others are given new ones with their next message. Returns the generation that is to be told by
/// [`turn`] when the batch is durable.
pub(crate) async fn turned_away(
    home: &Home,
    batch: &mut Batch,
    identity: &Did,
    peer: &Did,
) -> Result<Option<u32>, StoreFault> {
    let given = admission::given(home.store.as_ref(), identity, peer).await?;
    let generation = home.admission.signer(identity).generation;
    if !given.is_some_and(|given| given.is_good(generation, home.now())) {
        return Ok(None);
    }
    let next = generation.saturating_add(1);
    admission::put_generation(batch, identity, next);
    Ok(Some(next))
}

/// Signs with a new key from now on, and has the relay told of it.
pub(crate) fn turn(home: &Home, identity: &Did, generation: u32) {
    home.admission.set_generation(identity, generation);
    if let Some(via) = &home.via {
        via.look();
    }
}

impl Occasion {
    fn of(received: &Received, message: &Message) -> Self {
        Self {
            recipient: received.recipient.clone(),
            sender: received.sender.clone(),
            offered: offered_key(message),
            thid: received.thid.clone(),
        }
    }
}

/// Keeps a token that a correspondent gave, unless there is one that holds for longer: they may come
/// out of order.
async fn keep(home: &Home, received: &Received, token: &str) -> Result<(), StoreFault> {
    let (identity, peer) = (&received.recipient, &received.sender);
    let holder = home.admission.secret.pair_key(identity, peer).public();
    let token = match read_token(token, peer, &holder, home.now()) {
        Ok(token) => HeldToken { token: token.text, expires: token.expires },
        Err(reason) => {
            tracing::debug!(%reason, "a token is of no use");
            return Ok(());
        }
    };
    let store = home.store.as_ref();
    let before = admission::held(store, identity, peer).await?;
    if before.as_ref().is_some_and(|before| token.expires < before.expires) {
        return Ok(());
    }
    let mut batch = Batch::new();
    admission::put_held(&mut batch, identity, peer, before.as_ref(), &token);
    match store.commit(batch).await {
        Ok(_) => Ok(()),
        Err(CommitError::Conflict(conflict)) => {
            tracing::debug!(?conflict, "a token was not kept");
            Ok(())
        }
        Err(CommitError::Fault(fault)) => Err(fault),
    }
}

/// Whether tokens of this home's are worth something: peers reach it through a relay that knows what
/// they are.
fn may_give(home: &Home) -> bool {
    home.via.as_ref().is_some_and(|via| via.has_rules())
}

/// Gives a token, if one is due, apart from the message that asked: its sender's document may take a
/// while. When many are on their way, the next message asks again.
fn give(home: &Arc<Home>, occasion: Occasion) {
    // Without a question there is something to give only when the key has changed since.
    let is_due =
        || occasion.offered.is_some() || 0 < home.admission.signer(&occasion.recipient).generation;
    if !may_give(home) || !is_due() {
        return;
    }
    let Ok(place) = Arc::clone(&home.admission.giving).try_acquire_owned() else { return };
    let home = Arc::clone(home);
    tokio::spawn(async move {
        if let Err(fault) = try_to_give(&home, &occasion).await {
            tracing::warn!(%fault, "a token was not given");
        }
        drop(place);
    });
}

async fn try_to_give(home: &Arc<Home>, occasion: &Occasion) -> Result<(), StoreFault> {
    let Occasion { recipient, sender, offered, thid } = occasion;
    let (store, now) = (home.store.as_ref(), home.now());
    let Signer { key, generation } = home.admission.signer(recipient);
    let before = admission::given(store, recipient, sender).await?;
    let Some(holder) = issue(*offered, before.as_ref(), generation, now) else { return Ok(()) };
    let Some(identity) = home.identities.by_did(recipient) else { return Ok(()) };
    let jti = MessageId::random(&mut rand::rng());
    let token = make_token(&key, recipient, &holder, &jti, now);
    let message = AdmissionMessage::Token { token: token.text }
        .into_message(MessageId::random(&mut rand::rng()))
        .with_from(identity.did.clone())
        .with_to([sender.clone()])
        .with_thid(thid)
        .with_times(Some(now), None);
    let notice = match outbound::prepare_notice(home, message).await {
        Ok(notice) => notice,
        Err(reason) => {
            tracing::debug!(%reason, "a token has no way to its holder");
            return Ok(());
        }
    };
    let issued = Issued { key: holder.to_multibase(), generation, at: now, expires: token.expires };
    let mut batch = Batch::new();
    admission::put_given(&mut batch, recipient, sender, before.as_ref(), &issued);
    match home.commit(batch, Debts::new(), Some(notice)).await? {
        Committed::Durable => {}
        // It was given another one in this moment, or there are too many.
        Committed::Conflict(conflict) => tracing::debug!(?conflict, "a token was not given"),
    }
    Ok(())
}
