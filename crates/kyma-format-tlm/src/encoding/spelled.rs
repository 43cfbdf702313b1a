//! Strings that spell integers: counts, codes with leading zeros, prices, times, IPv4 addresses.
//!
//! ```text
//! SPELLED = kind u8, places u8, prefix text, suffix text,
//!           exceptions varint, [positions integers, lengths integers, bytes blob], integers
//! ```
//!
//! 1. A sample says which kind fits between a prefix and a suffix that all values share. `places` is how many digits a
//!    `PADDED` integer has, or how many stand after the point of a `FIXED` number or of a time's second.
//! 2. A value counts only when writing its integer gives back the very bytes; others, the empty string among them, are
//!    exceptions, of which there may be few. An exception's integer repeats the one before.

use kyma_core::error::Result;

use super::spelling::{DAY_SECONDS, date_of, days_of, digits as number, write_padded};
use super::views::{Content, Views};
use super::wanted::Wanted;
use super::{blob, integers};
use crate::constants::spelled as tag;
use crate::wire::{Reader, Writer, corrupt};

/// Values looked at to choose the kind.
const SAMPLE: usize = 64;
/// One value in this many may be an exception.
const EXCEPTIONS_SHARE: usize = 8;
/// Fewer values are not worth it.
const VALUES_MIN: usize = 16;
/// Bytes of a prefix or suffix.
const AFFIX_BYTES_MAX: usize = 32;
/// Digits that an integer holds whatever they are.
const DIGITS_MAX: u8 = 18;
/// Digits of a nanosecond.
const FRACTION_MAX: u8 = 9;

const SECOND: i64 = 1_000_000_000;

/// What a column spells.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Spelling<'a> {
    kind: u8,
    places: u8,
    prefix: &'a [u8],
    suffix: &'a [u8],
}

/// The column, or `None` when too few of `values` spell one kind of integer.
pub(crate) fn encode(values: &[&[u8]], level: i32) -> Result<Option<Vec<u8>>> {
    if values.len() < VALUES_MIN {
        return Ok(None);
    }
    let Some(spelling) = choose(values) else { return Ok(None) };
    let (mut whole, mut positions, mut exceptions) = (Vec::with_capacity(values.len()), Vec::new(), Vec::new());
    let (mut last, mut text) = (0, Vec::new());
    for (at, &value) in values.iter().enumerate() {
        match spelling.exact(value, &mut text) {
            Some(integer) => last = integer,
            None => {
                positions.push(at as i64);
                exceptions.push(value);
            }
        }
        whole.push(last);
    }
    if positions.len() * EXCEPTIONS_SHARE > values.len() {
        return Ok(None);
    }
    let mut out = Writer::default();
    out.u8(spelling.kind);
    out.u8(spelling.places);
    for affix in [spelling.prefix, spelling.suffix] {
        out.length(affix.len());
        out.raw(affix);
    }
    out.length(positions.len());
    if !positions.is_empty() {
        integers::encode_at(&positions, level, &mut out)?;
        let lengths: Vec<i64> = exceptions.iter().map(|value| value.len() as i64).collect();
        integers::encode_at(&lengths, level, &mut out)?;
        blob::encode(&exceptions.concat(), level, &mut out)?;
    }
    integers::encode_at(&whole, level, &mut out)?;
    Ok(Some(out.bytes))
}

/// Reads the wanted ones of `rows` values.
pub(crate) fn decode(reader: &mut Reader<'_>, content: Content, rows: usize, wanted: &Wanted) -> Result<Views> {
    let (kind, places) = (reader.u8()?, reader.u8()?);
    let prefix = reader.length(AFFIX_BYTES_MAX)?;
    let prefix = reader.raw(prefix)?;
    let suffix = reader.length(AFFIX_BYTES_MAX)?;
    let suffix = reader.raw(suffix)?;
    let spelling = Spelling { kind, places, prefix, suffix };
    if kind > tag::IPV4 || places > DIGITS_MAX {
        return Err(corrupt("unknown spelling"));
    }
    let exceptions = Exceptions::read(reader, rows)?;
    let integers = integers::decode(reader, rows, wanted)?;
    let mut bytes = Vec::with_capacity(integers.len() * (prefix.len() + suffix.len() + 12));
    let mut lengths = Vec::with_capacity(integers.len());
    let mut next = exceptions.iter();
    let mut exception = next.next();
    for (place, &integer) in integers.iter().enumerate() {
        let row = match wanted {
            Wanted::All => place,
            Wanted::Rows(list) => list.get(place).map_or(usize::MAX, |&row| row as usize),
        };
        while exception.is_some_and(|(position, _)| position < row) {
            exception = next.next();
        }
        let start = bytes.len();
        match exception {
            Some((position, value)) if position == row => bytes.extend_from_slice(value),
            _ => spelling.write(integer, &mut bytes),
        }
        lengths.push(bytes.len() - start);
    }
    let mut views = Views::new(content, lengths.len());
    views.append(bytes, lengths.into_iter().map(Ok), None)?;
    Ok(views)
}

