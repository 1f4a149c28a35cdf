//! Imports: the functions of the host that a component can call, and the grants that none of them can use.
//!
//! Reads the type of a component; touches nothing else.

use std::collections::BTreeSet;

use capability::sessions::SessionUse;
use wasmparser::component_types::ComponentEntityType;
use wasmparser::types::TypesRef;
use wasmparser::{Parser, Payload, Validator};

use crate::Application;
use crate::manifest::{Manifest, ManifestError};
use crate::permissions::Permission;

/// What the names of the host's interfaces begin with; the name and a version follow.
const PLATFORM: &str = "devconnect:platform/";

/// The functions of the host's interfaces that a component imports, as `cache.get`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Imports(BTreeSet<String>);

impl Imports {
    /// Those of a component.
    ///
    /// # Errors
    /// It is not a valid component.
    pub fn of_component(wasm: &[u8]) -> Result<Self, ManifestError> {
        let validated = Validator::new().validate_all(wasm).map_err(not_a_component)?;
        let types = validated.as_ref();
        let (mut functions, mut depth) = (BTreeSet::new(), 0_u32);
        for payload in Parser::new(0).parse_all(wasm) {
            match payload.map_err(not_a_component)? {
                Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
                Payload::End(_) => depth = depth.saturating_sub(1),
                Payload::ComponentImportSection(section) if depth == 0 => {
                    for import in section {
                        functions.extend(functions_of(&types, import.map_err(not_a_component)?.name.name));
                    }
                }
                _ => {}
            }
        }
        Ok(Self(functions))
    }

    fn has_any(&self, functions: &[&str]) -> bool {
        functions.iter().any(|function| self.0.contains(*function))
    }
}

/// The functions of an imported interface of the host. An interface may be imported for its types alone: then there are none.
fn functions_of(types: &TypesRef<'_>, import: &str) -> Vec<String> {
    let interface = import.strip_prefix(PLATFORM).and_then(|name| name.split('@').next());
    let item = types.component_item_for_import(import).map(|item| item.ty);
    let (Some(interface), Some(ComponentEntityType::Instance(instance))) = (interface, item) else {
        return Vec::new();
    };
    let exports = types.get(instance).into_iter().flat_map(|instance| instance.exports.iter());
    let functions = exports.filter(|(_, item)| matches!(item.ty, ComponentEntityType::Func(_)));
    functions.map(|(name, _)| format!("{interface}.{name}")).collect()
}

fn not_a_component(error: impl std::fmt::Display) -> ManifestError {
    ManifestError::NotAComponent(error.to_string())
}

impl Manifest {
    /// The types of events that are delivered to a component without a handler for them, because it lists no types: a line each. A
    /// handler's type is a text in the component, so a type that is nowhere in `wasm` has no handler.
    pub fn unhandled_types(&self, wasm: &[u8], application: &Application) -> Vec<String> {
        let has = |text: &str| wasm.windows(text.len().max(1)).any(|part| part == text.as_bytes());
        let all = self.event.iter().filter(|trigger| trigger.types.is_empty());
        let met = all.flat_map(|trigger| {
            let types = application.topics.get(&trigger.topic).into_iter().flat_map(|rules| &rules.types);
            types.map(move |kind| (&trigger.topic, kind))
        });
        let unhandled = met.filter(|(_, kind)| !has(kind)).map(|(topic, kind)| {
            format!(
                "it lists no types of {topic} and has no handler for {kind}: each such event becomes a dead letter; \
                 list in [[event]] the types that it wants"
            )
        });
        unhandled.collect()
    }

    /// The grants that a component with these imports can't use, a line each with what to do about it.
    pub fn unused_grants(&self, imports: &Imports) -> Vec<String> {
        let unused = self.permissions().into_iter().filter_map(|permission| {
            let functions = functions_for(&permission);
            if functions.is_empty() || imports.has_any(functions) {
                return None;
            }
            let instead = match permission {
                Permission::WriteKeys(_) if imports.has_any(COMMITTING) => {
                    "grant \"stale\", which is enough for commits, or nothing"
                }
                _ => "take it out of the manifest",
            };
            Some(format!("{permission}: it imports none of {}; {instead}", functions.join(", ")))
        });
        unused.collect()
    }
}

const READING: &[&str] = &["documents.find", "documents.find-rows", "documents.count", "documents.distinct"];
const COMMITTING: &[&str] = &["documents.commit"];

