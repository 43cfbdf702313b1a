//! Cuts a line into words and what stands between them.
//!
//! A word is a run of letters, digits, `_` and bytes beyond ASCII. Three shapes are kept whole because their parts mean
//! nothing alone: numbers and addresses with dots (`12.5`, `10.0.0.1`), times and dates (`17:31:01.745`,
//! `2023-01-29T09:27:01Z`), and hyphenated UUIDs. A unit of measure behind a number (`12.5ms`) is static. A word with a digit is a *variable*, as is a long one of the letters `a`
//! to `f`; other words belong to the line's static text unless `learn` finds that they vary.

/// A word of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// First byte.
    pub(crate) start: u32,
    /// One past the last byte.
    pub(crate) end: u32,
    /// Whether it varies by its spelling.
    pub(crate) is_variable: bool,
}

impl Token {
    /// The word's bytes.
    pub(crate) fn of<'a>(&self, line: &'a [u8]) -> &'a [u8] {
        line.get(self.start as usize..self.end as usize).unwrap_or_default()
    }
}

const SEPARATOR: u8 = 0;
const LETTER: u8 = 1;
const HEX_LETTER: u8 = 2;
const DIGIT: u8 = 4;
/// The kind of each byte.
const KINDS: [u8; 256] = {
    let mut kinds = [SEPARATOR; 256];
    let mut byte = 0;
    while byte < 256 {
        kinds[byte] = match byte as u8 {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'f' => HEX_LETTER,
            b'A'..=b'Z' | b'g'..=b'z' | b'_' | 0x80.. => LETTER,
            _ => SEPARATOR,
        };
        byte += 1;
    }
    kinds
};
/// A word of hexadecimal letters only varies from this length on.
const HEX_WORD_BYTES_MIN: usize = 8;
pub(crate) const UUID_BYTES: usize = 36;

fn is_digit(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(u8::is_ascii_digit)
}

fn is_word(line: &[u8], at: usize) -> bool {
    line.get(at).is_some_and(|&byte| KINDS[usize::from(byte)] != SEPARATOR)
}

/// Whether `text` starts with a hyphenated UUID that ends as a word.
fn starts_with_uuid(text: &[u8]) -> bool {
    let Some(head) = text.get(..UUID_BYTES) else { return false };
    let fits = |(at, byte): (usize, &u8)| match at {
        8 | 13 | 18 | 23 => *byte == b'-',
        _ => byte.is_ascii_hexdigit(),
    };
    head[8] == b'-' && head.iter().enumerate().all(fits) && !is_word(text, UUID_BYTES)
}

/// Whether the byte at `at` joins the words on both sides of it into one that began at `start`.
fn joins(line: &[u8], start: usize, at: usize) -> bool {
    match line[at] {
        b'.' => is_digit(line, at - 1) && is_digit(line, at + 1),
        b'-' => {
            let date = |at: usize| line[at] == b'-' && is_digit(line, at + 1) && is_digit(line, at + 2);
            let is_year = at - start == 4 && line[start..at].iter().all(u8::is_ascii_digit);
            let is_month = at - start == 7 && line[start + 4] == b'-';
            (is_year && date(at) && line.get(at + 3) == Some(&b'-')) || (is_month && date(at))
        }
        b':' => {
            let is_pair = at - start >= 2 && is_digit(line, at - 1) && is_digit(line, at - 2);
            let stands_alone = || at - start == 2 || !matches!(line[at - 3], b'.' | b'0'..=b'9');
            is_pair && stands_alone() && is_digit(line, at + 1) && is_digit(line, at + 2)
        }
        _ => false,
    }
}

/// Units of measure that stand behind numbers.
const UNITS: [&[u8]; 15] =
    [b"ms", b"us", b"ns", b"s", b"m", b"h", b"KB", b"MB", b"GB", b"TB", b"kB", b"KiB", b"MiB", b"GiB", b"px"];

/// Bytes of the unit that `word` ends with, when the rest is a number.
fn unit_bytes(word: &[u8]) -> usize {
    if !word.first().is_some_and(u8::is_ascii_digit) {
        return 0;
    }
    let number = word.iter().take_while(|byte| byte.is_ascii_digit() || **byte == b'.').count();
    let unit = &word[number..];
    if UNITS.contains(&unit) { unit.len() } else { 0 }
}

/// Appends the words of `line`.
pub(crate) fn tokens(line: &[u8], out: &mut Vec<Token>) {
    let mut at = 0;
    while at < line.len() {
        if KINDS[usize::from(line[at])] == SEPARATOR {
            at += 1;
            continue;
        }
        let start = at;
        let mut kinds = 0;
        if line.get(start + 8) == Some(&b'-') && starts_with_uuid(&line[start..]) {
            at += UUID_BYTES;
            kinds = DIGIT;
        }
        while let Some(&byte) = line.get(at) {
            let kind = KINDS[usize::from(byte)];
            if kind == SEPARATOR && !joins(line, start, at) {
                break;
            }
            kinds |= kind;
            at += 1;
        }
        let unit = unit_bytes(&line[start..at]);
        let is_variable = kinds & DIGIT != 0 || (kinds == HEX_LETTER && at - start >= HEX_WORD_BYTES_MIN);
        out.push(Token { start: start as u32, end: (at - unit) as u32, is_variable });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn words(line: &str) -> Vec<&str> {
        let mut found = Vec::new();
        tokens(line.as_bytes(), &mut found);
        found.iter().map(|token| std::str::from_utf8(token.of(line.as_bytes())).unwrap()).collect()
    }

    #[test]
    fn shapes_stay_whole() {
        let uuid = "fc488aaa-165f-4927-a4c6-e6f25b196a7c";
        assert_eq!(words(&format!("\"id\":\"{uuid}\"")), ["id", uuid]);
        assert_eq!(words("17:31:01.745 INFO  t.s.Travel#558"), ["17:31:01.745", "INFO", "t", "s", "Travel", "558"]);
        assert_eq!(words("at 2022-08-22T05:18:16.154660034Z."), ["at", "2022-08-22T05:18:16.154660034Z"]);
        assert_eq!(words("10.0.0.12:8080 took 12.50ms"), ["10.0.0.12", "8080", "took", "12.50"]);
        assert_eq!(words("inventory/alpha-123, 5:07"), ["inventory", "alpha", "123", "5", "07"]);
        assert_eq!(words("naïve 175ms"), ["naïve", "175"]);
    }

    proptest! {
        #[test]
        fn words_are_ordered_and_apart(line in "[a-f0-9.:T -]{0,60}|\\PC{0,40}") {
            let mut found = Vec::new();
            tokens(line.as_bytes(), &mut found);
            let mut end = 0;
            for token in &found {
                prop_assert!(token.start < token.end && (token.start > end || token.start == 0));
                prop_assert!(line.is_char_boundary(token.start as usize) && line.is_char_boundary(token.end as usize));
                end = token.end;
            }
            prop_assert!(end as usize <= line.len());
        }
    }
}
