//! The operator's token: a bearer token (RFC 6750), required by everything under `/v1`. Touches nothing but the request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::ErrorResponse;

/// The token of a host, as its SHA-256.
pub struct Token([u8; 32]);

impl Token {
    /// The environment variable with the token.
    pub const VARIABLE: &str = "DEVCONNECT_ADMIN_TOKEN";
    /// The file in the folder of secrets with the generated token.
    pub const FILE: &str = "devconnect_admin_token";

    /// Makes a token of its bytes.
    pub fn from_bytes(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// Whether this is the presented token. Takes the same time for every token of one length.
    fn matches(&self, presented: &str) -> bool {
        Self::from_bytes(presented.as_bytes()).0.ct_eq(&self.0).into()
    }
}

/// Responds with 401 to a request without the token.
pub(super) async fn required(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let authorization = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let credentials = authorization.and_then(|value| value.split_once(' '));
    match credentials {
        Some((scheme, presented)) if scheme.eq_ignore_ascii_case("bearer") && token.matches(presented.trim()) => {
            next.run(request).await
        }
        _ => {
            let why = format!(
                "show the operator's token: the one of {}, or the file secrets/{} in the host's data folder",
                Token::VARIABLE,
                Token::FILE
            );
            let response = ErrorResponse(StatusCode::UNAUTHORIZED, why).into_response();
            ([(header::WWW_AUTHENTICATE, "Bearer")], response).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_it() {
        let token = Token::from_bytes(b"secret");
        assert!(token.matches("secret"));
        for other in ["", "secre", "secret ", "SECRET"] {
            assert!(!token.matches(other), "{other:?}");
        }
    }
}
