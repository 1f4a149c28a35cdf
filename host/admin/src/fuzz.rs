//! What operators' requests name, made up: the names of dead letters, which are also where a page of them begins.

use fuzzing::{config, damage};
use proptest::prelude::*;

use crate::dead_letters::Address;

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_letters_name_is_read_as_it_is_written(topic in "[a-z/.-]{1,20}", partition in any::<u32>(), offset in any::<u64>()) {
        let name = format!("{topic}/{partition}/{offset}");
        prop_assert_eq!(name.parse::<Address>().unwrap().to_string(), name);
    }

    #[test]
    fn a_damaged_name_is_refused_or_another_letters(topic in "[a-z/.-]{1,20}", at in any::<(u32, u64)>(), damage in damage()) {
        let name = damage.of_text(&format!("{topic}/{}/{}", at.0, at.1));
        match name.parse::<Address>() {
            // Numbers may have zeros and a plus before them: the name that is shown has none, and is the same letter's.
            Ok(address) => prop_assert_eq!(address.to_string().parse::<Address>().unwrap(), address),
            Err(error) => {
                prop_assert_eq!(error.0.as_u16(), 400);
                prop_assert!(error.1.contains("topic/partition/offset"));
            }
        }
    }
}
