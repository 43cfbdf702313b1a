//! A proxy before a PostgreSQL server, on the level of its connections. It knows one message: COMMIT.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_postgres::config::Host;

use crate::postgres::TestDatabase;

/// What happens to connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Nothing.
    None,
    /// New ones are closed.
    Refuse,
    /// Nothing is passed on, either way.
    Hang,
    /// Of a hundred COMMITs so many are not passed on: the connection is closed.
    CutBeforeCommit(u8),
    /// Of a hundred COMMITs so many are passed on and done, and the connection is closed instead of the answer.
    CutAfterCommit(u8),
}

/// A proxy, until dropped.
#[derive(Debug)]
pub struct PostgresProxy {
    /// The database's URL through the proxy.
    pub url: String,
    fault: watch::Sender<Fault>,
    /// Raised to close the connections that are open.
    cut: watch::Sender<u64>,
    _serving: JoinSet<()>,
}

/// Where the server is.
#[derive(Debug, Clone)]
enum Place {
    Socket(PathBuf),
    Address(String),
}

#[derive(Debug, Clone)]
struct Shared {
    place: Place,
    fault: watch::Receiver<Fault>,
    cut: watch::Receiver<u64>,
    chance: Arc<Mutex<ChaCha8Rng>>,
}

impl PostgresProxy {
    /// Starts a proxy before the server of a database.
    pub async fn before(database: &TestDatabase, seed: u64) -> PostgresProxy {
        Self::start(database, seed).await.expect("a proxy before the test's PostgreSQL")
    }

    async fn start(database: &TestDatabase, seed: u64) -> Result<PostgresProxy> {
        let config: tokio_postgres::Config = database.url.parse()?;
        let port = config.get_ports().first().copied().unwrap_or(5432);
        let place = match config.get_hosts().first().context("the server has a host")? {
            Host::Unix(folder) => Place::Socket(folder.join(format!(".s.PGSQL.{port}"))),
            Host::Tcp(host) => Place::Address(format!("{host}:{port}")),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address: SocketAddr = listener.local_addr()?;
        let (fault, fault_seen) = watch::channel(Fault::None);
        let (cut, cut_seen) = watch::channel(0);
        let chance = Arc::new(Mutex::new(ChaCha8Rng::seed_from_u64(seed)));
        let shared = Shared { place, fault: fault_seen, cut: cut_seen, chance };
        let mut serving = JoinSet::new();
        serving.spawn(serve(listener, shared));
        let user = config.get_user().unwrap_or("postgres");
        let password = config.get_password().map(|word| format!(":{}", String::from_utf8_lossy(word)));
        let name = config.get_dbname().unwrap_or("postgres");
        let url = format!("postgres://{user}{}@{address}/{name}", password.unwrap_or_default());
        Ok(PostgresProxy { url, fault, cut, _serving: serving })
    }

    /// Breaks connections from now on, and no longer as before.
    pub fn set(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Closes every connection that is open.
    pub fn cut(&self) {
        self.cut.send_modify(|cut| *cut += 1);
    }
}

async fn serve(listener: TcpListener, shared: Shared) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, shared.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(client: TcpStream, mut shared: Shared) {
    if *shared.fault.borrow() == Fault::Refuse {
        return;
    }
    let _ = client.set_nodelay(true);
    let mut cut = shared.cut.clone();
    cut.mark_unchanged();
    let passing = async {
        match shared.place.clone() {
            Place::Socket(path) => pass(client, UnixStream::connect(path).await?, &mut shared).await,
            Place::Address(address) => pass(client, TcpStream::connect(address).await?, &mut shared).await,
        }
    };
    tokio::select! {
        _ = passing => {}
        _ = cut.changed() => {}
    }
}

/// Passes bytes both ways until one side ends or the connection is cut.
async fn pass(client: TcpStream, server: impl AsyncRead + AsyncWrite, shared: &mut Shared) -> std::io::Result<()> {
    let (mut from_client, mut to_client) = client.into_split();
    let (mut from_server, mut to_server) = tokio::io::split(server);
    let (mut asked, mut answered) = (vec![0; 64 * 1024], vec![0; 64 * 1024]);
    let mut is_last = false;
    loop {
        tokio::select! {
            read = from_client.read(&mut asked) => {
                let bytes = &asked[..read?];
                if bytes.is_empty() {
                    return Ok(());
                }
                shared.flow().await;
                if bytes.windows(7).any(|window| window == b"COMMIT\0") {
                    match *shared.fault.borrow() {
                        Fault::CutBeforeCommit(percent) if shared.is_met(percent) => return Ok(()),
                        Fault::CutAfterCommit(percent) => is_last = shared.is_met(percent),
                        _ => {}
                    }
                }
                to_server.write_all(bytes).await?;
            }
            read = from_server.read(&mut answered) => {
                let bytes = &answered[..read?];
                if bytes.is_empty() || is_last {
                    return Ok(());
                }
                shared.flow().await;
                to_client.write_all(bytes).await?;
            }
        }
    }
}

impl Shared {
    fn is_met(&self, percent: u8) -> bool {
        self.chance.lock().random_range(0..100) < percent
    }

    /// Waits while everything hangs.
    async fn flow(&mut self) {
        let _ = self.fault.wait_for(|fault| *fault != Fault::Hang).await;
    }
}
