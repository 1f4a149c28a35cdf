//! Metrics: what a host counts and measures, as Prometheus reads it. What is only looked at is looked at when it is asked for.

use std::sync::Arc;

use metrics::{Unit, describe_gauge, gauge, with_local_recorder};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::capability::Health;
use crate::stores::Store;

/// 1 in the state that a store is in, 0 in the others, as OpenMetrics has its state sets.
const STORE_STATE: &str = "devconnect_store_state";

pub(super) struct Metrics {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
    stores: Arc<Vec<Store>>,
}

impl Metrics {
    pub(super) fn new(stores: Arc<Vec<Store>>) -> Self {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        with_local_recorder(&recorder, || {
            describe_gauge!(STORE_STATE, Unit::Count, "1 in the state that the store of a capability is in, else 0");
        });
        Self { recorder, handle, stores }
    }

    pub(super) fn render(&self) -> String {
        with_local_recorder(&self.recorder, || self.look());
        self.handle.render()
    }

    fn look(&self) {
        for store in self.stores.iter() {
            let now = store.health().name();
            for state in Health::NAMES {
                let labels = [("capability", store.capability), ("engine", store.engine), ("state", state)];
                gauge!(STORE_STATE, &labels).set(if state == now { 1.0 } else { 0.0 });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_store_is_in_one_state() {
        let store = Store::embedded("cache", "embedded (in process)");
        let text = Metrics::new(Arc::new(vec![store])).render();
        let line = |state| {
            format!(r#"devconnect_store_state{{capability="cache",engine="embedded (in process)",state="{state}"}}"#)
        };
        for (state, value) in [("up", 1), ("degraded", 0), ("down", 0)] {
            assert!(text.contains(&format!("{} {value}\n", line(state))), "{text}");
        }
    }
}
