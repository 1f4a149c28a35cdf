//! The host as a front end asks it: sign-ups, profiles, requests, notifications. Touches the network alone.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use reqwest::header::{COOKIE, RETRY_AFTER, SET_COOKIE};
use reqwest::{Client, Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::people::{PASSWORD, Person};

/// How long one answer may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often something is asked that the host has no time for, and the longest pause before it is asked again.
const TRIES: u32 = 20;
const LONGEST_PAUSE: Duration = Duration::from_secs(3);

/// A client of a host.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) client: Client,
    /// Without a slash at the end.
    pub(crate) url: String,
}

/// Somebody who is logged in.
#[derive(Debug, Clone)]
pub(crate) struct Session {
    /// The user's id.
    pub(crate) id: String,
    /// The value of the header `Cookie`.
    pub(crate) cookie: String,
    /// The own user.
    pub(crate) user: Value,
}

/// An answer, read to its end.
struct Answer {
    status: StatusCode,
    token: Option<String>,
    body: Value,
}

impl Answer {
    /// Why something is refused, in the host's words.
    fn message(&self) -> String {
        let message = self.body.get("message").and_then(Value::as_str).or_else(|| self.body.as_str());
        message.filter(|message| !message.is_empty()).map_or_else(|| self.status.to_string(), str::to_owned)
    }
}

impl Api {
    /// Of the host at `url`.
    pub(crate) fn new(url: &str) -> anyhow::Result<Self> {
        let client = Client::builder().timeout(TIMEOUT).build()?;
        Ok(Self { client, url: url.trim_end_matches('/').to_owned() })
    }

    /// Signs somebody up, or logs them in where they are there already; whether they were.
    pub(crate) async fn enter(&self, person: &Person) -> anyhow::Result<(Session, bool)> {
        let form = json!({
            "firstName": person.first, "lastName": person.last, "emailId": person.email, "password": PASSWORD,
        });
        let answer = self.ask(Method::POST, "/signup", None, Some(&form)).await?;
        if answer.status.is_success() {
            return Ok((session(answer)?, false));
        }
        let message = answer.message();
        // The contract has one status for all that is wrong with a sign-up.
        if answer.status == StatusCode::BAD_REQUEST
            && let Some(session) = self.log_in(person).await?
        {
            return Ok((session, true));
        }
        let hint = match answer.status {
            StatusCode::BAD_REQUEST => {
                "if somebody with this e-mail has another password than the demo's, use an empty data folder"
            }
            StatusCode::TOO_MANY_REQUESTS => {
                "the demo has to run on the host's own machine, where limits per address do not count"
            }
            _ => "run it again when the host is well",
        };
        bail!("{} can't sign up: {message}; {hint}", person.email)
    }

    /// Logs somebody in; none where the host does not know them by this password.
    pub(crate) async fn log_in(&self, person: &Person) -> anyhow::Result<Option<Session>> {
        let form = json!({ "emailId": person.email, "password": PASSWORD });
        let answer = self.ask(Method::POST, "/login", None, Some(&form)).await?;
        match answer.status {
            StatusCode::BAD_REQUEST => Ok(None),
            status if status.is_success() => session(answer).map(Some),
            _ => bail!("{} can't log in: {}", person.email, answer.message()),
        }
    }

    /// Asks for something that has to succeed.
    pub(crate) async fn get(&self, session: &Session, path: &str) -> anyhow::Result<Value> {
        self.send(Method::GET, path, session, None).await
    }

    /// The same with a method and a body.
    pub(crate) async fn send(
        &self,
        method: Method,
        path: &str,
        session: &Session,
        body: Option<&Value>,
    ) -> anyhow::Result<Value> {
        let answer = self.ask(method.clone(), path, Some(session), body).await?;
        ensure!(answer.status.is_success(), "{method} {path}: {}", answer.message());
        Ok(answer.body)
    }

    /// Sends a connection request, `interested` or `ignore`. One that is there already, in either direction, is fine.
    pub(crate) async fn request(&self, from: &Session, status: &str, to: &Session) -> anyhow::Result<()> {
        let path = format!("/request/send/{status}/{}", to.id);
        let answer = self.ask(Method::POST, &path, Some(from), None).await?;
        let is_there = answer.status == StatusCode::BAD_REQUEST && answer.message().contains("already exists");
        ensure!(answer.status.is_success() || is_there, "POST {path}: {}", answer.message());
        Ok(())
    }

    /// Whether a path is answered to anybody with 200.
    pub(crate) async fn serves(&self, path: &str) -> bool {
        self.ask(Method::HEAD, path, None, None).await.is_ok_and(|answer| answer.status == StatusCode::OK)
    }

    /// An answer that is no plea to come again: those are waited for, unless they take too long.
    async fn ask(
        &self,
        method: Method,
        path: &str,
        session: Option<&Session>,
        body: Option<&Value>,
    ) -> anyhow::Result<Answer> {
        let url = format!("{}{path}", self.url);
        for tried in 1.. {
            let mut request = self.client.request(method.clone(), &url);
            if let Some(session) = session {
                request = request.header(COOKIE, &session.cookie);
            }
            if let Some(body) = body {
                request = request.json(body);
            }
            let response = request.send().await;
            let response = response.with_context(|| format!("no host answers at {}; does it still run?", self.url))?;
            match pause(&response) {
                Some(pause) if tried < TRIES => tokio::time::sleep(pause).await,
                _ => return read(response).await.with_context(|| format!("{method} {path}")),
            }
        }
        bail!("{method} {path} was never answered")
    }
}

/// How long to wait before the host is asked again; none: it means what it says.
fn pause(response: &Response) -> Option<Duration> {
    let again = [StatusCode::SERVICE_UNAVAILABLE, StatusCode::TOO_MANY_REQUESTS].contains(&response.status());
    let after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let pause = Duration::from_secs(after.unwrap_or(1));
    (again && pause <= LONGEST_PAUSE).then_some(pause)
}

async fn read(response: Response) -> anyhow::Result<Answer> {
    let status = response.status();
    let cookies = response.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok());
    let token = cookies.filter_map(|cookie| cookie.strip_prefix("token=")?.split(';').next()).next().map(str::to_owned);
    let bytes = response.bytes().await?;
    // A few answers are plain text.
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| Value::from(String::from_utf8_lossy(&bytes)));
    Ok(Answer { status, token, body })
}

/// What a sign-up or a log-in opened.
fn session(answer: Answer) -> anyhow::Result<Session> {
    let token = answer.token.context("the host opened no session; is it a DevConnect?")?;
    let user = answer.body.get("data").unwrap_or(&answer.body);
    let id = user.get("_id").and_then(Value::as_str).context("the host answers no user; is it a DevConnect?")?;
    Ok(Session { id: id.to_owned(), cookie: format!("token={token}"), user: user.clone() })
}
