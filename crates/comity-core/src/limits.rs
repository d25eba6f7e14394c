//! Every bound of the protocol, in one place. Reaching one is an ordinary outcome with a
//! [`Refusal`](crate::refusal::Refusal).

/// Largest envelope that a home takes, in bytes. Advertised as `max_receive_bytes`.
pub const ENVELOPE_BYTES_MAX: usize = 1024 * 1024;

/// Largest body that an agent may submit, in bytes of JSON. Leaves room for two layers of base64url
/// within [`ENVELOPE_BYTES_MAX`].
pub const BODY_BYTES_MAX: usize = 384 * 1024;

/// Largest envelope that is sent through a mediator, in bytes, before it is wrapped: what our own
/// relays take.
pub const RELAYED_ENVELOPE_BYTES_MAX: usize = HELD_BYTES_MAX;

/// Largest envelope of a stranger's request, in bytes.
pub const REQUEST_BYTES_MAX: usize = 64 * 1024;

/// Requests that one agent holds for its operator at most.
pub const REQUESTS_PENDING_MAX: i64 = 1_000;

/// Price that a token of the ANTS registry pays, in bits: its hash begins with five zeros in hexadecimal.
pub const ANTS_TOKEN_BITS: u8 = 20;

/// Entries of one agent about hosts, domains and credentials that are looked at for a message.
pub const WIDE_ENTRIES_MAX: usize = 256;

/// Length of an entry's note at most, in characters.
pub const NOTE_CHARS_MAX: usize = 200;

/// Anchors of one agent that are looked at.
pub const ANCHORS_MAX: usize = 256;

/// How long somebody's vouches for others count before the operator has to say so again, in seconds
/// (90 days).
pub const ANCHOR_S_MAX: u64 = 90 * DAY_S;

/// Seconds of one day, in which limits count.
pub const DAY_S: u64 = 24 * 3600;

/// Share of a mailbox that requests may take, in per cent; the rest is for those who were let in.
pub const REQUESTS_SHARE_PERCENT: u32 = 5;

/// Bytes of all requests that one agent holds for its operator (16 MiB).
pub const REQUESTS_BYTES_MAX: i64 = 16 * 1024 * 1024;

/// Requests that all agents of a node hold together.
pub const REQUESTS_OF_NODE_MAX: i64 = 10_000;

/// How long a request waits for the operator, in seconds (30 days), when its message names no
/// earlier deadline.
pub const REQUEST_AGE_S_MAX: u64 = 30 * 24 * 3600;

/// What happened at once and has events: so many are kept, and the oldest are forgotten.
pub const EVENTS_KEPT_MAX: i64 = 10_000;

/// Characters of an id in an event, if others may have chosen it.
pub const EVENT_ID_CHARS_MAX: usize = 256;

/// Keys that an event names.
pub const EVENT_KEYS_MAX: usize = 8;

/// Requests to one agent within an hour that have an event of their own when they arrive, and as many
/// when they expire. Of the others only the number is told.
pub const REQUEST_EVENTS_MAX: i64 = 100;

/// The time over which such requests are counted, in seconds.
pub const REQUEST_EVENTS_S: u64 = 3600;

/// Protocols that the operator's agent can name in one decision.
pub const DECISION_PROTOCOLS_MAX: usize = 64;

/// First pause after a webhook did not take an event, in milliseconds; it doubles up to
/// [`WEBHOOK_RETRY_MS_MAX`].
pub const WEBHOOK_RETRY_MS_FIRST: u64 = 500;

/// Longest pause between two attempts to post an event, in milliseconds (one hour).
pub const WEBHOOK_RETRY_MS_MAX: u64 = 3600 * 1000;

/// How long one event is tried, in seconds (3 days); then it is left out, and the next one is posted.
pub const WEBHOOK_GIVE_UP_S: u64 = 3 * 24 * 3600;

