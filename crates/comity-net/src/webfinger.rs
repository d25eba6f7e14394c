//! Names for DIDs: `bruno@org-b.example`, resolved by WebFinger (RFC 7033, RFC 7565).
//!
//! A handle is only a name: the host it names says which DID it stands for today, and what holds
//! is the DID. The DID is the `href` of the first link of relation
//! `https://comity.dev/rel/did`; where there is none, the first alias that is a DID, so that hosts
//! which know nothing of Comity can name DIDs too. It caches nothing.

use std::{fmt, net::Ipv4Addr, str::FromStr};

use comity_didcomm::Did;
use serde::Deserialize;
use serde_json::{Value, json};
use thiserror::Error;

use crate::{
    fetch::{FetchError, Fetcher},
    limits::{HANDLE_NAME_BYTES_MAX, HOST_BYTES_MAX},
};

/// The link relation under which a host names an account's DID.
pub const REL_DID: &str = "https://comity.dev/rel/did";

/// The media type of a WebFinger answer.
pub const JRD_MEDIA_TYPE: &str = "application/jrd+json";

/// A name at a host, `name@host` or `name@host:port`, in lower case.
///
/// ```
/// use comity_net::Handle;
///
/// let handle = Handle::parse("Bruno@Org-B.example")?;
/// assert_eq!(handle.to_string(), "bruno@org-b.example");
/// assert_eq!(handle.name(), "bruno");
/// # Ok::<(), comity_net::ParseHandleError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Handle {
    name: Box<str>,
    host: Box<str>,
    port: Option<u16>,
}

/// Why a text is not a handle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ParseHandleError {
    /// The host is not a DNS name or an IPv4 address.
    #[error("the part after the @ is not a host name")]
    Host,
    /// The name is empty, too long, or has other signs than letters, digits, `.`, `_` and `-`.
    #[error("the part before the @ may have letters, digits, '.', '_' and '-' only")]
    Name,
    /// The port is not a number from 1 to 65535.
    #[error("the port is not a number from 1 to 65535")]
    Port,
    /// It has no `@`, or more than one; or a resource does not begin with `acct:`.
    #[error("a handle has the form name@host or name@host:port")]
    Shape,
}

impl Handle {
    /// Parses `name@host` or `name@host:port`.
    ///
    /// # Errors
    /// Everything else is refused, IPv6 literals and percent-encoding included.
    pub fn parse(text: &str) -> Result<Self, ParseHandleError> {
        let (name, rest) = text.split_once('@').ok_or(ParseHandleError::Shape)?;
        if rest.contains('@') {
            return Err(ParseHandleError::Shape);
        }
        let (host, port) = match rest.split_once(':') {
            Some((host, port)) => (host, Some(parse_port(port)?)),
            None => (rest, None),
        };
        if !is_name(name) {
            return Err(ParseHandleError::Name);
        }
        if !is_host(host) {
            return Err(ParseHandleError::Host);
        }
        let name = name.to_ascii_lowercase().into();
        Ok(Self { name, host: host.to_ascii_lowercase().into(), port })
    }

    /// Parses a WebFinger resource, `acct:name@host`, as a host is asked for it.
    ///
    /// # Errors
    /// Resources of other schemes are not handles.
    pub fn parse_resource(resource: &str) -> Result<Self, ParseHandleError> {
        Self::parse(resource.strip_prefix("acct:").ok_or(ParseHandleError::Shape)?)
    }

    /// Returns the part before the `@`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Returns the host, without the port.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Returns the port, where it is not the scheme's own.
    pub fn port(&self) -> Option<u16> {
        self.port
    }

    /// Returns the `acct:` URI that stands for the handle in WebFinger.
    pub fn resource(&self) -> String {
        format!("acct:{self}")
    }
}

impl fmt::Display for Handle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}@{}", self.name, self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl FromStr for Handle {
    type Err = ParseHandleError;

    fn from_str(text: &str) -> Result<Self, ParseHandleError> {
        Self::parse(text)
    }
}

