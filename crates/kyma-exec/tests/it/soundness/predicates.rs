//! Random predicates: as KQL text, and as the slow, obvious evaluation of one row.

use std::cmp::Ordering;

use arrow::array::AsArray;
use kyma_core::{Type, Value, dynamic};
use kyma_functions::{Arg, Call, EvalContext};
use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use crate::world::{EPOCH, SECOND};

/// The columns after `Timestamp`.
pub(crate) const COLUMNS: [(&str, Type); 10] = [
    ("id", Type::Long),
    ("l", Type::Long),
    ("i", Type::Int),
    ("r", Type::Real),
    ("s", Type::String),
    ("b", Type::Bool),
    ("g", Type::Guid),
    ("t", Type::Timespan),
    ("d", Type::Dynamic),
    ("at", Type::Datetime),
];

const LONGS: [i64; 9] = [i64::MIN, i64::MIN + 1, -7, 0, 1, 7, (1 << 53) + 1, i64::MAX - 1, i64::MAX];
const INTS: [i32; 6] = [i32::MIN, -1, 0, 1, 42, i32::MAX];
const REALS: [f64; 12] = [
    f64::NEG_INFINITY,
    f64::MIN,
    -1.5,
    -0.0,
    0.0,
    1e-300,
    1.0,
    7.0,
    9.007199254740992e15,
    f64::MAX,
    f64::INFINITY,
    f64::NAN,
];
const TEXTS: [&str; 22] = [
    "",
    "error",
    "ERROR",
    "Error: disk full",
    "terror in the error-log",
    "straße",
    "STRASSE",
    "İstanbul",
    "istanbul",
    "ſaſ",
    "\u{212A}elvin",
    "kelvin",
    "Ärger_mit 日本語 ログ",
    "a.b-c/d?e=f",
    "k8s.pod.name=web-1",
    "\u{10FFFF}",
    "this text is longer than thirty-two bytes, and ends in x",
    "this text is longer than thirty-two bytes, and ends in y",
    "10.0.0.1",
    "4bf92f3577b34da6a3ce929d0e0e4736",
    "line one\nline two",
    "42",
];
const NEEDLES: [&str; 26] = [
    "",
    "error",
    "ERROR",
    "err",
    "ror",
    "disk full",
    "log",
    "straße",
    "strasse",
    "SS",
    "istanbul",
    "i",
    "S",
    "KELVIN",
    "k",
    "日本語",
    "ログ",
    "a.b",
    "b-c",
    "web-1",
    "this text is longer than thirty-two",
    "bytes",
    "10.0",
    "4bf92f3577b34da6",
    "42",
    "\u{10FFFF}",
];
const REGEXES: [&str; 6] = ["err.r", "^Error", "(?i)ERROR$", "\\\\d+", "full|日本", "^$"];
const TEXT_OPS: [(&str, &str); 16] = [
    ("has", "has"),
    ("has_cs", "has_cs"),
    ("has_any", "has_any"),
    ("has_all", "has_all"),
    ("hasprefix", "hasprefix"),
    ("hasprefix_cs", "hasprefix_cs"),
    ("hassuffix", "hassuffix"),
    ("hassuffix_cs", "hassuffix_cs"),
    ("contains", "contains"),
    ("contains_cs", "contains_cs"),
    ("startswith", "startswith"),
    ("startswith_cs", "startswith_cs"),
    ("endswith", "endswith"),
    ("endswith_cs", "endswith_cs"),
    ("=~", "equal_ci"),
    ("matches regex", "matches_regex"),
];
const DYNAMICS: [&str; 18] = [
    r#"{"a":{"b":1}}"#,
    r#"{"a":{"b":7}}"#,
    r#"{"a":{"b":1.5}}"#,
    r#"{"a":{"b":"7"}}"#,
    r#"{"a":{"b":"error"}}"#,
    r#"{"a":{"b":true}}"#,
    r#"{"a":{"b":null}}"#,
    r#"{"a":5,"c":"error log"}"#,
    r#"{"a":{}}"#,
    r#"{"c":"ERROR"}"#,
    r#"{"c":""}"#,
    r#"{"c":["x",1]}"#,
    r#"{"a":{"b":9223372036854775807}}"#,
    r#"{"a":{"b":-0.0},"c":42}"#,
    r#"{"a":{"b":1e300}}"#,
    r#"{"a":{"b":"2024-01-01T00:00:05Z"}}"#,
    r#"[1,2]"#,
    r#""text""#,
];
const GUIDS: [u128; 3] = [0, 0x4bf9_2f35_77b3_4da6_a3ce_929d_0e0e_4736, u128::MAX];

