//! Tabular operators, by their leading word.

use kyma_core::Type;
use kyma_plan::Diagnostic;
use kyma_plan::functions::nearest;

use super::{Parsed, Parser};
use crate::ast::{
    Arg, Declared, Expand, ExpandItem, Expr, ExprKind, Level, Name, Operator, OperatorKind, Param, PatternPart,
    SeriesItem, Settings, SortItem,
};
use crate::lex::Kind;

/// Every operator, for hints.
pub(crate) const NAMES: [&str; 52] = [
    "as",
    "consume",
    "count",
    "datatable",
    "distinct",
    "evaluate",
    "extend",
    "externaldata",
    "facet",
    "filter",
    "find",
    "fork",
    "getschema",
    "graph-match",
    "graph-to-table",
    "invoke",
    "join",
    "limit",
    "lookup",
    "make-graph",
    "make-series",
    "mv-apply",
    "mv-expand",
    "order",
    "parse",
    "parse-kv",
    "parse-where",
    "partition",
    "print",
    "project",
    "project-away",
    "project-keep",
    "project-rename",
    "project-reorder",
    "range",
    "reduce",
    "render",
    "sample",
    "sample-distinct",
    "scan",
    "search",
    "serialize",
    "sort",
    "summarize",
    "take",
    "top",
    "top-hitters",
    "top-nested",
    "union",
    "where",
    "assert-schema",
    "graph-mark-components",
];

/// Read up to the next pipe and refused when bound.
const UNSUPPORTED: [&str; 14] = [
    "externaldata",
    "external_data",
    "make-graph",
    "graph-match",
    "graph-to-table",
    "graph-shortest-paths",
    "graph-mark-components",
    "graph-where-nodes",
    "graph-where-edges",
    "scan",
    "reduce",
    "assert-schema",
    "execute-and-cache",
    "macro-expand",
];

