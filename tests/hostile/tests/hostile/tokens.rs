//! Tokens and cookies that are not what the host gave, or not any more: by cookie, by bearer and in a socket's handshake.

#![allow(clippy::unwrap_used, clippy::panic, clippy::indexing_slicing, reason = "a test fails where it stands")]

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use e2e::{JWT_SECRET, Member, PASSWORD, ServerOptions, Value, json};
use hmac::{Hmac, KeyInit as _, Mac as _};
use hostile::raw;
use hostile::shared::{Host, Shared};
use hostile::websocket::Socket;

static HOST: Shared = Shared::new(ServerOptions::default);

/// A token by hand (RFC 7515): this header and these claims, signed by HMAC with SHA-256, whatever the header says.
fn sign(header: &Value, claims: &Value, key: &[u8]) -> String {
    let message = [header, claims].map(|part| BASE64.encode(part.to_string())).join(".");
    let signature = Hmac::<sha2::Sha256>::new_from_slice(key).unwrap().chain_update(&message).finalize().into_bytes();
    format!("{message}.{}", BASE64.encode(signature))
}

/// The claims of a token.
fn claims(token: &str) -> Value {
    let payload = BASE64.decode(token.split('.').nth(1).unwrap()).unwrap();
    String::from_utf8(payload).unwrap().parse().unwrap()
}

/// These claims with one of them changed, or without it.
fn with(claims: &Value, name: &str, value: Option<Value>) -> Value {
    let mut claims = claims.clone();
    let fields = claims.as_object_mut().unwrap();
    fields.remove(name);
    fields.extend(value.map(|value| (name.to_owned(), value)));
    claims
}

/// The token opens nothing: no route, by cookie and by bearer, and no socket.
async fn is_refused(host: &Host, what: &str, token: &str) {
    let nobody = host.nobody();
    let shown = [
        nobody.get("/profile/view").header("cookie", format!("token={token}")),
        nobody.get("/profile/view").bearer_auth(token),
        nobody.post("/logout").bearer_auth(token),
    ];
    for request in shown {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status().as_u16(), 401, "{what}: {token}");
        assert_eq!(answer.text().await.unwrap(), "Please login", "{what}");
    }
    let socket = Socket::connect(&host.server.url, &json!({ "token": token })).await;
    let reason = socket.err().unwrap_or_else(|| panic!("{what} opens a socket: {token}"));
    assert_eq!(reason["message"], "Please login", "{what}");
}

/// Attack (JWT): tokens without a signature, with other algorithms in their header, with keys of an attacker's choice named
/// in it. Outcome: `Please login` everywhere.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_header_of_a_token_chooses_nothing() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let claims = claims(&ada.token);
    let [_, payload, signature] = ada.token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    for algorithm in ["none", "None", "NONE", "nOnE", "", "null"] {
        let header = BASE64.encode(json!({ "alg": algorithm, "typ": "JWT" }).to_string());
        for signature in ["", signature] {
            is_refused(&host, algorithm, &format!("{header}.{payload}.{signature}")).await;
        }
        is_refused(&host, algorithm, &format!("{header}.{payload}")).await;
    }
    // Even with the right secret, another algorithm is another one.
    for algorithm in ["HS384", "HS512", "RS256", "RS512", "ES256", "PS256", "EdDSA", "hs256", "HS256 "] {
        is_refused(&host, algorithm, &sign(&json!({ "alg": algorithm }), &claims, JWT_SECRET.as_bytes())).await;
    }
    let key = BASE64.encode("k");
    for (header, key) in [
        (json!({ "kid": "../../../../../../dev/null" }), ""),
        (json!({ "kid": "/proc/sys/kernel/randomize_va_space" }), "2\n"),
        (json!({ "kid": "file:///dev/null" }), ""),
        (json!({ "kid": "x' UNION SELECT 'k' -- " }), "k"),
        (json!({ "kid": "x\" OR 1=1; --" }), "k"),
        (json!({ "kid": "|cat /etc/passwd" }), "k"),
        (json!({ "kid": "k\u{0}" }), "k"),
        (json!({ "jku": "http://127.0.0.1:1/keys.json" }), "k"),
        (json!({ "x5u": "http://127.0.0.1:1/chain.pem" }), "k"),
        (json!({ "jwk": { "kty": "oct", "k": key } }), "k"),
        (json!({ "cty": "JWT" }), "k"),
        (json!({}), ""),
        (json!({}), "secret"),
        (json!({}), "null"),
        (json!({}), "undefined"),
        (json!({}), "JWT_SECRET"),
        (json!({}), &JWT_SECRET[1..]),
    ] {
        let mut header = header;
        header["alg"] = json!("HS256");
        is_refused(&host, &header.to_string(), &sign(&header, &claims, key.as_bytes())).await;
    }
    assert_eq!(ada.read("/profile/view").await["_id"], ada.id.as_str());
}

