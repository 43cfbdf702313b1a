//! The conformance suite of [`SegmentFormat`]: one function per promise, and [`format_suite`] for all.
//!
//! Every format runs the same: seeded random rows of every type, encoded, opened and compared with the slow, obvious answer.
//! A failure names the seed, so that it can be run again.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Decimal128Array, DurationNanosecondArray, FixedSizeBinaryArray,
    Float64Array, Int32Array, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray,
};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Float64Type;
use async_trait::async_trait;
use bytes::Bytes;
use kyma_core::error::{Kind, Result};
use kyma_core::extent::ObjectRange;
use kyma_core::format::{
    EncodeOptions, Encoded, Identity, OpenOptions, PruneRequest, RangeReader, ReadColumn, SegmentFormat, SegmentReader,
};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::schema::{Column, Schema};
use kyma_core::stats::ColumnStats;
use kyma_core::text::TextTest;
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE, Type};
use kyma_core::value::Value;
use kyma_core::{dynamic, pattern};
use parking_lot::Mutex;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde_json::value::RawValue;

use crate::toy_format::convert;

/// Rows of a block in these tests: small, so that few rows make several blocks.
const BLOCK_ROWS: usize = 300;
/// Seeds of the random rounds.
const SEEDS: Range<u64> = 0..4;

/// Runs every promise.
pub async fn format_suite(format: Arc<dyn SegmentFormat>) {
    for seed in SEEDS {
        round_trip(format.as_ref(), seed).await;
        paths(format.as_ref(), seed).await;
        statistics(format.as_ref(), seed).await;
        pruning(format.as_ref(), seed).await;
        codes_and_counts(format.as_ref(), seed).await;
    }
    identity(format.as_ref()).await;
    edge_values(format.as_ref()).await;
    blocks_do_not_depend_on_batches(format.as_ref()).await;
    opening_takes_one_read(format.as_ref()).await;
    reads_stay_inside(format.as_ref()).await;
    promotion(format.as_ref()).await;
    corruption(format.as_ref()).await;
}

/// Bytes in memory that count what is read.
#[derive(Debug)]
pub struct CountingReader {
    bytes: Bytes,
    reads: Mutex<Vec<Range<u64>>>,
}

impl CountingReader {
    /// Serves `bytes`.
    pub fn new(bytes: Bytes) -> Arc<Self> {
        Arc::new(CountingReader { bytes, reads: Mutex::default() })
    }

    /// The ranges read since the last call.
    pub fn take_reads(&self) -> Vec<Range<u64>> {
        std::mem::take(&mut *self.reads.lock())
    }
}

#[async_trait]
impl RangeReader for CountingReader {
    async fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Bytes>> {
        self.reads.lock().extend(ranges.iter().cloned());
        let slice = |range: &Range<u64>| self.bytes.slice(range.start as usize..range.end as usize);
        Ok(ranges.iter().map(slice).collect())
    }
}

/// Options for rows of these tests.
pub fn options(block_rows: usize) -> EncodeOptions {
    EncodeOptions {
        extent: ExtentId(uuid::Uuid::from_u128(7)),
        database: DatabaseId(1),
        database_name: "default".to_owned(),
        table: TableId(2),
        table_name: "logs".to_owned(),
        time_column: "datetime".to_owned(),
        sorted_by: Vec::new(),
        level: 0,
        block_rows,
        raw_bytes: 123_456,
        replaces: vec![ExtentId(uuid::Uuid::from_u128(3)), ExtentId(uuid::Uuid::from_u128(5))],
        writes: vec![u128::MAX, 0, 11],
    }
}

/// How to open what was encoded.
pub fn open_options(encoded: &Encoded) -> OpenOptions {
    OpenOptions {
        extent: ExtentId(uuid::Uuid::from_u128(7)),
        length: encoded.bytes.len() as u64,
        footer_length: encoded.footer_length,
        footer: None,
    }
}

async fn open(format: &dyn SegmentFormat, encoded: &Encoded) -> (Arc<CountingReader>, Arc<dyn SegmentReader>) {
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = format.open(source.clone(), &open_options(encoded)).await.expect("opens");
    (source, reader)
}

/// One column of every type (named after it) in random shapes: constant, runs, few values, any values, nulls.
pub fn random_rows(rows: usize, seed: u64) -> RecordBatch {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let columns = Type::ALL.map(|ty| Column::new(ty.name(), ty));
    let arrays = Type::ALL.map(|ty| random_array(ty, rows, &mut random));
    RecordBatch::try_new(Schema::new(columns.to_vec()).arrow(), arrays.to_vec()).expect("the arrays fit the schema")
}

/// A column of type `ty`.
pub fn random_array(ty: Type, rows: usize, random: &mut ChaCha8Rng) -> ArrayRef {
    let null_share = *[0.0, 0.0, 0.1, 0.9, 1.0].get(random.random_range(0..5)).unwrap_or(&0.0);
    let shape = random.random_range(0..4);
    let mut last = random.random::<u64>();
    let bits: Vec<Option<u64>> = (0..rows)
        .map(|row| {
            last = match shape {
                0 => last,
                1 if random.random_bool(0.95) => last,
                2 => random.random_range(0..5),
                _ if random.random_bool(0.01) => [0, 1, u64::MAX, i64::MIN as u64, i64::MAX as u64][row % 5],
                _ => random.random(),
            };
            (!random.random_bool(null_share)).then_some(last)
        })
        .collect();
    let bits = bits.into_iter();
    match ty {
        Type::Bool => Arc::new(bits.map(|b| b.map(|b| b % 2 == 1)).collect::<BooleanArray>()),
        Type::Int => Arc::new(bits.map(|b| b.map(|b| b as i32)).collect::<Int32Array>()),
        Type::Long => Arc::new(bits.map(|b| b.map(|b| b as i64)).collect::<Int64Array>()),
        Type::Real => Arc::new(bits.map(|b| b.map(real)).collect::<Float64Array>()),
        Type::Decimal => {
            let decimals =
                bits.map(|b| b.map(|b| i128::from(b as i64) * if b < 9 { 1_000_000_000_000_000_000 } else { 1 }));
            let decimals = decimals.collect::<Decimal128Array>();
            Arc::new(decimals.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE).expect("fits"))
        }
        Type::Datetime => Arc::new(bits.map(|b| b.map(|b| b as i64)).collect::<TimestampNanosecondArray>()),
        Type::Timespan => {
            Arc::new(bits.map(|b| b.map(|b| b as i64 / 1_000 * 1_000)).collect::<DurationNanosecondArray>())
        }
        Type::Guid => {
            let guids = bits.map(|b| b.map(|b| (u128::from(b) << 64 | 9).to_be_bytes()));
            Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16).expect("16 bytes"))
        }
        Type::String => Arc::new(bits.map(|b| b.map(text)).collect::<StringViewArray>()),
        Type::Dynamic => Arc::new(bits.map(|b| b.map(json)).collect::<StringViewArray>()),
    }
}

