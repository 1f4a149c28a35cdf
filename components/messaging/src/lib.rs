//! Chat between connected members: messages and what becomes of them (`message`, `send`, `stamp`, `history`), and who is
//! there (`presence`). A message is stored together with its place in the conversation and its event before anybody is
//! sent it; who is not there reads it in the history.

mod contacts;
mod conversation;
mod described;
mod history;
mod known;
mod message;
mod presence;
mod recent;
mod send;
mod stamp;

devconnect_sdk::http_component! {
    GET "/chat/{targetUserId}/history" as described::HISTORY => history::history,
}

devconnect_sdk::socket_component! {
    "register" => presence::register,
    "presence:query" => presence::query,
    "private-message" => send::send,
    "typing" => send::typing,
    "message:delivered" => stamp::delivered,
    "message:read" => stamp::read,
}

devconnect_sdk::presence_component!(presence::changed);
