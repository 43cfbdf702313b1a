use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array, StringViewArray, TimestampNanosecondArray};
use kyma_core::schema::Column;
use proptest::prelude::*;

use super::*;

fn schema() -> Schema {
    let columns = [("t", Type::Datetime), ("s", Type::String), ("n", Type::Long), ("b", Type::Bool)];
    columns.into_iter().map(|(name, ty)| Column::new(name, ty)).collect()
}

fn tally(blocks: &[Vec<ArrayRef>]) -> Tallies {
    let schema = schema();
    let mut counter = Counter::new(&schema);
    for block in blocks {
        for (at, (column, array)) in schema.columns().iter().zip(block).enumerate() {
            counter.add(at, column.ty, array);
        }
    }
    counter.finish()
}

/// A time, a text, a number and a truth value.
type Row = (Option<i32>, Option<String>, Option<i64>, Option<bool>);

fn by_hand(values: impl Iterator<Item = Value>) -> Vec<(Value, u64)> {
    let mut counts: Vec<(Value, u64)> = Vec::new();
    for value in values {
        match counts.iter_mut().find(|(known, _)| *known == value) {
            Some((_, rows)) => *rows += 1,
            None => counts.push((value, 1)),
        }
    }
    counts
}

fn ordered(mut counts: Vec<(Value, u64)>) -> Vec<(Value, u64)> {
    counts.sort_by_key(|(value, _)| format!("{value:?}"));
    counts
}

proptest! {
    #[test]
    fn counts_are_those_of_the_slow_way(
        rows in prop::collection::vec((any::<Option<i32>>(), prop::option::of("[a-c]{0,2}"), prop::option::of(-3..3_i64), any::<Option<bool>>()), 0..200),
        spread in prop::sample::select(vec![1_i64, 1_000, 1_000_000, 1_000_000_000]),
        cut in 0..200_usize,
    ) {
        let cut = cut.min(rows.len());
        let time = |at: Option<i32>| at.map(|at| i64::from(at) * spread);
        let block = |rows: &[Row]| -> Vec<ArrayRef> {
            vec![
                Arc::new(rows.iter().map(|row| time(row.0)).collect::<TimestampNanosecondArray>()),
                Arc::new(rows.iter().map(|row| row.1.as_deref()).collect::<StringViewArray>()),
                Arc::new(rows.iter().map(|row| row.2).collect::<Int64Array>()),
                Arc::new(rows.iter().map(|row| row.3).collect::<BooleanArray>()),
            ]
        };
        let tallies = tally(&[block(&rows[..cut]), block(&rows[cut..])]);
        let (schema, total) = (schema(), rows.len() as u64);
        let read = Tallies::read_section(Reader::new(&tallies.write_section()), &schema, total).unwrap();
        prop_assert_eq!(&read, &tallies);
        prop_assert!(Tallies::read_section(Reader::new(&tallies.write_section()), &schema, total + 1).is_err());

        let null = |ty: Type| move || Value::Null(ty);
        let texts = by_hand(rows.iter().map(|row| row.1.clone().map_or_else(null(Type::String), Value::String)));
        prop_assert_eq!(ordered(read.counts(1, Type::String, None).unwrap()), ordered(texts));
        let numbers = by_hand(rows.iter().map(|row| row.2.map_or_else(null(Type::Long), Value::Long)));
        prop_assert_eq!(ordered(read.counts(2, Type::Long, None).unwrap()), ordered(numbers));
        let truths = by_hand(rows.iter().map(|row| row.3.map_or_else(null(Type::Bool), Value::Bool)));
        prop_assert_eq!(ordered(read.counts(3, Type::Bool, None).unwrap()), ordered(truths));
        for bin in UNITS.into_iter().chain([300_000_000_000, 7]) {
            let Some(counts) = read.counts(0, Type::Datetime, Some(bin)) else { continue };
            let start = |at: i64| Value::Datetime(at.div_euclid(bin) * bin);
            let times = by_hand(rows.iter().map(|row| time(row.0).map_or_else(null(Type::Datetime), start)));
            prop_assert_eq!(ordered(counts), ordered(times), "bin={}", bin);
        }
    }
}

#[test]
fn too_many_values_are_not_tallied_and_times_get_coarser() {
    let rows = 10_000_i64;
    let block: Vec<ArrayRef> = vec![
        Arc::new((0..rows).map(|row| Some(row * UNITS[0])).collect::<TimestampNanosecondArray>()),
        Arc::new((0..rows).map(|row| Some(format!("{row}"))).collect::<StringViewArray>()),
        Arc::new((0..rows).map(Some).collect::<Int64Array>()),
        Arc::new((0..rows).map(|row| Some(row % 2 == 0)).collect::<BooleanArray>()),
    ];
    let tallies = tally(&[block]);
    assert_eq!(tallies.counts(1, Type::String, None), None);
    assert_eq!(tallies.counts(2, Type::Long, None), None);
    assert_eq!(tallies.counts(3, Type::Bool, None).map(|counts| counts.len()), Some(2));
    assert_eq!(tallies.counts(0, Type::Datetime, Some(UNITS[0])), None, "too fine");
    assert_eq!(tallies.counts(0, Type::Datetime, Some(UNITS[2])).map(|counts| counts.len()), Some(167));
}
