//! One exchange: one peer packs, another opens, and what was meant is compared with what was understood.
//!
//! Knows nothing of which outcome is expected; that is `quirks`.
#![expect(
    clippy::indexing_slicing,
    reason = "a JSON value answers null for a missing name, and each value written to is made here"
)]

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::{
    cases::{Case, Forward},
    peer::Peer,
};

/// How an exchange ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// Opened with the message and the facts that were meant.
    Understood,
    /// The packer refused, with its words.
    NotPacked(String),
    /// The opener refused, with its words.
    NotOpened(String),
    /// Opened, but as something else.
    Misunderstood(String),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Understood => write!(f, "understood"),
            Self::NotPacked(why) => write!(f, "not packed: {why}"),
            Self::NotOpened(why) => write!(f, "not opened: {why}"),
            Self::Misunderstood(why) => write!(f, "misunderstood: {why}"),
        }
    }
}

/// Lets `packer` pack a case; a refusal is in the words of the library.
pub(super) fn pack(packer: &mut Peer, case: &Case) -> Result<Result<Value, String>> {
    let mut request = case.pack.clone();
    request["op"] = json!("pack");
    request["dids"] = case.dids.clone();
    request["secrets"] = case.sender_secrets.clone();
    let answer = packer.ask(request)?;
    Ok(if answer["ok"] == true { Ok(answer) } else { Err(words_of(&answer)) })
}

/// Lets `opener` open what was packed, and compares.
pub(super) fn open(opener: &mut Peer, case: &Case, packed: &Value) -> Result<Outcome> {
    let mut envelope = packed["packed"].clone();
    if let Forward::HopByHop(hops) = &case.forward {
        for hop in hops {
            let opened = opener.ask(unpack(case, &envelope, &hop.secrets, false))?;
            if opened["ok"] != true {
                return Ok(Outcome::NotOpened(format!("forward: {}", words_of(&opened))));
            }
            let forward = &opened["message"];
            if forward["body"]["next"] != *hop.next {
                return Ok(Outcome::Misunderstood(format!("next is {}", forward["body"]["next"])));
            }
            let data = &forward["attachments"][0]["data"];
            if data["json"].is_null() {
                return Ok(Outcome::Misunderstood("the attachment is not JSON".to_owned()));
            }
            envelope = json!(data["json"].to_string());
        }
    }
    let by_library = matches!(case.forward, Forward::ByLibrary);
    let opened = opener.ask(unpack(case, &envelope, &case.receiver_secrets, by_library))?;
    if opened["ok"] != true {
        return Ok(Outcome::NotOpened(words_of(&opened)));
    }
    Ok(compare(case, packed, &opened))
}

fn unpack(case: &Case, envelope: &Value, secrets: &Value, unwrap_forward: bool) -> Value {
    json!({ "op": "unpack", "packed": envelope, "dids": case.dids, "secrets": secrets,
        "unwrap_forward": unwrap_forward })
}

/// Compares message and facts; the first difference is reported.
fn compare(case: &Case, packed: &Value, opened: &Value) -> Outcome {
    let (sent, got) = (plain(&case.pack["message"]), plain(&opened["message"]));
    if let Some(difference) = difference("message", &sent, &got) {
        return Outcome::Misunderstood(difference);
    }
    for (name, wanted) in facts(case, packed) {
        let found = &opened["meta"][name];
        if wanted != *found {
            return Outcome::Misunderstood(format!("meta.{name} is {found}, not {wanted}"));
        }
    }
    Outcome::Understood
}

/// What the opener must have found out, by the names of the line protocol.
fn facts(case: &Case, packed: &Value) -> Vec<(&'static str, Value)> {
    let mode = case.pack["mode"].as_str().unwrap_or_default();
    let encrypted = mode.contains("crypt");
    let signed = mode.ends_with("sign") || mode == "signed";
    let authcrypted = mode.contains("authcrypt");
    let mut facts = vec![
        ("encrypted", json!(encrypted)),
        ("authenticated", json!(authcrypted || signed)),
        ("non_repudiation", json!(signed)),
        // A forward hides the sender from whoever holds only the mediator's key, so its opener may say either.
        ("from_kid", packed["from_kid"].clone()),
        ("sign_kid", packed["sign_kid"].clone()),
    ];
    if matches!(case.forward, Forward::ByLibrary) {
        facts.push(("re_wrapped", json!(true)));
    } else {
        facts.push(("anonymous_sender", json!(encrypted && mode.starts_with("anoncrypt"))));
    }
    if !case.pack["message"]["from_prior"].is_null() {
        facts.push(("from_prior_kid", json!("did:example:carol#sign-1")));
    }
    facts
}

