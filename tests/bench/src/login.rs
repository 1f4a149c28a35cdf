//! What logging in costs: for an e-mail that nobody has, beside a known one with a wrong password, and beside the
//! right one. The first two must take the same time, or the time tells who has an account.

use std::time::{Duration, Instant};

use anyhow::ensure;
use harness::{App, Reply, json};
use serde::Serialize;

use crate::spread::Spread;

const WARM_UP: usize = 10;
const ROUNDS: usize = 300;
const EMAIL: &str = "ada@example.com";
const PASSWORD: &str = "Passw0rd!";

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    unknown_email: Spread,
    wrong_password: Spread,
    right_password: Spread,
    /// `unknown_email` by `wrong_password`, of the medians.
    ratio_p50: f64,
    /// The same of the slowest hundredth.
    ratio_p99: f64,
}

/// One way to log in.
#[derive(Debug, Clone, Copy)]
enum Way {
    Unknown,
    Wrong,
    Right,
}

/// Runs all of it; about half a minute.
pub(crate) fn measure() -> anyhow::Result<Figures> {
    // The cost that a host hashes with, not that of tests.
    let config = "[settings]\n\"limits.logins\" = \"off\"";
    let app = App::setup(&["auth"]).config(config).costly_passwords().start();
    let form = json!({ "firstName": "Ada", "lastName": "Lovelace", "emailId": EMAIL, "password": PASSWORD });
    let reply = app.post("/signup").json(&form).send();
    ensure!(reply.status == 200, "the sign-up answered {}", reply.status);
    eprintln!("{ROUNDS} log-ins each of an unknown e-mail, a wrong password and the right one, in turns…");
    let [mut unknown, mut wrong, mut right] = [const { Vec::new() }; 3];
    for round in 0..WARM_UP + ROUNDS {
        // Each comes first, second and third as often as the others. A right one in every round keeps the account from
        // being locked by the wrong ones.
        let mut ways = [Way::Unknown, Way::Wrong, Way::Right];
        ways.rotate_left(round % 3);
        for way in ways {
            let time = log_in(&app, way, round)?;
            let times = match way {
                Way::Unknown => &mut unknown,
                Way::Wrong => &mut wrong,
                Way::Right => &mut right,
            };
            if round >= WARM_UP {
                times.push(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX));
            }
        }
    }
    let [unknown_email, wrong_password, right_password] = [unknown, wrong, right].map(Spread::of);
    let ratio = |of: fn(&Spread) -> u64| of(&unknown_email) as f64 / of(&wrong_password).max(1) as f64;
    let (ratio_p50, ratio_p99) = (ratio(|spread| spread.p50), ratio(|spread| spread.p99));
    Ok(Figures { unknown_email, wrong_password, right_password, ratio_p50, ratio_p99 })
}

/// One log-in through the trigger, from the request's first byte to the answer's last.
fn log_in(app: &App, way: Way, round: usize) -> anyhow::Result<Duration> {
    let (email, password, status) = match way {
        // Another one each time, as long as the known one: no account is ever locked.
        Way::Unknown => (format!("a{:02}@example.com", round % 100), "wrong", 400),
        Way::Wrong => (EMAIL.to_owned(), "wrong", 400),
        Way::Right => (EMAIL.to_owned(), PASSWORD, 200),
    };
    let request = app.post("/login").json(&json!({ "emailId": email, "password": password }));
    let begun = Instant::now();
    let reply: Reply = request.send();
    let time = begun.elapsed();
    ensure!(reply.status == status, "{way:?} was answered with {}: {}", reply.status, reply.text());
    Ok(time)
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(formatter, "POST /login through the HTTP trigger, with a host's full cost of a password.")?;
        writeln!(formatter, "In turns, {ROUNDS} rounds after {WARM_UP}.")?;
        writeln!(formatter, "  unknown e-mail {}", self.unknown_email)?;
        writeln!(formatter, "  wrong password {}", self.wrong_password)?;
        writeln!(formatter, "  right password {}", self.right_password)?;
        write!(formatter, "  unknown by wrong   p50 {:.3}×   p99 {:.3}×", self.ratio_p50, self.ratio_p99)
    }
}
