//! Blobs: uploaded by ingest clients, kept as objects until they are ingested.
//!
//! A blob is a folder `kusto-blobs/<day>/<id>`, where the id is made of its name. In it are the parts, none larger than
//! [`PART_BYTES`], and, written last, the list of the parts: without a list there is no blob. Put Blob writes parts
//! and list, Put Block writes parts, Put Block List the list.

use std::collections::HashMap;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use futures::stream::{self, BoxStream};
use futures::{StreamExt, TryStreamExt};
use kyma_core::extent::ObjectRange;
use kyma_core::profile::IoCounters;
use kyma_core::{Error, Result, time};
use kyma_storage::Store;
use percent_encoding::percent_decode_str;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

use super::{fail, respond, xml};
use crate::failure::{Failure, Outcome};
use crate::http::query::read_body;
use crate::settings::{BLOB_BLOCKS_MAX, BLOB_NAME_BYTES_MAX, BLOB_PART_BYTES as PART_BYTES, Role};
use crate::state::Shared;

/// The first segment of the path of every blob.
pub(super) const BLOBS: &str = "kusto-blobs";
/// The folder of the objects of blobs.
pub(super) const PREFIX: &str = "kusto-blobs";

/// The day of a time, as containers are called.
pub(super) fn day_of(nanos: i64) -> String {
    time::format_datetime(nanos).chars().take(10).filter(char::is_ascii_digit).collect()
}

/// Which blob is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct BlobName {
    day: String,
    id: Uuid,
}

impl BlobName {
    fn new(day: &str, name: &str) -> Result<Self> {
        let is_day = day.len() == 8 && day.bytes().all(|byte| byte.is_ascii_digit());
        if !is_day || name.is_empty() || name.len() > BLOB_NAME_BYTES_MAX {
            return Err(Error::invalid("kusto.blob_name", "the name of a blob is not one that kyma gave out")
                .hint("ask .get ingestion resources for the container"));
        }
        Ok(BlobName { day: day.to_owned(), id: Uuid::new_v5(&Uuid::NAMESPACE_URL, name.as_bytes()) })
    }

    /// The blob of a URL. Which host it names does not matter: all nodes have the same blobs.
    pub(crate) fn of_url(url: &str) -> Result<Self> {
        let elsewhere = || {
            Error::invalid("kusto.ingest_source", "the source is not a blob that was uploaded to kyma")
                .hint("kyma fetches nothing from elsewhere: send the data itself, or ingest from a file or a stream")
        };
        let path = url.split(['?', ';', '#']).next().unwrap_or_default();
        let (_, path) = path.split_once("://").and_then(|(_, rest)| rest.split_once('/')).ok_or_else(elsewhere)?;
        let name =
            path.strip_prefix(BLOBS).and_then(|rest| rest.strip_prefix('/')).and_then(|rest| rest.split_once('/'));
        let (day, name) = name.ok_or_else(elsewhere)?;
        BlobName::new(day, &percent_decode_str(name).decode_utf8_lossy())
    }

    fn folder(&self) -> String {
        format!("{PREFIX}/{}/{}", self.day, self.id)
    }

    fn list_key(&self) -> String {
        format!("{}/list", self.folder())
    }

    /// What stands for this blob in an idempotency key.
    pub(super) fn id(&self) -> Uuid {
        self.id
    }
}

/// The parts of a blob, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct PartList {
    parts: Vec<StoredPart>,
}

/// One object of a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct StoredPart {
    /// Its name in the blob's folder; made here, never by a client.
    name: String,
    bytes: u64,
}

/// Put Blob, Put Block and Put Block List.
pub(super) async fn put(
    State(state): State<Shared>,
    Path((day, name)): Path<(String, String)>,
    UrlQuery(parameters): UrlQuery<HashMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let stored = async {
        state.require(Role::Ingest)?;
        let blob = BlobName::new(&day, &name)?;
        match parameters.get("comp").map(|comp| comp.to_ascii_lowercase()).as_deref() {
            None => put_blob(&state, &blob, &headers, body).await,
            Some("block") => put_block(&state, &blob, parameters.get("blockid").map_or("", String::as_str), body).await,
            Some("blocklist") => put_block_list(&state, &blob, &headers, body).await,
            Some(_) => Err(Error::invalid("kusto.blob_operation", "blobs are put here, and nothing else").into()),
        }
    };
    match stored.await {
        Ok(()) => respond(StatusCode::CREATED, None, Some(Uuid::new_v4())),
        Err(failure) => fail(&failure),
    }
}

