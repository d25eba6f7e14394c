//! Bounds of the command line: what it reads, how long it waits.

use std::time::Duration;

/// Largest body that is read from standard input, in bytes; the node takes less and says so with a code.
pub(crate) const STDIN_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// How long the node may take to answer what asks for no waiting.
pub(crate) const ANSWER_MAX: Duration = Duration::from_secs(30);

/// How long one long poll may last; the node allows no more.
pub(crate) const POLL_MAX: Duration = Duration::from_secs(30);

/// How often a person who waits for a message is shown how far its puzzle is; whole seconds, as the node counts.
pub(crate) const WATCH_EVERY: Duration = Duration::from_secs(1);

/// How long a node that the demo or the bench starts may take until it is ready.
pub(crate) const START_MAX: Duration = Duration::from_secs(20);

/// How long such a node may take to stop in good order.
pub(crate) const STOP_MAX: Duration = Duration::from_secs(15);

/// How long one step of the demo may wait for what it checks.
pub(crate) const STEP_MAX: Duration = Duration::from_secs(20);

/// Latencies that the bench keeps at most.
pub(crate) const SAMPLES_MAX: usize = 20_000_000;

/// Largest request of `comity didcomm lines`, in bytes: an envelope and its documents fit.
pub(crate) const WORKBENCH_LINE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// JSON values of one request of `comity didcomm lines`, objects counted by the memory that they take: those
/// of four of the largest messages, or 50 MB.
pub(crate) const WORKBENCH_LINE_VALUES_MAX: usize = 4 * comity_didcomm::limits::JSON_VALUES_MAX;

/// Largest file that `comity didcomm` reads, in bytes.
pub(crate) const WORKBENCH_FILE_BYTES_MAX: u64 = 8 * 1024 * 1024;

/// DID documents that one request of the workbench may bring.
pub(crate) const WORKBENCH_DIDS_MAX: usize = 1024;

/// Private keys that one request of the workbench may bring.
pub(crate) const WORKBENCH_SECRETS_MAX: usize = 4096;

/// Bytes of a file with a grant that are read: as many tokens as a chain has, and white space.
pub(crate) const GRANT_FILE_BYTES_MAX: u64 = 64 * 1024;

/// Bytes of a file of outcomes that are read: as many as the node takes.
pub(crate) const OUTCOME_FILE_BYTES_MAX: u64 = 1024 * 1024;
