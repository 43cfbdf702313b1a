//! What a Kusto client sends: `{"db","csl","properties"}`, where `properties` is an object or a string that holds one.

use std::collections::BTreeMap;
use std::time::Duration;

use kyma_core::limits::{RESULT_BYTES_MAX, RESULT_ROWS_MAX};
use kyma_core::{Error, time};
use kyma_exec::{Limits, QueryRequest};
use serde::Deserialize;
use serde_json::Value as Json;

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
        let now = self.now()?;
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
            limits,
            truncate: take_max.is_some(),
        })
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
        let nanos = time::parse_timespan(text).filter(|nanos| *nanos > 0);
        let nanos = nanos.ok_or_else(|| bad_request(&format!("servertimeout is not a timespan: {text:?}")))?;
        Ok(Some(Duration::from_nanos(nanos.unsigned_abs())))
    }

    fn now(&self) -> Outcome<Option<i64>> {
        let Some(text) = self.options.get("query_now").and_then(Json::as_str) else { return Ok(None) };
        let inner = text.trim().strip_prefix("datetime(").and_then(|rest| rest.strip_suffix(')')).unwrap_or(text);
        let nanos = time::parse_datetime(inner);
        nanos.map(Some).ok_or_else(|| bad_request(&format!("query_now is not a datetime: {text:?}")))
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
    fn options() {
        let body = br#"{"csl":"T","properties":{"Options":{"servertimeout":"0:01:00","notruncation":"true","query_language":"sql","query_now":"datetime(2020-01-01)"}}}"#;
        let request = KustoRequest::read(body).unwrap();
        assert_eq!(request.timeout().unwrap(), Some(Duration::from_secs(60)));
        assert_eq!(request.rows_max(), None);
        assert_eq!(request.language(), "sql");
        assert_eq!(request.now().unwrap().map(time::format_datetime).as_deref(), Some("2020-01-01T00:00:00.0000000Z"));
    }
}
