//! Key paths as numbers: a trie whose node 0 is the value itself.
//!
//! Below the node of an array there is one node for all of its elements, which no key leads to; the paths inside of
//! elements hang below that. A node's *base* is the nearest of these above it, or the root: what its value is shredded with.

use std::collections::HashMap;

/// The number of a path.
pub(crate) type PathId = u32;

/// The path without keys.
pub(crate) const ROOT: PathId = 0;

/// Numbers paths in order of first appearance.
#[derive(Debug, Clone)]
pub(crate) struct Paths {
    nodes: Vec<Node>,
    max: usize,
    objects: u64,
}

#[derive(Debug, Clone)]
struct Node {
    parent: PathId,
    depth: u32,
    /// The object in which this member was seen last.
    marked: u64,
    key: Box<str>,
    /// The key as JSON, with its colon.
    quoted: Box<str>,
    children: HashMap<Box<str>, PathId>,
    /// The node of the elements, when this is an array's.
    elements: Option<PathId>,
    base: PathId,
}

impl Paths {
    /// Holds at most `max` paths.
    pub(crate) fn new(max: usize) -> Self {
        let root = Node::new(ROOT, 0, ROOT);
        Paths { nodes: vec![root], max, objects: 0 }
    }

    /// The same paths, with room for those of residues.
    pub(crate) fn tracking(&self) -> Self {
        Paths { max: usize::MAX, ..self.clone() }
    }

    /// How many nodes there are, the root included.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// The number of `key` below `parent`; `None` when there is no room for a new one.
    pub(crate) fn intern(&mut self, parent: PathId, key: &str) -> Option<PathId> {
        if let Some(&id) = self.nodes[parent as usize].children.get(key) {
            return Some(id);
        }
        if self.nodes.len() > self.max {
            return None;
        }
        let id = self.nodes.len() as PathId;
        let above = &mut self.nodes[parent as usize];
        above.children.insert(key.into(), id);
        let node = Node::new(parent, above.depth + 1, above.base);
        let quoted = format!("{}:", kyma_core::dynamic::quote(key)).into();
        self.nodes.push(Node { key: key.into(), quoted, ..node });
        Some(id)
    }

    /// The number of the elements of arrays at `parent`; `None` when there is no room for a new one.
    pub(crate) fn intern_elements(&mut self, parent: PathId) -> Option<PathId> {
        if let Some(id) = self.nodes[parent as usize].elements {
            return Some(id);
        }
        if self.nodes.len() > self.max {
            return None;
        }
        let id = self.nodes.len() as PathId;
        let above = &mut self.nodes[parent as usize];
        above.elements = Some(id);
        let node = Node::new(parent, above.depth + 1, id);
        self.nodes.push(node);
        Some(id)
    }

    /// The number of the elements of arrays at `id`, if it has been seen.
    pub(crate) fn elements(&self, id: PathId) -> Option<PathId> {
        self.nodes[id as usize].elements
    }

    /// Whether `id` stands for the elements of its parent.
    pub(crate) fn is_elements(&self, id: PathId) -> bool {
        id != ROOT && self.base(id) == id
    }

    /// The nearest node of elements at or above `id`, or the root.
    pub(crate) fn base(&self, id: PathId) -> PathId {
        self.nodes[id as usize].base
    }

    /// The order of all paths: see [`Ranks`].
    pub(crate) fn ranks(&self) -> Ranks {
        let mut sizes = vec![1_u32; self.nodes.len()];
        for id in (1..self.nodes.len()).rev() {
            sizes[self.nodes[id].parent as usize] += sizes[id];
        }
        let mut ranks = vec![0_u32; self.nodes.len()];
        // The rank of the next child of each node.
        let mut next = vec![1_u32; self.nodes.len()];
        for id in 1..self.nodes.len() {
            let parent = self.nodes[id].parent as usize;
            ranks[id] = next[parent];
            next[parent] += sizes[id];
            next[id] = ranks[id] + 1;
        }
        Ranks { ranks, sizes }
    }

    /// A new number for an object whose members are about to be marked.
    pub(crate) fn next_object(&mut self) -> u64 {
        self.objects += 1;
        self.objects
    }

    /// Marks a member of `object`; false when it was marked before: a duplicate key.
    pub(crate) fn mark(&mut self, member: PathId, object: u64) -> bool {
        std::mem::replace(&mut self.nodes[member as usize].marked, object) != object
    }

