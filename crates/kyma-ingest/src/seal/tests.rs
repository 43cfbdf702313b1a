use arrow::array::{Int64Array, StringViewArray, TimestampNanosecondArray};
use kyma_core::{DatabaseId, Schema, TableId};

use super::*;

fn table(sort_key: &[&str]) -> Arc<Table> {
    Arc::new(Table {
        id: TableId(1),
        database: DatabaseId(1),
        database_name: "d".into(),
        name: "t".into(),
        schema: Schema::default(),
        schema_version: 1,
        time_column: "ts".into(),
        sort_key: sort_key.iter().map(|key| (*key).to_owned()).collect(),
        format: "toy".into(),
        deduplication_seconds: 0,
    })
}

fn batch(columns: Vec<(&str, Type, ArrayRef)>) -> RecordBatch {
    let fields: Vec<_> = columns.iter().map(|(name, ty, _)| ty.field(*name)).collect();
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), columns.into_iter().map(|(_, _, array)| array).collect())
        .unwrap()
}

fn times(values: Vec<i64>) -> ArrayRef {
    Arc::new(TimestampNanosecondArray::from(values))
}

fn texts(values: Vec<Option<&str>>) -> ArrayRef {
    Arc::new(StringViewArray::from(values))
}

fn strings(batch: &RecordBatch, name: &str) -> Vec<String> {
    let column = batch.column_by_name(name).unwrap().as_string_view();
    column.iter().map(|text| text.unwrap_or("-").to_owned()).collect()
}

#[test]
fn rows_sort_by_identity_and_time_and_keep_arrival() {
    let rows = batch(vec![
        ("ts", Type::Datetime, times(vec![3, 1, 2, 1, 1])),
        ("host", Type::String, texts(vec![Some("b"), Some("b"), Some("a"), None, Some("b")])),
        ("n", Type::String, texts(vec![Some("0"), Some("1"), Some("2"), Some("3"), Some("4")])),
    ]);
    let sorted = sort(rows, &table(&["host", "missing"])).unwrap();
    assert_eq!(strings(&sorted, "n"), ["3", "2", "1", "4", "0"]);
}

#[test]
fn rows_sort_by_dynamic_paths() {
    let rows = batch(vec![
        ("ts", Type::Datetime, times(vec![1, 2, 3])),
        (
            "k8s",
            Type::Dynamic,
            texts(vec![Some(r#"{"pod":"z"}"#), Some(r#"{"node":1}"#), Some(r#"{"pod":"a","node":1}"#)]),
        ),
    ]);
    let sorted = sort(rows, &table(&["k8s.pod"])).unwrap();
    assert_eq!(strings(&sorted, "k8s"), [r#"{"node":1}"#, r#"{"pod":"a","node":1}"#, r#"{"pod":"z"}"#]);
}

#[test]
fn batches_with_different_columns_and_widths_become_one() {
    let longs = batch(vec![("x", Type::Long, Arc::new(Int64Array::from(vec![1])))]);
    let reals = batch(vec![
        ("y", Type::String, texts(vec![Some("s")])),
        ("x", Type::Real, Arc::new(arrow::array::Float64Array::from(vec![0.5]))),
    ]);
    let merged = merge(&[longs, reals]).unwrap();
    assert_eq!(merged.column(0).as_primitive::<arrow::datatypes::Float64Type>().values()[..], [1.0, 0.5]);
    assert_eq!(strings(&merged, "y"), ["-", "s"]);
}

#[test]
fn pieces_are_bounded_by_bytes_and_cells() {
    let one = |mark| (batch(vec![("ts", Type::Datetime, times(vec![1, 2]))]), 10, mark);
    let cut = |bytes_max, cells_max| {
        let pieces = pieces(&table(&[]), vec![one(1), one(2), one(3)], bytes_max, cells_max);
        pieces.into_iter().map(|(_, marks)| marks).collect::<Vec<_>>()
    };
    assert_eq!(cut(100, 100), [vec![1, 2, 3]]);
    assert_eq!(cut(20, 100), [vec![1, 2], vec![3]]);
    assert_eq!(cut(100, 4), [vec![1, 2], vec![3]]);
    assert_eq!(cut(1, 1), [vec![1], vec![2], vec![3]]);
}
