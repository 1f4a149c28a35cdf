//! WIT glue of `devconnect:platform/mail`.

use super::Mail;
use crate::capability::documents::Error as StoreError;
use crate::capability::unit::Unit;
use crate::engine::State;
use crate::engine::bindings::devconnect::platform::mail::{Error, Host, Mail as Asked};

impl State {
    async fn send_mail(&mut self, asked: Asked) -> Result<(), Error> {
        if !self.grants().mail {
            return Err(Error::Denied("not granted; in component.toml: [grants] mail = true".to_owned()));
        }
        let Asked { to, subject, text, html, unsubscribe } = asked;
        let mail = Mail { to, subject, text, html, unsubscribe };
        mail.check().map_err(Error::Invalid)?;
        let write = mail.row(self.component_name(), self.capabilities().clock.now()).map_err(refused)?;
        let unit = Unit { writes: vec![write], ..Unit::default() };
        match self.gathering() {
            Some(gathered) => gathered.add(unit).map_err(refused),
            None => unit.commit(self.capabilities(), None).await.0.map(drop).map_err(refused),
        }
    }
}

fn refused(error: StoreError) -> Error {
    match error {
        StoreError::Unavailable(why) => Error::Unavailable(why),
        error => Error::Invalid(error.to_string()),
    }
}

impl Host for State {
    async fn send(&mut self, mail: Asked) -> wasmtime::Result<Result<(), Error>> {
        self.enter("mail.send")?;
        let answer = self.send_mail(mail).await;
        if matches!(answer, Err(Error::Unavailable(_))) {
            self.store_is_away();
        }
        Ok(answer)
    }
}
