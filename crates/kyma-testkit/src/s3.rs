//! A throw-away S3: a real server of the protocol in this process, on loopback, over a temporary directory.
//!
//! Conditional writes take a lock alone and other writes share it, because the server below checks and then renames:
//! without the lock, several racing `If-None-Match: *` puts win. `KYMA_TEST_CONTAINERS=1` uses MinIO in a container.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context, Result, anyhow};
use hyper::body::Incoming;
use hyper::{Method, Request};
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use s3s::auth::SimpleAuth;
use s3s::service::{S3Service, S3ServiceBuilder};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{RwLock, oneshot};
use tokio::task::JoinSet;
use url::Url;

use crate::watchdog;

const BUCKET: &str = "kyma-test";
const PREFIX: &str = "data";
const REGION: &str = "us-east-1";
const ACCESS_KEY: &str = "kyma-access";
const SECRET_KEY: &str = "kyma-secret";

/// A bucket on a throw-away S3. Dropping it stops the server and removes the data.
#[derive(Debug)]
pub struct TestS3 {
    /// `s3://bucket/prefix`.
    pub url: Url,
    /// What `object_store`'s S3 client needs besides: endpoint, region and keys.
    pub options: BTreeMap<String, String>,
    _server: Option<Running>,
}

/// Starts a server with one empty bucket.
pub async fn server() -> TestS3 {
    let started = if crate::use_containers() { container().await } else { in_process() };
    started.expect("a throw-away S3")
}

impl TestS3 {
    /// A plain client of the bucket and prefix, without kyma's decorations.
    pub fn object_store(&self) -> Arc<dyn object_store::ObjectStore> {
        let options = self.options.iter().map(|(key, value)| (key.clone(), value.clone()));
        let (store, prefix) = object_store::parse_url_opts(&self.url, options).expect("the options of the test's S3");
        Arc::new(object_store::prefix::PrefixStore::new(store, prefix))
    }
}

/// The server's thread and data.
#[derive(Debug)]
struct Running {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
    _directory: tempfile::TempDir,
}

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn in_process() -> Result<TestS3> {
    let directory = tempfile::tempdir()?;
    std::fs::create_dir(directory.path().join(BUCKET))?;
    let service = service(directory.path())?;
    let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let (stop, stopped) = oneshot::channel();
    // A runtime of its own: it serves on while a test blocks or pauses its clock.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let thread = std::thread::Builder::new().name("test-s3".to_owned()).spawn(move || {
        runtime.block_on(serve(listener, service, stopped));
        runtime.shutdown_background();
    })?;
    let running = Running { stop: Some(stop), thread: Some(thread), _directory: directory };
    handle(address, (ACCESS_KEY, SECRET_KEY), Some(running))
}

fn handle(address: SocketAddr, keys: (&str, &str), server: Option<Running>) -> Result<TestS3> {
    let options = [
        ("endpoint", format!("http://{address}")),
        ("region", REGION.to_owned()),
        ("access_key_id", keys.0.to_owned()),
        ("secret_access_key", keys.1.to_owned()),
        ("allow_http", "true".to_owned()),
        ("virtual_hosted_style_request", "false".to_owned()),
    ];
    let url = Url::parse(&format!("s3://{BUCKET}/{PREFIX}"))?;
    let options = options.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
    Ok(TestS3 { url, options, _server: server })
}

fn service(root: &Path) -> Result<S3Service> {
    let files = s3s_fs::FileSystem::new(root).map_err(|error| anyhow!("the S3 server's directory: {error:?}"))?;
    let mut builder = S3ServiceBuilder::new(files);
    builder.set_auth(SimpleAuth::from_single(ACCESS_KEY, SECRET_KEY));
    Ok(builder.build())
}

async fn serve(listener: std::net::TcpListener, service: S3Service, mut stopped: oneshot::Receiver<()>) {
    let listener = TcpListener::from_std(listener).expect("a listener on loopback");
    let lock = Arc::new(RwLock::new(()));
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            _ = &mut stopped => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(connection(stream, service.clone(), Arc::clone(&lock)));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn connection(stream: TcpStream, service: S3Service, lock: Arc<RwLock<()>>) {
    // Without this, small range reads wait 40 ms for each other.
    let _ = stream.set_nodelay(true);
    let serve = hyper::service::service_fn(move |request: Request<Incoming>| {
        let (service, lock) = (service.clone(), Arc::clone(&lock));
        async move {
            let conditional = ["if-match", "if-none-match"].iter().any(|name| request.headers().contains_key(*name));
            let reads = matches!(*request.method(), Method::GET | Method::HEAD);
            let _alone = if !reads && conditional { Some(lock.write().await) } else { None };
            let _shared = if !reads && !conditional { Some(lock.read().await) } else { None };
            service.call(request.map(s3s::Body::from)).await
        }
    });
    let _ = Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), serve).await;
}

async fn container() -> Result<TestS3> {
    use testcontainers_modules::testcontainers::runners::AsyncRunner;
    let container = testcontainers_modules::minio::MinIO::default().start().await?;
    let port = container.get_host_port_ipv4(9000).await?;
    watchdog::remove_container(&watchdog::Run::current(), container.id())?;
    let make =
        testcontainers_modules::testcontainers::core::ExecCommand::new(["mkdir", "-p", &format!("/data/{BUCKET}")]);
    container.exec(make).await.context("make the bucket")?;
    std::mem::forget(container);
    handle(SocketAddr::from(([127, 0, 0, 1], port)), ("minioadmin", "minioadmin"), None)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use object_store::path::Path;
    use object_store::{ObjectStoreExt, PutMode, PutPayload};

    #[tokio::test]
    async fn what_is_put_is_read_and_listed_and_one_of_many_creates_wins() {
        let s3 = server().await;
        let store = s3.object_store();
        store.put(&Path::from("a/b"), PutPayload::from("hello")).await.unwrap();
        let bytes = store.get_range(&Path::from("a/b"), 1..3).await.unwrap();
        assert_eq!(&bytes[..], b"el");
        let listed: Vec<_> = store.list(Some(&Path::from("a"))).map(|object| object.unwrap().location).collect().await;
        assert_eq!(listed, [Path::from("a/b")]);
        let racing = (0..8).map(|_| {
            let store = Arc::clone(&store);
            async move { store.put_opts(&Path::from("once"), "x".into(), PutMode::Create.into()).await.is_ok() }
        });
        let won = futures::future::join_all(racing).await.into_iter().filter(|won| *won).count();
        assert_eq!(won, 1);
    }
}
