//! The search against one that tries everything, and small graphs by hand.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringViewArray};
use kyma_core::error::Span;
use kyma_core::{Schema, Type, Value};
use kyma_plan::graph::{
    Cycles, Direction, Graph, GraphMatch, GraphOutput, GraphQuery, GraphStep, MatchColumn, NodeProperty, PathFold,
    PatternEdge, Shortest,
};
use kyma_plan::{BinaryOp, Expr};
use proptest::prelude::*;

use super::graph;
use crate::EvalContext;
use crate::table::TableCall;

/// Edges by the numbers of their ends; the number of an edge is its place.
type Edges = Vec<(i64, i64)>;

fn column(at: usize, ty: Type) -> Expr {
    Expr::column(at, ty, Span::default())
}

fn compared(op: BinaryOp, at: usize, with: i64) -> Expr {
    Expr::binary(op, column(at, Type::Long), Expr::literal(Value::Long(with), Span::default()), Type::Bool)
}

/// A graph of edges alone, whose nodes have the property `id` and whose edges have their place in `w`.
fn made(steps: Vec<GraphStep>) -> Graph {
    Graph {
        source: column(0, Type::Long),
        target: column(1, Type::Long),
        keys: Vec::new(),
        partition: None,
        nodes: vec![NodeProperty { name: "id".into(), ty: Type::Long, columns: Vec::new(), is_id: true }],
        edges: Schema::from([("s", Type::Long), ("t", Type::Long), ("w", Type::Long)]),
        steps,
    }
}

/// The rows of an answer, as text, in order.
fn rows(query: &GraphQuery, edges: &[(i64, i64)], out: &Schema) -> Vec<String> {
    let longs = |values: Vec<i64>| Arc::new(Int64Array::from(values)) as ArrayRef;
    let columns = vec![
        longs(edges.iter().map(|edge| edge.0).collect()),
        longs(edges.iter().map(|edge| edge.1).collect()),
        longs((0..edges.len() as i64).collect()),
    ];
    let schemas = [query.graph.edges.clone()];
    let inputs = [RecordBatch::try_new(schemas[0].arrow(), columns).unwrap()];
    let call = TableCall { inputs: &inputs, schemas: &schemas, out, context: &EvalContext { now: 0 } };
    texts(&graph(query, &call).unwrap(), out)
}

fn texts(batch: &RecordBatch, schema: &Schema) -> Vec<String> {
    let row = |row: usize| {
        let cells = batch.columns().iter().zip(schema.columns());
        let cells = cells.map(|(array, column)| crate::value::json_at(array.as_ref(), row, column.ty));
        cells.collect::<Vec<_>>().join(" ")
    };
    (0..batch.num_rows()).map(row).collect()
}

/// A pattern, and conditions that drop elements by their number.
#[derive(Debug, Clone)]
struct Asked {
    nodes: usize,
    edges: Vec<PatternEdge>,
    cycles: Cycles,
    shortest: Option<Shortest>,
    /// No node of the first variable above it.
    first_max: Option<i64>,
    /// No edge of the first edge of the pattern below it.
    edge_min: Option<i64>,
    /// Not inside the first path.
    not_inside: Option<i64>,
    /// The first variable below the last.
    rising: bool,
}

impl Asked {
    fn first_path(&self) -> Option<usize> {
        self.edges.iter().position(|edge| edge.length.is_some())
    }