/// Values that are stored as they are, by position.
#[derive(Default)]
struct Exceptions {
    /// Position, and one past the last byte.
    ends: Vec<(usize, usize)>,
    bytes: Vec<u8>,
}

impl Exceptions {
    fn read(reader: &mut Reader<'_>, rows: usize) -> Result<Exceptions> {
        let count = reader.length(rows)?;
        if count == 0 {
            return Ok(Exceptions::default());
        }
        let positions = integers::decode(reader, count, &Wanted::All)?;
        let lengths = integers::decode(reader, count, &Wanted::All)?;
        let bytes = blob::decode(reader)?;
        let mut ends = Vec::with_capacity(count);
        let mut end = 0_usize;
        for (position, length) in positions.into_iter().zip(lengths) {
            let length = usize::try_from(length).ok().filter(|&length| length <= bytes.len() - end);
            end += length.ok_or_else(|| corrupt("exceptions pass their bytes"))?;
            ends.push((usize::try_from(position).unwrap_or(usize::MAX), end));
        }
        Ok(Exceptions { ends, bytes })
    }

    fn iter(&self) -> impl Iterator<Item = (usize, &[u8])> {
        let mut start = 0;
        self.ends.iter().map(move |&(position, end)| {
            let value = self.bytes.get(start..end).unwrap_or_default();
            start = end;
            (position, value)
        })
    }
}

/// The spelling that nearly all of a sample have.
fn choose<'a>(values: &[&'a [u8]]) -> Option<Spelling<'a>> {
    let step = values.len().div_ceil(SAMPLE).max(1);
    let sample: Vec<&[u8]> = values.iter().step_by(step).copied().filter(|value| !value.is_empty()).collect();
    let first = *sample.first()?;
    if sample.len() * 2 < values.len().div_ceil(step) || !first.iter().any(u8::is_ascii_digit) {
        return None;
    }
    let (prefix, suffix) = affixes(&sample);
    let mut text = Vec::new();
    let mut fits = |spelling: &Spelling<'a>| {
        let hits = sample.iter().filter(|value| spelling.exact(value, &mut text).is_some()).count();
        hits * EXCEPTIONS_SHARE >= sample.len() * (EXCEPTIONS_SHARE - 1)
    };
    let guesses = [(&first[..0], &first[..0]), (prefix, &first[..0]), (&first[..0], suffix), (prefix, suffix)];
    guesses.into_iter().flat_map(|(prefix, suffix)| guess(first, prefix, suffix)).find(|spelling| fits(spelling))
}

/// What all values begin and end with, without digits that belong to the number.
fn affixes<'a>(sample: &[&'a [u8]]) -> (&'a [u8], &'a [u8]) {
    let Some((&first, rest)) = sample.split_first() else { return (&[], &[]) };
    let (mut before, mut after) = (first.len(), first.len());
    for value in rest {
        before = first.iter().zip(*value).take(before).take_while(|(a, b)| a == b).count();
        after = first.iter().rev().zip(value.iter().rev()).take(after).take_while(|(a, b)| a == b).count();
    }
    let mut prefix = &first[..before];
    while let [head @ .., b'0'..=b'9' | b'-' | b'.' | b':'] = prefix {
        prefix = head;
    }
    let mut suffix = &first[first.len() - after..];
    while let [b'0'..=b'9' | b'.', tail @ ..] = suffix {
        suffix = tail;
    }
    let usable = |affix: &&[u8]| affix.len() <= AFFIX_BYTES_MAX && std::str::from_utf8(affix).is_ok();
    (Some(prefix).filter(usable).unwrap_or_default(), Some(suffix).filter(usable).unwrap_or_default())
}

