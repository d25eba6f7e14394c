//! The kinds of mutation. Each draws where it strikes, and gives `None` where it cannot.

use serde_json::{Map, Value, json};

use super::Golden;
use crate::forge::jwe::object;
use crate::forge::seed::Seed;
use crate::forge::text::{b64, unb64};

/// What one mutation draws from.
pub(super) struct Draw<'a> {
    pub(super) seed: &'a mut Seed,
    pub(super) golden: &'a Golden,
    pub(super) other: &'a Golden,
}

pub(super) type Mutation = fn(&mut Draw<'_>) -> Option<Vec<u8>>;

pub(super) const KINDS: [(&str, Mutation); 20] = [
    ("a bit of a decoded part", |draw| {
        draw.decoded(|bytes, seed| {
            let at = seed.below(bytes.len() * 8);
            bytes[at / 8] ^= 1 << (at % 8);
        })
    }),
    ("a decoded part cut or lengthened", |draw| {
        draw.decoded(|bytes, seed| {
            if seed.below(2) == 0 {
                bytes.truncate(seed.below(bytes.len()));
            } else {
                let more = 1 + seed.below(16);
                bytes.extend(seed.bytes(more));
            }
        })
    }),
    ("padding, alphabet or last bits of base64", |draw| draw.encoded()),
    ("a bit of the text", |draw| {
        draw.text(|text, seed| {
            let at = seed.below(text.len() * 8);
            text[at / 8] ^= 1 << (at % 8);
        })
    }),
    ("a byte of the text put in, taken out or moved", |draw| {
        draw.text(|text, seed| {
            let at = seed.below(text.len() - 1);
            match seed.below(3) {
                0 => text.insert(at, b' ' + u8::try_from(seed.below(95)).unwrap()),
                1 => drop(text.remove(at)),
                _ => text.swap(at, at + 1),
            }
        })
    }),
    ("the case of a letter", |draw| {
        draw.at(u8::is_ascii_alphabetic, |text, at, _| text[at] ^= 0x20)
    }),
    ("the text cut", |draw| draw.text(|text, seed| text.truncate(seed.below(text.len())))),
    ("an escape for a character", |draw| {
        draw.at(u8::is_ascii_graphic, |text, at, seed| {
            let code = text[at];
            let escape = if seed.below(2) == 0 {
                format!("\\u{code:04x}")
            } else {
                format!("\\u{code:04X}")
            };
            text.splice(at..=at, escape.into_bytes());
        })
    }),
    ("white space", |draw| {
        draw.at(
            |byte| b"{}[],:".contains(byte),
            |text, at, seed| {
                text.insert(at + seed.below(2), b" \n\t\r"[seed.below(4)]);
            },
        )
    }),
    ("a member taken out", |draw| {
        draw.object(|object, seed, _| {
            let name = pick_name(object, seed)?;
            object.remove(&name);
            Some(())
        })
    }),
    ("a member of another golden", |draw| {
        draw.object(|object, seed, other| {
            let name = pick_name(other, seed)?;
            object.insert(name.clone(), other[&name].clone());
            Some(())
        })
    }),
    ("two members exchanged", |draw| {
        draw.object(|object, seed, _| {
            let (one, two) = (pick_name(object, seed)?, pick_name(object, seed)?);
            let first = object[&one].clone();
            let second = std::mem::replace(object.get_mut(&two)?, first);
            object.insert(one, second);
            Some(())
        })
    }),
    ("a member put in or replaced", |draw| {
        draw.object(|object, seed, _| {
            let (name, value) = invented(seed);
            object.insert(name, value);
            Some(())
        })
    }),
    ("a member renamed", |draw| {
        draw.object(|object, seed, _| {
            let name = pick_name(object, seed)?;
            let value = object.remove(&name)?;
            let (other, _) = invented(seed);
            object.insert(other, value);
            Some(())
        })
    }),
    ("a value of another type", |draw| {
        draw.object(|object, seed, _| {
            let name = pick_name(object, seed)?;
            let value = object[&name].clone();
            let other = match seed.below(5) {
                0 => json!([value]),
                1 => json!({ "value": value }),
                2 => Value::Null,
                3 => json!(value.to_string()),
                _ => json!(1e0),
            };
            object.insert(name, other);
            Some(())
        })
    }),
    ("a member twice", |draw| draw.twice()),
    ("members in another order", |draw| draw.reordered()),
    ("a header moved out of what is protected", |draw| draw.moved()),
    ("the list of recipients or signatures", |draw| draw.list()),
    ("a name in the protected header", |draw| draw.header_name()),
];

impl Draw<'_> {
    fn text(&mut self, change: impl FnOnce(&mut Vec<u8>, &mut Seed)) -> Option<Vec<u8>> {
        let mut text = self.golden.packed.clone().into_bytes();
        change(&mut text, self.seed);
        Some(text)
    }

    /// Changes the text at one of the bytes that are meant.
    fn at(
        &mut self,
        is_meant: impl Fn(&u8) -> bool,
        change: impl FnOnce(&mut Vec<u8>, usize, &mut Seed),
    ) -> Option<Vec<u8>> {
        let text = self.golden.packed.as_bytes();
        let places: Vec<usize> = (0..text.len()).filter(|at| is_meant(&text[*at])).collect();
        let at = places[self.seed.below(places.len())];
        self.text(|text, seed| change(text, at, seed))
    }

    /// The pointers to all members that hold base64.
    fn encoded_parts(&self) -> Vec<String> {
        const NAMES: [&str; 7] =
            ["ciphertext", "encrypted_key", "iv", "payload", "protected", "signature", "tag"];
        let mut pointers = Vec::new();
        let mut add = |prefix: &str, value: &Value| {
            let names = NAMES.iter().filter(|name| value.get(**name).is_some_and(Value::is_string));
            pointers.extend(names.map(|name| format!("{prefix}/{name}")));
        };
        add("", &self.golden.value);
        for list in ["recipients", "signatures"] {
            let items = self.golden.value[list].as_array();
            for (at, item) in items.into_iter().flatten().enumerate() {
                add(&format!("/{list}/{at}"), item);
            }
        }
        pointers
    }

    fn with_part(
        &mut self,
        change: impl FnOnce(&str, &mut Seed) -> Option<String>,
    ) -> Option<Vec<u8>> {
        let parts = self.encoded_parts();
        let pointer = &parts[self.seed.below(parts.len())];
        let mut value = self.golden.value.clone();
        let part = value.pointer_mut(pointer)?;
        *part = json!(change(part.as_str()?, self.seed)?);
        Some(value.to_string().into_bytes())
    }

    fn decoded(&mut self, change: impl FnOnce(&mut Vec<u8>, &mut Seed)) -> Option<Vec<u8>> {
        self.with_part(|text, seed| {
            let mut bytes = unb64(text).filter(|bytes| !bytes.is_empty())?;
            change(&mut bytes, seed);
            Some(b64(bytes))
        })
    }

    fn encoded(&mut self) -> Option<Vec<u8>> {
        self.with_part(|text, seed| {
            let mut text = text.to_owned();
            match seed.below(5) {
                0 => text.push_str(&"=".repeat(1 + seed.below(2))),
                1 => text = text.replace('-', "+").replace('_', "/"),
                2 => text.insert(seed.below(text.len()), ['\n', ' ', '=', '.'][seed.below(4)]),
                3 => text.push('A'),
                _ => {
                    const DIGITS: &[u8; 64] =
                        b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
                    let last = text.pop()?;
                    let digit = DIGITS.iter().position(|digit| char::from(*digit) == last)?;
                    text.push(char::from(DIGITS[digit ^ (1 << seed.below(4))]));
                }
            }
            Some(text)
        })
    }

    /// Changes the envelope, an item of its list, or the decoded protected header, as an object.
    fn object(
        &mut self,
        change: impl FnOnce(&mut Map<String, Value>, &mut Seed, &Map<String, Value>) -> Option<()>,
    ) -> Option<Vec<u8>> {
        let mut value = self.golden.value.clone();
        let which = self.seed.below(5);
        match which {
            0 | 1 => {
                let list = list_name(&value)?;
                let pointers = ["".to_owned(), format!("/{list}/0"), format!("/{list}/0/header")];
                let pointer = &pointers[self.seed.below(3)];
                let other = self.other.value.pointer(pointer).and_then(Value::as_object);
                let other = other.cloned().unwrap_or_default();
                change(value.pointer_mut(pointer)?.as_object_mut()?, self.seed, &other)?;
            }
            _ => {
                let mut header = header(&value)?;
                let mut other = header_or_empty(&self.other.value);
                if which == 4 && header.contains_key("epk") {
                    let inner = other.remove("epk").unwrap_or_default();
                    let inner = inner.as_object().cloned().unwrap_or_default();
                    change(header.get_mut("epk")?.as_object_mut()?, self.seed, &inner)?;
                } else {
                    change(&mut header, self.seed, &other)?;
                }
                *protected(&mut value)? = json!(b64(Value::Object(header).to_string()));
            }
        }
        Some(value.to_string().into_bytes())
    }

    /// Writes a member a second time, with its own or with another's value, before or after the first.
    fn twice(&mut self) -> Option<Vec<u8>> {
        let in_header = self.seed.below(2) == 0;
        let (object, other) = if in_header {
            (header(&self.golden.value)?, header_or_empty(&self.other.value))
        } else {
            (object(self.golden.value.clone()), object(self.other.value.clone()))
        };
        let name = pick_name(&object, self.seed)?;
        let value = if self.seed.below(2) == 0 { object.get(&name) } else { other.get(&name) }?;
        let member = format!("{}:{value}", json!(name));
        let text = Value::Object(object.clone()).to_string();
        let text = if self.seed.below(2) == 0 {
            format!("{{{member},{}", &text[1..])
        } else {
            format!("{},{member}}}", &text[..text.len() - 1])
        };
        if !in_header {
            return Some(text.into_bytes());
        }
        let mut value = self.golden.value.clone();
        *protected(&mut value)? = json!(b64(text));
        Some(value.to_string().into_bytes())
    }

    fn reordered(&mut self) -> Option<Vec<u8>> {
        let in_header = self.seed.below(2) == 0;
        let object =
            if in_header { header(&self.golden.value)? } else { object(self.golden.value.clone()) };
        let mut members: Vec<_> =
            object.iter().map(|(name, value)| format!("{}:{value}", json!(name))).collect();
        for at in (1..members.len()).rev() {
            members.swap(at, self.seed.below(at + 1));
        }
        let text = format!("{{{}}}", members.join(","));
        if !in_header {
            return Some(text.into_bytes());
        }
        let mut value = self.golden.value.clone();
        *protected(&mut value)? = json!(b64(text));
        Some(value.to_string().into_bytes())
    }

    /// Copies or moves a protected header to where nothing protects it.
    fn moved(&mut self) -> Option<Vec<u8>> {
        let mut value = self.golden.value.clone();
        let mut header = header(&value)?;
        let name = pick_name(&header, self.seed)?;
        let member = header[&name].clone();
        if self.seed.below(2) == 0 {
            header.remove(&name);
            *protected(&mut value)? = json!(b64(Value::Object(header).to_string()));
        }
        let list = list_name(&value)?;
        let target = match self.seed.below(4) {
            0 => &mut value,
            1 => &mut value["unprotected"],
            2 => value.pointer_mut(&format!("/{list}/0"))?,
            _ => &mut value.pointer_mut(&format!("/{list}/0"))?["header"],
        };
        target[&name] = member;
        Some(value.to_string().into_bytes())
    }

    fn list(&mut self) -> Option<Vec<u8>> {
        let mut value = self.golden.value.clone();
        let list = list_name(&value)?;
        let other = self.other.value[list].as_array().cloned().unwrap_or_default();
        let items = value[list].as_array_mut()?;
        match self.seed.below(5) {
            0 => items.clear(),
            1 => items.push(items.first()?.clone()),
            2 => items.extend(other),
            3 => items.reverse(),
            _ => *items = other,
        }
        Some(value.to_string().into_bytes())
    }

    /// Puts another party's key id, or another algorithm, into the protected header.
    fn header_name(&mut self) -> Option<Vec<u8>> {
        let mut value = self.golden.value.clone();
        let mut header = header(&value)?;
        let name = pick_name(&header, self.seed)?;
        let old = header[&name].as_str()?.to_owned();
        let new = match name.as_str() {
            "skid" | "kid" => old.replace("alice", ["mallory", "bob", "prior"][self.seed.below(3)]),
            "apu" => {
                let text = String::from_utf8(unb64(&old)?).ok()?;
                b64(text.replace("alice", ["mallory", "bob", "prior"][self.seed.below(3)]))
            }
            _ => {
                let words =
                    ["EdDSA", "ES256", "ES256K", "none", "A256GCM", "XC20P", "ECDH-ES+A256KW"];
                words[self.seed.below(words.len())].to_owned()
            }
        };
        header.insert(name, json!(new));
        *protected(&mut value)? = json!(b64(Value::Object(header).to_string()));
        Some(value.to_string().into_bytes())
    }
}

