//! `make-series` and `top-nested`.

use super::{Parsed, Parser};
use crate::ast::{Arg, Expr, ExprKind, Level, OperatorKind, SeriesItem};

impl Parser<'_> {
    pub(super) fn top_nested(&mut self) -> Parsed<OperatorKind> {
        let mut levels = vec![self.level()?];
        while self.eat(",") {
            if !self.eat_word("top") {
                return Err(self.unexpected("'top-nested'"));
            }
            self.expect("-")?;
            self.expect_word("nested")?;
            levels.push(self.level()?);
        }
        Ok(OperatorKind::TopNested(levels))
    }

    pub(super) fn level(&mut self) -> Parsed<Level> {
        let count = if self.is_word("of") { None } else { Some(self.additive()?) };
        self.expect_word("of")?;
        let key = self.named()?;
        let others = if self.eat_word("with") {
            self.expect_word("others")?;
            self.expect("=")?;
            Some(self.additive()?)
        } else {
            None
        };
        self.expect_word("by")?;
        let by = self.named()?;
        let ascending = self.eat_word("asc");
        if !ascending {
            self.eat_word("desc");
        }
        Ok(Level { count, key, others, by, ascending })
    }

    pub(super) fn make_series(&mut self) -> Parsed<OperatorKind> {
        if self.is_word("kind") {
            self.settings_once("kind")?;
        }
        let items = self.list(|parser| {
            let arg = parser.named()?;
            let default = if parser.is_word("default") && parser.is_punct_at(1, "=") {
                parser.at += 2;
                Some(parser.additive()?)
            } else {
                None
            };
            Ok(SeriesItem { arg, default })
        })?;
        self.expect_word("on")?;
        let axis = self.named()?;
        let (mut from, mut to, mut step) = (None, None, None);
        if let ExprKind::In { .. } = &axis.value.kind {
            return self.make_series_in_range(items, axis);
        }
        loop {
            if self.eat_word("from") {
                from = Some(self.additive()?);
            } else if self.eat_word("to") {
                to = Some(self.additive()?);
            } else if self.eat_word("step") {
                step = Some(self.additive()?);
            } else {
                break;
            }
        }
        let by = if self.eat_word("by") { self.named_list()? } else { Vec::new() };
        let Some(step) = step else { return Err(self.unexpected("'step'")) };
        Ok(OperatorKind::MakeSeries { items, axis, from, to, step, by })
    }

    /// `on t in range(a, b, s)`: the old form, whose end is inclusive.
    pub(super) fn make_series_in_range(&mut self, items: Vec<SeriesItem>, axis: Arg) -> Parsed<OperatorKind> {
        let ExprKind::In { left, list, .. } = axis.value.kind else { return Err(self.unexpected("'step'")) };
        let args = match list.into_iter().next().map(|expr| expr.kind) {
            Some(ExprKind::Call(call)) if call.name.text == "range" && call.args.len() == 3 => call.args,
            _ => return Err(self.unexpected("'range(from, to, step)'")),
        };
        let mut values = args.into_iter().map(|arg| arg.value);
        let (Some(from), Some(to), Some(step)) = (values.next(), values.next(), values.next()) else {
            return Err(self.unexpected("'range(from, to, step)'"));
        };
        let by = if self.eat_word("by") { self.named_list()? } else { Vec::new() };
        let span = to.span;
        let end = ExprKind::Binary(kyma_plan::BinaryOp::Add, Box::new(to), Box::new(step.clone()));
        let to = Some(Expr { kind: end, span });
        let axis = Arg { names: axis.names, tuple: false, value: *left };
        Ok(OperatorKind::MakeSeries { items, axis, from: Some(from), to, step, by })
    }

    pub(super) fn settings_once(&mut self, word: &str) -> Parsed<()> {
        self.expect_word(word)?;
        self.expect("=")?;
        self.name()?;
        Ok(())
    }
}
