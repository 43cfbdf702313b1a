//! Which rows of a block have a path.
//!
//! ```text
//! PRESENCE = start varint, per block and dynamic column: bitmaps varint, (path varint, size varint)*
//!            ascending paths, after the first their differences; size = 2 * bytes + kind; the bitmaps lie in this
//!            order from start on, each after its crc u32, which covers block, column, path, kind (u32 each) and bytes
//! kind     = ROWS | PAGES: a roaring bitmap of rows, or of pages of 1,024 rows
//! ```
//!
//! 1. A bitmap is kept for a path that some rows have and others lack, unless its sub-columns are complete: these know.
//! 2. One of more than [`PRESENCE_BYTES_MAX`] bytes tells pages apart only, and one that then tells nothing is left out.
//! 3. All bitmaps of a column take at most a sixteenth of its bytes: the smallest are kept.
//! 4. A block of one page has none: a page is what a read decodes.
//!
//! A set bit says that the row may have the path; no bit, that a read of the path gives null. Bitmaps are read when a
//! predicate is true only where a path is not null.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use bytes::Bytes;
use kyma_core::error::Result;
use kyma_core::format::{PruneRequest, Pruned, RangeReader};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::prune::Reason;
use kyma_core::text::TextTest;
use kyma_core::types::Type;
use kyma_core::value::Value;
use roaring::RoaringBitmap;

use super::paths::{PathId, Paths, ROOT};
use super::scan::Kind;
use super::shred::Leaves;
use crate::constants::{PAGE_ROWS, presence as kind};
use crate::fetch::named;
use crate::footer::{Block, Footer};
use crate::limits::{PRESENCE_BYTES_MAX, PRESENCE_ENTRIES_MAX};
use crate::wire::{Reader, Writer, checksum, corrupt, is_intact};

/// All bitmaps of a column take at most this part of its bytes.
const COLUMN_SHARE: usize = 16;
/// Bytes of a bitmap's checksum.
const CRC_BYTES: u64 = 4;

/// The rows of a block that have a path.
#[derive(Debug)]
pub(crate) struct Presence {
    pub(crate) path: PathId,
    kind: u8,
    bytes: Vec<u8>,
}

impl Presence {
    /// The bitmaps worth keeping; `is_known` says for which paths sub-columns are complete.
    pub(crate) fn of(leaves: &Leaves, rows: usize, paths: &Paths, is_known: impl Fn(PathId) -> bool) -> Vec<Self> {
        if rows <= PAGE_ROWS {
            return Vec::new();
        }
        let is_candidate = |path: PathId| path != ROOT && leaves.is_seen(path) && !is_known(path);
        let mut rows_of: Vec<Option<Vec<u32>>> = Vec::with_capacity(paths.len());
        rows_of.extend((0..paths.len() as PathId).map(|path| is_candidate(path).then(Vec::new)));
        // The nearest candidate at or above each path; the root when there is none.
        let mut nearest = vec![ROOT; paths.len()];
        for path in 1..paths.len() as PathId {
            let above = nearest[paths.parent(path) as usize];
            nearest[path as usize] = if is_candidate(path) { path } else { above };
        }
        if rows_of.iter().all(Option::is_none) {
            return Vec::new();
        }
        let mut duplicates = leaves.duplicates.iter().copied().peekable();
        for row in 0..rows as u32 {
            if duplicates.next_if_eq(&row).is_some() {
                rows_of.iter_mut().flatten().for_each(|rows| mark(rows, row));
                continue;
            }
            for leaf in leaves.leaves_of(row as usize) {
                // An object of nulls is there, its members are not.
                let lowest = if leaf.kind == Kind::Null { paths.parent(leaf.path) } else { leaf.path };
                let mut at = nearest[lowest as usize];
                while let Some(rows) = &mut rows_of[at as usize] {
                    mark(rows, row);
                    at = nearest[paths.parent(at) as usize];
                }
            }
        }
        let mut kept = Vec::new();
        for (path, with) in rows_of.into_iter().enumerate() {
            let bitmap = with.map(RoaringBitmap::from_iter);
            kept.extend(bitmap.and_then(|bitmap| Presence::encode(path as PathId, bitmap, rows)));
        }
        kept
    }

