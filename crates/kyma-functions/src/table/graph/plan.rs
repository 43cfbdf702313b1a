//! In which order a pattern is matched, and which condition is tested when.
//!
//! 1. A condition on one node, on one edge, or on all elements of a path is tested once per element of the graph, before
//!    anything is matched.
//! 2. The search starts at the node variable with the fewest candidates and goes on along edges from what is bound: first
//!    edges between bound nodes, then single edges, then paths; of equals to the fewest candidates.
//! 3. Every other condition is tested as soon as all that it speaks of is bound.

use std::collections::HashSet;

use kyma_core::Result;
use kyma_plan::graph::{Direction, GraphMatch, MatchColumn, PathFold};
use kyma_plan::{Expr, ExprKind};

use super::TableCall;
use super::elements::Elements;
use crate::eval::holds;

/// Which elements may be bound; all, when there is none.
pub(super) type Mask = Option<Vec<bool>>;

/// Whether an element may be bound.
pub(super) fn allows(mask: &Mask, element: u32) -> bool {
    mask.as_ref().is_none_or(|mask| mask[element as usize])
}

/// The order of a search.
pub(super) struct SearchPlan {
    /// Candidates by node variable.
    pub(super) nodes: Vec<Mask>,
    /// Candidates by edge of the pattern, which are all edges of a path.
    pub(super) edges: Vec<Mask>,
    /// Candidates for nodes inside a path, by edge of the pattern.
    pub(super) inner: Vec<Mask>,
    /// The node variable that is bound first.
    pub(super) start: usize,
    /// Edges of the pattern in the order in which they are matched.
    pub(super) steps: Vec<Step>,
    /// Conditions to test before each step, and at last after all.
    pub(super) ready: Vec<Vec<Expr>>,
}

/// Matching of one edge of the pattern.
#[derive(Debug, Clone)]
pub(super) struct Step {
    /// Which edge.
    pub(super) edge: usize,
    /// The node variable that it goes out from, which is bound.
    pub(super) from: usize,
    /// The node variable that it leads to.
    pub(super) to: usize,
    /// Whether that is bound, too.
    pub(super) closes: bool,
    /// Which way the edge runs, seen in the direction of the search.
    pub(super) direction: Direction,
    /// How many edges.
    pub(super) length: Option<(u32, u32)>,
    /// Per node, the fewest edges to a candidate of `to`, where that is known.
    pub(super) distance: Option<Vec<u32>>,
}

impl SearchPlan {
    pub(super) fn make(wanted: &GraphMatch, elements: &Elements, call: &TableCall<'_>) -> Result<SearchPlan> {
        let mut plan = SearchPlan {
            nodes: vec![None; wanted.nodes],
            edges: vec![None; wanted.edges.len()],
            inner: vec![None; wanted.edges.len()],
            start: 0,
            steps: Vec::new(),
            ready: Vec::new(),
        };
        let mut others = Vec::new();
        for condition in &wanted.conditions {
            if !plan.narrow(condition, wanted, elements, call)? {
                others.push(condition);
            }
        }
        plan.order(wanted, elements);
        plan.schedule(&others, wanted);
        Ok(plan)
    }

