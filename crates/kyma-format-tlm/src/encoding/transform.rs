//! Strings that spell bytes: hexadecimal of even length, and hyphenated UUIDs; all in lower case, or all in upper case.
//!
//! A transform applies to every value of a column in a block, or to none; the empty string stands for itself.

use std::borrow::Cow;

use kyma_core::error::Result;

use crate::constants::transform as tag;
use crate::wire::corrupt;

const UUID_TEXT_BYTES: usize = 36;
const UUID_BYTES: usize = 16;
const HYPHENS: [usize; 4] = [8, 13, 18, 23];
/// Where each byte's digits are in a UUID's text.
const UUID_PLACES: [usize; UUID_BYTES] = [0, 2, 4, 6, 9, 11, 14, 16, 19, 21, 24, 26, 28, 30, 32, 34];
/// The two digits of each byte.
static LOWER: [[u8; 2]; 256] = pairs_of(b"0123456789abcdef");
static UPPER: [[u8; 2]; 256] = pairs_of(b"0123456789ABCDEF");

const fn pairs_of(digits: &[u8; 16]) -> [[u8; 2]; 256] {
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
}

/// The two digits of each byte in the case of `transform`.
fn pairs(transform: u8) -> &'static [[u8; 2]; 256] {
    if matches!(transform, tag::UPPER_HEX | tag::UPPER_UUID) { &UPPER } else { &LOWER }
}

/// The transform that every one of `values` allows.
pub(crate) fn choose(values: &[&[u8]]) -> u8 {
    let Some(first) = values.iter().find(|value| !value.is_empty()) else { return tag::NONE };
    let is_upper = first.iter().any(u8::is_ascii_uppercase);
    let all = |fits: fn(&[u8], bool) -> bool| values.iter().all(|value| value.is_empty() || fits(value, is_upper));
    match is_upper {
        // Digits alone are of either case: values without a letter are common at first.
        false if all(is_hex) => tag::HEX,
        false if all(is_uuid) => tag::UUID,
        _ => {
            let all = |fits: fn(&[u8], bool) -> bool| values.iter().all(|value| value.is_empty() || fits(value, true));
            if all(is_hex) {
                tag::UPPER_HEX
            } else if all(is_uuid) {
                tag::UPPER_UUID
            } else {
                tag::NONE
            }
        }
    }
}

fn is_digit(byte: u8, is_upper: bool) -> bool {
    byte.is_ascii_digit() || if is_upper { matches!(byte, b'A'..=b'F') } else { matches!(byte, b'a'..=b'f') }
}

fn is_hex(value: &[u8], is_upper: bool) -> bool {
    value.len().is_multiple_of(2) && value.iter().all(|&byte| is_digit(byte, is_upper))
}

fn is_uuid(value: &[u8], is_upper: bool) -> bool {
    let fits = |(at, &byte): (usize, &u8)| match HYPHENS.contains(&at) {
        true => byte == b'-',
        false => is_digit(byte, is_upper),
    };
    value.len() == UUID_TEXT_BYTES && value.iter().enumerate().all(fits)
}

/// Whether a value could be among those of a column with this transform.
pub(crate) fn fits(transform: u8, value: &[u8]) -> bool {
    match transform {
        _ if value.is_empty() => true,
        tag::HEX => is_hex(value, false),
        tag::UPPER_HEX => is_hex(value, true),
        tag::UUID => is_uuid(value, false),
        tag::UPPER_UUID => is_uuid(value, true),
        _ => transform == tag::NONE,
    }
}

