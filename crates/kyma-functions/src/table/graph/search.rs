//! Finds the matches of a pattern.
//!
//! Partial matches are extended in batches, one edge of the pattern at a time; a stack holds what is left to do. A batch
//! that grows too large is handed on before the rest of its input is looked at, so that no more is in memory than a batch
//! per edge of the pattern and of its paths:
//!
//! 1. Bind the first node variable to each of its candidates.
//! 2. Before a step, drop what fails a condition that can be tested by now.
//! 3. A single edge: extend each match by every edge near its node that fits.
//! 4. A path: hand on each match whose path may end here, then extend each by one more edge.
//! 5. After the last step, take the wanted columns.

use std::collections::HashMap;

use arrow::array::{ArrayRef, UInt32Array};
use arrow::compute::{concat, take};
use kyma_core::{Error, Result};
use kyma_plan::graph::{Cycles, GraphMatch, Shortest};

use super::TableCall;
use super::elements::Elements;
use super::matches::{Matches, NONE, Paths};
use super::plan::{SearchPlan, Step, allows};
use super::shortest;
use super::values::Values;
use crate::eval::{eval, holds};
use crate::limits::{GRAPH_BATCH_ROWS, GRAPH_MATCHES_MAX, GRAPH_STEPS_MAX};

/// A search that is going on.
pub(super) struct Search<'a> {
    pub(super) wanted: &'a GraphMatch,
    pub(super) elements: &'a Elements,
    pub(super) plan: SearchPlan,
    pub(super) paths: Paths,
    values: Values<'a>,
    call: &'a TableCall<'a>,
    found: Found,
    tried: u64,
}

/// Matches to go on with.
struct Work {
    matches: Matches,
    /// The step to do; past the last there is none.
    step: usize,
    /// In a path, how many edges it has.
    length: Option<u32>,
    /// Links that it may use.
    links: usize,
}

/// Columns of complete matches.
#[derive(Default)]
struct Found {
    /// By column, batch after batch.
    columns: Vec<Vec<ArrayRef>>,
    rows: usize,
    /// By the nodes of a match: how many edges, and which rows.
    shortest: HashMap<Vec<u32>, (u64, Vec<u32>)>,
}

/// The wanted columns of all matches, and how many there are.
pub(super) fn search(wanted: &GraphMatch, elements: &Elements, call: &TableCall<'_>) -> Result<(Vec<ArrayRef>, usize)> {
    let plan = SearchPlan::make(wanted, elements, call)?;
    let mut backwards = vec![false; wanted.edges.len()];
    for step in &plan.steps {
        backwards[step.edge] = wanted.edges[step.edge].left != step.from;
    }
    let values = Values::make(wanted, backwards, elements, call)?;
    let found = Found { columns: vec![Vec::new(); wanted.project.len()], ..Found::default() };
    let mut search = Search { wanted, elements, plan, paths: Paths::default(), values, call, found, tried: 0 };
    if shortest::is_plain(&search) {
        shortest::breadth_first(&mut search)?;
    } else {
        search.run()?;
    }
    search.finish()
}

