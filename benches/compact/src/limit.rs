//! What no merge can do without: encoding its rows.

use std::sync::Arc;

use anyhow::{Context, Result};
use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::Schema;
use kyma_core::extent::Extent;
use kyma_core::format::{EncodeOptions, OpenOptions, ReadColumn, SegmentFormat};
use kyma_core::limits::BLOCK_ROWS;
use kyma_core::profile::IoCounters;
use kyma_core::schema::HIDDEN_MARK;
use kyma_format_tlm::Tlm;
use kyma_storage::Store;

use crate::explain;

/// What encoding extents again took.
#[derive(Debug, Default)]
pub(crate) struct Alone {
    pub(crate) raw_bytes: u64,
    /// CPU seconds of the thread.
    pub(crate) seconds: f64,
    pub(crate) bytes: u64,
    pub(crate) bytes_without_hidden: u64,
}

/// CPU seconds that the process has used.
pub(crate) fn process_seconds() -> Result<f64> {
    let mut seconds = 0.0;
    // The sum over threads that live: the pool's threads stay for the time of a measurement.
    for thread in std::fs::read_dir("/proc/self/task")? {
        let path = thread?.path().join("schedstat");
        let Ok(text) = std::fs::read_to_string(&path) else { continue };
        let nanos: u64 = text.split_whitespace().next().unwrap_or_default().parse().context("schedstat")?;
        seconds += nanos as f64 / 1e9;
    }
    Ok(seconds)
}

fn thread_seconds() -> Result<f64> {
    std::thread::yield_now();
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").context("schedstat")?;
    let nanos: u64 = text.split_whitespace().next().unwrap_or_default().parse().context("schedstat")?;
    Ok(nanos as f64 / 1e9)
}

/// Reads extents back and encodes their rows again at their level, on this thread.
pub(crate) async fn encode_alone(store: &Arc<Store>, extents: &[Extent]) -> Result<Alone> {
    let mut alone = Alone::default();
    for extent in extents {
        let rows = rows(store, extent).await?;
        let before = thread_seconds()?;
        let encoded = Tlm.encode(std::slice::from_ref(&rows), &options(extent)).map_err(explain)?;
        alone.seconds += thread_seconds()? - before;
        alone.bytes += encoded.bytes.len() as u64;
        alone.raw_bytes += extent.raw_bytes;
        let shown: Vec<usize> =
            (0..rows.num_columns()).filter(|at| !rows.schema().field(*at).name().starts_with(HIDDEN_MARK)).collect();
        let encoded = Tlm.encode(&[rows.project(&shown)?], &options(extent)).map_err(explain)?;
        alone.bytes_without_hidden += encoded.bytes.len() as u64;
    }
    Ok(alone)
}

fn options(extent: &Extent) -> EncodeOptions {
    EncodeOptions {
        extent: extent.id,
        database: extent.database,
        database_name: "bench".to_owned(),
        table: extent.table,
        table_name: "bench".to_owned(),
        time_column: extent.sorted_by.last().cloned().unwrap_or_default(),
        sorted_by: extent.sorted_by.clone(),
        level: extent.level,
        block_rows: BLOCK_ROWS,
        raw_bytes: extent.raw_bytes,
        replaces: Vec::new(),
        writes: Vec::new(),
    }
}

async fn rows(store: &Arc<Store>, extent: &Extent) -> Result<RecordBatch> {
    let source = store.reader(&extent.location, Arc::new(IoCounters::default()));
    let reader = Tlm.open(source.clone(), &OpenOptions::of(extent)).await.map_err(explain)?;
    let columns = reader.schema().columns();
    let wanted: Vec<ReadColumn> = columns.iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let fields: Vec<_> = columns.iter().map(|column| column.ty.field(&column.name)).collect();
    let schema = Arc::new(Schema::new(fields));
    let mut batches = Vec::new();
    for block in 0..reader.block_rows().len() as u32 {
        let read = reader.read(source.as_ref(), block, &wanted, None).await.map_err(explain)?;
        let arrays: Vec<ArrayRef> = read.columns().to_vec();
        batches.push(RecordBatch::try_new(schema.clone(), arrays)?);
    }
    Ok(arrow::compute::concat_batches(&schema, &batches)?)
}
