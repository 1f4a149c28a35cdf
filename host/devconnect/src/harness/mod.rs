//! The harness: a host that is driven by JSON lines on standard input and output, for tests of components in any language.
//!
//! `docs/harness.md` is the protocol. The host is the one that serves: the same engine, capabilities and triggers, on stores
//! in memory, with a clock that the driver moves and sockets that only record. `protocol` is what a line says, `session`
//! takes a request to what answers it, `app` is the host that was started, and the files beside it do the work.

mod app;
mod calls;
mod documents;
mod events;
mod extended_json;
mod protocol;
mod recorded;
mod session;
mod stand_in;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use tokio::io::{AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, BufReader};
use tokio::sync::mpsc::{self, UnboundedReceiver, UnboundedSender};
use tokio::task::JoinSet;

use protocol::{Answer, Failure, Kind, MAX_LINE, Operation, Reply, Request};
use session::Session;

/// How long `start` may take: components may have to be compiled.
const STARTING: Duration = Duration::from_secs(120);
/// How long any other request may take.
const ANSWERING: Duration = Duration::from_secs(60);

/// Serves a driver on standard input and output until it closes the input.
///
/// # Errors
/// Text that says why it ended early.
pub fn run() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let served = runtime.block_on(serve(BufReader::new(tokio::io::stdin()), tokio::io::stdout()));
    // A read of standard input that nobody answers must not hold up the end.
    runtime.shutdown_background();
    served
}

/// Serves a driver until its input ends: every request in a task of its own, replies as they are completed.
///
/// # Errors
/// Text that says why it ended early: a line that is too long, or an input or output that failed.
pub async fn serve(
    input: impl AsyncBufRead + Unpin,
    output: impl AsyncWrite + Unpin + Send + 'static,
) -> anyhow::Result<()> {
    let session = Arc::new(Session::default());
    let (replies, queue) = mpsc::unbounded_channel();
    let writing = tokio::spawn(write(output, queue));
    let read = read(input, &session, replies).await;
    session.close().await;
    let written = writing.await.context("the task that writes replies ended early")?;
    read.and(written.context("a reply can't be written"))
}

/// Reads requests until the input ends, then waits for those that are not answered yet.
async fn read(
    mut input: impl AsyncBufRead + Unpin,
    session: &Arc<Session>,
    replies: UnboundedSender<String>,
) -> anyhow::Result<()> {
    let mut running = JoinSet::new();
    let outcome = loop {
        let mut line = Vec::new();
        // Its end does not count.
        match (&mut input).take(MAX_LINE + 2).read_until(b'\n', &mut line).await {
            Ok(0) => break Ok(()),
            Ok(_) if line.strip_suffix(b"\n").unwrap_or(&line).len() as u64 > MAX_LINE => {
                let failure = Failure::new(Kind::Request, format!("a line takes at most {MAX_LINE} bytes"));
                let _ = replies.send(Reply::failed(None, failure).into_line());
                break Err(anyhow::anyhow!("a line of the driver has more than {MAX_LINE} bytes"));
            }
            Ok(_) => {}
            Err(error) => break Err(anyhow::Error::new(error).context("the input can't be read")),
        }
        let (session, reply_to) = (session.clone(), replies.clone());
        running.spawn(async move {
            let reply = match Request::read(&line) {
                Ok(Request { id, operation }) => Reply::to(id, answer(session, operation).await),
                Err((id, failure)) => Reply::failed(id, failure),
            };
            let _ = reply_to.send(reply.into_line());
        });
        while running.try_join_next().is_some() {}
        if replies.is_closed() {
            // Nobody can read a reply any more.
            break Ok(());
        }
    };
    while running.join_next().await.is_some() {}
    outcome
}

/// The answer of one operation, or why there is none in its time. It has a task of its own: when it panics, that is one failure,
/// and when it is late, only the waiting for it ends.
async fn answer(session: Arc<Session>, operation: Operation) -> Result<Answer, Failure> {
    let time = if matches!(operation, Operation::Start(_)) { STARTING } else { ANSWERING };
    match tokio::time::timeout(time, tokio::spawn(session.perform(operation))).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(ended)) => Err(Failure::new(Kind::Host, format!("the request was not answered: {ended}"))),
        Err(_) => Err(Failure::new(Kind::Late, format!("it is not done after {time:?}"))),
    }
}

