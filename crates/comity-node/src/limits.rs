//! Every bound of the shell, in one place. Those of the protocol are in `comity_core::limits`.

use std::time::Duration;

use comity_core::limits::EXPIRES_S_MAX;

/// How long a posted envelope may take to arrive in full.
pub const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// Largest request body on the local listener, in bytes: a message body with its JSON around it.
pub const LOCAL_BODY_BYTES_MAX: usize = 1024 * 1024;

/// Largest frame of an agent's WebSocket, in bytes.
pub const SOCKET_FRAME_BYTES_MAX: usize = LOCAL_BODY_BYTES_MAX;

/// Agreements with regular peers that are remembered, of all agents together: some 200 bytes each.
pub const AGREEMENTS_CACHED_MAX: usize = 4096;

/// Read buffer of an agent's WebSocket, in bytes. The library's default of 128 KiB would be most of
/// an idle connection's memory.
pub const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;

/// Bytes that are gathered for an agent's WebSocket before they are written; the rest goes when
/// nothing more waits.
pub const SOCKET_WRITE_BUFFER_BYTES: usize = 16 * 1024;

/// Frames of one agent's WebSocket that are worked on at once.
pub const SOCKET_REQUESTS_MAX: usize = 64;

/// Messages that one agent may hold without acknowledging them.
pub const UNACKNOWLEDGED_MAX: usize = 256;

/// Messages handed over in one step.
pub const HAND_OVER_MAX: usize = 64;

/// How long a message fetched over HTTP is kept from others before it comes again.
pub const LEASE: Duration = Duration::from_secs(60);

/// Longest long poll.
pub const LONG_POLL_MAX: Duration = Duration::from_secs(60);

/// How often somebody who waits looks again, in case a hint was lost.
pub const SLOW_POLL: Duration = Duration::from_secs(5);

/// First pause before a home opens a session with its relay again; it doubles up to
/// [`RECONNECT_MAX`].
pub const RECONNECT_FIRST: Duration = Duration::from_millis(250);

/// Longest pause between two sessions with a relay.
pub const RECONNECT_MAX: Duration = Duration::from_secs(30);

/// How long adding an agent waits for the relay to take messages for it.
pub const REGISTER_WAIT: Duration = Duration::from_secs(5);

/// How long a message of the home's own, such as a report to somebody refused, may take to be
/// addressed. A stranger's message is written, and its 202 goes out, after that.
pub const NOTICE_ADDRESS_DEADLINE: Duration = Duration::from_secs(5);

/// Documents that are fetched to address one message of the home's own, its recipient's among them.
pub const NOTICE_FETCHES_MAX: usize = 3;

/// Envelopes from a relay that are being taken in at once.
pub const TAKES_MAX: usize = 32;

/// How long an envelope from a relay holds up those that were delivered after it.
pub const TAKE_PATIENCE: Duration = Duration::from_secs(1);

/// How long one of a stranger does, going by the relay: a whole pool of them, each with a document
/// that does not come, would hold up friends for minutes.
pub const TAKE_PATIENCE_STRANGERS: Duration = Duration::from_millis(100);

/// How often the node pings an agent's WebSocket. An agent that answers none of two is gone.
pub const PING_EVERY: Duration = Duration::from_secs(30);

/// Memory for opened messages that wait to be handed over, in bytes. What does not fit is opened
/// again.
pub const OPENED_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// Lanes to one destination. Messages of one pair of agents share a lane and go one after the
/// other, so that they stay in order; the home's own have as many apart. How many post at once is
/// bounded by
/// `comity_net::limits::DELIVERIES_PER_HOST_MAX`.
pub const LANES: usize = 256;

/// Messages to one destination that are read ahead of the lanes.
pub const READ_AHEAD_MAX: usize = 4_096;

/// Destinations that are looked at when the node starts.
pub const DESTINATIONS_MAX: usize = 65_536;

/// Puzzles of peers that are solved at once: agents and messages want the other processors.
pub const PUZZLES_MAX: usize = 1;

/// Hashes between two looks at whether a puzzle is still wanted: about a millisecond.
pub const PUZZLE_STEP_TRIES: u32 = 8_192;

/// How long a challenge may wait for its turn; beyond, another is asked for, since this one may
/// expire before it is solved.
pub const PUZZLE_TURN_MAX: Duration = Duration::from_secs(300);

/// How often an agent is told how far a puzzle is.
pub const PUZZLE_TOLD_EVERY: Duration = Duration::from_millis(500);

/// How long receipts are gathered before a message carries them.
pub const NOTICE_TICK: Duration = Duration::from_millis(20);

/// How often what is due is looked at.
pub const DUE_TICK: Duration = Duration::from_secs(1);

/// Requests that are being ended at once because nobody decided them.
pub const EXPIRING_MAX: usize = 64;

/// When such a request is looked at again, should it not have been ended, in seconds: later than looking
/// its sender up takes.
pub const EXPIRE_AGAIN_S: u64 = 60;

