//! The HTTP trigger: calls a component for a request and sends its response.
//!
//! Whatever applies to every route is here: origins, sessions, body limits, methods, cookies, ids. Routes and texts of the
//! product come from manifests and `application.toml`.

mod accept;
mod cookies;
mod files;
#[cfg(test)]
mod fuzz;
mod json_body;
mod openapi;
mod origin;
mod pages;
mod reply;
mod request;

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};

pub use accept::serve;
pub use origin::{OriginRules, Verdict, origin_of};

use crate::proxies::Proxies;
use crate::session_token::session_token;
use crate::socket::{ServerBody, SocketTrigger};
use capability::health::Store;
use capability::sessions::Identity;
use engine::{Call, Caller, Entered, Failure};
use manifest::{Method as RouteMethod, SessionRule};
use openapi::Published;
use registry::{Found, Registry, Route};
use reply::{ErrorReply, Reply};
use request::Origin;

/// The operator's settings for HTTP.
#[derive(Clone)]
pub struct Site {
    /// The origins whose pages may call.
    pub origins: OriginRules,
    /// Cookies are `Secure` and `SameSite=None`: the site is served over https.
    pub https: bool,
    /// The proxies whose `X-Forwarded-For` is trusted.
    pub proxies: Proxies,
    /// Clients on this machine have the limits of an address, too.
    pub count_loopback: bool,
    /// The store of each capability; shown by `/readyz`.
    pub stores: Arc<Vec<Store>>,
}

impl Site {
    /// Whether clients at this address have no limit of their own.
    fn unlimited(&self, client: std::net::IpAddr) -> bool {
        client.is_loopback() && !self.count_loopback
    }
}

/// Responds to requests by calling components.
pub struct HttpTrigger {
    registry: Arc<Registry>,
    site: Site,
    sockets: Arc<SocketTrigger>,
    /// The description of the routes that were served when it was last asked for.
    published: Mutex<Option<Arc<Published>>>,
}

/// The body of every response: a component's or the host's own, or the Socket.IO server's.
pub type Body = Either<Full<Bytes>, ServerBody>;

impl HttpTrigger {
    /// For the components of a registry, with the sockets on the same port.
    pub fn new(registry: Arc<Registry>, site: Site, sockets: Arc<SocketTrigger>) -> Self {
        Self { registry, site, sockets, published: Mutex::default() }
    }

    /// The sockets on the same port.
    pub fn sockets(&self) -> &Arc<SocketTrigger> {
        &self.sockets
    }