/// Attack (JWT): a token with the claims of another time, another member or another session, signed with the very secret;
/// one that was changed after it was signed; one written in another way. Outcome: `Please login`: only the text that was
/// given is a session.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_token_that_was_given_is_one() {
    let host = HOST.get().await;
    let (ada, eve) = (host.member("Ada").await, host.member("Eve").await);
    let own = claims(&ada.token);
    let other = claims(&eve.token);
    let now = own["iat"].as_u64().unwrap();
    for (name, value) in [
        ("exp", Some(json!(now - 1))),
        ("exp", Some(json!(4_000_000_000_u64))),
        ("exp", Some(json!(u64::MAX))),
        ("exp", Some(json!(-1))),
        ("exp", Some(json!(1e300))),
        ("exp", Some(json!("4000000000"))),
        ("exp", Some(Value::Null)),
        ("exp", None),
        ("nbf", Some(json!(now + 86_400))),
        ("nbf", Some(json!("later"))),
        ("iat", Some(json!(now + 86_400))),
        ("jti", Some(json!("0123456789abcdef0123456789abcdef"))),
        ("jti", Some(other["jti"].clone())),
        ("jti", Some(json!(""))),
        ("jti", Some(json!({ "$ne": null }))),
        ("jti", Some(json!({ "$regex": ".*" }))),
        ("jti", Some(json!([own["jti"]]))),
        ("jti", Some(Value::Null)),
        ("jti", None),
        ("_id", Some(json!(eve.id))),
        ("_id", Some(json!(ada.id.to_uppercase()))),
        ("_id", Some(json!({ "$ne": null }))),
        ("_id", Some(json!(""))),
        ("_id", None),
        ("role", Some(json!("admin"))),
    ] {
        let changed = with(&own, name, value);
        is_refused(
            &host,
            &changed.to_string(),
            &sign(&json!({ "alg": "HS256", "typ": "JWT" }), &changed, JWT_SECRET.as_bytes()),
        )
        .await;
    }
    let [header, payload, signature] = ada.token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let [_, others, _] = eve.token.split('.').collect::<Vec<_>>()[..] else { panic!("three parts") };
    let last = signature.chars().last().unwrap();
    let mut changed = vec![
        format!("{header}.{others}.{signature}"),
        format!("{header}.{payload}."),
        format!("{header}.{payload}"),
        format!("{header}..{signature}"),
        format!(".{payload}.{signature}"),
        format!("{header}.{payload}.{signature}="),
        format!("{header}.{payload}.{signature}AA"),
        format!("{header}.{payload}.{signature}.{signature}"),
        format!("{header}.{payload}.{}", &signature[1..]),
        format!("{}.{payload}.{signature}", header.to_lowercase()),
        format!("{header}.{payload}.{}", signature.to_lowercase()),
        format!("{}.{payload}.{signature}", BASE64.encode("{\"alg\":\"HS256\", \"typ\":\"JWT\"}")),
        json!({ "protected": header, "payload": payload, "signature": signature }).to_string().replace(['"', ','], ""),
        "a.b.c".to_owned(),
        "..".to_owned(),
        "e30.e30.e30".to_owned(),
        "a".repeat(5_000),
    ];
    // The last character has two bits that no byte needs: each of its other writings is another text.
    let alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let others = alphabet.chars().filter(|character| *character != last);
    changed
        .extend(others.map(|character| format!("{header}.{payload}.{}{character}", &signature[..signature.len() - 1])));
    for token in changed {
        is_refused(&host, "changed", &token).await;
    }
    assert_eq!(ada.read("/profile/view").await["_id"], ada.id.as_str());
}

/// Attack (JWT): a token of a session that has ended, by every way of showing it, and a socket that was opened with it.
/// Outcome: the token is dead and the socket is closed; other sessions of the member live.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_is_dead_once_its_member_has_logged_out() {
    let host = HOST.get().await;
    let ada = host.member("Ada").await;
    let again = Member::log_in(&host.server.url, &ada.email, PASSWORD).await;
    let open = Socket::of(&ada, &host.server.url).await;
    assert_eq!(ada.post("/logout").send().await.unwrap().status().as_u16(), 200);
    is_refused(&host, "logged out", &ada.token).await;
    open.until_closed().await;
    assert_eq!(again.read("/profile/view").await["_id"], ada.id.as_str());
    Socket::of(&again, &host.server.url).await;
}

