//! Mails that wait to be sent, and ticks that come with the test's time.

use std::time::{Duration, Instant};

use bson::doc;
use devconnect_host::capability::mail::Mail;

use crate::App;

/// How long a test waits for what must happen.
const PATIENCE: Duration = Duration::from_secs(20);

impl App {
    /// All mails, in the order in which they were caused. A host without a data folder sends none.
    pub fn mails(&self) -> Vec<Mail> {
        let rows = self.find("host-mails", doc! {});
        let mails = rows.iter().map(|row| {
            let text = |name: &str| row.get_str(name).ok().map(str::to_owned);
            let always = |name: &str| text(name).expect("a field that every mail has");
            let (html, unsubscribe) = (text("html"), text("unsubscribe"));
            Mail { to: always("to"), subject: always("subject"), text: always("text"), html, unsubscribe }
        });
        mails.collect()
    }

    /// Waits until a component has done everything that was due at this time of a schedule, in milliseconds since 1970.
    pub fn until_ticked(&self, component: &str, cron: &str, at: u64) {
        let (begun, id) = (Instant::now(), format!("{component}/{cron}"));
        let at = bson::DateTime::from_millis(i64::try_from(at).expect("a time of this age"));
        loop {
            let rows = self.find("host-schedules", doc! { "_id": &id });
            if rows.iter().any(|row| row.get_datetime("last").is_ok_and(|last| *last >= at)) {
                return;
            }
            assert!(begun.elapsed() < PATIENCE, "{id} is not done: {rows:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}
