//! Text to tokens. Every byte is in a token or is white space or a comment; nothing is refused here except unended strings.
//!
//! What cannot be understood alone (`2017-01-01T05`, `31T23`) still becomes tokens: the parser takes the raw text of
//! `datetime(...)` and its like from between their brackets.

use kyma_core::error::Span;
use kyma_core::time::{DAY, HOUR, MINUTE, SECOND, TICK};
use kyma_plan::Diagnostic;

/// What a token is.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kind {
    /// A name or a keyword; which, the parser says.
    Word,
    /// An integer; decimal or hexadecimal.
    Long(i64),
    /// A number with a point or an exponent, or an integer too large for a long.
    Real(f64),
    /// Nanoseconds.
    Timespan(i64),
    /// Text, unescaped.
    Text(String),
    /// Punctuation.
    Punct(&'static str),
    /// A character that has no meaning in the language.
    Junk,
    /// The end of the text.
    End,
}

/// A token and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Token {
    pub(crate) kind: Kind,
    pub(crate) span: Span,
}

/// Longest first.
const PUNCTUATION: [&str; 40] = [
    "!=", "!~", "==", "=~", "=>", "<=", ">=", "<>", "<|", "..", "::", "(", ")", "[", "]", "{", "}", ",", ";", ":", "|",
    ".", "=", "<", ">", "+", "-", "*", "/", "%", "!", "~", "@", "$", "&", "?", "^", "#", "\\", "`",
];

struct Lexer<'a> {
    text: &'a str,
    at: usize,
    tokens: Vec<Token>,
    errors: Vec<Diagnostic>,
}

/// Splits a text. The last token is [`Kind::End`].
pub(crate) fn lex(text: &str) -> (Vec<Token>, Vec<Diagnostic>) {
    let mut lexer = Lexer { text, at: 0, tokens: Vec::new(), errors: Vec::new() };
    while lexer.step() {}
    let end = Span::new(text.len(), text.len());
    lexer.tokens.push(Token { kind: Kind::End, span: end });
    (lexer.tokens, lexer.errors)
}