/// Due rows that are handled in one step.
pub const DUE_ROWS_MAX: usize = 256;

/// Longest life of an invitation, in seconds (a year).
pub const INVITATION_S_MAX: u64 = 365 * 24 * 3600;

/// Life of an invitation to a relay when its operator says nothing, in seconds (7 days).
pub const INVITATION_S_DEFAULT: u64 = 7 * 24 * 3600;

/// How often one invitation to a relay may be used at most.
pub const INVITATION_USES_MAX: u32 = 10_000;

/// Agents of one home.
pub const AGENTS_MAX: usize = 10_000;

/// Registrations with the relay that one page of their list shows.
pub const REGISTRATIONS_LISTED_MAX: usize = 1_000;

/// Vouchers whose addresses are looked up at once to ask them; the others wait for their turn.
pub const ASKING_MAX: usize = 32;

/// Vouchers whose documents cannot be had and for whom messages wait; for more, none does.
pub const AWAY_MAX: usize = 1_000;

/// How long a voucher whose document could not be had is known as such, in seconds.
pub const AWAY_S: u64 = 600;

/// How long the answer to what becomes of somebody's messages waits for those who vouch for it.
pub const VOUCHERS_WAIT: Duration = Duration::from_secs(3);

/// Vouches in the graph of an agent's surroundings.
pub const GRAPH_EDGES_MAX: usize = 1_000;

/// Entries of one agent's allow-list that a listing shows.
pub const ENTRIES_MAX: usize = 10_000;

/// Characters of signed texts that one export of outcomes holds: it has to fit into the body of an
/// import.
pub const OUTCOMES_EXPORTED_CHARS_MAX: usize = LOCAL_BODY_BYTES_MAX / 2;

/// Rows of events that are read at once.
pub const EVENTS_READ_AT_ONCE: usize = 64;

/// Messages to the operator's agent that wait to be sent at once; of the rest it is told later.
pub const OPERATOR_UNTOLD_MAX: usize = 256;

/// Messages to the place where the operator's agent lives that are looked at to count these.
pub const OPERATOR_ROWS_LOOKED_AT: usize = 1_024;

/// Rows of events that are counted to say how far the webhook lags behind.
pub const WEBHOOK_WAITING_COUNTED: usize = 1_000;

/// Events that an agent's socket may lag behind; beyond, it learns of them from `trace`. Memory for
/// them is taken when it connects.
pub const EVENTS_MAX: usize = 256;

/// How long an orderly stop waits for what is under way.
pub const STOP_DEADLINE: Duration = Duration::from_secs(10);

/// Envelopes from the public listener that are worked on at once; beyond, they are turned away with
/// 503. A large one counts for several.
pub const ENVELOPES_UNDER_WAY_MAX: usize = 512;

/// Those of them that come over connections which have brought nothing welcome yet.
pub const ENVELOPES_UNKNOWN_MAX: usize = 384;

/// Bytes of an envelope that count for one of those. Read into memory, a message can take eighty
/// times its text, and waits so while its sender's document is fetched.
pub const ENVELOPE_PLACE_BYTES: usize = 64 * 1024;

/// What a peer that was turned away for the moment reads in `Retry-After`, in seconds.
pub const RETRY_AFTER_S: u64 = 1;

/// Digests of stored DID documents that are remembered, so that a document is not written with each
/// message.
pub const DOCUMENTS_MAX: usize = 4_096;

/// Envelopes from the public listener whose bytes are arriving at once; beyond, they are turned
/// away with 503.
pub const ENVELOPES_ARRIVING_MAX: usize = 2_048;

/// Messages that one receipt query asks about: well within what a message can hold, however long
/// the DIDs.
pub const QUERY_IDS_ASKED: usize = 32;

/// Tokens of admission that are on their way to be given at once; who asks meanwhile asks again.
pub const TOKENS_GIVING_MAX: usize = 64;

/// Peers whose receipts are being sent at once.
pub const PAYING_MAX: usize = 32;

/// Peers that cannot be paid for the moment and are remembered as such.
pub const PAUSED_MAX: usize = 10_000;

/// How long a former key stays in its agent's document, in seconds (31 days): as long as a message
/// that was signed or sealed with it can be under way, and a day for clocks.
pub const KEY_LEAVES_AFTER_S: u64 = EXPIRES_S_MAX + 24 * 3600;

/// How long a former agreement key is kept to open messages, in seconds (62 days): somebody may
/// seal to it until it has left the document, and that message is then under way and in the mailbox
/// for as long as any.
pub const KEY_RETIRED_FOR_S: u64 = 2 * KEY_LEAVES_AFTER_S;

/// Former keys of one agent that its document or its keystore hold at most; a document has room for
/// 64 keys in all.
pub const KEYS_LEAVING_MAX: usize = 60;

/// Versions, and their bytes, that the log of an agent's did:webvh keeps for replacing keys that others may
/// have.
pub const LOG_RESERVE_VERSIONS: usize = 32;

