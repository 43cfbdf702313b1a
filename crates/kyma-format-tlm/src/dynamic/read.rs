//! Reads a dynamic column of a block: which pieces a path needs, and their values.
//!
//! A path is answered by the first of:
//!
//! 1. The block's list of paths lacks it: null, nothing is read.
//! 2. Only sub-columns at the path itself, and these complete: they alone are read, each row having a value in at most
//!    one of them.
//! 3. Else the residue and the sub-columns at or below the path.
//!
//! A list is read whole when few rows are wanted, since its lengths say which elements these have.

use std::ops::Range;

use arrow::array::{Array, ArrayRef, AsArray};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::Int64Type;
use kyma_core::error::Result;
use kyma_core::types::Type;

use super::assemble::{Assembly, Values};
use super::convert;
use super::paths::{PathId, Paths, ROOT};
use super::residue::Rest;
use crate::constants::encoding::{NULL, RESIDUE};
use crate::encoding;
use crate::fetch::{Answer, Fetch};
use crate::footer::{BlockColumn, ListPiece, Piece, SubPiece};
use crate::wire::corrupt;

/// Which pieces answer a path.
pub(crate) enum Lookup<'a> {
    /// No row has the path.
    Absent,
    /// These alone, all at the path itself.
    Complete(Vec<&'a SubPiece>),
    /// These and the residue.
    Parts(Vec<&'a SubPiece>),
}

/// Looks up `keys` in a column of a block.
pub(crate) fn lookup<'a>(column: &'a BlockColumn, paths: &Paths, keys: &[String]) -> Lookup<'a> {
    let wanted = paths.find(keys);
    let is_listed = |present: &Vec<_>| wanted.is_some_and(|path| present.binary_search(&path).is_ok());
    if !keys.is_empty() && !column.present.as_ref().is_none_or(is_listed) {
        return Lookup::Absent;
    }
    let Some(wanted) = wanted else { return Lookup::Parts(Vec::new()) };
    let subs: Vec<&SubPiece> = column.shredded.iter().filter(|sub| paths.is_within(sub.path, wanted)).collect();
    let is_complete = wanted != ROOT && !subs.is_empty() && subs.iter().all(|sub| sub.path == wanted && sub.complete);
    if is_complete { Lookup::Complete(subs) } else { Lookup::Parts(subs) }
}

/// The pieces of a column that were asked for; places are those of [`Fetch::add`].
pub(crate) struct Pieces<'a> {
    residue: Option<Place<'a>>,
    subs: Vec<(Place<'a>, &'a SubPiece, Option<Elements<'a>>)>,
}

type Place<'a> = (usize, &'a Piece);

/// A list's elements.
struct Elements<'a> {
    count: u32,
    pieces: Pieces<'a>,
}

/// Asks for what `found` names; `None` when nothing is to be read.
pub(crate) fn plan<'a>(
    column: &'a BlockColumn,
    found: Lookup<'a>,
    fetch: &mut Fetch<'a>,
    section: &dyn Fn(Option<PathId>) -> String,
    selection: Option<&BooleanBuffer>,
) -> Option<Pieces<'a>> {
    let (residue, subs) = match found {
        Lookup::Absent => return None,
        Lookup::Complete(subs) => (None, subs),
        Lookup::Parts(subs) => (Some(&column.piece), subs),
    };
    Some(Pieces::add(residue, subs, fetch, section, None, selection))
}

impl<'a> Pieces<'a> {
    fn add(
        residue: Option<&'a Piece>,
        subs: Vec<&'a SubPiece>,
        fetch: &mut Fetch<'a>,
        section: &dyn Fn(Option<PathId>) -> String,
        within: Option<PathId>,
        selection: Option<&BooleanBuffer>,
    ) -> Self {
        let residue = residue.map(|piece| (fetch.add(piece, section(within), selection), piece));
        let subs = subs.into_iter().map(|sub| {
            let place = (fetch.add(&sub.piece, section(Some(sub.path)), selection), &sub.piece);
            let elements = sub.list.as_deref().map(|list: &ListPiece| {
                let subs = list.shredded.iter().collect();
                let pieces = Pieces::add(Some(&list.residue), subs, fetch, section, Some(sub.path), None);
                Elements { count: list.elements, pieces }
            });
            (place, sub, elements)
        });
        Pieces { residue, subs: subs.collect() }
    }

