//! The folder of a build: its files, by their paths. Touches that folder and only reads.

use std::fs;
use std::path::Path;

use crate::path::check_path;
use crate::{AssetsError, LARGEST_FILE, MOST_BYTES, MOST_FILES};

/// How deep folders may be in each other.
const MOST_DEPTH: usize = 32;

/// A file that goes into a section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct File {
    /// Its path in the folder, with slashes.
    pub path: String,
    /// Its content.
    pub bytes: Vec<u8>,
}

/// Reads all files of a folder, in the order of their paths. Files and folders whose names begin with a dot are left out, such
/// as `.git` and `.env`, but for `.well-known`.
///
/// # Errors
/// The folder can't be read, has a link in it or no file, or is beyond a bound.
pub fn read_folder(folder: &Path) -> Result<Vec<File>, AssetsError> {
    let mut files = Vec::new();
    read_into(folder, "", 0, &mut files)?;
    if files.is_empty() {
        return Err(AssetsError::new(format!("there is no file in {}; build the front end first", folder.display())));
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

fn read_into(folder: &Path, under: &str, depth: usize, files: &mut Vec<File>) -> Result<(), AssetsError> {
    let unreadable =
        |path: &Path, why: std::io::Error| AssetsError::new(format!("can't read {}: {why}", path.display()));
    if depth > MOST_DEPTH {
        return Err(AssetsError::new(format!("{} is more than {MOST_DEPTH} folders deep", folder.display())));
    }
    for entry in fs::read_dir(folder).map_err(|why| unreadable(folder, why))? {
        let path = entry.map_err(|why| unreadable(folder, why))?.path();
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| AssetsError::new(format!("{} has a name that is not UTF-8", path.display())))?;
        if name.starts_with('.') && name != ".well-known" {
            continue;
        }
        let relative = if under.is_empty() { name.to_owned() } else { format!("{under}/{name}") };
        let about = fs::symlink_metadata(&path).map_err(|why| unreadable(&path, why))?;
        if about.is_dir() {
            read_into(&path, &relative, depth + 1, files)?;
            continue;
        }
        if !about.is_file() {
            let why = format!("{} is a link or no file; put the file itself there", path.display());
            return Err(AssetsError::new(why));
        }
        check_path(&relative).map_err(AssetsError::new)?;
        let all: usize = files.iter().map(|file| file.bytes.len()).sum();
        check_bounds(&relative, about.len(), files.len() + 1, all)?;
        let bytes = fs::read(&path).map_err(|why| unreadable(&path, why))?;
        files.push(File { path: relative, bytes });
    }
    Ok(())
}

/// Checks the bounds of one more file: how many there are with it, and how many bytes those before it have.
pub(super) fn check_bounds(path: &str, length: u64, files: usize, before: usize) -> Result<(), AssetsError> {
    if files > MOST_FILES {
        return Err(AssetsError::new(format!("there are more than {MOST_FILES} files")));
    }
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    if length > LARGEST_FILE {
        let why = format!("the file {path:?} has {length} bytes; {} MiB are allowed", LARGEST_FILE >> 20);
        return Err(AssetsError::new(why));
    }
    if before.saturating_add(length) > MOST_BYTES {
        return Err(AssetsError::new(format!("all files have more than {} MiB together", MOST_BYTES >> 20)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;

    #[test]
    fn a_folder_is_read_without_what_is_hidden() {
        let folder = tempfile::tempdir().unwrap();
        let write = |path: &str| {
            let path = folder.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "x").unwrap();
        };
        assert!(read_folder(folder.path()).unwrap_err().to_string().contains("there is no file"));
        for path in ["b.js", "a/c.css", ".env", ".git/config", ".well-known/security.txt"] {
            write(path);
        }
        let names: Vec<String> = read_folder(folder.path()).unwrap().into_iter().map(|file| file.path).collect();
        assert_eq!(names, [".well-known/security.txt", "a/c.css", "b.js"]);
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("link.txt")).unwrap();
        assert!(read_folder(folder.path()).unwrap_err().to_string().contains("is a link"));
        assert!(read_folder(&folder.path().join("nowhere")).is_err());
    }

    #[test]
    fn files_are_few_and_small() {
        assert_eq!(check_bounds("a", LARGEST_FILE as u64, MOST_FILES, MOST_BYTES - LARGEST_FILE), Ok(()));
        assert!(check_bounds("a", LARGEST_FILE as u64 + 1, 1, 0).is_err());
        assert!(check_bounds("a", 1, MOST_FILES + 1, 0).is_err());
        assert!(check_bounds("a", 1, 1, MOST_BYTES).is_err());
        assert!(check_bounds("a", u64::MAX, 1, usize::MAX).is_err());
    }
}
