//! `/v1/query`: a query in any language, its rows in the format that `Accept` names.
//!
//! 1. Read the request (JSON body, or `?query=` in a URL).
//! 2. Wait for a turn.
//! 3. JSON answers are collected within the result limits, and carry columns and rows. NDJSON, CSV and
//!    Arrow are streamed: the first batch is awaited before the head is sent, so that almost every error has its
//!    status; a later one breaks the body off, which the client sees as a truncated transfer.
//! 4. `"profile":true` (or `?profile=true`) adds what the query cost, also to the answer of a query that failed. It is
//!    known after the last row, for which only JSON has a place. `"explain":true` answers how the query would run, and
//!    runs nothing.
//!
//! The query is cancelled when the client goes away: the token's guard lives in the handler, then in the body.

use std::collections::BTreeMap;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Query as UrlQuery, State};
use axum::http::{HeaderMap, header};
use axum::response::IntoResponse;
use futures::{Stream, StreamExt, stream};
use kyma_core::limits::{RESULT_BYTES_MAX, RESULT_ROWS_MAX};
use kyma_core::profile::Profile;
use kyma_core::{Error, Schema};
use kyma_exec::{Answer, AnswerStream, AsOf, Limits, QueryError, QueryRequest, ResultTable};
use serde::Deserialize;
use serde_json::json;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::admission::Ticket;
use crate::command;
use crate::encode::arrow::Encoder;
use crate::encode::body::{Piece, slices, stream_body};
use crate::encode::cell::NullStrings;
use crate::encode::{csv, ndjson};
use crate::failure::{Failure, Outcome, warnings_json};
use crate::queries::Watched;
use crate::settings::{DISCARD_BYTES_MAX, QUERY_BODY_BYTES_MAX, QUERY_BODY_TIME_MAX, Role};
use crate::state::Shared;

/// The body of `POST /v1/query`, or the parameters of `GET /v1/query`.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct QueryBody {
    query: String,
    language: Option<String>,
    database: Option<String>,
    #[serde(default)]
    parameters: BTreeMap<String, serde_json::Value>,
    #[serde(default)]
    limits: LimitsBody,
    /// What `now()` is, as a datetime.
    now: Option<String>,
    /// What is read instead of what is there now: a sequence, or a datetime.
    as_of: Option<serde_json::Value>,
    /// Whether what the query cost is wanted.
    #[serde(default)]
    profile: bool,
    /// Whether the plan is wanted instead of rows.
    #[serde(default)]
    explain: bool,
}

/// What the URL of `POST /v1/query` may ask for.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub(crate) struct Flags {
    profile: bool,
    explain: bool,
}

/// Limits that a client may move.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsBody {
    /// Most rows; 0 is no limit.
    rows: Option<usize>,
    /// Most bytes; 0 is no limit.
    bytes: Option<usize>,
    seconds: Option<f64>,
    /// Cut the result at the limits instead of failing.
    #[serde(default)]
    truncate: bool,
}

/// How the rows are wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Json,
    Ndjson,
    Csv,
    Arrow,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct UrlBody {
    query: String,
    language: Option<String>,
    database: Option<String>,
    as_of: Option<String>,
    #[serde(default)]
    profile: bool,
    #[serde(default)]
    explain: bool,
}

pub(crate) async fn get(
    State(state): State<Shared>,
    headers: HeaderMap,
    url: Result<UrlQuery<UrlBody>, axum::extract::rejection::QueryRejection>,
) -> Outcome {
    let UrlQuery(url) = url.map_err(|rejection| bad_request(rejection.body_text()))?;
    let body = QueryBody {
        query: url.query,
        language: url.language,
        database: url.database,
        parameters: BTreeMap::new(),
        limits: LimitsBody::default(),
        now: None,
        as_of: url.as_of.map(serde_json::Value::String),
        profile: url.profile,
        explain: url.explain,
    };
    answer(state, &headers, body).await
}

pub(crate) async fn post(
    State(state): State<Shared>,
    headers: HeaderMap,
    url: Result<UrlQuery<Flags>, axum::extract::rejection::QueryRejection>,
    body: Body,
) -> Outcome {
    let UrlQuery(flags) = url.map_err(|rejection| bad_request(rejection.body_text()))?;
    let bytes = read_body(body).await?;
    let mut body: QueryBody = serde_json::from_slice(&bytes).map_err(|error| bad_request(error.to_string()))?;
    body.profile |= flags.profile;
    body.explain |= flags.explain;
    answer(state, &headers, body).await
}

fn bad_request(reason: String) -> Failure {
    let hint = r#"send {"query":"Logs | take 10","language":"kql","database":"default"}"#;
    Error::invalid("query.bad_request", format!("the request is not a query: {reason}")).hint(hint).into()
}

