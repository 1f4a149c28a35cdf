//! Mails that wait to be sent, and ticks that come with the test's time.

use serde::Deserialize;
use serde_json::json;

use crate::{App, Nothing};

/// A mail.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
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

impl App {
    /// All mails, in the order in which they were caused. The host of a test sends none.
    pub fn mails(&self) -> Vec<Mail> {
        #[derive(Deserialize)]
        struct Mails {
            mails: Vec<Mail>,
        }
        self.process.call::<Mails>("mails", &json!({})).mails
    }

    /// Waits until a component has done everything that was due at this time of a schedule, in milliseconds since 1970.
    pub fn until_ticked(&self, component: &str, cron: &str, at: u64) {
        let asked = json!({ "component": component, "cron": cron, "at": at });
        self.process.call::<Nothing>("until_ticked", &asked);
    }
}
