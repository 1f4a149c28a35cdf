//! A member's own activity: what was done on each of the last days, and their sum.

use devconnect_sdk::prelude::*;

use crate::rollup::MEMBERS;

/// How many days are summed.
const DAYS: u32 = 30;
const DAY: i64 = 86_400_000;
/// What a day counts, and what clients call it.
const FIELDS: [(&str, &str); 6] = [
    ("logins", "logins"),
    ("visits", "visits"),
    ("messages", "messagesSent"),
    ("requests", "requestsSent"),
    ("accepted", "requestsAccepted"),
    ("rejected", "requestsRejected"),
];

pub(crate) fn summary(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let first = DateTime::from_millis(clock::now().millis() - i64::from(DAYS - 1) * DAY).day();
    let filter = doc! { "userId": me, "day": { "$gte": first.as_str() } };
    let days: Vec<Document> = collection(MEMBERS).find(filter).sort(doc! { "day": 1 }).limit(DAYS).all()?;
    let mut data = doc! { "since": first, "activeDays": i64::try_from(days.len()).unwrap_or(i64::MAX) };
    for (field, name) in FIELDS {
        data.insert(name, days.iter().filter_map(|day| day.get_i64(field)).sum::<i64>());
    }
    let shown = days.iter().map(|day| {
        let mut shown = doc! { "day": day.get_str("day").unwrap_or_default() };
        for (field, name) in FIELDS {
            shown.insert(name, day.get_i64(field).unwrap_or(0));
        }
        shown
    });
    data.insert("days", shown.collect::<Vec<_>>());
    Ok(Response::json(&doc! { "data": data }))
}
