//! Expressions, loosest first: `or`, `and`, comparisons and text operators, `+ -`, `* / %`, sign, members.

use kyma_core::Value;
use kyma_core::error::Span;
use kyma_plan::BinaryOp;

use super::{Parsed, Parser};
use crate::ast::{Arg, Call, Expr, ExprKind, Name, Operator, OperatorKind, Pipeline};
use crate::lex::Kind;

/// Operators spelled as words, by lower-case spelling, with the canonical name of their function.
const TEXT_OPERATORS: [(&str, &str); 19] = [
    ("has", "has"),
    ("has_cs", "has_cs"),
    ("contains", "contains"),
    ("contains_cs", "contains_cs"),
    ("containscs", "contains_cs"),
    ("startswith", "startswith"),
    ("startswith_cs", "startswith_cs"),
    ("endswith", "endswith"),
    ("endswith_cs", "endswith_cs"),
    ("hasprefix", "hasprefix"),
    ("hasprefix_cs", "hasprefix_cs"),
    ("hassuffix", "hassuffix"),
    ("hassuffix_cs", "hassuffix_cs"),
    ("has_any", "has_any"),
    ("has_all", "has_all"),
    ("like", "like"),
    ("likecs", "like_cs"),
    ("notcontains", "contains"),
    ("notlike", "like"),
];

