//! Datetimes and timespans as integer nanoseconds: parsing, printing, closed ranges.
//!
//! Kusto's datetime has 100 ns ticks over years 1–9999; ours has nanoseconds over 1677-09-21 to
//! 2262-04-11. A time outside ours never wraps: it saturates at [`MIN`] or [`MAX`].

use chrono::{DateTime, Datelike, NaiveDate, NaiveDateTime, NaiveTime, Timelike};
use serde::{Deserialize, Serialize};

/// The earliest datetime; what is earlier saturates here.
pub const MIN: i64 = i64::MIN + 1;
/// The latest datetime; what is later saturates here.
pub const MAX: i64 = i64::MAX;
/// Nanoseconds of one Kusto tick.
pub const TICK: i64 = 100;
/// Nanoseconds of a second.
pub const SECOND: i64 = 1_000_000_000;
/// Nanoseconds of a minute.
pub const MINUTE: i64 = 60 * SECOND;
/// Nanoseconds of an hour.
pub const HOUR: i64 = 60 * MINUTE;
/// Nanoseconds of a day.
pub const DAY: i64 = 24 * HOUR;

/// A closed range of nanoseconds: both bounds belong to it. Empty when `start > end`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TimeRange {
    /// First instant.
    pub start: i64,
    /// Last instant.
    pub end: i64,
}

impl TimeRange {
    /// Every instant.
    pub const ALL: TimeRange = TimeRange { start: i64::MIN, end: i64::MAX };

    /// The closed range from `start` to `end`.
    pub const fn new(start: i64, end: i64) -> Self {
        TimeRange { start, end }
    }

    /// Whether no instant belongs to it.
    pub const fn is_empty(&self) -> bool {
        self.start > self.end
    }

    /// Whether some instant belongs to both.
    pub const fn overlaps(&self, other: &TimeRange) -> bool {
        self.start <= other.end && other.start <= self.end
    }

    /// Whether every instant of `other` belongs to `self`.
    pub const fn covers(&self, other: &TimeRange) -> bool {
        self.start <= other.start && other.end <= self.end
    }

    /// The instants that belong to both.
    pub fn intersect(&self, other: &TimeRange) -> TimeRange {
        TimeRange::new(self.start.max(other.start), self.end.min(other.end))
    }
}

/// Nanoseconds of a chrono datetime, saturated.
pub fn nanos_of(datetime: NaiveDateTime) -> i64 {
    datetime.and_utc().timestamp_nanos_opt().unwrap_or(if datetime.year() < 1970 { MIN } else { MAX })
}

/// The chrono datetime of nanoseconds.
pub fn datetime_of(nanos: i64) -> NaiveDateTime {
    DateTime::from_timestamp_nanos(nanos).naive_utc()
}

/// Parses ISO 8601 and its usual relaxations: a date alone, `T` or a space, minutes alone, up to nine
/// fractional digits (`.` or `,`), `Z` or an offset, and RFC 1123 and RFC 2822 dates. Text without an
/// offset is UTC. Returns nanoseconds, saturated.
pub fn parse_datetime(text: &str) -> Option<i64> {
    let text = text.trim();
    parse_iso(text).or_else(|| {
        let starts_like_rfc = text.as_bytes().first().is_some_and(u8::is_ascii_alphabetic);
        let parsed = starts_like_rfc.then(|| DateTime::parse_from_rfc2822(text).ok()).flatten()?;
        Some(nanos_of(parsed.naive_utc()))
    })
}

