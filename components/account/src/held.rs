//! What is held of a member, a row a collection of `application.toml`: what an export has of it, and what becomes of it when the
//! account is deleted. `docs/operating.md` says the same to people. Filters only; nothing is asked for here.

use devconnect_sdk::prelude::*;

use crate::deletion;

/// A collection, as far as it is about a member.
#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) collection: &'static str,
    pub(crate) exported: Exported,
    pub(crate) erased: Erased,
}

/// What an export has of a collection.
#[derive(Debug)]
pub(crate) enum Exported {
    /// These lists.
    Lists(&'static [List]),
    /// A field that `export` writes by itself.
    Apart,
    /// Nothing: it holds nothing of a member that is not exported already, or no member.
    Nothing,
}

/// What becomes of a collection's documents.
#[derive(Debug)]
pub(crate) enum Erased {
    /// They are deleted in the commit that deletes the account; sessions end there, and the host deletes them when they expire.
    AtOnce,
    /// These are deleted by the passes that follow.
    Later(&'static [Which]),
    /// The component that makes them of events deletes them when an event tells of the deletion.
    ByEvent,
    /// They stay: they are somebody else's, or say nothing of a member.
    Never,
}

/// Some documents about a member.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Which {
    pub(crate) filter: fn(ObjectId) -> Document,
    pub(crate) size: Size,
}

/// How many documents there may be.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Size {
    /// A thousand at most; read, or deleted, at once.
    Few,
    /// Any number, each with an ObjectId; page by page. Cached values follow from these fields, so a write has to name them.
    Many(&'static [&'static str]),
}

/// A list of an export.
#[derive(Debug)]
pub(crate) struct List {
    /// Its name in the answer.
    pub(crate) name: &'static str,
    pub(crate) which: Which,
    /// What is shown of a document; none: nothing.
    pub(crate) shown: fn(Document) -> Option<Document>,
}

/// Every collection. Lists are in the order in which an export has them: short ones first.
pub(crate) const HELD: &[Held] = &[
    Held { collection: "users", exported: Exported::Apart, erased: Erased::AtOnce },
    Held { collection: "sessions", exported: Exported::Apart, erased: Erased::AtOnce },
    Held {
        collection: "mailsuggestions",
        exported: Exported::Lists(&[List { name: "mailSuggestions", which: OWN, shown: whole }]),
        erased: Erased::Later(&[OWN]),
    },
    Held {
        collection: "requestcounters",
        exported: Exported::Lists(&[List { name: "requestCounters", which: OF_DAYS, shown: whole }]),
        erased: Erased::Later(&[OF_DAYS]),
    },
    Held {
        collection: "useractivity",
        exported: Exported::Lists(&[List { name: "activity", which: ACTIVITY, shown: whole }]),
        erased: Erased::ByEvent,
    },
    Held {
        collection: "payments",
        exported: Exported::Lists(&[List { name: "payments", which: PAID, shown: whole }]),
        // Payments have to be accounted for.
        erased: Erased::Never,
    },
    Held {
        collection: "connectionrequests",
        exported: Exported::Lists(&[
            List { name: "requestsSent", which: REQUESTS_SENT, shown: whole },
            List { name: "requestsReceived", which: REQUESTS_RECEIVED, shown: unless_ignored },
        ]),
        erased: Erased::Later(&[REQUESTS_SENT, REQUESTS_RECEIVED]),
    },
    Held {
        collection: "notifications",
        exported: Exported::Lists(&[List { name: "notifications", which: OF_USER, shown: whole }]),
        // Those of others that name the member, too.
        erased: Erased::Later(&[OF_USER, OTHERS_ABOUT]),
    },
    Held {
        collection: "messages",
        exported: Exported::Lists(&[
            List { name: "messagesSent", which: MESSAGES_SENT, shown: whole },
            List { name: "messagesReceived", which: MESSAGES_RECEIVED, shown: whole },
        ]),
        // Those received are their senders', who have them in their history.
        erased: Erased::Later(&[MESSAGES_SENT]),
    },
    // Numbers the messages of two members, for the other one's history.
    Held { collection: "conversations", exported: Exported::Nothing, erased: Erased::Never },
    // The minutes in which the days of `useractivity` were active.
    Held { collection: "analyticsactive", exported: Exported::Nothing, erased: Erased::ByEvent },
    // The skills of the profile.
    Held { collection: "analyticsmembers", exported: Exported::Nothing, erased: Erased::ByEvent },
    // Sums over all members.
    Held { collection: "analyticsrollups", exported: Exported::Nothing, erased: Erased::Never },
    Held { collection: "analyticsskills", exported: Exported::Nothing, erased: Erased::Never },
    Held { collection: "analyticsnewskills", exported: Exported::Nothing, erased: Erased::Never },
    // The skills of the profile, and by which of them feeds find the member.
    Held { collection: "feedmembers", exported: Exported::Nothing, erased: Erased::ByEvent },
    Held { collection: "feedskills", exported: Exported::Nothing, erased: Erased::ByEvent },
    // A count of a day, which runs out.
    Held { collection: "feedlearnt", exported: Exported::Nothing, erased: Erased::Never },
    // Sums over all members, and how far the index is built.
    Held { collection: "feedpairs", exported: Exported::Nothing, erased: Erased::Never },
    Held { collection: "feedstate", exported: Exported::Nothing, erased: Erased::Never },
    // Who is to be erased; the last pass deletes it.
    Held { collection: deletion::COLLECTION, exported: Exported::Nothing, erased: Erased::Never },
];

