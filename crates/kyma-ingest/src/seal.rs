//! From buffered rows to encoded extents.
//!
//! 1. The rows of each table are cut into pieces of about `extent_bytes` of input, in order of arrival.
//! 2. A piece's batches get one schema: the columns that occur, with their widest type.
//! 3. Rows are sorted by the table's sort key and then by event time; equal keys keep their order of arrival.
//! 4. The table's format encodes them.
//!
//! Pieces are sealed side by side on the CPU threads.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array, new_null_array};
use arrow::compute::{cast, concat_batches, take};
use arrow::datatypes::{Schema as ArrowSchema, TimestampNanosecondType};
use kyma_core::catalog::Table;
use kyma_core::extent::{NewExtent, ObjectRange};
use kyma_core::format::{EncodeOptions, Encoded, SegmentFormat};
use kyma_core::limits::BLOCK_ROWS;
use kyma_core::planted::{self, Bug};
use kyma_core::stats::can_promote;
use kyma_core::{Error, ExtentId, Result, Type, dynamic};

/// Rows of one table on their way into one extent.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) table: Arc<Table>,
    pub(crate) batches: Vec<RecordBatch>,
    pub(crate) raw_bytes: u64,
    /// As in [`EncodeOptions::replaces`].
    pub(crate) replaces: Vec<ExtentId>,
    /// As in [`EncodeOptions::writes`].
    pub(crate) writes: Vec<u128>,
}

/// An encoded piece.
#[derive(Debug)]
pub(crate) struct Sealed {
    pub(crate) extent: NewExtent,
    pub(crate) encoded: Encoded,
}

/// What an extent is beside its rows.
#[derive(Debug, Clone, Default)]
pub(crate) struct Provenance {
    pub(crate) raw_bytes: u64,
    /// 0 as ingested; higher ones are encoded with more effort.
    pub(crate) level: u8,
    pub(crate) tags: Vec<String>,
    /// As in [`EncodeOptions::replaces`].
    pub(crate) replaces: Vec<ExtentId>,
    /// As in [`EncodeOptions::writes`].
    pub(crate) writes: Vec<u128>,
}

/// Sorts and encodes one piece as the extent `id`.
pub(crate) fn seal(piece: &Piece, id: ExtentId, format: &dyn SegmentFormat) -> Result<Sealed> {
    let rows = sort(merge(&piece.batches)?, &piece.table)?;
    let (raw_bytes, replaces, writes) = (piece.raw_bytes, piece.replaces.clone(), piece.writes.clone());
    encode(id, &rows, &piece.table, &Provenance { raw_bytes, replaces, writes, ..Provenance::default() }, format)
}

/// Encodes rows that are in the table's order as the extent `id`.
pub(crate) fn encode(
    id: ExtentId,
    rows: &RecordBatch,
    table: &Table,
    provenance: &Provenance,
    format: &dyn SegmentFormat,
) -> Result<Sealed> {
    let sorted_by: Vec<String> = table.sort_key.iter().chain([&table.time_column]).cloned().collect();
    let options = EncodeOptions {
        extent: id,
        database: table.database,
        database_name: table.database_name.clone(),
        table: table.id,
        table_name: table.name.clone(),
        time_column: table.time_column.clone(),
        sorted_by: sorted_by.clone(),
        level: provenance.level,
        block_rows: BLOCK_ROWS,
        raw_bytes: provenance.raw_bytes,
        replaces: provenance.replaces.clone(),
        writes: provenance.writes.clone(),
    };
    let mut encoded = format.encode(std::slice::from_ref(rows), &options)?;
    if planted::is(Bug::StatisticsOffByOne) {
        encoded.time.end -= 1;
    }
    let extent = NewExtent {
        id,
        database: table.database,
        table: table.id,
        format: format.name().to_owned(),
        // The key and offset are known when the object is.
        location: ObjectRange { key: String::new(), offset: 0, length: encoded.bytes.len() as u64 },
        footer_length: encoded.footer_length,
        rows: encoded.rows,
        blocks: encoded.blocks,
        raw_bytes: provenance.raw_bytes,
        time: encoded.time,
        level: provenance.level,
        sorted_by,
        tags: provenance.tags.clone(),
        paths: encoded.paths.clone(),
        columns: encoded.columns.clone(),
    };
    Ok(Sealed { extent, encoded })
}

