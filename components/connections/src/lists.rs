//! The requests that wait for a user, and the users that one is connected with. A user who is gone is left out.

use devconnect_sdk::bson::Bson;
use devconnect_sdk::prelude::*;
use model::user;

use crate::request::{self, ACCEPTED, INTERESTED};

/// What a list of requests shows of each sender.
const SENDER_FIELDS: [&str; 3] = ["firstName", "lastName", "photoUrl"];

pub(crate) fn received(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let waiting = collection(request::COLLECTION).find(doc! { "toUserId": me, "status": INTERESTED });
    let waiting: Vec<Document> = waiting.sort(doc! { "createdAt": -1, "_id": -1 }).all()?;
    let ids = waiting.iter().filter_map(|request| request.get_oid("fromUserId")).collect();
    let projection = SENDER_FIELDS.iter().map(|field| ((*field).to_owned(), Bson::from(1))).collect();
    let senders = Users::read(ids, projection)?;
    let data = waiting.into_iter().filter_map(|request| {
        let sender = senders.get(request.get_oid("fromUserId")?)?.clone();
        let mut shown = request::shown(request);
        shown.insert("fromUserId", sender);
        Some(shown)
    });
    Ok(Response::json(&doc! { "message": "Data fetched successfully", "data": data.collect::<Bson>() }))
}

pub(crate) fn connections(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let either = doc! { "$or": [{ "toUserId": me, "status": ACCEPTED }, { "fromUserId": me, "status": ACCEPTED }] };
    let query = collection(request::COLLECTION).find(either).sort(doc! { "updatedAt": -1, "_id": -1 });
    let accepted: Vec<Document> = query.project(doc! { "fromUserId": 1, "toUserId": 1 }).all()?;
    let mut others: Vec<ObjectId> = Vec::with_capacity(accepted.len());
    let mut seen = std::collections::BTreeSet::new();
    for request in &accepted {
        let ids = [request.get_oid("fromUserId"), request.get_oid("toUserId")];
        // The earlier database may have two requests of one pair.
        others.extend(ids.into_iter().flatten().filter(|id| *id != me && seen.insert(*id)));
    }
    let users = Users::read(others.clone(), user::safe_projection())?;
    let data: Bson = others.into_iter().filter_map(|id| users.get(id).map(user::safe)).collect();
    Ok(Response::json(&doc! { "message": "Connections fetched successfully", "data": data }))
}

/// Users by their ids.
struct Users(std::collections::BTreeMap<ObjectId, Document>);

impl Users {
    /// Reads them with one query; a list has no more than a query may ask for.
    fn read(ids: Vec<ObjectId>, projection: Document) -> Result<Self, Error> {
        if ids.is_empty() {
            return Ok(Self(Default::default()));
        }
        let query = collection(user::COLLECTION).find(doc! { "_id": { "$in": ids } }).project(projection);
        let users: Vec<Document> = query.all()?;
        Ok(Self(users.into_iter().filter_map(|user| Some((user.get_oid("_id")?, user))).collect()))
    }

    fn get(&self, id: ObjectId) -> Option<&Document> {
        self.0.get(&id)
    }
}
