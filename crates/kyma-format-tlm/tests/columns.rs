//! Bytes per column and CPU seconds of whole tables. Run by hand over Arrow IPC files of rows that are sorted already:
//! `KYMA_IPC=folder KYMA_LEVEL=1 cargo test --release -p kyma-format-tlm --test columns -- --ignored --nocapture`.
//! Beside each `name.arrow` it leaves `name.level.json`, to be compared with what another format takes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Schema as ArrowSchema;
use kyma_core::format::{EncodeOptions, OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::types::Type;
use kyma_format_tlm::Tlm;
use serde_json::json;

/// Seconds this thread has been on a CPU.
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}

/// The rows of a file, strings as views and every field tagged with its kyma type.
fn load(path: &Path) -> RecordBatch {
    let reader = arrow::ipc::reader::FileReader::try_new(std::fs::File::open(path).unwrap(), None).unwrap();
    let schema = reader.schema();
    let batches: Vec<RecordBatch> = reader.map(Result::unwrap).collect();
    let batch = arrow::compute::concat_batches(&schema, &batches).unwrap();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    for (field, array) in schema.fields().iter().zip(batch.columns()) {
        let is_text = matches!(field.data_type(), arrow::datatypes::DataType::Utf8);
        let ty = if is_text { Type::String } else { Type::of_field(field) };
        fields.push(ty.field(field.name()));
        arrays.push(arrow::compute::cast(array, &ty.arrow()).unwrap());
    }
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays).unwrap()
}

fn options(level: u8) -> EncodeOptions {
    EncodeOptions {
        extent: ExtentId::generate(),
        database: DatabaseId(1),
        database_name: "default".to_owned(),
        table: TableId(1),
        table_name: "rows".to_owned(),
        time_column: "timestamp".to_owned(),
        sorted_by: Vec::new(),
        level,
        block_rows: kyma_core::limits::BLOCK_ROWS,
        raw_bytes: 0,
        replaces: Vec::new(),
        writes: Vec::new(),
    }
}

/// Reads every block whole and in part, and compares; gives the CPU seconds of the whole reads.
async fn read_back(reader: &dyn SegmentReader, source: &bytes::Bytes, batch: &RecordBatch) -> f64 {
    let columns: Vec<_> =
        reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let (mut from, mut seconds) = (0, 0.0);
    for (block, &rows) in reader.block_rows().iter().enumerate() {
        let expected = batch.slice(from, rows as usize);
        from += rows as usize;
        let start = cpu_seconds();
        let read = reader.read(source, block as u32, &columns, None).await.unwrap();
        seconds += cpu_seconds() - start;
        for ((read, expected), field) in read.columns().iter().zip(expected.columns()).zip(batch.schema().fields()) {
            assert!(read == expected, "block {block}, column {}", field.name());
        }
        let selection: BooleanBuffer = (0..rows).map(|row| row % 2_801 == 7 || row % 5_000 > 4_990).collect();
        let some = reader.read(source, block as u32, &columns, Some(&selection)).await.unwrap();
        let filtered = arrow::compute::filter_record_batch(&expected, &selection.into()).unwrap();
        assert!(some.columns() == filtered.columns(), "selection of block {block}");
    }
    assert_eq!(from, batch.num_rows());
    seconds
}

#[tokio::test]
#[ignore = "needs a folder of Arrow files"]
async fn bytes_per_column() {
    let folder = PathBuf::from(std::env::var("KYMA_IPC").expect("KYMA_IPC names a folder"));
    let level = std::env::var("KYMA_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(1);
    let only = std::env::var("KYMA_ONLY").unwrap_or_default();
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|ext| ext == "arrow"));
    files.retain(|path| only.split(',').any(|only| path.to_string_lossy().contains(only)));
    files.sort();
    for path in files {
        let batch = load(&path);
        let fields = batch.schema();
        let fields = fields.fields().iter();
        let mut times =
            fields.filter(|field| Type::of_field(field) == Type::Datetime || field.name().starts_with("start"));
        let time_column = times.next().map(|field| field.name().clone()).unwrap_or_default();
        let options = EncodeOptions { time_column, ..options(level) };
        let start = cpu_seconds();
        let encoded = Tlm.encode(std::slice::from_ref(&batch), &options).unwrap();
        let encode_seconds = cpu_seconds() - start;
        let open = OpenOptions {
            extent: options.extent,
            length: encoded.bytes.len() as u64,
            footer_length: encoded.footer_length,
            footer: None,
        };
        let source = Arc::new(encoded.bytes.clone());
        let reader = Tlm.open(source.clone(), &open).await.unwrap();
        let described = reader.describe();
        let mut columns: BTreeMap<&str, (u64, BTreeMap<&str, u64>)> = BTreeMap::new();
        for column in described["columns"].as_array().unwrap() {
            columns.entry(column["name"].as_str().unwrap()).or_default().0 = column["bytes"].as_u64().unwrap();
        }
        for block in described["blocks"].as_array().unwrap() {
            for column in block["columns"].as_array().unwrap() {
                let counts = &mut columns.entry(column["name"].as_str().unwrap()).or_default().1;
                *counts.entry(column["encoding"].as_str().unwrap()).or_default() += 1;
            }
        }
        let read_seconds = read_back(reader.as_ref(), source.as_ref(), &batch).await;
        let name = path.file_stem().unwrap().to_string_lossy();
        let (stored, footer) = (encoded.bytes.len(), encoded.footer_length);
        println!("{name}: {stored} bytes, footer {footer}, encode {encode_seconds:.3} s, read {read_seconds:.3} s");
        let out = json!({
            "total": stored, "footer": footer, "encode": encode_seconds, "read": read_seconds, "columns": columns,
        });
        #[allow(clippy::disallowed_methods, reason = "figures for whoever runs this by hand")]
        std::fs::write(path.with_extension(format!("{level}.json")), out.to_string()).unwrap();
    }
}