    /// Uses a condition that speaks of single elements.
    fn narrow(
        &mut self,
        condition: &Expr,
        wanted: &GraphMatch,
        elements: &Elements,
        call: &TableCall<'_>,
    ) -> Result<bool> {
        if let ExprKind::Column(column) = &condition.kind
            && let Some(MatchColumn::Path { edge, inner_nodes, fold: PathFold::All, expr }) =
                wanted.columns.get(*column)
        {
            let (mask, flags) = match inner_nodes {
                true => (&mut self.inner[*edge], holds(expr, &elements.node_columns, elements.nodes(), call.context)?),
                false => (&mut self.edges[*edge], holds(expr, &elements.edge_columns, elements.edges(), call.context)?),
            };
            intersect(mask, flags);
            return Ok(true);
        }
        let used = columns_of(condition);
        let used: Vec<&MatchColumn> = used.iter().filter_map(|column| wanted.columns.get(*column)).collect();
        // Every column of the match's row where the condition looks for it.
        let placed = |rows: &[arrow::array::ArrayRef], place: fn(&MatchColumn) -> Option<usize>| {
            let column = |column: &MatchColumn| place(column).and_then(|place| rows.get(place)).or(rows.first());
            wanted.columns.iter().filter_map(|wanted| column(wanted).cloned()).collect::<Vec<_>>()
        };
        match used.first() {
            Some(MatchColumn::Node { variable, .. })
                if used.iter().all(|c| matches!(c, MatchColumn::Node { variable: v, .. } if v == variable)) =>
            {
                let columns = placed(&elements.node_columns, |column| match column {
                    MatchColumn::Node { column, .. } => Some(*column),
                    _ => None,
                });
                let flags = holds(condition, &columns, elements.nodes(), call.context)?;
                intersect(&mut self.nodes[*variable], flags);
                Ok(true)
            }
            Some(MatchColumn::Edge { edge, .. })
                if used.iter().all(|c| matches!(c, MatchColumn::Edge { edge: e, .. } if e == edge)) =>
            {
                let columns = placed(&elements.edge_columns, |column| match column {
                    MatchColumn::Edge { column, .. } => Some(*column),
                    _ => None,
                });
                let flags = holds(condition, &columns, elements.edges(), call.context)?;
                intersect(&mut self.edges[*edge], flags);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn order(&mut self, wanted: &GraphMatch, elements: &Elements) {
        let count = |mask: &Mask| mask.as_ref().map_or(elements.nodes(), |mask| mask.iter().filter(|f| **f).count());
        let candidates: Vec<usize> = self.nodes.iter().map(count).collect();
        self.start = (0..wanted.nodes).min_by_key(|node| candidates[*node]).unwrap_or(0);
        let mut bound = vec![false; wanted.nodes];
        bound[self.start] = true;
        let mut open: Vec<usize> = (0..wanted.edges.len()).collect();
        loop {
            let key = |edge: &usize| {
                let edge = &wanted.edges[*edge];
                let other = if bound[edge.left] { edge.right } else { edge.left };
                (!(bound[edge.left] && bound[edge.right]), edge.length.is_some(), candidates[other])
            };
            let touches = |edge: &&usize| bound[wanted.edges[**edge].left] || bound[wanted.edges[**edge].right];
            let Some(next) = open.iter().filter(touches).min_by_key(|edge| key(edge)).copied() else { return };
            open.retain(|edge| *edge != next);
            let edge = wanted.edges[next];
            let from_left = bound[edge.left];
            let (from, to) = if from_left { (edge.left, edge.right) } else { (edge.right, edge.left) };
            let direction = if from_left { edge.direction } else { reversed(edge.direction) };
            let mut step =
                Step { edge: next, from, to, closes: bound[to], direction, length: edge.length, distance: None };
            step.distance = self.distance(&step, elements);
            self.steps.push(step);
            bound[to] = true;
        }
    }

    /// How far each node is from the candidates of a path's end, so that no path goes where it cannot end.
    fn distance(&self, step: &Step, elements: &Elements) -> Option<Vec<u32>> {
        let (_, most) = step.length?;
        let ends = self.nodes[step.to].as_ref()?;
        let mut distance: Vec<u32> = ends.iter().map(|end| if *end { 0 } else { u32::MAX }).collect();
        let mut open: Vec<u32> = (0..elements.nodes() as u32).filter(|node| ends[*node as usize]).collect();
        let back = reversed(step.direction);
        for far in 1..=most {
            let mut next = Vec::new();
            for node in open {
                for (edge, other) in elements.near(node, back) {
                    if distance[other as usize] == u32::MAX && allows(&self.edges[step.edge], edge) {
                        distance[other as usize] = far;
                        next.push(other);
                    }
                }
            }
            if next.is_empty() {
                break;
            }
            open = next;
        }
        Some(distance)
    }

    fn schedule(&mut self, conditions: &[&Expr], wanted: &GraphMatch) {
        self.ready = vec![Vec::new(); self.steps.len() + 1];
        for condition in conditions {
            let mut last = 0;
            for column in columns_of(condition) {
                let Some(column) = wanted.columns.get(column) else { continue };
                let bound_after = match column {
                    MatchColumn::Node { variable, .. } | MatchColumn::NodeBag { variable } => {
                        self.node_bound(*variable)
                    }
                    MatchColumn::Edge { edge, .. } | MatchColumn::EdgeBag { edge } | MatchColumn::Path { edge, .. } => {
                        self.steps.iter().position(|step| step.edge == *edge).map_or(0, |at| at + 1)
                    }
                };
                last = last.max(bound_after);
            }
            self.ready[last].push(Expr::clone(condition));
        }
    }

    /// After how many steps a node variable is bound.
    fn node_bound(&self, variable: usize) -> usize {
        let binds = |step: &Step| step.to == variable && !step.closes;
        self.steps.iter().position(binds).map_or(0, |at| at + 1)
    }
}

/// The columns of the match's row that an expression uses.
pub(super) fn columns_of(expr: &Expr) -> HashSet<usize> {
    let mut used = HashSet::new();
    expr.for_each_column(&mut |column| {
        used.insert(column);
    });
    used
}

fn intersect(mask: &mut Mask, flags: Vec<bool>) {
    *mask = Some(match mask.take() {
        Some(before) => before.into_iter().zip(flags).map(|(a, b)| a && b).collect(),
        None => flags,
    });
}

fn reversed(direction: Direction) -> Direction {
    match direction {
        Direction::Right => Direction::Left,
        Direction::Left => Direction::Right,
        Direction::Any => Direction::Any,
    }
}
