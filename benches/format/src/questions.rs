//! Asks extents the way a scan does: `prune`, `narrow`, `read` of the filter's column, then the filter itself.
//!
//! Terms are chosen by how many rows hold them: one row in a hundred thousand, in a hundred, in three. Needles are
//! the rarest identifier of the rows in the middle, and the rarest one in their text; their absent twins occur nowhere. Each question is
//! asked once on a fresh reader, whose requests and bytes count as cold (footers at hand), then often enough for its CPU
//! time to be told.

use std::collections::HashMap;

use anyhow::{Context, Result, bail, ensure};
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::buffer::BooleanBuffer;
use kyma_core::format::{PruneRequest, ReadColumn, SegmentReader};
use kyma_core::limits::PAGE_ROWS;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::text::{TextTest, terms};
use kyma_core::{Type, value};
use serde_json::{Value, json};

use crate::cpu;
use crate::extents::Stored;
use crate::source::{Cost, Counted};

/// One row in so many holds the term.
const RARITIES: [(&str, usize); 3] = [("rare", 100_000), ("middling", 100), ("common", 3)];
/// CPU seconds spent on repeating a question.
const REPEAT_SECONDS: f64 = 0.3;
const REPEATS_MAX: usize = 200;
/// A shorter term is a word or a number.
const NEEDLE_BYTES_MIN: usize = 12;
/// Rows among whose identifiers a needle is chosen.
const NEEDLE_ROWS: usize = 1_000;

/// A filter over one string column.
#[derive(Debug)]
struct Question {
    title: String,
    column: String,
    op: TextOp,
    needle: String,
    predicate: Predicate,
}

/// What answering took.
#[derive(Debug, Default)]
struct Answer {
    hits: u64,
    blocks: u64,
    decoded_rows: u64,
    /// Pages of the filter's column with a row that was decoded, and those of them with a hit.
    pages: u64,
    hit_pages: u64,
    holding: Costs,
    other: Costs,
}

/// Costs over extents.
#[derive(Debug, Default)]
struct Costs {
    extents: u64,
    /// Of `prune` alone.
    prune_requests_max: u64,
    prune_bytes_max: u64,
    /// Until the rows that match are known.
    requests_max: u64,
    bytes_max: u64,
    /// With the other columns of the hits read too.
    whole_requests_max: u64,
    whole_bytes_max: u64,
}

impl Costs {
    fn add(&mut self, prune: Cost, filter: Cost, rest: Cost) {
        self.extents += 1;
        self.prune_requests_max = self.prune_requests_max.max(prune.requests);
        self.prune_bytes_max = self.prune_bytes_max.max(prune.bytes);
        let filter = Cost { requests: prune.requests + filter.requests, bytes: prune.bytes + filter.bytes };
        self.requests_max = self.requests_max.max(filter.requests);
        self.bytes_max = self.bytes_max.max(filter.bytes);
        self.whole_requests_max = self.whole_requests_max.max(filter.requests + rest.requests);
        self.whole_bytes_max = self.whole_bytes_max.max(filter.bytes + rest.bytes);
    }

    fn json(&self) -> Value {
        json!({
            "extents": self.extents,
            "prune_requests_max": self.prune_requests_max,
            "prune_bytes_max": self.prune_bytes_max,
            "requests_max": self.requests_max,
            "bytes_max": self.bytes_max,
            "whole_rows_requests_max": self.whole_requests_max,
            "whole_rows_bytes_max": self.whole_bytes_max,
        })
    }
}

/// Asks for terms of the `text` column and for a needle in the `id` column; columns not named are not asked.
pub(crate) async fn ask(stored: &Stored, text: Option<&str>, id: Option<&str>) -> Result<Vec<Value>> {
    let mut questions = Vec::new();
    if let Some(column) = text {
        for (rarity, term) in choose_terms(&stored.rows, column)? {
            questions.push(has(&format!("{rarity} term"), column, term));
        }
        if let Some(needle) = needle(&stored.rows, column, ids_in_text)? {
            let absent = absent_twin(&stored.rows, column, TextOp::Has, &needle)?;
            questions.push(has("needle in text", column, needle));
            questions.push(has("absent needle in text", column, absent));
        }
    }
    if let Some(column) = id {
        let needle = needle(&stored.rows, column, whole_text)?.context("no identifiers")?;
        let absent = absent_twin(&stored.rows, column, TextOp::Equal, &needle)?;
        questions.push(equal("needle", column, needle));
        questions.push(equal("absent needle", column, absent));
    }
    let mut answers = Vec::new();
    for question in &questions {
        answers.push(answer(stored, question).await?);
    }
    Ok(answers)
}

fn has(title: &str, column: &str, needle: String) -> Question {
    let predicate = Predicate::Text {
        column: ColumnRef::column(column),
        op: TextOp::Has,
        needle: needle.clone(),
        case_sensitive: false,
    };
    Question { title: title.to_owned(), column: column.to_owned(), op: TextOp::Has, needle, predicate }
}

