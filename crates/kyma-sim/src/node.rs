//! One node: the real ingester and the real worker, over its ways to the catalog, the store and other nodes.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{Catalog, ClaimedTask, Recovery};
use kyma_core::clock::Clock;
use kyma_core::scope::{self, Scope};
use kyma_core::{NodeId, Result};
use kyma_ingest::{AppendChannel, IngestParts, IngestRouter, Ingester};
use kyma_storage::{BlockCache, CacheCounts, RangeKey, Store, Worth};
use kyma_worker::{Journal, TaskHandler, Worker};
use tokio::sync::oneshot;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tonic::Status;
use tonic::body::Body;
use tonic::codegen::http;
use tower::util::BoxCloneSyncService;
use tower::{ServiceExt, service_fn};

use crate::holds::Holds;
use crate::remote::NodeCatalog;
use crate::rng::mix;
use crate::scope::NodeScope;
use crate::store::{NodeStore, pause};
use crate::time::SimClock;
use crate::trace::number;
use crate::world::{Fate, World};

/// A node that runs.
pub struct SimNode {
    /// Its name, for the trace.
    pub name: Arc<str>,
    /// Its hold of its futures.
    pub scope: Arc<NodeScope>,
    /// Its clock.
    pub clock: Arc<SimClock>,
    /// Its store.
    pub store: Arc<Store>,
    /// Its catalog.
    pub catalog: Arc<dyn Catalog>,
    /// Its write path.
    pub ingester: Arc<Ingester>,
    /// What its queries read.
    pub holds: Holds,
    /// Tells its worker to stop.
    pub shutdown: CancellationToken,
}

/// A cache that keeps nothing, so that whoever reads sees what the bucket holds.
#[derive(Debug)]
struct NoCache;

#[async_trait]
impl BlockCache for NoCache {
    async fn get(&self, _key: &RangeKey) -> Option<bytes::Bytes> {
        None
    }

    fn put(&self, _key: RangeKey, _bytes: bytes::Bytes, _worth: Worth) {}

    fn counts(&self) -> Vec<CacheCounts> {
        Vec::new()
    }
}

/// A store on which nothing goes wrong: the judge's.
pub fn sound_store(world: &Arc<World>) -> Arc<Store> {
    let (scope, name) = (Arc::new(NodeScope::running()), Arc::from("judge"));
    let inner = Arc::new(NodeStore { world: Arc::clone(world), scope, name, is_sound: true });
    Store::with_cache(inner, &world.plan.store, Arc::new(NoCache))
}

impl SimNode {
    /// Starts a node at a place; `life` counts how often one was started.
    pub async fn start(world: &Arc<World>, slot: usize, life: u64) -> Arc<SimNode> {
        let name: Arc<str> = format!("node-{slot}.{life}").into();
        let scope = Arc::new(NodeScope::running());
        let seed = world.draw(|rng| rng.draw());
        let clock = Arc::new(SimClock::new(world.start(), mix(seed)));
        let (own_world, own_scope, own_name) = (Arc::clone(world), Arc::clone(&scope), Arc::clone(&name));
        let (world_of, scope_of, name_of) = (own_world.clone(), own_scope.clone(), own_name.clone());
        let inner = Arc::new(NodeStore { world: world_of, scope: scope_of, name: name_of, is_sound: false });
        let store = Store::with_cache(inner, &world.plan.store, Arc::new(NoCache));
        let way = NodeCatalog { world: own_world.clone(), scope: own_scope.clone(), name: own_name.clone() };
        let recovery: Arc<dyn Recovery> = Arc::new(way.clone());
        let catalog: Arc<dyn Catalog> = Arc::new(way);
        let shutdown = CancellationToken::new();
        let id = NodeId(clock.new_id());
        let router = Arc::new(Router { world: own_world.clone(), own: slot, name: own_name });
        let parts = IngestParts {
            catalog: Arc::clone(&catalog),
            store: Arc::clone(&store),
            formats: Arc::clone(&world.formats),
            clock: clock.clone(),
            node: id,
            router,
            settings: kyma_ingest::IngestSettings { format: world.plan.format.to_owned(), ..world.plan.ingest.clone() },
        };
        let held: Arc<dyn Scope> = scope.clone();
        let ingester = scope::within(Arc::clone(&held), async { Ingester::new(parts) }).await;
        let worker = Worker::new(Arc::clone(&catalog), Arc::clone(&store), world.plan.worker.clone(), clock.clone());
        let probe = Probe { world: own_world, scope: own_scope, lease: world.plan.worker.lease_millis };
        let worker = worker.on_node(id).with(Arc::new(probe)).compacting(ingester.rewriter(1), clock.clone());
        let worker = match world.plan.has_journal {
            true => {
                let settings = world.plan.worker.journal.clone();
                let journal = Journal::new(Arc::clone(&catalog), recovery, Arc::clone(&store), settings, clock.clone());
                worker.with(Arc::new(journal.in_pages_of(world.plan.journal_page)))
            }
            false => worker,
        };
        let stop = shutdown.clone();
        world.tasks.spawn(scope::within(Arc::clone(&held), async move { worker.run(stop).await }));
        let holds = Holds::default();
        if world.plan.holders > 0 {
            let beating = holds.clone().beat(Arc::clone(&catalog), id, world.plan.beat, shutdown.clone());
            world.tasks.spawn(scope::within(held, beating));
        }
        Arc::new(SimNode { name, scope, clock, store, catalog, ingester, holds, shutdown })
    }

