//! The bindings to the WIT package: the imports by `bindgen!`, the exports by hand, so that their arguments are lent to the
//! component and a request's body is not copied twice.

#![allow(missing_docs, reason = "the items of bindgen are described in the WIT")]

wasmtime::component::bindgen!({
    path: "../../wit",
    world: "capabilities",
    imports: {
        // These don't wait: a plain call costs less than a future.
        "devconnect:platform/clocks": trappable,
        "devconnect:platform/random": trappable,
        "devconnect:platform/log": trappable,
        "devconnect:platform/config": trappable,
        "devconnect:platform/signing": trappable,
        default: async | trappable,
    },
});

use bytes::Bytes;
use capability::text;
use wasmtime::component::{ComponentType, Lift, Lower};

/// The interface of a component with an HTTP handler.
pub const HTTP_HANDLER: &str = "devconnect:platform/http-handler@0.1.0";

/// The interface of a component that handles messages of sockets.
pub const SOCKET_HANDLER: &str = "devconnect:platform/socket-handler@0.1.0";
/// The interface of a component that handles presence changes.
pub const PRESENCE_HANDLER: &str = "devconnect:platform/presence-handler@0.1.0";

/// The interface of a component that handles events.
pub const EVENT_HANDLER: &str = "devconnect:platform/event-handler@0.1.0";

/// The interface of a component that handles ticks of schedules.
pub const SCHEDULE_HANDLER: &str = "devconnect:platform/schedule-handler@0.1.0";

/// `types.identity`, borrowed.
#[derive(Debug, Clone, Copy, ComponentType, Lower)]
#[component(record)]
pub struct IdentityRef<'a> {
    /// The user's id.
    pub subject: &'a str,
    /// The session's id.
    pub session: &'a str,
}

impl<'a> IdentityRef<'a> {
    /// Borrows an identity.
    pub fn of(identity: &'a capability::sessions::Identity) -> Self {
        Self { subject: &identity.subject, session: &identity.session }
    }
}

/// `http-handler.request`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/http.wit")]
pub struct RequestRef<'a> {
    pub id: &'a str,
    pub method: &'a str,
    pub route: &'a str,
    pub path: &'a str,
    pub params: &'a [(String, String)],
    pub query: &'a str,
    pub headers: &'a [(String, String)],
    pub body: &'a [u8],
    pub identity: Option<IdentityRef<'a>>,
    pub client: &'a str,
}

/// `http-handler.response`.
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(record)]
pub struct Response {
    /// 100 to 599; anything else counts as a failure of the component.
    pub status: u16,
    /// Names in any case.
    pub headers: Vec<(String, String)>,
    /// The body, as it is sent.
    pub body: Bytes,
}

/// `socket-handler.message`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/socket.wit")]
pub struct MessageRef<'a> {
    pub id: &'a str,
    pub socket: &'a str,
    pub event: &'a str,
    pub payload: &'a [u8],
    #[component(name = "wants-ack")]
    pub wants_ack: bool,
    pub identity: IdentityRef<'a>,
    pub client: &'a str,
}

/// `presence-handler.change`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/presence.wit")]
pub struct PresenceRef<'a> {
    pub id: &'a str,
    pub user: &'a str,
    pub online: bool,
    pub socket: &'a str,
}

/// `event-handler.event`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/event.wit")]
pub struct EventRef<'a> {
    pub id: &'a str,
    pub topic: &'a str,
    pub key: &'a str,
    pub kind: &'a str,
    pub value: &'a [u8],
    pub at: u64,
}

impl<'a> EventRef<'a> {
    /// Borrows an event.
    pub fn of(event: &'a capability::events::Event) -> Self {
        let capability::events::Event { id, topic, key, kind, value, at, .. } = event;
        Self { id, topic, key, kind, value, at: *at }
    }
}

/// `event-handler.delivery`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/event.wit")]
pub struct DeliveryRef<'a> {
    pub id: &'a str,
    pub attempt: u32,
    pub events: &'a [EventRef<'a>],
}

/// `schedule-handler.tick`, borrowed.
#[derive(Debug, ComponentType, Lower)]
#[component(record)]
#[expect(missing_docs, reason = "each field is described in wit/schedule.wit")]
pub struct TickRef<'a> {
    pub id: &'a str,
    pub cron: &'a str,
    pub at: u64,
    pub cursor: Option<&'a str>,
}

/// `event-handler.failure`, and `schedule-handler.failure`. Its reason is cut, see [`Unable::cut`].
#[derive(Debug, Clone, PartialEq, Eq, ComponentType, Lift)]
#[component(variant)]
pub enum Unable {
    /// Retry it later.
    #[component(name = "retry")]
    Retry(String),
    /// Do not retry it.
    #[component(name = "reject")]
    Reject(String),
}

impl Unable {
    /// The same with a reason of at most about 1 KiB on one line: it is logged and stored.
    #[must_use]
    pub fn cut(self) -> Self {
        let short = |why: String| text::cut(&why, text::MAX_REASON);
        match self {
            Unable::Retry(why) => Unable::Retry(short(why)),
            Unable::Reject(why) => Unable::Reject(short(why)),
        }
    }
}
