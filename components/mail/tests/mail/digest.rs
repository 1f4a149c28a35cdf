//! The weekly digest.

use harness::{App, DateTime, Document, ObjectId, doc};

use crate::{DAY, address, app, member, no_dead_letters, receivers, request, unsubscribe_path, wanting};

const CRON: &str = "0 8 * * MON";
/// The first Monday at eight after every test's beginning: 2026-01-19T08:00:00Z.
const MONDAY: u64 = 1_768_809_600_000;

fn wants_it() -> Document {
    doc! { "emailPreferences": wanting(&[("marketingEmails", true)]) }
}

fn notification(app: &App, to: ObjectId, read: bool) {
    let at = DateTime::from_millis(MONDAY.cast_signed());
    let mut document = doc! {
        "_id": ObjectId::new(), "userId": to, "type": "SYSTEM_NOTIFICATION", "message": "hi", "count": 1,
        "createdAt": at,
    };
    if read {
        document.insert("readAt", at);
    }
    app.insert("notifications", document);
}

fn until(app: &App, monday: u64) {
    app.clock().set(monday);
    app.until_ticked("mail", CRON, monday);
}

#[test]
fn it_says_what_waits() {
    let app = app();
    let (ada, bea) = (member(&app, "Ada", wants_it()), member(&app, "Bea", wants_it()));
    for status in ["interested", "interested", "ignore", "accepted", "rejected"] {
        request(&app, ObjectId::new(), ada, status);
    }
    request(&app, ada, bea, "interested");
    [false, true].into_iter().for_each(|read| notification(&app, ada, read));
    until(&app, MONDAY);
    let all = app.mails();
    assert_eq!(all.len(), 2);
    let [to_ada, to_bea] = [ada, bea].map(|id| all.iter().find(|mail| mail.to == address(id)).unwrap());
    assert_eq!(to_ada.subject, "What waits for you on DevConnect");
    assert!(to_ada.text.contains("\n- 2 connection requests\n- 1 unread notification\n"), "{}", to_ada.text);
    assert!(to_bea.text.contains("\n- 1 connection request\n\n"), "{}", to_bea.text);
    assert!(unsubscribe_path(to_ada).starts_with(&format!("/unsubscribe/{ada}?token=")));
}

#[test]
fn it_goes_page_by_page_to_all_who_want_it_and_have_something_to_know() {
    let app = app();
    let mut expected = Vec::new();
    for number in 0..45 {
        let id = member(&app, "Ada", wants_it());
        match number % 5 {
            0 => {}
            1 => notification(&app, id, false),
            _ => request(&app, ObjectId::new(), id, "interested"),
        }
        if number % 5 > 0 {
            expected.push(address(id));
        }
        let off = member(&app, "Off", doc! {});
        request(&app, id, off, "interested");
    }
    // Choices that are none, as old documents may have them.
    let odd = [doc! { "emailPreferences": [{ "marketingEmails": true }] }, doc! { "emailPreferences": null }];
    for fields in odd {
        request(&app, ObjectId::new(), member(&app, "Odd", fields), "interested");
    }
    until(&app, MONDAY);
    expected.sort_unstable();
    assert_eq!(receivers(&app.mails()), expected);
    no_dead_letters(&app);
}

#[test]
fn nobody_who_can_not_be_reached_keeps_it_from_others() {
    let app = app();
    for number in 0..25 {
        let mut fields = wants_it();
        if number != 22 {
            fields.insert("emailId", format!("no address {number}"));
        }
        request(&app, ObjectId::new(), member(&app, "Ada", fields), "interested");
    }
    until(&app, MONDAY);
    assert_eq!(app.mails().len(), 1);
}

#[test]
fn mondays_that_were_missed_are_one() {
    let app = app();
    let ada = member(&app, "Ada", wants_it());
    request(&app, ObjectId::new(), ada, "interested");
    let last = MONDAY + 14 * DAY;
    app.clock().set(last + 3 * DAY);
    app.until_ticked("mail", CRON, last);
    assert_eq!(app.mails().len(), 1);
    until(&app, last + 7 * DAY);
    assert_eq!(receivers(&app.mails()), [address(ada), address(ada)]);
}
