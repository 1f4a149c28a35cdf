//! The application: what the components have in common and the host needs to know.
//!
//! It is in `application.toml` next to the components: the format of sessions in cookies and in the store, collections,
//! indexes, topics and secrets. The host knows the schema of this file; every name in it is the application's.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;

use capability::cache::KeyTemplate;
use capability::documents::{Collection, Derived, Index, Schema, Write};
use capability::events::DEAD_LETTERS;
use capability::generations;
use capability::pattern;
use capability::retention::Expiry;
use capability::sessions::SessionRules;
use capability::signing::Scheme;

/// Why an application file is refused.
#[derive(Debug, thiserror::Error)]
pub enum ApplicationError {
    /// It can't be read.
    #[error("can't read {path}: {source}; `cargo xtask build-components` puts it there")]
    Unreadable {
        /// Its path.
        path: String,
        /// The error of the system.
        source: std::io::Error,
    },
    /// The TOML or a value in it is wrong; the text has line and column.
    #[error("application.toml is wrong: {0}")]
    Malformed(String),
}

/// `application.toml`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Application {
    /// What it is called.
    #[serde(default)]
    pub application: ApplicationName,
    /// The format of sessions.
    pub session: SessionRules,
    /// The origins that may call from a browser.
    #[serde(default)]
    pub origins: Origins,
    /// Collections by name.
    #[serde(default)]
    pub collections: BTreeMap<String, CollectionRules>,
    /// Topics by name.
    #[serde(default)]
    pub topics: BTreeMap<String, TopicRules>,
    /// The secrets that components sign with, by name; the value is the environment variable.
    #[serde(default)]
    pub secrets: BTreeMap<String, String>,
    /// More of them, which come from somebody else and may be missing: then nothing is signed with them.
    #[serde(default)]
    pub optional_secrets: BTreeMap<String, String>,
    /// How a secret signs, where it is not HMAC-SHA-256.
    #[serde(default)]
    pub signing: BTreeMap<String, Scheme>,
    /// The rules for cached values.
    #[serde(default)]
    pub cache: CacheRules,
    /// The settings for components, which the operator may override.
    #[serde(default)]
    pub settings: BTreeMap<String, String>,
    /// The environment variables of settings, which win over the operator's file.
    #[serde(default)]
    pub variables: BTreeMap<String, String>,
}

/// The application's name and version, for who reads the description of its API.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct ApplicationName {
    /// For people.
    pub name: String,
    /// For people.
    pub version: String,
    /// A few sentences.
    #[serde(default)]
    pub description: String,
}

impl Default for ApplicationName {
    fn default() -> Self {
        Self { name: "Application".to_owned(), version: "0".to_owned(), description: String::new() }
    }
}

/// Browser origins in addition to the operator's list.
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
    /// Fields that only components with an explicit grant can read.
    pub private: BTreeSet<String>,
    /// Indexes in addition to the one on `_id`.
    pub indexes: Vec<Index>,
    /// Fields that are derived from others, by name. Components write them; the host adds them to older documents without
    /// them: `[collections.people.derived] nameKey = { lower-case = "name" }`.
    pub derived: BTreeMap<String, Derived>,
    /// The component that builds the whole collection from events, and can rebuild it; others may read it.
    pub rebuilt_by: Option<String>,
    /// When the host deletes its documents; without it they stay.
    pub expires: Option<Expiry>,
    /// Keys of cached values that follow from its documents, as `user:{_id}:card`: each commit of whichever component makes those
    /// of the documents stale that it writes.
    pub stale: Vec<KeyTemplate>,
    /// Keys of cached values that follow from which documents there are: stale by commits that add or remove some.
    pub stale_by_count: Vec<KeyTemplate>,
}

/// The rules for cached values.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct CacheRules {
    /// Prefixes of keys whose values are read often and change rarely: where the cache is another server, hosts also have
    /// them in a client cache until they change.
    pub near: Vec<String>,
}

