//! The HTTP trigger: from a request on the wire to a component and back.
//!
//! Everything that must hold for every route holds here: origins, sessions, body limits, methods, cookies, ids. Routes
//! and words of the product come from manifests and `application.toml`.

mod accept;
mod client;
mod line;
mod origin;
mod reply;
mod request;

use std::sync::Arc;

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use http_body_util::{Either, Full};

pub use accept::{AcceptOptions, serve};
pub use client::Proxies;
pub use origin::{OriginRules, Verdict};
pub(crate) use request::token as token_of;

use crate::engine::{Call, Failure, Identity};
use crate::registry::{Found, Method as RouteMethod, Registry, Route, SessionRule};
use crate::stores::Store;
use crate::trigger::socket::{ServerBody, SocketTrigger};
use reply::{Refusal, Reply};

/// What the operator decides about the wire.
#[derive(Clone)]
pub struct Site {
    /// Whose browsers may call.
    pub origins: OriginRules,
    /// Cookies are `Secure` and `SameSite=None`: the site is served over https.
    pub https: bool,
    /// Whose word about a client's address counts.
    pub proxies: Proxies,
    /// What each capability runs on; shown by `/readyz`.
    pub stores: Arc<Vec<Store>>,
}

/// Answers requests by calling components.
pub struct HttpTrigger {
    registry: Arc<Registry>,
    site: Site,
    sockets: Arc<SocketTrigger>,
}

/// The body of every answer: a component's or the host's own, or the Socket.IO server's.
pub type Body = Either<Full<Bytes>, ServerBody>;

impl HttpTrigger {
    /// For the components of a registry, with the sockets on the same port.
    pub fn new(registry: Arc<Registry>, site: Site, sockets: Arc<SocketTrigger>) -> Self {
        Self { registry, site, sockets }
    }

    /// The sockets on the same port.
    pub fn sockets(&self) -> &Arc<SocketTrigger> {
        &self.sockets
    }

