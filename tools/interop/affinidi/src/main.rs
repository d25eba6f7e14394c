//! Drives the crate `affinidi-messaging-didcomm` over the line protocol of `comity didcomm lines`.
//!
//! One JSON object per line in, one per line out, in order. Not a test, and it judges nothing: it maps a request onto
//! the library's own calls, and the library's answer onto the members that docs/protocols/didcomm-lines.md names. The
//! library leaves resolving to its caller, so the keys of a document are chosen here.

use std::io::{self, BufRead as _, Write as _};

use affinidi_crypto::jose::key_agreement::{Curve, PrivateKeyAgreement, PublicKeyAgreement};
use affinidi_messaging_didcomm::{
    Message, SenderKey, SignerKey, UnpackResult,
    jwe::{decrypt, encrypt},
    jws::{
        sign::{JwsSigner, sign_multi},
        verify::{VerifyKey, parse_jws},
    },
    message::{forward, pack, unpack},
};
use anyhow::{Context as _, Result, bail};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Value, json};

fn main() -> Result<()> {
    let mut output = io::stdout().lock();
    for line in io::stdin().lock().lines() {
        writeln!(output, "{}", answer(&line?))?;
        output.flush()?;
    }
    Ok(())
}

fn answer(line: &str) -> Value {
    let request: Value = serde_json::from_str(line).unwrap_or_default();
    let outcome = match request["op"].as_str() {
        Some("info") => Ok(info()),
        Some("pack") => packed(&request),
        Some("unpack") => unpacked(&request),
        _ => Err(anyhow::anyhow!("no such op")),
    };
    let mut answer = match outcome {
        Ok(answer) => answer,
        Err(error) => json!({ "ok": false, "error": format!("{error:#}"), "code": "error" }),
    };
    answer["rid"] = request["rid"].clone();
    answer
}

fn info() -> Value {
    json!({
        "ok": true,
        "name": "affinidi-messaging-didcomm (Rust)",
        "version": "0.15.11",
        "curves": ["X25519", "P-256", "P-384", "P-521"],
        "algorithms": ["EdDSA", "ES256", "ES256K", ENC],
        "modes": ["plaintext", "signed", "anoncrypt", "authcrypt", "anoncrypt+sign", "authcrypt+sign"],
    })
}

const ENC: &str = "A256CBC-HS512";

fn packed(request: &Value) -> Result<Value> {
    let message: Message = serde_json::from_value(request["message"].clone())?;
    if request["message"]["from_prior"].is_object() {
        bail!("the library does not sign from_prior");
    }
    let mode = text(request, "mode")?;
    let (layers, signed) = match mode.split_once('+') {
        Some((outer, "sign")) => (outer, true),
        None if mode == "signed" => ("", true),
        None => (mode, false),
        Some(_) => bail!("the library does not read {mode}, so it does not offer it"),
    };
    let (plaintext, sign_kid) = if signed {
        let (kid, jws) = sign(request, &message)?;
        (jws.into_bytes(), Some(kid))
    } else {
        (pack::pack_plaintext(&message)?.into_bytes(), None)
    };
    let mut answer = json!({ "ok": true });
    if let Some(kid) = sign_kid {
        answer["sign_kid"] = kid.into();
    }
    let mut packed = String::from_utf8(plaintext)?;
    if matches!(layers, "anoncrypt" | "authcrypt") {
        let to = text(request, "to")?;
        let (from, curve) = match layers {
            "authcrypt" => {
                let recipients = public_keys(request, to)?;
                let (kid, key) = sender(request, &recipients)?;
                answer["from_kid"] = kid.clone().into();
                let curve = key.curve();
                (Some((kid, key)), curve)
            }
            _ => {
                check_enc(request)?;
                let first = public_keys(request, to)?.into_iter().next().context("no recipient key")?;
                (None, first.1.curve())
            }
        };
        let keys: Vec<_> =
            public_keys(request, to)?.into_iter().filter(|(_, key)| key.curve() == curve).collect();
        let recipients: Vec<_> = keys.iter().map(|(kid, key)| (kid.as_str(), key)).collect();
        packed = match &from {
            Some((kid, key)) => encrypt::authcrypt(packed.as_bytes(), kid, key, &recipients)?,
            None => encrypt::anoncrypt(packed.as_bytes(), &recipients)?,
        };
        answer["to_kids"] = keys.iter().map(|(kid, _)| kid.as_str()).collect();
        if request["forward"] == true {
            packed = forwarded(request, to, packed)?;
        }
    }
    answer["packed"] = packed.into();
    Ok(answer)
}

