//! `range`, `datatable`, `render`, `partition`, `fork`, and the columns a plugin declares.

use super::operators::NAMES;
use super::{Parsed, Parser};
use crate::ast::{Declared, Expr, ExprKind, OperatorKind, Param, Settings};

impl Parser<'_> {
    /// `(a: long, *)`.
    pub(super) fn declared(&mut self) -> Parsed<Declared> {
        self.expect("(")?;
        let columns = self.list_until(")", |parser| {
            if parser.eat("*") {
                return Ok(None);
            }
            let name = parser.name()?;
            parser.expect(":")?;
            Ok(Some(Param { name, ty: Some(parser.ty()?), default: None }))
        })?;
        let star = columns.iter().any(Option::is_none);
        Ok(Declared { columns: columns.into_iter().flatten().collect(), star })
    }

    pub(super) fn bracket_settings(&mut self) -> Parsed<Settings> {
        self.expect("(")?;
        self.list_until(")", |parser| {
            let name = parser.name()?;
            parser.expect("=")?;
            Ok((name, parser.render_value()?))
        })
    }

    pub(super) fn render_value(&mut self) -> Parsed<Expr> {
        let first = self.setting_value()?;
        // `ycolumns=a,b`: names until the next `name=`.
        let mut text = match &first.kind {
            ExprKind::Name(name) => name.clone(),
            _ => return Ok(first),
        };
        let span = first.span;
        while self.is_punct(",") && self.word_at(1).is_some() && !self.is_punct_at(2, "=") {
            self.advance();
            text = format!("{text},{}", self.name()?.text);
        }
        Ok(Expr { kind: ExprKind::Name(text), span })
    }

    pub(super) fn render(&mut self) -> Parsed<OperatorKind> {
        let kind = self.name()?.text;
        let mut settings = Vec::new();
        if self.eat_word("with") {
            settings = self.bracket_settings()?;
        } else {
            while self.word().is_some() && self.is_punct_at(1, "=") {
                let name = self.name()?;
                self.expect("=")?;
                settings.push((name, self.render_value()?));
            }
        }
        Ok(OperatorKind::Render { kind, settings })
    }

    pub(super) fn range(&mut self) -> Parsed<OperatorKind> {
        let name = self.name()?;
        self.expect_word("from")?;
        let from = self.expr()?;
        self.expect_word("to")?;
        let to = self.expr()?;
        self.expect_word("step")?;
        Ok(OperatorKind::Range { name, from, to, step: self.expr()? })
    }

    pub(super) fn datatable(&mut self) -> Parsed<OperatorKind> {
        let columns = self.columns()?;
        if self.eat_word("with") {
            self.expect("(")?;
            self.raw_until_close()?;
        }
        self.expect("[")?;
        Ok(OperatorKind::Datatable { columns, values: self.list_until("]", Self::expr)? })
    }

    pub(super) fn partition(&mut self) -> Parsed<OperatorKind> {
        self.settings();
        self.expect_word("by")?;
        // Only a name: what is in brackets after it is the body.
        let name = self.name()?;
        let key = Expr { kind: ExprKind::Name(name.text), span: name.span };
        let close = if self.eat("{") {
            if !self.hyphenated().is_some_and(|(word, _)| NAMES.contains(&word.to_ascii_lowercase().as_str())) {
                let body = self.pipe_expr()?;
                self.expect("}")?;
                return Ok(OperatorKind::PartitionOf { key, body });
            }
            "}"
        } else {
            self.expect("(")?;
            ")"
        };
        Ok(OperatorKind::Partition { key, body: self.sub_pipeline(close)? })
    }

    pub(super) fn fork(&mut self) -> Parsed<OperatorKind> {
        let mut branches = Vec::new();
        while self.is_punct("(") || self.word().is_some() {
            let name = if self.is_punct("(") { None } else { Some(self.name()?) };
            self.eat("=");
            self.expect("(")?;
            branches.push((name, self.sub_pipeline(")")?));
        }
        if branches.is_empty() { Err(self.unexpected("'('")) } else { Ok(OperatorKind::Fork(branches)) }
    }
}
