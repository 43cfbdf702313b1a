//! Pruning never loses a row: with pruning, without, and row by row, every predicate finds the same rows.
//!
//! Rows and predicates are random, from a seed that a failure names. Values come from small pools that hold the hard ones:
//! nulls, extremes, NaN, -0.0, Unicode, texts longer than a bound, paths that are missing or of several types.

mod predicates;

use kyma_core::{Type, Value};
use kyma_exec::{Engine, ExecSettings};
use predicates::{COLUMNS, P};
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::world::{Row, World, run, settings, shown, text, time, values};

/// Rounds of random tables, and predicates of each.
const PREDICATES: usize = 60;

#[tokio::test(flavor = "multi_thread")]
async fn tlm() {
    rounds(&["tlm"], 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn toy() {
    rounds(&["toy"], 2).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parquet() {
    rounds(&["parquet"], 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn all_formats_in_one_table() {
    rounds(&["tlm", "parquet", "toy"], 4).await;
}

async fn rounds(formats: &[&str], first_seed: u64) {
    let world = World::start().await;
    let unpruned = world.engine(ExecSettings { prune: false, ..settings() });
    let extra: u64 = std::env::var("KYMA_TEST_ROUNDS").ok().and_then(|text| text.parse().ok()).unwrap_or(1);
    for round in 0..extra {
        let seed = first_seed + round * 10;
        let mut rng = ChaCha8Rng::seed_from_u64(seed);
        let name = format!("T{seed}");
        let rows = fill(&world, &name, formats, &mut rng).await;
        for _ in 0..PREDICATES {
            let predicate = predicates::random(&mut rng, 3);
            check(&world, &unpruned, &name, &rows, &predicate, seed).await;
        }
    }
}

/// A table of random extents: one with a single timestamp, one whose rows have all columns, some without some of them.
async fn fill(world: &World, name: &str, formats: &[&str], rng: &mut ChaCha8Rng) -> Vec<Row> {
    let table = world.table(name, &COLUMNS).await;
    let mut all: Vec<Row> = Vec::new();
    for extent in 0..8 {
        let count = rng.random_range(1..40);
        let still = extent % 4 == 0;
        let missing: Vec<usize> = (2..=COLUMNS.len()).filter(|_| rng.random_bool(0.15)).collect();
        let narrow = rng.random_bool(0.5);
        let mut rows = Vec::new();
        for _ in 0..count {
            let mut row = random_row(all.len() + rows.len(), extent, still, narrow, rng);
            missing.iter().for_each(|at| row[*at] = Value::Null(COLUMNS[*at - 1].1));
            rows.push(row);
        }
        let format = formats.choose(rng).copied().unwrap_or("tlm");
        world.extent(&table, format, &rows, rng.random_range(3..20)).await;
        all.extend(rows);
    }
    all
}

fn random_row(id: usize, extent: i64, still: bool, narrow: bool, rng: &mut ChaCha8Rng) -> Row {
    let at = if still { 0 } else { rng.random_range(0..10) };
    let mut row = vec![if rng.random_bool(0.02) { Value::Null(Type::Datetime) } else { time(extent * 10 + at) }];
    row.push(Value::Long(id as i64));
    for (_, ty) in &COLUMNS[1..] {
        let null = rng.random_bool(0.2);
        row.push(if null { Value::Null(*ty) } else { predicates::value(*ty, extent, narrow, rng) });
    }
    row
}

async fn check(world: &World, unpruned: &Engine, table: &str, rows: &[Row], predicate: &P, seed: u64) {
    let condition = predicate.kql();
    let expected: Vec<i64> = rows.iter().filter(|row| predicate.holds(row) == Some(true)).map(id_of).collect();
    let ids = format!("{table} | where {condition} | project id | sort by id asc");
    let pruned = found(&world.engine, &ids).await;
    let slow = found(unpruned, &ids).await;
    assert_eq!(slow, expected, "not pruned, seed {seed}: {condition}{}", explain(rows, &slow, &expected));
    assert_eq!(pruned, expected, "pruned, seed {seed}: {condition}{}", explain(rows, &pruned, &expected));
    let summary = format!("{table} | where {condition} | summarize count(), min(l), max(l), min(Timestamp), max(i)");
    let of = async |engine: &Engine| values(&run(engine, "kql", &summary).await.unwrap());
    let (fast, slow) = (of(&world.engine).await, of(unpruned).await);
    assert_eq!(fast[0][0], Value::Long(expected.len() as i64), "count, seed {seed}: {condition}");
    assert_eq!(fast, slow, "summary, seed {seed}: {condition}");
    check_groups(world, unpruned, table, &condition, seed).await;
    // Filters that tighten while the query runs.
    let key = KEYS[(expected.len() + rows.len()) % KEYS.len()];
    let query = format!("{table} | where {condition} | top 4 by {key} | project top = {}, end = 0", column_of(key));
    let of = async |engine: &Engine| {
        // Both zeros are equal: either may come first.
        shown(&run(engine, "kql", &query).await.unwrap()).join(" ").replace("-0|", "0|")
    };
    assert_eq!(of(&world.engine).await, of(unpruned).await, "top, seed {seed}: {query}");
    let query = format!(
        "{table} | where id % 13 == 5 | project {0} | join kind=inner ({table} | where {condition}) on {0} | count",
        column_of(key)
    );
    let of = async |engine: &Engine| shown(&run(engine, "kql", &query).await.unwrap());
    let (fast, slow) = (of(&world.engine).await, of(unpruned).await);
    if fast != slow {
        let detail = query.replace("| count", &format!("| summarize count() by {0} | sort by {0}", column_of(key)));
        let of = async |engine: &Engine| shown(&run(engine, "kql", &detail).await.unwrap());
        panic!("join, seed {seed}: {detail}: {:?} not {:?}", of(&world.engine).await, of(unpruned).await);
    }
    if let Some(condition) = predicate.sql() {
        let query = format!("SELECT id FROM \"{table}\" WHERE {condition} ORDER BY id");
        let of = async |engine: &Engine| {
            shown(&run(engine, "sql", &query).await.unwrap_or_else(|error| panic!("{query}: {error:?}")))
        };
        assert_eq!(of(&world.engine).await, of(unpruned).await, "SQL, seed {seed}: {query}");
    }
}

/// Groups are the same whether metadata answers and codes are grouped, or every row is read and grouped by the engine's own.
async fn check_groups(world: &World, unpruned: &Engine, table: &str, condition: &str, seed: u64) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ condition.len() as u64);
    for condition in ["true", "Timestamp >= datetime(2024-01-01T00:00:20Z)", condition] {
        let keys = GROUP_KEYS.choose(&mut rng).copied().unwrap_or_default();
        let aggregates = AGGREGATES.choose(&mut rng).copied().unwrap_or_default();
        let query = format!("{table} | where {condition} | summarize {aggregates} {keys}");
        let of = async |engine: &Engine| {
            let answer = run(engine, "kql", &query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
            let mut rows: Vec<String> = shown(&answer).into_iter().map(|row| row.replace("-0|", "0|")).collect();
            rows.sort();
            rows
        };
        assert_eq!(of(&world.engine).await, of(unpruned).await, "groups, seed {seed}: {query}");
    }
}

/// What rows are grouped by.
const GROUP_KEYS: [&str; 14] = [
    "",
    "by s",
    "by b",
    "by l",
    "by i",
    "by tolower(s)",
    "by s, b",
    "by bin(Timestamp, 10s)",
    "by bin(Timestamp, 1m), b",
    "by bin(Timestamp, 7d)",
    "by bin(Timestamp, 1500ms)",
    "by isempty(s), l",
    "by tostring(d.a.b)",
    "by bin(at, 1h)",
];
/// What is asked of groups. Sums stay where reals have no rest, so that their order does not matter.
const AGGREGATES: [&str; 9] = [
    "count()",
    "n = count(), dcount(s)",
    "min(l), max(l), count()",
    "countif(b), dcount(l)",
    "max(at), min(Timestamp), max(i)",
    "sum(i), avg(i)",
    "sum(l), max(t)",
    "percentile(l, 50), count()",
    "dcount(s), min(s), max(s)",
];

/// Orders of `top`.
const KEYS: [&str; 8] = ["Timestamp desc", "Timestamp asc", "l desc", "l asc", "i asc", "s desc", "s asc", "r desc"];

fn column_of(key: &str) -> &str {
    key.split(' ').next().unwrap_or(key)
}

fn id_of(row: &Row) -> i64 {
    match row[1] {
        Value::Long(id) => id,
        _ => -1,
    }
}

/// The first row on which two answers differ.
fn explain(rows: &[Row], found: &[i64], expected: &[i64]) -> String {
    let differs = |row: &&Row| found.contains(&id_of(row)) != expected.contains(&id_of(row));
    rows.iter().find(differs).map_or_else(String::new, |row| {
        format!("\nrow {row:?}: found={}, expected={}", found.contains(&id_of(row)), expected.contains(&id_of(row)))
    })
}

async fn found(engine: &Engine, query: &str) -> Vec<i64> {
    let answer = run(engine, "kql", query).await.unwrap_or_else(|error| panic!("{query}: {error:?}"));
    values(&answer).iter().map(|row| id_of(&vec![Value::Null(Type::Datetime), row[0].clone()])).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_equal_to_a_bound_keeps_the_extent() {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Long), ("s", Type::String)]).await;
    for extent in 0..3 {
        let rows: Vec<Row> = (0..4)
            .map(|at| vec![time(extent * 10 + at), Value::Long(extent * 10 + at), text(&format!("k{extent}{at}"))])
            .collect();
        world.extent(&table, "tlm", &rows, 2).await;
    }
    for (condition, count) in [
        ("n == 13", 1),
        ("n >= 13", 5),
        ("n > 13", 4),
        ("n <= 10", 5),
        ("n < 10", 4),
        ("n between (3 .. 10)", 2),
        ("s == 'k13'", 1),
        ("s >= 'k13'", 5),
        ("s startswith_cs 'k2'", 4),
        ("Timestamp == datetime(2024-01-01T00:00:13Z)", 1),
        ("Timestamp >= datetime(2024-01-01T00:00:13Z)", 5),
        ("Timestamp between (datetime(2024-01-01T00:00:03Z) .. datetime(2024-01-01T00:00:10Z))", 2),
        ("Timestamp > datetime(2024-01-01T00:00:23Z)", 0),
    ] {
        assert_eq!(world.rows(&format!("T | where {condition} | count")).await, [count.to_string()], "{condition}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_extent_older_than_a_column_or_its_type_reads_promoted() {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Real), ("fresh", Type::String)]).await;
    let old = kyma_core::Schema::from([("Timestamp", Type::Datetime), ("n", Type::Long)]);
    let big = (1_i64 << 53) + 1;
    world.extent_of(&table, &old, "tlm", &[vec![time(0), Value::Long(7)], vec![time(1), Value::Long(big)]], 10).await;
    world.extent(&table, "tlm", &[vec![time(2), Value::Real(7.5), text("x")]], 10).await;
    assert_eq!(world.rows("T | where n > 7.0 and n < 8.0 | project n, fresh").await, ["7.5|x"]);
    assert_eq!(world.rows("T | where n == 7 | project n, fresh").await, ["7|"]);
    assert_eq!(world.rows("T | where n >= 9007199254740992.0 | count").await, ["1"]);
    assert_eq!(world.rows("T | where fresh == '' | count").await, ["2"]);
    assert_eq!(world.rows("T | where isempty(fresh) and n < 8 | count").await, ["1"]);
    assert_eq!(world.rows("T | where fresh != 'x' | count").await, ["2"]);
    assert_eq!(world.rows("T | summarize min(n), max(n)").await, ["7|9007199254740992"]);
}

#[test]
fn paths_convert_as_functions_do() {
    let numbers =
        ["0", "-0.0", "7", "1.5", "-1.5", "1e3", "1e300", "9223372036854775807", "9223372036854775808", "2147483648"];
    let texts =
        [r#""""#, r#""7""#, r#"" 7 ""#, r#""0x1f""#, r#""1.5""#, r#""true""#, r#""NaN""#, r#""x\n\u00e9""#, r#""inf""#];
    let others = ["true", "false", "null", "{}", r#"{"a":1}"#, "[]", r#"["x", 1]"#];
    for json in numbers.iter().chain(&texts).chain(&others) {
        for ty in [Type::String, Type::Long, Type::Int, Type::Real, Type::Bool] {
            let as_path = predicates::member(&Value::Dynamic(format!(r#"{{"k":{json}}}"#)), &["k"], ty);
            let arg = kyma_functions::Arg::Scalar(Value::Dynamic((*json).to_owned()));
            let converted = kyma_functions::convert(&arg, Type::Dynamic, ty, 1).unwrap();
            let converted = kyma_functions::array_value(&*converted, 0, ty);
            let as_path = if as_path == Value::Null(Type::String) { text("") } else { as_path };
            assert_eq!(format!("{converted:?}"), format!("{as_path:?}"), "{json} as {ty}");
        }
    }
}
