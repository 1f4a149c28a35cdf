//! Machine code: it is loaded only when this process compiled it, or when its tag shows that a holder of the key did. And
//! exports of components, whose types are checked once.
//!
//! The only crate with unsafe code outside of the sandbox, so that who reviews it reads one crate. It may touch wasmtime, the
//! C library's allocator and tokio's registration of sockets; no file, no other crate of the host.

pub mod allocator;
pub mod export;
pub mod readiness;

use std::borrow::Cow;

use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use wasmtime::Engine;
use wasmtime::component::Component;
use zeroize::Zeroizing;

/// The length of a tag, in bytes.
pub const TAG: usize = 32;

/// The key that authenticates machine code: who has it may have any code loaded.
pub struct Key(Zeroizing<Vec<u8>>);

impl Key {
    /// From its bytes.
    pub fn new(bytes: Zeroizing<Vec<u8>>) -> Self {
        Self(bytes)
    }

    /// The tag's computation; `None` never, since an HMAC takes keys of all lengths.
    fn mac(&self, name: &str, code: &[u8]) -> Option<Hmac<Sha256>> {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0).ok()?;
        mac.update(name.as_bytes());
        mac.update(code);
        Some(mac)
    }
}

/// Machine code that may be loaded. There are two ways to one, [`MachineCode::compile`] and [`MachineCode::open`], and both
/// show where the code comes from.
pub struct MachineCode<'a>(Cow<'a, [u8]>);

impl<'a> MachineCode<'a> {
    /// Compiles a component in this process.
    ///
    /// # Errors
    /// Why it does not compile.
    pub fn compile(engine: &Engine, wasm: &[u8]) -> wasmtime::Result<MachineCode<'static>> {
        engine.precompile_component(wasm).map(|code| MachineCode(Cow::Owned(code)))
    }

    /// Code that a holder of the key compiled, if `tag` is the key's tag for exactly this code under this name. Names of one key
    /// have one length.
    pub fn open(key: &Key, name: &str, tag: &[u8], code: impl Into<Cow<'a, [u8]>>) -> Option<Self> {
        let code = code.into();
        key.mac(name, &code)?.verify_slice(tag).ok()?;
        Some(Self(code))
    }

    /// The tag that opens this code under this name.
    pub fn tag(&self, key: &Key, name: &str) -> Option<[u8; TAG]> {
        Some(key.mac(name, &self.0)?.finalize().into_bytes().into())
    }

    /// The code, for storing it.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// Loads it.
    ///
    /// # Errors
    /// It was compiled for another engine.
    pub fn load(&self, engine: &Engine) -> wasmtime::Result<Component> {
        // SAFETY: wasmtime asks for the unchanged result of its compiler. `compile` has just that; what `open` has is what a
        // holder of the key gave a tag to, and `tag` gives one to a `MachineCode` alone. wasmtime itself refuses the code of
        // another version or configuration.
        #[expect(unsafe_code, reason = "loading machine code; it was authenticated")]
        unsafe {
            Component::deserialize(engine, &self.0)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use super::*;

    const NAME: &str = "0123";
    /// An empty component.
    const WASM: &[u8] = b"\0asm\x0d\0\x01\0";

    fn key(byte: u8) -> Key {
        Key::new(Zeroizing::new(vec![byte; 32]))
    }

    #[test]
    fn only_the_code_of_the_tag_under_its_name_and_key_is_opened() {
        let engine = Engine::default();
        let code = MachineCode::compile(&engine, WASM).unwrap();
        let tag = code.tag(&key(1), NAME).unwrap();
        let opened = MachineCode::open(&key(1), NAME, &tag, code.bytes()).unwrap();
        opened.load(&engine).unwrap();
        assert!(MachineCode::open(&key(2), NAME, &tag, code.bytes()).is_none(), "another key");
        assert!(MachineCode::open(&key(1), "0124", &tag, code.bytes()).is_none(), "another name");
        for length in [0, TAG - 1] {
            let (short, _) = tag.split_at(length);
            assert!(MachineCode::open(&key(1), NAME, short, code.bytes()).is_none(), "{length} bytes of the tag");
        }
        let other = |at: usize, bytes: &[u8]| {
            let mut bytes = bytes.to_vec();
            *bytes.get_mut(at).unwrap() ^= 1;
            bytes
        };
        for at in 0..TAG {
            assert!(MachineCode::open(&key(1), NAME, &other(at, &tag), code.bytes()).is_none(), "byte {at} of the tag");
        }
        let length = code.bytes().len();
        for at in (0..length).step_by(length / 64 + 1).chain([length - 1]) {
            assert!(MachineCode::open(&key(1), NAME, &tag, other(at, code.bytes())).is_none(), "byte {at} of the code");
        }
        let (_, rest) = code.bytes().split_at(1);
        assert!(MachineCode::open(&key(1), NAME, &tag, rest).is_none(), "a part of the code");
    }

    #[test]
    fn what_another_engine_compiled_is_refused() {
        let mut config = wasmtime::Config::new();
        config.epoch_interruption(true);
        let code = MachineCode::compile(&Engine::default(), WASM).unwrap();
        assert!(code.load(&Engine::new(&config).unwrap()).is_err());
    }
}
