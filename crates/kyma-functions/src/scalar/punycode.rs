//! Punycode (RFC 3492). What does not decode gives the empty string.

use std::borrow::Cow;

use super::text::map;
use super::{Kernel, kernel};

pub(super) static KERNELS: &[Kernel] = &[
    kernel("punycode_from_string", |call| map(call, |text| Cow::Owned(encode(text).unwrap_or_default()))),
    kernel("punycode_to_string", |call| map(call, |text| Cow::Owned(decode(text).unwrap_or_default()))),
    kernel("punycode_domain_to_string", |call| {
        map(call, |text| {
            labels(text, |label| match label.is_ascii() {
                true => Some(label.to_owned()),
                false => encode(label).map(|encoded| format!("xn--{encoded}")),
            })
        })
    }),
    kernel("punycode_domain_from_string", |call| {
        map(call, |text| {
            labels(text, |label| match label.strip_prefix("xn--") {
                None => Some(label.to_owned()),
                Some(encoded) => decode(encoded),
            })
        })
    }),
];

const BASE: u32 = 36;
const TMIN: u32 = 1;
const TMAX: u32 = 26;
/// Longest text, in characters: encoding takes time quadratic in it.
const CHARS_MAX: usize = 1_024;

/// What separates labels: the full stop and its forms in other scripts (IDNA, RFC 3490).
const DOTS: [char; 4] = ['.', '\u{3002}', '\u{ff0e}', '\u{ff61}'];

fn labels(text: &str, convert: impl Fn(&str) -> Option<String>) -> Cow<'_, str> {
    let converted: Option<Vec<String>> = text.split(DOTS).map(convert).collect();
    Cow::Owned(converted.map(|labels| labels.join(".")).unwrap_or_default())
}

fn adapt(delta: u32, points: u32, first: bool) -> u32 {
    let mut delta = if first { delta / 700 } else { delta / 2 };
    delta += delta / points;
    let mut k = 0;
    while delta > (BASE - TMIN) * TMAX / 2 {
        delta /= BASE - TMIN;
        k += BASE;
    }
    k + (BASE - TMIN + 1) * delta / (delta + 38)
}

fn threshold(k: u32, bias: u32) -> u32 {
    k.saturating_sub(bias).clamp(TMIN, TMAX)
}

fn digit(value: u32) -> char {
    char::from(if value < 26 { b'a' + value as u8 } else { b'0' + (value - 26) as u8 })
}

fn encode(text: &str) -> Option<String> {
    let points: Vec<u32> = text.chars().map(u32::from).collect();
    if points.len() > CHARS_MAX {
        return None;
    }
    let mut out: String = text.chars().filter(char::is_ascii).collect();
    let basic = out.len() as u32;
    if basic > 0 {
        out.push('-');
    }
    let (mut n, mut delta, mut bias, mut handled) = (128_u32, 0_u32, 72_u32, basic);
    while (handled as usize) < points.len() {
        let next = points.iter().copied().filter(|&point| point >= n).min()?;
        delta = delta.checked_add((next - n).checked_mul(handled + 1)?)?;
        n = next;
        for &point in &points {
            if point < n {
                delta = delta.checked_add(1)?;
            }
            if point == n {
                let (mut q, mut k) = (delta, BASE);
                loop {
                    let t = threshold(k, bias);
                    if q < t {
                        break;
                    }
                    out.push(digit(t + (q - t) % (BASE - t)));
                    q = (q - t) / (BASE - t);
                    k += BASE;
                }
                out.push(digit(q));
                bias = adapt(delta, handled + 1, handled == basic);
                delta = 0;
                handled += 1;
            }
        }
        delta = delta.checked_add(1)?;
        n += 1;
    }
    Some(out)
}

fn decode(text: &str) -> Option<String> {
    if !text.is_ascii() || text.len() > CHARS_MAX {
        return None;
    }
    let (basic, extended) = text.rsplit_once('-').unwrap_or(("", text));
    let mut out: Vec<char> = basic.chars().collect();
    let (mut n, mut i, mut bias) = (128_u32, 0_u32, 72_u32);
    let mut digits = extended.bytes();
    while digits.len() > 0 {
        let (before, mut weight, mut k) = (i, 1_u32, BASE);
        loop {
            let value = match digits.next()? {
                byte @ b'a'..=b'z' => u32::from(byte - b'a'),
                byte @ b'A'..=b'Z' => u32::from(byte - b'A'),
                byte @ b'0'..=b'9' => u32::from(byte - b'0') + 26,
                _ => return None,
            };
            i = i.checked_add(value.checked_mul(weight)?)?;
            let t = threshold(k, bias);
            if value < t {
                break;
            }
            weight = weight.checked_mul(BASE - t)?;
            k += BASE;
        }
        let count = out.len() as u32 + 1;
        bias = adapt(i - before, count, before == 0);
        n = n.checked_add(i / count)?;
        i %= count;
        out.insert(i as usize, char::from_u32(n)?);
        i += 1;
    }
    Some(out.into_iter().collect())
}
