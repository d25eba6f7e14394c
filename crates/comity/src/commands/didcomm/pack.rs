//! Packs a message in any legal way, and in the two that [`seal`] does not offer because a sender
//! should not use them, with the same checks: what a receiver would refuse is refused here.

use std::str::FromStr;

use comity_didcomm::{
    AgreementKey, ContentEncryption, CryptoRng, Curve, Did, DidUrl, Message, Protection, PublicKey,
    SealError, SigningKey, UnixTime, anoncrypt, authcrypt, from_prior,
    routing::{Next, Route, RouteError, wrap},
    seal, sign,
};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::{
    keyring::{Keyring, object},
    refused::{MALFORMED, Refused, UNSUPPORTED},
};

/// What is to be packed, and how.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(super) struct Pack {
    pub(super) message: Value,
    pub(super) mode: Option<String>,
    pub(super) to: Option<OneOrMany>,
    pub(super) from: Option<String>,
    pub(super) sign_by: Option<String>,
    pub(super) enc_anon: Option<String>,
    pub(super) forward: Option<bool>,
}

/// One name, or several.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

/// A packed message.
#[derive(Debug)]
pub(super) struct Packed {
    pub(super) packed: String,
    pub(super) to_kids: Vec<DidUrl>,
    pub(super) from_kid: Option<DidUrl>,
    pub(super) sign_kid: Option<DidUrl>,
    /// Where to send it; known when it was wrapped for the recipient's mediators.
    pub(super) uri: Option<String>,
}

/// The combinations of layers that DIDComm v2.1 allows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    Plaintext,
    Signed,
    Anoncrypt,
    Authcrypt,
    AnoncryptSign,
    AuthcryptSign,
    AnoncryptAuthcrypt,
}

impl Mode {
    pub(super) const ALL: [Self; 7] = [
        Self::Plaintext,
        Self::Signed,
        Self::Anoncrypt,
        Self::Authcrypt,
        Self::AnoncryptSign,
        Self::AuthcryptSign,
        Self::AnoncryptAuthcrypt,
    ];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Plaintext => "plaintext",
            Self::Signed => "signed",
            Self::Anoncrypt => "anoncrypt",
            Self::Authcrypt => "authcrypt",
            Self::AnoncryptSign => "anoncrypt+sign",
            Self::AuthcryptSign => "authcrypt+sign",
            Self::AnoncryptAuthcrypt => "anoncrypt+authcrypt",
        }
    }

    const fn signs(self) -> bool {
        matches!(self, Self::Signed | Self::AnoncryptSign | Self::AuthcryptSign)
    }

    const fn seals(self) -> bool {
        matches!(self, Self::Authcrypt | Self::AuthcryptSign | Self::AnoncryptAuthcrypt)
    }

    const fn encrypts(self) -> bool {
        !matches!(self, Self::Plaintext | Self::Signed)
    }
}

impl FromStr for Mode {
    type Err = Refused;

    fn from_str(text: &str) -> Result<Self, Refused> {
        Self::ALL.into_iter().find(|mode| mode.name() == text).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            Refused::new(UNSUPPORTED, format!("the mode is none of {names}"))
        })
    }
}

/// The content encryptions that anoncrypt may have, by their names.
pub(super) const ENCRYPTIONS: [(&str, ContentEncryption); 3] = [
    ("A256CBC-HS512", ContentEncryption::A256CbcHs512),
    ("A256GCM", ContentEncryption::A256Gcm),
    ("XC20P", ContentEncryption::XC20P),
];

/// Packs.
pub(super) fn pack(
    request: &Pack,
    ring: &Keyring,
    now: UnixTime,
    rng: &mut dyn CryptoRng,
) -> Result<Packed, Refused> {
    let mode: Mode = request.mode.as_deref().unwrap_or("authcrypt").parse()?;
    let message = read_message(&request.message, ring, now)?;
    let signer = match mode.signs() {
        true => Some(
            ring.signer(&sender(request.sign_by.as_ref().or(request.from.as_ref()), &message)?)?,
        ),
        false => None,
    };
    let sealers = match mode.seals() {
        true => ring.sealers(&sender(request.from.as_ref(), &message)?)?,
        false => Vec::new(),
    };
    let to = if mode.encrypts() { recipients(request.to.as_ref(), &message)? } else { Vec::new() };
    let mut keys = choose(&to, mode, &sealers, ring)?;
    keys.signer = signer;
    let enc = encryption(request.enc_anon.as_deref())?;
    let mut packed = Packed {
        packed: encode(&message, mode, &keys, enc, rng)?,
        to_kids: keys.recipients.into_iter().map(|(kid, _)| kid).collect(),
        from_kid: keys.sealer.map(|(kid, _)| kid),
        sign_kid: keys.signer.map(|(kid, _)| kid),
        uri: None,
    };
    if request.forward == Some(true) {
        packed = route(packed, &to, &message, ring, rng)?;
    }
    Ok(packed)
}