/// Reads a small body within its limits.
pub(crate) async fn read_body(body: Body) -> Outcome<Bytes> {
    let read = tokio::time::timeout(QUERY_BODY_TIME_MAX, collect_body(body)).await;
    read.map_err(|_| Error::exhausted("query.body_timeout", "the body of the request took too long"))?
        .map_err(Failure::from)
}

/// The whole body. One that is too large is read on, within limits, so that its sender hears the answer.
async fn collect_body(body: Body) -> kyma_core::Result<Bytes> {
    let mut chunks = body.into_data_stream();
    let (mut collected, mut bytes) = (Vec::new(), 0);
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|error| {
            Error::cancelled("query.body_broken", "the body of the request broke off").because(error)
        })?;
        bytes += chunk.len();
        if bytes <= QUERY_BODY_BYTES_MAX {
            collected.extend_from_slice(&chunk);
        } else if bytes > QUERY_BODY_BYTES_MAX + DISCARD_BYTES_MAX {
            break;
        }
    }
    if bytes > QUERY_BODY_BYTES_MAX {
        let message = format!("the body of a query is too large: bytes_max={QUERY_BODY_BYTES_MAX}");
        return Err(Error::exhausted("query.body_too_large", message));
    }
    Ok(Bytes::from(collected))
}

async fn answer(state: Shared, headers: &HeaderMap, body: QueryBody) -> Outcome {
    let format = format_of(headers)?;
    let text = body.query.clone();
    let (with_profile, explains) = (body.profile, body.explain);
    if (with_profile || explains) && format != Format::Json {
        return Err(bad_request("a profile or a plan comes as JSON only".to_owned()));
    }
    let language = body.language.clone().unwrap_or_else(|| "kql".to_owned());
    if let Some(command) = command::parse(&state, &language, &text)? {
        if explains {
            return Err(bad_request("a command has no plan to explain".to_owned()));
        }
        if body.as_of.is_some() {
            return Err(bad_request("a command is not as of earlier".to_owned()));
        }
        let database = state.database_or_default(body.database);
        let answer = command::execute(&state, &database, command).await?;
        return respond_collected(format, answer, &text, NullStrings::Empty, with_profile);
    }
    state.require(Role::Query)?;
    let request = request_of(&state, body, language)?;
    let null_strings = null_strings(&request.language);
    let turn = Turn::take_for(&state, &request).await?;
    if explains {
        let explained = state.engine.explain(request).await;
        let explained = explained.map_err(|error| Failure::of_query(error, &text))?;
        turn.note_end();
        return Ok(axum::Json(json!({ "text": explained.to_string(), "explain": explained })).into_response());
    }
    match format {
        Format::Json => {
            let (answer, profile) = state.engine.run_profiled(request, turn.cancel.clone()).await;
            turn.note(&answer, &profile);
            let answer = answer.map_err(|error| Failure {
                profile: with_profile.then(|| Box::new(profile)),
                ..Failure::of_query(error, &text)
            })?;
            respond_collected(format, answer, &text, null_strings, with_profile)
        }
        _ => {
            let started = state.engine.stream(request, turn.cancel.clone()).await;
            let answer = started.map_err(|error| {
                turn.note_failure(&error);
                Failure::of_query(error, &text)
            })?;
            respond_streamed(format, answer, turn, &text, null_strings).await
        }
    }
}

/// SQL tells a null string from an empty one, KQL does not.
fn null_strings(language: &str) -> NullStrings {
    if language == "sql" { NullStrings::Null } else { NullStrings::Empty }
}

/// A turn to run and the query's life: dropping it frees the turn and cancels what still runs.
pub(crate) struct Turn {
    pub(crate) cancel: CancellationToken,
    /// Left before the query is cancelled: how it ended is then known.
    watched: Option<Watched>,
    _guard: DropGuard,
    _ticket: Ticket,
}

impl Turn {
    pub(crate) async fn take(state: &Shared) -> Outcome<Turn> {
        let ticket = state.admission.enter().await?;
        let cancel = CancellationToken::new();
        Ok(Turn { watched: None, _guard: cancel.clone().drop_guard(), cancel, _ticket: ticket })
    }

    /// A turn of a query that is listed among this node's.
    pub(crate) async fn take_for(state: &Shared, request: &QueryRequest) -> Outcome<Turn> {
        let turn = Turn::take(state).await?;
        let watched = state.queries.enter(request, turn.cancel.clone());
        Ok(Turn { watched: Some(watched), ..turn })
    }

    /// Notes how the query ended, for the list.
    pub(crate) fn note(&self, answer: &Result<Answer, QueryError>, profile: &Profile) {
        self.watched.iter().for_each(|watched| watched.note(answer, profile));
    }

