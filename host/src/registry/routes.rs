//! The route table: from a method and a path to a component.
//!
//! Matching is `matchit`'s: static segments before parameters before a wildcard. Built whole from the manifests and
//! never changed after.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::{BodyRule, Method, SessionRule};
use crate::engine::Loaded;

/// Two components that want the same route.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{second} can't have {method} {path}: {first} has {other} already; change one of the two manifests")]
pub struct RouteConflict {
    /// Who has it.
    pub first: String,
    /// Who wants it too.
    pub second: String,
    /// The method of both.
    pub method: &'static str,
    /// The path that is refused.
    pub path: String,
    /// The path that it collides with.
    pub other: String,
}

/// One route of one component.
pub struct Route {
    /// Who answers.
    pub component: Arc<Loaded>,
    /// As the manifest writes it.
    pub path: Arc<str>,
    /// Who may call.
    pub session: SessionRule,
    /// What the body has to be.
    pub body: BodyRule,
    /// The request headers that the component asked for.
    pub headers: Vec<http::HeaderName>,
}

/// What a path leads to.
pub enum Found {
    /// A route, and its parameters as they stand in the path.
    Route(Arc<Route>, Vec<(String, String)>),
    /// The path is there, but not with this method; these are.
    OtherMethods(Vec<Method>),
    /// No such path.
    Nothing,
}

/// All routes.
#[derive(Default)]
pub struct Routes {
    methods: BTreeMap<Method, matchit::Router<Arc<Route>>>,
}

impl Routes {
    /// Of these components, in this order.
    pub fn of<'a>(components: impl IntoIterator<Item = &'a Arc<Loaded>>) -> Result<Self, RouteConflict> {
        let mut routes = Self::default();
        for component in components {
            for trigger in &component.manifest.http {
                let route = Route {
                    component: component.clone(),
                    path: trigger.path.as_str().into(),
                    session: trigger.session,
                    body: trigger.body,
                    headers: trigger.headers.iter().filter_map(|name| name.parse().ok()).collect(),
                };
                routes.insert(trigger.method, Arc::new(route))?;
            }
        }
        Ok(routes)
    }

    fn insert(&mut self, method: Method, route: Arc<Route>) -> Result<(), RouteConflict> {
        let table = self.methods.entry(method).or_default();
        let Err(error) = table.insert(&*route.path, route.clone()) else { return Ok(()) };
        let other = match error {
            matchit::InsertError::Conflict { with } => with,
            error => error.to_string(),
        };
        let first = table.at(&other).ok().map(|found| found.value.component.manifest.component.name.clone());
        Err(RouteConflict {
            first: first.unwrap_or_else(|| "the router".into()),
            second: route.component.manifest.component.name.clone(),
            method: method.as_str(),
            path: route.path.to_string(),
            other,
        })
    }

    /// Where a request goes.
    pub fn find(&self, method: Option<Method>, path: &str) -> Found {
        if let Some(found) = method.and_then(|method| self.methods.get(&method)?.at(path).ok()) {
            let params = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
            return Found::Route(found.value.clone(), params);
        }
        let others: Vec<Method> =
            self.methods.iter().filter(|(_, table)| table.at(path).is_ok()).map(|(method, _)| *method).collect();
        if others.is_empty() { Found::Nothing } else { Found::OtherMethods(others) }
    }
}
