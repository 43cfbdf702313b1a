//! Tokens to syntax tree: recursive descent, with precedence climbing for operators.
//!
//! An error is recorded and reading goes on at the next `|` or `;` outside brackets, so that one text can report several.
//! Nesting is counted and the stack grows as needed, so that no text can overflow it.

mod expand;
mod expr;
pub(crate) mod function;
mod graph;
pub(crate) mod literal;
mod operators;
mod raw;
mod scan;
mod search;
mod series;
mod statements;
mod tables;

use kyma_core::error::Span;
use kyma_plan::Diagnostic;
#[cfg(test)]
pub(crate) use operators::NAMES as OPERATOR_NAMES;

use crate::ast::{Name, Statement};
use crate::lex::{Kind, Token, lex};
use crate::limits::{DEPTH_MAX, ERRORS_MAX, EXPR_HEIGHT_MAX, OPERATORS_MAX, STACK_PIECE, STACK_RED_ZONE};

/// Reads a text; the statements are those that could be read.
pub(crate) fn parse(text: &str) -> (Vec<Statement>, Vec<Diagnostic>) {
    let (tokens, errors) = lex(text);
    let mut parser = Parser { text, tokens, at: 0, depth: 0, height: 0, operators: 0, colon_is_has: false, errors };
    let statements = parser.statements();
    parser.errors.truncate(ERRORS_MAX);
    (statements, parser.errors)
}

/// Reads one literal expression, such as the value of a query parameter.
pub(crate) fn parse_expression(text: &str) -> Option<crate::ast::Expr> {
    let (tokens, errors) = lex(text);
    let mut parser = Parser { text, tokens, at: 0, depth: 0, height: 0, operators: 0, colon_is_has: false, errors };
    let expr = parser.expr().ok()?;
    (parser.errors.is_empty() && *parser.kind() == Kind::End).then_some(expr)
}

type Parsed<T> = Result<T, Box<Diagnostic>>;

pub(crate) struct Parser<'a> {
    text: &'a str,
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
    /// An upper bound of how tall the expression being read is.
    height: usize,
    operators: usize,
    /// Whether `col:"text"` is `has`, as in `search` and `find`.
    colon_is_has: bool,
    errors: Vec<Diagnostic>,
}

impl<'a> Parser<'a> {
    /// A parser of a whole text, for commands.
    pub(crate) fn new(text: &'a str) -> Self {
        let (tokens, errors) = lex(text);
        Parser { text, tokens, at: 0, depth: 0, height: 0, operators: 0, colon_is_has: false, errors }
    }

    fn token(&self, ahead: usize) -> &Token {
        let last = self.tokens.len() - 1;
        &self.tokens[(self.at + ahead).min(last)]
    }

    fn kind(&self) -> &Kind {
        &self.token(0).kind
    }

    pub(crate) fn span(&self) -> Span {
        self.token(0).span
    }

    /// The end of the last token read.
    fn last_end(&self) -> usize {
        if self.at == 0 { 0 } else { self.tokens[self.at - 1].span.end }
    }

    fn span_from(&self, start: Span) -> Span {
        Span::new(start.start, self.last_end().max(start.start))
    }

