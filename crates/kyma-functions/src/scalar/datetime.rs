//! Datetimes and timespans. Arithmetic is on the proleptic Gregorian calendar in UTC and saturates at the bounds.

use arrow::array::ArrayRef;
use chrono::{Datelike, Months, NaiveDate, NaiveDateTime, Timelike};
use kyma_core::{Error, Result, Type, time};

use super::{Kernel, kernel};
use crate::view::Longs;
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("now", |call| {
        let offsets = call.longs_or(0, Some(0))?;
        build::longs(Type::Datetime, call.rows, |row| Some(call.context.now.saturating_add(offsets.get(row)?)))
    }),
    kernel("ago", |call| {
        let spans = call.longs(0)?;
        build::longs(Type::Datetime, call.rows, |row| Some(call.context.now.saturating_sub(spans.get(row)?)))
    }),
    kernel("startofday", |call| bounds(call, Unit::Day, false)),
    kernel("startofweek", |call| bounds(call, Unit::Week, false)),
    kernel("startofmonth", |call| bounds(call, Unit::Month, false)),
    kernel("startofyear", |call| bounds(call, Unit::Year, false)),
    kernel("endofday", |call| bounds(call, Unit::Day, true)),
    kernel("endofweek", |call| bounds(call, Unit::Week, true)),
    kernel("endofmonth", |call| bounds(call, Unit::Month, true)),
    kernel("endofyear", |call| bounds(call, Unit::Year, true)),
    kernel("dayofweek", |call| {
        let times = call.longs(0)?;
        build::longs(Type::Timespan, call.rows, |row| {
            Some(i64::from(time::datetime_of(times.get(row)?).weekday().num_days_from_sunday()) * time::DAY)
        })
    }),
    kernel("dayofmonth", |call| part(call, |at| i64::from(at.day()))),
    kernel("dayofyear", |call| part(call, |at| i64::from(at.ordinal()))),
    kernel("hourofday", |call| part(call, |at| i64::from(at.hour()))),
    kernel("monthofyear", |call| part(call, |at| i64::from(at.month()))),
    kernel("getyear", |call| part(call, |at| i64::from(at.year()))),
    kernel("week_of_year", |call| part(call, |at| i64::from(at.iso_week().week()))),
    kernel("datetime_part", datetime_part),
    kernel("datetime_add", datetime_add),
    kernel("datetime_diff", datetime_diff),
    kernel("make_datetime", make_datetime),
    kernel("make_timespan", make_timespan),
    kernel("unixtime_seconds_todatetime", |call| unixtime(call, time::SECOND)),
    kernel("unixtime_milliseconds_todatetime", |call| unixtime(call, 1_000_000)),
    kernel("unixtime_microseconds_todatetime", |call| unixtime(call, 1_000)),
    kernel("unixtime_nanoseconds_todatetime", |call| unixtime(call, 1)),
];

/// A unit of the calendar or the clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Quarter,
    Month,
    Week,
    Day,
    Hour,
    Minute,
    Second,
    Millisecond,
    Microsecond,
    Nanosecond,
}

impl Unit {
    fn named(name: &str) -> Result<Unit> {
        Ok(match name.to_ascii_lowercase().as_str() {
            "year" | "years" => Unit::Year,
            "quarter" | "quarters" => Unit::Quarter,
            "month" | "months" => Unit::Month,
            "week" | "weeks" | "weekofyear" | "week_of_year" => Unit::Week,
            "day" | "days" => Unit::Day,
            "hour" | "hours" => Unit::Hour,
            "minute" | "minutes" => Unit::Minute,
            "second" | "seconds" => Unit::Second,
            "millisecond" | "milliseconds" => Unit::Millisecond,
            "microsecond" | "microseconds" => Unit::Microsecond,
            "nanosecond" | "nanoseconds" => Unit::Nanosecond,
            other => {
                return Err(Error::invalid("function.date_part", format!("unknown part of a datetime: part={other}"))
                    .hint("use year, quarter, month, week, day, hour, minute, second, millisecond, ..."));
            }
        })
    }

    /// Nanoseconds of a unit that always lasts the same.
    const fn nanos(self) -> Option<i64> {
        Some(match self {
            Unit::Week => 7 * time::DAY,
            Unit::Day => time::DAY,
            Unit::Hour => time::HOUR,
            Unit::Minute => time::MINUTE,
            Unit::Second => time::SECOND,
            Unit::Millisecond => 1_000_000,
            Unit::Microsecond => 1_000,
            Unit::Nanosecond => 1,
            Unit::Year | Unit::Quarter | Unit::Month => return None,
        })
    }

