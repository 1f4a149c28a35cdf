//! The application: what the components have in common and the host must know without knowing the product.
//!
//! `application.toml` beside the components says it: how sessions look on the wire and in the store, which collections,
//! indexes, topics and secrets there are. The host knows this schema only; every name in it is the application's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use crate::capability::documents::{Collection, Derived, Index, MARKERS, Schema};
use crate::capability::{events, generations, invalidations, mail};
use crate::deploy;
use crate::trigger::schedule;

/// Why an application file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// It can't be read.
    #[error("can't read {path}: {source}; `cargo xtask build-components` puts it there")]
    Unreadable {
        /// Where it should be.
        path: String,
        /// What the system said.
        source: std::io::Error,
    },
    /// The TOML or a value in it is wrong; the text has line and column.
    #[error("application.toml is wrong: {0}")]
    Malformed(String),
}

/// The whole of `application.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Application {
    /// How sessions look.
    pub session: SessionRules,
    /// Who may call from a browser.
    #[serde(default)]
    pub origins: Origins,
    /// Collections by name.
    #[serde(default)]
    pub collections: BTreeMap<String, CollectionRules>,
    /// Topics by name.
    #[serde(default)]
    pub topics: BTreeMap<String, TopicRules>,
    /// Secrets that components sign with, by the name they use; the value is the environment variable.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// What holds for cached values.
    #[serde(default)]
    pub cache: CacheRules,
    /// Settings for components, unless the operator sets others.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
}

/// How sessions look on the wire, in the store and in the cache.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionRules {
    /// The cookie's name. The host alone sets it.
    pub cookie: String,
    /// How long a browser keeps the cookie, in seconds.
    pub cookie_age: u64,
    /// How long a token is good, in seconds.
    pub token_age: u64,
    /// The claim that carries the user's id.
    pub subject_claim: String,
    /// Further claims that a component may put into a token.
    #[serde(default)]
    pub claims: BTreeSet<String>,
    /// The environment variable of the signing secret.
    pub secret: String,
    /// The body of a 401, as plain text.
    pub refusal: String,
    /// Where sessions are kept.
    pub collection: String,
    /// What their fields are called.
    pub fields: SessionFields,
    /// The cache key of a session; `{hash}` is the hex SHA-256 of its token.
    pub cache_key: String,
    /// How long a session is cached, in seconds.
    pub cache_age: u64,
}

/// The names of a session document's fields.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct SessionFields {
    /// The token's `jti`.
    pub id: String,
    /// The user's id; stored as an ObjectId where it looks like one.
    pub subject: String,
    /// The token's hash, by which its cache entry is found when the session ends from elsewhere.
    pub hash: String,
    /// A date.
    pub created: String,
    /// A date.
    pub expires: String,
    /// A date, or not there.
    pub revoked: String,
}

/// Browser origins besides the operator's own list.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Origins {
    /// Allowed outside production.
    #[serde(default)]
    pub development: BTreeSet<String>,
}

/// One collection.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CollectionRules {
    /// Fields that only a component with an explicit grant sees.
    pub private: BTreeSet<String>,
    /// Besides the one on `_id`.
    pub indexes: Vec<Index>,
    /// Fields that follow from others, by name. Components write them; the host fills them in where older documents
    /// lack them: `[collections.people.derived] nameKey = { lower-case = "name" }`.
    pub derived: BTreeMap<String, Derived>,
    /// The component that makes all of it out of events, and can make it anew from them; others may look at it.
    pub rebuilt_by: Option<String>,
}

/// What holds for cached values.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheRules {
    /// Beginnings of keys whose values are read often and change seldom: where the cache is another server, hosts keep them
    /// in memory, too, until they change.
    pub near: Vec<String>,
}

/// One topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopicRules {
    /// How many partitions it has, 1 to 1,000.
    pub partitions: u32,
}

impl Application {
    /// The file's name in the folder of components.
    pub const FILE: &'static str = "application.toml";
    /// How the names of the host's own collections begin.
    const RESERVED: &'static str = "host-";

