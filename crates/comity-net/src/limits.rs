//! Every bound of this crate, in one place. It holds numbers and the struct that carries the
//! listener's; reaching one is an ordinary outcome with an error of its own, never a panic.

use std::time::Duration;

/// The longest URL that is fetched or delivered to, in bytes.
pub const URL_BYTES_MAX: usize = 2_048;

/// The largest body a fetch accepts (ADR 0012).
pub const FETCH_BODY_BYTES_MAX: usize = 64 * 1024;

/// The time a whole fetch may take, waiting for its turn included (ADR 0012).
pub const FETCH_DEADLINE: Duration = Duration::from_secs(5);

/// How many fetches from one host may be under way at once.
pub const FETCHES_PER_HOST_MAX: usize = 4;

/// How many fetches may be under way or waiting in all; one more is refused at once.
pub const FETCHES_MAX: usize = 512;

/// The time a TCP connection and its TLS handshake may take together.
pub const CONNECT_DEADLINE: Duration = Duration::from_secs(5);

/// The time one of several addresses may take before the next is tried.
pub const CONNECT_ATTEMPT_DEADLINE: Duration = Duration::from_secs(2);

/// How many addresses of one name are tried; all of them are checked.
pub const CONNECT_ATTEMPTS_MAX: usize = 4;

/// The largest answer to a name lookup that is looked at; a longer one is refused.
pub const LOOKUP_ADDRESSES_MAX: usize = 64;

/// The read buffer of an outgoing connection, which also bounds a peer's response head.
pub const CLIENT_BUFFER_BYTES_MAX: usize = 64 * 1024;

/// How many header lines a peer's response may have.
pub const CLIENT_HEADERS_MAX: usize = 64;

/// The time a delivery may take to the head of the answer, waiting for its turn included.
pub const DELIVER_DEADLINE: Duration = Duration::from_secs(30);

/// The time the body of an answer may take after its head.
pub const DELIVER_ANSWER_DEADLINE: Duration = Duration::from_secs(5);

/// The largest answer to a delivery that is read.
pub const DELIVER_ANSWER_BYTES_MAX: usize = 64 * 1024;

/// The largest answer of a webhook that is read; nothing in it means anything.
pub const WEBHOOK_ANSWER_BYTES_MAX: usize = 4 * 1024;

/// How many deliveries to one host may be under way at once, each on its own connection.
pub const DELIVERIES_PER_HOST_MAX: usize = 32;

/// How many deliveries may be under way or waiting in all; one more is refused at once.
pub const DELIVERIES_MAX: usize = 4_096;

/// How long an unused connection to a peer is kept.
pub const DELIVER_IDLE: Duration = Duration::from_secs(45);

/// The longest wait a peer may ask for with `Retry-After`; a longer one is cut to it.
pub const RETRY_AFTER_MAX: Duration = Duration::from_secs(3_600);

/// The longest problem code taken from a peer's refusal.
pub const PROBLEM_CODE_BYTES_MAX: usize = 128;

/// The longest challenge that is taken from a peer who demands work.
pub const CHALLENGE_BYTES_MAX: usize = 256;

/// The largest message that is taken from, or sent on, a WebSocket session: one envelope.
pub const SOCKET_MESSAGE_BYTES_MAX: usize = 1024 * 1024;

/// The read buffer of a WebSocket session; the library's default of 128 KiB would be most of an
/// idle session's memory (ADR 0013).
pub const SOCKET_READ_BUFFER_BYTES: usize = 4 * 1024;

/// What may wait to be written on a WebSocket session, in bytes.
pub const SOCKET_WRITE_BUFFER_BYTES_MAX: usize = 2 * SOCKET_MESSAGE_BYTES_MAX;

/// The time a WebSocket handshake may take, connection and TLS included.
pub const SOCKET_OPEN_DEADLINE: Duration = Duration::from_secs(10);

/// The time in which a message has to be written to a WebSocket session, as a whole.
pub const SOCKET_SEND_DEADLINE: Duration = Duration::from_secs(30);

/// How long a WebSocket session may be silent before the peer is asked whether it is there.
pub const SOCKET_PING_AFTER: Duration = Duration::from_secs(25);