impl Lexer<'_> {
    fn rest(&self) -> &str {
        &self.text[self.at..]
    }

    fn byte(&self, ahead: usize) -> u8 {
        self.text.as_bytes().get(self.at + ahead).copied().unwrap_or(0)
    }

    fn push(&mut self, kind: Kind, length: usize) {
        let span = Span::new(self.at, self.at + length);
        self.at += length;
        self.tokens.push(Token { kind, span });
    }

    fn step(&mut self) -> bool {
        let Some(first) = self.rest().chars().next() else { return false };
        if first.is_whitespace() || matches!(first, '\u{feff}' | '\u{200b}') {
            self.at += first.len_utf8();
        } else if self.rest().starts_with("//") {
            self.at += self.rest().find('\n').unwrap_or(self.rest().len());
        } else if self.is_string_start(first) {
            self.string();
        } else if first.is_ascii_digit() {
            self.number();
        } else if is_name_start(first) {
            let length = name_length(self.rest());
            self.push(Kind::Word, length);
        } else if first == '$' && self.rest()[1..].starts_with(is_name_start) {
            let length = 1 + name_length(&self.rest()[1..]);
            self.push(Kind::Word, length);
        } else if let Some(found) = PUNCTUATION.iter().find(|punct| self.rest().starts_with(**punct)) {
            self.push(Kind::Punct(found), found.len());
        } else {
            self.push(Kind::Junk, first.len_utf8());
        }
        true
    }

    fn is_string_start(&self, first: char) -> bool {
        let quote_at = |at: usize| matches!(self.byte(at), b'"' | b'\'');
        match first {
            '"' | '\'' => true,
            '@' => quote_at(1),
            'h' | 'H' => quote_at(1) || (self.byte(1) == b'@' && quote_at(2)) || self.is_fence(1),
            '`' | '~' => self.is_fence(0),
            _ => false,
        }
    }

    fn is_fence(&self, at: usize) -> bool {
        self.text.get(self.at + at..).is_some_and(|rest| rest.starts_with("```") || rest.starts_with("~~~"))
    }

    fn string(&mut self) {
        let start = self.at;
        let mut at = usize::from(matches!(self.byte(0), b'h' | b'H'));
        if self.is_fence(at) {
            return self.fenced(at);
        }
        let verbatim = self.byte(at) == b'@';
        at += usize::from(verbatim);
        let quote = self.byte(at) as char;
        let body = &self.text[self.at + at + 1..];
        let (value, used, ended) = if verbatim { verbatim_body(body, quote) } else { escaped_body(body, quote) };
        if !ended {
            let span = Span::new(start, start + at + 1 + used);
            self.errors.push(Diagnostic::error("kql.syntax", "the string has no closing quote", span));
        }
        self.push(Kind::Text(value), at + 1 + used + usize::from(ended));
    }

    fn fenced(&mut self, at: usize) {
        let fence = &self.text[self.at + at..self.at + at + 3];
        let body = &self.text[self.at + at + 3..];
        let Some(end) = body.find(fence) else {
            let span = Span::new(self.at, self.text.len());
            self.errors.push(Diagnostic::error("kql.syntax", "the multi-line string has no end", span));
            let (value, length) = (body.to_owned(), self.text.len() - self.at);
            return self.push(Kind::Text(value), length);
        };
        let value = body[..end].to_owned();
        self.push(Kind::Text(value), at + 3 + end + 3);
    }

    fn number(&mut self) {
        let rest = self.rest();
        if let Some(digits) = rest.strip_prefix("0x").or_else(|| rest.strip_prefix("0X")) {
            let length = digits.bytes().take_while(u8::is_ascii_hexdigit).count();
            let after = digits[length..].starts_with(is_name_continue);
            if let (false, Ok(value)) = (after, u64::from_str_radix(&digits[..length], 16)) {
                return self.push(Kind::Long(value as i64), 2 + length);
            }
        }
        let length = number_length(rest);
        let (number, after) = rest.split_at(length);
        let suffix_length = name_length(after);
        let suffix = &after[..suffix_length];
        let kind = if suffix.is_empty() { plain_number(number) } else { timespan(number, suffix) };
        match kind {
            Some(kind) => self.push(kind, length + suffix_length),
            // A name that starts with a digit, or a piece of a datetime.
            None => {
                let whole = name_length(rest).max(1);
                self.push(Kind::Word, whole);
            }
        }
    }
}

/// Whether a name may start with it.
pub(crate) fn is_name_start(letter: char) -> bool {
    letter == '_' || letter.is_alphabetic()
}

fn is_name_continue(letter: char) -> bool {
    letter == '_' || letter.is_alphanumeric()
}

fn name_length(text: &str) -> usize {
    text.find(|letter| !is_name_continue(letter)).unwrap_or(text.len())
}

/// Length of `12`, `1.5`, `1e9`, `1.5e-3`, `2.`; a second point is not part of it (`1..5`).
fn number_length(text: &str) -> usize {
    let bytes = text.as_bytes();
    let digits = |from: usize| bytes[from..].iter().take_while(|byte| byte.is_ascii_digit()).count();
    let mut length = digits(0);
    if bytes.get(length) == Some(&b'.') && bytes.get(length + 1).is_some_and(u8::is_ascii_digit) {
        length += 1 + digits(length + 1);
    } else if bytes.get(length) == Some(&b'.') && !text[length + 1..].starts_with(|c| c == '.' || is_name_start(c)) {
        length += 1;
    }
    if matches!(bytes.get(length), Some(b'e' | b'E')) {
        let sign = usize::from(matches!(bytes.get(length + 1), Some(b'+' | b'-')));
        let exponent = if bytes.len() > length + 1 + sign { digits(length + 1 + sign) } else { 0 };
        if exponent > 0 {
            length += 1 + sign + exponent;
        }
    }
    length
}

fn plain_number(text: &str) -> Option<Kind> {
    match text.parse::<i64>() {
        Ok(long) => Some(Kind::Long(long)),
        Err(_) => text.parse::<f64>().ok().map(Kind::Real),
    }
}

fn timespan(number: &str, suffix: &str) -> Option<Kind> {
    let unit = unit_nanos(suffix)?;
    let nanos = match number.parse::<i64>() {
        Ok(whole) => whole.saturating_mul(unit),
        Err(_) => (number.parse::<f64>().ok()? * unit as f64).round() as i64,
    };
    Some(Kind::Timespan(nanos))
}

