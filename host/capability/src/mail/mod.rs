//! Mail: messages to people outside of the application, sent once their cause is durable.
//!
//! A mail is a row in the commit that causes it: as many mails as effects. `mailer` claims the rows and gives them to an
//! `outlet`, a server or a folder. When a host dies between sending and deleting the row, another host sends it again, with
//! the same Message-ID: SMTP has no stronger guarantee, and mail programs show one of the two.

mod mailer;

use async_trait::async_trait;
use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf, doc};
use lettre::Address;
use lettre::message::Mailbox;

pub use mailer::{Mailer, Mailing};

use crate::documents;
use crate::documents::{Collection, Index, Write, date};

/// The collection of unsent mails. It is the host's, not the application's.
pub const COLLECTION: &str = "host-mails";
/// The field of the time when a mail is due; one that was given up has none.
const NEXT: &str = "next";
/// The field of the time when a mail was given up.
pub const FAILED: &str = "failed";
/// The longest subject, in characters.
const MAX_SUBJECT: usize = 200;
/// The longest text, in bytes, and the longest HTML.
const MAX_TEXT: usize = 256 << 10;
/// The longest address and the longest link, in bytes.
const MAX_LINE: usize = 1_000;

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// One mailbox.
    pub to: String,
    /// One line.
    pub subject: String,
    /// Plain text.
    pub text: String,
    /// The same as HTML.
    pub html: Option<String>,
    /// The link by which the recipient unsubscribes.
    pub unsubscribe: Option<String>,
}

/// A stored mail that is not sent yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMail {
    /// Its `_id`, which makes its Message-ID.
    pub id: ObjectId,
    /// The mail.
    pub mail: Mail,
    /// When it was committed; milliseconds since 1970.
    pub at: u64,
    /// When it is due; milliseconds since 1970.
    pub next: u64,
    /// How often it was tried.
    pub attempts: u32,
}

/// Why a mail was not sent.
#[derive(Debug, PartialEq, Eq)]
pub enum SendError {
    /// It can be retried.
    Transient(String),
    /// It can never be sent.
    Permanent(String),
}

/// The way out for mails, such as an SMTP server.
#[async_trait]
pub trait Outlet: Send + Sync + 'static {
    /// Its name, for operators.
    fn name(&self) -> &'static str;

    /// Sends one mail. A mail that is sent twice has the same Message-ID.
    async fn send(&self, row: &QueuedMail) -> Result<(), SendError>;
}

impl Mail {
    /// Whether it can be sent at all.
    ///
    /// # Errors
    /// Text that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let one_line = |text: &str| !text.chars().any(char::is_control);
        if self.to.len() > MAX_LINE || !one_line(&self.to) || self.mailbox().is_none() {
            return Err("`to` is no address of a mailbox".to_owned());
        }
        if self.subject.chars().count() > MAX_SUBJECT || !one_line(&self.subject) {
            return Err(format!("the subject takes one line of at most {MAX_SUBJECT} characters"));
        }
        if self.text.len() > MAX_TEXT || self.html.as_ref().is_some_and(|html| html.len() > MAX_TEXT) {
            return Err(format!("the text and the HTML take at most {MAX_TEXT} bytes each"));
        }
        let link = self.unsubscribe.as_deref().unwrap_or("https://");
        let safe = link.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'<' | b'>' | b','));
        if link.len() > MAX_LINE || !safe || !(link.starts_with("http://") || link.starts_with("https://")) {
            return Err("`unsubscribe` takes an http or https URL".to_owned());
        }
        Ok(())
    }

    /// The mailbox that it goes to. Its domain is in ASCII, as every server takes it (IDNA); before the `@` there may be letters
    /// of any script (RFC 6531). None when the address is not valid.
    pub fn mailbox(&self) -> Option<Mailbox> {
        let parsed = self.to.parse::<Mailbox>();
        let (name, user, domain) = match &parsed {
            Ok(mailbox) => (mailbox.name.clone(), mailbox.email.user(), mailbox.email.domain()),
            // The parser takes letters and digits of any script, but not the marks that some are written with.
            Err(_) => {
                let (user, domain) = self.to.rsplit_once('@')?;
                if !is_international(user) {
                    return None;
                }
                (None, user, domain)
            }
        };
        let domain = if domain.is_ascii() { domain.to_owned() } else { idna::domain_to_ascii(domain).ok()? };
        // Whether the domain is one is checked with a user that is one.
        Address::new("a", &domain).ok()?;
        Some(Mailbox::new(name, Address::new_dangerous(user, domain)))
    }

    /// The write that queues it.
    ///
    /// # Errors
    /// [`documents::Error::Invalid`] when it does not fit into a document.
    pub fn row(&self, component: &str, now: u64) -> Result<Write, documents::Error> {
        let Mail { to, subject, text, html, unsubscribe } = self;
        let mut document = doc! {
            "_id": ObjectId::new(), "component": component, "to": to, "subject": subject, "text": text,
            "at": date(now), NEXT: date(now), "attempts": 0,
        };
        document.extend(html.as_ref().map(|html| ("html".to_owned(), html.into())));
        document.extend(unsubscribe.as_ref().map(|link| ("unsubscribe".to_owned(), link.into())));
        let document = RawDocumentBuf::try_from(&document)
            .map_err(|error| documents::Error::Invalid(format!("a mail that no document takes: {error}")))?;
        Ok(Write::Insert { collection: COLLECTION.to_owned(), document })
    }
}

