//! An hour of everything at once: members who read, edit and write, others who come and go, and versions that are deployed,
//! tried as canaries and taken back. What the host holds of the machine stays where it is.
//!
//! `cargo xtask soak` runs it for as long as it is told, and writes `target/soak/*.svg`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test fails where it stands, and says what it saw"
)]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use e2e::held::Sample;
use e2e::{Member, PASSWORD, Server, ServerOptions, Site, Stack, root, stamp, stamp_of};
use faults::chart::{Series, svg};
use faults::load::Load;
use tokio::task::spawn_blocking;

/// Between two looks at the host.
const EVERY: Duration = Duration::from_secs(1);
/// Between two changes of what is deployed, and between one member who comes and the next.
const DEPLOYS: Duration = Duration::from_secs(15);
const DOORS: Duration = Duration::from_millis(500);
/// Members at work are no guests: how often they do something is not what is tried.
const CONFIG: &str = "[settings]\n\"limits.edits\" = \"off\"\n\"limits.logins\" = \"off\"\n";

/// A series, the share by which its last quarter may be above its second one, and so much more.
const FLAT: [(&str, f64, f64); 4] = [
    ("resident memory, MiB", 0.10, 48.0),
    ("open files", 0.10, 24.0),
    ("connections", 0.10, 8.0),
    ("tasks", 0.10, 64.0),
];

/// Two hours of load at once would measure each other.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

mod embedded {
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "an hour: `cargo xtask soak`, or `cargo xtask test --full`"]
    async fn what_a_host_holds_stays_where_it_is() {
        super::soak(e2e::Stack::embedded(), "embedded").await;
    }
}

mod real {
    #[tokio::test(flavor = "multi_thread")]
    #[ignore = "an hour: `cargo xtask soak --real`, or `cargo xtask test --full`"]
    async fn what_a_host_holds_stays_where_it_is() {
        if let Some(stack) = tokio::task::spawn_blocking(e2e::Stack::real).await.unwrap() {
            super::soak(stack, "real").await;
        }
    }
}

fn minutes() -> u64 {
    let asked = std::env::var("DEVCONNECT_SOAK_MINUTES").ok().and_then(|minutes| minutes.parse().ok());
    asked.unwrap_or(60).max(1)
}

#[test]
fn a_chart_has_a_line_for_each_series() {
    let series = |name: &str, from: f64| Series {
        name: name.to_owned(),
        points: (0..3_600).map(|second| (f64::from(second), from + f64::from(second % 7))).collect(),
    };
    let all = [series("a < b", 100.0), series("files", 20.0)];
    let chart = svg("an hour & more", &all);
    assert_eq!(chart.matches("<polyline").count(), 2);
    assert!(chart.starts_with("<svg ") && chart.ends_with("</svg>\n"), "{chart}");
    assert!(
        chart.contains("a &lt; b") && chart.contains("an hour &amp; more") && chart.contains(">60 min<"),
        "{chart}"
    );
    assert_eq!((all[0].median(0.25, 0.5), all[0].median(0.75, 1.0)), (Some(103.0), Some(103.0)));
    assert_eq!(Series::default().median(0.0, 1.0), None);
}

/// Looks at the host, from a thread of its own, until it is ended.
struct Sampler {
    ended: Arc<AtomicBool>,
    looking: JoinHandle<Vec<(f64, Sample)>>,
}

impl Sampler {
    fn begin(server: &Server) -> Self {
        let (process, admin, ended) = (server.id(), server.admin.clone(), Arc::new(AtomicBool::new(false)));
        let looking = std::thread::spawn({
            let ended = ended.clone();
            move || {
                let (begun, mut samples) = (Instant::now(), Vec::new());
                while !ended.load(Ordering::Relaxed) {
                    samples.extend(Sample::of(process, &admin).map(|sample| (begun.elapsed().as_secs_f64(), sample)));
                    std::thread::sleep(EVERY);
                }
                samples
            }
        });
        Self { ended, looking }
    }

