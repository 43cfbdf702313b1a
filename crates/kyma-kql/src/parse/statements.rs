//! Statements: `let`, `set`, `declare`, and queries, between semicolons.

use kyma_core::Type;
use kyma_core::error::Span;
use kyma_plan::Diagnostic;
use kyma_plan::functions::nearest;

use super::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, Lambda, Name, Operator, OperatorKind, Param, Statement, StatementKind};
use crate::lex::Kind;

impl Parser<'_> {
    pub(super) fn statements(&mut self) -> Vec<Statement> {
        let mut statements = Vec::new();
        loop {
            while self.eat(";") {}
            if self.at_end() {
                return statements;
            }
            let start = self.span();
            let declared = if self.is_word("let") { self.word_at(1).map(|text| self.named_at(1, text)) } else { None };
            match self.statement() {
                Ok(statement) => statements.push(statement),
                Err(error) => {
                    let too_much = error.code != "kql.syntax" && error.code != "kql.bad_literal";
                    self.report(*error);
                    if too_much {
                        return statements;
                    }
                    self.recover(&[";"]);
                    statements.push(broken(declared, self.span_from(start)));
                    continue;
                }
            }
            if !self.at_end() && !self.is_punct(";") {
                let error = self.unexpected("'|', ';' or the end of the query");
                self.report(*error);
                self.recover(&[";"]);
            }
        }
    }

    fn named_at(&self, ahead: usize, text: &str) -> Name {
        Name { text: text.to_owned(), span: self.token(ahead).span }
    }

    fn statement(&mut self) -> Parsed<Statement> {
        let start = self.span();
        let kind = self.statement_kind()?;
        Ok(Statement { kind, span: self.span_from(start) })
    }

    fn statement_kind(&mut self) -> Parsed<StatementKind> {
        let next_is_name = self.word_at(1).is_some() || self.is_punct_at(1, "[");
        match self.word().map(str::to_ascii_lowercase).as_deref() {
            Some("let") if next_is_name || self.is_punct_at(1, "=") => self.let_statement(),
            Some("set") if next_is_name => self.set_statement(),
            Some("declare") if self.is_word_at(1, "query_parameters") => {
                self.at += 2;
                self.expect("(")?;
                Ok(StatementKind::Parameters(self.list_until(")", Self::param)?))
            }
            Some("alias") if self.is_word_at(1, "database") => {
                self.at += 2;
                let name = self.name()?;
                self.expect("=")?;
                Ok(StatementKind::Alias(name, self.expr()?))
            }
            Some("restrict") if self.is_word_at(1, "access") => {
                self.at += 2;
                self.expect_word("to")?;
                self.expect("(")?;
                Ok(StatementKind::Restrict(self.list_until(")", Self::table_ref)?))
            }
            Some(word @ ("declare" | "alias" | "restrict")) if next_is_name => {
                let word = word.to_owned();
                self.recover(&[";"]);
                Ok(StatementKind::Unsupported(word))
            }
            _ => Ok(StatementKind::Query(self.pipe_expr()?)),
        }
    }

    fn let_statement(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let name = self.name()?;
        self.expect("=")?;
        let view = self.eat_word("view");
        let value = if self.is_lambda() {
            self.lambda(view)?
        } else if self.is_entity_group() {
            self.entity_group()?
        } else {
            self.pipe_expr()?
        };
        Ok(StatementKind::Let(name, value))
    }

    fn set_statement(&mut self) -> Parsed<StatementKind> {
        self.advance();
        let name = self.name()?;
        let value = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(StatementKind::Set(name, value))
    }

    /// `(` ... `)` `{`, or `{`.
    fn is_lambda(&self) -> bool {
        if !self.is_punct("(") {
            return self.is_punct("{");
        }
        let mut open = 0_usize;
        for ahead in 0.. {
            match &self.token(ahead).kind {
                Kind::End => return false,
                Kind::Punct("(") => open += 1,
                Kind::Punct(")") => open -= 1,
                _ => {}
            }
            if open == 0 {
                return self.is_punct_at(ahead + 1, "{");
            }
        }
        false
    }

    pub(super) fn lambda(&mut self, view: bool) -> Parsed<Expr> {
        let start = self.span();
        let params = if self.eat("(") { self.list_until(")", Self::param)? } else { Vec::new() };
        self.expect("{")?;
        let body = self.nested(Self::body)?;
        let lambda = std::rc::Rc::new(Lambda { params, view, body });
        Ok(Expr { kind: ExprKind::Lambda(lambda), span: self.span_from(start) })
    }

    fn body(&mut self) -> Parsed<Vec<Statement>> {
        self.statements_until("}")
    }

    pub(super) fn statements_in_brackets(&mut self) -> Parsed<Vec<Statement>> {
        self.statements_until(")")
    }

    fn statements_until(&mut self, close: &str) -> Parsed<Vec<Statement>> {
        let mut statements = Vec::new();
        loop {
            while self.eat(";") {}
            if self.eat(close) {
                return Ok(statements);
            }
            statements.push(self.statement()?);
            if !self.is_punct(";") && !self.is_punct(close) {
                return Err(self.unexpected(&format!("'|', ';' or '{close}'")));
            }
        }
    }

    /// `name: type [= default]`, `name: (schema)`.
    pub(super) fn param(&mut self) -> Parsed<Param> {
        let name = self.name()?;
        self.expect(":")?;
        let ty = if self.eat("(") {
            self.raw_until_close()?;
            None
        } else {
            Some(self.ty()?)
        };
        let default = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(Param { name, ty, default })
    }

    /// A type's name.
    pub(crate) fn ty(&mut self) -> Parsed<Type> {
        let found = self.word().and_then(|word| match word {
            "int8" | "uint8" | "int16" | "uint16" => Some(Type::Int),
            "uint32" | "uint64" | "ulong" => Some(Type::Long),
            other => other.parse().ok(),
        });
        let Some(ty) = found else {
            let near = self.word().and_then(|word| nearest(word, Type::ALL.iter().map(|ty| ty.name())));
            let error = *self.unexpected("a type");
            let hint = near.map(|near| format!("did you mean '{near}'?"));
            return Err(Box::new(Diagnostic { hint, ..error }));
        };
        self.advance();
        Ok(ty)
    }

    /// `name: type` pairs in brackets.
    pub(crate) fn columns(&mut self) -> Parsed<Vec<Param>> {
        self.expect("(")?;
        self.list_until(")", |parser| {
            let name: Name = parser.name()?;
            parser.expect(":")?;
            Ok(Param { name, ty: Some(parser.ty()?), default: None })
        })
    }
}

/// What stands for a statement that could not be read: a name without a value, or nothing that is known.
fn broken(declared: Option<Name>, span: Span) -> Statement {
    let operator = Operator { kind: OperatorKind::Unsupported(String::new()), span };
    let expr = Expr { kind: ExprKind::Source(Box::new(operator)), span };
    let kind = match declared {
        Some(name) => StatementKind::Let(name, expr),
        None => StatementKind::Query(expr),
    };
    Statement { kind, span }
}
