//! Ingestion mappings: which part of a record becomes which column, as Kusto writes them.
//!
//! A mapping is a JSON array. Two spellings of an element are read, and keys in any case:
//!
//! | kind | today's | older |
//! |---|---|---|
//! | csv | `{"Column":"a","DataType":"long","Properties":{"Ordinal":"0"}}` | `{"Name":"a","DataType":"long","Ordinal":0}` |
//! | json | `{"column":"a","Properties":{"Path":"$.x.y[0]","Transform":"..."}}` | `{"column":"a","path":"$.x.y","datatype":"long"}` |
//!
//! `ConstValue` instead of a place gives every row the same value. Where a mapping is used, it says everything: what it
//! does not name is left out, and a column that the table lacks is added if its data type is given.
//!
//! Transforms that speak of the source (`SourceLocation`, `SourceLineNumber`, `GetPathElement`) are refused: rows
//! are decoded in pieces that do not know where they stand.

use std::str::FromStr;

use kyma_core::dynamic::DEPTH_MAX;
use kyma_core::ids::NAME_BYTES_MAX;
use kyma_core::limits::TABLE_COLUMNS_MAX;
use kyma_core::schema::UNMAPPED_COLUMN;
use kyma_core::{Column, Error, Result, Type};
use serde_json::{Map, Value as Json};

/// Longest text of a mapping, in bytes.
pub const MAPPING_BYTES_MAX: usize = 1024 * 1024;

/// What records a mapping reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MappingKind {
    /// Fields in order.
    Csv,
    /// JSON objects.
    Json,
}

impl MappingKind {
    /// The name that commands and catalogs use.
    pub const fn name(self) -> &'static str {
        match self {
            MappingKind::Csv => "csv",
            MappingKind::Json => "json",
        }
    }
}

impl FromStr for MappingKind {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        match text.to_ascii_lowercase().as_str() {
            "csv" => Ok(MappingKind::Csv),
            "json" => Ok(MappingKind::Json),
            _ => Err(Error::invalid("ingest.mapping_invalid", format!("mapping kind is not known: kind={text:?}"))
                .hint("kyma reads csv and json mappings")),
        }
    }
}

/// How records become rows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mapping {
    kind: MappingKind,
    fields: Vec<Field>,
}

/// How one column is filled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field {
    pub(crate) column: String,
    /// The type that the mapping gives, or the table's where that is known.
    pub(crate) ty: Option<Type>,
    pub(crate) source: Source,
    pub(crate) transform: Option<Transform>,
}

/// Where a value comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Source {
    /// The field at this place of a record, from 0.
    Ordinal(usize),
    /// The part of an object that these steps lead to; no step is the object itself.
    Path(Vec<Step>),
    /// The same for every row.
    Constant(String),
}

/// One step into JSON.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    Key(String),
    Index(usize),
}

/// What is done to a value on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transform {
    /// A number of these many nanoseconds each since 1970 becomes a datetime.
    Unix(i64),
    /// `[{"a":1},{"b":2}]` becomes `{"a":1,"b":2}`.
    MergeBags,
    /// An object without what other columns took out of it.
    DropMapped,
}

impl Mapping {
    /// Reads a mapping.
    ///
    /// # Errors
    /// `Invalid` with code `ingest.mapping_invalid`.
    pub fn parse(kind: MappingKind, json: &str) -> Result<Mapping> {
        if json.len() > MAPPING_BYTES_MAX {
            return Err(invalid(format!("the mapping is too long: bytes_max={MAPPING_BYTES_MAX}")));
        }
        let elements: Vec<Json> = serde_json::from_str(json)
            .map_err(|error| invalid("the mapping is not a JSON array".to_owned()).because(error))?;
        if elements.is_empty() || elements.len() > TABLE_COLUMNS_MAX {
            return Err(invalid(format!("a mapping has 1 to {TABLE_COLUMNS_MAX} columns: columns={}", elements.len())));
        }
        let fields = elements.iter().map(|element| field(kind, element)).collect::<Result<Vec<_>>>()?;
        let mut names: Vec<&str> = fields.iter().map(|field| field.column.as_str()).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            return Err(invalid(format!("the mapping fills a column twice: column={:?}", twice[0])));
        }
        Ok(Mapping { kind, fields })
    }

    /// What it reads.
    pub fn kind(&self) -> MappingKind {
        self.kind
    }

    /// The columns whose types the mapping gives.
    pub fn typed_columns(&self) -> Vec<Column> {
        let typed = |field: &Field| field.ty.map(|ty| Column::new(&field.column, ty));
        self.fields.iter().filter_map(typed).collect()
    }

    /// Whether every column has a type, so that a table can be made of them.
    pub(crate) fn is_typed(&self) -> bool {
        self.fields.iter().all(|field| field.ty.is_some())
    }

    /// The fields, each with the type that its column has in a table, which is the truth.
    pub(crate) fn fields_for(&self, columns: &[Column]) -> Vec<Field> {
        let real = |name: &str| columns.iter().find(|column| column.name == name).map(|column| column.ty);
        let mut fields = self.fields.clone();
        for field in &mut fields {
            field.ty = real(&field.column).or(field.ty);
        }
        fields
    }
}

