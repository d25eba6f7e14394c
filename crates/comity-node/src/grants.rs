//! Grants that the home's agents give, hand on, hold and show. What a grant is good for is decided in
//! `comity_core::trust`; `docs/protocols/grant.md` says what the messages mean.

mod give;
mod learn;
mod wallet;

pub(crate) use give::{Outcome, add, give, hand_on, revoke};
pub(crate) use learn::{Heard, from_message};
pub(crate) use wallet::{carried, drop_refused};

use std::cmp::Reverse;
use std::sync::Arc;

use comity_core::limits::GRANTS_GIVEN_MAX;
use comity_core::log::{Act, Statement};
use comity_core::trust::{GrantChain, GrantError, GrantInput, GrantOutput, Granted, TokenId};
use comity_didcomm::{Did, ProtocolId};
use comity_store::records::grants::given_to;
use comity_store::records::revocations;
use comity_store::{Batch, StoreFault};
use tokio::time::timeout;

use crate::home::Home;
use crate::limits::NOTICE_ADDRESS_DEADLINE;

/// Why a chain was not verified.
pub(crate) enum Failure {
    /// It gives no right.
    Chain(GrantError),
    /// The document of one who handed it on cannot be had at this moment.
    Later,
    /// The store cannot be read.
    Store(StoreFault),
}

impl From<StoreFault> for Failure {
    fn from(fault: StoreFault) -> Self {
        Self::Store(fault)
    }
}

/// Verifies a chain: gets the documents that it asks for, and looks up what was revoked.
pub(crate) async fn verify(
    home: &Home,
    chain: Result<GrantChain, GrantError>,
) -> Result<Arc<Granted>, Failure> {
    let mut chain = chain.map_err(Failure::Chain)?;
    loop {
        let input = match chain.poll_output() {
            GrantOutput::Done(result) => return result.map_err(Failure::Chain),
            // A stranger may choose whose document this is.
            GrantOutput::Resolve(did) => {
                match timeout(NOTICE_ADDRESS_DEADLINE, home.resolve(&did)).await {
                    Ok(Ok(resolved)) => GrantInput::Document(Arc::clone(&resolved.document)),
                    Ok(Err(error)) if !error.is_transient() => GrantInput::Unresolvable(did),
                    Ok(Err(_)) | Err(_) => return Err(Failure::Later),
                }
            }
            GrantOutput::Revocations(tokens) => {
                GrantInput::Revoked(revocations::among(home.store.as_ref(), &tokens).await?)
            }
        };
        chain.handle_input(input);
    }
}

/// Finds the right that an agent gave somebody, which it would show with a message: of those for a
/// protocol, the one that goes furthest.
pub(crate) async fn given_right(
    home: &Home,
    agent: &Did,
    sender: &Did,
    protocol: &ProtocolId,
) -> Result<Option<Arc<Granted>>, StoreFault> {
    let mut given = given_to(home.store.as_ref(), agent, sender, GRANTS_GIVEN_MAX).await?;
    given.retain(|given| given.audience.same_subject(agent) && given.terms.covers(protocol));
    given.sort_by_key(|given| Reverse(given.terms.level));
    for given in given {
        let chain = GrantChain::new(&given.chain, agent, sender, home.now());
        match verify(home, chain).await {
            Ok(granted) => return Ok(Some(granted)),
            Err(Failure::Store(fault)) => return Err(fault),
            Err(Failure::Chain(_) | Failure::Later) => {}
        }
    }
    Ok(None)
}

/// Records in the log what became of a token.
fn record(home: &Home, batch: &mut Batch, act: Act, parties: (&Did, &Did), id: TokenId) {
    let name = id.to_string();
    let salt = rand::random();
    let statement = Statement::new(act, parties, &name, name.as_bytes(), &salt, home.now());
    home.ledger.record(batch, &statement);
}
