//! `basket`, `autocluster` and `diffpatterns`: combinations of values that many rows have.
//!
//! A pattern fixes some columns to a value each. The rows of a pattern are a bitmap; a pattern is extended by a value of a later
//! column and its rows are the intersection, so that whatever is too rare is not extended (Zaki 2000, "Scalable algorithms for
//! association mining"). Everything is exact and in one order: larger patterns first, then by their columns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, UInt32Array};
use arrow::row::{RowConverter, SortField};
use kyma_core::{Error, Result, Value};

use super::PluginCall;
use crate::limits::{PATTERN_BYTES_MAX, PATTERN_CANDIDATES_MAX, PATTERNS_MAX};

/// Rows as bits.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Bits(Vec<u64>);

impl Bits {
    fn none(rows: usize) -> Bits {
        Bits(vec![0; rows.div_ceil(64)])
    }

    fn set(&mut self, row: usize) {
        self.0[row / 64] |= 1 << (row % 64);
    }

    fn and(&self, other: &Bits) -> Bits {
        Bits(self.0.iter().zip(&other.0).map(|(a, b)| a & b).collect())
    }

    fn without(&self, other: &Bits) -> Bits {
        Bits(self.0.iter().zip(&other.0).map(|(a, b)| a & !b).collect())
    }

    fn count(&self) -> usize {
        self.0.iter().map(|word| word.count_ones() as usize).sum()
    }

    fn first(&self) -> Option<usize> {
        let word = self.0.iter().position(|word| *word != 0)?;
        Some(word * 64 + self.0[word].trailing_zeros() as usize)
    }
}

/// A value of a column, and the rows that have it.
struct Item {
    column: usize,
    rows: Bits,
}

/// Columns that are fixed, and the rows.
#[derive(Debug, Clone)]
struct Pattern {
    columns: Vec<usize>,
    rows: Bits,
}

/// The values of columns that at least `least` of the rows in `among` have.
fn items(columns: &[ArrayRef], rows: usize, among: &[&Bits], least: &[usize]) -> Result<Vec<Item>> {
    let mut items = Vec::new();
    for (column, array) in columns.iter().enumerate() {
        let encoded = RowConverter::new(vec![SortField::new(array.data_type().clone())])?;
        let encoded = encoded_rows(encoded, array)?;
        let mut places: HashMap<&[u8], Vec<u32>> = HashMap::new();
        for row in (0..rows).filter(|row| array.is_valid(*row)) {
            places.entry(encoded.row(row).data()).or_default().push(row as u32);
        }
        let smallest = least.iter().copied().min().unwrap_or(1);
        let mut frequent: Vec<Vec<u32>> = places.into_values().filter(|rows| rows.len() >= smallest).collect();
        frequent.sort();
        for found in frequent {
            let mut bits = Bits::none(rows);
            found.iter().for_each(|row| bits.set(*row as usize));
            if among.iter().zip(least).any(|(among, least)| bits.and(among).count() >= *least) {
                items.push(Item { column, rows: bits });
            }
        }
    }
    Ok(items)
}

fn encoded_rows(converter: RowConverter, array: &ArrayRef) -> Result<arrow::row::Rows> {
    Ok(converter.convert_columns(std::slice::from_ref(array))?)
}

/// Every pattern of at most `dimensions` columns that `keep` keeps; what it does not keep is not extended.
fn mine(items: &[Item], all: &Bits, dimensions: usize, keep: &dyn Fn(&Bits) -> bool) -> Result<Vec<Pattern>> {
    let mut found: Vec<Pattern> = Vec::new();
    let mut open = vec![(0, Pattern { columns: Vec::new(), rows: all.clone() })];
    let mut tried = 0;
    while let Some((from, pattern)) = open.pop() {
        if pattern.columns.len() >= dimensions {
            continue;
        }
        for (at, item) in items.iter().enumerate().skip(from) {
            if pattern.columns.last() == Some(&item.column) {
                continue;
            }
            tried += 1;
            let bytes = found.len() * all.0.len() * 8;
            if tried > PATTERN_CANDIDATES_MAX || bytes > PATTERN_BYTES_MAX {
                let message = format!("there are too many combinations of values: limit={PATTERN_CANDIDATES_MAX}");
                let hint = "raise the threshold, or project fewer columns";
                return Err(Error::exhausted("query.too_many_patterns", message).hint(hint));
            }
            let rows = pattern.rows.and(&item.rows);
            if keep(&rows) {
                let columns = pattern.columns.iter().copied().chain([item.column]).collect();
                let longer = Pattern { columns, rows };
                open.push((at + 1, longer.clone()));
                found.push(longer);
            }
        }
    }
    Ok(found)
}

