//! The link in a mail: whoever has it may end that user's mails, and nothing else. The token is the signature of the
//! user's id, so that no list of tokens has to be kept and none can be made up.

use devconnect_sdk::prelude::*;
use devconnect_sdk::signing;
use model::preferences;

/// The name of the secret.
const SECRET: &str = "unsubscribe";
/// Bytes of a signature.
const SIGNATURE: usize = 32;

/// The page that the link leads to. Scanners of mail follow links, so it changes nothing: its button does.
pub(crate) fn ask(request: &Request) -> Result<Response, Error> {
    if signed_user(request)?.is_none() {
        return Ok(not_valid());
    }
    // Without an action the form goes to this very address, token and all.
    let button = "<form method=\"post\"><button type=\"submit\">Unsubscribe</button></form>";
    Ok(page(200, "Unsubscribe", "Do you want no more mails from DevConnect?", button))
}

/// The button, or a mail program's own (RFC 8058).
pub(crate) fn unsubscribe(request: &Request) -> Result<Response, Error> {
    let Some(user) = signed_user(request)? else { return Ok(not_valid()) };
    Ok(if crate::store(user, nothing_wanted())? {
        let text = "You will get no more mails from DevConnect. You can choose otherwise in your settings at any time.";
        page(200, "You are unsubscribed", text, "")
    } else {
        page(404, "There is no such account", "Nothing was changed.", "")
    })
}

fn not_valid() -> Response {
    let text = "Nothing was changed. Please use the link as it stands in the mail.";
    page(403, "This link is not valid", text, "")
}

/// The user that the link is about, when its token is that user's.
fn signed_user(request: &Request) -> Result<Option<ObjectId>, Error> {
    let (Ok(user), Some(token)) = (request.id_param("userId"), request.query("token")) else { return Ok(None) };
    let Some(signature) = from_hex(&token) else { return Ok(None) };
    let genuine = signing::verify(SECRET, format!("unsubscribe:{user}").as_bytes(), &signature)?;
    Ok(genuine.then_some(user))
}

fn nothing_wanted() -> Document {
    preferences::KINDS.iter().map(|(kind, _)| (preferences::path(kind), false.into())).collect()
}

fn from_hex(text: &str) -> Option<[u8; SIGNATURE]> {
    let mut bytes = [0; SIGNATURE];
    if text.len() != SIGNATURE * 2 {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
        for digit in pair {
            let value = char::from(*digit).to_digit(16)?;
            *byte = *byte << 4 | u8::try_from(value).ok()?;
        }
    }
    Some(bytes)
}

/// What the page may do: its button, and nothing else.
const POLICY: &str = "default-src 'none'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

fn page(status: u16, title: &str, text: &str, form: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p>{form}</body>\n</html>\n"
    );
    Response::html(html)
        .status(status)
        .header("cache-control", "no-store")
        .header("content-security-policy", POLICY)
        // No other site learns the link, and the button's request says that it is from here.
        .header("referrer-policy", "same-origin")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_64_hex_digits() {
        assert_eq!(from_hex(&"0f".repeat(32)), Some([15; SIGNATURE]));
        for text in ["", "0f", &"0g".repeat(32), &"é".repeat(32), &"0f".repeat(33)] {
            assert_eq!(from_hex(text), None, "{text}");
        }
    }
}
