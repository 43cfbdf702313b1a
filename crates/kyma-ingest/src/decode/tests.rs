//! Decoding against examples, and against `serde_json` as the slow, obvious way.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type, TimestampNanosecondType};
use bytes::Bytes;
use kyma_core::catalog::Table;
use kyma_core::schema::UNMAPPED_COLUMN;
use kyma_core::{Column, DatabaseId, Schema, TableId, Type};
use proptest::prelude::*;

use super::build::{Built, build, epoch_nanos};
use super::cells::Cells;
use super::mapped::Fields;
use super::split::{Chunk, Layout, Rows, splitter};
use super::{csv, infer, json};
use crate::answer::BodyFormat;
use crate::mapping::Mapping;
use crate::settings::{CHUNK_BYTES, LINE_BYTES_MAX};

const NOW: i64 = 1_700_000_000_000_000_000;

/// The chunks of a body that comes in pieces of `piece` bytes.
fn split(format: BodyFormat, body: &[u8], piece: usize) -> Vec<Chunk> {
    let mut splitter = splitter(format, Layout::default());
    let mut chunks: Vec<Chunk> = body.chunks(piece).filter_map(|piece| splitter.push(piece).unwrap()).collect();
    chunks.extend(splitter.finish().unwrap());
    chunks
}

fn cells(chunk: &Chunk) -> Cells {
    match &chunk.rows {
        Rows::Records(header) => csv::decode(&chunk.bytes, header),
        Rows::Fields(_) | Rows::Whole(_) => panic!("not split as text"),
        Rows::At(rows) => json::decode(&chunk.bytes, rows, None),
        Rows::Lines => {
            let text = std::str::from_utf8(&chunk.bytes).unwrap();
            let start = |line: &str| line.as_ptr() as usize - text.as_ptr() as usize;
            let rows: Vec<_> = text.split('\n').map(|line| start(line)..start(line) + line.len()).collect();
            json::decode(&chunk.bytes, &rows, None)
        }
    }
}

fn decode(format: BodyFormat, body: &str) -> Cells {
    let chunks = split(format, body.as_bytes(), 7);
    assert_eq!(chunks.len(), 1, "one chunk");
    cells(&chunks[0])
}

/// What a new table gets from a body.
fn fresh(format: BodyFormat, body: &str) -> (Table, Built) {
    let cells = decode(format, body);
    let table = table_of(&cells);
    let built = build(&cells, &table, NOW).unwrap();
    (table, built)
}

fn table_of(cells: &Cells) -> Table {
    let new = infer::new_table(cells, "toy");
    Table {
        id: TableId(1),
        database: DatabaseId(1),
        database_name: "d".into(),
        name: "t".into(),
        schema: new.schema,
        schema_version: 1,
        time_column: new.time_column,
        sort_key: new.sort_key,
        format: new.format,
        deduplication_seconds: 0,
    }
}

fn types(table: &Table) -> String {
    let columns: Vec<_> =
        table.schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
    columns.join(" ")
}

/// A column's values as text, `-` for null.
fn shown(batch: &RecordBatch, name: &str) -> Vec<String> {
    let Some(column) = batch.column_by_name(name) else { return vec!["absent".into()] };
    let show = |row: usize| match column.data_type() {
        _ if column.is_null(row) => "-".to_owned(),
        arrow::datatypes::DataType::Utf8View => column.as_string_view().value(row).to_owned(),
        arrow::datatypes::DataType::Int64 => column.as_primitive::<Int64Type>().value(row).to_string(),
        arrow::datatypes::DataType::Float64 => column.as_primitive::<Float64Type>().value(row).to_string(),
        arrow::datatypes::DataType::Boolean => column.as_boolean().value(row).to_string(),
        arrow::datatypes::DataType::Timestamp(..) => {
            kyma_core::time::format_datetime(column.as_primitive::<TimestampNanosecondType>().value(row))
        }
        other => panic!("{other}"),
    };
    (0..column.len()).map(show).collect()
}

