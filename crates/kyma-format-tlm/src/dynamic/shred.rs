//! Takes the rows of one block apart.
//!
//! 1. Scan every row; count leaves per path and kind.
//! 2. Choose: a path and kind in at least a twentieth of the rows, with bytes that are worth a piece; at most 256, the
//!    most frequent.
//! 3. Move the chosen leaves into sub-columns; the others are the row's residue.
//! 4. A path is *complete* when no row's residue has a value other than `null` there, and no object lies there: then a
//!    read of the path needs its sub-columns only.
//! 5. The elements of chosen arrays are rows again, of the column `path[]`.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Float64Builder, Int64Array, Int64Builder, StringViewArray, StringViewBuilder,
};
use kyma_core::types::Type;

use super::paths::{PathId, Paths};
use super::presence::Presence;
use super::residue::Remains;
use super::scan::{self, Kind, Leaf, Scanned, scan};
use crate::limits::{
    ELEMENTS_MAX, LIST_DEPTH_MAX, SHREDDED_DEPTH_MAX, SHREDDED_PATHS_MAX, SHREDDED_ROWS_SHARE, SHREDDED_TEXT_BYTES_MIN,
};

/// What becomes a sub-column of its own. A `null` stays: there is nothing to read faster.
const KINDS: [Kind; 6] = [Kind::Long, Kind::Real, Kind::Bool, Kind::Text, Kind::Array, Kind::Other];

/// A block of a dynamic column, taken apart.
#[derive(Debug)]
pub(crate) struct Shredded<'a> {
    pub(crate) base: PathId,
    /// What stays of each row.
    pub(crate) remains: Remains<'a>,
    pub(crate) columns: Vec<SubColumn<'a>>,
    /// Paths that occur, ascending; `None` when some row is opaque.
    pub(crate) present: Option<Vec<PathId>>,
    /// Rows that have the paths which no sub-column knows wholly.
    pub(crate) presence: Vec<Presence>,
}

/// The values of one kind under one path.
#[derive(Debug)]
pub(crate) struct SubColumn<'a> {
    pub(crate) path: PathId,
    /// Dynamic for JSON texts.
    pub(crate) ty: Type,
    /// Whether no residue has a value other than `null` here.
    pub(crate) complete: bool,
    pub(crate) values: ArrayRef,
    /// The same values as lists, when all of them are arrays.
    pub(crate) list: Option<List<'a>>,
}

/// Arrays: how many elements each row has, and these as rows.
#[derive(Debug)]
pub(crate) struct List<'a> {
    /// Null where a row has no array here.
    pub(crate) lengths: Int64Array,
    pub(crate) elements: Box<Shredded<'a>>,
}

/// Takes `rows` apart, arrays and other texts only `with_texts`; paths are numbered in `paths`.
pub(crate) fn shred<'a>(rows: &'a StringViewArray, with_texts: bool, paths: &mut Paths) -> Shredded<'a> {
    shred_rows(rows.iter().collect(), super::paths::ROOT, with_texts, paths, 0)
}