/// One topic.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct TopicRules {
    /// How many partitions it has, 1 to 1,000.
    pub partitions: u32,
    /// The types of its events, as far as they are known: what a component may meet that lists none.
    #[serde(default)]
    pub types: BTreeSet<String>,
}

impl Application {
    /// The file's name in the folder of components.
    pub const FILE: &'static str = "application.toml";
    /// The prefix of the host's own collections.
    const RESERVED: &'static str = "host-";
    /// What the names of the host's own secrets begin with, besides that of sessions.
    const OWN_SECRETS: [&'static str; 2] = ["DEVCONNECT_", "COMPILED_CODE_KEY"];
    /// The longest name of a topic: with a prefix and the suffix of its dead letters it is one that Kafka takes.
    const LONGEST_TOPIC: usize = 200;

    /// Reads `application.toml` in a folder of components.
    pub fn read(components: &Path) -> Result<Self, ApplicationError> {
        let path = components.join(Self::FILE);
        let text = std::fs::read_to_string(&path)
            .map_err(|source| ApplicationError::Unreadable { path: path.display().to_string(), source })?;
        Self::parse(&text)
    }

    /// Parses the TOML.
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
        self.check_secrets()?;
        let own = capability::collections();
        for (name, collection) in &self.collections {
            if name.to_ascii_lowercase().starts_with(Self::RESERVED) {
                return Err(format!(
                    "collections.{name}: names that begin with {:?} are the host's own",
                    Self::RESERVED
                ));
            }
            if own.iter().any(|(own, _)| own.eq_ignore_ascii_case(name)) {
                return Err(format!("collections.{name}: the host has a collection of this name; give it another one"));
            }
            let second = format!("{name}{}", generations::SECOND);
            if collection.rebuilt_by.is_some() && self.collections.contains_key(&second) {
                return Err(format!("collections.{second}: {name} is built anew there; give it another name"));
            }
            if let Some(expiry) = &collection.expires {
                let indexed = collection.indexes.iter().any(|index| index.fields.first() == Some(&expiry.field));
                if !indexed || expiry.days == 0 {
                    return Err(format!(
                        "collections.{name}.expires takes at least one day, and a field that is the first of an index"
                    ));
                }
            }
            self.check_stale(name, collection)?;
            for (field, rule) in &collection.derived {
                let path = format!("collections.{name}.derived.{field}");
                rule.check(field).map_err(|why| format!("{path}: {why}"))?;
                if let Some(source) = rule.sources().iter().find(|source| collection.derived.contains_key(*source)) {
                    return Err(format!("{path}: {source:?} is derived itself; name what it follows from"));
                }
            }
        }
        for (name, topic) in &self.topics {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
            let valid = (1..=Self::LONGEST_TOPIC).contains(&name.len()) && name.bytes().all(plain);
            if !valid || matches!(name.as_str(), "." | "..") {
                let longest = Self::LONGEST_TOPIC;
                return Err(format!("topics.{name:?}: a name takes 1 to {longest} letters, digits, `.`, `_` or `-`"));
            }
            if name.ends_with(DEAD_LETTERS) {
                return Err(format!("topics.{name}: names that end with {DEAD_LETTERS:?} are those of dead letters"));
            }
            if !(1..=1_000).contains(&topic.partitions) {
                return Err(format!("topics.{name}.partitions takes 1 to 1000"));
            }
        }
        Ok(())
    }

    /// Checks the keys that follow from a collection: nobody but components' commits writes it, and no session is among them.
    fn check_stale(&self, name: &str, collection: &CollectionRules) -> Result<(), String> {
        let sessions = self.session.cache_key.replace("{hash}", "*");
        let mut templates = collection.stale.iter().chain(&collection.stale_by_count).peekable();
        if templates.peek().is_some()
            && (collection.rebuilt_by.is_some() || collection.expires.is_some() || name == self.session.collection)
        {
            return Err(format!(
                "collections.{name}: cached values can't follow from it, because the host deletes of it or builds it anew; \
                 take out its keys, or `expires` and `rebuilt-by`; of sessions nothing can follow"
            ));
        }
        match templates.find(|template| pattern::intersect(&template.pattern(), &sessions)) {
            Some(template) => Err(format!(
                "collections.{name}: the keys {:?} may be those of sessions, which are the host's own",
                template.pattern()
            )),
            None => Ok(()),
        }
    }

