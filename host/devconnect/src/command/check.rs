//! `devconnect check`: what a component may see or do where it is deployed, and what of that it can't use. Touches only its file.

use std::path::Path;

use anyhow::Context as _;

use manifest::{About, Description, Imports, Manifest, assets_of_component};

/// Prints a line for each permission that the component in a file asks for, and a warning for each grant that it can't use.
///
/// # Errors
/// When the file can't be read, or is no component with a manifest.
pub fn perform(file: &Path) -> anyhow::Result<()> {
    let wasm = std::fs::read(file).with_context(|| format!("can't read {}", file.display()))?;
    let refused = || format!("{} is refused", file.display());
    let manifest = Manifest::of_component(&wasm).with_context(refused)?;
    Description::of_component(&wasm, &manifest).with_context(refused)?;
    let assets = assets_of_component(&wasm, &manifest).with_context(refused)?;
    let imports = Imports::of_component(&wasm).with_context(refused)?;
    let About { name, version, description } = &manifest.component;
    println!("{name} {version}: {description}");
    for line in manifest.permission_lines() {
        println!("  {line}");
    }
    if let Some(assets) = assets {
        println!(
            "  ({} files, {} KiB with their compressed forms)",
            assets.files().len(),
            assets.held().div_ceil(1024)
        );
    }
    warn_unused(&manifest, &imports);
    Ok(())
}

/// Warns of each grant that a component with these imports can't use.
pub(super) fn warn_unused(manifest: &Manifest, imports: &Imports) {
    for line in manifest.unused_grants(imports) {
        eprintln!("warning: granted and not used: {line}");
    }
}
