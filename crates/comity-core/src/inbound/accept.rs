//! Step 1: size, media type and shape of what arrived. Cheap, bounded, and before any key is
//! touched.

use comity_didcomm::{Layer, OpenPolicy, Opening, UnixTime};

use super::authenticate::refusal_of;
use crate::limits::ENVELOPE_BYTES_MAX;
use crate::refusal::Refusal;
use crate::trust::WayIn;

/// Media type of what a home takes (DIDComm v2.1, "Media Types").
const ENCRYPTED: &str = "application/didcomm-encrypted+json";

/// Bytes as a transport brought them.
#[derive(Clone, Debug)]
pub struct Arrival {
    /// The envelope.
    pub envelope: Vec<u8>,
    /// The transport's statement of what it is (HTTP: `Content-Type`).
    pub media_type: String,
    /// How it came.
    pub way_in: WayIn,
    /// What came with it as proof of work (HTTP: `Comity-Work`).
    pub work: Option<String>,
}

impl Arrival {
    /// Describes an encrypted envelope that came without work.
    #[must_use]
    pub fn encrypted(envelope: Vec<u8>, way_in: WayIn) -> Self {
        Self { envelope, media_type: ENCRYPTED.to_owned(), way_in, work: None }
    }

    /// Describes an envelope that an agent of the same home sends.
    #[must_use]
    pub fn same_home(envelope: Vec<u8>) -> Self {
        Self::encrypted(envelope, WayIn::SameHome)
    }
}

/// An envelope of bounded size whose outermost layer is a well-formed, encrypted one.
pub struct Accepted {
    pub(super) envelope: Vec<u8>,
    pub(super) opening: Opening,
    pub(super) way_in: WayIn,
    pub(super) work: Option<String>,
    pub(super) now: UnixTime,
}

pub(super) fn accept(arrival: Arrival, now: UnixTime) -> Result<Accepted, Refusal> {
    let Arrival { envelope, media_type, way_in, work } = arrival;
    if ENVELOPE_BYTES_MAX < envelope.len() {
        return Err(Refusal::TooLarge);
    }
    let essence = media_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case(ENCRYPTED) {
        return Err(Refusal::MediaType);
    }
    let opening =
        Opening::new(&envelope, &OpenPolicy::default(), now).map_err(|error| refusal_of(&error))?;
    // A signed or plain message shows its content to everybody on the way.
    if !matches!(opening.outline().layer, Some(Layer::Anoncrypt | Layer::Authcrypt)) {
        return Err(Refusal::Unencrypted);
    }
    Ok(Accepted { envelope, opening, way_in, work, now })
}
