//! `POST /v1/rest/ingest/{db}/{table}`: streaming ingestion of the Kusto clients.
//!
//! Fields without names are the table's columns in order, JSON is mapped by column name; a mapping of the table
//! (`mappingName`) or of the request (`mapping`, kyma's own) says otherwise. Clients set `Content-Encoding: gzip`
//! also on bodies they did not compress, so the body's first bytes decide.
//!
//! `sourceKind=uri` names the data instead of sending it. kyma fetches nothing from elsewhere: the URI must be of a blob
//! that was uploaded to kyma ([`super::queued`]).

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, Query as UrlQuery, State};
use axum::http::HeaderMap;
use axum::response::Response;
use kyma_core::Error;
use kyma_ingest::{BodyFormat, Encoding, IngestOptions, IngestRequest};
use serde::Deserialize;

use super::mapping::{self, Wanted};
use super::queued::BlobName;
use super::{Call, queued, v1};
use crate::encode::body::Piece;
use crate::failure::Outcome;
use crate::http::ingest;
use crate::http::query::read_body;
use crate::settings::Role;
use crate::state::Shared;

pub(crate) async fn ingest(
    State(state): State<Shared>,
    Path((database, table)): Path<(String, String)>,
    UrlQuery(parameters): UrlQuery<HashMap<String, String>>,
    headers: HeaderMap,
    body: Body,
) -> Response {
    let call = Call::new(&state, &headers);
    let outcome = take(&state, &call, (database, table), &Parameters::new(parameters), &headers, body).await;
    call.respond(outcome)
}

/// The parameters of the URL; clients differ in the case of their names.
struct Parameters(HashMap<String, String>);

impl Parameters {
    fn new(given: HashMap<String, String>) -> Self {
        Parameters(given.into_iter().map(|(name, value)| (name.to_ascii_lowercase(), value)).collect())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }

    fn flag(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

async fn take(
    state: &Shared,
    call: &Call,
    (database, table): (String, String),
    parameters: &Parameters,
    headers: &HeaderMap,
    body: Body,
) -> Outcome<Vec<Piece>> {
    state.require(Role::Ingest)?;
    let format = format_of(parameters.get("streamformat").unwrap_or("csv"))?;
    let own = |name: &str| parameters.get(name).map(str::to_owned);
    let wanted = Wanted { name: own("mappingname"), inline: own("mapping") };
    let options = IngestOptions {
        mapping: mapping::resolve(state, &database, &table, format, &wanted).await?,
        skip_first: parameters.flag("ignorefirstrecord"),
    };
    let key = headers.get("idempotency-key").and_then(|key| key.to_str().ok());
    let request = IngestRequest {
        database,
        table,
        format,
        encoding: Encoding::Identity,
        idempotency_key: key.map(str::to_owned),
        source: "kusto".to_owned(),
    };
    let is_uri = parameters.get("sourcekind").is_some_and(|kind| kind.eq_ignore_ascii_case("uri"));
    let answer = if is_uri {
        let blob = named_blob(&read_body(body).await?)?;
        state.ingester.ingest_with(&request, &options, queued::read(state, blob)).await?
    } else {
        ingest::store_with(state, &request, &options, body).await?
    };
    Ok(v1::ingest_pieces(answer.rows, answer.rejected, call.activity_id, call.at))
}

/// The blob that a body `{"sourceUri":"..."}` names.
fn named_blob(body: &[u8]) -> Outcome<BlobName> {
    #[derive(Deserialize)]
    struct Source {
        #[serde(rename = "sourceUri", alias = "SourceUri")]
        uri: String,
    }
    let source: Source = serde_json::from_slice(body)
        .map_err(|error| Error::invalid("kusto.ingest_source", "the body names no source").because(error))?;
    Ok(BlobName::of_url(&source.uri)?)
}

/// The format that Kusto calls so.
pub(super) fn format_of(name: &str) -> Outcome<BodyFormat> {
    let known = BodyFormat::of_kusto(name);
    known.ok_or_else(|| {
        let error = Error::invalid("kusto.ingest_format", format!("data format is not supported: format={name:?}"));
        error.hint("use csv, tsv, tsve, psv, scsv, sohsv, txt, raw, json or multijson").into()
    })
}
