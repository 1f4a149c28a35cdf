//! The operator's token: a bearer token (RFC 6750) that every request which shows or steers something must carry.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::Refusal;
use crate::config::{ConfigError, Secrets};

/// The token of a host; what is kept is its hash.
pub struct Token([u8; 32]);

impl Token {
    /// Where it is given.
    pub const VARIABLE: &str = "DEVCONNECT_ADMIN_TOKEN";
    /// The file in the folder of secrets where it is kept once it was generated.
    pub const FILE: &str = "devconnect_admin_token";

    /// `DEVCONNECT_ADMIN_TOKEN`, or the one that was generated into the data folder, in production too: it opens nothing to
    /// the world, and who can read the folder has the data anyway.
    ///
    /// # Errors
    /// When it can't be kept.
    pub fn of(secrets: &Secrets) -> Result<Self, ConfigError> {
        let given = std::env::var(Self::VARIABLE).ok().filter(|token| !token.is_empty());
        match given {
            Some(token) => Ok(Self::from_bytes(token.as_bytes())),
            None => Ok(Self::from_bytes(&secrets.generated(Self::FILE)?)),
        }
    }

    fn from_bytes(token: &[u8]) -> Self {
        Self(Sha256::digest(token).into())
    }

    /// In constant time, whatever is shown.
    fn is(&self, shown: &str) -> bool {
        Self::from_bytes(shown.as_bytes()).0.ct_eq(&self.0).into()
    }
}

/// Refuses whoever does not show the token.
pub(super) async fn required(State(token): State<Arc<Token>>, request: Request, next: Next) -> Response {
    let shown = request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let shown = shown.and_then(|value| value.split_once(' '));
    match shown {
        Some((scheme, shown)) if scheme.eq_ignore_ascii_case("bearer") && token.is(shown.trim()) => {
            next.run(request).await
        }
        _ => {
            let why = format!(
                "show the operator's token: the one of {}, or the file secrets/{} in the host's data folder",
                Token::VARIABLE,
                Token::FILE
            );
            let refusal = Refusal(StatusCode::UNAUTHORIZED, why).into_response();
            ([(header::WWW_AUTHENTICATE, "Bearer")], refusal).into_response()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_token_itself_is_it() {
        let token = Token::from_bytes(b"secret");
        assert!(token.is("secret"));
        for other in ["", "secre", "secret ", "SECRET"] {
            assert!(!token.is(other), "{other:?}");
        }
    }
}
