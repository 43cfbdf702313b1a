//! A failure as Kusto words it.
//!
//! Clients read `code` and `message`, and look for "Semantic error:" and "Syntax error:" in the text. 401, 404 and 429
//! are mapped by status alone, and 404 means that the endpoint is missing: an unknown table is 400.

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::{Json as JsonBody, http::header};
use kyma_core::{Kind, time};
use serde_json::{Value as Json, json};

use super::Call;
use crate::failure::Failure;

/// The answer to a failed call.
pub(crate) fn response(call: &Call, failure: &Failure) -> Response {
    let status = status(failure);
    let mut response = (status, JsonBody(body(call, failure))).into_response();
    if matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().insert(header::RETRY_AFTER, header::HeaderValue::from_static("1"));
    }
    response
}

fn status(failure: &Failure) -> StatusCode {
    let too_many = failure.code.ends_with("too_many") || failure.code.starts_with("ingest.");
    match failure.kind {
        Kind::Invalid | Kind::NotFound | Kind::Conflict => StatusCode::BAD_REQUEST,
        // A query that asks for too much fails again; only a busy node is worth a retry.
        Kind::Exhausted if !too_many && failure.status == StatusCode::TOO_MANY_REQUESTS => StatusCode::BAD_REQUEST,
        _ => failure.status,
    }
}

/// Kusto's words for a kind of failure: outer code, exception, and a sentence.
fn words(failure: &Failure) -> (&'static str, &'static str, &'static str) {
    match failure.kind {
        Kind::Exhausted if failure.code.ends_with("timeout") => (
            "Timeout",
            "Kusto.Data.Exceptions.KustoServiceTimeoutException",
            "Request exceeded its time and was stopped.",
        ),
        Kind::Invalid | Kind::NotFound | Kind::Conflict => (
            "General_BadRequest",
            "Kusto.Data.Exceptions.KustoBadRequestException",
            "Request is invalid and cannot be executed.",
        ),
        Kind::Exhausted => (
            "LimitsExceeded",
            "Kusto.Data.Exceptions.KustoServicePartialQueryFailureLimitsExceededException",
            "Request exceeded a limit and was stopped.",
        ),
        Kind::Unavailable => (
            "ServiceUnavailable",
            "Kusto.Data.Exceptions.KustoServiceUnavailableException",
            "A part that the request needs does not answer.",
        ),
        Kind::Cancelled => {
            ("Canceled", "Kusto.Data.Exceptions.KustoRequestCanceledException", "Request was cancelled.")
        }
        Kind::Corrupt | Kind::Internal => (
            "General_InternalServerError",
            "Kusto.Data.Exceptions.KustoInternalServiceException",
            "The service failed to answer.",
        ),
    }
}

/// The failure as an element of `OneApiErrors`, and as the body of a failed call.
pub(crate) fn body(call: &Call, failure: &Failure) -> Json {
    let (code, exception, sentence) = words(failure);
    let permanent = !matches!(failure.kind, Kind::Unavailable | Kind::Exhausted | Kind::Cancelled);
    let context = json!({
        "timestamp": time::format_datetime(call.at),
        "serviceAlias": "KYMA",
        "clientRequestId": call.client_request_id,
        "activityId": call.activity_id,
        "subActivityId": call.activity_id,
        "parentActivityId": call.activity_id,
        "activityType": "DN.FE.ExecuteQuery",
        "activityStack": format!("(Activity stack: CRID={} ARID={id})", call.client_request_id, id = call.activity_id),
    });
    let inner = inner(failure);
    json!({
        "error": {
            "code": code,
            "message": sentence,
            "@type": exception,
            "@message": inner["@message"],
            "@context": context,
            "@permanent": permanent,
            "innererror": inner,
        }
    })
}