    fn query(&self) -> (GraphQuery, Schema) {
        let mut columns: Vec<MatchColumn> =
            (0..self.nodes).map(|variable| MatchColumn::Node { variable, column: 0 }).collect();
        let mut types = vec![Type::Long; self.nodes];
        for (edge, pattern) in self.edges.iter().enumerate() {
            if pattern.length.is_none() {
                columns.push(MatchColumn::Edge { edge, column: 2 });
                types.push(Type::Long);
                continue;
            }
            for (inner_nodes, at) in [(false, 2), (true, 0)] {
                let expr = column(at, Type::Long);
                columns.push(MatchColumn::Path { edge, inner_nodes, fold: PathFold::Map, expr });
                types.push(Type::Dynamic);
            }
        }
        let project = types.iter().enumerate().map(|(at, ty)| column(at, *ty)).collect();
        let mut conditions = Vec::new();
        if let Some(most) = self.first_max {
            conditions.push(compared(BinaryOp::LessOrEqual, 0, most));
        }
        if let (Some(least), Some(first)) = (self.edge_min, self.edges.first()) {
            match first.length {
                None => conditions.push(compared(BinaryOp::GreaterOrEqual, self.nodes, least)),
                Some(_) => {
                    conditions.push(column(columns.len(), Type::Bool));
                    let expr = compared(BinaryOp::GreaterOrEqual, 2, least);
                    columns.push(MatchColumn::Path { edge: 0, inner_nodes: false, fold: PathFold::All, expr });
                }
            }
        }
        if let (Some(not), Some(edge)) = (self.not_inside, self.first_path()) {
            conditions.push(column(columns.len(), Type::Bool));
            let expr = compared(BinaryOp::NotEqual, 0, not);
            columns.push(MatchColumn::Path { edge, inner_nodes: true, fold: PathFold::All, expr });
        }
        if self.rising {
            let last = column(self.nodes - 1, Type::Long);
            conditions.push(Expr::binary(BinaryOp::LessOrEqual, column(0, Type::Long), last, Type::Bool));
        }
        let output = GraphOutput::Match(GraphMatch {
            nodes: self.nodes,
            edges: self.edges.clone(),
            cycles: self.cycles,
            shortest: self.shortest,
            columns,
            conditions,
            project,
        });
        let names = types.iter().enumerate().map(|(at, ty)| (format!("c{at}"), *ty));
        let schema = names.map(|(name, ty)| kyma_core::Column::new(name, ty)).collect();
        (GraphQuery { graph: made(Vec::new()), output }, schema)
    }
}

/// A walk: the edges, and the nodes, one more.
#[derive(Debug, Clone)]
struct Walk {
    edges: Vec<usize>,
    nodes: Vec<i64>,
}

impl Walk {
    fn inner(&self) -> &[i64] {
        if self.nodes.len() < 3 { &[] } else { &self.nodes[1..self.nodes.len() - 1] }
    }
}

fn walks(edges: &[(i64, i64)], pattern: &PatternEdge) -> Vec<Walk> {
    let (least, most) = pattern.length.unwrap_or((1, 1));
    let mut nodes: Vec<i64> = edges.iter().flat_map(|edge| [edge.0, edge.1]).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let mut level: Vec<Walk> = nodes.into_iter().map(|node| Walk { edges: Vec::new(), nodes: vec![node] }).collect();
    let mut all = Vec::new();
    for length in 0..=most {
        if length >= least {
            all.extend(level.clone());
        }
        let mut next = Vec::new();
        for walk in &level {
            let at = *walk.nodes.last().unwrap();
            for (number, (source, target)) in edges.iter().enumerate() {
                let mut go = |from: i64, to: i64, fits: bool| {
                    if fits && from == at {
                        let mut longer = walk.clone();
                        longer.edges.push(number);
                        longer.nodes.push(to);
                        next.push(longer);
                    }
                };
                go(*source, *target, pattern.direction != Direction::Left);
                go(*target, *source, pattern.direction != Direction::Right);
            }
        }
        level = next;
    }
    all
}

fn distinct<T: Ord + Clone>(items: &[T]) -> bool {
    let mut sorted = items.to_vec();
    sorted.sort();
    sorted.windows(2).all(|pair| pair[0] != pair[1])
}

fn is_match(asked: &Asked, bound: &[i64], walks: &[Walk]) -> bool {
    let edges: Vec<usize> = walks.iter().flat_map(|walk| walk.edges.clone()).collect();
    let paths = || asked.edges.iter().zip(walks).filter(|(edge, _)| edge.length.is_some()).map(|(_, walk)| walk);
    let allowed = match asked.cycles {
        Cycles::All => true,
        Cycles::UniqueEdges => distinct(&edges),
        Cycles::None => {
            let own = one_of_each(asked, bound, walks);
            let passed: Vec<i64> = own.into_iter().chain(paths().flat_map(|walk| walk.inner().to_vec())).collect();
            distinct(&passed) && paths().all(|walk| distinct(&walk.nodes))
        }
    };
    let first_path = asked.first_path().map(|edge| &walks[edge]);
    allowed
        && asked.first_max.is_none_or(|most| bound[0] <= most)
        && asked
            .edge_min
            .is_none_or(|least| walks.first().is_none_or(|walk| walk.edges.iter().all(|edge| *edge as i64 >= least)))
        && asked.not_inside.is_none_or(|not| first_path.is_none_or(|walk| !walk.inner().contains(&not)))
        && (!asked.rising || bound[0] <= bound[asked.nodes - 1])
}

