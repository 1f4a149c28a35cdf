//! A member of the network, as a front end acts for one: an HTTP client with a session cookie. Each answer is checked against
//! what the host says of itself.

use reqwest::{Method, Response, StatusCode};
use serde_json::{Value, json};

use crate::described::Asked;

/// A password that every rule accepts.
pub const PASSWORD: &str = "Str0ng!Pass";

/// The e-mail of the member of this name.
pub fn email(name: &str) -> String {
    format!("{}@example.com", name.to_lowercase())
}

/// A member and their session.
#[derive(Clone)]
pub struct Member {
    client: reqwest::Client,
    url: String,
    /// The user's id.
    pub id: String,
    /// The e-mail it signed up with.
    pub email: String,
    /// The session's token.
    pub token: String,
}

impl Member {
    /// Nobody yet: a client without a session.
    pub fn nobody(url: &str) -> Self {
        let client = reqwest::Client::builder().build().expect("an HTTP client");
        Self { client, url: url.to_owned(), id: String::new(), email: String::new(), token: String::new() }
    }

    /// The same member with connections of its own.
    #[must_use]
    pub fn elsewhere(&self) -> Self {
        Self { client: Self::nobody(&self.url).client, ..self.clone() }
    }

    /// Signs up under a name that is unique among the test's own.
    pub async fn sign_up(url: &str, name: &str) -> Self {
        Self::try_sign_up(url, name).await.unwrap_or_else(|refused| panic!("{name} can't sign up: {refused:?}"))
    }

    /// The same where it may be refused; none: nobody answered.
    pub async fn try_sign_up(url: &str, name: &str) -> Result<Self, Option<StatusCode>> {
        let email = email(name);
        let body = json!({ "firstName": name, "lastName": "Tester", "emailId": email, "password": PASSWORD });
        Self::enter(url, "/signup", body, email).await
    }

    /// Logs in.
    pub async fn log_in(url: &str, email: &str, password: &str) -> Self {
        let entered = Self::try_log_in(url, email, password).await;
        entered.unwrap_or_else(|refused| panic!("{email} can't log in: {refused:?}"))
    }

    /// The same where it may be refused; none: nobody answered.
    pub async fn try_log_in(url: &str, email: &str, password: &str) -> Result<Self, Option<StatusCode>> {
        Self::enter(url, "/login", json!({ "emailId": email, "password": password }), email.to_owned()).await
    }

    async fn enter(url: &str, path: &str, body: Value, email: String) -> Result<Self, Option<StatusCode>> {
        let nobody = Self::nobody(url);
        let response = nobody.post(path).json(&body).send().await.map_err(|_| None)?;
        match response.status() {
            StatusCode::OK => nobody.with_session(response, email).await.ok_or(None),
            status => Err(Some(status)),
        }
    }

    /// None when the answer breaks off.
    async fn with_session(mut self, response: Response, email: String) -> Option<Self> {
        self.token = token_of(&response).unwrap_or_else(|| panic!("no session cookie came"));
        let body: Value = response.json().await.ok()?;
        let user = body.get("data").unwrap_or(&body);
        self.id = user.get("_id").and_then(Value::as_str).unwrap_or_else(|| panic!("no _id in {user}")).to_owned();
        self.email = email;
        Some(self)
    }

    /// The same member at another address: the host started again.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A `GET` with this member's session.
    pub fn get(&self, path: &str) -> Asked {
        self.request(Method::GET, path)
    }

    /// A `POST` with this member's session.
    pub fn post(&self, path: &str) -> Asked {
        self.request(Method::POST, path)
    }

    /// A `PATCH` with this member's session.
    pub fn patch(&self, path: &str) -> Asked {
        self.request(Method::PATCH, path)
    }

    /// Any method with this member's session.
    pub fn request(&self, method: Method, path: &str) -> Asked {
        let request = Asked::new(&self.client, method, &self.url, path);
        if self.token.is_empty() { request } else { request.header("cookie", format!("token={}", self.token)) }
    }

    /// The JSON of a `GET` that has to succeed.
    pub async fn read(&self, path: &str) -> Value {
        let response = self.get(path).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "GET {path}");
        response.json().await.expect("JSON")
    }
}

/// The token of the session cookie that an answer sets.
fn token_of(response: &Response) -> Option<String> {
    let cookies = response.headers().get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    let value = cookies.filter_map(|cookie| cookie.strip_prefix("token=")).next()?;
    value.split(';').next().map(str::to_owned)
}
