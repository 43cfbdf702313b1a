//! No text makes the frontend panic or overflow the stack.

use proptest::prelude::*;

use super::plan;

const WORDS: &[&str] = &[
    "Logs",
    "|",
    "|",
    "|",
    "where",
    "project",
    "extend",
    "summarize",
    "by",
    "count()",
    "sum(",
    "Status",
    "Level",
    "Message",
    "Properties",
    ".",
    "[",
    "]",
    "(",
    ")",
    "{",
    "}",
    ",",
    ";",
    "let",
    "x",
    "=",
    "==",
    "and",
    "or",
    "in",
    "has",
    "!has",
    "between",
    "..",
    "1",
    "2.5",
    "1d",
    "'text'",
    "dynamic(",
    "datetime(2024-01-01)",
    "join",
    "kind=inner",
    "on",
    "union",
    "mv-expand",
    "mv-apply",
    "to",
    "typeof(long)",
    "top",
    "sort",
    "asc",
    "make-series",
    "from",
    "step",
    "parse",
    "with",
    "*",
    "toscalar(",
    "materialize(",
    "print",
    "range",
    "datatable(a:long)[1]",
    "render",
    "partition",
    "search",
    "invoke",
    "$left",
    "-",
    "+",
    "/",
    "%",
    "~",
    "=~",
    "prev(",
    "arg_max(",
    "bin(",
    "case(",
    "iff(",
    "lookup",
    "distinct",
    "fork",
    "as",
    "\"",
    "'",
    "```",
    "// x\n",
    "\u{e9}",
    "\u{1f600}",
    ":",
    "evaluate",
    "getschema",
    "top-nested",
    "of",
    "serialize",
    "make-graph Level --> Message",
    "graph-match",
    "graph-shortest-paths",
    "graph-to-table nodes",
    "(a)",
    "-[e*1..2]->",
    "<--",
    "all(e, true)",
    "map(inner_nodes(e), Status)",
    "node_id(a)",
    "a.Level",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 1500, ..ProptestConfig::default() })]

    #[test]
    fn token_soup_never_panics(words in proptest::collection::vec(proptest::sample::select(WORDS), 0..40)) {
        let text = format!("Logs {}", words.join(" "));
        if let Err(errors) = plan(&text) {
            prop_assert!(!errors.0.is_empty());
            for error in errors.0 {
                prop_assert!(error.span.end <= text.len(), "{error:?}");
                error.render(&text);
            }
        }
    }

    #[test]
    fn any_text_never_panics(text in "\\PC{0,60}") {
        let _ = plan(&text);
    }
}

#[test]
fn deep_nesting_is_an_error() {
    let brackets = format!("print {}1{}", "(".repeat(50_000), ")".repeat(50_000));
    let calls = format!("print {}1{}", "tolower(".repeat(50_000), ")".repeat(50_000));
    let minus = format!("print {}1", "- ".repeat(50_000));
    let arrays = format!("print dynamic({})", "[".repeat(50_000));
    let bodies = "let f = () { ".repeat(50_000);
    let tables = format!("Logs {}", "| union (Logs ".repeat(50_000));
    for text in [brackets, calls, minus, arrays, bodies, tables] {
        let errors = plan(&text).unwrap_err();
        assert!(errors.0.iter().any(|error| error.code == "kql.too_deep"), "{:?}", errors.0.first());
    }
}

#[test]
fn chains_inside_brackets_add_up() {
    let sums = format!("print {}1{}", "(".repeat(150), format!("{})", " + 1".repeat(150)).repeat(150));
    assert_eq!(plan(&sums).unwrap_err().0[0].code, "kql.too_deep");
    let lets: String = (1..900).map(|at| format!("let x{at} = x{} + rand() + 1; ", at - 1)).collect();
    let errors = plan(&format!("let x0 = rand(); {lets} print x899")).unwrap_err();
    assert_eq!(errors.0[0].code, "kql.too_deep");
    let tables: String = (1..900).map(|at| format!("let t{at} = t{} | take 1 | take 2; ", at - 1)).collect();
    let errors = plan(&format!("let t0 = Logs; {tables} t899")).unwrap_err();
    assert_eq!(errors.0[0].code, "kql.too_long");
}

#[test]
fn long_chains_are_an_error_or_fine() {
    let sum = format!("print {}1", "1 + ".repeat(50_000));
    assert_eq!(plan(&sum).unwrap_err().0[0].code, "kql.too_deep");
    let or = format!("Logs | where {} Status == 1", "Status == 2 or ".repeat(20_000));
    assert!(plan(&or).is_ok());
    let pipes = format!("Logs {}", "| count ".repeat(50_000));
    assert_eq!(plan(&pipes).unwrap_err().0[0].code, "kql.too_long");
    let doubled: String = (1..40).map(|at| format!("let t{at} = union t{0}, t{0}; ", at - 1)).collect();
    assert_eq!(plan(&format!("let t0 = Logs; {doubled} t39")).unwrap_err().0[0].code, "kql.too_long");
}

#[test]
fn wide_rows_are_an_error() {
    let joins: String = (1..14).map(|at| format!("let t{at} = t{0} | join t{0} on Level; ", at - 1)).collect();
    let joins = format!("let t0 = Logs; {joins} t13");
    assert_eq!(plan(&joins).unwrap_err().0[0].code, "kql.too_long");
}

#[test]
fn tall_plans_fit_a_small_stack() {
    // What copies a plan recurses as deep as it is tall; connections are served on stacks of 2 MiB.
    let tall = format!(
        "let t = Logs {}; t | evaluate pivot(Level)",
        "| where Status > 1 | project-away Message*, x* ".repeat(400)
    );
    let small = std::thread::Builder::new().stack_size(1024 * 1024);
    let planned = small.spawn(move || plan(&tall).map(|_| ()).map_err(|errors| errors.0[0].code.clone())).unwrap();
    assert_eq!(planned.join().unwrap(), Ok(()));
}
