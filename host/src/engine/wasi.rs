//! The standard's guests: `wasi:http` components, with no environment, no files, no network and no terminal.
//!
//! Their requests and bodies are the standard's resources; everything else of a call is as for our own world.

use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use wasmtime_wasi_http::{Error, RequestOptions, WasiBody, WasiHttpCtx, WasiHttpCtxView, WasiHttpHooks, WasiHttpView};

use super::State;

/// What a call of a standard guest holds besides; made when it is first needed.
pub(super) struct Wasi {
    context: WasiCtx,
    http: WasiHttpCtx,
    table: ResourceTable,
    outbound: NoOutbound,
}

impl Default for Wasi {
    fn default() -> Self {
        Self {
            context: WasiCtx::builder().build(),
            http: WasiHttpCtx::new(),
            table: ResourceTable::new(),
            outbound: NoOutbound,
        }
    }
}

/// Outbound requests are a capability that no manifest grants yet.
struct NoOutbound;

/// What the standard's `send_request` answers: a response, and what becomes of its connection.
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
}

impl State {
    fn wasi(&mut self) -> &mut Wasi {
        self.wasi.get_or_insert_with(Box::default)
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        let wasi = self.wasi();
        WasiCtxView { ctx: &mut wasi.context, table: &mut wasi.table }
    }
}

impl WasiHttpView for State {
    fn http(&mut self) -> WasiHttpCtxView<'_> {
        let wasi = self.wasi();
        WasiHttpCtxView { hooks: &mut wasi.outbound, table: &mut wasi.table, ctx: &mut wasi.http }
    }
}
