//! Being told when users come and go ([`presence_component!`](crate::presence_component!)).

use crate::bindings::presence as wit;
use crate::bson::ObjectId;
use crate::http::Error;

/// A user came or went.
#[derive(Debug, Clone)]
pub struct Change {
    /// Who.
    pub user: ObjectId,
    /// The first socket of the user counts now; or none does any more.
    pub online: bool,
    /// The socket that made the difference; empty when its host died.
    pub socket: String,
}

/// What is told. After an error the same change comes again, so it must be fit to happen twice.
pub type Handler = fn(&Change) -> Result<(), Error>;

/// Tells `handler`.
pub fn dispatch(handler: Handler, change: wit::Change) -> Result<(), String> {
    let wit::Change { user, online, socket, .. } = change;
    let user = user.parse().map_err(|_| format!("the user `{user}` is not an ObjectId"))?;
    handler(&Change { user, online, socket }).map_err(|error| error.to_string())
}

/// Makes this crate a component with a `[presence]` trigger: `presence_component!(changed)`.
#[macro_export]
macro_rules! presence_component {
    ($handler:expr) => {
        const _: () = {
            struct PresenceHandler;
            impl $crate::bindings::presence::Guest for PresenceHandler {
                fn changed(
                    change: $crate::bindings::presence::Change,
                ) -> ::core::result::Result<(), ::std::string::String> {
                    $crate::presence::dispatch($handler, change)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::presence::export_presence_handler!(PresenceHandler);
            #[cfg(not(target_arch = "wasm32"))]
            const _: ($crate::presence::Handler, PresenceHandler) = ($handler, PresenceHandler);
        };
    };
}
