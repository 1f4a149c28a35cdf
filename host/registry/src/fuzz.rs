//! Routes, made up: the router finds what the plain rule finds. Static segments come before parameters before a wildcard, from
//! the first segment on.

use std::collections::BTreeMap;

use fuzzing::config;
use matchit::Router;
use proptest::prelude::*;

/// A segment of a route. Parameters have the name of their place, so that no two routes give one place two names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Segment {
    Static(String),
    Parameter,
    Wildcard,
}

fn route() -> impl Strategy<Value = Vec<Segment>> {
    let segment = prop_oneof![
        4 => "[ab]{1,2}".prop_map(Segment::Static),
        2 => Just(Segment::Parameter),
    ];
    (prop::collection::vec(segment, 0..4), prop::bool::weighted(0.2)).prop_map(|(mut route, wildcard)| {
        if wildcard {
            route.push(Segment::Wildcard);
        }
        route
    })
}

fn written(route: &[Segment]) -> String {
    let segments = route.iter().enumerate().map(|(at, segment)| match segment {
        Segment::Static(text) => format!("/{text}"),
        Segment::Parameter => format!("/{{p{at}}}"),
        Segment::Wildcard => "/{*rest}".to_owned(),
    });
    let path: String = segments.collect();
    if path.is_empty() { "/".to_owned() } else { path }
}

/// The parameters of a path on a route; none when it is not one of the route.
fn matched(route: &[Segment], path: &str) -> Option<BTreeMap<String, String>> {
    let mut rest = path.strip_prefix('/')?;
    let mut found = BTreeMap::new();
    for (at, segment) in route.iter().enumerate() {
        if *segment == Segment::Wildcard {
            found.insert("rest".to_owned(), rest.to_owned());
            return (!rest.is_empty()).then_some(found);
        }
        let (first, after) = match rest.split_once('/') {
            Some((first, after)) => (first, Some(after)),
            None => (rest, None),
        };
        match segment {
            Segment::Static(text) if text == first => {}
            Segment::Parameter if !first.is_empty() => _ = found.insert(format!("p{at}"), first.to_owned()),
            _ => return None,
        }
        match after {
            Some(after) => rest = after,
            None => return (at + 1 == route.len()).then_some(found),
        }
    }
    // Of `/` nothing is left, and of `/a/` an empty segment that no route has.
    (route.is_empty() && rest.is_empty()).then_some(found)
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn the_router_finds_what_the_rule_finds(
        routes in prop::collection::btree_set(route(), 0..8),
        paths in prop::collection::vec("(/[ab]{0,2}){1,5}", 1..12),
    ) {
        let (mut router, mut kept) = (Router::new(), Vec::new());
        for route in routes {
            // Two that nobody could tell apart: the second one is refused.
            if router.insert(written(&route), route.clone()).is_ok() {
                kept.push(route);
            }
        }
        prop_assert!(!kept.is_empty() || router.at("/").is_err());
        for path in paths {
            // The order of segments is that of the rule, so the least of those that match is the one.
            let matching = kept.iter().filter_map(|route| Some((route, matched(route, &path)?)));
            let expected = matching.min_by_key(|(route, _)| *route);
            let found = router.at(&path).ok().map(|found| {
                let parameters = found.params.iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
                (found.value, parameters.collect::<BTreeMap<String, String>>())
            });
            prop_assert_eq!(found, expected, "{}", path);
        }
    }

    #[test]
    fn a_route_that_is_there_already_is_refused_and_no_text_stops_the_router(
        routes in prop::collection::vec(route(), 1..8),
        text in "[/{}*ab]{0,12}",
        path in "\\PC{0,20}",
    ) {
        let mut router = Router::new();
        let mut kept: Vec<&Vec<Segment>> = Vec::new();
        for (at, route) in routes.iter().enumerate() {
            let again = kept.contains(&route);
            match router.insert(written(route), at) {
                Ok(()) => {
                    prop_assert!(!again, "{} is there twice", written(route));
                    kept.push(route);
                }
                Err(error) => prop_assert!(!error.to_string().is_empty()),
            }
        }
        // A manifest's path may be any of these; it is a route or an error.
        let _ = router.insert(text, usize::MAX);
        let _ = router.at(&path);
        for route in kept {
            let path = written(route).replace(['{', '}', '*'], "");
            prop_assert!(router.at(&path).is_ok(), "{path}");
        }
    }
}