/// Fewest and most bytes of a webhook's secret (Standard Webhooks, "Signature scheme").
pub const WEBHOOK_SECRET_BYTES: (usize, usize) = (24, 64);

/// Secrets with which each event is signed at once, so that one can follow the other.
pub const WEBHOOK_SECRETS_MAX: usize = 4;

/// What a stranger's knock costs, in bits, unless the operator says otherwise: two to this power of
/// hashes, a tenth of a second of one processor (`docs/adr/0030-work-buys-a-knock.md`).
pub const WORK_BITS_DEFAULT: u8 = 20;

/// What a knock costs at most, in bits, whatever raises the price.
pub const WORK_BITS_MAX: u8 = 32;

/// What a home pays for one of its agents' messages at most, in bits, unless the operator or the
/// agent says otherwise: about a second.
pub const WORK_PAID_BITS_MAX: u8 = 24;

/// How long a challenge can be solved, in seconds (10 minutes).
pub const WORK_CHALLENGE_AGE_S: u64 = 600;

/// Longest value of the header by which work is shown, in bytes.
pub const WORK_SHOWN_BYTES_MAX: usize = 512;

/// Challenges that a home solves for one message before it gives up.
pub const WORK_CHALLENGES_MAX: u32 = 3;

/// How long an earlier request of a sender makes its next one dearer, in seconds (30 days).
pub const KNOCKS_REMEMBERED_S: u64 = 30 * 24 * 3600;

/// Messages that one mailbox holds at most, unless the operator says otherwise. Of one sender it
/// holds half as many, so that no single peer can fill it.
pub const MAILBOX_MESSAGES_MAX: u32 = 100_000;

/// Messages of one agent that wait in the outbox at most.
pub const OUTBOX_MESSAGES_MAX: i64 = 100_000;

/// What the home itself says in one identity's name, receipts and reports, that waits in the outbox
/// at most. A place of its own: strangers who provoke reports take none from messages.
pub const NOTICES_MAX: i64 = 10_000;

/// Notices of an identity beyond which it reports no more refusals: the rest is for what takes rights back,
/// and strangers could fill it.
pub const REPORTED_NOTICES_MAX: i64 = NOTICES_MAX / 2;

/// How long receipts and reports are tried, in seconds (one day).
pub const NOTICE_EXPIRES_S: u64 = 24 * 3600;

/// Refused messages that are remembered for one identity at most; beyond, senders that would be
/// refused are told to come later.
pub const REFUSED_MAX: i64 = 10_000;

/// How long a refused message is remembered, in seconds (one day): so long its repeats provoke no
/// further report.
pub const REFUSED_HISTORY_S: u64 = 24 * 3600;

/// Bytes of receipts that one message carries, roughly; more go with the next.
pub const RECEIPT_BYTES_MAX: usize = 192 * 1024;

/// Deadline of a message whose sender names none, in seconds (7 days).
pub const EXPIRES_S_DEFAULT: u64 = 7 * 24 * 3600;

/// Furthest deadline that a sender may name, in seconds (30 days). The memory of repeats lasts as
/// long, so a message cannot outlive it.
pub const EXPIRES_S_MAX: u64 = 30 * 24 * 3600;

/// How long a message is remembered after it was settled, in seconds (31 days): for repeats,
/// receipts and `trace`.
pub const HISTORY_S: u64 = 31 * 24 * 3600;

/// Receipts in one receipt message at most.
pub const RECEIPTS_PER_MESSAGE_MAX: usize = 256;

/// Message ids in one receipt query at most.
pub const QUERY_IDS_MAX: usize = 256;

/// Length of a refusal's or problem report's free text at most, in characters.
pub const REASON_CHARS_MAX: usize = 500;

/// Mediators whose documents are asked for to address one message at most.
pub const MEDIATORS_ASKED_MAX: usize = 8;

/// Endpoints of one recipient that one transmission tries at most.
pub const ENDPOINTS_TRIED_MAX: usize = 3;

