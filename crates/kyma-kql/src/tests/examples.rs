//! Every example of the function tables binds, and so do the functions that only planning knows.

use kyma_plan::functions;

use super::plan;

#[test]
fn examples_bind() {
    let rows =
        functions::scalars().chain(functions::windows()).chain(functions::aggregates()).chain(functions::planned());
    let mut problems = Vec::new();
    for row in rows.filter(|row| !row.example.is_empty()) {
        let name = std::iter::once(row.name).chain(row.aliases.iter().copied());
        let is_shown = name.clone().any(|name| row.example.contains(name)) || OPERATORS.contains(&row.name);
        if !is_shown {
            problems.push(format!("{}: the example does not use it: {}", row.name, row.example));
        }
        if let Err(errors) = plan(row.example) {
            problems.push(format!("{}: {} {:?}", row.name, row.example, errors.0.first()));
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

/// Functions that queries write as operators.
const OPERATORS: [&str; 2] = ["equal_ci", "matches_regex"];

#[test]
fn functions_of_planning() {
    for text in [
        "print around(5, 4, 1.5)",
        "print around(datetime(2024-01-01), datetime(2024-01-02), 1d)",
        "set query_bin_auto_size = 1h; print bin_auto(datetime(2024-01-01 10:11))",
        "set query_bin_auto_size = 1h; set query_bin_auto_at = datetime(2024-01-01 00:30); print bin_auto(now())",
        "range x from 1 to 9 step 1 | summarize t = tdigest(x) | project percentile_tdigest(t, 50, typeof(long))",
    ] {
        plan(text).unwrap_or_else(|errors| panic!("{text}: {errors:?}"));
    }
    assert!(plan("print bin_auto(now())").is_err());
}