impl Parser<'_> {
    /// `| operator | operator ...`
    pub(super) fn operators_after_pipe(&mut self) -> Parsed<Vec<Operator>> {
        let mut operators = Vec::new();
        while self.eat("|") {
            match self.operator() {
                Ok(operator) => operators.push(operator),
                Err(error) if self.depth <= 1 && error.code == "kql.syntax" => {
                    self.report(error);
                    self.recover(&["|", ";"]);
                }
                Err(error) => return Err(error),
            }
            if self.depth <= 1 && !self.at_end() && !self.is_punct("|") && !self.is_punct(";") {
                let error = self.unexpected("'|', ';' or the end of the query");
                self.report(error);
                self.recover(&["|", ";"]);
            }
        }
        Ok(operators)
    }

    fn operator(&mut self) -> Parsed<Operator> {
        self.count_operator()?;
        let start = self.span();
        let kind = self.operator_kind()?;
        Ok(Operator { kind, span: self.span_from(start) })
    }

    /// A pipeline without a source, in brackets: the body of `mv-apply`, `partition`, `fork`.
    fn sub_pipeline(&mut self, close: &str) -> Parsed<Vec<Operator>> {
        self.nested(|parser| {
            let mut operators = vec![parser.operator()?];
            while parser.eat("|") {
                operators.push(parser.operator()?);
            }
            parser.expect(close)?;
            Ok(operators)
        })
    }

    pub(super) fn operator_kind(&mut self) -> Parsed<OperatorKind> {
        let Some((word, used)) = self.hyphenated() else { return Err(self.unexpected("an operator")) };
        let span = self.span();
        let word = word.to_ascii_lowercase();
        if UNSUPPORTED.contains(&word.as_str()) {
            self.at += used;
            self.recover(&["|", ";", ")"]);
            return Ok(OperatorKind::Unsupported(word));
        }
        self.at += used;
        Ok(match word.as_str() {
            "where" | "filter" => {
                self.hints();
                if self.is_named() {
                    let error = self.unexpected("a condition").hint("use '==' to compare");
                    return Err(Box::new(error));
                }
                OperatorKind::Where(self.expr()?)
            }
            "project" => OperatorKind::Project(self.named_list()?),
            "extend" => OperatorKind::Extend(self.named_list()?),
            "project-away" => OperatorKind::ProjectAway(self.list(Self::name_or_wildcard)?),
            "project-keep" => OperatorKind::ProjectKeep(self.list(Self::name_or_wildcard)?),
            "project-rename" => OperatorKind::ProjectRename(self.named_list()?),
            "project-reorder" => OperatorKind::ProjectReorder(self.list(Self::reorder_item)?),
            "summarize" => self.summarize()?,
            "distinct" => {
                self.hints();
                OperatorKind::Distinct(self.named_list()?)
            }
            "sort" | "order" => {
                self.hints();
                self.expect_word("by")?;
                OperatorKind::Sort(self.list(Self::sort_item)?)
            }
            "top" => self.top()?,
            "take" | "limit" => OperatorKind::Take(self.expr()?),
            "count" => {
                if self.eat_word("as") {
                    self.name()?;
                }
                OperatorKind::Count
            }
            "join" => self.join(false)?,
            "lookup" => self.join(true)?,
            "union" => self.union()?,
            "mv-expand" | "mvexpand" => OperatorKind::MvExpand(self.expand()?),
            "mv-apply" | "mvapply" => self.mv_apply()?,
            "parse" => self.parse_operator(false)?,
            "parse-where" => self.parse_operator(true)?,
            "parse-kv" => self.parse_kv()?,
            "render" => self.render()?,
            "range" => self.range()?,
            "print" => OperatorKind::Print(self.list_of_print()?),
            "datatable" => self.datatable()?,
            "getschema" => {
                if self.is_word("kind") {
                    self.settings();
                }
                OperatorKind::Getschema
            }
            "as" => {
                self.settings();
                OperatorKind::As(self.name()?)
            }
            "serialize" => {
                let ends = self.at_end() || self.is_punct("|") || self.is_punct(";") || self.is_punct(")");
                OperatorKind::Serialize(if ends || self.is_punct("}") { Vec::new() } else { self.named_list()? })
            }
            "sample" => OperatorKind::Sample(self.expr()?),
            "sample-distinct" => {
                let count = self.additive()?;
                self.expect_word("of")?;
                OperatorKind::SampleDistinct { count, of: self.named()? }
            }
            "top-nested" => self.top_nested()?,
            "top-hitters" => {
                let count = self.additive()?;
                self.expect_word("of")?;
                let of = self.expr()?;
                let by = if self.eat_word("by") { Some(self.expr()?) } else { None };
                OperatorKind::TopHitters { count, of, by }
            }
            "make-series" => self.make_series()?,
            "invoke" => OperatorKind::Invoke(self.call()?),
            "partition" | "__partitionby" => self.partition()?,
            "fork" => self.fork()?,
            "facet" => {
                self.expect_word("by")?;
                let columns = self.list(Self::expr)?;
                if self.eat_word("with") {
                    self.expect("(")?;
                    self.sub_pipeline(")")?;
                }
                OperatorKind::Facet(columns)
            }
            "search" => self.search()?,
            "find" => self.find()?,
            "evaluate" => {
                self.settings();
                let call = self.call()?;
                let declared = if self.eat(":") { Some(self.declared()?) } else { None };
                OperatorKind::Evaluate(call, declared)
            }
            "consume" => {
                self.settings();
                OperatorKind::Consume
            }
            unknown => {
                let error = Diagnostic::error("kql.unknown_operator", format!("unknown operator '{unknown}'"), span);
                let hint = nearest(unknown, NAMES.into_iter()).map(|near| format!("did you mean '{near}'?"));
                self.report(Box::new(Diagnostic { hint, ..error }));
                self.recover(&["|", ";", ")"]);
                OperatorKind::Unsupported(String::new())
            }
        })
    }

    /// `(a: long, *)`.
    fn declared(&mut self) -> Parsed<Declared> {
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

    fn named_list(&mut self) -> Parsed<Vec<Arg>> {
        self.list(Self::named)
    }

    fn list_of_print(&mut self) -> Parsed<Vec<Arg>> {
        self.list(|parser| parser.nested(Self::named))
    }

    /// `name=value` pairs such as `kind=inner` and `hint.strategy=shuffle`; none is fine.
    fn settings(&mut self) -> Settings {
        let mut settings = Vec::new();
        loop {
            let mut ahead = 1;
            while self.is_punct_at(ahead, ".") && self.word_at(ahead + 1).is_some() {
                ahead += 2;
            }
            if self.word().is_none() || !self.is_punct_at(ahead, "=") {
                return settings;
            }
            let start = self.span();
            let end = self.token(ahead - 1).span;
            let text = self.text[start.start..end.end].to_owned();
            let before = self.at;
            self.at += ahead + 1;
            let Ok(value) = self.setting_value() else {
                self.at = before;
                return settings;
            };
            settings.push((Name { text, span: start.to(end) }, value));
        }
    }

    fn setting_value(&mut self) -> Parsed<Expr> {
        let span = self.span();
        if let Some(word) = self.word() {
            self.advance();
            return Ok(Expr { kind: ExprKind::Name(word.to_owned()), span });
        }
        self.additive()
    }

    fn reorder_item(&mut self) -> Parsed<SortItem> {
        let expr = self.name_or_wildcard()?;
        let (descending, found) = (self.is_word("desc") || self.is_word("granny-desc"), self.is_word("asc"));
        if descending || found {
            self.advance();
        }
        Ok(SortItem { expr, descending, nulls_first: found.then_some(true) })
    }

    fn sort_item(&mut self) -> Parsed<SortItem> {
        let expr = self.named()?.value;
        let descending = if self.eat_word("asc") {
            false
        } else {
            self.eat_word("desc");
            true
        };
        let nulls_first = if self.eat_word("nulls") {
            let first = self.is_word("first");
            if !first && !self.is_word("last") {
                return Err(self.unexpected("'first' or 'last'"));
            }
            self.advance();
            Some(first)
        } else {
            None
        };
        Ok(SortItem { expr, descending, nulls_first })
    }

    fn summarize(&mut self) -> Parsed<OperatorKind> {
        self.hints();
        let aggregates = if self.is_word("by") && !self.is_punct_at(1, "=") { Vec::new() } else { self.named_list()? };
        let by = if self.eat_word("by") { self.named_list()? } else { Vec::new() };
        Ok(OperatorKind::Summarize { aggregates, by })
    }

    /// `hint.name=value`; other `name = value` is not one.
    fn hints(&mut self) {
        while self.is_word("hint") && self.is_punct_at(1, ".") {
            self.at += 3;
            if self.eat("=") {
                self.advance();
            }
        }
    }

    fn top(&mut self) -> Parsed<OperatorKind> {
        let count = self.additive()?;
        self.expect_word("by")?;
        Ok(OperatorKind::Top { count, by: self.list(Self::sort_item)? })
    }

    fn join(&mut self, lookup: bool) -> Parsed<OperatorKind> {
        let settings = self.settings();
        let right = self.table_ref()?;
        let on = if self.eat_word("on") {
            self.list(Self::expr)?
        } else if self.eat_word("where") {
            vec![self.expr()?]
        } else {
            Vec::new()
        };
        Ok(OperatorKind::Join { settings, right, on, lookup })
    }

    /// A table: a name, a call, or a pipeline in brackets.
    fn table_ref(&mut self) -> Parsed<Expr> {
        self.nested(|parser| {
            if parser.word().is_some() && !parser.is_punct_at(1, "(") && !parser.is_word_at(1, "from") {
                return parser.name_or_wildcard();
            }
            match parser.hyphenated() {
                Some((word, _)) if matches!(word.as_str(), "datatable" | "externaldata" | "range") => {
                    parser.pipe_expr()
                }
                _ => parser.name_or_wildcard(),
            }
        })
    }

    fn union(&mut self) -> Parsed<OperatorKind> {
        let settings = self.settings();
        let inputs = self.list(Self::table_ref)?;
        Ok(OperatorKind::Union { settings, inputs })
    }

    fn expand(&mut self) -> Parsed<Expand> {
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

    fn settings_of_expand(&mut self) -> Settings {
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

    fn limit_clause(&mut self) -> Parsed<Option<u64>> {
        if !self.eat_word("limit") {
            return Ok(None);
        }
        let Kind::Long(limit) = *self.kind() else { return Err(self.unexpected("a number")) };
        self.advance();
        Ok(Some(u64::try_from(limit).unwrap_or(0)))
    }

    fn expand_item(&mut self) -> Parsed<ExpandItem> {
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

    fn mv_apply(&mut self) -> Parsed<OperatorKind> {
        let mut expand = self.expand()?;
        if expand.limit.is_none() {
            expand.limit = self.limit_clause()?;
        }
        self.expect_word("on")?;
        self.expect("(")?;
        Ok(OperatorKind::MvApply { expand, body: self.sub_pipeline(")")? })
    }

    fn parse_operator(&mut self, only_matching: bool) -> Parsed<OperatorKind> {
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

    fn parse_kv(&mut self) -> Parsed<OperatorKind> {
        let text = self.expr()?;
        self.expect_word("as")?;
        let columns = self.columns()?;
        let settings = if self.eat_word("with") { self.bracket_settings()? } else { Vec::new() };
        Ok(OperatorKind::ParseKv { text, columns, settings })
    }

    fn bracket_settings(&mut self) -> Parsed<Settings> {
        self.expect("(")?;
        self.list_until(")", |parser| {
            let name = parser.name()?;
            parser.expect("=")?;
            Ok((name, parser.render_value()?))
        })
    }

    fn render_value(&mut self) -> Parsed<Expr> {
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

    fn render(&mut self) -> Parsed<OperatorKind> {
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

    fn range(&mut self) -> Parsed<OperatorKind> {
        let name = self.name()?;
        self.expect_word("from")?;
        let from = self.expr()?;
        self.expect_word("to")?;
        let to = self.expr()?;
        self.expect_word("step")?;
        Ok(OperatorKind::Range { name, from, to, step: self.expr()? })
    }

    fn datatable(&mut self) -> Parsed<OperatorKind> {
        let columns = self.columns()?;
        if self.eat_word("with") {
            self.expect("(")?;
            self.raw_until_close()?;
        }
        self.expect("[")?;
        Ok(OperatorKind::Datatable { columns, values: self.list_until("]", Self::expr)? })
    }

    fn top_nested(&mut self) -> Parsed<OperatorKind> {
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

    fn level(&mut self) -> Parsed<Level> {
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

    fn make_series(&mut self) -> Parsed<OperatorKind> {
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
    fn make_series_in_range(&mut self, items: Vec<SeriesItem>, axis: Arg) -> Parsed<OperatorKind> {
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

    fn settings_once(&mut self, word: &str) -> Parsed<()> {
        self.expect_word(word)?;
        self.expect("=")?;
        self.name()?;
        Ok(())
    }

    fn partition(&mut self) -> Parsed<OperatorKind> {
        self.settings();
        self.expect_word("by")?;
        // Only a name: what is in brackets after it is the body.
        let name = self.name()?;
        let key = Expr { kind: ExprKind::Name(name.text), span: name.span };
        let close = if self.eat("{") {
            "}"
        } else {
            self.expect("(")?;
            ")"
        };
        Ok(OperatorKind::Partition { key, body: self.sub_pipeline(close)? })
    }

    fn fork(&mut self) -> Parsed<OperatorKind> {
        let mut branches = Vec::new();
        while self.is_punct("(") || self.word().is_some() {
            let name = if self.is_punct("(") { None } else { Some(self.name()?) };
            self.eat("=");
            self.expect("(")?;
            branches.push((name, self.sub_pipeline(")")?));
        }
        if branches.is_empty() { Err(self.unexpected("'('")) } else { Ok(OperatorKind::Fork(branches)) }
    }

    fn search(&mut self) -> Parsed<OperatorKind> {
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
    fn search_or(&mut self) -> Parsed<Expr> {
        let start = self.span();
        let expr = self.expr()?;
        if !self.eat(":") {
            return Ok(expr);
        }
        let right = self.additive()?;
        let kind = ExprKind::Text { function: "has", negated: false, left: Box::new(expr), right: vec![right] };
        let first = Expr { kind, span: self.span_from(start) };
        let joins: [(&str, fn(Vec<Expr>) -> ExprKind); 2] = [("and", ExprKind::And), ("or", ExprKind::Or)];
        for (word, join) in joins {
            if self.eat_word(word) {
                let rest = self.nested(Self::search_or)?;
                return Ok(Expr { kind: join(vec![first, rest]), span: self.span_from(start) });
            }
        }
        Ok(first)
    }

    fn find(&mut self) -> Parsed<OperatorKind> {
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