/// Wraps for each routing key, as the library's own agent does for its one mediator.
fn forwarded(request: &Value, to: &str, mut packed: String) -> Result<String> {
    let services = &document(request, to)?["service"];
    let endpoint = services.get(0).map(|service| service["serviceEndpoint"].clone()).unwrap_or_default();
    let endpoint = endpoint.get(0).cloned().unwrap_or(endpoint);
    let mut keys: Vec<String> = endpoint["routingKeys"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|key| Some(key.as_str()?.to_owned()))
        .collect();
    if let Some(mediator) = endpoint["uri"].as_str().filter(|uri| uri.starts_with("did:")) {
        keys.insert(0, mediator.to_owned());
    }
    let mut next = did_of(to).to_owned();
    for key in keys.into_iter().rev() {
        check_enc(request)?;
        let message = forward::wrap_in_forward(&next, &packed)?;
        let recipients = public_keys(request, &key)?;
        let curve = recipients.first().context("a routing key has no key agreement")?.1.curve();
        let recipients: Vec<_> = recipients
            .iter()
            .filter(|(_, public)| public.curve() == curve)
            .map(|(kid, public)| (kid.as_str(), public))
            .collect();
        packed = encrypt::anoncrypt(&message.to_json()?, &recipients)?;
        next = key;
    }
    Ok(packed)
}

fn check_enc(request: &Value) -> Result<()> {
    match request["enc_anon"].as_str() {
        None | Some(ENC) => Ok(()),
        Some(enc) => bail!("the library encrypts with {ENC} only, not with {enc}"),
    }
}

fn sign(request: &Value, message: &Message) -> Result<(String, String)> {
    let by = text(request, "sign_by")?;
    let kid = kids(document(request, by)?, "authentication", by)
        .into_iter()
        .find(|kid| secret(request, kid).is_some())
        .context("no secret to sign with")?;
    let jwk = secret(request, &kid).context("no secret to sign with")?;
    let private: [u8; 32] = private_bytes(jwk)?
        .try_into()
        .map_err(|_| anyhow::anyhow!("a signing key has 32 bytes"))?;
    let private = &private;
    let signer = match text(jwk, "crv")? {
        "Ed25519" => JwsSigner::Ed25519 { kid: &kid, private },
        "P-256" => JwsSigner::P256 { kid: &kid, private },
        "secp256k1" => JwsSigner::Secp256k1 { kid: &kid, private },
        crv => bail!("the library does not sign with {crv}"),
    };
    let jws = sign_multi(&message.to_json()?, &[signer])?;
    Ok((kid, jws))
}

/// Picks the first key of the sender that has a secret and a curve which the recipient has as well.
fn sender(
    request: &Value,
    recipients: &[(String, PublicKeyAgreement)],
) -> Result<(String, PrivateKeyAgreement)> {
    let from = text(request, "from")?;
    for kid in kids(document(request, from)?, "keyAgreement", from) {
        let Some(jwk) = secret(request, &kid) else { continue };
        let key = private_key(jwk)?;
        if recipients.iter().any(|(_, public)| public.curve() == key.curve()) {
            return Ok((kid, key));
        }
    }
    bail!("sender and recipient share no curve")
}

