//! IPv4 and IPv6 addresses with optional prefixes. Text that is no address gives null (or false where Kusto says so).

use std::net::{Ipv4Addr, Ipv6Addr};

use arrow::array::ArrayRef;
use kyma_core::{Result, Type, Value};

use super::texttest::strings_of;
use super::{Kernel, kernel};
use crate::limits::CIDR_LIST_MAX;
use crate::view::{Jsons, Texts};
use crate::{Arg, Call, build};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("parse_ipv4", |call| {
        let texts = call.texts(0)?;
        build::longs(Type::Long, call.rows, |row| Net4::parse(texts.get(row)).map(|net| i64::from(net.network())))
    }),
    kernel("parse_ipv4_mask", |call| {
        let (texts, masks) = (call.texts(0)?, call.longs(1)?);
        build::longs(Type::Long, call.rows, |row| {
            let net = Net4::parse(texts.get(row))?.within(prefix(masks.get(row)?, 32)?);
            Some(i64::from(net.network()))
        })
    }),
    kernel("format_ipv4", |call| format_ipv4(call, false)),
    kernel("format_ipv4_mask", |call| format_ipv4(call, true)),
    kernel("ipv4_is_private", |call| {
        let texts = call.texts(0)?;
        Ok(build::bools(call.rows, |row| {
            let net = Net4::parse(texts.get(row))?;
            Some(PRIVATE.iter().any(|(base, bits)| net.bits >= *bits && mask4(net.address, *bits) == *base))
        }))
    }),
    kernel("ipv4_is_in_range", |call| {
        let (texts, ranges) = (call.texts(0)?, call.texts(1)?);
        Ok(build::bools(call.rows, |row| in_range4(texts.get(row), ranges.get(row))))
    }),
    kernel("ipv4_is_in_any_range", |call| any_of(call, in_range4)),
    kernel("ipv4_is_match", |call| compare4(call, |order| i64::from(order == 0))),
    kernel("ipv4_compare", |call| compare4(call, |order| order)),
    kernel("ipv4_netmask_suffix", |call| {
        let texts = call.texts(0)?;
        build::longs(Type::Long, call.rows, |row| Net4::parse(texts.get(row)).map(|net| i64::from(net.bits)))
    }),
    kernel("ipv4_range_to_cidr_list", ipv4_range_to_cidr_list),
    kernel("parse_ipv6", |call| {
        let texts = call.texts(0)?;
        Ok(build::texts(call.rows, |row| {
            Net6::parse_full(texts.get(row)).map(|net| full(net.network())).unwrap_or_default()
        }))
    }),
    kernel("parse_ipv6_mask", |call| {
        let (texts, masks) = (call.texts(0)?, call.longs(1)?);
        Ok(build::texts(call.rows, |row| {
            let masked = || {
                let text = texts.get(row);
                let mask = masks.get(row)?;
                let extra = if (text.contains(':') && !text.contains('.')) || mask > 32 { 0 } else { 96 };
                Some(full(Net6::parse_full(text)?.within(prefix(mask + extra, 128)?).network()))
            };
            masked().unwrap_or_default()
        }))
    }),
    kernel("ipv6_is_in_range", |call| {
        let (texts, ranges) = (call.texts(0)?, call.texts(1)?);
        Ok(build::bools(call.rows, |row| in_range6(texts.get(row), ranges.get(row))))
    }),
    kernel("ipv6_is_in_any_range", |call| any_of(call, in_range6)),
    kernel("ipv6_is_match", |call| compare6(call, |order| i64::from(order == 0))),
    kernel("ipv6_compare", |call| compare6(call, |order| order)),
    kernel("has_ipv4", |call| {
        any_of(call, |text, wanted| {
            Some(wanted.parse::<Ipv4Addr>().is_ok() && addresses(text).any(|found| found == wanted))
        })
    }),
    kernel("has_any_ipv4", |call| {
        any_of(call, |text, wanted| {
            Some(wanted.parse::<Ipv4Addr>().is_ok() && addresses(text).any(|found| found == wanted))
        })
    }),
    kernel("has_ipv4_prefix", |call| {
        any_of(call, |text, wanted| Some(is_prefix(wanted) && addresses(text).any(|found| found.starts_with(wanted))))
    }),
    kernel("has_any_ipv4_prefix", |call| {
        any_of(call, |text, wanted| Some(is_prefix(wanted) && addresses(text).any(|found| found.starts_with(wanted))))
    }),
];

/// RFC 1918.
const PRIVATE: [(u32, u8); 3] = [(0x0a00_0000, 8), (0xac10_0000, 12), (0xc0a8_0000, 16)];

