//! Requests a second of a file of 20 KB: by the host, and by nginx beside it, in rounds that take turns.

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use assets::{Assets, Coding, File, Rules, pack};
use e2e::{Expected, Server, ServerOptions};
use http::{HeaderValue, header};
use manifest::Manifest;
use tempfile::TempDir;

use crate::load::{self, CONNECTIONS, Get, Until};
use crate::machine::Usage;
use crate::report::{Report, Row};
use crate::spread::{Rounds, Spread};

/// Rounds that are measured, and how long each side is asked in one.
const ROUNDS: usize = 5;
const TIME: Duration = Duration::from_secs(2);
/// Before the first round.
const WARM_UP: Duration = Duration::from_secs(1);
/// The size of the file, in bytes.
const SIZE: usize = 20_000;
/// The file.
const NAME: &str = "index-Ab12Cd34.js";
/// How long nginx may take to listen.
const STARTS: Duration = Duration::from_secs(10);
/// The component that has the file, and nothing else.
const MANIFEST: &str = "[component]\nname = \"files\"\nversion = \"1.0.0\"\n[assets]\ndir = \"dist\"\n";

/// A server that is asked.
struct Side {
    name: &'static str,
    address: String,
    process: Option<u32>,
}

/// Runs it: half a minute.
pub(crate) fn measure() -> anyhow::Result<Report> {
    let folder = TempDir::new()?;
    let section = pack(vec![File { path: NAME.to_owned(), bytes: content() }], None)?;
    let packed = Assets::read(&section, Rules::default())?;
    let gzip = packed.files().first().and_then(|file| file.form(Coding::Gzip)).context("the file becomes smaller")?;
    let server = host(folder.path(), &section)?;
    let mut sides = vec![Side { name: "DevConnect", address: load::address(&server.url)?, process: Some(server.id()) }];
    let mut about = vec![format!(
        "A file of {SIZE} bytes, as it is and with gzip made before ({} bytes), over {CONNECTIONS} kept connections of one client \
         process. {ROUNDS} rounds of {TIME:?} after one of {WARM_UP:?}; in a round the sides come one after the other. nginx has \
         one worker a core, `sendfile`, `open_file_cache` and `gzip_static`, and writes no log.",
        gzip.bytes.len()
    )];
    let nginx = Nginx::start(folder.path(), &gzip.bytes)?;
    match &nginx {
        // Its workers do the work: the master has used nothing.
        Some(nginx) => sides.push(Side { name: "nginx", address: nginx.address.clone(), process: None }),
        None => about
            .push("There is no `nginx` on the PATH: install the package `nginx` to have it beside ours.".to_owned()),
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut rows = Vec::new();
    for (form, encoding) in [("as it is", "identity"), ("gzip", "gzip")] {
        rows.extend(runtime.block_on(measured(form, encoding, &sides))?);
    }
    Ok(Report { bench: "assets", engine: "embedded", about, rows })
}

/// Lines of a script that are neither all the same nor random.
fn content() -> Vec<u8> {
    let lines = (0_u32..).map(|number| {
        let odd = number.wrapping_mul(2_654_435_761);
        format!("export const step{number} = (state) => [state, {odd}, \"value {:x}\"];\n", odd.rotate_left(9))
    });
    lines.flat_map(String::into_bytes).take(SIZE).collect()
}

/// The built host with one component.
fn host(folder: &Path, section: &[u8]) -> anyhow::Result<Server> {
    let components = folder.join("components");
    std::fs::create_dir(&components)?;
    let wasm = Manifest::bundle_with_assets(b"\0asm\x0d\0\x01\0".to_vec(), MANIFEST, section)?;
    std::fs::write(components.join("files.wasm"), wasm)?;
    let application = "application.toml";
    std::fs::copy(e2e::root().join("target/components").join(application), components.join(application))?;
    let expects = vec![Expected::Anything];
    let options = ServerOptions { components: Some(components), expects, ..ServerOptions::default() };
    Ok(Server::start_with(&folder.join("data"), options))
}

/// A running nginx. It ends when this is dropped.
struct Nginx {
    process: Child,
    address: String,
}

impl Nginx {
    /// Starts it on the same file; none where there is no such program.
    fn start(folder: &Path, gzip: &[u8]) -> anyhow::Result<Option<Self>> {
        if Command::new("nginx").arg("-v").stderr(Stdio::null()).status().is_err() {
            return Ok(None);
        }
        let (root, own) = (folder.join("site"), folder.join("nginx"));
        std::fs::create_dir(&root)?;
        std::fs::create_dir(&own)?;
        std::fs::write(root.join(NAME), content())?;
        std::fs::write(root.join(format!("{NAME}.gz")), gzip)?;
        let address = format!("127.0.0.1:{}", e2e::free_port());
        let config = own.join("nginx.conf");
        std::fs::write(&config, configuration(&address, &root, &own))?;
        let process = Command::new("nginx").arg("-p").arg(&own).arg("-c").arg(&config).stderr(Stdio::null()).spawn()?;
        let nginx = Self { process, address };
        let begun = Instant::now();
        while std::net::TcpStream::connect(&nginx.address).is_err() {
            ensure!(begun.elapsed() < STARTS, "nginx does not listen on {}", nginx.address);
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(Some(nginx))
    }
}

impl Drop for Nginx {
    fn drop(&mut self) {
        // The master ends its workers, which a SIGKILL would leave.
        let _ = Command::new("kill").args(["-TERM", &self.process.id().to_string()]).status();
        let _ = self.process.wait();
    }
}

fn configuration(address: &str, root: &Path, own: &Path) -> String {
    let (root, own) = (root.display(), own.display());
    format!(
        "user root;\ndaemon off;\nworker_processes auto;\npid {own}/pid;\nerror_log /dev/null;\n\
         events {{ worker_connections 1024; }}\n\
         http {{\n\
         access_log off;\nsendfile on;\ntcp_nopush on;\ntcp_nodelay on;\nkeepalive_requests 1000000000;\n\
         open_file_cache max=100 inactive=1h;\ngzip_static on;\ngzip_vary on;\n\
         client_body_temp_path {own}/body;\nproxy_temp_path {own}/proxy;\nfastcgi_temp_path {own}/fastcgi;\n\
         uwsgi_temp_path {own}/uwsgi;\nscgi_temp_path {own}/scgi;\n\
         types {{ text/javascript js; }}\n\
         server {{ listen {address}; location / {{ root {root}; expires max; }} }}\n\
         }}\n"
    )
}

/// A row a side.
async fn measured(form: &str, encoding: &'static str, sides: &[Side]) -> anyhow::Result<Vec<Row>> {
    let mut figures = Vec::new();
    for side in sides {
        let mut request = load::get(&side.address, &format!("/{NAME}"), None)?;
        request.headers_mut().insert(header::ACCEPT_ENCODING, HeaderValue::from_static(encoding));
        let requests: Arc<[Get]> = vec![request].into();
        load::drive(&side.address, &requests, Until::Time(WARM_UP)).await?;
        figures.push((side, requests, Vec::new(), Vec::new(), Duration::ZERO));
    }
    for round in 0..ROUNDS {
        // Each comes first about as often as the others.
        let first = round % figures.len().max(1);
        for at in (first..figures.len()).chain(0..first) {
            let Some((side, requests, rates, times, cpu)) = figures.get_mut(at) else { continue };
            let before = side.process.and_then(Usage::of);
            let seen = load::drive(&side.address, requests, Until::Time(TIME)).await?;
            if let (Some(before), Some(after)) = (before, side.process.and_then(Usage::of)) {
                *cpu += after.since(before).cpu;
            }
            rates.push(seen.rate());
            times.extend(seen.times);
        }
    }
    let ours = figures.first().map_or(0.0, |(_, _, rates, ..)| Rounds::of(rates).median);
    let row = |(side, _, rates, times, cpu): (&Side, _, Vec<f64>, Vec<u64>, Duration)| {
        let (rates, count) = (Rounds::of(&rates), times.len().max(1) as f64);
        let times = Spread::of(times);
        Row::default()
            .with("form", form)
            .with("side", side.name)
            .with_speed("requests/s", &rates, &times, ours)
            .with_some("CPU µs", side.process.map(|_| cpu.as_secs_f64() * 1e6 / count))
    };
    Ok(figures.into_iter().map(row).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_its_size() {
        assert_eq!(content().len(), SIZE);
        assert!(configuration("127.0.0.1:1", Path::new("/a"), Path::new("/b")).contains("listen 127.0.0.1:1;"));
    }
}
