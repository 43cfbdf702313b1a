//! TLM keeps the promises of a segment format.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, Int64Array, RecordBatch, TimestampNanosecondArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::error::Kind;
use kyma_core::format::{ReadColumn, SegmentFormat};
use kyma_core::predicate::ColumnRef;
use kyma_core::types::Type;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, open_options, options};

#[tokio::test]
async fn tlm_keeps_every_promise() {
    kyma_testkit::format::format_suite(Arc::new(Tlm)).await;
}

/// Two clocks that rarely differ: the second is stored as differences to the first.
#[tokio::test]
async fn a_column_beside_another_takes_few_bytes() {
    let at = |row: i64| 1_700_000_000_000_000_000 + row * 1_000_003 + row * row % 977;
    let first: ArrayRef = Arc::new((0..5_000).map(at).map(Some).collect::<TimestampNanosecondArray>());
    let close = |row: i64| if row % 1_500 == 7 { i64::MIN } else { at(row) };
    let second: ArrayRef = Arc::new((0..5_000).map(close).map(Some).collect::<Int64Array>());
    let with_null: ArrayRef = Arc::new((0..5_000).map(|row| (row != 9).then(|| at(row))).collect::<Int64Array>());
    let batch = RecordBatch::try_from_iter([
        ("first", first.clone()),
        ("second", second.clone()),
        ("with_null", with_null.clone()),
    ])
    .unwrap();
    let encoded = Tlm.encode(&[batch], &options(8_192)).unwrap();
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = Tlm.open(source.clone(), &open_options(&encoded)).await.unwrap();
    let described = reader.describe();
    let pieces = &described["blocks"][0]["columns"];
    assert_eq!((&pieces[1]["encoding"], &pieces[1]["difference_to"]), (&"difference".into(), &"first".into()));
    assert!(pieces[1]["bytes"].as_u64() < Some(200), "{}", pieces[1]);
    assert_eq!(pieces[2]["encoding"], "integers");

    let columns = [ReadColumn::column("second", Type::Long), ReadColumn::column("with_null", Type::Long)];
    let read = reader.read(source.as_ref(), 0, &columns, None).await.unwrap();
    assert_eq!(read.columns(), [second.clone(), with_null]);
    let selection: BooleanBuffer = (0..5_000).map(|row| row % 1_500 == 7 || row == 4_999).collect();
    let read = reader.read(source.as_ref(), 0, &columns[..1], Some(&selection)).await.unwrap();
    let picked = arrow::compute::filter(&second, &selection.into()).unwrap();
    assert_eq!(read.column(0), &picked);
    let read = reader.read(source.as_ref(), 0, &[ReadColumn::column("second", Type::Real)], None).await.unwrap();
    assert_eq!((read.num_rows(), read.column(0).null_count()), (5_000, 0));

    let mut broken = encoded.bytes.to_vec();
    broken[20] ^= 1;
    let error = reader.read(CountingReader::new(broken.into()).as_ref(), 0, &columns[..1], None).await.unwrap_err();
    assert_eq!(error.kind(), Kind::Corrupt);
    assert!(error.chain().contains("base of column=second"), "{}", error.chain());
}

/// Sketches of extents merge: distinct values over both, and an estimate for all blocks of one.
#[tokio::test]
async fn distinct_values_are_known() {
    let extent = async |range: std::ops::Range<i64>| {
        let few: ArrayRef = Arc::new(range.clone().map(|row| Some(row % 9)).collect::<Int64Array>());
        let many: ArrayRef = Arc::new(range.map(|row| Some(row * row % 1_000_003)).collect::<Int64Array>());
        let batch = RecordBatch::try_from_iter([("few", few), ("many", many)]).unwrap();
        let encoded = Tlm.encode(&[batch], &options(8_192)).unwrap();
        assert_eq!(encoded.columns["few"].stats.distinct, Some(9));
        let source = CountingReader::new(encoded.bytes.clone());
        let reader = Tlm.open(source.clone(), &open_options(&encoded)).await.unwrap();
        let distinct = reader.stats(None, &ColumnRef::column("many")).unwrap().1.distinct;
        assert_eq!(distinct, encoded.columns["many"].stats.distinct);
        assert!(distinct.is_some_and(|distinct| (37_000..=43_000).contains(&distinct)), "{distinct:?}");
        let few = reader.sketch(source.as_ref(), &ColumnRef::column("few")).await.unwrap().unwrap();
        let many = reader.sketch(source.as_ref(), &ColumnRef::column("many")).await.unwrap().unwrap();
        let missing = reader.sketch(source.as_ref(), &ColumnRef::column("missing")).await.unwrap();
        assert_eq!((missing, Some(many.estimate())), (None, distinct));
        (few, many)
    };
    let ((mut few, mut many), (other_few, other_many)) = (extent(0..40_000).await, extent(20_000..60_000).await);
    few.merge(&other_few);
    many.merge(&other_many);
    assert_eq!(few.estimate(), 9);
    assert!((55_000..=65_000).contains(&many.estimate()), "{}", many.estimate());
}
