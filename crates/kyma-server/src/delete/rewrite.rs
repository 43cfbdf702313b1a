//! One extent without some of its rows.
//!
//! 1. The rows that stay are read as they are stored: every stored column, in its stored type, in order.
//! 2. The extent's own format writes them, at the same level and in the same order. The new extent's id carries the time of the
//!    old one's, so that `ingestion_time()` stays.
//! 3. The catalog notes the object's key, the object is put, and one transaction replaces the extent, with a receipt.
//!
//! A crash between the steps leaves a reservation, and perhaps an object, which garbage collection revokes and deletes.

use std::sync::Arc;

use arrow::array::{RecordBatch, RecordBatchOptions};
use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::datatypes::Schema as ArrowSchema;
use arrow::util::bit_util;
use kyma_core::catalog::{Commit, Committed, Reservation, Table};
use kyma_core::extent::{Extent, NewExtent, ObjectRange};
use kyma_core::format::{EncodeOptions, Encoded, ReadColumn};
use kyma_core::limits::BLOCK_ROWS;
use kyma_core::{Error, ExtentId, Result, time};
use uuid::Uuid;

use super::receipt::{self, Receipt};
use crate::extents;
use crate::state::Shared;

/// What became of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its matching rows are gone.
    Done,
    /// It was not visible any more, or may not be: look again.
    Gone,
}

/// Removes an extent of which nothing stays.
pub(super) async fn remove(state: &Shared, operation: Uuid, table: &Table, extent: &Extent) -> Result<Ending> {
    let what = Receipt {
        rows_removed: extent.rows,
        extents_removed: 1,
        bytes_removed: extent.location.length,
        ..Receipt::default()
    };
    let receipts = vec![receipt::of(table.database, operation, extent.id, what)?];
    let commit = Commit { reservation: None, extents: Vec::new(), receipts };
    match state.catalog.replace(table.id, &[extent.id], &commit).await {
        Err(error) if error.code() == "catalog.commit_unknown" => {
            let key = receipt::key(operation, extent.id);
            let is_kept = state.catalog.receipt(table.database, &key).await?.is_some();
            if is_kept { Ok(Ending::Done) } else { Err(error) }
        }
        replaced => ended(replaced),
    }
}

/// Writes an extent again without the rows at `places`.
pub(super) async fn rewrite(
    state: &Shared,
    operation: Uuid,
    table: &Table,
    extent: &Extent,
    places: &[i64],
) -> Result<Ending> {
    let stays = staying(extent, places)?;
    if stays.count_set_bits() == stays.len() {
        return Ok(Ending::Gone);
    }
    let id = successor(extent.id);
    let encoded = written(state, table, extent, id, &stays).await?;
    let what = Receipt {
        rows_removed: extent.rows - encoded.rows,
        extents_rewritten: 1,
        bytes_removed: extent.location.length,
        bytes_written: encoded.bytes.len() as u64,
        ..Receipt::default()
    };
    let key = object_key(state.clock.now());
    let reservation = state.catalog.reserve(state.node.id, &key).await?;
    state.store.put(&key, encoded.bytes.clone()).await?;
    let receipts = vec![receipt::of(table.database, operation, extent.id, what)?];
    let extents = vec![new_extent(extent, id, &key, encoded)];
    let commit = Commit { reservation: Some(reservation.clone()), extents, receipts };
    match state.catalog.replace(table.id, &[extent.id], &commit).await {
        Err(error) if error.code() == "catalog.commit_unknown" => resolved(state, &reservation).await,
        replaced => ended(replaced),
    }
}

/// What a replacement that was answered came to.
fn ended(replaced: Result<Committed>) -> Result<Ending> {
    match replaced {
        Ok(_) => Ok(Ending::Done),
        Err(error) if matches!(error.code(), "catalog.sources_changed" | "catalog.receipt_exists") => Ok(Ending::Gone),
        Err(error) => Err(error),
    }
}

/// What a replacement whose answer was lost came to; it did not take place, or never will, unless it is found.
async fn resolved(state: &Shared, reservation: &Reservation) -> Result<Ending> {
    let committed = state.catalog.outcome(reservation).await?;
    Ok(if committed.is_some() { Ending::Done } else { Ending::Gone })
}

