//! The trace and the log lines of a request: W3C `traceparent` and `tracestate` in and out, and the request's id in every
//! line that is written on its behalf.
//!
//! 1. A request gets a span that carries its id; what it calls runs in it. The span stands at the level of errors, so
//!    that lines of every level have it.
//! 2. The client's trace goes on in it. Without one, and where traces are exported, a trace begins here.
//! 3. The answer names the span in `traceparent`; append calls to other nodes carry it on, with the request's id. Where
//!    no traces are exported, the client's own header goes on as it came.

use std::sync::LazyLock;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use opentelemetry::Context;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use opentelemetry::trace::TraceContextExt;
use opentelemetry_sdk::propagation::TraceContextPropagator;
use tracing::Span;
use tracing::field::Empty;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::http::edge::REQUEST_ID;

static W3C: LazyLock<TraceContextPropagator> = LazyLock::new(TraceContextPropagator::new);

/// A request's span, and the headers by which others find it.
#[derive(Debug, Clone)]
pub(crate) struct Traced {
    pub(crate) span: Span,
    /// `traceparent` and `tracestate`, as far as there are.
    headers: HeaderMap,
    id: HeaderValue,
}

impl Traced {
    /// Of a request over HTTP; `route` is the route's pattern.
    pub(crate) fn request(headers: &HeaderMap, method: &'static str, route: &str, id: &str) -> Traced {
        let span = tracing::error_span!(
            target: "kyma::request",
            "request",
            request_id = id,
            trace_id = Empty,
            http.request.method = method,
            http.route = route,
            http.response.status_code = Empty,
            otel.name = format!("{method} {route}"),
            otel.kind = "server",
            otel.status_code = Empty,
        );
        let id = HeaderValue::from_str(id).unwrap_or(HeaderValue::from_static(""));
        Traced { headers: adopt(&span, headers), span, id }
    }

    /// What an append call says of the request, by header name.
    pub(crate) fn metadata(&self) -> Vec<(&'static str, String)> {
        let text = |value: &HeaderValue| value.to_str().map(str::to_owned).unwrap_or_default();
        let traced =
            ["traceparent", "tracestate"].into_iter().filter_map(|name| Some((name, text(self.headers.get(name)?))));
        traced.chain([("x-request-id", text(&self.id))]).collect()
    }

    /// Names the span in an answer, and the answer in the span.
    pub(crate) fn answered(&self, status: u16, headers: &mut HeaderMap) {
        if let Some(value) = self.headers.get("traceparent") {
            headers.insert(HeaderName::from_static("traceparent"), value.clone());
        }
        self.span.record("http.response.status_code", status);
        if status >= 500 {
            self.span.record("otel.status_code", "ERROR");
        }
    }
}

/// The span of a gRPC call from another node.
pub(crate) fn call(headers: &HeaderMap, path: &str) -> Span {
    let id = headers.get(REQUEST_ID).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let span = tracing::error_span!(
        target: "kyma::request",
        "call",
        request_id = id,
        trace_id = Empty,
        otel.name = path,
        otel.kind = "server",
    );
    adopt(&span, headers);
    span
}

/// Makes `span` go on with the trace of `headers`; the headers that name the span.
fn adopt(span: &Span, headers: &HeaderMap) -> HeaderMap {
    let parent = W3C.extract_with_context(&Context::new(), &Headers(headers));
    if parent.span().span_context().is_valid() {
        // An error means that no traces are exported.
        let _ = span.set_parent(parent.clone());
    }
    let own = span.context();
    let named = if own.span().span_context().is_valid() { own } else { parent };
    let named_span = named.span();
    let found = named_span.span_context();
    if found.is_valid() {
        span.record("trace_id", tracing::field::display(found.trace_id()));
    }
    let mut out = NewHeaders::default();
    W3C.inject_context(&named, &mut out);
    out.0
}

struct Headers<'a>(&'a HeaderMap);

impl Extractor for Headers<'_> {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.get(key).and_then(|value| value.to_str().ok())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.keys().map(HeaderName::as_str).collect()
    }
}

#[derive(Default)]
struct NewHeaders(HeaderMap);

impl Injector for NewHeaders {
    fn set(&mut self, key: &str, value: String) {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(key), HeaderValue::try_from(value))
            && !value.is_empty()
        {
            self.0.insert(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What goes on of a client's headers where no traces are exported.
    fn check(given: &[(&'static str, &'static str)], on: &[(&str, &str)]) {
        let headers =
            given.iter().map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)));
        let traced = Traced::request(&headers.collect(), "GET", "/v1/query", "r1");
        let metadata = traced.metadata();
        let metadata: Vec<_> = metadata.iter().map(|(name, value)| (*name, value.as_str())).collect();
        assert_eq!(metadata, on);
    }

    #[test]
    fn a_clients_trace_goes_on_and_a_broken_one_does_not() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        check(&[], &[("x-request-id", "r1")]);
        check(&[("traceparent", parent)], &[("traceparent", parent), ("x-request-id", "r1")]);
        check(
            &[("traceparent", parent), ("tracestate", "a=1,b=2")],
            &[("traceparent", parent), ("tracestate", "a=1,b=2"), ("x-request-id", "r1")],
        );
        let broken = ["", "00", "00-0-0-0", "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "\u{7f}"];
        for broken in broken.into_iter().filter(|text| HeaderValue::from_str(text).is_ok()) {
            check(&[("traceparent", broken)], &[("x-request-id", "r1")]);
        }
        check(&[("traceparent", "00-00000000000000000000000000000000-b7ad6b7169203331-01")], &[("x-request-id", "r1")]);
    }

    #[test]
    fn an_answer_names_the_span() {
        let parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        let headers =
            HeaderMap::from_iter([(HeaderName::from_static("traceparent"), HeaderValue::from_static(parent))]);
        let mut answer = HeaderMap::new();
        Traced::request(&headers, "GET", "/v1/query", "r1").answered(200, &mut answer);
        assert_eq!(answer["traceparent"], parent);
    }
}