const OWN: Which = Which { filter: |member| doc! { "_id": member }, size: Size::Few };
/// `_id` is "member:day". A `;` comes behind all that begins with the member and `:`.
const OF_DAYS: Which = Which {
    filter: |member| doc! { "_id": { "$gte": format!("{}:", member.to_hex()), "$lt": format!("{};", member.to_hex()) } },
    size: Size::Few,
};
/// A document a day, for as many days as they are kept.
const ACTIVITY: Which = Which { filter: |member| doc! { "userId": member }, size: Size::Few };
/// What nobody has paid is deleted by itself a day later.
const PAID: Which = Which { filter: |member| doc! { "userId": member, "state": "done" }, size: Size::Few };
const REQUESTS_SENT: Which =
    Which { filter: |member| doc! { "fromUserId": member }, size: Size::Many(&["fromUserId", "toUserId"]) };
const REQUESTS_RECEIVED: Which =
    Which { filter: |member| doc! { "toUserId": member }, size: Size::Many(&["fromUserId", "toUserId"]) };
/// What has a `userId`.
const OF_USER: Which = Which { filter: |member| doc! { "userId": member }, size: Size::Many(&["userId"]) };
const OTHERS_ABOUT: Which = Which { filter: |member| doc! { "fromUserId": member }, size: Size::Many(&["userId"]) };
const MESSAGES_SENT: Which = Which { filter: |member| doc! { "fromUserId": member }, size: Size::Many(&["pair"]) };
const MESSAGES_RECEIVED: Which = Which { filter: |member| doc! { "toUserId": member }, size: Size::Many(&["pair"]) };

/// All but what only the database uses.
fn whole(mut document: Document) -> Option<Document> {
    for field in ["pair", "__v"] {
        document.remove(field);
    }
    Some(document)
}

/// That somebody does not want to see the member is that one's own business.
fn unless_ignored(request: Document) -> Option<Document> {
    if request.get_str("status") == Some("ignore") { None } else { whole(request) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const APPLICATION: &str = include_str!("../../application.toml");
    const MANIFEST: &str = include_str!("../component.toml");
    const DESCRIBED: &str = include_str!("described.rs");
    const DOCS: &str = include_str!("../../../docs/operating.md");

    /// The collections of the application.
    fn collections() -> Vec<&'static str> {
        let tables = APPLICATION.lines().filter_map(|line| line.strip_prefix("[collections.")?.strip_suffix(']'));
        tables.filter(|name| !name.contains('.')).collect()
    }

    #[test]
    fn every_collection_of_the_application_has_its_row_and_no_other() {
        let (mut all, mut rows) = (collections(), HELD.iter().map(|held| held.collection).collect::<Vec<_>>());
        all.sort_unstable();
        rows.sort_unstable();
        assert_eq!(rows, all, "say in held.rs what is exported and what is erased of each collection");
    }

    #[test]
    fn the_manual_says_of_every_collection_what_becomes_of_it() {
        let section = DOCS.split("### What is held of a member").nth(1).and_then(|rest| rest.split("\n## ").next());
        let section = section.unwrap_or_default();
        let missing: Vec<&str> =
            collections().into_iter().filter(|name| !section.contains(&format!("`{name}`"))).collect();
        assert_eq!(missing, [""; 0], "docs/operating.md, \"What is held of a member\"");
    }

    #[test]
    fn what_is_exported_is_granted_to_be_read_and_what_is_erased_to_be_written() {
        for held in HELD {
            let (reads, writes) =
                (matches!(held.exported, Exported::Lists(_)), matches!(held.erased, Erased::Later(_)));
            let access = match (reads, writes) {
                (_, true) => "rw",
                (true, false) => "r",
                (false, false) => continue,
            };
            let line = format!("{} = {{ access = \"{access}\" }}", held.collection);
            assert!(MANIFEST.lines().any(|found| found == line), "component.toml has no line {line}");
        }
    }

    #[test]
    fn lists_are_described_and_no_two_have_one_name() {
        let lists = HELD.iter().filter_map(|held| match held.exported {
            Exported::Lists(lists) => Some(lists),
            _ => None,
        });
        let mut names: Vec<&str> = lists.flatten().map(|list| list.name).collect();
        let undescribed: Vec<&&str> =
            names.iter().filter(|name| !DESCRIBED.contains(&format!("(\"{name}\", "))).collect();
        assert!(undescribed.is_empty(), "described.rs does not have {undescribed:?}");
        names.extend(["exportedAt", "profile", "sessions", "next"]);
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn who_ignores_a_member_is_not_told() {
        assert_eq!(unless_ignored(doc! { "status": "ignore" }), None);
        let shown = unless_ignored(doc! { "status": "interested", "pair": "a:b", "__v": 0 });
        assert_eq!(shown, Some(doc! { "status": "interested" }));
    }

    #[test]
    fn the_counters_of_a_member_are_those_of_its_days() {
        let member = ObjectId::from_bytes([0xab; 12]);
        let filter = (OF_DAYS.filter)(member);
        let Some(range) = filter.get_document("_id") else { panic!("it is a range") };
        let (from, to) = (range.get_str("$gte").unwrap_or_default(), range.get_str("$lt").unwrap_or_default());
        let is_in = |id: &str| (from..to).contains(&id);
        assert!(is_in(&format!("{}:2026-01-15", member.to_hex())) && is_in(&format!("{}:9999-12-31", member.to_hex())));
        assert!(!is_in(&member.to_hex()) && !is_in(&format!("{}:2026-01-15", "ac".repeat(12))));
    }
}
