//! Takes the rows of one block apart.
//!
//! 1. Scan every row; count leaves per path and kind.
//! 2. Choose: a path in at least a twentieth of the rows, by its most frequent kind; at most 256, the most frequent.
//! 3. Move the chosen leaves into sub-columns; print the others as the row's residue.
//! 4. A sub-column is *complete* when no row's residue has a value other than `null` at its path: then a read of the path needs nothing else.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanBuilder, Float64Builder, Int64Builder, StringViewArray, StringViewBuilder};
use kyma_core::types::Type;

use super::assemble;
use super::paths::{PathId, Paths, ROOT};
use super::scan::{Kind, Leaf, Scanned, scan};
use crate::limits::{SHREDDED_DEPTH_MAX, SHREDDED_PATHS_MAX, SHREDDED_ROWS_SHARE};

const KINDS: [(Kind, Type); 4] =
    [(Kind::Long, Type::Long), (Kind::Real, Type::Real), (Kind::Bool, Type::Bool), (Kind::Text, Type::String)];

/// A block of a dynamic column, taken apart.
#[derive(Debug)]
pub(crate) struct Shredded {
    /// Null where the row is null, `""` where every leaf was moved, else JSON.
    pub(crate) residue: StringViewArray,
    /// Typed sub-columns.
    pub(crate) columns: Vec<SubColumn>,
    /// Paths that occur, ascending; `None` when some row is opaque.
    pub(crate) present: Option<Vec<PathId>>,
}

/// The values under one path.
#[derive(Debug)]
pub(crate) struct SubColumn {
    pub(crate) path: PathId,
    pub(crate) ty: Type,
    /// Whether no residue has a value other than `null` here.
    pub(crate) complete: bool,
    pub(crate) values: ArrayRef,
}

/// Takes `rows` apart; paths are numbered in `paths`.
pub(crate) fn shred(rows: &StringViewArray, paths: &mut Paths) -> Shredded {
    let scanned = Scanned_::of(rows, paths);
    let chosen = scanned.choose(rows.len(), paths);
    let mut builders: Vec<Builder> = chosen.iter().map(|&(_, kind)| Builder::new(kind)).collect();
    let mut column_of = vec![None; paths.len()];
    chosen.iter().enumerate().for_each(|(column, &(path, kind))| column_of[path as usize] = Some((column, kind)));

    let mut in_residue = scanned.in_opaque.clone();
    in_residue.resize(paths.len(), false);
    scanned.objects.iter().for_each(|&path| in_residue[path as usize] = true);
    let mut residue = StringViewBuilder::with_capacity(rows.len());
    let mut rest: Vec<Leaf> = Vec::new();
    let mut text = String::new();
    for row in 0..rows.len() {
        let leaves = scanned.leaves_of(row);
        rest.clear();
        for leaf in leaves {
            match column_of[leaf.path as usize] {
                Some((column, kind)) if kind == leaf.kind => {
                    builders[column].push(row, &rows.value(row)[leaf.start as usize..leaf.end as usize]);
                }
                _ => rest.push(*leaf),
            }
        }
        let values = rest.iter().filter(|leaf| leaf.kind != Kind::Null);
        values.for_each(|leaf| in_residue[leaf.path as usize] = true);
        if rows.is_null(row) {
            residue.append_null();
        } else if rest.len() == leaves.len() {
            residue.append_value(rows.value(row));
        } else {
            text.clear();
            let raw = |leaf: &Leaf| &rows.value(row)[leaf.start as usize..leaf.end as usize];
            assemble::write(rest.iter().map(|leaf| (leaf.path, raw(leaf))), paths, &mut text);
            residue.append_value(&text);
        }
    }
    let columns = chosen.iter().zip(builders).map(|(&(path, kind), builder)| SubColumn {
        path,
        ty: ty_of(kind),
        complete: !scanned.is_opaque && !in_residue[path as usize],
        values: builder.finish(rows.len()),
    });
    Shredded { columns: columns.collect(), residue: residue.finish(), present: scanned.present() }
}

fn ty_of(kind: Kind) -> Type {
    KINDS.iter().find(|(known, _)| *known == kind).map_or(Type::String, |(_, ty)| *ty)
}

/// The leaves of a block, row after row.
struct Scanned_ {
    leaves: Vec<Leaf>,
    ends: Vec<usize>,
    /// Paths of non-empty objects, once each.
    objects: Vec<PathId>,
    /// Per path: whether a row with duplicate keys has it.
    in_opaque: Vec<bool>,
    seen: Vec<bool>,
    is_opaque: bool,
}

