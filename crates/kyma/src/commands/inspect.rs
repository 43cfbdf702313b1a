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
        let query = if args.hex { &[("footer", "true")][..] } else { &[] };
        Client::new(&args.url)?.get(&["v1", "extents", &args.what], query).await?
    } else {
        components::describe_file(Path::new(&args.what), args.hex)
            .await
            .with_context(|| format!("cannot inspect {}", args.what))?
    };
    if args.json {
        println!("{}", serde_json::to_string_pretty(&described)?);
    } else {
        let mut described = described;
        let dumps = take_footers(&mut described);
        print!("{}{dumps}", shown(&described));
    }
    Ok(())
}

/// Takes the footers out of a description and shows them as hexadecimal dumps.
fn take_footers(described: &mut Json) -> String {
    let mut dumps = String::new();
    let Some(members) = described.as_object_mut() else { return dumps };
    if let Some(Json::String(digits)) = members.get("footer") {
        dumps = format!("\nfooter\n{}", dump(digits));
        members.remove("footer");
    }
    members.values_mut().for_each(|member| dumps.push_str(&take_footers(member)));
    dumps
}

/// Lines of 16 bytes: offset, bytes, characters.
fn dump(digits: &str) -> String {
    let bytes: Vec<u8> = digits
        .as_bytes()
        .chunks(2)
        .map(|pair| std::str::from_utf8(pair).ok().and_then(|pair| u8::from_str_radix(pair, 16).ok()).unwrap_or(0))
        .collect();
    let mut text = String::new();
    for (line, bytes) in bytes.chunks(16).enumerate() {
        let hex: Vec<String> =
            bytes.chunks(8).map(|half| half.iter().map(|byte| format!("{byte:02x} ")).collect()).collect();
        let shown = |byte: &u8| if (b' '..=b'~').contains(byte) { char::from(*byte) } else { '.' };
        let characters: String = bytes.iter().map(shown).collect();
        text.push_str(&format!("  {:08x}  {:<49} |{characters}|\n", line * 16, hex.join(" ")));
    }
    text
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
    fn footers_become_dumps() {
        let mut described = json!({ "extent": { "1": { "rows": 5, "footer": "6b796d61544c4d31ff00" } } });
        let dumps = take_footers(&mut described);
        assert_eq!(described, json!({ "extent": { "1": { "rows": 5 } } }));
        assert!(
            dumps.contains("00000000  6b 79 6d 61 54 4c 4d 31  ff 00") && dumps.contains("|kymaTLM1..|"),
            "{dumps}"
        );
    }

    #[test]
    fn lists_of_objects_become_tables() {
        let text = shown(&json!({ "rows": 5, "footer": { "bytes": 7 }, "columns": [{ "name": "a", "bytes": 3 }] }));
        assert!(text.starts_with("  rows  5\n"), "{text}");
        assert!(text.contains("footer\n  bytes  7") && text.contains("│ a"), "{text}");
    }
}
