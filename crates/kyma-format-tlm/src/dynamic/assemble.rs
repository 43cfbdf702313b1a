//! Puts leaves together into JSON.

use arrow::array::{Array, ArrayRef, StringViewArray, StringViewBuilder};
use kyma_core::error::Result;
use kyma_core::types::Type;

use super::convert::member_at;
use super::paths::{PathId, Paths, ROOT};
use super::scan::{Scanned, scan};
use crate::wire::corrupt;

/// Appends the object that `leaves` make; leaves of one object must follow each other. No leaves, no text.
pub(crate) fn write<'a>(leaves: impl Iterator<Item = (PathId, &'a str)>, paths: &Paths, out: &mut String) {
    let mut open: Vec<PathId> = Vec::new();
    for (path, raw) in leaves {
        if path == ROOT {
            return out.push_str(raw);
        }
        if open.is_empty() {
            out.push('{');
            open.push(ROOT);
        }
        let parent = paths.parent(path);
        while let Some(&last) = open.last() {
            if paths.is_within(parent, last) {
                break;
            }
            out.push('}');
            open.pop();
        }
        let depth_open = open.len() - 1;
        let missing = if paths.depth(parent) > depth_open { paths.chain(parent) } else { Vec::new() };
        for at in missing.into_iter().skip(depth_open) {
            separate(out);
            out.push_str(paths.quoted(at));
            out.push('{');
            open.push(at);
        }
        separate(out);
        out.push_str(paths.quoted(path));
        out.push_str(raw);
    }
    open.iter().for_each(|_| out.push('}'));
}

fn separate(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

/// Shredded sub-columns of a block and what is needed to print them.
#[derive(Debug)]
pub(crate) struct Parts {
    /// The paths that were written, extended by those of residues.
    pub(crate) paths: Paths,
    /// Sub-columns: path, type, values.
    pub(crate) columns: Vec<(PathId, Type, ArrayRef)>,
    /// See [`super::shred::Shredded::residue`].
    pub(crate) residue: StringViewArray,
}

impl Parts {
    /// The values as they were, but for the order of members.
    pub(crate) fn rows(mut self) -> Result<StringViewArray> {
        self.columns.sort_by_cached_key(|(path, _, _)| self.paths.chain(*path));
        let mut out = StringViewBuilder::with_capacity(self.residue.len()).with_fixed_block_size(1 << 20);
        let mut leaves = RowLeaves::default();
        let mut text = String::new();
        for row in 0..self.residue.len() {
            if self.residue.is_null(row) {
                out.append_null();
                continue;
            }
            leaves.clear();
            for (path, ty, values) in &self.columns {
                if let Some(member) = member_at(values, *ty, row) {
                    leaves.push(*path, |raws| member.write_json(raws));
                }
            }
            let residue = self.residue.value(row);
            if leaves.places.is_empty() {
                out.append_value(residue);
                continue;
            }
            if !residue.is_empty() {
                leaves.add_residue(residue, &mut self.paths)?;
            }
            text.clear();
            write(leaves.iter(), &self.paths, &mut text);
            out.append_value(&text);
        }
        Ok(out.finish())
    }
}

/// The leaves of one row, their texts in one string.
#[derive(Debug, Default)]
struct RowLeaves {
    raws: String,
    /// Path, and first and one past the last byte of its text.
    places: Vec<(PathId, usize, usize)>,
}

impl RowLeaves {
    fn clear(&mut self) {
        self.raws.clear();
        self.places.clear();
    }

    fn push(&mut self, path: PathId, write_raw: impl FnOnce(&mut String)) {
        let start = self.raws.len();
        write_raw(&mut self.raws);
        self.places.push((path, start, self.raws.len()));
    }

    fn iter(&self) -> impl Iterator<Item = (PathId, &str)> {
        self.places.iter().map(|&(path, start, end)| (path, &self.raws[start..end]))
    }

    /// Adds a residue's leaves in an order that keeps each object's members together.
    fn add_residue(&mut self, residue: &str, paths: &mut Paths) -> Result<()> {
        let (mut leaves, mut objects) = (Vec::new(), Vec::new());
        if scan(residue, paths, &mut leaves, &mut objects) != Scanned::Leaves {
            return Err(corrupt("a residue is not what was written"));
        }
        for leaf in leaves {
            self.push(leaf.path, |raws| raws.push_str(&residue[leaf.start as usize..leaf.end as usize]));
        }
        self.places.sort_by_cached_key(|(path, _, _)| paths.chain(*path));
        Ok(())
    }
}