async fn put_blob(state: &Shared, blob: &BlobName, headers: &HeaderMap, body: Body) -> Outcome<()> {
    let parts = store_parts(state, blob, &format!("w-{}", Uuid::new_v4().simple()), body).await?;
    store_list(state, blob, headers, &PartList { parts }).await
}

async fn put_block(state: &Shared, blob: &BlobName, block: &str, body: Body) -> Outcome<()> {
    if block.is_empty() || block.len() > BLOB_NAME_BYTES_MAX {
        return Err(Error::invalid("kusto.blob_block", "a block needs its blockid").into());
    }
    store_parts(state, blob, &block_stem(block), body).await?;
    Ok(())
}

/// What the names of a block's parts begin with.
fn block_stem(block: &str) -> String {
    format!("b-{}", Uuid::new_v5(&Uuid::NAMESPACE_URL, block.as_bytes()).simple())
}

async fn put_block_list(state: &Shared, blob: &BlobName, headers: &HeaderMap, body: Body) -> Outcome<()> {
    let body = read_body(body).await?;
    let named = std::str::from_utf8(&body).ok().and_then(|text| xml::elements(text, "BlockList"));
    let named = named.filter(|named| named.len() <= BLOB_BLOCKS_MAX);
    let named = named.ok_or_else(|| {
        Failure::from(Error::invalid(
            "kusto.blob_blocks",
            format!("not a list of blocks: blocks_max={BLOB_BLOCKS_MAX}"),
        ))
    })?;
    let blocks = stream::iter(named.into_iter().map(|(_, block)| parts_of(state, blob, block_stem(&block))));
    let parts: Vec<Vec<StoredPart>> = blocks.buffered(16).try_collect().await?;
    let parts: Vec<StoredPart> = parts.into_iter().flatten().collect();
    check_size(state, parts.iter().map(|part| part.bytes).sum())?;
    store_list(state, blob, headers, &PartList { parts }).await
}

/// The parts of a block: only the last may be smaller than the others.
async fn parts_of(state: &Shared, blob: &BlobName, stem: String) -> Result<Vec<StoredPart>> {
    let mut parts = Vec::new();
    loop {
        let name = format!("{stem}.{}", parts.len());
        let bytes = state.store.size(&format!("{}/{name}", blob.folder())).await?;
        match bytes {
            Some(bytes) => parts.push(StoredPart { name, bytes }),
            None if parts.is_empty() => {
                return Err(Error::invalid("kusto.blob_blocks", "the list names a block that was not put"));
            }
            None => return Ok(parts),
        }
        if bytes.is_some_and(|bytes| bytes < PART_BYTES as u64) {
            return Ok(parts);
        }
    }
}

/// Stores a body in parts, of which it holds one in memory.
async fn store_parts(state: &Shared, blob: &BlobName, stem: &str, body: Body) -> Outcome<Vec<StoredPart>> {
    let _turn = state.uploads.try_acquire().map_err(|_| {
        Failure::from(Error::exhausted("kusto.blob_uploads", "too many uploads at a time").hint("wait and send again"))
    })?;
    let idle = state.ingester.settings().body_idle_timeout;
    let mut chunks = body.into_data_stream();
    let (mut parts, mut buffer, mut total) = (Vec::new(), BytesMut::new(), 0);
    loop {
        let chunk = tokio::time::timeout(idle, chunks.next()).await;
        let chunk =
            chunk.map_err(|_| Failure::from(Error::cancelled("kusto.blob_broken", "the upload stopped coming")))?;
        let Some(chunk) = chunk else { break };
        let broken = |error| Error::cancelled("kusto.blob_broken", "the upload broke off").because(error);
        let chunk = chunk.map_err(broken)?;
        total += chunk.len() as u64;
        check_size(state, total)?;
        buffer.extend_from_slice(&chunk);
        while buffer.len() >= PART_BYTES {
            let part = buffer.split_to(PART_BYTES).freeze();
            parts.push(store_part(state, blob, stem, parts.len(), part).await?);
        }
    }
    if !buffer.is_empty() {
        parts.push(store_part(state, blob, stem, parts.len(), buffer.freeze()).await?);
    }
    Ok(parts)
}

async fn store_part(state: &Shared, blob: &BlobName, stem: &str, nth: usize, bytes: Bytes) -> Result<StoredPart> {
    let part = StoredPart { name: format!("{stem}.{nth}"), bytes: bytes.len() as u64 };
    replace(&state.store, &format!("{}/{}", blob.folder(), part.name), bytes).await?;
    Ok(part)
}

