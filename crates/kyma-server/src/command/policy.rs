//! Policies: kept as JSON for the work that enforces them, or said to be just that. Retention is enforced by
//! `kyma_worker::retention`, and read by the same code here and there.
//!
//! What nothing will enforce is refused: a policy that is kept and ignored is a lie. Row level security is the worst of
//! these, so it can be switched off only, until it is enforced.

use kyma_core::catalog::{Policy, Table};
use kyma_core::policy::{self, CACHING, CachingPolicy, DEDUPLICATION, DeduplicationPolicy, RETENTION, RetentionPolicy};
use kyma_core::{Error, Result, TableId, Type, time};
use kyma_plan::PolicyOwner;
use serde_json::{Map, Value as Json, json};

use super::table::{SmallTable, string};
use super::{all_tables, existing_database, find_table};
use crate::state::Shared;

const DEDUPLICATION_ENFORCED: &str = "enforced: a write without a key is stored once within the window";
/// What every answer about a policy says that is enforced by nothing yet.
const NOT_ENFORCED: &str = "kept, not enforced yet";
/// What every answer about retention says.
const RETENTION_ENFORCED: &str = "enforced: rows past their time are removed, and stay readable as of earlier for the grace \
                                  period, whatever Recoverability says";
/// What every answer about caching says.
const CACHING_ENFORCED: &str =
    "enforced: what is hot is kept on a node's disk from its first use, what is not never is";

/// Kinds that are kept, each with Kusto's name of the policy.
const KEPT: [(&str, &str); 5] = [
    ("retention", "RetentionPolicy"),
    (CACHING, "CachingPolicy"),
    (DEDUPLICATION, "DeduplicationPolicy"),
    ("ingestionbatching", "IngestionBatchingPolicy"),
    ("row_level_security", "RowLevelSecurityPolicy"),
];

/// Kinds that Kusto has and kyma does not keep, with what there is instead.
const REFUSED: [(&str, &str); 15] = [
    ("update", "store results of queries with .set-or-append"),
    ("merge", "extents are compacted by the worker's own rules"),
    ("sharding", "the size of extents is a setting of the node"),
    ("streamingingestion", "rows are visible as soon as their write is answered, always"),
    ("ingestiontime", "a table without an event time of its own gets _ingestion_time"),
    ("partitioning", "rows are sorted by the table's sort key"),
    ("roworder", "rows are sorted by the table's sort key"),
    ("encoding", "encodings are chosen by trying"),
    ("restricted_view_access", "access is decided before kyma"),
    ("auto_delete", "drop the table"),
    ("extent_tags_retention", "tags have no retention"),
    ("callout", "queries call nobody"),
    ("capacity", "limits are settings of the node"),
    ("query_weak_consistency", "every query reads one snapshot"),
    ("query_acceleration", "there are no external tables"),
];

/// Whose policy: a database, and perhaps one table of it.
struct Owner {
    database: kyma_core::catalog::Database,
    table: Option<Table>,
}

impl Owner {
    fn table_id(&self) -> Option<TableId> {
        self.table.as_ref().map(|table| table.id)
    }

    fn entity(&self) -> (String, &'static str) {
        match &self.table {
            Some(table) => (format!("[{}].[{}]", self.database.name, table.name), "Table"),
            None => (format!("[{}]", self.database.name), "Database"),
        }
    }
}

async fn owner(state: &Shared, current: &str, of: &PolicyOwner) -> Result<Owner> {
    Ok(match of {
        PolicyOwner::Table(name) => {
            let database = existing_database(state, current).await?;
            Owner { table: Some(find_table(state, current, name).await?), database }
        }
        PolicyOwner::Database(named) => {
            let name = named.as_deref().unwrap_or(current);
            Owner { database: existing_database(state, name).await?, table: None }
        }
        PolicyOwner::Cluster | PolicyOwner::EveryTable => {
            return Err(Error::invalid("command.policy_cluster", "policies of the whole cluster are not kept")
                .hint("write it for a database or a table; limits of a node are settings (`kyma config`)"));
        }
    })
}

fn shown() -> SmallTable {
    let text = Type::String;
    SmallTable::new([
        ("PolicyName", text),
        ("EntityName", text),
        ("Policy", text),
        ("ChildEntities", text),
        ("EntityType", text),
        ("Remark", text),
    ])
}

fn add(shown: &mut SmallTable, owner: &Owner, kind: &str, policy: Option<&Policy>) {
    let name = KEPT.iter().find(|(known, _)| *known == kind).map_or(kind, |(_, name)| name);
    let (entity, entity_type) = owner.entity();
    let remark = match kind {
        RETENTION => RETENTION_ENFORCED,
        DEDUPLICATION => DEDUPLICATION_ENFORCED,
        CACHING => CACHING_ENFORCED,
        _ => NOT_ENFORCED,
    };
    let (said, remark) = policy.map_or(("null", ""), |policy| (policy.json.as_str(), remark));
    shown.row([string(name), string(entity), string(said), string(""), string(entity_type), string(remark)]);
}