/// Of patterns with the same rows only the one that fixes most columns says everything.
fn closed(patterns: Vec<Pattern>) -> Vec<Pattern> {
    let mut best: HashMap<Vec<u64>, Pattern> = HashMap::new();
    for pattern in patterns {
        let place = best.entry(pattern.rows.0.clone()).or_insert_with(|| pattern.clone());
        if (pattern.columns.len(), &place.columns) > (place.columns.len(), &pattern.columns) {
            *place = pattern;
        }
    }
    best.into_values().collect()
}

fn threshold(call: &PluginCall<'_>, at: usize, default: f64) -> Result<f64> {
    match call.value(at)? {
        Value::Null(_) => Ok(default),
        Value::Real(value) if (0.0..=1.0).contains(value) => Ok(*value),
        _ => Err(Error::invalid("query.plugin_argument", "the threshold must be a real from 0 to 1")),
    }
}

fn dimensions(call: &PluginCall<'_>, at: usize, default: usize) -> Result<usize> {
    match call.value(at)? {
        Value::Null(_) => Ok(default),
        Value::Long(value) if *value > 0 => Ok(usize::try_from(*value).unwrap_or(default)),
        _ => Err(Error::invalid("query.plugin_argument", "the number of dimensions must be larger than zero")),
    }
}

/// So many of `rows` as the share says, at least one.
fn share(threshold: f64, rows: usize) -> usize {
    ((threshold * rows as f64).ceil() as usize).max(1)
}

fn every(rows: usize) -> Bits {
    let mut bits = Bits::none(rows);
    (0..rows).for_each(|row| bits.set(row));
    bits
}

/// The columns with the values that a pattern fixes, null elsewhere.
fn fixed(columns: &[ArrayRef], patterns: &[Pattern]) -> Result<Vec<ArrayRef>> {
    let value = |at: usize, array: &ArrayRef| -> Result<ArrayRef> {
        let row = |pattern: &Pattern| {
            let row = pattern.rows.first().filter(|_| pattern.columns.contains(&at));
            row.map(|row| row as u32)
        };
        let rows: UInt32Array = patterns.iter().map(row).collect();
        Ok(super::lookup::taken(array, &rows)?)
    };
    columns.iter().enumerate().map(|(at, array)| value(at, array)).collect()
}

/// Segments: number, count, per cent, columns.
fn segments(call: &PluginCall<'_>, columns: &[ArrayRef], patterns: &[Pattern], total: usize) -> Result<RecordBatch> {
    let numbers = Int64Array::from_iter_values(0..patterns.len() as i64);
    let counts: Vec<usize> = patterns.iter().map(|pattern| pattern.rows.count()).collect();
    let percent = Float64Array::from_iter_values(counts.iter().map(|count| percent(*count, total)));
    let counts = Int64Array::from_iter_values(counts.into_iter().map(|count| count as i64));
    let mut out: Vec<ArrayRef> = vec![Arc::new(numbers), Arc::new(counts), Arc::new(percent)];
    out.extend(fixed(columns, patterns)?);
    call.table.batch(out)
}

fn percent(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { 100.0 * part as f64 / whole as f64 }
}

/// Constants: threshold (0.05), most dimensions (5).
pub(super) fn basket(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let input = call.table.input(0)?;
    let (rows, all) = (input.num_rows(), every(input.num_rows()));
    let least = share(threshold(call, 0, 0.05)?, rows);
    let items = items(input.columns(), rows, &[&all], &[least])?;
    let mut patterns = mine(&items, &all, dimensions(call, 1, 5)?, &|rows| rows.count() >= least)?;
    patterns.sort_by(|a, b| b.rows.count().cmp(&a.rows.count()).then_with(|| a.columns.cmp(&b.columns)));
    patterns.truncate(PATTERNS_MAX);
    segments(call, input.columns(), &patterns, rows)
}

/// Rows that a clustering may leave without a segment.
const UNCLUSTERED: f64 = 0.05;
/// Share of the rows that a segment must have.
const SEGMENT_SHARE: f64 = 0.02;

