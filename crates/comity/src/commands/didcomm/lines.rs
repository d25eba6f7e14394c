//! `comity didcomm lines`: a request a line on standard input, an answer a line on standard output,
//! in the same order and with nothing between. `docs/protocols/didcomm-lines.md` is its
//! specification.
//!
//! No line ends it: what cannot be served is answered with a refusal. Only the end of the input
//! does, or a reader that has gone.

use std::io::{self, BufRead, Read as _, Write};

use comity_didcomm::{CryptoRng, Curve, UnixTime, limits::JSON_NODE_VALUES};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{
    keyring::Keyring,
    pack::{ENCRYPTIONS, Mode, Packed, pack},
    refused::{MALFORMED, Refused, TOO_LARGE, UNSUPPORTED},
    unpack::{Unpacked, unpack},
};
use crate::{
    limits::{WORKBENCH_LINE_BYTES_MAX, WORKBENCH_LINE_VALUES_MAX},
    output::ascii_safe,
};

/// Serves until the input ends.
pub(super) fn serve(
    input: &mut dyn BufRead,
    output: &mut dyn Write,
    now: &dyn Fn() -> UnixTime,
    rng: &mut dyn CryptoRng,
) -> io::Result<()> {
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = (&mut *input).take(WORKBENCH_LINE_BYTES_MAX).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let answer = if line.len() as u64 == WORKBENCH_LINE_BYTES_MAX && !line.ends_with(b"\n") {
            skip_line(input)?;
            refusal(&Value::Null, &Refused::new(TOO_LARGE, "the line is too long"))
        } else if WORKBENCH_LINE_VALUES_MAX < values(&line) {
            refusal(&Value::Null, &Refused::new(TOO_LARGE, "the line has too many values"))
        } else if line.trim_ascii().is_empty() {
            continue;
        } else {
            answer(&line, now(), rng)
        };
        let mut text = ascii_safe(&answer.to_string());
        text.push('\n');
        output.write_all(text.as_bytes())?;
        output.flush()?;
    }
}

/// Counts the values of a JSON text before anything is made of it, as the library counts them: what
/// is between quotes is one. Of a text that is not JSON, the count is of no use and does no harm.
fn values(line: &[u8]) -> usize {
    let mut count = 1;
    let mut bytes = line.iter();
    while let Some(byte) = bytes.next() {
        count += match byte {
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => _ = bytes.next(),
                        _ => {}
                    }
                }
                0
            }
            b'{' => 1 + JSON_NODE_VALUES,
            b'[' => 1,
            // What stands after it, and its share of the nodes if that is a member.
            b',' => 2,
            _ => 0,
        };
    }
    count
}

/// Answers one request.
fn answer(line: &[u8], now: UnixTime, rng: &mut dyn CryptoRng) -> Value {
    let request: Value = match serde_json::from_slice(line) {
        Ok(request) => request,
        Err(error) => {
            let text = format!("the line is not JSON: {error}");
            return refusal(&Value::Null, &Refused::new(MALFORMED, text));
        }
    };
    let rid = request.get("rid").cloned().unwrap_or_default();
    match serve_one(&request, now, rng) {
        Ok(mut found) => {
            found.insert("rid".to_owned(), rid);
            found.insert("ok".to_owned(), json!(true));
            Value::Object(found)
        }
        Err(refused) => refusal(&rid, &refused),
    }
}

/// What all requests have in common.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Common {
    op: Option<String>,
    dids: Option<Vec<Value>>,
    secrets: Option<Vec<Value>>,
}

fn serve_one(
    request: &Value,
    now: UnixTime,
    rng: &mut dyn CryptoRng,
) -> Result<Map<String, Value>, Refused> {
    if !request.is_object() {
        return Err(Refused::new(MALFORMED, "the line is not a JSON object"));
    }
    let common: Common = read(request)?;
    let ring =
        || Keyring::read(&common.dids.unwrap_or_default(), &common.secrets.unwrap_or_default());
    match common.op.as_deref() {
        Some("info") => Ok(info()),
        Some("pack") => pack(&read(request)?, &ring()?, now, rng).map(packed_members),
        Some("unpack") => {
            unpack(&read(request)?, &ring()?).and_then(|found| unpacked_members(&found))
        }
        Some(_) => Err(Refused::new(UNSUPPORTED, "op is none of info, pack, unpack")),
        None => Err(Refused::new(MALFORMED, "the request has no op")),
    }
}

fn read<T: for<'de> Deserialize<'de>>(request: &Value) -> Result<T, Refused> {
    T::deserialize(request)
        .map_err(|error| Refused::new(MALFORMED, format!("the request is malformed: {error}")))
}

/// Says what this program can do.
pub(super) fn info() -> Map<String, Value> {
    let mut algorithms = vec!["EdDSA", "ES256", "ES256K", "ECDH-ES+A256KW", "ECDH-1PU+A256KW"];
    algorithms.extend(ENCRYPTIONS.map(|(name, _)| name));
    members(json!({
        "name": "comity",
        "version": env!("CARGO_PKG_VERSION"),
        "algorithms": algorithms,
        "curves": Curve::ALL.map(Curve::name),
        "modes": Mode::ALL.map(Mode::name),
    }))
}

/// Writes what was packed.
pub(super) fn packed_members(packed: Packed) -> Map<String, Value> {
    let mut found = members(json!({
        "packed": packed.packed,
        "to_kids": packed.to_kids,
        "from_kid": packed.from_kid,
        "sign_kid": packed.sign_kid,
    }));
    if let Some(uri) = packed.uri {
        found.insert("uri".to_owned(), Value::String(uri));
    }
    found
}

/// Writes what was opened. The message is the text that came, not our reading of it.
pub(super) fn unpacked_members(unpacked: &Unpacked) -> Result<Map<String, Value>, Refused> {
    let message: Value = serde_json::from_slice(unpacked.opened.plaintext())
        .map_err(|error| Refused::new(MALFORMED, error.to_string()))?;
    Ok(members(json!({ "message": message, "meta": unpacked.meta })))
}

fn refusal(rid: &Value, refused: &Refused) -> Value {
    json!({ "rid": rid, "ok": false, "error": refused.text, "code": refused.code })
}

fn members(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(members) => members,
        _ => Map::new(),
    }
}

/// Passes over the rest of a line without keeping it.
fn skip_line(input: &mut dyn BufRead) -> io::Result<()> {
    loop {
        let buffer = input.fill_buf()?;
        if buffer.is_empty() {
            return Ok(());
        }
        let end = buffer.iter().position(|byte| *byte == b'\n');
        let passed = end.map_or(buffer.len(), |at| at + 1);
        input.consume(passed);
        if end.is_some() {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests;
