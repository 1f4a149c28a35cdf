//! What operators' requests say, made up: the names of dead letters, which are also where a page of them begins, and how a
//! component is deployed.

use axum::extract::Query;
use axum::http::Uri;
use fuzzing::{config, damage};
use proptest::prelude::*;

use crate::components::DeployParams;
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

    #[test]
    fn a_deploy_is_refused_or_has_numbers_within_their_ranges(
        parameters in prop::collection::vec(
            (
                "weight|max-errors|min-calls|promote-after|accept-grants|[a-z]{0,4}",
                "[0-9]{1,4}|[0-9.e+-]{0,8}|true|NaN|inf|-inf|1e999",
            ),
            0..5,
        ),
    ) {
        let query: Vec<String> = parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let uri: Uri = format!("/v1/components?{}", query.join("&")).parse().unwrap();
        let Ok(Query(read)) = Query::<DeployParams>::try_from_uri(&uri) else { return Ok(()) };
        match read.options() {
            Err(error) => prop_assert_eq!(error.0.as_u16(), 400),
            Ok(options) => {
                let Some(share) = options.share else { return Ok(()) };
                prop_assert!((1..=100).contains(&share.weight));
                prop_assert!(share.rule.is_none_or(|rule| (0.0..=100.0).contains(&rule.max_errors) && rule.min_calls > 0));
            }
        }
    }
}
