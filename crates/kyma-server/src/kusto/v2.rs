//! The V2 body: an array of frames.
//!
//! `DataSetHeader`, then the extended properties, a `PrimaryResult` per tabular statement, the completion information, and
//! `DataSetCompletion`. `FrameType` is the first member of a frame and `Rows` the last of a table, since
//! clients read them as a stream; each frame has a line of its own. Tables are never fragmented.

use kyma_core::{Schema, time};
use kyma_exec::{Answer, ResultTable};
use kyma_plan::Visualization;
use serde_json::{Value as Json, json};

use super::Call;
use super::consumption::consumption;
use crate::encode::body::Piece;
use crate::encode::cell::NullStrings;

/// The frames of an answer.
pub(crate) fn pieces(answer: Answer, call: &Call) -> Vec<Piece> {
    let header = json!({ "FrameType": "DataSetHeader", "IsProgressive": false, "Version": "v2.0" });
    let mut pieces = vec![Piece::text(format!("[{header}\n,{}\n", properties_frame(&answer.tables)))];
    let cost = consumption(&answer);
    let results = answer.tables.len();
    for (nth, table) in answer.tables.into_iter().enumerate() {
        table_pieces(nth + 1, table, &mut pieces);
    }
    let completion = json!({ "FrameType": "DataSetCompletion", "HasErrors": false, "Cancelled": false });
    pieces.push(Piece::text(format!(",{}\n,{completion}\n]", information_frame(results + 1, call, &cost))));
    pieces
}

fn properties_frame(tables: &[ResultTable]) -> String {
    let columns = [("TableId", "int"), ("Key", "string"), ("Value", "dynamic")];
    let row = |(nth, table): (usize, &ResultTable)| {
        json!([nth + 1, "Visualization", visualization_json(table.visualization.as_ref())])
    };
    let rows: Json = tables.iter().enumerate().map(row).collect();
    small_frame(0, "QueryProperties", "@ExtendedProperties", &columns, rows)
}

fn information_frame(id: usize, call: &Call, cost: &Json) -> String {
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
    let row = |level: i32, level_name: &str, event: i32, event_name: &str, payload: &Json| {
        let (at, activity) = (time::format_datetime(call.at), call.activity_id);
        let id = &call.client_request_id;
        json!([
            at,
            id,
            activity,
            activity,
            activity,
            level,
            level_name,
            0,
            "S_OK (0)",
            event,
            event_name,
            payload.to_string()
        ])
    };
    let done = row(4, "Info", 4, "QueryInfo", &json!({ "Count": 1, "Text": "Query completed successfully" }));
    let cost = row(6, "Stats", 0, "QueryResourceConsumption", cost);
    small_frame(id, "QueryCompletionInformation", "QueryCompletionInformation", &columns, json!([done, cost]))
}

/// A frame with rows at hand. Written by hand because the order of members matters to clients.
fn small_frame(id: usize, kind: &str, name: &str, columns: &[(&str, &str)], rows: Json) -> String {
    let columns: Vec<Json> =
        columns.iter().map(|(name, column_type)| json!({ "ColumnName": name, "ColumnType": column_type })).collect();
    let head = frame_head(id, kind, name, &json!(columns));
    format!("{head}{rows}}}")
}

fn frame_head(id: usize, kind: &str, name: &str, columns: &Json) -> String {
    format!(
        "{{\"FrameType\":\"DataTable\",\"TableId\":{id},\"TableKind\":{},\"TableName\":{},\"Columns\":{columns},\"Rows\":",
        json!(kind),
        json!(name)
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
const VISUALIZATION_KEYS: [(&str, &str); 15] = [
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
