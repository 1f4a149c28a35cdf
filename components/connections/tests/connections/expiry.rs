//! Counters of days that are over, which the host deletes by `expires` in `application.toml`.

use harness::{DateTime, START, doc};

use crate::member::{app, member, pair, used};

const HOUR: u64 = 3_600_000;
const DAY: u64 = 24 * HOUR;

#[test]
fn a_counter_is_kept_for_a_day_after_its_own() {
    let app = app();
    let (ada, bob) = pair(&app);
    let clean_up_after = |millis: u64| {
        app.clock().set(START + millis);
        app.clean_up();
    };
    // It is noon.
    ada.interested(&app, &bob);
    clean_up_after(DAY);
    ada.interested(&app, &member(&app, "Cy"));
    clean_up_after(36 * HOUR);
    assert_eq!(used(&app), [1, 1], "the next day is not over");
    clean_up_after(36 * HOUR + 1);
    let left = app.find("requestcounters", doc! {});
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].get_str("_id").unwrap(), format!("{}:2026-01-16", ada.id));
    clean_up_after(60 * HOUR + 1);
    assert!(used(&app).is_empty());
    ada.interested(&app, &member(&app, "Di"));
    assert_eq!(used(&app), [1], "a new day begins as ever");
}

#[test]
fn very_many_are_deleted_and_no_others() {
    let app = app();
    let at = |millis: u64| DateTime::from_millis(millis.cast_signed());
    let old =
        (0..1_200_u64).map(|n| doc! { "_id": format!("old{n}"), "used": 1, "expiresAt": at(START - DAY - 1 - n) });
    app.insert_all("requestcounters", old);
    app.insert("requestcounters", doc! { "_id": "new", "used": 1, "expiresAt": at(START - DAY) });
    // Without a date nobody knows when it is over.
    app.insert("requestcounters", doc! { "_id": "odd", "used": 1 });
    app.clean_up();
    let left = app.find("requestcounters", doc! {});
    let names: Vec<&str> = left.iter().filter_map(|counter| counter.get_str("_id").ok()).collect();
    assert_eq!(names, ["new", "odd"]);
}
