//! Graphs: how one is made of tables, and what is asked of it.
//!
//! A graph lives inside one table function: the inputs are the edges and up to some tables of nodes, the kernel makes the
//! graph, changes it by the steps, and gives the rows of the output.
//!
//! **Rows of elements.** Expressions over an edge see the columns of the edges. Expressions over a node see its properties
//! (in the order of [`Graph::nodes`], then one `long` per [`GraphStep::MarkComponents`] before them), then three more:
//! its id as a string, and how many edges come in and go out (both `long`).

use std::collections::BTreeSet;

use kyma_core::{Schema, Type};

use crate::Expr;

/// A question to a graph.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphQuery {
    /// The graph.
    pub graph: Graph,
    /// What is wanted of it.
    pub output: GraphOutput,
}

/// How a graph is made. Input 0 holds the edges, one per row; the other inputs hold nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct Graph {
    /// The id of the node where an edge starts, over the edges. Null is an id like any other.
    pub source: Expr,
    /// The id of the node where it ends, of the same type.
    pub target: Expr,
    /// Per table of nodes, the id over its row, of the same type. The first row with an id is the node, whole.
    pub keys: Vec<Expr>,
    /// What tells separate graphs apart, per input: nodes of one id in two of them are two nodes.
    pub partition: Option<Vec<Expr>>,
    /// Properties of nodes.
    pub nodes: Vec<NodeProperty>,
    /// Columns of the edges.
    pub edges: Schema,
    /// Changes, in order.
    pub steps: Vec<GraphStep>,
}

/// A property of nodes.
#[derive(Debug, Clone, PartialEq)]
pub struct NodeProperty {
    /// Its name.
    pub name: String,
    /// Its type.
    pub ty: Type,
    /// Per table of nodes, the column it comes from; null for nodes of a table without it.
    pub columns: Vec<Option<usize>>,
    /// Whether nodes that only edges name have their id here; else it is null there.
    pub is_id: bool,
}

/// Changes a graph.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphStep {
    /// Adds a property: the number of the node's component, from 0 in the order of their first nodes.
    MarkComponents {
        /// The property.
        name: String,
        /// Whether nodes of a component must reach each other along the edges; else their direction does not count.
        strong: bool,
    },
    /// Keeps the nodes for which it holds, and the edges between them.
    WhereNodes(Expr),
    /// Keeps the edges for which it holds, and all nodes.
    WhereEdges(Expr),
}

/// Rows that a graph gives.
#[derive(Debug, Clone, PartialEq)]
pub enum GraphOutput {
    /// A row per match of a pattern.
    Match(GraphMatch),
    /// A row per node: its properties.
    Nodes {
        /// Whether the hash of its id comes first.
        hashed: bool,
    },
    /// A row per edge: its columns.
    Edges {
        /// Whether the hash of the source's id comes first.
        source_hashed: bool,
        /// Whether the hash of the target's id comes next.
        target_hashed: bool,
    },
}

/// A pattern with conditions, and what is taken of its matches.
#[derive(Debug, Clone, PartialEq)]
pub struct GraphMatch {
    /// How many node variables there are; each match binds all.
    pub nodes: usize,
    /// The edges between them, which connect all node variables.
    pub edges: Vec<PatternEdge>,
    /// What may occur twice in a match.
    pub cycles: Cycles,
    /// Which matches of the same nodes are wanted.
    pub shortest: Option<Shortest>,
    /// What the expressions below see as columns.
    pub columns: Vec<MatchColumn>,
    /// All must hold.
    pub conditions: Vec<Expr>,
    /// The columns of the result.
    pub project: Vec<Expr>,
}

/// An edge of a pattern, between two node variables.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PatternEdge {
    /// The node variable on its left.
    pub left: usize,
    /// The node variable on its right.
    pub right: usize,
    /// Which way it runs.
    pub direction: Direction,
    /// Least and most edges of a path, both inclusive; absent for one edge.
    pub length: Option<(u32, u32)>,
}

/// Which way an edge of a pattern runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the left to the right variable.
    Right,
    /// From the right to the left variable.
    Left,
    /// Either way. An edge from a node to itself runs both ways, and counts twice.
    Any,
}

/// What may occur twice in a match.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cycles {
    /// Nodes and edges.
    All,
    /// Nodes; an edge only once in all of a match.
    UniqueEdges,
    /// No node: variables bind distinct nodes, paths pass each node once, and none of the variables' nodes on the way.
    None,
}

