//! The operator's settings, made up and damaged: they are refused with words, or they are numbers that the host can count with.

use std::time::{Duration, Instant};

use fuzzing::{config, damage};
use manifest::Limits;
use proptest::prelude::*;

use crate::config::Config;

/// A file with a value of each kind.
const FILE: &str = "
public-url = 'https://devconnect.example'
frontend-url = 'https://a.example, https://b.example/'
trusted-proxies = '10.0.0.0/8, ::1'
mail-from = 'DevConnect <no-reply@devconnect.example>'
[engine]
instances = 500
warm = 10
lanes = 2
pooling = true
[admission]
running-per-caller = 10
wait-seconds = 3
bodies-mib = 64
[listener]
connections = 1000
idle-seconds = 60
header-seconds = 5
[sockets]
sockets = 100
pace = 20
ping-seconds = 25
lease-seconds = 30
[documents]
refuse-scans = true
[limits]
cpu-ms = 1000
[settings]
'limits.logins' = '10'
";

fn check(file: &str, environment: &[(String, String)]) -> Result<(), TestCaseError> {
    let variable = |name: &str| environment.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
    match Config::parse(file, variable) {
        Err(error) => prop_assert!(!error.to_string().trim().is_empty()),
        Ok(config) => {
            prop_assert!((1..=10_000).contains(&config.engine.instances));
            prop_assert!(config.frontends.iter().all(|origin| !origin.is_empty() && !origin.ends_with('/')));
            prop_assert!(
                !config.production || config.public_url.as_ref().is_some_and(|url| url.starts_with("https://"))
            );
            // The host adds them to the time that it is.
            let (listener, sockets) = (&config.listener, &config.sockets);
            for time in [listener.first_request, listener.header_time, listener.idle, listener.write_time]
                .into_iter()
                .chain([sockets.ping, sockets.pong, sockets.lease, config.engine.admission.wait])
            {
                prop_assert!(time > Duration::ZERO && Instant::now().checked_add(2 * time).is_some(), "{time:?}");
            }
            let _ = config.engine.ceilings.beyond(&Limits::MOST);
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_damaged_file_is_refused_or_can_be_counted_with(damage in damage()) {
        check(&damage.of_text(FILE), &[])?;
    }

    #[test]
    fn any_number_is_refused_or_can_be_counted_with(place in any::<prop::sample::Index>(), number in any::<i64>()) {
        let numbers: Vec<&str> = FILE.lines().filter(|line| line.ends_with(|last: char| last.is_ascii_digit())).collect();
        let line = place.get(&numbers);
        let name = line.split(' ').next().unwrap_or_default();
        check(&FILE.replace(line, &format!("{name} = {number}")), &[])?;
    }

    #[test]
    fn any_environment_is_refused_or_can_be_counted_with(
        names in prop::sample::subsequence(
            vec!["DEVCONNECT_ENV", "PUBLIC_URL", "FRONTEND_URL", "TRUSTED_PROXIES", "REDIS_URL", "KAFKA_BROKERS", "MAIL_FROM"],
            0..=7,
        ),
        values in prop::collection::vec("production|https?://[a-z.:@/0-9-]{0,20}|[a-z0-9.:/, ]{1,20}|\\PC{1,20}", 7),
    ) {
        let environment: Vec<(String, String)> = names.iter().map(|name| (*name).to_owned()).zip(values).collect();
        check("", &environment)?;
    }
}
