//! What a Kusto client sends: `{"db","csl","properties"}`, where `properties` is an object or a string that holds one.

use std::collections::BTreeMap;
use std::time::Duration;

use kyma_core::limits::{RESULT_BYTES_MAX, RESULT_ROWS_MAX};
use kyma_core::{Error, time};
use kyma_exec::{Limits, QueryRequest, TimeScope};
use serde::Deserialize;
use serde_json::Value as Json;

use super::v2::{Placement, Shape};
use crate::failure::{Failure, Outcome};
use crate::state::Shared;

/// A query or a command.
#[derive(Debug)]
pub(crate) struct KustoRequest {
    pub(crate) text: String,
    pub(crate) database: Option<String>,
    options: serde_json::Map<String, Json>,
    parameters: BTreeMap<String, Json>,
}

#[derive(Debug, Deserialize)]
struct Wire {
    db: Option<String>,
    csl: String,
    #[serde(default)]
    properties: Json,
}

/// The same in a URL.
#[derive(Debug, Deserialize)]
pub(crate) struct UrlRequest {
    db: Option<String>,
    csl: Option<String>,
    properties: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
struct Properties {
    #[serde(rename = "Options", default)]
    options: serde_json::Map<String, Json>,
    #[serde(rename = "Parameters", default)]
    parameters: BTreeMap<String, Json>,
}

impl KustoRequest {
    /// Reads a body.
    pub(crate) fn read(body: &[u8]) -> Outcome<Self> {
        let wire: Wire = serde_json::from_slice(body).map_err(|error| bad_request(&error.to_string()))?;
        KustoRequest::new(wire)
    }

    /// Reads the parameters of a URL.
    pub(crate) fn from_url(url: UrlRequest) -> Outcome<Self> {
        let csl = url.csl.ok_or_else(|| bad_request("missing field `csl`"))?;
        let properties = url.properties.map_or(Json::Null, Json::String);
        KustoRequest::new(Wire { db: url.db, csl, properties })
    }

    fn new(wire: Wire) -> Outcome<Self> {
        let properties = match wire.properties {
            Json::Null => Properties::default(),
            Json::String(text) if text.trim().is_empty() => Properties::default(),
            Json::String(text) => {
                serde_json::from_str(&text).map_err(|error| bad_request(&format!("properties: {error}")))?
            }
            object => serde_json::from_value(object).map_err(|error| bad_request(&format!("properties: {error}")))?,
        };
        Ok(KustoRequest {
            text: wire.csl,
            database: wire.db,
            options: properties.options,
            parameters: properties.parameters,
        })
    }

    /// `kql`, unless the options ask for SQL.
    pub(crate) fn language(&self) -> &'static str {
        match self.options.get("query_language").and_then(Json::as_str) {
            Some(name) if name.eq_ignore_ascii_case("sql") => "sql",
            _ => "kql",
        }
    }

    /// The request as the engine takes it.
    pub(crate) fn into_query(self, state: &Shared) -> Outcome<QueryRequest> {
        let language = self.language().to_owned();
        let now = self.datetime("query_now")?;
        let time_scope = self.time_scope()?;
        let as_of = self.options.get("query_as_of").map(crate::http::query::as_of).transpose()?;
        let take_max = self.count("query_take_max_records");
        let limits = Limits {
            rows: take_max.or(self.rows_max()),
            bytes: self.bytes_max(),
            timeout: state.settings.query_time(self.timeout()?),
        };
        Ok(QueryRequest {
            text: self.text,
            language,
            database: state.database_or_default(self.database),
            parameters: self.parameters,
            now,
            time_scope,
            as_of,
            limits,
            truncate: take_max.is_some(),
        })
    }

    /// How the frames of V2 are wanted; `None` is the plain shape.
    pub(crate) fn shape(&self) -> Option<Shape> {
        let placement = self.options.get("results_error_reporting_placement").and_then(Json::as_str);
        let progressive = self.flag("results_progressive_enabled");
        let fragments = progressive || self.flag("results_v2_fragment_primary_tables");
        let defer_failures = self.flag("deferpartialqueryfailures");
        let placement = placement.and_then(Placement::of_name);
        (fragments || defer_failures || placement.is_some()).then(|| Shape {
            progressive,
            fragments,
            placement: placement.unwrap_or(Placement::InData),
            defer_failures,
        })
    }