    fn text_of(&self, token: &Token) -> &'a str {
        &self.text[token.span.start..token.span.end]
    }

    fn advance(&mut self) {
        if self.at < self.tokens.len() - 1 {
            self.at += 1;
        }
    }

    pub(crate) fn at_end(&self) -> bool {
        *self.kind() == Kind::End
    }

    fn is_punct_at(&self, ahead: usize, punct: &str) -> bool {
        matches!(&self.token(ahead).kind, Kind::Punct(found) if *found == punct)
    }

    pub(crate) fn is_punct(&self, punct: &str) -> bool {
        self.is_punct_at(0, punct)
    }

    pub(crate) fn eat(&mut self, punct: &str) -> bool {
        let found = self.is_punct(punct);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect(&mut self, punct: &str) -> Parsed<()> {
        if self.eat(punct) { Ok(()) } else { Err(self.unexpected(&format!("'{punct}'"))) }
    }

    /// The word at `ahead`, if it is one.
    fn word_at(&self, ahead: usize) -> Option<&'a str> {
        let token = self.token(ahead);
        (token.kind == Kind::Word).then(|| self.text_of(token))
    }

    fn word(&self) -> Option<&'a str> {
        self.word_at(0)
    }

    pub(crate) fn is_word_at(&self, ahead: usize, word: &str) -> bool {
        self.word_at(ahead).is_some_and(|found| found.eq_ignore_ascii_case(word))
    }

    pub(crate) fn is_word(&self, word: &str) -> bool {
        self.is_word_at(0, word)
    }

    pub(crate) fn eat_word(&mut self, word: &str) -> bool {
        let found = self.is_word(word);
        if found {
            self.advance();
        }
        found
    }

    pub(crate) fn expect_word(&mut self, word: &str) -> Parsed<()> {
        if self.eat_word(word) { Ok(()) } else { Err(self.unexpected(&format!("'{word}'"))) }
    }

    /// Whether the token at `ahead` follows the one before without a gap.
    fn touches(&self, ahead: usize) -> bool {
        let at = self.at + ahead;
        at > 0 && at < self.tokens.len() && self.tokens[at - 1].span.end == self.tokens[at].span.start
    }

    /// A word with hyphens (`project-away`) without reading it: its text and how many tokens it takes.
    pub(crate) fn hyphenated(&self) -> Option<(String, usize)> {
        let mut text = self.word()?.to_owned();
        let mut used = 1;
        while self.is_punct_at(used, "-") && self.touches(used) && self.touches(used + 1) {
            let Some(next) = self.word_at(used + 1) else { break };
            text.push('-');
            text.push_str(next);
            used += 2;
        }
        Some((text, used))
    }

    pub(crate) fn unexpected(&self, wanted: &str) -> Box<Diagnostic> {
        let token = self.token(0);
        let found = match &token.kind {
            Kind::End => "the end of the text".to_owned(),
            _ => format!("'{}'", shorten(self.text_of(token))),
        };
        Box::new(Diagnostic::error("kql.syntax", format!("expected {wanted}, found {found}"), token.span))
    }

    /// `name`, `['any name']` or `["any name"]`.
    pub(crate) fn name(&mut self) -> Parsed<Name> {
        let span = self.span();
        if let Some(word) = self.word() {
            self.advance();
            return Ok(Name { text: word.to_owned(), span });
        }
        if let (true, true, Kind::Text(text)) =
            (self.is_punct("["), self.is_punct_at(2, "]"), self.token(1).kind.clone())
        {
            self.at += 3;
            return Ok(Name { text, span: self.span_from(span) });
        }
        if self.is_punct("[") && matches!(self.token(1).kind, Kind::Text(_)) {
            self.at += 2;
            return Err(self.unexpected("']'"));
        }
        Err(self.unexpected("a name"))
    }

    /// A string literal.
    pub(crate) fn text(&mut self) -> Parsed<String> {
        match self.token(0).kind.clone() {
            Kind::Text(text) => {
                self.advance();
                Ok(text)
            }
            _ => Err(self.unexpected("a string")),
        }
    }

    /// Whether a name and then `=` come next.
    fn is_named(&self) -> bool {
        (self.word().is_some() && self.is_punct_at(1, "="))
            || (self.is_punct("[") && matches!(self.token(1).kind, Kind::Text(_)) && self.is_punct_at(3, "="))
    }

    /// One step deeper, within the limit and with enough stack.
    fn nested<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth >= DEPTH_MAX {
            let message = format!("the query nests deeper than the limit: limit={DEPTH_MAX}");
            let hint = "name inner parts with 'let'";
            return Err(Box::new(Diagnostic::error("kql.too_deep", message, self.span()).hint(hint)));
        }
        self.depth += 1;
        let result = stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || {
            self.beside(|parser| {
                let read = step(parser)?;
                parser.grow()?;
                Ok(read)
            })
        });
        self.depth -= 1;
        result
    }

    /// Reads a part that stands beside what was read before, not on it: the taller one counts.
    fn beside<T>(&mut self, step: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        let before = std::mem::take(&mut self.height);
        let result = step(self);
        self.height = self.height.max(before);
        result
    }

    /// The expression became one taller.
    fn grow(&mut self) -> Parsed<()> {
        self.height += 1;
        if self.height <= EXPR_HEIGHT_MAX {
            return Ok(());
        }
        let message = format!("an expression is taller than the limit: limit={EXPR_HEIGHT_MAX}");
        let hint = "name inner parts with 'let'";
        Err(Box::new(Diagnostic::error("kql.too_deep", message, self.span()).hint(hint)))
    }

    fn count_operator(&mut self) -> Parsed<()> {
        self.operators += 1;
        if self.operators > OPERATORS_MAX {
            let message = format!("the query has more operators than the limit: limit={OPERATORS_MAX}");
            return Err(Box::new(Diagnostic::error("kql.too_long", message, self.span())));
        }
        Ok(())
    }

    /// Items between commas up to `close`, which is read. A comma before `close` is fine.
    pub(crate) fn list_until<T>(&mut self, close: &str, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = Vec::new();
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    /// Items between commas, at least one.
    pub(crate) fn list<T>(&mut self, item: impl Fn(&mut Self) -> Parsed<T>) -> Parsed<Vec<T>> {
        let mut items = vec![item(self)?];
        while self.eat(",") {
            items.push(item(self)?);
        }
        Ok(items)
    }

    /// The raw text up to the `)` that closes the bracket just read, which is read too.
    fn raw_until_close(&mut self) -> Parsed<(&'a str, Span)> {
        let start = self.span().start;
        let mut open = 1_usize;
        loop {
            match self.kind() {
                Kind::End => return Err(self.unexpected("')'")),
                Kind::Punct("(" | "[" | "{") => open += 1,
                Kind::Punct(")" | "]" | "}") => open -= 1,
                _ => {}
            }
            let span = self.span();
            self.advance();
            if open == 0 {
                return Ok((self.text[start..span.start].trim(), Span::new(start, span.start)));
            }
        }
    }

    /// Skips to the next of `stops` outside brackets, without reading it; to a bracket that closes one that was open
    /// before, inside brackets.
    fn recover(&mut self, stops: &[&str]) {
        let mut open = 0_usize;
        while !self.at_end() {
            match self.kind() {
                Kind::Punct(found) if open == 0 && stops.contains(found) => return,
                Kind::Punct(")" | "]" | "}") if open == 0 && self.depth > 1 => return,
                Kind::Punct("(" | "[" | "{") => open += 1,
                Kind::Punct(")" | "]" | "}") => open = open.saturating_sub(1),
                _ => {}
            }
            self.advance();
        }
    }

    fn report(&mut self, error: Diagnostic) {
        if self.errors.len() < ERRORS_MAX {
            self.errors.push(error);
        }
    }
}

fn shorten(text: &str) -> String {
    let short: String = text.chars().take(40).collect();
    if short.len() < text.len() { short + "..." } else { short }
}