    /// Notes that its rows broke off.
    pub(crate) fn note_failure(&self, error: &QueryError) {
        self.watched.iter().for_each(|watched| watched.note_failure(error));
    }

    /// Notes that its last row was sent.
    pub(crate) fn note_end(&self) {
        self.watched.iter().for_each(Watched::note_end);
    }
}

fn request_of(state: &Shared, body: QueryBody, language: String) -> Outcome<QueryRequest> {
    let asked = |asked: Option<usize>, default: usize| match asked {
        Some(0) => None,
        Some(most) => Some(most),
        None => Some(default),
    };
    let seconds = body.limits.seconds.map(Duration::try_from_secs_f64);
    let seconds = seconds.transpose().map_err(|_| bad_request("limits.seconds is not a time".to_owned()))?;
    let now = body.now.map(|now| {
        kyma_core::time::parse_datetime(&now).ok_or_else(|| bad_request("now is not a datetime".to_owned()))
    });
    Ok(QueryRequest {
        text: body.query,
        language,
        database: state.database_or_default(body.database),
        parameters: body.parameters,
        now: now.transpose()?,
        time_scope: None,
        as_of: body.as_of.as_ref().map(as_of).transpose()?,
        limits: Limits {
            rows: asked(body.limits.rows, RESULT_ROWS_MAX),
            bytes: asked(body.limits.bytes, RESULT_BYTES_MAX),
            timeout: state.settings.query_time(seconds),
        },
        truncate: body.limits.truncate,
    })
}

/// A sequence as a number, or a number or a datetime as text.
pub(crate) fn as_of(wanted: &serde_json::Value) -> kyma_core::Result<AsOf> {
    match wanted {
        serde_json::Value::String(text) => AsOf::parse(text),
        other => AsOf::parse(&other.to_string()),
    }
}

/// The first format of `Accept` that we write; without one, JSON.
fn format_of(headers: &HeaderMap) -> Outcome<Format> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("*/*");
    for range in accept.split(',') {
        match range.split(';').next().unwrap_or_default().trim() {
            "application/json" | "application/*" | "*/*" | "" | "text/html" => return Ok(Format::Json),
            "application/x-ndjson" | "application/ndjson" | "application/jsonl" => return Ok(Format::Ndjson),
            "text/csv" => return Ok(Format::Csv),
            "application/vnd.apache.arrow.stream" => return Ok(Format::Arrow),
            _ => {}
        }
    }
    let message = format!("no format of Accept is written here: accept={accept:?}");
    let hint = "application/json, application/x-ndjson, text/csv or application/vnd.apache.arrow.stream";
    let failure = Failure::from(Error::invalid("query.not_acceptable", message).hint(hint));
    Err(Failure { status: axum::http::StatusCode::NOT_ACCEPTABLE, ..failure })
}

/// An answer that is at hand: as JSON with everything, or its first table in another format.
fn respond_collected(
    format: Format,
    answer: Answer,
    text: &str,
    null_strings: NullStrings,
    with_profile: bool,
) -> Outcome {
    if format == Format::Json {
        let body = stream_body(json_pieces(answer, text, null_strings, with_profile));
        return Ok(([(header::CONTENT_TYPE, "application/json")], body).into_response());
    }
    let table = answer.tables.into_iter().next();
    let table = table.ok_or_else(|| Failure::from(Error::internal("the answer has no table")))?;
    let schema = table.schema.clone();
    let mut writer = Writer::new(format, schema, null_strings)?;
    let mut chunks = vec![writer.head()?];
    for batch in table.batches.into_iter().flat_map(slices) {
        chunks.push(writer.batch(&batch)?);
    }
    chunks.push(writer.tail()?);
    let body = Body::from(chunks.concat());
    Ok(([(header::CONTENT_TYPE, format.media_type())], body).into_response())
}

/// `{"columns","rows",...}` of the first table; further ones in `"tables"`.
fn json_pieces(answer: Answer, text: &str, null_strings: NullStrings, with_profile: bool) -> Vec<Piece> {
    let mut pieces = Vec::new();
    let several = answer.tables.len() > 1;
    for (nth, table) in answer.tables.into_iter().enumerate() {
        match nth {
            0 => pieces.push(Piece::text("{")),
            1 => pieces.push(Piece::text(",\"tables\":[{")),
            _ => pieces.push(Piece::text(",{")),
        }
        table_pieces(table, null_strings, &mut pieces);
        if nth > 0 {
            pieces.push(Piece::text("}"));
        }
    }
    let warnings = match answer.warnings.is_empty() {
        true => String::new(),
        false => format!(",\"warnings\":{}", warnings_json(&answer.warnings, text)),
    };
    let close = if several { "]" } else { "" };
    let profile = match with_profile {
        true => format!(",\"profile\":{}", json!(answer.profile)),
        false => String::new(),
    };
    pieces.push(Piece::text(format!("{close}{warnings}{profile}}}\n")));
    pieces
}

