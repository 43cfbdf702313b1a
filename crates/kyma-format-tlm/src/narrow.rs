//! Rows of a block that may match, and rows that do, by the templates of its lines.
//!
//! 1. Each condition on a column of lines is asked of the column's templates: the footer has them, nothing is read.
//! 2. No template of the block can match: the block falls. Nothing is known of any: nothing is known.
//! 3. Else the codes of the lines (a column's head, not its frames) say which template each row has.
//!
//! A column whose texts are stored in frames (ids) is compared byte by byte instead, where the condition is equality.
//!
//! Conditions are combined as sets of rows: both sides of an `and`, either side of an `or`. Under a `not` nothing is claimed.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::buffer::BooleanBuffer;
use kyma_core::error::Result;
use kyma_core::format::{Narrowed, PruneRequest, RangeReader};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::types::Type;
use kyma_core::value::Value;

use crate::constants::encoding as encoding_tag;
use crate::encoding;
use crate::encoding::template::dictionary::Template;
use crate::encoding::template::matching::{Needle, Verdict};
use crate::fetch::Fetch;
use crate::index::need::literals_of_regex;
use crate::reader::Reader;

/// One test of the lines of a column: how, what, and whether case counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LineTest {
    column: usize,
    op: TextOp,
    needle: String,
    case_sensitive: bool,
}

/// Verdicts of recent tests over all templates of their columns: a query asks the same of every block.
#[derive(Debug, Default)]
pub(crate) struct Verdicts(std::sync::Mutex<Vec<(LineTest, Arc<Vec<Verdict>>)>>);

/// So few rows are read at once rather than after a round for their templates.
const FEW_ROWS: usize = 128;
/// Texts that are looked for at once.
const NEEDLES_MAX: usize = 16;
/// Tests whose verdicts are kept.
const KEPT_TESTS: usize = 16;

impl Verdicts {
    /// By template of the test's column; `None` when nothing can be said.
    fn of(&self, reader: &Reader, test: LineTest) -> Option<Arc<Vec<Verdict>>> {
        // A lock that a panic poisoned holds what it held before.
        let lock = || self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some((_, known)) = lock().iter().find(|(known, _)| *known == test) {
            return Some(Arc::clone(known));
        }
        let test_of = prepared(&test)?;
        let dictionary = reader.footer.templates.get(test.column)?;
        let templates = (0..dictionary.len() as u32).filter_map(|number| dictionary.get(number));
        let verdicts: Arc<Vec<Verdict>> = Arc::new(templates.map(test_of).collect());
        let mut kept = lock();
        if kept.len() == KEPT_TESTS {
            kept.remove(0);
        }
        kept.push((test, Arc::clone(&verdicts)));
        Some(verdicts)
    }
}

/// What a test says of a template.
type Prepared = Box<dyn Fn(&Template) -> Verdict>;

/// A test ready for many templates; `None` when it says nothing of any.
fn prepared(test: &LineTest) -> Option<Prepared> {
    if test.op != TextOp::Regex {
        let needle = Needle::new(test.op, &test.needle, test.case_sensitive)?;
        return Some(Box::new(move |template| needle.verdict(template)));
    }
    let contains = |literal: &String| Needle::new(TextOp::Contains, literal, false);
    let lists: Vec<Vec<Needle>> =
        literals_of_regex(&test.needle).iter().map(|list| list.iter().filter_map(contains).collect()).collect();
    let excludes = move |list: &Vec<Needle>, template: &Template| {
        list.iter().all(|needle| needle.verdict(template) == Verdict::No)
    };
    (!lists.is_empty()).then_some(Box::new(move |template: &Template| {
        if lists.iter().any(|list| excludes(list, template)) { Verdict::No } else { Verdict::Maybe }
    }))
}

/// A predicate as far as templates speak of it.
enum Known {
    /// Nothing is known.
    Any,
    /// No row matches.
    Nothing,
    /// By the code of the row's template in a column.
    Lines { column: usize, verdicts: Vec<Verdict> },
    /// What matches all of these; and of other conditions too, unless `is_whole`.
    Both { parts: Vec<Known>, is_whole: bool },
    /// What matches one of these; or another condition, unless `is_whole`.
    Either { parts: Vec<Known>, is_whole: bool },
}

/// Rows of a [`Known`]: that may match (`None` for all), and that do (`None` for none).
#[derive(Default)]
struct Rows {
    may: Option<BooleanBuffer>,
    sure: Option<BooleanBuffer>,
}

