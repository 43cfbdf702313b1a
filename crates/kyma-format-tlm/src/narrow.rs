//! Rows of a block that may match, by the templates of its lines.
//!
//! 1. Each condition on a column of lines is asked of the block's templates: the footer has them, nothing is read.
//! 2. No template can match: the block falls. Every template can: nothing is known.
//! 3. Else the codes of the lines (a column's head, not its frames) say which rows have a template that can.
//!
//! Conditions are combined as sets of rows: both sides of an `and`, either side of an `or`. Under a `not` nothing is claimed.

use std::collections::BTreeMap;

use arrow::buffer::BooleanBuffer;
use kyma_core::error::Result;
use kyma_core::format::{PruneRequest, RangeReader};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::value::Value;

use crate::constants::encoding as encoding_tag;
use crate::encoding;
use crate::encoding::template::matching::Needle;
use crate::fetch::Fetch;
use crate::reader::Reader;

/// A condition on the lines of one column.
struct Lines {
    column: usize,
    /// By code: whether a line of this template may match.
    may_match: Vec<bool>,
}

/// A predicate as far as templates speak of it.
enum Narrowed {
    /// Nothing is known.
    All,
    /// No row.
    Nothing,
    /// Rows by their templates.
    Lines(Lines),
    /// Rows of both.
    Both(Vec<Narrowed>),
    /// Rows of either.
    Either(Vec<Narrowed>),
}

impl Narrowed {
    fn of(reader: &Reader, block: u32, predicate: &Predicate) -> Narrowed {
        match predicate {
            Predicate::True | Predicate::Opaque | Predicate::Not(_) | Predicate::IsNull(_) => Narrowed::All,
            Predicate::And(parts) => {
                let mut known = Vec::new();
                for part in parts {
                    match Narrowed::of(reader, block, part) {
                        Narrowed::All => {}
                        Narrowed::Nothing => return Narrowed::Nothing,
                        other => known.push(other),
                    }
                }
                if known.is_empty() { Narrowed::All } else { Narrowed::Both(known) }
            }
            Predicate::Or(parts) => {
                let mut known = Vec::new();
                for part in parts {
                    match Narrowed::of(reader, block, part) {
                        Narrowed::All => return Narrowed::All,
                        Narrowed::Nothing => {}
                        other => known.push(other),
                    }
                }
                if known.is_empty() { Narrowed::Nothing } else { Narrowed::Either(known) }
            }
            Predicate::Compare { column, op: CompareOp::Equal, value: Value::String(text) } => {
                Narrowed::lines(reader, block, column, &[Needle::new(TextOp::Equal, text, true)])
            }
            Predicate::Compare { .. } => Narrowed::All,
            Predicate::In { column, values } => {
                let needle = |value: &Value| match value {
                    Value::String(text) => Needle::new(TextOp::Equal, text, true),
                    _ => None,
                };
                Narrowed::lines(reader, block, column, &values.iter().map(needle).collect::<Vec<_>>())
            }
            Predicate::Text { column, op, needle, case_sensitive } => {
                Narrowed::lines(reader, block, column, &[Needle::new(*op, needle, *case_sensitive)])
            }
        }
    }

    /// Rows that may match one of `needles`; a needle of which nothing can be said makes it all rows.
    fn lines(reader: &Reader, block: u32, column: &ColumnRef, needles: &[Option<Needle>]) -> Narrowed {
        let Some(needles) = needles.iter().map(Option::as_ref).collect::<Option<Vec<&Needle>>>() else {
            return Narrowed::All;
        };
        let at = reader.footer.schema.index_of(&column.column).filter(|_| column.path.is_empty());
        let stored = at.and_then(|at| reader.footer.blocks.get(block as usize)?.columns.get(at));
        let (Some(column), Some(stored)) = (at, stored) else { return Narrowed::All };
        if stored.piece.encoding != encoding_tag::TEMPLATE {
            return Narrowed::All;
        }
        let dictionary = &reader.footer.templates[column];
        let may_match = |&(template, _): &(u32, u32)| {
            let template = dictionary.get(template);
            template.is_none_or(|template| needles.iter().any(|needle| needle.may_match(template)))
        };
        let may_match: Vec<bool> = stored.templates.iter().map(may_match).collect();
        match may_match.iter().filter(|may| **may).count() {
            0 => Narrowed::Nothing,
            count if count == may_match.len() => Narrowed::All,
            _ => Narrowed::Lines(Lines { column, may_match }),
        }
    }

    fn for_each_column(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Narrowed::All | Narrowed::Nothing => {}
            Narrowed::Lines(lines) => visit(lines.column),
            Narrowed::Both(parts) | Narrowed::Either(parts) => {
                parts.iter().for_each(|part| part.for_each_column(visit))
            }
        }
    }

    /// One bit per row; `None` for all rows.
    fn rows(&self, rows: usize, codes: &BTreeMap<usize, Vec<Option<u32>>>) -> Option<BooleanBuffer> {
        match self {
            Narrowed::All => None,
            Narrowed::Nothing => Some(BooleanBuffer::new_unset(rows)),
            Narrowed::Lines(Lines { column, may_match }) => {
                let codes = codes.get(column)?;
                let may = |row: usize| {
                    let code = codes.get(row).copied().flatten();
                    code.is_some_and(|code| may_match.get(code as usize).copied().unwrap_or(true))
                };
                Some(BooleanBuffer::collect_bool(rows, may))
            }
            Narrowed::Both(parts) => {
                let known = parts.iter().filter_map(|part| part.rows(rows, codes));
                known.reduce(|left, right| &left & &right)
            }
            Narrowed::Either(parts) => {
                let known = parts.iter().map(|part| part.rows(rows, codes)).collect::<Option<Vec<_>>>()?;
                known.into_iter().reduce(|left, right| &left | &right)
            }
        }
    }
}

/// Whether the templates of `block` exclude every row of it. Reads nothing.
pub(crate) fn excludes(reader: &Reader, block: u32, predicate: &Predicate) -> bool {
    matches!(Narrowed::of(reader, block, predicate), Narrowed::Nothing)
}

/// The rows of `block`, among `among`, that may match; `None` when templates say nothing more.
pub(crate) async fn rows(
    reader: &Reader,
    source: &dyn RangeReader,
    block: u32,
    request: &PruneRequest<'_>,
    among: Option<&BooleanBuffer>,
) -> Result<Option<BooleanBuffer>> {
    let narrowed = Narrowed::of(reader, block, request.predicate);
    let mut columns = Vec::new();
    narrowed.for_each_column(&mut |column| columns.push(column));
    columns.sort_unstable();
    columns.dedup();
    let Some(stored) = reader.footer.blocks.get(block as usize) else { return Ok(None) };
    let rows = stored.rows as usize;
    let no_row = BooleanBuffer::new_unset(rows);
    let mut fetch = Fetch::default();
    let mut places = Vec::with_capacity(columns.len());
    for &column in &columns {
        let name = &reader.footer.schema.columns()[column].name;
        let section = format!("data, block={block}, templates of column={name}");
        places.push((column, fetch.add(&stored.columns[column].piece, section, Some(&no_row))));
    }
    let answer = fetch.run(source).await?;
    let mut codes = BTreeMap::new();
    for (column, place) in places {
        let read = answer.with(place, None, |fetched| encoding::template_codes(fetched, rows))?;
        codes.insert(column, read);
    }
    let found = narrowed.rows(rows, &codes);
    Ok(match (found, among) {
        (Some(found), Some(among)) => Some(&found & among),
        (Some(found), None) => Some(found),
        (None, _) => None,
    })
}
