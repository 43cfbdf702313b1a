//! Puts leaves together: a block's sub-columns and residue to values, whole or those at a path.
//!
//! The leaves of a row come from its sub-columns and its residue. Of these the ones at or below the path that is read
//! are taken, in the order of [`Ranks`]: each object's members together, by first appearance in the extent. One leaf at
//! the path itself is the value; leaves below it make an object.

use std::cell::{Cell, RefCell};
use std::ops::Range;

use arrow::array::{ArrayRef, StringViewBuilder};
use kyma_core::error::{Error, Result};
use kyma_core::types::Type;
use std::sync::Arc;

use super::convert::{Member, convert, member_at};
use super::paths::{PathId, Paths, ROOT, Ranks};
use super::residue::Rest;
use crate::limits::BLOCK_TEXT_BYTES_MAX;
use crate::wire::corrupt;

/// Bytes of one buffer of made strings.
const BUFFER_BYTES: u32 = 1 << 20;

/// The wanted rows of a dynamic column of a block, or the elements of arrays.
#[derive(Debug)]
pub(crate) struct Assembly {
    /// The root, or the node of the elements.
    pub(crate) base: PathId,
    /// Sub-columns by path.
    pub(crate) columns: Vec<(PathId, Values)>,
    /// `None` when the sub-columns are complete.
    pub(crate) rest: Option<Rest>,
    pub(crate) rows: usize,
}

/// The values of a sub-column.
#[derive(Debug)]
pub(crate) enum Values {
    Scalars(Type, ArrayRef),
    /// Per row the elements of its array, if it has one.
    Lists(Vec<Option<Range<usize>>>, Box<Assembly>),
}

/// A leaf of a row.
enum Part<'a> {
    Member(Member<'a>),
    List(&'a Assembly, Range<usize>),
}

type Leaves<'a> = Vec<(PathId, Part<'a>)>;

/// What printing needs beside the leaves.
struct Printer<'p> {
    paths: &'p Paths,
    ranks: Ranks,
    /// Bytes that may still be made.
    left: Cell<u64>,
}

impl Assembly {
    /// The values at `keys`, read as `to`.
    pub(crate) fn read(&mut self, keys: &[String], to: Type, paths: &Paths) -> Result<ArrayRef> {
        let left = self.rest.as_ref().map_or(BLOCK_TEXT_BYTES_MAX, |rest| rest.text_bytes);
        let printer = Printer { paths, ranks: paths.ranks(), left: Cell::new(left) };
        self.sort(&printer.ranks);
        let at = paths.find(keys);
        let failed = RefCell::new(None);
        let array = match to {
            Type::Dynamic => self.texts(at, keys, &printer)?,
            to => {
                let mut member = |row| match self.member(row, at, keys, &printer) {
                    Ok(member) => member,
                    Err(error) => {
                        failed.replace(Some(error));
                        None
                    }
                };
                convert(self.rows, &mut member, to)?
            }
        };
        failed.into_inner().map_or(Ok(array), Err)
    }

    fn sort(&mut self, ranks: &Ranks) {
        self.columns.sort_by_key(|&(path, _)| ranks.rank(path));
        for (_, values) in &mut self.columns {
            if let Values::Lists(_, elements) = values {
                elements.sort(ranks);
            }
        }
    }

    fn texts(&self, at: Option<PathId>, keys: &[String], printer: &Printer<'_>) -> Result<ArrayRef> {
        let mut out = StringViewBuilder::with_capacity(self.rows).with_fixed_block_size(BUFFER_BYTES);
        let (mut text, mut leaves) = (String::new(), Vec::new());
        for row in 0..self.rows {
            text.clear();
            leaves.clear();
            self.gather(row, at, keys, printer, &mut leaves);
            match leaves.as_slice() {
                [] => out.append_null(),
                [(path, Part::Member(member))] if Some(*path) == at && member.is_null() && !keys.is_empty() => {
                    out.append_null();
                }
                leaves => {
                    write(leaves, at.unwrap_or(ROOT), printer, &mut text)?;
                    printer.take(text.len())?;
                    out.append_value(&text);
                }
            }
        }
        Ok(Arc::new(out.finish()))
    }

