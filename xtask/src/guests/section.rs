//! The manifest inside of a component: a custom section at the top level, behind everything else.
//! A section is its id (0), its size, its name's size, its name, its bytes; sizes are LEB128.

/// The section's name, which the host looks for.
const NAME: &str = "devconnect:manifest";

/// `component` with `manifest` as its last section.
pub fn with_manifest(mut component: Vec<u8>, manifest: &str) -> Vec<u8> {
    let mut name = Vec::new();
    leb128(&mut name, NAME.len());
    name.extend_from_slice(NAME.as_bytes());
    component.push(0);
    leb128(&mut component, name.len() + manifest.len());
    component.extend_from_slice(&name);
    component.extend_from_slice(manifest.as_bytes());
    component
}

/// Seven bits a byte, the lowest first; the top bit says that there are more.
fn leb128(out: &mut Vec<u8>, mut number: usize) {
    while number >= 0x80 {
        out.push(number as u8 | 0x80);
        number >>= 7;
    }
    out.push(number as u8);
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