    /// Runs something as the node. `None` when the node dies under it.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        world: &World,
        what: impl Future<Output = T> + Send + 'static,
    ) -> Option<T> {
        let (sender, receiver) = oneshot::channel();
        let held: Arc<dyn Scope> = self.scope.clone();
        let running = world.tasks.spawn(scope::within(held, async move {
            let _ = sender.send(what.await);
        }));
        let _abort = AbortOnDrop(running.abort_handle());
        receiver.await.ok()
    }
}

/// Ends what a caller does not wait for any more, as a server does when a connection closes.
struct AbortOnDrop(tokio::task::AbortHandle);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends tables to nodes by name, and knows the way to each.
struct Router {
    world: Arc<World>,
    own: usize,
    name: Arc<str>,
}

impl fmt::Debug for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Router({})", self.name)
    }
}

#[async_trait]
impl IngestRouter for Router {
    /// Most tables stay; some live elsewhere, if somebody is there.
    async fn route(&self, _database: &str, table: &str) -> Result<String> {
        let wanted = number(table.as_bytes()) as usize % (2 * self.world.plan.nodes);
        let slot = if self.world.node(wanted).is_some() { wanted } else { self.own };
        Ok(slot.to_string())
    }

    fn in_process(&self, address: &str) -> Option<AppendChannel> {
        let slot: usize = address.parse().ok()?;
        let Some(node) = self.world.node(slot) else { return Some(nobody()) };
        let server = node.ingester.append_server();
        if slot == self.own {
            return Some(BoxCloneSyncService::new(ServiceExt::<http::Request<Body>>::map_err(
                server,
                |never| match never {},
            )));
        }
        let (world, name) = (Arc::clone(&self.world), Arc::clone(&self.name));
        Some(BoxCloneSyncService::new(service_fn(move |request: http::Request<Body>| {
            let (world, name, node, server) =
                (Arc::clone(&world), Arc::clone(&name), Arc::clone(&node), server.clone());
            async move {
                let fate = world.fate(&world.plan.peer_faults);
                world.trace.note(&name, "append", 0, || format!("to {} {fate:?}", node.name));
                let call = async {
                    let answered = node.run(&world, async move { server.oneshot(request).await }).await;
                    match answered {
                        Some(Ok(response)) => response,
                        Some(Err(_)) | None => broken(),
                    }
                };
                Ok::<_, Status>(match fate {
                    Fate::Done { before, after } => {
                        pause(before).await;
                        let response = call.await;
                        pause(after).await;
                        response
                    }
                    Fate::RequestLost(wait) | Fate::Refused(wait) => {
                        sleep(wait).await;
                        broken()
                    }
                    Fate::ReplyLost(wait) => {
                        drop(call.await);
                        sleep(wait).await;
                        broken()
                    }
                    // The connection breaks under the call.
                    Fate::Late(_, give_up) => tokio::time::timeout(give_up, call).await.unwrap_or_else(|_| broken()),
                    Fate::Twice(_) => call.await,
                })
            }
        })))
    }
}

/// The way to a node that is not there.
fn nobody() -> AppendChannel {
    BoxCloneSyncService::new(service_fn(async |_: http::Request<Body>| Ok::<_, Status>(broken())))
}

/// What a transport says when it breaks.
fn broken() -> http::Response<Body> {
    Status::unavailable("transport error").into_http()
}

/// A kind of work that only looks whether it is alone: a worker that lost its lease must not go on.
struct Probe {
    world: Arc<World>,
    scope: Arc<NodeScope>,
    lease: u64,
}

impl fmt::Debug for Probe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Probe")
    }
}

#[async_trait]
impl TaskHandler for Probe {
    fn kind(&self) -> &'static str {
        "probe"
    }

    fn period(&self) -> Option<Duration> {
        Some(Duration::from_secs(40))
    }

    async fn run(&self, task: &ClaimedTask, _stop: &CancellationToken) -> Result<()> {
        let steps = self.world.draw(|rng| rng.between(1, 12));
        for _ in 0..steps {
            sleep(Duration::from_millis(self.lease / 4)).await;
            self.world.oracle.still_working(task.id, task.token, self.scope.running_for());
        }
        Ok(())
    }
}
