//! `POST /v1/ingest/{database}/{table}`: a streamed body becomes rows; the answer comes when they are durable and visible.

use axum::Json;
use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use futures::{Stream, StreamExt};
use kyma_core::Error;
use kyma_ingest::{BodyFormat, Encoding, IngestAnswer, IngestOptions, IngestRequest};
use serde::Deserialize;

use crate::failure::Failure;
use crate::settings::{DISCARD_BYTES_MAX, DISCARD_TIME_MAX, Role};
use crate::state::Shared;

#[derive(Debug, Deserialize)]
pub(crate) struct Parameters {
    format: Option<String>,
}

pub(crate) async fn ingest(
    State(state): State<Shared>,
    Path((database, table)): Path<(String, String)>,
    UrlQuery(parameters): UrlQuery<Parameters>,
    headers: HeaderMap,
    body: Body,
) -> Result<Json<IngestAnswer>, Failure> {
    state.require(Role::Ingest)?;
    let request = IngestRequest {
        database,
        table,
        format: format_of(parameters.format.as_deref(), &headers)?,
        encoding: encoding_of(&headers)?,
        idempotency_key: text(&headers, "idempotency-key")?,
        source: "http".to_owned(),
    };
    Ok(Json(store(&state, &request, body).await?))
}

/// Stores a body. After an error what is left of it is read, within limits: a connection that is closed while its client
/// still sends loses the answer.
pub(crate) async fn store(state: &Shared, request: &IngestRequest, body: Body) -> kyma_core::Result<IngestAnswer> {
    store_with(state, request, &IngestOptions::default(), body).await
}

/// Stores a body like [`store`], read as `options` say.
pub(crate) async fn store_with(
    state: &Shared,
    request: &IngestRequest,
    options: &IngestOptions,
    body: Body,
) -> kyma_core::Result<IngestAnswer> {
    let broken = |error| Error::cancelled("ingest.body_broken", "the body of the request broke off").because(error);
    let mut chunks = body.into_data_stream().map(move |chunk| chunk.map_err(broken)).boxed();
    let stored = state.ingester.ingest_with(request, options, chunks.by_ref().boxed()).await;
    if stored.is_err() {
        discard_chunks(chunks).await;
    }
    stored
}

/// Reads a body that nobody wants, within limits.
pub(crate) async fn discard(body: Body) {
    discard_chunks(body.into_data_stream()).await;
}

async fn discard_chunks<E>(mut chunks: impl Stream<Item = Result<Bytes, E>> + Unpin) {
    let mut left = DISCARD_BYTES_MAX;
    let reading = async {
        while let Some(Ok(chunk)) = chunks.next().await {
            left = left.saturating_sub(chunk.len());
            if left == 0 {
                return;
            }
        }
    };
    // Too slow a client gets no more time.
    let _ = tokio::time::timeout(DISCARD_TIME_MAX, reading).await;
}

/// `?format=`, else `Content-Type`; the types that tools send unasked mean NDJSON.
fn format_of(parameter: Option<&str>, headers: &HeaderMap) -> Result<BodyFormat, Failure> {
    if let Some(name) = parameter {
        return Ok(name.parse::<BodyFormat>()?);
    }
    let given = text(headers, header::CONTENT_TYPE.as_str())?.unwrap_or_default();
    let media_type = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    match media_type.as_str() {
        "" | "application/x-www-form-urlencoded" | "application/octet-stream" | "text/plain" => Ok(BodyFormat::NdJson),
        other => Ok(other.parse::<BodyFormat>()?),
    }
}

pub(crate) fn encoding_of(headers: &HeaderMap) -> Result<Encoding, Failure> {
    let given = text(headers, header::CONTENT_ENCODING.as_str())?;
    Ok(given.as_deref().map_or(Ok(Encoding::Identity), str::parse)?)
}

fn text(headers: &HeaderMap, name: &'static str) -> Result<Option<String>, Failure> {
    let Some(value) = headers.get(name) else { return Ok(None) };
    let text = value
        .to_str()
        .map_err(|_| Error::invalid("http.header_invalid", format!("a header is not plain text: header={name}")))?;
    Ok(Some(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats() {
        let typed = |value: &str| HeaderMap::from_iter([(header::CONTENT_TYPE, value.parse().unwrap())]);
        assert_eq!(format_of(None, &HeaderMap::new()).unwrap(), BodyFormat::NdJson);
        assert_eq!(format_of(None, &typed("application/x-www-form-urlencoded")).unwrap(), BodyFormat::NdJson);
        assert_eq!(format_of(None, &typed("text/csv; charset=utf-8")).unwrap(), BodyFormat::Csv);
        assert_eq!(format_of(Some("csv"), &typed("application/json")).unwrap(), BodyFormat::Csv);
        assert_eq!(format_of(None, &typed("image/png")).unwrap_err().status.as_u16(), 400);
    }
}
