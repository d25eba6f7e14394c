//! Encrypted envelopes: JWE in the general JSON serialisation (RFC 7516, section 7.2.1) with the
//! headers that DIDComm v2.1 prescribes. Parsing does no cryptography; the machine in the open
//! module decides when some is worth doing.

use aws_lc_rs::digest;
use aws_lc_rs::key_wrap::{AES_256, AesKek, KeyWrap as _};
use rand_core::CryptoRng;
use zeroize::Zeroizing;

use super::content::{ContentKey, KEY_BYTES_MAX, WRAPPED_KEY_BYTES_MAX};
use super::covered::Covered;
use super::header::{self, ProtectedHeader};
use super::kdf::{self, Parties, Secrets};
use super::{ContentEncryption, ENCRYPTED_TYPE, KeyManagement};
use crate::did::DidUrl;
use crate::encoding::{self, Short};
use crate::json::{Json, Object};
use crate::key::{self, AgreementKey, Curve, PublicKey};
use crate::limits::{ENVELOPE_BYTES_MAX, PROTECTED_CHARS_MAX};
use crate::open::OpenError;
use crate::seal::SealError;

/// One encrypted envelope, decoded and checked as far as is possible without a key.
pub(crate) struct Jwe {
    pub(crate) alg: KeyManagement,
    pub(crate) recipients: Vec<Recipient>,
    /// The sender's key id, under authcrypt.
    pub(crate) skid: Option<DidUrl>,
    enc: ContentEncryption,
    epk: PublicKey,
    /// What `apu` says without a sender; with one it is the key id.
    apu: Vec<u8>,
    apv: [u8; 32],
    iv: Short,
    tag: Short,
    /// The protected header as it was sent, which is the additional authenticated data, and the
    /// ciphertext.
    content: Covered,
}

/// One recipient of an envelope.
pub(crate) struct Recipient {
    pub(crate) kid: DidUrl,
    encrypted_key: Short,
}

impl Jwe {
    /// Reads an envelope.
    pub(crate) fn from_object(
        envelope: Object<'_>,
        recipients_max: usize,
    ) -> Result<Self, OpenError> {
        // Counted first: nothing below may cost more for an envelope with more recipients than
        // anybody has.
        let recipients =
            envelope.get("recipients").and_then(Json::as_array).ok_or(OpenError::Malformed)?;
        if recipients_max < recipients.len() {
            return Err(OpenError::TooManyRecipients);
        }
        // The flattened form, shared unprotected headers and extra authenticated data are not part
        // of DIDComm.
        if ["aad", "encrypted_key", "header", "payload", "signatures", "unprotected"]
            .iter()
            .any(|name| envelope.contains(name))
        {
            return Err(OpenError::Malformed);
        }
        let member = |name: &str| envelope.get_str(name).ok_or(OpenError::Malformed);
        let protected = member("protected")?;
        if PROTECTED_CHARS_MAX < protected.len() {
            return Err(OpenError::Malformed);
        }
        let ciphertext = member("ciphertext")?;
        let mut content = Covered::new([protected], [protected, ciphertext]);
        let header = content.decode(protected).ok_or(OpenError::Malformed)?;
        let header = header::read(header, ENCRYPTED_TYPE)?;
        let alg = required(&header, "alg")?;
        let alg = KeyManagement::from_name(alg).ok_or(OpenError::Algorithm)?;
        let enc = required(&header, "enc")?;
        let enc = ContentEncryption::from_name(enc).ok_or(OpenError::Algorithm)?;
        // Check 10: the pair of algorithms.
        if !alg.allows(enc) {
            return Err(OpenError::Algorithm);
        }
        let epk =
            header.object().get("epk").and_then(Json::as_object).ok_or(OpenError::Malformed)?;
        // Check 9, first half: the ephemeral key is a safe point of the one curve.
        let epk = PublicKey::from_jwk_object(epk).map_err(|_| OpenError::Key)?;
        if !epk.is_agreement() {
            return Err(OpenError::Key);
        }
        let (apu, skid) = sender(&header, alg)?;
        let recipients = recipients.items().map(recipient).collect::<Result<Vec<_>, _>>()?;
        let apv = encoding::from_base64url_array(required(&header, "apv")?)
            .ok_or(OpenError::Malformed)?;
        // Check 6: the recipients are those that the sender sealed for.
        if recipients_digest(recipients.iter().map(|recipient| &recipient.kid)) != Some(apv) {
            return Err(OpenError::Malformed);
        }
        let short = |name: &str| {
            member(name)
                .and_then(|text| encoding::from_base64url_short(text).ok_or(OpenError::Malformed))
        };
        let (iv, tag) = (short("iv")?, short("tag")?);
        content.decode(ciphertext).ok_or(OpenError::Malformed)?;
        Ok(Self { alg, recipients, skid, enc, epk, apu, apv, iv, tag, content })
    }