impl Search<'_> {
    /// A match for each candidate of the first variable.
    pub(super) fn seeds(&self) -> Matches {
        let mut seeds = Matches::new(self.wanted.nodes, self.wanted.edges.len());
        for node in 0..self.elements.nodes() as u32 {
            if allows(&self.plan.nodes[self.plan.start], node) {
                seeds.push_free();
                seeds.bind_node(self.plan.start, node);
            }
        }
        seeds
    }

    fn run(&mut self) -> Result<()> {
        let mut stack = vec![Work { matches: self.seeds(), step: 0, length: None, links: 0 }];
        while let Some(mut work) = stack.pop() {
            // Links made since then belong to work that is done.
            self.paths.truncate(work.links);
            if work.length.is_none() {
                self.test(work.step, &mut work.matches)?;
            }
            if work.matches.is_empty() {
                continue;
            }
            let Some(step) = self.plan.steps.get(work.step).cloned() else {
                self.take(&work.matches)?;
                continue;
            };
            match (step.length, work.length) {
                (None, _) => self.follow_edge(&step, work, &mut stack)?,
                (Some(_), None) => stack.push(Work { length: Some(0), links: self.paths.len(), ..work }),
                (Some(range), Some(length)) => self.follow_path(&step, range, length, work, &mut stack)?,
            }
        }
        Ok(())
    }

    /// Drops what fails the conditions that can be tested before a step.
    pub(super) fn test(&self, step: usize, matches: &mut Matches) -> Result<()> {
        for condition in self.plan.ready.get(step).into_iter().flatten() {
            let columns = self.values.columns(condition, matches, &self.paths)?;
            let kept = holds(condition, &columns, matches.len(), self.call.context)?;
            matches.retain(&kept);
        }
        Ok(())
    }

    fn follow_edge(&mut self, step: &Step, mut work: Work, stack: &mut Vec<Work>) -> Result<()> {
        let mut further = work.matches.like();
        for row in 0..work.matches.len() {
            if further.len() >= GRAPH_BATCH_ROWS {
                let rest = work.matches.split_off(row);
                stack.push(Work { matches: rest, step: work.step, length: None, links: self.paths.len() });
                break;
            }
            let node = work.matches.nodes[step.from][row];
            for (edge, other) in self.elements.near(node, step.direction) {
                self.tried += 1;
                let fits = allows(&self.plan.edges[step.edge], edge)
                    && self.may_end(step, &work.matches, row, other)
                    && self.is_new_edge(&work.matches, row, edge);
                if fits {
                    further.push(&work.matches, row);
                    further.bind_edge(step.edge, edge);
                    further.bind_node(step.to, other);
                }
            }
            self.check_tried()?;
        }
        stack.push(Work { matches: further, step: work.step + 1, length: None, links: self.paths.len() });
        Ok(())
    }

    fn follow_path(
        &mut self,
        step: &Step,
        (least, most): (u32, u32),
        length: u32,
        mut work: Work,
        stack: &mut Vec<Work>,
    ) -> Result<()> {
        let (mut ended, mut longer) = (work.matches.like(), work.matches.like());
        for row in 0..work.matches.len() {
            if longer.len().max(ended.len()) >= GRAPH_BATCH_ROWS {
                let rest = work.matches.split_off(row);
                stack.push(Work { matches: rest, length: Some(length), step: work.step, links: self.paths.len() });
                break;
            }
            let path = work.matches.edges[step.edge][row];
            let node = self.paths.end(path).unwrap_or(work.matches.nodes[step.from][row]);
            // The shortest path from a node to itself has no edge, though the ends are two variables.
            let stays = length == 0 && !step.closes && self.wanted.shortest.is_some();
            let may_end = match stays {
                true => allows(&self.plan.nodes[step.to], node),
                false => self.may_end(step, &work.matches, row, node),
            };
            if length >= least && may_end {
                ended.push(&work.matches, row);
                ended.bind_node(step.to, node);
            }
            if length >= most || !self.may_pass(step, &work.matches, row, node) {
                continue;
            }
            for (edge, other) in self.elements.near(node, step.direction) {
                self.tried += u64::from(length) + 1;
                let near_enough =
                    step.distance.as_ref().is_none_or(|distance| distance[other as usize] < most - length);
                let fits = near_enough
                    && allows(&self.plan.edges[step.edge], edge)
                    && self.is_new_edge(&work.matches, row, edge)
                    && self.is_new_on_path(step, &work.matches, row, other);
                if fits {
                    let path = self.paths.extend(path, edge, other);
                    longer.push(&work.matches, row);
                    longer.bind_edge(step.edge, path);
                }
            }
            self.check_tried()?;
        }
        let links = self.paths.len();
        if !longer.is_empty() {
            stack.push(Work { matches: longer, length: Some(length + 1), step: work.step, links });
        }
        stack.push(Work { matches: ended, step: work.step + 1, length: None, links });
        Ok(())
    }

    /// Whether an edge, or a path, may lead to this node.
    fn may_end(&self, step: &Step, matches: &Matches, row: usize, node: u32) -> bool {
        if step.closes {
            return matches.nodes[step.to][row] == node;
        }
        allows(&self.plan.nodes[step.to], node) && self.is_free_node(matches, row, node, step.edge)
    }

    /// Whether a path may go on behind this node.
    fn may_pass(&self, step: &Step, matches: &Matches, row: usize, node: u32) -> bool {
        let at_start = matches.edges[step.edge][row] == NONE;
        at_start || (allows(&self.plan.inner[step.edge], node) && self.is_free_node(matches, row, node, step.edge))
    }

    /// Without cycles, a node that is neither bound nor inside another path than that of `own`.
    fn is_free_node(&self, matches: &Matches, row: usize, node: u32, own: usize) -> bool {
        if self.wanted.cycles != Cycles::None {
            return true;
        }
        let is_inside = |(at, paths): (usize, &Vec<u32>)| {
            at != own
                && self.wanted.edges[at].length.is_some()
                && self.paths.links(paths[row]).skip(1).any(|link| link.node == node)
        };
        matches.nodes.iter().all(|nodes| nodes[row] != node) && !matches.edges.iter().enumerate().any(is_inside)
    }

    /// Without cycles, a node that the path has not passed yet.
    fn is_new_on_path(&self, step: &Step, matches: &Matches, row: usize, node: u32) -> bool {
        self.wanted.cycles != Cycles::None
            || (matches.nodes[step.from][row] != node
                && self.paths.links(matches.edges[step.edge][row]).all(|link| link.node != node))
    }

    /// Where edges are unique, one that the match does not have yet.
    fn is_new_edge(&self, matches: &Matches, row: usize, edge: u32) -> bool {
        if self.wanted.cycles != Cycles::UniqueEdges {
            return true;
        }
        matches.edges.iter().zip(&self.wanted.edges).all(|(bound, pattern)| match pattern.length {
            Some(_) => self.paths.links(bound[row]).all(|link| link.edge != edge),
            None => bound[row] != edge,
        })
    }

    fn check_tried(&self) -> Result<()> {
        if self.tried <= GRAPH_STEPS_MAX {
            return Ok(());
        }
        let text = format!("the pattern has too many ways to match: limit={GRAPH_STEPS_MAX}");
        Err(Error::exhausted("query.graph_too_large", text).hint("shorten its paths, or add conditions on its nodes"))
    }

    /// Counts edges that were tried.
    pub(super) fn try_edges(&mut self, count: u64) -> Result<()> {
        self.tried += count;
        self.check_tried()
    }

    /// Takes the wanted columns of complete matches.
    pub(super) fn take(&mut self, matches: &Matches) -> Result<()> {
        if matches.is_empty() {
            return Ok(());
        }
        let first = self.found.rows;
        self.found.rows += matches.len();
        if self.found.rows > GRAPH_MATCHES_MAX {
            let text = format!("the pattern has more matches than the limit: limit={GRAPH_MATCHES_MAX}");
            return Err(Error::exhausted("query.graph_too_large", text).hint("add conditions"));
        }
        for (expr, columns) in self.wanted.project.iter().zip(&mut self.found.columns) {
            let used = self.values.columns(expr, matches, &self.paths)?;
            columns.push(eval(expr, &used, matches.len(), self.call.context)?.to_array(matches.len()));
        }
        let Some(shortest) = self.wanted.shortest else { return Ok(()) };
        for row in 0..matches.len() {
            let nodes: Vec<u32> = matches.nodes.iter().map(|nodes| nodes[row]).collect();
            let edges = self.count_edges(matches, row);
            let (fewest, rows) = self.found.shortest.entry(nodes).or_insert((u64::MAX, Vec::new()));
            if edges < *fewest {
                *fewest = edges;
                rows.clear();
            }
            if edges == *fewest && (rows.is_empty() || shortest == Shortest::All) {
                rows.push((first + row) as u32);
            }
        }
        Ok(())
    }

    fn count_edges(&self, matches: &Matches, row: usize) -> u64 {
        let count = |(bound, pattern): (&Vec<u32>, &kyma_plan::graph::PatternEdge)| match pattern.length {
            Some(_) => self.paths.links(bound[row]).count() as u64,
            None => 1,
        };
        matches.edges.iter().zip(&self.wanted.edges).map(count).sum()
    }

    fn finish(self) -> Result<(Vec<ArrayRef>, usize)> {
        let joined = |(at, batches): (usize, &Vec<ArrayRef>)| match batches.is_empty() {
            true => {
                let ty = self.call.out.columns().get(at).map_or(kyma_core::Type::Dynamic, |column| column.ty);
                Ok(arrow::array::new_empty_array(&ty.arrow()))
            }
            false => Ok(concat(&batches.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
        };
        let columns = self.found.columns.iter().enumerate().map(joined).collect::<Result<Vec<ArrayRef>>>()?;
        if self.wanted.shortest.is_none() {
            return Ok((columns, self.found.rows));
        }
        let mut rows: Vec<u32> = self.found.shortest.into_values().flat_map(|(_, rows)| rows).collect();
        rows.sort_unstable();
        let rows = UInt32Array::from(rows);
        let columns = columns.iter().map(|column| Ok(take(column, &rows, None)?)).collect::<Result<Vec<_>>>()?;
        Ok((columns, rows.len()))
    }
}
