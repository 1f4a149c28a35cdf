//! WIT glue of `devconnect:platform/mail`.

use crate::State;
use crate::bindings::devconnect::platform::mail::{Error, Host, Mail as WitMail};
use capability::documents::Error as StoreError;
use capability::mail::Mail;
use capability::unit_of_work::UnitOfWork;

impl State {
    async fn send_mail(&mut self, mail: WitMail) -> Result<(), Error> {
        if !self.grants().mail {
            return Err(Error::Denied("not granted; in component.toml: [grants] mail = true".to_owned()));
        }
        let WitMail { to, subject, text, html, unsubscribe } = mail;
        let mail = Mail { to, subject, text, html, unsubscribe };
        mail.check().map_err(Error::Invalid)?;
        let write = mail.row(self.component_name(), self.capabilities().clock.now()).map_err(refused)?;
        let unit = UnitOfWork { writes: vec![write], ..UnitOfWork::default() };
        match self.gathering() {
            Some(gathered) => gathered.add(unit).map_err(refused),
            None => unit.commit(self.capabilities(), None).await.0.map(drop).map_err(refused),
        }
    }
}

fn refused(error: StoreError) -> Error {
    match error {
        StoreError::Overdue(why) | StoreError::Unavailable(why) => Error::Unavailable(why),
        error => Error::Invalid(error.to_string()),
    }
}

impl Host for State {
    async fn send(&mut self, mail: WitMail) -> wasmtime::Result<Result<(), Error>> {
        let _host = self.enter("mail.send")?;
        let answer = self.send_mail(mail).await;
        if matches!(answer, Err(Error::Unavailable(_))) {
            self.record_store_unavailable();
        }
        Ok(answer)
    }
}
