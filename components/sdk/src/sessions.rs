//! A user's log-ins, looked at. They begin and end in a [`Commit`](crate::documents::Commit), together with the
//! writes they belong to: `open_session`, `end_session`, `end_other_sessions`, `end_all_sessions`.

use crate::bindings::imports::sessions as wit;
use crate::bson::DateTime;

pub use wit::Error;

/// A living session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Session {
    /// The token's `jti`.
    pub id: String,
    /// When the user logged in.
    pub created_at: DateTime,
    /// When it ends by itself.
    pub expires_at: DateTime,
}

/// The living sessions of `subject`, newest first.
pub fn living(subject: &str) -> Result<Vec<Session>, Error> {
    let moment = |millis: u64| DateTime::from_millis(i64::try_from(millis).unwrap_or(i64::MAX));
    let found = wit::living(subject)?;
    Ok(found
        .into_iter()
        .map(|s| Session { id: s.id, created_at: moment(s.created_at), expires_at: moment(s.expires_at) })
        .collect())
}
