//! Drops blocks and pages that certainly hold no row for which the predicate is true.
//!
//! 1. Statistics have dropped what they can; without blocks or without a term in the predicate nothing is read.
//! 2. The predicate's positive tests of text become [`Need`]s; whatever else there is says "maybe", and so does everything
//!    under a `not`.
//! 3. Each need is resolved against the directory: to "none", to "maybe", to a shard of a filter, or to blocks of a dictionary.
//!    Of identifiers that must all be there only the longest is looked up: one request tells nearly as much as several.
//! 4. All ranges are read at once, neighbours together; every part is compared with its checksum.
//! 5. Sets of pages are combined. Blocks without a page fall; of others the rows of their pages remain.

use std::collections::BTreeMap;
use std::ops::Range;

use arrow::buffer::BooleanBuffer;
use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::format::{PruneRequest, Pruned, RangeReader};
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate};
use kyma_core::prune::Reason;
use kyma_core::value::Value;

use super::collect::guid_term;
use super::dictionary;
use super::directory::{Directory, Field};
use super::filter::{Filter, Part, Shard, salted, shard_of};
use super::need::{self, Need, TermTest};
use super::terms::{Class, class_of, hash, is_pooled, kind_of, letters, longest, may_be_uuid_part};
use super::units::Units;
use crate::constants::PAGE_ROWS;
use crate::constants::index::{CLASSES, kind, place};
use crate::fetch::named;
use crate::limits::{
    INDEX_JOINED_BYTES, INDEX_PAGES_MAX, INDEX_READ_BYTES_MAX, INDEX_SEARCHED_BYTES_MAX, INDEX_TESTS_MAX,
    NEED_DEPTH_MAX,
};
use crate::wire::is_intact;

/// Of terms that must all be there, how many are looked up: the longest ones.
const TERMS_MAX: usize = 3;

/// The fields that hold the texts of a column or path in one block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sources {
    /// No text: every row is null.
    None,
    /// These fields together.
    Fields(Vec<usize>),
    /// Not indexed.
    Unknown,
}

/// What is searched.
pub(crate) trait Searched {
    /// Where the texts of `column` in `block` are indexed.
    fn sources(&self, block: u32, column: &ColumnRef) -> Sources;

    /// The name of a field, for errors.
    fn field_name(&self, field: &Field) -> String;
}

/// Narrows what statistics left of `request`.
pub(crate) async fn search(
    directory: &Directory,
    searched: &(dyn Searched + Sync),
    block_rows: &[u32],
    source: &dyn RangeReader,
    request: &PruneRequest<'_>,
    pruned: Pruned,
) -> Result<Pruned> {
    let Some(layout) = Layout::new(block_rows, &pruned.blocks) else { return Ok(pruned) };
    let planner = Planner { directory, searched, blocks: &pruned.blocks };
    let plan = planner.predicate(request.predicate, 0);
    if pruned.blocks.is_empty() || plan == Plan::Maybe {
        return Ok(pruned);
    }
    let Some(parts) = plan.parts(directory, searched) else { return Ok(pruned) };
    let parts = fetch(parts, source).await?;
    let found = Answers { directory, layout: &layout, parts }.pages(&plan)?;
    let reason = if plan.looks_into_filters() || directory.fields.iter().all(|field| field.dictionary.terms == 0) {
        Reason::Filter
    } else {
        Reason::Terms
    };
    Ok(layout.narrow(pruned, &found, reason))
}

/// Which pages each block has.
struct Layout<'a> {
    block_rows: &'a [u32],
    /// The first page of each block, and one beyond the last.
    first_pages: Vec<u32>,
    /// Pages of the blocks that are looked at.
    candidates: Units,
    candidate_blocks: Units,
}

