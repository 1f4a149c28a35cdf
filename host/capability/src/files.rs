//! Files of a host: mode 0600, in folders of mode 0700, whatever the umask is and whatever the mode was before.
//!
//! Every file and folder that a host writes is made here. Mails have tokens in them, so no other user may read them. Touches only
//! the paths that it is given.

use std::fs::{DirBuilder, File, Metadata, OpenOptions, Permissions};
use std::io::{self, ErrorKind, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// The mode of every file.
const FILE: u32 = 0o600;
/// The mode of every folder.
const FOLDER: u32 = 0o700;
/// The bits of a mode that say who may do what.
const RIGHTS: u32 = 0o777;
/// A folder with this bit is for all users of the machine, as `/tmp` is.
const STICKY: u32 = 0o1000;

/// Takes a folder for the host, as [`folder`] does, and withdraws the rights of others from everything that is in it. What
/// belongs to somebody else is left as it is, and links are not followed.
///
/// # Errors
/// As [`folder`].
pub fn take(path: &Path) -> io::Result<()> {
    folder(path)?;
    let owner = std::fs::metadata(path)?.uid();
    let mut open = vec![path.to_owned()];
    while let Some(folder) = open.pop() {
        for entry in std::fs::read_dir(&folder)? {
            let path = entry?.path();
            let about = match std::fs::symlink_metadata(&path) {
                // Another process has just removed it.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                about => about?,
            };
            if about.uid() != owner {
                continue;
            }
            if about.is_dir() {
                restrict(&path, &about, FOLDER)?;
                open.push(path);
            } else if about.is_file() {
                match restrict(&path, &about, FILE) {
                    Err(error) if error.kind() == ErrorKind::NotFound => {}
                    restricted => restricted?,
                }
            }
        }
    }
    Ok(())
}

/// Makes a folder, and those above it that are missing. One that is there already keeps what is in it and loses the rights of
/// others.
///
/// # Errors
/// It can't be made, it belongs to another user, or it is one that all users of the machine need.
pub fn folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(FOLDER).create(path)?;
    restrict(path, &std::fs::metadata(path)?, FOLDER)
}

/// Makes a folder that must not be there yet.
///
/// # Errors
/// It is there, or can't be made.
pub fn new_folder(path: &Path) -> io::Result<()> {
    DirBuilder::new().mode(FOLDER).create(path)?;
    restrict(path, &std::fs::metadata(path)?, FOLDER)
}

/// Opens a file to read and write; makes it when it is missing, and leaves what is in it.
///
/// # Errors
/// It can't be opened, or belongs to another user who lets others read it.
pub fn open(path: &Path) -> io::Result<File> {
    opened(OpenOptions::new().read(true).write(true).create(true).truncate(false), path)
}

/// Makes an empty file, or empties the one that is there.
///
/// # Errors
/// As [`open`].
pub fn create(path: &Path) -> io::Result<File> {
    opened(OpenOptions::new().write(true).create(true).truncate(true), path)
}

/// Writes a whole file, of these parts, or none; what was there is replaced. A power failure may take it back.
///
/// # Errors
/// It can't be written; what was there stays.
pub fn write_whole(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    write(path, parts, false)
}

/// Writes a whole file or none, also in a power failure: it is durable when this returns.
///
/// # Errors
/// It can't be written; what was there stays.
pub fn write_durably(path: &Path, bytes: &[u8]) -> io::Result<()> {
    write(path, &[bytes], true)?;
    match path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => File::open(folder)?.sync_all(),
        None => Ok(()),
    }
}

/// Writes a file under another name and renames it. The name is this call's alone: two may write the same file at once.
fn write(path: &Path, parts: &[&[u8]], durable: bool) -> io::Result<()> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let temporary = path.with_extension(format!("{}-{number}.part", std::process::id()));
    let written = create(&temporary).and_then(|mut file| {
        for part in parts {
            file.write_all(part)?;
        }
        if durable {
            file.sync_all()?;
        }
        std::fs::rename(&temporary, path)
    });
    if written.is_err() {
        // It may not even have been made.
        let _ = std::fs::remove_file(&temporary);
    }
    written
}

fn opened(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let file = options.mode(FILE).open(path)?;
    let about = file.metadata()?;
    if about.permissions().mode() & RIGHTS != FILE {
        file.set_permissions(Permissions::from_mode(FILE)).map_err(|error| of_another(&about, error))?;
    }
    Ok(file)
}

