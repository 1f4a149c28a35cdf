//! Headers, made up: a component's cookies as browsers keep and send them, the session's token, origins and proxies.

use std::collections::BTreeSet;
use std::net::IpAddr;

use fuzzing::config;
use http::{HeaderMap, HeaderValue, header};
use proptest::prelude::*;

use crate::http::cookies::may_set;
use crate::http::origin::{OriginRules, Verdict, origin_of};
use crate::proxies::Proxies;
use crate::session_token::session_token;
use capability::sessions::has_form_of_token;

const SESSION: &str = "token";

/// What a browser sends back of a `Set-Cookie` (RFC 6265bis, sections 5.6 and 5.8.3); none: it keeps nothing.
fn sent_back(set_cookie: &str) -> Option<String> {
    let pair = set_cookie.split(';').next().unwrap_or_default();
    let (name, value) = pair.split_once('=').unwrap_or(("", pair));
    let (name, value) = (name.trim_matches([' ', '\t']), value.trim_matches([' ', '\t']));
    if name.is_empty() && value.is_empty() {
        return None;
    }
    Some(if name.is_empty() { value.to_owned() } else { format!("{name}={value}") })
}

/// Text around the names that matter.
fn set_cookie() -> impl Strategy<Value = String> {
    let name = prop_oneof![
        3 => Just("token".to_owned()),
        1 => Just("TOKEN".to_owned()),
        1 => Just("__Host-token".to_owned()),
        1 => Just("__Secure-Token".to_owned()),
        2 => "[ -~]{0,8}",
    ];
    let space = || "[ \t]{0,2}";
    // Mostly one that has the form of a token: any other is none, wherever it comes from.
    let value = prop_oneof![3 => "\"?[a-z]\\.[a-z]\\.[a-z]\"?", 1 => "[ -~]{0,12}"];
    (space(), name, space(), "=?", value, "(; ?[A-Za-z=.]{0,12}){0,3}").prop_map(
        |(before, name, after, equals, value, attributes)| format!("{before}{name}{after}{equals}{value}{attributes}"),
    )
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn no_cookie_that_a_component_may_set_comes_back_as_the_sessions(set_cookie in set_cookie(), first in any::<bool>()) {
        let value = HeaderValue::from_str(&set_cookie).unwrap();
        if !may_set(&value, SESSION) {
            return Ok(());
        }
        let kept = sent_back(&set_cookie);
        prop_assert!(kept.is_some(), "what nobody keeps is not set");
        let other = "theme=dark".to_owned();
        let mut cookies: Vec<String> = kept.into_iter().chain([other]).collect();
        if !first {
            cookies.reverse();
        }
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, HeaderValue::from_str(&cookies.join("; ")).unwrap());
        prop_assert_eq!(session_token(&headers, SESSION), None, "{:?}", cookies);
        let domain = set_cookie.split(';').skip(1).any(|attribute| {
            attribute.split('=').next().unwrap_or_default().trim().eq_ignore_ascii_case("domain")
        });
        prop_assert!(!domain, "it would be sent to other hosts");
    }

    #[test]
    fn the_first_cookie_of_the_name_with_the_form_of_a_token_has_it(
        lines in prop::collection::vec("([ -:<-~]{0,6}=?[ -:<-~]{0,6};? ?|token=\"?[a-z]{0,3}\\.[a-z]\\.[a-z]\"?; ?){0,4}", 0..3),
    ) {
        let mut headers = HeaderMap::new();
        for line in &lines {
            headers.append(header::COOKIE, HeaderValue::from_str(line).unwrap());
        }
        let pairs = lines.iter().flat_map(|line| line.split(';')).filter_map(|pair| pair.split_once('='));
        let named = pairs.filter(|(name, _)| name.trim() == SESSION).map(|(_, value)| value.trim());
        let bare = named.map(|value| value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or(value));
        let expected = bare.filter(|value| has_form_of_token(value)).map(str::to_owned).next();
        prop_assert_eq!(session_token(&headers, SESSION), expected);
    }

    #[test]
    fn no_bytes_of_headers_stop_the_host(
        cookie in prop::collection::vec(any::<u8>(), 0..40),
        authorization in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut headers = HeaderMap::new();
        for (name, bytes) in [(header::COOKIE, &cookie), (header::AUTHORIZATION, &authorization)] {
            if let Ok(value) = HeaderValue::from_bytes(bytes) {
                let _ = may_set(&value, SESSION);
                headers.insert(name, value);
            }
        }
        // What is no text is no token, in either header.
        let token = session_token(&headers, SESSION);
        prop_assert!(token.is_none_or(|token| token.len() <= 40 && !token.contains('\0')));
    }

    #[test]
    fn only_a_listed_origin_or_the_own_one_may_call(
        listed in prop::collection::btree_set("https?://[a-c]\\.example(:[0-9]{1,4})?", 0..3),
        origins in prop::collection::vec("(https?://)?[a-c]\\.example(:[0-9]{1,4})?/?|null|", 0..3),
        host in "[a-c]\\.example(:[0-9]{1,4})?",
        own_host in any::<bool>(),
    ) {
        let allowed: BTreeSet<String> = listed.iter().filter_map(|url| origin_of(url)).collect();
        let rules = OriginRules { allowed: allowed.clone(), own_host };
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_str(&host).unwrap());
        for origin in &origins {
            headers.append(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        }
        let may = |origin: &str| {
            let Some((scheme, rest)) = origin.split_once("://") else { return false };
            let own = origin_of(&format!("{scheme}://{host}"));
            let origin = origin_of(origin);
            !rest.ends_with('/')
                && (origin.as_ref().is_some_and(|origin| allowed.contains(origin)) || (own_host && origin == own))
        };
        let expected = match &origins[..] {
            [] => Verdict::Absent,
            [one] if may(one) => Verdict::Allowed(HeaderValue::from_str(one).unwrap()),
            _ => Verdict::Foreign,
        };
        prop_assert_eq!(rules.judge(&http::Uri::from_static("/feed"), &headers), expected);
    }

    #[test]
    fn a_clients_address_is_the_last_one_that_no_trusted_proxy_could_have_made_up(
        peer in address(),
        forwarded in prop::collection::vec(
            prop_oneof![5 => address().prop_map(|address| address.to_string()), 1 => "[ -+--~]{0,6}"],
            0..5,
        ),
    ) {
        // What a proxy of this network says is believed.
        let proxies = Proxies::parse("10.0.0.0/8, fd00::/8").unwrap();
        let trusts = |address: IpAddr| match address.to_canonical() {
            IpAddr::V4(address) => address.octets()[0] == 10,
            IpAddr::V6(address) => address.octets()[0] == 0xfd,
        };
        let mut headers = HeaderMap::new();
        headers.insert("x-forwarded-for", HeaderValue::from_str(&forwarded.join(", ")).unwrap());
        let mut expected = peer.to_canonical();
        for said in forwarded.iter().rev() {
            match said.trim().parse::<IpAddr>() {
                Ok(address) if trusts(expected) => expected = address.to_canonical(),
                _ => break,
            }
        }
        prop_assert_eq!(proxies.client(peer, &headers), expected);
        prop_assert_eq!(Proxies::default().client(peer, &headers), peer.to_canonical(), "nobody is trusted unasked");
    }

    #[test]
    fn a_list_of_networks_is_refused_by_name_or_read(list in "[0-9a-f.:/, ]{0,40}|\\PC{0,20}") {
        if let Err(why) = Proxies::parse(&list) {
            prop_assert!(why.contains("is no address and no CIDR"), "{why}");
        }
    }
}

/// Addresses of a few networks, so that they meet.
fn address() -> impl Strategy<Value = IpAddr> {
    prop::sample::select(vec![
        "10.0.0.1",
        "10.9.9.9",
        "1.2.3.4",
        "::1",
        "fd00::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "::ffff:9.9.9.9",
    ])
    .prop_map(|address| address.parse().unwrap())
}
