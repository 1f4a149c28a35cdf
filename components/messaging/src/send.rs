//! Sending: stored first, with its event and its place, then shown to every socket of both.

use devconnect_sdk::prelude::*;
use model::events::{MESSAGE_EVENTS, Sent};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::contacts;
use crate::conversation::Conversation;
use crate::known::{self, Known};
use crate::message::{self, New};

/// How often a message is tried when another one of the conversation came first.
const TRIES: u32 = 32;
/// The longest text, in characters.
const LONGEST: usize = 5_000;
/// The longest `clientId`, in characters.
const LONGEST_CLIENT_ID: usize = 128;

pub(crate) fn send(message: &Message) -> Result<Ack, Error> {
    let new = new(message)?;
    let pair = message::pair(new.from, new.to);
    let mut known = Known::of(&pair);
    contacts::only_connected(new.from, new.to)?;
    for _ in 0..TRIES {
        let conversation = match known.take() {
            Some(known) => known.conversation(&pair),
            None => Conversation::of(&pair)?,
        };
        let (seq, ts) = conversation.next(clock::now());
        let document = new.document(seq, ts);
        let event =
            Sent { message_id: new.id, from_user_id: new.from, to_user_id: new.to, text: &new.text, ts }.event();
        let commit = conversation.advance(Commit::new(), ts).insert(message::COLLECTION, &document);
        match commit.envelope(MESSAGE_EVENTS, &pair, &event).run() {
            Ok(_) => {
                known::add(&pair, &conversation, ts);
                // It is stored; who does not receive it now finds it in the history.
                let both = [sockets::user(new.from), sockets::user(new.to)];
                let _ = sockets::emit(&both, "private-message", &new.live(ts));
                return Done::of(new.id, ts);
            }
            Err(error) if error.is_duplicate_of(message::CLIENT_ID_INDEX) => return again(&new),
            // Another message of the conversation came first; the cache may know it by now.
            Err(documents::Error::Unmet { write: 0 } | documents::Error::Duplicate { write: 0, .. }) => {
                known = Known::of(&pair).filter(|known| known.conversation(&pair) != conversation);
            }
            Err(error) => return Err(error.into()),
        }
    }
    Err(Error::Busy)
}

pub(crate) fn typing(message: &Message) -> Result<Ack, Error> {
    let (me, to) = (message.user_id()?, id(&message.json()?, "toUserId")?);
    contacts::only_connected(me, to)?;
    sockets::emit(&[sockets::user(to)], "typing", &doc! { "fromUserId": me })?;
    Ok(Ack::ok())
}

/// What is to be sent; who sends it is never read from the payload.
fn new(message: &Message) -> Result<New, Error> {
    let payload: Map<String, Value> = message.json()?;
    let to = id(&payload, "toUserId")?;
    let text = payload.get("message").and_then(Value::as_str).map(str::trim);
    let text = text.ok_or_else(|| Error::bad_request("message must be a text"))?;
    if text.is_empty() || text.chars().count() > LONGEST {
        return Err(Error::bad_request(format!("message must have 1 to {LONGEST} characters")));
    }
    let client_id = match payload.get("clientId") {
        None | Some(Value::Null) => None,
        Some(Value::String(given)) if (1..=LONGEST_CLIENT_ID).contains(&given.chars().count()) => Some(given.clone()),
        Some(_) => {
            return Err(Error::bad_request(format!("clientId must be a text of 1 to {LONGEST_CLIENT_ID} characters")));
        }
    };
    Ok(New { id: ObjectId::new(), from: message.user_id()?, to, text: text.to_owned(), client_id })
}

/// The id in a field of a payload.
pub(crate) fn id(payload: &Map<String, Value>, field: &str) -> Result<ObjectId, Error> {
    let id = payload.get(field).and_then(Value::as_str).and_then(|text| text.parse().ok());
    id.ok_or_else(|| Error::bad_request(format!("{field} must be an id")))
}

/// The same message once more: the sender learns what the first one became, and nobody receives it twice.
fn again(new: &New) -> Result<Ack, Error> {
    let first = doc! { "fromUserId": new.from, "clientId": new.client_id.as_deref() };
    let first: Option<Document> = collection(message::COLLECTION).find_one(first)?;
    let known = first.and_then(|first| Some((first.get_oid("_id")?, first.get_date("ts")?)));
    let (id, ts) = known.ok_or_else(|| Error::internal("a message with this clientId is there and can't be found"))?;
    Done::of(id, ts)
}

/// What the sender is told.
#[derive(Serialize)]
struct Done {
    ok: bool,
    #[serde(rename = "_id")]
    id: ObjectId,
    ts: i64,
}

impl Done {
    fn of(id: ObjectId, ts: DateTime) -> Result<Ack, Error> {
        Ack::json(&Self { ok: true, id, ts: ts.millis() })
    }
}
