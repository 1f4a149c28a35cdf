//! Text that means something to what is behind a field: to the database, to a page, to a mail, to the log.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use e2e::{Member, PASSWORD, ServerOptions, Value, json};
use hostile::raw;
use hostile::shared::Shared;
use hostile::websocket::Socket;
use reqwest::{Method, Response};

static HOST: Shared = Shared::new(ServerOptions::default);

/// What a database would take for more than a value, and what is of another type than any field.
fn no_values() -> Vec<Value> {
    vec![
        json!({ "$ne": null }),
        json!({ "$gt": "" }),
        json!({ "$in": ["a", "b"] }),
        json!({ "$regex": ".*", "$options": "s" }),
        json!({ "$where": "sleep(10000) || true" }),
        json!({ "$expr": { "$function": { "body": "function() { return true }", "args": [], "lang": "js" } } }),
        json!({ "$set": { "membershipTier": "gold" } }),
        json!({ "$oid": "6b0656747f186650d975ce8d" }),
        json!({ "$binary": { "base64": "AAAA", "subType": "00" } }),
        json!({ "length": 10, "toString": "x" }),
        json!({ "__proto__": { "isAdmin": true } }),
        json!({}),
        json!([{ "$ne": null }]),
        json!([[]]),
        json!([{ "firstName": "Ada" }]),
    ]
}

/// A 400 in the one shape.
async fn is_bad(answer: Response, what: &str) -> String {
    assert_eq!(answer.status().as_u16(), 400, "{what}");
    let body: Value = answer.json().await.unwrap();
    assert!(body.as_object().unwrap().len() == 1, "{what}: {body}");
    body["message"].as_str().unwrap_or_else(|| panic!("{what}: {body}")).to_owned()
}

/// The routes that take a body, each with a good one.
fn bodies(member: &Member) -> Vec<(Method, String, Value)> {
    let profile = json!({
        "firstName": "Changed", "lastName": "Changed", "emailId": "changed@example.com", "photoUrl": "https://a.example/b.png",
        "gender": "male", "age": 30, "about": "changed", "skills": ["changed"],
    });
    let choices = json!({ "welcomeEmail": false, "connectionRequests": false, "loginSuggestions": false, "marketingEmails": true });
    let sign_up =
        json!({ "firstName": "Mal", "lastName": "Lory", "emailId": "mallory@example.com", "password": PASSWORD });
    vec![
        (Method::POST, "/signup".to_owned(), sign_up),
        (Method::POST, "/login".to_owned(), json!({ "emailId": member.email, "password": PASSWORD })),
        (Method::PATCH, "/profile/edit".to_owned(), profile.clone()),
        (Method::PATCH, format!("/user/{}", member.id), profile),
        (Method::PATCH, "/email-preferences".to_owned(), choices),
        (
            Method::POST,
            "/profile/password".to_owned(),
            json!({ "currentPassword": PASSWORD, "newPassword": "0ther!Password" }),
        ),
        (Method::DELETE, "/account".to_owned(), json!({ "password": PASSWORD })),
        (Method::PATCH, "/user/requests/6b0656747f186650d975ce8d/respond".to_owned(), json!({ "action": "accept" })),
    ]
}

/// Attack (API8, injection): operators of a database, lists and objects in every field of every body, beside good fields.
/// Outcome: 400, nobody is logged in, nothing is changed or made.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_field_takes_an_operator() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let before = (ada.read("/profile/view").await, ada.read("/email-preferences").await);
    for (method, path, good) in bodies(&ada) {
        for field in good.as_object().unwrap().keys() {
            for value in no_values() {
                let mut body = good.clone();
                body[field.as_str()] = value;
                let what = format!("{method} {path} {body}");
                let answer = ada.request(method.clone(), &path).json(&body).send().await.unwrap();
                assert!(answer.headers().get("set-cookie").is_none(), "{what}");
                is_bad(answer, &what).await;
            }
        }
    }
    assert_eq!((ada.read("/profile/view").await, ada.read("/email-preferences").await), before);
    let mallory = Member::try_log_in(&host.server.url, "mallory@example.com", PASSWORD).await;
    assert!(mallory.is_err(), "an account was made");
}

