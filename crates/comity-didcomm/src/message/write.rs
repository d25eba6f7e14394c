//! Writes plaintext messages: `typ` and `body` always, because older peers want them, and other
//! headers when set.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::Message;

impl Message {
    /// Writes the message as JSON. The result is what is signed or sealed, so keep it if it has to
    /// be compared later.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the map has text keys and no value that can fail")]
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a message is always JSON")
    }
}

impl Serialize for Message {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("id", &self.id)?;
        map.serialize_entry("typ", Self::MEDIA_TYPE)?;
        map.serialize_entry("type", &self.type_)?;
        list(&mut map, "to", &self.to)?;
        option(&mut map, "from", self.from.as_ref())?;
        option(&mut map, "thid", self.thid.as_ref())?;
        option(&mut map, "pthid", self.pthid.as_ref())?;
        option(&mut map, "created_time", self.created_time.as_ref())?;
        option(&mut map, "expires_time", self.expires_time.as_ref())?;
        map.serialize_entry("body", &self.body)?;
        list(&mut map, "attachments", &self.attachments)?;
        option(&mut map, "from_prior", self.from_prior.as_ref())?;
        list(&mut map, "please_ack", &self.please_ack)?;
        list(&mut map, "ack", &self.ack)?;
        option(&mut map, "lang", self.lang.as_ref())?;
        list(&mut map, "accept-lang", &self.accept_lang)?;
        option(&mut map, "l10n", self.l10n.as_ref())?;
        option(&mut map, "return_route", self.return_route.as_ref())?;
        option(&mut map, "return_route_thread", self.return_route_thread.as_ref())?;
        option(&mut map, "trace", self.trace.as_ref())?;
        option(&mut map, "sender_order", self.sender_order.as_ref())?;
        option(&mut map, "sent_count", self.sent_count.as_ref())?;
        list(&mut map, "received_orders", &self.received_orders)?;
        for (name, value) in &self.extra {
            // A name twice would make the message unreadable, so a typed header wins over one in
            // `extra`.
            if !is_core_header(name) && !self.has_advisory(name) {
                map.serialize_entry(name, value)?;
            }
        }
        map.end()
    }
}

impl Message {
    fn has_advisory(&self, name: &str) -> bool {
        match name {
            "lang" => self.lang.is_some(),
            "accept-lang" => !self.accept_lang.is_empty(),
            "l10n" => self.l10n.is_some(),
            "return_route" => self.return_route.is_some(),
            "return_route_thread" => self.return_route_thread.is_some(),
            "trace" => self.trace.is_some(),
            "sender_order" => self.sender_order.is_some(),
            "sent_count" => self.sent_count.is_some(),
            "received_orders" => !self.received_orders.is_empty(),
            _ => false,
        }
    }
}

fn option<M: SerializeMap>(
    map: &mut M,
    name: &str,
    value: Option<&impl Serialize>,
) -> Result<(), M::Error> {
    value.map_or(Ok(()), |value| map.serialize_entry(name, value))
}

fn list<M: SerializeMap>(
    map: &mut M,
    name: &str,
    items: &[impl Serialize],
) -> Result<(), M::Error> {
    if items.is_empty() { Ok(()) } else { map.serialize_entry(name, items) }
}

pub(super) fn is_core_header(name: &str) -> bool {
    matches!(
        name,
        "id" | "typ"
            | "type"
            | "to"
            | "from"
            | "thid"
            | "pthid"
            | "created_time"
            | "expires_time"
            | "body"
            | "attachments"
            | "from_prior"
            | "please_ack"
            | "ack"
    )
}
