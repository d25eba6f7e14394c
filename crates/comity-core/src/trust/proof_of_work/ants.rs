//! Tokens of the ANTS registry: who registers there shows a text, its name, a colon and a nonce, of
//! which SHA-256 begins with five zeros in hexadecimal. Here the name is the sender's DID.

use aws_lc_rs::digest::{SHA256, digest};
use comity_didcomm::{Did, UnixTime};

use super::{ChallengeId, WorkShown};
use crate::limits::{ANTS_TOKEN_BITS, KNOCKS_REMEMBERED_S, WORK_SHOWN_BYTES_MAX};

/// Reads a token of this sender.
pub(super) fn token(shown: &str, sender: &Did, now: UnixTime) -> Option<WorkShown> {
    if WORK_SHOWN_BYTES_MAX < shown.len() {
        return None;
    }
    let (name, _) = shown.rsplit_once(':')?;
    if !name.parse::<Did>().is_ok_and(|name| name.same_subject(sender)) {
        return None;
    }
    let hash = digest(&SHA256, shown.as_bytes());
    let (first, rest) = hash.as_ref().split_first_chunk::<16>()?;
    let is_good = u32::from(ANTS_TOKEN_BITS) <= u128::from_be_bytes(*first).leading_zeros();
    let id = ChallengeId(*rest.first_chunk()?);
    let expires = now.saturating_add(KNOCKS_REMEMBERED_S);
    is_good.then_some(WorkShown::AntsToken { id, expires })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn shown(token: &str, sender: &str) -> Option<WorkShown> {
        super::token(token, &sender.parse().unwrap(), NOW)
    }

    #[test]
    fn a_token_is_one_of_its_own_name_that_costs_five_hexadecimal_zeros() {
        let name = "did:web:aria.example";
        let is_good = |nonce: &u64| {
            let hash = digest(&SHA256, format!("{name}:{nonce}").as_bytes());
            hash.as_ref().starts_with(&[0, 0]) && hash.as_ref()[2] < 16
        };
        let nonce = (0..).find(is_good).unwrap();
        let token = format!("{name}:{nonce}");
        let Some(WorkShown::AntsToken { id, expires }) = shown(&token, name) else {
            panic!("{token} is good");
        };
        assert_eq!(expires, NOW.saturating_add(KNOCKS_REMEMBERED_S));
        assert_eq!(&digest(&SHA256, token.as_bytes()).as_ref()[16..], &id.0);
        assert_eq!(shown(&token, "did:web:mallory.example"), None, "in other hands");
        assert_eq!(shown(&format!("{name}:{}", nonce + 1), name), None);
        assert_eq!(shown(&token.replace("aria", "mallory"), "did:web:mallory.example"), None);
        let long = format!("{name}:{}", "0".repeat(WORK_SHOWN_BYTES_MAX));
        assert_eq!(shown(&long, name), None);
    }
}
