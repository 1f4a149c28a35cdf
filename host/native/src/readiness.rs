//! Sockets whose readiness tokio waits for while others hold them, too.
//!
//! tokio's own sockets belong to one runtime and one owner. A connection of ours moves from the runtime that accepts to the one
//! that serves, and its handle can shut it down meanwhile. tokio asks for a promise that the compiler can't check: the file
//! descriptor stays the same and open. The types of this module keep it.

use std::io;
use std::net::{TcpListener, TcpStream};
use std::ops::Deref;
use std::os::fd::AsRawFd;
use std::sync::Arc;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

mod sealed {
    pub trait Sealed {}
    impl Sealed for std::net::TcpListener {}
    impl Sealed for std::sync::Arc<std::net::TcpStream> {}
}

/// A socket that has one file descriptor for as long as it is borrowed.
pub trait Socket: AsRawFd + sealed::Sealed {}

impl Socket for TcpListener {}
impl Socket for Arc<TcpStream> {}

/// A socket that is registered with the runtime that it was made on. It is only lent, so that no other takes its place.
#[derive(Debug)]
pub struct Registered<T: Socket>(AsyncFd<T>);

impl<T: Socket> Registered<T> {
    /// Registers a socket, which has to be nonblocking, with the current runtime.
    ///
    /// # Errors
    /// The system can't watch one more.
    ///
    /// # Panics
    /// Outside of a runtime.
    pub fn new(socket: T, interest: Interest) -> io::Result<Self> {
        // SAFETY: a socket of the standard library owns its file descriptor and closes it when it is dropped. `AsyncFd` owns
        // the listener, or a share of the stream, until it is dropped. Another descriptor needs an exclusive borrow: of the
        // listener there is none, since only shared ones are handed out; of the stream there is none while this share exists.
        #[expect(unsafe_code, reason = "tokio can't know that the file descriptor stays")]
        let registered = unsafe { AsyncFd::register_with_interest(socket, interest) };
        Ok(Self(registered?))
    }
}

impl<T: Socket> Deref for Registered<T> {
    type Target = AsyncFd<T>;

    fn deref(&self) -> &AsyncFd<T> {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[tokio::test]
    async fn a_socket_is_ready_once_bytes_are_there() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        listener.set_nonblocking(true).unwrap();
        let listener = Registered::new(listener, Interest::READABLE).unwrap();
        let mut client = TcpStream::connect(address).unwrap();
        let (accepted, _) = listener.async_io(Interest::READABLE, TcpListener::accept).await.unwrap();
        accepted.set_nonblocking(true).unwrap();
        let accepted = Arc::new(accepted);
        let readable = Registered::new(accepted.clone(), Interest::READABLE).unwrap();
        client.write_all(b"a").unwrap();
        drop(readable.readable().await.unwrap());
        assert_eq!(accepted.peek(&mut [0; 2]).unwrap(), 1);
    }
}
