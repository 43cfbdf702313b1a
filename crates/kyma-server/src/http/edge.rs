//! What every request passes: request id, panic guard, error body, metrics, access log.

use std::panic::AssertUnwindSafe;
use std::time::Instant;

use axum::Json;
use axum::extract::{MatchedPath, Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures::FutureExt;
use kyma_core::Error;
use uuid::Uuid;

use crate::failure::Failure;
use crate::metrics::{RequestLabels, RouteLabels};
use crate::queries::{CALLER, Caller};
use crate::settings::REQUEST_ID_BYTES_MAX;
use crate::state::Shared;

/// The header that names a request, in and out.
pub(crate) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The outermost layer.
pub(crate) async fn edge(State(state): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let id = request_id(request.headers());
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    let route = request.extensions().get::<MatchedPath>().map_or("unknown", MatchedPath::as_str).to_owned();

    let caller = caller(request.headers(), &id);
    let answered = CALLER.scope(caller, AssertUnwindSafe(next.run(request)).catch_unwind()).await;
    let response =
        answered.unwrap_or_else(|_| Failure::from(Error::internal("the request hit a defect")).into_response());
    let response = with_body(response, &id);

    let (status, elapsed) = (response.status().as_u16(), started.elapsed());
    let labels = RequestLabels { method: method.to_string(), route: route.clone(), status };
    state.metrics.requests.get_or_create(&labels).inc();
    state.metrics.seconds.get_or_create(&RouteLabels { route }).observe(elapsed.as_secs_f64());
    tracing::info!(target: "kyma::access", %method, path, status, micros = elapsed.as_micros() as u64, request_id = id);
    response
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
