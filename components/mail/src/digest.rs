//! The weekly digest: what waits for a member who wants such mails; no mail where nothing waits. A part of the tick is
//! a page of members in the order of their ids, and the cursor is the last id.

use devconnect_sdk::event::Failure;
use devconnect_sdk::prelude::*;
use devconnect_sdk::schedule::Tick;
use model::{preferences, user};

use crate::letter::Letter;
use crate::member::{LEAST, Member};

const KIND: &str = "marketingEmails";
const REQUESTS: &str = "connectionrequests";
const NOTIFICATIONS: &str = "notifications";
/// How many members a part has. `host-calls` of `component.toml` follows from it.
const PAGE: u32 = 20;
/// The most bytes of one of them.
const MEMBER_BYTES: u32 = 64 << 10;

pub(crate) fn weekly(tick: &Tick) -> Result<Option<String>, Failure> {
    let after = match tick.cursor() {
        Some(cursor) => cursor
            .parse::<ObjectId>()
            .map_err(|_| Failure::Reject(format!("the cursor is {cursor:?}, which is no ObjectId")))?,
        None => LEAST,
    };
    let filter = doc! { (preferences::path(KIND)): true, "_id": { "$gt": after } };
    let query = collection(user::COLLECTION).find(filter).sort(doc! { "_id": 1 }).limit(PAGE);
    let page: Vec<Document> = query.project(Member::fields()).row_bytes(MEMBER_BYTES).all()?;
    let last = page.last().and_then(|member| member.get_oid("_id"));
    let next = last.filter(|_| page.len() >= PAGE as usize).map(ObjectId::to_hex);
    page.into_iter().filter_map(Member::of).try_for_each(|member| tell(&member))?;
    Ok(next)
}

fn tell(member: &Member) -> Result<(), Failure> {
    // The query also finds a choice inside of an array, which an old document may have there and which is none.
    if !member.wants(KIND) {
        return Ok(());
    }
    let requests = collection(REQUESTS).count(doc! { "toUserId": member.id, "status": "interested" })?;
    let unread = collection(NOTIFICATIONS).count(doc! { "userId": member.id, "readAt": null })?;
    let waiting = [
        counted(requests, "connection request", "connection requests"),
        counted(unread, "unread notification", "unread notifications"),
    ];
    let waiting: Vec<String> = waiting.into_iter().flatten().collect();
    if waiting.is_empty() {
        return Ok(());
    }
    Letter::new("What waits for you on DevConnect").paragraph("This waits for you:").list(&waiting).send(member)?;
    Ok(())
}

/// None of what is not there.
fn counted(count: u64, one: &str, more: &str) -> Option<String> {
    match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {more}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_is_named() {
        let counts = [0, 1, 2].map(|count| counted(count, "day", "days"));
        assert_eq!(counts, [None, Some("1 day".to_owned()), Some("2 days".to_owned())]);
    }
}
