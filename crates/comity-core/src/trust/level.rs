//! How far somebody may go, as one word. What gives a level is not here: entries, grants and vouches
//! do.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far somebody may go with a protocol. Each level includes those below it.
///
/// ```
/// use comity_core::trust::Level;
///
/// assert!(Level::Message < Level::Task);
/// assert_eq!("task".parse(), Ok(Level::Task));
/// assert_eq!(Level::from_number(2), Some(Level::Message));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Not at all; also whoever nothing is known of.
    Blocked,
    /// May introduce itself: be answered to a ping, and ask what is spoken here.
    Introduced,
    /// May write.
    Message,
    /// May have work done.
    Task,
    /// May have things done that have effects outside.
    Execute,
}

impl Level {
    /// Every level, the lowest first.
    pub const ALL: [Self; 5] =
        [Self::Blocked, Self::Introduced, Self::Message, Self::Task, Self::Execute];

    /// Returns the level of a number from 0 to 4.
    #[must_use]
    pub const fn from_number(number: u64) -> Option<Self> {
        match number {
            0 => Some(Self::Blocked),
            1 => Some(Self::Introduced),
            2 => Some(Self::Message),
            3 => Some(Self::Task),
            4 => Some(Self::Execute),
            _ => None,
        }
    }

    /// Returns its number, as tokens carry it.
    #[must_use]
    pub const fn as_number(self) -> u64 {
        match self {
            Self::Blocked => 0,
            Self::Introduced => 1,
            Self::Message => 2,
            Self::Task => 3,
            Self::Execute => 4,
        }
    }

    /// Returns the word that agents and operators see.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Blocked => "blocked",
            Self::Introduced => "introduced",
            Self::Message => "message",
            Self::Task => "task",
            Self::Execute => "execute",
        }
    }
}

impl fmt::Display for Level {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Level {
    type Err = UnknownLevel;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(UnknownLevel)
    }
}

/// Tells that a text is the word of no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the level is none of blocked, introduced, message, task, execute")]
pub struct UnknownLevel;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_is_read_back_from_its_word_its_number_and_its_json() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
            assert_eq!(Level::from_number(level.as_number()), Some(level));
            assert_eq!(serde_json::to_value(level).unwrap(), level.as_str());
        }
        assert!(Level::ALL.is_sorted());
    }

    #[test]
    fn other_words_and_numbers_are_no_level() {
        assert_eq!("Task".parse::<Level>(), Err(UnknownLevel));
        assert_eq!(Level::from_number(5), None);
    }
}
