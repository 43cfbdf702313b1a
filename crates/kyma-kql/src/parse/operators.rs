//! Tabular operators, by their leading word.

use kyma_core::error::Span;
use kyma_plan::Diagnostic;
use kyma_plan::functions::nearest;

use super::{Parsed, Parser};
use crate::ast::{Arg, Expr, ExprKind, Name, Operator, OperatorKind, Settings, SortItem};

/// Every operator, for hints.
pub(crate) const NAMES: [&str; 55] = [
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
    "graph-shortest-paths",
    "graph-where-edges",
    "graph-where-nodes",
];

/// Read up to the next pipe and refused when bound.
const UNSUPPORTED: [&str; 7] =
    ["externaldata", "external_data", "scan", "reduce", "assert-schema", "execute-and-cache", "macro-expand"];

fn is_syntax(error: &Diagnostic) -> bool {
    error.code == "kql.syntax" || error.code == "kql.bad_literal"
}

impl Parser<'_> {
    /// `| operator | operator ...`
    pub(super) fn operators_after_pipe(&mut self) -> Parsed<Vec<Operator>> {
        let mut operators = Vec::new();
        while self.eat("|") {
            let start = self.span();
            match self.operator() {
                Ok(operator) => operators.push(operator),
                Err(error) if is_syntax(&error) => operators.push(self.broken(start, *error)),
                Err(error) => return Err(error),
            }
            if self.depth <= 1 && !self.at_end() && !self.is_punct("|") && !self.is_punct(";") {
                let error = self.unexpected("'|', ';' or the end of the query");
                self.report(*error);
                self.recover(&["|", ";"]);
            }
        }
        Ok(operators)
    }

    /// What stands for an operator that could not be read, up to the next one.
    fn broken(&mut self, start: Span, error: Diagnostic) -> Operator {
        self.report(error);
        self.recover(&["|", ";"]);
        Operator { kind: OperatorKind::Unsupported(String::new()), span: self.span_from(start) }
    }

    fn operator(&mut self) -> Parsed<Operator> {
        self.count_operator()?;
        let start = self.span();
        let kind = self.operator_kind()?;
        Ok(Operator { kind, span: self.span_from(start) })
    }

    /// A pipeline without a source, in brackets: the body of `mv-apply`, `partition`, `fork`.
    pub(super) fn sub_pipeline(&mut self, close: &str) -> Parsed<Vec<Operator>> {
        self.nested(|parser| {
            let mut operators = Vec::new();
            loop {
                let start = parser.span();
                match parser.operator() {
                    Ok(operator) => operators.push(operator),
                    Err(error) if is_syntax(&error) => operators.push(parser.broken(start, *error)),
                    Err(error) => return Err(error),
                }
                if !parser.eat("|") {
                    break;
                }
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
        if let Some(operator) = self.graph_operator(&word)? {
            return Ok(OperatorKind::Graph(operator));
        }
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
                let name = if self.eat_word("as") { Some(self.name()?) } else { None };
                OperatorKind::Count(name)
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
                self.report(Diagnostic { hint, ..error });
                self.recover(&["|", ";", ")"]);
                OperatorKind::Unsupported(String::new())
            }
        })
    }

    pub(super) fn named_list(&mut self) -> Parsed<Vec<Arg>> {
        self.list(Self::named)
    }

    fn list_of_print(&mut self) -> Parsed<Vec<Arg>> {
        self.list(|parser| parser.nested(Self::named))
    }

    /// `name=value` pairs such as `kind=inner` and `hint.strategy=shuffle`; none is fine.
    pub(super) fn settings(&mut self) -> Settings {
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

    pub(super) fn setting_value(&mut self) -> Parsed<Expr> {
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
    pub(super) fn table_ref(&mut self) -> Parsed<Expr> {
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
}