/// Where the protected header stands.
fn protected(value: &mut Value) -> Option<&mut Value> {
    if value.get("signatures").is_some() {
        return value.pointer_mut("/signatures/0/protected");
    }
    value.get_mut("protected")
}

fn header(value: &Value) -> Option<Map<String, Value>> {
    let mut value = value.clone();
    let text = unb64(protected(&mut value)?.as_str()?)?;
    serde_json::from_slice(&text).ok()
}

fn header_or_empty(value: &Value) -> Map<String, Value> {
    header(value).unwrap_or_default()
}

fn list_name(value: &Value) -> Option<&'static str> {
    ["recipients", "signatures"].into_iter().find(|name| value.get(*name).is_some())
}

fn pick_name(object: &Map<String, Value>, seed: &mut Seed) -> Option<String> {
    let names: Vec<&String> = object.keys().collect();
    (!names.is_empty()).then(|| names[seed.below(names.len())].clone())
}

/// A member that means something somewhere.
fn invented(seed: &mut Seed) -> (String, Value) {
    let members = [
        ("alg", json!("none")),
        ("enc", json!("A256GCM")),
        ("typ", json!("JWT")),
        ("kid", json!("did:example:mallory#ed25519")),
        ("skid", json!("did:example:mallory#x25519")),
        ("apu", json!(b64("did:example:mallory#x25519"))),
        ("apv", json!("")),
        ("crit", json!(["x"])),
        ("zip", json!("DEF")),
        ("b64", json!(false)),
        ("jku", json!("https://mallory.example/keys")),
        ("jwk", json!({})),
        ("aad", json!("")),
        ("unprotected", json!({})),
        ("header", json!({})),
        ("signature", json!("")),
        ("encrypted_key", json!("")),
        ("payload", json!("e30")),
        ("from", json!("did:example:mallory")),
        ("x-unknown", json!(0)),
    ];
    let (name, value) = &members[seed.below(members.len())];
    ((*name).to_owned(), value.clone())
}
