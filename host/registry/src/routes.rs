//! The route table: from a method and a path, a socket's event or a change of presence to a component.
//!
//! Matching is `matchit`'s: static segments before parameters before a wildcard. A table is built whole from the manifests and
//! never changed afterwards. Touches no store.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::conflict::RouteConflict;
use crate::files::{Files, FoundFile};
use crate::{Canary, Served};
use engine::Loaded;
use manifest::{BodyRule, HttpTrigger, Method, SessionRule};

/// One route of one component.
pub struct Route {
    /// The component that answers.
    pub component: Arc<Loaded>,
    /// The path as the manifest has it.
    pub path: Arc<str>,
    /// Who may call.
    pub session: SessionRule,
    /// What the body must be.
    pub body: BodyRule,
    /// The request headers that the component asked for.
    pub headers: Vec<http::HeaderName>,
    /// The canary's route of the same method and path.
    canary: Option<(Canary, Arc<Route>)>,
}

impl Route {
    fn of(component: &Arc<Loaded>, trigger: &HttpTrigger) -> Self {
        Self {
            component: component.clone(),
            path: trigger.path.as_str().into(),
            session: trigger.session,
            body: trigger.body(),
            headers: trigger.headers.iter().filter_map(|name| name.parse().ok()).collect(),
            canary: None,
        }
    }

    /// The canary's route, if the caller gets the canary.
    pub fn pick(&self, caller: impl FnOnce() -> String) -> Option<&Arc<Route>> {
        let (canary, route) = self.canary.as_ref()?;
        canary.includes(&caller()).then_some(route)
    }
}

/// What a path leads to.
pub enum Found {
    /// A route, and its parameters as they are in the path.
    Route(Arc<Route>, Vec<(String, String)>),
    /// The path exists, but not with this method; it has these.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
}

/// The routes of one listener.
#[derive(Default)]
struct RouteTable(BTreeMap<Method, matchit::Router<Arc<Route>>>);

/// All routes.
#[derive(Default)]
pub struct Routes {
    public: RouteTable,
    listed: Vec<(Method, Arc<Route>)>,
    operators: RouteTable,
    events: BTreeMap<String, Served>,
    presence: Vec<Served>,
    files: Files,
}

impl Routes {
    /// Builds the table from these components, in this order.
    pub fn of<'a>(components: impl IntoIterator<Item = &'a Served>) -> Result<Self, RouteConflict> {
        let components: Vec<&Served> = components.into_iter().collect();
        let mut routes = Self::default();
        for served in components.iter().copied() {
            let manifest = &served.stable.manifest;
            for trigger in &manifest.http {
                let mut route = Route::of(&served.stable, trigger);
                route.canary = served.canary.as_ref().and_then(|canary| {
                    let same = |other: &&HttpTrigger| other.is_same_route(trigger);
                    let trigger = canary.version.manifest.http.iter().find(same)?;
                    Some((canary.clone(), Arc::new(Route::of(&canary.version, trigger))))
                });
                let route = Arc::new(route);
                if route.session == SessionRule::Operator {
                    routes.operators.insert(trigger.method, route)?;
                } else {
                    routes.listed.push((trigger.method, route.clone()));
                    routes.public.insert(trigger.method, route)?;
                }
            }
            for trigger in &manifest.socket {
                routes.insert_event(&trigger.event, served)?;
            }
            if manifest.presence.is_some() {
                routes.presence.push(served.where_canary(|canary| canary.presence.is_some()));
            }
        }
        routes.files = Files::of(&components, |path| match routes.public.find(Some(Method::Get), path) {
            Found::Route(route, _) => {
                Some((route.component.manifest.component.name.clone(), format!("GET {}", route.path)))
            }
            Found::OtherMethods(_) | Found::Nothing => None,
        })?;
        Ok(routes)
    }

    fn insert_event(&mut self, event: &str, served: &Served) -> Result<(), RouteConflict> {
        let answering = served.where_canary(|canary| canary.socket.iter().any(|trigger| trigger.event == event));
        match self.events.insert(event.to_owned(), answering) {
            None => Ok(()),
            Some(first) => Err(RouteConflict {
                first: first.name().to_owned(),
                second: served.name().to_owned(),
                wanted: format!("the socket event {event:?}"),
                other: "it".into(),
            }),
        }
    }

    /// The component that answers a socket event.
    pub fn event(&self, name: &str) -> Option<&Served> {
        self.events.get(name)
    }

    /// The file at a decoded path; see [`Files::find`].
    pub(super) fn file(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        self.files.find(path, caller)
    }

    /// The file that answers a decoded path which leads to nothing else.
    pub(super) fn fallback(&self, path: &str, caller: impl Fn() -> String) -> Option<FoundFile> {
        self.files.fallback(path, caller)
    }

    /// The components that are called when a user comes online or goes offline.
    pub fn presence(&self) -> &[Served] {
        &self.presence
    }

    /// The routes of the public listener, those that only canaries have left out.
    pub fn listed(&self) -> impl Iterator<Item = (Method, &Route)> {
        self.listed.iter().map(|(method, route)| (*method, &**route))
    }

    /// The route of a request to the public listener.
    pub fn find(&self, method: Option<Method>, path: &str) -> Found {
        self.public.find(method, path)
    }

    /// The route of an operator's request.
    pub fn find_for_operator(&self, method: Option<Method>, path: &str) -> Found {
        self.operators.find(method, path)
    }
}

impl RouteTable {
    fn insert(&mut self, method: Method, route: Arc<Route>) -> Result<(), RouteConflict> {
        let router = self.0.entry(method).or_default();
        let Err(error) = router.insert(&*route.path, route.clone()) else { return Ok(()) };
        let other = match error {
            matchit::InsertError::Conflict { with } => with,
            error => error.to_string(),
        };
        let first = router.at(&other).ok().map(|found| found.value.component.manifest.component.name.clone());
        Err(RouteConflict {
            first: first.unwrap_or_else(|| "the router".into()),
            second: route.component.manifest.component.name.clone(),
            wanted: format!("{} {}", method.as_str(), route.path),
            other,
        })
    }

    /// A path with a slash at its end is the one without, unless it is a route of its own.
    fn find(&self, method: Option<Method>, path: &str) -> Found {
        let shorter = path.strip_suffix('/').filter(|shorter| !shorter.is_empty());
        let paths = || std::iter::once(path).chain(shorter);
        let router = method.and_then(|method| self.0.get(&method));
        if let Some(found) = router.and_then(|router| paths().find_map(|path| router.at(path).ok())) {
            let params = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            return Found::Route(found.value.clone(), params);
        }
        let has = |router: &matchit::Router<_>| paths().any(|path| router.at(path).is_ok());
        let others: Vec<Method> = self.0.iter().filter(|(_, router)| has(router)).map(|(method, _)| *method).collect();
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
    }
}