/// An IPv4 address and the length of its prefix.
#[derive(Debug, Clone, Copy)]
struct Net4 {
    address: u32,
    bits: u8,
}

fn prefix(bits: i64, max: u8) -> Option<u8> {
    u8::try_from(bits).ok().filter(|bits| *bits <= max)
}

fn mask4(address: u32, bits: u8) -> u32 {
    if bits == 0 { 0 } else { address & (u32::MAX << (32 - bits)) }
}

pub(crate) fn mask6(address: u128, bits: u8) -> u128 {
    if bits == 0 { 0 } else { address & (u128::MAX << (128 - bits)) }
}

impl Net4 {
    fn parse(text: &str) -> Option<Net4> {
        let text = text.trim();
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, prefix(bits.parse().ok()?, 32)?),
            None => (text, 32),
        };
        Some(Net4 { address: u32::from(address.parse::<Ipv4Addr>().ok()?), bits })
    }

    fn network(self) -> u32 {
        mask4(self.address, self.bits)
    }

    fn within(self, bits: u8) -> Net4 {
        Net4 { bits: self.bits.min(bits), ..self }
    }
}

/// An IPv6 address (an IPv4 one mapped) and the length of its prefix.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Net6 {
    pub(crate) address: u128,
    pub(crate) bits: u8,
}

impl Net6 {
    pub(crate) fn parse(text: &str) -> Option<Net6> {
        let text = text.trim();
        if let Some(net) = Net4::parse(text) {
            let mapped = Ipv4Addr::from(net.address).to_ipv6_mapped();
            return Some(Net6 { address: u128::from(mapped), bits: net.bits + 96 });
        }
        let (address, bits) = match text.split_once('/') {
            Some((address, bits)) => (address, prefix(bits.parse().ok()?, 128)?),
            None => (text, 128),
        };
        let address = address.split_once('%').map_or(address, |(address, _zone)| address);
        Some(Net6 { address: u128::from(address.parse::<Ipv6Addr>().ok()?), bits })
    }

    /// As the functions that give the full form read it: a short prefix beside an address that ends in IPv4 notation is one
    /// of that part. Comparisons take the same prefix as one of the whole.
    fn parse_full(text: &str) -> Option<Net6> {
        let net = Net6::parse(text)?;
        let is_of_part = text.contains(':') && text.contains('.') && net.bits <= 32;
        Some(if is_of_part { Net6 { bits: net.bits + 96, ..net } } else { net })
    }

    pub(crate) fn network(self) -> u128 {
        mask6(self.address, self.bits)
    }

    fn within(self, bits: u8) -> Net6 {
        Net6 { bits: self.bits.min(bits), ..self }
    }
}

/// All eight groups with four digits each.
fn full(address: u128) -> String {
    let groups: Vec<String> = Ipv6Addr::from(address).segments().iter().map(|group| format!("{group:04x}")).collect();
    groups.join(":")
}

fn format_ipv4(call: &Call<'_>, with_mask: bool) -> Result<ArrayRef> {
    let masks = call.longs_or(1, Some(32))?;
    let texts = crate::convert::AnyText::of(call.arg(0)?, call.ty(0))?;
    Ok(build::texts(call.rows, |row| {
        let formatted = || {
            let text = texts.get(row);
            let net = match text.parse::<i64>() {
                Ok(number) => Net4 { address: u32::try_from(number).ok()?, bits: 32 },
                Err(_) => Net4::parse(&text)?,
            };
            let net = net.within(prefix(masks.get(row)?, 32)?);
            let address = Ipv4Addr::from(net.network());
            Some(if with_mask { format!("{address}/{}", net.bits) } else { address.to_string() })
        };
        formatted().unwrap_or_default()
    }))
}

fn in_range4(text: &str, range: &str) -> Option<bool> {
    let (net, range) = (Net4::parse(text)?, Net4::parse(range)?);
    Some(net.bits >= range.bits && mask4(net.address, range.bits) == range.network())
}

fn in_range6(text: &str, range: &str) -> Option<bool> {
    let (net, range) = (Net6::parse(text)?, Net6::parse(range)?);
    Some(net.bits >= range.bits && mask6(net.address, range.bits) == range.network())
}

