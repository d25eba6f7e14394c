//! Reads plaintext messages. What decides about identity, time or content must have the prescribed
//! form; an advisory header that has not is kept in `extra` and ignored, because unknown things
//! must not fail a message.

use std::borrow::Cow;

use serde_json::Map;

use super::{Attachment, Message, MessageError, MessageId, MessageType, id, is_language_tag};
use crate::did::Did;
use crate::json::{self, Json, Object};
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
        Self::from_object(json::read_object(text, ENVELOPE_BYTES_MAX)?)
    }

    pub(crate) fn from_object(mut object: Object<'_>) -> Result<Self, MessageError> {
        let object = &mut object;
        check_typ(object)?;
        let id = text(object, "id")?.ok_or(MessageError::Missing("id"))?;
        let id = MessageId::parse(&id).map_err(|_| MessageError::Header("id"))?;
        let type_ = text(object, "type")?.ok_or(MessageError::Missing("type"))?;
        let type_ = MessageType::parse(&type_).map_err(|_| MessageError::Header("type"))?;
        let mut message = Self::new(id, type_);
        message.to = list(object, "to", TO_MAX, |json| Did::parse(json.as_str()?).ok())?;
        message.from = text(object, "from")?
            .map(|did| Did::parse(&did).map_err(|_| MessageError::Header("from")))
            .transpose()?;
        message.thid = thread_id(object, "thid")?;
        message.pthid = thread_id(object, "pthid")?;
        message.created_time = time(object, "created_time")?;
        message.expires_time = time(object, "expires_time")?;
        message.body = match object.take("body") {
            None => Map::new(),
            Some(Json::Object(body)) => body.into_map(),
            Some(_) => return Err(MessageError::Header("body")),
        };
        message.attachments = list(object, "attachments", ATTACHMENTS_MAX, from_json)?;
        message.attachments.iter().try_for_each(Attachment::check)?;
        message.from_prior = text(object, "from_prior")?.map(Cow::into_owned);
        if message.from_prior.as_ref().is_some_and(|jwt| FROM_PRIOR_CHARS_MAX < jwt.len()) {
            return Err(MessageError::Header("from_prior"));
        }
        let ack_id = |json: &Json<'_>| {
            json.as_str().filter(|text| text.is_empty() || id::is_id(text)).map(str::to_owned)
        };
        message.please_ack = list(object, "please_ack", LIST_HEADER_MAX, ack_id)?;
        message.ack = list(object, "ack", LIST_HEADER_MAX, ack_id)?;

        let texts = |json: &Json<'_>| -> Option<Vec<String>> {
            let items = json.as_array().filter(|items| items.len() <= LIST_HEADER_MAX)?;
            items.iter().map(|item| item.as_str().map(str::to_owned)).collect()
        };
        let owned = |json: &Json<'_>| json.as_str().map(str::to_owned);
        let language = |json: &Json<'_>| owned(json).filter(|tag| is_language_tag(tag));
        let languages = |json: &Json<'_>| {
            texts(json).filter(|tags| tags.iter().all(|tag| is_language_tag(tag)))
        };
        message.lang = advisory(object, "lang", language);
        message.accept_lang = advisory(object, "accept-lang", languages).unwrap_or_default();
        message.l10n = object.take("l10n").map(Json::into_value);
        message.return_route = advisory(object, "return_route", from_json);
        message.return_route_thread = advisory(object, "return_route_thread", owned);
        message.trace = advisory(object, "trace", owned);
        message.sender_order = advisory(object, "sender_order", |json| json.as_u64());
        message.sent_count = advisory(object, "sent_count", |json| json.as_u64());
        message.received_orders = advisory(object, "received_orders", |json| {
            let items = json.as_array().filter(|items| items.len() <= LIST_HEADER_MAX)?;
            items.iter().map(from_json).collect()
        })
        .unwrap_or_default();
        message.extra = std::mem::take(object).into_map();
        Ok(message)
    }
}

/// Whether a media type is the expected one; without a `/` it stands for `application/...` (RFC
/// 7515, section 4.1.9).
pub(crate) fn is_media_type(text: &str, expected: &str) -> bool {
    let short = expected.strip_prefix("application/").unwrap_or(expected);
    text.eq_ignore_ascii_case(expected) || text.eq_ignore_ascii_case(short)
}

fn check_typ(object: &mut Object<'_>) -> Result<(), MessageError> {
    match text(object, "typ")? {
        Some(typ) if !is_media_type(&typ, Message::MEDIA_TYPE) => Err(MessageError::Header("typ")),
        _ => Ok(()),
    }
}

/// Takes a member that must be text if it is there. Borrowed: most are copied into a type of their
/// own.
fn text<'a>(
    object: &mut Object<'a>,
    name: &'static str,
) -> Result<Option<Cow<'a, str>>, MessageError> {
    match object.take(name) {
        None => Ok(None),
        Some(Json::String(text)) => Ok(Some(text)),
        Some(_) => Err(MessageError::Header(name)),
    }
}

fn thread_id(object: &mut Object<'_>, name: &'static str) -> Result<Option<String>, MessageError> {
    let text = text(object, name)?.map(Cow::into_owned);
    if text.as_deref().is_none_or(id::is_id) { Ok(text) } else { Err(MessageError::Header(name)) }
}

fn time(object: &mut Object<'_>, name: &'static str) -> Result<Option<UnixTime>, MessageError> {
    object
        .take(name)
        .map(|json| json.as_u64().map(UnixTime).ok_or(MessageError::Header(name)))
        .transpose()
}

fn list<T>(
    object: &mut Object<'_>,
    name: &'static str,
    max: usize,
    read: impl FnMut(&Json<'_>) -> Option<T>,
) -> Result<Vec<T>, MessageError> {
    let Some(json) = object.take(name) else { return Ok(Vec::new()) };
    let items = json.as_array().filter(|items| items.len() <= max);
    items.and_then(|items| items.iter().map(read).collect()).ok_or(MessageError::Header(name))
}

fn from_json<T: serde::de::DeserializeOwned>(json: &Json<'_>) -> Option<T> {
    serde_json::from_value(json.clone().into_value()).ok()
}

/// Takes an advisory header if it has the expected form, and leaves it among the unknown ones if
/// not.
fn advisory<'a, T>(
    object: &mut Object<'a>,
    name: &'a str,
    read: impl FnOnce(&Json<'_>) -> Option<T>,
) -> Option<T> {
    let json = object.take(name)?;
    let value = read(&json);
    if value.is_none() {
        object.put_back(name, json);
    }
    value
}
