//! How requests fare while a node leaves. `node` says in which order it goes; this is what each request sees.
//!
//! 1. *Serving*: nothing is said.
//! 2. *Leaving*: everything is answered still, and every answer over HTTP/1 says `connection: close`, so that clients
//!    that keep connections go elsewhere without meeting a closed one.
//! 3. *Refusing*: what comes now is answered 503 `server.draining` with `Retry-After`; what runs goes on.
//! 4. *Cut*: what still waits for its answer gets the same 503, rather than a connection that breaks. A write that is cut
//!    may have been stored: sent again under its idempotency key it is stored once.
//!
//! Health and metrics are answered to the end.

use std::pin::Pin;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Context, Poll};

use axum::body::{Body, Bytes, HttpBody};
use axum::http::Version;
use axum::http::header::{CONNECTION, HeaderValue};
use axum::response::Response;
use http_body::{Frame, SizeHint};
use kyma_core::Error;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tokio_util::task::task_tracker::TaskTrackerToken;
use tracing::Span;

const SERVING: u8 = 0;
const LEAVING: u8 = 1;
const REFUSING: u8 = 2;

/// How far a node has gone, and the requests that it still answers.
#[derive(Debug, Default)]
pub(crate) struct Drain {
    phase: AtomicU8,
    cut: CancellationToken,
    running: TaskTracker,
}

impl Drain {
    pub(crate) fn leave(&self) {
        self.phase.fetch_max(LEAVING, Ordering::SeqCst);
    }

    pub(crate) fn refuse(&self) {
        self.phase.fetch_max(REFUSING, Ordering::SeqCst);
        self.running.close();
    }

    /// Whether the node is on its way out.
    pub(crate) fn is_leaving(&self) -> bool {
        self.phase.load(Ordering::SeqCst) != SERVING
    }

    pub(crate) fn is_refusing(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == REFUSING
    }

    /// Counts a request as running until the token is dropped.
    pub(crate) fn enter(&self) -> TaskTrackerToken {
        self.running.token()
    }

    /// Requests that are not answered to their end.
    pub(crate) fn running_count(&self) -> i64 {
        i64::try_from(self.running.len()).unwrap_or(i64::MAX)
    }

    /// Waits until no request runs. None comes after [`Drain::refuse`] but those that are refused.
    pub(crate) async fn idle(&self) {
        self.running.wait().await;
    }

    /// Answers what still waits.
    pub(crate) fn cut(&self) {
        self.cut.cancel();
    }

    /// Returns when what waits is to be answered.
    pub(crate) async fn is_cut(&self) {
        self.cut.cancelled().await;
    }

    /// Asks the client of an answer to come over another connection. HTTP/2 says so by other means.
    pub(crate) fn part_with(&self, response: &mut Response, version: Version) {
        if self.is_leaving() && version < Version::HTTP_2 {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

/// What a node says that takes no more requests.
pub(crate) fn draining() -> Error {
    Error::unavailable("server.draining", "this node is shutting down").hint("send the request again, to another node")
}

/// A body that counts as running until its last byte was taken, or nobody wants it; it is made within its request's span.
pub(crate) struct Counted {
    body: Body,
    span: Span,
    _running: TaskTrackerToken,
}

impl Counted {
    pub(crate) fn new(body: Body, span: Span, running: TaskTrackerToken) -> Self {
        Counted { body, span, _running: running }
    }
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        let _within = this.span.enter();
        Pin::new(&mut this.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt;

    use super::*;

    #[tokio::test]
    async fn a_drain_is_idle_when_the_last_body_is_gone() {
        let drain = Drain::default();
        let body = Counted::new(Body::from("rows"), Span::none(), drain.enter());
        drain.refuse();
        assert!(drain.idle().now_or_never().is_none());
        drop(body);
        drain.idle().await;
    }

    #[test]
    fn only_http_1_is_told_to_close_and_only_when_the_node_leaves() {
        let drain = Drain::default();
        let told = |version| {
            let mut response = Response::new(Body::empty());
            drain.part_with(&mut response, version);
            response.headers().contains_key(CONNECTION)
        };
        assert!(!told(Version::HTTP_11));
        drain.leave();
        assert!(told(Version::HTTP_11) && told(Version::HTTP_10) && !told(Version::HTTP_2));
        assert!(drain.is_leaving() && !drain.is_refusing());
        drain.refuse();
        drain.leave();
        assert!(drain.is_refusing(), "there is no way back");
    }
}
