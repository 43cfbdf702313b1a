//! `/healthz`: the process lives. `/readyz`: it can do its work, or why not. `/metrics`: what it counted.
//!
//! `/readyz` asks nobody: it answers from what `health` has seen, so fast also when the catalog hangs.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use kyma_core::Error;
use serde_json::{Value, json};

use crate::failure::{Failure, Outcome};
use crate::metrics::PartLabels;
use crate::state::{Shared, State as Node};

pub(crate) async fn healthz() -> &'static str {
    "ok\n"
}

pub(crate) async fn readyz(State(state): State<Shared>) -> Response {
    let reasons = reasons(&state);
    let status = if reasons.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let mut body = json!({
        "ready": reasons.is_empty(),
        "reasons": reasons,
        "draining": state.drain.is_leaving(),
        "node": state.node.id,
        "version": state.node.version,
    });
    for part in state.health.parts() {
        body[part.name()] = Value::String(part.shown());
    }
    (status, Json(body)).into_response()
}

/// Why the node is not ready; empty when it is.
fn reasons(state: &Node) -> Vec<Value> {
    let away = state.health.parts().into_iter().filter_map(|part| Some((part.name(), part.reason()?)));
    let away = away.map(|(part, reason)| json!({ "part": part, "reason": reason }));
    let leaving = state.drain.is_leaving().then(|| json!({ "part": "node", "reason": "the node is leaving" }));
    leaving.into_iter().chain(away).collect()
}

pub(crate) async fn metrics(State(state): State<Shared>) -> Outcome {
    state.metrics.queries_running.set(state.admission.running() as i64);
    state.metrics.queries_waiting.set(state.admission.waiting() as i64);
    state.metrics.requests_running.set(state.drain.running_count());
    let is_ready = state.health.is_ready() && !state.drain.is_leaving();
    state.metrics.ready.set(i64::from(is_ready));
    for part in state.health.parts() {
        let labels = PartLabels { part: part.name() };
        state.metrics.parts_up.get_or_create(&labels).set(i64::from(part.reason().is_none()));
    }
    let mut text = String::new();
    prometheus_client::encoding::text::encode(&mut text, &state.registry)
        .map_err(|error| Failure::from(Error::internal("the metrics could not be written").because(error)))?;
    let media_type = "application/openmetrics-text; version=1.0.0; charset=utf-8";
    Ok(([(header::CONTENT_TYPE, media_type)], text).into_response())
}
