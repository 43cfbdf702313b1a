//! From cells to Arrow arrays of the table's types.
//!
//! A value that its column's type cannot hold without loss is null in the column and goes to the row's `_unmapped` bag,
//! `{"key": value, ...}`. Lossless conversions: integers to wider numbers, integral reals to integers, ISO text to datetime,
//! text to timespan, guid and decimal, plausible epochs to the event time, anything to dynamic.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanBuilder, Decimal128Array, Decimal128Builder, DurationNanosecondArray, FixedSizeBinaryBuilder,
    Float64Builder, Int32Builder, Int64Builder, RecordBatch, RecordBatchOptions, StringViewBuilder,
    TimestampNanosecondArray,
};
use arrow::datatypes::Schema as ArrowSchema;
use kyma_core::catalog::Table;
use kyma_core::schema::UNMAPPED_COLUMN;
use kyma_core::time::{parse_datetime, parse_iso, parse_timespan};
use kyma_core::types::{DECIMAL_PRECISION, DECIMAL_SCALE};
use kyma_core::{Result, Type, dynamic};
use uuid::Uuid;

use super::cells::{Cell, CellColumn, Cells, Shape, Text};

/// Typed rows.
#[derive(Debug)]
pub(crate) struct Built {
    /// The rows; only columns in which some row has a value, and the event time.
    pub(crate) batch: RecordBatch,
    /// Values in the bag.
    pub(crate) unmapped: u64,
}

/// A value that goes to the bag.
#[derive(Debug, Clone, Copy)]
struct Unfit<'a> {
    name: &'a str,
    cell: Cell,
}

/// Builds rows of `table`'s types. Rows without event time get `now`.
pub(crate) fn build(cells: &Cells, table: &Table, now: i64) -> Result<Built> {
    let text = cells.text();
    let rows = cells.rows as usize;
    let types: HashMap<&str, Type> =
        table.schema.columns().iter().map(|column| (column.name.as_str(), column.ty)).collect();
    let mut unfit: Vec<Unfit<'_>> =
        cells.extras.iter().map(|extra| Unfit { name: &extra.name, cell: extra.cell }).collect();
    let (mut fields, mut arrays) = (Vec::new(), Vec::new());
    let mut has_time = false;
    for column in cells.columns.iter().filter(|column| !column.cells.is_empty()) {
        let Some(&ty) = types.get(column.name.as_str()) else {
            unfit.extend(column.cells.iter().map(|cell| Unfit { name: &column.name, cell: *cell }));
            continue;
        };
        let is_time = column.name == table.time_column;
        has_time |= is_time;
        let mut sink = Sink { text, rows, column, unfit: &mut unfit };
        let array = if is_time { event_time(&mut sink, now) } else { sink.array(ty)? };
        fields.push(ty.field(&column.name));
        arrays.push(array);
    }
    if !has_time {
        fields.push(Type::Datetime.field(&table.time_column));
        arrays.push(Arc::new(TimestampNanosecondArray::from(vec![now; rows])));
    }
    let unmapped = unfit.len() as u64;
    if unmapped > 0 {
        fields.push(Type::Dynamic.field(UNMAPPED_COLUMN));
        arrays.push(bag(unfit, text, rows));
    }
    let options = RecordBatchOptions::new().with_row_count(Some(rows));
    let batch = RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?;
    Ok(Built { batch, unmapped })
}

fn event_time(sink: &mut Sink<'_, '_>, now: i64) -> ArrayRef {
    let mut times = vec![now; sink.rows];
    let (text, column) = (sink.text, sink.column);
    for cell in &column.cells {
        let value = text.of(cell);
        let time = match cell.shape {
            Shape::String => parse_datetime(value),
            Shape::Field => parse_datetime(value).or_else(|| epoch_nanos(value)),
            Shape::Integer | Shape::Real => epoch_nanos(value),
            _ => None,
        };
        match time {
            Some(time) => times[cell.row as usize] = time,
            None => sink.unfit.push(Unfit { name: &column.name, cell: *cell }),
        }
    }
    Arc::new(TimestampNanosecondArray::from(times))
}

