//! WIT glue of `devconnect:platform/sessions`.

use crate::State;
use crate::bindings::devconnect::platform::sessions::{Error, Host, Session};
use capability::documents::Error as StoreError;
use capability::sessions::SessionUse;

impl State {
    /// Checks the grant of a use of sessions; the error is the manifest line that would grant it.
    pub(crate) fn session_use(&self, wanted: SessionUse) -> Result<(), String> {
        if self.grants().sessions.contains(&wanted) {
            return Ok(());
        }
        Err(format!("not granted; in component.toml: [grants] sessions = [{:?}]", wanted.as_str()))
    }
}

impl Host for State {
    async fn living(&mut self, subject: String) -> wasmtime::Result<Result<Vec<Session>, Error>> {
        let _host = self.enter("sessions.living")?;
        if let Err(line) = self.session_use(SessionUse::List) {
            return Ok(Err(Error::Denied(line)));
        }
        match self.capabilities().sessions.living(&subject).await {
            Ok(living) => Ok(Ok(living
                .into_iter()
                .map(|session| Session {
                    id: session.id,
                    created_at: session.created_at,
                    expires_at: session.expires_at,
                })
                .collect())),
            Err(StoreError::Unavailable(why)) => {
                self.record_store_unavailable();
                Ok(Err(Error::Unavailable(why)))
            }
            Err(error) => Err(wasmtime::Error::msg(error.to_string())),
        }
    }
}