fn shred_rows<'a>(
    rows: Vec<Option<&'a str>>,
    base: PathId,
    with_texts: bool,
    paths: &mut Paths,
    depth: usize,
) -> Shredded<'a> {
    let scanned = Leaves::of(&rows, base, paths);
    let chosen = scanned.choose(rows.len(), with_texts, paths);
    let mut column_of = vec![[None; KINDS.len()]; paths.len()];
    for (column, &(path, kind)) in chosen.iter().enumerate() {
        column_of[path as usize][place(kind).unwrap_or_default()] = Some(column);
    }
    let mut builders: Vec<Builder> = chosen.iter().map(|&(_, kind)| Builder::new(kind)).collect();
    let mut arrays: Vec<Vec<(usize, &'a str)>> = vec![Vec::new(); chosen.len()];
    let mut in_residue = scanned.in_opaque.clone();
    in_residue.resize(paths.len(), false);
    scanned.objects.iter().for_each(|&path| in_residue[path as usize] = true);
    let mut remains = Remains { rows, leaves: Vec::new(), ends: Vec::new() };
    for (row, text) in remains.rows.iter().enumerate() {
        let text: &'a str = text.unwrap_or_default();
        for leaf in scanned.leaves_of(row) {
            let raw = &text[leaf.start as usize..leaf.end as usize];
            match place(leaf.kind).and_then(|kind| column_of[leaf.path as usize][kind]) {
                Some(column) => {
                    builders[column].push(row, raw);
                    if leaf.kind == Kind::Array {
                        arrays[column].push((row, raw));
                    }
                }
                None => {
                    in_residue[leaf.path as usize] |= leaf.kind != Kind::Null;
                    remains.leaves.push(*leaf);
                }
            }
        }
        remains.ends.push(remains.leaves.len());
    }
    let count = remains.rows.len();
    let is_complete = |path: PathId| !scanned.is_opaque && !in_residue[path as usize];
    let presence = match depth {
        0 if !scanned.is_opaque => Presence::of(&scanned, count, paths, |path| {
            is_complete(path) && column_of[path as usize].iter().any(Option::is_some)
        }),
        _ => Vec::new(),
    };
    let mut columns = Vec::with_capacity(chosen.len());
    for ((&(path, kind), builder), arrays) in chosen.iter().zip(builders).zip(arrays) {
        let list = match kind {
            Kind::Array if depth < LIST_DEPTH_MAX => list(&arrays, path, count, paths, depth),
            _ => None,
        };
        columns.push(SubColumn {
            path,
            ty: ty_of(kind),
            complete: is_complete(path),
            values: builder.finish(count),
            list,
        });
    }
    Shredded { base, remains, columns, present: scanned.present(), presence }
}

/// The place of a kind among [`KINDS`]; `None` for what always stays.
fn place(kind: Kind) -> Option<usize> {
    KINDS.iter().position(|known| *known == kind)
}

fn ty_of(kind: Kind) -> Type {
    match kind {
        Kind::Long => Type::Long,
        Kind::Real => Type::Real,
        Kind::Bool => Type::Bool,
        Kind::Text => Type::String,
        Kind::Array | Kind::Null | Kind::Other | Kind::Raw => Type::Dynamic,
    }
}

/// The arrays of `rows` rows as lists; `None` when there are too many elements or paths.
fn list<'a>(
    arrays: &[(usize, &'a str)],
    path: PathId,
    rows: usize,
    paths: &mut Paths,
    depth: usize,
) -> Option<List<'a>> {
    let base = paths.intern_elements(path)?;
    let (mut elements, mut places) = (Vec::new(), Vec::new());
    let mut lengths = vec![None; rows];
    for &(row, text) in arrays {
        places.clear();
        if !scan::elements(text, &mut places) || elements.len() + places.len() > ELEMENTS_MAX {
            return None;
        }
        elements.extend(places.iter().map(|&(start, end)| Some(&text[start as usize..end as usize])));
        lengths[row] = Some(places.len() as i64);
    }
    let elements = Box::new(shred_rows(elements, base, true, paths, depth + 1));
    Some(List { lengths: Int64Array::from(lengths), elements })
}

/// The leaves of a block, row after row.
pub(crate) struct Leaves {
    leaves: Vec<Leaf>,
    ends: Vec<usize>,
    /// Paths of non-empty objects, once each.
    objects: Vec<PathId>,
    /// Per path: whether a row with duplicate keys has it.
    in_opaque: Vec<bool>,
    seen: Vec<bool>,
    is_opaque: bool,
    /// Rows with duplicate keys.
    pub(crate) duplicates: Vec<u32>,
}

