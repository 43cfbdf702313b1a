//! One node's way to the bucket: an `ObjectStore` on which requests are lost, late, doubled, refused and torn.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use chrono::DateTime;
use futures::stream::{self, BoxStream, StreamExt};
use kyma_core::clock::Clock;
use object_store::path::Path;
use object_store::{
    Attributes, CopyOptions, Error, GetOptions, GetResult, GetResultPayload, ListResult, MultipartUpload, ObjectMeta,
    ObjectStore, PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result, UploadPart,
};
use tokio::time::sleep;

use crate::bucket::{Bucket, Object};
use crate::oracle::Oracle;
use crate::scope::NodeScope;
use crate::trace::number;
use crate::world::{Fate, World};

/// Objects of one page of a listing.
const PAGE: usize = 20;

/// The way.
#[derive(Clone)]
pub struct NodeStore {
    /// The world.
    pub world: Arc<World>,
    /// The node's hold.
    pub scope: Arc<NodeScope>,
    /// The node's name.
    pub name: Arc<str>,
    /// Whether nothing goes wrong on it, nor takes time: the judge's way.
    pub is_sound: bool,
}

impl fmt::Debug for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "NodeStore({})", self.name)
    }
}

impl fmt::Display for NodeStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

fn broken(why: &'static str) -> Error {
    Error::Generic { store: "sim", source: why.into() }
}

fn missing(path: &Path) -> Error {
    Error::NotFound { path: path.to_string(), source: "no such object".into() }
}

impl NodeStore {
    /// Sends one request, which `apply` does where it arrives.
    async fn ask<T: Send + 'static>(
        &self,
        what: &'static str,
        key: &str,
        apply: impl Fn(&Bucket, &Oracle) -> Result<T> + Send + Sync + 'static,
    ) -> Result<T> {
        if self.is_sound {
            return apply(&self.world.bucket, &self.world.oracle);
        }
        self.scope.running_now().await;
        let fate = self.world.fate(&self.world.plan.store_faults);
        self.world.trace.note(&self.name, what, number(key.as_bytes()), || format!("{key} {fate:?}"));
        let world = Arc::clone(&self.world);
        let done = move || apply(&world.bucket, &world.oracle);
        let answer = match fate {
            _ if self.world.is_store_away() => {
                sleep(Duration::from_millis(20)).await;
                Err(broken("503 service unavailable"))
            }
            Fate::Done { before, after } => {
                pause(before).await;
                let answer = done();
                pause(after).await;
                answer
            }
            Fate::RequestLost(silence) => {
                sleep(silence).await;
                Err(broken("connection reset"))
            }
            Fate::ReplyLost(silence) => {
                let _ = done();
                sleep(silence).await;
                Err(broken("connection reset while waiting for the reply"))
            }
            Fate::Late(arrival, give_up) => {
                self.later(arrival, done);
                sleep(give_up).await;
                Err(broken("timed out"))
            }
            Fate::Refused(after) => {
                sleep(after).await;
                Err(broken("503 slow down"))
            }
            Fate::Twice(again) => {
                let answer = done();
                self.later(again, done);
                answer
            }
        };
        self.scope.running_now().await;
        answer
    }

    fn later<T: Send + 'static>(&self, wait: Duration, done: impl FnOnce() -> Result<T> + Send + 'static) {
        let trace = Arc::clone(&self.world.trace);
        let name = Arc::clone(&self.name);
        self.world.tasks.spawn(async move {
            sleep(wait).await;
            trace.note(&name, "late arrival", 0, String::new);
            drop(done());
        });
    }

    /// The body of a get, as it arrives: at most as whole as it was sent.
    fn body(&self, bytes: Bytes) -> BoxStream<'static, Result<Bytes>> {
        if bytes.is_empty() || self.is_sound || !self.world.strikes(self.world.plan.bodies_torn) {
            return stream::once(async { Ok(bytes) }).boxed();
        }
        let (kind, place) = self.world.draw(|rng| (rng.below(4), rng.below(bytes.len() as u64) as usize));
        self.world.trace.note(&self.name, "torn body", kind, || format!("kind {kind} at {place} of {}", bytes.len()));
        match kind {
            0 => stream::iter([Ok(bytes.slice(..place)), Err(broken("connection reset in the body"))]).boxed(),
            1 => stream::once(async move { Ok(bytes.slice(..place)) }).boxed(),
            2 => {
                let mut changed = bytes.to_vec();
                changed[place] ^= 1 << (place % 8);
                stream::once(async { Ok(Bytes::from(changed)) }).boxed()
            }
            _ => stream::iter([Ok(bytes.slice(..place)), Ok(bytes.slice(place..))]).boxed(),
        }
    }
}

/// Waits, if there is something to wait for.
pub async fn pause(wait: Duration) {
    if !wait.is_zero() {
        sleep(wait).await;
    }
}

fn meta(location: &Path, size: u64, modified: i64) -> ObjectMeta {
    let last_modified = DateTime::from_timestamp_nanos(modified);
    ObjectMeta { location: location.clone(), last_modified, size, e_tag: None, version: None }
}

