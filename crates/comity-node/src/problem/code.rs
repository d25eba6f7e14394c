//! The stable codes of the node's own HTTP errors. Those of the protocol are `comity_core`'s:
//! refusals to peers, and why an agent's message cannot be sent.

macro_rules! codes {
    ($($name:ident = $code:literal, $status:literal, $meaning:literal;)*) => {
        /// What went wrong with a call of a node's HTTP interfaces.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(crate) enum ApiCode { $(#[doc = $meaning] $name,)* }

        impl ApiCode {
            /// Every code, in the order of `docs/errors.md`.
            #[cfg(test)]
            pub(crate) const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the code.
            pub(crate) const fn as_str(self) -> &'static str { match self { $(Self::$name => $code),* } }

            /// Returns the HTTP status.
            pub(crate) const fn status(self) -> u16 { match self { $(Self::$name => $status),* } }

            /// Returns what it means.
            pub(crate) const fn meaning(self) -> &'static str { match self { $(Self::$name => $meaning),* } }
        }
    };
}

codes! {
    BadRequest = "http.bad-request", 400, "The request does not have the form of the call";
    BodyIncomplete = "http.body-incomplete", 408, "The body did not arrive in full within 10 seconds";
    ForbiddenHost = "http.forbidden-host", 403, "The Host or Origin of the request is not the node's: a page in a browser may be the sender";
    MediaType = "http.media-type", 415, "The body is not declared as JSON";
    MethodNotAllowed = "http.method-not-allowed", 405, "The path exists, but not for this method";
    NotFound = "http.not-found", 404, "There is nothing at this path";
    TooLarge = "http.too-large", 413, "The body is larger than 1 MiB";
    Unauthorized = "http.unauthorized", 401, "The bearer token is missing or not valid";
    BadGrant = "node.bad-grant", 409, "The grant cannot be given, handed on or kept like this";
    BadName = "node.bad-name", 400, "The name cannot be an agent's";
    BadOutcome = "node.bad-outcome", 422, "The outcome is not signed by both who took part";
    CannotRotate = "node.cannot-rotate", 409, "The keys cannot change: they are the DID";
    Changed = "node.changed", 409, "What the decision is about changed each time that it was to be stored";
    EntriesFull = "node.entries-full", 409, "The agent has as many entries about hosts, domains and credentials as are looked at for a message";
    Fault = "node.fault", 500, "The node failed to finish the call; it may or may not have taken effect";
    LogFull = "node.log-full", 409, "The log of the DID has no room for another version";
    MailboxFull = "node.mailbox-full", 409, "The agent's mailbox has no room for the message that the decision lets in";
    NameTaken = "node.name-taken", 409, "An agent of this name exists";
    NoEvidence = "node.no-evidence", 404, "The log says nothing of what was asked for";
    NoLog = "node.no-log", 409, "The node keeps no log";
    NoPublicUrl = "node.no-public-url", 409, "The node has no public URL, or none with a name, which the DID method needs";
    NoRelay = "node.no-relay", 409, "The node is not a relay";
    NoSuchAgent = "node.no-such-agent", 404, "No agent of the node has this name";
    NoSuchGrant = "node.no-such-grant", 404, "The agent has no grant of this id that this could be done with";
    NoSuchMessage = "node.no-such-message", 404, "The agent has neither sent nor received a message with this id";
    NoSuchProposal = "node.no-such-proposal", 404, "Nobody proposes an outcome of this name to the agent";
    NoSuchThread = "node.no-such-thread", 404, "The agent had nothing to do with this peer in this thread";
    NoSuchVouch = "node.no-such-vouch", 404, "The agent neither gives nor holds a vouch with this name";
    OtherKeys = "node.other-keys", 409, "The contact has come with other keys than these since";
    Store = "node.store", 503, "The node's store failed; nothing that was acknowledged is lost";
    TooMuchEvidence = "node.too-much-evidence", 409, "There is more than one file of evidence takes";
    TooManyAgents = "node.too-many-agents", 409, "The node has as many agents as it can";
    TooManyGrants = "node.too-many-grants", 409, "The agent has given, or holds, as many grants as it can";
    TooManyKeys = "node.too-many-keys", 409, "The document or keystore has no room for more former keys";
    TooManyOutcomes = "node.too-many-outcomes", 409, "As many proposals wait, in all or with this peer, as are kept";
    TooManyVouches = "node.too-many-vouches", 409, "The agent gives as many vouches as it can";
    Unresolvable = "node.unresolvable", 422, "The DID or handle cannot be resolved";
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;
    use std::path::Path;

    use comity_core::outbound::Unsendable;
    use comity_core::refusal::{Plane, Refusal};

    use super::*;

    /// Writes `docs/errors.md` from the types.
    fn reference() -> String {
        let mut text = String::from(
            "# Errors\n\nGenerated from the error types: `cargo xtask generate`. Codes are stable; texts are not.\n\n\
            ## What peers are told\n\n\
            A message that is turned away before its sender is proven gets the HTTP status and a small JSON body \
            (`application/problem+json` with `status`, `code`, `title`, `hint`); nothing is recorded. So does a stranger's \
            message that is taken only with proof of work, and its answer has the puzzle in `work`. A message that is refused \
            to a proven sender is answered 202 once the refusal is on record, and the sender gets one problem report \
            (Report Problem 2.0) with the code. Nobody else gets any, and no report is reported on.\n\n\
            | code | answer | what it means | what the sender should do | what the operator should do |\n|---|---|---|---|---|\n",
        );
        for refusal in Refusal::ALL {
            let answer = match refusal.plane() {
                Plane::Message => "202, problem report".to_owned(),
                Plane::Transport => format!("HTTP {}", refusal.status()),
            };
            let (code, meaning) = (refusal.code(), refusal.meaning());
            let (sender, operator) = (refusal.sender_action(), refusal.operator_action());
            writeln!(text, "| `{code}` | {answer} | {meaning} | {sender} | {operator} |").unwrap();
        }
        text.push_str(
            "\nPeers may send other codes. `e.p.xfer.refused` is what a sender's trace shows for a peer that refused without a code, \
            `e.p.req.work-too-dear` what it shows when the recipient demands more work than the message may cost: \
            `comity send --work-max`, or the setting `work_bits_max`.\n\n\
            ## Why a message cannot be sent\n\nAnswers to an agent's `POST /v1/messages`, or to a `send` frame.\n\n\
            | code | status | what it means | what to do |\n|---|---|---|---|\n",
        );
        for reason in Unsendable::ALL {
            let (code, status, hint) = (reason.code(), reason.status(), reason.hint());
            writeln!(text, "| `{code}` | {status} | {reason} | {hint} |").unwrap();
        }
        text.push_str(
            "\n## Errors of the HTTP interfaces\n\nEach answer says in `hint` what to do.\n\n| code | status | what it means |\n|---|---|---|\n",
        );
        for code in ApiCode::ALL {
            writeln!(text, "| `{}` | {} | {} |", code.as_str(), code.status(), code.meaning())
                .unwrap();
        }
        text.push_str(
            "\n## Exit codes of `comity`\n\n| code | what it means |\n|---|---|\n| 0 | done |\n| 1 | the command line is wrong |\n\
            | 2 | the configuration or the data directory is wrong, or no node is running |\n\
            | 3 | a peer or a policy refused |\n| 4 | our fault, or the time ran out |\n",
        );
        text
    }

    #[test]
    fn docs_errors_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/errors.md");
        if std::env::var_os("COMITY_BLESS").is_some() {
            std::fs::write(&path, reference()).unwrap();
        }
        let current = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(current == reference(), "docs/errors.md is out of date: cargo xtask generate");
    }
}