fn unpacked(request: &Value) -> Result<Value> {
    let packed = text(request, "packed")?;
    let envelope: Value = serde_json::from_str(packed)?;
    if envelope["ciphertext"].is_null() {
        return outcome(request, unpack_signed(request, packed, &envelope)?, &[]);
    }
    let to: Vec<String> = envelope["recipients"]
        .as_array()
        .context("no recipients")?
        .iter()
        .filter_map(|recipient| Some(recipient["header"]["kid"].as_str()?.to_owned()))
        .collect();
    let kid = to.iter().find(|kid| secret(request, kid).is_some()).context("no secret of ours")?;
    let private = private_key(secret(request, kid).context("no secret of ours")?)?;
    let skid = decrypt::authcrypt_sender_kid(packed)?;
    let sender_key = skid.as_deref().map(|skid| public_key(request, skid)).transpose()?;
    let sender = skid.as_deref().zip(sender_key.as_ref()).map(|(skid, key)| SenderKey::new(skid, key));
    // The signer's name is inside, and the library wants its key before it opens.
    let inner = decrypt::decrypt_bound(packed, kid, &private, sender)?.plaintext;
    let signer = match serde_json::from_slice::<Value>(&inner) {
        Ok(inner) if !inner["signatures"].is_null() => Some(signer_of(request, &inner.to_string())?),
        _ => None,
    };
    let signer = signer.as_ref().map(|(kid, key)| SignerKey::new(kid, key));
    let result = unpack::unpack_bound(packed, Some(kid), Some(&private), sender, signer)?;
    outcome(request, result, &to)
}

fn unpack_signed(request: &Value, packed: &str, envelope: &Value) -> Result<UnpackResult> {
    if envelope["signatures"].is_null() {
        return Ok(unpack::unpack_bound(packed, None, None, None, None)?);
    }
    let (kid, key) = signer_of(request, packed)?;
    Ok(unpack::unpack_bound(packed, None, None, None, Some(SignerKey::new(&kid, &key)))?)
}

fn outcome(request: &Value, result: UnpackResult, to: &[String]) -> Result<Value> {
    let (message, meta) = match result {
        UnpackResult::Encrypted {
            message, authenticated, sender_kid, non_repudiation, signer_kid, ..
        } => {
            if request["unwrap_forward"] == true && message.typ == forward::FORWARD_MESSAGE_TYPE {
                return unwrapped(request, &message);
            }
            let meta = json!({
                "encrypted": true,
                "authenticated": authenticated || non_repudiation,
                "non_repudiation": non_repudiation,
                "anonymous_sender": !authenticated,
                "from_kid": sender_kid,
                "sign_kid": signer_kid,
                "to_kids": to,
                "re_wrapped": false,
            });
            (message, meta)
        }
        UnpackResult::Signed { message, signer_kid } => {
            let meta = json!({
                "encrypted": false,
                "authenticated": true,
                "non_repudiation": true,
                "anonymous_sender": false,
                "sign_kid": signer_kid,
                "re_wrapped": false,
            });
            (message, meta)
        }
        UnpackResult::Plaintext(message) => {
            let meta = json!({
                "encrypted": false,
                "authenticated": false,
                "non_repudiation": false,
                "anonymous_sender": false,
                "re_wrapped": false,
            });
            (message, meta)
        }
        _ => bail!("a result that this driver does not know"),
    };
    Ok(json!({ "ok": true, "message": message, "meta": meta }))
}

fn unwrapped(request: &Value, message: &Message) -> Result<Value> {
    let (_next, inner) = forward::unwrap_forward(message)?;
    let mut again = request.clone();
    again["packed"] = inner.into();
    let mut answer = unpacked(&again)?;
    answer["meta"]["re_wrapped"] = true.into();
    Ok(answer)
}

