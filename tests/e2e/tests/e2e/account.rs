//! The account over real connections: what ends sessions closes their sockets and opens nothing again, and what is handed out is
//! the member's own and all of it. When what is left is erased, the tests of the component say.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use e2e::{Member, PASSWORD, Stack, Value, json, node, on_both_stacks};
use reqwest::{Method, StatusCode};

on_both_stacks! {
    what_ends_sessions_closes_their_sockets,
    an_account_is_exported_and_deleted,
    nobody_ends_what_is_anothers,
}

async fn what_ends_sessions_closes_their_sockets(stack: Stack) {
    let server = stack.start("host").await;
    let ended = tokio::task::spawn_blocking(move || {
        node::test("account.test.mjs", &[&server.url], &[]);
        server.interrupt()
    });
    assert!(ended.await.unwrap(), "the host ends well");
}

async fn deleted(member: &Member, password: &str) -> (StatusCode, Value) {
    let request = member.request(Method::DELETE, "/account").json(&json!({ "password": password }));
    let answer = request.send().await.unwrap();
    (answer.status(), answer.json().await.unwrap())
}

async fn an_account_is_exported_and_deleted(stack: Stack) {
    let server = stack.start("host").await;
    let (ada, bob) = (Member::sign_up(&server.url, "Ada").await, Member::sign_up(&server.url, "Bob").await);
    let again = Member::log_in(&server.url, &ada.email, PASSWORD).await;
    let edit = json!({ "about": "Engines", "skills": ["rust"] });
    assert_eq!(ada.patch("/profile/edit").json(&edit).send().await.unwrap().status(), StatusCode::OK);
    let asked = bob.post(&format!("/request/send/interested/{}", ada.id)).send().await.unwrap();
    assert_eq!(asked.status(), StatusCode::OK);
    // What components make of events is among it, once they have heard of them.
    server.settled().await;
    let all = ada.read("/account/export").await;
    assert!(all["notifications"][0].is_object() && all["activity"][0].is_object(), "{all}");
    assert_eq!((&all["profile"]["about"], &all["profile"]["emailId"]), (&json!("Engines"), &json!(ada.email)));
    assert_eq!((&all["requestsReceived"][0]["fromUserId"], all.get("next")), (&json!(bob.id), None));
    assert_eq!(all["sessions"].as_array().unwrap().len(), 2);
    assert!(!all.to_string().contains("argon2") && !all.to_string().contains("tokenHash"), "{all}");

    assert_eq!(deleted(&again, "Wr0ng!Password").await.0, StatusCode::BAD_REQUEST);
    assert_eq!(deleted(&again, PASSWORD).await.0, StatusCode::OK);
    for session in [&ada, &again] {
        assert_eq!(session.get("/profile/view").send().await.unwrap().status(), StatusCode::UNAUTHORIZED);
    }
    let refused = Member::try_log_in(&server.url, &ada.email, PASSWORD).await;
    assert_eq!(refused.err(), Some(Some(StatusCode::BAD_REQUEST)));
    assert_eq!(bob.read("/feed").await["data"], json!([]), "nobody meets the member");
    let anew = Member::sign_up(&server.url, "Ada").await;
    assert!(anew.id != ada.id && anew.email == ada.email);
    // Each component that is told of all this takes it: a dead letter would fail the test.
    server.settled().await;
}

/// Attack (API1, API3): another member's session and account, by their ids in paths and bodies. Outcome: 404 or 400; nothing
/// ends and nobody is deleted.
async fn nobody_ends_what_is_anothers(stack: Stack) {
    let server = stack.start("host").await;
    let (ada, eve) = (Member::sign_up(&server.url, "Ada").await, Member::sign_up(&server.url, "Eve").await);
    let sessions = ada.read("/sessions").await;
    let id = sessions["data"][0]["id"].as_str().unwrap();
    let answer = eve.request(Method::DELETE, &format!("/sessions/{id}")).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
    for body in [
        json!({ "password": PASSWORD, "userId": ada.id }),
        json!({ "password": PASSWORD, "_id": ada.id }),
        json!({ "password": { "$ne": null } }),
        json!({ "password": [PASSWORD] }),
        json!([PASSWORD]),
    ] {
        let answer = eve.request(Method::DELETE, "/account").json(&body).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
    }
    let forged = json!({ "currentPassword": PASSWORD, "newPassword": "0ther!Password", "userId": ada.id });
    assert_eq!(eve.post("/profile/password").json(&forged).send().await.unwrap().status(), StatusCode::BAD_REQUEST);
    for member in [&ada, &eve] {
        assert_eq!(member.read("/profile/view").await["_id"], member.id);
        assert!(Member::try_log_in(&server.url, &member.email, PASSWORD).await.is_ok());
    }
}