/// Nanoseconds of a timespan suffix.
pub(crate) fn unit_nanos(suffix: &str) -> Option<i64> {
    Some(match suffix.to_ascii_lowercase().as_str() {
        "d" | "day" | "days" => DAY,
        "h" | "hr" | "hrs" | "hour" | "hours" => HOUR,
        "m" | "min" | "minute" | "minutes" => MINUTE,
        "s" | "sec" | "second" | "seconds" => SECOND,
        "ms" | "milli" | "millis" | "millisec" | "millisecond" | "milliseconds" => SECOND / 1_000,
        "micro" | "micros" | "microsec" | "microsecond" | "microseconds" => SECOND / 1_000_000,
        "nano" | "nanos" | "nanosec" | "nanosecond" | "nanoseconds" => 1,
        "tick" | "ticks" => TICK,
        _ => return None,
    })
}

/// Value, bytes used without the closing quote, and whether there was one.
fn verbatim_body(body: &str, quote: char) -> (String, usize, bool) {
    let mut value = String::new();
    let mut letters = body.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        if letter != quote {
            value.push(letter);
        } else if letters.next_if(|(_, next)| *next == quote).is_some() {
            value.push(quote);
        } else {
            return (value, at, true);
        }
    }
    (value, body.len(), false)
}

fn escaped_body(body: &str, quote: char) -> (String, usize, bool) {
    let mut value = String::new();
    let mut letters = body.char_indices();
    while let Some((at, letter)) = letters.next() {
        match letter {
            _ if letter == quote => return (value, at, true),
            '\n' => return (value, at, false),
            '\\' => escape(&mut letters, &mut value),
            _ => value.push(letter),
        }
    }
    (value, body.len(), false)
}

fn escape(letters: &mut std::str::CharIndices<'_>, value: &mut String) {
    let Some((_, letter)) = letters.next() else { return };
    match letter {
        'n' => value.push('\n'),
        'r' => value.push('\r'),
        't' => value.push('\t'),
        'a' => value.push('\u{7}'),
        'b' => value.push('\u{8}'),
        'f' => value.push('\u{c}'),
        'v' => value.push('\u{b}'),
        '0' => value.push('\0'),
        'u' => value.push(code_point(letters, 4)),
        'U' => value.push(code_point(letters, 8)),
        'x' => value.push(code_point(letters, 2)),
        other => value.push(other),
    }
}

fn code_point(letters: &mut std::str::CharIndices<'_>, digits: usize) -> char {
    let mut code = 0_u32;
    for _ in 0..digits {
        let Some(digit) = letters.clone().next().and_then(|(_, letter)| letter.to_digit(16)) else { break };
        letters.next();
        code = code.wrapping_mul(16) + digit;
    }
    char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kinds(text: &str) -> Vec<Kind> {
        lex(text).0.into_iter().map(|token| token.kind).collect()
    }

    #[test]
    fn literals() {
        assert_eq!(
            kinds("1d 2.5h 10ms 1tick 0x10 1.5 1e3 // rest"),
            [
                Kind::Timespan(DAY),
                Kind::Timespan(2 * HOUR + 30 * MINUTE),
                Kind::Timespan(SECOND / 100),
                Kind::Timespan(TICK),
                Kind::Long(16),
                Kind::Real(1.5),
                Kind::Real(1000.0),
                Kind::End
            ]
        );
        assert_eq!(kinds("1..5"), [Kind::Long(1), Kind::Punct(".."), Kind::Long(5), Kind::End]);
    }

    #[test]
    fn strings() {
        let text = r#"'a\'b' "tab\t" @"c:\d""e" h'secret' ```two
lines```"#;
        let values = ["a'b", "tab\t", "c:\\d\"e", "secret", "two\nlines"];
        let expected: Vec<Kind> =
            values.iter().map(|value| Kind::Text((*value).to_owned())).chain([Kind::End]).collect();
        assert_eq!(kinds(text), expected);
        assert_eq!(lex("'open").1.len(), 1);
    }
}
