//! Puts leaves together into JSON.

use arrow::array::{Array, ArrayRef, AsArray, StringViewArray, StringViewBuilder};
use arrow::datatypes::{Float64Type, Int64Type};
use kyma_core::dynamic;
use kyma_core::error::Result;
use kyma_core::types::Type;

use super::paths::{PathId, Paths, ROOT};
use super::scan::{Scanned, real_text, scan};
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
        for at in paths.chain(parent).into_iter().skip(depth_open) {
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
        let mut row_leaves: Vec<(PathId, String)> = Vec::new();
        let mut text = String::new();
        for row in 0..self.residue.len() {
            if self.residue.is_null(row) {
                out.append_null();
                continue;
            }
            row_leaves.clear();
            for (path, ty, values) in &self.columns {
                if values.is_valid(row) {
                    row_leaves.push((*path, leaf_text(*ty, values, row)));
                }
            }
            let residue = self.residue.value(row);
            if row_leaves.is_empty() {
                out.append_value(residue);
                continue;
            }
            if !residue.is_empty() {
                self.paths = add_residue(self.paths, residue, &mut row_leaves)?;
            }
            text.clear();
            write(row_leaves.iter().map(|(path, raw)| (*path, raw.as_str())), &self.paths, &mut text);
            out.append_value(&text);
        }
        Ok(out.finish())
    }
}

/// Adds a residue's leaves in an order that keeps each object's members together.
fn add_residue(mut paths: Paths, residue: &str, row_leaves: &mut Vec<(PathId, String)>) -> Result<Paths> {
    let (mut leaves, mut objects) = (Vec::new(), Vec::new());
    if scan(residue, &mut paths, &mut leaves, &mut objects) != Scanned::Leaves {
        return Err(corrupt("a residue is not what was written"));
    }
    row_leaves
        .extend(leaves.iter().map(|leaf| (leaf.path, residue[leaf.start as usize..leaf.end as usize].to_owned())));
    row_leaves.sort_by_cached_key(|(path, _)| paths.chain(*path));
    Ok(paths)
}

/// The JSON of one value of a sub-column.
pub(crate) fn leaf_text(ty: Type, values: &ArrayRef, row: usize) -> String {
    match ty {
        Type::Long => values.as_primitive::<Int64Type>().value(row).to_string(),
        Type::Real => real_text(values.as_primitive::<Float64Type>().value(row)),
        Type::Bool => values.as_boolean().value(row).to_string(),
        _ => dynamic::quote(values.as_string_view().value(row)),
    }
}