/// The bound nodes that must be distinct: of variables with a shortest path without edges between them, only one.
fn one_of_each(asked: &Asked, bound: &[i64], walks: &[Walk]) -> Vec<i64> {
    let mut same: Vec<usize> = (0..bound.len()).collect();
    for (edge, walk) in asked.edges.iter().zip(walks) {
        if asked.shortest.is_some() && walk.edges.is_empty() {
            let (one, other) = (same[edge.left], same[edge.right]);
            same.iter_mut().filter(|at| **at == other).for_each(|at| *at = one);
        }
    }
    (0..bound.len()).filter(|at| same[*at] == *at).map(|at| bound[at]).collect()
}

/// Every way to choose a walk per edge of the pattern. By the bound nodes: the rows with their numbers of edges.
fn tried(asked: &Asked, edges: &[(i64, i64)]) -> BTreeMap<Vec<i64>, Vec<(usize, String)>> {
    let mut partial: Vec<(Vec<Option<i64>>, Vec<Walk>)> = vec![(vec![None; asked.nodes], Vec::new())];
    for pattern in &asked.edges {
        let walks = walks(edges, pattern);
        let mut next = Vec::new();
        for (bound, chosen) in &partial {
            for walk in &walks {
                let ends = [(pattern.left, walk.nodes[0]), (pattern.right, *walk.nodes.last().unwrap())];
                let mut bound = bound.clone();
                let fits = ends.iter().all(|(at, node)| *bound[*at].get_or_insert(*node) == *node);
                if fits {
                    let mut chosen = chosen.clone();
                    chosen.push(walk.clone());
                    next.push((bound, chosen));
                }
            }
        }
        partial = next;
    }
    let mut found: BTreeMap<Vec<i64>, Vec<(usize, String)>> = BTreeMap::new();
    for (bound, chosen) in partial {
        let bound: Vec<i64> = bound.into_iter().map(Option::unwrap).collect();
        if is_match(asked, &bound, &chosen) {
            let mut cells: Vec<String> = bound.iter().map(i64::to_string).collect();
            for (pattern, walk) in asked.edges.iter().zip(&chosen) {
                match pattern.length {
                    None => cells.push(walk.edges[0].to_string()),
                    Some(_) => cells.extend([
                        serde_json::to_string(&walk.edges).unwrap(),
                        serde_json::to_string(walk.inner()).unwrap(),
                    ]),
                }
            }
            let length = chosen.iter().map(|walk| walk.edges.len()).sum();
            found.entry(bound).or_default().push((length, cells.join(" ")));
        }
    }
    found
}

fn check(asked: &Asked, edges: &[(i64, i64)]) {
    let (query, schema) = asked.query();
    let mut given = rows(&query, edges, &schema);
    given.sort();
    let mut wanted = Vec::new();
    for ways in tried(asked, edges).into_values() {
        let fewest = ways.iter().map(|(length, _)| *length).min().unwrap();
        let mut shortest = ways.iter().filter(|(length, _)| *length == fewest).map(|(_, row)| row.clone());
        match asked.shortest {
            None => wanted.extend(ways.iter().map(|(_, row)| row.clone())),
            Some(Shortest::All) => wanted.extend(shortest),
            // Any of them will do.
            Some(Shortest::Any) => wanted.extend(shortest.find(|row| given.contains(row))),
        }
    }
    wanted.sort();
    assert_eq!(given, wanted, "{asked:?} {edges:?}");
}

fn pattern_edge(left: usize, right: usize) -> impl Strategy<Value = PatternEdge> {
    let direction = prop_oneof![Just(Direction::Right), Just(Direction::Left), Just(Direction::Any)];
    let length = prop_oneof![Just(None), (0_u32..3, 0_u32..2).prop_map(|(least, more)| Some((least, least + more)))];
    (direction, length).prop_map(move |(direction, length)| PatternEdge { left, right, direction, length })
}

