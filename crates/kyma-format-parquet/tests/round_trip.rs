//! Random rows, blocks and selections against what was written; row groups, filters and large values.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, FixedSizeBinaryArray, Int64Array, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::error::Kind;
use kyma_core::format::{Encoded, PruneRequest, Pruned, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate};
use kyma_core::prune::Reason;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_parquet::Parquet;
use kyma_testkit::format::{CountingReader, open_options, options, random_array, same};
use proptest::prelude::*;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

async fn open(encoded: &Encoded) -> (Arc<CountingReader>, Arc<dyn SegmentReader>) {
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = Parquet.open(source.clone(), &open_options(encoded)).await.unwrap();
    source.take_reads();
    (source, reader)
}

fn batch(columns: Vec<(&str, Type, ArrayRef)>) -> RecordBatch {
    let schema: Schema = columns.iter().map(|(name, ty, _)| Column::new(*name, *ty)).collect();
    RecordBatch::try_new(schema.arrow(), columns.into_iter().map(|(.., array)| array).collect()).unwrap()
}

fn texts(rows: usize, text: impl Fn(usize) -> Option<String>) -> ArrayRef {
    Arc::new((0..rows).map(text).collect::<StringViewArray>())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_is_written_is_read(
        seed in any::<u64>(), rows in 0_usize..700, block_rows in 1_usize..400, level in 0_u8..3, share in 0.0..1.0_f64, types in proptest::sample::subsequence(Type::ALL.to_vec(), 1..4),
    ) {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let columns = types.iter().map(|ty| (ty.name(), *ty, random_array(*ty, rows, &mut random))).collect();
        let written = batch(columns);
        let mut options = options(block_rows);
        options.level = level;
        let encoded = Parquet.encode(std::slice::from_ref(&written), &options).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let (source, reader) = open(&encoded).await;
            prop_assert_eq!(reader.rows(), rows as u64);
            let wanted: Vec<ReadColumn> = types.iter().map(|ty| ReadColumn::column(ty.name(), *ty)).collect();
            for (block, &count) in reader.block_rows().iter().enumerate() {
                let expected = written.slice(block * block_rows, count as usize);
                let selection: BooleanBuffer = (0..count).map(|_| random.random_bool(share)).collect();
                let picked = arrow::compute::filter_record_batch(&expected, &BooleanArray::new(selection.clone(), None)).unwrap();
                for (selection, expected) in [(None, &expected), (Some(&selection), &picked)] {
                    let read = reader.read(source.as_ref(), block as u32, &wanted, selection).await.unwrap();
                    prop_assert_eq!(read.num_rows(), expected.num_rows());
                    for (at, ty) in types.iter().enumerate() {
                        prop_assert!(same(*ty, read.column(at), expected.column(at)), "{} of block {}", ty, block);
                    }
                }
            }
            Ok(())
        })?;
    }
}