/// First pause before a failed transmission is tried again, in milliseconds; it doubles up to
/// [`RETRY_MS_MAX`].
pub const RETRY_MS_FIRST: u64 = 250;

/// Longest pause between two transmissions, in milliseconds (5 minutes).
pub const RETRY_MS_MAX: u64 = 5 * 60 * 1000;

/// First pause before a home asks again for receipts that have not come, in seconds; it doubles up
/// to one hour.
pub const QUERY_S_FIRST: u64 = 30;

/// Longest pause between two receipt queries for one message, in seconds.
pub const QUERY_S_MAX: u64 = 3600;

/// How far a sender's clock may be ahead of ours, in seconds.
pub const CLOCK_SKEW_S_MAX: u64 = 300;

/// Questions in one message of Discover Features at most.
pub const FEATURE_QUERIES_MAX: usize = 64;

/// Features that are read from one answer at most.
pub const DISCLOSURES_MAX: usize = 512;

/// Changes of registered DIDs in one message at most.
pub const RECIPIENT_UPDATES_MAX: usize = 100;

/// Registered DIDs in one page of their list at most.
pub const RECIPIENTS_LISTED_MAX: usize = 100;

/// Routing DIDs that are read from one grant at most.
pub const ROUTING_DIDS_MAX: usize = 8;

/// Ids in one `messages-received` at most.
pub const RECEIVED_IDS_MAX: usize = 1_024;

/// How long the statement holds by which a DID lets somebody register it, in seconds.
pub const MEDIATION_PROOF_AGE_S_MAX: u64 = 600;

/// Largest such statement, in bytes of JSON. The DID stands in it three times, and may be a
/// did:peer:4 of full length.
pub const MEDIATION_PROOF_BYTES_MAX: usize = 24 * 1024;

/// DIDs that one registrant has messages taken for at most, unless the operator says otherwise.
pub const RELAY_RECIPIENTS_MAX: u32 = 100;

/// Messages that a relay holds for one recipient at most, unless the operator says otherwise.
pub const RELAY_MESSAGES_MAX: u32 = 10_000;

/// Bytes that a relay holds for one recipient at most (100 MiB), unless the operator says
/// otherwise.
pub const RELAY_BYTES_MAX: u64 = 100 * 1024 * 1024;

/// Bytes that a relay holds in all (10 GiB), unless the operator says otherwise.
pub const RELAY_TOTAL_BYTES_MAX: u64 = 10 * 1024 * 1024 * 1024;

/// How many times the bounds of one recipient a registrant has for all of them.
pub const REGISTRANT_SHARE: u32 = 10;

/// How long a relay holds a message, in seconds (7 days), unless the operator says otherwise.
pub const RELAY_AGE_S_MAX: u64 = 7 * 24 * 3600;

/// Part of a recipient's quota at a relay that strangers may fill, in percent, unless the recipient
/// or the operator says otherwise. Only recipients that have a rule of admission know strangers.
pub const RELAY_STRANGERS_PERCENT: u8 = 5;

/// Part of a recipient's quota at a relay that may be filled by those who paid, in percent.
pub const RELAY_PAID_PERCENT: u8 = 20;

/// Strangers and those who paid have, of what a registrant may have held and of what a relay holds,
/// one part in so many. However many pools there are, the rest is for friends.
pub const UNADMITTED_SHARE: u32 = 2;

/// Life of a token of admission, in seconds (7 days).
pub const ADMISSION_TOKEN_S_MAX: u64 = 7 * 24 * 3600;

/// A token that holds for less than this, in seconds (one day), is asked for anew.
pub const ADMISSION_RENEW_S: u64 = 24 * 3600;

/// How soon after a token somebody is given another one, in seconds (one hour): a token travels as
/// reliably as any message, and what is asked until it arrives is asked in vain.
pub const ADMISSION_REISSUE_S: u64 = 3600;

