//! [`Attachment`] (DIDComm v2.1, section "Attachments").
//!
//! Links are carried, not fetched; hashes and detached signatures are verified when somebody asks.

mod verify;

use base64::Engine as _;
use base64::alphabet::URL_SAFE;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use self::verify::AttachmentError;
use super::{MessageError, id};
use crate::encoding;
use crate::time::UnixTime;

/// Represents content that travels beside the body of a message.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Attachment {
    /// Id within the message, of unreserved URI characters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What it is, for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub description: Option<String>,
    /// Name under which it could be saved. Untrusted: not to be used as a path.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// Media type of the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// More about the format, when the media type does not say enough.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub format: Option<String>,
    /// When the content was last changed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lastmod_time: Option<UnixTime>,
    /// Size of the content, as the sender says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub byte_count: Option<u64>,
    /// The content, or where to find it.
    pub data: AttachmentData,
}

/// Holds the content of an [`Attachment`], or says where it is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct AttachmentData {
    /// Detached JWS over the content.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub jws: Option<Value>,
    /// Multihash of the content; required with `links`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hash: Option<String>,
    /// Where the content can be fetched.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub links: Vec<String>,
    /// The content, base64url-encoded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub base64: Option<String>,
    /// The content, when it is JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub json: Option<Value>,
}

/// Peers differ about padding here, and nothing is signed or hashed over the encoded form.
const LENIENT: GeneralPurpose = GeneralPurpose::new(
    &URL_SAFE,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

impl Attachment {
    /// Creates an attachment that holds bytes.
    #[must_use]
    pub fn from_bytes(id: Option<String>, media_type: Option<String>, content: &[u8]) -> Self {
        let data =
            AttachmentData { base64: Some(encoding::base64url(content)), ..Default::default() };
        Self { id, media_type, data, ..Default::default() }
    }

    /// Creates an attachment that holds JSON.
    #[must_use]
    pub fn from_json(id: Option<String>, media_type: Option<String>, content: Value) -> Self {
        let data = AttachmentData { json: Some(content), ..Default::default() };
        Self { id, media_type, data, ..Default::default() }
    }

    pub(super) fn check(&self) -> Result<(), MessageError> {
        let id_ok = self.id.as_deref().is_none_or(|id| !id.is_empty() && id::is_unreserved(id));
        let data = &self.data;
        let has_content = data.jws.is_some()
            || data.hash.is_some()
            || !data.links.is_empty()
            || data.base64.is_some()
            || data.json.is_some();
        // Without the hash, whoever serves the link decides what was sent.
        let links_ok = data.links.is_empty() || data.hash.is_some();
        if id_ok && has_content && links_ok {
            Ok(())
        } else {
            Err(MessageError::Header("attachments"))
        }
    }
}

impl AttachmentData {
    /// Decodes the `base64` content; `None` when there is none or it is malformed.
    #[must_use]
    pub fn bytes(&self) -> Option<Vec<u8>> {
        LENIENT.decode(self.base64.as_ref()?).ok()
    }
}
