//! The extents of a table, listed and opened for people: commands and inspection, not queries.

use std::sync::Arc;

use futures::stream::BoxStream;
use kyma_core::Result;
use kyma_core::catalog::{ExtentOrder, ExtentQuery, Table};
use kyma_core::extent::Extent;
use kyma_core::format::{OpenOptions, RangeReader, SegmentReader};
use kyma_core::profile::IoCounters;
use kyma_core::time::TimeRange;

use crate::state::State;

/// A table's visible extents, newest first.
pub(crate) async fn list(state: &State, table: &Table) -> Result<BoxStream<'static, Result<Extent>>> {
    let at = state.catalog.pin(table.database).await?;
    let (time, order) = (TimeRange::ALL, ExtentOrder::NewestFirst);
    Ok(state.catalog.list(ExtentQuery { table: table.id, at, time, order, ranges: Vec::new() }))
}

/// An extent, opened, with the way to its bytes.
pub(crate) async fn open(state: &State, extent: &Extent) -> Result<(Arc<dyn SegmentReader>, Arc<dyn RangeReader>)> {
    let source = state.store.reader(&extent.location, Arc::new(IoCounters::default()));
    let options = OpenOptions::of(extent);
    let opened = state.formats.get(&extent.format)?.open(source.clone(), &options).await?;
    Ok((opened, source))
}