    fn encode(path: PathId, mut bitmap: RoaringBitmap, rows: usize) -> Option<Self> {
        if bitmap.len() == rows as u64 {
            return None;
        }
        bitmap.optimize();
        if bitmap.serialized_size() <= PRESENCE_BYTES_MAX {
            return Some(Presence { path, kind: kind::ROWS, bytes: serialize(&bitmap) });
        }
        let mut pages: RoaringBitmap = bitmap.iter().map(|row| row / PAGE_ROWS as u32).collect();
        pages.optimize();
        let tells = pages.len() < rows.div_ceil(PAGE_ROWS) as u64;
        tells.then(|| Presence { path, kind: kind::PAGES, bytes: serialize(&pages) })
    }
}

/// The bitmaps that a column of `column_bytes` can afford, the smallest first.
pub(crate) fn affordable(mut bitmaps: Vec<Presence>, column_bytes: usize) -> Vec<Presence> {
    let mut left = column_bytes / COLUMN_SHARE;
    bitmaps.sort_by_key(|bitmap| bitmap.bytes.len());
    bitmaps.retain(|bitmap| match left.checked_sub(bitmap.bytes.len() + CRC_BYTES as usize) {
        Some(rest) => {
            left = rest;
            true
        }
        None => false,
    });
    bitmaps
}

fn mark(rows: &mut Vec<u32>, row: u32) {
    if rows.last() != Some(&row) {
        rows.push(row);
    }
}

fn serialize(bitmap: &RoaringBitmap) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(bitmap.serialized_size());
    // Writing to a vector cannot fail.
    bitmap.serialize_into(&mut bytes).unwrap_or_default();
    bytes
}

/// Where a bitmap is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    path: PathId,
    kind: u8,
    /// Of the checksum and the bitmap.
    range: Range<u64>,
}

/// Where all bitmaps are, by block and column; ascending by path.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    start: u64,
    entries: BTreeMap<(u32, u32), Vec<Entry>>,
}

impl Directory {
    /// Appends the bitmaps of each block and column to `data`.
    pub(crate) fn write(bitmaps: BTreeMap<(u32, u32), Vec<Presence>>, data: &mut Vec<u8>) -> Self {
        let mut directory = Directory { start: data.len() as u64, entries: BTreeMap::new() };
        let mut left = PRESENCE_ENTRIES_MAX;
        for ((block, column), mut all) in bitmaps {
            all.sort_by_key(|presence| presence.path);
            all.truncate(left);
            left -= all.len();
            let entries = directory.entries.entry((block, column)).or_default();
            for Presence { path, kind, bytes } in all {
                let start = data.len() as u64;
                data.extend_from_slice(&checksum(&covered(block, column, path, kind, &bytes)).to_le_bytes());
                data.extend_from_slice(&bytes);
                entries.push(Entry { path, kind, range: start..data.len() as u64 });
            }
        }
        directory.entries.retain(|_, entries| !entries.is_empty());
        directory
    }

    /// Whether there are no bitmaps.
    pub(crate) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Bitmaps and their bytes.
    pub(crate) fn size(&self) -> (usize, u64) {
        let all = self.entries.values().flatten();
        all.fold((0, 0), |(count, bytes), entry| (count + 1, bytes + entry.range.end - entry.range.start))
    }

    /// The footer's section; blocks and their dynamic `columns` in order.
    pub(crate) fn write_section(&self, blocks: usize, columns: &[u32]) -> Vec<u8> {
        let mut out = Writer::default();
        out.varint(self.start);
        for block in 0..blocks as u32 {
            for &column in columns {
                let entries = self.entries.get(&(block, column)).map(Vec::as_slice).unwrap_or_default();
                out.length(entries.len());
                let mut last = 0;
                for entry in entries {
                    out.varint(u64::from(entry.path - last));
                    out.varint((entry.range.end - entry.range.start - CRC_BYTES) << 1 | u64::from(entry.kind));
                    last = entry.path;
                }
            }
        }
        out.bytes
    }