/// One batch of all rows, over the columns that occur.
fn merge(batches: &[RecordBatch]) -> Result<RecordBatch> {
    let schema = common_schema(batches)?;
    let aligned = batches.iter().map(|batch| align(batch, &schema)).collect::<Result<Vec<_>>>()?;
    Ok(concat_batches(&schema, &aligned)?)
}

/// The columns of all batches in order of appearance, each with its widest type.
fn common_schema(batches: &[RecordBatch]) -> Result<Arc<ArrowSchema>> {
    let fields = batches.iter().flat_map(|batch| batch.schema_ref().fields());
    let columns = widest(fields.map(|field| (field.name().as_str(), Type::of_field(field))))?;
    let fields: Vec<_> = columns.into_iter().map(|(name, ty)| ty.field(name)).collect();
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// Columns in order of appearance, each with the widest of its types.
///
/// # Errors
/// `Internal` when types of one column do not widen to one another.
pub(crate) fn widest<'a>(all: impl Iterator<Item = (&'a str, Type)>) -> Result<Vec<(&'a str, Type)>> {
    let mut places: HashMap<&str, usize> = HashMap::new();
    let mut columns: Vec<(&str, Type)> = Vec::new();
    for (name, ty) in all {
        let Some(&place) = places.get(name) else {
            places.insert(name, columns.len());
            columns.push((name, ty));
            continue;
        };
        let known = columns[place].1;
        if can_promote(known, ty) {
            columns[place].1 = ty;
        } else if !can_promote(ty, known) {
            let detail = format!("column={name:?} types={known},{ty}");
            return Err(Error::internal(format!("rows of one extent disagree about a type: {detail}")));
        }
    }
    Ok(columns)
}

/// The batch with the columns of `schema`.
fn align(batch: &RecordBatch, schema: &Arc<ArrowSchema>) -> Result<RecordBatch> {
    if batch.schema_ref() == schema {
        return Ok(batch.clone());
    }
    let column = |field: &Arc<arrow::datatypes::Field>| -> Result<ArrayRef> {
        match batch.column_by_name(field.name()) {
            None => Ok(new_null_array(field.data_type(), batch.num_rows())),
            Some(array) if array.data_type() == field.data_type() => Ok(Arc::clone(array)),
            Some(array) => Ok(cast(array, field.data_type())?),
        }
    };
    let columns = schema.fields().iter().map(column).collect::<Result<Vec<_>>>()?;
    Ok(RecordBatch::try_new(Arc::clone(schema), columns)?)
}

/// The rows in order of the table's sort key, then event time, then arrival.
fn sort(rows: RecordBatch, table: &Table) -> Result<RecordBatch> {
    let Some(order) = order(&rows, table) else { return Ok(rows) };
    let columns = rows.columns().iter().map(|column| take(column, &order, None)).collect::<Result<Vec<_>, _>>()?;
    Ok(RecordBatch::try_new(rows.schema(), columns)?)
}

/// Columns of a table that [`order`] looks at: those of the sort key, also where it names paths of them, and the event time.
pub(crate) fn order_columns(table: &Table) -> Vec<&str> {
    let heads = table.sort_key.iter().filter_map(|key| key.split('.').next());
    table.sort_key.iter().map(String::as_str).chain(heads).chain([table.time_column.as_str()]).collect()
}

