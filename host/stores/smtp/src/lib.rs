//! Outlets for mails: a server (SMTP, RFC 5321), or a folder of `.eml` files for development.
//!
//! An outlet gets one mail at a time from the mailer, and returns whether it was sent, can be retried or is refused for
//! ever. It touches nothing else.

#![forbid(unsafe_code)]

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use lettre::Address;
use lettre::address::Envelope;
use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use capability::files;
use capability::mail::{Outlet, QueuedMail, SendError};

/// The sender when no operator has set one.
const DEFAULT_FROM: (&str, &str) = ("no-reply", "localhost");
/// The timeout of one SMTP command.
const TIMEOUT: Duration = Duration::from_secs(10);
/// Final replies that are about how the server is used, and not about this mail: an operator can correct that (RFC 5321, section
/// 4.2.2, and RFC 4954, section 6).
const OF_OPERATORS: [u16; 7] = [500, 502, 503, 530, 534, 535, 538];

/// A folder with a file per mail, named by the mail's id: a mail that is sent twice is one file.
pub struct Folder {
    folder: PathBuf,
    from: Mailbox,
}

impl Folder {
    /// Mails from this mailbox go into this folder, which is created with the first of them.
    pub fn new(folder: PathBuf, from: Option<Mailbox>) -> Self {
        Self { folder, from: from.unwrap_or_else(default_from) }
    }
}

#[async_trait]
impl Outlet for Folder {
    fn name(&self) -> &'static str {
        "folder (.eml files)"
    }

    async fn send(&self, row: &QueuedMail) -> Result<(), SendError> {
        let message = message(row, &self.from).map_err(SendError::Permanent)?;
        let (folder, name) = (self.folder.clone(), row.id.to_hex());
        let written = tokio::task::spawn_blocking(move || write_file(&folder, &name, &message.formatted())).await;
        let failed =
            |error: &dyn std::fmt::Display| SendError::Transient(format!("the file can't be written: {error}"));
        written.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
    }
}

/// An SMTP server.
pub struct Smtp {
    server: AsyncSmtpTransport<Tokio1Executor>,
    from: Mailbox,
}

impl Smtp {
    /// A server by its URL: `smtp://user:password@host:587?tls=required`, `smtps://…`, or `smtp://host:25` without TLS; `from`
    /// is the sender.
    ///
    /// # Errors
    /// A text without the URL.
    pub fn new(url: &str, from: Option<Mailbox>) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| {
            "SMTP_URL is wrong; it looks like smtp://user:password@host:587?tls=required or smtps://user:password@host"
                .to_owned()
        })?;
        Ok(Self { server: builder.timeout(Some(TIMEOUT)).build(), from: from.unwrap_or_else(default_from) })
    }
}

#[async_trait]
impl Outlet for Smtp {
    fn name(&self) -> &'static str {
        "SMTP"
    }

    async fn send(&self, row: &QueuedMail) -> Result<(), SendError> {
        let message = message(row, &self.from).map_err(SendError::Permanent)?;
        self.server.send(message).await.map(drop).map_err(|error| refused(&error))
    }
}

/// Why a mail was not sent, and whether a later try would change that.
fn refused(error: &lettre::transport::smtp::Error) -> SendError {
    let why = error.to_string();
    let is_final = match error.status().map(u16::from) {
        Some(code) => (500..600).contains(&code) && !OF_OPERATORS.contains(&code),
        // The address has letters that this server takes in none (RFC 6531).
        None => error.is_client() && why.contains("non-ascii"),
    };
    if is_final { SendError::Permanent(why) } else { SendError::Transient(why) }
}

/// The default sender; no server accepts it.
fn default_from() -> Mailbox {
    let (user, domain) = DEFAULT_FROM;
    Mailbox::new(None, Address::new(user, domain).unwrap_or_else(|_| unreachable!("it is an address")))
}

/// Writes the whole file or none, also in a power failure.
fn write_file(folder: &std::path::Path, name: &str, text: &[u8]) -> std::io::Result<()> {
    files::folder(folder)?;
    files::write_durably(&folder.join(format!("{name}.eml")), text)
}

