//! Names of the protocols that a home itself speaks. Ours live under
//! `https://comity.dev/protocols/`, an identifier from which nothing is fetched; the others are
//! didcomm.org's.

/// Receipt 1.0 (`docs/protocols/receipt.md`): how far a message got.
pub const RECEIPT: &str = "https://comity.dev/protocols/receipt/1.0";
/// Message of [`RECEIPT`] that carries receipts.
pub const RECEIPT_RECEIPT: &str = "https://comity.dev/protocols/receipt/1.0/receipt";
/// Message of [`RECEIPT`] that asks for them again.
pub const RECEIPT_QUERY: &str = "https://comity.dev/protocols/receipt/1.0/query";

/// Report Problem 2.0.
pub const REPORT_PROBLEM: &str = "https://didcomm.org/report-problem/2.0";

/// Whether a message type is one of [`REPORT_PROBLEM`].
#[must_use]
pub fn is_report(type_: &str) -> bool {
    type_.strip_prefix(REPORT_PROBLEM).is_some_and(|name| name.starts_with('/'))
}

/// Empty 1.0: a message that exists for its headers, such as a bare `ack`.
pub const EMPTY: &str = "https://didcomm.org/empty/1.0";
/// The only message of [`EMPTY`].
pub const EMPTY_EMPTY: &str = "https://didcomm.org/empty/1.0/empty";

/// Basic Message 2.0, what `comity send` uses when no type is named.
pub const BASIC_MESSAGE: &str = "https://didcomm.org/basicmessage/2.0/message";

/// Header by which a sender asks for receipts: the DID of the home they go to
/// (`docs/protocols/receipt.md`, section 2).
pub const RECEIPT_TO: &str = "receipt_to";