/// What is compared.
#[derive(Debug, Clone)]
pub(crate) enum Left {
    /// A column, by place in the row.
    Column(usize),
    /// A path of `d`, read as a type.
    Path(&'static [&'static str], Type),
}

/// A predicate.
#[derive(Debug, Clone)]
pub(crate) enum P {
    Compare(Left, &'static str, Value),
    In(Left, Vec<Value>, bool),
    Between(Left, Value, Value),
    IsNull(Left, bool),
    IsEmpty(Left, bool),
    Text(Left, (&'static str, &'static str), String, bool),
    And(Vec<P>),
    Or(Vec<P>),
    Not(Box<P>),
}

/// A value of a stored row.
pub(crate) fn value(ty: Type, extent: i64, narrow: bool, rng: &mut ChaCha8Rng) -> Value {
    let near = |rng: &mut ChaCha8Rng| extent * 3 + rng.random_range(0..4);
    match ty {
        Type::Long if narrow => Value::Long(near(rng)),
        Type::Int if narrow => Value::Int(near(rng) as i32),
        Type::Real if narrow => Value::Real(near(rng) as f64 / 2.0),
        Type::String if narrow => Value::String(format!("k{:02} error", near(rng))),
        Type::Dynamic if narrow => Value::Dynamic(format!(r#"{{"a":{{"b":{}}},"c":"k{}"}}"#, near(rng), near(rng))),
        Type::Datetime => Value::Datetime(EPOCH + near(rng) * SECOND),
        _ => pick(ty, rng),
    }
}

fn pick(ty: Type, rng: &mut ChaCha8Rng) -> Value {
    let one = |rng: &mut ChaCha8Rng, pool: &[&str]| pool.choose(rng).copied().unwrap_or("").to_owned();
    match ty {
        Type::Bool => Value::Bool(rng.random()),
        Type::Int => Value::Int(*INTS.choose(rng).unwrap()),
        Type::Long => Value::Long(*LONGS.choose(rng).unwrap()),
        Type::Real => Value::Real(*REALS.choose(rng).unwrap()),
        Type::Guid => Value::Guid(*GUIDS.choose(rng).unwrap()),
        Type::Timespan => Value::Timespan(rng.random_range(-3..4) * SECOND),
        Type::Datetime => Value::Datetime(EPOCH + rng.random_range(0..80) * SECOND),
        Type::Dynamic => Value::Dynamic(one(rng, &DYNAMICS)),
        _ => Value::String(one(rng, &TEXTS)),
    }
}

/// A constant of a predicate: half of the time of the kind that narrow rows hold.
fn constant(ty: Type, rng: &mut ChaCha8Rng) -> Value {
    let extent = rng.random_range(0..8);
    let narrow = rng.random_bool(0.5);
    value(ty, extent, narrow, rng)
}

/// A random predicate of at most this depth.
pub(crate) fn random(rng: &mut ChaCha8Rng, depth: usize) -> P {
    if depth == 0 || rng.random_bool(0.35) {
        return leaf(rng);
    }
    let parts = |rng: &mut ChaCha8Rng| (0..rng.random_range(2..4)).map(|_| random(rng, depth - 1)).collect();
    match rng.random_range(0..5) {
        0 | 1 => P::And(parts(rng)),
        2 | 3 => P::Or(parts(rng)),
        _ => P::Not(Box::new(random(rng, depth - 1))),
    }
}

fn leaf(rng: &mut ChaCha8Rng) -> P {
    let left = left(rng);
    let ty = left.ty();
    if ty == Type::Dynamic {
        return P::IsNull(left, rng.random());
    }
    if ty == Type::String && rng.random_bool(0.6) {
        let op = *TEXT_OPS.choose(rng).unwrap();
        let pool = if op.1 == "matches_regex" { &REGEXES[..] } else { &NEEDLES[..] };
        let negated = rng.random_bool(0.3) && op.1 != "matches_regex";
        return P::Text(left, op, pool.choose(rng).copied().unwrap_or("").to_owned(), negated);
    }
    let ordered = !matches!(ty, Type::Bool | Type::Guid);
    match rng.random_range(0..9) {
        0 | 1 => P::In(left, (0..rng.random_range(1..4)).map(|_| constant(ty, rng)).collect(), rng.random()),
        2 if ordered && ty != Type::String => P::Between(left, constant(ty, rng), constant(ty, rng)),
        3 if ty == Type::String => P::IsEmpty(left, rng.random()),
        3 => P::IsNull(left, rng.random()),
        _ => {
            let ops = if ordered { &["==", "!=", "<", "<=", ">", ">="][..] } else { &["==", "!="][..] };
            P::Compare(left, ops.choose(rng).copied().unwrap_or("=="), constant(ty, rng))
        }
    }
}

fn left(rng: &mut ChaCha8Rng) -> Left {
    const PATHS: [&[&str]; 5] = [&["a", "b"], &["a"], &["c"], &["missing"], &["a", "b", "deeper"]];
    const TYPES: [Type; 7] =
        [Type::Long, Type::Int, Type::Real, Type::String, Type::Bool, Type::Datetime, Type::Dynamic];
    match rng.random_bool(0.35) {
        true => Left::Path(PATHS.choose(rng).copied().unwrap_or(&["a"]), *TYPES.choose(rng).unwrap()),
        false => match rng.random_range(0..=COLUMNS.len()) {
            1 => Left::Column(2),
            at => Left::Column(at),
        },
    }
}

impl Left {
    fn ty(&self) -> Type {
        match self {
            Left::Column(0) => Type::Datetime,
            Left::Column(at) => COLUMNS[at - 1].1,
            Left::Path(_, ty) => *ty,
        }
    }

    fn kql(&self) -> String {
        match self {
            Left::Column(0) => "Timestamp".to_owned(),
            Left::Column(at) => COLUMNS[at - 1].0.to_owned(),
            Left::Path(keys, ty) => {
                let path = format!("d.{}", keys.join("."));
                if *ty == Type::Dynamic { path } else { format!("to{}({path})", ty.name().replace("real", "double")) }
            }
        }
    }

    fn sql(&self) -> Option<String> {
        match self {
            Left::Column(_) if !matches!(self.ty(), Type::Guid | Type::Timespan) => Some(format!("\"{}\"", self.kql())),
            _ => None,
        }
    }

    /// The value in a row; null strings are `""`.
    fn of(&self, row: &[Value]) -> Value {
        let value = match self {
            Left::Column(at) => row[*at].clone(),
            Left::Path(keys, ty) => member(&row[9], keys, *ty),
        };
        match value {
            Value::Null(Type::String) => Value::String(String::new()),
            Value::Dynamic(json) if json == "null" => Value::Null(Type::Dynamic),
            value => value,
        }
    }
}

/// A path of a dynamic, converted as the formats do.
pub(crate) fn member(value: &Value, keys: &[&str], ty: Type) -> Value {
    let keys: Vec<String> = keys.iter().map(|key| (*key).to_owned()).collect();
    let Value::Dynamic(json) = value else { return Value::Null(ty) };
    let Some(json) = dynamic::get(json, &keys) else { return Value::Null(ty) };
    let found = match ty {
        Type::Long => dynamic::to_long(&json).map(Value::Long),
        Type::Int => dynamic::to_long(&json).and_then(|long| i32::try_from(long).ok()).map(Value::Int),
        Type::Real => dynamic::to_real(&json).map(Value::Real),
        Type::Bool => dynamic::to_bool(&json).map(Value::Bool),
        Type::Datetime => by_kernel(&json),
        Type::String => Some(Value::String(dynamic::to_text(&json).into_owned())),
        _ => Some(Value::Dynamic(json.into_owned())),
    };
    found.unwrap_or(Value::Null(ty))
}

/// Times in a dynamic have spellings that only the kernels know.
fn by_kernel(json: &str) -> Option<Value> {
    let arg = Arg::Scalar(Value::Dynamic(json.to_owned()));
    let time = kyma_functions::convert(&arg, Type::Dynamic, Type::Datetime, 1).unwrap();
    Some(kyma_functions::array_value(&*time, 0, Type::Datetime))
}

impl P {
    /// The predicate as KQL.
    pub(crate) fn kql(&self) -> String {
        let list = |values: &[Value]| values.iter().map(literal).collect::<Vec<_>>().join(", ");
        let many = |parts: &[P], word: &str| {
            format!("({})", parts.iter().map(P::kql).collect::<Vec<_>>().join(&format!(" {word} ")))
        };
        match self {
            P::Compare(left, op, value) => format!("{} {op} {}", left.kql(), literal(value)),
            P::In(left, values, negated) => {
                format!("{} {}in ({})", left.kql(), if *negated { "!" } else { "" }, list(values))
            }
            P::Between(left, from, to) => format!("{} between ({} .. {})", left.kql(), literal(from), literal(to)),
            P::IsNull(left, negated) => format!("{}({})", if *negated { "isnotnull" } else { "isnull" }, left.kql()),
            P::IsEmpty(left, negated) => format!("{}({})", if *negated { "isnotempty" } else { "isempty" }, left.kql()),
            P::Text(left, (op, _), needle, negated) => {
                let op = match (*negated, *op) {
                    (true, "=~") => "!~".to_owned(),
                    (true, op) => format!("!{op}"),
                    (false, op) => op.to_owned(),
                };
                format!("{} {op} \"{needle}\"", left.kql())
            }
            P::And(parts) => many(parts, "and"),
            P::Or(parts) => many(parts, "or"),
            P::Not(inner) => format!("not({})", inner.kql()),
        }
    }

    /// The predicate as SQL, where it has words for it.
    pub(crate) fn sql(&self) -> Option<String> {
        let not = |negated: &bool| if *negated { "NOT " } else { "" };
        let many = |parts: &[P], word: &str| -> Option<String> {
            let parts = parts.iter().map(P::sql).collect::<Option<Vec<_>>>()?;
            Some(format!("({})", parts.join(&format!(" {word} "))))
        };
        Some(match self {
            P::Compare(left, op, value) => {
                let op = if *op == "==" { "=" } else { op };
                format!("{} {op} {}", left.sql()?, sql_literal(value)?)
            }
            P::In(left, values, negated) => {
                let list = values.iter().map(sql_literal).collect::<Option<Vec<_>>>()?.join(", ");
                format!("{} {}IN ({list})", left.sql()?, not(negated))
            }
            P::Between(left, from, to) => {
                format!("{} BETWEEN {} AND {}", left.sql()?, sql_literal(from)?, sql_literal(to)?)
            }
            P::IsNull(left, negated) => format!("{} IS {}NULL", left.sql()?, not(negated)),
            P::IsEmpty(left, negated) => format!("{} {}= ''", left.sql()?, if *negated { "!" } else { "" }),
            P::Text(left, (_, function), needle, negated) => {
                let pattern = match *function {
                    "startswith_cs" | "hasprefix_cs" => format!("{needle}%"),
                    "endswith_cs" | "hassuffix_cs" => format!("%{needle}"),
                    "contains" | "contains_cs" => format!("%{needle}%"),
                    "equal_ci" => needle.clone(),
                    "matches_regex" => return None,
                    function => {
                        let call = format!("{function}({}, '{needle}')", left.sql()?);
                        return Some(if *negated { format!("NOT {call}") } else { call });
                    }
                };
                let like = if function.ends_with("_cs") { "LIKE" } else { "ILIKE" };
                format!("{} {}{like} '{pattern}'", left.sql()?, not(negated))
            }
            P::And(parts) => many(parts, "AND")?,
            P::Or(parts) => many(parts, "OR")?,
            P::Not(inner) => format!("NOT ({})", inner.sql()?),
        })
    }

    /// Whether it is true of a row; null where that is not known.
    pub(crate) fn holds(&self, row: &[Value]) -> Option<bool> {
        match self {
            P::Compare(left, op, value) => compare(&left.of(row), op, value),
            P::In(left, values, negated) => {
                let value = left.of(row);
                let found = values.iter().any(|one| compare(&value, "==", one) == Some(true));
                Some(found != *negated)
            }
            P::Between(left, from, to) => {
                let value = left.of(row);
                both(compare(&value, ">=", from), compare(&value, "<=", to))
            }
            P::IsNull(left, negated) => Some(left.of(row).is_null() != *negated),
            P::IsEmpty(left, negated) => Some((left.of(row) == Value::String(String::new())) != *negated),
            P::Text(left, (_, function), needle, negated) => Some(text(function, left.of(row), needle) != *negated),
            P::And(parts) => parts.iter().map(|part| part.holds(row)).fold(Some(true), both),
            P::Or(parts) => {
                parts.iter().map(|part| part.holds(row).map(|holds| !holds)).fold(Some(true), both).map(|none| !none)
            }
            P::Not(inner) => inner.holds(row).map(|holds| !holds),
        }
    }
}

fn both(a: Option<bool>, b: Option<bool>) -> Option<bool> {
    match (a, b) {
        (Some(false), _) | (_, Some(false)) => Some(false),
        (Some(true), Some(true)) => Some(true),
        _ => None,
    }
}

/// Kusto's comparison with a constant that is not null.
fn compare(value: &Value, op: &str, constant: &Value) -> Option<bool> {
    if value.is_null() {
        return match op {
            "==" => Some(false),
            "!=" => Some(true),
            _ => None,
        };
    }
    let order = value.partial_compare(constant).or_else(|| match (value, constant) {
        (Value::Bool(a), Value::Bool(b)) => Some(a.cmp(b)),
        _ => None,
    });
    Some(match op {
        "==" => order == Some(Ordering::Equal),
        "!=" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        "<=" => order.is_some_and(Ordering::is_le),
        ">" => order == Some(Ordering::Greater),
        _ => order.is_some_and(Ordering::is_ge),
    })
}

fn text(function: &str, value: Value, needle: &str) -> bool {
    // The pools write a regular expression as KQL text does.
    let needle = needle.replace("\\\\", "\\");
    let args = [Arg::Scalar(value), Arg::Scalar(Value::String(needle))];
    let types = [Type::String, Type::String];
    let call = Call { args: &args, types: &types, out: Type::Bool, rows: 1, context: &EvalContext { now: 0 } };
    let answer = kyma_functions::scalar(function).unwrap_or_else(|| panic!("{function}")).eval(&call).unwrap();
    answer.as_boolean().value(0)
}

fn literal(value: &Value) -> String {
    match value {
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => format!("int({value})"),
        Value::Long(value) => format!("long({value})"),
        Value::Real(value) if value.is_nan() => "real(nan)".to_owned(),
        Value::Real(value) if value.is_infinite() => format!("real({}inf)", if *value > 0.0 { "+" } else { "-" }),
        Value::Real(value) => format!("real({value:e})"),
        Value::Datetime(nanos) => format!("datetime({})", kyma_core::time::format_datetime(*nanos)),
        Value::Timespan(nanos) => format!("timespan({})", kyma_core::time::format_timespan(*nanos)),
        Value::Guid(bits) => format!("guid({})", uuid::Uuid::from_u128(*bits)),
        Value::String(text) => format!("\"{}\"", text.replace('\n', "\\n")),
        other => format!("{other:?}"),
    }
}

fn sql_literal(value: &Value) -> Option<String> {
    Some(match value {
        Value::Long(i64::MIN) => return None, // A minus before a number that is too large.
        Value::Bool(value) => value.to_string(),
        Value::Int(value) => value.to_string(),
        Value::Long(value) => value.to_string(),
        Value::Real(value) if value.is_finite() => format!("{value:e}"),
        Value::Datetime(nanos) => {
            format!("TIMESTAMP '{}'", kyma_core::time::format_datetime(*nanos).trim_end_matches('Z'))
        }
        Value::String(text) => format!("'{text}'"),
        _ => return None,
    })
}