    /// The number of a path that has been seen.
    pub(crate) fn find(&self, keys: &[String]) -> Option<PathId> {
        keys.iter().try_fold(ROOT, |at, key| self.nodes[at as usize].children.get(key.as_str()).copied())
    }

    /// The path above.
    pub(crate) fn parent(&self, id: PathId) -> PathId {
        self.nodes[id as usize].parent
    }

    /// The last key.
    pub(crate) fn key(&self, id: PathId) -> &str {
        &self.nodes[id as usize].key
    }

    /// The last key as JSON with its colon.
    pub(crate) fn quoted(&self, id: PathId) -> &str {
        &self.nodes[id as usize].quoted
    }

    /// How many keys the path has.
    pub(crate) fn depth(&self, id: PathId) -> usize {
        self.nodes[id as usize].depth as usize
    }

    /// The numbers from below the root down to `id`.
    pub(crate) fn chain(&self, id: PathId) -> Vec<PathId> {
        let mut chain = Vec::with_capacity(self.depth(id));
        let mut at = id;
        while at != ROOT {
            chain.push(at);
            at = self.parent(at);
        }
        chain.reverse();
        chain
    }

    /// The keys of a path.
    pub(crate) fn keys(&self, id: PathId) -> Vec<String> {
        self.chain(id).into_iter().map(|at| self.key(at).to_owned()).collect()
    }

    /// Whether `id` is `ancestor` or lies below it.
    pub(crate) fn is_within(&self, id: PathId, ancestor: PathId) -> bool {
        let mut at = id;
        while self.depth(at) > self.depth(ancestor) {
            at = self.parent(at);
        }
        at == ancestor
    }

    /// `column.key.key` of a path.
    pub(crate) fn dotted(&self, column: &str, id: PathId) -> String {
        let mut text = column.to_owned();
        for at in self.chain(id) {
            match self.is_elements(at) {
                true => text.push_str("[]"),
                false => {
                    text.push('.');
                    text.push_str(self.key(at));
                }
            }
        }
        text
    }

    /// Roughly how much memory this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.iter().map(|node| 160 + 4 * node.key.len()).sum()
    }
}

/// The order of paths in which each object's members follow it, by first appearance.
#[derive(Debug)]
pub(crate) struct Ranks {
    ranks: Vec<u32>,
    /// Nodes at or below each.
    sizes: Vec<u32>,
}

impl Ranks {
    /// The place of a path.
    pub(crate) fn rank(&self, id: PathId) -> u32 {
        self.ranks[id as usize]
    }

    /// Whether `id` is `ancestor` or lies below it.
    pub(crate) fn is_within(&self, id: PathId, ancestor: PathId) -> bool {
        self.rank(id).checked_sub(self.rank(ancestor)).is_some_and(|below| below < self.sizes[ancestor as usize])
    }
}

impl Node {
    /// A node without a key.
    fn new(parent: PathId, depth: u32, base: PathId) -> Self {
        let (key, quoted) = ("".into(), "".into());
        Node { parent, depth, marked: 0, key, quoted, children: HashMap::new(), elements: None, base }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_keep_members_together() {
        let mut paths = Paths::new(99);
        let a = paths.intern(ROOT, "a").unwrap();
        let b = paths.intern(ROOT, "b").unwrap();
        let a_c = paths.intern(a, "c").unwrap();
        let b_elements = paths.intern_elements(b).unwrap();
        let b_elements_k = paths.intern(b_elements, "k").unwrap();
        let a_d = paths.intern(a, "d").unwrap();
        let ranks = paths.ranks();
        let mut ids = [ROOT, a, b, a_c, b_elements, b_elements_k, a_d];
        ids.sort_by_key(|&id| ranks.rank(id));
        assert!(ranks.is_within(a_d, a) && !ranks.is_within(b, a) && ranks.is_within(b_elements_k, b));
        assert_eq!(ids, [ROOT, a, a_c, a_d, b, b_elements, b_elements_k]);
        assert_eq!(paths.dotted("d", b_elements_k), "d.b[].k");
        assert_eq!((paths.base(a_d), paths.base(b), paths.base(b_elements_k)), (ROOT, ROOT, b_elements));
        assert_eq!(paths.intern(b, "[]").map(|id| paths.is_elements(id)), Some(false));
    }
}
