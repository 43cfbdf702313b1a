//! One extent without some of its rows.
//!
//! The rows that stay are written again at the same level, in the same format and order, each with the commit and the time it
//! came with (`kyma_ingest::Rewriter`). One transaction replaces the extent, with a receipt.

use std::sync::Arc;

use arrow::buffer::{BooleanBuffer, MutableBuffer};
use arrow::util::bit_util;
use kyma_core::catalog::{Commit, Table};
use kyma_core::extent::Extent;
use kyma_core::{Error, Result};
use kyma_ingest::{Kept, Rewrite, Rewriter, Rewritten};
use uuid::Uuid;

use super::receipt::{self, Receipt};
use crate::extents;
use crate::state::Shared;

/// What became of an extent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    /// Its matching rows are gone, as this says.
    Done(Receipt),
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
            let is_kept = state.catalog.receipt(table.database, &key, None).await?.is_some();
            if is_kept { Ok(Ending::Done(what)) } else { Err(error) }
        }
        replaced => ended(replaced.map(|_| what)),
    }
}

/// Writes an extent again without the rows at `places`.
pub(super) async fn rewrite(
    state: &Shared,
    rewriter: &Rewriter,
    operation: Uuid,
    table: &Table,
    extent: Extent,
    places: &[i64],
) -> Result<Ending> {
    let stays = staying(&extent, places)?;
    if stays.count_set_bits() == stays.len() {
        return Ok(Ending::Gone);
    }
    let (id, level, format) = (extent.id, extent.level, Some(extent.format.clone()));
    let kept = vec![by_block(state, &extent, &stays).await?];
    let (table, sources) = (Arc::new(table.clone()), vec![Arc::new(extent)]);
    let database = table.database;
    let rewriting = Rewrite { table, sources, kept, level, format };
    let what = |done: &Rewritten| Receipt {
        rows_removed: done.rows_read - done.rows,
        extents_rewritten: 1,
        bytes_removed: done.bytes_read,
        bytes_written: done.bytes,
        ..Receipt::default()
    };
    let rewritten =
        rewriter.rewrite_with(rewriting, |done| Ok(vec![receipt::of(database, operation, id, what(done))?])).await;
    ended(rewritten.map(|done| what(&done)))
}

/// What a replacement came to.
fn ended(replaced: Result<Receipt>) -> Result<Ending> {
    match replaced {
        Ok(what) => Ok(Ending::Done(what)),
        Err(error) if matches!(error.code(), "catalog.sources_changed" | "catalog.receipt_exists") => Ok(Ending::Gone),
        Err(error) => Err(error),
    }
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

/// The rows that stay, block by block.
async fn by_block(state: &Shared, extent: &Extent, stays: &BooleanBuffer) -> Result<Kept> {
    let (reader, _source) = extents::open(state, extent).await?;
    let mut before = 0;
    let of_block = |rows: &u32| {
        let of_block = stays.slice(before, *rows as usize);
        before += *rows as usize;
        Some(of_block)
    };
    Ok(reader.block_rows().iter().map(of_block).collect())
}