/// The places of rows in order of the table's sort key, then event time, then arrival; `None` when they are in it.
pub(crate) fn order(rows: &RecordBatch, table: &Table) -> Option<UInt32Array> {
    let count = rows.num_rows();
    let mut groups = vec![0_u32; count];
    for key in &table.sort_key {
        if let Some(values) = key_values(rows, key) {
            refine(&mut groups, &values);
        }
    }
    let times = rows.column_by_name(&table.time_column);
    let times = times.and_then(|array| array.as_primitive_opt::<TimestampNanosecondType>());
    let time = |row: usize| times.filter(|times| times.is_valid(row)).map_or(i64::MIN, |times| times.value(row));
    let mut order: Vec<(u32, i64, u32)> = (0..count).map(|row| (groups[row], time(row), row as u32)).collect();
    if order.is_sorted() {
        return None;
    }
    order.sort_unstable();
    Some(UInt32Array::from_iter_values(order.into_iter().map(|(_, _, row)| row)))
}

/// The texts of a sort column or path, row by row; `None` when nothing of it is here.
fn key_values<'a>(rows: &'a RecordBatch, key: &str) -> Option<Vec<std::borrow::Cow<'a, str>>> {
    let texts = |name: &str| rows.column_by_name(name).and_then(|array| array.as_string_view_opt());
    if let Some(column) = texts(key) {
        return Some((0..column.len()).map(|row| text_at(column, row).into()).collect());
    }
    let (name, path) = key.split_once('.')?;
    let column = texts(name)?;
    let path: Vec<&str> = path.split('.').collect();
    let value = |row| match dynamic::get(text_at(column, row), &path) {
        Some(json) => std::borrow::Cow::Owned(dynamic::to_text(&json).into_owned()),
        None => "".into(),
    };
    Some((0..column.len()).map(value).collect())
}

fn text_at(column: &arrow::array::StringViewArray, row: usize) -> &str {
    if column.is_null(row) { "" } else { column.value(row) }
}

/// Splits groups of equal rows by one more column: rows compare by group, then by value, and get new group numbers.
fn refine(groups: &mut [u32], values: &[std::borrow::Cow<'_, str>]) {
    let mut distinct: HashMap<(u32, &str), u32, xxhash_rust::xxh3::Xxh3DefaultBuilder> = HashMap::default();
    let mut seen = Vec::with_capacity(groups.len());
    for (group, value) in groups.iter().zip(values) {
        let next = distinct.len() as u32;
        seen.push(*distinct.entry((*group, value)).or_insert(next));
    }
    let mut ordered: Vec<(&(u32, &str), &u32)> = distinct.iter().collect();
    ordered.sort_unstable();
    let mut rank = vec![0_u32; ordered.len()];
    for (place, (_, number)) in ordered.iter().enumerate() {
        rank[**number as usize] = place as u32;
    }
    for (group, number) in groups.iter_mut().zip(seen) {
        *group = rank[number as usize];
    }
}

/// Cuts batches of one table, in order, into pieces of about `bytes_max` of input and at most `cells_max` cells. `marks`
/// come with the batches and say which pieces they went into.
pub(crate) fn pieces<M: Copy>(
    table: &Arc<Table>,
    batches: Vec<(RecordBatch, u64, M)>,
    bytes_max: u64,
    cells_max: usize,
) -> Vec<(Piece, Vec<M>)> {
    let mut pieces: Vec<(Piece, Vec<M>)> = Vec::new();
    let mut columns: BTreeMap<String, ()> = BTreeMap::new();
    let mut rows = 0;
    for (batch, raw_bytes, mark) in batches {
        columns.extend(batch.schema_ref().fields().iter().map(|field| (field.name().clone(), ())));
        rows += batch.num_rows();
        let full = pieces.last().is_none_or(|(piece, _)| {
            piece.raw_bytes + raw_bytes > bytes_max || rows.saturating_mul(columns.len()) > cells_max
        });
        if full {
            rows = batch.num_rows();
            columns = batch.schema_ref().fields().iter().map(|field| (field.name().clone(), ())).collect();
            let (replaces, writes) = (Vec::new(), Vec::new());
            let piece = Piece { table: Arc::clone(table), batches: Vec::new(), raw_bytes: 0, replaces, writes };
            pieces.push((piece, Vec::new()));
        }
        if let Some((piece, marks)) = pieces.last_mut() {
            piece.batches.push(batch);
            piece.raw_bytes += raw_bytes;
            marks.push(mark);
        }
    }
    pieces
}

#[cfg(test)]
mod tests;