/// Gives a file or folder this mode, unless it has it.
fn restrict(path: &Path, about: &Metadata, mode: u32) -> io::Result<()> {
    let now = about.permissions().mode();
    if now & RIGHTS == mode {
        return Ok(());
    }
    if about.is_dir() && (now & STICKY != 0 || path.parent().is_none()) {
        let why = "other users of this machine need it; give the host a folder of its own, which may be inside of it";
        return Err(io::Error::new(ErrorKind::PermissionDenied, why));
    }
    std::fs::set_permissions(path, Permissions::from_mode(mode)).map_err(|error| of_another(about, error))
}

/// The error of a mode that can't be changed.
fn of_another(about: &Metadata, error: io::Error) -> io::Error {
    if error.kind() != ErrorKind::PermissionDenied {
        return error;
    }
    let why = format!(
        "it belongs to user {}, and this host can't withdraw the rights of others ({error}); give the host a folder of its own, \
         which may be inside of it",
        about.uid()
    );
    io::Error::new(ErrorKind::PermissionDenied, why)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    /// A folder of one test, which is removed with it.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("capability-files-{name}-{}", std::process::id()));
            std::fs::create_dir_all(&path).unwrap();
            Self(path)
        }

        /// A folder in it with a mode.
        fn folder(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            std::fs::create_dir_all(&path).unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }

        /// A file in it with a mode.
        fn file(&self, name: &str, mode: u32) -> PathBuf {
            let path = self.0.join(name);
            std::fs::write(&path, "old").unwrap();
            std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
            path
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & RIGHTS
    }

    #[test]
    fn what_was_there_before_is_taken_from_others() {
        let scratch = Scratch::new("take");
        let outside = scratch.file("outside", 0o644);
        let data = scratch.folder("data", 0o755);
        let mails = scratch.folder("data/mails", 0o775);
        let mail = scratch.file("data/mails/old.eml", 0o644);
        let readable_only = scratch.file("data/read-only", 0o444);
        std::os::unix::fs::symlink(&outside, data.join("link")).unwrap();
        take(&data).unwrap();
        assert_eq!((mode(&data), mode(&mails)), (FOLDER, FOLDER));
        assert_eq!((mode(&mail), mode(&readable_only)), (FILE, FILE));
        assert_eq!(mode(&outside), 0o644, "what a link leads to is not the host's");
        assert_eq!(std::fs::read_to_string(&mail).unwrap(), "old");
        // What is not there is made, with all above it.
        let deep = data.join("a/b");
        take(&deep).unwrap();
        assert_eq!((mode(&deep), mode(&data.join("a"))), (FOLDER, FOLDER));
    }

    #[test]
    fn a_file_is_for_its_owner_however_it_comes_about() {
        let scratch = Scratch::new("write");
        let kept = scratch.file("kept", 0o666);
        drop(open(&kept).unwrap());
        assert_eq!((mode(&kept), std::fs::read_to_string(&kept).unwrap().as_str()), (FILE, "old"));
        let emptied = scratch.file("emptied", 0o644);
        drop(create(&emptied).unwrap());
        assert_eq!((mode(&emptied), std::fs::read_to_string(&emptied).unwrap().as_str()), (FILE, ""));
        let [whole, durable] = ["whole.a", "durable.a"].map(|name| scratch.file(name, 0o644));
        write_whole(&whole, &[b"n", b"ew"]).unwrap();
        write_durably(&durable, b"new").unwrap();
        for file in [&whole, &durable] {
            assert_eq!((mode(file), std::fs::read_to_string(file).unwrap().as_str()), (FILE, "new"));
        }
        assert!(write_whole(&scratch.0.join("nowhere/a"), &[b"x"]).is_err());
        let names = std::fs::read_dir(&scratch.0).unwrap().map(|entry| entry.unwrap().file_name());
        let parts = names.filter(|name| name.to_string_lossy().ends_with(".part")).count();
        assert_eq!(parts, 0, "nothing half is left");
    }

    #[test]
    fn a_folder_of_all_users_stays_theirs() {
        let scratch = Scratch::new("shared");
        let shared = scratch.folder("shared", 0o1777);
        let error = take(&shared).unwrap_err();
        assert!(error.to_string().contains("a folder of its own"), "{error}");
        assert_eq!(mode(&shared), 0o777);
        assert!(restrict(Path::new("/"), &std::fs::metadata("/").unwrap(), 0o1).is_err());
        take(&shared.join("host")).unwrap();
        assert_eq!(mode(&shared.join("host")), FOLDER);
    }

    #[test]
    fn a_new_folder_is_nobody_elses() {
        let scratch = Scratch::new("new");
        let new = scratch.0.join("new");
        new_folder(&new).unwrap();
        assert_eq!(mode(&new), FOLDER);
        assert_eq!(new_folder(&new).unwrap_err().kind(), ErrorKind::AlreadyExists);
    }
}
