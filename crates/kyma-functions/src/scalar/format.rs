//! Times and sizes as text, by format strings.

use arrow::array::ArrayRef;
use chrono::{Datelike, NaiveDateTime, Timelike};
use kyma_core::{Error, Result, time};

use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("format_datetime", format_datetime),
    kernel("format_timespan", format_timespan),
    kernel("format_bytes", format_bytes),
];

/// A piece of a format: a run of one letter, or a literal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Piece {
    Run(char, usize),
    Literal(char),
}

fn pieces(format: &str, letters: &str) -> Vec<Piece> {
    let mut pieces: Vec<Piece> = Vec::new();
    for c in format.chars() {
        match pieces.last_mut() {
            _ if !letters.contains(c) => pieces.push(Piece::Literal(c)),
            Some(Piece::Run(last, count)) if *last == c => *count += 1,
            _ => pieces.push(Piece::Run(c, 1)),
        }
    }
    pieces
}

/// Runs cut into specifiers: years have four, two or one letter, fractions up to seven, all else up to two.
fn chunks(runs: &[Piece]) -> Vec<Piece> {
    let mut chunks = Vec::with_capacity(runs.len());
    for run in runs {
        let Piece::Run(letter, mut left) = *run else {
            chunks.push(*run);
            continue;
        };
        while left > 0 {
            let size = match letter {
                'y' if left >= 4 => 4,
                'f' | 'F' => left.min(7),
                _ => left.min(2),
            };
            chunks.push(Piece::Run(letter, size));
            left -= size;
        }
    }
    chunks
}

/// Digits of the fraction of a second; `F` gives none when all of them are zero.
fn push_fraction(out: &mut String, ticks: u64, letter: char, count: usize) {
    let digits = format!("{ticks:07}");
    let digits = &digits[..count.min(7)];
    if letter != 'F' || digits.bytes().any(|digit| digit != b'0') {
        out.push_str(digits);
    }
}

const DATETIME_LETTERS: &str = "dfFhHmMstyK";
const DELIMITERS: &str = " /-:,._[]";

fn unknown(format: &str) -> Error {
    Error::invalid("function.format", format!("the format has an unknown specifier: format={format}"))
}

fn format_datetime(call: &Call<'_>) -> Result<ArrayRef> {
    let (times, formats) = (call.longs(0)?, call.texts(1)?);
    let mut last: (String, Vec<Piece>) = Default::default();
    build::try_texts(call.rows, |row| {
        let format = formats.get(row);
        if last.0 != format {
            last = (format.to_owned(), chunks(&pieces(format, DATETIME_LETTERS)));
            if last
                .1
                .iter()
                .any(|piece| matches!(piece, Piece::Literal(c) if !DELIMITERS.contains(*c) && !"TZ".contains(*c)))
            {
                return Err(unknown(format));
            }
        }
        let Some(nanos) = times.get(row) else { return Ok(String::new()) };
        let at = time::datetime_of(nanos);
        let mut out = String::with_capacity(format.len() + 4);
        last.1.iter().for_each(|piece| push_datetime(&mut out, at, *piece));
        Ok(out)
    })
}

fn push_datetime(out: &mut String, at: NaiveDateTime, piece: Piece) {
    let (letter, count) = match piece {
        Piece::Literal(c) => return out.push(c),
        Piece::Run(letter, count) => (letter, count),
    };
    let ticks = u64::from(at.nanosecond() % 1_000_000_000) / 100;
    let two = |value: u32| if count == 1 { value.to_string() } else { format!("{value:02}") };
    let hour12 = if at.hour().is_multiple_of(12) { 12 } else { at.hour() % 12 };
    let text = match letter {
        'y' if count == 1 => (at.year() % 10).to_string(),
        'y' if count == 2 => format!("{:02}", at.year() % 100),
        'y' => format!("{:0count$}", at.year()),
        'M' => two(at.month()),
        'd' => two(at.day()),
        'H' => two(at.hour()),
        'h' => two(hour12),
        'm' => two(at.minute()),
        's' => two(at.second()),
        't' if count == 1 => at.format("%p").to_string().chars().take(1).collect(),
        't' => at.format("%p").to_string(),
        'K' => String::from("Z"),
        letter => return push_fraction(out, ticks, letter, count),
    };
    out.push_str(&text);
}

fn format_timespan(call: &Call<'_>) -> Result<ArrayRef> {
    let (spans, formats) = (call.longs(0)?, call.texts(1)?);
    build::try_texts(call.rows, |row| {
        let format = formats.get(row);
        let Some(nanos) = spans.get(row) else { return Ok(String::new()) };
        let ticks = (nanos / time::TICK).unsigned_abs();
        let mut out = String::new();
        if nanos < 0 {
            out.push('-');
        }
        for piece in pieces(format, "dhHmsfF") {
            let (letter, count) = match piece {
                Piece::Literal(c) if DELIMITERS.contains(c) => {
                    out.push(c);
                    continue;
                }
                Piece::Literal(_) => return Err(unknown(format)),
                Piece::Run(letter, count) => (letter, count),
            };
            let seconds = ticks / 10_000_000;
            match letter {
                'd' => out.push_str(&format!("{:0count$}", seconds / 86_400)),
                'h' | 'H' => out.push_str(&format!("{:0count$}", seconds / 3_600 % 24)),
                'm' => out.push_str(&format!("{:0count$}", seconds / 60 % 60)),
                's' => out.push_str(&format!("{:0count$}", seconds % 60)),
                letter => push_fraction(&mut out, ticks % 10_000_000, letter, count),
            }
        }
        Ok(out)
    })
}

const UNITS: [&str; 7] = ["Bytes", "KB", "MB", "GB", "TB", "PB", "EB"];

fn format_bytes(call: &Call<'_>) -> Result<ArrayRef> {
    let (sizes, precisions, units) = (call.reals(0)?, call.longs_or(1, Some(0))?, call.texts_or(2, "")?);
    build::try_texts(call.rows, |row| {
        let Some(size) = sizes.get(row) else { return Ok(String::new()) };
        let precision = precisions.get(row).unwrap_or(0).clamp(0, 15) as i32;
        let unit = match units.get(row) {
            "" => (0..UNITS.len() - 1)
                .find(|&unit| size.abs() < 1024_f64.powi(unit as i32 + 1))
                .unwrap_or(UNITS.len() - 1),
            wanted => UNITS.iter().position(|unit| unit.eq_ignore_ascii_case(wanted)).ok_or_else(|| {
                Error::invalid("function.argument", format!("unknown unit of size: unit={wanted}"))
                    .hint("use Bytes, KB, MB, GB, TB, PB or EB")
            })?,
        };
        let scale = 10_f64.powi(precision);
        let value = (size / 1024_f64.powi(unit as i32) * scale).round() / scale;
        Ok(format!("{value} {}", UNITS[unit]))
    })
}