    /// The curve of the ephemeral key, which is that of every key that agrees.
    pub(crate) const fn curve(&self) -> Curve {
        self.epk.curve()
    }

    /// Decrypts with the first of these keys that works. One answer for every failure, so that
    /// nobody learns which part was wrong.
    pub(crate) fn decrypt(
        mut self,
        own: &[(DidUrl, AgreementKey)],
        sender: Option<&PublicKey>,
    ) -> Result<(DidUrl, Vec<u8>), OpenError> {
        let apu = self.skid.as_ref().map_or(&*self.apu, |skid| skid.as_str().as_bytes());
        let parties = Parties { alg: self.alg, apu, apv: &self.apv, tag: self.tag.as_ref() };
        let unwrapped = own.iter().find_map(|(kid, own)| {
            let recipient = self.recipients.iter().find(|recipient| recipient.kid == *kid)?;
            let secrets = Secrets::of_recipient(own, &self.epk, sender)?;
            let key = unwrap(
                self.enc,
                &kdf::derive(&secrets, &parties),
                recipient.encrypted_key.as_ref(),
            )?;
            Some((recipient.kid.clone(), key, own, secrets))
        });
        let (kid, key, own, secrets) = unwrapped.ok_or(OpenError::Crypto)?;
        let (protected, content) = self.content.split_mut();
        let length = key
            .decrypt(self.iv.as_ref(), protected, self.tag.as_ref(), content)
            .map_err(|_| OpenError::Crypto)?;
        if let (Some(sender), Some(secret)) = (sender, &secrets.sender) {
            own.remember(sender, secret);
        }
        Ok((kid, self.content.into_content(length)))
    }
}

/// Reads `apu` and `skid`. Check 2: both name the same key; `apu` alone suffices, `skid` alone does
/// not.
fn sender(
    header: &ProtectedHeader<'_>,
    alg: KeyManagement,
) -> Result<(Vec<u8>, Option<DidUrl>), OpenError> {
    let decode = |text| encoding::from_base64url(text).ok_or(OpenError::Malformed);
    match (alg, header.text("apu")?, header.text("skid")?) {
        (KeyManagement::EcdhEsA256Kw, apu, None) => {
            Ok((apu.map(decode).transpose()?.unwrap_or_default(), None))
        }
        (KeyManagement::Ecdh1PuA256Kw, Some(apu), Some(skid))
            if encoding::is_base64url_of(apu, skid.as_bytes()) =>
        {
            Ok((Vec::new(), Some(header::key_id(skid)?)))
        }
        (KeyManagement::Ecdh1PuA256Kw, Some(apu), skid) => {
            let apu = decode(apu)?;
            let named = std::str::from_utf8(&apu).map_err(|_| OpenError::Malformed)?;
            if skid.is_some() {
                return Err(OpenError::SenderMismatch);
            }
            Ok((Vec::new(), Some(header::key_id(named)?)))
        }
        // A sender's key in an anonymous envelope, or no sender's key in an authenticated one.
        _ => Err(OpenError::Malformed),
    }
}

