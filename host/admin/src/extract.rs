//! Extractors like axum's, whose rejection is an [`ErrorResponse`].

use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

use crate::ErrorResponse;

/// The path's parameters.
pub(super) struct Path<T>(pub(super) T);

/// The query string's parameters.
pub(super) struct Query<T>(pub(super) T);

/// The body.
pub(super) struct Body(pub(super) Bytes);

impl<T: DeserializeOwned + Send, S: Send + Sync> FromRequestParts<S> for Path<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Path::from_request_parts(parts, state).await;
        read.map(|path| Self(path.0)).map_err(|why| ErrorResponse(why.status(), why.body_text()))
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = ErrorResponse;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ErrorResponse> {
        let read = axum::extract::Query::from_request_parts(parts, state).await;
        read.map(|query| Self(query.0)).map_err(|why| ErrorResponse(why.status(), why.body_text()))
    }
}

impl<S: Send + Sync> FromRequest<S> for Body {
    type Rejection = ErrorResponse;

    async fn from_request(request: Request, state: &S) -> Result<Self, ErrorResponse> {
        let read = Bytes::from_request(request, state).await;
        read.map(Self).map_err(|why| ErrorResponse(why.status(), why.body_text()))
    }
}
