//! E-mail addresses: what is accepted as one, and the form in which two of them are the same.
//!
//! They may be international (RFC 6531): letters of any script before the `@`, and any domain name behind it (IDNA, UTS 46).

use std::borrow::Cow;

use icu_normalizer::ComposingNormalizerBorrowed;
use idna::uts46::{AsciiDenyList, DnsLength, Hyphens, Uts46};
use serde_json::Value;

use crate::invisible::is_invisible;
use crate::text;

/// The longest address there can be (RFC 5321), with its domain in ASCII.
const LONGEST: usize = 254;
/// Characters that are taken for an `@`.
const LIKE_AT: [char; 2] = ['\u{fe6b}', '\u{ff20}'];

/// The form in which addresses are compared: two accounts never share it. In lower case and composed (NFC), the domain in
/// Unicode.
pub fn key(address: &str) -> String {
    let lower = address.trim().to_lowercase();
    if lower.is_ascii() && !lower.contains("xn--") {
        return lower;
    }
    let composed = ComposingNormalizerBorrowed::new_nfc().normalize(&lower).into_owned();
    let Some((local, domain)) = composed.rsplit_once('@') else { return composed };
    match domain_in_ascii(domain).and_then(|ascii| domain_in_unicode(&ascii)) {
        Some(domain) => format!("{local}@{domain}"),
        None => composed,
    }
}

/// The forms in which an address may be stored that is the same as this one: that of [`key`] first, then those of earlier
/// versions, which had a domain as it was typed.
pub fn spellings(address: &str) -> Vec<String> {
    let key = key(address);
    let in_ascii =
        key.rsplit_once('@').and_then(|(local, domain)| Some(format!("{local}@{}", domain_in_ascii(domain)?)));
    let mut all = vec![key];
    for other in [Some(address.trim().to_lowercase()), in_ascii].into_iter().flatten() {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    all
}

/// As a name server is asked for it (UTS 46, ToASCII); none when it is not a domain.
fn domain_in_ascii(domain: &str) -> Option<String> {
    let ascii =
        Uts46::new().to_ascii(domain.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast, DnsLength::Verify);
    ascii.ok().map(Cow::into_owned)
}

fn domain_in_unicode(ascii: &str) -> Option<String> {
    let (domain, valid) = Uts46::new().to_unicode(ascii.as_bytes(), AsciiDenyList::STD3, Hyphens::CheckFirstLast);
    valid.ok().map(|()| domain.into_owned())
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
    let Some(domain) = domain_in_ascii(domain) else { return false };
    local.len() + 1 + domain.len() <= LONGEST && is_local(local) && is_domain(&domain)
}

/// What stands before the `@`: atoms with single dots between them.
fn is_local(local: &str) -> bool {
    let is_atext = |character: char| {
        character.is_ascii_alphanumeric()
            || "!#$%&'*+/=?^_`{|}~-".contains(character)
            || (!character.is_ascii() && !is_invisible(character) && !LIKE_AT.contains(&character))
    };
    local.len() <= 64 && local.split('.').all(|atom| !atom.is_empty() && atom.chars().all(is_atext))
}

/// What stands behind it, in ASCII: two or more labels, of which the last is no number.
fn is_domain(domain: &str) -> bool {
    let last = domain.rsplit_once('.').map(|(_, last)| last);
    last.is_some_and(|last| last.len() >= 2 && last.bytes().any(|byte| byte.is_ascii_alphabetic()))
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
    fn addresses_are_international_and_compared_by_one_rule() {
        for (typed, expected) in [
            ("José@Example.com", "josé@example.com"),
            ("JOSE\u{301}@example.com", "josé@example.com"),
            ("a@MÜNCHEN.de", "a@münchen.de"),
            ("a@xn--mnchen-3ya.de", "a@münchen.de"),
            ("A@XN--MNCHEN-3YA.DE", "a@münchen.de"),
            ("a@mu\u{308}nchen。de", "a@münchen.de"),
            ("用户@例子.广告", "用户@例子.广告"),
            ("संपर्क@डाटामेल.भारत", "संपर्क@डाटामेल.भारत"),
            ("δοκιμή@παράδειγμα.δοκιμή", "δοκιμή@παράδειγμα.δοκιμή"),
            ("a@faß.de", "a@faß.de"),
        ] {
            assert_eq!(address(&json!(typed)).as_deref(), Ok(expected), "{typed}");
            assert_eq!(key(expected), expected, "{typed}");
        }
        let spellings = spellings("A@MÜNCHEN.de");
        assert_eq!(spellings, ["a@münchen.de", "a@xn--mnchen-3ya.de"]);
        assert_eq!(super::spellings("a@xn--mnchen-3ya.de"), ["a@münchen.de", "a@xn--mnchen-3ya.de"]);
        assert_eq!(super::spellings(" Ada@Example.com"), ["ada@example.com"]);
        assert_eq!(mailbox("José+x@münchen.de"), mailbox("josé@xn--mnchen-3ya.de"));
    }

    #[test]
    fn what_is_international_and_no_address_is_refused() {
        for text in [
            "jo\u{200b}sé@example.com",
            "jo\u{202e}sé@example.com",
            "\u{3164}@example.com",
            "a＠b@example.com",
            "josé@exa mple.com",
            "josé@-münchen.de",
            "josé@münchen",
            "josé@xn--.de",
            "josé@xn--a.de",
            "josé@mün\u{200b}_chen.de",
            "josé@münchen..de",
            &format!("{}@münchen.de", "é".repeat(33)),
            &format!("a@{}.de", "ü".repeat(64)),
        ] {
            assert!(address(&json!(text)).is_err(), "{text:?}");
        }
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