    /// Reads what [`Directory::write_section`] wrote; `columns` are the dynamic ones with the number of their paths.
    pub(crate) fn read_section(
        mut reader: Reader<'_>,
        blocks: usize,
        columns: &[(u32, usize)],
        data_bytes: u64,
    ) -> Result<Self> {
        let start = reader.varint()?;
        let mut directory = Directory { start, entries: BTreeMap::new() };
        let mut at = start;
        for block in 0..blocks as u32 {
            for &(column, paths) in columns {
                let count = reader.length(paths - 1)?;
                let (mut entries, mut last) = (Vec::new(), 0);
                for _ in 0..count {
                    last += reader.length(paths - 1 - last)?;
                    let size = reader.length(2 * PRESENCE_BYTES_MAX + 1)? as u64;
                    let end = at.checked_add(CRC_BYTES + (size >> 1)).filter(|&end| end <= data_bytes);
                    let end = end.ok_or_else(|| corrupt("a bitmap lies outside the extent"))?;
                    entries.push(Entry { path: last as PathId, kind: (size & 1) as u8, range: at..end });
                    at = end;
                }
                if !entries.is_empty() {
                    directory.entries.insert((block, column), entries);
                }
            }
        }
        Ok(directory)
    }

    fn find(&self, block: u32, column: u32, path: PathId) -> Option<&Entry> {
        let entries = self.entries.get(&(block, column))?;
        let at = entries.binary_search_by_key(&path, |entry| entry.path).ok()?;
        entries.get(at)
    }
}

/// What an entry's checksum covers: where it belongs, and its bytes.
fn covered(block: u32, column: u32, path: PathId, kind: u8, bytes: &[u8]) -> Vec<u8> {
    let place = [block, column, path, u32::from(kind)].map(u32::to_le_bytes).concat();
    [&place, bytes].concat()
}

/// The rows of a bitmap that was read, one bit per row of the block.
fn decode(entry: &Entry, block: u32, column: u32, rows: u32, bytes: &[u8]) -> Result<BooleanBuffer> {
    let mut reader = Reader::new(bytes);
    let crc = reader.u32()?;
    let bitmap = reader.raw(reader.remaining())?;
    if !is_intact(&covered(block, column, entry.path, entry.kind, bitmap), crc) {
        return Err(corrupt("the checksum does not match"));
    }
    let bitmap =
        RoaringBitmap::deserialize_from(bitmap).map_err(|error| corrupt("a bitmap is broken").because(error))?;
    let unit = if entry.kind == kind::PAGES { PAGE_ROWS as u32 } else { 1 };
    if bitmap.max().is_some_and(|last| u64::from(last) * u64::from(unit) >= u64::from(rows)) {
        return Err(corrupt("a bitmap is longer than its block"));
    }
    Ok(BooleanBuffer::collect_bool(rows as usize, |row| bitmap.contains(row as u32 / unit)))
}

/// Where a predicate can be true, as far as paths tell.
#[derive(Debug, PartialEq, Eq)]
enum Need {
    /// Anywhere.
    Nothing,
    /// Where column and path have a value.
    Path(u32, PathId),
    All(Vec<Need>),
    Any(Vec<Need>),
}

impl Need {
    fn of(predicate: &Predicate, footer: &Footer, nulls_are_empty: bool) -> Need {
        let of = |predicate: &Predicate| Need::of(predicate, footer, nulls_are_empty);
        let path = |column: &ColumnRef| Need::path(column, footer);
        match predicate {
            Predicate::And(parts) => {
                let parts: Vec<Need> = parts.iter().map(of).filter(|part| *part != Need::Nothing).collect();
                if parts.is_empty() { Need::Nothing } else { Need::All(parts) }
            }
            Predicate::Or(parts) => {
                let parts: Vec<Need> = parts.iter().map(of).collect();
                let is_open = parts.is_empty() || parts.contains(&Need::Nothing);
                if is_open { Need::Nothing } else { Need::Any(parts) }
            }
            Predicate::Not(inner) => match inner.as_ref() {
                Predicate::IsNull(column) => path(column),
                _ => Need::Nothing,
            },
            Predicate::Compare { column, op, value } if !(nulls_are_empty && empty_passes(*op, value)) => path(column),
            Predicate::In { column, values }
                if !(nulls_are_empty && values.iter().any(|value| empty_passes(CompareOp::Equal, value))) =>
            {
                path(column)
            }
            Predicate::Text { column, op, needle, case_sensitive } => {
                let empty_passes = *op == TextOp::Regex || TextTest::new(*op, needle, *case_sensitive).matches("");
                if nulls_are_empty && empty_passes { Need::Nothing } else { path(column) }
            }
            _ => Need::Nothing,
        }
    }