    const fn months(self) -> i64 {
        match self {
            Unit::Year => 12,
            Unit::Quarter => 3,
            _ => 1,
        }
    }
}

fn start_of(day: NaiveDate) -> NaiveDateTime {
    day.and_time(chrono::NaiveTime::MIN)
}

/// Days are counted from the epoch, which was a Thursday; weeks start on Sunday.
fn floor_to(nanos: i64, unit: Unit) -> i64 {
    match unit.nanos() {
        Some(week) if unit == Unit::Week => {
            let since_sunday = 4 * time::DAY;
            let shifted = i128::from(nanos) + i128::from(since_sunday);
            saturated(shifted.div_euclid(i128::from(week)) * i128::from(week) - i128::from(since_sunday))
        }
        Some(size) => nanos.saturating_sub(nanos.rem_euclid(size)),
        None => {
            let day = time::datetime_of(nanos).date();
            let month = match unit {
                Unit::Year => 1,
                Unit::Quarter => (day.month0() / 3) * 3 + 1,
                _ => day.month(),
            };
            NaiveDate::from_ymd_opt(day.year(), month, 1).map_or(nanos, |day| time::nanos_of(start_of(day)))
        }
    }
}

fn saturated(nanos: i128) -> i64 {
    nanos.clamp(i128::from(time::MIN), i128::from(time::MAX)) as i64
}

/// `count` units later.
fn add(nanos: i64, unit: Unit, count: i64) -> Option<i64> {
    if let Some(size) = unit.nanos() {
        return Some(saturated(i128::from(nanos) + i128::from(size) * i128::from(count)));
    }
    let at = time::datetime_of(nanos);
    let months = Months::new(u32::try_from(count.checked_mul(unit.months())?.unsigned_abs()).ok()?);
    let moved = if count < 0 { at.checked_sub_months(months) } else { at.checked_add_months(months) };
    moved.map(time::nanos_of)
}

/// Start, or last tick, of the unit that lies `offset` units away.
fn bounds(call: &Call<'_>, unit: Unit, end: bool) -> Result<ArrayRef> {
    let (times, offsets) = (call.longs(0)?, call.longs_or(1, Some(0))?);
    build::longs(Type::Datetime, call.rows, |row| {
        let start = add(floor_to(times.get(row)?, unit), unit, offsets.get(row)?)?;
        if end { Some(add(start, unit, 1)?.saturating_sub(time::TICK)) } else { Some(start) }
    })
}

fn part(call: &Call<'_>, get: impl Fn(NaiveDateTime) -> i64) -> Result<ArrayRef> {
    let times = call.longs(0)?;
    build::longs(call.out, call.rows, |row| Some(get(time::datetime_of(times.get(row)?))))
}

fn datetime_part(call: &Call<'_>) -> Result<ArrayRef> {
    let (names, times) = (call.texts(0)?, call.longs(1)?);
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let name = names.get(row).to_ascii_lowercase();
        let day_of_year = matches!(name.as_str(), "dayofyear" | "day_of_year");
        let unit = if day_of_year { Unit::Day } else { Unit::named(&name)? };
        found.push(times.get(row).map(|nanos| {
            let at = time::datetime_of(nanos);
            match unit {
                _ if day_of_year => i64::from(at.ordinal()),
                Unit::Year => i64::from(at.year()),
                Unit::Quarter => i64::from(at.month0() / 3 + 1),
                Unit::Month => i64::from(at.month()),
                Unit::Week => i64::from(at.iso_week().week()),
                Unit::Day => i64::from(at.day()),
                Unit::Hour => i64::from(at.hour()),
                Unit::Minute => i64::from(at.minute()),
                Unit::Second => i64::from(at.second()),
                Unit::Millisecond => i64::from(at.nanosecond() / 1_000_000),
                Unit::Microsecond => i64::from(at.nanosecond() / 1_000),
                Unit::Nanosecond => i64::from(at.nanosecond()),
            }
        }));
    }
    build::longs(call.out, call.rows, |row| found[row])
}

