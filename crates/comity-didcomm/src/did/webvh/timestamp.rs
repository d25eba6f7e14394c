//! [`Timestamp`]: `versionTime` as did:webvh 1.0 writes it, ISO 8601 in UTC, such as
//! `2026-01-02T03:04:05Z`. Not a calendar library: no zones, no leap seconds, no other forms.

use std::fmt;

use crate::time::UnixTime;

const SECS_PER_DAY: u64 = 86_400;
const LEAPS_BEFORE_1970: u64 = 477;

/// Represents a moment with the fraction that a log may have, since two versions can share a
/// second.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Timestamp {
    pub(super) secs: u64,
    nanos: u32,
}

impl Timestamp {
    /// Reads a moment in UTC. `None` for other forms and for days that are in no calendar.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let local = text.strip_suffix('Z').or_else(|| text.strip_suffix("+00:00"))?;
        let (whole, fraction) = match local.split_once('.') {
            Some((whole, fraction)) => (whole, nanos(fraction)?),
            None => (local, 0),
        };
        if whole.len() != "2026-01-02T03:04:05".len() || !whole.is_ascii() {
            return None;
        }
        let (date, time) = whole.split_once('T')?;
        let [year, month, day] = numbers(date, '-')?;
        let [hour, minute, second] = numbers(time, ':')?;
        let exists = (1970..=9999).contains(&year)
            && (1..=12).contains(&month)
            && (1..=days_of_month(year, month)).contains(&day)
            && hour < 24
            && minute < 60
            && second < 60;
        if !exists {
            return None;
        }
        let days = days_before_year(year)
            + (1..month).map(|month| days_of_month(year, month)).sum::<u64>()
            + (day - 1);
        let secs = days * SECS_PER_DAY + hour * 3600 + minute * 60 + second;
        Some(Self { secs, nanos: fraction })
    }
}

impl From<UnixTime> for Timestamp {
    fn from(time: UnixTime) -> Self {
        Self { secs: time.0, nanos: 0 }
    }
}

/// Writes whole seconds; what this crate writes has no fractions.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut days = self.secs / SECS_PER_DAY;
        // An estimate that is never too late, then at most a few steps.
        let mut year = (1970 + days / 366).min(9999);
        while year < 9999 && days_before_year(year + 1) <= days {
            year += 1;
        }
        days -= days_before_year(year).min(days);
        let mut month = 1;
        while month < 12 && days_of_month(year, month) <= days {
            days -= days_of_month(year, month);
            month += 1;
        }
        let rest = self.secs % SECS_PER_DAY;
        let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
        let day = days + 1;
        write!(f, "{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}Z")
    }
}

/// Reads three numbers of fixed width.
fn numbers(text: &str, separator: char) -> Option<[u64; 3]> {
    let mut parts = text.split(separator).map(|part| {
        let is_number =
            (part.len() == 2 || part.len() == 4) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse().ok()).flatten()
    });
    let three = [parts.next()??, parts.next()??, parts.next()??];
    parts.next().is_none().then_some(three)
}

fn nanos(fraction: &str) -> Option<u32> {
    let is_fraction =
        (1..=9).contains(&fraction.len()) && fraction.bytes().all(|byte| byte.is_ascii_digit());
    is_fraction.then(|| format!("{fraction:0<9}").parse().ok()).flatten()
}

const fn is_leap(year: u64) -> bool {
    year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400))
}

const fn days_of_month(year: u64, month: u64) -> u64 {
    match month {
        2 if is_leap(year) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days from the beginning of 1970.
const fn days_before_year(year: u64) -> u64 {
    let before = year - 1;
    (year - 1970) * 365 + (before / 4 - before / 100 + before / 400) - LEAPS_BEFORE_1970
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_read_and_written_alike() {
        for (text, secs) in [
            ("1970-01-01T00:00:00Z", 0),
            ("1999-12-31T23:59:59Z", 946_684_799),
            ("2000-02-29T00:00:00Z", 951_782_400),
            ("2001-09-09T01:46:40Z", 1_000_000_000),
            ("2026-11-22T09:45:12Z", 1_795_340_712),
            ("2100-03-01T00:00:00Z", 4_107_542_400),
            ("9999-12-31T23:59:59Z", 253_402_300_799),
        ] {
            let read = Timestamp::parse(text).unwrap();
            assert_eq!(read, Timestamp { secs, nanos: 0 }, "{text}");
            assert_eq!(read.to_string(), text);
        }
        assert_eq!(
            Timestamp::parse("2000-01-01T00:00:00+00:00"),
            Timestamp::parse("2000-01-01T00:00:00Z")
        );
        let earlier = Timestamp::parse("2000-01-01T00:00:00.25Z").unwrap();
        assert!(earlier < Timestamp::parse("2000-01-01T00:00:00.5Z").unwrap());
        assert!(Timestamp::parse("2000-01-01T00:00:00Z").unwrap() < earlier);
    }

    #[test]
    fn the_last_moment_that_can_be_held_is_written_without_panic() {
        assert!(!Timestamp::from(UnixTime(u64::MAX)).to_string().is_empty());
    }

    #[test]
    fn other_forms_and_days_in_no_calendar_are_refused() {
        for bad in [
            "",
            "Z",
            "2000-01-01T00:00:00",
            "2000-01-01T00:00:00+01:00",
            "2000-01-01 00:00:00Z",
            "2000-1-01T00:00:000Z",
            "2001-02-29T00:00:00Z",
            "2000-13-01T00:00:00Z",
            "2000-00-01T00:00:00Z",
            "2000-01-00T00:00:00Z",
            "2000-01-01T24:00:00Z",
            "2000-01-01T00:00:60Z",
            "2000-01-01T00:00:00.Z",
            "2000-01-01T00:00:00.1234567890Z",
            "1969-12-31T23:59:59Z",
            "+000-01-01T00:00:00Z",
            "20000-01-1T00:00:00Z",
            "\u{e4}000-01-01T00:00:0Z",
        ] {
            assert_eq!(Timestamp::parse(bad), None, "{bad:?}");
        }
    }
}
