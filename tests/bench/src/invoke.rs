//! What one invocation costs: a fresh instance per call against the same work called natively, and two threads
//! against one.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use capability::cache::Ttl;
use devconnect::config::Config;
use devconnect::{Host, HostOptions};
use engine::{Call, Caller, Engine, Entered, HttpCall, Loaded};
use serde::Serialize;

use crate::measured;
use crate::spread::Spread;

const WARM_UP: usize = 5_000;
const ROUNDS: usize = 50_000;
const THROUGHPUT: Duration = Duration::from_secs(3);
const SESSION: &str = r#"{"user":42,"roles":["user","editor"],"csrf":"b1946ac92492d2347c6235b4d2611184"}"#;
const USER: &str = r#"{"name":"Ada Lovelace","about":"Writes programs for machines that do not exist yet. Likes numbers, poetry and long letters about the analytical engine.","skills":["rust","wasm","math"],"followers":1815,"avatar":"https://cdn.example.org/u/42.webp"}"#;

/// All figures of this bench.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    native: Spread,
    component: Spread,
    /// `component` less `native`, of the medians, in nanoseconds.
    overhead: u64,
    one_thread_per_second: u64,
    two_threads_per_second: u64,
}

/// Runs all of it; about ten seconds.
pub(crate) fn measure() -> anyhow::Result<Figures> {
    let options = HostOptions::new(Config::default(), harness::components_folder(), None);
    let host = Host::open(options)?;
    let component = host.registry.deploy(&harness::wasm("measured"))?;
    let engine = host.registry.engine().clone();
    let cache = engine.shared().capabilities.cache.clone();
    eprintln!("one thread: {ROUNDS} native calls, {ROUNDS} calls of a component…");
    let one = runtime(1)?;
    let (native, fresh) = one.block_on(async {
        for (key, value) in [(measured::SESSION, SESSION), (measured::USER, USER)] {
            cache.set(key, Bytes::from_static(value.as_bytes()), Ttl::clamped(3_600)).await?;
        }
        // In a task of the runtime, as the trigger's are.
        let (twin, wasm) = (engine.clone(), engine.clone());
        let native = tokio::spawn(async move { time_native(&twin).await }).await??;
        let called = component.clone();
        let fresh = tokio::spawn(async move { time_component(&wasm, &called).await }).await??;
        anyhow::Ok((native, fresh))
    })?;
    eprintln!("calls per second on one thread and on two…");
    let one_thread_per_second = throughput(1, &engine, &component)?;
    let two_threads_per_second = throughput(2, &engine, &component)?;
    let overhead = fresh.p50.saturating_sub(native.p50);
    Ok(Figures { native, component: fresh, overhead, one_thread_per_second, two_threads_per_second })
}

fn runtime(threads: usize) -> anyhow::Result<tokio::runtime::Runtime> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build();
    runtime.context("no runtime")
}

async fn time_native(engine: &Engine) -> anyhow::Result<Spread> {
    let cache = &engine.shared().capabilities.cache;
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        let begun = Instant::now();
        let session = cache.get(measured::SESSION).await?.context("the session is cached")?;
        let user = cache.get(measured::USER).await?.context("the user is cached")?;
        let body = measured::render(&session, &user, "42")?;
        let time = begun.elapsed();
        ensure!(!body.is_empty(), "an empty answer");
        if round >= WARM_UP {
            times.push(nanoseconds(time));
        }
    }
    Ok(Spread::of(times))
}

async fn time_component(engine: &Arc<Engine>, component: &Arc<Loaded>) -> anyhow::Result<Spread> {
    let mut times = Vec::with_capacity(ROUNDS);
    for round in 0..WARM_UP + ROUNDS {
        let call = call();
        let begun = Instant::now();
        let (answer, _) = engine.invoke(component, enter(engine)?, call).await?;
        let time = begun.elapsed();
        ensure!(answer.response.status == 200, "the component answered {}", answer.response.status);
        if round >= WARM_UP {
            times.push(nanoseconds(time));
        }
    }
    Ok(Spread::of(times))
}

fn throughput(threads: usize, engine: &Arc<Engine>, component: &Arc<Loaded>) -> anyhow::Result<u64> {
    let runtime = runtime(threads)?;
    let begun = Instant::now();
    let calls = runtime.block_on(async {
        let tasks: Vec<_> = (0..threads * 16)
            .map(|_| {
                let (engine, component) = (engine.clone(), component.clone());
                tokio::spawn(async move {
                    let mut calls = 0_u64;
                    while begun.elapsed() < THROUGHPUT {
                        engine.invoke(&component, enter(&engine)?, call()).await?;
                        calls += 1;
                    }
                    anyhow::Ok(calls)
                })
            })
            .collect();
        let mut calls = 0;
        for task in tasks {
            calls += task.await??;
        }
        anyhow::Ok(calls)
    })?;
    Ok((calls as f64 / begun.elapsed().as_secs_f64()) as u64)
}

fn enter(engine: &Engine) -> anyhow::Result<Entered> {
    Ok(engine.admission().enter(Caller::Member("a".into()), false)?)
}

fn call() -> HttpCall {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    HttpCall {
        call: Call { id: "0af7651916cd43dd".into(), identity: None, socket: None },
        method: http::Method::GET,
        path: "/measured/42".into(),
        query: "fields=all".into(),
        route: "/measured/{id}".into(),
        params: vec![pair("id", "42")],
        headers: vec![
            pair("user-agent", "bench/1"),
            pair("accept", "application/json"),
            pair("accept-language", "en"),
            pair("x-csrf", "b1946ac92492d2347c6235b4d2611184"),
        ],
        body: Bytes::new(),
        client: "127.0.0.1".into(),
    }
}

fn nanoseconds(time: Duration) -> u64 {
    u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)
}

impl std::fmt::Display for Figures {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let ratio = self.two_threads_per_second as f64 / self.one_thread_per_second.max(1) as f64;
        writeln!(formatter, "One invocation: two cache reads, two JSON documents parsed, one written.")?;
        writeln!(formatter, "Embedded cache, a fresh instance per call, {ROUNDS} rounds after {WARM_UP}.")?;
        writeln!(formatter, "  native     {}", self.native)?;
        writeln!(formatter, "  component  {}", self.component)?;
        writeln!(formatter, "  overhead   p50 {:>7.2} µs", self.overhead as f64 / 1_000.0)?;
        writeln!(formatter, "  one thread {:>9} calls/s", self.one_thread_per_second)?;
        write!(formatter, "  two        {:>9} calls/s   {ratio:.2}×", self.two_threads_per_second)
    }
}
