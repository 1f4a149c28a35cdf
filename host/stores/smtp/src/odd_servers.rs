//! Tests against mail servers that refuse, break off and lack what others have. The mailer's own time ends one that stalls.

use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};

use super::*;

/// What a server answers instead of "well": to lines that begin with the first text. `.` is the end of a mail, the empty text
/// the greeting. A reply that is empty closes the connection.
type Script = &'static [(&'static str, &'static str)];

async fn started(script: Script) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, script));
        }
    });
    port
}

async fn serve(client: TcpStream, script: Script) {
    let mut client = BufReader::new(client);
    let (mut line, mut in_mail) = (String::new(), false);
    loop {
        let said = if in_mail { "." } else { line.trim_end() };
        let usual = match said {
            "" => "220 here",
            "DATA" => "354 go on",
            "QUIT" => "221 bye",
            _ => "250 well",
        };
        let scripted =
            script.iter().find(|(begin, _)| *begin == said || (!begin.is_empty() && said.starts_with(begin)));
        match scripted.map_or(usual, |(_, reply)| *reply) {
            "" => return,
            reply => client.get_mut().write_all(format!("{reply}\r\n").as_bytes()).await.unwrap(),
        }
        in_mail = !in_mail && said == "DATA" && scripted.is_none();
        loop {
            line.clear();
            if client.read_line(&mut line).await.unwrap_or(0) == 0 {
                return;
            }
            if !in_mail || line == ".\r\n" {
                break;
            }
        }
    }
}

/// What becomes of a mail to this address there.
async fn sent_to(to: &str, parameters: &str, script: Script) -> Result<(), SendError> {
    let url = format!("smtp://127.0.0.1:{}{parameters}", started(script).await);
    let builder = AsyncSmtpTransport::<Tokio1Executor>::from_url(&url).unwrap();
    let server = builder.timeout(Some(Duration::from_millis(500))).build();
    let mut row = tests::row();
    row.mail.to = to.to_owned();
    Smtp { server, from: default_from() }.send(&row).await
}

async fn sent(script: Script) -> Result<(), SendError> {
    sent_to("Ada <ada@example.org>", "", script).await
}

#[tokio::test]
async fn a_usual_server_takes_it() {
    assert_eq!(sent(&[]).await, Ok(()));
}

#[tokio::test]
async fn what_is_final_is_not_tried_again() {
    let scripts: [Script; 11] = [
        &[("RCPT", "501 5.1.3 Bad recipient address syntax")],
        &[("RCPT", "550 5.1.1 No such user")],
        &[("RCPT", "551 User not local")],
        &[("RCPT", "553 Mailbox name not allowed")],
        &[("RCPT", "556 5.1.10 Domain does not accept mail")],
        &[("RCPT", "541 Refused")],
        &[("MAIL", "552 5.3.4 Too large")],
        &[("MAIL", "555 Parameters not recognised")],
        &[("DATA", "554 5.5.1 No valid recipients")],
        &[(".", "550 5.7.1 Looks like spam")],
        &[(".", "554-5.6.0 Two lines\r\n554 5.6.0 of a refusal")],
    ];
    for script in scripts {
        let sent = sent(script).await;
        assert!(matches!(sent, Err(SendError::Permanent(_))), "{script:?}: {sent:?}");
    }
}

#[tokio::test]
async fn what_may_pass_is_tried_again() {
    let scripts: [Script; 12] = [
        &[("", "421 Too busy")],
        &[("", "")],
        &[("EHLO", "")],
        &[("MAIL", "451 Come back later")],
        &[("MAIL", "530 5.7.0 Authentication required")],
        &[("MAIL", "503 Bad sequence of commands")],
        &[("MAIL", "")],
        &[("RCPT", "450 4.2.1 Greylisted")],
        &[("RCPT", "452 Too many recipients")],
        &[("DATA", "")],
        &[(".", "451 Local error")],
        &[(".", "")],
    ];
    for script in scripts {
        let sent = sent(script).await;
        assert!(matches!(sent, Err(SendError::Transient(_))), "{script:?}: {sent:?}");
    }
}

#[tokio::test]
async fn a_server_that_must_have_tls_and_has_none_is_for_operators() {
    let sent = sent_to("ada@example.org", "?tls=required", &[]).await;
    assert!(matches!(&sent, Err(SendError::Transient(why)) if why.contains("STARTTLS")), "{sent:?}");
}

#[tokio::test]
async fn an_international_address_is_sent_to_or_refused_with_a_reason() {
    let knows: Script = &[
        ("EHLO", "250-here\r\n250-8BITMIME\r\n250 SMTPUTF8"),
        ("MAIL FROM:<no-reply@localhost> SMTPUTF8", "250 well"),
        ("RCPT TO:<josé@xn--mnchen-3ya.de>", "250 well"),
        ("RCPT TO:<संपर्क@example.org>", "250 well"),
        ("RCPT", "550 Another one"),
        ("MAIL", "555 Without SMTPUTF8"),
    ];
    for to in ["josé@münchen.de", "José <josé@münchen.de>", "संपर्क@example.org"] {
        assert_eq!(sent_to(to, "", knows).await, Ok(()), "{to}");
    }
    let knows_not = sent_to("josé@münchen.de", "", &[("EHLO", "250-here\r\n250 8BITMIME")]).await;
    assert!(matches!(&knows_not, Err(SendError::Permanent(why)) if why.contains("SMTPUTF8")), "{knows_not:?}");
    // A domain alone needs nothing of the server.
    let ascii: Script = &[("RCPT TO:<a@xn--mnchen-3ya.de>", "250 well"), ("RCPT", "550 Another one")];
    assert_eq!(sent_to("a@münchen.de", "", ascii).await, Ok(()));
}
