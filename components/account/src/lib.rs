//! The account: the password is changed (`password`), sessions are listed and ended (`sessions`), what is held of a member is
//! handed out (`export`), and an account is deleted (`deletion`), after which a schedule erases what it leaves (`erasure`). What
//! is held where, and what becomes of it, is one table (`held`). Whoever changes or deletes shows the password (`proof`).

mod deletion;
mod described;
mod erasure;
mod export;
mod held;
mod password;
mod proof;
mod sessions;

devconnect_sdk::http_component! {
    POST "/profile/password" as described::CHANGE_PASSWORD => password::change,
    GET "/sessions" as described::SESSIONS => sessions::list,
    DELETE "/sessions/{id}" as described::END_SESSION => sessions::end,
    GET "/account/export" as described::EXPORT => export::export,
    DELETE "/account" as described::DELETE => deletion::delete,
}

devconnect_sdk::schedule_component! {
    "*/5 * * * *" => erasure::due,
}
