//! Queries with the columns that Microsoft's engine gave: names and types of the plan must agree.

use super::plan;
use super::realworld::shared;

/// Share that must agree over both files; raise it, never lower it.
const RATCHET_PERCENT: f64 = 98.6;

#[test]
fn plans_have_the_recorded_columns() {
    let (mut total, mut agree, mut p0, mut p0_agree) = (0, 0, 0, 0);
    let mut problems = String::new();
    for (file, strict) in [("golden", true), ("duckdbkql", false)] {
        let Some(cases) = shared(&format!("conformance/kql/{file}.jsonl")) else { return };
        for line in cases.lines() {
            let case: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = case["query"].as_str().unwrap();
            let is_p0 = case["priority"] == "P0";
            total += 1;
            p0 += usize::from(is_p0);
            match compare(text, &case, strict) {
                Ok(()) => {
                    agree += 1;
                    p0_agree += usize::from(is_p0);
                }
                Err(problem) => problems.push_str(&format!("{} {}\n  {problem}\n", case["priority"], case["id"])),
            }
        }
    }
    let percent = |part: usize, whole: usize| 100.0 * part as f64 / whole.max(1) as f64;
    if let Some(path) = std::env::var_os("KYMA_KQL_PROBLEMS") {
        eprintln!("{problems}(end of problems for {})", path.display());
    }
    eprintln!("columns agree: {agree}/{total} ({:.1} %), P0 {p0_agree}/{p0}", percent(agree, total));
    assert!(percent(agree, total) >= RATCHET_PERCENT);
}

fn compare(text: &str, case: &serde_json::Value, strict: bool) -> Result<(), String> {
    let query = plan(text).map_err(|errors| {
        errors.0.first().map(|error| format!("{} [{}]", error.message, error.code)).unwrap_or_default()
    })?;
    let schema = query.statements[0].plan.schema.clone();
    let strings = |value: &serde_json::Value| -> Vec<String> {
        value.as_array().into_iter().flatten().map(|item| item.as_str().unwrap_or("").to_owned()).collect()
    };
    let names: Vec<String> = schema.columns().iter().map(|column| column.name.clone()).collect();
    if names != strings(&case["columns"]) {
        return Err(format!("columns {names:?}, not {:?}", strings(&case["columns"])));
    }
    let types: Vec<String> = schema.columns().iter().map(|column| column.ty.name().to_owned()).collect();
    let wanted = strings(&case["types"]);
    if strict && !wanted.is_empty() && types != wanted {
        return Err(format!("types {types:?}, not {wanted:?}"));
    }
    Ok(())
}
