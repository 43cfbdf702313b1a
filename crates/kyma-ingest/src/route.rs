//! Which node buffers a table.

use std::collections::HashMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::{Error, Result};
use kyma_proto::v1::ingest_client::IngestClient;
use parking_lot::Mutex;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tonic::transport::Endpoint;
use tower::ServiceExt;
use tower::util::BoxCloneSyncService;

use crate::settings::MESSAGE_BYTES_MAX;

/// The way of append calls to one node.
pub type AppendChannel = BoxCloneSyncService<http::Request<Body>, http::Response<Body>, Status>;

/// Says where the append call of a table goes: the gRPC address of a node, `host:port`.
#[async_trait]
pub trait IngestRouter: Send + Sync + fmt::Debug {
    /// The address for `table` of `database`.
    async fn route(&self, database: &str, table: &str) -> Result<String>;

    /// The way to the node at `address` where it is no connection: nodes of one process. `None` connects to it.
    fn in_process(&self, _address: &str) -> Option<AppendChannel> {
        None
    }
}

/// Every table is buffered by this node.
#[derive(Debug, Default)]
pub struct LocalRouter {
    address: OnceLock<SocketAddr>,
}

impl LocalRouter {
    /// A router that does not know its own address yet: see [`LocalRouter::set_address`].
    pub fn new() -> Self {
        LocalRouter::default()
    }

    /// Tells the address on which this node serves the append call. Only the first call counts.
    pub fn set_address(&self, address: SocketAddr) {
        let _ = self.address.set(address);
    }
}

#[async_trait]
impl IngestRouter for LocalRouter {
    async fn route(&self, _database: &str, _table: &str) -> Result<String> {
        let address = self
            .address
            .get()
            .ok_or_else(|| Error::unavailable("ingest.stopping", "this node does not serve the append call yet"))?;
        Ok(address.to_string())
    }
}

/// Open channels by address.
#[derive(Debug, Default)]
pub(crate) struct Channels(Mutex<HashMap<String, AppendChannel>>);

/// Longest wait for a connection to a node.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// A connection on which nothing comes is asked after this long, and given up after as long again: a node that vanished
/// closes nothing, and a call waits for its answer without a deadline of its own.
pub(crate) const KEEP_ALIVE: Duration = Duration::from_secs(10);
/// Bytes in flight of one append call, and of one connection.
const STREAM_WINDOW_BYTES: u32 = 4 * 1024 * 1024;
const CONNECTION_WINDOW_BYTES: u32 = 16 * 1024 * 1024;

impl Channels {
    /// A client of the node at `address`, over a channel that is shared and reconnects by itself.
    pub(crate) fn client(&self, address: &str) -> Result<IngestClient<AppendChannel>> {
        let mut channels = self.0.lock();
        let channel = match channels.get(address) {
            Some(channel) => channel.clone(),
            None => {
                let channel = connect(address, KEEP_ALIVE)?;
                channels.insert(address.to_owned(), channel.clone());
                channel
            }
        };
        Ok(client_over(channel))
    }
}

/// A client whose calls go over `channel`.
pub(crate) fn client_over(channel: AppendChannel) -> IngestClient<AppendChannel> {
    IngestClient::new(channel).max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX)
}

pub(crate) fn connect(address: &str, keep_alive: Duration) -> Result<AppendChannel> {
    let endpoint = Endpoint::from_shared(format!("http://{address}")).map_err(|error| {
        Error::internal(format!("a node's address is not understood: address={address}")).because(error)
    })?;
    let channel = endpoint
        .connect_timeout(CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(keep_alive)
        .keep_alive_timeout(keep_alive)
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .connect_lazy();
    Ok(BoxCloneSyncService::new(channel.map_err(|error| Status::from_error(Box::new(error)))))
}

#[cfg(test)]
mod tests {
    use kyma_proto::v1::AppendRequest;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn a_node_that_says_nothing_is_given_up() {
        let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = silent.local_addr().unwrap().to_string();
        let mut client = IngestClient::new(connect(&address, Duration::from_millis(100)).unwrap());
        let call = client.append(tokio_stream::pending::<AppendRequest>());
        let (status, _held) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), call), silent.accept());
        assert!(status.expect("hangs").is_err());
    }
}
