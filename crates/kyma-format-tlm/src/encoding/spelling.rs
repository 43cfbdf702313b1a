//! Texts that spell something smaller: numbers, times, addresses, ids. Each is a parser that accepts only what its printer
//! gives back byte by byte, and that printer.

/// Digits of a number that is taken for one.
const NUMBER_DIGITS_MAX: usize = 18;
/// Seconds of a day.
pub(super) const DAY_SECONDS: i64 = 86_400;
/// Powers of ten that fit 64 bits.
pub(crate) const POWERS: [i64; 19] = {
    let mut powers = [1; 19];
    let mut at = 1;
    while at < powers.len() {
        powers[at] = powers[at - 1] * 10;
        at += 1;
    }
    powers
};

/// The number that all of `digits` spell, at most 18.
pub(super) fn digits(digits: &[u8]) -> Option<i64> {
    if digits.is_empty() || digits.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    let mut number = 0_i64;
    for &byte in digits {
        if !byte.is_ascii_digit() {
            return None;
        }
        number = number * 10 + i64::from(byte - b'0');
    }
    Some(number)
}

/// A whole number without leading zeros.
pub(crate) fn integer(text: &[u8]) -> Option<i64> {
    if text.first() == Some(&b'0') && text.len() > 1 { None } else { digits(text) }
}

/// A whole number of any fixed width.
pub(crate) fn padded(text: &[u8]) -> Option<i64> {
    digits(text)
}

/// Appends `number` with at least `width` digits.
pub(crate) fn write_padded(number: i64, width: usize, out: &mut Vec<u8>) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    if width > text.len() {
        out.resize(out.len() + width - text.len(), b'0');
    }
    out.extend_from_slice(text.as_bytes());
}

/// A number with `scale` digits after the dot, times ten to `scale`.
pub(crate) fn decimal(text: &[u8], scale: usize) -> Option<i64> {
    let dot = text.len().checked_sub(scale + 1)?;
    if scale == 0 || text[dot] != b'.' || text.len() > NUMBER_DIGITS_MAX {
        return None;
    }
    let (whole, fraction) = (integer(&text[..dot])?, digits(&text[dot + 1..])?);
    whole.checked_mul(POWERS[scale])?.checked_add(fraction)
}

/// Appends what [`decimal`] read.
pub(crate) fn write_decimal(number: i64, scale: usize, out: &mut Vec<u8>) {
    let power = POWERS.get(scale).copied().unwrap_or(1);
    write_padded(number.div_euclid(power), 1, out);
    out.push(b'.');
    write_padded(number.rem_euclid(power), scale, out);
}

/// An address of IPv4.
pub(crate) fn ipv4(text: &[u8]) -> Option<i64> {
    let mut address = 0;
    let mut parts = 0;
    for part in text.split(|&byte| byte == b'.') {
        let number = integer(part).filter(|&number| number < 256)?;
        address = address << 8 | number;
        parts += 1;
        if parts > 4 {
            return None;
        }
    }
    (parts == 4).then_some(address)
}

/// Appends what [`ipv4`] read.
pub(crate) fn write_ipv4(address: i64, out: &mut Vec<u8>) {
    for (at, byte) in (address as u32).to_be_bytes().into_iter().enumerate() {
        if at > 0 {
            out.push(b'.');
        }
        write_padded(i64::from(byte), 1, out);
    }
}

/// How a time is spelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TimeFormat {
    pub(crate) shape: TimeShape,
    /// Digits after the dot; no dot when zero.
    pub(crate) digits: u8,
}

/// The parts of a spelled time. The numbers are on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TimeShape {
    /// `2023-01-29T09:27:01.123Z`
    Instant = 0,
    /// `09:27:01.123`
    OfDay = 1,
    /// `2023-01-29T09:27:01.123`
    Local = 2,
}

impl TimeFormat {
    /// The format that `text` has.
    pub(crate) fn of(text: &[u8]) -> Option<TimeFormat> {
        let (shape, rest) = match text.get(10) {
            Some(b'T') if text.last() == Some(&b'Z') => (TimeShape::Instant, text.len().checked_sub(20)?),
            Some(b'T') => (TimeShape::Local, text.len().checked_sub(19)?),
            _ if text.get(2) == Some(&b':') => (TimeShape::OfDay, text.len().checked_sub(8)?),
            _ => return None,
        };
        let digits = match rest {
            0 => 0,
            1 => return None,
            rest => rest - 1,
        };
        let format = TimeFormat { shape, digits: u8::try_from(digits).ok().filter(|&digits| digits <= 9)? };
        format.parse(text).map(|_| format)
    }

    /// Units of the last digit in a second.
    fn per_second(self) -> i64 {
        POWERS[usize::from(self.digits.min(9))]
    }

    /// Units since 1970, or since midnight.
    pub(crate) fn parse(self, text: &[u8]) -> Option<i64> {
        let (day, clock) = match self.shape {
            TimeShape::OfDay => (0, text),
            TimeShape::Instant => (date(text.get(..10)?)?, text.get(11..)?.strip_suffix(b"Z")?),
            TimeShape::Local => (date(text.get(..10)?)?, text.get(11..)?),
        };
        if self.shape != TimeShape::OfDay && text.get(10) != Some(&b'T') {
            return None;
        }
        let (clock, fraction) = match self.digits {
            0 => (clock, 0),
            count => {
                let (clock, fraction) = clock.split_at_checked(8)?;
                let fraction = fraction.strip_prefix(b".").filter(|text| text.len() == usize::from(count))?;
                (clock, digits(fraction)?)
            }
        };
        let [h1, h2, b':', m1, m2, b':', s1, s2] = *clock else { return None };
        let two = |high: u8, low: u8, max: i64| digits(&[high, low]).filter(|&number| number < max);
        let seconds = two(h1, h2, 24)? * 3_600 + two(m1, m2, 60)? * 60 + two(s1, s2, 60)?;
        (day * DAY_SECONDS + seconds).checked_mul(self.per_second())?.checked_add(fraction)
    }

