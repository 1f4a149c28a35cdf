//! Versions of a built component: the same code, but for a constant that some of its functions push and drop at once. To a
//! compiler those are other functions; to a caller they are the same.

use anyhow::{Context as _, ensure};

/// The sections that are rewritten: core modules of a component, and the code of a module.
const CORE_MODULE: u8 = 1;
const CODE: u8 = 10;
/// What a component and a module begin with.
const COMPONENT: &[u8] = b"\0asm\x0d\0\x01\0";
const MODULE: &[u8] = b"\0asm\x01\0\0\0";
/// `i32.const` and `drop`.
const I32_CONST: u8 = 0x41;
const DROP: u8 = 0x1a;
/// References to types, whose encoding goes on behind the first byte.
const TYPED_REFERENCES: [u8; 2] = [0x63, 0x64];

/// The component with another body of every `every`-th function of each of its modules; `number` tells versions apart.
pub(crate) fn variant(component: &[u8], every: usize, number: u32) -> anyhow::Result<Vec<u8>> {
    sections(component, COMPONENT, &mut |id, content| match id {
        CORE_MODULE => module(content, every, number).map(Some),
        _ => Ok(None),
    })
}

fn module(module: &[u8], every: usize, number: u32) -> anyhow::Result<Vec<u8>> {
    sections(module, MODULE, &mut |id, content| match id {
        CODE => code(content, every, number).map(Some),
        _ => Ok(None),
    })
}

/// The other content of a section, by its number and content; none: it stays.
type Changed<'a> = dyn FnMut(u8, &[u8]) -> anyhow::Result<Option<Vec<u8>>> + 'a;

/// Copies all sections, but those for which there is another content.
fn sections(bytes: &[u8], beginning: &[u8], changed: &mut Changed<'_>) -> anyhow::Result<Vec<u8>> {
    let mut rest = bytes.strip_prefix(beginning).context("neither a component nor a module")?;
    let mut written = beginning.to_vec();
    while let Some((id, after)) = rest.split_first() {
        let (length, after) = unsigned(after)?;
        let (content, after) = after.split_at_checked(length).context("a section that is cut short")?;
        let content = match changed(*id, content)? {
            Some(other) => other,
            None => content.to_vec(),
        };
        written.push(*id);
        push(&mut written, content.len());
        written.extend(content);
        rest = after;
    }
    Ok(written)
}

fn code(content: &[u8], every: usize, number: u32) -> anyhow::Result<Vec<u8>> {
    let (count, mut rest) = unsigned(content)?;
    let mut written = Vec::with_capacity(content.len() + count * 8);
    push(&mut written, count);
    for at in 0..count {
        let (length, after) = unsigned(rest)?;
        let (body, after) = after.split_at_checked(length).context("a function that is cut short")?;
        let body = if at.is_multiple_of(every.max(1)) { function(body, number)? } else { body.to_vec() };
        push(&mut written, body.len());
        written.extend(body);
        rest = after;
    }
    ensure!(rest.is_empty(), "more behind the last function");
    Ok(written)
}

/// Another body: behind its locals, the constant.
fn function(body: &[u8], number: u32) -> anyhow::Result<Vec<u8>> {
    let (groups, mut rest) = unsigned(body)?;
    for _ in 0..groups {
        let (_, after) = unsigned(rest)?;
        let (kind, after) = after.split_first().context("a local without a type")?;
        rest = if TYPED_REFERENCES.contains(kind) { unsigned(after)?.1 } else { after };
    }
    let locals = body.len() - rest.len();
    let mut written = Vec::with_capacity(body.len() + 8);
    written.extend_from_slice(body.get(..locals).unwrap_or_default());
    written.push(I32_CONST);
    // The sign's bit is not used: one group of seven bits more than of an unsigned number at most.
    push_signed(&mut written, number >> 1);
    written.push(DROP);
    written.extend_from_slice(rest);
    Ok(written)
}

/// An unsigned number in LEB128, and what comes behind it.
fn unsigned(bytes: &[u8]) -> anyhow::Result<(usize, &[u8])> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().take(5).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Ok((value, bytes.get(at + 1..).unwrap_or_default()));
        }
    }
    anyhow::bail!("a number that is cut short")
}

fn push(to: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

/// A number that is not negative, as a signed one.
fn push_signed(to: &mut Vec<u8>, mut value: u32) {
    while value >= 0x40 {
        to.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test")]

    use super::*;

    /// A component with one module of these functions: a body each.
    fn component(bodies: &[&[u8]]) -> Vec<u8> {
        let mut code = Vec::new();
        push(&mut code, bodies.len());
        for body in bodies {
            push(&mut code, body.len());
            code.extend_from_slice(body);
        }
        let mut module = [MODULE, &[CODE]].concat();
        push(&mut module, code.len());
        module.extend(code);
        let mut component = [COMPONENT, &[0, 2, 1, b'x', CORE_MODULE]].concat();
        push(&mut component, module.len());
        component.extend(module);
        component
    }

    #[test]
    fn every_other_function_has_another_body() {
        // No locals; two groups of locals, one of them of a typed reference.
        let bodies: [&[u8]; 3] = [&[0, 0x0b], &[0, 0x01, 0x0b], &[2, 1, 0x7f, 3, 0x63, 0, 0x0b]];
        let changed = variant(&component(&bodies), 2, 200).unwrap();
        let expected: [&[u8]; 3] = [
            &[0, I32_CONST, 0xe4, 0, DROP, 0x0b],
            bodies.get(1).unwrap(),
            &[2, 1, 0x7f, 3, 0x63, 0, I32_CONST, 0xe4, 0, DROP, 0x0b],
        ];
        assert_eq!(changed, component(&expected));
    }

    #[test]
    fn what_is_no_component_is_none() {
        let whole = component(&[&[0, 0x0b]]);
        assert!(variant(b"text", 1, 1).is_err());
        for length in COMPONENT.len() + 1..whole.len() {
            // At the end of a section it is a smaller component.
            assert!(variant(whole.get(..length).unwrap(), 1, 1).is_err() || length == COMPONENT.len() + 4, "{length}");
        }
    }
}
