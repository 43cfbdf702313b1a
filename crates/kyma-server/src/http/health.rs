//! `/healthz`: the process lives. `/readyz`: it can do its work, or which part is away. `/metrics`: what it counted.

use std::future::Future;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kyma_core::{Error, Result};
use serde_json::json;

use crate::failure::{Failure, Outcome};
use crate::settings::READY_TIME_MAX;
use crate::state::Shared;

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(state): State<Shared>) -> Response {
    let (catalog, store) = tokio::join!(answers(state.catalog.ping()), answers(state.store.ping()));
    let ready = catalog.is_ok() && store.is_ok() && !state.is_draining();
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let body = json!({
        "ready": ready,
        "draining": state.is_draining(),
        "catalog": catalog.err().unwrap_or_else(|| "ok".to_owned()),
        "store": store.err().unwrap_or_else(|| "ok".to_owned()),
        "node": state.node.id,
        "version": state.node.version,
    });
    (status, Json(body)).into_response()
}

/// Whether a part answers in time, or why not.
async fn answers(ping: impl Future<Output = Result<()>>) -> Result<(), String> {
    match tokio::time::timeout(READY_TIME_MAX, ping).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(format!("{}: {}", error.code(), error.message())),
        Err(_) => Err(format!("no answer in {}", seconds(READY_TIME_MAX))),
    }
}

fn seconds(time: Duration) -> String {
    format!("{} s", time.as_secs())
}

pub(crate) async fn metrics(State(state): State<Shared>) -> Outcome {
    state.metrics.queries_running.set(state.admission.running() as i64);
    state.metrics.queries_waiting.set(state.admission.waiting() as i64);
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &state.registry)
        .map_err(|error| Failure::from(Error::internal("the metrics could not be written").because(error)))?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