    /// Appends what `parse` read.
    pub(crate) fn write(self, units: i64, out: &mut Vec<u8>) {
        let (seconds, fraction) = (units.div_euclid(self.per_second()), units.rem_euclid(self.per_second()));
        let (day, second) = (seconds.div_euclid(DAY_SECONDS), seconds.rem_euclid(DAY_SECONDS));
        if self.shape != TimeShape::OfDay {
            write_date(day, out);
            out.push(b'T');
        }
        let pairs = [second / 3_600, second / 60 % 60, second % 60];
        for (at, pair) in pairs.into_iter().enumerate() {
            if at > 0 {
                out.push(b':');
            }
            write_padded(pair, 2, out);
        }
        if self.digits > 0 {
            out.push(b'.');
            write_padded(fraction, usize::from(self.digits), out);
        }
        if self.shape == TimeShape::Instant {
            out.push(b'Z');
        }
    }

    /// What a time of nanoseconds since 1970 would be in units, but for its zone.
    pub(crate) fn units_of(self, nanos: i64) -> i64 {
        let units = nanos.div_euclid(POWERS[9 - usize::from(self.digits.min(9))]);
        match self.shape {
            TimeShape::OfDay => units.rem_euclid(DAY_SECONDS * self.per_second()),
            _ => units,
        }
    }

    /// `parsed` as its distance to `base`; within a day the nearest way round.
    pub(crate) fn difference(self, parsed: i64, base: i64) -> i64 {
        let difference = parsed.wrapping_sub(base);
        if self.shape != TimeShape::OfDay {
            return difference;
        }
        let day = DAY_SECONDS * self.per_second();
        (difference + day / 2).rem_euclid(day) - day / 2
    }

    /// Undoes [`TimeFormat::difference`].
    pub(crate) fn sum(self, difference: i64, base: i64) -> i64 {
        let sum = difference.wrapping_add(base);
        if self.shape == TimeShape::OfDay { sum.rem_euclid(DAY_SECONDS * self.per_second()) } else { sum }
    }
}

/// Days since 1970 of `2023-01-29`, for the years that nanoseconds reach.
fn date(text: &[u8]) -> Option<i64> {
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = *text else { return None };
    let year = digits(&[y1, y2, y3, y4]).filter(|year| (1_678..2_262).contains(year))?;
    let (month, day) = (digits(&[m1, m2])?, digits(&[d1, d2])?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let days = days_of(year, month, day);
    (date_of(days) == (year, month, day)).then_some(days)
}

fn write_date(days: i64, out: &mut Vec<u8>) {
    // Beyond the years that nanoseconds reach there is nothing to print right: such values are corrupt.
    let (year, month, day) = date_of(days.clamp(-106_752, 106_752));
    write_padded(year, 4, out);
    out.push(b'-');
    write_padded(month, 2, out);
    out.push(b'-');
    write_padded(day, 2, out);
}

/// Days since 1970 of a date. Source: Hinnant, "chrono-Compatible Low-Level Date Algorithms".
pub(super) fn days_of(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// Undoes [`days_of`].
pub(super) fn date_of(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (year + era * 400 + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    fn check(text: &str) -> usize {
        let bytes = text.as_bytes();
        let mut known = 0;
        let mut came_back = |back: String| {
            assert_eq!(back, text);
            known += 1;
        };
        if let Some(number) = integer(bytes) {
            came_back(written(|out| write_padded(number, 1, out)));
        }
        if let Some(number) = padded(bytes) {
            came_back(written(|out| write_padded(number, text.len(), out)));
        }
        for scale in 1..9 {
            if let Some(number) = decimal(bytes, scale) {
                came_back(written(|out| write_decimal(number, scale, out)));
            }
        }
        if let Some(address) = ipv4(bytes) {
            came_back(written(|out| write_ipv4(address, out)));
        }
        if let Some(format) = TimeFormat::of(bytes) {
            came_back(written(|out| format.write(format.parse(bytes).unwrap(), out)));
        }
        known
    }

    #[test]
    fn what_is_known() {
        for text in ["0", "17", "007", "12.50", "0.001", "10.0.0.255", "17:31:01.745", "2022-08-22T05:18:16.154660034Z"]
        {
            assert!(check(text) > 0, "{text}");
        }
        for text in
            ["", "1e5", "01.50", "256.0.0.1", "24:00:00", "2023-02-29T00:00:00Z", "2022-08-22T05:18:16.1546600345Z"]
        {
            assert_eq!(check(text), 0, "{text}");
        }
    }

    #[test]
    fn a_time_is_near_its_row() {
        let format = TimeFormat::of(b"13:18:16.153").unwrap();
        let row = 1_661_145_496_154_660_034; // 05:18:16.154 of the same day
        let difference = format.difference(format.parse(b"13:18:16.153").unwrap(), format.units_of(row));
        assert_eq!(difference, 8 * 3_600_000 - 1);
        assert_eq!(written(|out| format.write(format.sum(difference, format.units_of(row)), out)), "13:18:16.153");
    }

    proptest! {
        #[test]
        fn any_text_comes_back(text in "[0-9]{1,20}|[0-9.]{1,16}|[0-2][0-9]:[0-9:.]{5,10}|[12][0-9]{3}-[01][0-9]-[0-3][0-9]T[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?Z?") {
            check(&text);
        }
    }
}
