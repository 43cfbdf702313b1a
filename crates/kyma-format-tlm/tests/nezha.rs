//! Bytes stored and time spent on real logs. Run by hand, with the shared data at hand:
//! `KYMA_SHARED=../shared cargo test -p kyma-format-tlm --test nezha -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray};
use kyma_core::format::{EncodeOptions, OpenOptions, ReadColumn, SegmentFormat};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_format_tlm::Tlm;

const COLUMNS: [(&str, &str); 9] = [
    ("k8s.node", "/k8s/node"),
    ("k8s.pod", "/k8s/pod"),
    ("k8s.container", "/k8s/container"),
    ("trace_id", "/trace_id"),
    ("span_id", "/span_id"),
    ("stream", "/stream"),
    ("message", "/message"),
    ("system", "/system"),
    ("part", "/part"),
];
/// Raw bytes of one flush.
const FLUSH_BYTES: usize = 32 << 20;
/// What Parquet with zstd-3 takes.
const STORED_BYTES_MAX: usize = 8_500_000;

struct Row {
    time: i64,
    unix: i64,
    texts: Vec<Option<String>>,
}

fn shared() -> PathBuf {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    PathBuf::from(root).join(std::env::var("KYMA_SHARED").unwrap_or_else(|_| "../shared".to_owned()))
}

fn row(line: &str) -> Row {
    let value: serde_json::Value = serde_json::from_str(line).unwrap();
    let text = |pointer: &str| value.pointer(pointer).and_then(|text| text.as_str()).map(str::to_owned);
    Row {
        time: kyma_core::time::parse_datetime(&text("/timestamp").unwrap()).unwrap(),
        unix: value["time_unix_nano"].as_i64().unwrap(),
        texts: COLUMNS.iter().map(|(_, pointer)| text(pointer)).collect(),
    }
}

fn batch(rows: &[Row]) -> RecordBatch {
    let mut columns = vec![Column::new("timestamp", Type::Datetime), Column::new("time_unix_nano", Type::Long)];
    columns.extend(COLUMNS.iter().map(|(name, _)| Column::new(*name, Type::String)));
    let mut arrays: Vec<ArrayRef> = vec![
        Arc::new(rows.iter().map(|row| Some(row.time)).collect::<TimestampNanosecondArray>()),
        Arc::new(rows.iter().map(|row| Some(row.unix)).collect::<Int64Array>()),
    ];
    for at in 0..COLUMNS.len() {
        arrays.push(Arc::new(rows.iter().map(|row| row.texts[at].as_deref()).collect::<StringViewArray>()));
    }
    RecordBatch::try_new(Schema::new(columns).arrow(), arrays).unwrap()
}

#[derive(Default)]
struct Totals {
    extents: usize,
    stored: usize,
    encode_seconds: f64,
    read_seconds: f64,
    by_column: BTreeMap<String, u64>,
}

impl Totals {
    async fn store(&mut self, rows: &mut [Row], level: u8) {
        rows.sort_by(|a, b| (&a.texts[1], a.time).cmp(&(&b.texts[1], b.time)));
        let batch = batch(rows);
        let options = EncodeOptions {
            extent: ExtentId::generate(),
            database: DatabaseId(1),
            database_name: "default".to_owned(),
            table: TableId(1),
            table_name: "logs".to_owned(),
            time_column: "timestamp".to_owned(),
            sorted_by: vec!["k8s.pod".to_owned(), "timestamp".to_owned()],
            level,
            block_rows: kyma_core::limits::BLOCK_ROWS,
            raw_bytes: 0,
            replaces: Vec::new(),
            writes: Vec::new(),
        };
        let start = std::time::Instant::now();
        let encoded = Tlm.encode(std::slice::from_ref(&batch), &options).unwrap();
        self.encode_seconds += start.elapsed().as_secs_f64();
        self.extents += 1;
        self.stored += encoded.bytes.len();
        let open = OpenOptions {
            extent: options.extent,
            length: encoded.bytes.len() as u64,
            footer_length: encoded.footer_length,
            footer: None,
        };
        let source = Arc::new(encoded.bytes.clone());
        let reader = Tlm.open(source.clone(), &open).await.unwrap();
        for column in reader.describe()["columns"].as_array().unwrap() {
            let bytes = self.by_column.entry(column["name"].as_str().unwrap().to_owned()).or_default();
            *bytes += column["bytes"].as_u64().unwrap();
        }
        *self.by_column.entry("(footer)".to_owned()).or_default() += u64::from(encoded.footer_length);
        let schema = reader.schema().columns().iter();
        let columns: Vec<_> = schema.map(|column| ReadColumn::column(&column.name, column.ty)).collect();
        let mut from = 0;
        for block in 0..reader.block_rows().len() as u32 {
            let start = std::time::Instant::now();
            let read = reader.read(source.as_ref(), block, &columns, None).await.unwrap();
            self.read_seconds += start.elapsed().as_secs_f64();
            let expected = batch.slice(from, read.num_rows());
            from += read.num_rows();
            assert!(read.columns() == expected.columns());
        }
        assert_eq!(from, rows.len());
    }
}

#[tokio::test]
#[ignore = "minutes in a debug build; needs the shared data"]
async fn real_logs_take_no_more_than_parquet() {
    let path = shared().join("data/nezha_logs.ndjson.zst");
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = std::io::BufReader::new(zstd::Decoder::new(file).unwrap()).lines();
    let level = std::env::var("KYMA_LEVEL").ok().and_then(|level| level.parse().ok()).unwrap_or(0);
    let (mut rows, mut raw, mut all_raw) = (Vec::new(), 0, 0);
    let mut totals = Totals::default();
    let flush_bytes = if level == 0 { FLUSH_BYTES } else { usize::MAX };
    let mut lines = lines.map(Result::unwrap).peekable();
    while let Some(line) = lines.next() {
        raw += line.len();
        all_raw += line.len();
        rows.push(row(&line));
        if raw >= flush_bytes || lines.peek().is_none() {
            totals.store(&mut rows, level).await;
            rows.clear();
            raw = 0;
        }
    }
    let Totals { extents, stored, encode_seconds, read_seconds, by_column } = totals;
    println!(
        "extents {extents}, stored {stored}, raw {all_raw}, encode {encode_seconds:.2} s, read {read_seconds:.2} s"
    );
    by_column.iter().for_each(|(name, bytes)| println!("  {bytes:>10}  {name}"));
    assert!(stored <= STORED_BYTES_MAX, "stored {stored} bytes");
}
