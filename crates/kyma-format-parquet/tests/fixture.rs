//! Extents of every version still open and read as they did. `KYMA_WRITE_FIXTURE=1` writes the one of this version, when
//! there is none.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Decimal128Array, DurationNanosecondArray, FixedSizeBinaryArray, Float64Array, Int32Array,
    Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray,
};
use kyma_core::format::{EncodeOptions, OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE, Type};
use kyma_format_parquet::Parquet;
use kyma_testkit::format::{CountingReader, options};

const ROWS: i64 = 200;
const BLOCK_ROWS: usize = 128;
/// Each fixture, the length of its footer, and whether it says where its rows came from.
const FIXTURES: [(&str, &str, bool); 2] =
    [("v1.0.parquet", "v1.0.footer_length", false), ("v1.1.parquet", "v1.1.footer_length", true)];

/// One column of every type; every ninth row is null.
fn rows() -> RecordBatch {
    let at = |row: i64| (row % 9 != 0).then_some(row * 7_919 % 1_009 - 300);
    let bits = || (0..ROWS).map(at);
    let texts = |text: fn(i64) -> String| bits().map(move |bits| bits.map(text)).collect::<StringViewArray>();
    let decimals = bits().map(|bits| bits.map(i128::from)).collect::<Decimal128Array>();
    let guids = bits().map(|bits| bits.map(|bits| (bits.unsigned_abs() as u128).to_be_bytes()));
    let arrays: [ArrayRef; 10] = [
        Arc::new(bits().map(|bits| bits.map(|bits| bits > 0)).collect::<BooleanArray>()),
        Arc::new(bits().map(|bits| bits.map(|bits| bits as i32)).collect::<Int32Array>()),
        Arc::new(bits().collect::<Int64Array>()),
        Arc::new(bits().map(|bits| bits.map(|bits| bits as f64 / 4.0)).collect::<Float64Array>()),
        Arc::new(decimals.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE).unwrap()),
        Arc::new((0..ROWS).map(|row| Some(1_700_000_000_000_000_000 + row)).collect::<TimestampNanosecondArray>()),
        Arc::new(bits().collect::<DurationNanosecondArray>()),
        Arc::new(FixedSizeBinaryArray::try_from_sparse_iter_with_size(guids, 16).unwrap()),
        Arc::new(texts(|bits| format!("text {bits}"))),
        Arc::new(texts(|bits| format!("{{\"n\":{bits},\"k\":{{\"s\":\"v{bits}\"}}}}"))),
    ];
    let columns = Type::ALL.map(|ty| Column::new(ty.name(), ty));
    RecordBatch::try_new(Schema::new(columns.to_vec()).arrow(), arrays.to_vec()).unwrap()
}

#[tokio::test]
async fn extents_of_every_version_open() {
    let folder = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures"));
    for (file, length_file, has_provenance) in FIXTURES {
        let reader = check(folder.join(file), folder.join(length_file)).await;
        let (identity, written) = (reader.identity().unwrap(), options(BLOCK_ROWS));
        assert_eq!((identity.table_name, identity.rows, identity.blocks), (written.table_name, ROWS as u64, 2));
        assert_eq!(identity.raw_bytes, has_provenance.then_some(written.raw_bytes));
        assert_eq!(identity.writes, if has_provenance { written.writes } else { Vec::new() });
        assert_eq!(identity.replaces, if has_provenance { written.replaces } else { Vec::new() });
        assert_eq!(identity.checksum.is_some(), has_provenance);
    }
}

async fn check(file: PathBuf, length_file: PathBuf) -> Arc<dyn SegmentReader> {
    if !file.exists() && std::env::var_os("KYMA_WRITE_FIXTURE").is_some() {
        write(&file, &length_file);
    }
    let bytes = std::fs::read(&file).expect("the fixture is there");
    let footer_length = std::fs::read_to_string(&length_file).expect("its footer's length is there");
    let open = OpenOptions {
        extent: options(1).extent,
        length: bytes.len() as u64,
        footer_length: footer_length.trim().parse().unwrap(),
        footer: None,
    };
    let source = CountingReader::new(bytes.into());
    let reader = Parquet.open(source.clone(), &open).await.unwrap();
    assert_eq!(reader.block_rows(), [128, 72]);
    let columns = Type::ALL.map(|ty| ReadColumn::column(ty.name(), ty));
    let mut from = 0;
    for block in 0..2 {
        let read = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
        assert_eq!(read.columns(), rows().slice(from, read.num_rows()).columns());
        from += read.num_rows();
    }
    let path = ReadColumn { source: ColumnRef::path("dynamic", vec!["n".to_owned()]), ty: Type::Long };
    let members = reader.read(source.as_ref(), 1, &[path], None).await.unwrap();
    assert_eq!(members.column(0), &rows().column(2).slice(128, 72));
    assert_eq!(reader.stats(None, &ColumnRef::column("int")).unwrap().1.nulls, 23);
    reader
}

#[expect(clippy::disallowed_methods, reason = "the fixture is written once, by hand")]
fn write(file: &Path, length_file: &Path) {
    let options = EncodeOptions { level: 1, sorted_by: vec!["datetime".to_owned()], ..options(BLOCK_ROWS) };
    let encoded = Parquet.encode(&[rows()], &options).unwrap();
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(file, &encoded.bytes).unwrap();
    std::fs::write(length_file, encoded.footer_length.to_string()).unwrap();
}
