//! [`MessageType`] and [`ProtocolId`] (DIDComm v2.1, section "Protocols": MTURI and PIURI).
//!
//! A type is compared by meaning, not by text: names without regard to case and punctuation,
//! versions by their major part. What a higher minor version adds is the reader's business.

use std::fmt;
use std::str::FromStr;

use thiserror::Error;

use crate::limits::MESSAGE_TYPE_CHARS_MAX;

/// Says that a text is not a message type URI or protocol identifier URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the text is not a message type or protocol URI")]
pub struct TypeError;

/// Names a protocol in one version: `https://example.org/lets-lunch/1.0`.
///
/// `==` compares the text; [`ProtocolId::matches`] compares as DIDComm does.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProtocolId {
    text: Box<str>,
    /// Where the protocol's name begins and ends in the text.
    name: (u16, u16),
    major: u32,
    minor: u32,
}

impl ProtocolId {
    /// Reads a protocol identifier URI.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        // The delimiter before the name is one of `/ ? & : ; =`: the first character, from the end,
        // that no name has.
        let bounded = text.len() <= MESSAGE_TYPE_CHARS_MAX
            && text.bytes().all(|byte| byte.is_ascii_graphic());
        let (before, version) = text.rsplit_once('/').filter(|_| bounded).ok_or(TypeError)?;
        let name_at = before.rfind(|c| !is_name_char(c)).map_or(0, |at| at + 1);
        let name = before.get(name_at..).unwrap_or_default();
        let delimited = before
            .as_bytes()
            .get(name_at.wrapping_sub(1))
            .is_some_and(|delimiter| matches!(delimiter, b'/' | b'?' | b'&' | b':' | b';' | b'='));
        if name.is_empty() || !delimited {
            return Err(TypeError);
        }
        let (major, minor) = parse_version(version).ok_or(TypeError)?;
        let offset = |at: usize| u16::try_from(at).map_err(|_| TypeError);
        Ok(Self {
            text: text.into(),
            name: (offset(name_at)?, offset(before.len())?),
            major,
            minor,
        })
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns what stands before the name, with the delimiter: who defined the protocol.
    #[must_use]
    pub fn doc_uri(&self) -> &str {
        self.text.get(..usize::from(self.name.0)).unwrap_or_default()
    }

    /// Returns the protocol's name.
    #[must_use]
    pub fn name(&self) -> &str {
        self.text.get(usize::from(self.name.0)..usize::from(self.name.1)).unwrap_or_default()
    }

    /// Returns the major version.
    #[must_use]
    pub const fn major(&self) -> u32 {
        self.major
    }

    /// Returns the minor version.
    #[must_use]
    pub const fn minor(&self) -> u32 {
        self.minor
    }

    /// Whether both speak of the same protocol, so that parties who know one can use the lower
    /// minor version of the two.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        self.major == other.major
            && self.doc_uri() == other.doc_uri()
            && same_name(self.name(), other.name())
    }

    /// Chooses, among the versions that one supports, the one with which to read a message of this
    /// protocol: the highest minor version of the same major one. `None`: the protocol, or its
    /// major version, is not supported.
    ///
    /// The two versions may differ by their minor part; then the features of the older one are what
    /// both know, and [`features`](Self::features) says which.
    #[must_use]
    pub fn choose<'a>(&self, supported: &'a [Self]) -> Option<&'a Self> {
        supported.iter().filter(|known| known.matches(self)).max_by_key(|known| known.minor)
    }

    /// Returns the minor version whose features two parties have in common; `None`: they speak of
    /// different protocols.
    ///
    /// ```
    /// # use comity_didcomm::ProtocolId;
    /// let ours: [ProtocolId; 2] =
    ///     ["https://a.example/lunch/1.4".parse()?, "https://a.example/lunch/2.0".parse()?];
    /// let theirs: ProtocolId = "https://a.example/lunch/1.7".parse()?;
    /// let chosen = theirs.choose(&ours).ok_or("not supported")?;
    /// assert_eq!(chosen.features(&theirs), Some(4));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn features(&self, other: &Self) -> Option<u32> {
        self.matches(other).then(|| self.minor.min(other.minor))
    }
}

/// Names a message of a protocol: `https://example.org/lets-lunch/1.0/proposal`.
///
/// `==` compares the text; [`MessageType::matches`] compares as DIDComm does.
///
/// ```
/// # use comity_didcomm::MessageType;
/// let known = MessageType::parse("https://example.org/lets-lunch/1.0/proposal")?;
/// let came = MessageType::parse("https://example.org/Lets_Lunch/1.2/Proposal")?;
/// assert!(known.matches(&came));
/// assert_eq!(came.protocol().as_str(), "https://example.org/Lets_Lunch/1.2");
/// # Ok::<(), comity_didcomm::TypeError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MessageType {
    protocol: ProtocolId,
    name: Box<str>,
}

impl MessageType {
    /// Reads a message type URI.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn parse(text: &str) -> Result<Self, TypeError> {
        let (protocol, name) = text.rsplit_once('/').ok_or(TypeError)?;
        let name_ok = !name.is_empty() && name.chars().all(is_name_char);
        if !name_ok || MESSAGE_TYPE_CHARS_MAX < text.len() {
            return Err(TypeError);
        }
        Ok(Self { protocol: ProtocolId::parse(protocol)?, name: name.into() })
    }

    /// Returns the protocol that the message belongs to.
    #[must_use]
    pub const fn protocol(&self) -> &ProtocolId {
        &self.protocol
    }

    /// Returns the message's name within its protocol.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether both name the same message of the same protocol.
    #[must_use]
    pub fn matches(&self, other: &Self) -> bool {
        same_name(&self.name, &other.name) && self.protocol.matches(&other.protocol)
    }
}

