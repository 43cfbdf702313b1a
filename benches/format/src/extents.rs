//! Encodes a table, reads it back, and describes what is stored where.

use std::collections::BTreeMap;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use kyma_core::format::{EncodeOptions, Encoded, OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::{Type, limits};
use kyma_format_tlm::Tlm;
use serde_json::{Value, json};

use crate::cpu;
use crate::rows::Table;
use crate::source::Counted;

/// Bytes of lines in one flush of ingest.
const FLUSH_BYTES: u64 = 32 << 20;
/// Rows of one compacted extent.
const EXTENT_ROWS: usize = 1 << 20;

/// One extent and how to open it.
#[derive(Debug)]
pub(crate) struct Extent {
    pub(crate) encoded: Encoded,
    id: ExtentId,
}

/// A table's extents at one level.
#[derive(Debug)]
pub(crate) struct Stored {
    pub(crate) time_column: String,
    pub(crate) extents: Vec<Extent>,
    /// The rows of each extent, as they were encoded.
    pub(crate) rows: Vec<RecordBatch>,
    raw_bytes: u64,
    sort_seconds: f64,
    encode_seconds: f64,
}

/// Sorts and encodes `table` at `level`: 0 in flushes, in order of arrival; higher ones as a whole.
pub(crate) fn store(table: &Table, level: u8) -> Result<Stored> {
    let raw_bytes = table.line_bytes.iter().map(|bytes| u64::from(*bytes)).sum();
    let mut stored = Stored {
        time_column: table.time_column.clone(),
        extents: Vec::new(),
        rows: Vec::new(),
        raw_bytes,
        sort_seconds: 0.0,
        encode_seconds: 0.0,
    };
    match level {
        0 => {
            for (start, rows) in flushes(&table.line_bytes) {
                let (sorted, seconds) = cpu::timed(|| table.sort(&table.rows.slice(start, rows)))?;
                stored.sort_seconds += seconds;
                stored.encode(table, sorted, level)?;
            }
        }
        _ => {
            let (sorted, seconds) = cpu::timed(|| table.sort(&table.rows))?;
            stored.sort_seconds += seconds;
            for start in (0..sorted.num_rows()).step_by(EXTENT_ROWS) {
                let rows = EXTENT_ROWS.min(sorted.num_rows() - start);
                stored.encode(table, sorted.slice(start, rows), level)?;
            }
        }
    }
    Ok(stored)
}

/// First row and rows of each flush.
fn flushes(line_bytes: &[u32]) -> Vec<(usize, usize)> {
    let mut flushes = Vec::new();
    let (mut start, mut bytes) = (0, 0);
    for (row, line) in line_bytes.iter().enumerate() {
        bytes += u64::from(*line);
        if bytes >= FLUSH_BYTES || row + 1 == line_bytes.len() {
            flushes.push((start, row + 1 - start));
            (start, bytes) = (row + 1, 0);
        }
    }
    flushes
}

impl Stored {
    fn encode(&mut self, table: &Table, rows: RecordBatch, level: u8) -> Result<()> {
        let id = ExtentId::generate();
        let options = EncodeOptions {
            extent: id,
            database: DatabaseId(1),
            database_name: "default".to_owned(),
            table: TableId(1),
            table_name: table.name.clone(),
            time_column: table.time_column.clone(),
            sorted_by: table.sorted_by(),
            level,
            block_rows: limits::BLOCK_ROWS,
            raw_bytes: 0,
            replaces: Vec::new(),
            writes: Vec::new(),
        };
        let (encoded, seconds) = cpu::timed(|| Ok(Tlm.encode(std::slice::from_ref(&rows), &options)?))?;
        self.encode_seconds += seconds;
        self.extents.push(Extent { encoded, id });
        self.rows.push(rows);
        Ok(())
    }

    /// Sizes, times, and the proof that what is read is what was written.
    pub(crate) async fn describe(&self) -> Result<Value> {
        let mut sections: BTreeMap<String, u64> = BTreeMap::new();
        let mut columns: BTreeMap<String, u64> = BTreeMap::new();
        let mut bytes = 0;
        for (extent, rows) in self.extents.iter().zip(&self.rows) {
            let (source, reader) = extent.open().await?;
            check_round_trip(&source, reader.as_ref(), rows).await?;
            let description = reader.describe();
            add_named(&mut sections, &description["sections"]);
            add_named(&mut columns, &description["columns"]);
            bytes += extent.encoded.bytes.len() as u64;
        }
        let part = |name: &str| sections.get(name).copied().unwrap_or_default();
        let index: u64 = sections.iter().filter(|(name, _)| *name != "data" && *name != "footer").map(|(_, b)| b).sum();
        let megabytes = self.raw_bytes as f64 / 1e6;
        Ok(json!({
            "extents": self.extents.len(),
            "bytes": bytes,
            "data": part("data"),
            "footer": part("footer"),
            "index": index,
            "sections": sections,
            "columns": columns,
            "sort_seconds": self.sort_seconds,
            "encode_seconds": self.encode_seconds,
            "encode_mb_per_s": megabytes / self.encode_seconds.max(1e-9),
        }))
    }

    /// CPU seconds of reading everything: the columns as they are stored, and the flat columns that rivals store.
    pub(crate) async fn decode(&self, flat: &[ReadColumn]) -> Result<Value> {
        let mut seconds = [0.0, 0.0];
        for extent in &self.extents {
            let (source, reader) = extent.open().await?;
            let whole = all_columns(reader.as_ref());
            for (columns, seconds) in [whole.as_slice(), flat].into_iter().zip(&mut seconds) {
                let mut best = f64::INFINITY;
                for _ in 0..DECODES {
                    let before = cpu::seconds()?;
                    for block in 0..reader.block_rows().len() as u32 {
                        std::hint::black_box(reader.read(&source, block, columns, None).await?);
                    }
                    best = best.min(cpu::seconds()? - before);
                }
                *seconds += best;
            }
        }
        Ok(json!({ "seconds": seconds[0], "flat_seconds": seconds[1] }))
    }
}

/// Decodes of an extent, of which the fastest counts.
const DECODES: usize = 5;

impl Extent {
    /// Opens the extent with its footer at hand.
    pub(crate) async fn open(&self) -> Result<(Counted, Arc<dyn SegmentReader>)> {
        let bytes = &self.encoded.bytes;
        let footer_start = bytes.len() - self.encoded.footer_length as usize;
        let options = OpenOptions {
            extent: self.id,
            length: bytes.len() as u64,
            footer_length: self.encoded.footer_length,
            footer: Some(bytes.slice(footer_start..)),
        };
        let reader = Tlm.open(Arc::new(Counted::new(bytes.clone())), &options).await?;
        Ok((Counted::new(bytes.clone()), reader))
    }
}

/// Every stored column as it is.
fn all_columns(reader: &dyn SegmentReader) -> Vec<ReadColumn> {
    reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect()
}

fn add_named(sums: &mut BTreeMap<String, u64>, list: &Value) {
    for entry in list.as_array().into_iter().flatten() {
        let name = entry["name"].as_str().unwrap_or_default().to_owned();
        *sums.entry(name).or_default() += entry["bytes"].as_u64().unwrap_or_default();
    }
}

async fn check_round_trip(source: &Counted, reader: &dyn SegmentReader, rows: &RecordBatch) -> Result<()> {
    let columns = all_columns(reader);
    let mut from = 0;
    for block in 0..reader.block_rows().len() as u32 {
        let read = reader.read(source, block, &columns, None).await?;
        for ((column, found), wanted) in columns.iter().zip(read.columns()).zip(rows.columns()) {
            let wanted = wanted.slice(from, read.num_rows());
            let is_same = if column.ty == Type::Dynamic { same_values(found, &wanted)? } else { *found == wanted };
            ensure!(is_same, "column {} of block {block} does not read as it was written", column.source);
        }
        from += read.num_rows();
    }
    ensure!(from == rows.num_rows(), "{from} rows of {} were read", rows.num_rows());
    Ok(())
}

/// Whether two dynamic columns hold the same values; the order of keys and the spelling of numbers do not count.
fn same_values(found: &ArrayRef, wanted: &ArrayRef) -> Result<bool> {
    let (found, wanted) = (found.as_string_view(), wanted.as_string_view());
    for row in 0..wanted.len() {
        if found.is_null(row) != wanted.is_null(row) {
            return Ok(false);
        }
        if found.is_null(row) || found.value(row) == wanted.value(row) {
            continue;
        }
        let parse = |json: &str| serde_json::from_str::<Value>(json).with_context(|| json.to_owned());
        if !same_value(&parse(found.value(row))?, &parse(wanted.value(row))?) {
            return Ok(false);
        }
    }
    Ok(true)
}

fn same_value(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same_value(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same_value(a, b)))
        }
        _ => a == b,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn both_levels_read_as_they_were_written() {
        let lines: Vec<String> = (0..3_000)
            .map(|row| format!(r#"{{"t":"2026-01-01T00:00:{:02}Z","d":{{"b":{row},"a":[1.0,"x"]}}}}"#, row % 60))
            .collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        let table = Table::new("x", "t", &["d.b".to_owned()], &lines).unwrap();
        for level in [0, 1] {
            let described = store(&table, level).unwrap().describe().await.unwrap();
            let sum: u64 = described["sections"].as_object().unwrap().values().map(|v| v.as_u64().unwrap()).sum();
            assert_eq!(described["bytes"].as_u64(), Some(sum));
        }
    }

    #[test]
    fn flushes_cover_every_row() {
        let lines = vec![20 << 20; 5];
        assert_eq!(flushes(&lines), [(0, 2), (2, 2), (4, 1)]);
    }
}