fn real(bits: u64) -> f64 {
    match bits % 4 {
        0 => (bits % 100_000) as f64 / 100.0,
        1 => [f64::NAN, -0.0, 0.0, f64::INFINITY, f64::MIN_POSITIVE][bits as usize / 4 % 5],
        2 => (bits % 1_000) as f64,
        _ => f64::from_bits(bits),
    }
}

fn text(bits: u64) -> String {
    match bits % 7 {
        0 => String::new(),
        1 => format!("{bits:016x}"),
        2 => format!("a longer line about request {bits} that took {} ms", bits % 977),
        3 => "žluťoučký kůň 🐎 \u{10FFFF}".to_owned(),
        4 => "zero\0inside\n\ttabs".to_owned(),
        5 => format!("{}", bits % 20),
        _ => "x".repeat(bits as usize % 90),
    }
}

fn json(bits: u64) -> String {
    let (a, b) = (bits % 10, bits / 10 % 1_000);
    match bits / 100_000 % 24 {
        0 => "null".to_owned(),
        1 => format!("[{a},{b},{{\"k\":1}}]"),
        2 => format!("\"text {a}\""),
        3 => "{}".to_owned(),
        4 => format!("{{\"n\":{a},\"n\":{b}}}"),
        5 => format!("{{\"k8s\":{{}},\"n\":null,\"s\":\"{b}\"}}"),
        6 => format!("{{\"k8s\":7,\"n\":\"{a}\",\"s\":{b}}}"),
        7 => format!("{{\"k8s.pod\":\"dotted\",\"s\":\"esc\\\"aped\\n\\u00e9\",\"n\":{a}.0}}"),
        8 => format!("{{\"n\":18446744073709551615,\"big\":1e400,\"s\":\"\",\"m\":-0,\"r\":1.50,\"deep\":[[{a}]]}}"),
        9 => format!("{{\"n\":{{\"x\":{a}}},\"s\":{{\"y\":[]}}}}"),
        _ => format!(
            "{{\"n\":{a},\"k8s\":{{\"pod\":{{\"name\":\"pod-{b}\"}},\"ns\":\"é{a}\"}},\"r\":{a}.25,\"ok\":{},\"s\":\"v{b}\",\"l\":[1]}}",
            b % 2 == 0
        ),
    }
}

/// Paths that [`random_rows`] holds in some rows, and some that it does not.
pub fn interesting_paths() -> Vec<Vec<String>> {
    let paths: [&[&str]; 17] = [
        &["n"],
        &["n", "x"],
        &["k8s"],
        &["k8s", "pod"],
        &["k8s", "pod", "name"],
        &["k8s", "ns"],
        &["k8s.pod"],
        &["r"],
        &["ok"],
        &["s"],
        &["s", "y"],
        &["l"],
        &["big"],
        &["m"],
        &["missing"],
        &["k8s", "missing"],
        &["n", "n"],
    ];
    paths.iter().map(|path| path.iter().map(|key| (*key).to_owned()).collect()).collect()
}

async fn read_all(source: &dyn RangeReader, reader: &dyn SegmentReader, columns: &[ReadColumn]) -> Vec<RecordBatch> {
    let mut blocks = Vec::new();
    for block in 0..reader.block_rows().len() as u32 {
        blocks.push(reader.read(source, block, columns, None).await.expect("reads"));
    }
    blocks
}

fn all_columns(reader: &dyn SegmentReader) -> Vec<ReadColumn> {
    reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect()
}

/// Whether two arrays hold the same values: reals by bits, dynamics as JSON values.
pub fn same(ty: Type, left: &dyn Array, right: &dyn Array) -> bool {
    if left.len() != right.len() || left.data_type() != right.data_type() {
        return false;
    }
    match ty {
        Type::Real => {
            let bits = |array: &dyn Array| -> Vec<Option<u64>> {
                array.as_primitive::<Float64Type>().iter().map(|real| real.map(f64::to_bits)).collect()
            };
            bits(left) == bits(right)
        }
        Type::Dynamic => left.as_string_view().iter().zip(right.as_string_view()).all(|pair| match pair {
            (Some(a), Some(b)) => same_json(a, b),
            (a, b) => a == b,
        }),
        _ => {
            left.to_data() == right.to_data()
                || arrow::compute::concat(&[left]).ok() == arrow::compute::concat(&[right]).ok()
        }
    }
}

/// Same text, or objects with the same members in another order, also inside of arrays. (Numbers and strings must keep
/// their spelling.)
pub fn same_json(left: &str, right: &str) -> bool {
    type Members<'a> = BTreeMap<String, &'a RawValue>;
    if left == right {
        return true;
    }
    if left.len() != right.len() {
        return false;
    }
    let elements = |text| serde_json::from_str::<Vec<&RawValue>>(text);
    if let (Ok(a), Ok(b)) = (elements(left), elements(right)) {
        return a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| same_json(a.get(), b.get()));
    }
    let members = |text| serde_json::from_str::<Members<'_>>(text);
    let (Ok(a), Ok(b)) = (members(left), members(right)) else { return false };
    a.len() == b.len() && a.iter().zip(&b).all(|(a, b)| a.0 == b.0 && same_json(a.1.get(), b.1.get()))
}

