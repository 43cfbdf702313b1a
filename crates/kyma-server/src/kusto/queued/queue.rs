//! The queue: a message is an ingestion, done before it is answered.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use kyma_core::{Error, Result, time};
use kyma_ingest::{Encoding, IngestOptions, IngestRequest};
use serde::Deserialize;
use serde_json::Value as Json;
use uuid::Uuid;

use super::blob::{self, BlobName};
use super::{fail, respond, xml};
use crate::failure::Outcome;
use crate::http::query::read_body;
use crate::kusto::ingest::format_of;
use crate::kusto::mapping::{self, Wanted};
use crate::settings::Role;
use crate::state::Shared;

/// The queue that messages are taken from.
const READY: &str = "ready";

/// A message, as the ingest clients write it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Message {
    id: Uuid,
    blob_path: String,
    database_name: String,
    table_name: String,
    #[serde(default)]
    additional_properties: BTreeMap<String, Json>,
}

impl Message {
    /// Reads the body of Put Message: JSON, in base64, in XML.
    fn read(body: &[u8]) -> Result<Self> {
        let bad = |what: &str| Error::invalid("kusto.queue_message", format!("the message cannot be read: {what}"));
        let document = std::str::from_utf8(body).map_err(|_| bad("not utf-8"))?;
        let text = xml::text_of(document, "MessageText").ok_or_else(|| bad("no MessageText"))?;
        // Clients that do not encode send JSON as it is.
        let json = if text.starts_with('{') {
            text.into_bytes()
        } else {
            BASE64.decode(text.as_bytes()).map_err(|_| bad("not base64"))?
        };
        serde_json::from_slice(&json).map_err(|error| bad("not an ingestion message").because(error))
    }

    /// A property by its name in any case, as text.
    fn property(&self, name: &str) -> Option<String> {
        let found = self.additional_properties.iter().find(|(key, _)| key.eq_ignore_ascii_case(name));
        match found?.1 {
            Json::Null => None,
            Json::String(text) => Some(text.clone()),
            other => Some(other.to_string()),
        }
    }
}

/// Put Message: ingests what the message names.
pub(super) async fn post(State(state): State<Shared>, Path(queue): Path<String>, body: Body) -> Response {
    match take(&state, &queue, body).await {
        Ok(()) => respond(StatusCode::CREATED, Some(receipt(state.clock.now())), None),
        Err(failure) => fail(&failure),
    }
}

async fn take(state: &Shared, queue: &str, body: Body) -> Outcome<()> {
    state.require(Role::Ingest)?;
    if queue != READY {
        return Err(Error::invalid("kusto.queue_unknown", "messages are put into the queue `ready` only").into());
    }
    let message = Message::read(&read_body(body).await?)?;
    if message.property("ingestIfNotExists").is_some_and(|tags| tags != "[]") {
        let error =
            Error::invalid("kusto.ingest_if_not_exists", "extents have no tags that ingestIfNotExists could ask for");
        return Err(error.hint("a message that is sent again is stored once in any case").into());
    }
    let blob = BlobName::of_url(&message.blob_path)?;
    let format = format_of(message.property("format").as_deref().unwrap_or("csv"))?;
    let wanted =
        Wanted { name: message.property("ingestionMappingReference"), inline: message.property("ingestionMapping") };
    let (database, table) = (message.database_name.clone(), message.table_name.clone());
    let options = IngestOptions {
        mapping: mapping::resolve(state, &database, &table, format, &wanted).await?,
        skip_first: message.property("ignoreFirstRecord").is_some_and(|set| set.eq_ignore_ascii_case("true")),
    };
    let request = IngestRequest {
        database,
        table,
        format,
        encoding: Encoding::Identity,
        idempotency_key: Some(format!("kusto-queue;{};{}", message.id, blob.id())),
        source: "kusto queue".to_owned(),
    };
    let answer = state.ingester.ingest_with(&request, &options, blob::read(state, blob.clone())).await?;
    tracing::debug!(id = %message.id, rows = answer.rows, rejected = answer.rejected, "a queued message was ingested");
    // The rows are stored; a blob that stays goes with its day.
    if let Err(error) = blob::remove(state, &blob).await {
        tracing::warn!(id = %message.id, "an ingested blob could not be deleted: {}", error.chain());
    }
    Ok(())
}

/// That a message was taken, in the words of storage.
fn receipt(now: i64) -> String {
    let at = |nanos: i64| rfc1123(nanos);
    format!(
        "{}<QueueMessagesList><QueueMessage><MessageId>{}</MessageId><InsertionTime>{}</InsertionTime>\
         <ExpirationTime>{}</ExpirationTime><PopReceipt>none</PopReceipt><TimeNextVisible>{}</TimeNextVisible>\
         </QueueMessage></QueueMessagesList>",
        xml::HEAD,
        Uuid::new_v4(),
        at(now),
        at(now.saturating_add(7 * time::DAY)),
        at(now)
    )
}

/// `Fri, 20 Nov 2026 09:59:00 GMT`.
fn rfc1123(nanos: i64) -> String {
    time::datetime_of(nanos).format("%a, %d %b %Y %H:%M:%S GMT").to_string()
}

/// Get Messages and Peek Messages: the queues of reports are always empty, since failures were answered at once.
pub(super) async fn get() -> Response {
    respond(StatusCode::OK, Some(format!("{}<QueueMessagesList></QueueMessagesList>", xml::HEAD)), None)
}

/// Delete Message: there is none.
pub(super) async fn delete() -> Response {
    respond(StatusCode::NO_CONTENT, None, None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_as_clients_send_it() {
        let json = r#"{"Id":"23133450-956b-4f6a-a5a5-00b2eaaafc3b","BlobPath":"http://h/kusto-blobs/20260102/b","DatabaseName":"d",
            "TableName":"T","RetainBlobOnSuccess":true,"AdditionalProperties":{"format":"csv","ignoreFirstRecord":true}}"#;
        let encoded = BASE64.encode(json);
        let body = format!("<QueueMessage><MessageText>{encoded}</MessageText></QueueMessage>");
        let message = Message::read(body.as_bytes()).unwrap();
        assert_eq!((message.database_name.as_str(), message.table_name.as_str()), ("d", "T"));
        assert_eq!(message.property("Format").as_deref(), Some("csv"));
        assert_eq!(message.property("ignorefirstrecord").as_deref(), Some("true"));
        for bad in ["", "<QueueMessage/>", "<MessageText>!</MessageText>", "<MessageText>e30=</MessageText>"] {
            assert_eq!(Message::read(bad.as_bytes()).unwrap_err().code(), "kusto.queue_message", "{bad}");
        }
    }

    #[test]
    fn times_of_storage() {
        assert_eq!(rfc1123(0), "Thu, 01 Jan 1970 00:00:00 GMT");
    }
}
