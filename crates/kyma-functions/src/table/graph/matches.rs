//! Matches while they are found: columns of numbers, with paths kept as chains that share their beginnings.

/// Not bound yet; of a path: no edge.
pub(super) const NONE: u32 = u32::MAX;

/// Partial matches: a column per node variable and one per edge of the pattern.
#[derive(Debug, Clone)]
pub(super) struct Matches {
    /// Nodes.
    pub(super) nodes: Vec<Vec<u32>>,
    /// Edges, or the last links of paths in [`Paths`].
    pub(super) edges: Vec<Vec<u32>>,
    rows: usize,
}

impl Matches {
    /// None, of a pattern with so many node variables and edges.
    pub(super) fn new(nodes: usize, edges: usize) -> Matches {
        Matches { nodes: vec![Vec::new(); nodes], edges: vec![Vec::new(); edges], rows: 0 }
    }

    /// None, of the same pattern.
    pub(super) fn like(&self) -> Matches {
        Matches::new(self.nodes.len(), self.edges.len())
    }

    pub(super) fn len(&self) -> usize {
        self.rows
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Adds a match that binds nothing.
    pub(super) fn push_free(&mut self) {
        self.nodes.iter_mut().chain(&mut self.edges).for_each(|column| column.push(NONE));
        self.rows += 1;
    }

    /// Adds a match of another batch.
    pub(super) fn push(&mut self, other: &Matches, row: usize) {
        let columns = self.nodes.iter_mut().zip(&other.nodes).chain(self.edges.iter_mut().zip(&other.edges));
        columns.for_each(|(column, other)| column.push(other[row]));
        self.rows += 1;
    }

    /// Binds a node in the last match.
    pub(super) fn bind_node(&mut self, variable: usize, node: u32) {
        if let Some(last) = self.nodes[variable].last_mut() {
            *last = node;
        }
    }

    /// Binds an edge, or a path, in the last match.
    pub(super) fn bind_edge(&mut self, edge: usize, bound: u32) {
        if let Some(last) = self.edges[edge].last_mut() {
            *last = bound;
        }
    }

    /// The matches from `row` on.
    pub(super) fn split_off(&mut self, row: usize) -> Matches {
        let rest = |columns: &mut Vec<Vec<u32>>| columns.iter_mut().map(|column| column.split_off(row)).collect();
        let rest = Matches { nodes: rest(&mut self.nodes), edges: rest(&mut self.edges), rows: self.rows - row };
        self.rows = row;
        rest
    }

    /// The matches that are kept.
    pub(super) fn retain(&mut self, kept: &[bool]) {
        for column in self.nodes.iter_mut().chain(&mut self.edges) {
            let mut flags = kept.iter();
            column.retain(|_| flags.next().copied().unwrap_or(false));
        }
        self.rows = kept.iter().filter(|kept| **kept).count();
    }
}

/// A link of a path: an edge and the node it led to, after the link before.
#[derive(Debug, Clone, Copy)]
pub(super) struct Link {
    before: u32,
    pub(super) edge: u32,
    pub(super) node: u32,
}

/// Paths, each known by the number of its last link.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<Link>);

impl Paths {
    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// Forgets the links from `len` on.
    pub(super) fn truncate(&mut self, len: usize) {
        self.0.truncate(len);
    }

    /// The path that goes one edge further.
    pub(super) fn extend(&mut self, path: u32, edge: u32, node: u32) -> u32 {
        self.0.push(Link { before: path, edge, node });
        (self.0.len() - 1) as u32
    }

    /// The links, last first.
    pub(super) fn links(&self, path: u32) -> impl Iterator<Item = Link> {
        let mut at = path;
        std::iter::from_fn(move || {
            let link = self.0.get(at as usize).copied()?;
            at = link.before;
            Some(link)
        })
    }

    /// The node where a path has come to, if it has any edge.
    pub(super) fn end(&self, path: u32) -> Option<u32> {
        self.0.get(path as usize).map(|link| link.node)
    }
}
