//! Mail: what somebody is told outside of the application, once what it tells of is durable.
//!
//! A mail is a row in the commit that causes it: as many mails as effects. `mailer` takes the rows one by one and gives them
//! to an `outlet`, a server or a folder. A host that dies between the sending and the end of the row lets another send it
//! again, under the same Message-ID: SMTP has no closer promise, and mail programs show one of the two.

mod host;
mod mailer;
mod outlet;

use bson::oid::ObjectId;
use bson::{RawDocument, RawDocumentBuf, doc};
use lettre::message::Mailbox;

pub use mailer::{Mailer, Mailing};
pub use outlet::Outlet;

use super::documents::{self, Collection, Index, Write, date};

/// Where mails wait. A collection of the host, not of the application.
pub(crate) const COLLECTION: &str = "host-mails";
/// The field that says when a mail may be tried; one that was given up has none.
const NEXT: &str = "next";
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
    /// Where whoever gets it can have no more of them.
    pub unsubscribe: Option<String>,
}

/// A mail that waits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Row {
    /// Its `_id`, which makes its Message-ID.
    id: ObjectId,
    mail: Mail,
    /// When it was caused; milliseconds since 1970.
    at: u64,
    /// When it may be tried.
    next: u64,
    /// How often it was tried.
    attempts: u32,
}

impl Mail {
    /// Whether it can be sent at all.
    ///
    /// # Errors
    /// Text that says what is wrong.
    pub fn check(&self) -> Result<(), String> {
        let one_line = |text: &str| !text.chars().any(char::is_control);
        if self.to.len() > MAX_LINE || !one_line(&self.to) || self.to.parse::<Mailbox>().is_err() {
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

    /// The write that puts it on its way.
    ///
    /// # Errors
    /// [`documents::Error::Invalid`] when no document takes it.
    pub(crate) fn row(&self, component: &str, now: u64) -> Result<Write, documents::Error> {
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

impl Row {
    /// None for a row that nobody could have written.
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

/// What the documents' engines make of it.
pub(crate) fn collection() -> Collection {
    let by_time = Index { fields: vec![NEXT.to_owned()], unique: false, where_exists: vec![NEXT.to_owned()] };
    Collection { indexes: vec![by_time], ..Collection::default() }
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
        let row = Row::read(&document).unwrap();
        assert_eq!((row.mail, row.at, row.next, row.attempts), (mail(), 5, 5, 0));
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
