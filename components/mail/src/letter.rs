//! A mail as it is written: a subject, a greeting, paragraphs and lists, and the link that ends mails; as text and as
//! HTML. Here alone mails are sent. Names come from strangers: whatever is put in is one line of text and never markup, and
//! `plain` leaves no links in it.

use devconnect_sdk::event::Failure;
use devconnect_sdk::mail::{self, Mail};
use devconnect_sdk::prelude::*;

use crate::member::Member;
use crate::unsubscribe;

/// The most characters of a subject.
const LONGEST_SUBJECT: usize = 180;
/// Why somebody gets it.
const WHY: &str = "You get this mail because you have an account at DevConnect.";

/// A mail that is being written.
#[derive(Debug)]
pub(crate) struct Letter {
    subject: String,
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Paragraph(String),
    List(Vec<String>),
}

impl Letter {
    /// With a subject and nothing else.
    pub(crate) fn new(subject: &str) -> Self {
        Self { subject: one_line(subject).chars().take(LONGEST_SUBJECT).collect(), parts: Vec::new() }
    }

    /// With one more paragraph.
    pub(crate) fn paragraph(mut self, text: &str) -> Self {
        self.parts.push(Part::Paragraph(one_line(text)));
        self
    }

    /// With a list, a line an item.
    pub(crate) fn list(mut self, items: &[String]) -> Self {
        self.parts.push(Part::List(items.iter().map(|item| one_line(item)).collect()));
        self
    }

    /// Sends it; false when the member has an address that no mail can go to, which no later try would change.
    pub(crate) fn send(&self, member: &Member) -> Result<bool, Failure> {
        let greeting = match member.first_name().as_str() {
            "" => "Hello,".to_owned(),
            name => one_line(&format!("Hello {name},")),
        };
        let link = unsubscribe::link(member.id)?;
        let (text, html) = (self.text(&greeting, &link), self.html(&greeting, &link));
        let sent = mail::send(&Mail {
            to: member.address(),
            subject: &self.subject,
            text: &text,
            html: Some(&html),
            unsubscribe: Some(&link),
        });
        match sent {
            Ok(()) => Ok(true),
            Err(mail::Error::Invalid(why)) => {
                let id = member.id.to_hex();
                log::warn("a member gets no mail", &[("member", id.as_str()), ("why", why.as_str())]);
                Ok(false)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn text(&self, greeting: &str, link: &str) -> String {
        let mut text = format!("{greeting}\n\n");
        for part in &self.parts {
            match part {
                Part::Paragraph(paragraph) => text += &format!("{paragraph}\n"),
                Part::List(items) => items.iter().for_each(|item| text += &format!("- {item}\n")),
            }
            text.push('\n');
        }
        text + &format!("-- \n{WHY} Unsubscribe:\n{link}\n")
    }

    fn html(&self, greeting: &str, link: &str) -> String {
        let mut body = format!("<p>{}</p>\n", escaped(greeting));
        for part in &self.parts {
            match part {
                Part::Paragraph(paragraph) => body += &format!("<p>{}</p>\n", escaped(paragraph)),
                Part::List(items) => {
                    body += "<ul>\n";
                    items.iter().for_each(|item| body += &format!("<li>{}</li>\n", escaped(item)));
                    body += "</ul>\n";
                }
            }
        }
        format!(
            "<!doctype html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\"><title>{}</title></head>\n<body>\n\
             {body}<hr>\n<p><small>{WHY} <a href=\"{}\">Unsubscribe</a></small></p>\n</body>\n</html>\n",
            escaped(&self.subject),
            escaped(link)
        )
    }
}

/// With a space for each control character: no name begins a line or a header of its own, or turns the direction in
/// which what follows is read.
fn one_line(text: &str) -> String {
    let is_plain = |character: char| {
        !character.is_control() && !matches!(character, '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    text.chars().map(|character| if is_plain(character) { character } else { ' ' }).collect()
}

/// As HTML that shows it, inside an element or a quoted attribute.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            other => out.push(other),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINK: &str = "https://example.org/unsubscribe/1?token=2";

    #[test]
    fn all_that_means_something_in_html_is_escaped() {
        assert_eq!(escaped("<a href=\"x\" id='y'>&amp;"), "&lt;a href=&quot;x&quot; id=&#39;y&#39;&gt;&amp;amp;");
        assert_eq!(escaped("Zoë 🦀"), "Zoë 🦀");
    }

    #[test]
    fn what_is_put_in_is_one_line() {
        assert_eq!(one_line("a\r\nBcc: b\0\u{85}\u{2028}c\u{202e}d"), "a  Bcc: b   c d");
        let letter = Letter::new("a\r\nBcc: b").paragraph("c\nd").list(&["e\n- f".to_owned()]);
        assert_eq!(letter.subject, "a  Bcc: b");
        assert_eq!(
            letter.text("Hello,", LINK),
            format!("Hello,\n\nc d\n\n- e - f\n\n-- \n{WHY} Unsubscribe:\n{LINK}\n")
        );
    }

    #[test]
    fn a_subject_is_short() {
        assert_eq!(Letter::new(&"é".repeat(500)).subject.chars().count(), LONGEST_SUBJECT);
    }

    #[test]
    fn the_html_says_the_same_and_has_only_the_letter_s_own_elements() {
        let script = "<script>alert('1')</script>";
        let letter = Letter::new(script).paragraph(script).list(&[script.to_owned()]);
        let html = letter.html(&format!("Hello {script},"), LINK);
        assert_eq!(html.matches("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;").count(), 4);
        assert!(!html.contains("<script") && html.contains(&format!("<a href=\"{LINK}\">")), "{html}");
        assert!(html.starts_with("<!doctype html>") && html.ends_with("</html>\n"));
    }
}
