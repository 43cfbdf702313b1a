//! The HTTP port: takes connections until told to stop, then parts with each where no request is lost.
//!
//! 1. Told to stop, it still takes what has connected already; then the port is closed, so that clients that come later
//!    are refused by the kernel, which every client may retry.
//! 2. Connections taken a moment ago get [`LINGER_TIME`] to send their request and be answered.
//! 3. Idle connections are closed; each other one after the answer that is under way.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use hyper_util::server::graceful::{GracefulShutdown, Watcher};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a connection that was just taken may take to send what it has.
const LINGER_TIME: Duration = Duration::from_millis(100);
/// Pause after the port could not take a connection: mostly no file descriptor is left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// Serves `router` until `stop`, and then until every connection is closed. Dropped, it breaks them off.
pub(crate) async fn serve(listener: TcpListener, router: Router, stop: CancellationToken) {
    let (graceful, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    loop {
        tokio::select! {
            // The port comes first: what has connected when the node stops is answered.
            biased;
            accepted = listener.accept() => match accepted {
                Ok((stream, _from)) => {
                    connections.spawn(connection(stream, router.clone(), graceful.watcher()));
                }
                Err(error) => {
                    tracing::warn!("a connection cannot be taken: {error}");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                }
            },
            Some(_ended) = connections.join_next() => {}
            () = stop.cancelled() => break,
        }
    }
    drop(listener);
    tokio::time::sleep(LINGER_TIME).await;
    graceful.shutdown().await;
}

/// Serves one connection, HTTP/1 or HTTP/2, to its end.
async fn connection(stream: TcpStream, router: Router, watcher: Watcher) {
    // Answers are small: waiting to fill a packet only adds delay. Not being able to say so is no reason to fail.
    let _ = stream.set_nodelay(true);
    let service = TowerToHyperService::new(router.map_request(|request: Request<_>| request.map(Body::new)));
    let builder = Builder::new(TokioExecutor::new());
    let serving = builder.serve_connection_with_upgrades(TokioIo::new(stream), service).into_owned();
    if let Err(error) = watcher.watch(serving).await {
        tracing::debug!("a connection broke off: {error}");
    }
}