#[test]
fn types_are_inferred_from_all_rows() {
    let body = r#"
        {"ts":"2022-08-22T05:18:16.154660034Z","b":true,"i":1,"r":1,"s":"x","o":{"a":[1, 2]},"m":1,"d":"2022-01-01","n":null}
        {"ts":"2022-08-22T05:18:17Z","b":false,"i":-2,"r":1.5,"s":"2022-01-01","o":[ ],"m":"x","d":"2022-01-02"}
        {"big":18446744073709551615}
    "#;
    let (table, built) = fresh(BodyFormat::NdJson, body);
    assert_eq!(types(&table), "ts:datetime b:bool i:long r:real s:string o:dynamic m:dynamic d:datetime big:dynamic");
    assert_eq!(table.time_column, "ts");
    let show = |name| shown(&built.batch, name).join(" ");
    assert_eq!(
        show("ts"),
        "2022-08-22T05:18:16.1546600Z 2022-08-22T05:18:17.0000000Z 2023-11-14T22:13:20.0000000Z",
        "a row without event time gets the time of ingestion"
    );
    assert_eq!(show("b"), "true false -");
    assert_eq!(show("i"), "1 -2 -");
    assert_eq!(show("r"), "1 1.5 -");
    assert_eq!(show("o"), r#"{"a":[1,2]} [] -"#);
    assert_eq!(show("m"), r#"1 "x" -"#);
    assert_eq!(show("big"), "- - 18446744073709551615");
    assert_eq!(built.unmapped, 0);
}

#[test]
fn the_event_time_is_found_by_name() {
    for (body, column) in [
        (r#"{"time":35,"Timestamp":"2022-01-01T00:00:00Z"}"#, "Timestamp"),
        (r#"{"time":35}"#, "_ingestion_time"),
        (r#"{"a":"2022-01-01"}"#, "_ingestion_time"),
        (r#"{"ts":1591367999.305988}"#, "ts"),
        (r#"{"ts":1591367999305}"#, "ts"),
        (r#"{"@timestamp":"2022-01-01T00:00:00Z","ts":"2022-01-01T00:00:00Z"}"#, "@timestamp"),
        (r#"{"time":"yesterday"}"#, "_ingestion_time"),
    ] {
        let (table, built) = fresh(BodyFormat::NdJson, body);
        assert_eq!(table.time_column, column, "{body}");
        assert_eq!(built.batch.column_by_name(column).unwrap().null_count(), 0);
    }
    assert_eq!(epoch_nanos("1591367999.305988"), Some(1_591_367_999_305_988_000));
    assert_eq!(epoch_nanos("1591367999"), Some(1_591_367_999_000_000_000));
    assert_eq!(epoch_nanos("1591367999305"), Some(1_591_367_999_305_000_000));
    assert_eq!(epoch_nanos("1591367999305988"), Some(1_591_367_999_305_988_000));
    assert_eq!(epoch_nanos("1591367999305988123"), Some(1_591_367_999_305_988_123));
    assert_eq!(epoch_nanos("35"), None);
}

#[test]
fn the_sort_key_is_guessed() {
    let body =
        r#"{"ts":"2022-01-01","message":"m","k8s":{"node":"n","pod":"p","x.service":"s"},"Host":"h","system":"s"}"#;
    assert_eq!(fresh(BodyFormat::NdJson, body).0.sort_key, ["k8s.pod", "Host", "k8s.node"]);
}

#[test]
fn what_does_not_fit_is_kept_in_the_bag() {
    let mut table =
        table_of(&decode(BodyFormat::NdJson, r#"{"ts":"2022-01-01","n":1,"s":"x","b":true,"t":"2022-01-01"}"#));
    let mut columns = table.schema.columns().to_vec();
    columns.push(Column::new("g", Type::Guid));
    columns.push(Column::new("dec", Type::Decimal));
    columns.push(Column::new("span", Type::Timespan));
    table.schema = Schema::new(columns);
    let body = r#"
        {"ts":"never","n":"abc","s":5,"b":"yes","t":1591367999,"_unmapped":[1],"n":7}
        {"ts":1591367999,"n":2.0,"g":"0e984725-c51c-4bf4-9960-e1c80e27aba0","dec":1.5,"span":"1.02:03:04"}
        {"n":1e30,"g":"no","dec":"x","span":1,"":1}
    "#;
    let cells = decode(BodyFormat::NdJson, body);
    assert_eq!(infer::growth(&cells, &table), [Column::new("n", Type::Real)]);
    let built = build(&cells, &table, NOW).unwrap();
    assert_eq!(shown(&built.batch, "n"), ["-", "2", "-"]);
    assert_eq!(shown(&built.batch, "ts")[1], "2020-06-05T14:39:59.0000000Z");
    assert_eq!(
        shown(&built.batch, UNMAPPED_COLUMN),
        [
            r#"{"_unmapped":[1],"n":7,"ts":"never","n":"abc","s":5,"b":"yes","t":1591367999}"#,
            "-",
            r#"{"":1,"n":1e30,"g":"no","dec":"x","span":1}"#,
        ]
    );
    assert_eq!(built.unmapped, 12);
}

#[test]
fn broken_rows_are_rejected_and_leave_nothing() {
    let deep = format!(r#"{{"a":{}1{}}}"#, "[".repeat(64), "]".repeat(64));
    let very_deep = "[".repeat(100_000);
    for (line, reason) in [
        (r#"{"a":1"#, "broken json"),
        (r#"{"a":1} x"#, "text after the object"),
        (r#"{"a":1}}"#, "text after the object"),
        (r#"{} {}"#, "text after the object"),
        (r#"{"a":tru}"#, "broken json"),
        (r#"{"a":01}"#, "broken json"),
        (r#"{"a":"\x"}"#, "broken json"),
        (r#"{"a":"\ud800"}"#, "broken json"),
        (r#"{"a":{"b":"\ud800x"}}"#, "broken json"),
        (r#"{"b":"kept?","a":"x}"#, "broken json"),
        (r#"[1]"#, "not a json object"),
        (r#""text""#, "not a json object"),
        ("plain text", "not a json object"),
        (&deep, "nested deeper"),
        (&format!(r#"{{"a":{very_deep}"#), "nested deeper"),
    ] {
        let cells = decode(BodyFormat::NdJson, &format!("{{\"z\":1}}\n{line}\n{{\"z\":2}}"));
        assert_eq!((cells.rows, cells.rejected.len()), (2, 1), "{line:.80}");
        assert!(cells.rejected[0].reason.contains(reason), "{line:.80}: {}", cells.rejected[0].reason);
        assert!(line.starts_with(&cells.rejected[0].raw));
        let built = build(&cells, &table_of(&cells), NOW).unwrap();
        assert_eq!(shown(&built.batch, "z"), ["1", "2"]);
        assert_eq!(shown(&built.batch, "b"), ["absent"]);
    }
    let nested = format!(r#"{{"a":{}1{}}}"#, "[".repeat(63), "]".repeat(63));
    assert_eq!(decode(BodyFormat::NdJson, &nested).rows, 1, "as deep as is allowed");
}

#[test]
fn json_bodies() {
    for (body, rows) in [
        (r#"[{"a":1},{"a":2}]"#, 2),
        ("\u{feff} [ {\"a\" : \"]}\\\"\" } ,\n {\"a\":[{}]} ]\n", 2),
        (r#"{"a":1}"#, 1),
        ("{\"a\":1}\n{\"a\":2} {\"a\":3}", 3),
        ("[]", 0),
        ("", 0),
    ] {
        for piece in [1, 2, 1_000] {
            let chunks = split(BodyFormat::Json, body.as_bytes(), piece);
            let decoded: u32 = chunks.iter().map(|chunk| cells(chunk).rows).sum();
            let rejected: usize = chunks.iter().map(|chunk| chunk.rejected.len() + cells(chunk).rejected.len()).sum();
            assert_eq!((decoded, rejected), (rows, 0), "{body}");
        }
    }
    for (body, rows, rejected) in [
        (r#"[{"a":1},{"a":2}"#, 2, 1),
        (r#"[{"a":1},{"a":"#, 1, 1),
        (r#"[1,"x",null,{"a":1}]"#, 1, 3),
        ("hello", 0, 1),
        (r#""unclosed"#, 0, 1),
    ] {
        let chunks = split(BodyFormat::Json, body.as_bytes(), 1);
        let decoded: u32 = chunks.iter().map(|chunk| cells(chunk).rows).sum();
        let refused: usize = chunks.iter().map(|chunk| chunk.rejected.len() + cells(chunk).rejected.len()).sum();
        assert_eq!((decoded, refused), (rows, rejected), "{body}");
    }
}

#[test]
fn csv_bodies() {
    let body = "a,b,c,d,e,zip\r\n1,1.5,true,2022-01-01,\"x,\"\"y\"\"\n z\",007\n2,,false,2022-01-02,,8\n";
    let (table, built) = fresh(BodyFormat::Csv, body);
    assert_eq!(types(&table), "_ingestion_time:datetime a:long b:real c:bool d:datetime e:string zip:string");
    assert_eq!(shown(&built.batch, "e"), ["x,\"y\"\n z", "-"]);
    assert_eq!(shown(&built.batch, "b"), ["1.5", "-"]);
    assert_eq!(shown(&built.batch, "zip"), ["007", "8"]);

    let cells = decode(BodyFormat::Csv, "a,b\n1,2\n1\n1,2,3\n3,4");
    assert_eq!((cells.rows, cells.rejected.len()), (2, 2));
    assert_eq!(cells.rejected[0].raw, "1");
    let open = split(BodyFormat::Csv, b"a\n1\n\"x\n2\n", 3);
    assert!(open[0].rejected[0].reason.contains("quote"));
    assert_eq!(
        super::split::splitter(BodyFormat::Csv, Layout::default()).push(b"a,a\n1,2\n").unwrap_err().code(),
        "ingest.header_invalid"
    );
    let mut endless = super::split::splitter(BodyFormat::Csv, Layout::default());
    let header = vec![b'x'; LINE_BYTES_MAX + 1];
    assert_eq!(endless.push(&header).unwrap_err().code(), "ingest.header_invalid");
    assert!(split(BodyFormat::Csv, b"a,b", 10).iter().all(|chunk| cells_rows(chunk) == 0));
}

fn cells_rows(chunk: &Chunk) -> u32 {
    cells(chunk).rows
}

#[test]
fn long_rows_pass_without_being_held() {
    let long = vec![b'x'; LINE_BYTES_MAX + CHUNK_BYTES];
    for (format, before, after) in [
        (BodyFormat::NdJson, "{\"a\":1}\n{\"a\":\"", "\"}\n{\"a\":2}\n"),
        (BodyFormat::Json, "[{\"a\":1},{\"a\":\"", "\"},{\"a\":2}]"),
        (BodyFormat::Csv, "a\n1\n\"", "\"\n2\n"),
    ] {
        let body = [before.as_bytes(), &long, after.as_bytes()].concat();
        let chunks = split(format, &body, 100_000);
        assert!(chunks.iter().all(|chunk| chunk.bytes.len() < 3 * CHUNK_BYTES), "{format:?}");
        let rows: u32 = chunks.iter().map(|chunk| cells(chunk).rows).sum();
        let rejected: Vec<_> = chunks.iter().flat_map(|chunk| &chunk.rejected).collect();
        assert_eq!((rows, rejected.len()), (2, 1), "{format:?}");
        assert!(rejected[0].reason.contains("longer than"), "{}", rejected[0].reason);
        assert!(rejected[0].raw.len() <= crate::settings::RAW_BYTES_MAX);
        assert_eq!(chunks.iter().map(|chunk| chunk.raw_bytes).sum::<u64>(), body.len() as u64);
    }
}

#[test]
fn keys_in_any_order_find_their_columns() {
    let body = "{\"a\":1,\"b\":2}\n{\"b\":3,\"a\":4}\n{\"\\u0061\":5}\n{\"c\":null,\"b\":6}\n";
    let (_, built) = fresh(BodyFormat::NdJson, body);
    assert_eq!(shown(&built.batch, "a"), ["1", "4", "5", "-"]);
    assert_eq!(shown(&built.batch, "b"), ["2", "3", "-", "6"]);
}

fn values() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(serde_json::Value::from),
        any::<i64>().prop_map(serde_json::Value::from),
        any::<u64>().prop_map(serde_json::Value::from),
        any::<f64>().prop_filter("finite", |real| real.is_finite()).prop_map(serde_json::Value::from),
        "\\PC{0,12}".prop_map(serde_json::Value::from),
        "[\"\\\\\u{0}-\u{1f}a]{0,6}".prop_map(serde_json::Value::from),
    ];
    leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..3).prop_map(serde_json::Value::from),
            proptest::collection::btree_map("[a-c. ]{0,3}", inner, 0..3)
                .prop_map(|map| serde_json::Value::Object(map.into_iter().collect())),
        ]
    })
}

/// A batch's row as JSON: columns, and what is in the bag.
fn row_as_json(batch: &RecordBatch, row: usize) -> BTreeMap<String, serde_json::Value> {
    let mut found = BTreeMap::new();
    for (field, column) in batch.schema().fields().iter().zip(batch.columns()) {
        if column.is_null(row) || field.name() == "_ingestion_time" {
            continue;
        }
        let value = match Type::of_field(field) {
            Type::Bool => column.as_boolean().value(row).into(),
            Type::Long => column.as_primitive::<Int64Type>().value(row).into(),
            Type::Real => column.as_primitive::<Float64Type>().value(row).into(),
            Type::String => column.as_string_view().value(row).into(),
            Type::Dynamic => serde_json::from_str(column.as_string_view().value(row)).unwrap(),
            Type::Datetime => continue,
            other => panic!("{other}"),
        };
        match (field.name() == UNMAPPED_COLUMN, value) {
            (true, serde_json::Value::Object(bag)) => found.extend(bag),
            (_, value) => {
                found.insert(field.name().clone(), value);
            }
        }
    }
    found
}

/// Equal but for the last bits, which serde_json's parser gets wrong; subnormal numbers have as few as the smallest normal one.
fn near(a: Option<f64>, b: Option<f64>) -> bool {
    a.zip(b).is_some_and(|(a, b)| a == b || (a - b).abs() <= 1e-15 * a.abs().max(f64::MIN_POSITIVE))
}

/// Numbers of either kind compare by value.
fn same(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    match (a, b) {
        (serde_json::Value::Number(a), serde_json::Value::Number(b)) => a == b || near(a.as_f64(), b.as_f64()),
        (serde_json::Value::Array(a), serde_json::Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b))
        }
        (serde_json::Value::Object(a), serde_json::Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        (a, b) => a == b,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    /// Whatever the columns' types, every value of every row is somewhere: in its column or in the bag.
    #[test]
    fn no_value_is_lost(
        first in proptest::collection::vec(proptest::collection::btree_map("[a-e]|[x-z]\"|é", values(), 0..5), 1..6),
        second in proptest::collection::vec(proptest::collection::btree_map("[a-g]", values(), 0..5), 1..6),
        pretty in any::<bool>(),
        piece in 1_usize..40,
    ) {
        let mut table: Option<Table> = None;
        for rows in [first, second] {
            let body = if pretty {
                serde_json::to_string_pretty(&rows).unwrap()
            } else {
                rows.iter().map(|row| serde_json::to_string(row).unwrap() + "\n").collect()
            };
            let format = if pretty { BodyFormat::Json } else { BodyFormat::NdJson };
            let chunks = split(format, body.as_bytes(), piece);
            prop_assert_eq!(chunks.len(), 1);
            let cells = cells(&chunks[0]);
            prop_assert_eq!(cells.rows as usize, rows.len());
            // The second body meets the first one's types, as if the catalog let nothing grow.
            let table = table.get_or_insert_with(|| table_of(&cells));
            let built = build(&cells, table, NOW).unwrap();
            for (at, row) in rows.iter().enumerate() {
                let found = row_as_json(&built.batch, at);
                for (key, value) in row {
                    let is_datetime = table.schema.column(key).is_some_and(|column| column.ty == Type::Datetime);
                    if value.is_null() || is_datetime {
                        continue;
                    }
                    prop_assert!(found.get(key).is_some_and(|kept| same(kept, value)), "{key}: {value} in {found:?}");
                }
            }
        }
    }

    /// Bytes of any sort are rows or rejected, never a panic.
    #[test]
    fn any_bytes_are_survived(body in proptest::collection::vec(any::<u8>(), 0..300), piece in 1_usize..40) {
        for format in [BodyFormat::NdJson, BodyFormat::Json, BodyFormat::Csv] {
            let mut splitter = splitter(format, Layout::default());
            let pushed: Result<Vec<_>, _> = body.chunks(piece).map(|piece| splitter.push(piece)).collect();
            let Ok(pushed) = pushed else { continue };
            let Ok(last) = splitter.finish() else { continue };
            for chunk in pushed.into_iter().flatten().chain(last) {
                let (groups, _) = crate::ingester::decode_cells(chunk, None);
                for cells in groups {
                    build(&cells, &table_of(&cells), NOW).unwrap();
                }
            }
        }
    }

    /// JSON-like text, which gets further than random bytes.
    #[test]
    fn almost_json_is_survived(body in "[\\[\\]{}\",:\\\\a1.eu\n -]{0,80}") {
        for format in [BodyFormat::NdJson, BodyFormat::Json] {
            let bytes = Bytes::from(body.clone());
            let rows: Vec<_> = match format {
                BodyFormat::NdJson => crate::ingester::lines(&bytes),
                _ => split(format, body.as_bytes(), 3).iter().flat_map(|chunk| match &chunk.rows {
                    Rows::At(rows) => rows.clone(),
                    _ => Vec::new(),
                }).collect(),
            };
            let cells = json::decode(&bytes, &rows, None);
            let built = build(&cells, &table_of(&cells), NOW).unwrap();
            prop_assert_eq!(built.batch.num_rows(), cells.rows as usize);
            // What sonic-rs takes, serde_json takes, and the other way round.
            for row in rows {
                let line = body[row].trim_ascii();
                let is_object = serde_json::from_str::<serde_json::Map<String, serde_json::Value>>(line).is_ok();
                let rejected = cells.rejected.iter().any(|rejected| rejected.raw == line);
                if !line.is_empty() {
                    prop_assert_eq!(is_object, !rejected, "{}", line);
                }
            }
        }
    }
}

#[test]
fn a_table_takes_only_so_many_columns() {
    let row: Vec<String> = (0..1_500).map(|key| format!("\"k{key}\":{key}")).collect();
    let (table, built) = fresh(BodyFormat::NdJson, &format!("{{{}}}", row.join(",")));
    assert!(table.schema.len() < kyma_core::limits::TABLE_COLUMNS_MAX);
    let columns = table.schema.len() as u64 - 1;
    assert_eq!(built.unmapped, 1_500 - columns);
    assert!(infer::growth(&decode(BodyFormat::NdJson, r#"{"new":1}"#), &table).len() <= 1);
    let _: Arc<Table> = Arc::new(table);
}

/// What a table of these columns gets from a body through a mapping.
fn mapped(format: BodyFormat, mapping: &str, columns: &[(&str, Type)], body: &str) -> (Built, usize) {
    let mapping = Mapping::parse(format.mapping_kind(), mapping).unwrap();
    let columns: Vec<Column> = columns.iter().map(|(name, ty)| Column::new(*name, *ty)).collect();
    let fields = Fields::new(mapping.fields_for(&columns));
    let layout = Layout { fields: Some(fields.clone()), ..Layout::default() };
    let mut splitter = splitter(format, layout);
    let mut chunks: Vec<Chunk> = body.as_bytes().chunks(5).filter_map(|piece| splitter.push(piece).unwrap()).collect();
    chunks.extend(splitter.finish().unwrap());
    assert_eq!(chunks.len(), 1, "one chunk");
    let (mut groups, rejected) = crate::ingester::decode_cells(chunks.remove(0), Some(&fields));
    let cells = groups.remove(0);
    let new = infer::new_table_of(&Schema::new(columns), "toy");
    let table = Table { schema: new.schema, time_column: new.time_column, ..table_of(&cells) };
    let refused = rejected.len() + cells.rejected.len();
    (build(&cells, &table, NOW).unwrap(), refused)
}

#[test]
fn a_json_mapping_picks_paths() {
    let mapping = r#"[
        {"column":"n","Properties":{"Path":"$.a.b[1]"}},
        {"column":"s","Properties":{"Path":"$['x.y']"}},
        {"column":"text","Properties":{"Path":"$.a"}},
        {"column":"at","Properties":{"Path":"$.ms","Transform":"DateTimeFromUnixMilliseconds"}},
        {"column":"bag","Properties":{"Path":"$.list","Transform":"PropertyBagArrayToDictionary"}},
        {"column":"rest","Properties":{"Path":"$","Transform":"DropMappedFields"}},
        {"column":"c","Properties":{"ConstValue":"7"}}
    ]"#;
    let columns = [
        ("n", Type::Long),
        ("s", Type::String),
        ("text", Type::String),
        ("at", Type::Datetime),
        ("bag", Type::Dynamic),
        ("rest", Type::Dynamic),
        ("c", Type::Int),
    ];
    let body = concat!(
        r#"{"a":{"b":[1,"22"]},"x.y":"q\"\u00e9","ms":1700000000123,"list":[{"k":1},{"l":"m"}],"more":true,"none":null}"#,
        "\n",
        r#"{"a":5,"x.y":null,"ms":"1700000000123","list":7}"#,
        "\n[1]\n"
    );
    let (built, refused) = mapped(BodyFormat::NdJson, mapping, &columns, body);
    assert_eq!((built.batch.num_rows(), refused), (2, 1));
    assert_eq!(shown(&built.batch, "n"), ["22", "-"]);
    assert_eq!(shown(&built.batch, "s"), ["q\"\u{e9}", "-"]);
    assert_eq!(shown(&built.batch, "text"), [r#"{"b":[1,"22"]}"#, "5"]);
    let at = 1_700_000_000_123_000_000_i64;
    let times = built.batch.column_by_name("at").unwrap().as_primitive::<TimestampNanosecondType>().clone();
    assert_eq!(times.values().to_vec(), [at, at]);
    assert_eq!(shown(&built.batch, "bag"), [r#"{"k":1,"l":"m"}"#, "7"]);
    assert_eq!(shown(&built.batch, "rest"), [r#"{"more":true,"none":null}"#, "{}"]);
    assert_eq!(built.unmapped, 0);
}

#[test]
fn a_csv_mapping_picks_fields() {
    let mapping = r#"[{"Column":"b","Properties":{"Ordinal":"2"}},{"Column":"a","Properties":{"Ordinal":0}},
        {"Column":"c","Properties":{"ConstValue":"k"}}]"#;
    let columns = [("a", Type::Long), ("b", Type::String), ("c", Type::String)];
    let bodies = [
        (BodyFormat::CsvPositional, "1,x,\"p,q\"\n2\n3,,r,more\n"),
        (BodyFormat::TsvPositional, "1\tx\tp,q\n2\n3\t\tr\tmore\n"),
        (BodyFormat::TsvEscapedPositional, "1\tx\tp,q\n2\n3\t\tr\n"),
        (BodyFormat::PsvPositional, "1|x|p,q\n2\n3||r\n"),
        (BodyFormat::ScsvPositional, "1;x;p,q\n2\n3;;r\n"),
        (BodyFormat::SohsvPositional, "1\u{1}x\u{1}p,q\n2\n3\u{1}\u{1}r\n"),
    ];
    for (format, body) in bodies {
        let (built, refused) = mapped(format, mapping, &columns, body);
        assert_eq!(refused, 0, "{format:?}");
        assert_eq!(shown(&built.batch, "a"), ["1", "2", "3"], "{format:?}");
        assert_eq!(shown(&built.batch, "b"), ["p,q", "-", "r"], "{format:?}");
        assert_eq!(shown(&built.batch, "c"), ["k", "k", "k"], "{format:?}");
    }
}

#[test]
fn fields_without_names_take_the_columns_in_order() {
    let rows = |format: BodyFormat, skip_first: bool, body: &str| {
        let columns = vec!["a".to_owned(), "b".to_owned()];
        let mut splitter = splitter(format, Layout { columns, fields: None, skip_first });
        let mut chunks: Vec<Chunk> =
            body.as_bytes().chunks(3).filter_map(|piece| splitter.push(piece).unwrap()).collect();
        chunks.extend(splitter.finish().unwrap());
        let (groups, _) = crate::ingester::decode_cells(chunks.remove(0), None);
        let table = table_of(&groups[0]);
        let batch = build(&groups[0], &table, NOW).unwrap().batch;
        shown(&batch, "a")
    };
    assert_eq!(rows(BodyFormat::TextLines, false, "one, \"two\r\n\nthree"), ["one, \"two", "three"]);
    assert_eq!(rows(BodyFormat::TextLines, true, "head\none\n"), ["one"]);
    assert_eq!(rows(BodyFormat::Raw, false, "one\ntwo"), ["one\ntwo"]);
    assert_eq!(rows(BodyFormat::TsvEscapedPositional, false, "a\\tb\\n\\\\\t\"x\n"), ["a\tb\n\\"]);
    assert_eq!(rows(BodyFormat::CsvPositional, true, "\"h\n\",g\n1,2\n"), ["1"]);
}
