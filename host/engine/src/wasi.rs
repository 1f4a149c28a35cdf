//! WASI guests: `wasi:http` components, without environment, files, network and terminal.
//!
//! Toolchains import all of WASI whatever a component uses, so all of it is there, and most of it is empty. Requests and bodies
//! are WASI resources; everything else of a call, its limits too, is as for `devconnect:platform` components.

use wasmtime::component::{Linker, ResourceTable};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use crate::State;

/// The most resources that a call holds at a time, such as fields and streams.
const MAX_RESOURCES: usize = 256;
/// The most bytes that the fields of one resource take in memory.
const MAX_FIELDS: usize = 64 << 10;
/// The most bytes of a body that one stream keeps until the host has read them.
const MAX_CHUNK: usize = 64 << 10;
/// The most random bytes of one call.
const MAX_RANDOM: u64 = 64 << 10;

/// The additional state of a call of a WASI guest; created on first use.
pub(super) struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outbound: NoOutbound,
}

impl Default for Wasi {
    fn default() -> Self {
        let (mut http, mut table) = (WasiHttpCtx::new(), ResourceTable::new());
        http.set_field_size_limit(MAX_FIELDS);
        table.set_max_capacity(MAX_RESOURCES);
        // A socket that leads nowhere would still be an open file of the host.
        let context = WasiCtx::builder().max_random_size(MAX_RANDOM).allow_tcp(false).allow_udp(false).build();
        Self { context, http, table, outbound: NoOutbound }
    }
}

/// Denies outbound requests: no manifest can grant them yet.
struct NoOutbound;

/// The result of `send_request`: a response, and the future of its connection.
type Sent = Result<(http::Response<WasiBody>, Box<dyn Future<Output = Result<(), Error>> + Send>), Error>;

impl WasiHttpHooks for NoOutbound {
    fn send_request(
        &mut self,
        _: http::Request<WasiBody>,
        _: Option<RequestOptions>,
        _: Box<dyn Future<Output = Result<(), Error>> + Send>,
    ) -> Box<dyn Future<Output = Sent> + Send> {
        Box::new(std::future::ready(Err(Error::HttpRequestDenied)))
    }

    fn p2_outgoing_body_chunk_size(&mut self) -> usize {
        MAX_CHUNK
    }
}

/// Adds all of WASI 0.2 and `wasi:http`.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    wasmtime_wasi::p2::add_to_linker_async(linker)?;
    wasmtime_wasi_http::p2::add_only_http_to_linker_async(linker)
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(Box::default)
    }

    /// The host's own access, which is no call of the guest.
    pub(super) fn wasi_http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView { hooks: &mut wasi.outbound, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}

// Each function of WASI asks for its view once, before it does anything.
impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        self.enter_wasi();
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        self.enter_wasi();
        self.wasi_http()
    }
}
