//! `parse-kv`: columns taken from `key=value` text.

use arrow::array::ArrayRef;
use kyma_core::{Column, Result, Type};

use crate::view::Texts;
use crate::{Arg, build, convert};

/// How pairs are written. Each text is a set of characters, except the two delimiters, which are whole texts.
#[derive(Debug, Clone, Default)]
pub struct KeyValueOptions {
    /// Between pairs; any blank, comma or semicolon when absent.
    pub pair_delimiter: Option<String>,
    /// Between key and value; `=` or `:` when absent.
    pub kv_delimiter: Option<String>,
    /// Opening and closing quote (one for both when it has one character).
    pub quote: Option<String>,
    /// Makes the next character ordinary inside quotes.
    pub escape: Option<String>,
    /// A value reaches to the next known key.
    pub greedy: bool,
    /// An expression whose first two groups are key and value; decides alone when given.
    pub regex: Option<String>,
}

/// Gives one array per key, of its column's type; the first of equal keys counts.
pub fn parse_kv(text: &Arg, rows: usize, keys: &[Column], options: &KeyValueOptions) -> Result<Vec<ArrayRef>> {
    let texts = Texts::of(text)?;
    let regex = options.regex.as_deref().map(kyma_core::pattern::compile).transpose()?;
    let mut found: Vec<Vec<String>> = vec![Vec::with_capacity(rows); keys.len()];
    for row in 0..rows {
        let mut values: Vec<Option<String>> = vec![None; keys.len()];
        let mut offer = |key: &str, value: &str| {
            let key = key.trim();
            if let Some(at) = keys.iter().position(|column| column.name == key) {
                values[at].get_or_insert_with(|| value.trim().to_owned());
            }
        };
        match &regex {
            Some(regex) => regex_pairs(texts.get(row), regex, &mut offer),
            None if options.greedy => greedy_pairs(texts.get(row), keys, options, &mut offer),
            None => pairs(texts.get(row), options, &mut offer),
        }
        found.iter_mut().zip(values).for_each(|(column, value)| column.push(value.unwrap_or_default()));
    }
    let column = |(texts, column): (&Vec<String>, &Column)| {
        let strings = Arg::Array(build::texts(rows, |row| texts[row].as_str()));
        convert(&strings, Type::String, column.ty, rows)
    };
    found.iter().zip(keys).map(column).collect()
}

/// The length of the pair delimiter that `text` starts with.
fn pair_border(text: &str, options: &KeyValueOptions) -> Option<usize> {
    match &options.pair_delimiter {
        Some(delimiter) => (!delimiter.is_empty() && text.starts_with(delimiter.as_str())).then_some(delimiter.len()),
        None => text.chars().next().filter(|c| c.is_whitespace() || ",;|&".contains(*c)).map(char::len_utf8),
    }
}

/// The length of the delimiter between key and value that `text` starts with.
fn kv_border(text: &str, options: &KeyValueOptions) -> Option<usize> {
    match &options.kv_delimiter {
        Some(delimiter) => (!delimiter.is_empty() && text.starts_with(delimiter.as_str())).then_some(delimiter.len()),
        None => text.chars().next().filter(|c| "=:".contains(*c)).map(char::len_utf8),
    }
}

fn regex_pairs(text: &str, regex: &regex::Regex, offer: &mut impl FnMut(&str, &str)) {
    for found in regex.captures_iter(text) {
        if let (Some(key), Some(value)) = (found.get(1), found.get(2)) {
            offer(key.as_str(), value.as_str());
        }
    }
}

fn pairs(text: &str, options: &KeyValueOptions, offer: &mut impl FnMut(&str, &str)) {
    let mut rest = text;
    while !rest.is_empty() {
        if let Some(length) = pair_border(rest, options) {
            rest = &rest[length..];
            continue;
        }
        let (key, after) = quoted(rest, options).unwrap_or_else(|| plain(rest, options, true));
        rest = after;
        let Some(length) = kv_border(rest, options) else { continue };
        let value_text = &rest[length..];
        // Blanks before a value are none of it, where they are not what separates pairs.
        let by_blanks = options.pair_delimiter.as_deref().is_some_and(|delimiter| delimiter.trim().is_empty());
        let value_text = if by_blanks { value_text } else { value_text.trim_start() };
        let (value, after) = quoted(value_text, options).unwrap_or_else(|| plain(value_text, options, false));
        offer(&key, &value);
        rest = after;
    }
}