fn invalid(message: String) -> Error {
    Error::invalid("ingest.mapping_invalid", message).hint(
        r#"a mapping reads [{"column":"a","datatype":"long","Properties":{"Path":"$.a"}}], or {"Ordinal":"0"} for csv"#,
    )
}

fn field(kind: MappingKind, element: &Json) -> Result<Field> {
    let Json::Object(element) = element else {
        return Err(invalid(format!("a column of the mapping is not an object: element={element}")));
    };
    let column = text_of(element, "column").or_else(|| text_of(element, "name")).unwrap_or_default();
    let is_name = !column.is_empty() && column.len() <= NAME_BYTES_MAX && !column.chars().any(char::is_control);
    if !is_name || column == UNMAPPED_COLUMN {
        return Err(invalid(format!("a column of the mapping has no usable name: column={column:?}")));
    }
    let empty = Map::new();
    let properties = member(element, "properties").and_then(Json::as_object).unwrap_or(&empty);
    let property = |name: &str| text_of(properties, name).or_else(|| text_of(element, name));
    Ok(Field {
        ty: data_type(&column, text_of(element, "datatype").or_else(|| text_of(element, "csldatatype")))?,
        source: source(kind, &column, property("constvalue"), property("ordinal"), property("path"))?,
        transform: transform(&column, property("transform").or_else(|| property("transformationmethod")))?,
        column,
    })
}

fn source(
    kind: MappingKind,
    column: &str,
    constant: Option<String>,
    ordinal: Option<String>,
    path: Option<String>,
) -> Result<Source> {
    if let Some(constant) = constant {
        return Ok(Source::Constant(constant));
    }
    match (kind, ordinal, path) {
        (MappingKind::Csv, Some(ordinal), _) => {
            let place = ordinal.trim().parse().ok().filter(|place| *place < 10 * TABLE_COLUMNS_MAX);
            place
                .map(Source::Ordinal)
                .ok_or_else(|| invalid(format!("not a place of a field: column={column:?}, Ordinal={ordinal:?}")))
        }
        (MappingKind::Json, _, Some(path)) => {
            let steps = parse_path(&path);
            steps
                .map(Source::Path)
                .ok_or_else(|| invalid(format!("not a path into JSON: column={column:?}, Path={path:?}")))
        }
        (MappingKind::Csv, None, _) => {
            Err(invalid(format!("a csv column needs Ordinal or ConstValue: column={column:?}")))
        }
        (MappingKind::Json, _, None) => {
            Err(invalid(format!("a json column needs Path or ConstValue: column={column:?}")))
        }
    }
}

fn data_type(column: &str, given: Option<String>) -> Result<Option<Type>> {
    let Some(given) = given.filter(|given| !given.trim().is_empty()) else { return Ok(None) };
    let name = given.trim().to_ascii_lowercase();
    let name = name.strip_prefix("system.").unwrap_or(&name);
    let ty = match name {
        "sbyte" | "byte" => Type::Bool,
        "int16" | "uint32" => Type::Int,
        "uint64" => Type::Long,
        "single" => Type::Real,
        "sqldecimal" | "data.sqltypes.sqldecimal" => Type::Decimal,
        "object" => Type::Dynamic,
        name => name.parse().map_err(|_| {
            invalid(format!("a column of the mapping has no known type: column={column:?}, DataType={given:?}"))
        })?,
    };
    Ok(Some(ty))
}

fn transform(column: &str, given: Option<String>) -> Result<Option<Transform>> {
    let Some(given) = given else { return Ok(None) };
    Ok(match given.trim().to_ascii_lowercase().as_str() {
        "" | "none" => None,
        "datetimefromunixseconds" => Some(Transform::Unix(1_000_000_000)),
        "datetimefromunixmilliseconds" => Some(Transform::Unix(1_000_000)),
        "datetimefromunixmicroseconds" => Some(Transform::Unix(1_000)),
        "datetimefromunixnanoseconds" => Some(Transform::Unix(1)),
        "propertybagarraytodictionary" => Some(Transform::MergeBags),
        "dropmappedfields" => Some(Transform::DropMapped),
        _ => {
            let message = format!("the transform is not supported: column={column:?}, Transform={given:?}");
            return Err(Error::invalid("ingest.mapping_invalid", message).hint(
                "DateTimeFromUnixSeconds, -Milliseconds, -Microseconds, -Nanoseconds, PropertyBagArrayToDictionary \
                 and DropMappedFields are",
            ));
        }
    })
}

