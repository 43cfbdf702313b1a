//! How many rows have which value: of columns with few distinct values, and of times by bins. Read with the footer, so that
//! `count() by level` and histograms need no data.
//!
//! ```text
//! TALLIES = tallies varint, (column varint, kind u8, nulls varint, entries varint, entry*)*      ascending columns
//!   VALUES of strings:   entry = text, rows varint
//!   VALUES of integers:  entry = zigzag varint of the difference to the value before, rows varint      ascending values
//!   BINS of times:       unit u8 (place in UNITS) before the entries, the same entries in units since the epoch
//! ```
//!
//! 1. A column of strings, truth values or integers is tallied while it has at most [`VALUES_MAX`] distinct values.
//! 2. A column of times is tallied by the finest of [`UNITS`] that gives at most [`BINS_MAX`] bins with rows. Each unit divides
//!    the next, and all divide a day, so that bins of days and of their parts are sums of these.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, AsArray, PrimitiveArray};
use arrow::datatypes::{ArrowPrimitiveType, Int32Type, Int64Type, TimestampNanosecondType};
use kyma_core::error::Result;
use kyma_core::schema::Schema;
use kyma_core::types::Type;
use kyma_core::value::Value;
use xxhash_rust::xxh3::Xxh3Builder;

use crate::wire::{Reader, Writer, corrupt, unzigzag, zigzag};

/// Most distinct values of a tallied column.
const VALUES_MAX: usize = 128;
/// Longest text of a tallied column, in bytes.
const TEXT_BYTES_MAX: usize = 128;
/// Most bins of a tallied column of times.
const BINS_MAX: usize = 2_048;
/// Nanoseconds of bins: 1 and 10 seconds, 1 and 10 minutes, an hour, a day.
const UNITS: [i64; 6] =
    [1_000_000_000, 10_000_000_000, 60_000_000_000, 600_000_000_000, 3_600_000_000_000, 86_400_000_000_000];

const VALUES: u8 = 0;
const BINS: u8 = 1;

type Counts<K> = HashMap<K, u64, Xxh3Builder>;

/// The tally of one column, as far as it is made.
#[derive(Debug)]
enum Counting {
    Texts(Counts<String>),
    Integers(Counts<i64>),
    /// The place of their unit, and rows by bin.
    Bins(usize, Counts<i64>),
    /// The column has too many values, or none that are counted.
    Given,
}

/// Counts the rows of an extent's columns while it is written.
#[derive(Debug)]
pub(crate) struct Counter {
    columns: Vec<(Counting, u64)>,
}

impl Counter {
    /// Nothing counted yet.
    pub(crate) fn new(schema: &Schema) -> Self {
        let counting = |ty: Type| match ty {
            Type::String => Counting::Texts(Counts::default()),
            Type::Bool | Type::Int | Type::Long => Counting::Integers(Counts::default()),
            Type::Datetime => Counting::Bins(0, Counts::default()),
            _ => Counting::Given,
        };
        Counter { columns: schema.columns().iter().map(|column| (counting(column.ty), 0)).collect() }
    }

    /// Counts the rows of column `at`, whose type is `ty`.
    pub(crate) fn add(&mut self, at: usize, ty: Type, array: &dyn Array) {
        let Some((counting, nulls)) = self.columns.get_mut(at) else { return };
        *nulls += array.null_count() as u64;
        let fits = match counting {
            Counting::Given => return,
            Counting::Texts(counts) => add_texts(counts, array),
            Counting::Integers(counts) => add_integers(counts, ty, array),
            Counting::Bins(unit, counts) => add_times(unit, counts, array.as_primitive()),
        };
        if !fits {
            *counting = Counting::Given;
        }
    }

    /// The tallies of the columns that have one.
    pub(crate) fn finish(self) -> Tallies {
        let mut by_column = BTreeMap::new();
        for (at, (counting, nulls)) in self.columns.into_iter().enumerate() {
            let rows = match counting {
                Counting::Given => continue,
                Counting::Texts(counts) => Rows::Texts(sorted(counts)),
                Counting::Integers(counts) => Rows::Integers(sorted(counts)),
                Counting::Bins(unit, counts) => Rows::Bins(unit, sorted(counts)),
            };
            by_column.insert(at, Tally { nulls, rows });
        }
        Tallies { by_column }
    }
}

fn sorted<K: Ord>(counts: Counts<K>) -> Vec<(K, u64)> {
    let mut rows: Vec<(K, u64)> = counts.into_iter().collect();
    rows.sort_unstable_by(|(a, _), (b, _)| a.cmp(b));
    rows
}

