//! The V1 body: `{"Tables":[...]}`.
//!
//! A command gives exactly one table, `Table_0`. A query gives its results, then the extended properties, the
//! status (that it completed, and what it cost), and last the table of contents, by which clients find the others.

use kyma_core::{Schema, time};
use kyma_exec::{Answer, ResultTable};
use serde_json::{Value as Json, json};
use uuid::Uuid;

use super::Call;
use super::consumption::consumption;
use super::v2::visualization_json;
use crate::encode::body::Piece;
use crate::encode::cell::NullStrings;

/// The body of a command's answer.
pub(crate) fn command_pieces(answer: Answer) -> Vec<Piece> {
    let mut pieces = vec![Piece::text("{\"Tables\":[")];
    if let Some(table) = answer.tables.into_iter().next() {
        table_pieces("Table_0", table, &mut pieces);
    }
    pieces.push(Piece::text("]}"));
    pieces
}

/// The body of a query's answer.
pub(crate) fn query_pieces(answer: Answer, call: &Call) -> Vec<Piece> {
    let status_rows = status_rows(call, &consumption(&answer));
    let mut pieces = vec![Piece::text("{\"Tables\":[")];
    let mut contents = Vec::new();
    let mut properties = Vec::new();
    for (nth, table) in answer.tables.into_iter().enumerate() {
        let pretty = table.name.clone().unwrap_or_default();
        contents.push(json!([nth, "QueryResult", "PrimaryResult", Uuid::new_v4(), pretty]));
        properties.push(json!([visualization_json(table.visualization.as_ref())]));
        table_pieces(&format!("Table_{nth}"), table, &mut pieces);
        pieces.push(Piece::text(","));
    }
    let results = contents.len();
    contents.push(json!([results, "QueryProperties", "@ExtendedProperties", Uuid::new_v4(), ""]));
    contents.push(json!([results + 1, "QueryStatus", "QueryStatus", Uuid::new_v4(), ""]));

    let extended = small_table(results, &[("Value", "String", "string")], Json::Array(properties));
    let status = small_table(results + 1, &STATUS_COLUMNS, status_rows);
    let toc = small_table(results + 2, &CONTENTS_COLUMNS, Json::Array(contents));
    pieces.push(Piece::text(format!("{extended},{status},{toc}]}}")));
    pieces
}

/// That the query completed, and what it cost.
fn status_rows(call: &Call, cost: &Json) -> Json {
    let (at, activity) = (time::format_datetime(call.at), call.activity_id);
    let row = |severity: i32, name: &str, description: String| {
        json!([at, severity, name, 0, description, 1, activity, activity, activity, call.client_request_id])
    };
    json!([row(4, "Info", "Query completed successfully".to_owned()), row(6, "Stats", cost.to_string())])
}

const STATUS_COLUMNS: [(&str, &str, &str); 10] = [
    ("Timestamp", "DateTime", "datetime"),
    ("Severity", "Int32", "int"),
    ("SeverityName", "String", "string"),
    ("StatusCode", "Int32", "int"),
    ("StatusDescription", "String", "string"),
    ("Count", "Int32", "int"),
    ("RequestId", "Guid", "guid"),
    ("ActivityId", "Guid", "guid"),
    ("SubActivityId", "Guid", "guid"),
    ("ClientActivityId", "String", "string"),
];

const CONTENTS_COLUMNS: [(&str, &str, &str); 5] = [
    ("Ordinal", "Int64", "long"),
    ("Kind", "String", "string"),
    ("Name", "String", "string"),
    ("Id", "String", "string"),
    ("PrettyName", "String", "string"),
];

/// Name, .NET type and Kusto type of each column.
type SmallColumns<'a> = &'a [(&'a str, &'a str, &'a str)];

fn small_table(nth: usize, columns: SmallColumns<'_>, rows: Json) -> String {
    let columns: Vec<Json> = columns
        .iter()
        .map(|(name, data_type, column_type)| {
            json!({ "ColumnName": name, "DataType": data_type, "ColumnType": column_type })
        })
        .collect();
    json!({ "TableName": format!("Table_{nth}"), "Columns": columns, "Rows": rows }).to_string()
}

fn table_pieces(name: &str, table: ResultTable, pieces: &mut Vec<Piece>) {
    let columns = columns_json(&table.schema);
    pieces.push(Piece::text(format!("{{\"TableName\":{},\"Columns\":{columns},\"Rows\":[", json!(name))));
    pieces.push(Piece::Rows { schema: table.schema, batches: table.batches, null_strings: NullStrings::Empty });
    pieces.push(Piece::text("]}"));
}

fn columns_json(schema: &Schema) -> Json {
    let column = |column: &kyma_core::Column| json!({ "ColumnName": column.name, "DataType": column.ty.dotnet_name(), "ColumnType": column.ty.name() });
    schema.columns().iter().map(column).collect()
}

/// One table of texts: the answer to a command that only this wire knows.
pub(crate) fn text_pieces(names: &[&str], rows: &[Vec<String>]) -> Vec<Piece> {
    let columns: Vec<(&str, &str, &str)> = names.iter().map(|name| (*name, "String", "string")).collect();
    let table = small_table(0, &columns, json!(rows));
    vec![Piece::text(format!("{{\"Tables\":[{table}]}}"))]
}

/// The answer to a streaming ingest: one table that says what was done.
pub(crate) fn ingest_pieces(rows: u64, rejected: u64, operation: Uuid, at: i64) -> Vec<Piece> {
    let columns = [
        ("ConsumedRecordsCount", "Int64", "long"),
        ("RejectedRecordsCount", "Int64", "long"),
        ("OperationId", "Guid", "guid"),
        ("Timestamp", "DateTime", "datetime"),
    ];
    let table = small_table(0, &columns, json!([[rows, rejected, operation, time::format_datetime(at)]]));
    vec![Piece::text(format!("{{\"Tables\":[{table}]}}"))]
}