    /// Responds to a request from `peer`.
    pub async fn respond<B>(&self, request: Request<B>, peer: std::net::IpAddr) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let id = Call::new_id();
        let verdict = self.site.origins.judge(request.uri(), request.headers());
        // A proxy before the host may have taken another one of them for the site (RFC 9112, section 3.2).
        if request.headers().get_all(header::HOST).iter().count() > 1 {
            let error = ErrorReply::new(StatusCode::BAD_REQUEST, "A request has one Host header");
            return error.with(header::CONNECTION, "close").into_reply().finish(&id, &verdict);
        }
        if SocketTrigger::answers(request.uri().path()) && *request.method() != Method::OPTIONS {
            return self.socket(request, peer, &id, &verdict).await;
        }
        let answer = self.answer(request, peer, &id, &verdict).await;
        or_error(answer, &id).finish(&id, &verdict)
    }

    /// Responds to a request on the operator's listener, by a route for operators. The caller has checked that it is from an
    /// operator.
    pub async fn respond_to_operator<B>(&self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let id = Call::new_id();
        let answer = async {
            let (parts, body) = request.into_parts();
            let method = RouteMethod::of(&parts.method);
            let (route, params) = route(self.registry.routes().find_for_operator(method, parts.uri.path()))?;
            let entered = self.enter(Caller::Unlimited, true)?;
            let origin = Origin { id: &id, identity: None, client: std::net::Ipv4Addr::LOCALHOST.into() };
            let call = request::read(&route, params, parts, body, origin, &entered).await?;
            self.call(&route, call, entered, &id).await
        };
        or_error(answer.await, &id).finish(&id, &Verdict::Absent)
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        peer: std::net::IpAddr,
        id: &Arc<str>,
        verdict: &Verdict,
    ) -> Result<Reply, ErrorReply>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (parts, body) = request.into_parts();
        let method = RouteMethod::of(&parts.method);
        let path = parts.uri.path();
        if method == Some(RouteMethod::Get)
            && let Some(reply) = self.own(path, &parts.headers)
        {
            return Ok(reply);
        }
        if parts.method == Method::OPTIONS {
            return self.options(path, &parts.headers, verdict);
        }
        if *verdict == Verdict::Foreign && method.is_none_or(RouteMethod::changes_state) {
            return Err(ErrorReply::new(StatusCode::FORBIDDEN, "This origin may not change anything here"));
        }
        if is_own(path) {
            return Err(other_methods(&[RouteMethod::Get]));
        }
        let found = self.registry.routes().find(method, path);
        let client = self.site.proxies.client(peer, &parts.headers);
        if let Some(answer) = self.file(&found, method, &parts, client) {
            return answer;
        }
        let (route, params) = route(found)?;
        let identity = self.identity(&route, &parts.headers).await?;
        let who = || identity.as_ref().map_or_else(|| client.to_string(), |identity| identity.subject.to_string());
        let route = route.pick(who).unwrap_or(&route);
        let caller = match &identity {
            Some(identity) => Caller::Member(identity.subject.clone()),
            None if self.site.unlimited(client) => Caller::Unlimited,
            None => Caller::Address(client),
        };
        let entered = self.enter(caller, route.component.opens_sessions())?;
        let origin = Origin { id, identity, client };
        let call = request::read(route, params, parts, body, origin, &entered).await?;
        self.call(route, call, entered, id).await
    }

    /// A request to the Socket.IO server. A page of a foreign origin gets no connection.
    async fn socket<B>(
        &self,
        request: Request<B>,
        peer: std::net::IpAddr,
        id: &str,
        verdict: &Verdict,
    ) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        if *verdict == Verdict::Foreign {
            let error = ErrorReply::new(StatusCode::FORBIDDEN, "This origin may not connect here");
            return error.into_reply().finish(id, verdict);
        }
        let client = self.site.proxies.client(peer, request.headers());
        let mut response = self.sockets.respond(request, client).await.map(Either::Right);
        reply::add_common_headers(response.headers_mut(), id, verdict);
        response
    }

    /// Takes a call in before its body is read.
    fn enter(&self, caller: Caller, urgent: bool) -> Result<Entered, ErrorReply> {
        self.registry.engine().admission().enter(caller, urgent).map_err(ErrorReply::refused)
    }

    async fn call(
        &self,
        route: &Route,
        call: engine::HttpCall,
        entered: Entered,
        id: &str,
    ) -> Result<Reply, ErrorReply> {
        let component = &route.component;
        match self.registry.engine().invoke(component, entered, call).await {
            Ok((answer, end)) => {
                let pages = component.manifest.grants.pages;
                Reply::of_component(answer, &self.cookie_rules(), pages).map_err(|why| {
                    // It counts as the component's failure: what its caller gets is a 500.
                    end.refuse();
                    self.incident(route, id, &why)
                })
            }
            Err(failure @ (Failure::OutOfTime | Failure::Exceeded(engine::Exceeded::Cpu))) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(ErrorReply::new(StatusCode::GATEWAY_TIMEOUT, "This took too long").incident(id))
            }
            Err(failure @ Failure::Busy) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(ErrorReply::busy("The host is busy; try again in a moment"))
            }
            Err(failure @ Failure::Cut) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(ErrorReply::busy("An update ended this; try again"))
            }
            Err(failure) => Err(self.incident(route, id, &failure.to_string())),
        }
    }

    /// A handler failed: the reason is logged for the operator, the client gets the id of the log line.
    fn incident(&self, route: &Route, id: &str, why: &str) -> ErrorReply {
        tracing::error!(id, component = route.component.manifest.component.name, route = %route.path, "{why}");
        ErrorReply::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side").incident(id)
    }

    async fn identity(&self, route: &Route, headers: &http::HeaderMap) -> Result<Option<Identity>, ErrorReply> {
        if route.session == SessionRule::None {
            return Ok(None);
        }
        let shared = self.registry.engine().shared();
        let rules = &shared.application.session;
        let identity = match session_token(headers, &rules.cookie) {
            None => None,
            Some(token) => shared.capabilities.sessions.check(&token).await.map_err(|error| {
                tracing::warn!("{error}");
                ErrorReply::busy("Sessions can't be checked at this moment; try again")
            })?,
        };
        if identity.is_none() && route.session == SessionRule::Required {
            return Err(ErrorReply::text(StatusCode::UNAUTHORIZED, &rules.refusal));
        }
        Ok(identity)
    }

    fn cookie_rules(&self) -> cookies::CookieRules<'_> {
        let rules = &self.registry.engine().shared().application.session;
        cookies::CookieRules { name: &rules.cookie, age: rules.cookie_age, https: self.site.https }
    }

    /// What the host answers itself at one of its own paths.
    fn own(&self, path: &str, headers: &http::HeaderMap) -> Option<Reply> {
        match without_slash(path) {
            "/healthz" => Some(Reply::text(StatusCode::OK, "ok")),
            "/readyz" => Some(readiness(&self.site.stores, &self.registry.failing().names())),
            openapi::PATH => {
                let published = self.published();
                let is_known = openapi::is_known(headers.get(header::IF_NONE_MATCH), &published.etag);
                Some(Reply::tagged(published.body.clone(), published.etag.clone(), is_known))
            }
            _ => None,
        }
    }

    /// The answer by a file of a component, where no route answers. Nobody has to be logged in, and no instance is made.
    fn file(
        &self,
        found: &Found,
        method: Option<RouteMethod>,
        parts: &http::request::Parts,
        client: std::net::IpAddr,
    ) -> Option<Result<Reply, ErrorReply>> {
        let methods = match found {
            Found::Route(..) => return None,
            Found::OtherMethods(methods) => methods.as_slice(),
            Found::Nothing => &[],
        };
        let path = files::decoded(parts.uri.path())?;
        let caller = || client.to_string();
        let file = self.registry.file(&path, caller);
        if method == Some(RouteMethod::Get) {
            let file = file.or_else(|| self.registry.fallback_file(&path, caller))?;
            return Some(files::answer(&file, parts.method == Method::HEAD, &parts.headers));
        }
        file.map(|_| Err(other_methods(&[methods, &[RouteMethod::Get]].concat())))
    }

    /// Whether there is a file at a path.
    fn has_file(&self, path: &str) -> bool {
        let nobody = String::new;
        files::decoded(path).is_some_and(|path| self.registry.file(&path, nobody).is_some())
    }

    /// The description of the routes that are served now; made once for a route table.
    fn published(&self) -> Arc<Published> {
        let routes = self.registry.routes();
        let mut published = self.published.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = published.as_ref().filter(|known| known.is_of(&routes)) {
            return known.clone();
        }
        let application = &self.registry.engine().shared().application;
        published.insert(Arc::new(Published::new(&routes, application))).clone()
    }

    fn options(&self, path: &str, headers: &http::HeaderMap, verdict: &Verdict) -> Result<Reply, ErrorReply> {
        if *verdict == Verdict::Foreign {
            return Err(ErrorReply::new(StatusCode::FORBIDDEN, "This origin may not call here"));
        }
        if SocketTrigger::answers(path) {
            return Ok(Reply::preflight("GET, POST, OPTIONS", headers));
        }
        if is_own(path) {
            return Ok(Reply::preflight(&allow(&[RouteMethod::Get]), headers));
        }
        let mut methods = match self.registry.routes().find(None, path) {
            Found::OtherMethods(methods) => methods,
            Found::Route(..) | Found::Nothing => Vec::new(),
        };
        if !methods.contains(&RouteMethod::Get) && self.has_file(path) {
            methods.push(RouteMethod::Get);
        }
        if methods.is_empty() {
            return Err(ErrorReply::new(StatusCode::NOT_FOUND, "There is nothing here"));
        }
        Ok(Reply::preflight(&allow(&methods), headers))
    }
}

