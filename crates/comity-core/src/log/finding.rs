//! What a log can do wrong, as its counterparties find it.

use serde::{Deserialize, Serialize};

/// Something that an honest log does not do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Finding {
    /// Its node signs another log now, which begins anew.
    AnotherLog,
    /// An entry is said to be from before a time at which the log was seen without it.
    BackDated,
    /// Two checkpoints of one size have different roots.
    Fork,
    /// A later checkpoint does not continue an earlier one.
    NotContinued,
    /// A checkpoint that was cosigned is larger than the log.
    RolledBack,
}

impl Finding {
    /// All of them.
    pub const ALL: [Self; 5] =
        [Self::AnotherLog, Self::BackDated, Self::Fork, Self::NotContinued, Self::RolledBack];

    /// Returns the word.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::AnotherLog => "another-log",
            Self::BackDated => "back-dated",
            Self::Fork => "fork",
            Self::NotContinued => "not-continued",
            Self::RolledBack => "rolled-back",
        }
    }

    /// Says what it is, in a sentence without its full stop.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::AnotherLog => "the node signs another log now, which begins anew",
            Self::BackDated => {
                "an entry is said to be from before a time at which the log was seen without it"
            }
            Self::Fork => "two checkpoints of one size have different roots",
            Self::NotContinued => "a later checkpoint does not continue an earlier one",
            Self::RolledBack => "a checkpoint that was cosigned is larger than the log",
        }
    }
}
