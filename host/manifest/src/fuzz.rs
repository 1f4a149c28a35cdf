//! What authors write, damaged and made up: it is refused with words, or it keeps what the rest of the host relies on.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use capability::cache::KeyAccess;
use chrono::{DateTime, Datelike as _, Timelike as _, Utc};
use fuzzing::{config, costly, damage};
use proptest::prelude::*;
use proptest::sample::Index;
use wasm_encoder::{Component, CustomSection, Module, ModuleSection, NestedComponentSection};

use crate::manifest::SECTION;
use crate::{Application, Bundle, Cron, Imports, Limits, Manifest, ManifestError};

const LEAST: &str = "[component]\nname = \"a\"\nversion = \"1\"\n";
const MINUTE: u64 = 60_000;

/// The folder of the workspace.
fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../.."))
}

/// The manifests of the product's components.
fn manifests() -> Vec<String> {
    let folders = fs::read_dir(root().join("components")).unwrap();
    let texts = folders.filter_map(|folder| fs::read_to_string(folder.unwrap().path().join("component.toml")).ok());
    let mut texts: Vec<String> = texts.collect();
    // The order of a folder is that of its file system.
    texts.sort_unstable();
    assert!(!texts.is_empty());
    texts
}

/// What the host relies on in every manifest that was not refused.
fn check(manifest: &Manifest) -> Result<(), TestCaseError> {
    let name = &manifest.component.name;
    prop_assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name}");
    prop_assert!((1..=64).contains(&name.len()) && !name.starts_with(|first: char| !first.is_ascii_lowercase()));
    prop_assert_eq!(manifest.limits.beyond(&Limits::MOST), None);
    prop_assert_eq!(Limits::LEAST.beyond(&manifest.limits), None);
    for route in &manifest.http {
        let path = &route.path;
        prop_assert!(path.starts_with('/') && path.len() <= 256 && !path.contains("//"), "{path}");
        prop_assert!(route.headers.iter().all(|header| !["cookie", "authorization"].contains(&header.as_str())));
    }
    // An operator reads the lines on a terminal, and each is one line.
    for line in manifest.permission_lines() {
        prop_assert!(line.bytes().all(|byte| byte == b' ' || byte.is_ascii_graphic()), "{line:?}");
    }
    let same = manifest.difference(Some(manifest));
    prop_assert!(!same.widens() && same.lines().is_empty(), "{:?}", same.lines());
    let first = manifest.difference(None);
    prop_assert_eq!(first.widens(), !first.lines().is_empty());
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_damaged_manifest_is_refused_with_words_or_keeps_its_rules(at in any::<Index>(), damage in damage()) {
        let texts = manifests();
        match Manifest::parse(&damage.of_text(at.get::<String>(&texts))) {
            Ok(manifest) => check(&manifest)?,
            Err(error) => prop_assert!(error.to_string().starts_with("its manifest "), "{error}"),
        }
    }

    #[test]
    fn what_is_no_manifest_is_refused_with_words(text in ".{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let error = Manifest::parse(&text).unwrap_err().to_string();
        prop_assert!(error.starts_with("its manifest "), "{error}");
        let wasm = [&b"\0asm\x0d\0\x01\0"[..], &bytes].concat();
        reads_as_one(&wasm)?;
    }

    #[test]
    fn a_damaged_application_is_refused_or_keeps_its_rules(damage in damage()) {
        let text = fs::read_to_string(root().join("components").join(Application::FILE)).unwrap();
        if let Ok(application) = Application::parse(&damage.of_text(&text)) {
            let key = &application.session.cache_key;
            prop_assert!(key.contains("{hash}"), "{key}");
            let schema = application.schema([]);
            prop_assert!(schema.collections.contains_key(&application.session.collection));
            prop_assert!(schema.collections.keys().all(|name| !name.to_ascii_lowercase().starts_with("host-")));
            prop_assert!(application.partitions().values().all(|partitions| (1..=1_000).contains(partitions)));
        }
    }
}

/// Patterns of a few letters, each with an access.
fn grants() -> impl Strategy<Value = BTreeMap<String, &'static str>> {
    let access = prop::sample::select(vec!["r", "w", "rw", "stale"]);
    prop::collection::btree_map("[ab:]{1,2}\\*?[ab]{0,1}", access, 0..4)
}