impl Known {
    fn of(reader: &Reader, block: u32, predicate: &Predicate) -> Known {
        match predicate {
            Predicate::True | Predicate::Opaque | Predicate::Not(_) | Predicate::IsNull(_) => Known::Any,
            Predicate::And(parts) => {
                let mut known: Vec<Known> = parts.iter().map(|part| Known::of(reader, block, part)).collect();
                if known.iter().any(|part| matches!(part, Known::Nothing)) {
                    return Known::Nothing;
                }
                known.retain(|part| !matches!(part, Known::Any));
                let is_whole = known.len() == parts.len();
                if known.is_empty() { Known::Any } else { Known::Both { parts: known, is_whole } }
            }
            Predicate::Or(parts) => {
                let mut known: Vec<Known> = parts.iter().map(|part| Known::of(reader, block, part)).collect();
                let is_whole = !known.iter().any(|part| matches!(part, Known::Any));
                known.retain(|part| !matches!(part, Known::Any | Known::Nothing));
                match (known.is_empty(), is_whole) {
                    (true, true) => Known::Nothing,
                    (true, false) => Known::Any,
                    (false, is_whole) => Known::Either { parts: known, is_whole },
                }
            }
            Predicate::Compare { column, op: CompareOp::Equal, value: Value::String(text) } => {
                Known::lines(reader, block, column, TextOp::Equal, &[text], true)
            }
            Predicate::Compare { .. } => Known::Any,
            Predicate::In { column, values } => {
                fn text(value: &Value) -> Option<&String> {
                    match value {
                        Value::String(text) => Some(text),
                        _ => None,
                    }
                }
                match values.iter().map(text).collect::<Option<Vec<&String>>>() {
                    Some(texts) => Known::lines(reader, block, column, TextOp::Equal, &texts, true),
                    None => Known::Any,
                }
            }
            Predicate::Text { column, op, needle, case_sensitive } => {
                Known::lines(reader, block, column, *op, &[needle], *case_sensitive)
            }
        }
    }

    /// Lines that match one of `needles`.
    fn lines(
        reader: &Reader,
        block: u32,
        column: &ColumnRef,
        op: TextOp,
        needles: &[&String],
        case_sensitive: bool,
    ) -> Known {
        let at = reader.footer.schema.index_of(&column.column).filter(|_| column.path.is_empty());
        let stored = at.and_then(|at| reader.footer.blocks.get(block as usize)?.columns.get(at));
        let (Some(column), Some(stored)) = (at, stored) else { return Known::Any };
        if stored.piece.encoding != encoding_tag::TEMPLATE {
            return Known::Any;
        }
        let test = |needle: &&String| LineTest { column, op, needle: (*needle).clone(), case_sensitive };
        let by_needle = needles.iter().map(|needle| reader.verdicts.of(reader, test(needle)));
        let Some(by_needle) = by_needle.collect::<Option<Vec<_>>>() else { return Known::Any };
        let verdict = |&(template, _): &(u32, u32)| {
            let of = |verdicts: &Arc<Vec<Verdict>>| verdicts.get(template as usize).copied().unwrap_or(Verdict::Maybe);
            by_needle.iter().map(of).max_by_key(|verdict| *verdict as u8).unwrap_or(Verdict::Maybe)
        };
        let verdicts: Vec<Verdict> = stored.templates.iter().map(verdict).collect();
        match () {
            () if verdicts.iter().all(|verdict| *verdict == Verdict::No) => Known::Nothing,
            () if verdicts.iter().all(|verdict| *verdict == Verdict::Maybe) => Known::Any,
            () => Known::Lines { column, verdicts },
        }
    }

    fn for_each_column(&self, visit: &mut impl FnMut(usize)) {
        match self {
            Known::Any | Known::Nothing => {}
            Known::Lines { column, .. } => visit(*column),
            Known::Both { parts, .. } | Known::Either { parts, .. } => {
                parts.iter().for_each(|part| part.for_each_column(visit));
            }
        }
    }

