//! A real node behind proxies that break what passes to its store and its catalog.
//!
//! Faults come one after another, while writers write until they are acknowledged, a reader compares every answer with what
//! was acknowledged before it asked, and background work goes on. After each fault is healed, writes are acknowledged
//! again; at the end everything is counted as after a crash.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use kyma_crash::check;
use kyma_crash::cluster::{Cluster, Node};
use kyma_crash::ledger::Ledger;
use kyma_crash::load::{Expected, Load, Targets, Writer};
use kyma_testkit::proxy::postgres::{Fault as CatalogFault, PostgresProxy};
use kyma_testkit::proxy::s3::{Fault, Rule, S3Proxy};
use reqwest::Method;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

/// How long a fault lasts.
const FAULT: Duration = Duration::from_millis(1_500);
/// Acknowledgements that show that a fault is over.
const ACKS: u64 = 4;
/// How long these may take: the longest wait that a fault leaves behind, on a busy machine.
const RECOVERY_MAX: Duration = Duration::from_secs(60);

struct World {
    cluster: Cluster,
    store: S3Proxy,
    catalog: PostgresProxy,
    node: Node,
    load: Load,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl World {
    async fn start(expected: Expected) -> Result<World> {
        let mut cluster = Cluster::start(&super::binary()).await?;
        let store = S3Proxy::before(&cluster.s3, 11).await;
        let catalog = PostgresProxy::before(&cluster.database, 11).await;
        for (key, value) in store.options() {
            cluster.settings.insert(format!("STORE_OPTIONS__{}", key.to_uppercase()), value.clone());
        }
        cluster.settings.insert("CATALOG_URL".to_owned(), catalog.url.clone());
        cluster.settings.insert("STORE_SECONDS".to_owned(), "3".to_owned());
        let mut node = cluster.spawn("node", "")?;
        node.ready().await?;
        let targets = Arc::new(Targets::default());
        targets.set(vec![node.url.clone()]);
        let load = Load {
            targets,
            ledger: Arc::new(Ledger::default()),
            client: cluster.client().clone(),
            deletions: Arc::default(),
            expected,
        };
        load.make_tables(&node.url, &cluster.database).await?;
        let (mut tasks, stop) = (JoinSet::new(), CancellationToken::new());
        for (number, keyed) in [(1, true), (2, true), (3, false)] {
            tasks.spawn(load.clone().write(Writer { number, keyed }, stop.clone()));
        }
        tasks.spawn(load.clone().read(stop.clone()));
        tasks.spawn(load.clone().make_garbage(cluster.s3.object_store(), stop.clone()));
        Ok(World { cluster, store, catalog, node, load, tasks, stop })
    }

    /// Waits until writes are acknowledged.
    async fn recovers(&self, from: &str) {
        let enough = self.load.ledger.acks() + ACKS;
        let deadline = Instant::now() + RECOVERY_MAX;
        while self.load.ledger.acks() < enough {
            assert!(Instant::now() < deadline, "{from}: no write is acknowledged after it\n{}", self.node.tail());
            sleep(Duration::from_millis(20)).await;
        }
    }

    async fn end(mut self) -> Result<()> {
        let healed_at = check::now(&self.cluster.database).await;
        self.stop.cancel();
        while let Some(ended) = self.tasks.join_next().await {
            ended?;
        }
        check::check(&self.cluster, &self.load, &self.node, &healed_at).await?;
        let violations = self.load.ledger.violations();
        assert!(violations.is_empty(), "{violations:#?}\n{:?}\n{}", self.load.ledger.failures(), self.node.tail());
        Ok(())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_breaks_what_passes_loses_doubles_and_falsifies_nothing() -> Result<()> {
    let world = World::start(Expected::Corruption).await?;
    let (put, get) = ([Method::PUT], [Method::GET]);
    let faults = [
        Rule::new(&[], Fault::Status(500)).percent(1),
        Rule::new(&[], Fault::Status(503)).percent(50),
        Rule::new(&[], Fault::Status(500)),
        Rule::new(&[], Fault::SlowDown(1)).percent(50),
        Rule::new(&[], Fault::Hang).percent(20),
        Rule::new(&[], Fault::Hang),
        Rule::new(&[], Fault::Refuse),
        Rule::new(&[], Fault::LoseAnswer).percent(50),
        Rule::new(&put, Fault::Swallow).percent(50),
        Rule::new(&put, Fault::FlipRequest).percent(50),
        Rule::new(&get, Fault::NotFound).percent(50),
        Rule::new(&get, Fault::Truncate).percent(50),
        Rule::new(&get, Fault::Shorten).percent(50),
        Rule::new(&get, Fault::Relabel).percent(50),
        Rule::new(&get, Fault::Shift).percent(30),
        Rule::new(&get, Fault::FlipAnswer).percent(50),
        Rule::new(&get, Fault::Slow(Duration::from_millis(40))),
    ];
    for rule in faults {
        let before = world.store.arrivals().len();
        world.store.set(std::slice::from_ref(&rule));
        sleep(FAULT).await;
        assert!(world.store.arrivals().len() > before, "{rule:?}: nothing met it");
        world.store.heal();
        world.recovers(&format!("{rule:?}")).await;
    }
    world.end().await
}

/// Makes so many of a hundred commits fail as losers of a conflict do.
fn storm(percent: u32) -> String {
    format!(
        "CREATE OR REPLACE FUNCTION storm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF random() * 100 < {percent} THEN RAISE EXCEPTION 'as told' USING ERRCODE = '40001'; END IF; RETURN NULL; END $$; \
         CREATE OR REPLACE TRIGGER storm AFTER INSERT ON extents FOR EACH STATEMENT EXECUTE FUNCTION storm()"
    )
}

const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                         WHERE pid <> pg_backend_pid() AND datname = current_database()";
const READ_ONLY: &str = "DO $$ BEGIN \
    EXECUTE format('ALTER DATABASE %I SET default_transaction_read_only = on', current_database()); END $$";
const READ_WRITE: &str = "BEGIN READ WRITE; DO $$ BEGIN \
    EXECUTE format('ALTER DATABASE %I RESET default_transaction_read_only', current_database()); END $$; COMMIT";

#[tokio::test(flavor = "multi_thread")]
async fn a_catalog_that_breaks_connections_and_commits_loses_and_doubles_nothing() -> Result<()> {
    let world = World::start(Expected::Transient).await?;
    let database = &world.cluster.database;
    for fault in [
        CatalogFault::CutBeforeCommit(50),
        CatalogFault::CutAfterCommit(50),
        CatalogFault::CutAfterCommit(100),
        CatalogFault::Hang,
        CatalogFault::Refuse,
    ] {
        world.catalog.set(fault);
        world.catalog.cut();
        sleep(FAULT).await;
        world.catalog.set(CatalogFault::None);
        world.recovers(&format!("{fault:?}")).await;
    }
    for percent in [40, 100] {
        database.execute(&storm(percent)).await;
        sleep(FAULT).await;
        database.execute(&storm(0)).await;
        world.recovers(&format!("a storm of {percent} %")).await;
    }
    for _ in 0..10 {
        database.execute(TERMINATE).await;
        sleep(FAULT / 10).await;
    }
    world.recovers("terminated backends").await;
    database.execute(READ_ONLY).await;
    database.execute(TERMINATE).await;
    sleep(FAULT).await;
    assert!(world.load.ledger.failures().keys().any(|how| how.contains("catalog.read_only")));
    database.execute(READ_WRITE).await;
    world.recovers("a read-only server").await;
    world.end().await
}
