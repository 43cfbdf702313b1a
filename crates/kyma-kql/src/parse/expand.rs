//! `mv-expand`, `mv-apply`, `parse`, `parse-kv`.

use kyma_core::Type;

use super::{Parsed, Parser};
use crate::ast::{Expand, ExpandItem, Expr, ExprKind, Name, OperatorKind, PatternPart, Settings};
use crate::lex::Kind;

impl Parser<'_> {
    pub(super) fn expand(&mut self) -> Parsed<Expand> {
        let settings = self.settings_of_expand();
        let find = |name: &str| settings.iter().find(|(setting, _)| setting.text.eq_ignore_ascii_case(name));
        let bags_as_arrays = [find("bagexpansion"), find("kind")]
            .into_iter()
            .flatten()
            .any(|(_, value)| matches!(&value.kind, ExprKind::Name(name) if name == "array"));
        let item_index = find("with_itemindex").and_then(|(_, value)| match &value.kind {
            ExprKind::Name(name) => Some(Name { text: name.clone(), span: value.span }),
            _ => None,
        });
        let items = self.list(Self::expand_item)?;
        let limit = self.limit_clause()?;
        Ok(Expand { items, item_index, bags_as_arrays, limit })
    }

    pub(super) fn settings_of_expand(&mut self) -> Settings {
        let mut settings = Vec::new();
        while ["bagexpansion", "kind", "with_itemindex"].iter().any(|word| self.is_word(word))
            && self.is_punct_at(1, "=")
        {
            let span = self.span();
            let text = self.word().unwrap_or_default().to_owned();
            self.at += 2;
            let value_span = self.span();
            let Ok(name) = self.name() else { return settings };
            settings.push((Name { text, span }, Expr { kind: ExprKind::Name(name.text), span: value_span }));
        }
        settings
    }

    pub(super) fn limit_clause(&mut self) -> Parsed<Option<u64>> {
        if !self.eat_word("limit") {
            return Ok(None);
        }
        let Kind::Long(limit) = *self.kind() else { return Err(self.unexpected("a number")) };
        self.advance();
        Ok(Some(u64::try_from(limit).unwrap_or(0)))
    }

    pub(super) fn expand_item(&mut self) -> Parsed<ExpandItem> {
        let arg = self.named()?;
        let ty = if self.is_word("to") && self.is_word_at(1, "typeof") {
            self.at += 2;
            self.expect("(")?;
            let ty = self.ty()?;
            self.expect(")")?;
            Some(ty)
        } else {
            None
        };
        Ok(ExpandItem { arg, ty })
    }

    pub(super) fn mv_apply(&mut self) -> Parsed<OperatorKind> {
        let mut expand = self.expand()?;
        if expand.limit.is_none() {
            expand.limit = self.limit_clause()?;
        }
        self.expect_word("on")?;
        self.expect("(")?;
        Ok(OperatorKind::MvApply { expand, body: self.sub_pipeline(")")? })
    }

    pub(super) fn parse_operator(&mut self, only_matching: bool) -> Parsed<OperatorKind> {
        let (mut kind, mut flags) = ("simple".to_owned(), String::new());
        for (name, value) in self.settings() {
            let ExprKind::Name(value) = value.kind else { continue };
            match name.text.as_str() {
                "kind" => kind = value,
                "flags" => flags = value,
                _ => {}
            }
        }
        let text = self.expr()?;
        self.expect_word("with")?;
        let mut pattern = Vec::new();
        loop {
            match self.kind().clone() {
                Kind::Punct("*") => {
                    self.advance();
                    pattern.push(PatternPart::Skip);
                }
                Kind::Text(text) => {
                    self.advance();
                    pattern.push(PatternPart::Text(text));
                }
                Kind::Word | Kind::Punct("[") => {
                    let name = self.name()?;
                    let ty = if self.eat(":") { self.ty()? } else { Type::String };
                    pattern.push(PatternPart::Column(name, ty));
                }
                _ => break,
            }
        }
        Ok(OperatorKind::Parse { text, kind, flags, pattern, only_matching })
    }

    pub(super) fn parse_kv(&mut self) -> Parsed<OperatorKind> {
        let text = self.expr()?;
        self.expect_word("as")?;
        let columns = self.columns()?;
        let settings = if self.eat_word("with") { self.bracket_settings()? } else { Vec::new() };
        Ok(OperatorKind::ParseKv { text, columns, settings })
    }
}
