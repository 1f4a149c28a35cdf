//! Outlets: where mails leave the host. A server (SMTP, RFC 5321), or a folder of `.eml` files for whoever develops.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use lettre::message::header::{Header, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};
use lettre::{AsyncSmtpTransport, AsyncTransport as _, Message, Tokio1Executor};

use super::Row;

/// How long a server may take for one command.
const PATIENCE: Duration = Duration::from_secs(10);
/// Replies of a server that say that this mail will never be taken (RFC 5321, section 4.2.3). Others may be about the server
/// or how it is used, which an operator can mend.
const NEVER: [u16; 5] = [550, 551, 552, 553, 554];

/// Where mails leave the host.
pub enum Outlet {
    /// A file each, named by the mail's id: twice is once.
    Folder(PathBuf),
    /// A server.
    Smtp(AsyncSmtpTransport<Tokio1Executor>),
}

/// Why a mail did not leave.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It may later.
    Now(String),
    /// It never will.
    Ever(String),
}

impl Outlet {
    /// A server by its URL: `smtp://user:password@host:587?tls=required`, `smtps://…`, or `smtp://host:25` without TLS.
    ///
    /// # Errors
    /// Text that does not have the URL in it.
    pub fn smtp(url: &str) -> Result<Self, String> {
        let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(url).map_err(|_| {
            "SMTP_URL is wrong; it looks like smtp://user:password@host:587?tls=required or smtps://user:password@host"
                .to_owned()
        })?;
        Ok(Self::Smtp(builder.timeout(Some(PATIENCE)).build()))
    }

    /// What it is, to operators.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Folder(_) => "folder (.eml files)",
            Self::Smtp(_) => "SMTP",
        }
    }

    pub(super) async fn send(&self, row: &Row, from: &Mailbox) -> Result<(), Refusal> {
        let message = message(row, from).map_err(Refusal::Ever)?;
        match self {
            Self::Folder(folder) => {
                let (folder, name) = (folder.clone(), row.id.to_hex());
                let kept = tokio::task::spawn_blocking(move || keep(&folder, &name, &message.formatted())).await;
                let failed =
                    |error: &dyn std::fmt::Display| Refusal::Now(format!("the file can't be written: {error}"));
                kept.map_err(|error| failed(&error))?.map_err(|error| failed(&error))
            }
            Self::Smtp(server) => match server.send(message).await {
                Ok(_) => Ok(()),
                Err(error) => {
                    let never = error.status().is_some_and(|code| NEVER.contains(&u16::from(code)));
                    Err(if never { Refusal::Ever(error.to_string()) } else { Refusal::Now(error.to_string()) })
                }
            },
        }
    }
}

/// The whole file or none, also after a power cut.
fn keep(folder: &std::path::Path, name: &str, text: &[u8]) -> std::io::Result<()> {
    use std::io::Write as _;
    std::fs::create_dir_all(folder)?;
    let (part, whole) = (folder.join(format!("{name}.part")), folder.join(format!("{name}.eml")));
    let mut file = std::fs::File::create(&part)?;
    file.write_all(text)?;
    file.sync_all()?;
    std::fs::rename(part, whole)?;
    std::fs::File::open(folder)?.sync_all()
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

/// The mail as it is sent (RFC 5322). Its Message-ID is its row's, so that it is the same mail each time.
fn message(row: &Row, from: &Mailbox) -> Result<Message, String> {
    let mail = &row.mail;
    let to = mail.to.parse::<Mailbox>().map_err(|error| error.to_string())?;
    let mut builder = Message::builder()
        .from(from.clone())
        .to(to)
        .subject(&mail.subject)
        .date(SystemTime::UNIX_EPOCH + Duration::from_millis(row.at))
        .message_id(Some(format!("<{}@{}>", row.id.to_hex(), from.email.domain())));
    if let Some(link) = &mail.unsubscribe {
        builder = builder.header(ListUnsubscribe(link.clone()));
    }
    let message = match &mail.html {
        Some(html) => builder.multipart(MultiPart::alternative_plain_html(mail.text.clone(), html.clone())),
        None => builder.singlepart(SinglePart::plain(mail.text.clone())),
    };
    message.map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use bson::oid::ObjectId;

    use super::*;
    use crate::capability::mail::Mail;

    fn row() -> Row {
        let mail = Mail {
            to: "Ada <ada@example.org>".into(),
            subject: "Grüße".into(),
            text: "Hello".into(),
            html: Some("<p>Hello</p>".into()),
            unsubscribe: Some("https://example.org/u?token=1".into()),
        };
        Row { id: ObjectId::from_bytes([7; 12]), mail, at: 1_768_478_400_000, next: 0, attempts: 0 }
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
            "Content-Type: multipart/alternative;",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
    }

    #[tokio::test]
    async fn a_folder_has_a_mail_once() {
        let folder = tempfile::tempdir().unwrap();
        let outlet = Outlet::Folder(folder.path().join("mails"));
        let from = "no-reply@example.net".parse().unwrap();
        for _ in 0..2 {
            outlet.send(&row(), &from).await.unwrap();
        }
        let files: Vec<_> = std::fs::read_dir(folder.path().join("mails")).unwrap().collect();
        assert_eq!(files.len(), 1);
    }

    #[test]
    fn a_wrong_url_is_not_shown() {
        for url in ["", "http://a", "smtp//user:geheim@a", "smtp://user:geheim@a:x"] {
            assert!(Outlet::smtp(url).is_err_and(|why| !why.contains("geheim")), "{url}");
        }
        assert!(Outlet::smtp("smtp://127.0.0.1:2525").is_ok());
    }
}