impl<'a> Layout<'a> {
    fn new(block_rows: &'a [u32], blocks: &[u32]) -> Option<Self> {
        let mut first_pages = vec![0_u32];
        let mut pages = 0_u32;
        for rows in block_rows {
            pages = pages.checked_add(rows.div_ceil(PAGE_ROWS as u32)).filter(|pages| *pages <= INDEX_PAGES_MAX)?;
            first_pages.push(pages);
        }
        let mut layout = Layout {
            block_rows,
            candidates: Units::none(pages),
            candidate_blocks: Units::none(block_rows.len() as u32),
            first_pages,
        };
        for &block in blocks {
            layout.candidate_blocks.set(block);
            layout.pages_of(block).for_each(|page| layout.candidates.set(page));
        }
        Some(layout)
    }

    fn pages_of(&self, block: u32) -> Range<u32> {
        let at = |place: usize| self.first_pages.get(place).copied().unwrap_or_default();
        at(block as usize)..at(block as usize + 1)
    }

    /// The pages of a set of blocks.
    fn expand(&self, blocks: &Units) -> Units {
        let mut pages = Units::none(self.candidates.count());
        for block in (0..blocks.count()).filter(|&block| blocks.has(block)) {
            self.pages_of(block).for_each(|page| pages.set(page));
        }
        pages
    }

    fn narrow(&self, pruned: Pruned, found: &Units, reason: Reason) -> Pruned {
        let mut kept = Pruned { reasons: pruned.reasons, ..Pruned::default() };
        for block in pruned.blocks {
            let pages = self.pages_of(block);
            let first = pages.start;
            let hits = pages.clone().filter(|&page| found.has(page)).count();
            if hits == 0 {
                *kept.reasons.entry(reason).or_default() += 1;
                continue;
            }
            kept.blocks.push(block);
            if hits < pages.len() {
                let rows = self.block_rows.get(block as usize).copied().unwrap_or_default() as usize;
                let may_match = |row: usize| found.has(first + (row / PAGE_ROWS) as u32);
                kept.rows.insert(block, BooleanBuffer::collect_bool(rows, may_match));
            }
        }
        kept
    }
}

/// A part of an index: which filter or dictionary, and its place there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum PartId {
    PageShard(usize),
    BlockShard(usize),
    /// Field, block.
    Dictionary(usize, usize),
}

/// A predicate resolved against the directory.
#[derive(Debug, Clone, PartialEq)]
enum Plan {
    Maybe,
    None,
    All(Vec<Plan>),
    Any(Vec<Plan>),
    /// The plan says nothing of other blocks: in `open` ones everything may match, elsewhere nothing.
    Within {
        plan: Box<Plan>,
        blocks: Vec<u32>,
        open: Vec<u32>,
    },
    /// A term in the filter of pages or of blocks.
    Filter {
        part: PartId,
        term: u64,
        length: usize,
    },
    /// A test of the terms in blocks of a dictionary.
    Dictionary {
        field: usize,
        blocks: Range<usize>,
        test: TermTest,
    },
}

impl Plan {
    fn all(plans: Vec<Plan>) -> Plan {
        if plans.contains(&Plan::None) {
            return Plan::None;
        }
        let mut plans: Vec<Plan> = plans.into_iter().filter(|plan| *plan != Plan::Maybe).collect();
        match plans.len() {
            0 => Plan::Maybe,
            1 => plans.remove(0),
            _ => Plan::All(plans),
        }
    }

    fn any(plans: Vec<Plan>) -> Plan {
        if plans.contains(&Plan::Maybe) {
            return Plan::Maybe;
        }
        let mut plans: Vec<Plan> = plans.into_iter().filter(|plan| *plan != Plan::None).collect();
        match plans.len() {
            0 => Plan::None,
            1 => plans.remove(0),
            _ => Plan::Any(plans),
        }
    }

