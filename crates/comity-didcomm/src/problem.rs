//! Report Problem 2.0 (DIDComm v2.1, section "Problem Reports"): codes and the message that carries
//! one.
//!
//! Whether a report may be sent at all is the caller's decision; a report about a report never may.

mod errors;

use std::fmt;
use std::str::FromStr;

use serde_json::{Map, Value, json};
use thiserror::Error;

pub use self::errors::{ErrorCount, MAX_ERRORS_EXCEEDED, OnError};
use crate::limits::PROBLEM_CODE_CHARS_MAX;
use crate::message::{Message, MessageId, MessageType};

/// The type of a problem report.
pub const PROBLEM_REPORT: &str = "https://didcomm.org/report-problem/2.0/problem-report";

/// Says that a text is not a problem code, or a message not a problem report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the text is not a problem report or code")]
pub struct ProblemError;

/// Represents a problem code: sorter `.` scope `.` descriptors, such as `e.m.me.res.storage`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProblemCode(Box<str>);

impl ProblemCode {
    /// Reads a code.
    ///
    /// # Errors
    /// When it is not a code.
    pub fn parse(text: &str) -> Result<Self, ProblemError> {
        let mut tokens = text.split('.');
        let is_token = |token: &str| {
            !token.is_empty()
                && token
                    .bytes()
                    .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        let sorter_ok = matches!(tokens.next(), Some("e" | "w"));
        let descriptors = tokens.clone().count();
        if sorter_ok
            && 2 <= descriptors
            && tokens.all(is_token)
            && text.len() <= PROBLEM_CODE_CHARS_MAX
        {
            Ok(Self(text.into()))
        } else {
            Err(ProblemError)
        }
    }

    /// Returns the text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the problem is an error, and not a warning.
    #[must_use]
    pub fn is_error(&self) -> bool {
        self.0.starts_with("e.")
    }

    /// Returns how much is undone by the problem.
    #[must_use]
    pub fn scope(&self) -> Scope<'_> {
        match self.0.split('.').nth(1).unwrap_or_default() {
            "m" => Scope::Message,
            "p" => Scope::Protocol,
            state => Scope::State(state),
        }
    }

    /// Returns what is wrong, from the general to the particular.
    pub fn descriptors(&self) -> impl Iterator<Item = &str> {
        self.0.split('.').skip(2)
    }

    /// Whether this code may answer a warning that one judges to be an error: it is an error, and
    /// undoes at least as much as the warning would.
    #[must_use]
    pub fn may_answer(&self, warning: &Self) -> bool {
        self.is_error()
            && match (self.scope(), warning.scope()) {
                (Scope::Protocol, _) | (_, Scope::Message) => true,
                // States have an order only within their protocol, so none is known to be broader
                // than another.
                (Scope::State(one), Scope::State(other)) => one == other,
                _ => false,
            }
    }

    /// Whether the code is this one or a narrower one: codes match by whole tokens from the left.
    #[must_use]
    pub fn starts_with(&self, prefix: &str) -> bool {
        self.0
            .strip_prefix(prefix.trim_end_matches('.'))
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ProblemCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ProblemCode {
    type Err = ProblemError;

    fn from_str(text: &str) -> Result<Self, ProblemError> {
        Self::parse(text)
    }
}

serde_as_string!(ProblemCode);

/// Says how much a problem undoes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Scope<'a> {
    /// The message; the thread goes on as if it had not come.
    Message,
    /// The thread: it has failed.
    Protocol,
    /// What came after this state of the protocol: the thread falls back to it.
    State(&'a str),
}

/// Represents the content of a problem report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProblemReport {
    /// What is wrong.
    pub code: ProblemCode,
    /// The same in words; the text belongs to the code, with `{1}`, `{2}`, ... for the arguments.
    /// From a peer: untrusted.
    pub comment: Option<String>,
    /// Arguments of the comment.
    pub args: Vec<String>,
    /// Where a person can turn to.
    pub escalate_to: Option<String>,
}

impl ProblemReport {
    /// Creates a report that has only a code and a comment.
    #[must_use]
    pub fn new(code: ProblemCode, comment: impl Into<String>) -> Self {
        Self { code, comment: Some(comment.into()), args: Vec::new(), escalate_to: None }
    }

    /// Creates the message. `pthid` is the thread in which the problem arose; `ack` names the
    /// message that caused it.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the type is a constant")]
    pub fn into_message(self, id: MessageId, pthid: &str, ack: Vec<String>) -> Message {
        let type_ = MessageType::parse(PROBLEM_REPORT).expect("the constant is a message type");
        let mut body = Map::new();
        body.insert("code".to_owned(), json!(self.code));
        if let Some(comment) = self.comment {
            body.insert("comment".to_owned(), Value::String(comment));
        }
        if !self.args.is_empty() {
            body.insert("args".to_owned(), json!(self.args));
        }
        if let Some(escalate_to) = self.escalate_to {
            body.insert("escalate_to".to_owned(), Value::String(escalate_to));
        }
        let mut message = Message::new(id, type_).with_pthid(pthid).with_body(body);
        message.ack = ack;
        message
    }