/// The keys of one envelope.
#[derive(Default)]
struct Keys {
    signer: Option<(DidUrl, SigningKey)>,
    sealer: Option<(DidUrl, AgreementKey)>,
    recipients: Vec<(DidUrl, PublicKey)>,
}

fn encode(
    message: &Message,
    mode: Mode,
    keys: &Keys,
    enc: ContentEncryption,
    rng: &mut dyn CryptoRng,
) -> Result<String, SealError> {
    check(message, mode, keys)?;
    let plaintext = message.to_json();
    let to = keys.recipients.as_slice();
    let sealed = |protection, rng: &mut dyn CryptoRng| {
        seal(message, protection, to, rng).map(|sealed| sealed.envelope)
    };
    match (mode, &keys.signer, &keys.sealer) {
        (Mode::Plaintext, ..) => Ok(String::from_utf8_lossy(&plaintext).into_owned()),
        (Mode::Signed, Some((kid, key)), _) => Ok(sign(&plaintext, kid, key)),
        (Mode::Anoncrypt, ..) => sealed(Protection::Anonymous { enc }, rng),
        (Mode::Authcrypt, _, Some((kid, key))) => sealed(Protection::Deniable { kid, key }, rng),
        (Mode::AnoncryptSign, Some((kid, key)), _) => {
            sealed(Protection::Accountable { kid, key, enc }, rng)
        }
        (Mode::AuthcryptSign, Some((kid, key)), Some((skid, sealer))) => {
            authcrypt(sign(&plaintext, kid, key).as_bytes(), skid, sealer, to, rng)
        }
        (Mode::AnoncryptAuthcrypt, _, Some((skid, sealer))) => {
            let inner = authcrypt(&plaintext, skid, sealer, to, rng)?;
            anoncrypt(inner.as_bytes(), to, enc, rng)
        }
        // `pack` finds the keys that the mode needs before it comes here.
        _ => Err(SealError::From),
    }
}

/// What [`seal`] checks, for all modes.
fn check(message: &Message, mode: Mode, keys: &Keys) -> Result<(), SealError> {
    Message::parse(&message.to_json())?;
    let signer = keys.signer.as_ref().map(|(kid, _)| kid);
    let sealer = keys.sealer.as_ref().map(|(kid, _)| kid);
    for kid in signer.into_iter().chain(sealer) {
        if !message.from.as_ref().is_some_and(|from| from.same_subject(kid.did())) {
            return Err(SealError::From);
        }
    }
    if mode.signs() && mode.encrypts() && message.to.is_empty() {
        return Err(SealError::To);
    }
    let listed = |kid: &DidUrl| message.to.iter().any(|to| to.same_subject(kid.did()));
    if !message.to.is_empty() && !keys.recipients.iter().all(|(kid, _)| listed(kid)) {
        return Err(SealError::Addressee);
    }
    Ok(())
}

/// Chooses the curve that the recipients, and the sender if the mode seals, have in common: the
/// first in the order of cost.
fn choose(
    to: &[Next],
    mode: Mode,
    sealers: &[(DidUrl, AgreementKey)],
    ring: &Keyring,
) -> Result<Keys, Refused> {
    if to.is_empty() {
        return Ok(Keys::default());
    }
    for curve in Curve::AGREEMENT {
        let sealer = sealers.iter().find(|(_, key)| key.public().curve() == curve);
        if mode.seals() && sealer.is_none() {
            continue;
        }
        let keys = to.iter().map(|name| ring.recipients(name, curve));
        let keys = keys.collect::<Result<Vec<_>, _>>()?;
        if keys.iter().all(|keys| !keys.is_empty()) {
            let recipients = keys.into_iter().flatten().collect();
            return Ok(Keys { signer: None, sealer: sealer.cloned(), recipients });
        }
    }
    Err(SealError::Curve.into())
}