/// 2.2 M rows are three row groups; a block is read by its own pages, a sparse selection by fewer.
#[tokio::test]
async fn a_block_is_read_by_its_pages() {
    const ROWS: usize = 2_200_000;
    let numbers: ArrayRef = Arc::new((0..ROWS as i64).map(|row| Some(row * 7_919 % 1_000_003)).collect::<Int64Array>());
    let encoded = Parquet.encode(&[batch(vec![("n", Type::Long, numbers.clone())])], &options(65_536)).unwrap();
    let (source, reader) = open(&encoded).await;
    assert_eq!(reader.block_rows().len(), 34);
    let described = reader.describe();
    let first_blocks: Vec<_> = described["row_groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| group["first_block"].as_u64().unwrap())
        .collect();
    assert_eq!(first_blocks, [0, 16, 32]);
    let wanted = [ReadColumn::column("n", Type::Long)];
    let mut bytes = Vec::new();
    for block in [0, 15, 16, 33] {
        let read = reader.read(source.as_ref(), block, &wanted, None).await.unwrap();
        let from = block as usize * 65_536;
        assert_eq!(read.column(0).as_ref(), numbers.slice(from, read.num_rows()).as_ref(), "block {block}");
        let reads = source.take_reads();
        assert!(reads.len() <= 2, "a dictionary and a run of pages: {reads:?}");
        bytes.push(reads.iter().map(|range| range.end - range.start).sum::<u64>());
    }
    let selection: BooleanBuffer = (0..65_536).map(|row| row == 30_000).collect();
    let read = reader.read(source.as_ref(), 16, &wanted, Some(&selection)).await.unwrap();
    assert_eq!(read.column(0).as_ref(), numbers.slice(16 * 65_536 + 30_000, 1).as_ref());
    let one_page: u64 = source.take_reads().iter().map(|range| range.end - range.start).sum();
    assert!(one_page < bytes[2], "one page of eight: {one_page} of {} bytes", bytes[2]);
}

/// Long values end pages early: pages and blocks are then not aligned.
#[tokio::test]
async fn long_values_make_short_pages() {
    let line = |row: usize| Some("0123456789abcdef".repeat(200 + row * 31 % 97) + &row.to_string());
    let lines = texts(9_000, line);
    let encoded = Parquet.encode(&[batch(vec![("s", Type::String, lines.clone())])], &options(1_000)).unwrap();
    let (source, reader) = open(&encoded).await;
    let wanted = [ReadColumn::column("s", Type::String)];
    for block in 0..9 {
        let read = reader.read(source.as_ref(), block, &wanted, None).await.unwrap();
        assert!(same(Type::String, read.column(0), &lines.slice(block as usize * 1_000, 1_000)), "block {block}");
        assert!(
            source.take_reads().iter().map(|range| range.end - range.start).sum::<u64>()
                < encoded.bytes.len() as u64 / 3
        );
    }
    let too_long = texts(1, |_| Some("x".repeat(33 << 20)));
    let refused = Parquet.encode(&[batch(vec![("s", Type::String, too_long)])], &options(1_000)).unwrap_err();
    assert_eq!((refused.kind(), refused.code()), (Kind::Exhausted, "format.value_too_long"));
}

async fn prune(encoded: &Encoded, predicate: &Predicate, nulls_are_empty: bool) -> (Pruned, usize) {
    let (source, reader) = open(encoded).await;
    let candidates: Vec<u32> = (0..reader.block_rows().len() as u32).collect();
    let request = PruneRequest {
        predicate,
        schema: reader.schema(),
        time_column: "t",
        null_strings_are_empty: nulls_are_empty,
        candidates: &candidates,
    };
    let pruned = reader.prune(source.as_ref(), &request).await.unwrap();
    (pruned, source.take_reads().len())
}

fn equal(column: &str, value: Value) -> Predicate {
    Predicate::Compare { column: ColumnRef::column(column), op: CompareOp::Equal, value }
}

/// Ids of few rows: their filters are part of the footer. Of many: they are read when asked for, if that is worth it.
#[tokio::test]
async fn filters_find_ids() {
    for (rows, is_inside) in [(3_000, true), (300_000, false)] {
        let id = |row: usize| format!("{:016x}", (row as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15));
        let ids = texts(rows, |row| (row % 10 != 0).then(|| id(row)));
        let guids = (0..rows).map(|row| Some((row as u128 * 0x1234_5678_9ABC_DEF1).to_be_bytes()));
        let guids: ArrayRef = Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16).unwrap());
        let columns = vec![("id", Type::String, ids), ("g", Type::Guid, guids)];
        let encoded = Parquet.encode(&[batch(columns)], &options(65_536)).unwrap();
        let blocks = rows.div_ceil(65_536);
        let text = |text: String| equal("id", Value::String(text));

        let mut fallen = 0;
        for needle in (0..40).map(|row| id(10_000_000 + row)) {
            let (pruned, reads) = prune(&encoded, &text(needle), true).await;
            assert_eq!(reads, usize::from(!is_inside), "{rows} rows");
            fallen += usize::from(pruned.blocks.is_empty());
            assert!(pruned.blocks.is_empty() || pruned.blocks.len() == blocks);
            let by_filter = pruned.reasons.get(&Reason::Filter).copied().unwrap_or_default();
            assert_eq!(by_filter, (blocks - pruned.blocks.len()) as u64);
        }
        assert!(fallen >= 36, "one in a hundred is a false answer: {fallen} of 40 fell");
        for row in [1, 77, rows - 1] {
            assert_eq!(prune(&encoded, &text(id(row)), true).await.0.blocks.len(), blocks, "row {row}");
            let guid = Value::Guid(row as u128 * 0x1234_5678_9ABC_DEF1);
            assert!(!prune(&encoded, &equal("g", guid), true).await.0.blocks.is_empty());
        }
        assert!(prune(&encoded, &equal("g", Value::Guid(u128::MAX / 3)), true).await.0.blocks.len() < blocks.max(1));
        // A null is "" to KQL, and in no filter.
        assert_eq!(prune(&encoded, &text(String::new()), true).await.0.blocks.len(), blocks);
        let some = Predicate::Or(vec![text("nowhere".to_owned()), equal("g", Value::Guid(0))]);
        assert!(!prune(&encoded, &some, true).await.0.blocks.is_empty());
        let negated = Predicate::Not(Box::new(text("nowhere".to_owned())));
        assert_eq!(prune(&encoded, &negated, true).await.0.blocks.len(), blocks);
        let none = Predicate::In {
            column: ColumnRef::column("id"),
            values: vec![Value::String(id(20_000_000)), Value::String(id(20_000_001))],
        };
        assert!(prune(&encoded, &none, true).await.0.blocks.is_empty());
    }
}

/// Distinct values are known of the extent, and sketches of columns that are worth it merge.
#[tokio::test]
async fn distinct_values_are_counted() {
    let of = |from: usize| {
        let id = |row: usize| ((from + row) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        let texts = texts(100_000, |row| Some(format!("{:016x}", id(row))));
        let few: ArrayRef = Arc::new((0..100_000).map(|row| Some(row % 7)).collect::<Int64Array>());
        let columns = vec![("s", Type::String, texts), ("few", Type::Long, few)];
        Parquet.encode(&[batch(columns)], &options(65_536)).unwrap()
    };
    let close = |distinct: u64, wanted: u64| (wanted * 93 / 100..=wanted * 107 / 100).contains(&distinct);
    let (first, second) = (of(0), of(50_000));
    assert!(close(first.columns["s"].stats.distinct.unwrap(), 100_000));
    assert_eq!(first.columns["few"].stats.distinct, Some(7));
    let mut both = kyma_core::sketch::Sketch::default();
    for encoded in [first, second] {
        let (source, reader) = open(&encoded).await;
        let sketch = reader.sketch(source.as_ref(), &ColumnRef::column("s")).await.unwrap();
        both.merge(&sketch.expect("2 KB are little beside 100,000 texts"));
    }
    assert!(close(both.estimate(), 150_000), "{}", both.estimate());
}
