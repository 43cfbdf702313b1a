//! `docs/kql.md`.

use super::{Entry, Kind, entries};

const HEAD: &str = "\
# KQL in kyma

Made from the tables that the language is bound by; `KYMA_UPDATE_DOCS=1 cargo test -p kyma-kql docs` makes it anew, and a test
fails while it is not. Every example is a whole query and is run by a test. `docs/kql-coverage.md` compares the names with Kusto's.

Types are Kusto's: `bool`, `int`, `long`, `real`, `decimal`, `datetime`, `timespan`, `guid`, `string`, `dynamic`. A string is never
null. *text* takes any type as `tostring()` gives it; *dynamic|any* takes any type as a dynamic; brackets hold what may be left out.
Under *nulls*, `null` says that a null argument gives null.
";

/// The page.
pub fn markdown() -> String {
    let entries = entries();
    let mut page = HEAD.to_owned();
    for (kind, title, head) in [
        (Kind::Operator, "Operators", "| operator | what it does | example |\n|---|---|---|\n"),
        (
            Kind::Scalar,
            "Scalar functions",
            "| function | gives | nulls | what it does | example |\n|---|---|---|---|---|\n",
        ),
        (
            Kind::Aggregate,
            "Aggregates",
            "| function | gives | nulls | what it does | example |\n|---|---|---|---|---|\n",
        ),
        (
            Kind::Window,
            "Functions over the order",
            "| function | gives | nulls | what it does | example |\n|---|---|---|---|---|\n",
        ),
        (Kind::Plugin, "Plugins of `evaluate`", "| plugin | what it does | example |\n|---|---|---|\n"),
    ] {
        page.push_str(&format!("\n## {title}\n\n{head}"));
        entries.iter().filter(|entry| entry.kind == kind).for_each(|entry| page.push_str(&row(entry)));
    }
    page
}

fn row(entry: &Entry) -> String {
    let mut name = code(&entry.syntax);
    if !entry.aliases.is_empty() {
        let aliases: Vec<String> = entry.aliases.iter().map(|alias| code(alias)).collect();
        name.push_str(&format!("<br>also {}", aliases.join(", ")));
    }
    let (doc, example) = (cell(entry.doc), code(entry.example));
    match (&entry.returns, entry.nulls) {
        (None, None) if matches!(entry.kind, Kind::Operator | Kind::Plugin) => {
            format!("| {name} | {doc} | {example} |\n")
        }
        (returns, nulls) => {
            let returns = returns.as_deref().unwrap_or_default();
            format!("| {name} | {returns} | {} | {doc} | {example} |\n", nulls.unwrap_or_default())
        }
    }
}

fn code(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("`{}`", cell(text)) }
}

/// The text as it may stand in a cell.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
