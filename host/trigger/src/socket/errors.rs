//! Errors of the Engine.IO server in the shape that all errors have: an object with a `message`. A `code` is a number there, as
//! the official server sends it and clients compare it.

use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::{BodyExt as _, Full};
use serde_json::{Map, Value};

use crate::socket::ServerBody;

/// The same response; that of an error has the one shape.
pub(super) async fn in_one_shape(response: Response<ServerBody>) -> Response<ServerBody> {
    let status = response.status();
    if !status.is_client_error() && !status.is_server_error() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let body = match body.collect().await {
        Ok(body) => body.to_bytes(),
        Err(never) => match never {},
    };
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    let body = Bytes::from(Value::Object(error(status, &body)).to_string());
    Response::from_parts(parts, Full::new(body).boxed_unsync())
}

fn error(status: StatusCode, body: &[u8]) -> Map<String, Value> {
    let mut error: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let code = error.get("code").and_then(Value::as_str).and_then(|code| code.parse::<u8>().ok());
    if let Some(code) = code {
        error.insert("code".to_owned(), code.into());
    }
    let message = match status {
        StatusCode::PAYLOAD_TOO_LARGE => "The message is too large",
        status if status.is_server_error() => "Something went wrong on our side",
        _ => "Bad request",
    };
    error.entry("message").or_insert_with(|| message.into());
    error
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    async fn shaped(status: u16, body: &'static str) -> Value {
        let mut response = Response::new(Full::new(Bytes::from_static(body.as_bytes())).boxed_unsync());
        *response.status_mut() = StatusCode::from_u16(status).unwrap();
        let response = in_one_shape(response).await;
        assert_eq!(response.status().as_u16(), status);
        serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap()
    }

    #[tokio::test]
    async fn an_error_is_an_object_with_a_message_and_its_code_is_a_number() {
        let known = shaped(400, r#"{"code":"5","message":"Unsupported protocol version"}"#).await;
        assert_eq!(known, json!({ "code": 5, "message": "Unsupported protocol version" }));
        assert_eq!(shaped(400, "").await, json!({ "message": "Bad request" }));
        assert_eq!(shaped(413, "").await, json!({ "message": "The message is too large" }));
        assert_eq!(shaped(500, "oops").await, json!({ "message": "Something went wrong on our side" }));
        assert_eq!(shaped(200, "5").await, json!(5));
    }
}
