//! Signed tokens as attachments: of the messages of grant/1.0, vouch/1.0 and outcome/1.0, and of any
//! other message whose sender shows what it was given (`docs/protocols/grant.md`, section 4).
//!
//! They are for the recipient's home, which reads and verifies them. Nothing here verifies anything.

use comity_didcomm::{Attachment, Message};

use super::ProtocolError;
use crate::limits::{TOKEN_CHARS_MAX, TOKENS_PER_MESSAGE_MAX};

/// What kind of token an attachment is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// A W3C credential, such as a vouch.
    Credential,
    /// A grant, or one handed on.
    Grant,
    /// One side's signature under how work ended.
    Outcome,
}

/// The tokens that a message carries.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachedTokens {
    /// One chain of grants, the first one first.
    pub grants: Vec<String>,
    /// Credentials, in any order.
    pub credentials: Vec<String>,
    /// Signatures under outcomes, those of the same outcome one after the other.
    pub outcomes: Vec<String>,
}

impl TokenKind {
    const ALL: [Self; 3] = [Self::Credential, Self::Grant, Self::Outcome];

    /// Returns the media type of an attachment of the kind.
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Credential => "application/vc+jwt",
            Self::Grant => "application/comity-grant+jwt",
            Self::Outcome => "application/comity-outcome+jwt",
        }
    }

    /// Says whether an attachment is a token, by its media type. Those that are, are not shown to
    /// agents as attachments.
    #[must_use]
    pub fn of(attachment: &Attachment) -> Option<Self> {
        let media_type = attachment.media_type.as_deref()?;
        Self::ALL.into_iter().find(|kind| kind.media_type().eq_ignore_ascii_case(media_type))
    }

    /// Makes the attachment that carries a token.
    #[must_use]
    pub fn attach(self, token: &str) -> Attachment {
        Attachment::from_bytes(None, Some(self.media_type().to_owned()), token.as_bytes())
    }
}

impl AttachedTokens {
    /// Reads the tokens that a message carries; other attachments are passed over.
    ///
    /// # Errors
    /// When there are too many, or one is too large or not there as text in base64.
    pub fn read(message: &Message) -> Result<Self, ProtocolError> {
        let mut tokens = Self::default();
        let mut count = 0;
        for attachment in &message.attachments {
            let Some(kind) = TokenKind::of(attachment) else { continue };
            count += 1;
            if TOKENS_PER_MESSAGE_MAX < count {
                return Err(ProtocolError::TooMany);
            }
            let token = token(attachment).ok_or(ProtocolError::Malformed)?;
            match kind {
                TokenKind::Credential => tokens.credentials.push(token),
                TokenKind::Grant => tokens.grants.push(token),
                TokenKind::Outcome => tokens.outcomes.push(token),
            }
        }
        Ok(tokens)
    }

    /// Makes the attachments that carry the tokens.
    pub fn attachments(&self) -> impl Iterator<Item = Attachment> {
        let grants = self.grants.iter().map(|token| (TokenKind::Grant, token));
        let credentials = self.credentials.iter().map(|token| (TokenKind::Credential, token));
        let outcomes = self.outcomes.iter().map(|token| (TokenKind::Outcome, token));
        grants.chain(credentials).chain(outcomes).map(|(kind, token)| kind.attach(token))
    }
}

fn token(attachment: &Attachment) -> Option<String> {
    // The encoded length first, so that a large one is not even decoded.
    let encoded = attachment.data.base64.as_ref()?;
    if TOKEN_CHARS_MAX.div_ceil(3) * 4 < encoded.len() {
        return None;
    }
    let token = String::from_utf8(attachment.data.bytes()?).ok()?;
    Some(token).filter(|token| token.len() <= TOKEN_CHARS_MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn message(attachments: Vec<Attachment>) -> Message {
        let type_ = "https://example.org/proposal/1.0/offer".parse().unwrap();
        let mut message = Message::new("m-1".parse().unwrap(), type_);
        message.attachments = attachments;
        Message::parse(&message.to_json()).unwrap()
    }

    #[test]
    fn tokens_come_as_they_went_and_other_attachments_are_none() {
        let tokens = AttachedTokens {
            grants: vec!["a.b.c".to_owned(), "d.e.f".to_owned()],
            credentials: vec!["g.h.i".to_owned()],
            outcomes: vec!["j.k.l".to_owned()],
        };
        let mut attachments: Vec<_> = tokens.attachments().collect();
        attachments.insert(1, Attachment::from_json(None, None, json!({})));
        attachments.insert(0, Attachment::from_bytes(None, Some("text/plain".to_owned()), b"x"));
        let message = message(attachments);
        assert_eq!(AttachedTokens::read(&message), Ok(tokens));
        let shown = message.attachments.iter().filter(|one| TokenKind::of(one).is_none());
        assert_eq!(shown.count(), 2);
    }

    #[test]
    fn tokens_are_bounded_in_number_and_size() {
        let many = |count| message(vec![TokenKind::Grant.attach("a.b.c"); count]);
        assert!(AttachedTokens::read(&many(TOKENS_PER_MESSAGE_MAX)).is_ok());
        let refused = AttachedTokens::read(&many(TOKENS_PER_MESSAGE_MAX + 1));
        assert_eq!(refused, Err(ProtocolError::TooMany));
        let large = |chars| message(vec![TokenKind::Credential.attach(&"a".repeat(chars))]);
        assert!(AttachedTokens::read(&large(TOKEN_CHARS_MAX)).is_ok());
        for chars in [TOKEN_CHARS_MAX + 1, 2 * TOKEN_CHARS_MAX] {
            assert_eq!(AttachedTokens::read(&large(chars)), Err(ProtocolError::Malformed));
        }
    }

    #[test]
    fn a_token_is_text_in_base64() {
        let media_type = Some(TokenKind::Grant.media_type().to_owned());
        let json = Attachment::from_json(None, media_type.clone(), json!("a.b.c"));
        let binary = Attachment::from_bytes(None, media_type.clone(), &[0xff]);
        let link = Attachment::from_links(None, media_type, vec!["https://a.example".into()], b"x");
        for bad in [json, binary, link] {
            assert_eq!(AttachedTokens::read(&message(vec![bad])), Err(ProtocolError::Malformed));
        }
    }
}