/// Wraps for the mediators of the recipient's preferred endpoint that can be used.
fn route(
    packed: Packed,
    to: &[Next],
    message: &Message,
    ring: &Keyring,
    rng: &mut dyn CryptoRng,
) -> Result<Packed, Refused> {
    let [recipient] = to else {
        let text = "forward needs an encrypted message to one recipient";
        return Err(Refused::new(UNSUPPORTED, text));
    };
    let document = ring.need_document(recipient.did())?;
    let mut failed = RouteError::NoEndpoint;
    for endpoint in document.didcomm_endpoints() {
        // Nothing is sent from here, so every kind of address will do.
        let route = Route::new(recipient.did(), &endpoint, &|_| true, &|did| ring.document(did));
        match route {
            Ok(route) => {
                let wrapped = wrap(packed.packed, &route, message.expires_time, rng)?;
                return Ok(Packed { packed: wrapped.envelope, uri: Some(wrapped.uri), ..packed });
            }
            Err(error) => failed = error,
        }
    }
    Err(failed.into())
}

/// Reads the message, and signs its `from_prior` if that is given as claims.
fn read_message(value: &Value, ring: &Keyring, now: UnixTime) -> Result<Message, Refused> {
    let mut message = object(value, "message")?;
    if let Some(Value::Object(claims)) = message.get("from_prior") {
        let token = sign_rotation(claims, ring, now)?;
        message.insert("from_prior".to_owned(), Value::String(token));
    }
    Message::parse(Value::Object(message).to_string().as_bytes())
        .map_err(|error| Refused::new(MALFORMED, error.to_string()))
}

fn sign_rotation(
    claims: &Map<String, Value>,
    ring: &Keyring,
    now: UnixTime,
) -> Result<String, Refused> {
    let refuse = |text: &str| Refused::new("e.m.did.from-prior", text);
    let did = |name: &str| match claims.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(value) => match value.as_str().map(Did::parse) {
            Some(Ok(did)) => Ok(Some(did)),
            _ => Err(refuse(&format!("{name} in from_prior is not a DID"))),
        },
    };
    let issuer = did("iss")?.ok_or_else(|| refuse("from_prior has no iss"))?;
    let successor = did("sub")?;
    let at = match claims.get("iat") {
        None | Some(Value::Null) => now,
        Some(value) => {
            UnixTime(value.as_u64().ok_or_else(|| refuse("iat in from_prior is no time"))?)
        }
    };
    let others = claims.iter().filter(|(_, value)| !value.is_null());
    if others.into_iter().any(|(name, _)| !matches!(name.as_str(), "iss" | "sub" | "iat")) {
        return Err(refuse("from_prior has other claims than iss, sub and iat"));
    }
    let (kid, key) = ring.signer(&Next::Did(issuer))?;
    Ok(from_prior(&kid, &key, successor.as_ref(), at))
}

fn sender(name: Option<&String>, message: &Message) -> Result<Next, Refused> {
    match (name, &message.from) {
        (Some(name), _) => party(name),
        (None, Some(from)) => Ok(Next::Did(from.clone())),
        (None, None) => {
            Err(Refused::new(SENDER_MISMATCH, "the mode needs a sender: say from, or sign_by"))
        }
    }
}

fn recipients(to: Option<&OneOrMany>, message: &Message) -> Result<Vec<Next>, Refused> {
    let to = match to {
        Some(OneOrMany::One(name)) => vec![party(name)?],
        Some(OneOrMany::Many(names)) => {
            names.iter().map(|name| party(name)).collect::<Result<_, _>>()?
        }
        None => message.to.iter().cloned().map(Next::Did).collect(),
    };
    if to.is_empty() {
        return Err(Refused::new("e.m.trust.not-addressed", "the mode needs a recipient: say to"));
    }
    Ok(to)
}

fn party(text: &str) -> Result<Next, Refused> {
    Next::parse(text).map_err(|_| {
        Refused::new(MALFORMED, format!("{text:?} is neither a DID nor the id of a key"))
    })
}

fn encryption(name: Option<&str>) -> Result<ContentEncryption, Refused> {
    let Some(name) = name else { return Ok(ContentEncryption::default()) };
    let known = ENCRYPTIONS.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, enc)| enc).ok_or_else(|| {
        let names = ENCRYPTIONS.map(|(name, _)| name).join(", ");
        Refused::new("e.m.trust.crypto.alg", format!("enc_anon is none of {names}"))
    })
}

const SENDER_MISMATCH: &str = "e.m.trust.crypto.sender-mismatch";
