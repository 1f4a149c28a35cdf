//! The route table: pairs of a method and a manifest pattern, each with the function that answers it.
//! The host has matched the path already and says which pattern it was, so this is a comparison of two strings.
//! The table and the manifest must name the same routes; one that is only in the manifest answers 500 and is logged.

use super::{Error, Request, Response};
use crate::bindings::http as wit;

/// What answers a route.
pub type Handler = fn(&Request) -> Result<Response, Error>;

/// One line of a route table.
#[derive(Debug, Clone, Copy)]
pub struct Route {
    /// Upper case, as in `GET`.
    pub method: &'static str,
    /// The pattern exactly as in `component.toml`: `/user/{id}`.
    pub pattern: &'static str,
    /// The function that answers.
    pub handler: Handler,
}

/// Answers `request` by the first route of `routes` with its method and pattern. A handler's error becomes the
/// answer it stands for.
pub fn dispatch(routes: &[Route], request: wit::Request) -> wit::Response {
    let request = Request::new(request);
    // What answers GET answers HEAD too; the host sends no body then.
    let method = if request.method() == "HEAD" { "GET" } else { request.method() };
    let route = routes.iter().find(|route| route.method == method && route.pattern == request.route());
    let answer = match route {
        Some(route) => (route.handler)(&request),
        None => Err(Error::internal(format!(
            "no handler for {} {}: add it to http_component!, or take it out of component.toml",
            request.method(),
            request.route()
        ))),
    };
    answer.unwrap_or_else(Error::into_response).into_wit()
}

/// A route table, for a component that wants to hold it in a constant of its own:
/// `const ROUTES: &[Route] = routes! { GET "/profile/view" => view, PATCH "/profile/edit" => edit };`
#[macro_export]
macro_rules! routes {
    ($($method:ident $pattern:literal => $handler:expr),* $(,)?) => {
        &[$($crate::http::Route { method: stringify!($method), pattern: $pattern, handler: $handler }),*]
    };
}

/// Makes this crate a component with `[[http]]` triggers: `http_component! { GET "/profile/view" as VIEW => view, … }`.
///
/// Each pattern is written as in `component.toml`, each handler is a `fn(&Request) -> Result<Response, Error>`. What stands behind
/// `as`, and may be left out, is the constant that describes the route for `GET /openapi.json`: a
/// [`Description`](crate::openapi::Description).
/// Used once in a crate, at its top; it may stand beside the macro of another kind of trigger.
#[macro_export]
macro_rules! http_component {
    ($($method:ident $pattern:literal $(as $description:expr)? => $handler:expr),* $(,)?) => {
        const _: () = {
            const ROUTES: &[$crate::http::Route] = $crate::routes! { $($method $pattern => $handler),* };
            struct HttpHandler;
            impl $crate::bindings::http::Guest for HttpHandler {
                fn handle(request: $crate::bindings::http::Request) -> $crate::bindings::http::Response {
                    $crate::http::dispatch(ROUTES, request)
                }
            }
            #[cfg(target_arch = "wasm32")]
            $crate::bindings::http::export_http_handler!(HttpHandler);
            // Built for the machine (to run a crate's unit tests) there is nobody to export to, and the handlers are
            // in use all the same.
            #[cfg(not(target_arch = "wasm32"))]
            const _: (&[$crate::http::Route], HttpHandler) = (ROUTES, HttpHandler);

            const DESCRIBED: &[$crate::openapi::Listed] =
                &[$($((stringify!($method), $pattern, &$description),)?)*];
            const LENGTH: usize = $crate::openapi::length(DESCRIBED);
            const LINES: [u8; LENGTH] = $crate::openapi::lines(DESCRIBED);
            // On this target a static with a section is a custom section, and no data of an instance. `#[used]` would make it
            // data as well.
            #[cfg(target_arch = "wasm32")]
            #[allow(unsafe_code, reason = "a custom section has no meaning to the linker")]
            #[unsafe(link_section = "devconnect:openapi")]
            static _LINES: [u8; LENGTH] = LINES;
            // What nobody reads would be taken for unused.
            const _: [u8; LENGTH] = LINES;
        };
    };
}