/// Parses the ISO forms of [`parse_datetime`] only: the fast path of ingest.
pub fn parse_iso(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    let digits = |from: usize, count: usize| -> Option<u32> {
        let part = bytes.get(from..from + count)?;
        part.iter().try_fold(0_u32, |sum, &byte| byte.is_ascii_digit().then(|| sum * 10 + u32::from(byte - b'0')))
    };
    let year = digits(0, 4)?;
    if bytes.get(4) != Some(&b'-') || bytes.get(7) != Some(&b'-') {
        return None;
    }
    let date = NaiveDate::from_ymd_opt(year as i32, digits(5, 2)?, digits(8, 2)?)?;
    if bytes.len() == 10 {
        return Some(nanos_of(date.and_time(NaiveTime::MIN)));
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let (hour, minute) = (digits(11, 2)?, digits(14, 2)?);
    if bytes.get(13) != Some(&b':') {
        return None;
    }
    let mut at = 16;
    let (mut second, mut fraction) = (0, 0_u32);
    if bytes.get(at) == Some(&b':') {
        second = digits(at + 1, 2)?;
        at += 3;
        if matches!(bytes.get(at), Some(b'.' | b',')) {
            at += 1;
            let from = at;
            while bytes.get(at).is_some_and(u8::is_ascii_digit) {
                if at - from < 9 {
                    fraction = fraction * 10 + u32::from(bytes[at] - b'0');
                }
                at += 1;
            }
            if at == from {
                return None;
            }
            fraction *= 10_u32.pow(9_u32.saturating_sub((at - from) as u32));
        }
    }
    let offset = parse_offset(&bytes[at..])?;
    let time = NaiveTime::from_hms_nano_opt(hour, minute, second, fraction)?;
    Some(nanos_of(date.and_time(time)).saturating_sub(offset))
}

/// Parses `""`, `Z`, `+hh`, `+hhmm` or `+hh:mm` to nanoseconds east of UTC.
fn parse_offset(bytes: &[u8]) -> Option<i64> {
    let bytes = bytes.strip_prefix(b" ").unwrap_or(bytes);
    let sign = match bytes.first() {
        None => return Some(0),
        Some(b'Z' | b'z') => return (bytes.len() == 1).then_some(0),
        Some(b'+') => 1,
        Some(b'-') => -1,
        Some(_) => return None,
    };
    let rest: Vec<u8> = bytes[1..].iter().copied().filter(|&byte| byte != b':').collect();
    if !(rest.len() == 2 || rest.len() == 4) || !rest.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let pair = |at: usize| i64::from(rest[at] - b'0') * 10 + i64::from(rest[at + 1] - b'0');
    let minutes = if rest.len() == 4 { pair(2) } else { 0 };
    Some(sign * (pair(0) * HOUR + minutes * MINUTE))
}

/// Prints a datetime as Kusto does: `2015-01-01T01:01:01.0000001Z`, truncated to 100 ns ticks.
pub fn format_datetime(nanos: i64) -> String {
    let at = datetime_of(nanos);
    let ticks = at.nanosecond() / TICK as u32;
    format!(
        "{:04}-{:02}-{:02}T{:02}:{:02}:{:02}.{ticks:07}Z",
        at.year(),
        at.month(),
        at.day(),
        at.hour(),
        at.minute(),
        at.second()
    )
}

/// Prints a timespan as Kusto does: `[-][d.]hh:mm:ss[.fffffff]`, truncated to 100 ns ticks.
pub fn format_timespan(nanos: i64) -> String {
    let ticks = nanos / TICK;
    let sign = if ticks < 0 { "-" } else { "" };
    let ticks = ticks.unsigned_abs();
    let (seconds, fraction) = (ticks / 10_000_000, ticks % 10_000_000);
    let (days, hours, minutes, seconds) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60, seconds % 60);
    let days = if days > 0 { format!("{days}.") } else { String::new() };
    let fraction = if fraction > 0 { format!(".{fraction:07}") } else { String::new() };
    format!("{sign}{days}{hours:02}:{minutes:02}:{seconds:02}{fraction}")
}

/// Parses `[-][d.]hh:mm[:ss[.fffffff]]` to nanoseconds.
pub fn parse_timespan(text: &str) -> Option<i64> {
    let text = text.trim();
    let (negative, text) = match text.strip_prefix('-') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let parts: Vec<&str> = text.split(':').collect();
    if parts.len() < 2 || parts.len() > 3 {
        return None;
    }
    let (days, hours) = match parts[0].split_once('.') {
        Some((days, hours)) => (unsigned(days)?, unsigned(hours)?),
        None => (0, unsigned(parts[0])?),
    };
    let (seconds, fraction) = match parts.get(2) {
        None => (0, 0),
        Some(part) => match part.split_once('.') {
            None => (unsigned(part)?, 0),
            Some((seconds, digits)) => {
                let kept = &digits[..digits.len().min(9)];
                let scale = 10_i64.pow(9 - kept.len() as u32);
                (unsigned(seconds)?, unsigned(kept)?.checked_mul(scale)?)
            }
        },
    };
    let minutes = unsigned(parts[1])?;
    if hours > 23 || minutes > 59 || seconds > 59 {
        return None;
    }
    let total = days.checked_mul(DAY)?.checked_add(hours * HOUR + minutes * MINUTE + seconds * SECOND + fraction)?;
    Some(if negative { -total } else { total })
}

fn unsigned(text: &str) -> Option<i64> {
    let all_digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if all_digits { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn iso_forms() {
        let at = |text: &str| parse_datetime(text).map(format_datetime).unwrap_or_default();
        assert_eq!(at("2022-08-22"), "2022-08-22T00:00:00.0000000Z");
        assert_eq!(at("2022-08-22 05:18"), "2022-08-22T05:18:00.0000000Z");
        assert_eq!(at("2022-08-22T05:18:16.154660034Z"), "2022-08-22T05:18:16.1546600Z");
        assert_eq!(at("2022-08-22T05:18:16.5+02:00"), "2022-08-22T03:18:16.5000000Z");
        assert_eq!(at("Mon, 22 Aug 2022 05:18:16 GMT"), "2022-08-22T05:18:16.0000000Z");
        assert_eq!(parse_datetime("9999-12-31T23:59:59Z"), Some(MAX));
        assert_eq!(parse_datetime("0001-01-01"), Some(MIN));
        for bad in
            ["", "2022", "2022-13-01", "2022-08-22T", "2022-08-22T05", "2022-08-22T05:18:16.Z", "hello", "2022-08-22x"]
        {
            assert_eq!(parse_datetime(bad), None, "{bad}");
        }
    }

    #[test]
    fn timespans() {
        for (text, nanos) in [
            ("00:00:00.0000001", 100),
            ("1.02:03:04", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND),
            ("-00:00:01", -SECOND),
        ] {
            assert_eq!(parse_timespan(text), Some(nanos));
            assert_eq!(format_timespan(nanos), text);
        }
        assert_eq!(parse_timespan("25:00:00"), None);
    }
}
