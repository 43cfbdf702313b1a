//! Range reads of one extent.
//!
//! 1. Each range is checked against the extent's length and moved to the object's offsets.
//! 2. Ranges found in the cache are taken from it.
//! 3. Of the others, ranges that another reader is fetching right now are waited for; the rest become ours (`flights`).
//! 4. Ours are grouped: neighbours at most [`GAP_BYTES_MAX`] apart share a request of at most [`REQUEST_BYTES_MAX`].
//! 5. At most [`REQUESTS_IN_FLIGHT`] requests of one call run at a time, each as `get` says: bounded over the node,
//!    with the store's deadline, retries and hedges.
//!    They are tasks of their own, so that a reader that is not polled keeps no place at the gate; a reader that is
//!    dropped takes them with it.
//! 6. What arrives is handed to the cache and to whoever waits. A waiter fetches by itself when its fetcher failed or
//!    went away, when its own turn comes earlier than the other's, or when it waited for longer than an attempt; the
//!    first answer counts. So a query that is cancelled or huge never holds up another.
//!
//! A request beyond an object's end is `Corrupt`: extents are immutable and their length is in the catalog. The object's
//! size is asked for before that is said: a broken gateway, too, answers with fewer bytes than asked, and is asked again.

use std::collections::HashMap;
use std::ops::Range;
use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::stream::{self, StreamExt, TryStreamExt};
use kyma_core::extent::ObjectRange;
use kyma_core::format::RangeReader;
use kyma_core::profile::IoCounters;
use kyma_core::scope;
use kyma_core::{Error, Result};
use object_store::Error as StoreError;
use object_store::path::Path;
use tokio::task::JoinSet;
use tokio::time::timeout;
use tracing::Instrument;

use crate::cache::{Cost, RangeKey, Warmth, Worth};
use crate::error::{explain, short};
use crate::flights::{Claim, Flight, Theirs};
use crate::gate::Permit;
use crate::get::Get;
use crate::key;
use crate::retry::Failure;
use crate::store::Store;

/// Ranges this near each other share a request.
const GAP_BYTES_MAX: u64 = 64 * 1024;
/// Largest request made of several ranges.
const REQUEST_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Requests of one call that run at a time.
const REQUESTS_IN_FLIGHT: usize = 8;

/// Reads ranges of one extent.
#[derive(Debug, Clone)]
pub(crate) struct Extent {
    store: Arc<Store>,
    object: Arc<str>,
    offset: u64,
    length: u64,
    counters: Arc<IoCounters>,
    warmth: Warmth,
}

/// A range with its place in the caller's list, and who reads it.
type Ours = (usize, Flight);
type Others = (usize, RangeKey, Theirs);

/// Ranges of one request, with their places in the caller's list.
struct Group {
    range: Range<u64>,
    parts: Vec<Ours>,
}

impl Extent {
    pub(crate) fn new(store: Arc<Store>, location: &ObjectRange, counters: Arc<IoCounters>) -> Self {
        Extent {
            store,
            object: Arc::from(location.key.as_str()),
            offset: location.offset,
            length: location.length,
            counters,
            warmth: Warmth::default(),
        }
    }

    /// The same, whose owner said so.
    pub(crate) fn with(self, warmth: Warmth) -> Self {
        Extent { warmth, ..self }
    }

    /// What a range is worth that came by a request of `bytes`.
    fn worth(&self, bytes: u64) -> Worth {
        Worth { cost: Cost::of_request(bytes), warmth: self.warmth }
    }

    /// The absolute range, if it lies within the extent.
    fn absolute(&self, range: &Range<u64>) -> Result<RangeKey> {
        let ends = (self.offset.checked_add(range.start), self.offset.checked_add(range.end));
        match ends {
            (Some(start), Some(end)) if range.start <= range.end && range.end <= self.length => {
                Ok(RangeKey { object: self.store.distrusted.name(&self.object), start, end })
            }
            _ => Err(Error::corrupt(format!(
                "a range lies outside its extent: object={:?} range={range:?} length={}",
                self.object, self.length
            ))),
        }
    }

    async fn cached(&self, key: &RangeKey) -> Option<Bytes> {
        let found = self.store.cache.get(key).await?;
        self.counters.cache(found.len() as u64);
        Some(found)
    }