/// Who a request is.
#[derive(Clone, Copy)]
enum Who<'a> {
    Nobody,
    Is(&'a Member),
    /// Whether such a cookie is read is a matter of taste; it never is somebody else's.
    IsOrNobody(&'a Member),
}

async fn check(what: &str, answer: reqwest::Response, who: Who<'_>) {
    let status = answer.status().as_u16();
    let id = match status {
        200 => Some(answer.json::<Value>().await.unwrap()["_id"].as_str().unwrap().to_owned()),
        401 => None,
        other => panic!("{what}: {other}"),
    };
    match who {
        Who::Nobody => assert_eq!(id, None, "{what}"),
        Who::Is(member) => assert_eq!(id.as_ref(), Some(&member.id), "{what}"),
        Who::IsOrNobody(member) => assert!(id.is_none() || id.as_ref() == Some(&member.id), "{what}: {id:?}"),
    }
}

/// Attack (API2): cookies that are there twice, long, quoted, in other cases, under names that are nearly the session's; a
/// bearer beside a cookie. Outcome: one member, always the same one: the first token, a bearer before a cookie.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_request_is_one_member() {
    let host = HOST.get().await;
    let (ada, eve) = (host.member("Ada").await, host.member("Eve").await);
    let (a, e) = (&ada.token, &eve.token);
    let long = "x".repeat(8_000);
    let cases = [
        (format!("token={a}; token={e}"), Who::Is(&ada)),
        (format!("token={e}; token={a}"), Who::Is(&eve)),
        (format!("x=1; token={a}; Path=/admin; HttpOnly"), Who::Is(&ada)),
        (format!("x=token={e}; token={a}"), Who::Is(&ada)),
        (format!("x={long}; token={a}; y={long}"), Who::Is(&ada)),
        (format!("token=x; token={a}"), Who::IsOrNobody(&ada)),
        (format!("token=; token={a}"), Who::IsOrNobody(&ada)),
        (format!("token=\"{a}\""), Who::IsOrNobody(&ada)),
        (format!(" token = {a} "), Who::IsOrNobody(&ada)),
        (format!("token={a},token={e}"), Who::Nobody),
        (format!("token={a}{a}"), Who::Nobody),
        (format!("token=Bearer {a}"), Who::Nobody),
        (format!("token={}", "a".repeat(20_000)), Who::Nobody),
        (format!("Token={a}"), Who::Nobody),
        (format!("TOKEN={a}"), Who::Nobody),
        (format!("token2={a}"), Who::Nobody),
        (format!("xtoken={a}"), Who::Nobody),
        (format!("__Host-token={a}"), Who::Nobody),
        (format!("__Secure-token={a}"), Who::Nobody),
        (format!("token[]={a}"), Who::Nobody),
        (format!("token[$ne]={a}"), Who::Nobody),
        (format!("$Version=1; $token={a}"), Who::Nobody),
        (format!("%74oken={a}"), Who::Nobody),
        (format!("token%3D{a}"), Who::Nobody),
        (format!("token:{a}"), Who::Nobody),
        (format!("={a}"), Who::Nobody),
        (format!("=token={a}"), Who::Nobody),
        (a.clone(), Who::Nobody),
        ("token".to_owned(), Who::Nobody),
        ("token={\"$ne\":null}".to_owned(), Who::Nobody),
        (String::new(), Who::Nobody),
    ];
    let nobody = host.nobody();
    for (cookie, who) in cases {
        let what = cookie.chars().take(200).collect::<String>();
        check(&what, nobody.get("/profile/view").header("cookie", cookie).send().await.unwrap(), who).await;
    }
    let two = nobody.get("/profile/view").header("cookie", format!("token={a}")).header("cookie", format!("token={e}"));
    check("two lines of cookies", two.send().await.unwrap(), Who::Is(&ada)).await;
    for (bearer, who) in [
        (format!("Bearer {e}"), Who::Is(&eve)),
        (format!("bearer {e}"), Who::Is(&eve)),
        (format!("Basic {e}"), Who::Is(&ada)),
        ("Bearer null".to_owned(), Who::IsOrNobody(&ada)),
        ("Bearer undefined".to_owned(), Who::IsOrNobody(&ada)),
        ("Bearer".to_owned(), Who::IsOrNobody(&ada)),
        (format!("Bearer{e}"), Who::IsOrNobody(&ada)),
        (format!("Bearer {e},{a}"), Who::IsOrNobody(&ada)),
    ] {
        let answer = ada.get("/profile/view").header("authorization", &bearer).send().await.unwrap();
        check(&bearer, answer, who).await;
    }
    // Larger than any header may be: refused, and the next connection is as before.
    let request =
        format!("GET /profile/view HTTP/1.1\r\nHost: a\r\nCookie: x={}; token={a}\r\n\r\n", "x".repeat(200_000));
    let statuses = raw::statuses(&raw::exchange(&host.server.url, request.as_bytes()).await);
    assert!(statuses.is_empty() || statuses == [431], "{statuses:?}");
    check("one cookie", ada.get("/profile/view").send().await.unwrap(), Who::Is(&ada)).await;
}
