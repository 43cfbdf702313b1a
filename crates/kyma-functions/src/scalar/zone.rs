//! Local times of time zones: names of the IANA database, Windows' names, UTC and fixed offsets.
//!
//! A local time that was skipped counts with the offset after the gap; one that came twice is the earlier of both.

use arrow::array::ArrayRef;
use chrono::offset::LocalResult;
use chrono::{Offset, TimeZone};
use chrono_tz::Tz;
use kyma_core::{Error, Result, Type, time};

use super::{Kernel, kernel};
use crate::{Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("datetime_utc_to_local", |call| convert(call, Zone::to_local)),
    kernel("datetime_local_to_utc", |call| convert(call, Zone::to_utc)),
    kernel("datetime_list_timezones", |call| {
        let names = super::text::quoted(chrono_tz::TZ_VARIANTS.iter().map(|zone| zone.name()));
        Ok(build::jsons(call.rows, |_| Some(names.as_str())))
    }),
];

/// A time zone.
#[derive(Debug, Clone, Copy)]
enum Zone {
    Named(Tz),
    /// Nanoseconds east of UTC.
    Fixed(i64),
}

impl Zone {
    fn of(name: &str) -> Result<Zone> {
        let name = name.trim();
        let unknown = || {
            Error::invalid("function.timezone", format!("the time zone is not known: zone={name}"))
                .hint("use an IANA name such as \"Europe/Paris\"; datetime_list_timezones() lists them")
        };
        let named = || name.parse::<Tz>().ok().or_else(|| windows(name)).or_else(|| in_any_case(name));
        fixed(name).map(Zone::Fixed).or_else(|| named().map(Zone::Named)).ok_or_else(unknown)
    }

    fn to_local(self, nanos: i64) -> i64 {
        let offset = match self {
            Zone::Fixed(offset) => offset,
            Zone::Named(zone) => seconds(zone.offset_from_utc_datetime(&time::datetime_of(nanos))),
        };
        nanos.saturating_add(offset)
    }

    fn to_utc(self, nanos: i64) -> i64 {
        let offset = match self {
            Zone::Fixed(offset) => offset,
            Zone::Named(zone) => match zone.offset_from_local_datetime(&time::datetime_of(nanos)) {
                LocalResult::Single(offset) | LocalResult::Ambiguous(offset, _) => seconds(offset),
                // A day later every gap is over.
                LocalResult::None => {
                    seconds(zone.offset_from_utc_datetime(&time::datetime_of(nanos.saturating_add(time::DAY))))
                }
            },
        };
        nanos.saturating_sub(offset)
    }
}

fn seconds(offset: impl Offset) -> i64 {
    i64::from(offset.fix().local_minus_utc()) * time::SECOND
}

/// `UTC`, `Z`, `+02:00`, `UTC+2:00` and their like.
fn fixed(name: &str) -> Option<i64> {
    let bare = name.strip_prefix("UTC").or_else(|| name.strip_prefix("GMT")).unwrap_or(name);
    if bare.is_empty() && !name.is_empty() || bare.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let sign = match bare.as_bytes().first()? {
        b'+' => 1,
        b'-' => -1,
        _ => return None,
    };
    let (hours, minutes) = bare[1..].split_once(':').unwrap_or((&bare[1..], "0"));
    let (hours, minutes): (i64, i64) = (hours.parse().ok()?, minutes.parse().ok()?);
    let in_range = (0..=14).contains(&hours) && (0..60).contains(&minutes);
    in_range.then(|| sign * (hours * time::HOUR + minutes * time::MINUTE))
}

fn in_any_case(name: &str) -> Option<Tz> {
    chrono_tz::TZ_VARIANTS.iter().copied().find(|zone| zone.name().eq_ignore_ascii_case(name))
}

/// The zone of one of Windows' names, as the Unicode CLDR maps it.
fn windows(name: &str) -> Option<Tz> {
    let (_, zone) = WINDOWS.iter().find(|(windows, _)| windows.eq_ignore_ascii_case(name))?;
    Some(*zone)
}