/// A run up to a border; keys also end at the delimiter before the value. At least one character, so that reading ends.
fn plain<'t>(text: &'t str, options: &KeyValueOptions, key: bool) -> (String, &'t str) {
    let ends =
        |at: &usize| pair_border(&text[*at..], options).is_some() || key && kv_border(&text[*at..], options).is_some();
    let end = text.char_indices().map(|(at, _)| at).find(ends).unwrap_or(text.len());
    (text[..end].to_owned(), &text[end..])
}

/// A quoted run without its quotes, and what follows it.
fn quoted<'t>(text: &'t str, options: &KeyValueOptions) -> Option<(String, &'t str)> {
    let quotes = options.quote.as_deref().unwrap_or("\"");
    let (open, close) = (quotes.chars().next()?, quotes.chars().last()?);
    let escape = options.escape.as_deref().and_then(|escape| escape.chars().next());
    let body = text.strip_prefix(open)?;
    let (mut value, mut escaped) = (String::new(), false);
    for (at, c) in body.char_indices() {
        match c {
            _ if escaped => {
                value.push(c);
                escaped = false;
            }
            c if Some(c) == escape => escaped = true,
            c if c == close => return Some((value, &body[at + c.len_utf8()..])),
            c => value.push(c),
        }
    }
    None
}

/// Values reach to the last pair delimiter before the next key that is followed by a value.
fn greedy_pairs(text: &str, keys: &[Column], options: &KeyValueOptions, offer: &mut impl FnMut(&str, &str)) {
    let mut starts: Vec<(usize, usize, &str)> = Vec::new();
    for (at, _) in text.char_indices() {
        let at_border = at == 0 || text[..at].chars().next_back().is_some_and(|c| !c.is_alphanumeric() && c != '_');
        if !at_border {
            continue;
        }
        for key in keys {
            let rest = text[at..].strip_prefix(key.name.as_str());
            if let Some(length) = rest.and_then(|rest| kv_border(rest, options)) {
                starts.push((at, at + key.name.len() + length, key.name.as_str()));
            }
        }
    }
    for (index, (_, from, key)) in starts.iter().enumerate() {
        let end = starts.get(index + 1).map_or(text.len(), |(next, _, _)| *next);
        let mut value = &text[*from..end.max(*from)];
        if let Some(delimiter) = &options.pair_delimiter {
            value = value.strip_suffix(delimiter.as_str()).unwrap_or(value);
        }
        match quoted(value, options) {
            Some((value, _)) => offer(key, &value),
            None => offer(key, value),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kyma_core::Value;

    #[test]
    fn takes_pairs() {
        let keys = [Column::new("a", Type::Long), Column::new("b", Type::String)];
        let options = KeyValueOptions {
            pair_delimiter: Some(" ".into()),
            kv_delimiter: Some("=".into()),
            quote: Some("\"".into()),
            ..Default::default()
        };
        let text = Arg::Scalar(Value::String("x=1 a=7 b=\"p q\" a=9".into()));
        let columns = parse_kv(&text, 1, &keys, &options).unwrap();
        assert_eq!(crate::array_value(columns[0].as_ref(), 0, Type::Long), Value::Long(7));
        assert_eq!(crate::array_value(columns[1].as_ref(), 0, Type::String), Value::String("p q".into()));
    }

    #[test]
    fn blanks_before_values() {
        let keys = [Column::new("a", Type::String), Column::new("b", Type::String)];
        let check = |text: &str, pair_delimiter: Option<&str>, expected: [&str; 2]| {
            let pair_delimiter = pair_delimiter.map(str::to_owned);
            let quote = Some("'".to_owned());
            let options = KeyValueOptions { pair_delimiter, quote, ..Default::default() };
            let columns = parse_kv(&Arg::Scalar(Value::String(text.into())), 1, &keys, &options).unwrap();
            let found = columns.iter().map(|column| crate::array_value(column.as_ref(), 0, Type::String));
            assert_eq!(found.collect::<Vec<_>>(), expected.map(|text| Value::String(text.into())), "{text}");
        };
        check("t: [x] a:1, b: two three", None, ["1", "two"]);
        check("a:1, b: 'two three'", None, ["1", "two three"]);
        check("a: 1 2, b: '3, 4'", Some(","), ["1 2", "3, 4"]);
        check("a: b:2", Some(" "), ["", "2"]);
    }
}