/// How long a WebSocket session may be silent in all before it counts as broken.
pub const SOCKET_SILENCE_MAX: Duration = Duration::from_secs(40);

/// How long a resolved document is used before it is fetched again (threat T24).
pub const DOCUMENT_TTL: Duration = Duration::from_secs(300);

/// How long a did:webvh log is used at least, whatever its controller asks: a `ttl` of nothing would
/// cost a fetch and a verification for each message.
pub const LOG_TTL_MIN: Duration = Duration::from_secs(10);

/// How many did:webvh logs are verified at once, each on a thread of its own.
pub const LOGS_VERIFIED_AT_ONCE: usize = 2;

/// How many did:webvh logs are verified or wait for it, at a megabyte each; one more is put off.
pub const LOGS_ADMITTED_MAX: usize = 64;

/// How many did:webvh logs are remembered by their last version, to notice when one is rewritten.
pub const HEADS_MAX: usize = 65_536;

/// How long a failed resolution is remembered (threat T24).
pub const FAILURE_TTL: Duration = Duration::from_secs(30);

/// How often the document of one DID may be fetched again on demand (threat T24).
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(60);

/// How old a document is at least when it is fetched again on demand: a younger one is as fresh as
/// any.
pub const REFRESH_AGE_MIN: Duration = Duration::from_secs(1);

/// The memory the document cache may use, as an estimate of its entries' sizes in bytes.
pub const DOCUMENT_CACHE_BYTES_MAX: u64 = 32 * 1024 * 1024;

/// How many documents the cache is laid out for.
pub const DOCUMENT_CACHE_ENTRIES: usize = 4_096;

/// Into how many parts the document cache is divided: each holds the heaviest document there is, a
/// did:webvh of full length or 64 KiB of the smallest objects.
pub const DOCUMENT_CACHE_PARTS: usize = 4;

/// The memory that remembered did:peer:4 long forms may use, in bytes.
pub const LONG_FORMS_BYTES_MAX: u64 = 16 * 1024 * 1024;

/// How many did:peer:4 long forms are expected.
pub const LONG_FORMS_ENTRIES: usize = 8_192;

/// The longest local part of a handle.
pub const HANDLE_NAME_BYTES_MAX: usize = 64;

/// The longest host name, by RFC 1035.
pub const HOST_BYTES_MAX: usize = 253;

/// The shortest and longest pause after a failed `accept`.
pub const ACCEPT_BACKOFF: (Duration, Duration) =
    (Duration::from_millis(10), Duration::from_secs(1));

/// The bounds of one listener.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListenLimits {
    /// How many connections may be open in all; one more is closed at once.
    pub connections_max: usize,
    /// How many connections one peer address (for IPv6: one /64) may hold open.
    pub connections_per_address_max: usize,
    /// The time from the first chance to speak to the last byte of a request's head.
    pub header_deadline: Duration,
    /// How long a connection may stay silent between two requests.
    pub idle_deadline: Duration,
    /// How long a peer may take none of the bytes that wait for it.
    pub write_stall: Duration,
    /// The largest request head in bytes.
    pub header_bytes_max: usize,
    /// How many header lines a request may have.
    pub headers_max: usize,
    /// How long requests under way may take to finish after the shutdown signal.
    pub drain_deadline: Duration,
    /// Whether peers on the loopback interface count against the cap per address.
    pub loopback: LoopbackPeers,
}

/// Whether loopback peers count against the cap per address.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LoopbackPeers {
    /// They count like everybody.
    #[default]
    Capped,
    /// They do not: for a listener behind a reverse proxy, and for the local API.
    Exempt,
}

impl Default for ListenLimits {
    fn default() -> Self {
        Self {
            connections_max: 8_192,
            connections_per_address_max: 64,
            header_deadline: Duration::from_secs(10),
            idle_deadline: Duration::from_secs(60),
            write_stall: Duration::from_secs(30),
            header_bytes_max: 16 * 1024,
            headers_max: 64,
            drain_deadline: Duration::from_secs(10),
            loopback: LoopbackPeers::Capped,
        }
    }
}
