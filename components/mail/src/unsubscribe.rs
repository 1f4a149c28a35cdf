//! The link that ends a member's mails. It is signed as the `preferences` component verifies it: whoever has the mail
//! may follow it, and nobody can make one up.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use devconnect_sdk::{config, signing};

/// The name of the secret.
const SECRET: &str = "unsubscribe";
/// The setting that says where the host is.
const PUBLIC_URL: &str = "public-url";

/// The link of this member.
pub(crate) fn link(member: ObjectId) -> Result<String, Failure> {
    // A mail that nobody can end is not sent.
    let url = config::get(PUBLIC_URL)?.ok_or_else(|| {
        Failure::Retry(format!("the setting `{PUBLIC_URL}` is not there, and each mail has a link to it"))
    })?;
    let signature = signing::sign(SECRET, format!("unsubscribe:{member}").as_bytes())?;
    Ok(format!("{url}/unsubscribe/{member}?token={}", hex(&signature)))
}

/// Lower-case hex digits, two a byte.
fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.filter_map(|digit| char::from_digit(digit.into(), 16)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_is_two_digits() {
        assert_eq!(hex(&[0, 15, 16, 171, 255]), "000f10abff");
    }
}
