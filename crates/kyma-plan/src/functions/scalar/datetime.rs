//! Datetimes and timespans.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{ScalarFunction, row};

/// Datetimes and timespans.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("now", &[], &[Timespan], (0, 1), Is(Type::Datetime), Numbered, "The time of the query, plus an offset.")
        .example("print now(), now(-1h)"),
    row("ago", &[], &[Timespan], (1, 1), Is(Type::Datetime), Numbered, "The time of the query less a timespan.")
        .example("print ago(1h)"),
    row(
        "startofday",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        FirstArgument,
        "The first instant of the day, days away.",
    )
    .example("print startofday(datetime(2017-01-01 10:10:17), -1)"),
    row(
        "startofweek",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The first instant of the week (Sunday), weeks away.",
    )
    .example("print startofweek(datetime(2017-01-01 10:10:17))"),
    row(
        "startofmonth",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The first instant of the month, months away.",
    )
    .example("print startofmonth(datetime(2017-01-15 10:10:17), 1)"),
    row(
        "startofyear",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The first instant of the year, years away.",
    )
    .example("print startofyear(datetime(2017-05-01 10:10:17))"),
    row(
        "endofday",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The last tick of the day, days away.",
    )
    .example("print endofday(datetime(2017-01-01 10:10:17))"),
    row(
        "endofweek",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The last tick of the week (Saturday), weeks away.",
    )
    .example("print endofweek(datetime(2017-01-01 10:10:17))"),
    row(
        "endofmonth",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The last tick of the month, months away.",
    )
    .example("print endofmonth(datetime(2017-01-01 10:10:17), -1)"),
    row(
        "endofyear",
        &[],
        &[Datetime, Long],
        (1, 2),
        Is(Type::Datetime),
        Numbered,
        "The last tick of the year, years away.",
    )
    .example("print endofyear(datetime(2017-01-01 10:10:17))"),
    row("dayofweek", &[], &[Datetime], (1, 1), Is(Type::Timespan), Numbered, "Days since Sunday.")
        .example("print dayofweek(datetime(2015-12-14))"),
    row("dayofmonth", &[], &[Datetime], (1, 1), Is(Type::Long), Numbered, "Day of the month, from 1.")
        .example("print dayofmonth(datetime(2015-12-14))"),
    row("dayofyear", &[], &[Datetime], (1, 1), Is(Type::Long), Numbered, "Day of the year, from 1.")
        .example("print dayofyear(datetime(2015-12-14))"),
    row("hourofday", &[], &[Datetime], (1, 1), Is(Type::Long), Numbered, "Hour of the day, 0 to 23.")
        .example("print hourofday(datetime(2015-12-14 18:54))"),
    row("monthofyear", &["getmonth"], &[Datetime], (1, 1), Is(Type::Long), Numbered, "Month of the year, from 1.")
        .example("print monthofyear(datetime(2015-12-14))"),
    row("getyear", &[], &[Datetime], (1, 1), Is(Type::Long), Numbered, "The year.")
        .example("print getyear(datetime(2015-10-12))"),
    row("week_of_year", &["weekofyear"], &[Datetime], (1, 1), Is(Type::Long), Numbered, "ISO 8601 week of the year.")
        .example("print week_of_year(datetime(2020-12-31))"),
    row("datetime_part", &["datepart"], &[Text, Datetime], (2, 2), Is(Type::Long), Numbered, "The named part.")
        .example(r#"print datetime_part("quarter", datetime(2017-10-30 01:02:03))"#),
    row("datetime_add", &[], &[Text, Long, Datetime], (3, 3), Is(Type::Datetime), Numbered, "A number of parts later.")
        .example(r#"print datetime_add("month", 1, datetime(2017-01-31))"#),
    row(
        "datetime_diff",
        &[],
        &[Text, Datetime, Datetime],
        (3, 3),
        Is(Type::Long),
        Numbered,
        "How many borders of the part lie between; the first less the second.",
    )
    .example(r#"print datetime_diff("day", datetime(2017-10-30 23:59), datetime(2017-10-29 00:00))"#),
    row(
        "datetime_utc_to_local",
        &[],
        &[Datetime, Text],
        (2, 2),
        Is(Type::Datetime),
        Numbered,
        "The local time of a time zone (IANA name, Windows name or offset).",
    )
    .example(r#"print datetime_utc_to_local(datetime(2020-02-02 20:02:20), "US/Pacific")"#),
    row(
        "datetime_local_to_utc",
        &[],
        &[Datetime, Text],
        (2, 2),
        Is(Type::Datetime),
        Numbered,
        "The UTC time of a local one.",
    )
    .example(r#"print datetime_local_to_utc(datetime(2020-02-02 20:02:20), "Europe/Paris")"#),
    row("datetime_list_timezones", &[], &[], (0, 0), Is(Type::Dynamic), Numbered, "The names of all time zones.")
        .example("print array_length(datetime_list_timezones())"),
    row(
        "format_datetime",
        &[],
        &[Datetime, Text],
        (2, 2),
        Is(Type::String),
        FirstArgument,
        "The datetime in a format such as `yyyy-MM-dd HH:mm`.",
    )
    .example(r#"print format_datetime(datetime(2015-12-14 02:03:04.12345), "yyyy-MM-dd [HH:mm:ss.fff]")"#),
    row(
        "format_timespan",
        &[],
        &[Timespan, Text],
        (2, 2),
        Is(Type::String),
        FirstArgument,
        "The timespan in a format such as `d.hh:mm:ss`.",
    )
    .example(r#"print format_timespan(time(29.09:00:05.12345), "dd.hh:mm:ss [FF]")"#),
    row(
        "make_datetime",
        &[],
        &[Real],
        (3, 6),
        Is(Type::Datetime),
        Numbered,
        "The datetime of year, month, day, hour, minute, second.",
    )
    .example("print make_datetime(2017, 10, 1, 12, 11, 0.1234567)"),
    row(
        "make_timespan",
        &[],
        &[Real],
        (2, 4),
        Is(Type::Timespan),
        Numbered,
        "The timespan of [days,] hours, minutes [, seconds].",
    )
    .example("print make_timespan(1, 12, 30, 55.123)"),
    row(
        "unixtime_seconds_todatetime",
        &[],
        &[Number],
        (1, 1),
        Is(Type::Datetime),
        Numbered,
        "The datetime of Unix seconds.",
    )
    .example("print unixtime_seconds_todatetime(1546300800)"),
    row(
        "unixtime_milliseconds_todatetime",
        &[],
        &[Number],
        (1, 1),
        Is(Type::Datetime),
        Numbered,
        "The datetime of Unix milliseconds.",
    )
    .example("print unixtime_milliseconds_todatetime(1546300800000)"),
    row(
        "unixtime_microseconds_todatetime",
        &[],
        &[Number],
        (1, 1),
        Is(Type::Datetime),
        Numbered,
        "The datetime of Unix microseconds.",
    )
    .example("print unixtime_microseconds_todatetime(1546300800000000)"),
    row(
        "unixtime_nanoseconds_todatetime",
        &[],
        &[Number],
        (1, 1),
        Is(Type::Datetime),
        Numbered,
        "The datetime of Unix nanoseconds.",
    )
    .example("print unixtime_nanoseconds_todatetime(1546300800000000000)"),
];