/// Adds the runs of equal values; whether there are few enough values still.
fn add_runs<K: PartialEq + Copy>(values: impl Iterator<Item = K>, mut add: impl FnMut(K, u64) -> bool) -> bool {
    let mut run: Option<(K, u64)> = None;
    for value in values {
        match &mut run {
            Some((last, rows)) if *last == value => *rows += 1,
            _ => {
                if let Some((last, rows)) = run.replace((value, 1))
                    && !add(last, rows)
                {
                    return false;
                }
            }
        }
    }
    run.is_none_or(|(last, rows)| add(last, rows))
}

fn add_texts(counts: &mut Counts<String>, array: &dyn Array) -> bool {
    add_runs(array.as_string_view().iter().flatten(), |text, rows| {
        if let Some(known) = counts.get_mut(text) {
            *known += rows;
            return true;
        }
        let fits = text.len() <= TEXT_BYTES_MAX && counts.len() < VALUES_MAX;
        if fits {
            counts.insert(text.to_owned(), rows);
        }
        fits
    })
}

fn add_integers(counts: &mut Counts<i64>, ty: Type, array: &dyn Array) -> bool {
    let add = |value: i64, rows: u64| {
        *counts.entry(value).or_default() += rows;
        counts.len() <= VALUES_MAX
    };
    match ty {
        Type::Bool => add_runs(array.as_boolean().iter().flatten().map(i64::from), add),
        Type::Int => add_runs(valid::<Int32Type>(array.as_primitive()).map(i64::from), add),
        _ => add_runs(valid::<Int64Type>(array.as_primitive()), add),
    }
}

fn valid<T: ArrowPrimitiveType>(array: &PrimitiveArray<T>) -> impl Iterator<Item = T::Native> {
    array.iter().flatten()
}

fn add_times(unit: &mut usize, counts: &mut Counts<i64>, array: &PrimitiveArray<TimestampNanosecondType>) -> bool {
    let nanos = UNITS[*unit];
    add_runs(array.iter().flatten().map(|time| time.div_euclid(nanos)), |bin, rows| {
        *counts.entry(bin).or_default() += rows;
        // Some slack: times come in order of their stream, and a coarser unit is for good.
        counts.len() <= BINS_MAX * 64
    }) && coarsened(unit, counts)
}

/// Takes the finest unit that has few enough bins; whether there is one.
fn coarsened(unit: &mut usize, counts: &mut Counts<i64>) -> bool {
    while counts.len() > BINS_MAX {
        let Some(next) = UNITS.get(*unit + 1) else { return false };
        let factor = next / UNITS[*unit];
        let mut coarse = Counts::default();
        for (bin, rows) in counts.drain() {
            *coarse.entry(bin.div_euclid(factor)).or_default() += rows;
        }
        (*counts, *unit) = (coarse, *unit + 1);
    }
    true
}

/// The rows of one column.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tally {
    nulls: u64,
    rows: Rows,
}

/// Rows by value, ascending.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Rows {
    Texts(Vec<(String, u64)>),
    Integers(Vec<(i64, u64)>),
    /// The place of the unit.
    Bins(usize, Vec<(i64, u64)>),
}

/// What is tallied, by column.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Tallies {
    by_column: BTreeMap<usize, Tally>,
}

impl Tallies {
    pub(crate) fn is_empty(&self) -> bool {
        self.by_column.is_empty()
    }

    pub(crate) fn memory_bytes(&self) -> usize {
        let of = |tally: &Tally| match &tally.rows {
            Rows::Texts(rows) => rows.iter().map(|(text, _)| text.len() + 40).sum(),
            Rows::Integers(rows) | Rows::Bins(_, rows) => rows.len() * size_of::<(i64, u64)>(),
        };
        self.by_column.values().map(|tally| 64 + of(tally)).sum()
    }

    /// What [`kyma_core::format::SegmentReader::counts`] promises, for a column of type `ty`.
    pub(crate) fn counts(&self, column: usize, ty: Type, bin: Option<i64>) -> Option<Vec<(Value, u64)>> {
        let tally = self.by_column.get(&column)?;
        let mut counts: Vec<(Value, u64)> = match (&tally.rows, bin) {
            (Rows::Texts(rows), None) => rows.iter().map(|(text, rows)| (Value::String(text.clone()), *rows)).collect(),
            (Rows::Integers(rows), None) => {
                rows.iter().map(|(value, rows)| Some((integer(ty, *value)?, *rows))).collect::<Option<_>>()?
            }
            (Rows::Bins(unit, rows), Some(bin)) => binned(UNITS[*unit], rows, bin)?,
            _ => return None,
        };
        if tally.nulls > 0 {
            counts.push((Value::Null(ty), tally.nulls));
        }
        Some(counts)
    }

