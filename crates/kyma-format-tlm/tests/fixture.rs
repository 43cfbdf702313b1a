//! Files written by every version still open and answer.
//!
//! A fixture never changes. `KYMA_WRITE_FIXTURE=1` writes those that are not there yet: for a new version or encoding, under a
//! new name.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, AsArray, Float64Array, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray,
};
use kyma_core::format::{EncodeOptions, OpenOptions, PruneRequest, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::ids::ExtentId;
use kyma_core::predicate::{ColumnRef, Predicate, TextOp};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, options};

const ROWS: usize = 1_500;
const BLOCK_ROWS: usize = 1_200;

fn path(name: &str) -> std::path::PathBuf {
    std::path::Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures")).join(name)
}

/// The rows with two columns more: a clock, and another that rarely differs from it.
fn rows_of_two_clocks() -> RecordBatch {
    let clock = |n: i64| 1_700_000_000_000_000_000 + n * 1_000_003 + n * n % 977;
    let other = |n: i64| clock(n) + i64::from(n % 400 == 3);
    let numbers = 0..ROWS as i64;
    let rows = rows();
    let names = ["received", "observed"].map(|name| Column::new(name, Type::Long));
    let schema = Schema::new(Schema::of_arrow(&rows.schema()).columns().iter().cloned().chain(names).collect());
    let mut arrays = rows.columns().to_vec();
    arrays.push(Arc::new(numbers.clone().map(|n| Some(clock(n))).collect::<Int64Array>()));
    arrays.push(Arc::new(numbers.map(|n| Some(other(n))).collect::<Int64Array>()));
    RecordBatch::try_new(schema.arrow(), arrays).unwrap()
}