fn recipient(json: Json<'_>) -> Result<Recipient, OpenError> {
    let object = json.as_object().ok_or(OpenError::Malformed)?;
    let header = object.get("header").and_then(Json::as_object).ok_or(OpenError::Malformed)?;
    header::refuse_parameters(header)?;
    // These decide how to decrypt, so they must stand where they are authenticated.
    if ["alg", "apu", "apv", "enc", "epk", "skid"].iter().any(|name| header.contains(name)) {
        return Err(OpenError::Malformed);
    }
    let kid = header::key_id(header.get_str("kid").ok_or(OpenError::Malformed)?)?;
    let encrypted_key = object.get_str("encrypted_key").ok_or(OpenError::Malformed)?;
    let encrypted_key =
        encoding::from_base64url_short(encrypted_key).ok_or(OpenError::Malformed)?;
    Ok(Recipient { kid, encrypted_key })
}

fn required<'h>(header: &'h ProtectedHeader<'_>, name: &str) -> Result<&'h str, OpenError> {
    header.text(name)?.ok_or(OpenError::Malformed)
}

/// Computes `apv`: SHA-256 over the sorted key ids, joined by dots. `None` without recipients or
/// with one twice.
fn recipients_digest<'k>(kids: impl Iterator<Item = &'k DidUrl> + Clone) -> Option<[u8; 32]> {
    // Most senders list them sorted already.
    if kids.clone().zip(kids.clone().skip(1)).all(|(one, next)| one < next) {
        return joined_digest(kids);
    }
    let mut sorted: Vec<&DidUrl> = kids.collect();
    sorted.sort_unstable();
    let twice = sorted.windows(2).any(|pair| matches!(pair, [one, other] if one == other));
    if twice { None } else { joined_digest(sorted.into_iter()) }
}

fn joined_digest<'k>(kids: impl Iterator<Item = &'k DidUrl>) -> Option<[u8; 32]> {
    let mut hash = digest::Context::new(&digest::SHA256);
    let mut count = 0_usize;
    for kid in kids {
        if 0 < count {
            hash.update(b".");
        }
        hash.update(kid.as_str().as_bytes());
        count += 1;
    }
    if count == 0 { None } else { hash.finish().as_ref().try_into().ok() }
}

fn unwrap(enc: ContentEncryption, kek: &[u8; 32], wrapped: &[u8]) -> Option<ContentKey> {
    if wrapped.len() != enc.sizes().0 + 8 {
        return None;
    }
    let mut bytes = Zeroizing::new([0; KEY_BYTES_MAX]);
    let bytes = bytes.get_mut(..enc.sizes().0)?;
    AesKek::new(&AES_256, kek).ok()?.unwrap(wrapped, bytes).ok()?;
    ContentKey::new(enc, bytes)
}

/// Who seals: nobody in particular, or the holder of a key.
pub(crate) enum Sealer<'a> {
    Anonymous,
    Key { skid: &'a DidUrl, key: &'a AgreementKey },
}