    /// The values at `keys` of the wanted rows, read as `to`.
    pub(crate) fn read(
        self,
        answer: &Answer<'_>,
        paths: &Paths,
        keys: &[String],
        to: Type,
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<ArrayRef> {
        if let (None, [((place, _), sub, None)]) = (&self.residue, self.subs.as_slice()) {
            let read =
                |to: Type| answer.with(*place, None, |fetched| encoding::decode(fetched, rows, sub.ty, to, selection));
            return match to {
                Type::Real if sub.ty == Type::Long => read(to),
                to => convert::typed(&read(sub.ty)?, sub.ty, to),
            };
        }
        let mut paths = paths.tracking();
        let mut assembly = self.assembly(answer, &mut paths, ROOT, rows, selection)?;
        assembly.read(keys, to, &paths)
    }

    /// The texts of the wanted rows as codes, where one sub-column of texts is all there is and is stored so.
    pub(crate) fn read_coded(
        &self,
        answer: &Answer<'_>,
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<Option<ArrayRef>> {
        match (&self.residue, self.subs.as_slice()) {
            (None, [((place, _), sub, None)]) if sub.ty == Type::String => {
                answer.with(*place, None, |fetched| encoding::decode_coded(fetched, rows, selection))
            }
            _ => Ok(None),
        }
    }

    fn assembly(
        self,
        answer: &Answer<'_>,
        paths: &mut Paths,
        base: PathId,
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<Assembly> {
        let wanted = selection.map_or(rows, BooleanBuffer::count_set_bits);
        let rest = match self.residue {
            None => None,
            Some((place, piece)) => Some(answer.with(place, None, |fetched| {
                if matches!(piece.encoding, RESIDUE | NULL) {
                    return Rest::decode(fetched, rows, selection, base, paths);
                }
                let texts = encoding::decode(fetched, rows, Type::Dynamic, Type::Dynamic, selection)?;
                Rest::of_texts(texts.as_string_view(), base, paths)
            })?),
        };
        if rest.as_ref().is_some_and(|rest| rest.len() != wanted) {
            return Err(corrupt("a residue has the wrong number of rows"));
        }
        let mut columns = Vec::with_capacity(self.subs.len());
        for ((place, _), sub, elements) in self.subs {
            let read =
                |ty: Type| answer.with(place, None, |fetched| encoding::decode(fetched, rows, ty, ty, selection));
            let values = match elements {
                None => Values::Scalars(sub.ty, read(sub.ty)?),
                Some(elements) => {
                    let lengths = answer
                        .with(place, None, |fetched| encoding::decode(fetched, rows, Type::Long, Type::Long, None))?;
                    let base = paths.elements(sub.path).ok_or_else(|| corrupt("a list without elements"))?;
                    elements.lists(answer, paths, base, &lengths, selection)?
                }
            };
            columns.push((sub.path, values));
        }
        Ok(Assembly { base, columns, rest, rows: wanted })
    }
}

impl Elements<'_> {
    /// The arrays of the wanted rows, of which `lengths` tells all.
    fn lists(
        self,
        answer: &Answer<'_>,
        paths: &mut Paths,
        base: PathId,
        lengths: &ArrayRef,
        selection: Option<&BooleanBuffer>,
    ) -> Result<Values> {
        let count = self.count as usize;
        let lengths = lengths.as_primitive::<Int64Type>();
        let is_wanted = |row: usize| selection.is_none_or(|bits| bits.value(row));
        let mut lists: Vec<Option<Range<usize>>> = Vec::new();
        let mut is_wanted_element = Vec::with_capacity(count);
        let mut wanted = 0;
        for (row, length) in lengths.iter().enumerate() {
            let length = usize::try_from(length.unwrap_or_default()).ok();
            let length = length.filter(|&length| length <= count - is_wanted_element.len());
            let length = length.ok_or_else(|| corrupt("lengths pass the elements"))?;
            is_wanted_element.resize(is_wanted_element.len() + length, is_wanted(row));
            if is_wanted(row) {
                lists.push(lengths.is_valid(row).then_some(wanted..wanted + length));
                wanted += length;
            }
        }
        if is_wanted_element.len() != count {
            return Err(corrupt("lengths do not cover the elements"));
        }
        let selection = selection.map(|_| BooleanBuffer::from(is_wanted_element));
        let elements = self.pieces.assembly(answer, paths, base, count, selection.as_ref())?;
        Ok(Values::Lists(lists, Box::new(elements)))
    }
}