static WINDOWS: &[(&str, Tz)] = &[
    ("AUS Central Standard Time", Tz::Australia__Darwin),
    ("AUS Eastern Standard Time", Tz::Australia__Sydney),
    ("Afghanistan Standard Time", Tz::Asia__Kabul),
    ("Alaskan Standard Time", Tz::America__Anchorage),
    ("Arab Standard Time", Tz::Asia__Riyadh),
    ("Arabian Standard Time", Tz::Asia__Dubai),
    ("Arabic Standard Time", Tz::Asia__Baghdad),
    ("Argentina Standard Time", Tz::America__Buenos_Aires),
    ("Atlantic Standard Time", Tz::America__Halifax),
    ("Azerbaijan Standard Time", Tz::Asia__Baku),
    ("Azores Standard Time", Tz::Atlantic__Azores),
    ("Bahia Standard Time", Tz::America__Bahia),
    ("Bangladesh Standard Time", Tz::Asia__Dhaka),
    ("Belarus Standard Time", Tz::Europe__Minsk),
    ("Canada Central Standard Time", Tz::America__Regina),
    ("Cape Verde Standard Time", Tz::Atlantic__Cape_Verde),
    ("Caucasus Standard Time", Tz::Asia__Yerevan),
    ("Cen. Australia Standard Time", Tz::Australia__Adelaide),
    ("Central America Standard Time", Tz::America__Guatemala),
    ("Central Asia Standard Time", Tz::Asia__Almaty),
    ("Central Brazilian Standard Time", Tz::America__Cuiaba),
    ("Central Europe Standard Time", Tz::Europe__Budapest),
    ("Central European Standard Time", Tz::Europe__Warsaw),
    ("Central Pacific Standard Time", Tz::Pacific__Guadalcanal),
    ("Central Standard Time", Tz::America__Chicago),
    ("Central Standard Time (Mexico)", Tz::America__Mexico_City),
    ("China Standard Time", Tz::Asia__Shanghai),
    ("E. Africa Standard Time", Tz::Africa__Nairobi),
    ("E. Australia Standard Time", Tz::Australia__Brisbane),
    ("E. Europe Standard Time", Tz::Europe__Chisinau),
    ("E. South America Standard Time", Tz::America__Sao_Paulo),
    ("Eastern Standard Time", Tz::America__New_York),
    ("Egypt Standard Time", Tz::Africa__Cairo),
    ("FLE Standard Time", Tz::Europe__Kiev),
    ("Fiji Standard Time", Tz::Pacific__Fiji),
    ("GMT Standard Time", Tz::Europe__London),
    ("GTB Standard Time", Tz::Europe__Bucharest),
    ("Georgian Standard Time", Tz::Asia__Tbilisi),
    ("Greenland Standard Time", Tz::America__Godthab),
    ("Greenwich Standard Time", Tz::Atlantic__Reykjavik),
    ("Hawaiian Standard Time", Tz::Pacific__Honolulu),
    ("India Standard Time", Tz::Asia__Calcutta),
    ("Iran Standard Time", Tz::Asia__Tehran),
    ("Israel Standard Time", Tz::Asia__Jerusalem),
    ("Jordan Standard Time", Tz::Asia__Amman),
    ("Korea Standard Time", Tz::Asia__Seoul),
    ("Mauritius Standard Time", Tz::Indian__Mauritius),
    ("Middle East Standard Time", Tz::Asia__Beirut),
    ("Montevideo Standard Time", Tz::America__Montevideo),
    ("Morocco Standard Time", Tz::Africa__Casablanca),
    ("Mountain Standard Time", Tz::America__Denver),
    ("Myanmar Standard Time", Tz::Asia__Rangoon),
    ("N. Central Asia Standard Time", Tz::Asia__Novosibirsk),
    ("Namibia Standard Time", Tz::Africa__Windhoek),
    ("Nepal Standard Time", Tz::Asia__Katmandu),
    ("New Zealand Standard Time", Tz::Pacific__Auckland),
    ("Newfoundland Standard Time", Tz::America__St_Johns),
    ("North Asia East Standard Time", Tz::Asia__Irkutsk),
    ("North Asia Standard Time", Tz::Asia__Krasnoyarsk),
    ("Pacific SA Standard Time", Tz::America__Santiago),
    ("Pacific Standard Time", Tz::America__Los_Angeles),
    ("Pacific Standard Time (Mexico)", Tz::America__Tijuana),
    ("Pakistan Standard Time", Tz::Asia__Karachi),
    ("Paraguay Standard Time", Tz::America__Asuncion),
    ("Romance Standard Time", Tz::Europe__Paris),
    ("Russian Standard Time", Tz::Europe__Moscow),
    ("SA Eastern Standard Time", Tz::America__Cayenne),
    ("SA Pacific Standard Time", Tz::America__Bogota),
    ("SA Western Standard Time", Tz::America__La_Paz),
    ("SE Asia Standard Time", Tz::Asia__Bangkok),
    ("Samoa Standard Time", Tz::Pacific__Apia),
    ("Singapore Standard Time", Tz::Asia__Singapore),
    ("South Africa Standard Time", Tz::Africa__Johannesburg),
    ("Sri Lanka Standard Time", Tz::Asia__Colombo),
    ("Syria Standard Time", Tz::Asia__Damascus),
    ("Taipei Standard Time", Tz::Asia__Taipei),
    ("Tasmania Standard Time", Tz::Australia__Hobart),
    ("Tokyo Standard Time", Tz::Asia__Tokyo),
    ("Turkey Standard Time", Tz::Europe__Istanbul),
    ("US Eastern Standard Time", Tz::America__Indianapolis),
    ("US Mountain Standard Time", Tz::America__Phoenix),
    ("Ulaanbaatar Standard Time", Tz::Asia__Ulaanbaatar),
    ("Venezuela Standard Time", Tz::America__Caracas),
    ("Vladivostok Standard Time", Tz::Asia__Vladivostok),
    ("W. Australia Standard Time", Tz::Australia__Perth),
    ("W. Central Africa Standard Time", Tz::Africa__Lagos),
    ("W. Europe Standard Time", Tz::Europe__Berlin),
    ("West Asia Standard Time", Tz::Asia__Tashkent),
    ("West Pacific Standard Time", Tz::Pacific__Port_Moresby),
    ("Yakutsk Standard Time", Tz::Asia__Yakutsk),
    ("Ekaterinburg Standard Time", Tz::Asia__Yekaterinburg),
];