/// A chain over one to three variables, which may come back to the first.
fn asked() -> impl Strategy<Value = Asked> {
    let pattern = prop_oneof![
        pattern_edge(0, 1).prop_map(|edge| (2, vec![edge])),
        pattern_edge(0, 0).prop_map(|edge| (1, vec![edge])),
        (pattern_edge(0, 1), pattern_edge(1, 2)).prop_map(|(a, b)| (3, vec![a, b])),
        (pattern_edge(0, 1), pattern_edge(1, 0)).prop_map(|(a, b)| (2, vec![a, b])),
        (pattern_edge(0, 1), pattern_edge(2, 1)).prop_map(|(a, b)| (3, vec![a, b])),
    ];
    let cycles = prop_oneof![Just(Cycles::All), Just(Cycles::UniqueEdges), Just(Cycles::None)];
    let shortest = prop_oneof![3 => Just(None), 1 => Just(Some(Shortest::Any)), 1 => Just(Some(Shortest::All))];
    let dropped = (prop::option::of(0_i64..4), prop::option::of(0_i64..3), prop::option::of(0_i64..4), any::<bool>());
    (pattern, cycles, shortest, dropped).prop_map(
        |((nodes, edges), cycles, shortest, (first_max, edge_min, not_inside, rising))| {
            // Shortest paths are simple.
            let cycles = if shortest.is_some() { Cycles::None } else { cycles };
            let mut edges = edges;
            if let (true, [first, second]) = (shortest.is_some(), edges.as_mut_slice())
                && first.left == second.right
            {
                // Whether a way back may have no edge is a riddle nobody asks.
                for length in [&mut first.length, &mut second.length].into_iter().flatten() {
                    *length = (length.0.max(1), length.1.max(1));
                }
            }
            Asked { nodes, edges, cycles, shortest, first_max, edge_min, not_inside, rising }
        },
    )
}

fn small_graph() -> impl Strategy<Value = Edges> {
    prop::collection::vec((0_i64..4, 0_i64..4), 0..6)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn finds_what_trying_everything_finds(asked in asked(), edges in small_graph()) {
        check(&asked, &edges);
    }

    #[test]
    fn components_are_what_reaches_each_other(edges in prop::collection::vec((0_i64..6, 0_i64..6), 0..9)) {
        for strong in [false, true] {
            let step = GraphStep::MarkComponents { name: "c".into(), strong };
            let query = GraphQuery { graph: made(vec![step]), output: GraphOutput::Nodes { hashed: false } };
            let given = rows(&query, &edges, &Schema::from([("id", Type::Long), ("c", Type::Long)]));
            prop_assert_eq!(given, components(&edges, strong));
        }
    }
}

/// By reachability between all pairs.
fn components(edges: &[(i64, i64)], strong: bool) -> Vec<String> {
    let mut reaches = [[false; 6]; 6];
    (0..6).for_each(|node| reaches[node][node] = true);
    for (source, target) in edges {
        reaches[*source as usize][*target as usize] = true;
        reaches[*target as usize][*source as usize] |= !strong;
    }
    for via in 0..6 {
        for from in 0..6 {
            for to in 0..6 {
                reaches[from][to] |= reaches[from][via] && reaches[via][to];
            }
        }
    }
    let mut nodes: Vec<usize> = Vec::new();
    for node in edges.iter().flat_map(|edge| [edge.0 as usize, edge.1 as usize]) {
        if !nodes.contains(&node) {
            nodes.push(node);
        }
    }
    let mut first: Vec<usize> = Vec::new();
    let mut number = |node: usize| {
        let known = first.iter().position(|other| reaches[node][*other] && reaches[*other][node]);
        known.unwrap_or_else(|| {
            first.push(node);
            first.len() - 1
        })
    };
    nodes.into_iter().map(|node| format!("{node} {}", number(node))).collect()
}

/// A batch larger than what is extended at a time: a star, out and in again.
#[test]
fn goes_on_where_a_batch_was_full() {
    let leaves = 3 * crate::limits::GRAPH_BATCH_ROWS as i64;
    let edges: Edges = (1..=leaves).flat_map(|leaf| [(0, leaf), (leaf, 0)]).collect();
    let edge = |left, right, length| PatternEdge { left, right, direction: Direction::Right, length };
    let asked = |edges: Vec<PatternEdge>| Asked {
        nodes: 2,
        edges,
        cycles: Cycles::UniqueEdges,
        shortest: None,
        first_max: None,
        edge_min: None,
        not_inside: None,
        rising: false,
    };
    let (query, schema) = asked(vec![edge(0, 1, None)]).query();
    assert_eq!(rows(&query, &edges, &schema).len(), edges.len());
    let from_leaves = |length| {
        let mut asked = asked(vec![edge(0, 1, Some(length))]);
        asked.rising = true;
        asked.first_max = Some(0);
        asked.query()
    };
    let (query, schema) = from_leaves((1, 2));
    assert_eq!(rows(&query, &edges, &schema).len(), 2 * leaves as usize, "to every leaf, and back");
}

