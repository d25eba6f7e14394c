//! Every bound of the SDK, in one place. What a home bounds is in `comity_core::limits`.

use std::time::Duration;

/// Handlers that run at the same time at most.
pub const HANDLERS_MAX: usize = 32;

/// Messages that wait in this process for a handler or for `next` at most. A home pushes 256 without an answer, so this
/// is reached only by a home that breaks the protocol; what comes beyond it is left to the next connection.
pub const HELD_MAX: usize = 1_024;

/// Settled deliveries that are remembered, so that one that comes again is settled again instead of handled again.
pub const SETTLED_REMEMBERED_MAX: usize = 4_096;

/// Sends that wait for their answer at most; a further `send` waits for its turn.
pub const SENDS_IN_FLIGHT_MAX: usize = 1_024;

/// Requests that wait for a reply at most.
pub const REQUESTS_MAX: usize = 4_096;

/// Messages of one thread that are kept back while the DID behind a handle is looked up at most.
pub const PARKED_MAX: usize = 16;

/// Ended requests that are remembered, so that a late problem report about one is not taken for news.
pub const ENDED_REMEMBERED_MAX: usize = 1_024;

/// State changes that a slow subscriber may lag behind at most; the oldest are lost to it first.
pub const STATES_MAX: usize = 1_024;

/// Words on how far puzzles are that a slow subscriber may lag behind at most; the next one says more anyway.
pub const PROGRESS_MAX: usize = 16;

/// Acknowledgements in one frame at most.
pub const ACKS_PER_FRAME_MAX: usize = 256;

/// Frames that are written before the socket is flushed at most.
pub const FRAMES_PER_FLUSH_MAX: usize = 64;

/// Largest frame that is sent, in bytes: the largest body that a home takes, and room for the other members.
pub const SEND_FRAME_BYTES_MAX: usize = comity_core::limits::BODY_BYTES_MAX + 16 * 1024;

/// Largest frame that is read, in bytes: an envelope's content and the facts about it.
pub const RECEIVE_FRAME_BYTES_MAX: usize = 2 * comity_core::limits::ENVELOPE_BYTES_MAX;

/// Largest HTTP answer that is read, in bytes: a page of 64 messages, whose envelopes leave room for the facts.
pub const ANSWER_BYTES_MAX: usize = 64 * comity_core::limits::ENVELOPE_BYTES_MAX;

/// Read buffer of the socket, in bytes; tungstenite's default is 128 KiB.
pub const READ_BUFFER_BYTES: usize = 4 * 1024;

/// Pause before the first attempt to connect again; it doubles up to [`RECONNECT_MAX`].
pub const RECONNECT_FIRST: Duration = Duration::from_millis(100);

/// Longest pause between two attempts to connect.
pub const RECONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest time that one attempt to connect may take.
pub const CONNECT_MAX: Duration = Duration::from_secs(10);

/// Longest silence of a home that pings every 30 seconds, before its connection counts as dead.
pub const SILENCE_MAX: Duration = Duration::from_secs(75);

/// Longest time that is spent on reading why a connection broke.
pub const LAST_WORDS_MAX: Duration = Duration::from_secs(1);

/// Longest time that one HTTP call may take beyond the time it was asked to wait.
pub const CALL_MAX: Duration = Duration::from_secs(10);

/// Longest time that one trace call waits at the home; longer waits are several calls.
pub const TRACE_WAIT_MAX: Duration = Duration::from_secs(60);

/// Pause before a settlement that the home could not take for the moment is repeated.
pub const SETTLE_AGAIN: Duration = Duration::from_millis(250);

/// Longest time that a shutdown waits for running handlers and for answers of the home.
pub const SHUTDOWN_MAX: Duration = Duration::from_secs(10);

/// Length of a refusal's reason at most, in characters.
pub const REASON_CHARS_MAX: usize = comity_core::limits::REASON_CHARS_MAX;
