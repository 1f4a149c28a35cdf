//! E-mail addresses: what is accepted as one, and the form in which two of them are the same.

use serde_json::Value;

use crate::text;

/// The longest address there can be (RFC 5321).
const LONGEST: usize = 254;

/// The form in which addresses are compared: two accounts never share it.
pub fn key(address: &str) -> String {
    address.trim().to_lowercase()
}

/// The mailbox that an address most likely leads to: `ada+news@example.com` is Ada's, and Gmail reads no dots. For limits
/// only: two accounts may share it.
pub fn mailbox(address: &str) -> String {
    let key = key(address);
    let Some((local, domain)) = key.rsplit_once('@') else { return key };
    let plain = match local.split_once('+') {
        Some((plain, _)) if !plain.is_empty() => plain,
        _ => local,
    };
    match domain {
        "gmail.com" | "googlemail.com" => format!("{}@gmail.com", plain.replace('.', "")),
        domain => format!("{plain}@{domain}"),
    }
}

/// The address of a new account or of a changed one, in the form in which it is stored and compared.
pub fn address(value: &Value) -> Result<String, String> {
    let address = key(text::any(value)?);
    if is_address(&address) { Ok(address) } else { Err("is not a valid e-mail address".into()) }
}

fn is_address(address: &str) -> bool {
    let Some((local, domain)) = address.split_once('@') else { return false };
    address.len() <= LONGEST && is_local(local) && is_domain(domain)
}

/// What stands before the `@`: atoms with single dots between them.
fn is_local(local: &str) -> bool {
    let is_atom = |atom: &str| {
        !atom.is_empty()
            && atom.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"!#$%&'*+/=?^_`{|}~-".contains(&byte))
    };
    local.len() <= 64 && local.split('.').all(is_atom)
}

/// What stands behind it: two or more labels, of which the last is no number.
fn is_domain(domain: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = domain.rsplit_once('.').map(|(_, last)| last);
    domain.split('.').all(is_label)
        && last.is_some_and(|last| last.len() >= 2 && last.bytes().any(|byte| byte.is_ascii_alphabetic()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn addresses_are_trimmed_and_lower_cased() {
        assert_eq!(address(&json!("  Ada.L+x@Example.CO.uk ")).as_deref(), Ok("ada.l+x@example.co.uk"));
    }

    #[test]
    fn addresses_of_one_mailbox_are_known_as_such() {
        for (address, expected) in [
            ("Victim+1@Example.com", "victim@example.com"),
            ("victim+a+b@example.com", "victim@example.com"),
            ("victim@example.com", "victim@example.com"),
            ("v.i.ctim+x@gmail.com", "victim@gmail.com"),
            ("victim@googlemail.com", "victim@gmail.com"),
            ("v.ictim@example.com", "v.ictim@example.com"),
            ("+x@example.com", "+x@example.com"),
            ("nothing", "nothing"),
        ] {
            assert_eq!(mailbox(address), expected, "{address}");
        }
    }

    #[test]
    fn what_is_no_address_is_refused() {
        let long = format!("{}@example.com", "a".repeat(65));
        let longer = format!(
            "a@{}.com",
            ["b".repeat(60), "c".repeat(60), "d".repeat(60), "e".repeat(60), "f".repeat(60)].join(".")
        );
        for text in [
            "",
            " ",
            "a",
            "a@",
            "@b.co",
            "a@b",
            "a@b.c",
            "a@@b.co",
            "a@b@c.co",
            "a b@c.co",
            "a@b c.co",
            ".a@b.co",
            "a..b@c.co",
            "a@.co",
            "a@b..co",
            "a@-b.co",
            "a@1.2.3.44",
            "a\0@b.co",
            &long,
            &longer,
        ] {
            assert!(address(&json!(text)).is_err(), "{text}");
        }
        for value in [json!(null), json!(5), json!({ "$ne": null }), json!(["a@b.co"])] {
            assert!(address(&value).is_err(), "{value}");
        }
    }
}
