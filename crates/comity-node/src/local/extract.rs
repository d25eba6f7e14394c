//! Reads the bodies and query strings of the local listener, with the bounds and errors of this
//! node.

use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::header;
use axum::http::request::Parts;
use comity_net::{BodyError, read_body};
use serde::de::DeserializeOwned;

use crate::limits::{BODY_DEADLINE, LOCAL_BODY_BYTES_MAX};
use crate::problem::{ApiCode, ApiError};

/// A JSON body.
pub(crate) struct JsonBody<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequest<S> for JsonBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _state: &S) -> Result<Self, ApiError> {
        let media_type = request.headers().get(header::CONTENT_TYPE);
        let media_type = media_type.and_then(|value| value.to_str().ok()).unwrap_or_default();
        let essence = media_type.split(';').next().unwrap_or_default().trim();
        if !essence.eq_ignore_ascii_case("application/json") {
            return Err(ApiError::of(ApiCode::MediaType, "Send Content-Type: application/json"));
        }
        let body = read_body(request.into_body(), LOCAL_BODY_BYTES_MAX, BODY_DEADLINE).await;
        let body = body.map_err(|error| match error {
            BodyError::TooLarge => ApiError::of(ApiCode::TooLarge, "Send less"),
            _ => ApiError::of(ApiCode::BodyIncomplete, "Send it again"),
        })?;
        serde_json::from_slice(&body).map(Self).map_err(|error| {
            let title = format!("The body does not have the form of the call: {error}");
            ApiError::new(ApiCode::BadRequest, &title, "docs/openapi.json has its form")
        })
    }
}

/// A query string.
pub(crate) struct Params<T>(pub(crate) T);

impl<T: DeserializeOwned, S: Sync> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, ApiError> {
        Query::try_from_uri(&parts.uri).map(|Query(params)| Self(params)).map_err(|rejection| {
            let title = format!("The query string is not the call's: {}", rejection.body_text());
            ApiError::new(ApiCode::BadRequest, &title, "docs/openapi.json has its form")
        })
    }
}
