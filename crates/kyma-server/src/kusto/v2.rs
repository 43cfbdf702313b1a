//! The V2 body: an array of frames.
//!
//! `DataSetHeader`, then the extended properties, a `PrimaryResult` per tabular statement, the completion information, and
//! `DataSetCompletion`. `FrameType` is the first member of a frame and `Rows` the last of a table, since
//! clients read them as a stream; each frame has a line of its own. Tables are fragmented only when that is asked for, which
//! `stream` does.

mod stream;

use kyma_core::{Kind, Schema, time};
use kyma_exec::{Answer, ResultTable};
use kyma_plan::Visualization;
use serde_json::{Value as Json, json};

pub(crate) use self::stream::{Placement, Shape, respond};
use super::Call;
use super::consumption::consumption;
use crate::encode::body::Piece;
use crate::encode::cell::NullStrings;
use crate::failure::Failure;

/// The frames of an answer.
pub(crate) fn pieces(answer: Answer, call: &Call) -> Vec<Piece> {
    let header = json!({ "FrameType": "DataSetHeader", "IsProgressive": false, "Version": "v2.0" });
    let properties = properties_frame(answer.tables.iter().map(|table| table.visualization.as_ref()));
    let mut pieces = vec![Piece::text(format!("[{header}\n,{properties}\n"))];
    let cost = consumption(&answer);
    let results = answer.tables.len();
    for (nth, table) in answer.tables.into_iter().enumerate() {
        table_pieces(nth + 1, table, &mut pieces);
    }
    let completion = json!({ "FrameType": "DataSetCompletion", "HasErrors": false, "Cancelled": false });
    let information = information_frame(results + 1, call, None, &cost);
    pieces.push(Piece::text(format!(",{information}\n,{completion}\n]")));
    pieces
}

fn properties_frame<'a>(tables: impl Iterator<Item = Option<&'a Visualization>>) -> String {
    let columns = [("TableId", "int"), ("Key", "string"), ("Value", "dynamic")];
    let row = |(nth, visualization)| json!([nth + 1, "Visualization", visualization_json(visualization)]);
    let rows: Json = tables.enumerate().map(row).collect();
    small_frame(0, "QueryProperties", "@ExtendedProperties", &columns, rows)
}

/// Whether the query completed, and what it cost. A failure that its asker wants to find here has level 2.
fn information_frame(id: usize, call: &Call, failure: Option<&Failure>, cost: &Json) -> String {
    let columns = [
        ("Timestamp", "datetime"),
        ("ClientRequestId", "string"),
        ("ActivityId", "guid"),
        ("SubActivityId", "guid"),
        ("ParentActivityId", "guid"),
        ("Level", "int"),
        ("LevelName", "string"),
        ("StatusCode", "int"),
        ("StatusCodeName", "string"),
        ("EventType", "int"),
        ("EventTypeName", "string"),
        ("Payload", "string"),
    ];
    let (at, activity) = (time::format_datetime(call.at), call.activity_id);
    let row =
        |(level, level_name): (i32, &str), (status, status_name): (i32, &str), event: (i32, &str), payload: Json| {
            json!([
                at,
                call.client_request_id,
                activity,
                activity,
                activity,
                level,
                level_name,
                status,
                status_name,
                event.0,
                event.1,
                payload.to_string()
            ])
        };
    let fine = (0, "S_OK (0)");
    let outcome = match failure {
        None => row((4, "Info"), fine, (4, "QueryInfo"), json!({ "Count": 1, "Text": "Query completed successfully" })),
        Some(failure) => {
            let text = json!({ "Count": 1, "Text": failure.message });
            row((2, "Error"), status_of(failure), (1, event_name(failure)), text)
        }
    };
    let cost = row((6, "Stats"), fine, (0, "QueryResourceConsumption"), cost.clone());
    small_frame(id, "QueryCompletionInformation", "QueryCompletionInformation", &columns, json!([outcome, cost]))
}

/// Kusto's status code of a failure, a number of 32 bits, and its name.
fn status_of(failure: &Failure) -> (i32, &'static str) {
    match failure.kind {
        Kind::Exhausted if failure.code.ends_with("result_too_large") => {
            (-2_133_196_797, "Query result set too large (E_QUERY_RESULT_SET_TOO_LARGE)")
        }
        Kind::Exhausted => (-2_133_196_793, "Low memory condition (E_LOW_MEMORY_CONDITION)"),
        _ => (-2_147_467_259, "Unspecified error (E_FAIL)"),
    }
}

fn event_name(failure: &Failure) -> &'static str {
    if failure.kind == Kind::Exhausted { "QueryLimitsExceeded" } else { "QueryError" }
}