    /// Reads the report out of a message.
    ///
    /// # Errors
    /// When the message is not a problem report, or has no valid code.
    pub fn from_message(message: &Message) -> Result<Self, ProblemError> {
        let expected = MessageType::parse(PROBLEM_REPORT).map_err(|_| ProblemError)?;
        if !expected.matches(&message.type_) {
            return Err(ProblemError);
        }
        let text = |name: &str| message.body.get(name).and_then(Value::as_str);
        let code = ProblemCode::parse(text("code").ok_or(ProblemError)?)?;
        let args =
            message.body.get("args").and_then(Value::as_array).map_or_else(Vec::new, |args| {
                args.iter().filter_map(Value::as_str).map(str::to_owned).collect()
            });
        Ok(Self {
            code,
            comment: text("comment").map(str::to_owned),
            args,
            escalate_to: text("escalate_to").map(str::to_owned),
        })
    }

    /// Returns the comment with its arguments filled in: `?` for a missing one, surplus ones
    /// appended.
    #[must_use]
    pub fn rendered_comment(&self) -> String {
        let mut out = String::new();
        let mut used = vec![false; self.args.len()];
        let mut rest = self.comment.as_deref().unwrap_or_default();
        while let Some((before, after)) = rest.split_once('{') {
            out.push_str(before);
            let number = after.split_once('}').and_then(|(number, tail)| {
                let at = number.parse::<usize>().ok()?.checked_sub(1)?;
                Some((at, tail))
            });
            let Some((at, tail)) = number else {
                out.push('{');
                rest = after;
                continue;
            };
            out.push_str(self.args.get(at).map_or("?", String::as_str));
            if let Some(flag) = used.get_mut(at) {
                *flag = true;
            }
            rest = tail;
        }
        out.push_str(rest);
        for (arg, used) in self.args.iter().zip(used) {
            if !used {
                out.push(' ');
                out.push_str(arg);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_match_by_whole_tokens() {
        let code = ProblemCode::parse("e.m.me.res.storage.message_too_big").unwrap();
        assert!(code.is_error());
        assert!(
            code.starts_with("e.m.me.res") && code.starts_with("e.m.me.") && code.starts_with("e")
        );
        assert!(!code.starts_with("e.m.me.re") && !code.starts_with("w"));
        for bad in ["", "e", "e.m", "x.m.me", "e..me", "e.m.me.", "e.m.a b", "e.m.\u{e9}"] {
            assert_eq!(ProblemCode::parse(bad), Err(ProblemError), "{bad:?}");
        }
    }

    #[test]
    fn an_answer_undoes_at_least_as_much_as_the_warning() {
        let code = |text: &str| ProblemCode::parse(text).unwrap();
        assert_eq!(code("w.get-pay-details.payment").scope(), Scope::State("get-pay-details"));
        assert_eq!(
            code("e.p.me.res.storage").descriptors().collect::<Vec<_>>(),
            ["me", "res", "storage"]
        );
        for (warning, error, may) in [
            ("w.m.x", "e.m.x", true),
            ("w.m.x", "e.p.x", true),
            ("w.m.x", "e.state.x", true),
            ("w.m.x", "w.p.x", false),
            ("w.p.x", "e.p.y", true),
            ("w.p.x", "e.m.x", false),
            ("w.p.x", "e.state.x", false),
            ("w.state.x", "e.state.y", true),
            ("w.state.x", "e.other.x", false),
            ("w.state.x", "e.m.x", false),
        ] {
            assert_eq!(code(error).may_answer(&code(warning)), may, "{warning} {error}");
        }
    }

    #[test]
    fn a_report_survives_the_message() {
        let mut report =
            ProblemReport::new(ProblemCode::parse("w.m.req.gap").unwrap(), "{1} of {2} {3}");
        report.args = vec!["three".to_owned(), "five".to_owned()];
        let id = MessageId::parse("p-1").unwrap();
        let message = report.clone().into_message(id, "t-1", vec!["m-1".to_owned()]);
        assert_eq!(message.pthid.as_deref(), Some("t-1"));
        let read = Message::parse(&message.to_json()).unwrap();
        assert_eq!(ProblemReport::from_message(&read).unwrap(), report);
        assert_eq!(report.rendered_comment(), "three of five ?");
    }

    #[test]
    fn comments_render_any_arguments() {
        let render = |comment: &str, args: &[&str]| {
            let mut report = ProblemReport::new(ProblemCode::parse("e.m.req").unwrap(), comment);
            report.args = args.iter().map(|&arg| arg.to_owned()).collect();
            report.rendered_comment()
        };
        assert_eq!(render("no {0} {x} {", &["a"]), "no {0} {x} { a");
        assert_eq!(render("{1}{1}", &["{1}"]), "{1}{1}");
    }
}
