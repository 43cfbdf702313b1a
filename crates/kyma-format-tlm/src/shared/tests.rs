use std::sync::Arc;

use arrow::array::{Array, ArrayRef, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::error::Kind;
use kyma_core::format::{EncodeOptions, Encoded, ReadColumn, SegmentFormat};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_testkit::format::{CountingReader, open_options, options};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::Tlm;

const BLOCK_ROWS: usize = 1_500;

/// Spans by pod: a trace's spans lie far apart, a parent is another row's span, guids recur.
fn spans(rows: usize, seed: u64) -> RecordBatch {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let span = |row: usize| format!("{:016x}", (row as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let traces: Vec<usize> = (0..rows).map(|row| row % (rows / 4 + 1) + random.random_range(0..3)).collect();
    let trace = |row: usize| (row % 97 != 5).then(|| format!("{:032x}", traces[row] as u128 * 0x1234_5678_9abc_def1));
    let parent = |row: usize| (row % 11 != 3).then(|| span((row * 7 + 3) % rows));
    let guid = |row: usize| (row % 5 != 1).then(|| ((row % (rows / 3)) as u128 * 0x0101_0307_0dff).to_be_bytes());
    let times: ArrayRef = Arc::new((0..rows).map(|row| Some((row * 7_919 % rows) as i64)).collect::<Int64Array>());
    let guids = FixedSizeBinaryArray::try_from_sparse_iter_with_size((0..rows).map(guid), 16).unwrap();
    let arrays: Vec<ArrayRef> = vec![
        times,
        Arc::new((0..rows).map(trace).collect::<StringViewArray>()),
        Arc::new((0..rows).map(|row| Some(span(row))).collect::<StringViewArray>()),
        Arc::new((0..rows).map(parent).collect::<StringViewArray>()),
        Arc::new(guids),
    ];
    let columns = [
        ("datetime", Type::Long),
        ("trace", Type::String),
        ("span", Type::String),
        ("parent", Type::String),
        ("session", Type::Guid),
    ];
    let schema = Schema::new(columns.map(|(name, ty)| Column::new(name, ty)).to_vec());
    RecordBatch::try_new(schema.arrow(), arrays).unwrap()
}

fn encode(rows: &RecordBatch) -> Encoded {
    let options = EncodeOptions { level: 1, time_column: "datetime".to_owned(), ..options(BLOCK_ROWS) };
    Tlm.encode(std::slice::from_ref(rows), &options).unwrap()
}

async fn check(rows: &RecordBatch, encoded: &Encoded, random: &mut ChaCha8Rng) {
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = Tlm.open(source.clone(), &open_options(encoded)).await.unwrap();
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    for (block, &count) in reader.block_rows().iter().enumerate() {
        let expected = rows.slice(block * BLOCK_ROWS, count as usize);
        source.take_reads();
        let read = reader.read(source.as_ref(), block as u32, &columns, None).await.unwrap();
        assert!(read.columns() == expected.columns());
        let touched = source.take_reads().iter().map(|range| range.end - range.start).sum::<u64>();
        assert!(touched <= reader.read_bytes(block as u32, &columns));
        let share = [0.001, 0.1, 0.9][block % 3];
        let selection: BooleanBuffer = (0..count).map(|_| random.random_bool(share)).collect();
        let some = reader.read(source.as_ref(), block as u32, &columns, Some(&selection)).await.unwrap();
        let filtered = arrow::compute::filter_record_batch(&expected, &selection.into()).unwrap();
        assert!(some.columns() == filtered.columns());
    }
}

#[tokio::test]
async fn ids_are_stored_once_and_a_needle_reads_one_page_of_them() {
    let rows = spans(8_000, 1);
    let encoded = encode(&rows);
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = Tlm.open(source.clone(), &open_options(&encoded)).await.unwrap();
    let described = reader.describe();
    let columns: Vec<_> =
        described["dictionaries"].as_array().unwrap().iter().map(|it| it["columns"].clone()).collect();
    assert_eq!(
        columns,
        [serde_json::json!(["trace"]), serde_json::json!(["span", "parent"]), serde_json::json!(["session"])]
    );
    check(&rows, &encoded, &mut ChaCha8Rng::seed_from_u64(1)).await;

    source.take_reads();
    let needle: BooleanBuffer = (0..BLOCK_ROWS).map(|row| row == 700).collect();
    reader.read(source.as_ref(), 1, &[ReadColumn::column("span", Type::String)], Some(&needle)).await.unwrap();
    let reads = source.take_reads();
    let last = reads.last().unwrap();
    // The codes, and one page of the dictionary, whose head the footer has.
    assert_eq!((reads.len(), last.end - last.start < 8 * 1_024 + 32), (2, true), "{reads:?}");
}

/// What gets past the checksums is an error, or rows of someone else's values.
#[tokio::test]
async fn a_changed_byte_is_corrupt() {
    let rows = spans(4_000, 2);
    let encoded = encode(&rows);
    let data_bytes = encoded.bytes.len() - encoded.footer_length as usize;
    let columns = ["trace", "span", "parent"].map(|name| ReadColumn::column(name, Type::String));
    let reader = Tlm.open(CountingReader::new(encoded.bytes.clone()), &open_options(&encoded)).await.unwrap();
    let mut random = ChaCha8Rng::seed_from_u64(3);
    for _ in 0..200 {
        let mut broken = encoded.bytes.to_vec();
        broken[random.random_range(0..data_bytes)] ^= 1 << random.random_range(0..8);
        let source = CountingReader::new(broken.into());
        let read = reader.read(source.as_ref(), 1, &columns, None).await;
        match read {
            Ok(read) => assert!(read.column(0) == &rows.column(1).slice(BLOCK_ROWS, BLOCK_ROWS)),
            Err(error) => assert_eq!(error.kind(), Kind::Corrupt),
        }
    }
}

proptest! {
    #![proptest_config(crate::testing::cases(24))]
    #[test]
    fn any_spans_come_back(rows in 130_usize..6_000, seed in any::<u64>()) {
        let rows = spans(rows, seed);
        let encoded = encode(&rows);
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(check(&rows, &encoded, &mut ChaCha8Rng::seed_from_u64(seed)));
    }
}
