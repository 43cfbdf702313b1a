//! Queued ingestion: what `QueuedIngestClient` does against Azure storage, served by kyma itself.
//!
//! 1. The client asks `.get ingestion resources` (`resources`). The places that it hears of are kyma's own: the day's container
//!    below `/kusto-blobs`, and the queue `/kusto-queues/ready`.
//! 2. It uploads its data as a blob (`blob`: Put Blob, or Put Block and Put Block List). The parts are objects of the store
//!    before each answer, so that any node can read them, and none of the names that it chooses becomes a key.
//! 3. It posts a message that names the blob (`queue`). The node reads the blob into the table and answers when that is
//!    committed: the message's id and its blob are the idempotency key, so a message that is sent again, also to another node, is
//!    stored once. Kusto queues and says nothing more; here a failure is the post's answer.
//! 4. The blob is deleted.
//!
//! A crash leaves a blob at worst: before the commit its message was not answered, and the client sends it again; after
//! it the receipt answers. Blobs whose message never came go with their container's day (`resources` sweeps).
//!
//! Not served: status queues are always empty (the post's answer says what they would), status tables do not exist,
//! tags are ignored, and `ingestIfNotExists`, which needs them, is refused.

mod blob;
mod queue;
mod resources;
mod xml;

use axum::Router;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, post, put};
use kyma_core::Kind;
use uuid::Uuid;

pub(super) use self::blob::{BlobName, read};
pub(super) use self::resources::answer;
use crate::failure::Failure;
use crate::state::Shared;

/// The version of the storage protocol that answers name; clients send theirs and do not compare.
const STORAGE_VERSION: &str = "2021-08-06";

/// The routes of blobs and queues.
pub(super) fn routes() -> Router<Shared> {
    Router::new()
        .route("/kusto-blobs/{day}/{*name}", put(blob::put))
        .route("/kusto-queues/{queue}/messages", post(queue::post).get(queue::get))
        .route("/kusto-queues/{queue}/messages/{id}", delete(queue::delete))
}

/// An answer of the storage protocol.
fn respond(status: StatusCode, xml: Option<String>, etag: Option<Uuid>) -> Response {
    let mut response = match xml {
        Some(xml) => (status, [(header::CONTENT_TYPE, "application/xml")], xml).into_response(),
        None => status.into_response(),
    };
    let headers = response.headers_mut();
    headers.insert("x-ms-version", HeaderValue::from_static(STORAGE_VERSION));
    let mut insert = |name, text: String| {
        if let Ok(value) = HeaderValue::from_str(&text) {
            headers.insert(name, value);
        }
    };
    insert(header::HeaderName::from_static("x-ms-request-id"), Uuid::new_v4().to_string());
    if let Some(etag) = etag {
        insert(header::ETAG, format!("\"0x{}\"", etag.simple()));
    }
    response
}

/// A failure as storage words it: clients read the status, the code and the message, and try again after a 503.
fn fail(failure: &Failure) -> Response {
    let (status, code) = match failure.kind {
        Kind::Conflict => (StatusCode::CONFLICT, "BlobAlreadyExists"),
        Kind::NotFound if failure.code == "kusto.blob_missing" => (StatusCode::NOT_FOUND, "BlobNotFound"),
        _ if failure.status == StatusCode::PAYLOAD_TOO_LARGE => (failure.status, "RequestBodyTooLarge"),
        Kind::Exhausted | Kind::Unavailable | Kind::Cancelled => (StatusCode::SERVICE_UNAVAILABLE, "ServerBusy"),
        Kind::Invalid | Kind::NotFound => (StatusCode::BAD_REQUEST, "InvalidInput"),
        Kind::Corrupt | Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let message = xml::escape(&format!("{}: {}{hint}", failure.code, failure.message));
    let body = format!("{}<Error><Code>{code}</Code><Message>{message}</Message></Error>", xml::HEAD);
    let mut response = respond(status, Some(body), None);
    response.headers_mut().insert("x-ms-error-code", HeaderValue::from_static(code));
    response
}