/// What exactly is wrong. The text names every place, then the hint.
fn inner(failure: &Failure) -> Json {
    let line =
        |place: &crate::failure::Place| format!("{} [line:position={}:{}]", place.message, place.line, place.column);
    let text = if failure.places.is_empty() {
        failure.message.clone()
    } else {
        failure.places.iter().map(line).collect::<Vec<_>>().join("; ")
    };
    let hint = failure.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
    let is_client_error = matches!(failure.kind, Kind::Invalid | Kind::NotFound | Kind::Conflict);
    let (code, exception, message) = if !is_client_error {
        (failure.code.as_str(), "Kusto.Common.Svc.Exceptions.UtilsException", format!("{text}{hint}"))
    } else if is_about_the_request(&failure.code) {
        (failure.code.as_str(), "Kusto.Data.Exceptions.KustoBadRequestException", format!("Bad request: {text}{hint}"))
    } else if is_syntax(&failure.code) {
        ("SYN0002", "Kusto.Data.Exceptions.SyntaxException", format!("Syntax error: SYN0002: {text}{hint}"))
    } else {
        ("SEM0100", "Kusto.Data.Exceptions.SemanticException", format!("Semantic error: SEM0100: {text}{hint}"))
    };
    let mut inner = json!({
        "code": code,
        "message": message,
        "@type": exception,
        "@message": message,
        "@permanent": is_client_error,
        "kymaCode": failure.code,
    });
    if let Some(place) = failure.places.first() {
        inner["line"] = json!(place.line);
        inner["pos"] = json!(place.column);
        inner["rendered"] = json!(place.rendered);
    }
    inner
}

/// Whether a client error is about the call and its data, not about the text of a query.
fn is_about_the_request(code: &str) -> bool {
    ["kusto.", "ingest.", "http.", "name."].iter().any(|area| code.starts_with(area))
}

fn is_syntax(code: &str) -> bool {
    ["syntax", "parse", "token", "lex", "depth"].iter().any(|word| code.contains(word))
}

#[cfg(test)]
mod tests {
    use kyma_core::Error;
    use kyma_core::error::Span;
    use kyma_plan::{Diagnostic, Diagnostics};

    use super::*;

    fn call() -> Call {
        Call { client_request_id: "KPC.execute;1".into(), activity_id: uuid::Uuid::nil(), at: 0 }
    }

    #[test]
    fn semantic_and_syntax_errors_are_told_apart() {
        let of = |code: &str| {
            let diagnostic = Diagnostic::error(code, "no such column: name=\"x\"", Span::new(7, 8));
            let failure = Failure::of_diagnostics(&Diagnostics::from(diagnostic), "print 1+x");
            (status(&failure).as_u16(), body(&call(), &failure))
        };
        let (status, semantic) = of("kql.unknown_column");
        assert_eq!((status, &semantic["error"]["code"]), (400, &json!("General_BadRequest")));
        let message = semantic["error"]["@message"].as_str().unwrap();
        assert_eq!(message, "Semantic error: SEM0100: no such column: name=\"x\" [line:position=1:8]");
        assert!(of("kql.syntax").1["error"]["@message"].as_str().unwrap().starts_with("Syntax error: SYN0002"));
    }

    #[test]
    fn a_bad_call_is_no_semantic_error() {
        let failure = Failure::from(Error::invalid("kusto.bad_request", "no csl"));
        let body = body(&call(), &failure);
        assert_eq!(body["error"]["@message"], "Bad request: no csl");
        assert_eq!(body["error"]["innererror"]["code"], "kusto.bad_request");
    }

    #[test]
    fn a_timeout_has_its_status_and_may_be_tried_again() {
        let failure = Failure::from(Error::exhausted("query.timeout", "too long"));
        assert_eq!(status(&failure), StatusCode::GATEWAY_TIMEOUT);
        let body = body(&call(), &failure);
        assert_eq!((&body["error"]["code"], &body["error"]["@permanent"]), (&json!("Timeout"), &json!(false)));
    }

    #[test]
    fn an_unknown_table_is_no_missing_endpoint() {
        assert_eq!(status(&Failure::from(Error::not_found("table.unknown", "x"))), StatusCode::BAD_REQUEST);
        assert_eq!(status(&Failure::from(Error::exhausted("query.too_many", "x"))), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(status(&Failure::from(Error::exhausted("query.result_rows", "x"))), StatusCode::BAD_REQUEST);
    }
}