/// See [`LOG_RESERVE_VERSIONS`]: a version without former keys is 2 KiB long.
pub const LOG_RESERVE_BYTES: usize = 64 * 1024;

/// How often the node looks for former keys whose time is over.
pub const KEYS_TICK: Duration = Duration::from_secs(3600);

/// How long others may use a did:webvh log of this node before they fetch it again, in seconds.
pub const LOG_TTL_S: u32 = 300;

/// How often a batch is built anew because the rows that it was built on have changed; then the
/// asker is told to try again.
pub const CONFLICTS_MAX: usize = 8;

/// Held messages that one batch takes out.
pub const TAKE_OUT_MAX: usize = 128;

/// Public WebSockets at once; the listener bounds them by address too, as it does every connection.
pub const PUBLIC_SOCKETS_MAX: usize = 4_096;

/// Envelopes that wait to be written to one public WebSocket. When they are as many, nothing more
/// is read from it, and what is held stays in its queue.
pub const SOCKET_ANSWERS_MAX: usize = 8;

/// Bytes that wait to be written to all public WebSockets together (128 MiB).
pub const SOCKETS_BYTES_MAX: usize = 128 * 1024 * 1024;

/// How long somebody who asks on a public WebSocket waits for room for the answer; then it is turned
/// away for the moment.
pub const ROOM_WAIT: Duration = Duration::from_secs(5);

/// How long a peer may take to accept what is written to it while there is no room for others.
pub const SOCKET_WRITE_DEADLINE_FULL: Duration = Duration::from_secs(2);

/// How long a public WebSocket on which nobody has asked for answers may take to bring the next
/// envelope.
pub const SOCKET_UNASKED_MAX: Duration = Duration::from_secs(30);

/// How long a public WebSocket may take to accept what is written to it.
pub const SOCKET_WRITE_DEADLINE: Duration = Duration::from_secs(30);

/// DIDs whose answers one public WebSocket carries.
pub const SOCKET_DIDS_MAX: usize = 64;

/// Held messages that are remembered for one live delivery; beyond, the queues are read again.
pub const LIVE_AHEAD_MAX: usize = 1_024;

/// Held messages that one live delivery carries at most.
pub const LIVE_BATCH_MAX: usize = 32;

/// How often the log is looked at for whether a checkpoint is due.
pub const CHECKPOINT_LOOK: Duration = Duration::from_millis(100);

/// How long an entry waits for a checkpoint at most.
pub const CHECKPOINT_EVERY: Duration = Duration::from_secs(1);

/// Entries for which a checkpoint is made sooner.
pub const CHECKPOINT_ENTRIES: u64 = 1_000;

/// Of the heads that an agent signs, one is kept for so many seconds.
pub const HEAD_KEPT_S: u64 = 60;

/// Logs of others that are known.
pub const LOGS_KNOWN_MAX: usize = 4_096;

/// Witnesses that are asked to cosign each checkpoint.
pub const WITNESSES_ASKED_MAX: usize = 8;

/// Contradictions of one log that are kept.
pub const CONTRADICTIONS_MAX: usize = 8;

/// How long a node that starts waits for what its witnesses remember.
pub const WITNESS_START_DEADLINE: Duration = Duration::from_secs(2);

/// Longest validity of a token by which a log is read, in seconds.
pub const READER_TOKEN_S_MAX: u64 = 300;

/// Largest request to cosign a checkpoint, in bytes.
pub const ADD_CHECKPOINT_BYTES_MAX: usize = 64 * 1024;

/// Statements that are read at a time.
pub const STATEMENTS_READ: usize = 1_024;

/// Statements that one export shows at most.
pub const EXPORT_STATEMENTS_MAX: usize = 200_000;

/// Links of a chain that an export accounts for at most.
pub const EXPORT_LINKS_MAX: u64 = 2_000_000;

/// Statements whose texts are erased at once.
pub const FORGOTTEN_AT_ONCE: usize = 128;

/// How often what was kept long enough is forgotten.
pub const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// After so many seconds somebody who does not know this node's log is told of it again.
pub const INTRODUCED_AGAIN_S: u64 = 60;

/// Longest pause before witnesses that have not cosigned the latest checkpoint are asked again.
pub const WITNESS_PAUSE_MAX: Duration = Duration::from_secs(60);

/// A log is asked for its tiles at most this often.
pub const AUDIT_EVERY: Duration = Duration::from_secs(5);

/// Checkpoints of a log that wait for an audit; an honest one makes a few meanwhile.
pub const AUDITED_AT_ONCE: usize = 64;

/// States of a log whose tiles are asked for in one audit, if it does not show those of the largest.
pub const AUDIT_TRIES: usize = 3;

/// Longest piece of a contradiction that is kept as it is, in bytes; of a longer one the digest is kept.
pub const PIECE_BYTES_MAX: usize = 64 * 1024;

/// Heads that are written at once.
pub const HEADS_AT_ONCE: usize = 500;
