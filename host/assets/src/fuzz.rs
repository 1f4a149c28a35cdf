//! Sections, made up and damaged: what was packed is read, and a hostile one is refused with words or read whole.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use fuzzing::{config, costly, damage};
use proptest::prelude::*;

use crate::{Assets, Coding, File, MOST_BYTES, Rules, is_hashed, pack};

fn files() -> impl Strategy<Value = Vec<File>> {
    let bytes = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..200),
        ("[a-z ]{0,8}", 0..200_usize).prop_map(|(word, times)| word.repeat(times).into_bytes()),
    ];
    let path = "[a-zA-Z0-9_-]{1,12}(/[a-z]{1,4})?\\.(js|css|html|png|bin)";
    prop::collection::btree_map(path, bytes, 0..5)
        .prop_map(|files| files.into_iter().map(|(path, bytes)| File { path, bytes }).collect())
}

fn rules() -> Rules {
    Rules { prefix: "/".to_owned(), ..Rules::default() }
}

proptest! {
    #![proptest_config(costly(4))]

    #[test]
    fn what_is_packed_is_read(files in files()) {
        let packed = pack(files.clone(), None).unwrap();
        let assets = Assets::read(&packed, rules()).unwrap();
        prop_assert_eq!(assets.files().len(), files.len());
        for File { path, bytes } in &files {
            let found = assets.find(&format!("/{path}")).unwrap();
            prop_assert_eq!(&found.form(Coding::Identity).unwrap().bytes, bytes);
            prop_assert_eq!(found.hashed, is_hashed(path));
        }
        prop_assert_eq!(pack(files, Some(&assets)).unwrap(), packed);
    }

    #[test]
    fn a_damaged_section_is_refused_or_read_whole(files in files(), damage in damage()) {
        let damaged = damage.of(&pack(files, None).unwrap());
        match Assets::read(&damaged, rules()) {
            Ok(assets) => prop_assert!(assets.held() <= damaged.len().min(3 * MOST_BYTES)),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_bytes_and_no_paths_stop_it(bytes in prop::collection::vec(any::<u8>(), 0..100), path in "\\PC{0,40}") {
        let _ = Assets::read(&bytes, rules());
        let _ = Assets::read(&[b"dcassets\x01".as_slice(), &bytes].concat(), rules());
        let assets = Assets::read(&pack(Vec::new(), None).unwrap(), rules()).unwrap();
        prop_assert!(assets.find(&path).is_none() && assets.fallback(&path).is_none());
        let _ = is_hashed(&path);
    }
}
