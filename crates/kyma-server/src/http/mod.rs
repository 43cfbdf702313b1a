//! The HTTP edge: one file per endpoint, and the layers that every request passes.
//!
//! Outermost first: `edge` (request id, access log, metrics, panics, error bodies) → compression → routes.

pub(crate) mod edge;
mod extent;
mod health;
pub(crate) mod ingest;
mod language;
mod page;
pub(crate) mod query;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::middleware;
use axum::routing::{get, post};
use kyma_core::Error;
use tower_http::compression::CompressionLayer;

use crate::failure::Failure;
use crate::kusto;
use crate::state::Shared;

/// Every route of a node.
pub(crate) fn router(state: Shared) -> Router {
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        .route("/metrics", get(health::metrics))
        .route("/v1/ingest/{database}/{table}", post(ingest::ingest))
        .route("/v1/query", get(query::get).post(query::post))
        .route("/v1/extents/{id}", get(extent::describe))
        .route("/v1/languages/{language}", get(language::describe))
        .merge(kusto::routes())
        .fallback(unknown_route)
        .method_not_allowed_fallback(wrong_method)
        // Each handler bounds its own body: ingest streams, queries read at most a few megabytes.
        .layer(DefaultBodyLimit::disable())
        .layer(CompressionLayer::new())
        .layer(middleware::from_fn_with_state(state.clone(), edge::edge))
        .with_state(state)
}

async fn unknown_route() -> Failure {
    let hint = "POST /v1/query, POST /v1/ingest/{database}/{table}, GET /readyz, GET /metrics";
    Error::not_found("http.unknown_route", "there is no such endpoint").hint(hint).into()
}

async fn wrong_method() -> Failure {
    let failure = Failure::from(Error::invalid("http.wrong_method", "the endpoint does not take this method"));
    Failure { status: axum::http::StatusCode::METHOD_NOT_ALLOWED, ..failure }
}