/// Attack (injection): zero bytes, line ends and escapes in texts that end up in headers of mails, in terminals and in
/// keys. Outcome: 400 that names the field, nothing is changed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_line_takes_a_control_character() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let before = ada.read("/profile/view").await;
    let texts = [
        "Ada\u{0}",
        "\u{0}Ada",
        "Ada\r\nBcc: everybody@example.com",
        "Ada\nBcc: everybody@example.com",
        "Ada\rBcc: everybody@example.com",
        "Ada\r\n\r\n<p>body</p>",
        "Ada\u{1b}[2J",
        "Ada\u{7f}x",
        "Ada\u{85}x",
    ];
    for text in texts {
        for (field, value) in [
            ("firstName", json!(text)),
            ("lastName", json!(text)),
            ("emailId", json!(format!("{text}@example.com"))),
            ("emailId", json!(format!("ada@example.com{text}"))),
            ("photoUrl", json!(format!("https://a.example/{text}"))),
            ("gender", json!(text)),
            ("skills", json!(["rust", text])),
        ] {
            for path in ["/profile/edit".to_owned(), format!("/user/{}", ada.id)] {
                let what = format!("{path} {field} {value}");
                let answer = ada.patch(&path).json(&json!({ field: value, "about": "changed" })).send().await.unwrap();
                assert!(is_bad(answer, &what).await.contains(field), "{what}");
            }
        }
        for field in ["firstName", "lastName", "emailId"] {
            let mut body =
                json!({ "firstName": "Mal", "lastName": "Lory", "emailId": "mal@example.com", "password": PASSWORD });
            body[field] = json!(if field == "emailId" { format!("{text}@example.com") } else { text.to_owned() });
            let answer = host.nobody().post("/signup").json(&body).send().await.unwrap();
            assert!(is_bad(answer, &body.to_string()).await.contains(field), "{body}");
        }
    }
    assert_eq!(ada.read("/profile/view").await, before);
}

/// Attack (injection): markup as a name, as text about oneself, as a skill, as a field's name, in a path. Outcome: it comes
/// back as a value of JSON that no browser takes for a page, or not at all.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn markup_comes_back_as_data_only() {
    const MARKUP: &str = "<img src=x onerror=alert(1)>";
    let host = HOST.get().await;
    let (ada, bea) = (host.member("Ada").await, host.member("Bea").await);
    let edit = json!({ "firstName": MARKUP, "about": format!("</script>{MARKUP}"), "skills": [MARKUP] });
    let edited = ada.patch("/profile/edit").json(&edit).send().await.unwrap();
    assert_eq!(edited.status().as_u16(), 200);
    ada.post(&format!("/request/send/interested/{}", bea.id)).send().await.unwrap();
    let shown = [
        ("an edit", edited, true),
        ("one's own profile", ada.get("/profile/view").send().await.unwrap(), true),
        ("a request", bea.get("/user/requests/received").send().await.unwrap(), true),
        ("a field's name", ada.patch("/profile/edit").json(&json!({ MARKUP: 1 })).send().await.unwrap(), true),
        ("a query", ada.get("/notifications?limit=%3Cscript%3E").send().await.unwrap(), true),
        ("a path", ada.get("/%3Cscript%3E").send().await.unwrap(), false),
        ("an id", ada.get("/chat/%3Cscript%3E/history").send().await.unwrap(), false),
        ("a status", ada.post(&format!("/request/send/%3Cscript%3E/{}", bea.id)).send().await.unwrap(), false),
    ];
    for (what, answer, repeats) in shown {
        let headers = answer.headers().clone();
        let kind = headers["content-type"].to_str().unwrap();
        assert!(kind.starts_with("application/json"), "{what}: {kind}");
        assert_eq!(headers["x-content-type-options"], "nosniff", "{what}");
        let text = answer.text().await.unwrap();
        text.parse::<Value>().unwrap();
        assert!(repeats || !text.contains('<'), "{what}: {text}");
    }
    // The one page there is says nothing of what it was asked.
    let page = host.nobody().get("/unsubscribe/%3Cscript%3E?token=%3Cscript%3E").send().await.unwrap();
    assert!(page.status().is_client_error() && !page.text().await.unwrap().contains("<script"));
}

