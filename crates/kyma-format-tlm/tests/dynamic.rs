//! Paths of random JSON, broken JSON included, against the slow way: `dynamic::get` of the whole text.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use kyma_core::dynamic;
use kyma_core::format::{ReadColumn, SegmentFormat};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, open_options, options, same, same_json};
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

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(120) })]
    #[test]
    fn paths_equal_the_slow_way(rows in proptest::collection::vec(proptest::option::weighted(0.9, json()), 1..40)) {
        let array: ArrayRef = Arc::new(rows.iter().map(Option::as_deref).collect::<StringViewArray>());
        let schema = Schema::new(vec![Column::new("d", Type::Dynamic)]);
        let batch = RecordBatch::try_new(schema.arrow(), vec![array]).unwrap();
        let encoded = Tlm.encode(&[batch], &options(64)).unwrap();
        let source = CountingReader::new(encoded.bytes.clone());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let reader = runtime.block_on(Tlm.open(source.clone(), &open_options(&encoded))).unwrap();
        let mut paths: Vec<Vec<String>> = vec![vec![]];
        for key in KEYS.map(|key| key.replace("\\n", "\n")) {
            paths.push(vec![key.clone()]);
            paths.push(vec!["a".to_owned(), key.clone()]);
            paths.push(vec!["a".to_owned(), "b".to_owned(), key]);
        }
        for path in paths {
            let column = ReadColumn { source: ColumnRef::path("d", path.clone()), ty: Type::Dynamic };
            let read = runtime.block_on(reader.read(source.as_ref(), 0, &[column], None)).unwrap();
            for (row, read) in rows.iter().zip(read.column(0).as_string_view()) {
                let slow = match path.as_slice() {
                    [] => row.as_deref().map(std::borrow::Cow::Borrowed),
                    path => row.as_deref().and_then(|row| dynamic::get(row, path)),
                };
                let equal = match (read, &slow) {
                    (Some(read), Some(slow)) => same_json(read, slow),
                    (read, slow) => read.is_none() && slow.is_none(),
                };
                prop_assert!(equal, "{path:?} of {row:?}: {read:?}, not {slow:?}");
            }
            if path.is_empty() {
                continue;
            }
            for ty in [Type::String, Type::Long, Type::Int, Type::Real, Type::Bool, Type::Datetime] {
                let column = ReadColumn { source: ColumnRef::path("d", path.clone()), ty };
                let read = runtime.block_on(reader.read(source.as_ref(), 0, &[column], None)).unwrap();
                let slow = convert(rows.iter().map(|row| dynamic::get(row.as_deref()?, &path)), ty, rows.len());
                let is_object = |array: &ArrayRef, row: usize| {
                    array.as_string_view_opt().is_some_and(|texts| texts.value(row).starts_with('{'))
                };
                for (row, whole) in rows.iter().enumerate() {
                    // The text of an object may have its members in another order.
                    let compare_as = if is_object(&slow, row) { Type::Dynamic } else { ty };
                    let equal = same(compare_as, &read.column(0).slice(row, 1), &slow.slice(row, 1));
                    prop_assert!(equal, "{path:?} as {ty} of {whole:?}: {:?}, not {slow:?}", read.column(0));
                }
            }
        }
    }
}