fn equal(title: &str, column: &str, needle: String) -> Question {
    let predicate = Predicate::Compare {
        column: ColumnRef::column(column),
        op: CompareOp::Equal,
        value: value::Value::String(needle.clone()),
    };
    Question { title: title.to_owned(), column: column.to_owned(), op: TextOp::Equal, needle, predicate }
}

async fn answer(stored: &Stored, question: &Question) -> Result<Value> {
    let mut open = Vec::new();
    let mut cold = Answer::default();
    for extent in &stored.extents {
        let (source, reader) = extent.open().await?;
        scan(stored, question, &source, reader.as_ref(), &mut cold, true).await?;
        open.push((source, reader));
    }
    let (mut repeats, mut seconds) = (0, 0.0);
    while seconds < REPEAT_SECONDS && repeats < REPEATS_MAX {
        let mut warm = Answer::default();
        let before = cpu::seconds()?;
        for (source, reader) in &open {
            scan(stored, question, source, reader.as_ref(), &mut warm, false).await?;
        }
        seconds += cpu::seconds()? - before;
        repeats += 1;
        ensure!(warm.hits == cold.hits, "the answer changed: {} then {}", cold.hits, warm.hits);
    }
    check(stored, question, cold.hits)?;
    Ok(json!({
        "title": question.title,
        "column": question.column,
        "op": if question.op == TextOp::Has { "has" } else { "==" },
        "needle": question.needle,
        "hits": cold.hits,
        "seconds": seconds / repeats as f64,
        "blocks_read": cold.blocks,
        "rows_decoded": cold.decoded_rows,
        "pages_decoded": cold.pages,
        "pages_with_hits": cold.hit_pages,
        "cold_holding": cold.holding.json(),
        "cold_other": cold.other.json(),
    }))
}

/// Answers from one extent; `whole_rows` also reads the other columns of the hits.
async fn scan(
    stored: &Stored,
    question: &Question,
    source: &Counted,
    reader: &dyn SegmentReader,
    answer: &mut Answer,
    whole_rows: bool,
) -> Result<()> {
    source.take();
    let candidates: Vec<u32> = (0..reader.block_rows().len() as u32).collect();
    let request = PruneRequest {
        predicate: &question.predicate,
        schema: reader.schema(),
        time_column: &stored.time_column,
        null_strings_are_empty: true,
        candidates: &candidates,
    };
    let test = TextTest::new(question.op, &question.needle, question.op == TextOp::Equal);
    let filter = [ReadColumn::column(&question.column, Type::String)];
    let pruned = reader.prune(source, &request).await?;
    let prune_cost = source.take();
    let mut hits: Vec<(u32, BooleanBuffer)> = Vec::new();
    for &block in &pruned.blocks {
        let known = pruned.rows.get(&block);
        let narrowed = reader.narrow(source, block, &request, known).await?;
        let selection = narrowed.as_ref().or(known);
        if selection.is_some_and(|rows| rows.count_set_bits() == 0) {
            continue;
        }
        let read = reader.read(source, block, &filter, selection).await?;
        let texts = read.column(0).as_string_view();
        let rows = reader.block_rows()[block as usize] as usize;
        let passed: Vec<usize> = (0..texts.len())
            .filter(|&at| if texts.is_null(at) { test.matches("") } else { test.matches(texts.value(at)) })
            .collect();
        answer.blocks += 1;
        answer.decoded_rows += texts.len() as u64;
        let places = places(selection, rows);
        answer.pages += pages(places.iter().copied());
        answer.hit_pages += pages(passed.iter().map(|&at| places[at]));
        answer.hits += passed.len() as u64;
        if !passed.is_empty() {
            let mut bits = vec![false; rows];
            passed.iter().for_each(|&at| bits[places[at]] = true);
            hits.push((block, BooleanBuffer::from(bits)));
        }
    }
    if !whole_rows {
        return Ok(());
    }
    let filter_cost = source.take();
    let others: Vec<ReadColumn> = reader
        .schema()
        .columns()
        .iter()
        .filter(|column| column.name != question.column)
        .map(|column| ReadColumn::column(&column.name, column.ty))
        .collect();
    for (block, selection) in &hits {
        reader.read(source, *block, &others, Some(selection)).await?;
    }
    let costs = if hits.is_empty() { &mut answer.other } else { &mut answer.holding };
    costs.add(prune_cost, filter_cost, source.take());
    Ok(())
}

/// The rows of a block that a selection names.
fn places(selection: Option<&BooleanBuffer>, rows: usize) -> Vec<usize> {
    selection.map_or_else(|| (0..rows).collect(), |bits| bits.set_indices().collect())
}

/// Pages that ascending rows lie in.
fn pages(rows: impl Iterator<Item = usize>) -> u64 {
    let mut last = None;
    rows.filter(|row| last.replace(row / PAGE_ROWS) != Some(row / PAGE_ROWS)).count() as u64
}

