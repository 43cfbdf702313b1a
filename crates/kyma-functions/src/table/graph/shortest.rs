//! Shortest paths by breadth-first search, where a path's first nodes decide nothing about its rest.
//!
//! That is so for a single path of at least no or one edge, whose conditions speak of its ends, or of all its edges or
//! nodes. From each candidate of the first node:
//!
//! 1. Level by level, follow every edge that fits to nodes not reached on a level before.
//! 2. `output=any` keeps the first way to a node, `output=all` every way on the level where it is first reached.
//! 3. Ends that are candidates make a match; the search stops when all candidates have been reached.
//!
//! Everything else is searched as any pattern, without cycles, and the shortest of its matches are kept.

use kyma_core::Result;
use kyma_plan::graph::{MatchColumn, Shortest};

use super::matches::{Matches, NONE};
use super::plan::{Step, allows, columns_of};
use super::search::Search;
use crate::limits::GRAPH_BATCH_ROWS;

/// Whether breadth-first search finds what is wanted.
pub(super) fn is_plain(search: &Search<'_>) -> bool {
    let is_of_path = |column: &usize| {
        let column = search.wanted.columns.get(*column);
        !matches!(column, Some(MatchColumn::Node { .. } | MatchColumn::NodeBag { .. }))
    };
    let [edge] = search.wanted.edges.as_slice() else { return false };
    search.wanted.shortest.is_some()
        && edge.left != edge.right
        && edge.length.is_some_and(|(least, _)| least <= 1)
        && !search.plan.ready.iter().flatten().any(|condition| columns_of(condition).iter().any(is_of_path))
}

/// What one search from a node needs, for all nodes.
struct Reached {
    /// Per node, the search that reached it last, and on which level.
    by: Vec<(u32, u32)>,
    /// How many ends there are, where that is known.
    ends: Option<usize>,
}

/// Finds the shortest paths from every candidate.
pub(super) fn breadth_first(search: &mut Search<'_>) -> Result<()> {
    let Some(step) = search.plan.steps.first().cloned() else { return Ok(()) };
    let mut seeds = search.seeds();
    search.test(0, &mut seeds)?;
    let ends = search.plan.nodes[step.to].as_ref().map(|mask| mask.iter().filter(|flag| **flag).count());
    let mut reached = Reached { by: vec![(NONE, 0); search.elements.nodes()], ends };
    let mut found = seeds.like();
    for row in 0..seeds.len() {
        from_node(search, &step, &seeds, row, &mut reached, &mut found)?;
        if found.len() >= GRAPH_BATCH_ROWS {
            deliver(search, &mut found)?;
        }
    }
    deliver(search, &mut found)
}

fn deliver(search: &mut Search<'_>, found: &mut Matches) -> Result<()> {
    let mut matches = std::mem::replace(found, found.like());
    search.test(1, &mut matches)?;
    search.take(&matches)?;
    search.paths.truncate(0);
    Ok(())
}

fn from_node(
    search: &mut Search<'_>,
    step: &Step,
    seeds: &Matches,
    row: usize,
    reached: &mut Reached,
    found: &mut Matches,
) -> Result<()> {
    let Some((least, most)) = step.length else { return Ok(()) };
    let (start, run) = (seeds.nodes[step.from][row], row as u32);
    let all_ways = search.wanted.shortest == Some(Shortest::All);
    reached.by[start as usize] = (run, 0);
    let is_end = |search: &Search<'_>, node: u32| allows(&search.plan.nodes[step.to], node);
    if least == 0 && is_end(search, start) {
        found.push(seeds, row);
        found.bind_node(step.to, start);
    }
    let mut left = reached.ends.map(|ends| ends - usize::from(is_end(search, start)));
    let mut open = vec![(NONE, start)];
    for level in 1..=most {
        let mut next = Vec::new();
        for (path, node) in open {
            if level > 1 && !allows(&search.plan.inner[step.edge], node) {
                continue;
            }
            let mut tried = 0;
            for (edge, other) in search.elements.near(node, step.direction) {
                tried += 1;
                let (by, when) = reached.by[other as usize];
                let first = by != run;
                if !(first || (all_ways && when == level)) || !allows(&search.plan.edges[step.edge], edge) {
                    continue;
                }
                reached.by[other as usize] = (run, level);
                let path = search.paths.extend(path, edge, other);
                next.push((path, other));
                if is_end(search, other) {
                    left = left.map(|left| left - usize::from(first));
                    found.push(seeds, row);
                    found.bind_edge(step.edge, path);
                    found.bind_node(step.to, other);
                }
            }
            search.try_edges(tried)?;
        }
        if next.is_empty() || left == Some(0) {
            return Ok(());
        }
        open = next;
    }
    Ok(())
}