/// Takes out what may be written in two ways: `typ`, a `thid` that repeats `id`, members that are null, and the
/// envelope of `from_prior`.
fn plain(message: &Value) -> Value {
    let mut message = without_nulls(message);
    if let Some(claims) = message["from_prior"].as_str().and_then(claims_of) {
        message["from_prior"] = claims;
    }
    let repeats_id = message["thid"] == message["id"];
    if let Some(members) = message.as_object_mut() {
        members.remove("typ");
        if repeats_id {
            members.remove("thid");
        }
    }
    message
}

fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(members) => members
            .iter()
            .filter(|(_, value)| !value.is_null())
            .map(|(name, value)| (name.clone(), without_nulls(value)))
            .collect(),
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}

/// Reads the claims of a JWT, which the opener has verified.
fn claims_of(jwt: &str) -> Option<Value> {
    serde_json::from_slice(&base64url(jwt.split('.').nth(1)?)?).ok()
}

fn base64url(text: &str) -> Option<Vec<u8>> {
    let (mut bytes, mut bits, mut held) = (Vec::new(), 0_u32, 0_u32);
    for c in text.bytes() {
        let digit = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(digit)) & 0xffff;
        held += 6;
        if 8 <= held {
            held -= 8;
            bytes.push(u8::try_from(bits >> held & 0xff).ok()?);
        }
    }
    Some(bytes)
}

/// Names the first place where two values differ.
fn difference(at: &str, sent: &Value, got: &Value) -> Option<String> {
    if let (Value::Object(sent), Value::Object(got)) = (sent, got) {
        let names = sent.keys().chain(got.keys());
        return names.map(|name| (name, sent.get(name), got.get(name))).find_map(
            |(name, sent, got)| match (sent, got) {
                (Some(sent), Some(got)) => difference(&format!("{at}.{name}"), sent, got),
                (Some(_), None) => Some(format!("{at}.{name} is lost")),
                _ => Some(format!("{at}.{name} is added")),
            },
        );
    }
    let same_number = sent.is_number() && got.is_number() && sent.as_f64() == got.as_f64();
    (sent != got && !same_number).then(|| format!("{at} is {}, not {}", short(got), short(sent)))
}

fn short(value: &Value) -> String {
    let text = value.to_string();
    if text.chars().count() <= 60 {
        text
    } else {
        text.chars().take(57).chain("...".chars()).collect()
    }
}

/// Returns the words of a refusal on one line.
fn words_of(answer: &Value) -> String {
    let words = answer["error"].as_str().unwrap_or("no words").split_whitespace();
    let words = words.collect::<Vec<_>>().join(" ");
    match answer["code"].as_str() {
        Some(code) if !words.contains(code) => format!("{code}: {words}"),
        _ => words,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_written_in_two_ways_is_no_difference() {
        let sent = json!({ "id": "1", "typ": "x", "body": { "n": 1 } });
        let got = json!({ "id": "1", "thid": "1", "body": { "n": 1.0 }, "lang": null });
        assert_eq!(difference("message", &plain(&sent), &plain(&got)), None);
    }

    #[test]
    fn a_lost_an_added_and_a_changed_member_are_named() {
        let sent = json!({ "a": 1, "b": { "c": [1] } });
        for (got, words) in [
            (json!({ "a": 1 }), "m.b is lost"),
            (json!({ "a": 1, "b": { "c": [1] }, "d": 0 }), "m.d is added"),
            (json!({ "a": 1, "b": { "c": [2] } }), "m.b.c is [2], not [1]"),
        ] {
            assert_eq!(difference("m", &sent, &got).as_deref(), Some(words));
        }
    }

    #[test]
    fn the_claims_of_a_jwt_are_read() {
        // {"alg":"none"} . {"iss":"did:example:a"} . nothing
        let jwt = "eyJhbGciOiJub25lIn0.eyJpc3MiOiJkaWQ6ZXhhbXBsZTphIn0.";
        assert_eq!(claims_of(jwt), Some(json!({ "iss": "did:example:a" })));
    }
}
