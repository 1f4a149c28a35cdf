//! Connection requests: sent, answered, and listed. What a request is, and what it may become, is in `request`.
//! Each change is one commit together with its events, so that no request changes untold.

mod allowance;
mod answer;
mod described;
mod lists;
mod page;
mod request;
mod send;

devconnect_sdk::http_component! {
    POST "/request/send/{status}/{toUserId}" as described::SEND => send::send,
    POST "/request/review/{status}/{requestId}" as described::REVIEW => answer::review,
    PATCH "/user/requests/{requestId}/respond" as described::RESPOND => answer::respond,
    GET "/user/requests/received" as described::RECEIVED => lists::received,
    GET "/user/requests/sent" as described::SENT => lists::sent,
    GET "/user/connections" as described::CONNECTIONS => lists::connections,
}
