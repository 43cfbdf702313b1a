//! Policies as the work that enforces them reads them. Commands keep nothing that is not read here.

use serde_json::{Map, Value as Json};

use crate::TableId;
use crate::catalog::Policy;
use crate::error::{Error, Result};
use crate::time;

/// What a database keeps of this kind for a table, or, for no table, for itself.
pub fn of<'a>(policies: &'a [Policy], kind: &str, table: Option<TableId>) -> Option<&'a Policy> {
    policies.iter().find(|policy| policy.kind == kind && policy.table == table)
}

/// The kind of a retention policy, as the catalog keeps it.
pub const RETENTION: &str = "retention";

/// How long rows are kept, in Kusto's words: `{"SoftDeletePeriod":"10.00:00:00","Recoverability":"Enabled"}`.
///
/// Time counts from a row's event time. `Recoverability` is kept and changes nothing: what is removed is readable as of an
/// earlier sequence for the grace period of garbage collection, and its bytes go then, with either value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Nanoseconds that rows are kept, not negative; what is longer than a datetime can say is `i64::MAX`.
    pub period: Option<i64>,
    /// Whether what was removed should be recoverable.
    pub recoverable: Option<bool>,
}

impl RetentionPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// `Invalid` with code `policy.retention` for anything but an object of these two properties.
    pub fn parse(json: &str) -> Result<Self> {
        let mut policy = RetentionPolicy::default();
        for (name, value) in &properties(RETENTION, json)? {
            let misfit = || misfit(RETENTION, name, value);
            match name.as_str() {
                "SoftDeletePeriod" => policy.period = Some(period(value).ok_or_else(misfit)?),
                "Recoverability" => policy.recoverable = Some(recoverable(value).ok_or_else(misfit)?),
                _ => return Err(unknown(RETENTION, name)),
            }
        }
        Ok(policy)
    }

    /// What counts for a table: what it says itself, and of what it does not say, its database.
    pub fn or(self, of_database: RetentionPolicy) -> RetentionPolicy {
        RetentionPolicy {
            period: self.period.or(of_database.period),
            recoverable: self.recoverable.or(of_database.recoverable),
        }
    }
}

/// The kind of a caching policy, as the catalog keeps it.
pub const CACHING: &str = "caching";

/// How young data is that should be near, in Kusto's words: `{"DataHotSpan":"7.00:00:00","IndexHotSpan":"7.00:00:00"}`.
/// Data and index are one in kyma: the longer span counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CachingPolicy {
    /// Nanoseconds back from now, not negative; what is longer than a datetime can say is `i64::MAX`.
    pub hot: i64,
}

impl CachingPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// `Invalid` with code `policy.caching` for anything but an object of one of these properties, or both.
    pub fn parse(json: &str) -> Result<Self> {
        let mut hot = None;
        for (name, value) in &properties(CACHING, json)? {
            if !matches!(name.as_str(), "DataHotSpan" | "IndexHotSpan") {
                return Err(unknown(CACHING, name));
            }
            hot = hot.max(Some(period(value).ok_or_else(|| misfit(CACHING, name, value))?));
        }
        hot.map(|hot| CachingPolicy { hot }).ok_or_else(|| wrong(CACHING, "it says nothing"))
    }
}

/// The kind of a deduplication policy, kyma's own.
pub const DEDUPLICATION: &str = "deduplication";

/// For how long a write without an idempotency key is recognised by its content: `{"Window":"00:10:00"}`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DeduplicationPolicy {
    /// Whole seconds, at least one.
    pub window_seconds: u32,
}

impl DeduplicationPolicy {
    /// Reads a policy.
    ///
    /// # Errors
    /// `Invalid` with code `policy.deduplication` for anything but an object of this property.
    pub fn parse(json: &str) -> Result<Self> {
        let mut window = None;
        for (name, value) in &properties(DEDUPLICATION, json)? {
            if name != "Window" {
                return Err(unknown(DEDUPLICATION, name));
            }
            window = Some(period(value).ok_or_else(|| misfit(DEDUPLICATION, name, value))?);
        }
        let window = window.ok_or_else(|| wrong(DEDUPLICATION, "it says nothing"))?;
        let seconds = u32::try_from(window / 1_000_000_000).ok().filter(|seconds| *seconds > 0);
        seconds
            .map(|window_seconds| DeduplicationPolicy { window_seconds })
            .ok_or_else(|| wrong(DEDUPLICATION, "its window is not between a second and 136 years"))
    }
}

