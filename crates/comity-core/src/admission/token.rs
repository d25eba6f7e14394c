//! The token: a recipient's word that the holder of a key is let in as a friend. It names neither
//! the holder's DID nor anybody else's.

use comity_didcomm::{Did, MessageId, PublicKey, SigningKey, UnixTime};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::NotAdmitted;
use super::compact::{self, Compact};
use crate::limits::{ADMISSION_TOKEN_S_MAX, CLOCK_SKEW_S_MAX};
use crate::trust::subject;

/// Type of a token.
const TYP: &str = "comity-admission+jwt";

/// A token as it was made, and until when it holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Token {
    /// The token.
    pub text: String,
    /// Until when it holds.
    pub expires: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct Claims {
    /// The recipient.
    aud: Did,
    cnf: Confirmation,
    exp: u64,
    jti: String,
}

/// Whose the token is (RFC 7800, section 3.2).
#[derive(Serialize, Deserialize)]
struct Confirmation {
    jwk: Map<String, Value>,
}

/// Makes a token of a recipient for the holder of a key, for as long as one may hold.
#[must_use]
pub fn make_token(
    key: &SigningKey,
    recipient: &Did,
    holder: &PublicKey,
    id: &MessageId,
    now: UnixTime,
) -> Token {
    let expires = now.saturating_add(ADMISSION_TOKEN_S_MAX);
    let claims = Claims {
        aud: subject(recipient),
        cnf: Confirmation { jwk: holder.to_jwk() },
        exp: expires.0,
        jti: id.as_str().to_owned(),
    };
    Token { text: compact::sign(TYP, &claims, key), expires }
}

/// Reads a token that was given: by whom it is signed its holder cannot tell, and need not. What
/// counts is that it is for this recipient and bound to this key, which nobody else was told.
///
/// # Errors
/// When it is of no use to the holder of that key.
pub fn read_token(
    text: &str,
    recipient: &Did,
    holder: &PublicKey,
    now: UnixTime,
) -> Result<Token, NotAdmitted> {
    let (named, expires) = read(&Compact::read(text, TYP)?, recipient, now)?;
    if named != *holder {
        return Err(NotAdmitted::Other);
    }
    Ok(Token { text: text.to_owned(), expires })
}

/// Verifies a token, and returns the key of its holder.
pub(super) fn verify(
    text: &str,
    key: &PublicKey,
    recipient: &Did,
    now: UnixTime,
) -> Result<PublicKey, NotAdmitted> {
    let compact = Compact::read(text, TYP)?;
    compact.verify(key)?;
    Ok(read(&compact, recipient, now)?.0)
}

fn read(
    compact: &Compact<'_>,
    recipient: &Did,
    now: UnixTime,
) -> Result<(PublicKey, UnixTime), NotAdmitted> {
    let claims: Claims = compact.claims()?;
    if !claims.aud.same_subject(recipient) {
        return Err(NotAdmitted::Other);
    }
    let latest = now.saturating_add(ADMISSION_TOKEN_S_MAX + CLOCK_SKEW_S_MAX);
    if claims.exp <= now.0 || latest.0 < claims.exp {
        return Err(NotAdmitted::Time);
    }
    let holder = PublicKey::from_jwk(&claims.cnf.jwk).map_err(|_| NotAdmitted::Malformed)?;
    Ok((holder, UnixTime(claims.exp)))
}