    /// Drops tests of terms that would cost requests and tell little beside the others.
    fn fewest(plans: Vec<Plan>, dictionary_bytes: u64) -> Vec<Plan> {
        let of_pages = |plan: &&Plan| matches!(plan, Plan::Filter { part: PartId::PageShard(_), .. });
        if let Some(longest) = plans.iter().filter(of_pages).max_by_key(|plan| plan.length()) {
            return vec![longest.clone()];
        }
        let is_term = |plan: &Plan| match plan {
            Plan::Filter { .. } => true,
            Plan::Dictionary { test, .. } => test.is_exact(),
            _ => false,
        };
        let (mut terms, mut others): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(is_term);
        if !terms.is_empty() && dictionary_bytes > INDEX_JOINED_BYTES {
            // What looks through the whole dictionary costs too much beside a term.
            others.clear();
        }
        terms.sort_by_key(|plan| std::cmp::Reverse(plan.length()));
        terms.truncate(TERMS_MAX);
        others.append(&mut terms);
        others
    }

    /// Bytes of the term that is looked up.
    fn length(&self) -> usize {
        match self {
            Plan::Filter { length, .. } => *length,
            Plan::Dictionary { test, .. } => test.text.len(),
            _ => 0,
        }
    }

    fn looks_into_filters(&self) -> bool {
        match self {
            Plan::Maybe | Plan::None | Plan::Dictionary { .. } => false,
            Plan::All(plans) | Plan::Any(plans) => plans.iter().any(Plan::looks_into_filters),
            Plan::Within { plan, .. } => plan.looks_into_filters(),
            Plan::Filter { .. } => true,
        }
    }

    /// The parts to read; `None` when they are too many bytes, or give too many.
    fn parts(&self, directory: &Directory, searched: &(dyn Searched + Sync)) -> Option<BTreeMap<PartId, Wanted>> {
        if self.searched_bytes(directory) > INDEX_SEARCHED_BYTES_MAX {
            return None;
        }
        let mut ids = Vec::new();
        self.collect(&mut ids);
        let mut parts = BTreeMap::new();
        let mut bytes = 0;
        for id in ids {
            if parts.contains_key(&id) {
                continue;
            }
            let wanted = Wanted::new(id, directory, searched)?;
            bytes += u64::from(wanted.part.bytes);
            parts.insert(id, wanted);
        }
        (bytes <= INDEX_READ_BYTES_MAX).then_some(parts)
    }

    /// Decompressed bytes of dictionaries, once for each test.
    fn searched_bytes(&self, directory: &Directory) -> u64 {
        match self {
            Plan::Maybe | Plan::None | Plan::Filter { .. } => 0,
            Plan::All(plans) | Plan::Any(plans) => plans.iter().map(|plan| plan.searched_bytes(directory)).sum(),
            Plan::Within { plan, .. } => plan.searched_bytes(directory),
            Plan::Dictionary { field, blocks, .. } => {
                let dictionary =
                    directory.fields.get(*field).and_then(|field| field.dictionary.blocks.get(blocks.clone()));
                dictionary.unwrap_or_default().iter().map(|block| u64::from(block.decompressed)).sum()
            }
        }
    }

    fn collect(&self, ids: &mut Vec<PartId>) {
        match self {
            Plan::Maybe | Plan::None => {}
            Plan::All(plans) | Plan::Any(plans) => plans.iter().for_each(|plan| plan.collect(ids)),
            Plan::Within { plan, .. } => plan.collect(ids),
            Plan::Filter { part, .. } => ids.push(*part),
            Plan::Dictionary { field, blocks, .. } => {
                ids.extend(blocks.clone().map(|block| PartId::Dictionary(*field, block)));
            }
        }
    }
}

/// Makes plans.
struct Planner<'a> {
    directory: &'a Directory,
    searched: &'a (dyn Searched + Sync),
    blocks: &'a [u32],
}