/// A text against any of several, given as texts or as arrays; null when the test is null for all.
fn any_of(call: &Call<'_>, test: impl Fn(&str, &str) -> Option<bool>) -> Result<ArrayRef> {
    enum Wanted<'a> {
        Constant(Vec<String>),
        Text(Texts<'a>),
        Json(Jsons<'a>),
    }
    let texts = call.texts(0)?;
    let mut wanted = Vec::new();
    for index in 1..call.args.len() {
        wanted.push(match (call.arg(index)?, call.ty(index)) {
            (Arg::Scalar(Value::Dynamic(json)), _) => Wanted::Constant(strings_of(json)),
            (Arg::Scalar(Value::String(text)), _) => Wanted::Constant(vec![text.clone()]),
            (_, Type::Dynamic) => Wanted::Json(call.jsons(index)?),
            _ => Wanted::Text(call.texts(index)?),
        });
    }
    Ok(build::bools(call.rows, |row| {
        let text = texts.get(row);
        let one = |list: &[String]| fold_any(list.iter().map(|item| test(text, item)));
        fold_any(wanted.iter().map(|wanted| match wanted {
            Wanted::Constant(list) => one(list),
            Wanted::Text(texts) => test(text, texts.get(row)),
            Wanted::Json(jsons) => one(&jsons.get(row).map(strings_of).unwrap_or_default()),
        }))
    }))
}

fn fold_any(results: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    results.fold(None, |so_far, result| match (so_far, result) {
        (Some(a), Some(b)) => Some(a || b),
        (a, b) => a.or(b),
    })
}

/// The order under the shortest prefix of both and of the optional third argument; as `call.out`.
fn compare4(call: &Call<'_>, result: impl Fn(i64) -> i64) -> Result<ArrayRef> {
    let (a, b, masks) = (call.texts(0)?, call.texts(1)?, call.longs_or(2, Some(32))?);
    answer(call, |row| {
        let (a, b, mask) = (Net4::parse(a.get(row))?, Net4::parse(b.get(row))?, prefix(masks.get(row)?, 32)?);
        let bits = a.bits.min(b.bits).min(mask);
        Some(result(mask4(a.address, bits).cmp(&mask4(b.address, bits)) as i64))
    })
}

fn compare6(call: &Call<'_>, result: impl Fn(i64) -> i64) -> Result<ArrayRef> {
    let (a, b, masks) = (call.texts(0)?, call.texts(1)?, call.longs_or(2, Some(128))?);
    answer(call, |row| {
        let (a, b, mask) = (Net6::parse(a.get(row))?, Net6::parse(b.get(row))?, prefix(masks.get(row)?, 128)?);
        let bits = a.bits.min(b.bits).min(mask);
        Some(result(mask6(a.address, bits).cmp(&mask6(b.address, bits)) as i64))
    })
}

fn answer(call: &Call<'_>, value: impl Fn(usize) -> Option<i64>) -> Result<ArrayRef> {
    match call.out {
        Type::Bool => Ok(build::bools(call.rows, |row| value(row).map(|value| value != 0))),
        out => build::longs(out, call.rows, value),
    }
}

fn ipv4_range_to_cidr_list(call: &Call<'_>) -> Result<ArrayRef> {
    let (starts, ends) = (call.texts(0)?, call.texts(1)?);
    Ok(build::jsons(call.rows, |row| {
        let start: Ipv4Addr = starts.get(row).trim().parse().ok()?;
        let end: Ipv4Addr = ends.get(row).trim().parse().ok()?;
        let (mut at, end) = (u64::from(u32::from(start)), u64::from(u32::from(end)));
        let mut networks = Vec::new();
        while at <= end && networks.len() < CIDR_LIST_MAX {
            let aligned = if at == 0 { 32 } else { at.trailing_zeros().min(32) };
            let fitting = 63 - (end - at + 1).leading_zeros();
            let size = aligned.min(fitting);
            networks.push(format!("{}/{}", Ipv4Addr::from(at as u32), 32 - size));
            at += 1 << size;
        }
        Some(super::text::quoted(networks.iter().map(String::as_str)))
    }))
}

/// The valid IPv4 addresses in a text that stand between characters that are not alphanumeric.
fn addresses(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !(c.is_alphanumeric() || c == '.')).flat_map(|run| {
        let run = run.trim_matches('.');
        let parts: Vec<&str> = run.split('.').collect();
        let whole = parts.len() == 4 && run.parse::<Ipv4Addr>().is_ok();
        whole.then_some(run)
    })
}

/// One to three whole octets with a point after, or a whole address.
fn is_prefix(text: &str) -> bool {
    if text.parse::<Ipv4Addr>().is_ok() {
        return true;
    }
    let Some(octets) = text.strip_suffix('.') else { return false };
    let octets: Vec<&str> = octets.split('.').collect();
    octets.len() <= 3 && octets.iter().all(|octet| octet.parse::<u8>().is_ok())
}