/// Writes the greeting, then replies in the order in which they come.
async fn write(mut output: impl AsyncWrite + Unpin, mut queue: UnboundedReceiver<String>) -> std::io::Result<()> {
    output.write_all(protocol::greeting().as_bytes()).await?;
    output.flush().await?;
    while let Some(line) = queue.recv().await {
        output.write_all(line.as_bytes()).await?;
        output.flush().await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    /// What is said to these lines, the greeting first.
    async fn said(lines: &[u8]) -> (anyhow::Result<()>, Vec<Value>) {
        let (ours, theirs) = tokio::io::duplex(1 << 20);
        let served = serve(lines, theirs).await;
        let mut text = String::new();
        BufReader::new(ours).read_to_string(&mut text).await.unwrap();
        (served, text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
    }

    async fn failure(line: &str) -> (Value, String, String) {
        let (served, said) = said(line.as_bytes()).await;
        served.unwrap();
        let [_, reply] = &said[..] else { panic!("{said:?}") };
        let text = |name: &str| reply["error"][name].as_str().unwrap().to_owned();
        (reply["id"].clone(), text("kind"), text("message"))
    }

    #[tokio::test]
    async fn it_greets_and_ends_with_its_input() {
        let (served, said) = said(b"").await;
        served.unwrap();
        assert_eq!(said, [json!({ "protocol": 1, "host": env!("CARGO_PKG_VERSION") })]);
    }

    #[tokio::test]
    async fn what_is_no_request_is_refused_in_words() {
        for (line, id, words) in [
            ("not JSON", json!(null), "expected"),
            ("[]", json!(null), "expected a map"),
            ("{\"do\":\"time\"}", json!(null), "`id`"),
            ("{\"id\":\"one\",\"do\":\"time\"}", json!(null), "`id`"),
            ("{\"id\":1}", json!(1), "`do`"),
            ("{\"id\":2,\"do\":\"fly\"}", json!(2), "unknown variant `fly`, expected one of `start`, "),
            ("{\"id\":3,\"do\":\"time\",\"zone\":\"UTC\"}", json!(3), "unknown field `zone`"),
            ("{\"id\":4,\"do\":\"cached\"}", json!(4), "missing field `key`"),
            ("{\"id\":5,\"do\":\"cached\",\"key\":7}", json!(5), "expected a string"),
        ] {
            let (of, kind, message) = failure(line).await;
            assert_eq!((of, kind.as_str()), (id, "request"), "{line}: {message}");
            assert!(message.contains(words), "{line}: {message}");
        }
    }

    #[tokio::test]
    async fn nothing_is_done_before_the_start() {
        let (id, kind, message) = failure("{\"id\":1,\"do\":\"time\"}").await;
        assert_eq!((id, kind.as_str()), (json!(1), "state"), "{message}");
    }

    #[tokio::test]
    async fn a_line_that_is_too_long_ends_it() {
        let mut lines = vec![b' '; usize::try_from(MAX_LINE).unwrap() + 1];
        lines.extend_from_slice(b"\n{\"id\":1,\"do\":\"time\"}\n");
        let (served, said) = said(&lines).await;
        assert!(served.is_err());
        let [_, reply] = &said[..] else { panic!("{said:?}") };
        assert_eq!((&reply["id"], &reply["error"]["kind"]), (&json!(null), &json!("request")));
    }

    #[tokio::test]
    async fn all_lines_are_answered_before_the_end() {
        let (served, said) = said(b"{\"id\":1,\"do\":\"time\"}\n{\"id\":2,\"do\":\"time\"}").await;
        served.unwrap();
        let mut ids: Vec<_> = said.iter().filter_map(|reply| reply.get("id")?.as_u64()).collect();
        ids.sort_unstable();
        assert_eq!(ids, [1, 2]);
    }
}