/// Promise 1: what is encoded is read back, whole and by selection.
pub async fn round_trip(format: &dyn SegmentFormat, seed: u64) {
    let rows = random_rows(1_000, seed);
    let encoded = format.encode(std::slice::from_ref(&rows), &options(BLOCK_ROWS)).expect("encodes");
    assert_eq!((encoded.rows, encoded.blocks), (1_000, 4), "seed {seed}");
    let (source, reader) = open(format, &encoded).await;
    let columns = all_columns(reader.as_ref());
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for block in 0..4_u32 {
        let count = reader.block_rows()[block as usize] as usize;
        let expected = rows.slice(block as usize * BLOCK_ROWS, count);
        let share = [0.01, 0.5, 0.0, 1.0][block as usize];
        let selection: BooleanBuffer = (0..count).map(|_| random.random_bool(share)).collect();
        let picked = arrow::compute::filter_record_batch(&expected, &BooleanArray::new(selection.clone(), None))
            .expect("filters");
        for (selection, expected) in [(None, &expected), (Some(&selection), &picked)] {
            let read = reader.read(source.as_ref(), block, &columns, selection).await.expect("reads");
            assert_eq!(read.num_rows(), expected.num_rows());
            for (at, column) in columns.iter().enumerate() {
                let equal = same(column.ty, read.column(at), expected.column(at));
                assert!(
                    equal,
                    "seed {seed}, block {block}, {}:\n{:?}\n{:?}",
                    column.ty,
                    read.column(at),
                    expected.column(at)
                );
                assert_eq!(read.schema().field(at).name(), &format!("c{at}"));
            }
        }
    }
}

/// Promise 1 at the edges: no rows, no columns, one row, all null, other string types.
pub async fn edge_values(format: &dyn SegmentFormat) {
    for rows in [0, 1] {
        let encoded = format.encode(&[random_rows(rows, 3)], &options(BLOCK_ROWS)).expect("encodes");
        let (source, reader) = open(format, &encoded).await;
        assert_eq!(reader.rows(), rows as u64);
        let read = read_all(source.as_ref(), reader.as_ref(), &all_columns(reader.as_ref())).await;
        assert_eq!(read.iter().map(RecordBatch::num_rows).sum::<usize>(), rows);
    }
    let encoded = format.encode(&[], &options(BLOCK_ROWS)).expect("encodes nothing");
    assert_eq!(open(format, &encoded).await.1.rows(), 0);

    let plain = arrow::array::StringArray::from(vec![Some("a"), None, Some("")]);
    let large = arrow::array::LargeStringArray::from(vec![Some("b"), None, Some("c")]);
    let batch = RecordBatch::try_from_iter([("plain", Arc::new(plain) as ArrayRef), ("large", Arc::new(large))])
        .expect("a batch");
    let encoded = format.encode(&[batch], &options(BLOCK_ROWS)).expect("encodes other strings");
    let (source, reader) = open(format, &encoded).await;
    let read = read_all(source.as_ref(), reader.as_ref(), &all_columns(reader.as_ref())).await;
    let texts: Vec<_> = read[0].column(1).as_string_view().iter().collect();
    assert_eq!(texts, [Some("b"), None, Some("c")]);

    let list = arrow::array::ListArray::new_null(
        Arc::new(arrow::datatypes::Field::new("item", arrow::datatypes::DataType::Int64, true)),
        1,
    );
    let batch = RecordBatch::try_from_iter([("list", Arc::new(list) as ArrayRef)]).expect("a batch");
    let refused = format.encode(&[batch], &options(BLOCK_ROWS)).expect_err("a list has no column type");
    assert_eq!(refused.kind(), Kind::Invalid);
}

/// Promise 3: blocks of the asked rows, however the rows are cut into batches; and the same bytes.
pub async fn blocks_do_not_depend_on_batches(format: &dyn SegmentFormat) {
    let rows = random_rows(1_000, 11);
    let whole = format.encode(std::slice::from_ref(&rows), &options(BLOCK_ROWS)).expect("encodes");
    for cut in [1_usize, 7, 299, 300, 301, 999] {
        let batches: Vec<_> = (0..1_000).step_by(cut).map(|at| rows.slice(at, cut.min(1_000 - at))).collect();
        let encoded = format.encode(&batches, &options(BLOCK_ROWS)).expect("encodes");
        let (source, reader) = open(format, &encoded).await;
        assert_eq!(reader.block_rows(), [300, 300, 300, 100], "cut {cut}");
        assert_eq!(encoded.bytes.len(), whole.bytes.len(), "cut {cut}");
        let columns = all_columns(reader.as_ref());
        for (block, read) in read_all(source.as_ref(), reader.as_ref(), &columns).await.iter().enumerate() {
            for (at, column) in columns.iter().enumerate() {
                assert!(
                    same(column.ty, read.column(at), &rows.column(at).slice(block * BLOCK_ROWS, read.num_rows())),
                    "cut {cut}"
                );
            }
        }
    }
}

/// Promise 2: one read of the footer's bytes; none when the footer is at hand.
pub async fn opening_takes_one_read(format: &dyn SegmentFormat) {
    let encoded = format.encode(&[random_rows(1_000, 5)], &options(BLOCK_ROWS)).expect("encodes");
    let (source, _) = open(format, &encoded).await;
    let length = encoded.bytes.len() as u64;
    let footer = length - u64::from(encoded.footer_length)..length;
    assert_eq!(source.take_reads(), std::slice::from_ref(&footer));
    let at_hand = encoded.bytes.slice(footer.start as usize..);
    let options = OpenOptions { footer: Some(at_hand), ..open_options(&encoded) };
    let reader = format.open(source.clone(), &options).await.expect("opens");
    assert_eq!(source.take_reads(), []);
    assert!(reader.memory_bytes() > 0 && reader.describe().is_object());
    let truncated = OpenOptions { length: length - 1, footer: None, ..options };
    let short = CountingReader::new(encoded.bytes.slice(..encoded.bytes.len() - 1));
    assert_eq!(format.open(short, &truncated).await.expect_err("is truncated").kind(), Kind::Corrupt);
}