/// `.show table T policy retention`, `.show table T policy *`, `.show table * policy retention`.
pub(super) async fn show(state: &Shared, current: &str, of: &PolicyOwner, kind: &str) -> Result<SmallTable> {
    let is_known = KEPT.iter().any(|(known, _)| *known == kind) || REFUSED.iter().any(|(known, _)| *known == kind);
    if kind != "*" && !is_known {
        return Err(unknown(kind));
    }
    let kinds: Vec<&str> = if kind == "*" { KEPT.iter().map(|(kind, _)| *kind).collect() } else { vec![kind] };
    let owners = match of {
        PolicyOwner::EveryTable => {
            let database = existing_database(state, current).await?;
            let tables = all_tables(state, current).await?.into_iter();
            tables.map(|table| Owner { database: database.clone(), table: Some(table) }).collect()
        }
        PolicyOwner::Cluster => Vec::new(),
        of => vec![owner(state, current, of).await?],
    };
    let mut listed = shown();
    for owner in owners {
        let policies = state.catalog.policies(owner.database.id).await?;
        for kind in &kinds {
            add(&mut listed, &owner, kind, policy::of(&policies, kind, owner.table_id()));
        }
    }
    Ok(listed)
}

fn unknown(kind: &str) -> Error {
    let kept: Vec<&str> = KEPT.iter().map(|(kind, _)| *kind).collect();
    Error::invalid("command.policy_unknown", format!("there is no such policy: kind={kind}"))
        .hint(format!("kept are {}; format chooses the format of new extents", kept.join(", ")))
}

/// A kind that is kept, or why it is not.
fn kept(kind: &str) -> Result<()> {
    if KEPT.iter().any(|(known, _)| *known == kind) {
        return Ok(());
    }
    match REFUSED.iter().find(|(known, _)| *known == kind) {
        Some((_, instead)) => {
            let message = format!("nothing would enforce this policy, so it is not kept: kind={kind}");
            Err(Error::invalid("command.policy_unsupported", message).hint(*instead))
        }
        None => Err(unknown(kind)),
    }
}

/// `.alter table T policy retention '{...}'`, `.alter-merge table T policy retention softdelete = 10d`.
pub(super) async fn put(
    state: &Shared,
    current: &str,
    of: &PolicyOwner,
    kind: &str,
    value: &str,
    merge: bool,
) -> Result<SmallTable> {
    kept(kind)?;
    let owner = owner(state, current, of).await?;
    let mut said = read(kind, value)?;
    if merge {
        let policies = state.catalog.policies(owner.database.id).await?;
        let before = policy::of(&policies, kind, owner.table_id());
        if let Some(Ok(Json::Object(before))) = before.map(|policy| serde_json::from_str(&policy.json)) {
            said = before.into_iter().chain(said).collect();
        }
    }
    if let Some(window_seconds) = check(kind, &said)? {
        deduplicate(state, &owner, window_seconds).await?;
    }
    let json = Json::Object(said).to_string();
    let policy = Policy { database: owner.database.id, table: owner.table_id(), kind: kind.to_owned(), json };
    state.catalog.put_policy(&policy).await?;
    let mut answered = shown();
    add(&mut answered, &owner, kind, Some(&policy));
    Ok(answered)
}

/// `.delete table T policy retention`.
pub(super) async fn drop(state: &Shared, current: &str, of: &PolicyOwner, kind: &str) -> Result<SmallTable> {
    kept(kind)?;
    let owner = owner(state, current, of).await?;
    if kind == DEDUPLICATION {
        deduplicate(state, &owner, 0).await?;
    }
    state.catalog.drop_policy(owner.database.id, owner.table_id(), kind).await?;
    let mut answered = shown();
    add(&mut answered, &owner, kind, None);
    Ok(answered)
}

/// The window is part of the table, so that every write finds it there.
async fn deduplicate(state: &Shared, owner: &Owner, window_seconds: u32) -> Result<()> {
    let Some(table) = &owner.table else {
        return Err(Error::invalid("command.policy_of_table", "this policy is one of a table, not of a database")
            .hint("write .alter table T policy deduplication ..."));
    };
    state.catalog.set_deduplication(table.id, window_seconds).await?;
    state.ingester.forget_table(&table.database_name, &table.name);
    Ok(())
}