fn table_pieces(table: ResultTable, null_strings: NullStrings, pieces: &mut Vec<Piece>) {
    let name = table.name.map(|name| format!("\"name\":{},", json!(name))).unwrap_or_default();
    let visualization = match &table.visualization {
        Some(visualization) => format!("\"visualization\":{},", json!(visualization)),
        None => String::new(),
    };
    let columns = json!(table.schema.columns());
    pieces.push(Piece::text(format!("{name}{visualization}\"columns\":{columns},\"rows\":[")));
    pieces.push(Piece::Rows { schema: table.schema, batches: table.batches, null_strings });
    pieces.push(Piece::text("]"));
}

/// Streams an answer; its first chunk is made before the head is sent.
async fn respond_streamed(
    format: Format,
    answer: AnswerStream,
    turn: Turn,
    text: &str,
    null_strings: NullStrings,
) -> Outcome {
    let mut writer = Writer::new(format, answer.schema.clone(), null_strings)?;
    let mut batches = answer.batches;
    let head = writer.head()?;
    let first = match batches.next().await {
        Some(batch) => writer.batch(&batch.map_err(|error| {
            turn.note_failure(&error);
            Failure::of_query(error, text)
        })?)?,
        None => Bytes::new(),
    };
    let rest = rest_of(batches, writer, turn);
    let chunks = stream::iter([Ok(head), Ok(first)]).chain(rest);
    let chunks = chunks.filter(|chunk| {
        let keep = !matches!(chunk, Ok(bytes) if bytes.is_empty());
        std::future::ready(keep)
    });
    // Compression asks once more after the end.
    let body = Body::from_stream(chunks.fuse());
    Ok(([(header::CONTENT_TYPE, format.media_type())], body).into_response())
}

/// The chunks after the first: batches, then the tail. The turn ends with the stream.
fn rest_of(
    batches: impl Stream<Item = Result<::arrow::array::RecordBatch, QueryError>> + Send + Unpin + 'static,
    writer: Writer,
    turn: Turn,
) -> impl Stream<Item = kyma_core::Result<Bytes>> + Send {
    stream::unfold(Some((batches, writer, turn)), |state| async move {
        let (mut batches, mut writer, turn) = state?;
        match batches.next().await {
            Some(Ok(batch)) => match writer.batch(&batch) {
                Ok(chunk) => Some((Ok(chunk), Some((batches, writer, turn)))),
                Err(error) => Some((Err(error), None)),
            },
            Some(Err(error)) => {
                turn.note_failure(&error);
                let error = Error::from(error);
                tracing::warn!(code = error.code(), "an answer broke off: {}", error.chain());
                Some((Err(error), None))
            }
            None => {
                turn.note_end();
                Some((writer.tail(), None))
            }
        }
    })
}

/// Writes a table in a streamed format.
struct Writer {
    format: Format,
    schema: Schema,
    null_strings: NullStrings,
    arrow: Option<Encoder>,
}

impl Writer {
    fn new(format: Format, schema: Schema, null_strings: NullStrings) -> Outcome<Self> {
        let arrow = match format {
            Format::Arrow => Some(Encoder::new(&schema.arrow())?),
            _ => None,
        };
        Ok(Writer { format, schema, null_strings, arrow })
    }

    fn head(&mut self) -> kyma_core::Result<Bytes> {
        match self.format {
            Format::Csv => csv::header(&self.schema),
            _ => Ok(Bytes::new()),
        }
    }

    fn batch(&mut self, batch: &::arrow::array::RecordBatch) -> kyma_core::Result<Bytes> {
        match &mut self.arrow {
            Some(encoder) => encoder.batch(batch),
            None if self.format == Format::Csv => csv::encode(&self.schema, batch),
            None => ndjson::encode(&self.schema, batch, self.null_strings),
        }
    }

    fn tail(&mut self) -> kyma_core::Result<Bytes> {
        self.arrow.as_mut().map_or(Ok(Bytes::new()), Encoder::finish)
    }
}

impl Format {
    fn media_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8",
            Format::Arrow => "application/vnd.apache.arrow.stream",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accept_chooses_the_format() {
        let format = |accept: &str| format_of(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]));
        assert_eq!(format_of(&HeaderMap::new()).unwrap(), Format::Json);
        assert_eq!(format("text/csv").unwrap(), Format::Csv);
        assert_eq!(format("image/png, application/x-ndjson;q=0.9").unwrap(), Format::Ndjson);
        assert_eq!(format("image/png").unwrap_err().status.as_u16(), 406);
    }
}