/// What `value` may be an example of.
fn guess<'a>(value: &'a [u8], prefix: &'a [u8], suffix: &'a [u8]) -> Vec<Spelling<'a>> {
    let inner = value.strip_prefix(prefix).and_then(|inner| inner.strip_suffix(suffix));
    let Some(inner) = inner else { return Vec::new() };
    let spelling = |kind: u8, places: usize| Spelling { kind, places: places as u8, prefix, suffix };
    let digits = |bytes: &[u8]| bytes.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if let [_, _, _, _, b'-', _, _, b'-', _, _, blank @ (b'T' | b' '), ..] = inner {
        let fraction = match inner.get(19..) {
            Some([b'.', rest @ ..]) => digits(rest),
            _ => 0,
        };
        let end = 19 + if fraction > 0 { fraction + 1 } else { 0 };
        let Some(rest) = inner.get(end..) else { return Vec::new() };
        let zone = &value[value.len() - suffix.len() - rest.len()..];
        if fraction > usize::from(FRACTION_MAX) || zone.len() > AFFIX_BYTES_MAX {
            return Vec::new();
        }
        let kind = if *blank == b'T' { tag::TIME } else { tag::BLANK_TIME };
        return vec![Spelling { kind, places: fraction as u8, prefix, suffix: zone }];
    }
    let unsigned = inner.strip_prefix(b"-").unwrap_or(inner);
    match unsigned.iter().filter(|&&byte| byte == b'.').count() {
        0 => vec![spelling(tag::INTEGER, 0), spelling(tag::PADDED, inner.len().min(255))],
        1 => {
            let point = unsigned.iter().position(|&byte| byte == b'.').unwrap_or_default();
            vec![spelling(tag::FIXED, (unsigned.len() - point - 1).min(255))]
        }
        3 => vec![spelling(tag::IPV4, 0)],
        _ => Vec::new(),
    }
}

impl Spelling<'_> {
    /// The integer that writes exactly `value`. `text` is scratch.
    fn exact(&self, value: &[u8], text: &mut Vec<u8>) -> Option<i64> {
        let inner = value.strip_prefix(self.prefix)?.strip_suffix(self.suffix)?;
        let integer = self.parse(inner)?;
        text.clear();
        self.write(integer, text);
        (text.as_slice() == value).then_some(integer)
    }

    fn parse(&self, inner: &[u8]) -> Option<i64> {
        match self.kind {
            tag::INTEGER => std::str::from_utf8(inner).ok()?.parse().ok(),
            tag::PADDED => number(inner).filter(|_| inner.len() == usize::from(self.places)),
            tag::FIXED => {
                let unsigned = inner.strip_prefix(b"-").unwrap_or(inner);
                let (whole, rest) =
                    unsigned.split_at_checked(unsigned.len().checked_sub(usize::from(self.places) + 1)?)?;
                let fraction = number(rest.strip_prefix(b".")?)?;
                let scale = 10_i64.checked_pow(u32::from(self.places))?;
                let magnitude = number(whole)?.checked_mul(scale)?.checked_add(fraction)?;
                Some(if unsigned.len() < inner.len() { -magnitude } else { magnitude })
            }
            tag::TIME | tag::BLANK_TIME => time(inner),
            _ => {
                let mut address = 0_i64;
                let mut parts = inner.split(|&byte| byte == b'.');
                for _ in 0..4 {
                    address = address << 8 | number(parts.next()?).filter(|&part| part < 256)?;
                }
                Some(address)
            }
        }
    }

    /// Appends the text of `integer`; of an integer that no value has, some text.
    fn write(&self, integer: i64, out: &mut Vec<u8>) {
        out.extend_from_slice(self.prefix);
        match self.kind {
            tag::INTEGER => {
                if integer < 0 {
                    out.push(b'-');
                }
                write_padded(integer.unsigned_abs() as i64, 1, out);
            }
            tag::PADDED => write_padded(integer.unsigned_abs() as i64, usize::from(self.places), out),
            tag::FIXED => {
                if integer < 0 {
                    out.push(b'-');
                }
                let scale = 10_u64.pow(u32::from(self.places));
                write_padded((integer.unsigned_abs() / scale) as i64, 1, out);
                out.push(b'.');
                write_padded((integer.unsigned_abs() % scale) as i64, usize::from(self.places), out);
            }
            tag::TIME => write_time(integer, b'T', self.places, out),
            tag::BLANK_TIME => write_time(integer, b' ', self.places, out),
            _ => {
                for (place, part) in (integer as u32).to_be_bytes().into_iter().enumerate() {
                    if place > 0 {
                        out.push(b'.');
                    }
                    write_padded(i64::from(part), 1, out);
                }
            }
        }
        out.extend_from_slice(self.suffix);
    }
}

