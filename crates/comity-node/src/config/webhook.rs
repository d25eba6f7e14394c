//! Where events are posted to, and the secret that they are signed with: both show themselves nowhere.

use std::fmt;

use comity_core::webhook::Secrets;
use thiserror::Error;

/// URL of a webhook. What stands behind its host may be a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookUrl {
    url: String,
    origin: String,
}

/// Why a text is no URL of a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum WebhookUrlError {
    /// It is not an absolute https URL, or has user information or a fragment.
    #[error("an https URL, such as https://hooks.example.org/comity")]
    Malformed,
    /// It is plain http, which only development mode allows.
    #[error("an https URL, or add --dev for a trial on one machine")]
    PlainHttp,
}

impl WebhookUrl {
    /// Reads a URL; plain http is for development mode.
    ///
    /// # Errors
    /// When nothing can be posted to it.
    pub fn parse(url: &str, dev: bool) -> Result<Self, WebhookUrlError> {
        let malformed = WebhookUrlError::Malformed;
        let uri: http::Uri = url.parse().map_err(|_| malformed)?;
        let (scheme, authority) = uri.scheme_str().zip(uri.authority()).ok_or(malformed)?;
        if authority.as_str().contains('@') || authority.host().is_empty() || url.contains('#') {
            return Err(malformed);
        }
        match scheme {
            "https" => {}
            "http" if dev => {}
            "http" => return Err(WebhookUrlError::PlainHttp),
            _ => return Err(malformed),
        }
        let origin = format!("{scheme}://{authority}");
        Ok(Self { url: url.to_owned(), origin })
    }

    /// Returns the URL.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.url
    }

    /// Returns what of it may be shown: scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }
}

impl fmt::Debug for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "WebhookUrl({}/..)", self.origin)
    }
}

/// The webhook's secret, or several, in text.
#[derive(Clone, PartialEq, Eq)]
pub struct WebhookSecret(zeroize::Zeroizing<String>);

impl WebhookSecret {
    /// Takes a text that holds secrets; nothing if it holds none.
    pub(crate) fn parse(text: String) -> Option<Self> {
        let text = zeroize::Zeroizing::new(text);
        text.parse::<Secrets>().is_ok().then_some(Self(text))
    }

    /// Returns the secrets.
    #[expect(clippy::expect_used, reason = "only a text that holds secrets becomes one")]
    pub(crate) fn secrets(&self) -> Secrets {
        self.0.parse().expect("it was parsed before")
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_posted_to_by_https_and_shows_its_host_only() {
        let url = WebhookUrl::parse("https://a.example:8443/s3cret?token=s3cret", false).unwrap();
        assert_eq!(url.origin(), "https://a.example:8443");
        assert_eq!(format!("{url:?}"), "WebhookUrl(https://a.example:8443/..)");
        let plain = "http://localhost:1/hook";
        assert_eq!(WebhookUrl::parse(plain, true).map(|url| url.as_str().len()), Ok(plain.len()));
        assert_eq!(WebhookUrl::parse(plain, false), Err(WebhookUrlError::PlainHttp));
        for bad in [
            "",
            "a.example",
            "https://",
            "https://u@a.example/",
            "https://a.example/#f",
            "ftp://a.example/",
        ] {
            assert_eq!(WebhookUrl::parse(bad, true), Err(WebhookUrlError::Malformed), "{bad}");
        }
    }
}
