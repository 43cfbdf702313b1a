//! How fast a block of one column decodes, encoding by encoding. `cargo bench -p kyma-bench-format`.
//!
//! Each case is a column made so that the writer chooses the encoding that the case is named after; the table that comes
//! first says which it chose and how many bytes it took, at both levels. Times include the checksum and the Arrow array.

use std::sync::{Arc, LazyLock};

use arrow::array::{Array, ArrayRef, AsArray, Decimal128Array, Float64Array, Int64Array, RecordBatch, StringViewArray};
use bytes::Bytes;
use divan::Bencher;
use divan::counter::{BytesCount, ItemsCount};
use kyma_core::format::{EncodeOptions, OpenOptions, ReadColumn, SegmentFormat, SegmentReader};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::limits::BLOCK_ROWS;
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE, Type};
use kyma_format_tlm::Tlm;

/// The allocator of the kyma binary.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const LEVELS: [u8; 2] = [0, 1];
const COLUMN: &str = "c";
const WORDS: [&str; 8] = ["alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"];

/// One column, encoded and open.
struct Case {
    name: &'static str,
    level: u8,
    ty: Type,
    /// Bytes of the values in memory.
    value_bytes: usize,
    source: Bytes,
    reader: Arc<dyn SegmentReader>,
}

impl Case {
    fn new(name: &'static str, level: u8, ty: Type, values: &ArrayRef) -> Self {
        let schema = kyma_core::schema::Schema::new(vec![kyma_core::schema::Column::new(COLUMN, ty)]);
        let rows = RecordBatch::try_new(schema.arrow(), vec![values.clone()]).unwrap();
        let extent = ExtentId::generate();
        let options = EncodeOptions {
            extent,
            database: DatabaseId(1),
            database_name: "default".to_owned(),
            table: TableId(1),
            table_name: name.to_owned(),
            time_column: "timestamp".to_owned(),
            sorted_by: Vec::new(),
            level,
            block_rows: BLOCK_ROWS,
            raw_bytes: 0,
            replaces: Vec::new(),
            writes: Vec::new(),
        };
        let encoded = Tlm.encode(&[rows], &options).unwrap();
        let (length, footer_length) = (encoded.bytes.len() as u64, encoded.footer_length);
        let open = OpenOptions { extent, length, footer_length, footer: None };
        let reader = wait(Tlm.open(Arc::new(encoded.bytes.clone()), &open)).unwrap();
        Case { name, level, ty, value_bytes: value_bytes(values), source: encoded.bytes, reader }
    }

    fn read(&self) -> RecordBatch {
        wait(self.reader.read(&self.source, 0, &[ReadColumn::column(COLUMN, self.ty)], None)).unwrap()
    }

    /// Name, level, encoding and bytes, for people.
    fn line(&self) -> String {
        let description = self.reader.describe();
        let piece = &description["blocks"][0]["columns"][0];
        let encoding = piece["encoding"].as_str().unwrap_or("?");
        let stored = description["columns"][0]["bytes"].as_u64().unwrap_or_default();
        let Case { name, level, value_bytes, .. } = self;
        format!("{name:<18} level {level}  {encoding:<16} {stored:>9} bytes of {value_bytes:>9}")
    }
}

fn value_bytes(values: &ArrayRef) -> usize {
    match values.as_string_view_opt() {
        Some(texts) => texts.iter().flatten().map(str::len).sum(),
        None => values.len() * values.data_type().primitive_width().unwrap_or_default(),
    }
}

/// Nothing here ever waits: the bytes are in memory.
fn wait<T>(work: impl Future<Output = T>) -> T {
    static RUNTIME: LazyLock<tokio::runtime::Runtime> =
        LazyLock::new(|| tokio::runtime::Builder::new_current_thread().build().unwrap());
    RUNTIME.block_on(work)
}

