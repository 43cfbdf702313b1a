//! What every request passes: request id, trace, drain, panic guard, error body, metrics, access log.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Json;
use axum::body::Body;
use axum::extract::{MatchedPath, Request, State as Extracted};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use kyma_core::Error;
use kyma_ingest::with_append_metadata;
use tracing::Instrument;
use uuid::Uuid;

use crate::drain::{Counted, draining};
use crate::failure::Failure;
use crate::http::ingest::discard;
use crate::metrics::{RequestLabels, RouteLabels, method_label};
use crate::queries::{CALLER, Caller};
use crate::settings::REQUEST_ID_BYTES_MAX;
use crate::state::{Shared, State};
use crate::trace::Traced;

/// The header that names a request, in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Routes that a node which leaves answers as ever.
const ALWAYS_ANSWERED: [&str; 3] = ["/healthz", "/readyz", "/metrics"];

/// The outermost layer.
pub(crate) async fn edge(Extracted(state): Extracted<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let (method, version) = (method_label(request.method()), request.version());
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();
    let traced = Traced::request(request.headers(), method, &route, &id);

    let running = state.drain.enter();
    let answering = async {
        match state.drain.is_refusing() && !ALWAYS_ANSWERED.contains(&route.as_str()) {
            true => refuse(request).await,
            false => run(&state, request, next, &id, traced.metadata()).await,
        }
    };
    let response = answering.instrument(traced.span.clone()).await;
    let mut response = with_body(response, &id);
    let status = response.status().as_u16();
    state.drain.part_with(&mut response, version);
    traced.answered(status, response.headers_mut());

    let elapsed = started.elapsed();
    let labels = RequestLabels { method, route: route.clone(), status };
    state.metrics.requests.get_or_create(&labels).inc();
    state.metrics.seconds.get_or_create(&RouteLabels { route }).observe(elapsed.as_secs_f64());
    let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
    traced.span.in_scope(|| tracing::info!(target: "kyma::access", method, path, status, micros, request_id = id));
    response.map(|body| Body::new(Counted::new(body, traced.span, running)))
}

/// Answers a request, or says that the node leaves if that takes too long; a panic is a failure as any other.
async fn run(state: &State, request: Request, next: Next, id: &str, metadata: Vec<(&'static str, String)>) -> Response {
    let caller = caller(request.headers(), id);
    let answering = with_append_metadata(metadata, AssertUnwindSafe(next.run(request)).catch_unwind());
    tokio::select! {
        answered = CALLER.scope(caller, answering) => {
            answered.unwrap_or_else(|_| Failure::from(Error::internal("the request hit a defect")).into_response())
        }
        () = state.drain.is_cut() => Failure::from(draining()).into_response(),
    }
}

/// Says that the node leaves. The body is read, within limits: a connection that is closed while its client still sends
/// loses the answer.
async fn refuse(request: Request) -> Response {
    discard(request.into_body()).await;
    Failure::from(draining()).into_response()
}

/// Writes the body of a failure, and names the request.
fn with_body(mut response: Response, id: &str) -> Response {
    if let Some(failure) = response.extensions_mut().remove::<Failure>() {
        let headers = std::mem::take(response.headers_mut());
        response = (failure.status, Json(failure.body(id))).into_response();
        response.headers_mut().extend(headers.into_iter().filter(|(name, _)| {
            // The empty response's own length is not the body's.
            name.as_ref().is_some_and(|name| name != axum::http::header::CONTENT_LENGTH)
        }));
    }
    if let Ok(value) = HeaderValue::from_str(id) {
        response.headers_mut().insert(REQUEST_ID, value);
    }
    response
}

/// Who asks, as Kusto's clients say it; they name a request by a header of their own.
fn caller(headers: &HeaderMap, id: &str) -> Caller {
    let said = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let short = |text: &str| text.chars().take(REQUEST_ID_BYTES_MAX).collect::<String>();
    Caller {
        client_request_id: said("x-ms-client-request-id").map_or_else(|| id.to_owned(), short),
        user: said("x-ms-user").map(short).unwrap_or_default(),
        application: said("x-ms-app").map(short).unwrap_or_default(),
    }
}

/// The client's id if it is short and plain, else a new one.
fn request_id(headers: &HeaderMap) -> String {
    let given = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok());
    let plain =
        |id: &&str| !id.is_empty() && id.len() <= REQUEST_ID_BYTES_MAX && id.bytes().all(|b| b.is_ascii_graphic());
    given.filter(plain).map_or_else(|| Uuid::now_v7().to_string(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_id_is_taken_over_only_when_plain() {
        let id = |value: &str| request_id(&HeaderMap::from_iter([(REQUEST_ID, HeaderValue::from_str(value).unwrap())]));
        assert_eq!(id("abc-1"), "abc-1");
        assert_ne!(id("two words"), "two words");
        assert_ne!(id(&"x".repeat(200)), "x".repeat(200));
    }
}
