//! Extents as rows: one `writer` (binary COPY) and one `reader` over the same columns in the same order.

use bytes::Bytes;
use deadpool_postgres::Transaction;
use kyma_core::extent::{Extent, NewExtent, ObjectRange};
use kyma_core::time::TimeRange;
use kyma_core::{DatabaseId, Error, ExtentId, Result, Sequence, TableId};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::{Json, Type};
use tokio_postgres::{CopyInSink, Row};
use uuid::Uuid;

use crate::bounds::{self, StoredBounds};
use crate::error;
use crate::keys;
use crate::pool::get;

/// The columns that are written first, in order, before keys; [`read`] expects them followed by `removed_seq`.
macro_rules! columns {
    () => {
        "id, database_id, table_id, added_seq, time_start, time_end, level, format, object_key, object_offset, \
         object_length, footer_length, row_count, block_count, raw_bytes, sorted_by, tags, paths, bounds"
    };
}
pub(crate) use columns;

/// Places of columns that more than [`read`] looks at.
pub(crate) const ID: usize = 0;
pub(crate) const TIME_START: usize = 4;
pub(crate) const TIME_END: usize = 5;
pub(crate) const REMOVED: usize = 19;

pub(crate) const COPY: &str = concat!("COPY extents (", columns!(), ", lows, highs) FROM STDIN (FORMAT binary)");

const TYPES: [Type; 21] = [
    Type::UUID,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT2,
    Type::TEXT,
    Type::TEXT,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::INT8,
    Type::TEXT_ARRAY,
    Type::TEXT_ARRAY,
    Type::JSON,
    Type::JSON,
    Type::INT4_ARRAY,
    Type::INT4_ARRAY,
];

/// Adds extents, each with the sequence of its database.
pub(crate) async fn write(transaction: &Transaction<'_>, extents: &[(&NewExtent, Sequence)]) -> Result<()> {
    let sink = transaction.copy_in(COPY).await.map_err(error::statement("add extents"))?;
    write_to(sink, extents).await
}

/// Adds extents by what [`COPY`] opened.
pub(crate) async fn write_to(sink: CopyInSink<Bytes>, extents: &[(&NewExtent, Sequence)]) -> Result<()> {
    let failed = error::statement("add extents");
    let mut writer = std::pin::pin!(BinaryCopyInWriter::new(sink, &TYPES));
    for (extent, added) in extents {
        let location = &extent.location;
        let paths = extent.paths.as_ref().map(Json);
        let keys = keys::of_columns(&extent.columns);
        writer
            .as_mut()
            .write(&[
                &extent.id.0,
                &extent.database.0,
                &extent.table.0,
                &added.0,
                &extent.time.start,
                &extent.time.end,
                &i16::from(extent.level),
                &extent.format,
                &location.key,
                &signed(location.offset)?,
                &signed(location.length)?,
                &i64::from(extent.footer_length),
                &signed(extent.rows)?,
                &i64::from(extent.blocks),
                &signed(extent.raw_bytes)?,
                &extent.sorted_by,
                &extent.tags,
                &paths,
                &Json(bounds::store(&extent.columns)),
                &keys.lows,
                &keys.highs,
            ])
            .await
            .map_err(&failed)?;
    }
    writer.finish().await.map_err(|error| match error.code() {
        Some(&tokio_postgres::error::SqlState::UNIQUE_VIOLATION) => {
            Error::conflict("catalog.extent_exists", "an extent is in the catalog already").because(error)
        }
        _ => failed(error),
    })?;
    Ok(())
}

/// An extent of a row of [`columns`] and `removed_seq`.
pub(crate) fn read(row: &Row) -> Result<Extent> {
    let Json(stored): Json<StoredBounds> = get(row, 18)?;
    let paths: Option<Json<Vec<String>>> = get(row, 17)?;
    let new = NewExtent {
        id: ExtentId(get::<Uuid>(row, ID)?),
        database: DatabaseId(get(row, 1)?),
        table: TableId(get(row, 2)?),
        time: TimeRange::new(get(row, TIME_START)?, get(row, TIME_END)?),
        level: narrow(get::<i16>(row, 6)?.into())?,
        format: get(row, 7)?,
        location: ObjectRange { key: get(row, 8)?, offset: narrow(get(row, 9)?)?, length: narrow(get(row, 10)?)? },
        footer_length: narrow(get(row, 11)?)?,
        rows: narrow(get(row, 12)?)?,
        blocks: narrow(get(row, 13)?)?,
        raw_bytes: narrow(get(row, 14)?)?,
        sorted_by: get(row, 15)?,
        tags: get(row, 16)?,
        paths: paths.map(|Json(paths)| paths),
        columns: bounds::load(stored)?,
    };
    let removed: Option<i64> = get(row, REMOVED)?;
    Ok(Extent { new, added: Sequence(get(row, 3)?), removed: removed.map(Sequence) })
}

fn signed(count: u64) -> Result<i64> {
    i64::try_from(count)
        .map_err(|_| Error::invalid("catalog.number_too_large", format!("a number is too large: number={count}")))
}

fn narrow<T: TryFrom<i64>>(number: i64) -> Result<T> {
    T::try_from(number).map_err(|_| Error::corrupt(format!("a number in the catalog is out of range: number={number}")))
}