fn rows() -> RecordBatch {
    let numbers = 0..ROWS as i64;
    let columns = [
        ("datetime", Type::Datetime),
        ("status", Type::Long),
        ("trace", Type::String),
        ("message", Type::String),
        ("attributes", Type::Dynamic),
    ];
    let schema = Schema::new(columns.map(|(name, ty)| Column::new(name, ty)).to_vec());
    let arrays: Vec<ArrayRef> = vec![
        Arc::new(
            numbers
                .clone()
                .map(|n| Some(1_700_000_000_000_000_000 + n * 1_000_000))
                .collect::<TimestampNanosecondArray>(),
        ),
        Arc::new(numbers.clone().map(|n| (n % 7 != 0).then_some(200 + n % 3)).collect::<Int64Array>()),
        Arc::new(numbers.clone().map(|n| Some(format!("{:032x}", n * 0x9E37_79B9))).collect::<StringViewArray>()),
        Arc::new(
            numbers
                .clone()
                .map(|n| Some(format!("request {n} served in {} ms – ok", n * 31 % 977)))
                .collect::<StringViewArray>(),
        ),
        Arc::new(
            numbers
                .map(|n| Some(format!(r#"{{"http":{{"status":{},"path":"/item/{n}"}},"tags":[{n}]}}"#, 200 + n % 3)))
                .collect::<StringViewArray>(),
        ),
    ];
    RecordBatch::try_new(schema.arrow(), arrays).unwrap()
}

/// The footer's length is the catalog's to know: body bytes stand at the start of the 28-byte tail.
fn footer_length(bytes: &[u8]) -> u32 {
    let tail = &bytes[bytes.len() - 28..];
    u32::from_le_bytes(tail[..4].try_into().unwrap()) + 28
}

#[tokio::test]
async fn version_1_0_opens_and_answers() {
    check("v1.0.tlm", &rows()).await;
}

#[tokio::test]
async fn differences_open_and_answer() {
    let described = check("v1.0-difference.tlm", &rows_of_two_clocks()).await;
    assert_eq!(described["blocks"][0]["columns"][6]["difference_to"], "received");
}

/// An extent with indexes of both kinds prunes by them.
#[tokio::test]
async fn indexes_open_and_answer() {
    for (name, level) in [("v1.1-filters.tlm", 0), ("v1.1-dictionary.tlm", 1)] {
        let described = check_at(name, &rows(), level).await;
        let dictionary = &described["indexes"]["fields"][1]["dictionary"];
        assert_eq!(dictionary["terms"].as_u64() > Some(0), level == 1, "{dictionary}");
        let (source, reader) = open(name).await;
        let has = |column: &str, needle: &str| Predicate::Text {
            column: ColumnRef::column(column),
            op: TextOp::Has,
            needle: needle.to_owned(),
            case_sensitive: false,
        };
        for (predicate, blocks) in [
            (has("message", "request 1300"), vec![1]),
            (has("message", "served"), vec![0, 1]),
            (has("message", "nothing"), vec![]),
            (has("trace", &format!("{:032x}", 7 * 0x9E37_79B9_u64)), vec![0]),
        ] {
            let request = PruneRequest {
                predicate: &predicate,
                schema: reader.schema(),
                time_column: "datetime",
                null_strings_are_empty: true,
                candidates: &[0, 1],
            };
            let pruned = reader.prune(source.as_ref(), &request).await.unwrap();
            assert_eq!(pruned.blocks, blocks, "{name}: {predicate:?}");
        }
    }
}

#[tokio::test]
async fn templates_open_and_answer() {
    let described = check_at("v1.1-templates.tlm", &rows(), 1).await;
    assert_eq!(described["blocks"][0]["columns"][3]["encoding"], "template");
    assert_eq!(described["templates"][0]["template"], "request <*> served in <*> ms – ok");
    assert_eq!(described["templates"][0]["rows"], ROWS);
}

/// An extent says where its rows came from, and one of before that was kept says that it does not know.
#[tokio::test]
async fn provenance_opens_and_answers() {
    check("v1.2-provenance.tlm", &rows()).await;
    let (_, reader) = open("v1.2-provenance.tlm").await;
    let (identity, written) = (reader.identity().unwrap(), options(BLOCK_ROWS));
    assert_eq!((identity.raw_bytes, identity.writes), (Some(written.raw_bytes), written.writes));
    assert_eq!(identity.replaces, written.replaces);
    assert_eq!(identity.checksum.map(|checksum| checksum.bytes > 0), Some(true));
    let (_, reader) = open("v1.1-templates.tlm").await;
    let identity = reader.identity().unwrap();
    assert_eq!((identity.table_name.as_str(), identity.rows, identity.blocks), ("logs", ROWS as u64, 2));
    assert_eq!((identity.raw_bytes, identity.checksum, identity.writes), (None, None, Vec::new()));
}

/// Gives the description, for what else a fixture shows.
async fn check(name: &str, expected: &RecordBatch) -> serde_json::Value {
    check_at(name, expected, 0).await
}

/// Rows that a thorough writer stores in every way it has.
fn rows_of_spans() -> RecordBatch {
    let mixed = |n: i64| (n as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let noise = |n: i64| ((mixed(n) ^ mixed(n) >> 29).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 40) as i64;
    let start = |n: i64| 1_700_000_000_000_000_000 + n * 1_000_003 + noise(n);
    let span = |n: i64| format!("{:016x}", (n as u64 + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15));
    let numbers = || 0..ROWS as i64;
    let longs = |value: &dyn Fn(i64) -> i64| -> ArrayRef {
        Arc::new(numbers().map(|n| Some(value(n))).collect::<Int64Array>())
    };
    let texts = |value: &dyn Fn(i64) -> Option<String>| -> ArrayRef {
        Arc::new(numbers().map(value).collect::<StringViewArray>())
    };
    let reals = |value: &dyn Fn(i64) -> f64| -> ArrayRef {
        Arc::new(numbers().map(|n| Some(value(n))).collect::<Float64Array>())
    };
    let rows = rows();
    let columns: [(&str, Type, ArrayRef); 11] = [
        ("start", Type::Long, longs(&start)),
        ("end", Type::Long, longs(&|n| start(n) + noise(n * 7))),
        ("took", Type::Long, longs(&|n| noise(n * 7) / 1_000)),
        ("skewed", Type::Long, longs(&|n| i64::from((noise(n) as u32).leading_zeros()))),
        ("span", Type::String, texts(&|n| Some(span(n)))),
        ("parent", Type::String, texts(&|n| (n % 9 != 0).then(|| span(n * 7 % ROWS as i64)))),
        ("order", Type::String, texts(&|n| Some(format!("Z{}", noise(n))))),
        (
            "stamp",
            Type::String,
            texts(&|n| Some(format!("2026-11-26 17:{:02}:{:02}.{:03}", n / 60 % 60, n % 60, n % 997))),
        ),
        ("path", Type::String, texts(&|n| Some(format!("/api/v{}/orders/{}/items", noise(n) % 3, noise(n) % 200)))),
        ("few", Type::Real, reals(&|n| (noise(n) % 50) as f64 / 7.0)),
        ("root", Type::Real, reals(&|n| f64::from((n as f32).sqrt()))),
    ];
    let named = columns.iter().map(|(name, ty, _)| Column::new(*name, *ty));
    let schema = Schema::new(Schema::of_arrow(&rows.schema()).columns().iter().cloned().chain(named).collect());
    let arrays = rows.columns().iter().cloned().chain(columns.iter().map(|(_, _, array)| array.clone())).collect();
    RecordBatch::try_new(schema.arrow(), arrays).unwrap()
}

#[tokio::test]
async fn thorough_encodings_open_and_answer() {
    let described = check_at("v1.1-encodings.tlm", &rows_of_spans(), 1).await;
    let columns = described["blocks"][0]["columns"].as_array().unwrap();
    let encodings: Vec<&str> = columns.iter().skip(5).map(|column| column["encoding"].as_str().unwrap()).collect();
    let expected = [
        "integers",
        "difference",
        "quotient",
        "integers",
        "shared-dictionary",
        "shared-dictionary",
        "spelled",
        "spelled",
        "front-dictionary",
        "dictionary-real",
        "ordered-real",
    ];
    assert_eq!(encodings, expected);
}

async fn open(name: &str) -> (Arc<CountingReader>, Arc<dyn SegmentReader>) {
    let bytes = bytes::Bytes::from(std::fs::read(path(name)).unwrap());
    let source = CountingReader::new(bytes.clone());
    let open = OpenOptions {
        extent: ExtentId(uuid::Uuid::from_u128(7)),
        length: bytes.len() as u64,
        footer_length: footer_length(&bytes),
        footer: None,
    };
    let reader = Tlm.open(source.clone(), &open).await.unwrap();
    (source, reader)
}

async fn check_at(name: &str, expected: &RecordBatch, level: u8) -> serde_json::Value {
    if std::env::var_os("KYMA_WRITE_FIXTURE").is_some() && !path(name).exists() {
        let encoded =
            Tlm.encode(std::slice::from_ref(expected), &EncodeOptions { level, ..options(BLOCK_ROWS) }).unwrap();
        #[allow(clippy::disallowed_methods, reason = "the fixture is written once, by hand")]
        std::fs::write(path(name), &encoded.bytes).unwrap();
    }
    let (source, reader) = open(name).await;
    assert_eq!(reader.block_rows(), [1_200, 300]);
    let bytes = std::fs::read(path(name)).unwrap();
    let found = Tlm.find_footer(source.as_ref(), bytes.len() as u64).await.unwrap();
    assert_eq!(found, Some(footer_length(&bytes)));
    assert_eq!(reader.describe()["table"]["name"], "logs");
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    for (block, start) in [(0, 0), (1, BLOCK_ROWS)] {
        let read = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
        assert_eq!(read.columns(), expected.slice(start, read.num_rows()).columns());
    }
    let status = ColumnRef::path("attributes", vec!["http".to_owned(), "status".to_owned()]);
    let (ty, stats) = reader.stats(None, &status).unwrap();
    assert_eq!((ty, stats.min, stats.max), (Type::Long, Some(Value::Long(200)), Some(Value::Long(202))));
    let column = ReadColumn { source: status, ty: Type::Long };
    let read = reader.read(source.as_ref(), 1, &[column], None).await.unwrap();
    assert_eq!(read.column(0).as_primitive::<arrow::datatypes::Int64Type>().value(0), 200);
    reader.describe()
}
