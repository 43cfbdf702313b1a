//! How an error leaves the node: one table from kinds to statuses, one JSON shape.
//!
//! A handler returns a [`Failure`]. Its response carries the failure as an extension, and the outermost
//! middleware, which knows the request id, writes the body:
//! `{"error":{"code","message","hint","span","rendered","diagnostics","request_id"}}`, with a `"profile"` beside it
//! when the request asked for one.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use kyma_core::error::Span;
use kyma_core::profile::Profile;
use kyma_core::{Error, Kind};
use kyma_exec::QueryError;
use kyma_plan::{Diagnostic, Diagnostics, Severity};
use serde_json::{Value as Json, json};

/// What a failed request answers.
#[derive(Debug, Clone)]
pub(crate) struct Failure {
    pub(crate) kind: Kind,
    pub(crate) status: StatusCode,
    pub(crate) code: String,
    pub(crate) message: String,
    pub(crate) hint: Option<String>,
    pub(crate) places: Vec<Place>,
    /// What the query had cost, when the request asks for it.
    pub(crate) profile: Option<Box<Profile>>,
}

/// A diagnostic with its place in words: for people who do not count bytes.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) code: String,
    pub(crate) severity: Severity,
    pub(crate) message: String,
    pub(crate) span: Span,
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) hint: Option<String>,
    pub(crate) rendered: String,
}

pub(crate) type Outcome<T = Response> = Result<T, Failure>;

impl Failure {
    /// A failure of query `text`.
    pub(crate) fn of_query(error: QueryError, text: &str) -> Self {
        match error {
            QueryError::Invalid(diagnostics) => Failure::of_diagnostics(&diagnostics, text),
            QueryError::Failed(error) => {
                let place = error.span().map(|span| Place::of_error(&error, span, text));
                Failure { places: place.into_iter().collect(), ..Failure::from(error) }
            }
        }
    }

    /// A failure of everything that is wrong with `text`.
    pub(crate) fn of_diagnostics(diagnostics: &Diagnostics, text: &str) -> Self {
        let places: Vec<Place> = diagnostics.0.iter().map(|diagnostic| Place::of(diagnostic, text)).collect();
        let first = places.iter().find(|place| place.severity == Severity::Error).or(places.first());
        let (code, message, hint) = match first {
            Some(place) => (place.code.clone(), place.message.clone(), place.hint.clone()),
            None => ("query.invalid".to_owned(), "the query is not valid".to_owned(), None),
        };
        Failure { kind: Kind::Invalid, status: StatusCode::BAD_REQUEST, code, message, hint, places, profile: None }
    }

    /// The JSON body.
    pub(crate) fn body(&self, request_id: &str) -> Json {
        let mut error = serde_json::Map::new();
        error.insert("code".into(), json!(self.code));
        error.insert("message".into(), json!(self.message));
        error.insert("hint".into(), json!(self.hint));
        if let Some(first) = self.places.first() {
            error.insert("span".into(), first.span_json());
            error.insert("rendered".into(), json!(first.rendered));
            error.insert("diagnostics".into(), self.places.iter().map(Place::json).collect());
        }
        error.insert("request_id".into(), json!(request_id));
        match &self.profile {
            Some(profile) => json!({ "error": error, "profile": profile }),
            None => json!({ "error": error }),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        match error.kind() {
            Kind::Corrupt | Kind::Internal => tracing::error!(code = error.code(), "{}", error.chain()),
            Kind::Unavailable => tracing::warn!(code = error.code(), "{}", error.chain()),
            _ => tracing::debug!(code = error.code(), "{}", error.chain()),
        }
        Failure {
            kind: error.kind(),
            status: status(error.kind(), error.code()),
            code: error.code().to_owned(),
            message: error.message().to_owned(),
            hint: error.hint_text().map(str::to_owned),
            places: Vec::new(),
            profile: None,
        }
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = self.status.into_response();
        if matches!(self.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response.extensions_mut().insert(self);
        response
    }
}

/// The one table from kinds to statuses. Three codes say more than their kind.
fn status(kind: Kind, code: &str) -> StatusCode {
    if code.ends_with("result_too_large") {
        // It is not the request that is too large, and asking again would not help.
        return StatusCode::BAD_REQUEST;
    }
    if code.ends_with("too_large") {
        return StatusCode::PAYLOAD_TOO_LARGE;
    }
    if kind == Kind::Exhausted && code.ends_with("timeout") {
        return StatusCode::GATEWAY_TIMEOUT;
    }
    StatusCode::from_u16(kind.http_status()).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR)
}

impl Place {
    fn of(diagnostic: &Diagnostic, text: &str) -> Self {
        let (line, column) = line_and_column(text, diagnostic.span.start);
        Place {
            code: diagnostic.code.clone(),
            severity: diagnostic.severity,
            message: diagnostic.message.clone(),
            span: diagnostic.span,
            line,
            column,
            hint: diagnostic.hint.clone(),
            rendered: diagnostic.render(text),
        }
    }

    fn of_error(error: &Error, span: Span, text: &str) -> Self {
        let diagnostic = Diagnostic::error(error.code(), error.message(), span);
        Place::of(&Diagnostic { hint: error.hint_text().map(str::to_owned), ..diagnostic }, text)
    }

    fn span_json(&self) -> Json {
        json!({ "start": self.span.start, "end": self.span.end, "line": self.line, "column": self.column })
    }

    fn json(&self) -> Json {
        json!({
            "code": self.code,
            "severity": self.severity,
            "message": self.message,
            "hint": self.hint,
            "span": self.span_json(),
            "rendered": self.rendered,
        })
    }
}

/// The warnings of a query that ran, as its answer shows them.
pub(crate) fn warnings_json(warnings: &[Diagnostic], text: &str) -> Json {
    warnings.iter().map(|warning| Place::of(warning, text).json()).collect()
}

/// Line and column of a byte, both from 1; the column counts characters.
fn line_and_column(text: &str, at: usize) -> (usize, usize) {
    let at = (0..=at.min(text.len())).rev().find(|&at| text.is_char_boundary(at)).unwrap_or(0);
    let before = &text[..at];
    let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
    (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_has_its_status() {
        let of = |error: Error| Failure::from(error).status.as_u16();
        assert_eq!(of(Error::invalid("a.b", "x")), 400);
        assert_eq!(of(Error::not_found("a.b", "x")), 404);
        assert_eq!(of(Error::exhausted("a.b", "x")), 429);
        assert_eq!(of(Error::exhausted("ingest.body_too_large", "x")), 413);
        assert_eq!(of(Error::exhausted("query.result_too_large", "x")), 400);
        assert_eq!(of(Error::exhausted("query.timeout", "x")), 504);
        assert_eq!(of(Error::unavailable("a.b", "x")), 503);
        assert_eq!(of(Error::internal("x")), 500);
    }

    #[test]
    fn a_diagnostic_names_line_and_column() {
        let text = "Logs\n| wher é == 1";
        let diagnostics = Diagnostics::from(Diagnostic::error("kql.syntax", "what?", Span::new(7, 11)));
        let body = Failure::of_diagnostics(&diagnostics, text).body("r1");
        assert_eq!(body["error"]["span"], json!({"start": 7, "end": 11, "line": 2, "column": 3}));
        assert_eq!(body["error"]["request_id"], "r1");
        assert!(body["error"]["rendered"].as_str().unwrap().contains("^^^^"));
        assert_eq!(line_and_column("a€b", 2), (1, 2));
    }
}