/// Whether a text is the part before the `@` of an address that is not in ASCII.
fn is_international(user: &str) -> bool {
    let is_atext = |character: char| match character {
        '!' | '#'..='\'' | '*' | '+' | '-' | '.' | '/' | '=' | '?' | '^'..='`' | '{'..='~' => true,
        character if character.is_ascii() => character.is_ascii_alphanumeric(),
        character => !character.is_whitespace() && !character.is_control(),
    };
    !user.is_ascii() && user.chars().all(is_atext) && user.split('.').all(|atom| !atom.is_empty())
}

impl QueuedMail {
    /// None for a malformed row.
    fn read(raw: &RawDocument) -> Option<Self> {
        let text = |name: &str| raw.get_str(name).ok().map(str::to_owned);
        let time = |name: &str| u64::try_from(raw.get_datetime(name).ok()?.timestamp_millis()).ok();
        Some(Self {
            id: raw.get_object_id("_id").ok()?,
            mail: Mail {
                to: text("to")?,
                subject: text("subject")?,
                text: text("text")?,
                html: text("html"),
                unsubscribe: text("unsubscribe"),
            },
            at: time("at")?,
            next: time(NEXT)?,
            attempts: raw.get_i32("attempts").ok()?.try_into().ok()?,
        })
    }
}

/// Its schema.
pub fn collection() -> Collection {
    let by =
        |field: &str| Index { fields: vec![field.to_owned()], unique: false, where_exists: vec![field.to_owned()] };
    Collection { indexes: vec![by(NEXT), by(FAILED)], ..Collection::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mail() -> Mail {
        Mail {
            to: "Ada <ada@example.org>".into(),
            subject: "Grüße".into(),
            text: "Hello".into(),
            html: None,
            unsubscribe: Some("https://example.org/unsubscribe?token=1".into()),
        }
    }

    #[test]
    fn a_mail_is_its_row() {
        let Ok(Write::Insert { document, .. }) = mail().row("c", 5) else { unreachable!() };
        let row = QueuedMail::read(&document).unwrap();
        assert_eq!((row.mail, row.at, row.next, row.attempts), (mail(), 5, 5, 0));
    }

    #[test]
    fn an_international_address_has_its_domain_in_ascii() {
        for (to, expected) in [
            ("a@münchen.de", "a@xn--mnchen-3ya.de"),
            ("josé@example.org", "josé@example.org"),
            ("José <josé@münchen.de>", "josé@xn--mnchen-3ya.de"),
            ("用户@例子.测试", "用户@xn--fsqu00a.xn--0zwm56d"),
            ("संपर्क@example.org", "संपर्क@example.org"),
        ] {
            let mail = Mail { to: to.into(), ..mail() };
            assert_eq!(mail.check(), Ok(()), "{to}");
            assert_eq!(mail.mailbox().unwrap().email.to_string(), expected);
        }
        for to in [
            "é",
            "é@",
            "é..é@b.org",
            "é é@b.org",
            "é,c@d.org@b.org",
            "<é@b.org",
            "é@b c.org",
            "é@-ü.org\r\nBcc: a@b.org",
        ] {
            assert!(Mail { to: to.into(), ..mail() }.check().is_err(), "{to:?}");
        }
    }

    #[test]
    fn what_would_be_another_mail_is_refused() {
        assert_eq!(mail().check(), Ok(()));
        for to in ["", "ada", "ada@", "a@b.org, c@d.org", "ada@example.org\r\nBcc: eve@example.org"] {
            assert!(Mail { to: to.into(), ..mail() }.check().is_err(), "{to:?}");
        }
        for subject in ["a\nb", "a\r\nBcc: eve@example.org", &"a".repeat(201)] {
            assert!(Mail { subject: (*subject).to_owned(), ..mail() }.check().is_err(), "{subject:?}");
        }
        for link in ["", "javascript:1", "https://a/>b", "https://a\r\nX: y", "https://a/ b"] {
            assert!(Mail { unsubscribe: Some(link.into()), ..mail() }.check().is_err(), "{link:?}");
        }
        assert!(Mail { text: "a".repeat(MAX_TEXT + 1), ..mail() }.check().is_err());
    }
}
