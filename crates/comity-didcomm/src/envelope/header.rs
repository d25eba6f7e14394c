//! What all JOSE headers have in common: parameters that are refused wherever they stand (RFC 7515 and 7516, RFC 8725).

use crate::did::DidUrl;
use crate::json::{Object, Tree};
use crate::limits::PROTECTED_CHARS_MAX;
use crate::message::is_media_type;
use crate::open::OpenError;

/// Parameters that would make us decompress, fetch or trust what the sender chose, or that demand to be understood.
const REFUSED: [&str; 11] =
    ["b64", "crit", "jku", "jwk", "p2c", "p2s", "x5c", "x5t", "x5t#S256", "x5u", "zip"];

/// Refuses the parameters that no header may have.
pub(crate) fn refuse_parameters(header: Object<'_>) -> Result<(), OpenError> {
    if header.names().any(|name| REFUSED.contains(&name)) {
        return Err(OpenError::UnsupportedHeader);
    }
    Ok(())
}

/// Reads the JSON of a decoded protected header.
pub(crate) fn read<'a>(text: &'a [u8], media_type: &str) -> Result<ProtectedHeader<'a>, OpenError> {
    let tree = Tree::read_object(text, PROTECTED_CHARS_MAX).map_err(|_| OpenError::Malformed)?;
    refuse_parameters(tree.object())?;
    // Typing keeps a token that was made for another purpose from being taken for a message (RFC 8725, section 3.11).
    match tree.object().get("typ") {
        None => {}
        Some(typ) if typ.as_str().is_some_and(|typ| is_media_type(typ, media_type)) => {}
        Some(_) => return Err(OpenError::Malformed),
    }
    Ok(ProtectedHeader(tree))
}

/// The members of a protected header, its refused parameters excluded.
pub(crate) struct ProtectedHeader<'a>(Tree<'a>);

impl ProtectedHeader<'_> {
    /// Returns the members.
    pub(crate) fn object(&self) -> Object<'_> {
        self.0.object()
    }

    /// Returns a member that must be text if it is there.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, OpenError> {
        match self.object().get(name) {
            None => Ok(None),
            Some(json) => json.as_str().map(Some).ok_or(OpenError::Malformed),
        }
    }
}

/// Reads a key id: an absolute DID URL with a fragment.
pub(crate) fn key_id(text: &str) -> Result<DidUrl, OpenError> {
    DidUrl::parse(text).ok().filter(DidUrl::is_key_id).ok_or(OpenError::Malformed)
}
