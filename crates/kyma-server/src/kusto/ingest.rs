//! `POST /v1/rest/ingest/{db}/{table}`: streaming ingestion of the Kusto clients.
//!
//! CSV has no header here: fields are the table's columns in order. JSON is mapped by column name, with or without a
//! mapping's name. Clients set `Content-Encoding: gzip` also on bodies they did not compress, so the body's
//! first bytes decide.

use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use kyma_core::Error;
use kyma_ingest::{BodyFormat, Encoding, IngestRequest};
use serde::Deserialize;

use super::{Call, v1};
use crate::encode::body::Piece;
use crate::failure::Outcome;
use crate::http::ingest;
use crate::settings::Role;
use crate::state::Shared;

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    #[serde(rename = "streamFormat", alias = "streamformat")]
    format: Option<String>,
    #[serde(rename = "sourceKind", alias = "sourcekind")]
    source_kind: Option<String>,
}

pub(crate) async fn ingest(
    State(state): State<Shared>,
    Path((database, table)): Path<(String, String)>,
    UrlQuery(parameters): UrlQuery<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = take(&state, &call, database, table, parameters, body).await;
    call.respond(outcome)
}

async fn take(
    state: &Shared,
    call: &Call,
    database: String,
    table: String,
    parameters: Parameters,
    body: Body,
) -> Outcome<Vec<Piece>> {
    state.require(Role::Ingest)?;
    if parameters.source_kind.is_some_and(|kind| kind.eq_ignore_ascii_case("uri")) {
        let error = Error::invalid("kusto.ingest_source", "ingestion from a URI is not supported");
        return Err(error.hint("send the data itself in the body").into());
    }
    let request = IngestRequest {
        database,
        table,
        format: format_of(parameters.format.as_deref().unwrap_or("csv"))?,
        encoding: Encoding::Identity,
        idempotency_key: None,
        source: "kusto".to_owned(),
    };
    let answer = ingest::store(state, &request, body).await?;
    Ok(v1::ingest_pieces(answer.rows, answer.rejected, call.activity_id, call.at))
}

fn format_of(name: &str) -> Outcome<BodyFormat> {
    match name.to_ascii_lowercase().as_str() {
        "csv" => Ok(BodyFormat::CsvPositional),
        // Kusto's `json` is one object per line; `multijson` is anything that JSON can be.
        "json" => Ok(BodyFormat::NdJson),
        "multijson" => Ok(BodyFormat::Json),
        _ => {
            let error =
                Error::invalid("kusto.ingest_format", format!("stream format is not supported: format={name:?}"));
            Err(error.hint("use csv, json or multijson").into())
        }
    }
}
