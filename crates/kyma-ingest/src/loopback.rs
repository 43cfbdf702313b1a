//! The append service on a loopback port of its own: for nodes that mount no other gRPC service, and for tests.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use kyma_core::{Error, Result};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::ingester::Ingester;

/// A running server; stops when dropped.
#[derive(Debug)]
pub struct Loopback {
    address: SocketAddr,
    stop: CancellationToken,
    tasks: TaskTracker,
}

/// Serves the append call of `ingester` on a free loopback port.
pub async fn serve(ingester: &Arc<Ingester>) -> Result<Loopback> {
    let unable = |error| Error::unavailable("ingest.stopping", "no loopback port can be had").because(error);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(unable)?;
    let address = listener.local_addr().map_err(unable)?;
    let (stop, tasks) = (CancellationToken::new(), TaskTracker::new());
    let server = tonic::transport::Server::builder()
        .tcp_nodelay(true)
        .add_service(ingester.append_server())
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.clone().cancelled_owned());
    tasks.spawn(async move {
        if let Err(error) = server.await {
            tracing::error!(%error, "the append service ended");
        }
    });
    tasks.close();
    Ok(Loopback { address, stop, tasks })
}

impl Loopback {
    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Stops and waits for open calls.
    pub async fn stop(&self) {
        self.stop.cancel();
        self.tasks.wait().await;
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