fn is_name(name: &str) -> bool {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    (1..=HANDLE_NAME_BYTES_MAX).contains(&name.len())
        && name.bytes().all(legal)
        && !name.starts_with(['.', '-'])
        && !name.ends_with('.')
        && !name.contains("..")
}

/// Tells whether a text is a host name of letters, digits and hyphens (RFC 1123). One that ends
/// in a number must be a whole IPv4 address, or some resolvers would read it as an odd one.
fn is_host(host: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    if host.len() > HOST_BYTES_MAX || !host.split('.').all(is_label) {
        return false;
    }
    let last = host.rsplit('.').next().unwrap_or_default();
    let ends_in_number = last.bytes().all(|byte| byte.is_ascii_digit())
        || last.get(..2).is_some_and(|start| start.eq_ignore_ascii_case("0x"));
    !ends_in_number || host.parse::<Ipv4Addr>().is_ok()
}

fn parse_port(text: &str) -> Result<u16, ParseHandleError> {
    // `parse` alone would take a plus sign and leading zeros.
    if !text.bytes().all(|byte| byte.is_ascii_digit()) || text.starts_with('0') {
        return Err(ParseHandleError::Port);
    }
    text.parse().map_err(|_error| ParseHandleError::Port)
}

/// Why a handle names no DID.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum ResolveHandleError {
    /// The host's answer could not be fetched.
    #[error("the host does not answer for the name: {0}")]
    Fetch(#[from] FetchError),
    /// The answer is not a WebFinger document.
    #[error("the host's answer is not a WebFinger document")]
    Malformed,
    /// The answer names no DID.
    #[error("the host names no DID for this handle")]
    NoDid,
    /// The answer is about somebody else, as from a host that has one answer for every name.
    #[error("the host's answer is about another name")]
    OtherSubject,
}

/// Asks a handle's host which DID it stands for.
///
/// # Errors
/// [`ResolveHandleError`] says why none is known.
pub async fn resolve_handle(fetcher: &Fetcher, handle: &Handle) -> Result<Did, ResolveHandleError> {
    let scheme = fetcher.policy().scheme_for(handle.host());
    let host = handle.host();
    let port = handle.port().map(|port| format!(":{port}")).unwrap_or_default();
    let encoded_port = handle.port().map(|port| format!("%3A{port}")).unwrap_or_default();
    // All signs that a handle can have are unreserved in a query, but for the @ and the colons.
    let url = format!(
        "{scheme}://{host}{port}/.well-known/webfinger?resource=acct%3A{}%40{host}{encoded_port}",
        handle.name(),
    );
    let answer = fetcher.get(&url, JRD_MEDIA_TYPE).await?;
    did_in(&answer, handle)
}

/// Builds the answer of a host that names a DID for a handle.
pub fn jrd(handle: &Handle, did: &Did) -> Value {
    json!({
        "subject": handle.resource(),
        "aliases": [did.as_str()],
        "links": [{ "rel": REL_DID, "href": did.as_str() }],
    })
}

#[derive(Deserialize)]
struct Jrd {
    subject: Option<String>,
    #[serde(default)]
    aliases: Vec<String>,
    #[serde(default)]
    links: Vec<Link>,
}

#[derive(Deserialize)]
struct Link {
    rel: String,
    href: Option<String>,
}

fn did_in(answer: &[u8], handle: &Handle) -> Result<Did, ResolveHandleError> {
    let jrd: Jrd =
        serde_json::from_slice(answer).map_err(|_error| ResolveHandleError::Malformed)?;
    let is_about = |subject: &str| Handle::parse_resource(subject).as_ref() == Ok(handle);
    if !jrd.subject.as_deref().is_none_or(is_about) {
        return Err(ResolveHandleError::OtherSubject);
    }
    let links = jrd.links.iter().filter(|link| link.rel == REL_DID);
    links
        .filter_map(|link| link.href.as_deref())
        .chain(jrd.aliases.iter().map(String::as_str))
        .find_map(|text| Did::parse(text).ok())
        .ok_or(ResolveHandleError::NoDid)
}

#[cfg(test)]
mod tests;