impl Parser<'_> {
    /// An expression, and the pipeline that may follow it.
    pub(super) fn pipe_expr(&mut self) -> Parsed<Expr> {
        self.nested(|parser| {
            let start = parser.span();
            let source = match parser.source_operator()? {
                Some(kind) => {
                    let span = parser.span_from(start);
                    Expr { kind: ExprKind::Source(Box::new(Operator { kind, span })), span }
                }
                None => parser.expr()?,
            };
            if !parser.is_punct("|") {
                return Ok(source);
            }
            let operators = parser.operators_after_pipe()?;
            let span = parser.span_from(start);
            Ok(Expr { kind: ExprKind::Pipeline(Box::new(Pipeline { source, operators })), span })
        })
    }

    /// A scalar expression.
    pub(crate) fn expr(&mut self) -> Parsed<Expr> {
        self.nested(Self::or_expr)
    }

    fn or_expr(&mut self) -> Parsed<Expr> {
        self.joined("or", Self::and_expr, ExprKind::Or)
    }

    fn and_expr(&mut self) -> Parsed<Expr> {
        self.joined("and", Self::comparison, ExprKind::And)
    }

    fn joined(
        &mut self,
        word: &str,
        part: impl Fn(&mut Self) -> Parsed<Expr>,
        kind: impl Fn(Vec<Expr>) -> ExprKind,
    ) -> Parsed<Expr> {
        let start = self.span();
        let first = self.beside(&part)?;
        if !self.is_word(word) {
            return Ok(first);
        }
        let mut parts = vec![first];
        while self.eat_word(word) {
            parts.push(self.beside(&part)?);
        }
        self.grow()?;
        Ok(Expr { kind: kind(parts), span: self.span_from(start) })
    }

    fn comparison(&mut self) -> Parsed<Expr> {
        let mut left = self.additive()?;
        while let Some(next) = self.compare_with(&mut left)? {
            left = next;
            self.grow()?;
        }
        Ok(left)
    }

    fn compare_with(&mut self, left: &mut Expr) -> Parsed<Option<Expr>> {
        let start = left.span;
        if let Some(op) = self.comparison_symbol() {
            self.advance();
            let left = take(left);
            let right = self.additive()?;
            let kind = ExprKind::Binary(op, Box::new(left), Box::new(right));
            return Ok(Some(Expr { kind, span: self.span_from(start) }));
        }
        if self.is_punct("=~") || self.is_punct("!~") {
            let negated = self.is_punct("!~");
            self.advance();
            let left = Box::new(take(left));
            let right = vec![self.additive()?];
            let kind = ExprKind::Text { function: "equal_ci", negated, left, right };
            return Ok(Some(Expr { kind, span: self.span_from(start) }));
        }
        if self.colon_is_has && self.is_punct(":") {
            self.advance();
            return self.text_operator(left, "has", false).map(Some);
        }
        let negated = self.is_punct("!") && self.touches(1) && self.word_at(1).is_some();
        let ahead = usize::from(negated);
        let Some(word) = self.word_at(ahead).map(str::to_ascii_lowercase) else { return Ok(None) };
        match word.as_str() {
            "in" | "has_any" | "has_all" => self.list_operator(left, &word, negated).map(Some),
            "between" => self.between(left, negated).map(Some),
            "matches" if self.is_word_at(ahead + 1, "regex") => {
                self.at += ahead + 2;
                self.text_operator(left, "matches_regex", negated).map(Some)
            }
            _ => {
                let Some((_, function)) = TEXT_OPERATORS.iter().find(|(spelling, _)| *spelling == word) else {
                    return Ok(None);
                };
                self.at += ahead + 1;
                self.text_operator(left, function, negated != word.starts_with("not")).map(Some)
            }
        }
    }

    fn comparison_symbol(&self) -> Option<BinaryOp> {
        let Kind::Punct(punct) = self.kind() else { return None };
        Some(match *punct {
            "==" => BinaryOp::Equal,
            "!=" | "<>" => BinaryOp::NotEqual,
            "<" => BinaryOp::Less,
            "<=" => BinaryOp::LessOrEqual,
            ">" => BinaryOp::Greater,
            ">=" => BinaryOp::GreaterOrEqual,
            _ => return None,
        })
    }

    fn text_operator(&mut self, left: &mut Expr, function: &'static str, negated: bool) -> Parsed<Expr> {
        let start = left.span;
        let left = Box::new(take(left));
        let right = vec![self.additive()?];
        Ok(Expr { kind: ExprKind::Text { function, negated, left, right }, span: self.span_from(start) })
    }

    fn list_operator(&mut self, left: &mut Expr, word: &str, negated: bool) -> Parsed<Expr> {
        let start = left.span;
        self.at += 1 + usize::from(negated);
        let ignore_case = self.is_punct("~") && self.touches(0) && self.eat("~");
        let list = if self.eat("(") { self.list_until(")", Self::pipe_expr)? } else { vec![self.additive()?] };
        let left = Box::new(take(left));
        let kind = match word {
            "has_any" => ExprKind::Text { function: "has_any", negated, left, right: list },
            "has_all" => ExprKind::Text { function: "has_all", negated, left, right: list },
            _ => ExprKind::In { left, list, negated, ignore_case },
        };
        Ok(Expr { kind, span: self.span_from(start) })
    }

    fn between(&mut self, left: &mut Expr, negated: bool) -> Parsed<Expr> {
        let start = left.span;
        self.at += 1 + usize::from(negated);
        self.expect("(")?;
        let from = Box::new(self.expr()?);
        self.expect("..")?;
        let to = Box::new(self.expr()?);
        self.expect(")")?;
        let kind = ExprKind::Between { left: Box::new(take(left)), from, to, negated };
        Ok(Expr { kind, span: self.span_from(start) })
    }

    pub(super) fn additive(&mut self) -> Parsed<Expr> {
        self.chain(&[("+", BinaryOp::Add), ("-", BinaryOp::Subtract)], Self::multiplicative)
    }

    fn multiplicative(&mut self) -> Parsed<Expr> {
        let operators = [("*", BinaryOp::Multiply), ("/", BinaryOp::Divide), ("%", BinaryOp::Modulo)];
        self.chain(&operators, Self::unary)
    }

    fn chain(&mut self, operators: &[(&str, BinaryOp)], part: impl Fn(&mut Self) -> Parsed<Expr>) -> Parsed<Expr> {
        let start = self.span();
        let mut left = self.beside(&part)?;
        while let Some((_, op)) = operators.iter().find(|(punct, _)| self.is_punct(punct)) {
            self.advance();
            let right = self.beside(&part)?;
            let kind = ExprKind::Binary(*op, Box::new(left), Box::new(right));
            left = Expr { kind, span: self.span_from(start) };
            self.grow()?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        if self.eat("+") {
            return self.nested(Self::unary);
        }
        if !self.eat("-") {
            return self.postfix();
        }
        let inner = self.nested(Self::unary)?;
        let span = self.span_from(start);
        let kind = match inner.kind {
            ExprKind::Literal(Value::Long(value)) => ExprKind::Literal(Value::Long(value.wrapping_neg())),
            ExprKind::Literal(Value::Real(value)) => ExprKind::Literal(Value::Real(-value)),
            ExprKind::Literal(Value::Timespan(value)) => ExprKind::Literal(Value::Timespan(value.saturating_neg())),
            _ => ExprKind::Negative(Box::new(inner)),
        };
        Ok(Expr { kind, span })
    }

    fn postfix(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let mut base = self.primary()?;
        loop {
            if self.is_punct(".") && !self.is_punct_at(1, ".") {
                self.advance();
                base = self.member(base, start)?;
            } else if self.is_punct("[") && (self.touches(0) || !matches!(base.kind, ExprKind::Literal(_))) {
                self.advance();
                let index = self.expr()?;
                self.expect("]")?;
                let kind = ExprKind::Index(Box::new(base), Box::new(index));
                base = Expr { kind, span: self.span_from(start) };
            } else {
                return Ok(base);
            }
            self.grow()?;
        }
    }

    fn member(&mut self, base: Expr, start: Span) -> Parsed<Expr> {
        // `a.[0]` is `a[0]`; `a.['b']` is `a.b`.
        if self.is_punct("[") && !(matches!(self.token(1).kind, Kind::Text(_)) && self.is_punct_at(2, "]")) {
            self.advance();
            let index = self.expr()?;
            self.expect("]")?;
            let kind = ExprKind::Index(Box::new(base), Box::new(index));
            return Ok(Expr { kind, span: self.span_from(start) });
        }
        let name = self.name()?;
        let kind = if self.eat("(") {
            let args = self.list_until(")", Self::arg)?;
            ExprKind::Call(Call { name, base: Some(Box::new(base)), args })
        } else {
            ExprKind::Member(Box::new(base), name)
        };
        Ok(Expr { kind, span: self.span_from(start) })
    }

    fn primary(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let kind = match self.kind().clone() {
            Kind::Long(value) => self.literal(Value::Long(value)),
            Kind::Real(value) => self.literal(Value::Real(value)),
            Kind::Timespan(value) => self.literal(Value::Timespan(value)),
            Kind::Text(text) => self.joined_text(text),
            Kind::Punct("(") => return self.bracketed(),
            Kind::Punct("[") => ExprKind::Name(self.bracket_name()?.text),
            Kind::Punct("*") => {
                self.advance();
                ExprKind::Star
            }
            Kind::Word => self.word_expr()?,
            _ => return Err(self.unexpected("an expression")),
        };
        Ok(Expr { kind, span: self.span_from(start) })
    }

    fn bracket_name(&mut self) -> Parsed<Name> {
        if matches!(self.token(1).kind, Kind::Text(_)) {
            return self.name();
        }
        Err(self.unexpected("an expression"))
    }

    fn literal(&mut self, value: Value) -> ExprKind {
        self.advance();
        ExprKind::Literal(value)
    }

    /// Adjacent strings are one.
    fn joined_text(&mut self, first: String) -> ExprKind {
        self.advance();
        let mut text = first;
        while let Kind::Text(next) = self.kind().clone() {
            text.push_str(&next);
            self.advance();
        }
        ExprKind::Literal(Value::String(text))
    }

    fn bracketed(&mut self) -> Parsed<Expr> {
        self.expect("(")?;
        let inner = self.pipe_expr()?;
        self.expect(")")?;
        Ok(inner)
    }

    fn word_expr(&mut self) -> Parsed<ExprKind> {
        let word = self.word().unwrap_or_default();
        if self.is_punct_at(1, "(") {
            if let Some(kind) = self.typed_literal(word)? {
                return Ok(kind);
            }
        } else if word == "toscalar" && self.is_word_at(1, "kind") && self.is_punct_at(2, "=") {
            let name = self.name()?;
            self.at += 3;
            self.expect("(")?;
            let args = self.list_until(")", Self::arg)?;
            return Ok(ExprKind::Call(Call { name, base: None, args }));
        }
        if self.is_punct_at(1, "(") {
            return self.call().map(ExprKind::Call);
        }
        let kind = match word {
            "true" | "True" | "TRUE" => ExprKind::Literal(Value::Bool(true)),
            "false" | "False" | "FALSE" => ExprKind::Literal(Value::Bool(false)),
            _ => ExprKind::Name(word.to_owned()),
        };
        self.advance();
        Ok(kind)
    }

    /// `name(args)`.
    pub(super) fn call(&mut self) -> Parsed<Call> {
        let name = self.name()?;
        self.expect("(")?;
        let args = self.list_until(")", Self::arg)?;
        Ok(Call { name, base: None, args })
    }

    /// An argument of a call: a value, a named value, a star or a whole pipeline.
    fn arg(&mut self) -> Parsed<Arg> {
        if self.is_named() {
            let name = self.name()?;
            self.expect("=")?;
            return Ok(Arg { names: vec![name], tuple: false, value: self.pipe_expr()? });
        }
        Ok(Arg { names: Vec::new(), tuple: false, value: self.pipe_expr()? })
    }

    /// `value`, `name = value`, `(a, b) = value`: an item of `project`, `extend`, `summarize`.
    pub(super) fn named(&mut self) -> Parsed<Arg> {
        if self.is_named() {
            let name = self.name()?;
            self.expect("=")?;
            return Ok(Arg { names: vec![name], tuple: false, value: self.expr()? });
        }
        if self.is_tuple() {
            self.expect("(")?;
            let names = self.list_until(")", Self::name)?;
            self.expect("=")?;
            return Ok(Arg { names, tuple: true, value: self.expr()? });
        }
        Ok(Arg { names: Vec::new(), tuple: false, value: self.expr()? })
    }

    fn is_tuple(&self) -> bool {
        if !self.is_punct("(") {
            return false;
        }
        let mut ahead = 1;
        while matches!(&self.token(ahead).kind, Kind::Word | Kind::Text(_) | Kind::Punct("," | "[" | "]")) {
            ahead += 1;
        }
        self.is_punct_at(ahead, ")") && self.is_punct_at(ahead + 1, "=")
    }

    /// A column name or a pattern with `*`.
    pub(super) fn name_or_wildcard(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let mut ahead = 0;
        let mut has_star = false;
        loop {
            let part = match &self.token(ahead).kind {
                Kind::Punct("*") => {
                    has_star = true;
                    true
                }
                Kind::Word | Kind::Long(_) => true,
                _ => false,
            };
            if !part || (ahead > 0 && !self.touches(ahead)) {
                break;
            }
            ahead += 1;
        }
        if !has_star {
            return self.postfix();
        }
        self.at += ahead;
        let span = self.span_from(start);
        let text = &self.text[span.start..span.end];
        let kind = if text == "*" { ExprKind::Star } else { ExprKind::Wildcard(text.to_owned()) };
        Ok(Expr { kind, span })
    }

    /// An expression that begins with an operator, as a source: `print`, `range x from`, `datatable`, `union`, ...
    fn source_operator(&mut self) -> Parsed<Option<OperatorKind>> {
        let Some((word, _)) = self.hyphenated() else { return Ok(None) };
        let next = self.token(1).kind.clone();
        let next_starts_value =
            matches!(next, Kind::Word | Kind::Long(_) | Kind::Real(_) | Kind::Timespan(_) | Kind::Text(_))
                || matches!(next, Kind::Punct("(" | "[" | "-" | "*"));
        let is_source = match word.as_str() {
            "datatable" | "externaldata" | "external_data" => {
                matches!(next, Kind::Punct("(")) || self.is_word_at(1, "with")
            }
            "range" => self.is_word_at(2, "from") || self.is_punct_at(1, "["),
            "print" | "union" => next_starts_value,
            "search" | "find" => next_starts_value && !matches!(next, Kind::Punct("-")),
            "evaluate" => self.word_at(1).is_some(),
            "macro-expand" => true,
            _ => false,
        };
        if !is_source {
            return Ok(None);
        }
        self.count_operator()?;
        self.operator_kind().map(Some)
    }
}

/// The expression, leaving something cheap.
fn take(expr: &mut Expr) -> Expr {
    std::mem::replace(expr, Expr { kind: ExprKind::Star, span: Span::default() })
}
