//! Reads plaintext messages. What decides about identity, time or content must have the prescribed
//! form; an advisory header that has not is kept in `extra` and ignored, because unknown things
//! must not fail a message.

use super::write::is_core_header;
use super::{Attachment, Message, MessageError, MessageId, MessageType, id, is_language_tag};
use crate::did::{Did, DidUrl};
use crate::json::{Json, Object, Tree};
use crate::limits::{
    ATTACHMENTS_MAX, ENVELOPE_BYTES_MAX, FROM_PRIOR_CHARS_MAX, LIST_HEADER_MAX, TO_MAX,
};
use crate::time::UnixTime;

impl Message {
    /// Reads a plaintext message.
    ///
    /// # Errors
    /// When the text is not one.
    pub fn parse(text: &[u8]) -> Result<Self, MessageError> {
        let tree = Tree::read_object(text, ENVELOPE_BYTES_MAX)?;
        Self::from_object(tree.object(), &[])
    }

    /// Reads a plaintext message. DIDs that are among the known ones share their text.
    pub(crate) fn from_object(
        object: Object<'_>,
        known: &[Option<&Did>],
    ) -> Result<Self, MessageError> {
        object.check_weight()?;
        match text(object, "typ")? {
            Some(typ) if !is_media_type(typ, Self::MEDIA_TYPE) => {
                return Err(MessageError::Header("typ"));
            }
            _ => {}
        }
        let id = text(object, "id")?.ok_or(MessageError::Missing("id"))?;
        let id = MessageId::parse(id).map_err(|_| MessageError::Header("id"))?;
        let type_ = text(object, "type")?.ok_or(MessageError::Missing("type"))?;
        let type_ = MessageType::parse(type_).map_err(|_| MessageError::Header("type"))?;
        let mut message = Self::new(id, type_);
        message.to = list(object, "to", TO_MAX, |json| party(json, known))?;
        message.from = header(object, "from", |json| party(json, known))?;
        message.thid = header(object, "thid", thread_id)?;
        message.pthid = header(object, "pthid", thread_id)?;
        message.created_time = header(object, "created_time", time)?;
        message.expires_time = header(object, "expires_time", time)?;
        let body = header(object, "body", |json| json.as_object().map(Object::to_map))?;
        message.body = body.unwrap_or_default();
        message.attachments = list(object, "attachments", ATTACHMENTS_MAX, from_json)?;
        message.attachments.iter().try_for_each(Attachment::check)?;
        message.from_prior = header(object, "from_prior", |json| {
            json.as_str().filter(|jwt| jwt.len() <= FROM_PRIOR_CHARS_MAX).map(str::to_owned)
        })?;
        message.please_ack = list(object, "please_ack", LIST_HEADER_MAX, ack_id)?;
        message.ack = list(object, "ack", LIST_HEADER_MAX, ack_id)?;
        for (name, json) in object.members() {
            if !is_core_header(name) && !message.take_advisory(name, json) {
                message.extra.insert(name.to_owned(), json.to_value());
            }
        }
        Ok(message)
    }

    /// Takes an advisory header, if it is one and has the expected form.
    fn take_advisory(&mut self, name: &str, json: Json<'_>) -> bool {
        match name {
            "lang" => set(&mut self.lang, language(json).map(Some)),
            "accept-lang" => set(&mut self.accept_lang, items(json, language)),
            "l10n" => set(&mut self.l10n, Some(Some(json.to_value()))),
            "return_route" => set(&mut self.return_route, from_json(json).map(Some)),
            "return_route_thread" => set(&mut self.return_route_thread, owned(json).map(Some)),
            "trace" => set(&mut self.trace, owned(json).map(Some)),
            "sender_order" => set(&mut self.sender_order, json.as_u64().map(Some)),
            "sent_count" => set(&mut self.sent_count, json.as_u64().map(Some)),
            "received_orders" => set(&mut self.received_orders, items(json, from_json)),
            _ => false,
        }
    }
}

/// Whether a media type is the expected one; without a `/` it stands for `application/...` (RFC
/// 7515, section 4.1.9).
pub(crate) fn is_media_type(text: &str, expected: &str) -> bool {
    let short = expected.strip_prefix("application/").unwrap_or(expected);
    text.eq_ignore_ascii_case(expected) || text.eq_ignore_ascii_case(short)
}

/// Returns a member that must be text if it is there.
fn text<'t>(object: Object<'t>, name: &'static str) -> Result<Option<&'t str>, MessageError> {
    header(object, name, Json::as_str)
}

/// Reads a member that must have the prescribed form if it is there.
fn header<'t, T>(
    object: Object<'t>,
    name: &'static str,
    read: impl FnOnce(Json<'t>) -> Option<T>,
) -> Result<Option<T>, MessageError> {
    object.get(name).map(|json| read(json).ok_or(MessageError::Header(name))).transpose()
}

/// Reads a list that has at most so many items.
fn list<'t, T>(
    object: Object<'t>,
    name: &'static str,
    max: usize,
    read: impl FnMut(Json<'t>) -> Option<T>,
) -> Result<Vec<T>, MessageError> {
    let items = header(object, name, |json| json.as_array().filter(|items| items.len() <= max))?;
    let Some(items) = items else { return Ok(Vec::new()) };
    items.items().map(read).collect::<Option<_>>().ok_or(MessageError::Header(name))
}

/// Reads a DID, or a DID URL without fragment, which the specification also allows: of that only
/// the DID is kept, since nothing is meant for less than a whole party.
fn party(json: Json<'_>, known: &[Option<&Did>]) -> Option<Did> {
    let text = json.as_str()?;
    if let Some(did) = known.iter().flatten().find(|did| did.as_str() == text) {
        return Some((*did).clone());
    }
    let url = DidUrl::parse(text).ok()?;
    url.fragment().is_none().then(|| url.did().clone())
}

fn thread_id(json: Json<'_>) -> Option<String> {
    owned(json).filter(|text| id::is_id(text))
}

fn ack_id(json: Json<'_>) -> Option<String> {
    owned(json).filter(|text| text.is_empty() || id::is_id(text))
}

fn time(json: Json<'_>) -> Option<UnixTime> {
    json.as_u64().map(UnixTime)
}

fn owned(json: Json<'_>) -> Option<String> {
    json.as_str().map(str::to_owned)
}

fn language(json: Json<'_>) -> Option<String> {
    owned(json).filter(|tag| is_language_tag(tag))
}

fn items<'t, T>(json: Json<'t>, read: impl FnMut(Json<'t>) -> Option<T>) -> Option<Vec<T>> {
    let items = json.as_array().filter(|items| items.len() <= LIST_HEADER_MAX)?;
    items.items().map(read).collect()
}

fn from_json<T: serde::de::DeserializeOwned>(json: Json<'_>) -> Option<T> {
    serde_json::from_value(json.to_value()).ok()
}

/// Sets a field if there is a value for it, and says whether there was.
fn set<T>(field: &mut T, value: Option<T>) -> bool {
    value.map(|value| *field = value).is_some()
}
