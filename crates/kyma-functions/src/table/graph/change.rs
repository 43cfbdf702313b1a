//! Graph in, graph out: components, and elements that meet a condition.

use std::sync::Arc;

use arrow::array::{ArrayRef, BooleanArray, Int64Array};
use arrow::compute::filter;
use kyma_core::{Result, Type};
use kyma_plan::graph::{Direction, GraphStep};

use super::TableCall;
use super::elements::Elements;
use crate::eval::holds;

/// Not visited yet, or not numbered.
const NONE: u32 = u32::MAX;

/// The graph after a step.
pub(super) fn change(elements: Elements, step: &GraphStep, call: &TableCall<'_>) -> Result<Elements> {
    match step {
        GraphStep::MarkComponents { name, strong } => {
            let roots = if *strong { strong_roots(&elements) } else { weak_roots(&elements) };
            let marks: ArrayRef = Arc::new(Int64Array::from(in_order(&roots)));
            let mut types = elements.property_types.clone();
            types.push((name.clone(), Type::Long));
            let properties = elements.properties().iter().cloned().chain([marks]).collect();
            let ids = (Arc::clone(elements.ids()), elements.id_type, elements.nodes());
            let ends = (elements.sources, elements.targets);
            Elements::finish(types, properties, ids, elements.edge_types, elements.edge_columns, ends)
        }
        GraphStep::WhereNodes(condition) => {
            let kept = holds(condition, &elements.node_columns, elements.nodes(), call.context)?;
            keep(elements, &kept, |_| true)
        }
        GraphStep::WhereEdges(condition) => {
            let kept = holds(condition, &elements.edge_columns, elements.edges(), call.context)?;
            let all = vec![true; elements.nodes()];
            keep(elements, &all, |edge| kept[edge])
        }
    }
}

/// The nodes that are kept, and the edges between them that are kept.
fn keep(elements: Elements, nodes: &[bool], edge: impl Fn(usize) -> bool) -> Result<Elements> {
    let mut count = 0;
    let numbers: Vec<u32> = nodes
        .iter()
        .map(|kept| {
            count += u32::from(*kept);
            if *kept { count - 1 } else { NONE }
        })
        .collect();
    let number = |node: &u32| numbers[*node as usize];
    let stays = |at: usize| edge(at) && number(&elements.sources[at]) != NONE && number(&elements.targets[at]) != NONE;
    let edges: Vec<bool> = (0..elements.edges()).map(stays).collect();
    let ends = |ends: &[u32]| -> Vec<u32> {
        ends.iter().zip(&edges).filter(|(_, kept)| **kept).map(|(node, _)| number(node)).collect()
    };
    let ends = (ends(&elements.sources), ends(&elements.targets));
    let filtered = |columns: &[ArrayRef], kept: &[bool]| -> Result<Vec<ArrayRef>> {
        let kept = BooleanArray::from(kept.to_vec());
        columns.iter().map(|column| Ok(filter(column, &kept)?)).collect()
    };
    let ids = filter(elements.ids(), &BooleanArray::from(nodes.to_vec()))?;
    Elements::finish(
        elements.property_types.clone(),
        filtered(elements.properties(), nodes)?,
        (ids, elements.id_type, count as usize),
        elements.edge_types.clone(),
        filtered(&elements.edge_columns, &edges)?,
        ends,
    )
}

/// Numbers of components from 0, in the order in which a node of each is first met.
fn in_order(roots: &[u32]) -> Vec<i64> {
    let mut numbers = vec![-1_i64; roots.len()];
    let mut next = 0;
    roots
        .iter()
        .map(|root| {
            let number = &mut numbers[*root as usize];
            if *number < 0 {
                *number = next;
                next += 1;
            }
            *number
        })
        .collect()
}

/// Per node one node of its component, the same for all of them; the direction of edges does not count.
fn weak_roots(elements: &Elements) -> Vec<u32> {
    fn root(parents: &mut [u32], node: u32) -> u32 {
        let mut at = node;
        while parents[at as usize] != at {
            // Halves the way for the next.
            let above = parents[parents[at as usize] as usize];
            parents[at as usize] = above;
            at = above;
        }
        at
    }
    let mut parents: Vec<u32> = (0..elements.nodes() as u32).collect();
    for (source, target) in elements.sources.iter().zip(&elements.targets) {
        let (a, b) = (root(&mut parents, *source), root(&mut parents, *target));
        let (low, high) = (a.min(b), a.max(b));
        parents[high as usize] = low;
    }
    (0..elements.nodes() as u32).map(|node| root(&mut parents, node)).collect()
}

/// As [`weak_roots`], of nodes that reach each other along the edges: Tarjan, "Depth-first search and linear graph
/// algorithms" (1972), with a stack of its own.
fn strong_roots(elements: &Elements) -> Vec<u32> {
    let nodes = elements.nodes();
    let (mut order, mut low, mut roots) = (vec![NONE; nodes], vec![NONE; nodes], vec![NONE; nodes]);
    let (mut next, mut open) = (0_u32, Vec::new());
    for start in 0..nodes as u32 {
        if order[start as usize] != NONE {
            continue;
        }
        let mut visits = vec![(start, elements.near(start, Direction::Right))];
        (order[start as usize], low[start as usize]) = (next, next);
        next += 1;
        open.push(start);
        while let Some((node, near)) = visits.last_mut() {
            let node = *node;
            match near.next() {
                Some((_, other)) if order[other as usize] == NONE => {
                    (order[other as usize], low[other as usize]) = (next, next);
                    next += 1;
                    open.push(other);
                    visits.push((other, elements.near(other, Direction::Right)));
                }
                // Still open: it reaches this node.
                Some((_, other)) if roots[other as usize] == NONE => {
                    low[node as usize] = low[node as usize].min(order[other as usize]);
                }
                Some(_) => {}
                None => {
                    visits.pop();
                    if let Some((above, _)) = visits.last() {
                        low[*above as usize] = low[*above as usize].min(low[node as usize]);
                    }
                    if low[node as usize] == order[node as usize] {
                        close(node, &mut open, &mut roots);
                    }
                }
            }
        }
    }
    roots
}

/// Everything opened since `node` is its component.
fn close(node: u32, open: &mut Vec<u32>, roots: &mut [u32]) {
    while let Some(member) = open.pop() {
        roots[member as usize] = node;
        if member == node {
            return;
        }
    }
}