    fn rows(&self, rows: usize, codes: &BTreeMap<usize, Vec<u32>>) -> Rows {
        match self {
            Known::Any => Rows::default(),
            Known::Nothing => Rows { may: Some(BooleanBuffer::new_unset(rows)), sure: None },
            Known::Lines { column, verdicts } => {
                let Some(codes) = codes.get(column) else { return Rows::default() };
                // A null, which has no template, matches no test of a needle that is not empty.
                let any = verdicts.iter().map(|verdict| *verdict != Verdict::No).collect::<Vec<bool>>();
                let all = verdicts.iter().map(|verdict| *verdict == Verdict::Yes).collect::<Vec<bool>>();
                let marked = |marks: &[bool]| {
                    let mark = |row: usize| codes.get(row).and_then(|code| marks.get(*code as usize)) == Some(&true);
                    BooleanBuffer::collect_bool(rows, mark)
                };
                let sure = all.contains(&true).then(|| marked(&all));
                Rows { may: Some(marked(&any)), sure: sure.or_else(|| Some(BooleanBuffer::new_unset(rows))) }
            }
            Known::Both { parts, is_whole } => {
                let parts: Vec<Rows> = parts.iter().map(|part| part.rows(rows, codes)).collect();
                let sure =
                    parts.iter().map(|part| part.sure.as_ref()).collect::<Option<Vec<_>>>().filter(|_| *is_whole);
                Rows {
                    may: parts.iter().filter_map(|part| part.may.clone()).reduce(|left, right| &left & &right),
                    sure: sure.and_then(|sure| sure.into_iter().cloned().reduce(|left, right| &left & &right)),
                }
            }
            Known::Either { parts, is_whole } => {
                let parts: Vec<Rows> = parts.iter().map(|part| part.rows(rows, codes)).collect();
                let may = parts.iter().map(|part| part.may.clone()).collect::<Option<Vec<_>>>().filter(|_| *is_whole);
                Rows {
                    may: may.and_then(|may| may.into_iter().reduce(|left, right| &left | &right)),
                    sure: parts.iter().filter_map(|part| part.sure.clone()).reduce(|left, right| &left | &right),
                }
            }
        }
    }
}

/// Whether the templates of `block` exclude every row of it. Reads nothing.
pub(crate) fn excludes(reader: &Reader, block: u32, predicate: &Predicate) -> bool {
    matches!(Known::of(reader, block, predicate), Known::Nothing)
}

/// The rows that are equal to one of few texts, of a column that is stored in frames: the bytes are compared as they are stored.
async fn equal_rows(
    reader: &Reader,
    source: &dyn RangeReader,
    block: u32,
    predicate: &Predicate,
    among: Option<&BooleanBuffer>,
) -> Result<Option<Narrowed>> {
    let one = |value: &Value| match value {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        _ => None,
    };
    let (column, needles) = match predicate {
        Predicate::Compare { column, op: CompareOp::Equal, value } => (column, one(value).map(|text| vec![text])),
        Predicate::In { column, values } if values.len() <= NEEDLES_MAX => (column, values.iter().map(one).collect()),
        _ => return Ok(None),
    };
    let at = reader.footer.schema.index_of(&column.column).filter(|_| column.path.is_empty());
    let (Some(needles), Some(at), Some(stored)) = (needles, at, reader.footer.blocks.get(block as usize)) else {
        return Ok(None);
    };
    let piece = &stored.columns[at].piece;
    let is_text = reader.footer.schema.columns()[at].ty == Type::String;
    if piece.encoding != encoding_tag::FRAMES || !is_text {
        return Ok(None);
    }
    let mut fetch = Fetch::default();
    let place = fetch.add(piece, format!("data, block={block}, column={}", column.column), among);
    let answer = fetch.run(source).await?;
    let needles: Vec<&[u8]> = needles.iter().map(|text| text.as_bytes()).collect();
    let rows = stored.rows as usize;
    let found = answer.with(place, None, |fetched| encoding::find_equal(fetched, rows, &needles))?;
    let found = among.map_or_else(|| found.clone(), |among| &found & among);
    Ok(Some(Narrowed { rows: found.clone(), sure: found }))
}

/// The rows of `block` that may match and that do, among `among`; `None` when templates say nothing.
pub(crate) async fn rows(
    reader: &Reader,
    source: &dyn RangeReader,
    block: u32,
    request: &PruneRequest<'_>,
    among: Option<&BooleanBuffer>,
) -> Result<Option<Narrowed>> {
    if among.is_some_and(|among| among.count_set_bits() <= FEW_ROWS) {
        return Ok(None);
    }
    if let Some(found) = equal_rows(reader, source, block, request.predicate, among).await? {
        return Ok(Some(found));
    }
    let known = Known::of(reader, block, request.predicate);
    let mut columns = Vec::new();
    known.for_each_column(&mut |column| columns.push(column));
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
    let found = known.rows(rows, &codes);
    if found.may.is_none() && found.sure.is_none() {
        return Ok(None);
    }
    let limited = |bits: BooleanBuffer| among.map_or_else(|| bits.clone(), |among| &bits & among);
    Ok(Some(Narrowed {
        rows: limited(found.may.unwrap_or_else(|| BooleanBuffer::new_set(rows))),
        sure: limited(found.sure.unwrap_or(no_row)),
    }))
}