/// The properties of a policy, which is an object.
fn properties(kind: &str, json: &str) -> Result<Map<String, Json>> {
    match serde_json::from_str(json) {
        Ok(Json::Object(said)) => Ok(said),
        Ok(_) => Err(wrong(kind, "it is not an object")),
        Err(error) => Err(wrong(kind, &error.to_string())),
    }
}

fn misfit(kind: &str, name: &str, value: &Json) -> Error {
    wrong(kind, &format!("the value of '{name}' does not fit: {value}"))
}

fn unknown(kind: &str, name: &str) -> Error {
    wrong(kind, &format!("it has no property '{name}'"))
}

fn wrong(kind: &str, why: &str) -> Error {
    let code = match kind {
        RETENTION => "policy.retention",
        CACHING => "policy.caching",
        _ => "policy.deduplication",
    };
    Error::invalid(code, format!("the {kind} policy is not understood: {why}"))
}

fn recoverable(value: &Json) -> Option<bool> {
    match value.as_str()? {
        "Enabled" => Some(true),
        "Disabled" => Some(false),
        _ => None,
    }
}

/// A timespan that is not negative. Kusto's default, 365000 days, is more than nanoseconds can say.
fn period(value: &Json) -> Option<i64> {
    let text = value.as_str()?;
    if let Some((days, rest)) = text.trim().split_once('.')
        && days.parse::<i64>().is_ok_and(|days| days > i64::MAX / time::DAY)
    {
        return time::parse_timespan(rest).map(|_| i64::MAX);
    }
    time::parse_timespan(text).filter(|period| *period >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_policy_is_read_strictly() {
        let read = |json: &str| RetentionPolicy::parse(json).ok().map(|policy| (policy.period, policy.recoverable));
        let day = Some(time::DAY);
        for (json, wanted) in [
            (r#"{"SoftDeletePeriod":"1.00:00:00","Recoverability":"Disabled"}"#, Some((day, Some(false)))),
            (r#"{"SoftDeletePeriod":"24:00:00"}"#, None),
            (r#"{"SoftDeletePeriod":"365000.00:00:00"}"#, Some((Some(i64::MAX), None))),
            (r#"{"SoftDeletePeriod":"365000.soon"}"#, None),
            (r#"{"SoftDeletePeriod":"00:00:00"}"#, Some((Some(0), None))),
            (r#"{"SoftDeletePeriod":"-00:00:01"}"#, None),
            (r#"{"SoftDeletePeriod":7}"#, None),
            (r#"{"Recoverability":"Perhaps"}"#, None),
            (r#"{"Softdeleteperiod":"1.00:00:00"}"#, None),
            ("{}", Some((None, None))),
            ("[]", None),
        ] {
            assert_eq!(read(json), wanted, "{json}");
        }
    }

    #[test]
    fn the_longer_span_is_hot() {
        let read = |json: &str| CachingPolicy::parse(json).ok().map(|policy| policy.hot);
        for (json, wanted) in [
            (r#"{"DataHotSpan":"1.00:00:00","IndexHotSpan":"2.00:00:00"}"#, Some(2 * time::DAY)),
            (r#"{"DataHotSpan":"2.00:00:00","IndexHotSpan":"1.00:00:00"}"#, Some(2 * time::DAY)),
            (r#"{"DataHotSpan":"00:00:00"}"#, Some(0)),
            (r#"{"IndexHotSpan":"365000.00:00:00"}"#, Some(i64::MAX)),
            (r#"{"DataHotSpan":"-1.00:00:00"}"#, None),
            (r#"{"DataHotSpan":1}"#, None),
            (r#"{"Hot":"1.00:00:00"}"#, None),
            ("{}", None),
            ("[]", None),
        ] {
            assert_eq!(read(json), wanted, "{json}");
        }
    }

    #[test]
    fn a_table_speaks_before_its_database() {
        let database = RetentionPolicy { period: Some(9), recoverable: Some(true) };
        let table = RetentionPolicy { period: Some(1), recoverable: None };
        assert_eq!(table.or(database), RetentionPolicy { period: Some(1), recoverable: Some(true) });
        assert_eq!(RetentionPolicy::default().or(database), database);
    }
}