/// The slow, obvious answer must be the same.
fn check(stored: &Stored, question: &Question, hits: u64) -> Result<()> {
    let test = TextTest::new(question.op, &question.needle, question.op == TextOp::Equal);
    let wanted = count(&stored.rows, &question.column, &test)?;
    ensure!(hits == wanted, "{} finds {hits} rows of {wanted}", question.title);
    Ok(())
}

/// Rows whose text passes.
fn count(batches: &[RecordBatch], column: &str, test: &TextTest) -> Result<u64> {
    let mut rows = 0;
    for batch in batches {
        rows += texts(batch, column)?.iter().filter(|text| test.matches(text.unwrap_or_default())).count() as u64;
    }
    Ok(rows)
}

fn texts<'a>(rows: &'a RecordBatch, column: &str) -> Result<&'a arrow::array::StringViewArray> {
    let array = rows.column_by_name(column).with_context(|| format!("there is no column {column}"))?;
    array.as_string_view_opt().with_context(|| format!("column {column} is no text"))
}

/// Terms of letters and how many rows hold each, closest to the wanted rarities.
fn choose_terms(batches: &[RecordBatch], column: &str) -> Result<Vec<(&'static str, String)>> {
    let mut counts: HashMap<String, (usize, usize)> = HashMap::new();
    let mut row = 0;
    for rows in batches {
        for text in texts(rows, column)?.iter() {
            row += 1;
            for term in terms(text.unwrap_or_default()).filter(|term| is_word(term)) {
                let lower = term.to_ascii_lowercase();
                let (count, last) = counts.entry(lower).or_default();
                *count += usize::from(*last != row);
                *last = row;
            }
        }
    }
    let mut counts: Vec<(String, usize)> = counts.into_iter().map(|(term, (count, _))| (term, count)).collect();
    counts.sort_unstable();
    let closest = |wanted: usize| {
        let wanted = wanted.max(1);
        counts.iter().min_by_key(|(_, count)| (count.max(&wanted) * 1000 / count.min(&wanted)).max(1000))
    };
    let chosen = RARITIES.iter().filter_map(|(name, one_in)| Some((*name, closest(row / one_in)?.0.clone())));
    Ok(chosen.collect())
}

/// Letters, and not only hex digits: those are parts of identifiers.
fn is_word(term: &str) -> bool {
    let is_letters = term.bytes().all(|byte| byte.is_ascii_alphabetic());
    (4..=20).contains(&term.len()) && is_letters && !term.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Of the identifiers that `ids` finds in the middle rows the one in the fewest rows; of several the longest.
fn needle(batches: &[RecordBatch], column: &str, ids: fn(&str) -> Vec<&str>) -> Result<Option<String>> {
    let middle = texts(&batches[batches.len() / 2], column)?;
    let from = middle.len() / 2;
    let near = (from..middle.len().min(from + NEEDLE_ROWS)).filter(|&row| middle.is_valid(row));
    let mut counts: HashMap<&str, usize> = near.flat_map(|row| ids(middle.value(row))).map(|id| (id, 0)).collect();
    for batch in batches {
        for text in texts(batch, column)?.iter().flatten() {
            for id in ids(text) {
                counts.entry(id).and_modify(|count| *count += 1);
            }
        }
    }
    let rarest = counts.into_iter().min_by_key(|(id, count)| (*count, std::cmp::Reverse(id.len()), *id));
    Ok(rarest.map(|(id, _)| id.to_owned()))
}

/// The text itself, unless it is empty.
fn whole_text(text: &str) -> Vec<&str> {
    if text.is_empty() { Vec::new() } else { vec![text] }
}

/// The identifiers among the terms of a text, each once.
fn ids_in_text(text: &str) -> Vec<&str> {
    let mut ids: Vec<&str> = terms(text).filter(|term| is_id(term)).collect();
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// A long term of letters and digits.
fn is_id(term: &str) -> bool {
    let digits = term.bytes().filter(u8::is_ascii_digit).count();
    term.is_ascii() && term.len() >= NEEDLE_BYTES_MIN && digits > 0 && digits < term.len()
}

/// A needle like `needle` that no row passes for: its last digits run on until one is free.
fn absent_twin(batches: &[RecordBatch], column: &str, op: TextOp, needle: &str) -> Result<String> {
    let kept = needle.len().saturating_sub(4);
    for number in 0..=0xffff_u32 {
        let twin = format!("{}{number:04x}", &needle[..kept]);
        if count(batches, column, &TextTest::new(op, &twin, op == TextOp::Equal))? == 0 {
            return Ok(twin);
        }
    }
    bail!("every identifier is taken")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_of_rows() {
        assert_eq!(pages([0, 1, 1023, 1024, 5000].into_iter()), 3);
        assert_eq!(pages([].into_iter()), 0);
    }
}