impl Scanned_ {
    fn of(rows: &StringViewArray, paths: &mut Paths) -> Self {
        let mut all = Scanned_ {
            leaves: Vec::new(),
            ends: Vec::with_capacity(rows.len()),
            objects: Vec::new(),
            in_opaque: Vec::new(),
            seen: Vec::new(),
            is_opaque: false,
        };
        let mut is_object = Vec::new();
        let mut objects = Vec::new();
        for row in rows {
            let start = all.leaves.len();
            objects.clear();
            let outcome = row.map(|text| scan(text, paths, &mut all.leaves, &mut objects));
            all.seen.resize(paths.len(), false);
            all.in_opaque.resize(paths.len(), false);
            is_object.resize(paths.len(), false);
            match outcome {
                None | Some(Scanned::Leaves) => {}
                Some(Scanned::Duplicates) => {
                    all.leaves[start..].iter().for_each(|leaf| all.in_opaque[leaf.path as usize] = true);
                }
                Some(Scanned::Opaque) => all.is_opaque = true,
            }
            for path in all.leaves[start..].iter().map(|leaf| leaf.path).chain(objects.iter().copied()) {
                all.seen[path as usize] = true;
            }
            for &path in &objects {
                if !std::mem::replace(&mut is_object[path as usize], true) {
                    all.objects.push(path);
                }
            }
            if matches!(outcome, Some(Scanned::Duplicates | Scanned::Opaque)) {
                all.leaves.truncate(start);
            }
            all.ends.push(all.leaves.len());
        }
        all
    }

    fn leaves_of(&self, row: usize) -> &[Leaf] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.leaves[start..self.ends[row]]
    }

    /// The paths to shred with their kind, by first appearance.
    fn choose(&self, rows: usize, paths: &Paths) -> Vec<(PathId, Kind)> {
        let mut counts = vec![[0_u32; KINDS.len()]; paths.len()];
        for leaf in &self.leaves {
            if let Some(kind) = KINDS.iter().position(|(kind, _)| *kind == leaf.kind) {
                counts[leaf.path as usize][kind] += 1;
            }
        }
        let mut frequent: Vec<(u32, PathId, Kind)> = Vec::new();
        for (path, counts) in counts.iter().enumerate() {
            let path = path as PathId;
            let best = (0..KINDS.len()).max_by_key(|&kind| counts[kind]).unwrap_or_default();
            let is_frequent = counts[best] > 0 && counts[best] as usize * SHREDDED_ROWS_SHARE >= rows;
            if is_frequent && path != ROOT && paths.depth(path) <= SHREDDED_DEPTH_MAX {
                frequent.push((counts[best], path, KINDS[best].0));
            }
        }
        frequent.sort_unstable_by_key(|&(count, path, _)| (std::cmp::Reverse(count), path));
        frequent.truncate(SHREDDED_PATHS_MAX);
        frequent.sort_unstable_by_key(|&(_, path, _)| path);
        frequent.into_iter().map(|(_, path, kind)| (path, kind)).collect()
    }

    fn present(&self) -> Option<Vec<PathId>> {
        if self.is_opaque {
            return None;
        }
        let seen = (1..self.seen.len()).filter(|&path| self.seen[path]);
        Some(seen.map(|path| path as PathId).collect())
    }
}

/// A sub-column being filled; rows without a value become null.
enum Builder {
    Long(Int64Builder),
    Real(Float64Builder),
    Bool(BooleanBuilder),
    Text(StringViewBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Long => Builder::Long(Int64Builder::new()),
            Kind::Real => Builder::Real(Float64Builder::new()),
            Kind::Bool => Builder::Bool(BooleanBuilder::new()),
            Kind::Text | Kind::Null | Kind::Other => Builder::Text(StringViewBuilder::new()),
        }
    }

    fn pad(&mut self, row: usize) {
        match self {
            Builder::Long(builder) => builder.append_nulls(row - builder.values_slice().len()),
            Builder::Real(builder) => builder.append_nulls(row - builder.values_slice().len()),
            Builder::Bool(builder) => {
                let missing = row - arrow::array::ArrayBuilder::len(builder);
                builder.append_nulls(missing);
            }
            Builder::Text(builder) => {
                let missing = row - arrow::array::ArrayBuilder::len(builder);
                (0..missing).for_each(|_| builder.append_null());
            }
        }
    }

    /// Appends the leaf of `row`. The scan has checked that the text is of this kind.
    fn push(&mut self, row: usize, raw: &str) {
        self.pad(row);
        match self {
            Builder::Long(builder) => builder.append_option(raw.parse().ok()),
            Builder::Real(builder) => builder.append_option(raw.parse().ok()),
            Builder::Bool(builder) => builder.append_value(raw == "true"),
            Builder::Text(builder) => builder.append_value(kyma_core::dynamic::to_text(raw)),
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Builder::Long(mut builder) => Arc::new(builder.finish()),
            Builder::Real(mut builder) => Arc::new(builder.finish()),
            Builder::Bool(mut builder) => Arc::new(builder.finish()),
            Builder::Text(mut builder) => Arc::new(builder.finish()),
        }
    }
}