impl Planner<'_> {
    fn predicate(&self, predicate: &Predicate, depth: usize) -> Plan {
        if depth > NEED_DEPTH_MAX {
            return Plan::Maybe;
        }
        let again = |parts: &[Predicate]| parts.iter().map(|part| self.predicate(part, depth + 1)).collect();
        match predicate {
            Predicate::And(parts) => Plan::all(again(parts)),
            Predicate::Or(parts) => Plan::any(again(parts)),
            Predicate::Text { column, op, needle, .. } => self.leaf(column, &need::of_text(*op, needle)),
            Predicate::Compare { column, op: CompareOp::Equal, value } => self.leaf(column, &of_value(value)),
            Predicate::In { column, values } if values.len() <= INDEX_TESTS_MAX => {
                self.leaf(column, &Need::any(values.iter().map(of_value).collect()))
            }
            _ => Plan::Maybe,
        }
    }

    fn leaf(&self, column: &ColumnRef, need: &Need) -> Plan {
        if *need == Need::Maybe || need.tests() > INDEX_TESTS_MAX {
            return Plan::Maybe;
        }
        // Blocks whose texts are in the same fields, together.
        let mut by_fields: BTreeMap<Vec<usize>, Vec<u32>> = BTreeMap::new();
        let mut open = Vec::new();
        for &block in self.blocks {
            match self.searched.sources(block, column) {
                Sources::None => {}
                Sources::Unknown => open.push(block),
                Sources::Fields(fields) => by_fields.entry(fields).or_default().push(block),
            }
        }
        if open.len() == self.blocks.len() {
            return Plan::Maybe;
        }
        let mut plans = Vec::new();
        for (fields, blocks) in by_fields {
            let plan = Plan::any(fields.iter().map(|&field| self.need(need, field)).collect());
            if plan != Plan::None {
                plans.push(match blocks.len() == self.blocks.len() {
                    true => plan,
                    false => Plan::Within { plan: Box::new(plan), blocks, open: Vec::new() },
                });
            }
        }
        if !open.is_empty() {
            plans.push(Plan::Within { plan: Box::new(Plan::None), blocks: Vec::new(), open });
        }
        Plan::any(plans)
    }

    fn need(&self, need: &Need, number: usize) -> Plan {
        let Some(field) = self.directory.fields.get(number) else { return Plan::Maybe };
        match need {
            Need::Maybe => Plan::Maybe,
            Need::Test(test) => self.test(test, number, field),
            Need::All(needs) => {
                let plans: Vec<Plan> = needs.iter().map(|need| self.need(need, number)).collect();
                if plans.contains(&Plan::None) {
                    Plan::None
                } else {
                    Plan::all(Plan::fewest(plans, field.dictionary.bytes()))
                }
            }
            Need::Any(needs) => Plan::any(needs.iter().map(|need| self.need(need, number)).collect()),
        }
    }

    fn test(&self, test: &TermTest, number: usize, field: &Field) -> Plan {
        let text = test.text.as_bytes();
        if field.left_out_uuid_parts && may_hold_uuid_part(test) {
            return Plan::Maybe;
        }
        let blocks = &field.dictionary.blocks;
        if !test.is_exact() {
            let is_hidden = (0..CLASSES).any(|class| {
                !matches!(field.place(class), place::ABSENT | place::DICTIONARY) && may_hold(class, text, field.letters)
            });
            if is_hidden {
                return Plan::Maybe;
            }
            let range = match test.is_open_left {
                true => 0..blocks.len(),
                false => {
                    let start = blocks.partition_point(|block| block.first.as_slice() <= text).saturating_sub(1);
                    let end =
                        blocks.partition_point(|block| block.first.as_slice() <= text || block.first.starts_with(text));
                    start..end
                }
            };
            return dictionary_plan(number, range, test);
        }
        let class = class_of(text);
        let term = salted(hash(text), number, is_pooled(class));
        let filter = |filter: &Filter, part: fn(usize) -> PartId| match filter.shards.len() {
            0 => Plan::None,
            shards => Plan::Filter { part: part(shard_of(term, shards)), term, length: text.len() },
        };
        match field.place(class) {
            place::ABSENT => Plan::None,
            place::PAGES => filter(&self.directory.pages, PartId::PageShard),
            place::BLOCKS => filter(&self.directory.blocks, PartId::BlockShard),
            place::DICTIONARY => match blocks.partition_point(|block| block.first.as_slice() <= text) {
                0 => Plan::None,
                after => dictionary_plan(number, after - 1..after, test),
            },
            _ => Plan::Maybe,
        }
    }
}