fn wrong(kind: &str, why: impl std::fmt::Display) -> Error {
    let hint = match kind {
        "retention" => r#"write '{"SoftDeletePeriod":"10.00:00:00","Recoverability":"Enabled"}' or softdelete = 10d"#,
        "caching" => "write hot = 30d",
        DEDUPLICATION => r#"write '{"Window":"00:10:00"}'"#,
        "ingestionbatching" => {
            r#"write '{"MaximumBatchingTimeSpan":"00:00:30","MaximumNumberOfItems":500,"MaximumRawDataSizeMB":1024}'"#
        }
        _ => r#"write disable "query""#,
    };
    Error::invalid("command.policy_invalid", format!("the policy is not understood: {why}")).hint(hint)
}

/// What a policy says, in Kusto's JSON, not checked yet.
fn read(kind: &str, value: &str) -> Result<Map<String, Json>> {
    let value = value.trim();
    if value.starts_with('{') {
        let parsed: Json = serde_json::from_str(value).map_err(|error| wrong(kind, error))?;
        let Json::Object(said) = parsed else { return Err(wrong(kind, "it is not an object")) };
        return Ok(said);
    }
    match kind {
        RETENTION => retention(value),
        CACHING => caching(value),
        "row_level_security" => row_level_security(value),
        _ => Err(wrong(kind, "it is not a JSON object")),
    }
}

/// Whether a policy, as it will be kept, makes sense; the window in seconds when it is one for deduplication.
fn check(kind: &str, said: &Map<String, Json>) -> Result<Option<u32>> {
    let json = || Json::Object(said.clone()).to_string();
    match kind {
        RETENTION => RetentionPolicy::parse(&json()).map(|_| None).map_err(|error| wrong(kind, error.message())),
        CACHING => CachingPolicy::parse(&json()).map(|_| None).map_err(|error| wrong(kind, error.message())),
        DEDUPLICATION => DeduplicationPolicy::parse(&json())
            .map(|policy| Some(policy.window_seconds))
            .map_err(|error| wrong(kind, error.message())),
        _ => said.iter().try_for_each(|(name, value)| check_property(kind, name, value)).map(|()| None),
    }
}

/// Whether a policy has a property of this name and kind of value.
fn check_property(kind: &str, name: &str, value: &Json) -> Result<()> {
    let is_time = || value.as_str().is_some_and(|text| time::parse_timespan(text).is_some());
    let fits = match (kind, name) {
        ("ingestionbatching", "MaximumBatchingTimeSpan") => is_time(),
        ("ingestionbatching", "MaximumNumberOfItems" | "MaximumRawDataSizeMB") => {
            value.as_u64().is_some_and(|count| count > 0)
        }
        ("row_level_security", "IsEnabled") if value.as_bool() == Some(true) => return Err(unprotected()),
        ("row_level_security", "IsEnabled") => value.is_boolean(),
        ("row_level_security", "Query") => value.is_string(),
        _ => return Err(wrong(kind, format!("it has no property '{name}'"))),
    };
    if fits { Ok(()) } else { Err(wrong(kind, format!("the value of '{name}' does not fit: {value}"))) }
}

/// `softdelete = 10d recoverability = disabled`
fn retention(value: &str) -> Result<Map<String, Json>> {
    let mut said = Map::new();
    for (name, value) in assignments("retention", value)? {
        match name.as_str() {
            "softdelete" => said.insert("SoftDeletePeriod".to_owned(), json!(span("retention", &value)?)),
            "recoverability" if value == "enabled" => said.insert("Recoverability".to_owned(), json!("Enabled")),
            "recoverability" if value == "disabled" => said.insert("Recoverability".to_owned(), json!("Disabled")),
            _ => return Err(wrong("retention", format!("{name} = {value}"))),
        };
    }
    Ok(said)
}

/// `hot = 30d`, `hotdata = 30d hotindex = 60d`
fn caching(value: &str) -> Result<Map<String, Json>> {
    let mut said = Map::new();
    for (name, value) in assignments("caching", value)? {
        let span = json!(span("caching", &value)?);
        let names: &[&str] = match name.as_str() {
            "hot" => &["DataHotSpan", "IndexHotSpan"],
            "hotdata" => &["DataHotSpan"],
            "hotindex" => &["IndexHotSpan"],
            _ => return Err(wrong("caching", format!("{name} = {value}"))),
        };
        said.extend(names.iter().map(|name| ((*name).to_owned(), span.clone())));
    }
    Ok(said)
}

/// `disable "query"`; to enable what is not enforced would be a lie.
fn row_level_security(value: &str) -> Result<Map<String, Json>> {
    let (word, query) = value.split_once(char::is_whitespace).unwrap_or((value, ""));
    match word.to_ascii_lowercase().as_str() {
        "disable" => {
            let query = query.trim().trim_matches('"').to_owned();
            Ok(Map::from_iter([("IsEnabled".to_owned(), json!(false)), ("Query".to_owned(), json!(query))]))
        }
        "enable" => Err(unprotected()),
        _ => Err(wrong("row_level_security", value)),
    }
}