/// RFC 2369, section 3.2.
#[derive(Clone)]
struct ListUnsubscribe(String);

impl Header for ListUnsubscribe {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        Ok(Self(text.trim_matches(['<', '>']).to_owned()))
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), format!("<{}>", self.0))
    }
}

/// RFC 8058, section 3.1: a `POST` with this to the link unsubscribes, without asking.
#[derive(Clone)]
struct OneClick;

impl OneClick {
    const VALUE: &'static str = "List-Unsubscribe=One-Click";
}

impl Header for OneClick {
    fn name() -> HeaderName {
        HeaderName::new_from_ascii_str("List-Unsubscribe-Post")
    }

    fn parse(text: &str) -> Result<Self, Box<dyn std::error::Error + Send + Sync>> {
        if text.trim() == Self::VALUE { Ok(Self) } else { Err("it is not List-Unsubscribe=One-Click".into()) }
    }

    fn display(&self) -> HeaderValue {
        HeaderValue::new(Self::name(), Self::VALUE.to_owned())
    }
}

/// The message of a mail (RFC 5322). Its Message-ID is its row's id, so that it is the same for every try.
fn message(row: &QueuedMail, from: &Mailbox) -> Result<Message, String> {
    let mail = &row.mail;
    let to = mail.mailbox().ok_or_else(|| "it goes to no mailbox".to_owned())?;
    // The one that is made of the headers has no address with letters that the parser does not know.
    let envelope =
        Envelope::new(Some(from.email.clone()), vec![to.email.clone()]).map_err(|error| error.to_string())?;
    let mut builder = Message::builder()
        .envelope(envelope)
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(row.at))
        .message_id(Some(format!("<{}@{}>", row.id.to_hex(), from.email.domain())));
    if let Some(link) = &mail.unsubscribe {
        builder = builder.header(ListUnsubscribe(link.clone())).header(OneClick);
    }
    let message = match &mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
        None => builder.singlepart(SinglePart::plain(mail.text.clone())),
    };
    message.map_err(|error| error.to_string())
}

#[cfg(test)]
mod odd_servers;

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;
    use capability::mail::Mail;

    pub(super) fn row() -> QueuedMail {
        let mail = Mail {
            to: "Ada <ada@example.org>".into(),
            subject: "Grüße".into(),
            text: "Hello".into(),
            html: Some("<p>Hello</p>".into()),
            unsubscribe: Some("https://example.org/u?token=1".into()),
        };
        QueuedMail { id: ObjectId::from_bytes([7; 12]), mail, at: 1_768_478_400_000, next: 0, attempts: 0 }
    }

    #[test]
    fn a_mail_has_the_headers_that_it_needs() {
        let from = "DevConnect <no-reply@example.net>".parse().unwrap();
        let text = String::from_utf8(message(&row(), &from).unwrap().formatted()).unwrap();
        for line in [
            "From: DevConnect <no-reply@example.net>\r\n",
            "To: Ada <ada@example.org>\r\n",
            "Date: Thu, 15 Jan 2026 12:00:00 +0000\r\n",
            "Message-ID: <070707070707070707070707@example.net>\r\n",
            "List-Unsubscribe: <https://example.org/u?token=1>\r\n",
            "List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n",
            "Content-Type: multipart/alternative;",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_folder_has_a_mail_once() {
        let folder = tempfile::tempdir().unwrap();
        let outlet = Folder::new(folder.path().join("mails"), None);
        for _ in 0..2 {
            outlet.send(&row()).await.unwrap();
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn a_wrong_url_is_not_shown() {
        for url in ["", "http://a", "smtp//user:geheim@a", "smtp://user:geheim@a:x"] {
            assert!(Smtp::new(url, None).is_err_and(|why| !why.contains("geheim")), "{url}");
        }
        assert!(Smtp::new("smtp://127.0.0.1:2525", None).is_ok());
    }
}
