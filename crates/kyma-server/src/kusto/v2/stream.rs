//! The V2 body frame by frame, while the query runs.
//!
//! 1. The first rows are awaited before the head is sent, so that almost every error has its status.
//! 2. Each batch becomes frames at once: a bounded number of rows per `TableFragment`, or rows of an open `DataTable` when
//!    fragments are not wanted. No more than a few batches wait for a slow client.
//! 3. A query that fails later ends as a partial failure: the error stands where `results_error_reporting_placement` wants it,
//!    and in `DataSetCompletion`. With `deferpartialqueryfailures` it stands in the completion information only.
//!
//! A client that goes away drops the body, and with it the turn and the query.

use ::arrow::array::RecordBatch;
use axum::body::{Body, Bytes};
use futures::{StreamExt, stream};
use kyma_core::profile::Profile;
use kyma_core::{Kind, Result, Schema};
use kyma_exec::{AnswerParts, Part, QueryError, TableHead};
use serde_json::{Value as Json, json};

use super::{columns_json, information_frame, properties_frame, table_head};
use crate::encode::body::{encode_rows, slices};
use crate::encode::cell::NullStrings;
use crate::failure::{Failure, Outcome};
use crate::http::query::Turn;
use crate::kusto::consumption::{TableSize, consumption_of};
use crate::kusto::{Call, error};

/// How frames are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Shape {
    /// The header says progressive, and progress is reported.
    pub(crate) progressive: bool,
    /// Tables come as header, fragments and completion.
    pub(crate) fragments: bool,
    /// Where a partial failure is reported.
    pub(crate) placement: Placement,
    /// A partial failure is no error of the answer.
    pub(crate) defer_failures: bool,
}

/// Where a partial failure is reported, beside the last frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Placement {
    /// After the last row.
    InData,
    /// In the frame that ends the table.
    EndOfTable,
    /// Nowhere else.
    EndOfDataset,
}

impl Placement {
    pub(crate) fn of_name(name: &str) -> Option<Self> {
        match name.to_ascii_lowercase().as_str() {
            "in_data" => Some(Placement::InData),
            "end_of_table" => Some(Placement::EndOfTable),
            "end_of_dataset" => Some(Placement::EndOfDataset),
            _ => None,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Placement::InData => "InData",
            Placement::EndOfTable => "EndOfTable",
            Placement::EndOfDataset => "EndOfDataset",
        }
    }
}

