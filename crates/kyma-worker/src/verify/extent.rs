//! One extent: its object, its footer, its pages. Every check tells what it expected and what it found.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray};
use kyma_core::accumulate;
use kyma_core::catalog::Table;
use kyma_core::extent::Extent;
use kyma_core::format::{DataChecksum, Formats, Identity, OpenOptions, RangeReader, ReadColumn, SegmentReader};
use kyma_core::predicate::ColumnRef;
use kyma_core::profile::IoCounters;
use kyma_core::stats::ColumnStats;
use kyma_core::{Column, Error, Kind, Result, Type, Value};
use kyma_storage::Store;

use super::Level;

/// Bytes read at a time for the checksum of the data.
const CHUNK: u64 = 8 * 1024 * 1024;

/// Codes and details of what is wrong.
pub(super) type Found = Vec<(&'static str, String)>;

/// Looks at an extent; the store's errors are errors, unless they say that the object is not what it was.
pub(super) async fn check(
    store: &Arc<Store>,
    formats: &Formats,
    extent: &Extent,
    table: &Table,
    level: Level,
) -> Result<Found> {
    let end = extent.location.offset.saturating_add(extent.location.length);
    match store.size(&extent.location.key).await? {
        None => return Ok(vec![("object_missing", "the object is not in the bucket".to_owned())]),
        Some(bytes) if bytes < end => {
            return Ok(vec![("object_truncated", format!("bytes={bytes}, expected at least {end}"))]);
        }
        Some(_) => {}
    }
    if level == Level::Quick {
        return Ok(Vec::new());
    }
    let format = match formats.get(&extent.format) {
        Ok(format) => format,
        Err(error) => return Ok(vec![("format_unknown", error.chain())]),
    };
    let source = store.reader(&extent.location, Arc::new(IoCounters::default()));
    let options = OpenOptions::of(extent);
    let reader = match format.open(Arc::clone(&source), &options).await {
        Ok(reader) => reader,
        Err(error) => return spoilt("footer_corrupt", error),
    };
    let identity = reader.identity();
    let mut found = match &identity {
        Some(identity) => compare(extent, table, identity),
        None => Vec::new(),
    };
    if level == Level::Full {
        if let Some(checksum) = identity.and_then(|identity| identity.checksum) {
            found.extend(check_data(source.as_ref(), checksum).await?);
        }
        found.extend(check_pages(source.as_ref(), reader.as_ref(), extent, table).await?);
    }
    Ok(found)
}

/// An error about bytes is a finding; others are not.
fn spoilt(code: &'static str, error: Error) -> Result<Found> {
    match error.kind() {
        Kind::Corrupt | Kind::NotFound | Kind::Invalid => Ok(vec![(code, error.chain())]),
        _ => Err(error),
    }
}

/// The catalog's row against what the footer says.
fn compare(extent: &Extent, table: &Table, identity: &Identity) -> Found {
    let mut found = Found::new();
    let mut same = |what: &str, row: String, footer: String| {
        if row != footer {
            found.push(("footer_mismatch", format!("{what}: the catalog says {row}, the footer {footer}")));
        }
    };
    same("extent", extent.id.to_string(), identity.extent.to_string());
    same("database", extent.database.to_string(), identity.database.to_string());
    same("table", extent.table.to_string(), identity.table.to_string());
    same("rows", extent.rows.to_string(), identity.rows.to_string());
    same("blocks", extent.blocks.to_string(), identity.blocks.to_string());
    same("level", extent.level.to_string(), identity.level.to_string());
    same("sort", format!("{:?}", extent.sorted_by), format!("{:?}", identity.sorted_by));
    same("time", format!("{:?}", extent.time), format!("{:?}", identity.time));
    same("event time", table.time_column.clone(), identity.time_column.clone());
    same("paths", format!("{:?}", extent.paths), format!("{:?}", identity.paths));
    if let Some(raw_bytes) = identity.raw_bytes {
        same("input bytes", extent.raw_bytes.to_string(), raw_bytes.to_string());
    }
    let names: Vec<&String> = extent.columns.keys().chain(identity.columns.keys()).collect();
    for name in names.into_iter().collect::<std::collections::BTreeSet<_>>() {
        let (row, footer) = (extent.columns.get(name), identity.columns.get(name));
        // By their text: a sum may be no number.
        same(&format!("statistics of column {name}"), format!("{row:?}"), format!("{footer:?}"));
    }
    found
}

/// The checksum over all of the data, which covers indexes, too.
async fn check_data(source: &dyn RangeReader, expected: DataChecksum) -> Result<Found> {
    let mut digest = crc_fast::Digest::new(crc_fast::CrcAlgorithm::Crc32Iscsi);
    let mut start = 0;
    while start < expected.bytes {
        let end = expected.bytes.min(start + CHUNK);
        let read = match source.read(std::slice::from_ref(&(start..end))).await {
            Ok(read) => read,
            Err(error) => return spoilt("data_corrupt", error),
        };
        read.iter().for_each(|bytes| digest.update(bytes));
        start = end;
    }
    let crc = digest.finalize() as u32;
    if crc == expected.crc32c {
        return Ok(Found::new());
    }
    Ok(vec![(
        "data_corrupt",
        format!("checksum of {} bytes: {crc:08x}, expected {:08x}", expected.bytes, expected.crc32c),
    )])
}

/// Every page, and the statistics of blocks, of the extent and of the catalog against the rows.
async fn check_pages(
    source: &dyn RangeReader,
    reader: &dyn SegmentReader,
    extent: &Extent,
    table: &Table,
) -> Result<Found> {
    let columns = reader.schema().columns().to_vec();
    let wanted: Vec<ReadColumn> = columns.iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let (mut found, mut rows, mut is_whole) = (Found::new(), 0_u64, true);
    let mut merged: BTreeMap<String, ColumnStats> = BTreeMap::new();
    for (block, expected) in reader.block_rows().iter().enumerate() {
        let block = block as u32;
        let read = match reader.read(source, block, &wanted, None).await {
            Ok(read) => read,
            Err(error) => {
                found.extend(spoilt("data_corrupt", error)?);
                is_whole = false;
                continue;
            }
        };
        rows += read.num_rows() as u64;
        if read.num_rows() != *expected as usize {
            found.push(("rows_mismatch", format!("block={block}, rows={}, expected={expected}", read.num_rows())));
        }
        for (column, array) in columns.iter().zip(read.columns()) {
            if column.ty == Type::Dynamic {
                // Its statistics are of parsed values, which formats tell apart in their own ways.
                continue;
            }
            let actual = accumulate::of(column.ty, array);
            if let Some((_, claimed)) = reader.stats(Some(block), &ColumnRef::column(&column.name)) {
                let unsound = unsound(&claimed, &actual);
                found.extend(unsound.map(|why| told("statistics_unsound", &format!("block={block}"), column, &why)));
            }
            if column.name == table.time_column {
                found.extend(
                    check_times(extent, column, array)
                        .map(|why| ("time_bounds_unsound", format!("block={block}: {why}"))),
                );
            }
            let merging = merged.remove(&column.name).map_or_else(|| actual.clone(), |known| known.merge(&actual));
            merged.insert(column.name.clone(), merging);
        }
    }
    // What is not read cannot be compared.
    if !is_whole {
        return Ok(found);
    }
    if rows != extent.rows {
        found.push(("rows_mismatch", format!("rows={rows}, the catalog says {}", extent.rows)));
    }
    for column in &columns {
        let Some(actual) = merged.get(&column.name) else { continue };
        let none = ColumnStats::all_null(extent.rows);
        let claimed = extent.columns.get(&column.name).map_or(&none, |bounds| &bounds.stats);
        let unsound = unsound(claimed, actual);
        found.extend(unsound.map(|why| told("statistics_unsound", "the catalog's row", column, &why)));
    }
    Ok(found)
}

fn told(code: &'static str, place: &str, column: &Column, why: &str) -> (&'static str, String) {
    (code, format!("{place}, column={}: {why}", column.name))
}

/// Why statistics that are claimed do not hold for rows of which these are the actual ones.
fn unsound(claimed: &ColumnStats, actual: &ColumnStats) -> Option<String> {
    use std::cmp::Ordering::{Greater, Less};
    if claimed.rows != actual.rows {
        return Some(format!("rows={}, claimed={}", actual.rows, claimed.rows));
    }
    if !claimed.is_known() || !actual.is_known() {
        return None;
    }
    if claimed.nulls != actual.nulls {
        return Some(format!("nulls={}, claimed={}", actual.nulls, claimed.nulls));
    }
    // Both may be cut to a prefix in the same way; a bound that lies inside the other is refuted.
    if let (Some(low), Some(least)) = (&claimed.min, &actual.min)
        && least.partial_compare(low) == Some(Less)
    {
        return Some(format!("min={least:?}, claimed={low:?}"));
    }
    if let (Some(high), Some(most)) = (&claimed.max, &actual.max)
        && most.partial_compare(high) == Some(Greater)
    {
        return Some(format!("max={most:?}, claimed={high:?}"));
    }
    let differ = |a: &Option<Value>, b: &Option<Value>| {
        a.as_ref().zip(b.as_ref()).is_some_and(|(a, b)| a.partial_compare(b).is_some_and(|order| order.is_ne()))
    };
    let is_exact = claimed.exact && actual.exact;
    (is_exact && (differ(&claimed.min, &actual.min) || differ(&claimed.max, &actual.max)))
        .then(|| format!("bounds are said to occur and do not: {:?}..{:?}", claimed.min, claimed.max))
}

/// Why the catalog's closed bounds of time do not hold all event times.
fn check_times(extent: &Extent, column: &Column, array: &ArrayRef) -> Option<String> {
    if column.ty != Type::Datetime || extent.time == kyma_core::time::TimeRange::ALL {
        return None;
    }
    if array.null_count() > 0 {
        return Some("a row has no event time, and the extent claims bounds".to_owned());
    }
    let times = array.as_primitive_opt::<arrow::datatypes::TimestampNanosecondType>()?;
    let (start, end) = (extent.time.start, extent.time.end);
    let outside = times.values().iter().find(|time| **time < start || **time > end)?;
    Some(format!("time={outside}, bounds={start}..={end}"))
}
