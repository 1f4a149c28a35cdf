//! WIT glue of `devconnect:platform/fetch`.

use std::time::Duration;

use crate::State;
use crate::bindings::devconnect::platform::fetch::{
    Error, Host, Request as WitRequest, Response as WitResponse, SecretHeader as WitSecretHeader,
};
use capability::budget::Budget;
use capability::fetch::{Error as FetchError, Fetcher, Request, Response, SecretHeader};

impl State {
    async fn fetched(&mut self, request: WitRequest) -> Result<WitResponse, Error> {
        if self.gathering().is_some() {
            let why = "a call for an event or a tick can't fetch: what it gathers is done once or not at all, and a \
                       request can't be taken back; fetch in a call for a request or a message";
            return Err(Error::Invalid(why.to_owned()));
        }
        let most = self.capabilities().fetch.per_call();
        if self.count_fetch() > most {
            return Err(Error::Invalid(format!(
                "one call sends at most {most} requests (fetch.per-call of devconnect.toml)"
            )));
        }
        let WitRequest { method, url, headers, secret_headers, body, timeout_ms } = request;
        let secret = |WitSecretHeader { name, prefix, secret }| SecretHeader { name, prefix, secret };
        let request = Request {
            method,
            url,
            headers,
            secret_headers: secret_headers.into_iter().map(secret).collect(),
            body,
            time: timeout_ms.map(|millis| Duration::from_millis(millis.into())),
        };
        let capabilities = self.capabilities();
        let end = Budget::read().end;
        let fetcher = Fetcher { component: self.component_name(), grant: &self.grants().fetch, end };
        let answer = capabilities.fetch.send(fetcher, &capabilities.config, &capabilities.signing, request).await;
        // A server of somebody else is no store of the host's: what it does not answer is a value.
        match answer {
            Ok(Response { status, headers, body }) => Ok(WitResponse { status, headers, body }),
            Err(FetchError::Denied(line)) => Err(Error::Denied(line)),
            Err(FetchError::Invalid(why)) => Err(Error::Invalid(why)),
            Err(FetchError::Busy) => Err(Error::Busy),
            Err(FetchError::Failed(why)) => Err(Error::Failed(why)),
        }
    }
}

impl Host for State {
    async fn send(&mut self, request: WitRequest) -> wasmtime::Result<Result<WitResponse, Error>> {
        let _host = self.enter("fetch.send")?;
        Ok(self.fetched(request).await)
    }
}