    /// Refuses a command that may write where the request says that it must not.
    pub(crate) fn check_command(&self) -> Outcome<()> {
        let read_only = self.flag("request_readonly") || self.flag("request_readonly_hardline");
        if !read_only || only_reads(&self.text) {
            return Ok(());
        }
        let error = Error::invalid("kusto.read_only", "the request is read-only, its command may write");
        Err(error.hint("leave request_readonly out, or send a .show command").into())
    }

    fn rows_max(&self) -> Option<usize> {
        if self.flag("notruncation") {
            None
        } else {
            Some(self.count("truncationmaxrecords").unwrap_or(RESULT_ROWS_MAX))
        }
    }

    fn bytes_max(&self) -> Option<usize> {
        if self.flag("notruncation") { None } else { Some(self.count("truncationmaxsize").unwrap_or(RESULT_BYTES_MAX)) }
    }

    fn timeout(&self) -> Outcome<Option<Duration>> {
        if self.flag("norequesttimeout") {
            return Ok(Some(Duration::MAX));
        }
        let Some(text) = self.options.get("servertimeout").and_then(Json::as_str) else { return Ok(None) };
        let nanos = parse_timeout(text).filter(|nanos| *nanos > 0);
        let nanos = nanos.ok_or_else(|| bad_request(&format!("servertimeout is not a timespan: {text:?}")))?;
        Ok(Some(Duration::from_nanos(nanos.unsigned_abs())))
    }

    /// What `query_datetimescope_column`, `_from` and `_to` bound.
    fn time_scope(&self) -> Outcome<Option<TimeScope>> {
        let (from, to) = (self.datetime("query_datetimescope_from")?, self.datetime("query_datetimescope_to")?);
        let column = self.options.get("query_datetimescope_column").and_then(Json::as_str);
        let column = column.filter(|name| !name.is_empty()).map(str::to_owned);
        let scope = TimeScope { column, from: from.unwrap_or(i64::MIN), to: to.unwrap_or(i64::MAX) };
        Ok((from.is_some() || to.is_some()).then_some(scope))
    }