/// The functions that a grant allows; none when the permission is not a grant, or allows answers instead of functions.
fn functions_for(permission: &Permission<'_>) -> &'static [&'static str] {
    match permission {
        Permission::Route(_)
        | Permission::SocketEvent(_)
        | Permission::PresenceChanges
        | Permission::Topic(_)
        | Permission::Schedule(_)
        | Permission::Limit(..)
        | Permission::Pages
        | Permission::Files(_)
        | Permission::Fallback(..)
        | Permission::FileHeader(..) => &[],
        Permission::ReadKeys(_) => {
            &["cache.get", "cache.get-many", "cache.recent", "cache.compare-and-set", "cache.increment"]
        }
        Permission::WriteKeys(_) => &[
            "cache.set",
            "cache.set-if-absent",
            "cache.fill-many",
            "cache.compare-and-set",
            "cache.delete",
            "cache.increment",
            "cache.push-recent",
            "cache.fill-recent",
        ],
        Permission::ReadCollection(..) => READING,
        Permission::StaleKeys(_) | Permission::WriteCollection(..) => COMMITTING,
        Permission::PrivateField(..) => {
            &["documents.find", "documents.find-rows", "documents.count", "documents.distinct", "documents.commit"]
        }
        Permission::Publish(_) => &["events.publish", "documents.commit"],
        Permission::Emit(_) => &["sockets.emit", "sockets.emit-with-ack"],
        Permission::Rooms(_) => &["sockets.join", "sockets.leave", "sockets.emit"],
        Permission::CountPresence => &["sockets.appear", "sockets.online"],
        Permission::Sessions(SessionUse::List) => &["sessions.living"],
        Permission::Sessions(SessionUse::Open | SessionUse::End) => COMMITTING,
        Permission::Passwords => &["passwords.hash", "passwords.verify"],
        Permission::Sign(_) => &["signing.sign", "signing.verify"],
        Permission::Setting(_) => &["config.get"],
        Permission::Mail => &["mail.send"],
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use wasm_encoder::{
        Component, ComponentImportSection, ComponentTypeRef, ComponentTypeSection, InstanceType, PrimitiveValType,
        TypeBounds,
    };

    /// A component that imports these functions of the host, as `cache.get`, and of `cache.` only types. It also imports
    /// functions of another interface.
    fn importing(names: &[&str]) -> Vec<u8> {
        let mut interfaces: BTreeMap<String, Vec<&str>> = BTreeMap::new();
        interfaces.insert("wasi:clocks/monotonic-clock@0.2.0".to_owned(), vec!["now", "get", "commit", "emit"]);
        for name in names {
            let (interface, function) = name.split_once('.').unwrap();
            let functions = interfaces.entry(format!("{PLATFORM}{interface}@0.1.0")).or_default();
            functions.extend((!function.is_empty()).then_some(function));
        }
        let (mut types, mut imports) = (ComponentTypeSection::new(), ComponentImportSection::new());
        for (number, (interface, functions)) in (0..).zip(&interfaces) {
            let mut instance = InstanceType::new();
            instance.ty().defined_type().primitive(PrimitiveValType::String);
            instance.export("text", ComponentTypeRef::Type(TypeBounds::Eq(0)));
            for name in functions {
                let function = instance.type_count();
                instance.ty().function().params([("a", PrimitiveValType::String)]).result(None);
                instance.export(*name, ComponentTypeRef::Func(function));
            }
            types.instance(&instance);
            imports.import(interface, ComponentTypeRef::Instance(number));
        }
        let mut component = Component::new();
        component.section(&types).section(&imports);
        component.finish()
    }

    fn unused(lines: &str, imported: &[&str]) -> Vec<String> {
        let manifest = Manifest::parse(&format!("[component]\nname = 'a'\nversion = '1'\n{lines}\n")).unwrap();
        manifest.unused_grants(&Imports::of_component(&importing(imported)).unwrap())
    }

    #[test]
    fn the_functions_are_those_of_the_hosts_interfaces() {
        let functions = ["cache.get", "cache.set-if-absent"];
        let wasm = importing(&[functions[0], functions[1], "events."]);
        assert_eq!(Imports::of_component(&wasm), Ok(Imports(functions.map(str::to_owned).into())));
        assert_eq!(Imports::of_component(&importing(&[])), Ok(Imports::default()));
        assert!(matches!(Imports::of_component(b"text"), Err(ManifestError::NotAComponent(_))));
    }

    #[test]
    fn a_grant_is_used_by_the_functions_that_need_it() {
        for (grant, function) in [
            ("[grants.cache]\n'a' = 'r'", "cache.get"),
            ("[grants.cache]\n'a' = 'w'", "cache.delete"),
            ("[grants.cache]\n'a' = 'rw'", "cache.increment"),
            ("[grants.cache]\n'a' = 'stale'", "documents.commit"),
            ("[grants.documents]\na = { access = 'r' }", "documents.count"),
            ("[grants.documents]\na = { access = 'w' }", "documents.commit"),
            ("[grants.documents]\na = { access = 'w', private = ['b'] }", "documents.commit"),
            ("[grants]\nevents = ['a']", "events.publish"),
            ("[grants]\nevents = ['a']", "documents.commit"),
            ("[grants]\nsessions = ['open', 'end']", "documents.commit"),
            ("[grants]\nsessions = ['list']", "sessions.living"),
            ("[grants]\npasswords = true", "passwords.verify"),
            ("[grants]\nsigning = ['a']", "signing.sign"),
            ("[grants]\nconfig = ['a']", "config.get"),
            ("[grants]\nmail = true", "mail.send"),
            ("[grants.sockets]\nemit = ['a']", "sockets.emit"),
            ("[grants.sockets]\nrooms = ['a']", "sockets.join"),
            ("[grants.sockets]\npresence = true", "sockets.online"),
        ] {
            assert_eq!(unused(grant, &[function]), Vec::<String>::new(), "{grant}");
            let (interface, name) = function.split_once('.').unwrap();
            for other in ["random.bytes".to_owned(), format!("{interface}."), format!("log.{name}")] {
                let lines = unused(grant, &[&other]);
                assert!(!lines.is_empty(), "{grant} with {other}");
                assert!(lines.iter().all(|line| line.contains(": it imports none of ")), "{lines:?}");
            }
        }
    }

    /// Attack (60): grants that are wider than their use. Outcome: `check` and `deploy` warn.
    #[test]
    fn a_grant_to_write_that_only_commits_could_use_is_too_wide() {
        let lines = unused("[grants.cache]\n'user:*' = 'rw'", &["documents.commit", "cache.get"]);
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("write the cache keys user:*: it imports none of cache.set, "), "{lines:?}");
        assert!(lines[0].ends_with("; grant \"stale\", which is enough for commits, or nothing"), "{lines:?}");
    }

    #[test]
    fn types_that_a_component_is_told_and_has_no_handler_for_are_named() {
        let session = "cookie = 'c'\ncookie-age = 1\ntoken-age = 1\nsubject-claim = 'sub'\nsecret = 'S'\nrefusal = 'no'\n\
             collection = 'l'\ncache-key = 's:{hash}'\ncache-age = 1\n[session.fields]\nid = 'i'\nsubject = 's'\nhash = 'h'\n\
             created = 'c'\nexpires = 'e'\nrevoked = 'r'\n";
        let topics = "[topics.t]\npartitions = 1\ntypes = ['MADE', 'LOST', 'FOUND']\n[topics.u]\npartitions = 1\n";
        let application = Application::parse(&format!("[session]\n{session}[collections.l]\n{topics}")).unwrap();
        let unhandled = |lines: &str| {
            let manifest = Manifest::parse(&format!("[component]\nname = 'a'\nversion = '1'\n{lines}")).unwrap();
            manifest.unhandled_types(b"..MADE.FOUND", &application)
        };
        let lines = unhandled("[[event]]\ntopic = 't'\n[[event]]\ntopic = 'u'\n");
        assert_eq!(lines.len(), 1, "{lines:?}");
        assert!(lines[0].starts_with("it lists no types of t and has no handler for LOST: "), "{lines:?}");
        assert!(unhandled("[[event]]\ntopic = 't'\ntypes = ['MADE']\n").is_empty(), "it is told nothing else");
        assert!(unhandled("[[event]]\ntopic = 'u'\n").is_empty(), "nobody knows what comes there");
    }

    #[test]
    fn triggers_limits_and_pages_need_no_function() {
        let route = "[[http]]\nmethod = 'GET'\npath = '/a'";
        let lines =
            format!("{route}\n[presence]\n[[event]]\ntopic = 't'\n[limits]\ncpu-ms = 300\n[grants]\npages = true");
        assert_eq!(unused(&lines, &[]), Vec::<String>::new());
    }
}