/// Nanoseconds of a time whose fraction has any number of digits.
fn time(text: &[u8]) -> Option<i64> {
    let part = |from: usize, to: usize| number(text.get(from..to)?);
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let (hour, minute, second) = (part(11, 13)?, part(14, 16)?, part(17, 19)?);
    let fraction = match text.get(19..)? {
        [] => 0,
        [b'.', digits @ ..] if digits.len() <= usize::from(FRACTION_MAX) => {
            number(digits)? * 10_i64.pow(u32::from(FRACTION_MAX) - digits.len() as u32)
        }
        _ => return None,
    };
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 59 {
        return None;
    }
    let seconds = days_of(year, month, day) * DAY_SECONDS + hour * 3_600 + minute * 60 + second;
    i64::try_from(i128::from(seconds) * i128::from(SECOND) + i128::from(fraction)).ok()
}

fn write_time(nanoseconds: i64, between: u8, places: u8, out: &mut Vec<u8>) {
    let seconds = nanoseconds.div_euclid(SECOND);
    let (year, month, day) = date_of(seconds.div_euclid(DAY_SECONDS));
    let of_day = seconds.rem_euclid(DAY_SECONDS);
    write_padded(year, 4, out);
    let parts = [(b'-', month), (b'-', day), (between, of_day / 3_600), (b':', of_day / 60 % 60), (b':', of_day % 60)];
    for (before, part) in parts {
        out.push(before);
        write_padded(part, 2, out);
    }
    let places = places.min(FRACTION_MAX);
    if places > 0 {
        out.push(b'.');
        let fraction = nanoseconds.rem_euclid(SECOND) / 10_i64.pow(u32::from(FRACTION_MAX - places));
        write_padded(fraction, usize::from(places), out);
    }
}

#[cfg(test)]
mod tests {
    use arrow::array::{Array, AsArray};
    use proptest::prelude::*;

    use super::*;
    use crate::encoding::filler::Filler;

    fn read(bytes: &[u8], rows: usize, wanted: &Wanted) -> Result<Vec<String>> {
        let views = decode(&mut Reader::new(bytes), Content::Text, rows, wanted)?;
        let wanted_rows = wanted.count(rows);
        let array = views.into_strings(Filler { nulls: None, wanted_rows })?;
        array.to_data().validate_full().unwrap();
        Ok(array.as_string_view().iter().flatten().map(str::to_owned).collect())
    }

    /// The kind that `values` were stored as, after they came back.
    fn check(values: &[String]) -> Option<u8> {
        let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
        let encoded = encode(&bytes, 5).unwrap()?;
        assert_eq!(read(&encoded, values.len(), &Wanted::All).unwrap(), values);
        let some: Vec<u32> = (0..values.len() as u32).filter(|row| row % 3 == 1).collect();
        let expected: Vec<&String> = some.iter().map(|&row| &values[row as usize]).collect();
        assert!(read(&encoded, values.len(), &Wanted::Rows(some)).unwrap().iter().eq(expected));
        Some(encoded[0])
    }

    fn many(value: impl Fn(i64) -> String) -> Vec<String> {
        (0..400).map(|at| value(at * at * 7_919 % 100_003)).collect()
    }

