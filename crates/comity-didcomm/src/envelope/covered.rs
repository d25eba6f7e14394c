//! [`Covered`]: a text that is authenticated and the content that goes with it, in one buffer, so
//! that what an envelope holds is decoded once and decrypted where it lies.

use crate::encoding;

/// The text that a tag or signature covers, and behind it what was decoded last: the header at
/// first, then the content.
pub(crate) struct Covered {
    bytes: Vec<u8>,
    /// Where the content begins.
    at: usize,
}

impl Covered {
    /// Takes the text, in parts, with room for the decoded form of the longest of `encoded`.
    pub(crate) fn new<const N: usize>(text: [&str; N], encoded: [&str; 2]) -> Self {
        let at = text.iter().map(|part| part.len()).sum();
        let room = encoded.map(encoding::decoded_bytes_max).into_iter().max().unwrap_or_default();
        let mut bytes = Vec::with_capacity(at + room);
        text.iter().for_each(|part| bytes.extend_from_slice(part.as_bytes()));
        Self { bytes, at }
    }

    /// Decodes base64url in place of the content.
    pub(crate) fn decode(&mut self, base64url: &str) -> Option<&[u8]> {
        self.bytes.truncate(self.at);
        encoding::push_from_base64url(base64url, &mut self.bytes)?;
        Some(self.content())
    }

    /// The text that is covered, and the content, to be decrypted in place.
    pub(crate) fn split_mut(&mut self) -> (&[u8], &mut [u8]) {
        let (text, content) = self.bytes.split_at_mut(self.at);
        (text, content)
    }

    pub(crate) fn text(&self) -> &[u8] {
        self.bytes.get(..self.at).unwrap_or_default()
    }

    pub(crate) fn content(&self) -> &[u8] {
        self.bytes.get(self.at..).unwrap_or_default()
    }

    /// Keeps so many bytes of the content, and nothing else.
    pub(crate) fn into_content(mut self, length: usize) -> Vec<u8> {
        self.bytes.truncate(self.at + length);
        self.bytes.drain(..self.at);
        self.bytes
    }
}