/// Promise 4: reads touch no more bytes than `read_bytes` says, and stay before the footer.
pub async fn reads_stay_inside(format: &dyn SegmentFormat) {
    let encoded = format.encode(&[random_rows(1_000, 2)], &options(BLOCK_ROWS)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    source.take_reads();
    let data_end = encoded.bytes.len() as u64 - u64::from(encoded.footer_length);
    for column in all_columns(reader.as_ref()) {
        let columns = [column, ReadColumn::column("not stored", Type::Long)];
        let read = reader.read(source.as_ref(), 1, &columns, None).await.expect("reads");
        assert_eq!(read.column(1).null_count(), read.num_rows());
        let reads = source.take_reads();
        assert!(reads.iter().all(|range| range.end <= data_end));
        assert_eq!(reads.iter().map(|range| range.end - range.start).sum::<u64>(), reader.read_bytes(1, &columns));
    }
    let nothing = reader.read(source.as_ref(), 0, &[], None).await.expect("reads no column");
    assert_eq!(nothing.num_rows(), BLOCK_ROWS);
    assert!(reader.read(source.as_ref(), 99, &[], None).await.is_err(), "there is no block 99");
}

/// Promise 4: a path gives exactly `dynamic::get` of the whole value, converted.
pub async fn paths(format: &dyn SegmentFormat, seed: u64) {
    let rows = random_rows(1_000, seed.wrapping_add(100));
    let encoded = format.encode(std::slice::from_ref(&rows), &options(BLOCK_ROWS)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    for path in interesting_paths() {
        for ty in [Type::Dynamic, Type::String, Type::Long, Type::Int, Type::Real, Type::Bool, Type::Datetime] {
            let column = ReadColumn { source: ColumnRef::path("dynamic", path.clone()), ty };
            for block in 0..reader.block_rows().len() {
                let whole = rows
                    .column_by_name("dynamic")
                    .expect("is there")
                    .slice(block * BLOCK_ROWS, reader.block_rows()[block] as usize);
                let values = whole.as_string_view().iter().map(|json| dynamic::get(json?, &path));
                let expected = convert(values, ty, whole.len());
                let selection: BooleanBuffer = (0..whole.len()).map(|row| row % 3 == 0).collect();
                let picked =
                    arrow::compute::filter(&expected, &BooleanArray::new(selection.clone(), None)).expect("filters");
                for (selection, expected) in [(None, &expected), (Some(&selection), &picked)] {
                    let read =
                        reader.read(source.as_ref(), block as u32, std::slice::from_ref(&column), selection).await;
                    let read = read.expect("reads");
                    // The text of an object may have its members in another order.
                    let compare_as =
                        if ty == Type::String && has_objects(&read, expected) { Type::Dynamic } else { ty };
                    assert!(
                        same(compare_as, read.column(0), expected),
                        "seed {seed}, block {block}, {path:?} as {ty}:\n{:?}\n{expected:?}",
                        read.column(0)
                    );
                }
            }
        }
    }
    let column = ReadColumn { source: ColumnRef::path("string", vec!["n".to_owned()]), ty: Type::Long };
    let read = reader.read(source.as_ref(), 0, &[column], None).await.expect("reads");
    assert_eq!(read.column(0).null_count(), read.num_rows(), "a string has no members");
}

fn has_objects(read: &RecordBatch, expected: &ArrayRef) -> bool {
    let has = |array: &ArrayRef| array.as_string_view().iter().flatten().any(|text| text.starts_with(['{', '[']));
    has(read.column(0)) && has(expected)
}

/// Reads with a type the column promotes to, and with one it does not.
pub async fn promotion(format: &dyn SegmentFormat) {
    let encoded = format.encode(&[random_rows(500, 21)], &options(BLOCK_ROWS)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    let columns = |from: Type, to: Type| [ReadColumn::column(from.name(), from), ReadColumn::column(from.name(), to)];
    for (from, to) in [(Type::Int, Type::Long), (Type::Int, Type::Real), (Type::Long, Type::Real)] {
        let read = reader.read(source.as_ref(), 0, &columns(from, to), None).await.expect("reads");
        let expected = arrow::compute::cast(read.column(0), &to.arrow()).expect("casts");
        assert!(same(to, read.column(1), &expected), "{from} to {to}");
    }
    for (from, to) in
        [(Type::String, Type::Long), (Type::Long, Type::Int), (Type::Dynamic, Type::String), (Type::Real, Type::Long)]
    {
        let read = reader.read(source.as_ref(), 0, &columns(from, to), None).await.expect("reads");
        assert_eq!(
            (read.column(1).null_count(), read.column(1).data_type()),
            (read.num_rows(), &to.arrow()),
            "{from} to {to}"
        );
    }
}

/// Promise 8: codes are the values, and counts are those of the rows.
pub async fn codes_and_counts(format: &dyn SegmentFormat, seed: u64) {
    let mut random = ChaCha8Rng::seed_from_u64(seed.wrapping_add(400));
    let rows = few_values(1_000, &mut random);
    let encoded = format.encode(std::slice::from_ref(&rows), &options(BLOCK_ROWS)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    let mut columns = all_columns(reader.as_ref());
    columns.push(ReadColumn { source: ColumnRef::path("dynamic", vec!["k".to_owned()]), ty: Type::String });
    let picked: BooleanBuffer = (0..BLOCK_ROWS).map(|row| row % 3 == 0).collect();
    for (block, selection) in [(0, None), (1, Some(&picked)), (3, None)] {
        let plain = reader.read(source.as_ref(), block, &columns, selection).await.expect("reads");
        let coded = reader.read_coded(source.as_ref(), block, &columns, selection).await.expect("reads");
        for (at, column) in columns.iter().enumerate() {
            let array = arrow::compute::cast(coded.column(at), &column.ty.arrow()).expect("casts");
            assert!(same(column.ty, &array, plain.column(at)), "seed {seed}, block {block}, {}", column.source);
        }
    }
    for column in all_columns(reader.as_ref()) {
        let values: Vec<Value> = {
            let array = rows.column_by_name(&column.source.column).expect("is there");
            (0..rows.num_rows()).map(|row| value(column.ty, array, row)).collect()
        };
        for bin in [None, Some(1_000_000_000), Some(60_000_000_000), Some(86_400_000_000_000), Some(7)] {
            let Some(counts) = reader.counts(&column.source, bin) else { continue };
            let floor = |value: &Value| match (value, bin) {
                (Value::Datetime(time), Some(bin)) => Value::Datetime(time.div_euclid(bin) * bin),
                (value, _) => value.clone(),
            };
            let mut expected: BTreeMap<String, u64> = BTreeMap::new();
            values.iter().for_each(|value| *expected.entry(format!("{:?}", floor(value))).or_default() += 1);
            let found: BTreeMap<String, u64> =
                counts.iter().map(|(value, rows)| (format!("{value:?}"), *rows)).collect();
            assert_eq!(
                (found, counts.len()),
                (expected.clone(), expected.len()),
                "seed {seed}, {bin:?}, {}",
                column.source
            );
        }
    }
}

/// Rows whose columns have few distinct values, of every type that has such columns.
fn few_values(rows: usize, random: &mut ChaCha8Rng) -> RecordBatch {
    let mut pick = |of: i64| (0..rows).map(|_| random.random_range(-1..of)).collect::<Vec<i64>>();
    let some = |value: i64| (value >= 0).then_some(value);
    let texts = ["", "error", "Error", "日本", "a text that is longer than twelve bytes"];
    let (strings, longs, ints, bools, times, keys) = (pick(5), pick(3), pick(2), pick(2), pick(90), pick(4));
    let names = ["alice17", "bob23", "carol5", "dave99"];
    let name = |at: &i64| some(*at).map(|at| names[at as usize]);
    // Lines that repeat what another column says.
    let line = |(at, n): (usize, &i64)| name(n).map(|name| format!("user {name} logged in after {at} ms"));
    let columns: Vec<(Type, ArrayRef)> = vec![
        (
            Type::String,
            Arc::new(strings.iter().map(|at| some(*at).map(|at| texts[at as usize])).collect::<StringViewArray>()),
        ),
        (Type::Long, Arc::new(longs.iter().map(|at| some(*at).map(|at| at * (i64::MAX / 2))).collect::<Int64Array>())),
        (Type::Int, Arc::new(ints.iter().map(|at| some(*at).map(|at| at as i32)).collect::<Int32Array>())),
        (Type::Bool, Arc::new(bools.iter().map(|at| some(*at).map(|at| at == 1)).collect::<BooleanArray>())),
        (
            Type::Datetime,
            Arc::new(
                times
                    .iter()
                    .map(|at| some(*at).map(|at| (at - 45) * 7_000_000_001))
                    .collect::<TimestampNanosecondArray>(),
            ),
        ),
        (
            Type::Dynamic,
            Arc::new(
                keys.iter()
                    .map(|at| some(*at).map(|at| format!(r#"{{"k":"{}"}}"#, texts[at as usize])))
                    .collect::<StringViewArray>(),
            ),
        ),
    ];
    let mut fields: Vec<_> = columns.iter().map(|(ty, _)| ty.field(ty.name())).collect();
    let mut arrays: Vec<ArrayRef> = columns.into_iter().map(|(_, array)| array).collect();
    fields.extend(["name", "line"].map(|name| Type::String.field(name)));
    arrays.push(Arc::new(keys.iter().map(name).collect::<StringViewArray>()));
    arrays.push(Arc::new(keys.iter().enumerate().map(line).collect::<StringViewArray>()));
    RecordBatch::try_new(Arc::new(arrow::datatypes::Schema::new(fields)), arrays).expect("is a batch")
}

/// Promise 5: no bound, null count or sum that a value refutes.
pub async fn statistics(format: &dyn SegmentFormat, seed: u64) {
    let rows = random_rows(1_000, seed.wrapping_add(200));
    let encoded = format.encode(std::slice::from_ref(&rows), &options(BLOCK_ROWS)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    let mut columns = all_columns(reader.as_ref());
    for path in interesting_paths() {
        columns.push(ReadColumn { source: ColumnRef::path("dynamic", path), ty: Type::Dynamic });
    }
    for mut column in columns {
        let mut whole = Vec::new();
        for block in 0..reader.block_rows().len() as u32 {
            let Some((ty, stats)) = reader.stats(Some(block), &column.source) else { continue };
            if !column.source.path.is_empty() {
                column.ty = ty;
            }
            let read = reader.read(source.as_ref(), block, std::slice::from_ref(&column), None).await.expect("reads");
            check_stats(&stats, column.ty, read.column(0), &format!("seed {seed}, block {block}, {}", column.source));
            whole.push(read.column(0).clone());
        }
        if let Some((ty, stats)) = reader.stats(None, &column.source) {
            let arrays: Vec<&dyn Array> = whole.iter().map(AsRef::as_ref).collect();
            let array = arrow::compute::concat(&arrays).ok();
            if let Some(array) = array.filter(|array| array.data_type() == &ty.arrow()) {
                check_stats(&stats, ty, &array, &format!("seed {seed}, {}", column.source));
            }
        }
    }
    for (name, bounds) in &encoded.columns {
        let array = rows.column_by_name(name).expect("is stored");
        check_stats(&bounds.stats, bounds.ty, array, &format!("seed {seed}, encoded {name}"));
    }
    for (at, field) in rows.schema().fields().iter().enumerate() {
        let occurs = rows.column(at).null_count() < rows.num_rows();
        assert_eq!(encoded.columns.contains_key(field.name()), occurs, "seed {seed}, {}", field.name());
    }
}

fn check_stats(stats: &ColumnStats, ty: Type, array: &ArrayRef, what: &str) {
    assert_eq!(stats.rows, array.len() as u64, "{what}");
    if stats.is_known() {
        assert_eq!(stats.nulls, array.null_count() as u64, "{what}");
    }
    for row in 0..array.len() {
        let value = value(ty, array, row);
        if value.is_null() {
            continue;
        }
        let below = stats.min.as_ref().map(|min| value.partial_compare(min));
        let above = stats.max.as_ref().map(|max| value.partial_compare(max));
        assert!(below.is_none_or(|order| order.is_some_and(|order| order.is_ge())), "{what}: {value:?} {stats:?}");
        assert!(above.is_none_or(|order| order.is_some_and(|order| order.is_le())), "{what}: {value:?} {stats:?}");
    }
    if let (Some(Value::Long(sum)), Type::Long) = (&stats.sum, ty) {
        let expected = (0..array.len()).map(|row| match value(ty, array, row) {
            Value::Long(long) => i128::from(long),
            _ => 0,
        });
        assert_eq!(expected.sum::<i128>(), i128::from(*sum), "{what}");
    }
}

/// The value of `array` at `row`.
pub fn value(ty: Type, array: &dyn Array, row: usize) -> Value {
    use arrow::datatypes::{Decimal128Type, DurationNanosecondType, Int32Type, Int64Type, TimestampNanosecondType};
    if array.is_null(row) {
        return Value::Null(ty);
    }
    match ty {
        Type::Bool => Value::Bool(array.as_boolean().value(row)),
        Type::Int => Value::Int(array.as_primitive::<Int32Type>().value(row)),
        Type::Long => Value::Long(array.as_primitive::<Int64Type>().value(row)),
        Type::Real => Value::Real(array.as_primitive::<Float64Type>().value(row)),
        Type::Decimal => Value::Decimal(array.as_primitive::<Decimal128Type>().value(row)),
        Type::Datetime => Value::Datetime(array.as_primitive::<TimestampNanosecondType>().value(row)),
        Type::Timespan => Value::Timespan(array.as_primitive::<DurationNanosecondType>().value(row)),
        Type::Guid => {
            let bytes: [u8; 16] = array.as_fixed_size_binary().value(row).try_into().unwrap_or_default();
            Value::Guid(u128::from_be_bytes(bytes))
        }
        Type::String => Value::String(array.as_string_view().value(row).to_owned()),
        Type::Dynamic => Value::Dynamic(array.as_string_view().value(row).to_owned()),
    }
}

/// Promise 6: random predicates at both levels; no row for which the predicate is true is in a dropped block, or among the
/// rows that `prune` or `narrow` leave out.
pub async fn pruning(format: &dyn SegmentFormat, seed: u64) {
    for (level, row_count, block_rows) in [(0, 1_000, 300), (1, 1_000, 300), (1, 5_000, 3_000)] {
        pruning_at(format, seed, level, row_count, block_rows).await;
    }
}

async fn pruning_at(format: &dyn SegmentFormat, seed: u64, level: u8, row_count: usize, block_rows: usize) {
    let rows = random_rows(row_count, seed.wrapping_add(300));
    let options = EncodeOptions { level, ..options(block_rows) };
    let encoded = format.encode(std::slice::from_ref(&rows), &options).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let schema = reader.schema().clone();
    for round in 0..300_000 / row_count {
        let predicate = random_predicate(&rows, &mut random, 2);
        let null_strings_are_empty = round % 2 == 0;
        let candidates: Vec<u32> = (0..encoded.blocks).filter(|_| random.random_bool(0.9)).collect();
        let request = PruneRequest {
            predicate: &predicate,
            schema: &schema,
            time_column: "datetime",
            null_strings_are_empty,
            candidates: &candidates,
        };
        let pruned = reader.prune(source.as_ref(), &request).await.expect("prunes");
        assert!(pruned.blocks.iter().all(|block| candidates.contains(block)));
        let fallen = candidates.len() - pruned.blocks.len();
        assert_eq!(pruned.reasons.values().sum::<u64>(), fallen as u64, "each pruned block has a reason");
        for &block in &candidates {
            let count = reader.block_rows()[block as usize] as usize;
            let start = block as usize * block_rows;
            let matching: BooleanBuffer = (start..start + count)
                .map(|row| holds(&predicate, &rows, row, null_strings_are_empty) == Some(true))
                .collect();
            let what = format!("seed {seed}, level {level}, block {block}, {predicate:?}");
            if !pruned.blocks.contains(&block) {
                assert_eq!(matching.count_set_bits(), 0, "pruned: {what}");
                continue;
            }
            let left = pruned.rows.get(&block);
            assert!(left.is_none_or(|left| holds_all(left, &matching)), "left out: {what}");
            let narrowed = reader.narrow(source.as_ref(), block, &request, left).await.expect("narrows");
            let Some(narrowed) = narrowed else { continue };
            assert!(holds_all(&narrowed.rows, &matching), "narrowed: {what}");
            assert!(holds_all(&narrowed.rows, &narrowed.sure), "sure of what cannot be: {what}");
            assert!(holds_all(&matching, &narrowed.sure), "sure of what is not: {what}");
        }
    }
}

/// Whether every bit of `matching` is set in `left`.
fn holds_all(left: &BooleanBuffer, matching: &BooleanBuffer) -> bool {
    left.len() == matching.len() && (left & matching) == *matching
}

fn random_predicate(rows: &RecordBatch, random: &mut ChaCha8Rng, depth: usize) -> Predicate {
    let inner = |random: &mut ChaCha8Rng| random_predicate(rows, random, depth.saturating_sub(1));
    match random.random_range(0..if depth == 0 { 6 } else { 9 }) {
        6 => Predicate::And(vec![inner(random), inner(random)]),
        7 => Predicate::Or(vec![inner(random), inner(random)]),
        8 => Predicate::Not(Box::new(inner(random))),
        leaf => random_leaf(rows, random, leaf),
    }
}

fn random_leaf(rows: &RecordBatch, random: &mut ChaCha8Rng, leaf: u32) -> Predicate {
    let ty = [Type::Bool, Type::Int, Type::Long, Type::Real, Type::Datetime, Type::Timespan, Type::Guid, Type::String]
        [random.random_range(0..8)];
    let column = ColumnRef::column(ty.name());
    let array = rows.column_by_name(ty.name()).expect("is there");
    let some_value = |random: &mut ChaCha8Rng| match value(ty, array, random.random_range(0..rows.num_rows())) {
        Value::Null(Type::Long) => Value::Long(3),
        Value::Null(_) => Value::String(String::new()),
        Value::Long(long) => Value::Long(long.wrapping_add(random.random_range(-1..2))),
        other => other,
    };
    let ops = [
        CompareOp::Equal,
        CompareOp::NotEqual,
        CompareOp::Less,
        CompareOp::LessOrEqual,
        CompareOp::Greater,
        CompareOp::GreaterOrEqual,
    ];
    match leaf {
        0 if random.random_bool(0.2) => Predicate::IsNull(ColumnRef::column(Type::Dynamic.name())),
        0 => Predicate::IsNull(column),
        1 => Predicate::In { column, values: (0..2).map(|_| some_value(random)).collect() },
        2 => {
            let paths = interesting_paths();
            let path = ColumnRef::path("dynamic", paths[random.random_range(0..paths.len())].clone());
            match random.random_range(0..3) {
                0 => Predicate::IsNull(path),
                1 => Predicate::Compare {
                    column: path,
                    op: ops[random.random_range(0..6)],
                    value: Value::Long(random.random_range(-2..12)),
                },
                _ => Predicate::Compare {
                    column: path,
                    op: ops[random.random_range(0..6)],
                    value: Value::String(format!("v{}", random.random_range(0..1_000))),
                },
            }
        }
        3 => random_text_test(rows, random),
        _ => Predicate::Compare { column, op: ops[random.random_range(0..6)], value: some_value(random) },
    }
}

/// A test of text with a needle cut out of some row's text, so that it is often found.
fn random_text_test(rows: &RecordBatch, random: &mut ChaCha8Rng) -> Predicate {
    let paths = interesting_paths();
    let column = match random.random_bool(0.5) {
        true => ColumnRef::column("string"),
        false => ColumnRef::path("dynamic", paths[random.random_range(0..paths.len())].clone()),
    };
    let ops = [
        TextOp::Has,
        TextOp::HasPrefix,
        TextOp::HasSuffix,
        TextOp::Contains,
        TextOp::StartsWith,
        TextOp::EndsWith,
        TextOp::Equal,
        TextOp::Regex,
    ];
    let op = ops[random.random_range(0..ops.len())];
    let found = match value_at(rows, random.random_range(0..rows.num_rows()), &column, Type::String, true) {
        Value::String(found) => found,
        _ => text(random.random()),
    };
    let characters: Vec<char> = found.chars().collect();
    let start = random.random_range(0..=characters.len() / 2);
    let end = random.random_range(start..=characters.len());
    let mut needle: String = characters[start..end].iter().collect();
    if random.random_bool(0.3) {
        needle = needle.to_uppercase();
    }
    if op == TextOp::Regex {
        needle = regex::escape(&needle);
    }
    Predicate::Text { column, op, needle, case_sensitive: random.random_bool(0.3) }
}

fn both(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    match (left, right) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

fn either(left: Option<bool>, right: Option<bool>) -> Option<bool> {
    both(left.map(|holds| !holds), right.map(|holds| !holds)).map(|holds| !holds)
}

/// The slow, obvious meaning of a predicate.
fn holds(predicate: &Predicate, rows: &RecordBatch, row: usize, null_strings_are_empty: bool) -> Option<bool> {
    let again = |part: &Predicate| holds(part, rows, row, null_strings_are_empty);
    let at = |column: &ColumnRef, like: Type| value_at(rows, row, column, like, null_strings_are_empty);
    match predicate {
        Predicate::True => Some(true),
        Predicate::Opaque => None,
        Predicate::And(parts) => parts.iter().map(again).reduce(both).unwrap_or(Some(true)),
        Predicate::Or(parts) => parts.iter().map(again).reduce(either).unwrap_or(Some(false)),
        Predicate::Not(inner) => again(inner).map(|holds| !holds),
        Predicate::IsNull(column) => match at(column, Type::Dynamic) {
            Value::Null(_) => Some(true),
            _ => Some(false),
        },
        Predicate::Compare { column, op, value } => compare(&at(column, value.ty()), *op, value),
        Predicate::In { column, values } => {
            let equal = |value: &Value| compare(&at(column, value.ty()), CompareOp::Equal, value);
            values.iter().map(equal).reduce(either).unwrap_or(Some(false))
        }
        Predicate::Text { column, op, needle, case_sensitive } => match at(column, Type::String) {
            Value::String(text) if *op == TextOp::Regex => {
                Some(pattern::compile(needle).expect("compiles").is_match(&text))
            }
            Value::String(text) => Some(TextTest::new(*op, needle, *case_sensitive).matches(&text)),
            _ => None,
        },
    }
}

fn value_at(rows: &RecordBatch, row: usize, column: &ColumnRef, like: Type, null_strings_are_empty: bool) -> Value {
    let ty = if column.path.is_empty() { column.column.parse().unwrap_or(Type::Dynamic) } else { Type::Dynamic };
    let array = rows.column_by_name(&column.column).expect("is there");
    let found = value(ty, array, row);
    let found = match (&found, column.path.is_empty()) {
        (Value::Dynamic(json), true) if json == "null" => Value::Null(Type::Dynamic),
        (_, true) => found,
        (Value::Dynamic(json), false) => match dynamic::get(json, &column.path) {
            Some(member) if like == Type::Long => {
                dynamic::to_long(&member).map_or(Value::Null(Type::Long), Value::Long)
            }
            Some(member) if like == Type::String => Value::String(dynamic::to_text(&member).into_owned()),
            Some(member) => Value::Dynamic(member.into_owned()),
            None => Value::Null(like),
        },
        _ => Value::Null(like),
    };
    let is_text = found.is_null() && (found.ty() == Type::String || like == Type::String);
    if is_text && null_strings_are_empty { Value::String(String::new()) } else { found }
}

fn compare(left: &Value, op: CompareOp, right: &Value) -> Option<bool> {
    let order = left.partial_compare(right)?;
    Some(match op {
        CompareOp::Equal => order.is_eq(),
        CompareOp::NotEqual => order.is_ne(),
        CompareOp::Less => order.is_lt(),
        CompareOp::LessOrEqual => order.is_le(),
        CompareOp::Greater => order.is_gt(),
        CompareOp::GreaterOrEqual => order.is_ge(),
    })
}

/// One predicate per term of the strings: together they look at every part of an index of these.
fn predicates_of_all_terms(rows: &RecordBatch) -> Vec<Predicate> {
    let strings = rows.column_by_name("string").expect("is there").as_string_view();
    let terms = strings.iter().flatten().flat_map(kyma_core::text::terms);
    let has = |needle: &str| Predicate::Text {
        column: ColumnRef::column("string"),
        op: TextOp::Has,
        needle: needle.to_owned(),
        case_sensitive: false,
    };
    terms.map(has).collect()
}

/// Promise 9: a reader says of the extent what its writer said of it.
pub async fn identity(format: &dyn SegmentFormat) {
    let dynamics = r#"{"a":{"b":1},"c":[2]}"#;
    let of_paths: ArrayRef = Arc::new(StringViewArray::from_iter_values(vec![dynamics; 400]));
    let schema = Schema::new(vec![Column::new("bag", Type::Dynamic)]).arrow();
    let paths = RecordBatch::try_new(schema, vec![of_paths]).expect("fits");
    let no_rows = RecordBatch::new_empty(paths.schema());
    for rows in [random_rows(1_000, 1), random_rows(1_000, 2), random_rows(7, 3), paths, no_rows] {
        for unnamed in [false, true] {
            let mut options = EncodeOptions { sorted_by: vec!["datetime".to_owned()], level: 1, ..options(BLOCK_ROWS) };
            if unnamed {
                (options.replaces, options.writes, options.raw_bytes) = Default::default();
            }
            let encoded = format.encode(std::slice::from_ref(&rows), &options).expect("encodes");
            let (source, reader) = open(format, &encoded).await;
            let found = format.find_footer(source.as_ref(), encoded.bytes.len() as u64).await.expect("reads");
            assert!(found.is_none_or(|length| length == encoded.footer_length), "{found:?}");
            let noise = CountingReader::new(Bytes::from(vec![0x5a; 200]));
            assert_eq!(format.find_footer(noise.as_ref(), 200).await.expect("reads"), None);
            let identity = reader.identity().expect("the format keeps the identity");
            check_identity(&identity, &options, &encoded);
        }
    }
    let too_many = EncodeOptions { writes: vec![1; kyma_core::limits::EXTENT_WRITES_MAX + 1], ..options(16) };
    let error = format.encode(&[random_rows(7, 3)], &too_many).expect_err("is refused");
    assert_eq!((error.kind(), error.code()), (Kind::Exhausted, "format.list_too_long"));
}

fn check_identity(identity: &Identity, options: &EncodeOptions, encoded: &Encoded) {
    assert_eq!((identity.extent, identity.database, identity.table), (options.extent, options.database, options.table));
    assert_eq!((&identity.database_name, &identity.table_name), (&options.database_name, &options.table_name));
    assert_eq!((&identity.time_column, &identity.sorted_by), (&options.time_column, &options.sorted_by));
    assert_eq!((identity.level, identity.raw_bytes), (options.level, Some(options.raw_bytes)));
    assert_eq!((&identity.replaces, &identity.writes), (&options.replaces, &options.writes));
    assert_eq!((identity.rows, identity.blocks, identity.time), (encoded.rows, encoded.blocks, encoded.time));
    assert_eq!(identity.paths, encoded.paths);
    // By their text: a sum may be no number.
    assert_eq!(format!("{:?}", identity.columns), format!("{:?}", encoded.columns));
    let checksum = identity.checksum.expect("the data has a checksum");
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    assert!(checksum.bytes <= data_bytes as u64 && (checksum.bytes > 0) == (data_bytes > 0));
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, &encoded.bytes[..checksum.bytes as usize]);
    assert_eq!(u64::from(checksum.crc32c), crc);
    let location = ObjectRange { key: "k".to_owned(), offset: 7, length: encoded.bytes.len() as u64 };
    let extent = identity.to_extent("f", location.clone(), encoded.footer_length);
    assert_eq!((extent.id, extent.location, extent.raw_bytes), (options.extent, location, options.raw_bytes));
}

/// Promise 7: every byte of a small extent, one bit of it changed, gives `Corrupt` or the same answer.
pub async fn corruption(format: &dyn SegmentFormat) {
    let rows = random_rows(24, 1);
    let encoded = format.encode(std::slice::from_ref(&rows), &options(16)).expect("encodes");
    let (source, reader) = open(format, &encoded).await;
    let columns = all_columns(reader.as_ref());
    let predicates = predicates_of_all_terms(&rows);
    let expected = read_all(source.as_ref(), reader.as_ref(), &columns).await;
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    for at in 0..encoded.bytes.len() {
        let bit = at % 8;
        let mut bytes = encoded.bytes.to_vec();
        bytes[at] ^= 1 << bit;
        let source = CountingReader::new(bytes.into());
        let reader = match format.open(source.clone(), &open_options(&encoded)).await {
            Ok(reader) => reader,
            Err(error) => {
                assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error:?}");
                assert!(error.chain().contains("footer"), "byte {at}: {error:?}");
                continue;
            }
        };
        assert!(at < data_bytes, "byte {at} of the footer has no checksum");
        let mut is_found = false;
        for column in &columns {
            if let Err(error) = reader.sketch(source.as_ref(), &column.source).await {
                assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error:?}");
                assert!(error.chain().contains("section=sketches"), "byte {at}: {error:?}");
                is_found = true;
            }
        }
        for (block, expected) in expected.iter().enumerate() {
            match reader.read(source.as_ref(), block as u32, &columns, None).await {
                Ok(read) => assert!(read.columns() == expected.columns(), "byte {at} changed the answer"),
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error:?}");
                    assert!(error.chain().contains("section=data, block="), "byte {at}: {error:?}");
                    is_found = true;
                }
            }
        }
        for predicate in &predicates {
            if is_found {
                break;
            }
            let request = PruneRequest {
                predicate,
                schema: reader.schema(),
                time_column: "datetime",
                null_strings_are_empty: true,
                candidates: &[0, 1],
            };
            if let Err(error) = reader.prune(source.as_ref(), &request).await {
                assert_eq!(error.kind(), Kind::Corrupt, "byte {at}: {error:?}");
                assert!(error.chain().contains("section=indexes"), "byte {at}: {error:?}");
                is_found = true;
            }
        }
        assert!(is_found, "byte {at} of the data has no checksum");
    }
}
