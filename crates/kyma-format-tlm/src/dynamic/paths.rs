//! Key paths as numbers: a trie whose node 0 is the value itself.

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
}

impl Paths {
    /// Holds at most `max` paths.
    pub(crate) fn new(max: usize) -> Self {
        let root =
            Node { parent: ROOT, depth: 0, marked: 0, key: "".into(), quoted: "".into(), children: HashMap::new() };
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
        let depth = self.nodes[parent as usize].depth + 1;
        let quoted = format!("{}:", kyma_core::dynamic::quote(key)).into();
        self.nodes.push(Node { parent, depth, marked: 0, key: key.into(), quoted, children: HashMap::new() });
        self.nodes[parent as usize].children.insert(key.into(), id);
        Some(id)
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
            text.push('.');
            text.push_str(self.key(at));
        }
        text
    }

    /// Roughly how much memory this takes.
    pub(crate) fn memory_bytes(&self) -> usize {
        self.nodes.iter().map(|node| 160 + 4 * node.key.len()).sum()
    }
}
