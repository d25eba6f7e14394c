//! Languages (DIDComm v2.1, section "i18n"): the form of a tag, and the choice among those that a
//! peer reads.
//!
//! A tag is not looked up in the registry: what is well formed is passed on. `accept-lang` holds
//! for the thread in which it came, and is not to be carried over to others that are under way;
//! keeping it apart is the caller's.

use crate::limits::LANGUAGE_TAG_CHARS_MAX;

/// Whether a text has the form of a language tag (RFC 5646): letters, then letters and digits,
/// joined by hyphens.
#[must_use]
pub fn is_language_tag(text: &str) -> bool {
    let mut parts = text.split('-');
    let first = parts.next().unwrap_or_default();
    text.len() <= LANGUAGE_TAG_CHARS_MAX
        && (1..=8).contains(&first.len())
        && first.bytes().all(|byte| byte.is_ascii_alphabetic())
        && parts.all(|part| {
            (1..=8).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_alphanumeric())
        })
}

/// Chooses the language to write in: the first that the peer wants and one has, as by looking up
/// each wanted tag and then its beginnings (RFC 4647, section 3.4). `None`: there is none in
/// common.
///
/// ```
/// # use comity_didcomm::choose_language;
/// let wanted = ["fr-CA".to_owned(), "en".to_owned()];
/// assert_eq!(choose_language(&wanted, &["en", "fr"]), Some("fr"));
/// assert_eq!(choose_language(&wanted, &["de"]), None);
/// ```
#[must_use]
pub fn choose_language<'a>(wanted: &[String], available: &[&'a str]) -> Option<&'a str> {
    wanted.iter().filter(|tag| is_language_tag(tag)).find_map(|tag| {
        let mut range = tag.as_str();
        loop {
            let found = available.iter().find(|known| known.eq_ignore_ascii_case(range));
            if found.is_some() {
                return found.copied();
            }
            range = range.rsplit_once('-')?.0;
            // A single letter only introduces what follows it.
            if let Some((shorter, [_])) = range.rsplit_once('-').map(|(a, b)| (a, b.as_bytes())) {
                range = shorter;
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_have_a_form() {
        for good in ["en", "fr-CA", "zh-Hant-TW", "x", "de-CH-1996"] {
            assert!(is_language_tag(good), "{good}");
        }
        let long = ["en"; 30].join("-");
        for bad in ["", "-", "en-", "e1", "en_US", "abcdefghi", "en-abcdefghi", "\u{e9}", &long] {
            assert!(!is_language_tag(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_first_wanted_language_is_chosen_by_its_beginnings() {
        let choose = |wanted: &[&str], available: &[&'static str]| {
            let wanted: Vec<_> = wanted.iter().map(|&tag| tag.to_owned()).collect();
            choose_language(&wanted, available)
        };
        assert_eq!(choose(&["zh-Hant-CN", "en"], &["en", "zh-hant"]), Some("zh-hant"));
        assert_eq!(choose(&["en-a-bbb", "de"], &["en-a", "de"]), Some("de"));
        assert_eq!(choose(&["not a tag", "DE"], &["de"]), Some("de"));
        assert_eq!(choose(&[], &["de"]), None);
    }
}