/// One bit per row of the extent: whether it stays.
fn staying(extent: &Extent, places: &[i64]) -> Result<BooleanBuffer> {
    let outside = || Error::internal(format!("a row is outside its extent: extent={}", extent.id));
    let rows = usize::try_from(extent.rows).map_err(|_| outside())?;
    let mut bits = MutableBuffer::new_null(rows);
    for place in places {
        let place = usize::try_from(*place).ok().filter(|place| *place < rows).ok_or_else(outside)?;
        bit_util::set_bit(bits.as_slice_mut(), place);
    }
    Ok(!&BooleanBuffer::new(bits.into(), 0, rows))
}

/// Steps 1 and 2.
async fn written(
    state: &Shared,
    table: &Table,
    extent: &Extent,
    id: ExtentId,
    stays: &BooleanBuffer,
) -> Result<Encoded> {
    let (reader, source) = extents::open(state, extent).await?;
    let stored = reader.schema().columns();
    let columns: Vec<ReadColumn> = stored.iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let fields: Vec<_> = stored.iter().map(|column| column.ty.field(&column.name)).collect();
    let schema = Arc::new(ArrowSchema::new(fields));
    let (mut batches, mut before) = (Vec::new(), 0);
    for (block, rows) in reader.block_rows().iter().enumerate() {
        let of_block = stays.slice(before, *rows as usize);
        before += *rows as usize;
        let left = of_block.count_set_bits();
        if left == 0 {
            continue;
        }
        let read = reader.read(&*source, block as u32, &columns, Some(&of_block)).await?;
        let options = RecordBatchOptions::new().with_row_count(Some(left));
        batches.push(RecordBatch::try_new_with_options(Arc::clone(&schema), read.columns().to_vec(), &options)?);
    }
    let options = EncodeOptions {
        extent: id,
        database: table.database,
        database_name: table.database_name.clone(),
        table: table.id,
        table_name: table.name.clone(),
        time_column: table.time_column.clone(),
        sorted_by: extent.sorted_by.clone(),
        level: extent.level,
        block_rows: BLOCK_ROWS,
    };
    let format = state.formats.get(&extent.format)?;
    let encoding = tokio::task::spawn_blocking(move || format.encode(&batches, &options));
    encoding.await.map_err(|died| Error::internal("encoding an extent died").because(died))?
}

/// What the catalog is told of the rows that stay; the input that they came from is estimated by their number.
fn new_extent(old: &Extent, id: ExtentId, key: &str, encoded: Encoded) -> NewExtent {
    let share = u128::from(old.raw_bytes) * u128::from(encoded.rows) / u128::from(old.rows.max(1));
    NewExtent {
        id,
        database: old.database,
        table: old.table,
        format: old.format.clone(),
        location: ObjectRange { key: key.to_owned(), offset: 0, length: encoded.bytes.len() as u64 },
        footer_length: encoded.footer_length,
        rows: encoded.rows,
        blocks: encoded.blocks,
        raw_bytes: u64::try_from(share).unwrap_or(old.raw_bytes),
        time: encoded.time,
        level: old.level,
        sorted_by: old.sorted_by.clone(),
        tags: old.tags.clone(),
        paths: encoded.paths,
        columns: encoded.columns,
    }
}

/// A new id with the time of an old one.
fn successor(old: ExtentId) -> ExtentId {
    match old.0.get_timestamp() {
        Some(made) => ExtentId(Uuid::new_v7(made)),
        None => ExtentId::generate(),
    }
}

/// A new object's key: the day, for people, and an identity.
fn object_key(now: i64) -> String {
    let day = time::datetime_of(now).format("%Y/%m/%d");
    format!("extents/{day}/{}.kyma", Uuid::now_v7())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_successor_is_another_extent_of_the_same_time() {
        let old = ExtentId::generate();
        let new = successor(old);
        assert_ne!(new, old);
        assert_eq!(new.0.get_timestamp(), old.0.get_timestamp());
    }
}