/// Characters of a token or a proof. The DID of the recipient stands in it, base64url-encoded, and
/// may be of full length.
pub const ADMISSION_CHARS_MAX: usize = 8 * 1024;

/// Valid tokens that one identity has given at most; beyond, senders stay in the strangers' pool.
pub const ADMISSIONS_GIVEN_MAX: i64 = 10_000;

/// Valid tokens that one identity holds at most; beyond, it writes as a stranger.
pub const ADMISSIONS_HELD_MAX: i64 = 10_000;

/// Registrants of one relay at most.
pub const REGISTRANTS_MAX: i64 = 100_000;

/// How long a grant without recipients is remembered, in seconds (one day).
pub const UNUSED_GRANT_S: u64 = 24 * 3600;

/// How long a grant with recipients is kept that nobody uses, in seconds (30 days).
pub const IDLE_GRANT_S: u64 = 30 * 24 * 3600;

/// How often it is noted that a grant is used, in seconds (one day).
pub const GRANT_USE_TOLD_S: u64 = 24 * 3600;

/// Largest message that a relay holds, in bytes: it has to fit into a delivery, encrypted once
/// more.
pub const HELD_BYTES_MAX: usize = 720 * 1024;

/// Messages in one delivery at most.
pub const DELIVERY_MESSAGES_MAX: usize = 100;

/// Bytes of messages in one delivery, unless it has only one: base64url and encryption make them
/// nearly twice as many.
pub const DELIVERY_BYTES_MAX: u64 = 400 * 1024;

/// Largest message that is attached to a delivery as base64; a larger one is attached as JSON.
pub const DELIVERY_BASE64_BYTES_MAX: usize = 400 * 1024;

/// Longest delay that a forward may ask for, in milliseconds.
pub const DELAY_MS_MAX: u64 = 60_000;

/// Keys of one recipient by which a forward may name it.
pub const RECIPIENT_KEYS_MAX: usize = 8;

/// How long a forward is remembered, in seconds (one day): so long its repeats are held once.
pub const FORWARD_HISTORY_S: u64 = 24 * 3600;

/// Forwards that are remembered at most; beyond, a repeat is held twice.
pub const FORWARDS_REMEMBERED_MAX: i64 = 2_000_000;

/// Requests of one registrant that are remembered at most, so that a repeat changes nothing.
pub const SERVED_REMEMBERED_MAX: i64 = 10_000;

/// Rewrappings of a message that a home takes off: a mediator may put a forward to the recipient
/// around what it passes on (Routing 2.0, "Rewrapping").
pub const REWRAPS_MAX: usize = 2;

/// How often a session with a relay is told that time has passed, in seconds.
pub const VIA_TICK_S: u64 = 5;

/// Deadline of what a home says to its relay, in seconds (one day): longer than any difference of
/// clocks, and short enough for a relay to remember each.
pub const VIA_EXPIRES_S: u64 = 24 * 3600;

/// Ticks after which a home asks its relay what waits, in case something was lost (one minute).
pub const VIA_LOOK_TICKS: u32 = 12;

/// Ticks after which a home registers all its identities anew (one hour), a multiple of
/// [`VIA_LOOK_TICKS`].
pub const VIA_RENEW_TICKS: u32 = 60 * VIA_LOOK_TICKS;

/// Ticks between two attempts to take in what could not be, at most (one minute).
pub const VIA_RETRY_TICKS_MAX: u32 = 12;

/// Messages that a home asks its relay for at once.
pub const VIA_BATCH: usize = 32;

/// Envelopes from a relay that are in hand at most; the relay keeps the others.
pub const VIA_HELD_MAX: usize = 128;

/// Envelopes that could not be taken in and are waited for; beyond, the oldest is given up.
pub const VIA_PUT_OFF_MAX: usize = 64;