#[async_trait]
impl ObjectStore for NodeStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let is_new = match options.mode {
            PutMode::Overwrite => false,
            PutMode::Create if self.world.plan.conditional_puts => true,
            _ => return Err(Error::NotSupported { source: "conditional puts".into() }),
        };
        let (path, bytes) = (location.clone(), Bytes::from(payload));
        self.world.trace.note(&self.name, "bytes", number(&bytes), || format!("{} bytes", bytes.len()));
        let put = move |bucket: &Bucket, oracle: &Oracle| {
            if !bucket.put(path.as_ref(), bytes.clone(), is_new) {
                return Err(Error::AlreadyExists { path: path.to_string(), source: "412".into() });
            }
            oracle.put(path.as_ref(), &bytes);
            Ok(PutResult { e_tag: None, version: None })
        };
        self.ask("put", location.as_ref(), put).await
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        _options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.ask("begin upload", location.as_ref(), |_, _| Ok(())).await?;
        Ok(Box::new(Upload { store: self.clone(), location: location.clone(), parts: Vec::new() }))
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let path = location.clone();
        let get = move |bucket: &Bucket, _: &Oracle| bucket.get(path.as_ref()).ok_or_else(|| missing(&path));
        let Object { bytes, modified } = self.ask("get", location.as_ref(), get).await?;
        let size = bytes.len() as u64;
        let range = match &options.range {
            Some(range) => range.as_range(size).map_err(|_| broken("416 range not satisfiable"))?,
            None => 0..size,
        };
        let part = if options.head { Bytes::new() } else { bytes.slice(range.start as usize..range.end as usize) };
        let payload = GetResultPayload::Stream(self.body(part));
        Ok(GetResult { payload, meta: meta(location, size, modified), range, attributes: Attributes::new() })
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let mut parts = Vec::with_capacity(ranges.len());
        for range in ranges {
            let options = GetOptions { range: Some(range.clone().into()), ..GetOptions::default() };
            parts.push(self.get_opts(location, options).await?.bytes().await?);
        }
        Ok(parts)
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let store = self.clone();
        locations
            .then(move |location| {
                let store = store.clone();
                async move {
                    let location = location?;
                    store.world.oracle.delete_sent(location.as_ref());
                    let path = location.clone();
                    let delete = move |bucket: &Bucket, oracle: &Oracle| {
                        oracle.deleted(path.as_ref());
                        bucket.delete(path.as_ref());
                        Ok(())
                    };
                    store.ask("delete", location.as_ref(), delete).await.map(|()| location)
                }
            })
            .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (store, prefix) = (self.clone(), prefix.map(ToString::to_string).unwrap_or_default());
        let pages = async move {
            let world = &store.world;
            let is_stale = !store.is_sound && world.strikes(world.plan.stale_lists);
            let stale = if is_stale { world.plan.stale.as_nanos() as i64 } else { 0 };
            let since = world.clock.now() - stale;
            let wanted = prefix.clone();
            let found = store.ask("list", &prefix, move |bucket, _| Ok(bucket.list(&wanted, since))).await?;
            // What changed lately is shown as it was, or as it is.
            let knows = |is_recent: bool| !(is_recent && is_stale && world.draw(|rng| rng.chance(500)));
            let shown: Vec<Result<ObjectMeta>> = found
                .into_iter()
                .filter(|object| object.is_there == knows(object.since >= since))
                .map(|object| Ok(meta(&Path::from(object.key.as_str()), object.size, object.modified)))
                .collect();
            let torn = !store.is_sound && shown.len() > PAGE && world.strikes(world.plan.bodies_torn);
            let kept = if torn { PAGE } else { shown.len() };
            let end = torn.then(|| Err(broken("the listing broke off")));
            Ok::<_, Error>(stream::iter(shown.into_iter().take(kept).chain(end)))
        };
        stream::once(pages)
            .flat_map(|page| match page {
                Ok(page) => page.boxed(),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            })
            .boxed()
    }

    async fn list_with_delimiter(&self, _prefix: Option<&Path>) -> Result<ListResult> {
        Err(Error::NotSupported { source: "nothing that is simulated lists so".into() })
    }

    async fn copy_opts(&self, _from: &Path, _to: &Path, _options: CopyOptions) -> Result<()> {
        Err(Error::NotSupported { source: "nothing that is simulated copies".into() })
    }
}

/// An upload in parts, of which nothing is seen before its end. One that is torn leaves nothing.
#[derive(Debug)]
struct Upload {
    store: NodeStore,
    location: Path,
    parts: Vec<Arc<parking_lot::Mutex<Option<Bytes>>>>,
}

#[async_trait]
impl MultipartUpload for Upload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let place = Arc::new(parking_lot::Mutex::new(None));
        self.parts.push(Arc::clone(&place));
        let (store, location, bytes) = (self.store.clone(), self.location.clone(), Bytes::from(data));
        Box::pin(async move {
            let put = move |_: &Bucket, _: &Oracle| {
                *place.lock() = Some(bytes.clone());
                Ok(())
            };
            store.ask("put part", location.as_ref(), put).await
        })
    }

    async fn complete(&mut self) -> Result<PutResult> {
        let parts: Option<Vec<Bytes>> = self.parts.iter().map(|part| part.lock().clone()).collect();
        let whole = Bytes::from(parts.ok_or_else(|| broken("a part is missing"))?.concat());
        let path = self.location.clone();
        let put = move |bucket: &Bucket, oracle: &Oracle| {
            bucket.put(path.as_ref(), whole.clone(), false);
            oracle.put(path.as_ref(), &whole);
            Ok(PutResult { e_tag: None, version: None })
        };
        self.store.ask("complete upload", self.location.as_ref(), put).await
    }

    async fn abort(&mut self) -> Result<()> {
        self.parts.clear();
        Ok(())
    }
}
