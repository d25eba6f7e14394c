//! Out-of-band 2.0 invitations: the message that is shown instead of sent, as a link or a QR code,
//! so that somebody who has no DID of ours yet can write first.
//!
//! An invitation proves nothing: whoever shows it wrote it, and `from` is a claim until an answer
//! comes back from that DID. Fetching a shortened one (`_oobid`) and drawing the code are the
//! caller's.

use serde_json::{Map, Value, json};
use thiserror::Error;

use crate::did::Did;
use crate::encoding;
use crate::limits::{INVITATION_ACCEPT_MAX, INVITATION_TEXT_CHARS_MAX, INVITATION_URL_CHARS_MAX};
use crate::message::{Attachment, IdError, Message, MessageError, MessageId, MessageType};
use crate::time::UnixTime;

/// The type of an invitation.
pub const INVITATION: &str = "https://didcomm.org/out-of-band/2.0/invitation";

/// Says why a text or message is not an invitation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum InvitationError {
    /// A member of its body has another form than the protocol says.
    #[error("the body of the invitation is malformed")]
    Body,
    /// The encoded part is not base64url.
    #[error("the invitation in the link is not base64url")]
    Encoding,
    /// It does not say whom it is from.
    #[error("the invitation does not say whom it is from")]
    From,
    /// What is encoded is not a message.
    #[error("the invitation is not a message: {0}")]
    Message(#[from] MessageError),
    /// The id of a shortened invitation is not an id.
    #[error("the id of the shortened invitation is malformed")]
    ShortId(#[from] IdError),
    /// It is longer than invitations are.
    #[error("the invitation is too long")]
    TooLong,
    /// The message has another type.
    #[error("the message is not an invitation")]
    Type,
    /// The text is not a link with an invitation in it.
    #[error("the link holds no invitation: there is neither _oob nor _oobid in its query")]
    Url,
}

/// Represents an invitation.
///
/// ```
/// # use comity_didcomm::{Did, MessageId, invitation::{Invitation, Invited}};
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut invitation = Invitation::new(MessageId::parse("i-1")?, Did::parse("did:web:a.example")?);
/// invitation.goal = Some("To plan the harvest".to_owned());
/// let url = invitation.to_url("https://a.example/invitation")?;
/// assert_eq!(Invited::from_url(&url)?, Invited::Here(Box::new(invitation)));
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Invitation {
    /// Names the invitation; the answer carries it as `pthid`.
    pub id: MessageId,
    /// Whom to answer. Also whom to be wary of: nothing proves it.
    pub from: Did,
    /// What it is for, for programs.
    pub goal_code: Option<String>,
    /// What it is for, for people. From a peer: untrusted.
    pub goal: Option<String>,
    /// Profiles that the sender takes, most wanted first, such as `didcomm/v2`.
    pub accept: Vec<String>,
    /// First messages to choose from.
    pub attachments: Vec<Attachment>,
    /// When it was made.
    pub created_time: Option<UnixTime>,
    /// When it is not to be answered any more.
    pub expires_time: Option<UnixTime>,
}

/// Says what a link holds.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Invited {
    /// The invitation itself.
    Here(Box<Invitation>),
    /// The id under which the link's own server has it.
    There(MessageId),
}

impl Invitation {
    /// Creates an invitation for the profile `didcomm/v2`.
    #[must_use]
    pub fn new(id: MessageId, from: Did) -> Self {
        Self {
            id,
            from,
            goal_code: None,
            goal: None,
            accept: vec!["didcomm/v2".to_owned()],
            attachments: Vec::new(),
            created_time: None,
            expires_time: None,
        }
    }

