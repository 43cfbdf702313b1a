//! A node's life.
//!
//! Start, in this order, so that nothing answers before it can:
//! 1. make sure that the catalog answers and has the default database;
//! 2. bind the HTTP and gRPC ports;
//! 3. serve gRPC (a query or write may need it), then HTTP;
//! 4. tell the catalog by heartbeat;
//! 5. run background tasks.
//!
//! Stop, in this order, so that nothing acknowledged is lost and no one is sent to a node that leaves. All of it takes
//! [`Settings::drain_seconds`] at most; no step has a time of its own that adds up:
//! 1. at once `/readyz` says no, answers ask their clients to leave (`drain`), and background tasks are told to give back
//!    what they have;
//! 2. for [`Settings::lame_duck_millis`] everything is answered still, so that balancers notice;
//! 3. what comes now is refused, to be sent again elsewhere; running requests, then running operations finish;
//! 4. shortly before the time is up, what still waits is answered, to be sent again; then the node leaves the catalog,
//!    which until then holds the snapshots that its queries read;
//! 5. ingest flushes what it holds;
//! 6. the HTTP port is closed (`listen`), then gRPC: running writes needed it;
//! 7. background tasks have ended: leases run out if they did not.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use kyma_core::catalog::{Catalog, Node as NodeRow};
use kyma_core::clock::Clock;
use kyma_core::format::Formats;
use kyma_core::ids::check_name;
use kyma_core::{Error, NodeId, Result};
use kyma_exec::Engine;
use kyma_ingest::{Ingester, LocalRouter};
use kyma_storage::Store;
use kyma_worker::Worker;
use prometheus_client::registry::Registry;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout_at};
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::admission::Admission;
use crate::delete::DeleteRecords;
use crate::drain::Drain;
use crate::health::{self, Health};
use crate::metrics::Metrics;
use crate::queries::Queries;
use crate::settings::{BLOB_UPLOADS_MAX, Role, Settings};
use crate::state::{Shared, State};
use crate::{heartbeat, http, listen, trace};

/// The components of a node.
pub struct NodeParts {
    /// Who the node is; the ingester and the worker know it by the same identity.
    pub id: NodeId,
    /// The catalog.
    pub catalog: Arc<dyn Catalog>,
    /// The store.
    pub store: Arc<Store>,
    /// The formats that can be read.
    pub formats: Arc<Formats>,
    /// Name of the format of tables that a command creates.
    pub default_format: String,
    /// Answers queries.
    pub engine: Arc<Engine>,
    /// Takes writes.
    pub ingester: Arc<Ingester>,
    /// Sends the ingester's append calls to this node; learns here where that is.
    pub router: Arc<LocalRouter>,
    /// Runs background tasks; none without the role.
    pub worker: Option<Worker>,
    /// Settings of the ports.
    pub settings: Settings,
    /// Where every part registered its metrics.
    pub registry: Registry,
    /// The wall clock.
    pub clock: Arc<dyn Clock>,
}

impl std::fmt::Debug for NodeParts {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NodeParts").field("id", &self.id).field("settings", &self.settings).finish_non_exhaustive()
    }
}

/// Starts nodes.
#[derive(Debug)]
pub struct Node;

/// A node that runs until it is told to stop.
pub struct RunningNode {
    /// Where HTTP listens: the port is real also when 0 was asked for.
    pub http_addr: SocketAddr,
    /// Where gRPC listens.
    pub grpc_addr: SocketAddr,
    state: Shared,
    stop: Stop,
    http: JoinSet<()>,
    grpc: JoinSet<()>,
    background: JoinSet<()>,
}

/// What tells each part to stop.
struct Stop {
    http: CancellationToken,
    grpc: CancellationToken,
    heartbeat: CancellationToken,
    worker: CancellationToken,
}

impl std::fmt::Debug for RunningNode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RunningNode")
            .field("http_addr", &self.http_addr)
            .field("grpc_addr", &self.grpc_addr)
            .finish_non_exhaustive()
    }
}

