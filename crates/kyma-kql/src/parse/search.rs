//! `search` and `find`.

use super::{Parsed, Parser};
use crate::ast::{Expr, ExprKind, Name, OperatorKind};

impl Parser<'_> {
    pub(super) fn search(&mut self) -> Parsed<OperatorKind> {
        self.settings();
        let tables = if self.eat_word("in") {
            self.expect("(")?;
            self.list_until(")", Self::table_ref)?
        } else {
            Vec::new()
        };
        Ok(OperatorKind::Search { predicate: self.search_or()?, tables })
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
        let mut project = Vec::new();
        if matches!(self.hyphenated(), Some((word, _)) if word == "project-smart") {
            self.at += 3;
        } else if self.eat_word("project") {
            project = self.list(|parser| {
                let name = parser.name_or_wildcard()?;
                if parser.eat(":") {
                    parser.ty()?;
                }
                Ok(name)
            })?;
        }
        if matches!(self.hyphenated(), Some((word, _)) if word == "project-away") {
            self.at += 3;
            self.list(Self::name_or_wildcard)?;
        }
        Ok(OperatorKind::Find { predicate, tables, project, source })
    }
}