    /// Checks the variables of secrets and settings: no component signs with a secret that is the host's own, or reads one as a
    /// setting.
    fn check_secrets(&self) -> Result<(), String> {
        let plain = |byte: u8| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_';
        let of_sessions = [("session.secret".to_owned(), &self.session.secret)];
        let tables =
            [("secrets", &self.secrets), ("optional-secrets", &self.optional_secrets), ("variables", &self.variables)];
        let named = || {
            let all = tables.iter().flat_map(|(table, names)| names.iter().map(move |name| (*table, name)));
            all.map(|(table, (name, variable))| (format!("{table}.{name}"), variable))
        };
        for (at, variable) in named().chain(of_sessions) {
            if variable.is_empty() || !variable.bytes().all(plain) {
                return Err(format!("{at} is {variable:?}; a variable of the environment takes A-Z, 0-9 and _"));
            }
        }
        let of_host = |variable: &str| {
            variable == self.session.secret || Self::OWN_SECRETS.iter().any(|own| variable.starts_with(own))
        };
        if let Some((at, variable)) = named().find(|(_, variable)| of_host(variable)) {
            return Err(format!("{at}: {variable} is the host's own; name another variable"));
        }
        if let Some(name) = self.optional_secrets.keys().find(|name| self.secrets.contains_key(*name)) {
            return Err(format!("optional-secrets.{name}: there is a secret of this name in [secrets]; name it once"));
        }
        let is_secret = |name: &String| self.secrets.contains_key(name) || self.optional_secrets.contains_key(name);
        if let Some(name) = self.signing.keys().find(|name| !is_secret(name)) {
            return Err(format!("signing.{name}: there is no such secret in [secrets] or [optional-secrets]"));
        }
        for (name, variable) in &self.variables {
            if !self.settings.contains_key(name) {
                return Err(format!("variables.{name}: there is no such setting in [settings]"));
            }
            if self.secrets.values().chain(self.optional_secrets.values()).any(|secret| secret == variable) {
                return Err(format!("variables.{name}: {variable} is a secret, and a setting is none"));
            }
        }
        Ok(())
    }

    /// The schema for document stores: the collections, and those of the host's `own`.
    pub fn schema(&self, own: impl IntoIterator<Item = (String, Collection)>) -> Schema {
        let of =
            |rules: &CollectionRules| Collection { indexes: rules.indexes.clone(), derived: rules.derived.clone() };
        let mut collections: BTreeMap<_, _> =
            self.collections.iter().map(|(name, rules)| (name.clone(), of(rules))).collect();
        let rebuilt = self.collections.iter().filter(|(_, rules)| rules.rebuilt_by.is_some());
        collections.extend(rebuilt.map(|(name, rules)| (generations::slot(name, 1), of(rules))));
        collections.extend(own);
        Schema { collections }
    }

    /// The collections whose documents expire, with both generations of those that are built from events.
    pub fn expiring(&self) -> Vec<(String, &Expiry)> {
        let mut expiring = Vec::new();
        for (name, rules) in &self.collections {
            let Some(expiry) = &rules.expires else { continue };
            let last = u64::from(rules.rebuilt_by.is_some());
            expiring.extend((0..=last).map(|generation| (generations::slot(name, generation), expiry)));
        }
        expiring
    }

    /// The keys of the cached values that a write makes stale.
    ///
    /// # Errors
    /// What a write has to say so that they can be known.
    pub fn stale_by(&self, write: &Write) -> Result<Vec<String>, String> {
        let Some(rules) = self.collections.get(write.collection()) else { return Ok(Vec::new()) };
        let by_count = if write.adds_or_removes() { rules.stale_by_count.as_slice() } else { &[] };
        let mut keys = Vec::new();
        for template in rules.stale.iter().chain(by_count) {
            keys.extend(template.keys(write)?);
        }
        Ok(keys)
    }

