//! `scan`: what it declares, and its steps.

use super::{Parsed, Parser};
use crate::ast::{ExprKind, Name, OperatorKind, Param, ScanClause, ScanStep};

impl Parser<'_> {
    /// `[with_match_id=m] [order by ...] [partition by ...] [declare (...)] with (step ...; ...)`.
    pub(super) fn scan(&mut self) -> Parsed<OperatorKind> {
        let mut match_id = None;
        for (name, value) in self.settings() {
            if let (true, ExprKind::Name(text)) = (name.text == "with_match_id", value.kind) {
                match_id = Some(Name { text, span: value.span });
            }
        }
        let order = if self.is_word("order") || self.is_word("sort") {
            self.advance();
            self.expect_word("by")?;
            self.list(Self::sort_item)?
        } else {
            Vec::new()
        };
        let partition = if self.eat_word("partition") {
            self.expect_word("by")?;
            self.list(Self::name)?
        } else {
            Vec::new()
        };
        let declared = if self.eat_word("declare") {
            self.expect("(")?;
            self.list_until(")", Self::declared_column)?
        } else {
            Vec::new()
        };
        self.expect_word("with")?;
        self.expect("(")?;
        let mut steps = Vec::new();
        while !self.eat(")") {
            steps.push(self.scan_step()?);
            if !self.eat(";") {
                self.expect(")")?;
                break;
            }
        }
        if steps.is_empty() {
            return Err(self.unexpected("'step'"));
        }
        Ok(OperatorKind::Scan(Box::new(ScanClause { match_id, order, partition, declared, steps })))
    }

    fn declared_column(&mut self) -> Parsed<Param> {
        let name = self.name()?;
        self.expect(":")?;
        let ty = Some(self.ty()?);
        let default = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(Param { name, ty, default })
    }

    /// `step name [output=all|last|none]: condition [=> column = value, ...]`.
    fn scan_step(&mut self) -> Parsed<ScanStep> {
        self.expect_word("step")?;
        let name = self.name()?;
        let optional = self.is_word("optional").then(|| self.span());
        if optional.is_some() {
            self.advance();
        }
        let output = if self.eat_word("output") {
            self.expect("=")?;
            Some(self.name()?)
        } else {
            None
        };
        self.expect(":")?;
        let condition = self.expr()?;
        let assignments = if self.eat("=>") { self.list(Self::assignment)? } else { Vec::new() };
        Ok(ScanStep { name, optional, output, condition, assignments })
    }

    fn assignment(&mut self) -> Parsed<(Name, crate::ast::Expr)> {
        let name = self.name()?;
        self.expect("=")?;
        Ok((name, self.expr()?))
    }
}
