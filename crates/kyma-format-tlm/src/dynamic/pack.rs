//! A block that is taken apart, as bytes.
//!
//! 1. Arrays are encoded twice, as JSON texts and as lists, and the smaller is kept.
//! 2. A column of few bytes is taken apart twice, with arrays and other texts and without, and the smaller is kept: where
//!    there are few rows, one residue compresses better than many sub-columns.

use arrow::array::{Array, AsArray, StringViewArray};
use kyma_core::error::Result;
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;

use super::paths::{PathId, Paths};
use super::residue;
use super::shred::{Shredded, SubColumn, shred};
use crate::encoding::{self, Packed};
use crate::stats;

/// Statistics and such of a sub-column take about this many bytes.
const SUB_COLUMN_BYTES: usize = 16;
/// Columns of more bytes are taken apart once.
const SMALL_BYTES: usize = 256 * 1024;

/// A dynamic column of a block, or the elements of arrays.
#[derive(Debug)]
pub(crate) struct PackedColumn {
    pub(crate) residue: Packed,
    pub(crate) subs: Vec<PackedSub>,
}

/// A sub-column.
#[derive(Debug)]
pub(crate) struct PackedSub {
    pub(crate) path: PathId,
    pub(crate) ty: Type,
    pub(crate) complete: bool,
    /// The values, or a list's lengths.
    pub(crate) packed: Packed,
    /// When complete.
    pub(crate) stats: Option<ColumnStats>,
    /// A list's elements and how many there are.
    pub(crate) list: Option<(u32, PackedColumn)>,
}

/// Takes `rows` apart and encodes them; paths are numbered in `paths`.
pub(crate) fn shred_and_pack<'a>(
    rows: &'a StringViewArray,
    paths: &mut Paths,
    level: i32,
) -> Result<(Shredded<'a>, PackedColumn)> {
    let shredded = shred(rows, true, paths);
    let packed = pack(&shredded, paths, level)?;
    let has_texts = shredded.columns.iter().any(|column| column.ty == Type::Dynamic);
    if has_texts && rows.iter().flatten().map(str::len).sum::<usize>() <= SMALL_BYTES {
        let plain = shred(rows, false, paths);
        let plain_packed = pack(&plain, paths, level)?;
        if plain_packed.bytes() < packed.bytes() {
            return Ok((plain, plain_packed));
        }
    }
    Ok((shredded, packed))
}

/// Encodes what [`super::shred`] made.
fn pack(shredded: &Shredded<'_>, paths: &Paths, level: i32) -> Result<PackedColumn> {
    let residue = residue::encode(&shredded.remains, shredded.base, paths, level)?;
    let subs = shredded.columns.iter().map(|column| pack_sub(column, paths, level)).collect::<Result<_>>()?;
    Ok(PackedColumn { residue, subs })
}

fn pack_sub(column: &SubColumn<'_>, paths: &Paths, level: i32) -> Result<PackedSub> {
    let &SubColumn { path, ty, complete, .. } = column;
    let stats = complete.then(|| match ty {
        Type::Dynamic => counts(&column.values),
        ty => stats::of_path(ty, &column.values),
    });
    let packed = encoding::encode(ty, &column.values, level)?;
    if let Some(list) = &column.list {
        let lengths = encoding::encode(Type::Long, &list.lengths, level)?;
        let elements = pack(&list.elements, paths, level)?;
        if lengths.bytes() + elements.bytes() < packed.bytes() {
            let count = list.elements.remains.rows.len() as u32;
            return Ok(PackedSub { path, ty, complete, packed: lengths, stats, list: Some((count, elements)) });
        }
    }
    Ok(PackedSub { path, ty, complete, packed, stats, list: None })
}

/// How many values there are: all that is known of JSON texts. A JSON null counts as null.
fn counts(values: &dyn Array) -> ColumnStats {
    let texts = values.as_string_view();
    let rows = texts.len() as u64;
    let values = texts.iter().flatten().filter(|text| *text != "null").count() as u64;
    if values == 0 {
        return ColumnStats::all_null(rows);
    }
    ColumnStats { nulls: rows - values, ..ColumnStats::unknown(rows) }
}

impl PackedColumn {
    /// Bytes of all pieces, and about what the footer says of them.
    pub(crate) fn bytes(&self) -> usize {
        let of_list = |sub: &PackedSub| sub.list.as_ref().map_or(0, |(_, elements)| elements.bytes());
        let subs = self.subs.iter().map(|sub| SUB_COLUMN_BYTES + sub.packed.bytes() + of_list(sub));
        self.residue.bytes() + subs.sum::<usize>()
    }
}