    /// Answers one request from `peer`.
    pub async fn respond<B>(&self, request: Request<B>, peer: std::net::IpAddr) -> Response<Body>
    where
        B: http_body::Body<Data = Bytes> + Send + Unpin + std::fmt::Debug + 'static,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let id = Call::new_id();
        let verdict = self.site.origins.judge(request.headers());
        if SocketTrigger::answers(request.uri().path()) && *request.method() != Method::OPTIONS {
            return self.socket(request, peer, &id, &verdict).await;
        }
        let answer = self.answer(request, peer, &id, &verdict).await;
        or_refused(answer, &id).finish(&id, &verdict)
    }

    /// Answers one request on the operator's side, by a route that is for operators. Whoever calls this has seen to it that
    /// it is one who asks.
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
            let nowhere = std::net::Ipv4Addr::LOCALHOST.into();
            let call = request::read(&route, params, parts, body, &id, None, nowhere).await?;
            self.call(&route, call, &id).await
        };
        or_refused(answer.await, &id).finish(&id, &Verdict::Absent)
    }

    async fn answer<B>(
        &self,
        request: Request<B>,
        peer: std::net::IpAddr,
        id: &str,
        verdict: &Verdict,
    ) -> Result<Reply, Refusal>
    where
        B: http_body::Body<Data = Bytes> + Send,
        B::Error: std::error::Error + Send + Sync + 'static,
    {
        let (parts, body) = request.into_parts();
        let method = RouteMethod::of(&parts.method);
        let path = parts.uri.path();
        if method == Some(RouteMethod::Get)
            && let Some(reply) = self.health(path)
        {
            return Ok(reply);
        }
        if parts.method == Method::OPTIONS {
            return self.options(path, verdict);
        }
        if *verdict == Verdict::Foreign && method.is_none_or(RouteMethod::changes_state) {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "This origin may not change anything here"));
        }
        let (route, params) = route(self.registry.routes().find(method, path))?;
        let identity = self.identity(&route, &parts.headers).await?;
        let client = self.site.proxies.client(peer, &parts.headers);
        let who = || identity.as_ref().map_or_else(|| client.to_string(), |identity| identity.subject.clone());
        let route = route.pick(who).unwrap_or(&route);
        let call = request::read(route, params, parts, body, id, identity, client).await?;
        self.call(route, call, id).await
    }

    /// A request of a socket. A page of another site gets no connection, whatever it would be used for.
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
            let refusal = Refusal::new(StatusCode::FORBIDDEN, "This origin may not connect here");
            return refusal.into_reply().finish(id, verdict);
        }
        let client = self.site.proxies.client(peer, request.headers());
        let mut response = self.sockets.respond(request, client).await.map(Either::Right);
        reply::with_every_answers_headers(response.headers_mut(), id, verdict);
        response
    }

    async fn call(&self, route: &Route, call: crate::engine::HttpCall, id: &str) -> Result<Reply, Refusal> {
        let component = &route.component;
        match self.registry.engine().invoke(component, call).await {
            Ok(answer) => {
                Reply::of_component(answer, &self.cookie_rules()).map_err(|why| self.incident(route, id, &why))
            }
            Err(failure @ (Failure::OutOfTime | Failure::Exceeded(crate::engine::Exceeded::Cpu))) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(Refusal::new(StatusCode::GATEWAY_TIMEOUT, "This took too long").incident(id))
            }
            Err(failure @ Failure::Busy) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(Refusal::busy("The host is busy; try again in a moment"))
            }
            Err(failure @ Failure::Cut) => {
                tracing::warn!(id, component = component.manifest.component.name, route = %route.path, "{failure}");
                Err(Refusal::busy("An update ended this; try again"))
            }
            Err(failure) => Err(self.incident(route, id, &failure.to_string())),
        }
    }

    /// A handler failed: the operator gets the reason, the client an id to ask about.
    fn incident(&self, route: &Route, id: &str, why: &str) -> Refusal {
        tracing::error!(id, component = route.component.manifest.component.name, route = %route.path, "{why}");
        Refusal::new(StatusCode::INTERNAL_SERVER_ERROR, "Something went wrong on our side").incident(id)
    }

    async fn identity(&self, route: &Route, headers: &http::HeaderMap) -> Result<Option<Identity>, Refusal> {
        if route.session == SessionRule::None {
            return Ok(None);
        }
        let shared = self.registry.engine().shared();
        let rules = &shared.application.session;
        let identity = match request::token(headers, &rules.cookie) {
            None => None,
            Some(token) => shared.capabilities.sessions.check(&token).await.map_err(|error| {
                tracing::warn!("{error}");
                Refusal::busy("Sessions can't be checked at this moment; try again")
            })?,
        };
        if identity.is_none() && route.session == SessionRule::Required {
            return Err(Refusal::text(StatusCode::UNAUTHORIZED, &rules.refusal));
        }
        Ok(identity)
    }

    fn cookie_rules(&self) -> reply::CookieRules<'_> {
        let rules = &self.registry.engine().shared().application.session;
        reply::CookieRules { name: &rules.cookie, age: rules.cookie_age, https: self.site.https }
    }

    fn health(&self, path: &str) -> Option<Reply> {
        match path {
            "/healthz" => Some(Reply::text(StatusCode::OK, "ok")),
            "/readyz" => Some(readiness(&self.site.stores)),
            _ => None,
        }
    }

    fn options(&self, path: &str, verdict: &Verdict) -> Result<Reply, Refusal> {
        if *verdict == Verdict::Foreign {
            return Err(Refusal::new(StatusCode::FORBIDDEN, "This origin may not call here"));
        }
        if SocketTrigger::answers(path) {
            return Ok(Reply::preflight("GET, POST, OPTIONS"));
        }
        let methods = match self.registry.routes().find(None, path) {
            Found::OtherMethods(methods) => allow(&methods),
            Found::Route(..) | Found::Nothing => {
                return Err(Refusal::new(StatusCode::NOT_FOUND, "There is nothing here"));
            }
        };
        Ok(Reply::preflight(&methods))
    }
}

/// A route, and its parameters as they stand in the path.
type Matched = (Arc<Route>, Vec<(String, String)>);

/// The route that was found.
fn route(found: Found) -> Result<Matched, Refusal> {
    match found {
        Found::Route(route, params) => Ok((route, params)),
        Found::OtherMethods(methods) => {
            let refusal = Refusal::new(StatusCode::METHOD_NOT_ALLOWED, "This path has other methods");
            Err(refusal.with(header::ALLOW, &allow(&methods)))
        }
        Found::Nothing => Err(Refusal::new(StatusCode::NOT_FOUND, "There is nothing here")),
    }
}

fn or_refused(answer: Result<Reply, Refusal>, id: &str) -> Reply {
    answer.unwrap_or_else(|refusal| {
        tracing::debug!(id, status = refusal.status.as_u16(), "refused: {}", refusal.message);
        refusal.into_reply()
    })
}

/// Every store's state. The whole is up while each answers, degraded while the host serves without one of them, and
/// down, with a 503, while one is away that it can't do without. Why a store is away is for the log: it may name hosts.
fn readiness(stores: &[Store]) -> Reply {
    let (mut whole, mut status, mut all) = ("up", StatusCode::OK, serde_json::Map::new());
    for store in stores {
        let state = store.health().name();
        if state == "down" && store.needed {
            (whole, status) = ("down", StatusCode::SERVICE_UNAVAILABLE);
        } else if state != "up" && whole == "up" {
            whole = "degraded";
        }
        all.insert(store.capability.to_owned(), serde_json::json!({ "engine": store.engine, "state": state }));
    }
    Reply::json(status, &serde_json::json!({ "status": whole, "stores": all }))
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
