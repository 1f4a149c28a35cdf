//! The manifest inside of a component: a custom section at the top level, behind everything else.

use wasm_encoder::{ComponentSection as _, CustomSection};

/// The section's name, which the host looks for.
const NAME: &str = "devconnect:manifest";

/// `component` with `manifest` as its last section.
pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    CustomSection { name: NAME.into(), data: manifest.as_bytes().into() }.append_to_component(&mut component);
    component
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasmparser::{Parser, Payload};

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn manifests(component: &[u8]) -> Vec<Vec<u8>> {
        let custom = |payload| match payload {
            Ok(Payload::CustomSection(section)) if section.name() == NAME => Some(section.data().to_vec()),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        };
        Parser::new(0).parse_all(component).filter_map(custom).collect()
    }

    #[test]
    fn it_is_read_back_whatever_its_length() {
        for length in [0, 1, 100, 107, 108, 127, 128, 16_363, 16_364, 20_000] {
            let manifest = "x".repeat(length);
            let component = with_manifest(EMPTY_COMPONENT.to_vec(), &manifest);
            wasmparser::Validator::new().validate_all(&component).unwrap();
            assert_eq!(manifests(&component), [manifest.into_bytes()]);
        }
    }

    #[test]
    fn what_was_there_stays() {
        let component = with_manifest(EMPTY_COMPONENT.to_vec(), "[component]");
        assert!(component.starts_with(EMPTY_COMPONENT));
    }
}
