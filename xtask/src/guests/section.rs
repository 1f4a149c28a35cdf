//! Custom sections: the manifest and the files go into a component, and what the SDK wrote into the linked module comes out of
//! it. All are at the component's top level then, where the host looks for them.

use std::borrow::Cow;

use anyhow::{Context, Result};
use wasm_encoder::{ComponentSection as _, CustomSection, Module, RawSection};
use wasmparser::{Parser, Payload};

/// The name of the section with the manifest, which the host looks for.
const MANIFEST: &str = "devconnect:manifest";
/// The same of the section in which a component describes its routes.
const OPENAPI: &str = "devconnect:openapi";

/// `component` with `manifest` as its last section.
pub fn with_manifest(component: Vec<u8>, manifest: &str) -> Vec<u8> {
    with_section(component, MANIFEST, manifest.as_bytes())
}

/// `component` with the description of its routes as its last section; as it is when there is none.
pub(super) fn with_description(component: Vec<u8>, description: &[u8]) -> Vec<u8> {
    if description.is_empty() { component } else { with_section(component, OPENAPI, description) }
}

/// `component` with the section of its files as its last one.
pub(super) fn with_assets(component: Vec<u8>, section: &[u8]) -> Vec<u8> {
    with_section(component, assets::SECTION, section)
}

/// The section of files of a component that was built before, if it has one that can be read.
pub(super) fn assets_of(component: &[u8]) -> Option<&[u8]> {
    let found = Parser::new(0).parse_all(component).find_map(|payload| match payload {
        Ok(Payload::CustomSection(section)) if section.name() == assets::SECTION => Some(Some(section.data())),
        Ok(_) => None,
        Err(_) => Some(None),
    });
    found.flatten()
}

/// A linked module without the description of its routes, and that description: empty where there is none. Several sections
/// are one after the other.
pub(super) fn without_description(core: &[u8]) -> Result<(Cow<'_, [u8]>, Vec<u8>)> {
    let (mut rest, mut description, mut found) = (Module::new(), Vec::new(), false);
    for payload in Parser::new(0).parse_all(core) {
        let payload = payload.context("the linked module can't be read")?;
        if let Payload::CustomSection(section) = &payload
            && section.name() == OPENAPI
        {
            description.extend(section.data());
            found = true;
        } else if let Some((id, range)) = payload.as_section() {
            let data = core.get(range).context("the linked module has a section that goes beyond its end")?;
            rest.section(&RawSection { id, data });
        }
    }
    Ok((if found { Cow::Owned(rest.finish()) } else { Cow::Borrowed(core) }, description))
}

fn with_section(mut component: Vec<u8>, name: &str, data: &[u8]) -> Vec<u8> {
    CustomSection { name: name.into(), data: data.into() }.append_to_component(&mut component);
    component
}

#[cfg(test)]
mod tests {
    use super::*;

    const EMPTY_COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";

    fn sections(wasm: &[u8], name: &str) -> Vec<Vec<u8>> {
        let custom = |payload| match payload {
            Ok(Payload::CustomSection(section)) if section.name() == name => Some(section.data().to_vec()),
            Ok(_) => None,
            Err(error) => panic!("{error}"),
        };
        Parser::new(0).parse_all(wasm).filter_map(custom).collect()
    }

    #[test]
    fn it_is_read_back_whatever_its_length() {
        for length in [0, 1, 100, 107, 108, 127, 128, 16_363, 16_364, 20_000] {
            let manifest = "x".repeat(length);
            let component = with_manifest(EMPTY_COMPONENT.to_vec(), &manifest);
            wasmparser::Validator::new().validate_all(&component).unwrap();
            assert_eq!(sections(&component, MANIFEST), [manifest.into_bytes()]);
        }
    }

    #[test]
    fn what_was_there_stays() {
        let component = with_manifest(EMPTY_COMPONENT.to_vec(), "[component]");
        assert!(component.starts_with(EMPTY_COMPONENT));
    }

    /// A module with a memory, a function, and these custom sections between and behind them.
    fn module(custom: &[(&str, &[u8])]) -> Vec<u8> {
        let mut module = Module::new();
        let mut types = wasm_encoder::TypeSection::new();
        types.ty().function([], []);
        module.section(&types);
        let mut functions = wasm_encoder::FunctionSection::new();
        functions.function(0);
        module.section(&functions);
        for (name, data) in custom {
            module.section(&CustomSection { name: (*name).into(), data: (*data).into() });
        }
        let mut code = wasm_encoder::CodeSection::new();
        let mut body = wasm_encoder::Function::new([]);
        body.instruction(&wasm_encoder::Instruction::End);
        code.function(&body);
        module.section(&code);
        for (name, data) in custom {
            module.section(&CustomSection { name: (*name).into(), data: (*data).into() });
        }
        module.finish()
    }

    #[test]
    fn the_description_moves_from_the_module_to_the_component() {
        let linked = module(&[("other", b"kept"), (OPENAPI, b"{}\n"), (OPENAPI, b"{\"a\":1}\n")]);
        let (core, description) = without_description(&linked).unwrap();
        assert_eq!(description, b"{}\n{\"a\":1}\n{}\n{\"a\":1}\n");
        assert_eq!(&*core, module(&[("other", b"kept")]));
        wasmparser::Validator::new().validate_all(&core).unwrap();
        let component = with_manifest(with_description(EMPTY_COMPONENT.to_vec(), &description), "[component]");
        wasmparser::Validator::new().validate_all(&component).unwrap();
        assert_eq!(sections(&component, OPENAPI), [description]);
        assert_eq!(sections(&component, MANIFEST), [b"[component]".to_vec()]);
    }

    #[test]
    fn a_module_without_one_is_left_alone() {
        let linked = module(&[("other", b"kept")]);
        let (core, description) = without_description(&linked).unwrap();
        assert!(matches!(core, Cow::Borrowed(_)) && description.is_empty());
        assert_eq!(with_description(EMPTY_COMPONENT.to_vec(), &description), EMPTY_COMPONENT);
        assert!(without_description(b"no module").is_err());
    }
}
