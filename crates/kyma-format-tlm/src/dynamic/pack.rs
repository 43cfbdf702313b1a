//! A block that was taken apart, as bytes.
//!
//! Arrays are encoded twice, as JSON texts and as lists, and the smaller is kept.

use arrow::array::{Array, AsArray};
use kyma_core::error::Result;
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;

use super::paths::{PathId, Paths};
use super::residue;
use super::shred::{Shredded, SubColumn};
use crate::encoding::{self, Packed};
use crate::stats;

/// What the footer says of a piece takes about this many bytes.
const PIECE_BYTES: usize = 16;

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

/// Encodes what [`super::shred`] made.
pub(crate) fn pack(shredded: &Shredded<'_>, paths: &Paths, level: i32) -> Result<PackedColumn> {
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
        if bytes(&lengths) + elements.bytes() < bytes(&packed) {
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

fn bytes(packed: &Packed) -> usize {
    PIECE_BYTES + packed.head.len() + packed.frames.iter().map(|frame| PIECE_BYTES + frame.bytes.len()).sum::<usize>()
}

impl PackedColumn {
    fn bytes(&self) -> usize {
        let of_list = |sub: &PackedSub| sub.list.as_ref().map_or(0, |(_, elements)| elements.bytes());
        bytes(&self.residue) + self.subs.iter().map(|sub| bytes(&sub.packed) + of_list(sub)).sum::<usize>()
    }
}