    fn path(column: &ColumnRef, footer: &Footer) -> Need {
        let Some(at) = footer.schema.index_of(&column.column) else { return Need::Nothing };
        let is_dynamic = footer.schema.columns().get(at).is_some_and(|column| column.ty == Type::Dynamic);
        let path = footer.paths.get(at).and_then(|paths| paths.find(&column.path));
        match path {
            Some(path) if is_dynamic && path != ROOT => Need::Path(at as u32, path),
            _ => Need::Nothing,
        }
    }

    fn for_each_path(&self, visit: &mut impl FnMut(u32, PathId)) {
        match self {
            Need::Nothing => {}
            Need::Path(column, path) => visit(*column, *path),
            Need::All(parts) | Need::Any(parts) => parts.iter().for_each(|part| part.for_each_path(visit)),
        }
    }

    /// The rows where the need may be met; `None` for all.
    fn rows(&self, of_path: &impl Fn(u32, PathId) -> Option<BooleanBuffer>) -> Option<BooleanBuffer> {
        match self {
            Need::Nothing => None,
            Need::Path(column, path) => of_path(*column, *path),
            Need::All(parts) => parts.iter().filter_map(|part| part.rows(of_path)).reduce(|a, b| &a & &b),
            Need::Any(parts) => {
                let parts: Option<Vec<BooleanBuffer>> = parts.iter().map(|part| part.rows(of_path)).collect();
                parts?.into_iter().reduce(|a, b| &a | &b)
            }
        }
    }
}

/// Whether a null that reads as `""` may pass.
fn empty_passes(op: CompareOp, value: &Value) -> bool {
    let Value::String(value) = value else { return matches!(value, Value::Dynamic(_) | Value::Null(_)) };
    match op {
        CompareOp::Equal | CompareOp::GreaterOrEqual => value.is_empty(),
        CompareOp::Greater => false,
        CompareOp::NotEqual | CompareOp::Less | CompareOp::LessOrEqual => true,
    }
}

/// The rows of `blocks` for which `request`'s predicate may be true, as far as bitmaps of paths tell; blocks of which
/// they tell nothing are absent. Reads once, or not at all.
pub(crate) async fn path_rows(
    footer: &Footer,
    source: &dyn RangeReader,
    request: &PruneRequest<'_>,
    blocks: &[u32],
) -> Result<BTreeMap<u32, BooleanBuffer>> {
    let need = Need::of(request.predicate, footer, request.null_strings_are_empty);
    let mut wanted: BTreeMap<(u32, u32, PathId), &Entry> = BTreeMap::new();
    for &block in blocks {
        need.for_each_path(&mut |column, path| {
            if let Some(entry) = footer.presence.find(block, column, path) {
                wanted.insert((block, column, path), entry);
            }
        });
    }
    if wanted.is_empty() {
        return Ok(BTreeMap::new());
    }
    let ranges: Vec<Range<u64>> = wanted.values().map(|entry| entry.range.clone()).collect();
    let read = source.read(&ranges).await?;
    let mut bitmaps = BTreeMap::new();
    for (at, (&(block, column, path), entry)) in wanted.iter().enumerate() {
        let rows = footer.blocks.get(block as usize).map_or(0, |block: &Block| block.rows);
        let bytes = read.get(at).map(Bytes::as_ref).unwrap_or_default();
        let bitmap = decode(entry, block, column, rows, bytes)
            .map_err(|error| named(error, &format!("presence, block={block}")))?;
        bitmaps.insert((block, column, path), bitmap);
    }
    let mut rows = BTreeMap::new();
    for &block in blocks {
        let of_path = |column: u32, path: PathId| bitmaps.get(&(block, column, path)).cloned();
        if let Some(bits) = need.rows(&of_path) {
            rows.insert(block, bits);
        }
    }
    Ok(rows)
}

/// Takes from `pruned` the rows that lack a path which the predicate needs, and the blocks where no row is left.
pub(crate) async fn narrow(
    footer: &Footer,
    source: &dyn RangeReader,
    request: &PruneRequest<'_>,
    pruned: &mut Pruned,
) -> Result<()> {
    for (block, rows) in path_rows(footer, source, request, &pruned.blocks).await? {
        let rows = match pruned.rows.remove(&block) {
            Some(known) if known.len() == rows.len() => &known & &rows,
            _ => rows,
        };
        if rows.count_set_bits() == 0 {
            pruned.blocks.retain(|&kept| kept != block);
            *pruned.reasons.entry(Reason::Missing).or_default() += 1;
        } else {
            pruned.rows.insert(block, rows);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests;