    /// Reads the invitation out of a message.
    ///
    /// # Errors
    /// When the message is not an invitation, or one without sender.
    pub fn from_message(message: Message) -> Result<Self, InvitationError> {
        if !invitation_type().matches(&message.type_) {
            return Err(InvitationError::Type);
        }
        let text = |name: &str| match message.body.get(name) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) if text.len() <= INVITATION_TEXT_CHARS_MAX => {
                Ok(Some(text.clone()))
            }
            Some(_) => Err(InvitationError::Body),
        };
        let accept = match message.body.get("accept") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(items)) if items.len() <= INVITATION_ACCEPT_MAX => items
                .iter()
                .map(|item| item.as_str().map(str::to_owned).ok_or(InvitationError::Body))
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(InvitationError::Body),
        };
        Ok(Self {
            goal_code: text("goal_code")?,
            goal: text("goal")?,
            accept,
            id: message.id,
            from: message.from.ok_or(InvitationError::From)?,
            attachments: message.attachments,
            created_time: message.created_time,
            expires_time: message.expires_time,
        })
    }

    /// Creates the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        let mut body = Map::new();
        for (name, text) in [("goal_code", self.goal_code), ("goal", self.goal)] {
            if let Some(text) = text {
                body.insert(name.to_owned(), Value::String(text));
            }
        }
        if !self.accept.is_empty() {
            body.insert("accept".to_owned(), json!(self.accept));
        }
        let mut message = Message::new(self.id, invitation_type())
            .with_from(self.from)
            .with_times(self.created_time, self.expires_time)
            .with_body(body);
        message.attachments = self.attachments;
        message
    }

    /// Writes the invitation as a link. A short one makes a QR code that phones can read: most of
    /// the length is the DID and the goal.
    ///
    /// # Errors
    /// When `base` cannot carry a query, or the link would be longer than receivers take.
    pub fn to_url(&self, base: &str) -> Result<String, InvitationError> {
        let usable = base.contains(':') && base.bytes().all(|byte| byte.is_ascii_graphic());
        if !usable || base.contains('#') {
            return Err(InvitationError::Url);
        }
        let mark = if base.contains('?') { '&' } else { '?' };
        let mut url = format!("{base}{mark}{OOB}");
        encoding::push_base64url(self.clone().into_message().to_json(), &mut url);
        if INVITATION_URL_CHARS_MAX < url.len() { Err(InvitationError::TooLong) } else { Ok(url) }
    }

    /// Marks a message as the answer to the invitation: its thread is a child of the invitation.
    #[must_use]
    pub fn answered_by(&self, message: Message) -> Message {
        message.with_pthid(self.id.as_str())
    }

    /// Whether it is past its time.
    #[must_use]
    pub fn is_expired(&self, now: UnixTime) -> bool {
        self.expires_time.is_some_and(|expires| expires <= now)
    }
}

impl Invited {
    /// Reads a link. White space anywhere in it is ignored: mail programs break long lines.
    ///
    /// # Errors
    /// When the text holds no invitation.
    pub fn from_url(text: &str) -> Result<Self, InvitationError> {
        if INVITATION_URL_CHARS_MAX < text.len() {
            return Err(InvitationError::TooLong);
        }
        let text: String = text.chars().filter(|c| !c.is_ascii_whitespace()).collect();
        let (before_fragment, _) = text.split_once('#').unwrap_or((&text, ""));
        let (_, query) = before_fragment.split_once('?').ok_or(InvitationError::Url)?;
        let value = |name: &str| {
            let mut found = query.split('&').filter_map(|pair| pair.strip_prefix(name));
            // Twice would be two invitations in one link.
            (found.next(), found.next().is_some())
        };
        match (value(OOB), value(OOBID)) {
            ((Some(encoded), false), _) => {
                Invitation::decode(encoded).map(|invitation| Self::Here(Box::new(invitation)))
            }
            ((None, _), (Some(id), false)) => Ok(Self::There(MessageId::parse(id)?)),
            _ => Err(InvitationError::Url),
        }
    }
}

impl Invitation {
    fn decode(encoded: &str) -> Result<Self, InvitationError> {
        let encoded = encoded.replace("%3D", "=").replace("%3d", "=");
        let text = encoding::from_base64url(encoded.trim_end_matches('='));
        let text = text.ok_or(InvitationError::Encoding)?;
        Self::from_message(Message::parse(&text)?)
    }
}

const OOB: &str = "_oob=";
const OOBID: &str = "_oobid=";

