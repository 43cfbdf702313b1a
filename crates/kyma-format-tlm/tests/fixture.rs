//! A file written by the first version still opens and answers.
//!
//! The fixture never changes. `KYMA_WRITE_FIXTURE=1` writes it where there is none yet: for a new version, under a new name.

use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray};
use kyma_core::format::{OpenOptions, ReadColumn, SegmentFormat};
use kyma_core::ids::ExtentId;
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, options};

const ROWS: usize = 1_500;
const BLOCK_ROWS: usize = 1_200;

fn path() -> std::path::PathBuf {
    concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/v1.0.tlm").into()
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
    if std::env::var_os("KYMA_WRITE_FIXTURE").is_some() && !path().exists() {
        let encoded = Tlm.encode(&[rows()], &options(BLOCK_ROWS)).unwrap();
        #[allow(clippy::disallowed_methods, reason = "the fixture is written once, by hand")]
        std::fs::write(path(), &encoded.bytes).unwrap();
    }
    let bytes = bytes::Bytes::from(std::fs::read(path()).unwrap());
    let source = CountingReader::new(bytes.clone());
    let open = OpenOptions {
        extent: ExtentId(uuid::Uuid::from_u128(7)),
        length: bytes.len() as u64,
        footer_length: footer_length(&bytes),
        footer: None,
    };
    let reader = Tlm.open(source.clone(), &open).await.unwrap();
    assert_eq!(reader.block_rows(), [1_200, 300]);
    assert_eq!(reader.describe()["table"]["name"], "logs");
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let expected = rows();
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
}