fn parse_version(text: &str) -> Option<(u32, u32)> {
    let mut parts = text.split('.');
    let mut number = || {
        let part = parts.next()?;
        let digits = !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
        if digits { part.parse::<u32>().ok() } else { None }
    };
    let (major, minor) = (number()?, number()?);
    match text.split('.').count() {
        2 => Some((major, minor)),
        3 => number().map(|_| (major, minor)),
        _ => None,
    }
}

const fn is_name_char(c: char) -> bool {
    c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-')
}

fn same_name(one: &str, other: &str) -> bool {
    let letters = |text: &'_ str| {
        text.bytes()
            .filter(u8::is_ascii_alphanumeric)
            .map(|byte| byte.to_ascii_lowercase())
            .collect::<Vec<_>>()
    };
    one == other || letters(one) == letters(other)
}

impl fmt::Display for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for ProtocolId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl FromStr for ProtocolId {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        Self::parse(text)
    }
}

serde_as_string!(ProtocolId);

impl fmt::Display for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.protocol, self.name)
    }
}

impl fmt::Debug for MessageType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for MessageType {
    type Err = TypeError;

    fn from_str(text: &str) -> Result<Self, TypeError> {
        Self::parse(text)
    }
}

serde_as_string!(MessageType);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parts_of_a_type_are_found() {
        for (text, doc_uri, name, version, message) in [
            (
                "https://didcomm.org/trust-ping/2.0/ping",
                "https://didcomm.org/",
                "trust-ping",
                (2, 0),
                "ping",
            ),
            (
                "https://example.com/protocols/lets_do_lunch/1.0/proposal",
                "https://example.com/protocols/",
                "lets_do_lunch",
                (1, 0),
                "proposal",
            ),
            (
                "https://example.com/?which=lets_do_lunch/1.12.3/x",
                "https://example.com/?which=",
                "lets_do_lunch",
                (1, 12),
                "x",
            ),
            ("did:example:1234;spec/lunch/0.9/x", "did:example:1234;spec/", "lunch", (0, 9), "x"),
            ("did:example:1234;lunch/0.9/x", "did:example:1234;", "lunch", (0, 9), "x"),
        ] {
            let type_ = MessageType::parse(text).unwrap();
            let protocol = type_.protocol();
            assert_eq!((protocol.doc_uri(), protocol.name()), (doc_uri, name));
            assert_eq!((protocol.major(), protocol.minor()), version);
            assert_eq!((type_.name(), type_.to_string().as_str()), (message, text));
        }
    }

    #[test]
    fn what_is_not_a_type_is_refused() {
        for bad in [
            "",
            "/",
            "ping",
            "1.0/ping",
            "x/1.0/ping",
            "/1.0/ping",
            "https://a.example/p/1/ping",
            "https://a.example/p/1.0/",
            "https://a.example/p/one.0/ping",
            "https://a.example/p/1.0.0.0/x",
            "https://a.example/p/1./x",
            "https://a.example/p/+1.0/x",
            "https://a.example/p /1.0/x",
            "https://a.example//1.0/x",
            "https://a.example/p/1.0/x y",
            "https://a.example/p/99999999999.0/x",
            "https://a.example/\u{e9}p/1.0/x",
            "https://a.example@p/1.0/x",
        ] {
            assert_eq!(MessageType::parse(bad), Err(TypeError), "{bad:?}");
        }
        let long = format!("https://a.example/{}/1.0/x", "p".repeat(MESSAGE_TYPE_CHARS_MAX));
        assert_eq!(MessageType::parse(&long), Err(TypeError));
    }

    #[test]
    fn types_match_by_meaning() {
        let known = MessageType::parse("https://a.example/lets-lunch/1.0/propose-time").unwrap();
        let matches = |text: &str| known.matches(&MessageType::parse(text).unwrap());
        assert!(matches("https://a.example/LetsLunch/1.7/ProposeTime"));
        assert!(!matches("https://a.example/lets-lunch/2.0/propose-time"));
        assert!(!matches("https://b.example/lets-lunch/1.0/propose-time"));
        assert!(!matches("https://a.example/lets-lunch/1.0/propose"));
        assert!(!matches("https://a.example/lets-brunch/1.0/propose-time"));
    }

    #[test]
    fn the_highest_minor_of_the_same_major_is_chosen() {
        let id = |text: &str| ProtocolId::parse(&format!("https://a.example/{text}")).unwrap();
        let ours = [id("lunch/1.0"), id("lunch/1.4"), id("lunch/2.0"), id("brunch/1.9")];
        assert_eq!(id("Lunch/1.7").choose(&ours), Some(&ours[1]));
        assert_eq!(id("lunch/1.2").choose(&ours), Some(&ours[1]));
        assert_eq!(id("lunch/3.0").choose(&ours), None);
        assert_eq!(id("lunch/1.2").features(&ours[1]), Some(2));
        assert_eq!(id("lunch/1.7").features(&ours[1]), Some(4));
        assert_eq!(id("lunch/2.0").features(&ours[1]), None);
    }
}
