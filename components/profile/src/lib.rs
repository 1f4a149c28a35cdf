//! A user's own profile, seen and changed by its owner. The database is asked each time: a profile that was just
//! changed is never seen as it was. The password is not granted to this component and so never in a document here.

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::profile::{self, Form};
use model::user;

devconnect_sdk::http_component! {
    GET "/profile/view" => view,
    PATCH "/profile/edit" => edit,
    PATCH "/user/{userId}" => edit_by_form,
}

fn view(request: &Request) -> Result<Response, Error> {
    Ok(Response::json(&own(request.user_id()?)?))
}

fn edit(request: &Request) -> Result<Response, Error> {
    change(request, Form::Exact)
}

fn edit_by_form(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    match request.id_param("userId") {
        Ok(id) if id == me => change(request, Form::WholeForm),
        _ => Err(Error::forbidden("You can only change your own profile")),
    }
}

/// One update sets all fields or none. Of two at once the later one wins, field by field.
fn change(request: &Request, form: Form) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut set = profile::changes(Body::of(request)?, form)?;
    if !set.is_empty() {
        set.insert("updatedAt", clock::now());
        let written =
            Commit::new().update(user::COLLECTION, doc! { "_id": me }, doc! { "$set": set }).must_match().run();
        match written {
            Ok(_) => {}
            Err(documents::Error::Duplicate { .. }) => {
                return Err(Error::bad_request("An account with this emailId already exists"));
            }
            Err(documents::Error::Unmet { .. }) => return Err(missing()),
            Err(error) => return Err(error.into()),
        }
    }
    let user = own(me)?;
    let message = format!("{}, your profile updated successfully", user.get_str("firstName").unwrap_or_default());
    Ok(Response::json(&doc! { "message": message, "data": user }))
}

fn own(id: ObjectId) -> Result<Document, Error> {
    let user: Option<Document> = collection(user::COLLECTION).by_id(id)?;
    user.map(user::own).ok_or_else(missing)
}

fn missing() -> Error {
    Error::not_found("User not found")
}
