//! Parts of commands that are not of the language: raw text, properties, words with hyphens.

use super::{Parsed, Parser};
use crate::lex::Kind;

impl<'a> Parser<'a> {
    /// Text in brackets, brackets included: from the `(` or `{` that comes next to the one that closes it.
    pub(crate) fn bracketed_text(&mut self) -> Parsed<&'a str> {
        let start = self.span().start;
        let mut open = 0_usize;
        loop {
            match self.kind() {
                Kind::End => return Err(self.unexpected("a closing bracket")),
                Kind::Punct("(" | "[" | "{") => open += 1,
                Kind::Punct(")" | "]" | "}") => open = open.saturating_sub(1),
                _ => {}
            }
            let end = self.span().end;
            self.advance();
            if open == 0 {
                return Ok(self.text.get(start..end).unwrap_or_default());
            }
        }
    }

    /// The text from here to the end.
    pub(crate) fn rest_of_text(&self) -> &'a str {
        self.text.get(self.span().start..).unwrap_or_default()
    }

    /// Nothing of the text is left.
    pub(crate) fn skip_to_end(&mut self) {
        self.at = self.tokens.len() - 1;
    }

    /// Reads the text up to white space or one of `,|;()`; a guid for example.
    pub(crate) fn raw_word(&mut self) -> Parsed<&'a str> {
        let rest = self.rest_of_text();
        let ends = |letter: char| letter.is_whitespace() || matches!(letter, ',' | '|' | ';' | '(' | ')');
        let word = rest.get(..rest.find(ends).unwrap_or(rest.len())).unwrap_or_default();
        if word.is_empty() {
            return Err(self.unexpected("a word"));
        }
        let end = self.span().start + word.len();
        while !self.at_end() && self.span().start < end {
            self.advance();
        }
        Ok(word)
    }

    /// A word that may have hyphens, in lower case, if it comes next and is one of `words`.
    pub(crate) fn eat_hyphenated(&mut self, words: &[&'static str]) -> Option<&'static str> {
        let (found, tokens) = self.hyphenated()?;
        let word = words.iter().find(|word| word.eq_ignore_ascii_case(&found)).copied()?;
        self.at += tokens;
        Some(word)
    }

    /// `with (a=1, b='x')`, if it comes next: names in lower case, values as text.
    pub(crate) fn with_properties(&mut self) -> Parsed<Vec<(String, String)>> {
        if !self.eat_word("with") {
            return Ok(Vec::new());
        }
        self.expect("(")?;
        self.list_until(")", |parser| {
            let name = match parser.hyphenated() {
                Some((name, tokens)) => {
                    parser.at += tokens;
                    name
                }
                None => parser.name()?.text,
            };
            parser.expect("=")?;
            Ok((name.to_ascii_lowercase(), parser.property_value()?))
        })
    }

    /// A string's text, or what stands there up to `,` or `)`.
    fn property_value(&mut self) -> Parsed<String> {
        if let Kind::Text(text) = self.kind().clone() {
            self.advance();
            return Ok(text);
        }
        let start = self.span().start;
        let mut open = 0_usize;
        loop {
            match self.kind() {
                Kind::End => return Err(self.unexpected("a value")),
                Kind::Punct(",") if open == 0 => break,
                Kind::Punct("(" | "[" | "{") => open += 1,
                Kind::Punct(")" | "]" | "}") if open == 0 => break,
                Kind::Punct(")" | "]" | "}") => open -= 1,
                _ => {}
            }
            self.advance();
        }
        Ok(self.text.get(start..self.span().start).unwrap_or_default().trim().to_owned())
    }
}