#[test]
fn a_search_that_never_ends_is_stopped() {
    let edges: Edges = (0..12).flat_map(|a| (0..12).map(move |b| (a, b))).collect();
    let length = Some((1_000, 1_000));
    let asked = Asked {
        nodes: 2,
        edges: vec![PatternEdge { left: 0, right: 1, direction: Direction::Right, length }],
        cycles: Cycles::All,
        shortest: None,
        first_max: None,
        edge_min: None,
        not_inside: None,
        rising: false,
    };
    let (query, schema) = asked.query();
    let inputs = [(edges.iter().map(|e| e.0).collect::<Vec<_>>(), edges.iter().map(|e| e.1).collect::<Vec<_>>())];
    let columns = |(s, t): &(Vec<i64>, Vec<i64>)| {
        let longs = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
        RecordBatch::try_new(query.graph.edges.arrow(), vec![longs(s), longs(t), longs(s)]).unwrap()
    };
    let inputs = [columns(&inputs[0])];
    let schemas = [query.graph.edges.clone()];
    let call = TableCall { inputs: &inputs, schemas: &schemas, out: &schema, context: &EvalContext { now: 0 } };
    let error = graph(&query, &call).unwrap_err();
    assert!(error.to_string().contains("limit="), "{error}");
}

/// Two tables of nodes: the first row of an id wins whole; a node that only an edge names has its id in both.
#[test]
fn nodes_of_two_tables() {
    let strings = |values: &[&str]| Arc::new(StringViewArray::from(values.to_vec())) as ArrayRef;
    let longs = |values: &[i64]| Arc::new(Int64Array::from(values.to_vec())) as ArrayRef;
    let edges = Schema::from([("s", Type::String), ("t", Type::String)]);
    let people = Schema::from([("name", Type::String), ("age", Type::Long)]);
    let firms = Schema::from([("firm", Type::String), ("size", Type::Long)]);
    let schemas = [edges.clone(), people, firms];
    let batch = |at: usize, columns: Vec<ArrayRef>| RecordBatch::try_new(schemas[at].arrow(), columns).unwrap();
    let inputs = [
        batch(0, vec![strings(&["a", "a"]), strings(&["x", "z"])]),
        batch(1, vec![strings(&["a", "a"]), longs(&[1, 2])]),
        batch(2, vec![strings(&["x", "a"]), longs(&[7, 8])]),
    ];
    let property = |name: &str, ty, first, second, is_id| NodeProperty {
        name: name.to_owned(),
        ty,
        columns: vec![first, second],
        is_id,
    };
    let query = GraphQuery {
        graph: Graph {
            source: column(0, Type::String),
            target: column(1, Type::String),
            keys: vec![column(0, Type::String), column(0, Type::String)],
            partition: None,
            nodes: vec![
                property("name", Type::String, Some(0), None, true),
                property("age", Type::Long, Some(1), None, false),
                property("firm", Type::String, None, Some(0), true),
                property("size", Type::Long, None, Some(1), false),
            ],
            edges,
            steps: Vec::new(),
        },
        output: GraphOutput::Nodes { hashed: false },
    };
    let out = Schema::from([("name", Type::String), ("age", Type::Long), ("firm", Type::String), ("size", Type::Long)]);
    let call = TableCall { inputs: &inputs, schemas: &schemas, out: &out, context: &EvalContext { now: 0 } };
    let nodes = texts(&graph(&query, &call).unwrap(), &out);
    assert_eq!(nodes, [r#""a" 1 "" null"#, r#""" null "x" 7"#, r#""z" null "z" null"#]);
}

#[test]
fn steps_drop_nodes_with_their_edges_and_edges_alone() {
    let edges = vec![(1, 2), (2, 3), (3, 1)];
    let ask = |step: GraphStep, output: GraphOutput| {
        let query = GraphQuery { graph: made(vec![step]), output };
        let schema = match &query.output {
            GraphOutput::Nodes { .. } => Schema::from([("id", Type::Long)]),
            _ => query.graph.edges.clone(),
        };
        rows(&query, &edges, &schema)
    };
    let small = || GraphStep::WhereNodes(compared(BinaryOp::Less, 0, 3));
    let nodes = || GraphOutput::Nodes { hashed: false };
    let kept = || GraphOutput::Edges { source_hashed: false, target_hashed: false };
    assert_eq!(ask(small(), nodes()), ["1", "2"]);
    assert_eq!(ask(small(), kept()), ["1 2 0"]);
    // Columns after the properties: the id as a string, then the degrees.
    let leaving = || GraphStep::WhereNodes(compared(BinaryOp::Equal, 3, 1));
    assert_eq!(ask(leaving(), kept()).len(), 3);
    let late = || GraphStep::WhereEdges(compared(BinaryOp::Greater, 2, 0));
    assert_eq!(ask(late(), kept()), ["2 3 1", "3 1 2"]);
    assert_eq!(ask(late(), nodes()).len(), 3);
}
