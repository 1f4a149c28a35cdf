//! Mails: what somebody is told outside of the application. The host sends them; the manifest grants it with `mail = true`.

use crate::bindings::imports::mail as wit;

pub use wit::Error;

/// A mail, lent.
#[derive(Debug, Clone, Copy)]
pub struct Mail<'a> {
    /// One mailbox: `ada@example.org`, or with a name before it in angle brackets.
    pub to: &'a str,
    /// One line of at most 200 characters.
    pub subject: &'a str,
    /// Plain text.
    pub text: &'a str,
    /// The same as HTML.
    pub html: Option<&'a str>,
    /// Where the recipient can unsubscribe: an http or https URL, whose `POST` unsubscribes without asking.
    pub unsubscribe: Option<&'a str>,
}

/// Puts a mail on its way. In a call for an event or a tick it goes out with the rest when the call returns ok; in other calls
/// it is durable when this answers ok.
pub fn send(mail: &Mail<'_>) -> Result<(), Error> {
    let Mail { to, subject, text, html, unsubscribe } = *mail;
    let [html, unsubscribe] = [html, unsubscribe].map(|text| text.map(str::to_owned));
    wit::send(&wit::Mail { to: to.to_owned(), subject: subject.to_owned(), text: text.to_owned(), html, unsubscribe })
}
