//! What a command says when it cannot do what it was asked: whose turn it is (the exit code), what, why, and
//! what to do next.
//!
//! Not a wrapper around other errors: where a command meets one, it says what that means for the person at
//! the terminal.

use std::fmt;

use comity_core::api::Problem;
use serde_json::{Map, Value, json};

/// Whose turn it is to change something; the exit code follows from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// The surroundings: no node runs, a file cannot be read, a port is taken.
    Config,
    /// Ours, or the machine's.
    Fault,
    /// A peer's, or a policy's.
    Refused,
    /// The caller's.
    Usage,
}

impl Kind {
    /// Returns the exit code of the program.
    pub(crate) const fn exit_code(self) -> u8 {
        match self {
            Self::Usage => 1,
            Self::Config => 2,
            Self::Refused => 3,
            Self::Fault => 4,
        }
    }
}

/// Why a command failed.
#[derive(Clone, Debug)]
pub(crate) struct CliError {
    pub(crate) kind: Kind,
    /// Stable word for scripts; the node's own code where the node said it.
    pub(crate) code: String,
    pub(crate) what: String,
    pub(crate) why: String,
    pub(crate) hint: String,
    /// What was found out nevertheless; stands beside `error` in the JSON object.
    pub(crate) found: Box<Map<String, Value>>,
}

impl CliError {
    pub(crate) fn new(kind: Kind, code: impl Into<String>, what: impl Into<String>) -> Self {
        Self {
            kind,
            code: code.into(),
            what: what.into(),
            why: String::new(),
            hint: String::new(),
            found: Box::default(),
        }
    }

    pub(crate) fn config(code: &str, what: impl Into<String>) -> Self {
        Self::new(Kind::Config, code, what)
    }

    pub(crate) fn fault(code: &str, what: impl Into<String>) -> Self {
        Self::new(Kind::Fault, code, what)
    }

    pub(crate) fn usage(code: &str, what: impl Into<String>) -> Self {
        Self::new(Kind::Usage, code, what)
    }

    /// Only the exit code: what there is to say has been said, or cannot be.
    pub(crate) fn told(kind: Kind) -> Self {
        Self::new(kind, "", "")
    }

    /// Describes arguments that clap did not take.
    pub(crate) fn usage_of(error: &clap::Error) -> Self {
        let text = error.render().to_string();
        let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let what = lines.next().unwrap_or("wrong usage").trim_start_matches("error: ").to_owned();
        let tip = lines.find_map(|line| line.strip_prefix("tip: ")).map(ToOwned::to_owned);
        Self::usage("usage", what).hint(
            tip.unwrap_or_else(|| "See comity --help, or --help after the command".to_owned()),
        )
    }

    /// Describes what the node answered instead of what it was asked for.
    pub(crate) fn of_problem(problem: Problem) -> Self {
        let kind = match problem.status {
            401 => Kind::Config,
            // Somebody elsewhere has to change something: a policy, a document, a mailbox.
            403 | 422 | 429 => Kind::Refused,
            500.. => Kind::Fault,
            _ => Kind::Usage,
        };
        Self::new(kind, problem.code, problem.title).hint(problem.hint)
    }

    pub(crate) fn why(mut self, why: impl fmt::Display) -> Self {
        self.why = why.to_string();
        self
    }

    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    pub(crate) fn found(mut self, found: Map<String, Value>) -> Self {
        *self.found = found;
        self
    }

    /// Returns the object that `--json` prints.
    pub(crate) fn to_json(&self) -> Value {
        let mut object = (*self.found).clone();
        let error = json!({
            "code": self.code, "what": self.what, "why": self.why, "hint": self.hint,
        });
        object.insert("error".to_owned(), error);
        Value::Object(object)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_found_stands_beside_the_error() {
        let mut found = Map::new();
        found.insert("id".to_owned(), json!("m-1"));
        let error = CliError::new(Kind::Refused, "e.m.trust.denied", "It was refused").found(found);
        assert_eq!(
            error.to_json(),
            json!({"id": "m-1", "error": {
                "code": "e.m.trust.denied", "what": "It was refused", "why": "", "hint": "",
            }})
        );
    }

    #[test]
    fn the_status_of_a_problem_says_whose_turn_it_is() {
        let kind = |status| {
            let problem = Problem {
                status,
                code: "c".to_owned(),
                title: "t".to_owned(),
                hint: "h".to_owned(),
            };
            CliError::of_problem(problem).kind.exit_code()
        };
        assert_eq!(
            [400, 401, 403, 404, 409, 422, 429, 500, 503].map(kind),
            [1, 2, 3, 1, 1, 3, 3, 4, 4]
        );
    }
}
