//! Paths of random JSON, broken JSON included, against the slow way: `dynamic::get` of the whole text.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, StringViewArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::dynamic;
use kyma_core::format::{ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, open_options, options, same};
use kyma_testkit::toy_format::convert;
use proptest::prelude::*;

const KEYS: [&str; 6] = ["a", "b", "a.b", "é\\n", "", "c"];

fn json() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        Just("null".to_owned()),
        Just("{}".to_owned()),
        Just("[]".to_owned()),
        any::<bool>().prop_map(|truth| truth.to_string()),
        (-99_i64..99).prop_map(|long| long.to_string()),
        any::<i64>().prop_map(|long| long.to_string()),
        "-?[0-9]{1,3}\\.[0-9]{1,3}(e-?[0-9]{1,3})?",
        "[a-zé🐎 ]{0,9}".prop_map(|text| dynamic::quote(&text)),
        Just(r#""\u00e9\/\ud83d\ude00""#.to_owned()),
        Just(r#""\ud800""#.to_owned()),
        Just(r#""2024-01-02T03:04:05Z""#.to_owned()),
        Just(r#"" 0x1F""#.to_owned()),
        Just("\"del\u{7f}\"".to_owned()),
        Just("7 ".to_owned()),
        Just("broken{".to_owned()),
    ];
    scalar.prop_recursive(4, 24, 4, |inner| {
        let member = (0..KEYS.len(), inner.clone()).prop_map(|(key, value)| format!("\"{}\":{value}", KEYS[key]));
        prop_oneof![
            3 => proptest::collection::vec(member, 1..4).prop_map(|members| format!("{{{}}}", members.join(","))),
            1 => proptest::collection::vec(inner, 1..3).prop_map(|items| format!("[{}]", items.join(","))),
        ]
    })
}

/// A row of a shape that repeats: kinds mixed under one path, lists, and now and then anything at all.
fn regular() -> impl Strategy<Value = String> {
    let scalar = prop_oneof![
        3 => (0_i64..9).prop_map(|long| long.to_string()),
        1 => (0_i64..9).prop_map(|long| format!("{long}.5")),
        1 => Just("null".to_owned()),
        1 => any::<bool>().prop_map(|truth| truth.to_string()),
        2 => "[a-c]{0,3}".prop_map(|text| dynamic::quote(&text)),
        1 => Just("1.50".to_owned()),
        1 => Just("18446744073709551616".to_owned()),
        1 => Just("{}".to_owned()),
        1 => Just("[]".to_owned()),
    ];
    let longs = proptest::collection::vec(0_i64..99, 0..4);
    let longs = longs.prop_map(|longs| format!("[{}]", longs.iter().map(i64::to_string).collect::<Vec<_>>().join(",")));
    let pair = ("[a-b]", scalar.clone()).prop_map(|(key, value)| format!(r#"{{"k":"{key}","v":{value}}}"#));
    let turned = scalar.clone().prop_map(|value| format!(r#"{{"v":{{"in":{value}}},"k":[{value},{value}]}}"#));
    let element = prop_oneof![4 => pair, 1 => turned, 1 => scalar.clone(), 1 => json().prop_filter("is JSON", |text| is_json(text))];
    let elements = proptest::collection::vec(element, 0..3).prop_map(|items| format!("[{}]", items.join(",")));
    let object = (scalar.clone(), longs.clone(), elements.clone(), scalar.clone())
        .prop_map(|(a, b, c, inner)| format!(r#"{{"a":{a},"b":{b},"c":{c},"é\\n":{{"a.b":{inner}}}}}"#));
    prop_oneof![12 => object, 1 => longs, 1 => elements, 1 => scalar, 1 => json()]
}

fn is_json(text: &str) -> bool {
    dynamic::parse(text).is_some()
}

/// 120 cases, times `KYMA_CASES_FACTOR`.
fn config() -> ProptestConfig {
    let factor = std::env::var("KYMA_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1);
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120 * factor) }
}

proptest! {
    #![proptest_config(config())]
    #[test]
    fn paths_equal_the_slow_way(rows in proptest::collection::vec(proptest::option::weighted(0.9, json()), 1..40)) {
        check(&rows, 64)?;
    }

    #[test]
    fn regular_rows_equal_the_slow_way(
        rows in proptest::collection::vec(proptest::option::weighted(0.97, regular()), 1..160),
    ) {
        check(&rows, 100)?;
    }
}

fn check(rows: &[Option<String>], block_rows: usize) -> Result<(), TestCaseError> {
    let array: ArrayRef = Arc::new(rows.iter().map(Option::as_deref).collect::<StringViewArray>());
    let schema = Schema::new(vec![Column::new("d", Type::Dynamic)]);
    let batch = RecordBatch::try_new(schema.arrow(), vec![array]).unwrap();
    let encoded = Tlm.encode(&[batch], &options(block_rows)).unwrap();
    let source = CountingReader::new(encoded.bytes.clone());
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let reader = runtime.block_on(Tlm.open(source.clone(), &open_options(&encoded))).unwrap();
    let mut paths: Vec<Vec<String>> = vec![vec![]];
    for key in KEYS.map(|key| key.replace("\\n", "\n")) {
        paths.push(vec![key.clone()]);
        paths.push(vec!["a".to_owned(), key.clone()]);
        paths.push(vec!["a".to_owned(), "b".to_owned(), key.clone()]);
        paths.push(vec!["é\n".to_owned(), key]);
    }
    let selection: BooleanBuffer = (0..rows.len()).map(|row| row % 3 != 1).collect();
    for path in paths {
        for ty in [Type::Dynamic, Type::String, Type::Long, Type::Int, Type::Real, Type::Bool, Type::Datetime] {
            if path.is_empty() && ty != Type::Dynamic {
                continue;
            }
            let column = ReadColumn { source: ColumnRef::path("d", path.clone()), ty };
            let slow = match path.as_slice() {
                [] => Arc::new(rows.iter().map(Option::as_deref).collect::<StringViewArray>()),
                path => convert(rows.iter().map(|row| dynamic::get(row.as_deref()?, path)), ty, rows.len()),
            };
            for (block, start) in (0..rows.len()).step_by(block_rows).enumerate() {
                let count = block_rows.min(rows.len() - start);
                let expected = slow.slice(start, count);
                let bits = selection.slice(start, count);
                let picked = arrow::compute::filter(&expected, &bits.clone().into()).unwrap();
                for (bits, expected) in [(None, expected), (Some(&bits), picked)] {
                    let read = reader.read(source.as_ref(), block as u32, std::slice::from_ref(&column), bits);
                    let read = runtime.block_on(read).unwrap();
                    prop_assert_eq!(read.num_rows(), expected.len());
                    for row in 0..expected.len() {
                        let (read, slow) = (read.column(0).slice(row, 1), expected.slice(row, 1));
                        // The text of an object may have its members in another order.
                        let is_nested =
                            slow.as_string_view_opt().is_some_and(|text| text.value(0).starts_with(['{', '[']));
                        let compare_as = if is_nested { Type::Dynamic } else { ty };
                        prop_assert!(same(compare_as, &read, &slow), "{path:?} as {ty}: {read:?}, not {slow:?}");
                    }
                }
            }
            check_stats(reader.as_ref(), &column.source, &slow, ty, block_rows)?;
        }
    }
    Ok(())
}

/// Counts of nulls are true of JSON, and bounds of what it converts to.
fn check_stats(
    reader: &dyn SegmentReader,
    column: &ColumnRef,
    slow: &ArrayRef,
    ty: Type,
    block_rows: usize,
) -> Result<(), TestCaseError> {
    if column.path.is_empty() {
        return Ok(());
    }
    let blocks = (0..slow.len()).step_by(block_rows).enumerate();
    let parts = blocks.map(|(block, start)| (Some(block as u32), start, block_rows.min(slow.len() - start)));
    for (block, start, count) in parts.chain([(None, 0, slow.len())]) {
        let Some((_, stats)) = reader.stats(block, column) else { continue };
        let slow = slow.slice(start, count);
        if ty == Type::Dynamic && stats.is_known() {
            prop_assert_eq!(stats.nulls, slow.null_count() as u64, "{:?} of {:?}", column, stats);
        }
        for row in (0..slow.len()).filter(|&row| slow.is_valid(row)) {
            let value = kyma_testkit::format::value(ty, &slow, row);
            // A long that a real rounds is compared with care by pruners, not by its bounds.
            if matches!(value, Value::Real(real) if real.abs() >= 9e15) {
                continue;
            }
            let out_of = |bound: &Option<Value>, side: Ordering| {
                bound.as_ref().is_some_and(|bound| value.partial_compare(bound) == Some(side))
            };
            let is_inside = !out_of(&stats.min, Ordering::Less) && !out_of(&stats.max, Ordering::Greater);
            prop_assert!(is_inside, "{value:?} of {column:?} is not within {stats:?}");
        }
    }
    Ok(())
}