    #[test]
    fn what_is_spelled_is_known() {
        let time = |at: i64| format!("2026-02-{:02} {:02}:07:{:02}", at % 28 + 1, at % 24, at % 60);
        for (values, kind) in [
            (many(|at| (at - 50_000).to_string()), Some(tag::INTEGER)),
            (many(|at| format!("Z{at}")), Some(tag::INTEGER)),
            (many(|at| format!("{at:09}")), Some(tag::PADDED)),
            (many(|at| format!("{}.{:03} ms", at / 1_000, at % 1_000)), Some(tag::FIXED)),
            (many(time), Some(tag::BLANK_TIME)),
            (many(|at| time(at).replace(' ', "T") + &format!(".{at:06}Z")), Some(tag::TIME)),
            (many(|at| "[".to_owned() + &time(at) + "+02:00]"), Some(tag::BLANK_TIME)),
            (many(|at| format!("10.47.{}.{}", at % 256, at / 256 % 256)), Some(tag::IPV4)),
            (many(|at| if at % 11 == 3 { String::new() } else { at.to_string() }), Some(tag::INTEGER)),
            (many(|at| format!("user{} of {}", at, at * 3)), None),
            (many(|at| format!("{at:x}")), None),
        ] {
            assert_eq!(check(&values), kind, "{}", values[1]);
        }
    }

    #[test]
    fn only_exact_spellings_count() {
        let odd = ["-0", "+7", "007", "9223372036854775808", "", "1e3", " 5", "é"];
        let mut values = many(|at| at.to_string());
        odd.iter().enumerate().for_each(|(at, odd)| values[at * 40 + 1] = (*odd).to_owned());
        assert_eq!(check(&values), Some(tag::INTEGER));
        let odd = ["2026-02-30T00:00:00Z", "2026-02-03T24:00:00Z", "2026-02-03t00:00:00Z", "2262-12-03T00:00:00Z"];
        let mut values = many(|at| format!("2026-02-03T00:{:02}:{:02}Z", at % 60, at % 59));
        odd.iter().enumerate().for_each(|(at, odd)| values[at * 40 + 1] = (*odd).to_owned());
        assert_eq!(check(&values), Some(tag::TIME));
        let odd = ["01.2.3.4", "1.2.3", "1.2.3.256", "1.2.3.4.5", "-0.0.0.0"];
        let mut values = many(|at| format!("1.2.{}.9", at % 200));
        odd.iter().enumerate().for_each(|(at, odd)| values[at * 40 + 1] = (*odd).to_owned());
        assert_eq!(check(&values), Some(tag::IPV4));
    }

    proptest! {
        #![proptest_config(crate::testing::cases(96))]
        #[test]
        fn any_strings_come_back(
            values in proptest::collection::vec(prop_oneof![
                6 => any::<i64>().prop_map(|value| value.to_string()),
                6 => "-?[0-9]{1,6}\\.[0-9]{2}",
                6 => "20[0-9]{2}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{3})?Z",
                1 => "\\PC{0,6}",
            ], 0..40),
            one in 0_usize..3,
        ) {
            check(&values);
            let kinds = ["-", ".", "T"];
            let of_one: Vec<String> = values.iter().filter(|value| value.contains(kinds[one])).cloned().collect();
            check(&of_one.iter().cycle().take(of_one.len() * 8).cloned().collect::<Vec<_>>());
        }

        #[test]
        fn any_time_comes_back(nanoseconds in any::<i64>()) {
            let mut text = Vec::new();
            write_time(nanoseconds, b'T', 9, &mut text);
            prop_assert_eq!(time(&text), Some(nanoseconds));
        }

        #[test]
        fn hostile_bytes_are_errors_or_strings(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4), end in any::<prop::sample::Index>(),
        ) {
            let values = many(|at| if at % 17 == 3 { "none".to_owned() } else { format!("n{at}") });
            let bytes: Vec<&[u8]> = values.iter().map(|value| value.as_bytes()).collect();
            let mut encoded = encode(&bytes, 5).unwrap().unwrap();
            changes.iter().for_each(|(at, byte)| { let at = at.index(encoded.len()); encoded[at] = *byte; });
            for length in [encoded.len(), end.index(encoded.len())] {
                if let Err(error) = read(&encoded[..length], values.len(), &Wanted::All) {
                    prop_assert_eq!(error.kind(), kyma_core::error::Kind::Corrupt);
                }
            }
        }
    }
}