impl Leaves {
    fn of(rows: &[Option<&str>], base: PathId, paths: &mut Paths) -> Self {
        let mut all = Leaves {
            leaves: Vec::new(),
            ends: Vec::with_capacity(rows.len()),
            objects: Vec::new(),
            in_opaque: Vec::new(),
            seen: Vec::new(),
            is_opaque: false,
            duplicates: Vec::new(),
        };
        let mut is_object = Vec::new();
        let mut objects = Vec::new();
        for (row, text) in rows.iter().enumerate() {
            let start = all.leaves.len();
            objects.clear();
            let outcome = text.map(|text| scan(text, base, paths, &mut all.leaves, &mut objects));
            all.seen.resize(paths.len(), false);
            all.in_opaque.resize(paths.len(), false);
            is_object.resize(paths.len(), false);
            match outcome {
                None | Some(Scanned::Leaves) => {}
                Some(Scanned::Duplicates) => {
                    all.leaves[start..].iter().for_each(|leaf| all.in_opaque[leaf.path as usize] = true);
                    all.duplicates.push(row as u32);
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
                let end = text.map_or(0, str::len) as u32;
                all.leaves.truncate(start);
                all.leaves.push(Leaf { path: base, kind: Kind::Raw, start: 0, end });
            }
            all.ends.push(all.leaves.len());
        }
        all
    }

    /// The leaves of a row.
    pub(crate) fn leaves_of(&self, row: usize) -> &[Leaf] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.leaves[start..self.ends[row]]
    }

    /// The paths to shred with their kinds, by first appearance.
    fn choose(&self, rows: usize, with_texts: bool, paths: &Paths) -> Vec<(PathId, Kind)> {
        let mut counts = vec![[(0_u32, 0_usize); KINDS.len()]; paths.len()];
        for leaf in &self.leaves {
            if let Some(kind) = place(leaf.kind) {
                let (count, bytes) = &mut counts[leaf.path as usize][kind];
                *count += 1;
                *bytes += paths.quoted(leaf.path).len() + (leaf.end - leaf.start) as usize;
            }
        }
        let mut frequent: Vec<(u32, PathId, usize)> = Vec::new();
        for (path, counts) in counts.iter().enumerate() {
            let path = path as PathId;
            for (kind, &(count, bytes)) in counts.iter().enumerate() {
                let is_frequent = count > 0 && count as usize * SHREDDED_ROWS_SHARE >= rows;
                let is_text = ty_of(KINDS[kind]) == Type::Dynamic;
                let is_worth = !is_text || with_texts && bytes >= SHREDDED_TEXT_BYTES_MIN;
                if is_frequent && is_worth && paths.depth(path) - paths.depth(paths.base(path)) <= SHREDDED_DEPTH_MAX {
                    frequent.push((count, path, kind));
                }
            }
        }
        frequent.sort_unstable_by_key(|&(count, path, kind)| (std::cmp::Reverse(count), path, kind));
        frequent.truncate(SHREDDED_PATHS_MAX);
        frequent.sort_unstable_by_key(|&(_, path, kind)| (path, kind));
        frequent.into_iter().map(|(_, path, kind)| (path, KINDS[kind])).collect()
    }

    /// Whether some row has a value at the path or below it, be it `null`.
    pub(crate) fn is_seen(&self, path: PathId) -> bool {
        self.seen.get(path as usize).copied().unwrap_or_default()
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
    Json(StringViewBuilder),
}

impl Builder {
    fn new(kind: Kind) -> Self {
        match kind {
            Kind::Long => Builder::Long(Int64Builder::new()),
            Kind::Real => Builder::Real(Float64Builder::new()),
            Kind::Bool => Builder::Bool(BooleanBuilder::new()),
            Kind::Text => Builder::Text(StringViewBuilder::new()),
            Kind::Array | Kind::Null | Kind::Other | Kind::Raw => Builder::Json(StringViewBuilder::new()),
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
            Builder::Text(builder) | Builder::Json(builder) => {
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
            Builder::Json(builder) => builder.append_value(raw),
        }
    }

    fn finish(mut self, rows: usize) -> ArrayRef {
        self.pad(rows);
        match self {
            Builder::Long(mut builder) => Arc::new(builder.finish()),
            Builder::Real(mut builder) => Arc::new(builder.finish()),
            Builder::Bool(mut builder) => Arc::new(builder.finish()),
            Builder::Text(mut builder) | Builder::Json(mut builder) => Arc::new(builder.finish()),
        }
    }
}
