//! The connection is lost during COMMIT: the writer learns that it does not know, and then finds out.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::catalog::{Commit, Extents, Receipt, Tables};
use kyma_core::{Kind, NodeId};
use kyma_testkit::postgres;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::task::JoinSet;

/// Lets everything through.
const OPEN: u8 = 0;
/// Ends the connection instead of passing COMMIT on.
const CUT_BEFORE: u8 = 1;
/// Passes COMMIT on, waits until it is done, and ends the connection instead of answering.
const CUT_AFTER: u8 = 2;

/// A unix socket in front of PostgreSQL's.
struct Proxy {
    directory: tempfile::TempDir,
    mode: Arc<AtomicU8>,
    _serving: JoinSet<()>,
}

impl Proxy {
    fn before(server: PathBuf) -> Proxy {
        let directory = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(directory.path().join(".s.PGSQL.5432")).unwrap();
        let mode = Arc::new(AtomicU8::new(OPEN));
        let mut serving = JoinSet::new();
        let shared = Arc::clone(&mode);
        serving.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let server = UnixStream::connect(&server).await.unwrap();
                connections.spawn(pass(client, server, Arc::clone(&shared)));
            }
        });
        Proxy { directory, mode, _serving: serving }
    }

    fn url_instead_of(&self, url: &str, server: &Path) -> String {
        let escaped = |path: &Path| path.to_str().unwrap().replace('/', "%2F");
        let replaced = url.replace(&escaped(server), &escaped(self.directory.path()));
        assert_ne!(replaced, url);
        replaced
    }
}

async fn pass(client: UnixStream, server: UnixStream, mode: Arc<AtomicU8>) {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = server.into_split();
    let mut answers = JoinSet::new();
    answers.spawn(async move { tokio::io::copy(&mut from_server, &mut to_client).await });
    let mut buffer = vec![0; 64 * 1024];
    while let Ok(read @ 1..) = from_client.read(&mut buffer).await {
        let is_commit = buffer[..read].windows(6).any(|window| window == b"COMMIT");
        match (is_commit, mode.load(Ordering::SeqCst)) {
            (true, CUT_BEFORE) => return,
            (true, CUT_AFTER) => {
                answers.shutdown().await;
                to_server.write_all(&buffer[..read]).await.unwrap();
                return;
            }
            _ => to_server.write_all(&buffer[..read]).await.unwrap(),
        }
    }
}

/// The directory of the server's socket, from its URL.
fn socket_directory(url: &str) -> PathBuf {
    let host = url.split("host=").nth(1).and_then(|rest| rest.split('&').next()).expect("a test server on a socket");
    host.replace("%2F", "/").into()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_unknown_outcome_is_resolved_either_way() {
    let (direct, database) = postgres::catalog().await;
    let home = direct.ensure_database("logs").await.unwrap();
    let server = socket_directory(&database.url);
    let proxy = Proxy::before(server.join(".s.PGSQL.5432"));
    let url = proxy.url_instead_of(&database.url, &server);
    let catalog = PostgresCatalog::connect(&url, &CatalogSettings::default()).await.unwrap();
    for (mode, took_place) in [(CUT_BEFORE, false), (CUT_AFTER, true)] {
        let reservation = catalog.reserve(NodeId::generate(), &format!("extents/{mode}.kyma")).await.unwrap();
        let receipt = Receipt { database: home.id, key: mode.to_string(), answer: 1.into(), window_seconds: None };
        let commit = Commit { reservation: Some(reservation.clone()), extents: vec![], receipts: vec![receipt] };
        proxy.mode.store(mode, Ordering::SeqCst);
        let error = catalog.commit(&commit).await.unwrap_err();
        proxy.mode.store(OPEN, Ordering::SeqCst);
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.commit_unknown"), "{error:?}");
        // The same catalog answers again: the lost connection was not kept.
        let outcome = catalog.outcome(&reservation).await.unwrap();
        assert_eq!(outcome.is_some(), took_place, "mode {mode}");
        assert_eq!(catalog.receipt(home.id, &mode.to_string(), None).await.unwrap().is_some(), took_place);
        let again = catalog.commit(&commit).await.unwrap_err();
        assert_eq!(again.code(), "catalog.reservation_revoked");
    }
}