/// Attack (injection): ids that are none: operators, paths, zero bytes, twelve characters, lists, on each route that takes
/// one. Outcome: a refusal in the one shape.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_id_is_an_id_and_nothing_else() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let ids = [
        "x",
        "0",
        "-1",
        "null",
        "undefined",
        "[object%20Object]",
        "%7B%22$gt%22:%22%22%7D",
        "..%2f..%2fprofile%2fview",
        "%00",
        "%0d%0aX-Forged:%201",
        "%27%20OR%201=1--",
        "abcdefghijkl",
        "6b0656747f186650d975ce8",
        "6b0656747f186650d975ce8d0",
        "6b0656747f186650d975ce8g",
        "6b0656747f186650d975ce8d%00",
        "%EF%BC%96b0656747f186650d975ce8d",
        "%ff%fe",
        "*",
        "$where",
        "__proto__",
    ];
    for id in ids {
        for (method, path) in [
            (Method::PATCH, format!("/user/{id}")),
            (Method::POST, format!("/request/send/interested/{id}")),
            (Method::POST, format!("/request/send/{id}/6b0656747f186650d975ce8d")),
            (Method::POST, format!("/request/review/accepted/{id}")),
            (Method::POST, format!("/request/review/{id}/6b0656747f186650d975ce8d")),
            (Method::PATCH, format!("/user/requests/{id}/respond")),
            (Method::GET, format!("/chat/{id}/history")),
            (Method::GET, format!("/chat/{}/history?before={id}", ada.id)),
            (Method::GET, format!("/notifications?cursor={id}")),
            (Method::POST, format!("/notifications/{id}/read")),
        ] {
            let what = format!("{method} {path}");
            let request = ada.request(method.clone(), &path);
            let request = if method == Method::PATCH { request.json(&json!({ "action": "accept" })) } else { request };
            let answer = request.send().await.unwrap();
            let status = answer.status().as_u16();
            assert!([400, 403, 404].contains(&status), "{what}: {status}");
            assert!(!answer.headers().contains_key("x-forged"), "{what}");
            let body: Value = answer.json().await.unwrap();
            assert!(body["message"].is_string(), "{what}: {body}");
        }
    }
}

/// Attack (injection): lines of a log, forged in every place that a host might write down: paths, headers, fields, e-mail
/// addresses, names of events. Outcome: no line of the log begins with them, and nothing of it is a warning.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_client_writes_a_line_of_the_log() {
    const LINE: &str = "2026-01-01T00:00:00.000000Z ERROR forged: the admin token is wrong";
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let broken = format!("x\r\n{LINE}\n{LINE}\u{2028}{LINE}\u{85}{LINE}");
    for (method, path, good) in bodies(&ada) {
        for field in
            good.as_object().unwrap().keys().map(String::as_str).chain([LINE, "x\n2026-01-01T00:00:00Z ERROR forged"])
        {
            // Text about oneself and passwords may have lines.
            if matches!(field, "about" | "newPassword") || (path == "/signup" && field == "password") {
                continue;
            }
            let mut body = good.clone();
            body[field] = json!(broken);
            let answer = ada.request(method.clone(), &path).json(&body).send().await.unwrap();
            // A log-in does not mind what else is there.
            let expected = if path == "/login" && good.get(field).is_none() { 200 } else { 400 };
            assert_eq!(answer.status().as_u16(), expected, "{method} {path} {field}");
        }
    }
    let encoded = "%0a2026-01-01T00:00:00.000000Z%20ERROR%20forged";
    for path in [format!("/{encoded}"), format!("/chat/{encoded}/history"), format!("/feed?page={encoded}")] {
        assert!(ada.get(&path).send().await.unwrap().status().is_client_error(), "{path}");
    }
    for header in
        ["user-agent", "referer", "x-forwarded-for", "x-request-id", "traceparent", "accept-language", "cookie"]
    {
        // A bare carriage return, and what a terminal takes for a line's end: a header may have neither or is refused.
        for value in [
            &b"x\r2026-01-01T00:00:00.000000Z ERROR forged"[..],
            b"x\x0b2026 ERROR forged",
            b"x\xc2\x852026 ERROR forged",
        ] {
            let head = format!("GET /healthz HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{header}: ");
            let came = raw::exchange(&host.server.url, &[head.as_bytes(), value, b"\r\n\r\n"].concat()).await;
            let statuses = raw::statuses(&came);
            assert!(statuses == [200] || statuses == [400], "{header}: {statuses:?}");
            assert!(!String::from_utf8_lossy(&came).contains("forged"), "{header}");
        }
    }
    let mut socket = Socket::of(&ada, &host.server.url).await;
    let ack =
        socket.ask("forged 2026-01-01T00:00:00.000000Z ERROR", &json!({ "a": broken }).to_string()).await.unwrap();
    assert_eq!(ack["ok"], false);
    let payload = json!({ "toUserId": broken, "message": broken, "clientId": broken });
    assert_eq!(socket.ask("private-message", &payload.to_string()).await.unwrap()["ok"], false);
    assert!(host.server.warnings().iter().all(|line| !line.contains("forged")), "{:?}", host.server.warnings());
}
