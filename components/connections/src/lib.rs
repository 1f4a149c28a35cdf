//! Connection requests: sent, answered, and listed. What a request is, and what it may become, is in `request`.
//! Each change is one commit together with its events, so that no request changes untold.

mod allowance;
mod answer;
mod expiry;
mod lists;
mod page;
mod request;
mod send;

devconnect_sdk::http_component! {
    POST "/request/send/{status}/{toUserId}" => send::send,
    POST "/request/review/{status}/{requestId}" => answer::review,
    PATCH "/user/requests/{requestId}/respond" => answer::respond,
    GET "/user/requests/received" => lists::received,
    GET "/user/connections" => lists::connections,
}

devconnect_sdk::schedule_component! {
    "30 3 * * *" => expiry::delete,
}