    /// An option that is a datetime, as text or as a literal.
    fn datetime(&self, name: &str) -> Outcome<Option<i64>> {
        let text = self.options.get(name).and_then(Json::as_str).filter(|text| !text.trim().is_empty());
        let Some(text) = text else { return Ok(None) };
        let inner = text.trim().strip_prefix("datetime(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        let nanos = time::parse_datetime(inner.trim());
        nanos.map(Some).ok_or_else(|| bad_request(&format!("{name} is not a datetime: {text:?}")))
    }

    /// An option that is set: clients send `true` or `"true"`.
    fn flag(&self, name: &str) -> bool {
        match self.options.get(name) {
            Some(Json::Bool(set)) => *set,
            Some(Json::String(text)) => text.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// An option that is a count: clients send `5` or `"5"`.
    fn count(&self, name: &str) -> Option<usize> {
        match self.options.get(name) {
            Some(Json::Number(number)) => number.as_u64().and_then(|count| usize::try_from(count).ok()),
            Some(Json::String(text)) => text.trim().parse().ok(),
            _ => None,
        }
    }
}

/// A timespan, also as Python writes one of a day or more: `1 day, 0:00:30`.
fn parse_timeout(text: &str) -> Option<i64> {
    let Some((days, rest)) = text.split_once(" day") else { return time::parse_timespan(text) };
    let rest = rest.trim_start_matches('s').trim_start_matches(',').trim();
    let days = days.trim().parse::<i64>().ok()?.checked_mul(time::DAY)?;
    days.checked_add(if rest.is_empty() { 0 } else { time::parse_timespan(rest)? })
}

/// Whether a command shows something and changes nothing.
fn only_reads(text: &str) -> bool {
    let command = text.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("//"));
    let verb = command.and_then(|line| line.split_whitespace().next()).unwrap_or_default();
    [".show", ".get", ".list"].iter().any(|reading| verb.eq_ignore_ascii_case(reading))
}

fn bad_request(reason: &str) -> Failure {
    let hint = r#"send {"db":"default","csl":"Logs | take 10"}"#;
    Error::invalid("kusto.bad_request", format!("the request is not a Kusto request: {reason}")).hint(hint).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_come_as_object_or_string() {
        let object =
            br#"{"db":"d","csl":"T","properties":{"Options":{"truncationmaxrecords":5},"Parameters":{"x":5}}}"#;
        let string = br#"{"db":"d","csl":"T","properties":"{\"Options\":{\"truncationmaxrecords\":5},\"Parameters\":{\"x\":5}}"}"#;
        for body in [&object[..], &string[..]] {
            let request = KustoRequest::read(body).unwrap();
            assert_eq!(request.rows_max(), Some(5));
            assert_eq!(request.parameters["x"], 5);
        }
        assert!(KustoRequest::read(br#"{"csl":"T","properties":null}"#).unwrap().database.is_none());
        assert_eq!(KustoRequest::read(b"{}").unwrap_err().code, "kusto.bad_request");
    }

    #[test]
    fn frames_are_plain_unless_asked() {
        let shape = |options: Json| {
            let body = serde_json::json!({ "csl": "T", "properties": { "Options": options } }).to_string();
            KustoRequest::read(body.as_bytes()).unwrap().shape()
        };
        assert_eq!(shape(serde_json::json!({ "results_v2_newlines_between_frames": true })), None);
        let progressive = shape(serde_json::json!({ "results_progressive_enabled": true })).unwrap();
        assert!(progressive.progressive && progressive.fragments);
        let asked = serde_json::json!({
            "results_v2_fragment_primary_tables": true,
            "results_error_reporting_placement": "end_of_table",
        });
        let shape = shape(asked).unwrap();
        assert_eq!((shape.fragments, shape.progressive, shape.placement), (true, false, Placement::EndOfTable));
    }

    #[test]
    fn datetime_scopes() {
        let scope = |options: Json| {
            let body = serde_json::json!({ "csl": "T", "properties": { "Options": options } }).to_string();
            KustoRequest::read(body.as_bytes()).unwrap().time_scope()
        };
        assert_eq!(scope(serde_json::json!({ "query_datetimescope_column": "t" })).unwrap(), None);
        let asked =
            serde_json::json!({ "query_datetimescope_column": "t", "query_datetimescope_to": "datetime(1970-01-02)" });
        let expected = TimeScope { column: Some("t".into()), from: i64::MIN, to: time::DAY };
        assert_eq!(scope(asked).unwrap(), Some(expected));
        assert!(scope(serde_json::json!({ "query_datetimescope_from": "yesterday" })).is_err());
    }

    #[test]
    fn timeouts_and_commands_that_read() {
        assert_eq!(parse_timeout("1 day, 0:00:30"), Some(time::DAY + 30 * time::SECOND));
        assert_eq!(parse_timeout("2 days, 1:00:00"), Some(2 * time::DAY + time::HOUR));
        assert_eq!(parse_timeout("00:04:30"), Some(270 * time::SECOND));
        assert_eq!(parse_timeout("soon"), None);
        assert!(only_reads("// who\n .SHOW tables"));
        assert!(!only_reads(".drop table T") && !only_reads(".set T <| print 1") && !only_reads(""));
    }

    #[test]
    fn options() {
        let body = br#"{"csl":"T","properties":{"Options":{"servertimeout":"0:01:00","notruncation":"true","query_language":"sql","query_now":"datetime(2020-01-01)"}}}"#;
        let request = KustoRequest::read(body).unwrap();
        assert_eq!(request.timeout().unwrap(), Some(Duration::from_secs(60)));
        assert_eq!(request.rows_max(), None);
        assert_eq!(request.language(), "sql");
        assert_eq!(
            request.datetime("query_now").unwrap().map(time::format_datetime).as_deref(),
            Some("2020-01-01T00:00:00.0000000Z")
        );
    }
}
