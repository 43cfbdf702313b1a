//! Extents of objects that the catalog does not know: by the object's directory, or by the end of a lone extent.

use std::sync::Arc;

use kyma_core::extent::{NewExtent, ObjectRange};
use kyma_core::format::{Formats, Identity, OpenOptions, RangeReader, SegmentReader};
use kyma_core::object::{self, DirectoryEntry};
use kyma_core::profile::IoCounters;
use kyma_core::{Error, ExtentId, Kind, Result, Schema};
use kyma_storage::{Store, StoredObject};
use uuid::Uuid;

/// An extent as its footer tells it.
#[derive(Debug, Clone)]
pub(crate) struct FoundExtent {
    pub(crate) identity: Identity,
    pub(crate) row: NewExtent,
    pub(crate) schema: Schema,
}

/// The extents of an object; the error says why nothing can be told.
///
/// # Errors
/// The store's, when it does not answer.
pub(crate) async fn find(
    store: &Arc<Store>,
    formats: &Formats,
    object: &StoredObject,
) -> Result<Result<Vec<FoundExtent>, String>> {
    match extents(store, formats, object).await {
        Ok(found) => Ok(Ok(found)),
        Err(error) if matches!(error.kind(), Kind::Unavailable | Kind::Cancelled | Kind::Internal) => Err(error),
        Err(error) => Ok(Err(error.chain())),
    }
}

async fn extents(store: &Arc<Store>, formats: &Formats, object: &StoredObject) -> Result<Vec<FoundExtent>> {
    let whole = ObjectRange { key: object.key.clone(), offset: 0, length: object.bytes };
    let source = store.reader(&whole, Arc::new(IoCounters::default()));
    let Some(directory) = directory(source.as_ref(), object.bytes).await? else {
        return lone(formats, source, whole).await.map(|extent| vec![extent]);
    };
    let mut found = Vec::with_capacity(directory.len());
    for entry in directory {
        let location = ObjectRange { key: object.key.clone(), offset: entry.offset, length: entry.length };
        let source = store.reader(&location, Arc::new(IoCounters::default()));
        let extent = open(formats, &entry.format, source, location, entry.footer_length).await?;
        if extent.identity.extent != entry.extent {
            return Err(Error::corrupt("an extent is not the one that the directory names"));
        }
        found.push(extent);
    }
    Ok(found)
}

/// The directory at the end of an object, if it has one.
async fn directory(source: &dyn RangeReader, bytes: u64) -> Result<Option<Vec<DirectoryEntry>>> {
    let Some(start) = bytes.checked_sub(object::TAIL_BYTES) else { return Ok(None) };
    let tail = source.read(std::slice::from_ref(&(start..bytes))).await?;
    let length = tail.first().and_then(|tail| object::length(tail)).filter(|length| *length <= bytes);
    let Some(length) = length else { return Ok(None) };
    let read = source.read(std::slice::from_ref(&(bytes - length..bytes))).await?;
    let read = read.first().ok_or_else(|| Error::corrupt("the store gave nothing"))?;
    object::read(read, bytes - length).map(Some)
}

/// An extent that is all of its object.
async fn lone(formats: &Formats, source: Arc<dyn RangeReader>, whole: ObjectRange) -> Result<FoundExtent> {
    for name in formats.names() {
        let footer = formats.get(name)?.find_footer(source.as_ref(), whole.length).await?;
        if let Some(footer) = footer {
            return open(formats, name, source, whole, footer).await;
        }
    }
    Err(Error::corrupt("it has no directory, and no format takes it for an extent of its own"))
}

async fn open(
    formats: &Formats,
    format: &str,
    source: Arc<dyn RangeReader>,
    location: ObjectRange,
    footer_length: u32,
) -> Result<FoundExtent> {
    let options = OpenOptions { extent: ExtentId(Uuid::nil()), length: location.length, footer_length, footer: None };
    let reader: Arc<dyn SegmentReader> = formats.get(format)?.open(source, &options).await?;
    let identity = reader.identity().ok_or_else(|| Error::corrupt("its footer does not say whose rows it holds"))?;
    let row = identity.to_extent(format, location, footer_length);
    Ok(FoundExtent { row, schema: reader.schema().clone(), identity })
}
