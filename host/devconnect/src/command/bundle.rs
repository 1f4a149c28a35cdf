//! `devconnect bundle`: makes the one file that deploys out of a component, its manifest and its files. Touches only these.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, bail};

use manifest::Manifest;

/// Puts the manifest in `manifest`, and the files of its `[assets]`, into the component in `file`, and writes it to `out`, or to `NAME.wasm` in the same folder;
/// returns the path. An existing file is not overwritten.
///
/// # Errors
/// When a file can't be read or written, or the manifest does not fit the component.
pub fn perform(file: &Path, manifest: Option<PathBuf>, out: Option<PathBuf>) -> anyhow::Result<PathBuf> {
    let manifest = manifest.unwrap_or_else(|| file.with_file_name("component.toml"));
    let unread = |path: &Path| format!("can't read {}", path.display());
    let text = std::fs::read_to_string(&manifest).with_context(|| unread(&manifest))?;
    let component = std::fs::read(file).with_context(|| unread(file))?;
    let parsed = Manifest::parse(&text).with_context(|| manifest.display().to_string())?;
    let bundled = match &parsed.assets {
        None => Manifest::bundle(component, &text),
        Some(rules) => {
            let files = assets::read_folder(&manifest.with_file_name(&rules.dir))?;
            Manifest::bundle_with_assets(component, &text, &assets::pack(files, None)?)
        }
    };
    let bundled = bundled.with_context(|| file.display().to_string())?;
    let out = out.unwrap_or_else(|| file.with_file_name(format!("{}.wasm", parsed.component.name)));
    let created = std::fs::File::create_new(&out);
    if let Err(error) = &created
        && error.kind() == std::io::ErrorKind::AlreadyExists
    {
        bail!("{} is there already; name another file with --out", out.display());
    }
    let written = created.and_then(|mut file| std::io::Write::write_all(&mut file, &bundled));
    written.with_context(|| format!("can't write {}", out.display()))?;
    println!("{}  {} KiB", out.display(), bundled.len().div_ceil(1024));
    Ok(out)
}
