//! Bytes that dynamic columns take on real data. Run by hand, with the shared data at hand:
//! `KYMA_SHARED=../shared cargo test --release -p kyma-format-tlm --test dynamic_sizes -- --ignored --nocapture`.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::PathBuf;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringViewArray};
use kyma_core::format::{EncodeOptions, ReadColumn, SegmentFormat};
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_format_tlm::Tlm;
use kyma_testkit::format::{CountingReader, open_options, options};
use serde_json::Value;

/// What one table's rows took.
#[derive(Debug, Default, Clone, Copy)]
struct Sizes {
    raw: usize,
    data: u64,
    footer: u64,
    /// Of the data.
    bitmaps: u64,
    encode_ms: u128,
    read_ms: u128,
}

fn shared(name: &str) -> Vec<u8> {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let folder = PathBuf::from(root).join(std::env::var("KYMA_SHARED").unwrap_or_else(|_| "../shared".to_owned()));
    let path = folder.join("data").join(name);
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let mut bytes = Vec::new();
    zstd::Decoder::new(file).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}

fn lines(name: &str) -> Vec<Value> {
    let text = String::from_utf8(shared(name)).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Files of a tar archive by name: 512-byte headers, sizes in octal.
fn files(name: &str) -> BTreeMap<String, Vec<u8>> {
    let bytes = shared(name);
    let text = |field: &[u8]| String::from_utf8_lossy(field).trim_end_matches(['\0', ' ']).to_owned();
    let (mut files, mut at) = (BTreeMap::new(), 0);
    while at + 512 <= bytes.len() && bytes[at] != 0 {
        let header = &bytes[at..at + 512];
        let size = usize::from_str_radix(&text(&header[124..136]), 8).unwrap();
        at += 512;
        files.insert(text(&header[..100]), bytes[at..at + size].to_vec());
        at += size.div_ceil(512) * 512;
    }
    files
}

/// Rows of JSON files: the members of an array, values after each other, or one value.
fn tables(name: &str, suffix: &str) -> BTreeMap<String, Vec<Value>> {
    let mut tables = BTreeMap::new();
    for (name, bytes) in files(name) {
        if !name.ends_with(suffix) {
            continue;
        }
        let text = String::from_utf8_lossy(&bytes);
        let values = serde_json::Deserializer::from_str(text.trim_start_matches('\u{feff}')).into_iter::<Value>();
        let Ok(values) = values.collect::<Result<Vec<_>, _>>() else { continue };
        let rows = values.into_iter().flat_map(|value| match value {
            Value::Array(rows) => rows,
            row => vec![row],
        });
        tables.insert(name, rows.collect());
    }
    tables
}

/// Each row as one dynamic value.
fn whole(rows: &[Value]) -> RecordBatch {
    batch(vec![("row".to_owned(), rows.iter().map(|row| Some(row.to_string())).collect())])
}

/// The members of rows that are objects or arrays, a column each.
fn nested(rows: &[Value]) -> Option<RecordBatch> {
    let mut names = Vec::new();
    for (key, value) in rows.iter().filter_map(Value::as_object).flatten() {
        if (value.is_object() || value.is_array()) && !names.contains(key) {
            names.push(key.clone());
        }
    }
    let texts = |name: &String| rows.iter().map(|row| row.get(name).map(Value::to_string)).collect();
    let columns: Vec<_> = names.into_iter().map(|name| (name.clone(), texts(&name))).collect();
    (!columns.is_empty()).then(|| batch(columns))
}

fn batch(columns: Vec<(String, Vec<Option<String>>)>) -> RecordBatch {
    let schema = Schema::new(columns.iter().map(|(name, _)| Column::new(name, Type::Dynamic)).collect());
    let arrays = columns.iter().map(|(_, texts)| Arc::new(texts.iter().collect::<StringViewArray>()) as ArrayRef);
    RecordBatch::try_new(schema.arrow(), arrays.collect()).unwrap()
}

async fn sizes(batch: &RecordBatch, level: u8) -> Sizes {
    let options = EncodeOptions { level, ..options(kyma_core::limits::BLOCK_ROWS) };
    let start = std::time::Instant::now();
    let encoded = Tlm.encode(std::slice::from_ref(batch), &options).unwrap();
    let encode_ms = start.elapsed().as_millis();
    let source = CountingReader::new(encoded.bytes.clone());
    let reader = Tlm.open(source.clone(), &open_options(&encoded)).await.unwrap();
    let described = reader.describe();
    if std::env::var_os("KYMA_DETAIL").is_some() {
        detail(&described);
    }
    let bitmaps = described["sections"].as_array().unwrap().iter().find(|section| section["name"] == "path bitmaps");
    let bitmaps = bitmaps.map_or(0, |section| section["bytes"].as_u64().unwrap());
    let columns = reader.schema().columns().iter().map(|column| ReadColumn::column(&column.name, column.ty));
    let columns: Vec<_> = columns.collect();
    let start = std::time::Instant::now();
    let mut row = 0;
    for block in 0..reader.block_rows().len() {
        let read = reader.read(source.as_ref(), block as u32, &columns, None).await.unwrap();
        for (read, written) in read.columns().iter().zip(batch.columns()) {
            let written = written.slice(row, read.len());
            for pair in read.as_string_view().iter().zip(written.as_string_view()) {
                match pair {
                    (Some(a), Some(b)) => assert_eq!(a.len(), b.len(), "{a}\n{b}"),
                    (a, b) => assert_eq!(a, b),
                }
            }
        }
        row += read.num_rows();
    }
    assert_eq!(row, batch.num_rows());
    Sizes {
        raw: batch.columns().iter().flat_map(|array| array.as_string_view().iter().flatten()).map(str::len).sum(),
        data: encoded.bytes.len() as u64 - u64::from(encoded.footer_length),
        footer: u64::from(encoded.footer_length),
        bitmaps,
        encode_ms,
        read_ms: start.elapsed().as_millis(),
    }
}

/// The pieces that take most.
fn detail(described: &Value) {
    let mut pieces: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut add = |piece: &Value, name: String| {
        let kind = format!("{} {}", piece["type"].as_str().unwrap_or_default(), piece["encoding"].as_str().unwrap());
        *pieces.entry((name, kind)).or_default() += piece["bytes"].as_u64().unwrap();
    };
    for column in described["blocks"].as_array().unwrap().iter().flat_map(|block| block["columns"].as_array().unwrap())
    {
        add(column, format!("{} residue", column["name"].as_str().unwrap()));
        for sub in column["paths"].as_array().into_iter().flatten() {
            add(sub, sub["name"].as_str().unwrap().to_owned());
        }
    }
    let mut pieces: Vec<_> = pieces.into_iter().collect();
    pieces.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    pieces.iter().take(40).for_each(|((name, kind), bytes)| println!("    {bytes:>9}  {name}  {kind}"));
}

async fn print(name: &str, batches: &[RecordBatch]) {
    for level in [0, 1] {
        let mut sum = Sizes::default();
        for batch in batches {
            let one = sizes(batch, level).await;
            sum.raw += one.raw;
            sum.data += one.data;
            sum.footer += one.footer;
            sum.bitmaps += one.bitmaps;
            sum.encode_ms += one.encode_ms;
            sum.read_ms += one.read_ms;
        }
        println!(
            "{name:<31} level {level}  raw {:>9}  data {:>8} (bitmaps {:>6})  footer {:>7}  encode {:>4} ms  read {:>4} ms",
            sum.raw, sum.data, sum.bitmaps, sum.footer, sum.encode_ms, sum.read_ms
        );
    }
}

#[tokio::test]
#[ignore = "needs the shared data"]
async fn dynamic_columns_of_real_data() {
    let zeek = lines("zeek.ndjson.zst");
    let mut by_type: BTreeMap<String, Vec<Value>> = BTreeMap::new();
    zeek.iter().for_each(|row| by_type.entry(row["_path"].to_string()).or_default().push(row.clone()));
    let all: Vec<Value> = by_type.values().flatten().cloned().collect();
    print("zeek, rows of all types", &[whole(&all)]).await;
    print("zeek, rows by type", &by_type.values().map(|rows| whole(rows)).collect::<Vec<_>>()).await;
    print("zeek, nested of all types", &[nested(&all).unwrap()]).await;
    print("zeek, nested by type", &by_type.values().filter_map(|rows| nested(rows)).collect::<Vec<_>>()).await;

    let sentinel = tables("sentinel_sample_data.tar.zst", ".json");
    let mixed: Vec<Value> = sentinel.values().flatten().cloned().collect();
    print("sentinel, rows of all tables", &[whole(&mixed)]).await;
    print("sentinel, rows by table", &sentinel.values().map(|rows| whole(rows)).collect::<Vec<_>>()).await;
    print("sentinel, nested of all tables", &[nested(&mixed).unwrap()]).await;
    print("sentinel, nested by table", &sentinel.values().filter_map(|rows| nested(rows)).collect::<Vec<_>>()).await;

    let otlp = tables("nab_and_otlp_examples.tar.zst", ".json");
    let payloads: Vec<Value> = otlp.values().flatten().cloned().collect();
    let many: Vec<Value> = payloads.iter().cycle().take(payloads.len() * 40).cloned().collect();
    print("otlp, payloads", &[whole(&payloads)]).await;
    print("otlp, payloads 40 times", &[whole(&many)]).await;

    let nginx = lines("nginx_json.ndjson.zst");
    print("nginx, rows", &[whole(&nginx)]).await;
    let nezha: Vec<Value> = lines("nezha_logs.ndjson.zst").into_iter().map(|row| row["k8s"].clone()).collect();
    print("nezha, k8s", &[whole(&nezha)]).await;
}
