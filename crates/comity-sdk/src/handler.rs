//! Handlers: what an agent does with which message, and what a handler's error means to the sender.

use std::fmt;
use std::future::Future;
use std::sync::Arc;

use comity_didcomm::MessageType;
use futures_util::FutureExt as _;
use futures_util::future::BoxFuture;

use crate::content::Body;
use crate::context::Context;
use crate::limits;
use crate::received::{Incoming, Received, problem_code};

/// Problem-report code for a message that nothing here can handle.
pub const UNSUPPORTED_TYPE: &str = "e.m.msg.unsupported-type";

/// Problem-report code for a message whose body does not fit its type.
pub const UNREADABLE_BODY: &str = "e.m.msg.body";

/// Problem-report code for trouble of the agent's own.
pub const INTERNAL: &str = "e.m.me";

/// Why a handler did not do its work: the sender gets it as a problem report.
///
/// Two kinds. [`HandlerError::new`] and [`HandlerError::refuse`] are answers: code and reason are for the
/// sender's eyes. What `?` converts is the agent's own trouble: the sender learns only that there was some,
/// the log learns what.
pub struct HandlerError {
    code: String,
    reason: String,
    source: Option<Box<dyn std::error::Error + Send + Sync>>,
}

impl HandlerError {
    /// Creates a refusal with a problem-report code, such as `e.m.req.amount`, and a reason for the sender.
    /// What has not the form of a code becomes `e.m.refused`.
    pub fn new(code: impl Into<String>, reason: impl Into<String>) -> Self {
        Self { code: problem_code(Some(&code.into())), reason: cut(reason.into()), source: None }
    }

    /// Creates a refusal with a reason for the sender.
    pub fn refuse(reason: impl Into<String>) -> Self {
        Self::new("e.m.refused", reason)
    }

    /// Returns the problem-report code.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Returns the reason that the sender gets.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Returns the agent's own trouble, which the sender does not get.
    #[must_use]
    pub fn source(&self) -> Option<&(dyn std::error::Error + Send + Sync + 'static)> {
        self.source.as_deref()
    }

    pub(crate) fn internal() -> Self {
        Self::new(INTERNAL, "The agent had trouble of its own with this message")
    }

    fn unreadable(type_: &str, error: &serde_json::Error) -> Self {
        // What serde found goes to the author of these very bytes, and nowhere else.
        Self::new(UNREADABLE_BODY, format!("The body does not fit {type_}: {error}"))
    }

    pub(crate) fn unsupported() -> Self {
        Self::new(UNSUPPORTED_TYPE, "This agent does not handle messages of this type")
    }
}

impl fmt::Debug for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HandlerError")
            .field("code", &self.code)
            .field("source", &self.source)
            .finish_non_exhaustive()
    }
}

impl<E: std::error::Error + Send + Sync + 'static> From<E> for HandlerError {
    fn from(error: E) -> Self {
        Self { source: Some(Box::new(error)), ..Self::internal() }
    }
}

/// Shortens a reason to what a home takes.
pub(crate) fn cut(reason: String) -> String {
    match reason.char_indices().nth(limits::REASON_CHARS_MAX) {
        Some((at, _)) => reason.get(..at).unwrap_or_default().to_owned(),
        None => reason,
    }
}

/// A handler of any type.
pub(crate) type Handler =
    Arc<dyn Fn(Received, Context) -> BoxFuture<'static, Result<(), HandlerError>> + Send + Sync>;

/// The handlers of an agent.
#[derive(Default)]
pub(crate) struct Handlers {
    typed: Vec<(&'static str, Handler)>,
    any: Option<Handler>,
}

impl Handlers {
    /// Sets the handler of a type, in place of an earlier one.
    pub(crate) fn set<B, F, Fut>(&mut self, handler: F)
    where
        B: Body,
        F: Fn(Incoming<B>, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        let typed: Handler = Arc::new(move |received, context| {
            let Received { facts, body, attachments, .. } = received;
            match B::deserialize(body.into_inner()) {
                Ok(body) => handler(Incoming { facts, body, attachments }, context).boxed(),
                Err(error) => {
                    let refusal = HandlerError::unreadable(B::TYPE, &error);
                    std::future::ready(Err(refusal)).boxed()
                }
            }
        });
        self.typed.retain(|(type_, _)| *type_ != B::TYPE);
        self.typed.push((B::TYPE, typed));
    }

    /// Sets the handler of what no other takes.
    pub(crate) fn set_any<F, Fut>(&mut self, handler: F)
    where
        F: Fn(Received, Context) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<(), HandlerError>> + Send + 'static,
    {
        self.any = Some(Arc::new(move |received, context| handler(received, context).boxed()));
    }

    /// Forgets all handlers, and with them whatever they hold.
    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    /// Finds the handler of a type: the very same type first, then a compatible version of it.
    pub(crate) fn find(&self, type_: &str) -> Option<Handler> {
        let exact = self.typed.iter().find(|(known, _)| *known == type_);
        exact
            .or_else(|| self.typed.iter().find(|(known, _)| same_type(known, type_)))
            .map(|(_, handler)| handler)
            .or(self.any.as_ref())
            .cloned()
    }
}

impl fmt::Debug for Handlers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.typed.iter().map(|(type_, _)| type_)).finish()
    }
}

/// Whether two type URIs name the same message, in versions that are compatible (DIDComm v2.1, "Protocol
/// Identifier URI").
pub(crate) fn same_type(known: &str, came: &str) -> bool {
    if known == came {
        return true;
    }
    match (MessageType::parse(known), MessageType::parse(came)) {
        (Ok(known), Ok(came)) => known.matches(&came),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_compatible_version_is_the_same_type() {
        let known = "https://example.org/lets-lunch/1.0/proposal";
        assert!(same_type(known, "https://example.org/lets-lunch/1.3/proposal"));
        assert!(!same_type(known, "https://example.org/lets-lunch/2.0/proposal"));
        assert!(!same_type("no uri", "no URI"));
    }

    #[test]
    fn an_error_of_the_agents_own_is_not_told_to_the_sender() {
        let error = HandlerError::from(std::io::Error::other("password is hunter2"));
        assert_eq!(error.code(), INTERNAL);
        assert!(!error.reason().contains("hunter2"));
        assert!(error.source().is_some());
    }

    #[test]
    fn a_long_reason_is_cut_between_characters() {
        let reason = HandlerError::refuse("ä".repeat(limits::REASON_CHARS_MAX + 1));
        assert_eq!(reason.reason().chars().count(), limits::REASON_CHARS_MAX);
    }
}