/// The body of an answer that is being made; an error before its first rows is the call's.
pub(crate) async fn respond(call: Call, shape: Shape, answer: AnswerParts, turn: Turn, text: String) -> Outcome<Body> {
    let AnswerParts { tables, mut parts, profile, .. } = answer;
    let mut first = Vec::new();
    while let Some(part) = parts.next().await {
        let part = part.map_err(|error| {
            turn.note_failure(&error);
            Failure::of_query(error, &text)
        })?;
        let is_rows = matches!(part, Part::Rows(_));
        first.push(Ok(part));
        if is_rows {
            break;
        }
    }
    let frames = Frames { call, shape, tables, profile, text, sizes: Vec::new(), open: None };
    let head = frames.head();
    let parts = stream::iter(first).chain(parts).boxed();
    let rest = stream::unfold(Some((frames, parts, turn)), |state| async move {
        let (mut frames, mut parts, turn) = state?;
        match parts.next().await {
            Some(Ok(part)) => match frames.part(part) {
                Ok(bytes) => Some((Ok(bytes), Some((frames, parts, turn)))),
                // A defect: the body breaks off, which no client takes for an answer.
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => {
                turn.note_failure(&error);
                Some((Ok(frames.fail(error)), None))
            }
            None => {
                turn.note_end();
                Some((Ok(frames.end(None)), None))
            }
        }
    });
    let chunks = stream::once(async { Ok(Bytes::from(head)) }).chain(rest);
    let chunks = chunks.filter(|chunk: &Result<Bytes>| {
        let keep = !matches!(chunk, Ok(bytes) if bytes.is_empty());
        std::future::ready(keep)
    });
    // Compression asks once more after the end.
    Ok(Body::from_stream(chunks.fuse()))
}

/// Writes frames.
struct Frames {
    call: Call,
    shape: Shape,
    tables: Vec<TableHead>,
    profile: Box<dyn Fn() -> Profile + Send + Sync>,
    /// The query, of which errors name places.
    text: String,
    /// Of the tables that began, the open one included.
    sizes: Vec<TableSize>,
    open: Option<Schema>,
}

impl Frames {
    fn head(&self) -> String {
        let Shape { progressive, fragments, placement, .. } = self.shape;
        let header = json!({
            "FrameType": "DataSetHeader",
            "IsProgressive": progressive,
            "Version": "v2.0",
            "IsFragmented": fragments,
            "ErrorReportingPlacement": placement.name(),
        });
        let properties = properties_frame(self.tables.iter().map(|table| table.visualization.as_ref()));
        format!("[{header}\n,{properties}\n")
    }

    /// The id of the table that began last.
    fn id(&self) -> usize {
        self.sizes.len()
    }

    fn part(&mut self, part: Part) -> Result<Bytes> {
        match part {
            Part::Table(schema) => {
                let mut text = self.close(None);
                text.push_str(&self.begin(schema));
                Ok(Bytes::from(text))
            }
            Part::Rows(batch) => self.rows(batch),
        }
    }

    fn begin(&mut self, schema: Schema) -> String {
        let named = self.tables.get(self.sizes.len()).and_then(|table| table.name.as_deref());
        let name = named.unwrap_or("PrimaryResult");
        self.sizes.push(TableSize::default());
        let columns = columns_json(&schema);
        let frame = if self.shape.fragments { "TableHeader" } else { "DataTable" };
        let head = table_head(frame, self.id(), "PrimaryResult", name, &columns);
        self.open = Some(schema);
        if self.shape.fragments { format!(",{head}}}\n") } else { format!(",{head},\"Rows\":[") }
    }

    fn rows(&mut self, batch: RecordBatch) -> Result<Bytes> {
        let id = self.id();
        let (Some(schema), Some(size)) = (&self.open, self.sizes.last_mut()) else { return Ok(Bytes::new()) };
        let mut out = Vec::new();
        size.bytes += kyma_exec::size::batch_bytes(&batch);
        for slice in slices(batch) {
            let first = size.rows == 0;
            size.rows += slice.num_rows();
            if !self.shape.fragments {
                out.extend_from_slice(&encode_rows(schema, &slice, NullStrings::Empty, first)?);
                continue;
            }
            out.extend_from_slice(fragment_head(id).as_bytes());
            out.extend_from_slice(&encode_rows(schema, &slice, NullStrings::Empty, true)?);
            out.extend_from_slice(b"]}\n");
        }
        if self.shape.progressive {
            let progress = progress(&(self.profile)());
            let frame = json!({ "FrameType": "TableProgress", "TableId": id, "TableProgress": progress });
            out.extend_from_slice(format!(",{frame}\n").as_bytes());
        }
        Ok(Bytes::from(out))
    }

    /// Ends the open table, if there is one; an error that belongs to it stands in it.
    fn close(&mut self, error: Option<&Json>) -> String {
        let (id, rows) = (self.id(), self.sizes.last().map_or(0, |size| size.rows));
        if self.open.take().is_none() {
            return String::new();
        }
        let errors = error.map(|error| json!([error]));
        let in_data = errors.as_ref().filter(|_| self.shape.placement == Placement::InData);
        let at_end = errors.as_ref().filter(|_| self.shape.placement == Placement::EndOfTable);
        let at_end = at_end.map(|errors| format!(",\"OneApiErrors\":{errors}")).unwrap_or_default();
        let in_data = in_data.map(|errors| json!({ "OneApiErrors": errors }).to_string());
        if !self.shape.fragments {
            let comma = if rows > 0 && in_data.is_some() { "," } else { "" };
            return format!("{comma}{}]{at_end}}}\n", in_data.unwrap_or_default());
        }
        let fragment = in_data.map(|error| format!("{}{error}]}}\n", fragment_head(id))).unwrap_or_default();
        format!("{fragment},{{\"FrameType\":\"TableCompletion\",\"TableId\":{id},\"RowCount\":{rows}{at_end}}}\n")
    }

    fn fail(&mut self, error: QueryError) -> Bytes {
        let failure = Failure::of_query(error, &self.text);
        self.end(Some(&failure))
    }

    /// The last frames.
    fn end(&mut self, failure: Option<&Failure>) -> Bytes {
        let reported = failure.filter(|_| !self.shape.defer_failures);
        let error = reported.map(|failure| error::body(&self.call, failure));
        let mut text = self.close(error.as_ref());
        if error.is_none() {
            let cost = consumption_of(&(self.profile)(), &self.sizes);
            let information = information_frame(self.id() + 1, &self.call, failure, &cost);
            text.push_str(&format!(",{information}\n"));
        }
        let cancelled = failure.is_some_and(|failure| failure.kind == Kind::Cancelled);
        let mut completion =
            json!({ "FrameType": "DataSetCompletion", "HasErrors": error.is_some(), "Cancelled": cancelled });
        if let Some(error) = error {
            completion["OneApiErrors"] = json!([error]);
        }
        text.push_str(&format!(",{completion}\n]"));
        Bytes::from(text)
    }
}

fn fragment_head(id: usize) -> String {
    format!(",{{\"FrameType\":\"TableFragment\",\"TableFragmentType\":\"DataAppend\",\"TableId\":{id},\"Rows\":[")
}

/// How much is done, as far as the scans tell, in percent. Never all: more rows may come.
fn progress(profile: &Profile) -> f64 {
    if profile.rows_total == 0 {
        return 0.0;
    }
    (100.0 * profile.rows_scanned as f64 / profile.rows_total as f64).min(99.0)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::arrow::array::{ArrayRef, Int64Array};
    use kyma_core::{Error, Type};

    use super::*;

    fn frames(shape: Shape, failure: Option<Error>) -> Vec<Json> {
        let schema = Schema::from([("x", Type::Long)]);
        let batch = |values: Vec<i64>| {
            RecordBatch::try_new(schema.arrow(), vec![Arc::new(Int64Array::from(values)) as ArrayRef]).unwrap()
        };
        let call = Call { client_request_id: "KPC.execute;1".into(), activity_id: uuid::Uuid::nil(), at: 0 };
        let tables = ["A", "B"].map(|name| TableHead { name: Some(name.into()), visualization: None });
        let mut frames = Frames {
            call,
            shape,
            tables: tables.to_vec(),
            profile: Box::new(Profile::default),
            text: "T".into(),
            sizes: Vec::new(),
            open: None,
        };
        let mut body = frames.head().into_bytes();
        let parts = [
            Part::Table(schema.clone()),
            Part::Rows(batch(vec![1])),
            Part::Rows(batch(vec![])),
            Part::Rows(batch(vec![2, 3])),
        ];
        for part in parts.into_iter().chain([Part::Table(schema.clone())]) {
            body.extend_from_slice(&frames.part(part).unwrap());
        }
        body.extend_from_slice(&match failure {
            Some(error) => frames.fail(error.into()),
            None => frames.end(None),
        });
        serde_json::from_slice(&body).unwrap()
    }

    fn shape(fragments: bool, placement: Placement) -> Shape {
        Shape { progressive: false, fragments, placement, defer_failures: false }
    }

    fn kinds(frames: &[Json]) -> Vec<&str> {
        frames.iter().map(|frame| frame["FrameType"].as_str().unwrap()).collect()
    }

    fn too_large() -> Option<Error> {
        Some(Error::exhausted("query.result_too_large", "the result is too large"))
    }

    #[test]
    fn tables_in_fragments() {
        let frames = frames(shape(true, Placement::EndOfTable), None);
        let expected = [
            "DataSetHeader",
            "DataTable",
            "TableHeader",
            "TableFragment",
            "TableFragment",
            "TableCompletion",
            "TableHeader",
            "TableCompletion",
            "DataTable",
            "DataSetCompletion",
        ];
        assert_eq!(kinds(&frames), expected);
        assert_eq!(
            (&frames[0]["IsFragmented"], &frames[0]["ErrorReportingPlacement"]),
            (&json!(true), &json!("EndOfTable"))
        );
        assert_eq!((&frames[2]["TableName"], &frames[6]["TableName"]), (&json!("A"), &json!("B")));
        assert_eq!((&frames[4]["Rows"], &frames[5]["RowCount"]), (&json!([[2], [3]]), &json!(3)));
        assert_eq!((&frames[8]["TableId"], &frames[9]["HasErrors"]), (&json!(3), &json!(false)));
    }

    #[test]
    fn progress_is_reported_only_when_asked() {
        let frames = frames(Shape { progressive: true, ..shape(true, Placement::InData) }, None);
        assert_eq!(frames[0]["IsProgressive"], true);
        assert_eq!(kinds(&frames).iter().filter(|kind| **kind == "TableProgress").count(), 3);
    }

    #[test]
    fn a_partial_failure_stands_where_it_is_wanted() {
        let code = |error: &Json| error["OneApiErrors"][0]["error"]["code"].clone();
        for placement in [Placement::InData, Placement::EndOfTable, Placement::EndOfDataset] {
            for fragments in [true, false] {
                let frames = frames(shape(fragments, placement), too_large());
                let last = frames.last().unwrap();
                assert_eq!((&last["HasErrors"], code(last)), (&json!(true), json!("LimitsExceeded")));
                let table = &frames[frames.len() - 2];
                assert_eq!(code(table) == "LimitsExceeded", placement == Placement::EndOfTable, "{frames:?}");
                let in_rows = frames
                    .iter()
                    .any(|frame| frame["Rows"].as_array().is_some_and(|rows| rows.iter().any(Json::is_object)));
                assert_eq!(in_rows, placement == Placement::InData);
                assert!(!frames.iter().any(|frame| frame["TableKind"] == "QueryCompletionInformation"));
            }
        }
    }

    #[test]
    fn a_deferred_failure_stands_in_the_completion_information() {
        let shape = Shape { defer_failures: true, ..shape(false, Placement::InData) };
        let frames = frames(shape, too_large());
        assert_eq!(frames.last().unwrap()["HasErrors"], false);
        let information = &frames[frames.len() - 2]["Rows"];
        assert_eq!((&information[0][5], &information[0][10]), (&json!(2), &json!("QueryLimitsExceeded")));
        assert_eq!(frames[2]["Rows"], json!([[1], [2], [3]]));
    }
}