    /// The footer's section.
    pub(crate) fn write_section(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.length(self.by_column.len());
        for (&column, tally) in &self.by_column {
            out.length(column);
            out.u8(if matches!(tally.rows, Rows::Bins(..)) { BINS } else { VALUES });
            out.varint(tally.nulls);
            match &tally.rows {
                Rows::Texts(rows) => {
                    out.length(rows.len());
                    for (text, rows) in rows {
                        out.text(text);
                        out.varint(*rows);
                    }
                }
                Rows::Integers(rows) => write_integers(rows, &mut out),
                Rows::Bins(unit, rows) => {
                    out.u8(*unit as u8);
                    write_integers(rows, &mut out);
                }
            }
        }
        out.bytes
    }

    /// Reads what [`Tallies::write_section`] wrote, of an extent with these columns and `rows` rows.
    pub(crate) fn read_section(mut reader: Reader<'_>, schema: &Schema, rows: u64) -> Result<Self> {
        let mut by_column = BTreeMap::new();
        for _ in 0..reader.length(schema.len())? {
            let column = reader.length(schema.len())?;
            let ty = schema.columns().get(column).map(|column| column.ty);
            let ty = ty.ok_or_else(|| corrupt("a tally has no column"))?;
            let (kind, nulls) = (reader.u8()?, reader.varint()?);
            let counted = match (kind, ty) {
                (VALUES, Type::String) => Rows::Texts(read_texts(&mut reader)?),
                (VALUES, Type::Bool | Type::Int | Type::Long) => {
                    Rows::Integers(read_integers(&mut reader, VALUES_MAX)?)
                }
                (BINS, Type::Datetime) => {
                    let unit = usize::from(reader.u8()?);
                    if unit >= UNITS.len() {
                        return Err(corrupt("a tally has an unknown unit"));
                    }
                    Rows::Bins(unit, read_integers(&mut reader, BINS_MAX)?)
                }
                _ => return Err(corrupt("a tally does not fit its column")),
            };
            let tally = Tally { nulls, rows: counted };
            if tally.total() != Some(rows) || by_column.insert(column, tally).is_some() {
                return Err(corrupt("a tally does not add up"));
            }
        }
        Ok(Tallies { by_column })
    }
}

impl Tally {
    fn total(&self) -> Option<u64> {
        let add = |sum: Option<u64>, rows: &u64| sum?.checked_add(*rows);
        match &self.rows {
            Rows::Texts(rows) => rows.iter().map(|(_, rows)| rows).fold(Some(self.nulls), add),
            Rows::Integers(rows) | Rows::Bins(_, rows) => rows.iter().map(|(_, rows)| rows).fold(Some(self.nulls), add),
        }
    }
}

fn integer(ty: Type, value: i64) -> Option<Value> {
    match ty {
        Type::Bool => Some(Value::Bool(value != 0)),
        Type::Int => i32::try_from(value).ok().map(Value::Int),
        _ => Some(Value::Long(value)),
    }
}

/// Sums of bins of `unit` by bins of `bin`, where these are whole numbers of those.
fn binned(unit: i64, rows: &[(i64, u64)], bin: i64) -> Option<Vec<(Value, u64)>> {
    if bin < unit || bin % unit != 0 {
        return None;
    }
    let mut sums: Vec<(i64, u64)> = Vec::new();
    for &(start, rows) in rows {
        let start = start.checked_mul(unit)?.div_euclid(bin).checked_mul(bin)?;
        match sums.last_mut() {
            Some((last, sum)) if *last == start => *sum += rows,
            _ => sums.push((start, rows)),
        }
    }
    Some(sums.into_iter().map(|(start, rows)| (Value::Datetime(start), rows)).collect())
}

fn write_integers(rows: &[(i64, u64)], out: &mut Writer) {
    out.length(rows.len());
    let mut last = 0_i64;
    for &(value, rows) in rows {
        out.varint(zigzag(value.wrapping_sub(last)));
        out.varint(rows);
        last = value;
    }
}

fn read_integers(reader: &mut Reader<'_>, max: usize) -> Result<Vec<(i64, u64)>> {
    let mut rows: Vec<(i64, u64)> = Vec::new();
    let mut last = 0_i64;
    for at in 0..reader.length(max)? {
        let value = last.wrapping_add(unzigzag(reader.varint()?));
        if at > 0 && value <= last {
            return Err(corrupt("values of a tally are out of order"));
        }
        rows.push((value, reader.varint()?));
        last = value;
    }
    Ok(rows)
}

fn read_texts(reader: &mut Reader<'_>) -> Result<Vec<(String, u64)>> {
    let mut rows: Vec<(String, u64)> = Vec::new();
    for _ in 0..reader.length(VALUES_MAX)? {
        let text = reader.text()?;
        if rows.last().is_some_and(|(last, _)| last.as_str() >= text) {
            return Err(corrupt("values of a tally are out of order"));
        }
        rows.push((text.to_owned(), reader.varint()?));
    }
    Ok(rows)
}

#[cfg(test)]
mod tests;