/// A frame with rows at hand. Written by hand because the order of members matters to clients.
fn small_frame(id: usize, kind: &str, name: &str, columns: &[(&str, &str)], rows: Json) -> String {
    let columns: Vec<Json> =
        columns.iter().map(|(name, column_type)| json!({ "ColumnName": name, "ColumnType": column_type })).collect();
    let head = frame_head(id, kind, name, &json!(columns));
    format!("{head}{rows}}}")
}

/// A `DataTable` frame up to its rows.
fn frame_head(id: usize, kind: &str, name: &str, columns: &Json) -> String {
    format!("{},\"Rows\":", table_head("DataTable", id, kind, name, columns))
}

/// What says which table this is and what columns it has; the frame is left open.
fn table_head(frame: &str, id: usize, kind: &str, name: &str, columns: &Json) -> String {
    let (kind, name) = (json!(kind), json!(name));
    format!(
        "{{\"FrameType\":\"{frame}\",\"TableId\":{id},\"TableKind\":{kind},\"TableName\":{name},\"Columns\":{columns}"
    )
}

fn table_pieces(id: usize, table: ResultTable, pieces: &mut Vec<Piece>) {
    let name = table.name.unwrap_or_else(|| "PrimaryResult".to_owned());
    let head = frame_head(id, "PrimaryResult", &name, &columns_json(&table.schema));
    pieces.push(Piece::text(format!(",{head}[")));
    pieces.push(Piece::Rows { schema: table.schema, batches: table.batches, null_strings: NullStrings::Empty });
    pieces.push(Piece::text("]}\n"));
}

fn columns_json(schema: &Schema) -> Json {
    let column = |column: &kyma_core::Column| json!({ "ColumnName": column.name, "ColumnType": column.ty.name() });
    schema.columns().iter().map(column).collect()
}

/// Properties of `render` by the names clients expect, in their order.
const VISUALIZATION_KEYS: [(&str, &str); 17] = [
    ("Title", "title"),
    ("XColumn", "xcolumn"),
    ("Series", "series"),
    ("YColumns", "ycolumns"),
    ("AnomalyColumns", "anomalycolumns"),
    ("XTitle", "xtitle"),
    ("YTitle", "ytitle"),
    ("XAxis", "xaxis"),
    ("YAxis", "yaxis"),
    ("Legend", "legend"),
    ("YSplit", "ysplit"),
    ("Accumulate", "accumulate"),
    ("Kind", "kind"),
    ("Ymin", "ymin"),
    ("Ymax", "ymax"),
    ("Xmin", "xmin"),
    ("Xmax", "xmax"),
];

/// How to draw a table, as JSON in a string: what both wires carry.
pub(crate) fn visualization_json(visualization: Option<&Visualization>) -> Json {
    let mut members = serde_json::Map::new();
    members.insert("Visualization".into(), json!(visualization.map(|it| &it.kind)));
    for (key, property) in VISUALIZATION_KEYS {
        let given = visualization.and_then(|it| it.properties.get(property));
        // Properties are JSON texts; one that is not is taken as plain text.
        let value = given.map(|text| serde_json::from_str(text).unwrap_or_else(|_| json!(text)));
        let default = if property == "accumulate" { json!(false) } else { Json::Null };
        members.insert(key.into(), value.unwrap_or(default));
    }
    members.insert("IsQuerySorted".into(), json!(false));
    Json::String(Json::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::arrow::array::{ArrayRef, Int64Array, RecordBatch};
    use kyma_core::Type;

    use super::*;
    use crate::encode::body::collect;

    #[test]
    fn frames_come_in_order_and_rows_come_last() {
        let schema = Schema::from([("x", Type::Long)]);
        let batch =
            RecordBatch::try_new(schema.arrow(), vec![Arc::new(Int64Array::from(vec![1, 2])) as ArrayRef]).unwrap();
        let table = ResultTable { name: None, schema, batches: vec![batch], visualization: None };
        let answer = Answer { tables: vec![table], profile: Default::default(), warnings: vec![] };
        let call = Call { client_request_id: "KPC.execute;1".into(), activity_id: uuid::Uuid::nil(), at: 0 };
        let text = String::from_utf8(collect(pieces(answer, &call)).unwrap()).unwrap();

        let frames: Vec<serde_json::Map<String, Json>> = serde_json::from_str(&text).unwrap();
        let kinds: Vec<&str> = frames.iter().map(|frame| frame["FrameType"].as_str().unwrap()).collect();
        assert_eq!(kinds, ["DataSetHeader", "DataTable", "DataTable", "DataTable", "DataSetCompletion"]);
        assert_eq!(frames[2]["Rows"], json!([[1], [2]]));
        assert!(frames.iter().all(|frame| frame.keys().next().unwrap() == "FrameType"));
        assert!(frames[1..4].iter().all(|frame| frame.keys().next_back().unwrap() == "Rows"));
        assert_eq!(text.lines().filter(|line| line.contains("FrameType")).count(), 5);
    }
}