/// A route, and its parameters as in the path, not decoded.
type Matched = (Arc<Route>, Vec<(String, String)>);

/// The matched route.
fn route(found: Found) -> Result<Matched, ErrorReply> {
    match found {
        Found::Route(route, params) => Ok((route, params)),
        Found::OtherMethods(methods) => Err(other_methods(&methods)),
        Found::Nothing => Err(ErrorReply::new(StatusCode::NOT_FOUND, "There is nothing here")),
    }
}

/// The paths that the host answers itself; a component's route of such a path is not reached.
const OWN_PATHS: [&str; 3] = ["/healthz", "/readyz", openapi::PATH];

fn is_own(path: &str) -> bool {
    OWN_PATHS.contains(&without_slash(path))
}

/// A path without the slash at its end, with which all paths are served as well.
fn without_slash(path: &str) -> &str {
    path.strip_suffix('/').unwrap_or(path)
}

/// The answer to another method than these.
fn other_methods(methods: &[RouteMethod]) -> ErrorReply {
    let error = ErrorReply::new(StatusCode::METHOD_NOT_ALLOWED, "This path has other methods");
    error.with(header::ALLOW, &allow(methods))
}

fn or_error(answer: Result<Reply, ErrorReply>, id: &str) -> Reply {
    answer.unwrap_or_else(|error| {
        tracing::debug!(id, status = error.status.as_u16(), "refused: {}", error.message);
        error.into_reply()
    })
}

/// The state of every store, and the components that this host should serve and can't. The host is up while all answer and
/// serve, degraded while a store that it does not need is down or a component fails, and down, with a 503, while a store that
/// it needs is. The reasons are for operators: they may name hosts and files.
fn readiness(stores: &[Store], failing: &[String]) -> Reply {
    let (mut host, mut status, mut all) = ("up", StatusCode::OK, serde_json::Map::new());
    for store in stores {
        let state = store.health().name();
        if state == "down" && store.needed {
            (host, status) = ("down", StatusCode::SERVICE_UNAVAILABLE);
        } else if state != "up" && host == "up" {
            host = "degraded";
        }
        all.insert(store.capability.to_owned(), serde_json::json!({ "engine": store.engine, "state": state }));
    }
    if !failing.is_empty() && host == "up" {
        host = "degraded";
    }
    let components = serde_json::json!({ "failed": failing });
    Reply::json(status, &serde_json::json!({ "status": host, "stores": all, "components": components }))
}

/// The value of an `Allow` header.
fn allow(methods: &[RouteMethod]) -> String {
    let mut names: Vec<&str> = methods.iter().map(|method| method.as_str()).collect();
    if methods.contains(&RouteMethod::Get) {
        names.push("HEAD");
    }
    names.push("OPTIONS");
    names.join(", ")
}
