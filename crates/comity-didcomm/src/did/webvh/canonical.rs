//! JSON in the one form that can be hashed (JCS, RFC 8785), and the hash that did:webvh 1.0 takes
//! of it: SHA-256 as multihash, in base58btc without a multibase prefix.
//!
//! The depth is bounded by the reader that every value came through. Numbers are IEEE doubles, as
//! JCS says; a number that a peer wrote with more digits than a double has is hashed as the double,
//! on which both sides agree.

use aws_lc_rs::digest;
use serde_json::{Map, Number, Value};

/// Multihash prefix of SHA-256: its code and its length.
const SHA2_256: [u8; 2] = [0x12, 0x20];

/// Returns the canonical text of an object.
pub(super) fn canonical(object: &Map<String, Value>) -> String {
    let mut out = String::new();
    push_object(object, &mut out);
    out
}

/// Hashes a text.
pub(super) fn hash(text: &str) -> String {
    let mut bytes = SHA2_256.to_vec();
    bytes.extend_from_slice(&sha256(text));
    bs58::encode(bytes).into_string()
}

/// Whether the text is a hash of the kind that [`hash`] gives.
pub(super) fn is_hash(text: &str) -> bool {
    text.len() == 46
        && crate::encoding::from_base58(text)
            .is_some_and(|bytes| bytes.len() == 34 && bytes.starts_with(&SHA2_256))
}

pub(super) fn sha256(text: &str) -> [u8; 32] {
    let mut out = [0; 32];
    out.copy_from_slice(digest::digest(&digest::SHA256, text.as_bytes()).as_ref());
    out
}

fn push_value(value: &Value, out: &mut String) {
    match value {
        Value::Null => out.push_str("null"),
        Value::Bool(flag) => out.push_str(if *flag { "true" } else { "false" }),
        Value::Number(number) => push_number(number, out),
        Value::String(text) => push_string(text, out),
        Value::Array(items) => {
            out.push('[');
            for (at, item) in items.iter().enumerate() {
                if at != 0 {
                    out.push(',');
                }
                push_value(item, out);
            }
            out.push(']');
        }
        Value::Object(object) => push_object(object, out),
    }
}

/// Names are sorted by their UTF-16 code units, which differs from the order of their bytes for
/// characters beyond the basic plane (RFC 8785, section 3.2.3).
fn push_object(object: &Map<String, Value>, out: &mut String) {
    let mut members: Vec<_> = object.iter().collect();
    members.sort_by(|(one, _), (other, _)| one.encode_utf16().cmp(other.encode_utf16()));
    out.push('{');
    for (at, (name, value)) in members.into_iter().enumerate() {
        if at != 0 {
            out.push(',');
        }
        push_string(name, out);
        out.push(':');
        push_value(value, out);
    }
    out.push('}');
}

fn push_string(text: &str, out: &mut String) {
    out.push('"');
    for char in text.chars() {
        match char {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\u{8}' => out.push_str("\\b"),
            '\t' => out.push_str("\\t"),
            '\n' => out.push_str("\\n"),
            '\u{c}' => out.push_str("\\f"),
            '\r' => out.push_str("\\r"),
            '\0'..='\u{1f}' => out.push_str(&format!("\\u{:04x}", u32::from(char))),
            other => out.push(other),
        }
    }
    out.push('"');
}