    fn end(self) -> [Series; 4] {
        self.ended.store(true, Ordering::Relaxed);
        let samples = self.looking.join().unwrap();
        let of: [fn(&Sample) -> f64; 4] = [
            |sample| sample.resident as f64 / 1024.0,
            |sample| sample.files as f64,
            |sample| sample.connections as f64,
            |sample| sample.tasks as f64,
        ];
        let mut of = of.into_iter();
        FLAT.map(|(name, ..)| {
            let value = of.next().unwrap();
            Series { name: name.to_owned(), points: samples.iter().map(|(at, sample)| (*at, value(sample))).collect() }
        })
    }
}

/// Members who sign up, look around, log out and come back.
async fn doors(url: String, ended: Arc<AtomicBool>, count: Arc<AtomicU64>) {
    let regular = Member::sign_up(&url, "Regular").await;
    while !ended.load(Ordering::Relaxed) {
        let member = Member::log_in(&url, &regular.email, PASSWORD).await;
        for path in ["/feed?ml=true", "/notifications", "/analytics/summary", "/email-preferences"] {
            member.read(path).await;
        }
        assert_eq!(member.post("/logout").send().await.unwrap().status(), 200);
        count.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(DOORS).await;
    }
}

/// Deploys a version, tries another one on a part of the requests and takes it back, then deploys that and goes back.
async fn deploys(site: &Site, server: &Server, until: Instant) -> u64 {
    // The fixture begins with 0.
    let mut number = 1;
    while Instant::now() < until {
        site.deploy(server, number, &[]);
        assert_eq!(stamp(&server.url).await, stamp_of(number));
        site.deploy(server, number + 1, &["--weight", "20"]);
        site.well(server, &["rollback", "stamped"]);
        assert_eq!(stamp(&server.url).await, stamp_of(number));
        site.deploy(server, number + 2, &["--weight", "20"]);
        site.well(server, &["promote", "stamped"]);
        assert_eq!(stamp(&server.url).await, stamp_of(number + 2));
        site.well(server, &["rollback", "stamped"]);
        assert_eq!(stamp(&server.url).await, stamp_of(number));
        number += 3;
        tokio::time::sleep(DEPLOYS).await;
    }
    number - 1
}

async fn soak(stack: Stack, name: &str) {
    let _turn = TURN.lock().await;
    let site = Site::new(stack);
    let server = site.start_with("host", ServerOptions { config: Some(CONFIG), ..ServerOptions::default() }).await;
    let until = Instant::now() + Duration::from_secs(60 * minutes());
    let load = Load::begin([&server.url, &server.url], "Soak").await;
    let (ended, came) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
    let doors = tokio::spawn(doors(server.url.clone(), ended.clone(), came.clone()));
    let sampler = Sampler::begin(&server);

    let deployed = deploys(&site, &server, until).await;
    let series = spawn_blocking(move || sampler.end()).await.unwrap();
    ended.store(true, Ordering::Relaxed);
    doors.await.unwrap();
    let shared = load.end().await;

    let file = root().join("target/soak").join(format!("{name}.svg"));
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, svg(&format!("{} minutes on {name} stores", minutes()), &series)).unwrap();
    let tally = shared.tally.lock().unwrap();
    println!("{tally}; {deployed} deploys, {} log-ins; {}", came.load(Ordering::Relaxed), file.display());
    assert_eq!(tally.wrongs().0, 0, "{:?}", tally.wrongs().1);
    assert!(tally.all().answered > 0 && deployed > 0 && came.load(Ordering::Relaxed) > 0);
    for (series, (name, share, more)) in series.iter().zip(FLAT) {
        let (second, last) = (series.median(0.25, 0.5).unwrap(), series.median(0.75, 1.0).unwrap());
        println!("{name}: {second:.0} in the second quarter, {last:.0} in the last one");
        assert!(
            last <= second * (1.0 + share) + more,
            "{name}: {second:.0} in the second quarter, {last:.0} in the last"
        );
    }
}