fn granted(grants: &BTreeMap<String, &'static str>) -> Manifest {
    let lines: String = grants.iter().map(|(pattern, access)| format!("{pattern:?} = {access:?}\n")).collect();
    Manifest::parse(&format!("{LEAST}[grants.cache]\n{lines}")).unwrap()
}

/// All names of up to four of these letters.
fn names() -> Vec<String> {
    let mut names = vec![String::new()];
    let mut longest = names.clone();
    for _ in 0..4 {
        longest = longest.iter().flat_map(|name| ["a", "b", ":"].map(|letter| format!("{name}{letter}"))).collect();
        names.extend(longest.iter().cloned());
    }
    names
}

proptest! {
    #![proptest_config(config())]

    /// So nobody is asked about it: an update that asks for more in other words must not pass for one that does not.
    #[test]
    fn a_version_that_does_not_widen_reaches_no_new_key(old in grants(), new in grants()) {
        let (before, after) = (granted(&old), granted(&new));
        if after.difference(Some(&before)).widens() {
            return Ok(());
        }
        for name in names() {
            for access in [KeyAccess::Read, KeyAccess::Write, KeyAccess::Stale] {
                let reaches = |manifest: &Manifest| manifest.grants.cache.check(&name, access).is_ok();
                prop_assert!(!reaches(&after) || reaches(&before), "{name} {access:?}");
            }
        }
    }
}

/// A section of a component.
#[derive(Debug, Clone)]
enum Part {
    Manifest,
    Other(String),
    /// With a manifest inside or without.
    Module(bool),
    Nested(bool),
}

fn part() -> impl Strategy<Value = Part> {
    prop_oneof![
        2 => Just(Part::Manifest),
        2 => "[a-z:]{0,20}".prop_map(Part::Other),
        1 => any::<bool>().prop_map(Part::Module),
        1 => any::<bool>().prop_map(Part::Nested),
    ]
}

fn section(name: &str) -> CustomSection<'_> {
    CustomSection { name: name.into(), data: LEAST.as_bytes().into() }
}

fn assembled(parts: &[Part]) -> Vec<u8> {
    let mut component = Component::new();
    for part in parts {
        match part {
            Part::Manifest => _ = component.section(&section(SECTION)),
            Part::Other(name) => _ = component.section(&section(name)),
            Part::Module(has_manifest) => {
                let mut module = Module::new();
                if *has_manifest {
                    module.section(&section(SECTION));
                }
                component.section(&ModuleSection(&module));
            }
            Part::Nested(has_manifest) => {
                let mut nested = Component::new();
                if *has_manifest {
                    nested.section(&section(SECTION));
                }
                component.section(&NestedComponentSection(&nested));
            }
        }
    }
    component.finish()
}

/// Whether what is read of these bytes is one thing, whoever reads it.
fn reads_as_one(bytes: &[u8]) -> Result<(), TestCaseError> {
    let found = Manifest::of_component(bytes);
    match (&found, Bundle::read("x", bytes.to_vec())) {
        (Ok(manifest), Ok(bundle)) => {
            prop_assert_eq!(manifest, &*bundle.manifest);
            prop_assert_eq!(&bundle.wasm, bytes);
            check(manifest)?;
            prop_assert_eq!(Manifest::bundle(bytes.to_vec(), LEAST), Err(ManifestError::AlreadyThere));
        }
        (Err(_), Err(_)) => {}
        (found, bundle) => return Err(TestCaseError::fail(format!("{found:?}, and as a bundle {bundle:?}"))),
    }
    // Its imports may be wrong where its manifest is not.
    let _ = Imports::of_component(bytes);
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_only_manifest_is_found_at_the_top_and_nowhere_else(parts in prop::collection::vec(part(), 0..6)) {
        let top = parts.iter().filter(|part| matches!(part, Part::Manifest)).count();
        let nested = parts.iter().any(|part| matches!(part, Part::Module(true) | Part::Nested(true)));
        let found = Manifest::of_component(&assembled(&parts));
        match (top, nested) {
            (1, false) => prop_assert_eq!(found.unwrap(), Manifest::parse(LEAST).unwrap()),
            (0, false) => prop_assert_eq!(found, Err(ManifestError::Missing)),
            _ => prop_assert!(matches!(found, Err(ManifestError::Ambiguous(_))), "{found:?}"),
        }
    }

    #[test]
    fn damaged_sections_are_refused_or_read(parts in prop::collection::vec(part(), 0..6), damage in damage()) {
        reads_as_one(&damage.of(&assembled(&parts)))?;
    }
}