    fn member<'a>(
        &'a self,
        row: usize,
        at: Option<PathId>,
        keys: &[String],
        printer: &Printer<'_>,
    ) -> Result<Option<Member<'a>>> {
        let mut leaves = Vec::new();
        self.gather(row, at, keys, printer, &mut leaves);
        if leaves.is_empty() {
            return Ok(None);
        }
        if let [(path, Part::Member(_))] = leaves.as_slice()
            && Some(*path) == at
            && let Some((_, Part::Member(member))) = leaves.pop()
        {
            return Ok((!member.is_null()).then_some(member));
        }
        let mut text = String::new();
        write(&leaves, at.unwrap_or(ROOT), printer, &mut text)?;
        printer.take(text.len())?;
        Ok(Some(Member::Json(text.into())))
    }

    /// The leaves of a row at or below `at`, in order. A row that is one opaque text answers by its member at `keys`.
    fn gather<'a>(
        &'a self,
        row: usize,
        at: Option<PathId>,
        keys: &[String],
        printer: &Printer<'_>,
        leaves: &mut Leaves<'a>,
    ) {
        self.gather_columns(row, leaves);
        let Some(rest) = &self.rest else { return };
        let columns = leaves.len();
        for (path, member) in rest.leaves_of(row) {
            if at.is_some_and(|at| printer.ranks.is_within(path, at)) {
                leaves.push((path, Part::Member(member)));
            } else if path == self.base
                && let Member::Json(std::borrow::Cow::Borrowed(text)) = member
                && let Some(json) = kyma_core::dynamic::get(text, keys)
            {
                leaves.push((at.unwrap_or(ROOT), Part::Member(Member::Json(json))));
            }
        }
        if leaves.len() > columns {
            leaves.sort_by_key(|&(path, _)| printer.ranks.rank(path));
        }
        if leaves.is_empty() && keys.is_empty() && rest.is_blank(row) {
            leaves.push((ROOT, Part::Member(Member::json(""))));
        }
    }

    fn gather_columns<'a>(&'a self, row: usize, leaves: &mut Leaves<'a>) {
        for (path, values) in &self.columns {
            match values {
                Values::Scalars(ty, array) => {
                    if let Some(member) = member_at(array, *ty, row) {
                        leaves.push((*path, Part::Member(member)));
                    }
                }
                Values::Lists(lists, elements) => {
                    if let Some(list) = lists.get(row).cloned().flatten() {
                        leaves.push((*path, Part::List(elements, list)));
                    }
                }
            }
        }
    }

    /// Appends the array of the elements in `range`.
    fn write_list(&self, range: Range<usize>, printer: &Printer<'_>, out: &mut String) -> Result<()> {
        let start = out.len();
        out.push('[');
        let only = match (self.columns.as_slice(), &self.rest) {
            ([(path, Values::Scalars(ty, array))], Some(rest)) if *path == self.base && rest.is_nothing() => {
                Some((*ty, array))
            }
            _ => None,
        };
        let mut leaves = Vec::new();
        for element in range.clone() {
            if element > range.start {
                out.push(',');
            }
            match only {
                Some((ty, array)) => match member_at(array, ty, element) {
                    Some(member) => member.write_json(out),
                    None => return Err(corrupt("an element has no value")),
                },
                None => {
                    leaves.clear();
                    self.gather(element, Some(self.base), &[], printer, &mut leaves);
                    if leaves.is_empty() {
                        return Err(corrupt("an element has no value"));
                    }
                    write(&leaves, self.base, printer, out)?;
                }
            }
            printer.check(out.len() - start)?;
        }
        out.push(']');
        Ok(())
    }
}

/// Appends the value that `leaves` make at `at`.
fn write(leaves: &[(PathId, Part<'_>)], at: PathId, printer: &Printer<'_>, out: &mut String) -> Result<()> {
    write_leaves(leaves, at, printer.paths, out, |part, out| write_part(part, printer, out))
}

/// Appends the value that `leaves` make at `at`: the one at `at` itself, or an object. Those of one object must follow
/// each other.
pub(crate) fn write_leaves<T>(
    leaves: &[(PathId, T)],
    at: PathId,
    paths: &Paths,
    out: &mut String,
    mut write_value: impl FnMut(&T, &mut String) -> Result<()>,
) -> Result<()> {
    let depth = paths.depth(at);
    let mut open: Vec<PathId> = Vec::new();
    for (path, value) in leaves {
        let path = *path;
        if path == at {
            return write_value(value, out);
        }
        if open.is_empty() {
            out.push('{');
            open.push(at);
        }
        let parent = paths.parent(path);
        while let Some(&last) = open.last() {
            if paths.is_within(parent, last) {
                break;
            }
            out.push('}');
            open.pop();
        }
        let depth_open = depth + open.len().saturating_sub(1);
        let missing = if paths.depth(parent) > depth_open { paths.chain(parent) } else { Vec::new() };
        for inner in missing.into_iter().skip(depth_open) {
            separate(out);
            out.push_str(paths.quoted(inner));
            out.push('{');
            open.push(inner);
        }
        separate(out);
        out.push_str(paths.quoted(path));
        write_value(value, out)?;
    }
    open.iter().for_each(|_| out.push('}'));
    Ok(())
}

fn write_part(part: &Part<'_>, printer: &Printer<'_>, out: &mut String) -> Result<()> {
    match part {
        Part::Member(member) => {
            member.write_json(out);
            Ok(())
        }
        Part::List(elements, range) => elements.write_list(range.clone(), printer, out),
    }
}

fn separate(out: &mut String) {
    if !out.ends_with('{') {
        out.push(',');
    }
}

impl Printer<'_> {
    fn check(&self, bytes: usize) -> Result<()> {
        if bytes as u64 > self.left.get() { Err(too_long()) } else { Ok(()) }
    }

    /// Counts the bytes of a value.
    fn take(&self, bytes: usize) -> Result<()> {
        let left = self.left.get().checked_sub(bytes as u64).ok_or_else(too_long)?;
        self.left.set(left);
        Ok(())
    }
}

fn too_long() -> Error {
    corrupt("values are longer than the block's texts")
}
