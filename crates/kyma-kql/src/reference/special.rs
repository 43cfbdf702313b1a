//! Functions that only planning can do, as `crate::bind::call` does.

use super::Told;

const fn told(name: &'static str, syntax: &'static str, doc: &'static str, example: &'static str) -> Told {
    Told { name, syntax, doc, example }
}

pub(super) static TABLE: &[Told] = &[
    told("ago", "ago(timespan)", "The time so long before the query's.", "print ago(1h) < now()"),
    told(
        "now",
        "now([timespan])",
        "The time of the query, the same in all of it, or so much later.",
        "print now(1d) > now()",
    ),
    told("not", "not(bool)", "The opposite truth value; null stays null.", "print not(1 == 2)"),
    told(
        "toscalar",
        "toscalar(tabular)",
        "The first value of the first row of a table, computed before the query.",
        "print toscalar(range x from 1 to 3 step 1 | summarize max(x))",
    ),
    told(
        "materialize",
        "materialize(tabular)",
        "The rows of a table, computed once however often they are used.",
        "let t = materialize(range x from 1 to 3 step 1); t | union t | count",
    ),
    told("table", "table(string)", "The table of this name.", "let T = range x from 1 to 2 step 1; table('T') | count"),
    told(
        "column_ifexists",
        "column_ifexists(string, default)",
        "The column of this name, or the default where there is none.",
        "print x = 1 | project a = column_ifexists('x', 0), b = column_ifexists('y', 7)",
    ),
    told(
        "pack_all",
        "pack_all([bool])",
        "All columns of the row as a bag.",
        "print a = 1, b = 'x' | project pack_all()",
    ),
    told(
        "bag_pack_columns",
        "bag_pack_columns(column, ...)",
        "These columns of the row as a bag.",
        "print a = 1, b = 'x' | project bag_pack_columns(a)",
    ),
    told(
        "current_database",
        "current_database()",
        "The name of the database that the query runs in.",
        "print current_database()",
    ),
];
