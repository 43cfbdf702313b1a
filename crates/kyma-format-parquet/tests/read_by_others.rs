//! DuckDB and pyarrow read an extent as it lies: every value, of every type.

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, TimestampNanosecondArray};
use arrow::datatypes::{Float64Type, TimestampNanosecondType};
use kyma_core::format::SegmentFormat;
use kyma_core::schema::{Column, Schema};
use kyma_core::types::Type;
use kyma_core::value::Value;
use kyma_format_parquet::Parquet;
use kyma_testkit::format::{options, random_array, value};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, json};

const ROWS: usize = 20_000;
const PACKAGES: [&str; 2] = ["duckdb", "pyarrow"];

/// What DuckDB calls our types.
fn duckdb_types() -> serde_json::Value {
    json!({
        "bool": ["BOOLEAN"], "int": ["INTEGER"], "long": ["BIGINT"], "real": ["DOUBLE"], "decimal": ["DECIMAL(38,18)"],
        "datetime": ["TIMESTAMPTZ_NS", "TIMESTAMP WITH TIME ZONE"], "timespan": ["BIGINT"], "guid": ["UUID"],
        "string": ["VARCHAR"], "dynamic": ["JSON"],
    })
}

/// Rows of every type, each with values of many kinds.
fn rows() -> RecordBatch {
    let mut random = ChaCha8Rng::seed_from_u64(4);
    let columns = Type::ALL.map(|ty| Column::new(ty.name(), ty));
    let arrays = Type::ALL.map(|ty| {
        let mut arrays = (0..200).map(|_| tame(ty, random_array(ty, ROWS, &mut random)));
        arrays.find(|array| is_varied(ty, array)).expect("one of many is varied")
    });
    RecordBatch::try_new(Schema::new(columns.to_vec()).arrow(), arrays.to_vec()).unwrap()
}

fn is_varied(ty: Type, array: &ArrayRef) -> bool {
    let distinct = kyma_core::accumulate::of(ty, array).distinct;
    let has_many = ty == Type::Bool || distinct.is_none_or(|distinct| distinct > 1_000);
    has_many && (1..ROWS / 2).contains(&array.null_count())
}

/// Times within what others can show; no sign or payload of NaN, which they do not keep; texts that a filter is made for.
fn tame(ty: Type, array: ArrayRef) -> ArrayRef {
    match ty {
        Type::Datetime => {
            let times = array.as_primitive::<TimestampNanosecondType>().iter();
            let tame = |time: i64| 1_700_000_000_000_000_000 + time % 1_000_000_000_000_000;
            Arc::new(times.map(|time| time.map(tame)).collect::<TimestampNanosecondArray>())
        }
        Type::Real => {
            let reals = array.as_primitive::<Float64Type>();
            Arc::new(reals.unary::<_, Float64Type>(|real| if real.is_nan() { 0.5 } else { real }))
        }
        _ => array,
    }
}

fn spelled(ty: Type, array: &dyn Array, row: usize) -> serde_json::Value {
    match value(ty, array, row) {
        Value::Null(_) => serde_json::Value::Null,
        Value::Bool(truth) => json!(truth.to_string()),
        Value::Int(int) => json!(int.to_string()),
        Value::Long(long) | Value::Datetime(long) | Value::Timespan(long) => json!(long.to_string()),
        Value::Real(real) => json!(format!("{:016x}", real.to_bits())),
        Value::Decimal(unscaled) => json!(unscaled.to_string()),
        Value::Guid(guid) => json!(format!("{guid:032x}")),
        Value::String(text) | Value::Dynamic(text) => json!(text),
    }
}

/// Some values of the columns that have a filter, with how often they occur.
fn needles(rows: &RecordBatch) -> serde_json::Value {
    let mut needles = Vec::new();
    for ty in [Type::String, Type::Guid] {
        let array = rows.column_by_name(ty.name()).unwrap();
        let values: Vec<_> = (0..ROWS).map(|row| spelled(ty, array, row)).collect();
        let some = values.iter().filter(|value| value.as_str().is_some_and(|text| !text.is_empty()));
        for needle in some.step_by(ROWS / 8) {
            needles.push(json!([ty.name(), needle, values.iter().filter(|value| *value == needle).count()]));
        }
        needles.push(json!([ty.name(), "0123456789abcdef0123456789abcdef", 0]));
    }
    json!(needles)
}

/// Runs `python3`; a missing Python, or package that cannot be had, fails the test with the command that installs it.
fn python(arguments: &[&Path], what: &str) {
    let run = Command::new("python3").args(arguments).output();
    let run = run.expect("python3 is needed: apt-get install python3 python3-pip");
    let (out, error) = (String::from_utf8_lossy(&run.stdout), String::from_utf8_lossy(&run.stderr));
    assert!(run.status.success(), "{what}\n{out}\n{error}");
}

#[test]
fn duckdb_and_pyarrow_read_every_value() {
    let folder = tempfile::tempdir().unwrap();
    let rows = rows();
    let mut options = options(8_192);
    options.level = 1;
    let encoded = Parquet.encode(std::slice::from_ref(&rows), &options).unwrap();
    let mut columns = Map::new();
    for (field, array) in rows.schema().fields().iter().zip(rows.columns()) {
        let ty = Type::of_field(field);
        let values: Vec<_> = (0..rows.num_rows()).map(|row| spelled(ty, array, row)).collect();
        columns.insert(field.name().clone(), json!({ "type": ty.name(), "values": values }));
    }
    let expected = json!({
        "rows": rows.num_rows(), "columns": columns, "duckdb_types": duckdb_types(),
        "needles": needles(&rows),
    });
    let (extent, values) = (folder.path().join("extent.parquet"), folder.path().join("expected.json"));
    write(&extent, &encoded.bytes);
    write(&values, expected.to_string().as_bytes());

    let script = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_by_others.py"));
    let packages = folder.path().join("packages");
    let imports = Command::new("python3").args(["-c", "import duckdb, pyarrow.parquet"]).output();
    if !imports.is_ok_and(|run| run.status.success()) {
        let install = ["-m", "pip", "install", "-q", "--target"].map(Path::new);
        let arguments: Vec<&Path> =
            install.into_iter().chain([packages.as_path()]).chain(PACKAGES.map(Path::new)).collect();
        python(&arguments, "the packages are needed: python3 -m pip install duckdb pyarrow");
    }
    python(&[script, &extent, &values, &packages], "the extent is read otherwise than it was written");
}

#[expect(clippy::disallowed_methods, reason = "the readers want files")]
fn write(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
}