/// Puts an object instead of what an earlier attempt of the client left there.
async fn replace(store: &Store, key: &str, bytes: Bytes) -> Result<()> {
    match store.put(key, bytes.clone()).await {
        Err(error) if error.kind() == kyma_core::Kind::Conflict => {
            store.delete(key).await?;
            store.put(key, bytes).await
        }
        stored => stored,
    }
}

async fn store_list(state: &Shared, blob: &BlobName, headers: &HeaderMap, list: &PartList) -> Outcome<()> {
    let bytes = serde_json::to_vec(list).map_err(|error| Error::internal("a list cannot be written").because(error))?;
    let must_be_new = headers.get(header::IF_NONE_MATCH).is_some_and(|tag| tag.as_bytes() == b"*");
    if must_be_new && state.store.exists(&blob.list_key()).await? {
        return Err(Error::conflict("kusto.blob_exists", "the blob is there already").into());
    }
    Ok(replace(&state.store, &blob.list_key(), Bytes::from(bytes)).await?)
}

/// A blob is one body of an ingest, whose limit holds after decompression, too.
fn check_size(state: &Shared, bytes: u64) -> Result<()> {
    let bytes_max = state.ingester.settings().body_bytes_max;
    if bytes <= bytes_max {
        return Ok(());
    }
    Err(Error::exhausted("kusto.blob_too_large", format!("the blob is too large: bytes_max={bytes_max}"))
        .hint("send it in several, or raise body_bytes_max"))
}

/// The bytes of a blob. Nothing is read before they are asked for.
pub(crate) fn read(state: &Shared, blob: BlobName) -> BoxStream<'static, Result<Bytes>> {
    let store = Arc::clone(&state.store);
    let parts = stream::once(async move {
        let list = load_list(&store, &blob).await?;
        let list = list.ok_or_else(|| Error::not_found("kusto.blob_missing", "the blob is not there"))?;
        let folder = blob.folder();
        let parts = list.parts.into_iter().map(move |part| (format!("{folder}/{}", part.name), part.bytes));
        let read = move |(key, bytes)| {
            let store = Arc::clone(&store);
            async move { read_object(&store, key, bytes).await }
        };
        Ok::<_, Error>(stream::iter(parts).then(read))
    });
    parts.try_flatten().boxed()
}

async fn load_list(store: &Arc<Store>, blob: &BlobName) -> Result<Option<PartList>> {
    let key = blob.list_key();
    let Some(bytes) = store.size(&key).await? else { return Ok(None) };
    let text = read_object(store, key, bytes).await?;
    let list = serde_json::from_slice(&text);
    list.map(Some).map_err(|error| Error::internal("the list of a blob cannot be read").because(error))
}

async fn read_object(store: &Arc<Store>, key: String, length: u64) -> Result<Bytes> {
    let reader = store.reader(&ObjectRange { key, offset: 0, length }, Arc::new(IoCounters::default()));
    let whole = 0..length;
    let read = reader.read(std::slice::from_ref(&whole)).await?;
    Ok(read.into_iter().next().unwrap_or_default())
}

/// Deletes a blob that is ingested, its list first: what is left of a deletion that breaks off is no blob.
pub(super) async fn remove(state: &Shared, blob: &BlobName) -> Result<()> {
    let Some(list) = load_list(&state.store, blob).await? else { return Ok(()) };
    state.store.delete(&blob.list_key()).await?;
    for part in list.parts {
        state.store.delete(&format!("{}/{}", blob.folder(), part.name)).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_own_blobs_are_named() {
        let name = BlobName::new("20260102", "db__T__1 2.csv").unwrap();
        assert_eq!(BlobName::of_url("http://any:1/kusto-blobs/20260102/db__T__1%202.csv?sv=1").unwrap(), name);
        let elsewhere = [
            "https://account.blob.core.windows.net/container/blob.csv",
            "http://h/kusto-blobs/20260102",
            "http://h/kusto-blobs/../extents/x",
            "http://h/kusto-blobs/2026010a/x",
            "file:///etc/passwd",
            "kusto-blobs/20260102/x",
            "",
        ];
        for url in elsewhere {
            assert!(BlobName::of_url(url).is_err(), "{url}");
        }
        assert!(!name.folder().contains("db__T"), "no name of a client becomes a key");
        assert_eq!(day_of(0), "19700101");
    }
}
