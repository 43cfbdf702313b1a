//! `search` and `find`.

use super::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, FindClause, FindColumn, Name, OperatorKind};

impl Parser<'_> {
    pub(super) fn search(&mut self) -> Parsed<OperatorKind> {
        let case_sensitive = self.settings().iter().any(|(name, value)| {
            name.text == "kind" && matches!(&value.kind, ExprKind::Name(kind) if kind == "case_sensitive")
        });
        let tables = if self.eat_word("in") {
            self.expect("(")?;
            self.list_until(")", Self::table_ref)?
        } else {
            Vec::new()
        };
        Ok(OperatorKind::Search { predicate: self.search_or()?, tables, case_sensitive })
    }

    /// A search predicate: strings stand alone, `col:"text"` is `has`.
    pub(super) fn search_or(&mut self) -> Parsed<Expr> {
        let outer = std::mem::replace(&mut self.colon_is_has, true);
        let predicate = self.expr();
        self.colon_is_has = outer;
        predicate
    }

    pub(super) fn find(&mut self) -> Parsed<OperatorKind> {
        let mut source = None;
        for (name, value) in self.settings() {
            if let (true, ExprKind::Name(text)) = (name.text == "withsource", value.kind) {
                source = Some(Name { text, span: value.span });
            }
        }
        let tables = if self.eat_word("in") {
            self.expect("(")?;
            self.list_until(")", Self::table_ref)?
        } else {
            Vec::new()
        };
        self.eat_word("where");
        let predicate = self.search_or()?;
        let mut project = None;
        if matches!(self.hyphenated(), Some((word, _)) if word == "project-smart") {
            self.at += 3;
        } else if self.is_word("project") && !self.is_punct_at(1, "-") {
            self.advance();
            project = Some(self.list(Self::find_column)?);
        }
        let mut away = Vec::new();
        if matches!(self.hyphenated(), Some((word, _)) if word == "project-away") {
            self.at += 3;
            away = self.list(Self::name_or_wildcard)?;
        }
        Ok(OperatorKind::Find(Box::new(FindClause { predicate, tables, project, away, source })))
    }

    /// `name`, `name: type` or `pack(*)`.
    fn find_column(&mut self) -> Parsed<FindColumn> {
        if self.is_word("pack") && self.is_punct_at(1, "(") {
            self.at += 2;
            self.expect("*")?;
            self.expect(")")?;
            return Ok(FindColumn::Pack);
        }
        let name = self.name()?;
        let ty = if self.eat(":") { Some(self.ty()?) } else { None };
        Ok(FindColumn::Column(name, ty))
    }
}