fn signer_of(request: &Value, jws: &str) -> Result<(String, VerifyKey)> {
    let parsed = parse_jws(jws)?;
    let kid = parsed.signatures.first().and_then(|signature| signature.kid.clone()).context("no kid")?;
    if !kids(document(request, &kid)?, "authentication", &kid).contains(&kid) {
        bail!("{kid} does not authenticate");
    }
    let jwk = method(request, &kid)?;
    let key = match text(jwk, "crv")? {
        "Ed25519" => {
            let bytes = URL_SAFE_NO_PAD.decode(text(jwk, "x")?)?;
            VerifyKey::Ed25519(bytes.try_into().map_err(|_| anyhow::anyhow!("not 32 bytes"))?)
        }
        crv => {
            let mut point = vec![4];
            point.extend(URL_SAFE_NO_PAD.decode(text(jwk, "x")?)?);
            point.extend(URL_SAFE_NO_PAD.decode(text(jwk, "y")?)?);
            match crv {
                "P-256" => VerifyKey::P256(point),
                "secp256k1" => VerifyKey::Secp256k1(point),
                _ => bail!("the library does not verify with {crv}"),
            }
        }
    };
    Ok((kid, key))
}

fn public_keys(request: &Value, to: &str) -> Result<Vec<(String, PublicKeyAgreement)>> {
    let kids = kids(document(request, to)?, "keyAgreement", to);
    kids.into_iter().map(|kid| Ok((kid.clone(), public_key(request, &kid)?))).collect()
}

fn public_key(request: &Value, kid: &str) -> Result<PublicKeyAgreement> {
    if !kids(document(request, kid)?, "keyAgreement", kid).contains(&kid.to_owned()) {
        bail!("{kid} is no key agreement key");
    }
    Ok(PublicKeyAgreement::from_jwk(method(request, kid)?)?)
}

fn private_key(jwk: &Value) -> Result<PrivateKeyAgreement> {
    let curve = match text(jwk, "crv")? {
        "X25519" => Curve::X25519,
        "P-256" => Curve::P256,
        "P-384" => Curve::P384,
        "P-521" => Curve::P521,
        crv => bail!("the driver does not know {crv}"),
    };
    Ok(PrivateKeyAgreement::from_raw_bytes(curve, &private_bytes(jwk)?)?)
}

fn private_bytes(jwk: &Value) -> Result<Vec<u8>> {
    Ok(URL_SAFE_NO_PAD.decode(text(jwk, "d")?)?)
}

fn document<'a>(request: &'a Value, did: &str) -> Result<&'a Value> {
    request["dids"]
        .as_array()
        .and_then(|documents| documents.iter().find(|document| document["id"] == did_of(did)))
        .with_context(|| format!("{did} does not resolve"))
}

/// Lists the key ids of a relationship: all for a DID, the one for a key id.
fn kids(document: &Value, relationship: &str, of: &str) -> Vec<String> {
    let entries = document[relationship].as_array().into_iter().flatten();
    let ids = entries.filter_map(|entry| entry.as_str().or_else(|| entry["id"].as_str()));
    ids.filter(|id| !of.contains('#') || *id == of).map(str::to_owned).collect()
}

fn method<'a>(request: &'a Value, kid: &str) -> Result<&'a Value> {
    let document = document(request, kid)?;
    ["verificationMethod", "keyAgreement", "authentication"]
        .into_iter()
        .filter_map(|name| document[name].as_array())
        .flatten()
        .find(|method| method["id"] == kid)
        .map(|method| &method["publicKeyJwk"])
        .with_context(|| format!("{kid} is not in its document"))
}

fn secret<'a>(request: &'a Value, kid: &str) -> Option<&'a Value> {
    request["secrets"].as_array()?.iter().find(|jwk| jwk["kid"] == kid)
}

fn did_of(did_or_kid: &str) -> &str {
    did_or_kid.split_once('#').map_or(did_or_kid, |(did, _)| did)
}

fn text<'a>(value: &'a Value, name: &str) -> Result<&'a str> {
    value[name].as_str().with_context(|| format!("no {name}"))
}
