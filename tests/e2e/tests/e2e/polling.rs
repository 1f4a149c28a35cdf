//! Polling clients, by hand: the id in a polling client's requests is the key to its messages. It is not published, and it is no
//! use with another member's session.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use std::time::Duration;

use e2e::{Member, PASSWORD, Server, Stack, Value, json};
use reqwest::{Method, RequestBuilder, StatusCode};

/// What requests show as their session.
#[derive(Debug, Clone, Copy)]
enum Shows<'a> {
    Nothing,
    Cookie(&'a str),
    Bearer(&'a str),
}

/// A polling session.
struct Polling {
    client: reqwest::Client,
    url: String,
    sid: String,
}

impl Polling {
    /// Opens one with what its requests show, and connects with this payload.
    async fn open(server: &Server, shows: Shows<'_>, auth: Value) -> Self {
        let (client, url) = (reqwest::Client::new(), format!("{}/socket.io/?EIO=4&transport=polling", server.url));
        let opened = shown(client.get(&url), shows).send().await.unwrap();
        let text = opened.text().await.unwrap();
        let hello: Value = serde_json::from_str(text.strip_prefix('0').unwrap()).unwrap();
        let sid = hello["sid"].as_str().unwrap().to_owned();
        let polling = Self { client, url, sid };
        assert_eq!(polling.send(shows, &format!("40{auth}")).await, StatusCode::OK);
        let connected = polling.read(shows).await;
        assert!(connected.starts_with("40"), "{connected}");
        polling
    }

    fn request(&self, method: Method, sid: &str, shows: Shows<'_>) -> RequestBuilder {
        shown(self.client.request(method, format!("{}&sid={sid}", self.url)), shows)
    }

    /// Sends a packet; the status.
    async fn send(&self, shows: Shows<'_>, packet: &str) -> StatusCode {
        let request = self.request(Method::POST, &self.sid, shows).header("content-type", "text/plain;charset=UTF-8");
        request.body(packet.to_owned()).send().await.unwrap().status()
    }

    /// What waits to be read, or comes first, without pings.
    async fn read(&self, shows: Shows<'_>) -> String {
        loop {
            let text = self.request(Method::GET, &self.sid, shows).send().await.unwrap().text().await.unwrap();
            let packets: Vec<&str> = text.split('\x1e').filter(|packet| *packet != "2").collect();
            if !packets.is_empty() {
                return packets.join("\x1e");
            }
            assert_eq!(self.send(shows, "3").await, StatusCode::OK);
        }
    }

    /// A read under an id that is refused.
    async fn refused(&self, sid: &str, shows: Shows<'_>) {
        let answer = self.request(Method::GET, sid, shows).timeout(Duration::from_secs(10)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{shows:?}");
        let text = answer.text().await.unwrap();
        assert!(text.contains("Session ID unknown"), "{shows:?}: {text}");
    }
}

fn shown(request: RequestBuilder, shows: Shows<'_>) -> RequestBuilder {
    match shows {
        Shows::Nothing => request,
        Shows::Cookie(token) => request.header("cookie", format!("token={token}")),
        Shows::Bearer(token) => request.bearer_auth(token),
    }
}

/// The socket's id in the event that says that its user came.
async fn published(server: &Server, token: &str) -> String {
    loop {
        for partition in 0..3 {
            let path = format!("/v1/topics/user-events/records?partition={partition}&from=0");
            let asked = reqwest::Client::new().get(format!("{}{path}", server.admin)).bearer_auth(token).send();
            let found: Value = asked.await.unwrap().json().await.unwrap();
            let mut records = found["records"].as_array().unwrap().iter();
            if let Some(record) = records.find(|record| record["kind"] == "USER_ONLINE") {
                let value: Value = serde_json::from_str(record["value"].as_str().unwrap()).unwrap();
                return value["data"]["socketId"].as_str().unwrap().to_owned();
            }
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// Attack (47): reading a member's frames under the id that events and handlers get. Outcome: that id is no key: unknown
/// session.
#[tokio::test(flavor = "multi_thread")]
async fn the_id_that_is_published_opens_nothing() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let (ada, eve) = (Member::sign_up(&server.url, "Ada").await, Member::sign_up(&server.url, "Eve").await);
    let polling = Polling::open(&server, Shows::Nothing, json!({ "token": ada.token })).await;
    let register = format!("42{}", json!(["register", ada.id]));
    assert_eq!(polling.send(Shows::Nothing, &register).await, StatusCode::OK);
    let id = published(&server, &e2e::token(&stack.data("host"))).await;
    assert!(!id.is_empty() && !id.contains(&polling.sid) && !polling.sid.contains(&id), "{id}");
    for shows in [Shows::Nothing, Shows::Cookie(&eve.token), Shows::Cookie(&ada.token)] {
        polling.refused(&id, shows).await;
    }
    // What a component sends to the one socket that asked arrives there.
    let ask = format!("42{}", json!(["presence:query", { "userId": ada.id }]));
    assert_eq!(polling.send(Shows::Nothing, &ask).await, StatusCode::OK);
    let told = polling.read(Shows::Nothing).await;
    assert!(told.contains("presence:state"), "{told}");
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}

/// Attack (47): another member's session cookie with a stolen polling id. Outcome: unknown session.
#[tokio::test(flavor = "multi_thread")]
async fn a_polling_session_is_of_the_member_who_opened_it() {
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let (ada, eve) = (Member::sign_up(&server.url, "Ada").await, Member::sign_up(&server.url, "Eve").await);
    let again = Member::log_in(&server.url, &ada.email, PASSWORD).await;
    let ask = format!("42{}", json!(["presence:query", { "userId": ada.id }]));
    let (cookie, bearer) = (Shows::Cookie(&ada.token), Shows::Bearer(&ada.token));
    for (opens, auth, needs_one) in [
        (Shows::Nothing, json!({ "token": ada.token }), false),
        (cookie, json!({ "token": ada.token }), false),
        (cookie, json!({}), true),
        (bearer, json!({}), true),
    ] {
        let polling = Polling::open(&server, opens, auth).await;
        let sid = polling.sid.clone();
        for foreign in [Shows::Cookie(&eve.token), Shows::Bearer(&eve.token), Shows::Cookie("e30.e30.forged")] {
            polling.refused(&sid, foreign).await;
            assert_eq!(polling.send(foreign, &ask).await, StatusCode::BAD_REQUEST, "{opens:?} {foreign:?}");
        }
        if needs_one {
            polling.refused(&sid, Shows::Nothing).await;
        } else {
            assert_eq!(polling.send(Shows::Nothing, &ask).await, StatusCode::OK, "{opens:?}");
        }
        for own in [cookie, bearer, Shows::Cookie(&again.token)] {
            assert_eq!(polling.send(own, &ask).await, StatusCode::OK, "{opens:?} {own:?}");
            assert!(polling.read(own).await.contains("presence:state"), "{opens:?} {own:?}");
        }
    }
    tokio::task::spawn_blocking(move || drop(server)).await.unwrap();
}
