//! Was a module linked as the SDK's `link.rs` says: a small stack below the data, and a heap that is there from the
//! start? Without them a component works, and every request of it pays for growing its memory. So it is an error
//! here, where its author sees it, and not a slow morning later.

use anyhow::{Context, Result, ensure};
use wasmparser::{ConstExpr, DataKind, Operator, Parser, Payload};

/// Bytes of stack, as in `components/sdk/link.rs`.
const STACK: u64 = 64 * 1024;
/// Bytes of heap above the module's own data, as in `components/sdk/link.rs`.
const HEAP: u64 = 256 * 1024;
const PAGE: u64 = 64 * 1024;

/// An error when stack or heap are not as they should be; it says what to write where.
pub(super) fn check(core: &[u8]) -> Result<()> {
    let (mut memory, mut data_end, mut stack) = (0, 0, None);
    for payload in Parser::new(0).parse_all(core) {
        match payload.context("the linked module can't be read")? {
            Payload::MemorySection(section) => {
                for declared in section {
                    memory = declared?.initial.saturating_mul(PAGE);
                }
            }
            // The linker's first global is the stack pointer, which starts at the stack's upper end.
            Payload::GlobalSection(section) => {
                if let Some(first) = section.into_iter().next() {
                    stack = constant(&first?.init_expr)?;
                }
            }
            Payload::DataSection(section) => {
                for segment in section {
                    let segment = segment?;
                    if let DataKind::Active { offset_expr, .. } = segment.kind {
                        let start = constant(&offset_expr)?.unwrap_or_default();
                        data_end = data_end.max(start.saturating_add(segment.data.len() as u64));
                    }
                }
            }
            _ => {}
        }
    }
    ensure!(
        stack == Some(STACK) && memory >= data_end.saturating_add(HEAP),
        "it was linked with {} bytes of stack and {memory} of memory for data up to {data_end}: write `build = \"../sdk/link.rs\"` under [package] of its Cargo.toml",
        stack.unwrap_or_default()
    );
    Ok(())
}

fn constant(expression: &ConstExpr<'_>) -> Result<Option<u64>> {
    Ok(match expression.get_operators_reader().read()? {
        Operator::I32Const { value } => Some(u64::from(value as u32)),
        _ => None,
    })
}
