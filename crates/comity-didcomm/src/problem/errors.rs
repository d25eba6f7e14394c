//! The count of errors in one thread (DIDComm v2.1, section "Cascading Problems"): past a limit one
//! more report is sent, which says so, and then silence.
//!
//! The caller keeps one count a thread, for as long as it keeps the thread.

/// The code of the last report in a thread.
pub const MAX_ERRORS_EXCEEDED: &str = "e.p.req.max-errors-exceeded";

/// Counts the errors of one thread.
///
/// ```
/// # use comity_didcomm::problem::{ErrorCount, OnError};
/// let mut count = ErrorCount::new(1);
/// assert_eq!(count.error(), OnError::Report);
/// assert_eq!(count.error(), OnError::ReportExceeded);
/// assert_eq!(count.error(), OnError::BeSilent);
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ErrorCount {
    left: u32,
    told: bool,
}

/// Says what to do about an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum OnError {
    /// Send no report, and do not answer in this thread any more.
    BeSilent,
    /// Report it.
    Report,
    /// Report [`MAX_ERRORS_EXCEEDED`] instead of it.
    ReportExceeded,
}

impl ErrorCount {
    /// Creates the count of a thread in which so many errors are reported.
    #[must_use]
    pub const fn new(errors_max: u32) -> Self {
        Self { left: errors_max, told: false }
    }

    /// Takes note of one more error, one's own or the peer's.
    pub const fn error(&mut self) -> OnError {
        if let Some(left) = self.left.checked_sub(1) {
            self.left = left;
            return OnError::Report;
        }
        if self.told {
            return OnError::BeSilent;
        }
        self.told = true;
        OnError::ReportExceeded
    }

    /// Whether anything in this thread is still to be answered.
    #[must_use]
    pub const fn is_answered(&self) -> bool {
        !self.told
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::problem::ProblemCode;

    #[test]
    fn past_the_limit_one_report_says_so_and_then_there_is_silence() {
        let mut count = ErrorCount::new(2);
        assert!(count.is_answered());
        let outcomes: Vec<_> = (0..6).map(|_| count.error()).collect();
        use OnError::{BeSilent, Report, ReportExceeded};
        assert_eq!(outcomes, [Report, Report, ReportExceeded, BeSilent, BeSilent, BeSilent]);
        assert!(!count.is_answered());
        assert_eq!(ErrorCount::new(0).error(), ReportExceeded);
    }

    #[test]
    fn the_last_code_is_a_code() {
        assert!(ProblemCode::parse(MAX_ERRORS_EXCEEDED).is_ok_and(|code| code.is_error()));
    }
}