/// The bytes that `value` spells.
pub(crate) fn apply(transform: u8, value: &[u8]) -> Cow<'_, [u8]> {
    if transform == tag::NONE {
        return Cow::Borrowed(value);
    }
    let nibble = |byte: u8| if byte <= b'9' { byte - b'0' } else { (byte | 0x20) - b'a' + 10 };
    let digits: Vec<u8> = value.iter().filter(|&&byte| byte != b'-').map(|&byte| nibble(byte)).collect();
    Cow::Owned(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes of the text that `stored` bytes spell.
pub(crate) fn text_bytes(transform: u8, stored: usize) -> Result<usize> {
    match (transform, stored) {
        (tag::NONE, stored) => Ok(stored),
        (tag::HEX | tag::UPPER_HEX, stored) => Ok(stored * 2),
        (tag::UUID | tag::UPPER_UUID, 0) => Ok(0),
        (tag::UUID | tag::UPPER_UUID, UUID_BYTES) => Ok(UUID_TEXT_BYTES),
        _ => Err(corrupt("a transformed string has the wrong length")),
    }
}

/// The texts of consecutive values that are stored as `bytes`.
pub(crate) fn undo(transform: u8, bytes: Vec<u8>) -> Vec<u8> {
    if transform == tag::NONE {
        return bytes;
    }
    let pairs = pairs(transform);
    if matches!(transform, tag::HEX | tag::UPPER_HEX) {
        let mut text = vec![0; bytes.len() * 2];
        for (digits, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *digits = pairs[usize::from(byte)];
        }
        return text;
    }
    let mut text = Vec::with_capacity(bytes.len() * UUID_TEXT_BYTES / UUID_BYTES + UUID_TEXT_BYTES);
    // Bytes that are no whole UUIDs make no whole text: the lengths of the values will not fit.
    bytes.as_chunks::<UUID_BYTES>().0.iter().for_each(|uuid| text.extend_from_slice(&uuid_text(uuid, pairs)));
    text
}

/// Appends the text that `stored` bytes spell.
pub(crate) fn write(transform: u8, stored: &[u8], out: &mut Vec<u8>) {
    let pairs = pairs(transform);
    match (transform, stored.first_chunk::<UUID_BYTES>()) {
        (tag::HEX | tag::UPPER_HEX, _) => {
            // A run of digits at a time: pushing pair by pair costs twice as much.
            let mut digits = [[0_u8; 2]; UUID_BYTES];
            for run in stored.chunks(digits.len()) {
                digits.iter_mut().zip(run).for_each(|(pair, &byte)| *pair = pairs[usize::from(byte)]);
                out.extend_from_slice(digits[..run.len()].as_flattened());
            }
        }
        (tag::UUID | tag::UPPER_UUID, Some(uuid)) => out.extend_from_slice(&uuid_text(uuid, pairs)),
        _ => out.extend_from_slice(stored),
    }
}

fn uuid_text(uuid: &[u8; UUID_BYTES], pairs: &[[u8; 2]; 256]) -> [u8; UUID_TEXT_BYTES] {
    let mut text = [b'-'; UUID_TEXT_BYTES];
    for (&place, &byte) in UUID_PLACES.iter().zip(uuid) {
        text[place..place + 2].copy_from_slice(&pairs[usize::from(byte)]);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spelled_bytes_come_back() {
        let uuid: &[u8] = b"fc488aaa-165f-4927-a4c6-e6f25b196a7c";
        for (values, expected) in [
            (vec![b"00ff".as_slice(), b"", b"0a"], tag::HEX),
            (vec![uuid, b"", uuid], tag::UUID),
            (vec![b"00FF".as_slice()], tag::UPPER_HEX),
            (vec![b"0012".as_slice(), b"00FF"], tag::UPPER_HEX),
            (vec![b"00Ff".as_slice()], tag::NONE),
            (vec![b"aa".as_slice(), b"AA"], tag::NONE),
            (vec![b"FC488AAA-165F-4927-A4C6-E6F25B196A7C".as_slice(), b""], tag::UPPER_UUID),
            (vec![b"abc".as_slice()], tag::NONE),
            (vec![b"".as_slice()], tag::NONE),
            (vec![uuid, b"00".as_slice()], tag::NONE),
        ] {
            let transform = choose(&values);
            assert_eq!(transform, expected, "{values:?}");
            let stored: Vec<u8> = values.iter().flat_map(|value| apply(transform, value).into_owned()).collect();
            assert_eq!(undo(transform, stored), values.concat());
        }
    }
}