/// Fills one column and puts aside what does not fit.
struct Sink<'a, 'u> {
    text: Text<'a>,
    rows: usize,
    column: &'a CellColumn,
    unfit: &'u mut Vec<Unfit<'a>>,
}

impl<'a> Sink<'a, '_> {
    fn array(&mut self, ty: Type) -> Result<ArrayRef> {
        Ok(match ty {
            Type::Bool => {
                let mut builder = BooleanBuilder::with_capacity(self.rows);
                self.fill(to_bool, |value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            Type::Int => {
                let mut builder = Int32Builder::with_capacity(self.rows);
                let to_int = |shape, text: &str| to_long(shape, text).and_then(|long| i32::try_from(long).ok());
                self.fill(to_int, |value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            Type::Long => {
                let mut builder = Int64Builder::with_capacity(self.rows);
                self.fill(to_long, |value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            Type::Real => {
                let mut builder = Float64Builder::with_capacity(self.rows);
                self.fill(to_real, |value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            Type::Decimal => {
                let mut builder = Decimal128Builder::with_capacity(self.rows);
                self.fill(to_decimal, |value| builder.append_option(value));
                let array: Decimal128Array = builder.finish();
                Arc::new(array.with_precision_and_scale(DECIMAL_PRECISION, DECIMAL_SCALE)?)
            }
            Type::Datetime => {
                let mut values = Vec::with_capacity(self.rows);
                self.fill(to_datetime, |value| values.push(value));
                Arc::new(TimestampNanosecondArray::from(values))
            }
            Type::Timespan => {
                let mut values = Vec::with_capacity(self.rows);
                self.fill(to_timespan, |value| values.push(value));
                Arc::new(DurationNanosecondArray::from(values))
            }
            Type::Guid => {
                let mut values = Vec::with_capacity(self.rows);
                self.fill(to_guid, |value| values.push(value));
                let mut builder = FixedSizeBinaryBuilder::with_capacity(self.rows, 16);
                for value in values {
                    match value {
                        Some(guid) => builder.append_value(guid.as_bytes())?,
                        None => builder.append_null(),
                    }
                }
                Arc::new(builder.finish())
            }
            Type::String => {
                let mut builder = StringViewBuilder::with_capacity(self.rows);
                self.fill(to_string, |value| builder.append_option(value));
                Arc::new(builder.finish())
            }
            Type::Dynamic => self.dynamic(),
        })
    }

    /// Calls `append` once per row with the converted value, if there is one.
    fn fill<T>(&mut self, convert: impl Fn(Shape, &'a str) -> Option<T>, mut append: impl FnMut(Option<T>)) {
        let mut next = 0;
        for cell in &self.column.cells {
            (next..cell.row).for_each(|_| append(None));
            next = cell.row + 1;
            let value = convert(cell.shape, self.text.of(cell));
            if value.is_none() {
                self.unfit.push(Unfit { name: &self.column.name, cell: *cell });
            }
            append(value);
        }
        (next as usize..self.rows).for_each(|_| append(None));
    }

    /// Dynamic takes every value, as compact JSON.
    fn dynamic(&mut self) -> ArrayRef {
        let mut builder = StringViewBuilder::with_capacity(self.rows);
        let mut scratch = String::new();
        let mut next = 0;
        for cell in &self.column.cells {
            (next..cell.row).for_each(|_| builder.append_null());
            next = cell.row + 1;
            let json = self.text.of(cell);
            if cell.shape == Shape::Nested && !has_space(json) {
                builder.append_value(json);
                continue;
            }
            scratch.clear();
            write_json(cell.shape, json, &mut scratch);
            builder.append_value(&scratch);
        }
        (next as usize..self.rows).for_each(|_| builder.append_null());
        Arc::new(builder.finish())
    }
}

/// The bag column.
fn bag(mut unfit: Vec<Unfit<'_>>, text: Text<'_>, rows: usize) -> ArrayRef {
    unfit.sort_by_key(|unfit| unfit.cell.row);
    let mut builder = StringViewBuilder::with_capacity(rows);
    let mut next = 0;
    for row in unfit.chunk_by(|a, b| a.cell.row == b.cell.row) {
        let at = row[0].cell.row;
        (next..at).for_each(|_| builder.append_null());
        next = at + 1;
        let mut json = String::from("{");
        for (place, value) in row.iter().enumerate() {
            json.push_str(if place > 0 { "," } else { "" });
            json.push_str(&dynamic::quote(value.name));
            json.push(':');
            write_json(value.cell.shape, text.of(&value.cell), &mut json);
        }
        json.push('}');
        builder.append_value(&json);
    }
    (next as usize..rows).for_each(|_| builder.append_null());
    Arc::new(builder.finish())
}

/// Appends a cell as compact JSON.
fn write_json(shape: Shape, text: &str, out: &mut String) {
    match shape {
        Shape::String => out.push_str(&dynamic::quote(text)),
        Shape::Field => match dynamic::parse(text) {
            Some(json) if json.starts_with(['{', '[']) => out.push_str(&json),
            _ => out.push_str(&dynamic::quote(text)),
        },
        Shape::Nested if has_space(text) => compact(text, out),
        _ => out.push_str(text),
    }
}

/// Whether there is white space that may lie outside strings.
fn has_space(json: &str) -> bool {
    memchr::memchr3(b' ', b'\n', b'\t', json.as_bytes()).is_some() || memchr::memchr(b'\r', json.as_bytes()).is_some()
}

/// Appends sound JSON without the white space outside its strings.
fn compact(json: &str, out: &mut String) {
    let (mut in_string, mut escaped, mut from) = (false, false, 0);
    for (at, byte) in json.bytes().enumerate() {
        if in_string {
            match byte {
                _ if escaped => escaped = false,
                b'\\' => escaped = true,
                b'"' => in_string = false,
                _ => {}
            }
        } else if byte == b'"' {
            in_string = true;
        } else if byte.is_ascii_whitespace() {
            out.push_str(&json[from..at]);
            from = at + 1;
        }
    }
    out.push_str(&json[from..]);
}

fn to_bool(shape: Shape, text: &str) -> Option<bool> {
    match shape {
        Shape::True => Some(true),
        Shape::False => Some(false),
        Shape::Field if text.eq_ignore_ascii_case("true") => Some(true),
        Shape::Field if text.eq_ignore_ascii_case("false") => Some(false),
        _ => None,
    }
}

fn to_long(shape: Shape, text: &str) -> Option<i64> {
    match shape {
        Shape::Integer => text.parse().ok(),
        Shape::Field if field_is_long(text) => text.parse().ok(),
        Shape::Real | Shape::Field => integral(text.parse().ok()?),
        _ => None,
    }
}

/// The integer that a real is, as long as reals tell integers apart.
fn integral(real: f64) -> Option<i64> {
    const EXACT: f64 = 9_007_199_254_740_992.0;
    (real.fract() == 0.0 && real.abs() <= EXACT).then_some(real as i64)
}

fn to_real(shape: Shape, text: &str) -> Option<f64> {
    match shape {
        Shape::Real => text.parse().ok().filter(|real: &f64| real.is_finite()),
        Shape::Field if field_is_real(text) && !field_is_long(text) => text.parse().ok(),
        Shape::Integer | Shape::BigInteger | Shape::Field => exact_real(text),
        _ => None,
    }
}

/// The real that is exactly this integer.
fn exact_real(digits: &str) -> Option<f64> {
    let integer: i128 = digits.parse().ok()?;
    let real = integer as f64;
    (real as i128 == integer).then_some(real)
}

fn to_decimal(shape: Shape, text: &str) -> Option<i128> {
    match shape {
        Shape::Integer | Shape::BigInteger | Shape::Real | Shape::String | Shape::Field => parse_decimal(text),
        _ => None,
    }
}

/// Decimal digits to an unscaled integer; `None` when a digit would be lost.
fn parse_decimal(text: &str) -> Option<i128> {
    let scale = DECIMAL_SCALE.unsigned_abs() as usize;
    let (negative, digits) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let fraction = fraction.trim_end_matches('0');
    let all_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
    if whole.is_empty() || !all_digits(whole) || !all_digits(fraction) || fraction.len() > scale {
        return None;
    }
    let padded = format!("{whole}{fraction:0<scale$}");
    let unscaled: i128 = padded.parse().ok()?;
    let fits = unscaled < 10_i128.pow(u32::from(DECIMAL_PRECISION));
    fits.then_some(if negative { -unscaled } else { unscaled })
}

fn to_datetime(shape: Shape, text: &str) -> Option<i64> {
    match shape {
        Shape::String | Shape::Field => parse_iso(text).or_else(|| parse_datetime(text)),
        _ => None,
    }
}

fn to_timespan(shape: Shape, text: &str) -> Option<i64> {
    match shape {
        Shape::String | Shape::Field => parse_timespan(text),
        _ => None,
    }
}

fn to_guid(shape: Shape, text: &str) -> Option<Uuid> {
    match shape {
        Shape::String | Shape::Field => Uuid::try_parse(text).ok(),
        _ => None,
    }
}

fn to_string(shape: Shape, text: &str) -> Option<&str> {
    matches!(shape, Shape::String | Shape::Field).then_some(text)
}

/// Whether a CSV field is an integer of 64 bits as a program would write it: no sign but `-`, no leading zeros.
pub(crate) fn field_is_long(field: &str) -> bool {
    let digits = field.strip_prefix('-').unwrap_or(field);
    let canonical = digits == "0" || !digits.starts_with('0');
    canonical && digits.bytes().all(|byte| byte.is_ascii_digit()) && field.parse::<i64>().is_ok()
}

/// Whether a CSV field is a finite number as a program would write it.
pub(crate) fn field_is_real(field: &str) -> bool {
    let digits = field.strip_prefix('-').unwrap_or(field);
    let canonical = digits.starts_with("0.") || digits == "0" || !digits.starts_with('0');
    let shaped = digits.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b'e' | b'E' | b'+' | b'-'));
    let starts = digits.as_bytes().first().is_some_and(u8::is_ascii_digit);
    canonical && shaped && starts && field.parse::<f64>().is_ok_and(f64::is_finite)
}

/// Nanoseconds of an epoch whose unit its magnitude tells: seconds, milli-, micro- or nanoseconds between 1979 and about
/// 2262. `None` for what is no plausible time.
pub(crate) fn epoch_nanos(number: &str) -> Option<i64> {
    if let Ok(long) = number.parse::<i64>() {
        let scale = epoch_scale(long as f64)?;
        return long.checked_mul(scale);
    }
    let real: f64 = number.parse().ok()?;
    let scale = epoch_scale(real)?;
    let (whole, fraction) = number.split_once('.')?;
    // From the digits: a double would add noise below the microsecond. Digits below the nanosecond fall away.
    let mut nanos = whole.parse::<i64>().ok()?.checked_mul(scale)?;
    let mut place = scale;
    for digit in fraction.bytes() {
        place /= 10;
        nanos = nanos.checked_add(place * i64::from(char::from(digit).to_digit(10)?))?;
    }
    Some(nanos)
}

fn epoch_scale(number: f64) -> Option<i64> {
    match number {
        n if !(3e8..9.2e18).contains(&n) => None,
        n if n < 1e10 => Some(1_000_000_000),
        n if n < 1e13 => Some(1_000_000),
        n if n < 1e16 => Some(1_000),
        _ => Some(1),
    }
}