    /// Reads `application.toml` in a folder of components.
    pub fn read(components: &Path) -> Result<Self, ApplicationError> {
        let path = components.join(Self::FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ApplicationError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// From its TOML.
    pub fn parse(text: &str) -> Result<Self, ApplicationError> {
        let application: Application = toml::from_str(text)
            .map_err(|error| ApplicationError::Malformed(error.to_string().trim_end().to_owned()))?;
        application.check().map_err(ApplicationError::Malformed)?;
        Ok(application)
    }

    fn check(&self) -> Result<(), String> {
        let session = &self.session;
        if !session.cache_key.contains("{hash}") {
            return Err("session.cache-key must contain {hash}".into());
        }
        if !self.collections.contains_key(&session.collection) {
            return Err(format!("session.collection is {0:?}, but there is no [collections.{0}]", session.collection));
        }
        if session.token_age == 0 || session.cookie_age == 0 || session.cache_age == 0 {
            return Err("session ages are at least a second".into());
        }
        for reserved in ["jti", "iat", "exp"] {
            if session.claims.contains(reserved) || session.subject_claim == reserved {
                return Err(format!("the claim {reserved:?} is the host's own"));
            }
        }
        for (name, collection) in &self.collections {
            if name.starts_with(Self::RESERVED) {
                return Err(format!(
                    "collections.{name}: names that begin with {:?} are the host's own",
                    Self::RESERVED
                ));
            }
            let second = format!("{name}{}", generations::SECOND);
            if collection.rebuilt_by.is_some() && self.collections.contains_key(&second) {
                return Err(format!("collections.{second}: {name} is built anew there; give it another name"));
            }
            for (field, rule) in &collection.derived {
                let place = format!("collections.{name}.derived.{field}");
                rule.check(field).map_err(|why| format!("{place}: {why}"))?;
                if let Some(source) = rule.sources().iter().find(|source| collection.derived.contains_key(*source)) {
                    return Err(format!("{place}: {source:?} is derived itself; name what it follows from"));
                }
            }
        }
        for (name, topic) in &self.topics {
            if !(1..=1_000).contains(&topic.partitions) {
                return Err(format!("topics.{name}.partitions takes 1 to 1000"));
            }
        }
        Ok(())
    }

    /// The collections as the document engines want them, the host's own among them.
    pub fn schema(&self) -> Schema {
        let of =
            |rules: &CollectionRules| Collection { indexes: rules.indexes.clone(), derived: rules.derived.clone() };
        let mut collections: BTreeMap<_, _> =
            self.collections.iter().map(|(name, rules)| (name.clone(), of(rules))).collect();
        let rebuilt = self.collections.iter().filter(|(_, rules)| rules.rebuilt_by.is_some());
        collections.extend(rebuilt.map(|(name, rules)| (generations::slot(name, 1), of(rules))));
        for own in [
            generations::COLLECTION,
            MARKERS,
            invalidations::COLLECTION,
            events::SETTLED_LETTERS,
            schedule::COLLECTION,
            deploy::COLLECTION,
            deploy::LOG,
            deploy::TRIALS,
        ] {
            collections.insert(own.to_owned(), Collection::default());
        }
        collections.insert(events::CONSUMED.to_owned(), events::consumed());
        collections.insert(deploy::BLOBS.to_owned(), deploy::blobs());
        collections.insert(mail::COLLECTION.to_owned(), mail::collection());
        Schema { collections }
    }

    /// Partitions by topic.
    pub fn partitions(&self) -> BTreeMap<String, u32> {
        self.topics.iter().map(|(name, rules)| (name.clone(), rules.partitions)).collect()
    }

    /// The component that makes a collection out of events.
    pub fn rebuilt_by(&self, collection: &str) -> Option<&str> {
        self.collections.get(collection)?.rebuilt_by.as_deref()
    }

    /// The collections that a component makes out of events.
    pub fn rebuilt<'a>(&'a self, component: &'a str) -> impl Iterator<Item = &'a str> {
        let rebuilt = self.collections.iter().filter(move |(_, rules)| rules.rebuilt_by.as_deref() == Some(component));
        rebuilt.map(|(name, _)| name.as_str())
    }

    /// The fields of a collection that are private; none when it is unknown.
    pub fn private(&self, collection: &str) -> &BTreeSet<String> {
        static NONE: BTreeSet<String> = BTreeSet::new();
        self.collections.get(collection).map_or(&NONE, |rules| &rules.private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMALLEST: &str = "
[session]
cookie = 'c'
cookie-age = 1
token-age = 1
subject-claim = 'sub'
secret = 'S'
refusal = 'no'
collection = 'logins'
cache-key = '{hash}'
cache-age = 1
[session.fields]
id = 'i'
subject = 's'
hash = 'h'
created = 'c'
expires = 'e'
revoked = 'r'
[collections.logins]
";

    fn parse(lines: &str) -> Result<Application, ApplicationError> {
        Application::parse(&format!("{SMALLEST}{lines}"))
    }

    /// Why the application is refused with these lines behind it.
    fn refused(lines: &str) -> String {
        parse(lines).unwrap_err().to_string()
    }

    #[test]
    fn derived_fields_are_read() {
        let schema = parse("[collections.people.derived]\nkey = { lower-case = 'name' }").unwrap().schema();
        let derived = schema.collections.get("people").map(|people| people.derived.clone()).unwrap();
        assert_eq!(derived, BTreeMap::from([("key".to_owned(), Derived::LowerCase("name".to_owned()))]));
        assert!(schema.collections.contains_key(MARKERS));
    }

    #[test]
    fn a_derived_field_that_can_not_be_had_says_why() {
        for (rule, why) in [
            ("key = { lower-case = 'a.b' }", "collections.people.derived.key: \"a.b\" is inside a field"),
            ("'a.b' = { lower-case = 'c' }", "\"a.b\" is inside a field"),
            ("key = { lower-case = '' }", "empty part"),
            ("key = { lower-case = '$x' }", "kept for operators"),
            ("_id = { lower-case = 'name' }", "`_id` can't be derived"),
            ("key = { lower-case = 'key' }", "it can't follow from itself"),
            ("pair = { unordered = ['a', 'a'] }", "\"a\" twice is no pair"),
            ("pair = { unordered = ['a', 'b', 'c'] }", "`unordered` takes two fields, not 3"),
            ("pair = { unordered = 'a' }", "expected a sequence"),
            ("key = { upper-case = 'name' }", "unknown variant `upper-case`, expected `lower-case` or `unordered`"),
            ("key = 'name'", "unknown variant `name`, expected `lower-case` or `unordered`"),
            ("key = { lower-case = 'a', unordered = ['a', 'b'] }", "wanted exactly 1 element"),
            ("key = { lower-case = 'name' }\nother = { lower-case = 'key' }", "\"key\" is derived itself"),
        ] {
            let text = refused(&format!("[collections.people.derived]\n{rule}"));
            assert!(text.contains(why), "{rule}: {text}");
        }
    }

    #[test]
    fn the_hosts_own_collections_are_not_the_applications() {
        let text = refused("[collections.host-markers]");
        assert!(text.contains("names that begin with \"host-\" are the host's own"), "{text}");
    }
}
