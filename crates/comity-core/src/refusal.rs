//! What a peer is told when a message is not taken: a closed list of codes.
//!
//! A [`Refusal`] goes to the peer, either as the HTTP answer (while nobody is authenticated yet) or
//! as a problem report (Report Problem 2.0) to the verified sender. Our own troubles are faults and
//! live with the code that has them; the peer learns of them only as [`Refusal::Busy`].
//! `docs/errors.md` is generated from this table.

use std::fmt;

use comity_didcomm::problem::{ProblemCode, ProblemReport};

/// Where a refusal is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plane {
    /// To a verified sender: HTTP 202 after the refusal is recorded, then one problem report.
    Message,
    /// To whoever posted the bytes: the HTTP status and a small JSON problem. Nothing is recorded.
    Transport,
}

macro_rules! refusals {
    ($($(#[$doc:meta])* $name:ident = $code:literal, $plane:ident $status:literal, $meaning:literal, sender: $sender:literal, operator: $operator:literal;)*) => {
        /// Why a message was not taken. The peer is told; the code is stable.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        #[non_exhaustive]
        pub enum Refusal { $($(#[$doc])* #[doc = $meaning] $name,)* }

        impl Refusal {
            /// Every refusal, in the order of `docs/errors.md`.
            pub const ALL: &'static [Self] = &[$(Self::$name),*];

            /// Returns the problem-report code (Report Problem 2.0).
            #[must_use]
            pub const fn code(self) -> &'static str { match self { $(Self::$name => $code),* } }

            /// Returns where the refusal is told.
            #[must_use]
            pub const fn plane(self) -> Plane { match self { $(Self::$name => Plane::$plane),* } }

            /// Returns the HTTP status of the answer to the POST that brought the message.
            #[must_use]
            pub const fn status(self) -> u16 { match self { $(Self::$name => $status),* } }

            /// Returns what it means, one sentence without a full stop; also the report's
            /// `comment`.
            #[must_use]
            pub const fn meaning(self) -> &'static str { match self { $(Self::$name => $meaning),* } }

            /// Returns what the sender should do.
            #[must_use]
            pub const fn sender_action(self) -> &'static str { match self { $(Self::$name => $sender),* } }

            /// Returns what the operator of the refusing node should do.
            #[must_use]
            pub const fn operator_action(self) -> &'static str { match self { $(Self::$name => $operator),* } }
        }
    };
}

refusals! {
    Malformed = "e.m.msg.malformed", Transport 400, "The bytes are not a DIDComm v2 message in JSON",
        sender: "Correct the message; the same bytes will be refused again", operator: "Nothing";
    TooLarge = "e.m.me.res.storage.message_too_big", Transport 413, "The message is larger than this node takes",
        sender: "Send at most 1048576 bytes an envelope; link to large content instead", operator: "Nothing";
    MediaType = "e.m.msg.unsupported-media-type", Transport 415, "The Content-Type is not that of a DIDComm envelope",
        sender: "Post with application/didcomm-encrypted+json", operator: "Nothing";
    Unencrypted = "e.m.msg.unencrypted", Transport 400, "A home takes only encrypted envelopes",
        sender: "Encrypt to the recipient's keyAgreement keys", operator: "Nothing";
    TooManyRecipients = "e.m.msg.too-many-recipients", Transport 400, "The envelope names more recipients than this node reads",
        sender: "Pack one envelope a recipient DID, with at most 64 keys", operator: "Nothing";
    Envelope = "e.m.msg.envelope", Transport 400, "The layers of the envelope are a combination that DIDComm v2.1 does not allow",
        sender: "Use one of the nestings of the specification's table", operator: "Nothing";
    UnsupportedHeader = "e.m.msg.unsupported-header", Transport 400, "A critical, compression or embedded-key header is not supported",
        sender: "Leave out crit, zip, jwk, jku and x5 headers", operator: "Nothing";
    Algorithm = "e.m.trust.crypto.alg", Transport 400, "The algorithm is unknown, or not legal for this key or layer",
        sender: "Use the algorithms of DIDComm v2.1", operator: "Nothing";
    Key = "e.m.trust.crypto.key", Transport 400, "A key in the envelope is not a valid public key",
        sender: "Use a fresh, valid ephemeral key", operator: "Nothing";
    UnknownRecipient = "e.m.xfer.unknown-recipient", Transport 404, "None of the envelope's recipients lives here",
        sender: "Resolve the recipient's DID document again and use its keys and endpoint", operator: "Check that the agent exists: comity agent list";
    Crypto = "e.m.trust.crypto", Transport 400, "The envelope does not decrypt or verify",
        sender: "Resolve the recipient's DID document again and pack anew", operator: "Nothing";
    SenderMismatch = "e.m.trust.crypto.sender-mismatch", Transport 400, "The key that sealed or signed the message is not one of its from",
        sender: "Send with a key that the from document lists for this use", operator: "Nothing: somebody may have tried to forge a sender";
    Unauthenticated = "e.p.trust.unauthenticated", Transport 401, "The message proves no sender",
        sender: "Sign the message, or use authcrypt", operator: "Nothing";
    NotAddressed = "e.m.trust.not-addressed", Transport 400, "The message is not addressed to the recipient whose key opened it",
        sender: "Name the recipient in the to header", operator: "Nothing: somebody may have passed on a message meant for others";
    DidUnresolvable = "e.p.did.unresolvable", Transport 400, "The sender's DID document cannot be had or is not valid",
        sender: "Publish a valid document at the DID's own address, reachable from the Internet over https", operator: "On a closed network, see --dev";
    DidUnavailable = "e.p.did.unavailable", Transport 503, "The sender's DID document cannot be had at this moment",
        sender: "Try again after the time in Retry-After; see that the document can be fetched", operator: "Nothing, unless it is the same for all senders: then see to DNS and the network";
    RotationInvalid = "e.m.did.from-prior", Transport 400, "The from_prior header does not prove a rotation to this sender",
        sender: "Sign from_prior with a key of the prior DID, with sub equal to from", operator: "Nothing";
    Expired = "e.m.req.time.expired", Transport 400, "The message had expired when it came, or was made more than 30 days before",
        sender: "Send again with a later expires_time; check the clock", operator: "Check the clock";
    NotYet = "e.m.req.time", Transport 400, "The message says it was made in the future",
        sender: "Check the clock", operator: "Check the clock";
    Busy = "e.p.me.res", Transport 503, "The node cannot take a message at this moment",
        sender: "Try again after the time in Retry-After", operator: "See comity doctor: the disk may be full or the node overloaded";
    MailboxFull = "e.m.me.res.storage.quota", Transport 429, "The recipient's mailbox is full, or this sender's share of it, or that of all strangers",
        sender: "Try again later; the recipient has to take messages first, or its operator to decide about strangers", operator: "See why the agent does not acknowledge: comity status; decide about who waits: comity requests";
    WorkRequired = "e.p.req.work", Transport 402, "The recipient takes a stranger's first message only with proof of work",
        sender: "Solve the puzzle of the answer's member work, and post the same envelope with the header Comity-Work (docs/protocols/introduction.md)", operator: "To demand less, or none: work_bits; to let somebody in without: comity allow";
    NotRelay = "e.p.req.not-relay", Transport 404, "This node is not a relay",
        sender: "Resolve the recipient's DID document again and use the mediator it names", operator: "To make it one: comity up --relay";
    NotRegistered = "e.m.req.not-registered", Transport 404, "This relay does not take messages for the recipient of the forward",
        sender: "Resolve the recipient's DID document again; it may have another mediator by now", operator: "Nothing: a relay takes messages only for those that are registered";
    ForwardLoop = "e.m.xfer.loop", Transport 400, "The forward would come back to this relay",
        sender: "Name in next the party that the relay is to hold the message for", operator: "Nothing";
    TooManyPayloads = "e.m.msg.too-many-payloads", Transport 400, "The forward has more than one payload",
        sender: "Send one forward for each message", operator: "Nothing";
    QueueFull = "e.m.me.res.storage.queue", Transport 429, "The recipient's queue at this relay, or the relay, is full",
        sender: "Try again later; messages have to be picked up first", operator: "See comity status; the bounds are relay_messages_max, relay_bytes_max and relay_total_bytes_max";
    StrangersFull = "e.m.me.res.storage.strangers", Transport 429, "As many messages of unknown senders wait at this relay as the recipient allows",
        sender: "Try again later; who corresponds with the recipient gets a token (docs/protocols/admission.md)", operator: "Nothing: it keeps the recipient's queue free for its friends. The bound is relay_strangers_percent";
    IdReuse = "e.m.msg.id-reuse", Transport 409, "Another message with this id has come from this sender",
        sender: "Use a new id for each message", operator: "Nothing";
    Denied = "e.m.trust.denied", Message 202, "The recipient's operator has denied this sender",
        sender: "Stop sending; ask the operator by other means", operator: "To change it: comity allow";
    Revoked = "e.m.trust.revoked", Message 202, "The permission for this sender was revoked or has run out",
        sender: "Stop sending; ask the operator to allow you again", operator: "To change it: comity allow";
    Pending = "e.m.trust.pending", Message 202, "An earlier request of this sender still waits for the recipient's operator",
        sender: "Wait for the decision; further messages are not kept", operator: "Decide: comity requests, then comity allow or comity deny";
    Closed = "e.m.trust.closed", Message 202, "The recipient's operator has not allowed this sender, and strangers cannot ask here",
        sender: "Ask the operator by other means to allow you", operator: "To allow it: comity allow; to let strangers ask: policy.template = \"guarded\"";
    NotYetAllowed = "e.m.trust.not-yet", Message 202, "The permission for this sender does not hold yet",
        sender: "Send again when it does; the operator knows the date", operator: "To change it: comity allow";
    LevelTooLow = "e.m.trust.level", Message 202, "This sender is allowed, but not as far as this protocol goes",
        sender: "Ask the operator for more, or use protocols that ask for less", operator: "To change it: comity allow WHO --level LEVEL; see comity trust explain";
    LimitReached = "e.m.trust.limit", Message 202, "This sender has used up the messages, bytes or open tasks that it is allowed",
        sender: "Send again on the next day of UTC, or when earlier tasks are settled", operator: "To change it: comity allow WHO with other limits";
    KeyChanged = "e.p.trust.key-changed", Message 202, "The sender's keys are others than before, and nothing proves that they are its own",
        sender: "Tell the recipient's operator by other means that your keys have changed", operator: "Ask the sender by other means, then: comity contacts approve WHO";
    Checking = "e.p.trust.checking", Transport 503, "Whether somebody's vouch for this sender still holds is being asked",
        sender: "Try again after the time in Retry-After", operator: "Nothing";
    GrantExpired = "e.m.trust.grant.expired", Message 202, "The grant that the sender shows has run out",
        sender: "Ask the recipient's operator, or whoever handed the grant on, for a new one", operator: "To give a new one: comity grant give";
    GrantInvalid = "e.m.trust.grant.invalid", Message 202, "The grant that the sender shows gives no right to this",
        sender: "Show a whole chain of grants from the recipient to you, each within the one before it", operator: "See the node's log for the check that failed";
    GrantRevoked = "e.m.trust.grant.revoked", Message 202, "The grant that the sender shows was revoked",
        sender: "Ask the recipient's operator, or whoever handed the grant on", operator: "To give a new one: comity grant give";
    ProtocolNotAllowed = "e.m.trust.not-permitted", Message 202, "This sender is allowed, but not for this protocol",
        sender: "Use the protocols agreed upon, or ask for this one", operator: "To widen it: comity allow WHO --for PIURI";
    RequestTooLarge = "e.m.trust.request-too-large", Message 202, "A first message from an unknown sender must be small",
        sender: "Introduce yourself in at most 65536 bytes", operator: "Nothing";
    RequestsFull = "e.m.trust.requests-full", Message 202, "Too many requests from unknown senders wait for the recipient's operator",
        sender: "Try again in some days, or ask to be allowed beforehand", operator: "Decide: comity requests";
    RequestExpired = "e.m.trust.request-expired", Message 202, "The recipient's operator did not decide about this first message in time",
        sender: "Ask again later, with a later expires_time, or ask to be allowed by other means", operator: "Decide sooner: comity requests; see webhook_url and operator in docs/operating.md";
    HomeProtocol = "e.m.msg.unsupported", Message 202, "The recipient is a node, which speaks only its own protocols",
        sender: "Address an agent of the node", operator: "Nothing";
    NoSuchRequest = "e.m.trust.no-such-request", Message 202, "The decision is in no thread of a request that this node knows",
        sender: "Answer in the thread of the node's own message: thid is its id", operator: "See comity requests";
    NotSigned = "e.m.trust.not-signed", Message 202, "A decision has to be signed, so that it can be shown who made it",
        sender: "Sign the message, then encrypt it", operator: "Nothing";
    NotGranted = "e.m.trust.not-granted", Message 202, "This relay has not granted the sender mediation",
        sender: "Ask first: mediate-request", operator: "See relay_register and relay_allow in docs/operating.md";
    NotYourQueue = "e.m.trust.not-your-queue", Message 202, "The sender has not registered the DID whose queue it asks for",
        sender: "Register the DID first: recipient-update", operator: "Nothing";
    RecipientUnproven = "e.m.trust.recipient-unproven", Message 202, "It is not proven that the DID lets the sender register it",
        sender: "Add a proof to the update (docs/protocols/mediation-proof.md), or register with the DID itself", operator: "To take registrations without proof: relay_recipients = \"any\"";
    RecipientTaken = "e.m.trust.recipient-taken", Message 202, "Somebody else has registered the DID, with a proof that is not older",
        sender: "Make a new proof, later than the registration", operator: "Nothing";
    RecipientsFull = "e.m.me.res.storage.recipients", Message 202, "The sender has registered as many DIDs as this relay allows",
        sender: "Remove DIDs that are not used any more", operator: "The bound is relay_recipients_max";
    LiveNotSupported = "e.m.live-mode-not-supported", Message 202, "Connection does not support Live Delivery",
        sender: "Use a WebSocket, and set return_route to all on it", operator: "Nothing";
    ByAgent = "e.m.refused", Message 202, "The recipient agent refused the message",
        sender: "See the reason in the report", operator: "See the agent's own log";
}

impl Refusal {
    /// Whether the sender's home should try the same bytes again later.
    #[must_use]
    pub const fn is_temporary(self) -> bool {
        matches!(
            self,
            Self::Busy
                | Self::Checking
                | Self::DidUnavailable
                | Self::MailboxFull
                | Self::QueueFull
                | Self::StrangersFull
        )
    }

    /// Returns the refusal as the report that its sender gets.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a test parses every code of the table")]
    pub fn to_report(self) -> ProblemReport {
        let code = ProblemCode::parse(self.code()).expect("a code of the table is well formed");
        ProblemReport::new(code, self.meaning())
    }

    /// Finds the refusal that has this code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|refusal| refusal.code() == code)
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.meaning(), self.code())
    }
}

impl std::error::Error for Refusal {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_is_well_formed_and_used_once() {
        for (number, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(refusal.to_report().code.as_str(), refusal.code());
            let same = |other: &&Refusal| other.code() == refusal.code();
            assert_eq!(Refusal::ALL.iter().position(|other| same(&other)), Some(number));
            assert!(!refusal.meaning().ends_with('.'), "{refusal:?}");
        }
    }

    #[test]
    fn everything_an_envelope_is_refused_for_is_in_the_table() {
        use comity_didcomm::OpenError;
        for error in OpenError::ALL {
            // A second opening of one machine is a fault of the caller, which no peer can cause.
            let is_ours = error == OpenError::AlreadyOpened;
            assert_eq!(Refusal::from_code(error.code()).is_none(), is_ours, "{error:?}");
        }
    }

    #[test]
    fn only_the_transport_plane_answers_with_an_error_status() {
        for refusal in Refusal::ALL {
            let is_error = 400 <= refusal.status();
            assert_eq!(is_error, refusal.plane() == Plane::Transport, "{refusal:?}");
        }
    }
}
