//! Bytes that no encoder can do without: distinct random identifiers.
//!
//! | spelling | bytes of entropy |
//! |---|---|
//! | uuid, `8-4-4-4-12` hex digits | 16 |
//! | a run of at least 16 hex digits, letters and digits among them | half its length |
//! | a run of at least 16 letters of both cases and digits, which change at 0.4 of its places or more | 0.744 of its length: log2(62) bits each |
//!
//! Each identifier counts once, wherever it occurs again. Runs of decimal digits are times and counters, not identifiers; words
//! in camel case change less often between upper case, lower case and digits than random text does.

use std::collections::HashSet;

use serde_json::{Value, json};
use xxhash_rust::xxh3::{Xxh3DefaultBuilder, xxh3_64};

const DIGITS_MIN: usize = 16;
const UUID_GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_TEXT_BYTES: usize = 36;
const BASE62_BYTES_PER_DIGIT: f64 = 0.744;

#[derive(Default)]
struct Ids {
    seen: HashSet<u64, Xxh3DefaultBuilder>,
    uuids: u64,
    hex: u64,
    base62: u64,
    bytes: f64,
}

/// Counts the identifiers of all lines.
pub(crate) fn count(lines: &[&str]) -> Value {
    let mut ids = Ids::default();
    for line in lines {
        ids.line(line.as_bytes());
    }
    json!({ "bytes": ids.bytes.round() as u64, "uuids": ids.uuids, "hex": ids.hex, "base62": ids.base62 })
}

impl Ids {
    fn line(&mut self, line: &[u8]) {
        let mut at = 0;
        while at < line.len() {
            if !line[at].is_ascii_alphanumeric() {
                at += 1;
                continue;
            }
            if let Some(uuid) = line.get(at..at + UUID_TEXT_BYTES).filter(|text| is_uuid(text)) {
                at += UUID_TEXT_BYTES;
                let fresh = self.is_new(uuid);
                self.uuids += u64::from(fresh);
                self.bytes += if fresh { 16.0 } else { 0.0 };
                continue;
            }
            let length = line[at..].iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
            self.run(&line[at..at + length]);
            at += length;
        }
    }

    fn run(&mut self, run: &[u8]) {
        if run.len() < DIGITS_MIN {
            return;
        }
        let digits = run.iter().filter(|byte| byte.is_ascii_digit()).count();
        let is_hex = run.iter().all(u8::is_ascii_hexdigit) && digits > 0 && digits < run.len();
        if !(is_hex || is_mixed(run)) || !self.is_new(run) {
            return;
        }
        self.hex += u64::from(is_hex);
        self.base62 += u64::from(!is_hex);
        self.bytes += if is_hex { run.len() as f64 / 2.0 } else { run.len() as f64 * BASE62_BYTES_PER_DIGIT };
    }

    fn is_new(&mut self, id: &[u8]) -> bool {
        self.seen.insert(xxh3_64(&id.to_ascii_lowercase()))
    }
}

/// Whether a run changes between cases and digits as often as random text does, in both cases of letters.
fn is_mixed(run: &[u8]) -> bool {
    let class = |byte: &u8| (byte.is_ascii_uppercase(), byte.is_ascii_lowercase());
    let changes = run.windows(2).filter(|pair| class(&pair[0]) != class(&pair[1])).count();
    let has_both = run.iter().any(u8::is_ascii_lowercase) && run.iter().any(u8::is_ascii_uppercase);
    has_both && changes * 5 >= run.len() * 2
}

fn is_uuid(text: &[u8]) -> bool {
    let mut groups = text.split(|byte| *byte == b'-');
    let fits = |length: &usize| {
        groups.next().is_some_and(|group| group.len() == *length && group.iter().all(u8::is_ascii_hexdigit))
    };
    UUID_GROUPS.iter().all(fits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_identifier_counts_once() {
        let line = "id=0af7651916cd43dd8448eb211c80319c again 0AF7651916CD43DD8448EB211C80319C \
                    req 5e8f8dc3-7a1b-4c2e-9f00-1234567890ab time 1661145496154660034 uid CIOuwB3kJLIhO8re94 \
                    GetCurrencyData1";
        assert_eq!(count(&[line]), json!({ "bytes": 45, "uuids": 1, "hex": 1, "base62": 1 }));
    }
}
