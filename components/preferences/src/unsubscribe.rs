//! The link in a mail: whoever has it may end that user's mails, and nothing else. The token is the signature of the
//! user's id, so that no list of tokens has to be kept and none can be made up.

use devconnect_sdk::prelude::*;
use devconnect_sdk::signing;
use model::preferences;

/// The name of the secret.
const SECRET: &str = "unsubscribe";
/// Bytes of a signature.
const SIGNATURE: usize = 32;

pub(crate) fn unsubscribe(request: &Request) -> Result<Response, Error> {
    let Some(user) = signed_user(request)? else {
        return Ok(page(
            403,
            "This link is not valid",
            "Nothing was changed. Please use the link as it stands in the mail.",
        ));
    };
    // A mail scanner that only looks at the link changes nothing.
    let done = request.method() == "HEAD" || crate::store(user, nothing_wanted())?;
    Ok(if done {
        page(
            200,
            "You are unsubscribed",
            "You will get no more mails from DevConnect. You can choose otherwise in your settings at any time.",
        )
    } else {
        page(404, "There is no such account", "Nothing was changed.")
    })
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

fn page(status: u16, title: &str, text: &str) -> Response {
    let html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <title>{title}</title></head>\n<body><h1>{title}</h1><p>{text}</p></body>\n</html>\n"
    );
    Response::html(html).status(status).header("cache-control", "no-store").header("referrer-policy", "no-referrer")
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