fn unprotected() -> Error {
    Error::invalid("command.policy_unprotected", "row level security is not enforced, so it cannot be enabled").hint(
        "keep rows that not everyone may see in a database of their own, behind a proxy that decides who reads it",
    )
}

/// `a = b, c = d` or without commas, names and words in lower case.
fn assignments(kind: &str, text: &str) -> Result<Vec<(String, String)>> {
    let spaced = text.replace('=', " = ").replace(',', " ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let triples = words.chunks(3);
    let mut read = Vec::with_capacity(triples.len());
    for triple in triples {
        let [name, "=", value] = triple else { return Err(wrong(kind, format!("'{text}'"))) };
        read.push((name.to_lowercase(), value.to_lowercase()));
    }
    if read.is_empty() { Err(wrong(kind, "it says nothing")) } else { Ok(read) }
}

/// A timespan as Kusto writes it in JSON.
fn span(kind: &str, text: &str) -> Result<String> {
    let plain = text.strip_prefix("time(").or_else(|| text.strip_prefix("timespan("));
    let plain = plain.map_or(text, |rest| rest.trim_end_matches(')'));
    let nanos = time::parse_timespan(plain).or_else(|| with_unit(plain));
    let nanos = nanos.ok_or_else(|| wrong(kind, format!("'{text}' is not a timespan")))?;
    Ok(time::format_timespan(nanos))
}

/// `10d`, `12h`
fn with_unit(text: &str) -> Option<i64> {
    let (number, unit) = text.split_at(text.find(|letter: char| !letter.is_ascii_digit())?);
    let unit = match unit {
        "d" => time::DAY,
        "h" => time::HOUR,
        "m" => time::MINUTE,
        "s" => time::SECOND,
        _ => return None,
    };
    // What is longer than nanoseconds can say is as long as they can.
    Some(number.parse::<i64>().ok()?.saturating_mul(unit))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_are_read_in_words_and_in_json() {
        let read = |kind: &str, value: &str| match read(kind, value).and_then(|said| check(kind, &said).map(|_| said)) {
            Ok(said) => Json::Object(said).to_string(),
            Err(error) => error.code().to_owned(),
        };
        for (kind, value, wanted) in [
            ("retention", "softdelete = 10d", r#"{"SoftDeletePeriod":"10.00:00:00"}"#),
            (
                "retention",
                "softdelete=1h recoverability = disabled",
                r#"{"SoftDeletePeriod":"01:00:00","Recoverability":"Disabled"}"#,
            ),
            ("retention", r#"{"SoftDeletePeriod":"1.00:00:00"}"#, r#"{"SoftDeletePeriod":"1.00:00:00"}"#),
            ("retention", r#"{"SoftDeletePeriod":"soon"}"#, "command.policy_invalid"),
            ("retention", "softdelete = 365000d", r#"{"SoftDeletePeriod":"106751.23:47:16.8547758"}"#),
            ("retention", r#"{"SoftDeletePeriod":"365000.00:00:00"}"#, r#"{"SoftDeletePeriod":"365000.00:00:00"}"#),
            ("retention", r#"{"Unheard":1}"#, "command.policy_invalid"),
            ("retention", "softdelete", "command.policy_invalid"),
            ("retention", "[]", "command.policy_invalid"),
            ("caching", "hot = 3d", r#"{"DataHotSpan":"3.00:00:00","IndexHotSpan":"3.00:00:00"}"#),
            ("caching", "hotdata = time(2h)", r#"{"DataHotSpan":"02:00:00"}"#),
            ("caching", "lukewarm = 1d", "command.policy_invalid"),
            ("ingestionbatching", r#"{"MaximumNumberOfItems":5}"#, r#"{"MaximumNumberOfItems":5}"#),
            ("ingestionbatching", r#"{"MaximumNumberOfItems":0}"#, "command.policy_invalid"),
            ("row_level_security", "disable \"T | take 1\"", r#"{"IsEnabled":false,"Query":"T | take 1"}"#),
            ("row_level_security", "enable \"T\"", "command.policy_unprotected"),
            ("row_level_security", r#"{"IsEnabled":true,"Query":"T"}"#, "command.policy_unprotected"),
        ] {
            assert_eq!(read(kind, value), wanted, "{kind} {value}");
        }
        assert_eq!(kept("update").unwrap_err().code(), "command.policy_unsupported");
        assert_eq!(kept("nonsense").unwrap_err().code(), "command.policy_unknown");
    }
}