/// The steps of `$.a.b[0]['c d']`.
fn parse_path(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    while !rest.is_empty() {
        let (step, after) = match rest.strip_prefix('.') {
            Some(after) => dotted(after)?,
            None => bracketed(rest.strip_prefix('[')?)?,
        };
        steps.push(step);
        rest = after;
        if steps.len() > DEPTH_MAX {
            return None;
        }
    }
    Some(steps)
}

fn dotted(rest: &str) -> Option<(Step, &str)> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (key, after) = rest.split_at(end);
    // `..` and `*` would lead to many places.
    (!key.is_empty() && key != "*").then(|| (Step::Key(key.to_owned()), after))
}

fn bracketed(rest: &str) -> Option<(Step, &str)> {
    for quote in ["'", "\""] {
        if let Some(quoted) = rest.strip_prefix(quote) {
            let (key, after) = quoted.split_once(&format!("{quote}]"))?;
            return Some((Step::Key(key.to_owned()), after));
        }
    }
    let (index, after) = rest.split_once(']')?;
    Some((Step::Index(index.trim().parse().ok()?), after))
}

/// A member by its name in any case.
fn member<'a>(object: &'a Map<String, Json>, name: &str) -> Option<&'a Json> {
    object.iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
}

/// A member as text: clients write numbers with and without quotes, and one of them writes a list of one text.
fn text_of(object: &Map<String, Json>, name: &str) -> Option<String> {
    match member(object, name)? {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        Json::Array(list) => match list.as_slice() {
            [Json::String(text)] => Some(text.clone()),
            _ => Some(Json::Array(list.clone()).to_string()),
        },
        other => Some(other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn only(kind: MappingKind, json: &str) -> Field {
        Mapping::parse(kind, json).unwrap().fields.remove(0)
    }

    #[test]
    fn both_spellings_and_any_case() {
        let new = r#"[{"Column":"a","DataType":"long","Properties":{"Ordinal":"2"}}]"#;
        let old = r#"[{"Name":"a","datatype":"System.Int64","Ordinal":2}]"#;
        assert_eq!(only(MappingKind::Csv, new), only(MappingKind::Csv, old));
        let new = r#"[{"column":"a","properties":{"Path":"$.x[1]","Transform":["DateTimeFromUnixSeconds"]}}]"#;
        let old = r#"[{"column":"a","path":"$.x[1]","transform":"DateTimeFromUnixSeconds"}]"#;
        assert_eq!(only(MappingKind::Json, new), only(MappingKind::Json, old));
        let constant = only(MappingKind::Csv, r#"[{"Column":"a","Properties":{"ConstValue":7}}]"#);
        assert_eq!((constant.source, constant.ty), (Source::Constant("7".into()), None));
    }

    #[test]
    fn paths() {
        let key = |key: &str| Step::Key(key.into());
        assert_eq!(parse_path("$"), Some(vec![]));
        assert_eq!(parse_path("$.a.b[0]"), Some(vec![key("a"), key("b"), Step::Index(0)]));
        assert_eq!(parse_path("$['a.b'][\"c d\"].e"), Some(vec![key("a.b"), key("c d"), key("e")]));
        for bad in ["", "a", "$a", "$.", "$..a", "$.*", "$[", "$[x]", "$['a", "$[-1]"] {
            assert_eq!(parse_path(bad), None, "{bad}");
        }
    }

    #[test]
    fn what_is_no_mapping_is_refused() {
        let bad = [
            "",
            "{}",
            "[]",
            "[1]",
            r#"[{"Path":"$.a"}]"#,
            r#"[{"column":"_unmapped","Path":"$.a"}]"#,
            r#"[{"column":"a"}]"#,
            r#"[{"column":"a","Path":"a.b"}]"#,
            r#"[{"column":"a","Path":"$.a","datatype":"money"}]"#,
            r#"[{"column":"a","Path":"$.a","Transform":"SourceLocation"}]"#,
            r#"[{"column":"a","Path":"$.a"},{"column":"a","Path":"$.b"}]"#,
        ];
        for json in bad {
            assert_eq!(Mapping::parse(MappingKind::Json, json).unwrap_err().code(), "ingest.mapping_invalid", "{json}");
        }
        let far = r#"[{"Column":"a","Ordinal":99999999}]"#;
        assert!(Mapping::parse(MappingKind::Csv, far).is_err());
        assert!("avro".parse::<MappingKind>().is_err());
    }
}