/// Writes a number as ECMAScript does (RFC 8785, section 3.2.2.3): the shortest digits that read
/// back as the same double, with an exponent only where those rules have one.
fn push_number(number: &Number, out: &mut String) {
    let double = number.as_f64().unwrap_or_default();
    if double == 0.0 {
        out.push('0');
        return;
    }
    if double < 0.0 {
        out.push('-');
    }
    // `serde_json` has the right digits, the even ones of two that are as near; the standard
    // library may not.
    let written = Number::from_f64(double.abs()).map(|number| number.to_string());
    let written = written.unwrap_or_default();
    let (mantissa, exponent) = written.split_once('e').unwrap_or((&written, "0"));
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let all = format!("{whole}{fraction}");
    let significant = all.trim_start_matches('0');
    let digits = significant.trim_end_matches('0');
    // The names of ECMA-262, Number::toString: k digits, and the decimal point after the n-th.
    let length = |text: &str| i32::try_from(text.len()).unwrap_or(i32::MAX);
    let k = length(digits);
    let n = length(significant) - length(fraction) + exponent.parse::<i32>().unwrap_or_default();
    let zeros = |count: i32| "0".repeat(usize::try_from(count).unwrap_or_default());
    let split = |at: i32| digits.split_at(usize::try_from(at).unwrap_or_default());
    if k <= n && n <= 21 {
        out.push_str(digits);
        out.push_str(&zeros(n - k));
    } else if 0 < n && n <= 21 {
        let (whole, fraction) = split(n);
        out.push_str(&format!("{whole}.{fraction}"));
    } else if -6 < n && n <= 0 {
        out.push_str(&format!("0.{}{digits}", zeros(-n)));
    } else {
        let (first, rest) = split(1);
        out.push_str(first);
        if !rest.is_empty() {
            out.push_str(&format!(".{rest}"));
        }
        out.push_str(&format!("e{}{}", if n <= 0 { '-' } else { '+' }, (n - 1).abs()));
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn text(value: &Value) -> String {
        let mut out = String::new();
        push_value(value, &mut out);
        out
    }

    /// Appendix B of RFC 8785, as far as JSON can say the double.
    #[test]
    fn numbers_are_written_as_the_rfc_lists_them() {
        for (bits, expected) in [
            (0x0000_0000_0000_0000_u64, "0"),
            (0x8000_0000_0000_0000, "0"),
            (0x0000_0000_0000_0001, "5e-324"),
            (0x8000_0000_0000_0001, "-5e-324"),
            (0x7fef_ffff_ffff_ffff, "1.7976931348623157e+308"),
            (0xffef_ffff_ffff_ffff, "-1.7976931348623157e+308"),
            (0x4340_0000_0000_0000, "9007199254740992"),
            (0xc340_0000_0000_0000, "-9007199254740992"),
            (0x4430_0000_0000_0000, "295147905179352830000"),
            (0x44b5_2d02_c7e1_4af5, "9.999999999999997e+22"),
            (0x44b5_2d02_c7e1_4af6, "1e+23"),
            (0x44b5_2d02_c7e1_4af7, "1.0000000000000001e+23"),
            (0x444b_1ae4_d6e2_ef4e, "999999999999999700000"),
            (0x444b_1ae4_d6e2_ef4f, "999999999999999900000"),
            (0x444b_1ae4_d6e2_ef50, "1e+21"),
            (0x3eb0_c6f7_a0b5_ed8c, "9.999999999999997e-7"),
            (0x3eb0_c6f7_a0b5_ed8d, "0.000001"),
            (0x41b3_de43_5555_5553, "333333333.3333332"),
            (0x41b3_de43_5555_5554, "333333333.33333325"),
            (0xbecb_f647_612f_3696, "-0.0000033333333333333333"),
            (0x4314_3ff3_c1cb_0959, "1424953923781206.2"),
        ] {
            let number = Number::from_f64(f64::from_bits(bits)).unwrap();
            assert_eq!(text(&Value::Number(number)), expected, "{bits:016x}");
        }
        assert_eq!(text(&json!([1, -7, 3600, 4.5])), "[1,-7,3600,4.5]");
    }

    #[test]
    fn names_are_sorted_by_utf16_and_text_is_escaped_minimally() {
        // The example of RFC 8785, section 3.2.3.
        let value = json!({
            "\u{20ac}": "Euro Sign", "\r": "Carriage Return", "\u{fb33}": "Hebrew Letter Dalet With Dagesh",
            "1": "One", "\u{1f600}": "Emoji: Grinning Face", "\u{80}": "Control", "\u{f6}": "Latin Small Letter O With Diaeresis",
        });
        let order: Vec<_> = ["Carriage", "One", "Control", "Latin", "Euro", "Emoji", "Hebrew"]
            .iter()
            .map(|word| text(&value).find(word).unwrap())
            .collect();
        assert!(order.is_sorted());
        let escaped = text(&json!({"a": "\u{20ac}$\u{f}\nA'B\"\\\\\"/\u{7f}"}));
        assert_eq!(escaped, "{\"a\":\"\u{20ac}$\\u000f\\nA'B\\\"\\\\\\\\\\\"/\u{7f}\"}");
        assert_eq!(text(&json!([null, true, false, {}, []])), "[null,true,false,{},[]]");
    }

    #[test]
    fn a_hash_is_known_by_its_form() {
        assert!(is_hash(&hash("")));
        // The example of did:webvh 1.0 for an update key is a hash of the text of the key.
        assert!(is_hash("QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCrZ"));
        assert!(!is_hash("QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCr"));
        assert!(!is_hash(&"1".repeat(46)));
        assert!(!is_hash(&"z".repeat(46)));
    }

    /// The example of did:webvh 1.0, section "Generate Entry Hash".
    #[test]
    fn the_entry_hash_of_the_specification_comes_out() {
        let entry = json!({"versionId": "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE", "versionTime": "2025-04-01T17:39:50Z", "parameters": {"witness": {"threshold": 2, "witnesses": [{"id": "did:key:z6Mkkc51mg2vpQzKWAbWQZupeGYhowaBjYkmvcKMTqteqHB4", "weight": 1}, {"id": "did:key:z6MkuDdJdKLCgwZuQuEi9xG6LVgJJ9Tebr74CXPYPSumqgJs", "weight": 1}, {"id": "did:key:z6MkoSWmQyp4fTk4ZQy4KUsss9dFX51XfEUzKKKj1J1JUsrF", "weight": 1}]}, "updateKeys": ["z6MkgzBDcBFV3sk4ypPE5YXMZHmS213A3HpYY2LmcVKV15jr"], "nextKeyHashes": ["QmZreDcjvWEpyRFznQeExWNCsvMLk5i59AcRJJuQC8UodJ"], "method": "did:webvh:0.5", "scid": "QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE"}, "state": {"@context": ["https://www.w3.org/ns/did/v1"], "id": "did:webvh:QmdmPkUdYzbr9txmx8gM2rsHPgr5L6m3gHjJGAf4vUFoGE:domain.example"}});
        let Value::Object(entry) = entry else { panic!("an object") };
        assert_eq!(hash(&canonical(&entry)), "QmQ6FJ4fk2xheSSQoEjVpTgx9AQPKhJgtR9hn1nr4EeCrZ");
    }
}