impl Node {
    /// Starts a node.
    ///
    /// # Errors
    /// `Unavailable` with code `server.bind` when a port is taken or not allowed; what the catalog says when it does not
    /// answer or the name of the default database is not one.
    pub async fn start(parts: NodeParts) -> Result<RunningNode> {
        check_name("database", &parts.settings.default_database)?;
        parts.catalog.ensure_database(&parts.settings.default_database).await?;
        let (http, http_addr) = bind(parts.settings.listen).await?;
        let (grpc, grpc_addr) = bind(parts.settings.grpc_listen).await?;
        parts.router.set_address(dialable(grpc_addr));
        let NodeParts {
            id,
            catalog,
            store,
            formats,
            default_format,
            engine,
            ingester,
            router: _,
            worker,
            settings,
            mut registry,
            clock,
        } = parts;
        let metrics = Metrics::register(&mut registry, env!("CARGO_PKG_VERSION"), clock.now());
        let node = NodeRow {
            id,
            roles: settings.roles.iter().map(|role| role.name().to_owned()).collect(),
            http_address: http_addr.to_string(),
            grpc_address: grpc_addr.to_string(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            zone: settings.zone.clone(),
        };
        let admission = Admission::new(settings.queries_max, settings.queries_waiting_max);
        let health = Health::new(&settings);
        let state: Shared = Arc::new(State {
            catalog,
            store,
            engine,
            ingester,
            clock: clock.clone(),
            formats,
            default_format,
            settings,
            registry,
            metrics,
            admission,
            queries: Queries::new(clock.clone()),
            operations: TaskTracker::new(),
            uploads: Semaphore::new(BLOB_UPLOADS_MAX),
            node,
            health,
            drain: Drain::default(),
        });

        let stop = Stop {
            http: CancellationToken::new(),
            grpc: CancellationToken::new(),
            heartbeat: CancellationToken::new(),
            worker: CancellationToken::new(),
        };
        let (mut http_tasks, mut grpc_tasks, mut background) = (JoinSet::new(), JoinSet::new(), JoinSet::new());
        grpc_tasks.spawn(serve_grpc(grpc, state.clone(), stop.grpc.clone()));
        let limits = listen::Limits {
            connections_max: state.settings.connections_max,
            idle: Duration::from_secs(state.settings.idle_seconds.max(1)),
            open: state.metrics.connections.clone(),
        };
        http_tasks.spawn(listen::serve(http, http::router(state.clone()), limits, stop.http.clone()));
        background.spawn(health::watch(state.clone(), stop.heartbeat.clone()));
        let period = Duration::from_secs(state.settings.heartbeat_seconds.max(1));
        let engine = state.engine.clone();
        let held = move || engine.held();
        let hold_time = Duration::from_secs(state.settings.hold_seconds);
        let (catalog, node) = (state.catalog.clone(), state.node.clone());
        let beating = heartbeat::run(catalog, node, held, period, hold_time, stop.heartbeat.clone());
        background.spawn(beating);
        if let Some(worker) = worker.filter(|_| state.settings.has(Role::Worker)) {
            let worker = worker.with(Arc::new(DeleteRecords::new(state.clone())));
            let stop = stop.worker.clone();
            background.spawn(async move { worker.run(stop).await });
        }
        tracing::info!(node = %id, http = %http_addr, grpc = %grpc_addr, roles = ?state.node.roles, "the node runs");
        Ok(RunningNode { http_addr, grpc_addr, state, stop, http: http_tasks, grpc: grpc_tasks, background })
    }
}

impl RunningNode {
    /// Stops in the order of the file's header. Gives up on what does not end in time.
    pub async fn shutdown(mut self) {
        let (began, times) = (Instant::now(), self.state.settings.drain_times());
        let (cut, end) = (began + times.cut, began + times.total);
        let state = Arc::clone(&self.state);
        tracing::info!(node = %state.node.id, "the node leaves");
        state.drain.leave();
        self.stop.worker.cancel();
        sleep_until(began + times.lame_duck).await;

        state.drain.refuse();
        state.admission.close();
        state.operations.close();
        if timeout_at(cut, state.drain.idle()).await.is_err() {
            tracing::warn!("requests still run: they are answered that the node leaves");
            state.drain.cut();
        }
        self.stop.heartbeat.cancel();
        if timeout_at(cut, state.operations.wait()).await.is_err() {
            tracing::warn!("operations still run: they are broken off");
        }
        if timeout_at(end, state.ingester.shutdown()).await.is_err() {
            tracing::warn!("ingest did not end in time: writes that wait are not acknowledged");
        }
        self.stop.http.cancel();
        end_by(&mut self.http, end, "requests still run: they are broken off").await;
        self.stop.grpc.cancel();
        end_by(&mut self.grpc, end, "append calls still run: they are broken off").await;
        end_by(&mut self.background, end, "background tasks still run: they are broken off").await;
        let millis = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        tracing::info!(node = %state.node.id, millis, "the node stopped");
    }
}

/// Waits for tasks to end; breaks them off at `deadline`.
async fn end_by(tasks: &mut JoinSet<()>, deadline: Instant, otherwise: &str) {
    let ended = timeout_at(deadline, async {
        while let Some(ended) = tasks.join_next().await {
            if let Err(error) = ended {
                tracing::error!("a task of the node broke: {error}");
            }
        }
    });
    if ended.await.is_err() {
        tracing::warn!("{otherwise}");
        tasks.shutdown().await;
    }
}

/// An address of this machine that it can dial itself: "every interface" is none.
fn dialable(address: SocketAddr) -> SocketAddr {
    match address {
        SocketAddr::V4(v4) if v4.ip().is_unspecified() => SocketAddr::from((Ipv4Addr::LOCALHOST, v4.port())),
        SocketAddr::V6(v6) if v6.ip().is_unspecified() => SocketAddr::from((Ipv6Addr::LOCALHOST, v6.port())),
        address => address,
    }
}

async fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr)> {
    let failed = |error: std::io::Error| {
        Error::unavailable("server.bind", format!("cannot listen: address={address}"))
            .hint("is another kyma running? choose another address with --listen")
            .because(error)
    };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
    let bound = listener.local_addr().map_err(failed)?;
    Ok((listener, bound))
}

async fn serve_grpc(listener: TcpListener, state: Shared, stop: CancellationToken) {
    let served = tonic::transport::Server::builder()
        .trace_fn(|call| trace::call(call.headers(), call.uri().path()))
        .add_service(state.ingester.append_server())
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stop.cancelled_owned())
        .await;
    if let Err(error) = served {
        tracing::error!("gRPC ended: {error}");
    }
}