    /// The number of partitions by topic.
    pub fn partitions(&self) -> BTreeMap<String, u32> {
        self.topics.iter().map(|(name, rules)| (name.clone(), rules.partitions)).collect()
    }

    /// The component that builds a collection from events.
    pub fn rebuilt_by(&self, collection: &str) -> Option<&str> {
        self.collections.get(collection)?.rebuilt_by.as_deref()
    }

    /// The collections that a component builds from events.
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

    /// Why the application is refused with these lines added.
    fn refused(lines: &str) -> String {
        parse(lines).unwrap_err().to_string()
    }

    #[test]
    fn documents_expire_in_every_generation_by_a_field_with_an_index() {
        let rollups = |expires: &str| {
            format!(
                "[collections.r]\nrebuilt-by = 'a'\nindexes = [{{ fields = ['day', 'n'] }}]\nexpires = {{ {expires} }}"
            )
        };
        let application = parse(&rollups("field = 'day', days = 400, text = true")).unwrap();
        let expiring: Vec<String> = application.expiring().into_iter().map(|(name, _)| name).collect();
        assert_eq!(expiring, ["r".to_owned(), generations::slot("r", 1)]);
        for wrong in ["field = 'n', days = 400", "field = 'day', days = 0"] {
            let why = refused(&rollups(wrong));
            assert!(why.contains("collections.r.expires takes at least one day"), "{why}");
        }
        assert!(parse("").unwrap().expiring().is_empty());
    }

    fn write(document: &bson::Document) -> Write {
        let document = bson::RawDocumentBuf::try_from(document).unwrap();
        Write::Insert { collection: "people".to_owned(), document }
    }

    #[test]
    fn a_write_makes_stale_what_follows_from_its_collection() {
        let people = "[collections.people]\nstale = ['person:{_id}', 'town:{town}']\nstale-by-count = ['people:all']";
        let application = parse(people).unwrap();
        let keys = application.stale_by(&write(&bson::doc! { "_id": 7, "town": "Ulm" }));
        assert_eq!(keys.unwrap(), ["person:7", "town:Ulm", "people:all"]);
        let filter = |filter: bson::Document| capability::documents::Filter::from_document(&filter).unwrap();
        let update = |wanted: bson::Document, upsert: bool| Write::Update {
            collection: "people".to_owned(),
            filter: filter(wanted),
            change: capability::documents::Change::from_document(&bson::doc! { "$set": { "age": 1 } }).unwrap(),
            upsert,
            many: false,
            must_match: false,
        };
        let both = bson::doc! { "_id": 7, "town": "Ulm" };
        assert_eq!(application.stale_by(&update(both.clone(), false)).unwrap(), ["person:7", "town:Ulm"]);
        assert_eq!(application.stale_by(&update(both, true)).unwrap(), ["person:7", "town:Ulm", "people:all"]);
        let why = application.stale_by(&update(bson::doc! { "_id": 7 }, false)).unwrap_err();
        assert!(why.contains("a write to people has to say of which town it is"), "{why}");
        assert!(parse("[collections.people]").unwrap().stale_by(&write(&bson::doc! { "_id": 7 })).unwrap().is_empty());
    }

    #[test]
    fn keys_that_can_not_follow_are_refused() {
        let expires = "indexes = [{ fields = ['at'] }]\nexpires = { field = 'at', days = 1 }";
        for (rules, why) in [
            ("stale = ['a:{']", "a `{` has no `}`"),
            ("stale = ['x{_id}']", "may be those of sessions"),
            ("stale-by-count = ['x']", "may be those of sessions"),
            (&*format!("stale = ['a:b:{{_id}}']\n{expires}"), "the host deletes of it"),
            ("stale = ['a:b:{_id}']\nrebuilt-by = 'a'", "builds it anew"),
        ] {
            let text = refused(&format!("[collections.people]\n{rules}"));
            assert!(text.contains(why), "{rules}: {text}");
        }
    }

