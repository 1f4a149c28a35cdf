//! The page in a real Chromium: two members walk through the whole product on a desktop and on a phone, and one by keyboard alone.
//! What they see is in `target/browser`.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

use e2e::{Stack, node};

/// One walk at a time: each has its patience.
static TURN: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

async fn walk(file: &'static str) {
    let _turn = TURN.lock().await;
    let stack = Stack::embedded();
    let server = stack.start("host").await;
    let ended = tokio::task::spawn_blocking(move || {
        node::walk(file, &server.url);
        server.interrupt()
    });
    assert!(ended.await.unwrap(), "the host ends well");
}

#[tokio::test(flavor = "multi_thread")]
async fn two_windows() {
    walk("two_windows.test.mjs").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn by_keyboard_alone() {
    walk("keyboard.test.mjs").await;
}
