//! Metrics: what a host counts and measures, in the text format of Prometheus. Gauges are read at each scrape. Touches no store
//! but for its health, and reads what the system says of its own process.

use std::sync::Arc;

use metrics::{Unit, counter, describe_counter, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::PrometheusBuilder;

use crate::lag::Lag;
use capability::health::Health;
use capability::health::Store;
use capability::refusals::{Refusal, Refusals};
use capability::retention::Deleted;
use engine::{Counts, Outcome};
use trigger::listener::Listener;

/// 1 in the state that a store is in, 0 in the others, as in a state set of OpenMetrics.
const STORE_STATE: &str = "devconnect_store_state";
/// Finished calls of a component by outcome, over all its versions.
const CALLS: &str = "devconnect_calls_total";
/// Running calls of a component, over all its versions.
const RUNNING: &str = "devconnect_calls_running";
/// Events of a partition that a component has not finished.
const CONSUMER_LAG: &str = "devconnect_consumer_lag";

/// Open connections of a listener.
const CONNECTIONS: &str = "devconnect_connections";
/// Tasks of the host that have begun and not ended.
const TASKS: &str = "devconnect_tasks";
/// What the process holds of the machine: file descriptors, and resident memory.
const OPEN_FILES: &str = "process_open_fds";
const RESIDENT: &str = "process_resident_memory_bytes";
/// What limits refused, by what it was and which limit was reached.
const REFUSED: &str = "devconnect_refused_total";

/// Bytes in memory of the files of components: of versions that are loaded, and of replaced ones.
const ASSETS: &str = "devconnect_asset_bytes";

/// What was deleted because it was older than it is kept, by what it was.
const DELETED: &str = "devconnect_deleted_total";

pub(super) struct Metrics {
    stores: Arc<Vec<Store>>,
    refusals: Arc<Refusals>,
    deleted: Arc<Deleted>,
    listeners: Vec<(&'static str, Arc<Listener>)>,
}

impl Metrics {
    pub(super) fn new(
        stores: Arc<Vec<Store>>,
        refusals: Arc<Refusals>,
        deleted: Arc<Deleted>,
        listeners: Vec<(&'static str, Arc<Listener>)>,
    ) -> Self {
        Self { stores, refusals, deleted, listeners }
    }

    /// Renders all metrics. `lags` is empty when the log did not answer; `calls` has the counts of each component, `assets` the
    /// bytes of files by the kind of versions that have them.
    pub(super) fn render(
        &self,
        lags: &[Lag],
        calls: &[(String, Arc<Counts>)],
        assets: [(&'static str, usize); 2],
    ) -> String {
        // A new recorder for each scrape, so that a series that no longer exists is not sent again.
        let recorder = PrometheusBuilder::new().build_recorder();
        with_local_recorder(&recorder, || {
            describe_gauge!(STORE_STATE, Unit::Count, "1 in the state that the store of a capability is in, else 0");
            describe_gauge!(CONSUMER_LAG, Unit::Count, "events of a partition that a component has not finished");
            describe_counter!(CALLS, Unit::Count, "calls of a component that ended so, over all its versions");
            describe_gauge!(RUNNING, Unit::Count, "calls of a component that have begun and not ended");
            describe_gauge!(CONNECTIONS, Unit::Count, "open connections of a listener");
            describe_gauge!(TASKS, Unit::Count, "tasks that have begun and not ended");
            describe_gauge!(OPEN_FILES, Unit::Count, "open file descriptors of the process");
            describe_gauge!(RESIDENT, Unit::Bytes, "resident memory of the process");
            describe_counter!(REFUSED, Unit::Count, "what limits refused, by what it was and which limit was reached");
            self.set_store_states();
            describe_counter!(DELETED, Unit::Count, "what was deleted because it was older than it is kept");
            self.set_connections();
            for (what, count) in self.deleted.counts() {
                counter!(DELETED, "what" => what).absolute(count);
            }
            set_held();
            describe_gauge!(ASSETS, Unit::Bytes, "bytes in memory of the files of components, in all forms");
            for (versions, bytes) in assets {
                gauge!(ASSETS, "versions" => versions).set(bytes as f64);
            }
            lags.iter().for_each(set_lag);
            calls.iter().for_each(|(component, counts)| set_calls(component, counts));
        });
        recorder.handle().render()
    }

    fn set_connections(&self) {
        for (name, listener) in &self.listeners {
            gauge!(CONNECTIONS, "listener" => *name).set(listener.open() as f64);
        }
        for refusal in Refusal::ALL {
            let (what, why) = refusal.labels();
            counter!(REFUSED, "what" => what, "why" => why).absolute(self.refusals.of(refusal));
        }
    }

    fn set_store_states(&self) {
        for store in self.stores.iter() {
            let current = store.health().name();
            for state in Health::NAMES {
                let labels = [("capability", store.capability), ("engine", store.engine), ("state", state)];
                gauge!(STORE_STATE, &labels).set(if state == current { 1.0 } else { 0.0 });
            }
        }
    }
}

/// What the host holds. A series is left out where the system does not say.
fn set_held() {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        gauge!(TASKS).set(runtime.metrics().num_alive_tasks() as f64);
    }
    if let Ok(files) = std::fs::read_dir("/proc/self/fd") {
        gauge!(OPEN_FILES).set(files.count() as f64);
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")?.split_whitespace().next()?.parse().ok());
    if let Some(kib) = resident {
        let kib: f64 = kib;
        gauge!(RESIDENT).set(kib * 1024.0);
    }
}

fn set_lag(lag: &Lag) {
    let labels =
        [("component", lag.component.clone()), ("topic", lag.topic.clone()), ("partition", lag.partition.to_string())];
    gauge!(CONSUMER_LAG, &labels).set(lag.events() as f64);
}

fn set_calls(component: &str, counts: &Counts) {
    gauge!(RUNNING, "component" => component.to_owned()).set(counts.running() as f64);
    for outcome in Outcome::ALL {
        counter!(CALLS, "component" => component.to_owned(), "outcome" => outcome.as_str())
            .absolute(counts.of(outcome));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_in_one_state() {
        let store = Store::embedded("cache", "embedded (in process)");
        let deleted = Arc::new(Deleted::default());
        deleted.count("events", 3);
        let text = Metrics::new(Arc::new(vec![store]), Arc::default(), deleted, Vec::new()).render(
            &[],
            &[("c".to_owned(), Arc::default())],
            [("loaded", 5), ("replaced", 0)],
        );
        let line = |state| {
            format!(r#"devconnect_store_state{{capability="cache",engine="embedded (in process)",state="{state}"}}"#)
        };
        for (state, value) in [("up", 1), ("degraded", 0), ("down", 0)] {
            assert!(text.contains(&format!("{} {value}\n", line(state))), "{text}");
        }
        assert!(!text.contains("devconnect_consumer_lag{"), "{text}");
        assert!(text.contains(r#"devconnect_calls_total{component="c",outcome="cut"} 0"#), "{text}");
        assert!(text.contains(r#"devconnect_refused_total{what="connection",why="silent"} 0"#), "{text}");
        assert!(text.contains(r#"devconnect_deleted_total{what="events"} 3"#), "{text}");
        assert!(text.contains(r#"devconnect_asset_bytes{versions="loaded"} 5"#), "{text}");
    }

    #[test]
    fn a_lag_is_what_is_not_finished() {
        let lag =
            |finished| Lag { component: "c~1".into(), topic: "t".into(), partition: 2, finished, oldest: 0, end: 7 };
        let text = |finished| {
            let metrics = Metrics::new(Arc::default(), Arc::default(), Arc::default(), Vec::new());
            metrics.render(&[lag(finished)], &[], [("loaded", 0), ("replaced", 0)])
        };
        let line = |events| format!(r#"devconnect_consumer_lag{{component="c~1",topic="t",partition="2"}} {events}"#);
        assert!(text(Some(3)).contains(&line(4)), "{}", text(Some(3)));
        assert!(text(None).contains(&line(0)), "{}", text(None));
    }
}