/// Writes an envelope. Recipients are listed in the order of their key ids, which some peers' check
/// of `apv` relies on.
pub(crate) fn seal(
    plaintext: &[u8],
    sealer: &Sealer<'_>,
    recipients: &[(DidUrl, PublicKey)],
    enc: ContentEncryption,
    rng: &mut dyn CryptoRng,
) -> Result<String, SealError> {
    let mut sorted: Vec<&(DidUrl, PublicKey)> = recipients.iter().collect();
    sorted.sort_unstable_by(|one, other| one.0.cmp(&other.0));
    let apv = recipients_digest(sorted.iter().map(|(kid, _)| kid)).ok_or(SealError::Recipients)?;
    let (alg, skid, static_key) = match sealer {
        Sealer::Anonymous => (KeyManagement::EcdhEsA256Kw, None, None),
        Sealer::Key { skid, key } => (KeyManagement::Ecdh1PuA256Kw, Some(*skid), Some(*key)),
    };
    if !alg.allows(enc) {
        return Err(SealError::ContentEncryption);
    }
    // One ephemeral key for all, so all keys are on its curve.
    let curve = sorted.first().map(|(_, key)| key.curve()).ok_or(SealError::Recipients)?;
    let strays = sorted.iter().any(|(_, key)| key.curve() != curve);
    if strays || static_key.is_some_and(|key| key.public().curve() != curve) {
        return Err(SealError::Curve);
    }
    let ephemeral = AgreementKey::generate_on(curve, rng).map_err(|_| SealError::Crypto)?;
    let apu = skid.map_or(&[][..], |skid| skid.as_str().as_bytes());
    let protected = encoding::base64url(protected_header(alg, enc, &ephemeral, apu, &apv, skid));

    let (key_len, iv_len, _) = enc.sizes();
    let key_bytes = key::random::<KEY_BYTES_MAX>(rng);
    let content_key = key_bytes.get(..key_len).and_then(|bytes| ContentKey::new(enc, bytes));
    let content_key = content_key.ok_or(SealError::Crypto)?;
    let iv = key::random::<24>(rng);
    let iv = iv.get(..iv_len).ok_or(SealError::Crypto)?;
    let mut content = Vec::with_capacity(plaintext.len() + 16);
    content.extend_from_slice(plaintext);
    let tag = content_key
        .encrypt(iv, protected.as_bytes(), &mut content)
        .map_err(|_| SealError::Crypto)?;

    let parties = Parties { alg, apu, apv: &apv, tag: &tag };
    let mut out =
        String::with_capacity(content.len() * 4 / 3 + protected.len() + sorted.len() * 256 + 256);
    out.push_str("{\"protected\":\"");
    out.push_str(&protected);
    out.push_str("\",\"recipients\":[");
    for (at, (kid, public)) in sorted.into_iter().enumerate() {
        let secrets =
            Secrets::of_sender(&ephemeral, static_key, public).ok_or(SealError::RecipientKey)?;
        if let (Some(own), Some(secret)) = (static_key, &secrets.sender) {
            own.remember(public, secret);
        }
        let mut wrapped = [0; WRAPPED_KEY_BYTES_MAX];
        let wrapped = AesKek::new(&AES_256, &*kdf::derive(&secrets, &parties))
            .and_then(|kek| kek.wrap(content_key.as_bytes(), &mut wrapped))
            .map_err(|_| SealError::Crypto)?;
        // A key id has no character that JSON would escape.
        out.push_str(if at == 0 { "{\"header\":{\"kid\":\"" } else { ",{\"header\":{\"kid\":\"" });
        out.push_str(kid.as_str());
        out.push_str("\"},\"encrypted_key\":\"");
        encoding::push_base64url(wrapped, &mut out);
        out.push_str("\"}");
    }
    out.push_str("],\"iv\":\"");
    encoding::push_base64url(iv, &mut out);
    out.push_str("\",\"ciphertext\":\"");
    encoding::push_base64url(&content, &mut out);
    out.push_str("\",\"tag\":\"");
    encoding::push_base64url(&tag, &mut out);
    out.push_str("\"}");
    if ENVELOPE_BYTES_MAX < out.len() || PROTECTED_CHARS_MAX < protected.len() {
        return Err(SealError::TooLarge);
    }
    Ok(out)
}

fn protected_header(
    alg: KeyManagement,
    enc: ContentEncryption,
    ephemeral: &AgreementKey,
    apu: &[u8],
    apv: &[u8; 32],
    skid: Option<&DidUrl>,
) -> String {
    let mut out = format!(
        "{{\"typ\":\"{ENCRYPTED_TYPE}\",\"alg\":\"{}\",\"enc\":\"{}\",\"epk\":",
        alg.name(),
        enc.name(),
    );
    ephemeral.public().push_jwk(&mut out);
    out.push_str(",\"apv\":\"");
    encoding::push_base64url(apv, &mut out);
    if let Some(skid) = skid {
        out.push_str("\",\"apu\":\"");
        encoding::push_base64url(apu, &mut out);
        out.push_str("\",\"skid\":\"");
        out.push_str(skid.as_str());
    }
    out.push_str("\"}");
    out
}

#[cfg(test)]
mod tests;