    #[test]
    fn derived_fields_are_read() {
        let schema = parse("[collections.people.derived]\nkey = { lower-case = 'name' }")
            .unwrap()
            .schema([("host-own".to_owned(), Collection::default())]);
        let derived = schema.collections.get("people").map(|people| people.derived.clone()).unwrap();
        assert_eq!(derived, BTreeMap::from([("key".to_owned(), Derived::LowerCase("name".to_owned()))]));
        assert!(schema.collections.contains_key("host-own"));
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
        for name in ["host-markers", "HOST-markers", "host-", "Host-new"] {
            let text = refused(&format!("[collections.{name}]"));
            assert!(text.contains("names that begin with \"host-\" are the host's own"), "{text}");
        }
        for (own, _) in capability::collections() {
            for name in [own.clone(), own.to_ascii_uppercase()] {
                assert!(refused(&format!("[collections.{name}]")).contains("the host"), "{name}");
            }
        }
    }

    #[test]
    fn no_component_signs_with_a_secret_of_the_hosts() {
        assert!(parse("[secrets]\na = 'UNSUBSCRIBE_SECRET'").is_ok());
        for variable in ["S", "DEVCONNECT_ADMIN_TOKEN", "COMPILED_CODE_KEY"] {
            let text = refused(&format!("[secrets]\na = '{variable}'"));
            assert!(text.contains(&format!("secrets.a: {variable} is the host's own")), "{text}");
        }
        for variable in ["", "s", "../jwt_secret", "A B", "A\u{e9}", "Devconnect_Admin_Token"] {
            let text = refused(&format!("[secrets]\na = '{variable}'"));
            assert!(text.contains("a variable of the environment takes A-Z"), "{text}");
        }
    }

    #[test]
    fn secrets_of_others_and_variables_of_settings_are_told_apart() {
        let good =
            "[settings]\nurl = ''\n[variables]\nurl = 'SHOP_URL'\n[optional-secrets]\nb = 'SHOP_KEY'\n[signing]\nb = ";
        let application = parse(&format!("{good}'sha256-suffix'")).unwrap();
        assert_eq!(application.signing.get("b"), Some(&Scheme::Sha256Suffix));
        assert!(refused(&format!("{good}'md5'")).contains("unknown variant `md5`"));
        for (lines, why) in [
            ("[optional-secrets]\na = 'S'", "optional-secrets.a: S is the host's own"),
            ("[optional-secrets]\na = 'a b'", "optional-secrets.a is \"a b\""),
            ("[secrets]\na = 'A'\n[optional-secrets]\na = 'B'", "optional-secrets.a: there is a secret of this name"),
            ("[signing]\na = 'hmac-sha256'", "signing.a: there is no such secret"),
            ("[variables]\na = 'A'", "variables.a: there is no such setting"),
            ("[settings]\na = ''\n[variables]\na = 'S'", "variables.a: S is the host's own"),
            ("[settings]\na = ''\n[variables]\na = 'DEVCONNECT_ADMIN_TOKEN'", "is the host's own"),
            ("[settings]\na = ''\n[variables]\na = 'B'\n[secrets]\nb = 'B'", "variables.a: B is a secret"),
        ] {
            let text = refused(lines);
            assert!(text.contains(why), "{lines}: {text}");
        }
    }

    #[test]
    fn a_topic_has_a_name_that_no_other_thing_has() {
        assert!(parse("[topics]\n'a.b_C-1' = { partitions = 1 }").is_ok());
        for (name, why) in [
            ("things.dlq", "those of dead letters"),
            (".dlq", "those of dead letters"),
            ("", "a name takes 1 to 200"),
            ("..", "a name takes 1 to 200"),
            ("a/b", "a name takes 1 to 200"),
            ("a b", "a name takes 1 to 200"),
            ("\u{e9}", "a name takes 1 to 200"),
        ] {
            let text = refused(&format!("[topics]\n'{name}' = {{ partitions = 1 }}"));
            assert!(text.contains(why), "{name}: {text}");
        }
        assert!(refused(&format!("[topics]\n{} = {{ partitions = 1 }}", "x".repeat(201))).contains("1 to 200"));
    }
}
