//! Notifications: what happened to a member that the member has to know. Stored with the event that tells of it (`told`),
//! sent to sockets by that event or when the member comes (`push`), listed and marked as read over HTTP (`list`).
//! Whatever is stored and not delivered is sent when the member comes, so that nobody misses one.

mod described;
mod list;
mod push;
mod stored;
mod told;

devconnect_sdk::http_component! {
    GET "/notifications" as described::LIST => list::list,
    POST "/notifications/{id}/read" as described::READ => list::read,
}

devconnect_sdk::event_component! {
    "CONNECTION_REQUEST" => told::requested,
    "CONNECTION_ACCEPTED" => told::accepted,
    "CONNECTION_REJECTED" => told::rejected,
    "MESSAGE_SENT" => told::sent,
    "CONNECTION_REQUEST_NOTIFICATION" => push::stored,
    "MESSAGE_NOTIFICATION" => push::stored,
    "SYSTEM_NOTIFICATION" => push::system,
    "USER_ONLINE" => push::came,
}