/// Constants: weight of the size against the number of fixed columns (0.5). Takes, again and again, the pattern that explains most of
/// the rows not yet in a segment.
pub(super) fn autocluster(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let input = call.table.input(0)?;
    let (rows, all) = (input.num_rows(), every(input.num_rows()));
    let weight = threshold(call, 0, 0.5)?;
    let least = share(SEGMENT_SHARE, rows);
    let items = items(input.columns(), rows, &[&all], &[least])?;
    let candidates = closed(mine(&items, &all, input.num_columns(), &|rows| rows.count() >= least)?);
    let width = input.num_columns().max(1) as f64;
    let (mut left, mut chosen): (Bits, Vec<Pattern>) = (all, Vec::new());
    while left.count() > share(UNCLUSTERED, rows) && chosen.len() < PATTERNS_MAX {
        let score = |pattern: &Pattern| {
            let size = pattern.rows.and(&left).count() as f64 / rows.max(1) as f64;
            size.powf(weight) * (pattern.columns.len() as f64 / width).powf(1.0 - weight)
        };
        let fits = candidates.iter().filter(|pattern| pattern.rows.and(&left).count() >= least);
        let best = fits.max_by(|a, b| score(a).total_cmp(&score(b)).then_with(|| b.columns.cmp(&a.columns)));
        let Some(best) = best else { break };
        left = left.without(&best.rows);
        chosen.push(best.clone());
    }
    chosen.sort_by_key(|pattern| std::cmp::Reverse(pattern.rows.count()));
    segments(call, input.columns(), &chosen, rows)
}

/// The last two columns say whether a row is of the first and of the second set. Constants: threshold (0.05), most dimensions.
pub(super) fn diffpatterns(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let input = call.table.input(0)?;
    let rows = input.num_rows();
    let width = input.num_columns().checked_sub(2).ok_or_else(|| Error::internal("no sets to compare"))?;
    let columns = &input.columns()[..width];
    let (first, second) = (set(input.column(width), rows)?, set(input.column(width + 1), rows)?);
    let threshold = threshold(call, 0, 0.05)?;
    let (in_first, in_second) = (first.count(), second.count());
    let least = [share(threshold, in_first), share(threshold, in_second)];
    let mut all = first.clone();
    all.0.iter_mut().zip(&second.0).for_each(|(all, more)| *all |= more);
    let items = items(columns, rows, &[&first, &second], &least)?;
    let shares =
        |rows: &Bits| (percent(rows.and(&first).count(), in_first), percent(rows.and(&second).count(), in_second));
    // A share only shrinks in longer patterns: where neither is large enough, no difference can be.
    let frequent = |rows: &Bits| {
        let (a, b) = shares(rows);
        a.max(b) >= 100.0 * threshold
    };
    let differs = |pattern: &Pattern| {
        let (a, b) = shares(&pattern.rows);
        (a - b).abs() >= 100.0 * threshold
    };
    let patterns = closed(mine(&items, &all, dimensions(call, 1, width.max(1))?, &frequent)?);
    let mut patterns: Vec<Pattern> = patterns.into_iter().filter(differs).collect();
    let difference = |pattern: &Pattern| {
        let (a, b) = shares(&pattern.rows);
        (a - b).abs()
    };
    patterns.sort_by(|a, b| difference(b).total_cmp(&difference(a)).then_with(|| a.columns.cmp(&b.columns)));
    let mut seen = HashSet::new();
    patterns.retain(|pattern| seen.insert(pattern.rows.0.clone()));
    patterns.truncate(PATTERNS_MAX);
    let count = |set: &Bits| -> ArrayRef {
        let counts = patterns.iter().map(|pattern| pattern.rows.and(set).count() as i64);
        Arc::new(Int64Array::from_iter_values(counts))
    };
    let percents = |figure: &dyn Fn(&Pattern) -> f64| -> ArrayRef {
        Arc::new(Float64Array::from_iter_values(patterns.iter().map(figure)))
    };
    let numbers = Int64Array::from_iter_values(0..patterns.len() as i64);
    let mut out: Vec<ArrayRef> = vec![
        Arc::new(numbers),
        count(&first),
        count(&second),
        percents(&|pattern| shares(&pattern.rows).0),
        percents(&|pattern| shares(&pattern.rows).1),
        percents(&difference),
    ];
    out.extend(fixed(columns, &patterns)?);
    call.table.batch(out)
}

/// The rows whose flag is true.
fn set(flags: &ArrayRef, rows: usize) -> Result<Bits> {
    let flags: &BooleanArray =
        arrow::array::AsArray::as_boolean_opt(flags).ok_or_else(|| Error::internal("a set is no truth value"))?;
    let mut bits = Bits::none(rows);
    (0..rows).filter(|row| flags.is_valid(*row) && flags.value(*row)).for_each(|row| bits.set(row));
    Ok(bits)
}