fn convert(call: &Call<'_>, change: fn(Zone, i64) -> i64) -> Result<ArrayRef> {
    let (times, zones) = (call.longs(0)?, call.texts(1)?);
    let mut last: Option<(&str, Zone)> = None;
    let mut found = Vec::with_capacity(call.rows);
    for row in 0..call.rows {
        let name = zones.get(row);
        let zone = match last {
            Some((known, zone)) if known == name => zone,
            _ => Zone::of(name)?,
        };
        last = Some((name, zone));
        found.push(times.get(row).map(|nanos| change(zone, nanos)));
    }
    build::longs(Type::Datetime, call.rows, |row| found[row])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(zone: &str, local: &str, utc: &str, back: &str) {
        let (zone, local) = (Zone::of(zone).unwrap(), time::parse_datetime(local).unwrap());
        let found = zone.to_utc(local);
        assert_eq!(time::format_datetime(found), time::format_datetime(time::parse_datetime(utc).unwrap()));
        assert_eq!(zone.to_local(found), time::parse_datetime(back).unwrap());
    }

    #[test]
    fn zones_of_every_kind() {
        check("US/Pacific", "2020-02-02 20:02:20", "2020-02-03 04:02:20", "2020-02-02 20:02:20");
        check("Pacific Standard Time", "2020-07-02 20:02:20", "2020-07-03 03:02:20", "2020-07-02 20:02:20");
        check("europe/paris", "2020-02-02 20:02:20", "2020-02-02 19:02:20", "2020-02-02 20:02:20");
        check("UTC+5:30", "2020-02-02 05:30", "2020-02-02", "2020-02-02 05:30");
        check("-02:00", "2020-02-02 22:00", "2020-02-03", "2020-02-02 22:00");
        check("UTC", "2020-02-02", "2020-02-02", "2020-02-02");
        assert_eq!(Zone::of("Mars/Olympus").unwrap_err().code(), "function.timezone");
    }

    #[test]
    fn gaps_and_repetitions() {
        check("Europe/Brussels", "2022-03-27 02:00", "2022-03-27 00:00", "2022-03-27 01:00");
        check("Europe/Brussels", "2022-10-30 02:30", "2022-10-30 00:30", "2022-10-30 02:30");
    }
}
