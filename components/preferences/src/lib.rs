//! Which mails a user wants: seen and chosen when signed in, or all ended by the link that each mail carries.

mod described;
mod unsubscribe;

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::rate::Rate;
use model::{preferences, user};

devconnect_sdk::http_component! {
    GET "/email-preferences" as described::SHOW => show,
    PATCH "/email-preferences" as described::CHOOSE => choose,
    GET "/unsubscribe/{userId}" as described::ASK => unsubscribe::ask,
    POST "/unsubscribe/{userId}" as described::UNSUBSCRIBE => unsubscribe::unsubscribe,
}

fn show(request: &Request) -> Result<Response, Error> {
    answer(request.user_id()?)
}

/// Each choice is set by itself, so that two changes of different ones at once both last.
fn choose(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut body = Body::of(request)?;
    let mut set = Document::new();
    for (kind, _) in preferences::KINDS {
        let choice = body.optional(kind, |value| value.as_bool().ok_or_else(|| "must be true or false".to_owned()));
        if let Some(wanted) = choice {
            set.insert(preferences::path(kind), wanted);
        }
    }
    body.finish()?;
    if !set.is_empty() {
        Rate::EDITS.count(&me.to_hex())?;
        if !store(me, set)? {
            return Err(missing());
        }
    }
    answer(me)
}

fn answer(id: ObjectId) -> Result<Response, Error> {
    let query = collection(user::COLLECTION).find(doc! { "_id": id }).project(doc! { (preferences::FIELD): 1 });
    let user: Document = query.first()?.ok_or_else(missing)?;
    Ok(Response::json(&doc! { "success": true, "emailPreferences": preferences::of(&user) }))
}

/// Sets these fields of the user; false when there is no such user.
pub(crate) fn store(id: ObjectId, mut set: Document) -> Result<bool, Error> {
    set.insert("updatedAt", clock::now());
    // Old users may have anything there, and only inside an object something can be set. A comparison keeps to one type,
    // so every object is from the empty one on; an array is not, but one of its elements may be.
    let is_object = doc! { "$gte": {} };
    let not_object = [doc! { "$not": is_object.clone() }, doc! { "$elemMatch": is_object }]
        .map(|test| doc! { (preferences::FIELD): test });
    let broken = doc! { "_id": id, "$or": not_object.into_iter().collect::<Bson>() };
    let written = Commit::new()
        .update(user::COLLECTION, broken, doc! { "$set": { (preferences::FIELD): {} } })
        .update(user::COLLECTION, doc! { "_id": id }, doc! { "$set": set })
        .must_match()
        .run();
    match written {
        Ok(_) => Ok(true),
        Err(documents::Error::Unmet { .. }) => Ok(false),
        Err(error) => Err(error.into()),
    }
}

fn missing() -> Error {
    Error::not_found("User not found")
}
