//! The grant to fetch: the servers that a component may send requests to, and the secrets that go to them. It touches
//! nothing.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;

use super::address::Network;
use super::server::{Server, ServerPattern, Target};
use crate::settings::Settings;
use crate::text;

/// What a component may fetch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Grant {
    /// Servers, as `api.example.com`, `*.example.com:8443` or `http://10.0.0.7:8080`.
    pub hosts: BTreeSet<ServerPattern>,
    /// Settings of the application whose values are URLs: the servers that these lead to. One without a value names
    /// none.
    pub settings: BTreeSet<String>,
    /// Addresses and networks that are not public and may be connected to all the same.
    pub private: BTreeSet<Network>,
    /// The secrets that may be in a header, by name, and the servers that get them.
    pub secrets: BTreeMap<String, ServerPattern>,
}

impl Grant {
    /// Whether anything may be fetched.
    pub fn is_empty(&self) -> bool {
        self.hosts.is_empty() && self.settings.is_empty()
    }

    /// Refuses a part that nothing can use.
    ///
    /// # Errors
    /// The key in the manifest, and what to do about it.
    pub fn check(&self) -> Result<(), (&'static str, String)> {
        let unused = |what: &str| {
            let line =
                format!("grants.fetch.{what}: nothing may be fetched; name servers in `hosts` or `settings`, too");
            Err(if what == "private" { ("private", line) } else { ("secrets", line) })
        };
        match self {
            _ if !self.is_empty() => Ok(()),
            Grant { private, .. } if !private.is_empty() => unused("private"),
            Grant { secrets, .. } if !secrets.is_empty() => unused("secrets"),
            _ => Ok(()),
        }
    }

    /// Refuses settings whose values are no URLs.
    ///
    /// # Errors
    /// The setting's name, its value, and what is wrong with it.
    pub fn check_settings(&self, settings: &Settings) -> Result<(), String> {
        for name in &self.settings {
            let Some(value) = settings.get(name).filter(|value| !value.is_empty()) else { continue };
            let wrong = match value.parse::<Target>() {
                Err(why) => why,
                Ok(target) if target.path.contains('?') => "a URL that paths are put behind has no query".to_owned(),
                Ok(_) => continue,
            };
            return Err(format!("the setting {name} is {}: {wrong}", text::quoted(value)));
        }
        Ok(())
    }

    /// Whether requests to the server are granted; the error is the line that would.
    pub(super) fn check_server(&self, server: &Server, settings: &Settings) -> Result<(), String> {
        let mut of_settings = self.settings.iter().filter_map(|name| settings.get(name)?.parse::<Target>().ok());
        let granted = self.hosts.iter().any(|pattern| pattern.covers(server))
            || of_settings.any(|target| target.server == *server);
        if granted {
            return Ok(());
        }
        let server = text::quoted(&server.to_string());
        Err(format!("not granted; in component.toml: [grants.fetch] hosts = [{server}]"))
    }

    /// Whether the server may get the secret; the error is the line that would.
    pub(super) fn check_secret(&self, secret: &str, server: &Server) -> Result<(), String> {
        if self.secrets.get(secret).is_some_and(|pattern| pattern.covers(server)) {
            return Ok(());
        }
        let [secret, server] = [secret, &server.to_string()].map(text::quoted);
        Err(format!("not granted; in component.toml: [grants.fetch] secrets = {{ {secret} = {server} }}"))
    }
}
