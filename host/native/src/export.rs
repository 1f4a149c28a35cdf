//! Exports: functions of a component that are called with types of Rust.
//!
//! wasmtime compares all of these types with the component's at each look-up of a function. They are the component's, not an
//! instance's: once is enough.

use std::marker::PhantomData;
use std::sync::atomic::{AtomicBool, Ordering};

use wasmtime::component::{ComponentExportIndex, ComponentNamedList, InstancePre, Lift, Lower, TypedFunc};
use wasmtime::{Error, Store};

/// An exported function of a component.
pub struct Export<T: 'static, Params, Results> {
    component: InstancePre<T>,
    function: ComponentExportIndex,
    /// The function has these parameters and results.
    is_checked: AtomicBool,
    types: PhantomData<fn(Params) -> Results>,
}

impl<T, Params, Results> Export<T, Params, Results>
where
    T: Send + 'static,
    Params: ComponentNamedList + Lower,
    Results: ComponentNamedList + Lift,
{
    /// The function at this index of the component.
    pub fn new(component: InstancePre<T>, function: ComponentExportIndex) -> Self {
        Self { component, function, is_checked: AtomicBool::new(false), types: PhantomData }
    }

    /// The function of a fresh instance.
    ///
    /// # Errors
    /// The component can't be instantiated, or the function has other types.
    pub async fn instantiate(&self, store: &mut Store<T>) -> wasmtime::Result<TypedFunc<Params, Results>> {
        let instance = self.component.instantiate_async(&mut *store).await?;
        // wasmtime finds nothing at an index of another component.
        let function = instance.get_func(&mut *store, self.function);
        let function = function.ok_or_else(|| Error::msg("the export is no function of the component"))?;
        if !self.is_checked.load(Ordering::Relaxed) {
            let function = function.typed(&*store)?;
            self.is_checked.store(true, Ordering::Relaxed);
            return Ok(function);
        }
        // SAFETY: wasmtime asks for a function that has these parameters and results. `typed` found that it has them, in an
        // instance of this component; nobody else sets the mark. No resource of an instance decides about them: the component
        // was linked once, and its instances get their imports' types from there.
        #[expect(unsafe_code, reason = "the function's types were checked")]
        let function = unsafe { TypedFunc::new_unchecked(function) };
        Ok(function)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that can't go on should fail right here")]

    use std::pin::pin;
    use std::task::{Context, Poll, Waker};

    use wasmtime::Engine;
    use wasmtime::component::{Component, Linker};

    use super::*;
    use crate::MachineCode;

    /// `(component (core module $m (func (export "f") (result i32) i32.const 7)) (core instance $i (instantiate $m))
    /// (func (export "f") (result u32) (canon lift (core func $i "f"))))`, as bytes.
    #[rustfmt::skip]
    const SEVEN: &[u8] = &[
        0, b'a', b's', b'm', 0x0d, 0, 1, 0,
        // The module: its type, function, export and code.
        0x01, 34, 0, b'a', b's', b'm', 1, 0, 0, 0,
        1, 5, 1, 0x60, 0, 1, 0x7f,
        3, 2, 1, 0,
        7, 5, 1, 1, b'f', 0, 0,
        10, 6, 1, 4, 0, 0x41, 7, 0x0b,
        // Its instance, the function of that, the type, the lifted function, and the export.
        0x02, 4, 1, 0, 0, 0,
        0x06, 7, 1, 0, 0, 1, 0, 1, b'f',
        0x07, 5, 1, 0x40, 0, 0, 0x79,
        0x08, 6, 1, 0, 0, 0, 0, 0,
        0x0b, 7, 1, 0, 1, b'f', 1, 0, 0,
    ];

    fn component() -> (Engine, Component) {
        let engine = Engine::default();
        let component = MachineCode::compile(&engine, SEVEN).unwrap().load(&engine).unwrap();
        (engine, component)
    }

    fn export<Results: ComponentNamedList + Lift>(engine: &Engine, component: &Component) -> Export<(), (), Results> {
        let linked = Linker::new(engine).instantiate_pre(component).unwrap();
        Export::new(linked, component.get_export_index(None, "f").unwrap())
    }

    /// The result of a future that waits for nothing outside of it.
    fn done<R>(future: impl Future<Output = R>) -> R {
        let mut future = pin!(future);
        for _ in 0..1_000 {
            if let Poll::Ready(done) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
                return done;
            }
        }
        unreachable!("nothing here waits")
    }

    #[test]
    fn a_function_is_called_in_an_instance_of_its_own_each_time() {
        let (engine, component) = component();
        let seven = export::<(u32,)>(&engine, &component);
        for _ in 0..3 {
            let mut store = Store::new(&engine, ());
            let function = done(seven.instantiate(&mut store)).unwrap();
            assert_eq!(done(function.call_async(&mut store, ())).unwrap(), (7,));
        }
    }

    #[test]
    fn a_function_of_other_types_is_refused_each_time() {
        let (engine, component) = component();
        let other = export::<(String,)>(&engine, &component);
        for _ in 0..3 {
            assert!(done(other.instantiate(&mut Store::new(&engine, ()))).is_err());
        }
    }

    #[test]
    fn a_function_of_another_component_is_none() {
        let ((engine, first), second) = (component(), MachineCode::compile(&Engine::default(), SEVEN));
        let second = second.unwrap().load(&engine).unwrap();
        let linked = Linker::new(&engine).instantiate_pre(&first).unwrap();
        let mixed = Export::<(), (), (u32,)>::new(linked, second.get_export_index(None, "f").unwrap());
        assert!(done(mixed.instantiate(&mut Store::new(&engine, ()))).is_err());
    }
}