/// The same numbers in every run (splitmix64).
fn random(row: usize) -> u64 {
    let mut z = (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn longs(value: impl Fn(usize) -> i64) -> ArrayRef {
    Arc::new((0..BLOCK_ROWS).map(|row| Some(value(row))).collect::<Int64Array>())
}

fn reals(value: impl Fn(usize) -> f64) -> ArrayRef {
    Arc::new((0..BLOCK_ROWS).map(|row| Some(value(row))).collect::<Float64Array>())
}

fn decimals(value: impl Fn(usize) -> i128) -> ArrayRef {
    let values = (0..BLOCK_ROWS).map(|row| Some(value(row))).collect::<Decimal128Array>();
    Arc::new(values.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE).unwrap())
}

fn texts(value: impl Fn(usize) -> String) -> ArrayRef {
    Arc::new((0..BLOCK_ROWS).map(|row| Some(value(row))).collect::<StringViewArray>())
}

fn word(row: usize) -> &'static str {
    WORDS[random(row) as usize % WORDS.len()]
}

fn hex(row: usize) -> String {
    format!("{:016x}{:016x}", random(row), random(row + BLOCK_ROWS))
}

fn uuid(row: usize) -> String {
    let hex = hex(row);
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

fn line(row: usize) -> String {
    let (number, millis) = (random(row) % 100_000, random(row + 1) % 9_999);
    match row % 3 {
        0 => format!("GET /api/v1/orders/{number} completed in {millis}ms by {}", word(row)),
        1 => format!("user {number} logged in from 10.0.{}.{} session={}", number % 256, millis % 256, &hex(row)[..12]),
        _ => format!("retrying request {} attempt {} of 5 after {millis}ms backoff", uuid(row), number % 5),
    }
}

fn json(row: usize) -> String {
    format!(
        r#"{{"http":{{"status":{},"route":"/{}"}},"ms":{}}}"#,
        200 + random(row) % 5,
        word(row),
        random(row) % 9_999
    )
}

fn columns() -> Vec<(&'static str, Type, ArrayRef)> {
    const EPOCH: i64 = 1_790_000_000_000_000_000;
    let seconds = |row: usize| row as i64 * 1_000_000_000;
    vec![
        ("constant", Type::Long, longs(|_| 7)),
        ("runs", Type::Long, longs(|row| (row / 500) as i64 * 17)),
        ("frame", Type::Long, longs(|row| 1_000_000 + (random(row) % 1_000) as i64)),
        ("delta", Type::Long, longs(|row| EPOCH + seconds(row) + (random(row) % 4_000_000_000) as i64)),
        ("rise", Type::Long, longs(|row| EPOCH + seconds(row) + (random(row) % 1_000_000) as i64)),
        ("decimal real", Type::Real, reals(|row| (random(row) % 1_000_000) as f64 / 1_000.0)),
        ("planes real", Type::Real, reals(|row| (random(row) as f64).sqrt())),
        ("scaled decimal", Type::Decimal, decimals(|row| i128::from(random(row) % 100_000) * 10_i128.pow(16))),
        ("wide decimal", Type::Decimal, decimals(|row| i128::from(random(row)) << 40)),
        ("constant text", Type::String, texts(|_| "constant".to_owned())),
        ("dictionary", Type::String, texts(|row| word(row).to_owned())),
        ("large dictionary", Type::String, texts(|row| format!("host-{:05}", random(row) % 5_000))),
        ("hex", Type::String, texts(hex)),
        ("uuid", Type::String, texts(uuid)),
        ("log lines", Type::String, texts(line)),
        ("dynamic", Type::Dynamic, texts(json)),
    ]
}

static CASES: LazyLock<Vec<Case>> = LazyLock::new(|| {
    let cases =
        |(name, ty, values): (&'static str, Type, ArrayRef)| LEVELS.map(|level| Case::new(name, level, ty, &values));
    columns().into_iter().flat_map(cases).collect()
});

/// A case, shown by its name.
#[derive(Clone, Copy)]
struct Named(usize);

impl std::fmt::Display for Named {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}, level {}", CASES[self.0].name, CASES[self.0].level)
    }
}

#[divan::bench(args = (0..CASES.len()).map(Named))]
fn decode(bencher: Bencher<'_, '_>, case: Named) {
    let case = &CASES[case.0];
    bencher.counter(ItemsCount::new(BLOCK_ROWS)).counter(BytesCount::new(case.value_bytes)).bench(|| case.read());
}

fn main() {
    CASES.iter().for_each(|case| println!("{}", case.line()));
    divan::main();
}