/// How often a relay may have more to deliver and show only what could not be taken in, before the
/// oldest of that is given up.
pub const VIA_BLOCKED_MAX: u32 = 3;

/// Envelopes that are taken in before the relay is told.
pub const VIA_ACKNOWLEDGED_MAX: usize = 64;

/// Identities that are registered with one message. Each brings a proof of up to
/// [`MEDIATION_PROOF_BYTES_MAX`].
pub const VIA_UPDATES_MAX: usize = 16;

/// Signed tokens (grants, credentials) that one message carries at most.
pub const TOKENS_PER_MESSAGE_MAX: usize = 8;

/// Longest signed token that is read, in characters.
pub const TOKEN_CHARS_MAX: usize = 8 * 1024;

/// Protocols in the scope of one grant or vouch at most.
pub const SCOPE_MAX: usize = 32;

/// Longest id of a thread in a signed statement, in characters: as long as one of a message.
pub const THREAD_ID_CHARS_MAX: usize = comity_didcomm::limits::MESSAGE_ID_CHARS_MAX;

/// Longest name that the issuer of a token gives it, in characters.
pub const TOKEN_NAME_CHARS_MAX: usize = 128;

/// How long a grant holds at most, in seconds (366 days).
pub const GRANT_LIFE_S_MAX: u64 = 366 * 24 * 3600;

/// How often a grant may be handed on at most.
pub const GRANT_DEPTH_MAX: u8 = 3;

/// Tokens of one chain of grants at most: the first, and as many as it can be handed on.
pub const GRANT_CHAIN_MAX: usize = 4;

/// How long a grant holds when its grantor says nothing, in seconds (30 days).
pub const GRANT_S_DEFAULT: u64 = 30 * 24 * 3600;

/// Grants that one agent has given or handed on, and that have not run out, at most.
pub const GRANTS_GIVEN_MAX: usize = 1_000;

/// Grants that one agent holds by its operator's hand at most, and as many that came from those whom
/// it knows.
pub const GRANTS_HELD_MAX: usize = 256;

/// Grants that one agent holds from strangers at most; beyond, the oldest goes.
pub const GRANTS_UNASKED_MAX: usize = 64;

/// Grants from one grantor that one agent holds at most, but for what its operator adds.
pub const GRANTS_OF_ONE_MAX: usize = 16;

/// Revocations that one agent remembers for each of those to whom it gave the right to hand on: as many
/// as they may hand on.
pub const PEER_REVOCATIONS_MAX: usize = GRANTS_GIVEN_MAX;

/// How long a vouch holds at most, in seconds (90 days).
pub const VOUCH_LIFE_S_MAX: u64 = 90 * 24 * 3600;

/// How far a vouch may count beyond whom it is about at most.
pub const VOUCH_DEPTH_MAX: u8 = 3;

/// Vouches that a home remembers of all that it was shown.
pub const VOUCHES_KEPT_MAX: usize = 10_000;

/// Vouches that an agent gives at most.
pub const VOUCHES_GIVEN_MAX: usize = 1_000;

/// Vouches that an agent holds at most.
pub const VOUCHES_HELD_MAX: usize = 64;

/// Vouches of those among which nobody has asked for, by the agent or its operator.
pub const VOUCHES_UNASKED_MAX: usize = 16;

/// Vouches of one voucher among those that an agent holds: one that gives many has no right to all
/// the room.
pub const VOUCHES_HELD_PER_VOUCHER_MAX: usize = 4;

/// Those who asked about one vouch and are told when it is revoked, at most. Others learn it when
/// they ask again.
pub const VOUCH_ASKERS_MAX: usize = 256;

/// Characters of all credentials that an agent's home shows with one message, so that a stranger's
/// first message still fits with them.
pub const SHOWN_CHARS_MAX: usize = 24 * 1024;

/// Credentials other than vouches whose issuers are asked after, at most.
pub const CREDENTIALS_WATCHED_MAX: usize = 1_000;

