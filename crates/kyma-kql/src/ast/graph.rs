//! Graph operators as they are written.

use kyma_core::error::Span;
use kyma_plan::graph::Direction;

use super::{Arg, Expr, Name, Operator, Settings};

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum GraphOperator {
    Make(MakeGraph),
    Match(GraphMatch),
    ToTable(Vec<GraphTable>),
    MarkComponents(Settings),
    WhereNodes(Expr),
    WhereEdges(Expr),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct MakeGraph {
    pub(crate) source: Name,
    pub(crate) target: Name,
    /// Tables of nodes with the columns of their ids.
    pub(crate) nodes: Vec<(Expr, Name)>,
    pub(crate) node_id: Option<Name>,
    pub(crate) partition: Option<(Name, Vec<Operator>)>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GraphMatch {
    /// `graph-shortest-paths`.
    pub(crate) shortest: bool,
    pub(crate) settings: Settings,
    /// Between commas.
    pub(crate) sequences: Vec<Sequence>,
    pub(crate) predicate: Option<Expr>,
    pub(crate) project: Vec<Arg>,
}

/// `(a)-[e]->(b)--(c)`: one node more than edges.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sequence {
    pub(crate) nodes: Vec<Option<Name>>,
    pub(crate) edges: Vec<Edge>,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edge {
    pub(crate) name: Option<Name>,
    pub(crate) direction: Direction,
    /// `*least..most`.
    pub(crate) length: Option<(Expr, Expr)>,
    pub(crate) span: Span,
}

/// `nodes as N with_node_id=x`, `edges ...`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct GraphTable {
    pub(crate) edges: bool,
    pub(crate) name: Option<Name>,
    pub(crate) settings: Settings,
}

impl GraphOperator {
    /// As it is written.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            GraphOperator::Make(_) => "make-graph",
            GraphOperator::Match(GraphMatch { shortest: true, .. }) => "graph-shortest-paths",
            GraphOperator::Match(_) => "graph-match",
            GraphOperator::ToTable(_) => "graph-to-table",
            GraphOperator::MarkComponents(_) => "graph-mark-components",
            GraphOperator::WhereNodes(_) => "graph-where-nodes",
            GraphOperator::WhereEdges(_) => "graph-where-edges",
        }
    }

    /// Whether it gives a graph again.
    pub(crate) fn gives_graph(&self) -> bool {
        match self {
            GraphOperator::Make(make) => make.partition.is_none(),
            GraphOperator::MarkComponents(_) | GraphOperator::WhereNodes(_) | GraphOperator::WhereEdges(_) => true,
            GraphOperator::Match(_) | GraphOperator::ToTable(_) => false,
        }
    }
}