    /// Claims what was not found: what is ours to fetch, and what others fetch. All at once, so that nothing is waited
    /// for between a claim and its request.
    fn claim(&self, missing: Vec<(usize, RangeKey)>) -> (Vec<Ours>, Vec<Others>) {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for (place, key) in missing {
            match self.store.flights.claim(&key) {
                Claim::Ours(flight) => ours.push((place, flight)),
                Claim::Theirs(flight) => theirs.push((place, key, flight)),
            }
        }
        (ours, theirs)
    }

    fn get<'a>(&'a self, path: &'a Path, range: Range<u64>) -> Get<'a> {
        Get { store: &self.store, path, range, counters: &self.counters }
    }

    /// One request of one range, with retries.
    async fn fetch(&self, get: &Get<'_>, permit: Permit) -> Result<Bytes> {
        let error = match get.run(&permit).await {
            Ok(found) if found.len() as u64 == get.bytes() => return Ok(found),
            Ok(found) => explain("read a range", &self.object, short(found.len(), get.bytes())),
            Err(Failure::Said(cause @ StoreError::NotFound { .. }, _)) => self.missing(cause),
            Err(failure) => failure.explain("read a range", &self.object),
        };
        Err(self.store.count(self.too_short(&get.range).await.unwrap_or(error)))
    }

    /// The error of an extent whose object is not there. Nothing that the reader asked for is wrong: its snapshot may be
    /// older than garbage collection's grace, so that asking again helps; or the store lost the object.
    fn missing(&self, cause: StoreError) -> Error {
        Error::unavailable("store.object_missing", format!("an extent's object is missing: key={:?}", self.object))
            .hint("ask again; if it stays so, the store has lost the object: `kyma verify` lists what is missing")
            .because(cause)
    }

    /// A `Corrupt` error when the reason of a failed read is that the object ends before the range does.
    async fn too_short(&self, range: &Range<u64>) -> Option<Error> {
        let size = self.store.size(&self.object).await.ok().flatten()?;
        let message =
            format!("object is shorter than its extents: object={:?} range={range:?} size={size}", self.object);
        (size < range.end).then(|| Error::corrupt(message))
    }

    /// All of the extent, past the cache and other readers, in requests of [`REQUEST_BYTES_MAX`].
    pub(crate) async fn read_whole(self) -> Result<Bytes> {
        let path = key::parse(&self.object)?;
        let starts = (0..self.length).step_by(REQUEST_BYTES_MAX as usize);
        let requests = starts.map(|start| {
            let (extent, path) = (self.clone(), path.clone());
            apart(async move {
                let whole = extent.absolute(&(start..extent.length.min(start + REQUEST_BYTES_MAX)))?;
                let get = extent.get(&path, whole.range());
                let permit = get.enter().await;
                extent.fetch(&get, permit).await
            })
        });
        let mut parts: Vec<Bytes> = stream::iter(requests).buffered(REQUESTS_IN_FLIGHT).try_collect().await?;
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => Ok(Bytes::from(parts.concat())),
        }
    }

    async fn fetch_group(self, path: Path, group: Group) -> Result<Vec<(usize, Bytes)>> {
        let get = self.get(&path, group.range.clone());
        let permit = get.enter().await;
        group.parts.iter().for_each(|(_, flight)| flight.start());
        let whole = self.fetch(&get, permit).await?;
        let mut answers = Vec::with_capacity(group.parts.len());
        let shared = group.parts.len() > 1;
        let worth = self.worth(whole.len() as u64);
        for (place, flight) in group.parts {
            let from = (flight.key.start - group.range.start) as usize;
            let part = whole.slice(from..from + flight.key.bytes() as usize);
            // A part of a shared request is copied: a kept slice would keep the whole request in memory.
            let part = if shared { Bytes::copy_from_slice(&part) } else { part };
            self.store.cache.put(flight.key.clone(), part.clone(), worth);
            flight.arrive(&part);
            answers.push((place, part));
        }
        Ok(answers)
    }

    /// Waits for another reader's request; fetches by itself when that one does not deliver.
    async fn await_other(self, path: Path, key: RangeKey, mut theirs: Theirs) -> Result<Bytes> {
        let get = self.get(&path, key.range());
        // A query with much to read may have its request far back in its line.
        let turn = tokio::select! {
            biased;
            true = theirs.started() => None,
            permit = get.enter() => Some(permit),
        };
        if turn.is_none()
            && let Ok(Some(bytes)) = timeout(self.store.policy.attempt, theirs.arrival()).await
        {
            return Ok(self.share(bytes));
        }
        let ours = async {
            let permit = match turn {
                Some(permit) => permit,
                None => get.enter().await,
            };
            self.fetch(&get, permit).await
        };
        tokio::select! {
            biased;
            Some(bytes) = theirs.arrival() => Ok(self.share(bytes)),
            bytes = ours => bytes.inspect(|bytes| self.keep(&key, bytes)),
        }
    }

    fn keep(&self, key: &RangeKey, bytes: &Bytes) {
        self.store.cache.put(key.clone(), bytes.clone(), self.worth(key.bytes()));
    }

    /// Counts what another reader's request brought.
    fn share(&self, bytes: Bytes) -> Bytes {
        self.store.metrics.shared_reads.inc();
        self.counters.cache(bytes.len() as u64);
        bytes
    }
}

