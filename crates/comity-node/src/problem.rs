//! Error answers of both listeners: RFC 9457 problems with a stable code.

mod code;

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use comity_core::api::Problem;
use comity_core::outbound::Unsendable;
use comity_core::refusal::Refusal;
use comity_core::trust::Challenge;
use comity_store::StoreFault;
use serde::Serialize;

pub(crate) use code::ApiCode;

use crate::limits::RETRY_AFTER_S;
use crate::outbound::SendError;

/// A call that was not served.
pub(crate) struct ApiError(pub(crate) Problem);

impl ApiError {
    /// Says what happened and what to do next.
    pub(crate) fn new(code: ApiCode, title: &str, hint: &str) -> Self {
        Self::with(code.status(), code.as_str(), title, hint)
    }

    /// Says what a code says of itself, and what to do next.
    pub(crate) fn of(code: ApiCode, hint: &str) -> Self {
        Self::new(code, code.meaning(), hint)
    }

    fn with(status: u16, code: &str, title: &str, hint: &str) -> Self {
        Self(Problem {
            status,
            code: code.to_owned(),
            title: title.to_owned(),
            hint: hint.to_owned(),
        })
    }
}

/// The answer to a stranger whose message costs work.
pub(crate) struct Charge(pub(crate) Challenge);

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        respond(self.0.status, &self.0)
    }
}

impl IntoResponse for Charge {
    fn into_response(self) -> Response {
        #[derive(Serialize)]
        struct Answer {
            #[serde(flatten)]
            problem: Problem,
            work: Challenge,
        }

        let ApiError(problem) = Refusal::WorkRequired.into();
        respond(problem.status, &Answer { problem, work: self.0 })
    }
}

fn respond(status: u16, body: &impl Serialize) -> Response {
    let is_temporary = matches!(status, 429 | 503);
    let status = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = (status, Json(body)).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    if is_temporary {
        headers.insert(header::RETRY_AFTER, RETRY_AFTER_S.into());
    }
    response
}

impl From<Refusal> for ApiError {
    fn from(refusal: Refusal) -> Self {
        let (title, hint) = (refusal.meaning(), refusal.sender_action());
        Self::with(refusal.status(), refusal.code(), title, hint)
    }
}

impl From<StoreFault> for ApiError {
    fn from(fault: StoreFault) -> Self {
        tracing::error!(%fault, "the store failed");
        Self::of(ApiCode::Store, "See comity doctor: the disk may be full")
    }
}

impl From<SendError> for ApiError {
    fn from(error: SendError) -> Self {
        let title = error.to_string();
        match error {
            SendError::Unsendable(reason) => {
                Self::with(reason.status(), reason.code(), &title, reason.hint())
            }
            SendError::Handle(_) => {
                let reason = Unsendable::Unresolvable;
                Self::with(reason.status(), reason.code(), &title, reason.hint())
            }
            SendError::Invalid { member: "to", reason } => {
                let hint = "Give a DID, a handle NAME@HOST, or the link of an invitation";
                Self::new(ApiCode::BadRequest, &format!("That names nobody: {reason}"), hint)
            }
            SendError::Invalid { .. } => {
                let hint = "Correct the request; docs/openapi.json has its form";
                Self::new(ApiCode::BadRequest, &title, hint)
            }
        }
    }
}
