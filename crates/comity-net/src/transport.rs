//! How envelopes travel between nodes: over HTTP, out by `http` and in by `listen`, and on sessions
//! that we open by `websocket` (DIDComm v2.1, Transports). What an envelope says, and whose it is, is no business of this module.

use ::http::HeaderMap;

use crate::client;

pub(crate) mod http;
pub(crate) mod listen;
pub(crate) mod webhook;
pub(crate) mod websocket;

/// The media types of DIDComm envelopes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MediaType {
    /// `application/didcomm-encrypted+json`
    Encrypted,
    /// `application/didcomm-plain+json`
    Plain,
    /// `application/didcomm-signed+json`
    Signed,
}

impl MediaType {
    /// Reads the media type of a request or response; parameters and case do not matter.
    pub fn of(headers: &HeaderMap) -> Option<Self> {
        let essence = client::media_type(headers)?;
        [Self::Encrypted, Self::Plain, Self::Signed]
            .into_iter()
            .find(|media_type| media_type.as_str() == essence)
    }

    /// Returns the name of the media type.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Encrypted => "application/didcomm-encrypted+json",
            Self::Plain => "application/didcomm-plain+json",
            Self::Signed => "application/didcomm-signed+json",
        }
    }
}
