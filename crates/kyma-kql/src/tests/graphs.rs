//! Columns that graph operators give, and what they refuse.

use super::plan;

const EDGES: &str = "let E = datatable(s:string, t:string, w:long)['a','b',1]; \
    let N = datatable(id:string, v:long, d:dynamic)['a',1,dynamic({})]; ";
const GRAPH: &str = "E | make-graph s --> t with N on id | ";

/// Only the columns that are looked at are read.
#[test]
fn edges_are_narrowed() {
    let query = "Logs | make-graph Level --> Message | graph-match (a)-[e]->(b)-[p*1..2]->(c) \
        where all(p, Duration > 1) project e.Status";
    let plan = plan(query).unwrap().statements[0].plan.to_string();
    let projected = "project #1, #2, #3, #4 [Level:string, Message:string, Status:int, Duration:real]";
    assert!(plan.contains(projected), "{plan}");
}

/// Names and types of the first result.
fn columns(rest: &str) -> String {
    let query = plan(&format!("{EDGES}{rest}")).unwrap_or_else(|errors| panic!("{rest}: {errors:?}"));
    let schema = &query.statements[0].plan.schema;
    let columns = schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty));
    columns.collect::<Vec<_>>().join(" ")
}

#[test]
fn columns_of_matches() {
    for (project, expected) in [
        ("a.id, b.v, e.w", "a_id:string b_v:long e_w:long"),
        ("a, e, a", "a:dynamic e:dynamic a1:dynamic"),
        ("p, p.w", "p:dynamic p_w:dynamic"),
        ("map(p, w), map(inner_nodes(p), id)", "p_w:dynamic inner_nodes_p_id:dynamic"),
        ("map(p, strcat(s, t))", "p_Column:dynamic"),
        ("node_id(a), node_degree_in(a), labels(e)", "node_id_a:string node_degree_in_a:long labels_e:dynamic"),
        ("all(p, w > 1), x = any(inner_nodes(p), v == 1)", "all_p:bool x:bool"),
        ("isnull(a.v), a.d.x.y", "Column1:bool a_d_x_y:dynamic"),
    ] {
        let query = format!("{GRAPH} graph-match (a)-[e]->(b)-[p*1..3]-(c) project {project}");
        assert_eq!(columns(&query), expected, "{project}");
    }
}

#[test]
fn columns_of_tables() {
    for (rest, expected) in [
        ("E | make-graph s --> t | graph-to-table nodes", ""),
        ("E | make-graph s --> t | graph-match (a)-->(b) project a, b", "Column1:dynamic Column2:dynamic"),
        ("E | make-graph s --> t with_node_id=n | graph-to-table nodes with_node_id=h", "h:long n:string"),
        ("E | make-graph s --> t with N on id | graph-to-table nodes", "id:string v:long d:dynamic"),
        (
            "E | make-graph s --> t with N on id | graph-to-table edges with_target_id=h",
            "h:long s:string t:string w:long",
        ),
        (
            "E | make-graph s --> t with_node_id=n | graph-mark-components kind=strong with_component_id=c \
             | graph-to-table nodes",
            "n:string c:long",
        ),
        // A name with two types is no property.
        (
            "E | make-graph s --> t with N on id, (N | project k=id, v=tostring(v), d) on k | graph-to-table nodes",
            "id:string d:dynamic k:string",
        ),
        // A graph has a name, is handed on, and becomes a table again.
        (
            "let G = E | make-graph s --> t with N on id; let H = G | graph-where-nodes v > 0; \
             H | graph-match (a) project a.id | count",
            "Count:long",
        ),
        (
            "E | make-graph s --> t with N on id | graph-to-table nodes as X, edges as Y; Y",
            "id:string v:long d:dynamic",
        ),
        (
            "let F = (x:string) { let G = E | make-graph s --> t with N on id; \
             G | graph-match (a)-->(b) where a.id == x project b.v }; F('a')",
            "b_v:long",
        ),
        (
            "E | extend v=1 | make-graph s --> t with N on id partitioned-by v (graph-match (a)-->(b) project a.id)",
            "a_id:string",
        ),
    ] {
        assert_eq!(columns(rest), expected, "{rest}");
    }
}

#[test]
fn what_is_refused() {
    for (rest, expected) in [
        ("E | make-graph s --> t", "a graph stands where a table is wanted"),
        ("E | make-graph s --> t | count", "a graph stands where a table is wanted"),
        ("let G = E | make-graph s --> t; E | union G", "a graph stands where a table is wanted"),
        ("E | graph-match (a) project a", "'graph-match' needs a graph before it"),
        ("E | make-graph s -- t", "graphs without directions are not supported"),
        ("E | make-graph s --> w", "ids of nodes have one type: found string and long"),
        ("E | make-graph s --> t with N on d", "the id of a node cannot be a dynamic"),
        ("E | make-graph s --> x", "unknown column 'x'"),
    ] {
        assert_eq!(refusal(rest), expected, "{rest}");
    }
    for (rest, expected) in [
        ("graph-match (a)-->(b), (c)-->(d) project a", "the sequences of a pattern must be connected"),
        ("graph-match (a)-->(b)", "expected 'project', found the end of the text"),
        ("graph-match (a)-[e*3..1]->(b) project a", "the least length of a path is more than its most"),
        ("graph-match (a)-[e]->(b)-[e]->(c) project a", "the edge 'e' is named twice"),
        ("graph-match (a)-->(b) where s == 'x' project a", "unknown column 's'"),
        ("graph-match (a)-->(b) project a.x", "unknown property 'x'"),
        ("graph-match (a)-[p*1..2]->(b) where p.w == 1 project a", "a path has no single value to compare"),
        ("graph-match (a)-[e]->(b) project map(e, w)", "map() takes a path of the pattern"),
        ("graph-match (a)-[p*1..2]->(b) project inner_nodes(p)", "inner_nodes() stands only in all(), any() and map()"),
        ("graph-match cycles=some (a) project a", "'some' is no way to treat cycles"),
        ("graph-shortest-paths (a)-->(b), (b)-->(c) project a", "'graph-shortest-paths' takes one sequence"),
        ("graph-match (a) project count()", "the aggregate count() cannot stand here"),
    ] {
        assert_eq!(refusal(&format!("{GRAPH} {rest}")), expected, "{rest}");
    }
}

fn refusal(rest: &str) -> String {
    match plan(&format!("{EDGES}{rest}")) {
        Ok(_) => "nothing".to_owned(),
        Err(errors) => errors.0.first().map(|error| error.message.clone()).unwrap_or_default(),
    }
}
