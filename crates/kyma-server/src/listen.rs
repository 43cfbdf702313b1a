//! The HTTP port: takes connections until told to stop, then parts with each where no request is lost.
//!
//! 1. Told to stop, it lets nobody connect any more: the kernel is told to ignore who tries (on Linux). What has connected is
//!    taken still; a port that is closed with somebody in its line breaks that connection.
//! 2. After [`LINGER_TIME`] the port is closed, so that who tries again is refused by the kernel, which every client may retry.
//!    Connections taken a moment ago have sent their request by then, and are answered.
//! 3. Idle connections are closed; each other one after the answer that is under way.
//!
//! There are so many connections at once; who comes then waits in the kernel's line until one is closed. A connection is
//! closed when it sends no whole head of a request for a while, at its start or after an answer (HTTP/1), or no longer
//! answers pings (HTTP/2).

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long the port stays open for what has connected, and a connection that was just taken may take to send what it has.
const LINGER_TIME: Duration = Duration::from_millis(100);
/// Pause after the port could not take a connection: mostly no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// What connections may take.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// So many at once.
    pub(crate) connections_max: usize,
    /// So long without a whole head of a request, or an answer to a ping.
    pub(crate) idle: Duration,
    /// How many there are.
    pub(crate) open: Gauge,
}

/// Serves `router` until `stop`, and then until every connection is closed. Dropped, it breaks them off.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: CancellationToken) {
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let mut full = false;
    loop {
        let has_room = connections.len() < limits.connections_max.max(1);
        if !has_room && !full {
            tracing::warn!("there is no room for more connections: connections={}", connections.len());
        }
        full = !has_room;
        tokio::select! {
            // The port comes first: what has connected when the node stops is answered.
            biased;
            accepted = listener.accept(), if has_room => match accepted {
                Ok((stream, _from)) => {
                    connections.spawn(connection(stream, router.clone(), limits.idle, graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!("a connection cannot be taken: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
        limits.open.set(connections.len() as i64);
    }
    ignore_newcomers(&listener);
    let take_rest = async {
        while let Ok((stream, _from)) = listener.accept().await {
            connections.spawn(connection(stream, router.clone(), limits.idle, graceful.watcher()));
        }
    };
    let _ = timeout(LINGER_TIME, take_rest).await;
    drop(listener);
    graceful.shutdown().await;
}

/// Has the kernel drop what asks the port for a new connection; what has connected goes on. Where that cannot be, newcomers
/// are served until the port is closed.
fn ignore_newcomers(listener: &TcpListener) {
    #[cfg(target_os = "linux")]
    {
        use socket2::{SockFilter, SockRef};
        // Classic BPF over the TCP header: of byte 13, the flags, SYN without ACK drops the packet.
        let filter = [
            SockFilter::new(0x30, 0, 0, 13),
            SockFilter::new(0x54, 0, 0, 0x12),
            SockFilter::new(0x15, 0, 1, 0x02),
            SockFilter::new(0x06, 0, 0, 0),
            SockFilter::new(0x06, 0, 0, u32::MAX),
        ];
        if let Err(error) = SockRef::from(listener).attach_filter(&filter) {
            tracing::debug!("newcomers are not ignored: {error}");
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = listener;
}

/// Serves one connection, HTTP/1 or HTTP/2, to its end.
async fn connection(stream: TcpStream, router: Router, idle: Duration, watcher: Watcher) {
    // Answers are small: waiting to fill a packet only adds delay. Not being able to say so is no reason to fail.
    let _ = stream.set_nodelay(true);
    let asked = Arc::new(Notify::new());
    let first = Arc::clone(&asked);
    let service = TowerToHyperService::new(router.map_request(move |request: Request<_>| {
        asked.notify_one();
        request.map(Body::new)
    }));
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(idle);
    builder.http2().timer(TokioTimer::new()).keep_alive_interval(idle).keep_alive_timeout(idle);
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    // Until the protocol is known, nothing else bounds the wait.
    let silent = async {
        if timeout(idle, first.notified()).await.is_ok() {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        ended = watcher.watch(serving) => if let Err(error) = ended {
            tracing::debug!("a connection broke off: {error}");
        },
        () = silent => tracing::debug!("a connection was closed: it asked nothing"),
    }
}