/// Vouchers that are asked on account of one message, at most. More than the score needs; who sends
/// for nothing should not have us write to hundreds.
pub const VOUCHERS_ASKED_MAX: usize = 8;

/// How long a message waits for the answer to the question whether a vouch holds, in seconds.
pub const VOUCH_ASKED_S: u64 = 30;

/// How long the answer to a question after a vouch holds at most, in seconds (5 minutes).
pub const VOUCH_STATUS_S_MAX: u64 = 300;

/// Tokens that one question, answer or revocation names at most.
pub const TOKEN_IDS_MAX: usize = 256;

/// Types of one credential at most.
pub const CREDENTIAL_TYPES_MAX: usize = 16;

/// Outcomes in one message at most: each is two tokens.
pub const OUTCOMES_PER_MESSAGE_MAX: usize = TOKENS_PER_MESSAGE_MAX / 2;

/// How long an outcome counts and is kept, in seconds (a year).
pub const OUTCOME_KEPT_S: u64 = 365 * 24 * 3600;

/// Outcomes of an agent's own dealings that are kept; for a new one, the oldest goes.
pub const OUTCOMES_OWN_MAX: usize = 1_024;

/// Outcomes of others that an agent was shown and that are kept.
pub const OUTCOMES_SHOWN_MAX: usize = 512;

/// Outcomes of one worker among those.
pub const OUTCOMES_SHOWN_PER_WORKER_MAX: usize = 32;

/// Proposals of outcomes that wait for an agent, its own among them.
pub const OUTCOME_PROPOSALS_MAX: usize = 256;

/// Proposals of one peer among those.
pub const OUTCOME_PROPOSALS_PER_PEER_MAX: usize = 32;

/// Vouches in a path from an anchor at most.
pub const PATH_VOUCHES_MAX: usize = 3;

/// Vouches of one voucher that are looked at. An anchor that gives more brings less by each than a
/// level takes from it.
pub const VOUCHES_PER_VOUCHER_MAX: usize = 512;

/// Vouches that are read to score anybody at most; those that carry most come first.
pub const VOUCHES_CHARTED_MAX: usize = 200_000;

/// Beginnings of paths that are followed to score anybody at most, shared evenly among the anchors.
pub const TRAILS_FOLLOWED_MAX: usize = 200_000;

/// Paths that the explanation of a score lists at most.
pub const PATHS_SHOWN_MAX: usize = 16;

/// Largest signed note that is read, in bytes.
pub const NOTE_BYTES_MAX: usize = 32 * 1024;

/// Signatures of one note at most; C2SP signed-note asks for at least 16.
pub const NOTE_SIGNATURES_MAX: usize = 64;

/// Hashes of a consistency proof at most (C2SP tlog-witness).
pub const PROOF_HASHES_MAX: usize = 63;

/// Largest witness policy that is read, in bytes.
pub const POLICY_BYTES_MAX: usize = 1024 * 1024;

/// Lines of a witness policy at most.
pub const POLICY_LINES_MAX: usize = 10_000;

/// Largest file of evidence that is read, in bytes.
pub const BUNDLE_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Exports in one file at most.
pub const BUNDLE_PARTS_MAX: usize = 64;

/// Witnesses that one export names at most.
pub const WITNESSES_MAX: usize = 4_096;

/// Statements about one message in a file of evidence at most.
pub const MESSAGE_STATEMENTS_MAX: usize = 1_000;

/// Findings of one kind that a verdict lists at most.
pub const FINDINGS_MAX: usize = 1_000;

/// How much older than an export the signed head of its chain may be, in seconds.
pub const HEAD_AGE_S_MAX: u64 = 300;

/// The largest number in a file of evidence: what every reader of JSON reads exactly (RFC 8785), 2^53 - 1.
pub const NUMBER_MAX: u64 = (1 << 53) - 1;
