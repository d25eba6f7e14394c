//! Reads receipts: from a message that was just opened, and, for whoever has only the signed text,
//! offline.

use comity_didcomm::problem::ProblemCode;
use comity_didcomm::{Did, DidDocument, DidUrl, Message, verify_jws};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Receipt, State};
use crate::limits::{QUERY_IDS_MAX, REASON_CHARS_MAX, RECEIPTS_PER_MESSAGE_MAX};
use crate::protocol::{RECEIPT_QUERY, RECEIPT_RECEIPT};

/// Why a text is not a list of receipts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ReceiptError {
    /// The signature does not verify with a key that the document lists for authentication.
    #[error("the receipt's signature does not verify with the signer's document")]
    Signature,
    /// The signed text is a message, but not of the expected type.
    #[error("the message is not one of Receipt 1.0")]
    Type,
    /// The body does not have the shape of the protocol, or has too many entries.
    #[error("the body of the receipt message is malformed")]
    Malformed,
}

/// Receipts whose signature was checked, with who signed them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifiedReceipts {
    signer: Did,
    kid: DidUrl,
    receipts: Vec<Receipt>,
}

impl VerifiedReceipts {
    /// Returns the DID whose key signed.
    #[must_use]
    pub const fn signer(&self) -> &Did {
        &self.signer
    }

    /// Returns the key that signed.
    #[must_use]
    pub const fn kid(&self) -> &DidUrl {
        &self.kid
    }

    /// Returns what was signed.
    #[must_use]
    pub fn receipts(&self) -> &[Receipt] {
        &self.receipts
    }
}

/// Verifies a signed receipt message with nothing but the signer's document.
///
/// # Errors
/// When the signature, the type or the shape is wrong.
pub fn verify(jws: &str, signer: &DidDocument) -> Result<VerifiedReceipts, ReceiptError> {
    let verified = verify_jws(jws.as_bytes(), signer).map_err(|_| ReceiptError::Signature)?;
    let message = Message::parse(&verified.payload).map_err(|_| ReceiptError::Malformed)?;
    if message.from.as_ref() != Some(&signer.id) {
        return Err(ReceiptError::Signature);
    }
    let receipts = parse_receipts(&message)?;
    Ok(VerifiedReceipts { signer: signer.id.clone(), kid: verified.kid, receipts })
}

/// Reads the receipts out of a message that was opened.
///
/// # Errors
/// When the type or the shape is wrong, or there are more than [`RECEIPTS_PER_MESSAGE_MAX`].
pub fn parse_receipts(message: &Message) -> Result<Vec<Receipt>, ReceiptError> {
    let mut receipts: Vec<Receipt> =
        list(message, RECEIPT_RECEIPT, "receipts", RECEIPTS_PER_MESSAGE_MAX)?;
    for receipt in &mut receipts {
        // `queued` is the sender's own knowledge; from a peer it means nothing.
        if receipt.state == State::Queued {
            return Err(ReceiptError::Malformed);
        }
        let is_code = |code: &String| ProblemCode::parse(code).is_ok();
        receipt.code = receipt.code.take().filter(is_code);
        if let Some(reason) = &mut receipt.reason {
            *reason = bounded(reason);
        }
    }
    Ok(receipts)
}

/// One message that a query asks about.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct QueryItem {
    /// Id of the message.
    pub id: String,
    /// Its sender.
    pub from: Did,
    /// Its recipient.
    pub to: Did,
}

/// Reads a query out of a message that was opened.
///
/// # Errors
/// When the type or the shape is wrong, or it asks for more than [`QUERY_IDS_MAX`] messages.
pub fn parse_query(message: &Message) -> Result<Vec<QueryItem>, ReceiptError> {
    list(message, RECEIPT_QUERY, "messages", QUERY_IDS_MAX)
}

/// Cuts a peer's free text to what is kept of it.
#[must_use]
pub fn bounded(text: &str) -> String {
    text.chars().take(REASON_CHARS_MAX).collect()
}

fn list<T: for<'de> Deserialize<'de>>(
    message: &Message,
    type_: &str,
    member: &str,
    count_max: usize,
) -> Result<Vec<T>, ReceiptError> {
    if message.type_.to_string() != type_ {
        return Err(ReceiptError::Type);
    }
    let items = message.body.get(member).and_then(|value| value.as_array());
    let items = items.filter(|items| items.len() <= count_max).ok_or(ReceiptError::Malformed)?;
    items.iter().map(|item| T::deserialize(item).map_err(|_| ReceiptError::Malformed)).collect()
}
