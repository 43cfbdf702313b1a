//! Bytes and time of indexes over real rows. Run by hand:
//! `KYMA_NDJSON=rows.ndjson KYMA_SORT=service,timestamp cargo test --release -p kyma-format-tlm --lib measure -- --ignored --nocapture`.
//! `KYMA_STORED` is the bytes of data that the budget goes by.

use std::collections::BTreeMap;
use std::io::{BufRead, Read};

use arrow::array::StringViewArray;
use serde_json::Value;

use super::build;
use super::collect::Collector;
use crate::constants::index::place;

const BLOCK_ROWS: usize = 65_536;
const COLUMN_ROWS_SHARE: usize = 100;

fn setting(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The texts of a row, by dotted path.
fn texts(prefix: &str, value: &Value, row: &mut BTreeMap<String, String>) {
    match value {
        Value::String(text) => {
            row.insert(prefix.to_owned(), text.clone());
        }
        Value::Object(members) => {
            let dotted = |key: &str| if prefix.is_empty() { key.to_owned() } else { format!("{prefix}.{key}") };
            members.iter().for_each(|(key, member)| texts(&dotted(key), member, row));
        }
        _ => {}
    }
}

/// Seconds that this thread has been on a processor.
fn seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    stat.split(' ').next().and_then(|nanos| nanos.parse::<f64>().ok()).unwrap() / 1e9
}

#[test]
#[ignore = "needs rows: KYMA_NDJSON"]
fn measure() {
    let path = setting("KYMA_NDJSON").expect("KYMA_NDJSON names a file of rows");
    let file = std::fs::File::open(&path).unwrap();
    let file: Box<dyn Read> =
        if path.ends_with(".zst") { Box::new(zstd::Decoder::new(file).unwrap()) } else { Box::new(file) };
    let (mut rows, mut raw) = (Vec::new(), 0);
    for line in std::io::BufReader::new(file).lines().map(Result::unwrap) {
        raw += line.len();
        let mut row = BTreeMap::new();
        texts("", &serde_json::from_str(&line).unwrap(), &mut row);
        rows.push(row);
    }
    let sort = setting("KYMA_SORT").unwrap_or_default();
    rows.sort_by_cached_key(|row| sort.split(',').map(|key| row.get(key).cloned()).collect::<Vec<_>>());
    let mut names: BTreeMap<&str, usize> = BTreeMap::new();
    rows.iter().flat_map(BTreeMap::keys).for_each(|name| *names.entry(name).or_default() += 1);
    let is_time = |name: &str| name.contains("time") || matches!(name, "_path" | "ts" | "_write_ts");
    let names: Vec<&str> = names
        .into_iter()
        .filter(|(name, count)| *count * COLUMN_ROWS_SHARE >= rows.len() && !is_time(name))
        .map(|(name, _)| name)
        .collect();
    let blocks: Vec<Vec<StringViewArray>> = rows
        .chunks(BLOCK_ROWS)
        .map(|rows| {
            names.iter().map(|name| rows.iter().map(|row| row.get(*name).map(String::as_str)).collect()).collect()
        })
        .collect();
    println!("{path}: rows {}, raw {raw}", rows.len());
    for level in [0, 1] {
        let start = seconds();
        let mut collector = Collector::new(level);
        for (block, rows) in blocks.iter().zip(rows.chunks(BLOCK_ROWS)) {
            block.iter().enumerate().for_each(|(column, values)| collector.strings(column, values));
            collector.end_block(rows.len());
        }
        let collected = seconds() - start;
        let (text, pairs) = (collector.text_bytes, (collector.page_pairs.len(), collector.block_pairs.len()));
        let stored = setting("KYMA_STORED").and_then(|stored| stored.parse().ok()).unwrap_or(raw / 12);
        let mut data = vec![0; stored];
        let directory = build::write(collector, &mut data).unwrap().unwrap();
        let all = seconds() - start;
        let footer = zstd::bulk::compress(&directory.write(), 3).unwrap().len();
        println!(
            "level {level}: text {text}, pairs {pairs:?}, index {} = {:.2} % of raw, {:.1} % of stored, {:.2} a row; footer {footer}; \
             collected in {collected:.2} s = {:.0} MB/s, all in {all:.2} s = {:.0} MB/s",
            directory.bytes(),
            directory.bytes() as f64 / raw as f64 * 100.0,
            directory.bytes() as f64 / stored as f64 * 100.0,
            directory.bytes() as f64 / rows.len() as f64,
            text as f64 / 1e6 / collected,
            raw as f64 / 1e6 / all,
        );
        for (filter, of) in [(&directory.pages, "pages"), (&directory.blocks, "blocks")] {
            println!(
                "  filter of {of}: {} bytes, {} shards, {} bits",
                filter.bytes(),
                filter.shards.len(),
                filter.width
            );
        }
        for field in &directory.fields {
            let dictionary = &field.dictionary;
            let count = |place: u8| field.places.iter().filter(|found| **found == place).count();
            println!(
                "  {}: dictionary {} bytes, {} terms, {} blocks; classes in dictionary {}, pages {}, blocks {}; page postings {}",
                names[field.column as usize],
                dictionary.bytes(),
                dictionary.terms,
                dictionary.blocks.len(),
                count(place::DICTIONARY),
                count(place::PAGES),
                count(place::BLOCKS),
                field.has_page_postings,
            );
        }
    }
}
