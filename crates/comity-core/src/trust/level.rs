//! How far somebody may go: five levels, from nothing to having work executed.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// How far somebody may go, per protocol scope. Each level includes those below it.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Nothing.
    #[default]
    Blocked,
    /// May be answered: pings, questions about features.
    Introduced,
    /// May send messages.
    Message,
    /// May delegate tasks.
    Task,
    /// May have things executed.
    Execute,
}

/// A text that names no level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("give blocked, introduced, message, task or execute")]
pub struct LevelError;

impl Level {
    /// Every level, lowest first.
    pub const ALL: [Self; 5] =
        [Self::Blocked, Self::Introduced, Self::Message, Self::Task, Self::Execute];

    /// Finds a level by its number, 0 to 4.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// Returns its number, 0 to 4.
    #[must_use]
    pub const fn as_number(self) -> u8 {
        self as u8
    }

    /// Returns its word.
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
        f.write_str(self.as_str())
    }
}

impl FromStr for Level {
    type Err = LevelError;

    fn from_str(text: &str) -> Result<Self, LevelError> {
        Self::ALL.into_iter().find(|level| level.as_str() == text).ok_or(LevelError)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_and_numbers_name_the_same_levels() {
        for level in Level::ALL {
            assert_eq!(level.as_str().parse(), Ok(level));
            assert_eq!(Level::from_number(level.as_number()), Some(level));
        }
        assert_eq!(Level::from_number(5), None);
        assert_eq!("all".parse::<Level>(), Err(LevelError));
        assert!(Level::ALL.is_sorted());
    }
}
