//! Functions that are part of another thing: a database's name, a commit, a graph.

use super::Told;

const fn told(name: &'static str, syntax: &'static str, doc: &'static str, example: &'static str) -> Told {
    Told { name, syntax, doc, example }
}

/// A graph of two edges, for examples.
macro_rules! graph {
    ($rest:literal) => {
        concat!(
            "let E = datatable(a: string, b: string) ['x', 'y', 'y', 'z']; E | make-graph a --> b with_node_id = id | ",
            $rest
        )
    };
}

pub(super) static TABLE: &[Told] = &[
    told(
        "all",
        "all(edge, predicate)",
        "Whether a condition holds for every edge of a path, in `graph-match`.",
        graph!("graph-match (p)-[e*1..2]->(q) where all(e, a != 'q') project q.id"),
    ),
    told(
        "any",
        "any(edge, predicate)",
        "Whether a condition holds for some edge of a path, in `graph-match`.",
        graph!("graph-match (p)-[e*1..2]->(q) where any(e, b == 'z') project q.id"),
    ),
    told("cluster", "cluster(string)", "This kyma, whatever the name: there are no others.", ""),
    told("current_cursor", "current_cursor()", "The last commit of the database, as text.", "print current_cursor()"),
    told(
        "cursor_after",
        "cursor_after(string)",
        "Whether a row came after a commit; older extents are not opened.",
        "",
    ),
    told("cursor_before_or_at", "cursor_before_or_at(string)", "Whether a row came with a commit or before it.", ""),
    told("cursor_current", "cursor_current()", "As `current_cursor`.", "print cursor_current()"),
    told("database", "database(string)", "A database of this kyma: `database('d').T` is its table.", ""),
    told(
        "inner_nodes",
        "inner_nodes(edge)",
        "The nodes between the ends of a path, in `map`, `all` and `any`.",
        graph!("graph-match (p)-[e*2..2]->(q) project n = map(inner_nodes(e), id)"),
    ),
    told(
        "map",
        "map(edge, expr)",
        "The values of an expression over the edges of a path, as an array.",
        graph!("graph-match (p)-[e*1..2]->(q) project via = map(e, b)"),
    ),
    told(
        "node_degree_in",
        "node_degree_in([node])",
        "How many edges end in a node.",
        graph!("graph-match (p)-->(q) project n = node_degree_in(q)"),
    ),
    told(
        "node_degree_out",
        "node_degree_out([node])",
        "How many edges begin in a node.",
        graph!("graph-match (p)-->(q) project n = node_degree_out(p)"),
    ),
    told("node_id", "node_id([node])", "The id of a node.", graph!("graph-match (p)-->(q) project n = node_id(q)")),
    told("table", "table(string)", "The table of this name.", "let T = range x from 1 to 2 step 1; table('T') | count"),
];
