//! Counters of days that are over.

use harness::{DateTime, doc};

use crate::member::*;

const CRON: &str = "30 3 * * *";
/// 2026-01-17T03:30:00Z and a day later: a counter of the fifteenth is kept to the end of the sixteenth.
const TICKS: [u64; 2] = [1_768_620_600_000, 1_768_707_000_000];

#[test]
fn a_counter_is_kept_for_a_day_after_its_own() {
    let app = app();
    let (ada, bob) = pair(&app);
    ada.interested(&app, &bob);
    app.clock().set(TICKS[0] - 86_400_000);
    app.until_ticked("connections", CRON, TICKS[0] - 86_400_000);
    assert_eq!(used(&app), [1], "on the next day it is there");
    ada.interested(&app, &member(&app, "Cy"));
    app.clock().set(TICKS[0]);
    app.until_ticked("connections", CRON, TICKS[0]);
    let left = app.find("requestcounters", doc! {});
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].get_str("_id").unwrap(), format!("{}:2026-01-16", ada.id));
    app.clock().set(TICKS[1]);
    app.until_ticked("connections", CRON, TICKS[1]);
    assert!(used(&app).is_empty());
    ada.interested(&app, &member(&app, "Di"));
    assert_eq!(used(&app), [1], "a new day begins as ever");
}

#[test]
fn very_many_are_deleted_part_by_part() {
    let app = app();
    let at = |millis: u64| DateTime::from_millis(millis.cast_signed());
    let old = (0..2_500_u64).map(|n| doc! { "_id": format!("old{n}"), "used": 1, "expiresAt": at(TICKS[0] - 1 - n) });
    app.insert_all("requestcounters", old);
    app.insert("requestcounters", doc! { "_id": "new", "used": 1, "expiresAt": at(TICKS[0]) });
    // Without a date nobody knows when it is over.
    app.insert("requestcounters", doc! { "_id": "odd", "used": 1 });
    app.clock().set(TICKS[0]);
    app.until_ticked("connections", CRON, TICKS[0]);
    let left = app.find("requestcounters", doc! {});
    let names: Vec<&str> = left.iter().filter_map(|counter| counter.get_str("_id").ok()).collect();
    assert_eq!(names, ["new", "odd"]);
}
