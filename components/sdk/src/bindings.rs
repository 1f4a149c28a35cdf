//! The generated bindings of `devconnect:platform`: the imports once, then one world per kind of trigger, which
//! takes its types from the imports. A component never names this module; it uses the typed rooms beside it.
//! A new trigger is a new `generate!` here, in a module of its own, and a macro like [`http_component!`](crate::http_component!).

#![allow(missing_docs, unreachable_pub, clippy::all, reason = "generated from the WIT, where the documentation is")]
#![allow(
    unsafe_code,
    reason = "generated: values cross between host and component at raw addresses of the sandbox's memory"
)]
#![allow(clippy::allow_attributes_without_reason, clippy::indexing_slicing, clippy::panic, reason = "generated code")]

/// Everything a component may import. What its code does not call is not imported by the built component.
pub mod imports {
    wit_bindgen::generate!({
        path: "../../wit",
        world: "devconnect:platform/capabilities@0.1.0",
        generate_all,
        generate_unused_types: true,
        additional_derives: [PartialEq, Eq],
    });
    pub use devconnect::platform::*;
}

/// The `http-handler` export.
pub mod http {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package devconnect:sdk-http; world http { export devconnect:platform/http-handler@0.1.0; }",
        world: "devconnect:sdk-http/http",
        with: { "devconnect:platform/types@0.1.0": super::imports::types, "devconnect:platform/http-handler@0.1.0": generate },
        pub_export_macro: true,
        export_macro_name: "export_http_handler",
        default_bindings_module: "devconnect_sdk::bindings::http",
    });
    pub use exports::devconnect::platform::http_handler::{Guest, Request, Response};
}

/// The `socket-handler` export.
pub mod socket {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package devconnect:sdk-socket; world socket { export devconnect:platform/socket-handler@0.1.0; }",
        world: "devconnect:sdk-socket/socket",
        with: { "devconnect:platform/types@0.1.0": super::imports::types, "devconnect:platform/socket-handler@0.1.0": generate },
        pub_export_macro: true,
        export_macro_name: "export_socket_handler",
        default_bindings_module: "devconnect_sdk::bindings::socket",
    });
    pub use exports::devconnect::platform::socket_handler::{Guest, Message};
}

/// The `presence-handler` export.
pub mod presence {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package devconnect:sdk-presence; world presence { export devconnect:platform/presence-handler@0.1.0; }",
        world: "devconnect:sdk-presence/presence",
        with: { "devconnect:platform/presence-handler@0.1.0": generate },
        pub_export_macro: true,
        export_macro_name: "export_presence_handler",
        default_bindings_module: "devconnect_sdk::bindings::presence",
    });
    pub use exports::devconnect::platform::presence_handler::{Change, Guest};
}

/// The `event-handler` export.
pub mod event {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package devconnect:sdk-event; world event { export devconnect:platform/event-handler@0.1.0; }",
        world: "devconnect:sdk-event/event",
        with: { "devconnect:platform/event-handler@0.1.0": generate },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_event_handler",
        default_bindings_module: "devconnect_sdk::bindings::event",
    });
    pub use exports::devconnect::platform::event_handler::{Delivery, Event, Failure, Guest};
}

/// The `schedule-handler` export.
pub mod schedule {
    wit_bindgen::generate!({
        path: "../../wit",
        inline: "package devconnect:sdk-schedule; world schedule { export devconnect:platform/schedule-handler@0.1.0; }",
        world: "devconnect:sdk-schedule/schedule",
        with: { "devconnect:platform/schedule-handler@0.1.0": generate },
        additional_derives: [PartialEq, Eq],
        pub_export_macro: true,
        export_macro_name: "export_schedule_handler",
        default_bindings_module: "devconnect_sdk::bindings::schedule",
    });
    pub use exports::devconnect::platform::schedule_handler::{Failure, Guest, Tick};
}