/// Runs a request as a task of its own, which is aborted when this is dropped.
async fn apart<T: Send + 'static>(request: impl Future<Output = Result<T>> + Send + 'static) -> Result<T> {
    let mut tasks = JoinSet::new();
    tasks.spawn(scope::carried(request.in_current_span()));
    match tasks.join_next().await {
        Some(Ok(answer)) => answer,
        Some(Err(error)) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
        Some(Err(_)) | None => Err(Error::internal("a range request was aborted under its reader")),
    }
}

/// Groups neighbours into requests.
fn group(mut claimed: Vec<Ours>) -> Vec<Group> {
    claimed.sort_by_key(|(_, flight)| (flight.key.start, flight.key.end));
    let mut groups: Vec<Group> = Vec::new();
    for (place, flight) in claimed {
        let next = flight.key.range();
        if let Some(last) = groups.last_mut() {
            let near = next.start <= last.range.end.saturating_add(GAP_BYTES_MAX);
            let end = last.range.end.max(next.end);
            if near && end - last.range.start <= REQUEST_BYTES_MAX {
                last.range.end = end;
                last.parts.push((place, flight));
                continue;
            }
        }
        groups.push(Group { range: next, parts: vec![(place, flight)] });
    }
    groups
}

#[async_trait]
impl RangeReader for Extent {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        let path = key::parse(&self.object)?;
        let mut answers: Vec<Option<Bytes>> = vec![None; ranges.len()];
        let (mut missing, mut repeated) = (Vec::new(), Vec::new());
        let mut first_place: HashMap<RangeKey, usize> = HashMap::new();
        for (place, range) in ranges.iter().enumerate() {
            let key = self.absolute(range)?;
            if key.bytes() == 0 {
                answers[place] = Some(Bytes::new());
            } else if let Some(&first) = first_place.get(&key) {
                repeated.push((place, first));
            } else if let Some(bytes) = self.cached(&key).await {
                answers[place] = Some(bytes);
            } else {
                first_place.insert(key.clone(), place);
                missing.push((place, key));
            }
        }
        let (ours, theirs) = self.claim(missing);
        let fetches = group(ours).into_iter().map(|group| apart(self.clone().fetch_group(path.clone(), group)));
        let mut arriving = stream::iter(fetches).buffer_unordered(REQUESTS_IN_FLIGHT);
        while let Some(parts) = arriving.try_next().await? {
            for (place, bytes) in parts {
                answers[place] = Some(bytes);
            }
        }
        // Only now: two readers that wait for each other before they fetch would wait for ever.
        for (place, key, flight) in theirs {
            answers[place] = Some(apart(self.clone().await_other(path.clone(), key, flight)).await?);
        }
        for (place, first) in repeated {
            answers[place] = answers[first].clone();
        }
        answers
            .into_iter()
            .map(|answer| answer.ok_or_else(|| Error::internal("a range was asked for and not answered")))
            .collect()
    }

    fn distrust(&self) {
        tracing::warn!(object = &*self.object, "what was read of an object is corrupt; what is kept of it is dropped");
        self.store.distrusted.add(&self.object);
    }
}