fn dictionary_plan(field: usize, blocks: Range<usize>, test: &TermTest) -> Plan {
    if blocks.is_empty() { Plan::None } else { Plan::Dictionary { field, blocks, test: test.clone() } }
}

fn of_value(value: &Value) -> Need {
    match value {
        Value::String(text) => need::of_literal(text, false, false),
        Value::Guid(guid) => Need::Test(TermTest::exact(guid_term(&guid.to_be_bytes()))),
        _ => Need::Maybe,
    }
}

fn may_hold_uuid_part(test: &TermTest) -> bool {
    let text = test.text.as_bytes();
    match test.is_exact() {
        true => may_be_uuid_part(text),
        false => text.len() <= 4 && text.iter().all(u8::is_ascii_hexdigit),
    }
}

/// Whether a term of `class` may start with, end with or hold `text`. `letters` is the longest run of letters in terms with letters and digits.
fn may_hold(class: Class, text: &[u8], letters_max: u8) -> bool {
    let fits = match kind_of(class) {
        kind::DIGITS => text.iter().all(u8::is_ascii_digit),
        kind::HEX => text.iter().all(u8::is_ascii_hexdigit),
        kind::MIXED => text.is_ascii() && letters(text) <= usize::from(letters_max),
        kind::WORD => text.iter().all(u8::is_ascii_alphabetic),
        // Its runs are terms of their own.
        kind::ADDRESS => false,
        _ => true,
    };
    fits && text.len() <= longest(class)
}

/// A part to read.
struct Wanted {
    range: Range<u64>,
    part: Part,
    section: String,
}

impl Wanted {
    fn new(id: PartId, directory: &Directory, searched: &(dyn Searched + Sync)) -> Option<Wanted> {
        let shard = |filter: &Filter, at: usize, of: &str| {
            let before: u64 = filter.shards.iter().take(at).map(|part| u64::from(part.bytes)).sum();
            let section = format!("indexes, filter of {of}, shard={at}");
            filter.shards.get(at).map(|part| Wanted::at(filter.offset + before, part, section))
        };
        match id {
            PartId::PageShard(at) => shard(&directory.pages, at, "pages"),
            PartId::BlockShard(at) => shard(&directory.blocks, at, "blocks"),
            PartId::Dictionary(number, at) => {
                let field = directory.fields.get(number)?;
                let blocks = &field.dictionary.blocks;
                let before: u64 = blocks.iter().take(at).map(|block| u64::from(block.part.bytes)).sum();
                let section = format!("indexes, dictionary of {}, block={at}", searched.field_name(field));
                Some(Wanted::at(field.dictionary.offset + before, &blocks.get(at)?.part, section))
            }
        }
    }

    fn at(start: u64, part: &Part, section: String) -> Wanted {
        Wanted { range: start..start + u64::from(part.bytes), part: part.clone(), section }
    }
}

/// Reads parts in one call; neighbours that make a small range together are one.
async fn fetch(parts: BTreeMap<PartId, Wanted>, source: &dyn RangeReader) -> Result<BTreeMap<PartId, (Bytes, String)>> {
    let mut wanted: Vec<(PartId, Wanted)> = parts.into_iter().collect();
    wanted.sort_by_key(|(_, wanted)| wanted.range.start);
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for (_, part) in wanted.iter().filter(|(_, part)| !part.range.is_empty()) {
        match ranges.last_mut() {
            Some(last) if part.range.end - last.start <= INDEX_JOINED_BYTES || part.range.start == last.end => {
                last.end = last.end.max(part.range.end);
            }
            _ => ranges.push(part.range.clone()),
        }
    }
    let read = if ranges.is_empty() { Vec::new() } else { source.read(&ranges).await? };
    let mut found = BTreeMap::new();
    for (id, part) in wanted {
        let bytes = cut(&part, &ranges, &read).map_err(|error| named(error, &part.section))?;
        found.insert(id, (bytes, part.section));
    }
    Ok(found)
}

