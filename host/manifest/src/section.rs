//! The sections of a bundle: reads the custom sections at the top level of a component, and adds the manifest's.

use assets::Assets;
use wasm_encoder::{ComponentSection as _, CustomSection};

use crate::manifest::SECTION;
use crate::{Manifest, ManifestError};

impl Manifest {
    /// The manifest of a bundle.
    ///
    /// # Errors
    /// There is not exactly one manifest, or it is wrong. The rest of the component is not checked.
    pub fn of_component(wasm: &[u8]) -> Result<Self, ManifestError> {
        Self::parse(find(wasm)?.ok_or(ManifestError::Missing)?)
    }

    /// The bundle of a component and the text of a manifest.
    ///
    /// # Errors
    /// The text is not a manifest, the component is not valid, or it has a manifest.
    pub fn bundle(mut component: Vec<u8>, text: &str) -> Result<Vec<u8>, ManifestError> {
        Self::parse(text)?;
        if find(&component)?.is_some() {
            return Err(ManifestError::AlreadyThere);
        }
        let valid = wasmparser::Validator::new().validate_all(&component);
        valid.map_err(|error| ManifestError::NotAComponent(error.to_string()))?;
        let section = CustomSection { name: SECTION.into(), data: text.as_bytes().into() };
        section.append_to_component(&mut component);
        Ok(component)
    }

    /// The same, with the section of its files.
    ///
    /// # Errors
    /// The same.
    pub fn bundle_with_assets(mut component: Vec<u8>, text: &str, files: &[u8]) -> Result<Vec<u8>, ManifestError> {
        CustomSection { name: assets::SECTION.into(), data: files.into() }.append_to_component(&mut component);
        Self::bundle(component, text)
    }
}

/// The files of a component with this manifest; none where it has no `[assets]`.
///
/// # Errors
/// The manifest and the component do not fit, or the section is refused.
pub fn assets_of_component(wasm: &[u8], manifest: &Manifest) -> Result<Option<Assets>, ManifestError> {
    let wrong = |why: &str| Err(ManifestError::Assets(why.to_owned()));
    // One that is nested is of what the component was made of, and is not served.
    let mut top = sections(wasm, assets::SECTION)?.into_iter().filter(|(depth, _)| *depth == 0).map(|(_, data)| data);
    match (&manifest.assets, top.next(), top.next()) {
        (None, None, _) => Ok(None),
        (_, Some(_), Some(_)) => wrong("there are two such sections"),
        (None, Some(_), None) => wrong("its manifest has no [assets]; add it, or build the component without files"),
        (Some(_), None, _) => wrong(
            "they are not in it; build it with `cargo xtask build-components`, or put them in with `devconnect bundle`",
        ),
        (Some(rules), Some(data), None) => {
            let read = Assets::read(data, rules.rules());
            read.map(Some).map_err(|error| ManifestError::Assets(error.to_string()))
        }
    }
}

/// The text of a component's manifest; none when it has none.
fn find(wasm: &[u8]) -> Result<Option<&str>, ManifestError> {
    let mut found = None;
    for (depth, data) in sections(wasm, SECTION)? {
        if depth > 0 {
            return Err(ManifestError::Ambiguous("one is nested inside it"));
        }
        if found.replace(data).is_some() {
            return Err(ManifestError::Ambiguous("there are two"));
        }
    }
    let Some(bytes) = found else { return Ok(None) };
    let text = std::str::from_utf8(bytes);
    text.map(Some).map_err(|error| ManifestError::Malformed(format!("not UTF-8 from byte {}", error.valid_up_to())))
}

/// The custom sections of a component with this name, and how deep each is nested.
pub(super) fn sections<'a>(wasm: &'a [u8], name: &str) -> Result<Vec<(u32, &'a [u8])>, ManifestError> {
    let (mut found, mut depth) = (Vec::new(), 0_u32);
    for payload in wasmparser::Parser::new(0).parse_all(wasm) {
        use wasmparser::Payload;
        match payload.map_err(|error| ManifestError::NotAComponent(error.to_string()))? {
            Payload::Version { encoding: wasmparser::Encoding::Module, .. } if depth == 0 => {
                return Err(ManifestError::NotAComponent("it is a core module; turn it into a component first".into()));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::CustomSection(section) if section.name() == name => found.push((depth, section.data())),
            _ => {}
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY: &[u8] = b"\0asm\x0d\0\x01\0";
    const LEAST: &str = "[component]\nname = \"a\"\nversion = \"1\"\n";

    #[test]
    fn what_is_bundled_is_found() {
        for description in [0, 1, 80, 100, 127, 16_300, 20_000].map(|length| "x".repeat(length)) {
            let text = format!("{LEAST}description = {description:?}\n");
            let bundled = Manifest::bundle(EMPTY.to_vec(), &text).unwrap();
            assert!(bundled.starts_with(EMPTY));
            assert_eq!(Manifest::of_component(&bundled).unwrap(), Manifest::parse(&text).unwrap());
            assert_eq!(Manifest::bundle(bundled, &text), Err(ManifestError::AlreadyThere));
        }
    }

    #[test]
    fn only_a_manifest_goes_into_only_a_component() {
        assert!(matches!(Manifest::bundle(EMPTY.to_vec(), "[component]"), Err(ManifestError::Malformed(_))));
        let module = b"\0asm\x01\0\0\0".to_vec();
        for other in [module, b"\0asm".to_vec(), Vec::new(), b"text".to_vec(), [EMPTY, b"\xff"].concat()] {
            assert!(matches!(Manifest::bundle(other, LEAST), Err(ManifestError::NotAComponent(_))));
        }
        assert_eq!(Manifest::of_component(EMPTY), Err(ManifestError::Missing));
    }
}
