//! A user's own profile, seen and changed by its owner. The view is cached as it goes out, and each commit that changes the
//! user makes it stale (`application.toml`): a profile that was just changed is never seen as it was. Which skills a member has is told as an event. The password is not granted to this component and
//! so never in a document here.

mod described;

use devconnect_sdk::prelude::*;
use model::body::Body;
use model::events::{Skills, USER_EVENTS};
use model::profile::{self, Form};
use model::rate::Rate;
use model::{email, user};

/// Changes of one member's e-mail, also those to one that is taken: each says whether there is an account.
const EMAIL_CHANGES: Rate = Rate {
    name: "email-changes",
    setting: "limits.email-changes",
    most: 20,
    seconds: 3_600,
    refusal: "You have changed your e-mail address too often, please try again later",
};

devconnect_sdk::http_component! {
    GET "/profile/view" as described::VIEW => view,
    PATCH "/profile/edit" as described::EDIT => edit,
    PATCH "/user/{userId}" as described::EDIT_BY_FORM => edit_by_form,
}

fn view(request: &Request) -> Result<Response, Error> {
    let me = request.user_id()?;
    let key = user::cache_key(me);
    if let Ok(Some(body)) = cache::get(&key) {
        return Ok(Response::json_bytes(body));
    }
    let view = Response::json(&own(me)?);
    // A cache that is away, or has learnt of a change meanwhile, does not take it.
    let _ = cache::fill(&key, view.body().to_vec(), user::CACHE_AGE);
    Ok(view)
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

fn change(request: &Request, form: Form) -> Result<Response, Error> {
    let me = request.user_id()?;
    let mut set = profile::changes(Body::of(request)?, form)?;
    if !set.is_empty() {
        let who = me.to_hex();
        Rate::EDITS.count(&who)?;
        if let Some(email) = set.get_str("emailId")
            && !has_own_email(me, &set)?
        {
            EMAIL_CHANGES.count(&who)?;
            // The unique index knows the form of today only.
            if collection(user::COLLECTION).exists(user::with_email(email))? {
                return Err(taken());
            }
        }
        set.insert("updatedAt", clock::now());
        if !store(me, &set)? && !store(me, &without_own_email(me, set)?)? {
            return Err(taken());
        }
    }
    let user = own(me)?;
    let message = format!("{}, your profile updated successfully", user.get_str("firstName").unwrap_or_default());
    Ok(Response::json(&doc! { "message": message, "data": user }))
}

/// One update sets all fields or none; false when another account has the e-mail. Of two at once the later one wins,
/// field by field.
fn store(me: ObjectId, set: &Document) -> Result<bool, Error> {
    let change = doc! { "$set": set.clone() };
    let mut commit = Commit::new().update(user::COLLECTION, doc! { "_id": me }, change).must_match();
    if let Some(skills) = set.get_array("skills") {
        let skills = skills.iter().filter_map(Bson::as_str).map(str::to_owned).collect();
        commit = commit.envelope(USER_EVENTS, &me.to_hex(), &Skills { skills }.event(me));
    }
    match commit.run() {
        Ok(_) => Ok(true),
        Err(documents::Error::Duplicate { .. }) => Ok(false),
        Err(documents::Error::Unmet { .. }) => Err(missing()),
        Err(error) => Err(error.into()),
    }
}

/// An old account may have the e-mail of another but for the case. Its own e-mail is not taken then: it stays as it is
/// stored, and the rest is changed.
fn without_own_email(me: ObjectId, mut set: Document) -> Result<Document, Error> {
    if !has_own_email(me, &set)? {
        return Err(taken());
    }
    set.remove("emailId");
    set.remove("emailKey");
    Ok(set)
}

/// Whether the e-mail that is to be set is the one that the member has, but for the case.
fn has_own_email(me: ObjectId, set: &Document) -> Result<bool, Error> {
    Ok(own(me)?.get_str("emailId").map(email::key).as_deref() == set.get_str("emailId"))
}

fn own(id: ObjectId) -> Result<Document, Error> {
    let user: Option<Document> = collection(user::COLLECTION).by_id(id)?;
    user.map(user::own).ok_or_else(missing)
}

fn taken() -> Error {
    Error::bad_request("An account with this emailId already exists")
}

fn missing() -> Error {
    Error::not_found("User not found")
}
