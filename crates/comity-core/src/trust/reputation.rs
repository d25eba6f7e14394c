//! What the outcomes of somebody's work take away from the vouches for it.
//!
//! Arithmetic over counts. That an outcome is signed by both parties, and whose it is, is settled
//! before it is counted; an opinion that only one side signed is no outcome and has no place here.
//!
//! The formula, with `p` = 4, `w` = 3 and `d` = 0.3:
//!
//! ```text
//! good     = accepted + done
//! bad      = disputed + (refused + expired) / 2
//! conduct  = (p + good) / (p + good + w * bad)
//! standing = conduct * product over those it vouches for of (1 - d * (1 - their conduct))
//! ```
//!
//! So nobody stands above 1: good work makes up for bad work, but buys no trust, or two colluders
//! would sell it to each other. Who has no record stands at 1; `p` is the patience with whom little
//! is known of, and `w` says that one dispute weighs as much as three pieces of good work. A voucher
//! answers for each of its vouched by at most `d`, one hop and no further. What the vouched do well
//! is not its merit: otherwise it could hide one bad vouch behind vouches for famous agents.

use super::Level;

/// Counts of the outcomes of somebody's work, each outcome counted with the [`weight`] of the other
/// party that signed it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Outcomes {
    /// The other party took the result.
    pub accepted: f64,
    /// The work was done.
    pub done: f64,
    /// The other party did not take the result.
    pub refused: f64,
    /// The parties do not agree on what happened.
    pub disputed: f64,
    /// The deadline went by.
    pub expired: f64,
}

impl Outcomes {
    /// Computes what remains of a vouch after these outcomes alone, from 0 to 1.
    fn conduct(&self) -> f64 {
        // A count that is no number, or negative, counts nothing.
        let [accepted, done, refused, disputed, expired] =
            [self.accepted, self.done, self.refused, self.disputed, self.expired]
                .map(|count| count.clamp(0.0, COUNT_MAX).max(0.0));
        let good = PATIENCE + accepted + done;
        let bad = disputed + (refused + expired) / 2.0;
        good / (good + BAD_WEIGHT * bad)
    }
}

/// How much a vouch for somebody still counts, from 0 (nothing) to 1 (all).
#[derive(Clone, Copy, Debug, PartialEq, PartialOrd)]
pub struct Standing(f64);

impl Standing {
    /// All of it: where nothing bad is known.
    pub const FULL: Self = Self(1.0);

    /// Computes the standing of somebody from the outcomes of its own work, and of the work of each
    /// that it vouches for.
    ///
    /// ```
    /// use comity_core::trust::reputation::{Outcomes, Standing};
    ///
    /// let disputed = Outcomes { disputed: 4.0, ..Outcomes::default() };
    /// assert_eq!(Standing::of(&disputed, &[]).as_f64(), 0.25);
    /// assert_eq!(Standing::of(&Outcomes::default(), &[disputed]).as_f64(), 0.775);
    /// ```
    #[must_use]
    pub fn of(own: &Outcomes, vouched: &[Outcomes]) -> Self {
        let answered_for: f64 =
            vouched.iter().map(|other| 1.0 - VOUCHER_SHARE * (1.0 - other.conduct())).product();
        Self(own.conduct() * answered_for)
    }

    /// Returns it as a number from 0 to 1.
    #[must_use]
    pub const fn as_f64(self) -> f64 {
        self.0
    }
}

/// Says how much an outcome counts, by the level of the other party that signed it: nothing when
/// that is a stranger, since strangers cost nothing to make.
#[must_use]
pub const fn weight(counterparty: Level) -> f64 {
    match counterparty {
        Level::Blocked => 0.0,
        Level::Introduced => 0.25,
        Level::Message => 0.5,
        Level::Task | Level::Execute => 1.0,
    }
}

const BAD_WEIGHT: f64 = 3.0;
const COUNT_MAX: f64 = 1e12;
const PATIENCE: f64 = 4.0;
const VOUCHER_SHARE: f64 = 0.3;

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: Outcomes =
        Outcomes { accepted: 0.0, done: 0.0, refused: 0.0, disputed: 0.0, expired: 0.0 };

    fn standing(own: Outcomes, vouched: &[Outcomes]) -> f64 {
        Standing::of(&own, vouched).as_f64()
    }

    #[test]
    fn good_work_buys_nothing() {
        assert_eq!(standing(NONE, &[]), 1.0);
        let busy = Outcomes { accepted: 500.0, done: 500.0, ..NONE };
        assert_eq!(standing(busy, &[busy, busy]), 1.0);
    }

    #[test]
    fn bad_work_lowers_and_good_work_makes_up_for_it() {
        let disputed = Outcomes { disputed: 4.0, ..NONE };
        let also_busy = Outcomes { done: 32.0, ..disputed };
        assert_eq!(standing(disputed, &[]), 0.25);
        assert_eq!(standing(also_busy, &[]), 0.75);
        let half = Outcomes { refused: 4.0, expired: 4.0, ..NONE };
        assert_eq!(standing(half, &[]), 0.25, "a refusal or an expiry is half a dispute");
    }

    #[test]
    fn a_voucher_answers_for_three_tenths_of_what_its_vouched_lack() {
        let rotten = Outcomes { disputed: 1e11, ..NONE };
        assert!((standing(NONE, &[rotten]) - 0.7).abs() < 1e-9);
        assert!((standing(NONE, &[rotten, rotten]) - 0.49).abs() < 1e-9);
    }

    #[test]
    fn a_bad_vouch_does_not_hide_behind_good_ones() {
        let rotten = Outcomes { disputed: 40.0, ..NONE };
        let famous = Outcomes { done: 1_000.0, ..NONE };
        assert_eq!(standing(NONE, &[rotten]), standing(NONE, &[famous, rotten, famous]));
    }

    #[test]
    fn the_word_of_a_stranger_weighs_nothing() {
        assert_eq!(weight(Level::Blocked), 0.0);
        assert!(Level::ALL.map(weight).is_sorted());
    }

    #[test]
    fn what_is_no_count_leaves_a_standing_between_nothing_and_all() {
        for odd in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, -3.0, f64::MAX] {
            let all =
                Outcomes { accepted: odd, done: odd, refused: odd, disputed: odd, expired: odd };
            for outcomes in [all, Outcomes { disputed: odd, ..NONE }] {
                let standing = standing(outcomes, &[outcomes]);
                assert!((0.0..=1.0).contains(&standing), "{odd}: {standing}");
            }
        }
    }
}
