//! Whose requests a socket takes: those of the member who opened it.
//!
//! The id in the requests of a polling client is the key to the socket's messages. It is not published, and it does not work with
//! another member's session.

use socketioxide::socket::Sid;

use crate::socket::{NAMESPACE, SocketTrigger};
use capability::sessions::Identity;

/// The tokens that a socket was opened with.
#[derive(Clone)]
pub(super) struct Holder {
    in_payload: Option<String>,
    in_headers: Option<String>,
}

impl Holder {
    /// Of the handshake's payload and of the headers of its first request.
    pub(super) fn new(in_payload: Option<String>, in_headers: Option<String>) -> Self {
        Self { in_payload, in_headers }
    }

    /// Whether a request with this token in its headers, or with none, is the client's that opened the socket; none: the token
    /// is another one, and its session decides.
    fn takes(&self, token: Option<&str>) -> Option<bool> {
        match token {
            // A client that shows its session in the payload has none in its headers. A browser's cookie is there each time.
            None => Some(self.in_payload.is_some()),
            token if token == self.in_headers.as_deref() || token == self.in_payload.as_deref() => Some(true),
            Some(_) => None,
        }
    }
}

impl SocketTrigger {
    /// Whether a request with this token is of the member who opened a socket. A socket that is not open yet has nothing to read.
    pub(super) async fn is_of_its_member(&self, socket: Sid, token: Option<String>) -> bool {
        let opened = self.io.of(NAMESPACE).and_then(|all| all.get_socket(socket));
        let known =
            opened.and_then(|socket| Some((socket.extensions.get::<Holder>()?, socket.extensions.get::<Identity>()?)));
        let Some((holder, identity)) = known else { return true };
        let shared = self.registry.engine().shared();
        match (holder.takes(token.as_deref()), token) {
            (Some(taken), _) => taken,
            // A member who has logged in again shows the new session.
            (None, Some(token)) => {
                let checked = shared.capabilities.sessions.check(&token).await;
                checked.is_ok_and(|now| now.is_some_and(|now| now.subject == identity.subject))
            }
            (None, None) => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_opened_a_socket_is_known_by_its_token() {
        let of = |in_payload: Option<&str>, in_headers: Option<&str>| {
            Holder::new(in_payload.map(str::to_owned), in_headers.map(str::to_owned))
        };
        let (cookie, payload, both) = (of(None, Some("c")), of(Some("p"), None), of(Some("p"), Some("c")));
        assert_eq!([None, Some("c"), Some("x")].map(|token| cookie.takes(token)), [Some(false), Some(true), None]);
        assert_eq!([None, Some("p"), Some("x")].map(|token| payload.takes(token)), [Some(true), Some(true), None]);
        assert_eq!([None, Some("p"), Some("c")].map(|token| both.takes(token)), [Some(true), Some(true), Some(true)]);
    }
}
