//! Keys as JWK (RFC 7517; RFC 7518, section 6.2; RFC 8037; RFC 8812), public and private. Members
//! that say nothing about the key itself (`kid`, `use`, `alg`, ..) are left to those who have a use
//! for them.

use serde_json::{Map, Value, json};
use zeroize::Zeroizing;

use super::{AgreementKey, Curve, KeyError, Point, PublicKey, SigningKey};
use crate::encoding;
use crate::json::Object;
use crate::limits::KEY_CHARS_MAX;

impl PublicKey {
    /// Reads a public JWK.
    ///
    /// # Errors
    /// When it is not a public key of a known kind on a safe point.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        if jwk.contains_key("d") {
            return Err(KeyError::Private);
        }
        read_public(|name| jwk.get(name).and_then(Value::as_str))
    }

    pub(crate) fn from_jwk_object(jwk: Object<'_>) -> Result<Self, KeyError> {
        if jwk.contains("d") {
            return Err(KeyError::Private);
        }
        read_public(|name| jwk.get_str(name))
    }

    /// Returns the JWK form.
    #[must_use]
    pub fn to_jwk(&self) -> Map<String, Value> {
        let mut jwk = Map::new();
        for (name, value) in self.jwk_members() {
            jwk.insert(name.to_owned(), json!(value));
        }
        jwk
    }

    /// Appends the JWK form as JSON text.
    pub(crate) fn push_jwk(&self, out: &mut String) {
        let (x, y) = self.coordinates();
        out.push_str("{\"kty\":\"");
        out.push_str(if y.is_some() { "EC" } else { "OKP" });
        out.push_str("\",\"crv\":\"");
        out.push_str(self.curve().name());
        out.push_str("\",\"x\":\"");
        encoding::push_base64url(x, out);
        if let Some(y) = y {
            out.push_str("\",\"y\":\"");
            encoding::push_base64url(y, out);
        }
        out.push_str("\"}");
    }

    fn jwk_members(&self) -> impl Iterator<Item = (&'static str, String)> {
        let (x, y) = self.coordinates();
        [
            Some(("kty", if y.is_some() { "EC" } else { "OKP" }.to_owned())),
            Some(("crv", self.curve().name().to_owned())),
            Some(("x", encoding::base64url(x))),
            y.map(|y| ("y", encoding::base64url(y))),
        ]
        .into_iter()
        .flatten()
    }

    fn coordinates(&self) -> (&[u8], Option<&[u8]>) {
        let (x, y) = match self {
            Self::Ed25519(raw) | Self::X25519(raw) => return (raw, None),
            Self::P256(point) | Self::Secp256k1(point) => point.coordinates(),
            Self::P384(point) => point.coordinates(),
            Self::P521(point) => point.coordinates(),
        };
        (x, Some(y))
    }
}

impl SigningKey {
    /// Reads a private JWK.
    ///
    /// # Errors
    /// When it is not a key that signs, has no private part, or its two parts do not belong together.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let (public, private) = read_private(jwk)?;
        let key = Self::from_bytes_on(public.curve(), &private)?;
        if key.public() == public { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// Returns the private JWK as JSON text, which is wiped when it is dropped.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        write_private(&self.public(), &*self.seed())
    }
}

impl AgreementKey {
    /// Reads a private JWK.
    ///
    /// # Errors
    /// When it is not a key that agrees, has no private part, or its two parts do not belong together.
    pub fn from_jwk(jwk: &Map<String, Value>) -> Result<Self, KeyError> {
        let (public, private) = read_private(jwk)?;
        let key = Self::from_bytes_on(public.curve(), &private)?;
        if key.public() == public { Ok(key) } else { Err(KeyError::Mismatch) }
    }

    /// Returns the private JWK as JSON text, which is wiped when it is dropped.
    #[must_use]
    pub fn to_jwk(&self) -> Zeroizing<String> {
        write_private(&self.public(), &self.to_bytes())
    }
}

fn read_public<'a>(member: impl Fn(&str) -> Option<&'a str>) -> Result<PublicKey, KeyError> {
    let kty = member("kty").ok_or(KeyError::Encoding)?;
    let curve = member("crv")
        .and_then(|crv| Curve::ALL.into_iter().find(|known| known.name() == crv))
        .ok_or(KeyError::Unsupported)?;
    let has_one_coordinate = matches!(curve, Curve::Ed25519 | Curve::X25519);
    if kty != if has_one_coordinate { "OKP" } else { "EC" } {
        return Err(KeyError::Unsupported);
    }
    let decoded = |name: &str| {
        member(name)
            .filter(|text| text.len() <= KEY_CHARS_MAX)
            .and_then(encoding::from_base64url_short)
            .ok_or(KeyError::Encoding)
    };
    let x = decoded("x")?;
    let x = x.as_ref();
    if has_one_coordinate {
        return PublicKey::from_raw(curve, x);
    }
    let y = decoded("y")?;
    let y = y.as_ref();
    match curve {
        Curve::P256 => Point::from_coordinates(curve, x, y).map(PublicKey::P256),
        Curve::P384 => Point::from_coordinates(curve, x, y).map(PublicKey::P384),
        Curve::P521 => Point::from_coordinates(curve, x, y).map(PublicKey::P521),
        Curve::Secp256k1 => Point::from_coordinates(curve, x, y).map(PublicKey::Secp256k1),
        Curve::Ed25519 | Curve::X25519 => Err(KeyError::Unsupported),
    }
}

fn read_private(jwk: &Map<String, Value>) -> Result<(PublicKey, Zeroizing<Vec<u8>>), KeyError> {
    let member = |name: &str| jwk.get(name).and_then(Value::as_str);
    let public = read_public(member)?;
    let private = member("d").filter(|text| text.len() <= KEY_CHARS_MAX);
    let private = private.and_then(encoding::from_base64url).map(Zeroizing::new);
    let mut private = private.ok_or(KeyError::Encoding)?;
    // Some writers leave leading zeros out, as of x and y. Of the other two curves it is no number.
    if let Some(length) = number_bytes(public.curve())
        && let Some(zeros) = length.checked_sub(private.len())
        && zeros != 0
    {
        let mut filled = Zeroizing::new(vec![0; length]);
        filled.iter_mut().skip(zeros).zip(&*private).for_each(|(to, from)| *to = *from);
        private = filled;
    }
    Ok((public, private))
}

/// How long the private number of a key on the curve is; nothing where it is not a number.
const fn number_bytes(curve: Curve) -> Option<usize> {
    match curve {
        Curve::P256 | Curve::Secp256k1 => Some(32),
        Curve::P384 => Some(48),
        Curve::P521 => Some(66),
        Curve::Ed25519 | Curve::X25519 => None,
    }
}

fn write_private(public: &PublicKey, private: &[u8]) -> Zeroizing<String> {
    // Long enough for every curve, so that no half-written copy is left behind by growing.
    let mut out = Zeroizing::new(String::with_capacity(2 * KEY_CHARS_MAX));
    public.push_jwk(&mut out);
    out.pop();
    out.push_str(",\"d\":\"");
    encoding::push_base64url(private, &mut out);
    out.push_str("\"}");
    out
}
