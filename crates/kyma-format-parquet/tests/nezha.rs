//! Bytes stored and time spent on real logs. Run by hand, with the shared data at hand:
//! `KYMA_SHARED=../shared cargo test --release -p kyma-format-parquet --test nezha -- --ignored --nocapture`.

use std::io::BufRead;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray, TimestampNanosecondArray};
use arrow::buffer::BooleanBuffer;
use kyma_core::format::{EncodeOptions, ReadColumn, SegmentFormat};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_format_parquet::Parquet;
use kyma_testkit::format::{CountingReader, open_options, options};

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
/// What a plain writer with zstd-3 takes for the same rows and columns.
const STORED_BYTES_MAX: usize = 9_500_000;

struct Row {
    time: i64,
    unix: i64,
    texts: Vec<Option<String>>,
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

/// The logs sorted by pod and time, as compaction leaves them.
fn logs() -> RecordBatch {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let shared = std::env::var("KYMA_SHARED").unwrap_or_else(|_| "../shared".to_owned());
    let path = PathBuf::from(root).join(shared).join("data/nezha_logs.ndjson.zst");
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let lines = std::io::BufReader::new(zstd::Decoder::new(file).unwrap()).lines();
    let mut rows: Vec<Row> = lines.map(|line| row(&line.unwrap())).collect();
    rows.sort_by(|a, b| (&a.texts[1], a.time).cmp(&(&b.texts[1], b.time)));
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

#[tokio::test]
#[ignore = "minutes in a debug build; needs the shared data"]
async fn real_logs() {
    let logs = logs();
    for level in [0, 1] {
        let options = EncodeOptions {
            time_column: "timestamp".to_owned(),
            sorted_by: vec!["k8s.pod".to_owned(), "timestamp".to_owned()],
            level,
            ..options(kyma_core::limits::BLOCK_ROWS)
        };
        let start = Instant::now();
        let encoded = Parquet.encode(std::slice::from_ref(&logs), &options).unwrap();
        let encode_seconds = start.elapsed().as_secs_f64();
        let source = CountingReader::new(encoded.bytes.clone());
        let reader = Parquet.open(source.clone(), &open_options(&encoded)).await.unwrap();
        let schema = reader.schema().columns().iter();
        let columns: Vec<_> = schema.map(|column| ReadColumn::column(&column.name, column.ty)).collect();
        let (start, mut from) = (Instant::now(), 0);
        let mut blocks = Vec::new();
        for block in 0..reader.block_rows().len() as u32 {
            blocks.push(reader.read(source.as_ref(), block, &columns, None).await.unwrap());
        }
        let read_seconds = start.elapsed().as_secs_f64();
        for read in &blocks {
            assert!(read.columns() == logs.slice(from, read.num_rows()).columns());
            from += read.num_rows();
        }
        assert_eq!(from, logs.num_rows());
        let described = reader.describe();
        println!(
            "level {level}: stored {}, footer {}, encode {encode_seconds:.2} s, read {read_seconds:.3} s, memory {}",
            encoded.bytes.len(),
            encoded.footer_length,
            reader.memory_bytes()
        );
        for section in described["sections"].as_array().unwrap() {
            println!("  {:>10}  ({})", section["bytes"], section["name"]);
        }
        for (at, column) in described["columns"].as_array().unwrap().iter().enumerate() {
            let chunk = &described["row_groups"][0]["columns"][at];
            let (pages, dictionary) = (&chunk["pages"], &chunk["dictionary_bytes"]);
            println!("  {:>10}  {}: {pages} pages, dictionary {dictionary}", column["bytes"], column["name"]);
        }
        for picked in [1_usize, 100, 10_000] {
            let selection: BooleanBuffer =
                (0..65_536).map(|row| row % (65_536 / picked) == 7 % (65_536 / picked)).collect();
            source.take_reads();
            let start = Instant::now();
            for _ in 0..10 {
                reader.read(source.as_ref(), 1, &columns, Some(&selection)).await.unwrap();
            }
            let bytes: u64 = source.take_reads().iter().map(|range| range.end - range.start).sum();
            println!(
                "  {picked} rows of a block: {:.2} ms, {} bytes",
                start.elapsed().as_secs_f64() * 100.0,
                bytes / 10
            );
        }
        assert!(encoded.bytes.len() <= STORED_BYTES_MAX, "stored {} bytes", encoded.bytes.len());
    }
}
