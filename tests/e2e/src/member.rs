//! A member of the network, as a front end acts for one: an HTTP client with a session cookie.

use reqwest::{Method, RequestBuilder, Response, StatusCode};
use serde_json::{Value, json};

/// A password that every rule accepts.
pub const PASSWORD: &str = "Str0ng!Pass";

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

    /// Signs up under a name that is unique among the test's own.
    pub async fn sign_up(url: &str, name: &str) -> Self {
        let nobody = Self::nobody(url);
        let email = format!("{}@example.com", name.to_lowercase());
        let body = json!({ "firstName": name, "lastName": "Tester", "emailId": email, "password": PASSWORD });
        let response = nobody.post("/signup").json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{name} can't sign up");
        nobody.with_session(response, email).await
    }

    /// Logs in.
    pub async fn log_in(url: &str, email: &str, password: &str) -> Self {
        let nobody = Self::nobody(url);
        let body = json!({ "emailId": email, "password": password });
        let response = nobody.post("/login").json(&body).send().await.expect("an answer");
        assert_eq!(response.status(), StatusCode::OK, "{email} can't log in");
        nobody.with_session(response, email.to_owned()).await
    }

    async fn with_session(mut self, response: Response, email: String) -> Self {
        self.token = token_of(&response).unwrap_or_else(|| panic!("no session cookie came"));
        let body: Value = response.json().await.expect("JSON");
        let user = body.get("data").unwrap_or(&body);
        self.id = user.get("_id").and_then(Value::as_str).unwrap_or_else(|| panic!("no _id in {user}")).to_owned();
        self.email = email;
        self
    }

    /// The same member at another address: the host started again.
    pub fn at(&self, url: &str) -> Self {
        Self { url: url.to_owned(), ..self.clone() }
    }

    /// A `GET` with this member's session.
    pub fn get(&self, path: &str) -> RequestBuilder {
        self.request(Method::GET, path)
    }

    /// A `POST` with this member's session.
    pub fn post(&self, path: &str) -> RequestBuilder {
        self.request(Method::POST, path)
    }

    /// A `PATCH` with this member's session.
    pub fn patch(&self, path: &str) -> RequestBuilder {
        self.request(Method::PATCH, path)
    }

    /// Any method with this member's session.
    pub fn request(&self, method: Method, path: &str) -> RequestBuilder {
        let request = self.client.request(method, format!("{}{path}", self.url));
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