proptest! {
    #![proptest_config(costly(16))]

    #[test]
    fn a_damaged_component_is_refused_or_read(damage in damage()) {
        // Where they are built; a component of sections alone is damaged above.
        if let Ok(component) = fs::read(root().join("target/components/auth.wasm")) {
            reads_as_one(&damage.of(&component))?;
        }
    }
}

/// One field of a cron expression, and the values that it means.
#[derive(Debug, Clone)]
struct Times {
    text: String,
    values: Vec<u32>,
}

fn times(least: u32, most: u32) -> impl Strategy<Value = Times> {
    let value = least..=most;
    prop_oneof![
        3 => Just(Times { text: "*".to_owned(), values: (least..=most).collect() }),
        2 => value.clone().prop_map(|one| Times { text: one.to_string(), values: vec![one] }),
        1 => (value.clone(), value.clone()).prop_map(|(one, other)| {
            let (from, to) = (one.min(other), one.max(other));
            Times { text: format!("{from}-{to}"), values: (from..=to).collect() }
        }),
        1 => (value.clone(), value).prop_map(|(one, other)| {
            Times { text: format!("{one},{other}"), values: vec![one, other] }
        }),
    ]
}

fn steps(least: u32, most: u32) -> impl Strategy<Value = Times> {
    let every = (2..=most).prop_map(move |step| {
        let values = (least..=most).step_by(usize::try_from(step).unwrap()).collect();
        Times { text: format!("*/{step}"), values }
    });
    prop_oneof![3 => times(least, most), 1 => every]
}

proptest! {
    #![proptest_config(costly(2))]

    #[test]
    fn a_schedule_is_due_in_the_minutes_that_its_fields_mean(
        (minute, hour) in (steps(0, 59), steps(0, 23)),
        (day, month, weekday) in (times(1, 31), times(1, 12), times(0, 6)),
        // 2000 to 2100.
        until in 946_684_800_000_u64..4_102_444_800_000,
    ) {
        let text = [&minute, &hour, &day, &month, &weekday].map(|times| times.text.as_str()).join(" ");
        let cron = Cron::parse(&text).unwrap();
        let is_due = |at: u64| {
            let at = DateTime::<Utc>::from_timestamp(i64::try_from(at / 1_000).unwrap(), 0).unwrap();
            let in_day = day.values.contains(&at.day());
            let in_week = weekday.values.contains(&at.weekday().num_days_from_sunday());
            // POSIX: where both are given, one of them is enough.
            let in_date = match (day.text.as_str(), weekday.text.as_str()) {
                ("*", _) | (_, "*") => in_day && in_week,
                _ => in_day || in_week,
            };
            minute.values.contains(&at.minute())
                && hour.values.contains(&at.hour())
                && month.values.contains(&at.month())
                && in_date
        };
        // Two days, minute by minute from the end.
        let last = until - until % MINUTE;
        let first = last - 2 * 24 * 60 * MINUTE;
        let expected = (0..2 * 24 * 60).map(|minutes| last - minutes * MINUTE).find(|at| is_due(*at));
        prop_assert_eq!(cron.latest(first, until), expected, "{}", text);
        if let Some(due) = expected {
            prop_assert_eq!(cron.latest(due, until), None, "{}", &text);
            prop_assert_eq!(cron.latest(due - 1, due), Some(due), "{}", &text);
        }
    }

    #[test]
    fn a_text_is_no_schedule_or_its_times_are_in_bounds(
        text in "[0-9*/,A-Z#? LW-]{0,30}",
        (after, length) in (0_u64..4_102_444_800_000, 0_u64..400 * 24 * 60 * MINUTE),
    ) {
        if let Ok(cron) = Cron::parse(&text) {
            prop_assert_eq!(cron.as_str(), &text);
            let until = after + length;
            if let Some(due) = cron.latest(after, until) {
                prop_assert!(after < due && due <= until && due % 1_000 == 0, "{}", due);
                prop_assert!(cron.latest(due, until).is_none());
            }
        }
    }
}