fn cut(part: &Wanted, ranges: &[Range<u64>], read: &[Bytes]) -> Result<Bytes> {
    let mut bytes = Some(Bytes::new());
    if !part.range.is_empty() {
        let at = ranges.partition_point(|range| range.end <= part.range.start);
        bytes = ranges.get(at).zip(read.get(at)).and_then(|(range, bytes)| {
            let start = part.range.start.checked_sub(range.start)? as usize;
            let end = start + part.part.bytes as usize;
            (end <= bytes.len()).then(|| bytes.slice(start..end))
        });
    }
    let bytes = bytes.ok_or_else(|| Error::corrupt("the store gave too few bytes"))?;
    if is_intact(&bytes, part.part.crc) { Ok(bytes) } else { Err(Error::corrupt("the checksum does not match")) }
}

/// Evaluates plans with what was read.
struct Answers<'a> {
    directory: &'a Directory,
    layout: &'a Layout<'a>,
    parts: BTreeMap<PartId, (Bytes, String)>,
}

impl Answers<'_> {
    /// The pages that may match.
    fn pages(&self, plan: &Plan) -> Result<Units> {
        let layout = self.layout;
        let none = || Units::none(layout.candidates.count());
        match plan {
            Plan::Maybe => Ok(layout.candidates.clone()),
            Plan::None => Ok(none()),
            Plan::All(plans) => {
                let mut found = layout.candidates.clone();
                for plan in plans {
                    found.and(&self.pages(plan)?);
                }
                Ok(found)
            }
            Plan::Any(plans) => {
                let mut found = none();
                for plan in plans {
                    found.or(&self.pages(plan)?);
                }
                Ok(found)
            }
            Plan::Within { plan, blocks, open } => {
                let mut within = none();
                blocks.iter().flat_map(|&block| layout.pages_of(block)).for_each(|page| within.set(page));
                within.and(&self.pages(plan)?);
                open.iter().flat_map(|&block| layout.pages_of(block)).for_each(|page| within.set(page));
                Ok(within)
            }
            Plan::Filter { part, term, .. } => self.filter(*part, *term),
            Plan::Dictionary { field, blocks, test } => self.dictionary(*field, blocks.clone(), test),
        }
    }

    fn part(&self, id: PartId) -> Result<&(Bytes, String)> {
        self.parts.get(&id).ok_or_else(|| Error::internal("a part of an index was not read"))
    }

    fn filter(&self, part: PartId, term: u64) -> Result<Units> {
        let (bytes, section) = self.part(part)?;
        let (filter, among) = match part {
            PartId::BlockShard(_) => (&self.directory.blocks, &self.layout.candidate_blocks),
            _ => (&self.directory.pages, &self.layout.candidates),
        };
        let shard = Shard::read(bytes, filter.width).map_err(|error| named(error, section))?;
        let found = shard.units(term, among);
        Ok(if matches!(part, PartId::BlockShard(_)) { self.layout.expand(&found) } else { found })
    }

    fn dictionary(&self, number: usize, blocks: Range<usize>, test: &TermTest) -> Result<Units> {
        let field = self.directory.fields.get(number);
        let field = field.ok_or_else(|| Error::internal("an index has no such field"))?;
        let layout = self.layout;
        let units = if field.has_page_postings { layout.candidates.count() } else { layout.candidate_blocks.count() };
        let mut found = Units::none(units);
        for at in blocks {
            let (bytes, section) = self.part(PartId::Dictionary(number, at))?;
            let block =
                field.dictionary.blocks.get(at).ok_or_else(|| Error::internal("a dictionary has no such block"))?;
            dictionary::search(bytes, block, units, |term| test.passes(term), &mut found)
                .map_err(|error| named(error, section))?;
        }
        Ok(if field.has_page_postings { found } else { layout.expand(&found) })
    }
}
