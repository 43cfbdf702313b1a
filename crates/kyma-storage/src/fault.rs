//! A store that fails as told; for tests.

use std::fmt;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, BoxStream, StreamExt};
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use parking_lot::Mutex;

/// What happens to one call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It fails before it reaches the store.
    Error,
    /// The store says that the object exists, as S3 does while another upload of it is under way.
    Exists,
    /// It reaches the store, and its answer is lost.
    LostAnswer,
    /// It waits this long, then goes through.
    Delay(Duration),
    /// It never answers.
    Hang,
}

/// Which calls a planned fault is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Call {
    /// Puts.
    Put,
    /// Gets.
    Get,
    /// Looks at an object's size; every put ends with one.
    Head,
    /// Deletes.
    Delete,
    /// Lists.
    List,
}

/// The switches of a [`FaultyStore`]; clones share them.
#[derive(Debug, Clone, Default)]
pub struct Faults(Arc<Switches>);

#[derive(Debug, Default)]
struct Switches {
    down: AtomicBool,
    hang: AtomicBool,
    latency_micros: AtomicU64,
    plan: Mutex<Vec<(Call, Fault)>>,
    puts: AtomicU64,
    gets: AtomicU64,
    /// Every so manieth get takes so much longer.
    tail: Mutex<Option<(u64, Duration)>>,
    gets_in_flight: AtomicU64,
    gets_in_flight_max: AtomicU64,
}

impl Faults {
    /// Makes every call fail until told otherwise.
    pub fn set_down(&self, down: bool) {
        self.0.down.store(down, Ordering::SeqCst);
    }

    /// Makes every call hang, from now on until told otherwise; a call that hangs stays so.
    pub fn set_hang(&self, hang: bool) {
        self.0.hang.store(hang, Ordering::SeqCst);
    }

    /// Makes every call take this much longer.
    pub fn set_latency(&self, latency: Duration) {
        self.0.latency_micros.store(latency.as_micros() as u64, Ordering::SeqCst);
    }

    /// Makes every `one_in`th get take this much longer.
    pub fn set_tail(&self, one_in: u64, latency: Duration) {
        *self.0.tail.lock() = Some((one_in.max(1), latency));
    }

    /// How many gets are under way: not answered, and not dropped by the caller.
    pub fn gets_in_flight(&self) -> u64 {
        self.0.gets_in_flight.load(Ordering::SeqCst)
    }

    /// The most gets that ever were under way at one time.
    pub fn gets_in_flight_max(&self) -> u64 {
        self.0.gets_in_flight_max.load(Ordering::SeqCst)
    }

    /// Plans a fault for the next call of its sort; several are used up in order.
    pub fn plan(&self, call: Call, fault: Fault) {
        self.0.plan.lock().push((call, fault));
    }

    /// How many puts arrived, failed ones included.
    pub fn puts(&self) -> u64 {
        self.0.puts.load(Ordering::SeqCst)
    }

    /// How many gets arrived, failed ones included.
    pub fn gets(&self) -> u64 {
        self.0.gets.load(Ordering::SeqCst)
    }

    fn next(&self, call: Call) -> Option<Fault> {
        let mut plan = self.0.plan.lock();
        let place = plan.iter().position(|(planned, _)| *planned == call)?;
        Some(plan.remove(place).1)
    }

    /// Runs the faults of one call; whether its answer is to be lost.
    async fn meet(&self, call: Call) -> Result<bool> {
        let number = match call {
            Call::Put => self.0.puts.fetch_add(1, Ordering::SeqCst),
            Call::Get => self.0.gets.fetch_add(1, Ordering::SeqCst),
            Call::Head | Call::Delete | Call::List => 0,
        };
        let _under_way = (call == Call::Get).then(|| UnderWay::new(self));
        let tail = *self.0.tail.lock();
        if let Some((one_in, latency)) = tail
            && call == Call::Get
            && number % one_in == 0
        {
            tokio::time::sleep(latency).await;
        }
        let latency = self.0.latency_micros.load(Ordering::SeqCst);
        if latency > 0 {
            tokio::time::sleep(Duration::from_micros(latency)).await;
        }
        if self.0.hang.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.0.down.load(Ordering::SeqCst) {
            return Err(injected());
        }
        match self.next(call) {
            None => Ok(false),
            Some(Fault::Error) => Err(injected()),
            Some(Fault::LostAnswer) => Ok(true),
            Some(Fault::Delay(delay)) => {
                tokio::time::sleep(delay).await;
                Ok(false)
            }
            Some(Fault::Exists) => Err(Error::AlreadyExists { path: String::new(), source: "injected fault".into() }),
            Some(Fault::Hang) => std::future::pending().await,
        }
    }
}

/// A get that is under way, until dropped.
struct UnderWay(Faults);

impl UnderWay {
    fn new(faults: &Faults) -> Self {
        let now = faults.0.gets_in_flight.fetch_add(1, Ordering::SeqCst) + 1;
        faults.0.gets_in_flight_max.fetch_max(now, Ordering::SeqCst);
        UnderWay(faults.clone())
    }
}

impl Drop for UnderWay {
    fn drop(&mut self) {
        self.0.0.gets_in_flight.fetch_sub(1, Ordering::SeqCst);
    }
}

fn injected() -> Error {
    Error::Generic { store: "faulty", source: "injected fault".into() }
}

/// Decorates a store with [`Faults`].
#[derive(Debug)]
pub struct FaultyStore {
    inner: Arc<dyn ObjectStore>,
    faults: Faults,
}

impl FaultyStore {
    /// Decorates `inner`.
    pub fn new(inner: Arc<dyn ObjectStore>) -> (Arc<FaultyStore>, Faults) {
        let faults = Faults::default();
        (Arc::new(FaultyStore { inner, faults: faults.clone() }), faults)
    }
}

impl fmt::Display for FaultyStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Faulty({})", self.inner)
    }
}

#[async_trait]
impl ObjectStore for FaultyStore {
    async fn put_opts(&self, location: &Path, payload: PutPayload, options: PutOptions) -> Result<PutResult> {
        let lost = self.faults.meet(Call::Put).await?;
        let answer = self.inner.put_opts(location, payload, options).await?;
        if lost { Err(injected()) } else { Ok(answer) }
    }

    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.faults.meet(Call::Put).await?;
        self.inner.put_multipart_opts(location, options).await
    }

    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        let call = if options.head { Call::Head } else { Call::Get };
        let lost = self.faults.meet(call).await?;
        let answer = self.inner.get_opts(location, options).await?;
        if lost { Err(injected()) } else { Ok(answer) }
    }

    async fn get_ranges(&self, location: &Path, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let lost = self.faults.meet(Call::Get).await?;
        let answer = self.inner.get_ranges(location, ranges).await?;
        if lost { Err(injected()) } else { Ok(answer) }
    }

    fn delete_stream(&self, locations: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let (faults, inner) = (self.faults.clone(), Arc::clone(&self.inner));
        stream::once(async move {
            match faults.meet(Call::Delete).await {
                Ok(_) => inner.delete_stream(locations),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        let (faults, inner, prefix) = (self.faults.clone(), Arc::clone(&self.inner), prefix.cloned());
        stream::once(async move {
            match faults.meet(Call::List).await {
                Ok(_) => inner.list(prefix.as_ref()),
                Err(error) => stream::once(async { Err(error) }).boxed(),
            }
        })
        .flatten()
        .boxed()
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.faults.meet(Call::List).await?;
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.faults.meet(Call::Put).await?;
        self.inner.copy_opts(from, to, options).await
    }
}
