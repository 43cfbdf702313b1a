//! Strings that spell bytes: lower-case hexadecimal of even length, and hyphenated lower-case UUIDs.
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
const DIGITS: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut pairs = [[0; 2]; 256];
    let mut byte = 0;
    while byte < pairs.len() {
        pairs[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    pairs
};

/// The transform that every one of `values` allows.
pub(crate) fn choose(values: &[&[u8]]) -> u8 {
    let any = |test: fn(&[u8]) -> bool| values.iter().all(|value| value.is_empty() || test(value));
    if values.iter().all(|value| value.is_empty()) {
        tag::NONE
    } else if any(is_hex) {
        tag::HEX
    } else if any(is_uuid) {
        tag::UUID
    } else {
        tag::NONE
    }
}

fn is_digit(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

fn is_hex(value: &[u8]) -> bool {
    value.len().is_multiple_of(2) && value.iter().all(|&byte| is_digit(byte))
}

fn is_uuid(value: &[u8]) -> bool {
    let fits = |(at, &byte): (usize, &u8)| if HYPHENS.contains(&at) { byte == b'-' } else { is_digit(byte) };
    value.len() == UUID_TEXT_BYTES && value.iter().enumerate().all(fits)
}

/// The bytes that `value` spells.
pub(crate) fn apply(transform: u8, value: &[u8]) -> Cow<'_, [u8]> {
    if transform == tag::NONE {
        return Cow::Borrowed(value);
    }
    let nibble = |byte: u8| if byte <= b'9' { byte - b'0' } else { byte - b'a' + 10 };
    let digits: Vec<u8> = value.iter().filter(|&&byte| byte != b'-').map(|&byte| nibble(byte)).collect();
    Cow::Owned(digits.as_chunks::<2>().0.iter().map(|[high, low]| high << 4 | low).collect())
}

/// Bytes of the text that `stored` bytes spell.
pub(crate) fn text_bytes(transform: u8, stored: usize) -> Result<usize> {
    match (transform, stored) {
        (tag::NONE, stored) => Ok(stored),
        (tag::HEX, stored) => Ok(stored * 2),
        (tag::UUID, 0) => Ok(0),
        (tag::UUID, UUID_BYTES) => Ok(UUID_TEXT_BYTES),
        _ => Err(corrupt("a transformed string has the wrong length")),
    }
}

/// The texts of consecutive values that are stored as `bytes`.
pub(crate) fn undo(transform: u8, bytes: Vec<u8>) -> Vec<u8> {
    if transform == tag::NONE {
        return bytes;
    }
    if transform == tag::HEX {
        let mut text = vec![0; bytes.len() * 2];
        for (digits, byte) in text.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
            *digits = DIGITS[usize::from(byte)];
        }
        return text;
    }
    let mut text = Vec::with_capacity(bytes.len() * UUID_TEXT_BYTES / UUID_BYTES + UUID_TEXT_BYTES);
    // Bytes that are no whole UUIDs make no whole text: the lengths of the values will not fit.
    bytes.as_chunks::<UUID_BYTES>().0.iter().for_each(|uuid| text.extend_from_slice(&uuid_text(uuid)));
    text
}

/// Appends the text that `stored` bytes spell.
pub(crate) fn write(transform: u8, stored: &[u8], out: &mut Vec<u8>) {
    match (transform, stored.first_chunk::<UUID_BYTES>()) {
        (tag::HEX, _) => stored.iter().for_each(|&byte| out.extend_from_slice(&DIGITS[usize::from(byte)])),
        (tag::UUID, Some(uuid)) => out.extend_from_slice(&uuid_text(uuid)),
        _ => out.extend_from_slice(stored),
    }
}

fn uuid_text(uuid: &[u8; UUID_BYTES]) -> [u8; UUID_TEXT_BYTES] {
    let mut text = [b'-'; UUID_TEXT_BYTES];
    for (&place, &byte) in UUID_PLACES.iter().zip(uuid) {
        text[place..place + 2].copy_from_slice(&DIGITS[usize::from(byte)]);
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
            (vec![b"00FF".as_slice()], tag::NONE),
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