fn datetime_add(call: &Call<'_>) -> Result<ArrayRef> {
    let (names, counts, times) = (call.texts(0)?, call.longs(1)?, call.longs(2)?);
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let unit = Unit::named(names.get(row))?;
        found.push(times.get(row).zip(counts.get(row)).and_then(|(nanos, count)| add(nanos, unit, count)));
    }
    build::longs(Type::Datetime, call.rows, |row| found[row])
}

/// How many borders of the unit lie between the two.
fn datetime_diff(call: &Call<'_>) -> Result<ArrayRef> {
    let (names, after, before) = (call.texts(0)?, call.longs(1)?, call.longs(2)?);
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let unit = Unit::named(names.get(row))?;
        found.push(
            after.get(row).zip(before.get(row)).map(|(after, before)| ordinal(after, unit) - ordinal(before, unit)),
        );
    }
    build::longs(Type::Long, call.rows, |row| found[row])
}

/// The number of the unit that an instant lies in.
fn ordinal(nanos: i64, unit: Unit) -> i64 {
    match unit.nanos() {
        Some(size) if unit == Unit::Week => {
            (i128::from(nanos) + i128::from(4 * time::DAY)).div_euclid(i128::from(size)) as i64
        }
        Some(size) => nanos.div_euclid(size),
        None => {
            let day = time::datetime_of(nanos).date();
            let months = i64::from(day.year()) * 12 + i64::from(day.month0());
            months.div_euclid(unit.months())
        }
    }
}

fn make_datetime(call: &Call<'_>) -> Result<ArrayRef> {
    let parts: Vec<_> = (0..call.args.len()).map(|index| call.reals(index)).collect::<Result<_>>()?;
    build::longs(Type::Datetime, call.rows, |row| {
        let get = |index: usize, default: f64| parts.get(index).map_or(Some(default), |part| part.get(row));
        let whole = |value: f64| (value.fract() == 0.0 && value >= 0.0).then_some(value as u32);
        let day = NaiveDate::from_ymd_opt(get(0, 0.0)? as i32, whole(get(1, 1.0)?)?, whole(get(2, 1.0)?)?)?;
        let (hour, minute, second) = (whole(get(3, 0.0)?)?, whole(get(4, 0.0)?)?, get(5, 0.0)?);
        let ticks = (second * 1e7).round();
        if hour > 23 || minute > 59 || !(0.0..6e8).contains(&ticks) {
            return None;
        }
        let clock = i64::from(hour) * time::HOUR + i64::from(minute) * time::MINUTE + ticks as i64 * time::TICK;
        Some(time::nanos_of(start_of(day)).saturating_add(clock))
    })
}

/// `(hours, minutes)`, `(hours, minutes, seconds)` or `(days, hours, minutes, seconds)`.
fn make_timespan(call: &Call<'_>) -> Result<ArrayRef> {
    let parts: Vec<_> = (0..call.args.len()).map(|index| call.reals(index)).collect::<Result<_>>()?;
    let shift = usize::from(parts.len() == 4);
    build::longs(Type::Timespan, call.rows, |row| {
        let get = |index: usize| parts.get(index).map_or(Some(0.0), |part| part.get(row));
        let days = if shift == 1 { get(0)? } else { 0.0 };
        let (hours, minutes, seconds) = (get(shift)?, get(shift + 1)?, get(shift + 2)?);
        if !(0.0..24.0).contains(&hours)
            || !(0.0..60.0).contains(&minutes)
            || !(0.0..60.0).contains(&seconds)
            || days < 0.0
        {
            return None;
        }
        let whole = days as i64 * time::DAY + hours as i64 * time::HOUR + minutes as i64 * time::MINUTE;
        Some(whole + (seconds * 1e7).round() as i64 * time::TICK)
    })
}

fn unixtime(call: &Call<'_>, unit: i64) -> Result<ArrayRef> {
    if call.ty(0) == Type::Real || call.ty(0) == Type::Decimal {
        let values = call.reals(0)?;
        return build::longs(Type::Datetime, call.rows, |row| {
            let value = values.get(row)?;
            let (whole, fraction) = (value.trunc(), value.fract());
            let fraction = (fraction * unit as f64 / 100.0).round() * 100.0;
            value.is_finite().then(|| saturated(whole as i128 * i128::from(unit) + fraction as i128))
        });
    }
    let values: Longs<'_> = call.longs(0)?;
    build::longs(Type::Datetime, call.rows, |row| Some(saturated(i128::from(values.get(row)?) * i128::from(unit))))
}