/// Which of the matches that bind the same nodes are wanted; paths pass each node once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shortest {
    /// One of those with the fewest edges.
    Any,
    /// All with the fewest edges.
    All,
}

/// A column of a match's row.
#[derive(Debug, Clone, PartialEq)]
pub enum MatchColumn {
    /// A column of a node's row.
    Node {
        /// Which variable.
        variable: usize,
        /// Which column.
        column: usize,
    },
    /// A node's properties as a bag, without what is null or an empty string.
    NodeBag {
        /// Which variable.
        variable: usize,
    },
    /// A column of an edge's row.
    Edge {
        /// Which edge of the pattern, not a path.
        edge: usize,
        /// Which column.
        column: usize,
    },
    /// An edge's columns as a bag, without what is null or an empty string; of a path, an array of bags.
    EdgeBag {
        /// Which edge of the pattern.
        edge: usize,
    },
    /// A value over the elements of a path.
    Path {
        /// Which edge of the pattern, a path.
        edge: usize,
        /// Whether over the nodes between its ends, or over its edges.
        inner_nodes: bool,
        /// What is made of the elements.
        fold: PathFold,
        /// Per element, over its row.
        expr: Expr,
    },
}

/// What is made of the elements of a path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathFold {
    /// Whether it is true of all; true of none.
    All,
    /// Whether it is true of one at least.
    Any,
    /// The array of the values.
    Map,
}

impl GraphQuery {
    /// Its name in explanations and errors.
    pub fn name(&self) -> &'static str {
        match &self.output {
            GraphOutput::Match(GraphMatch { shortest: None, .. }) => "graph-match",
            GraphOutput::Match(_) => "graph-shortest-paths",
            GraphOutput::Nodes { .. } | GraphOutput::Edges { .. } => "graph-to-table",
        }
    }

    /// All expressions in it.
    pub fn exprs_mut(&mut self) -> Vec<&mut Expr> {
        let graph = &mut self.graph;
        let mut exprs = vec![&mut graph.source, &mut graph.target];
        exprs.extend(&mut graph.keys);
        exprs.extend(graph.partition.iter_mut().flatten());
        exprs.extend(graph.steps.iter_mut().filter_map(|step| match step {
            GraphStep::MarkComponents { .. } => None,
            GraphStep::WhereNodes(expr) | GraphStep::WhereEdges(expr) => Some(expr),
        }));
        if let GraphOutput::Match(found) = &mut self.output {
            exprs.extend(found.columns.iter_mut().filter_map(|column| match column {
                MatchColumn::Path { expr, .. } => Some(expr),
                _ => None,
            }));
            exprs.extend(found.conditions.iter_mut().chain(&mut found.project));
        }
        exprs
    }

    /// Drops the columns of the edges that nothing looks at. Gives the former places of those that stay, in order: the
    /// first input must have just these.
    pub fn narrow_edges(&mut self) -> Vec<usize> {
        let mut used = BTreeSet::new();
        if self.takes_whole_edges() {
            used.extend(0..self.graph.edges.len());
        }
        self.for_each_edge_column(&mut |place| {
            used.insert(*place);
        });
        let kept: Vec<usize> = used.into_iter().collect();
        self.for_each_edge_column(&mut |place| *place = kept.binary_search(place).unwrap_or(*place));
        let columns = kept.iter().filter_map(|place| self.graph.edges.columns().get(*place).cloned());
        self.graph.edges = columns.collect();
        kept
    }

    fn takes_whole_edges(&self) -> bool {
        match &self.output {
            GraphOutput::Match(wanted) => wanted.columns.iter().any(|c| matches!(c, MatchColumn::EdgeBag { .. })),
            GraphOutput::Nodes { .. } => false,
            GraphOutput::Edges { .. } => true,
        }
    }

    fn for_each_edge_column(&mut self, visit: &mut impl FnMut(&mut usize)) {
        let graph = &mut self.graph;
        graph.source.for_each_column_mut(visit);
        graph.target.for_each_column_mut(visit);
        if let Some(partition) = graph.partition.iter_mut().flatten().next() {
            partition.for_each_column_mut(visit);
        }
        for step in &mut graph.steps {
            if let GraphStep::WhereEdges(condition) = step {
                condition.for_each_column_mut(visit);
            }
        }
        let GraphOutput::Match(wanted) = &mut self.output else { return };
        for column in &mut wanted.columns {
            match column {
                MatchColumn::Edge { column, .. } => visit(column),
                MatchColumn::Path { inner_nodes: false, expr, .. } => expr.for_each_column_mut(visit),
                _ => {}
            }
        }
    }
}