#[expect(clippy::expect_used, reason = "the type is a constant")]
fn invitation_type() -> MessageType {
    MessageType::parse(INVITATION).expect("the constant is a message type")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn invitation() -> Invitation {
        let from = Did::parse("did:web:a.example").unwrap();
        let mut invitation = Invitation::new(MessageId::parse("i-1").unwrap(), from);
        invitation.goal_code = Some("example.a.plan".to_owned());
        invitation.goal = Some("To plan".to_owned());
        invitation.expires_time = Some(UnixTime(9));
        invitation.attachments = vec![Attachment::from_json(None, None, json!({ "a": 1 }))];
        invitation
    }

    fn url_of(message: &Value) -> String {
        format!("https://a.example?_oob={}", encoding::base64url(message.to_string()))
    }

    #[test]
    fn an_invitation_survives_its_link_and_the_mail() {
        let url = invitation().to_url("https://a.example/path").unwrap();
        assert!(url.starts_with("https://a.example/path?_oob="));
        let here = Invited::Here(Box::new(invitation()));
        assert_eq!(Invited::from_url(&url).unwrap(), here);
        let (one, other) = url.split_at(70);
        assert_eq!(Invited::from_url(&format!(" {one}\r\n {other}\n")).unwrap(), here);
        assert_eq!(Invited::from_url(&format!("{url}%3D=&x=y#frag")).unwrap(), here);
        let url = invitation().to_url("didcomm://invite?x=y").unwrap();
        assert_eq!(Invited::from_url(&url).unwrap(), here);
    }

    #[test]
    fn the_example_of_the_protocol_is_read() {
        let url = url_of(&json!({
            "type": "https://didcomm.org/out-of-band/2.0/invitation",
            "id": "69212a3a-d068-4f9d-a2dd-4741bca89af3",
            "from": "did:example:alice",
            "body": { "goal_code": "", "goal": "" },
        }));
        let Invited::Here(invitation) = Invited::from_url(&url).unwrap() else { panic!() };
        assert!(invitation.accept.is_empty());
        let type_ = "https://didcomm.org/empty/1.0/empty".parse().unwrap();
        let answer = invitation.answered_by(Message::new(MessageId::parse("a").unwrap(), type_));
        assert_eq!(answer.pthid.as_deref(), Some("69212a3a-d068-4f9d-a2dd-4741bca89af3"));
        assert!(!invitation.is_expired(UnixTime(u64::MAX)));
    }

    #[test]
    fn a_shortened_link_says_its_id() {
        let id = MessageId::parse("5f0e3ffb-3f92-4648-9868-0d6f8889e6f3").unwrap();
        let url = format!("https://a.example/path?_oobid={id}");
        assert_eq!(Invited::from_url(&url), Ok(Invited::There(id)));
        let both = invitation().to_url(&url).unwrap();
        assert_eq!(Invited::from_url(&both), Ok(Invited::Here(Box::new(invitation()))));
    }

    #[test]
    fn what_is_no_invitation_is_refused() {
        let message = |body: Value| json!({ "type": INVITATION, "id": "i", "from": "did:web:a.example", "body": body });
        let long = "x".repeat(INVITATION_TEXT_CHARS_MAX + 1);
        for (url, error) in [
            ("https://a.example".to_owned(), InvitationError::Url),
            ("https://a.example?oob=x".to_owned(), InvitationError::Url),
            ("https://a.example#?_oob=x".to_owned(), InvitationError::Url),
            ("https://a.example?_oob=e30&_oob=e30".to_owned(), InvitationError::Url),
            ("https://a.example?_oobid=a/b".to_owned(), InvitationError::ShortId(IdError)),
            ("https://a.example?_oob=*".to_owned(), InvitationError::Encoding),
            (
                "https://a.example?_oob=e30".to_owned(),
                InvitationError::Message(MessageError::Missing("id")),
            ),
            (
                url_of(&json!({ "type": "https://didcomm.org/empty/1.0/empty", "id": "i" })),
                InvitationError::Type,
            ),
            (url_of(&json!({ "type": INVITATION, "id": "i" })), InvitationError::From),
            (url_of(&message(json!({ "goal": 1 }))), InvitationError::Body),
            (url_of(&message(json!({ "goal": long }))), InvitationError::Body),
            (url_of(&message(json!({ "accept": "didcomm/v2" }))), InvitationError::Body),
            (url_of(&message(json!({ "accept": vec!["x"; 33] }))), InvitationError::Body),
            ("?".repeat(INVITATION_URL_CHARS_MAX + 1), InvitationError::TooLong),
        ] {
            assert_eq!(Invited::from_url(&url), Err(error), "{url:.80}");
        }
    }

    #[test]
    fn a_link_that_would_not_be_read_is_not_written() {
        let mut invitation = invitation();
        for base in ["", "https://a.example#x", "https://a.example/ b"] {
            assert_eq!(invitation.to_url(base), Err(InvitationError::Url), "{base}");
        }
        invitation.goal = Some("x".repeat(INVITATION_URL_CHARS_MAX));
        assert_eq!(invitation.to_url("https://a.example"), Err(InvitationError::TooLong));
    }

    #[test]
    fn an_invitation_expires_at_its_time() {
        assert!(invitation().is_expired(UnixTime(9)) && !invitation().is_expired(UnixTime(8)));
    }
}
