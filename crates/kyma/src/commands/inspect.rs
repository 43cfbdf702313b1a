//! `kyma inspect`: how an extent is laid out. An id is asked of a node; a file is opened here.

use std::path::Path;

use anyhow::Context;
use serde_json::Value as Json;

use crate::cli::InspectArgs;
use crate::client::{Client, Column};
use crate::{components, output};

pub(crate) async fn run(args: InspectArgs) -> anyhow::Result<()> {
    let is_id = args.what.parse::<uuid::Uuid>().is_ok();
    let described = if is_id {
        Client::new(&args.url)?.get(&["v1", "extents", &args.what]).await?
    } else {
        components::describe_file(Path::new(&args.what))
            .await
            .with_context(|| format!("cannot inspect {}", args.what))?
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&described)?);
    } else {
        print!("{}", shown(&described));
    }
    Ok(())
}

/// A description as nested headings; lists of like objects become tables.
fn shown(described: &Json) -> String {
    let mut text = String::new();
    section("", described, &mut text);
    text
}

fn section(title: &str, value: &Json, text: &mut String) {
    let Json::Object(members) = value else {
        text.push_str(&format!("{title}: {}\n", output::cell(value)));
        return;
    };
    let (nested, scalars): (Vec<_>, Vec<_>) = members.iter().partition(|(_, value)| is_nested(value));
    if !title.is_empty() && !scalars.is_empty() {
        text.push_str(&format!("\n{title}\n"));
    }
    let width = scalars.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    for (name, value) in scalars {
        text.push_str(&format!("  {name:<width$}  {}\n", output::cell(value)));
    }
    for (name, value) in nested {
        let title = if title.is_empty() { name.clone() } else { format!("{title} / {name}") };
        match value {
            Json::Array(items) => list(&title, items, text),
            Json::Object(members) if is_map(members) => list(&title, &named(members), text),
            other => section(&title, other, text),
        }
    }
}

/// Whether the members are like things under names of their own: they read best as a table.
fn is_map(members: &serde_json::Map<String, Json>) -> bool {
    let keys = |value: &Json| value.as_object().map(|object| object.keys().next().cloned());
    let first = members.values().next().and_then(keys);
    members.len() > 1
        && first.is_some()
        && members.values().all(|value| keys(value) == first && !value["layout"].is_object())
}

fn named(members: &serde_json::Map<String, Json>) -> Vec<Json> {
    let row = |(name, value): (&String, &Json)| {
        let mut row = serde_json::Map::from_iter([("name".to_owned(), Json::from(name.as_str()))]);
        row.extend(value.as_object().cloned().unwrap_or_default());
        Json::Object(row)
    };
    members.iter().map(row).collect()
}

fn is_nested(value: &Json) -> bool {
    match value {
        Json::Object(members) => !members.is_empty(),
        Json::Array(items) => items.iter().any(Json::is_object),
        _ => false,
    }
}

fn list(title: &str, items: &[Json], text: &mut String) {
    let mut names: Vec<&String> = Vec::new();
    for name in items.iter().filter_map(Json::as_object).flat_map(|item| item.keys()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    let columns: Vec<Column> = names
        .iter()
        .map(|name| {
            let numeric = items
                .iter()
                .all(|item| item.get(name.as_str()).is_none_or(|value| value.is_number() || value.is_null()));
            Column { name: (*name).clone(), ty: if numeric { "long" } else { "string" }.to_owned() }
        })
        .collect();
    let rows: Vec<Vec<Json>> = items
        .iter()
        .map(|item| names.iter().map(|name| item.get(name.as_str()).cloned().unwrap_or(Json::Null)).collect())
        .collect();
    text.push_str(&format!("\n{title}\n{}\n", output::table(&columns, &rows)));
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn lists_of_objects_become_tables() {
        let text = shown(&json!({ "rows": 5, "footer": { "bytes": 7 }, "columns": [{ "name": "a", "bytes": 3 }] }));
        assert!(text.starts_with("  rows  5\n"), "{text}");
        assert!(text.contains("footer\n  bytes  7") && text.contains("│ a"), "{text}");
    }
}
