//! Operators that keep or reshape the rows of one table.

use std::collections::HashSet;

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::functions::nearest;
use kyma_plan::{AggregateCall, Expr, Node, Plan, SortKey, Visualization, WindowCall};

use super::call::aggregate_name;
use super::graph::Piped;
use super::naming::{Names, name_of};
use super::recover::{follows, is_limit};
use super::{Bind, Binder, Row, ScopeId, fail, fail_with_hint, unsupported};
use crate::ast::{self, Arg, ExprKind, OperatorKind, ReorderItem, SortItem};
use crate::limits::{COLUMNS_MAX, STACK_PIECE, STACK_RED_ZONE};

/// Column names with their expressions.
pub(super) type Columns = Vec<(String, Expr)>;

impl Binder<'_> {
    /// The operators of a pipeline, in order.
    pub(super) fn pipeline_from(&mut self, plan: Plan, operators: &[ast::Operator], scope: &mut ScopeId) -> Bind<Plan> {
        let span = plan.span;
        let piped = self.piped_through(Piped::Table(plan), operators, scope)?;
        self.table_of(piped, span)
    }

    /// As [`Binder::pipeline_from`], where graphs may stand, too.
    pub(super) fn piped_through(
        &mut self,
        piped: Piped,
        operators: &[ast::Operator],
        scope: &mut ScopeId,
    ) -> Bind<Piped> {
        let mut piped = piped;
        for operator in operators {
            self.nodes += 1;
            self.check_nodes(operator.span)?;
            if !matches!(operator.kind, OperatorKind::Union { .. }) {
                self.piped_label = None;
            }
            let before = match &piped {
                Piped::Table(plan) => Some(plan.schema.clone()),
                Piped::Graph(_) => None,
            };
            let next = stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.piped_operator(piped, operator, scope));
            piped = match (next, before) {
                // What follows a broken graph could only be misread.
                (Err(error), Some(before)) if !is_limit(&error) && !matches!(operator.kind, OperatorKind::Graph(_)) => {
                    Piped::Table(self.after_error(before, operator, *error))
                }
                (next, _) => next?,
            };
            if let Piped::Table(plan) = &piped
                && plan.schema.len() > COLUMNS_MAX
            {
                let message = format!("a row has more columns than the limit: limit={COLUMNS_MAX}");
                return fail("kql.too_long", message, operator.span);
            }
        }
        if let Piped::Table(plan) = &piped {
            super::check_plan_height(plan)?;
        }
        Ok(piped)
    }

    pub(super) fn operator(&mut self, input: Plan, operator: &ast::Operator, scope: &mut ScopeId) -> Bind<Plan> {
        let span = operator.span;
        let names = *scope;
        match &operator.kind {
            OperatorKind::Where(predicate) => self.filter(input, predicate, names, span),
            OperatorKind::Project(args) => self.project(input, args, names, span),
            OperatorKind::Extend(args) | OperatorKind::Serialize(args) => self.extend(input, args, names, span),
            OperatorKind::ProjectAway(items) => self.project_away(input, items, span),
            OperatorKind::ProjectKeep(items) => self.project_keep(input, items, span),
            OperatorKind::ProjectRename(args) => self.project_rename(input, args, span),
            OperatorKind::ProjectReorder(items) => self.project_reorder(input, items, span),
            OperatorKind::Summarize { aggregates, by } => self.summarize(input, aggregates, by, names, span),
            OperatorKind::Distinct(args) => self.distinct(input, args, names, span),
            OperatorKind::Sort(items) => self.sort(input, items, names, span),
            OperatorKind::Top { count, by } => {
                let count = self.count(count, names)?;
                let sorted = self.sort(input, by, names, span)?;
                Ok(Plan::limit(sorted, count, span))
            }
            OperatorKind::Take(count) => {
                let count = self.count(count, names)?;
                Ok(Plan::limit(input, count, span))
            }
            OperatorKind::Count(name) => {
                let name = name.as_ref().map_or("Count", |name| name.text.as_str());
                Ok(count_rows(input, name, span))
            }
            OperatorKind::Join { settings, right, on, lookup } => {
                self.join(input, settings, right, on, *lookup, names, span)
            }
            OperatorKind::Union { settings, inputs } => self.union(Some(input), settings, inputs, names, span),
            OperatorKind::MvExpand(expand) => self.mv_expand(input, expand, names, span),
            OperatorKind::MvApply { expand, body } => self.mv_apply(input, expand, body, names, span),
            OperatorKind::Parse { text, kind, flags, pattern, only_matching } => {
                self.parse_text(input, text, kind, flags, pattern, *only_matching, names, span)
            }
            OperatorKind::ParseKv { text, columns, settings } => {
                self.parse_kv(input, text, columns, settings, names, span)
            }
            OperatorKind::Render { kind, settings } => {
                self.visualization = Some(visualization(kind, settings));
                Ok(input)
            }
            OperatorKind::Getschema => Ok(getschema(&input, span)),
            OperatorKind::As(name) => {
                self.result_name = Some(name.text.clone());
                let plan = self.materialize(input);
                let binding = super::Binding::Table { plan: plan.clone(), label: None };
                *scope = self.declare(&name.text, binding, names);
                Ok(plan)
            }
            OperatorKind::Sample(count) => {
                let count = self.count(count, names)?;
                let schema = input.schema.clone();
                Ok(Plan::new(Node::Sample { input: Box::new(input), count }, schema, span))
            }
            OperatorKind::SampleDistinct { count, of } => {
                let count = self.count(count, names)?;
                let distinct = self.distinct(input, std::slice::from_ref(of), names, span)?;
                Ok(Plan::limit(distinct, count, span))
            }
            OperatorKind::TopNested(levels) => self.top_nested(input, levels, names, span),
            OperatorKind::TopHitters { count, of, by } => self.top_hitters(input, count, of, by.as_ref(), names, span),
            OperatorKind::MakeSeries { items, axis, from, to, step, by } => {
                self.make_series(input, items, axis, from.as_ref(), to.as_ref(), step, by, names, span)
            }
            OperatorKind::Invoke(call) => self.invoke_on(input, call, names, span),
            OperatorKind::Partition { key, body } => self.partition(input, key, body, names, span),
            OperatorKind::PartitionOf { key, body } => self.partition_of(input, key, body, names, span),
            OperatorKind::Scan(clause) => self.scan(input, clause, names, span),
            OperatorKind::Search { predicate, case_sensitive, .. } => {
                self.search_in(input, predicate, *case_sensitive, names, span)
            }
            OperatorKind::Evaluate(call, declared) => self.evaluate(input, call, declared.as_ref(), names, span),
            OperatorKind::Consume => Ok(Plan::limit(input, 0, span)),
            OperatorKind::Fork(_) => unsupported("'fork' before another operator", span),
            OperatorKind::Facet { .. } => unsupported("'facet' before another operator", span),
            OperatorKind::Reduce { text, settings } => self.reduce(input, text, settings, names, span),
            OperatorKind::AssertSchema(columns) => self.assert_schema(input, columns, span),
            OperatorKind::Cache => Ok(self.materialize(input)),
            OperatorKind::Graph(operator) => super::graph::needs_graph(operator.word(), span),
            OperatorKind::Unsupported(word) if word.is_empty() => follows(span),
            OperatorKind::Unsupported(word) => unsupported(&format!("the operator '{word}'"), span),
            OperatorKind::Range { .. }
            | OperatorKind::Print(_)
            | OperatorKind::Datatable { .. }
            | OperatorKind::External { .. }
            | OperatorKind::MacroExpand { .. }
            | OperatorKind::Find(_) => fail("kql.syntax", "this operator starts a query and cannot follow '|'", span),
        }
    }

    fn ordered_row(&mut self, schema: &Schema, scope: ScopeId) -> Row {
        let mut row = self.row(schema.clone(), scope);
        row.windows = Some(Vec::new());
        row
    }

    fn filter(&mut self, input: Plan, predicate: &ast::Expr, scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut input = input;
        let parts = self.take_cursors(&mut input, predicate, scope)?;
        let mut row = self.ordered_row(&input.schema, scope);
        let mut bound = self.every(parts, |binder, part| binder.predicate(part, &mut row))?;
        let predicate = match bound.len() {
            0 => return Ok(input),
            1 => bound.remove(0),
            _ => Expr { kind: kyma_plan::ExprKind::And(bound), ty: Type::Bool, span: predicate.span },
        };
        let schema = input.schema.clone();
        let calls = row.windows.unwrap_or_default();
        let drops = !calls.is_empty();
        let input = if drops { input } else { super::join::before_unique(input, &predicate) };
        let filtered = Plan::filter(with_windows(input, calls), predicate);
        Ok(if drops { keep_columns(filtered, &(0..schema.len()).collect::<Vec<_>>(), span) } else { filtered })
    }

    pub(super) fn project(&mut self, input: Plan, args: &[Arg], scope: ScopeId, span: Span) -> Bind<Plan> {
        self.projected(input, args, Names::declaring(explicit(args)), scope, span)
    }

    fn projected(&mut self, input: Plan, args: &[Arg], names: Names, scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut names = names;
        let mut row = self.ordered_row(&input.schema, scope);
        let mut columns: Columns = Vec::new();
        for arg in args {
            if matches!(arg.value.kind, ExprKind::Star) {
                for (index, column) in input.schema.columns().iter().enumerate() {
                    columns.push((names.unique(&column.name), Expr::column(index, column.ty, arg.value.span)));
                }
                continue;
            }
            if let Some(several) = self.several(arg, &mut row)? {
                columns.extend(several.into_iter().map(|(name, expr)| (names.unique(&name), expr)));
                continue;
            }
            let value = self.scalar(&arg.value, &mut row);
            if arg.tuple {
                let expr = self.value_or_poisons(value, &arg.names, arg.value.span)?;
                columns.extend(elements(&arg.names, &expr).map(|(name, expr)| (names.unique(name), expr)));
                continue;
            }
            let name = names.of(arg.names.first(), &arg.value, &input.schema);
            let expr = self.value_or_poison(value, &name, arg.value.span)?;
            columns.push((name, expr));
        }
        columns.extend(self.meant_columns(span));
        let calls = row.windows.unwrap_or_default();
        Ok(Plan::project(with_windows(input, calls), columns, span))
    }

    /// Adds columns; one with the name of an existing column takes its place.
    pub(super) fn extend(&mut self, input: Plan, args: &[Arg], scope: ScopeId, span: Span) -> Bind<Plan> {
        if args.is_empty() {
            return Ok(input);
        }
        let mut row = self.ordered_row(&input.schema, scope);
        let mut fresh: Columns = Vec::new();
        let mut names = Names::declaring(explicit(args)).beside(input.schema.columns().iter().map(|c| c.name.as_str()));
        for arg in args {
            if let Some(several) = self.several(arg, &mut row)? {
                fresh.extend(several);
                continue;
            }
            let value = self.scalar(&arg.value, &mut row);
            if arg.tuple {
                let expr = self.value_or_poisons(value, &arg.names, arg.value.span)?;
                fresh.extend(elements(&arg.names, &expr).map(|(name, expr)| (name.to_owned(), expr)));
                continue;
            }
            let name = match (arg.names.first(), name_of(&arg.value, &input.schema)) {
                (Some(name), _) => name.text.clone(),
                (None, Some(name)) => names.unique(&name),
                (None, None) => names.number(),
            };
            let expr = self.value_or_poison(value, &name, arg.value.span)?;
            fresh.push((name, expr));
        }
        let calls = row.windows.unwrap_or_default();
        Ok(extended(with_windows_of(input, calls), fresh, span))
    }

    fn project_away(&mut self, input: Plan, items: &[ast::Expr], span: Span) -> Bind<Plan> {
        let away: HashSet<usize> = self.matching(&input.schema, items)?.into_iter().collect();
        let kept: Vec<usize> = (0..input.schema.len()).filter(|index| !away.contains(index)).collect();
        Ok(keep_columns(input, &kept, span))
    }

    fn project_keep(&mut self, input: Plan, items: &[ast::Expr], span: Span) -> Bind<Plan> {
        let keep: HashSet<usize> = self.matching(&input.schema, items)?.into_iter().collect();
        let kept: Vec<usize> = (0..input.schema.len()).filter(|index| keep.contains(index)).collect();
        Ok(keep_columns(input, &kept, span))
    }

    fn project_rename(&mut self, input: Plan, args: &[Arg], span: Span) -> Bind<Plan> {
        let mut columns: Columns = all_columns(&input.schema, span);
        let row = self.row(input.schema.clone(), super::ROOT);
        for arg in args {
            let (Some(new), ExprKind::Name(old)) = (arg.names.first(), &arg.value.kind) else {
                return fail("kql.syntax", "expected 'new = old'", arg.value.span);
            };
            let index = self.column_index(old, arg.value.span, &row)?;
            columns[index].0 = new.text.clone();
        }
        reject_doubles(&columns, span)?;
        Ok(Plan::project(input, columns, span))
    }

    fn project_reorder(&mut self, input: Plan, items: &[ReorderItem], span: Span) -> Bind<Plan> {
        let mut order: Vec<usize> = Vec::new();
        for item in items {
            let mut found = self.matching(&input.schema, std::slice::from_ref(&item.expr))?;
            if let Some(wanted) = item.order {
                let name = |at: usize| input.schema.columns().get(at).map_or("", |column| column.name.as_str());
                found.sort_by(|a, b| match wanted.by_numbers {
                    true => by_numbers(name(*a), name(*b)),
                    false => name(*a).cmp(name(*b)),
                });
                if wanted.descending {
                    found.reverse();
                }
            }
            order.extend(found);
        }
        order.extend(0..input.schema.len());
        let mut seen = HashSet::new();
        order.retain(|index| seen.insert(*index));
        Ok(keep_columns(input, &order, span))
    }

    /// Places of the columns that names and patterns mean, in their order.
    pub(super) fn matching(&mut self, schema: &Schema, items: &[ast::Expr]) -> Bind<Vec<usize>> {
        let found = self.every(items, |binder, item| match &item.kind {
            ExprKind::Name(name) => {
                let row = binder.row(schema.clone(), super::ROOT);
                Ok(vec![binder.column_index(name, item.span, &row)?])
            }
            ExprKind::Star => Ok((0..schema.len()).collect()),
            ExprKind::Wildcard(pattern) => {
                let columns = schema.columns().iter().enumerate();
                Ok(columns.filter(|(_, c)| wildcard(pattern, &c.name)).map(|(index, _)| index).collect())
            }
            ExprKind::Call(call) if matches!(call.name.text.as_str(), "column_ifexists" | "columnifexists") => {
                let mut row = binder.row(schema.clone(), super::ROOT);
                let name = binder.text_arg(call, 0, &mut row)?;
                Ok(schema.index_of(&name).into_iter().collect())
            }
            _ => fail("kql.syntax", "expected a column name or a pattern", item.span),
        })?;
        Ok(found.into_iter().flatten().collect())
    }

    pub(super) fn distinct(&mut self, input: Plan, args: &[Arg], scope: ScopeId, span: Span) -> Bind<Plan> {
        let names = Names::declaring(explicit(args)).beside(direct(args)).of_distinct();
        let projected = self.projected(input, args, names, scope, span)?;
        let schema = projected.schema.clone();
        let keys = all_columns(&schema, span).into_iter().map(|(_, expr)| expr).collect();
        Ok(Plan::new(Node::Aggregate { input: Box::new(projected), keys, aggregates: Vec::new() }, schema, span))
    }

    pub(super) fn sort(&mut self, input: Plan, items: &[SortItem], scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut row = self.row(input.schema.clone(), scope);
        let keys = self.every(items, |binder, item| {
            let expr = binder.scalar(&item.expr, &mut row)?;
            let nulls_first = item.nulls_first.unwrap_or(!item.descending);
            Ok(SortKey { expr, descending: item.descending, nulls_first })
        })?;
        Ok(Plan::sort(input, keys, span))
    }

    fn invoke_on(&mut self, input: Plan, call: &ast::Call, scope: ScopeId, span: Span) -> Bind<Plan> {
        let name = call.name.text.as_str();
        let Some(super::Binding::Function { lambda, scope: owner }) = self.lookup(name, scope).cloned() else {
            let mut row = self.constant_row(scope);
            match self.invoke_stored(name, None, &call.args, Some(input), span, &mut row)? {
                Some(super::Bound::Table(plan)) => return Ok(plan),
                Some(super::Bound::Scalar(_)) => {
                    return fail("kql.type", format!("{name}() does not give a table"), span);
                }
                None => {}
            }
            let message = format!("unknown function '{name}'");
            let near = nearest(name, self.names_in(scope).into_iter()).map(|near| format!("did you mean '{near}'?"));
            return fail_with_hint("kql.unknown_function", message, call.name.span, near);
        };
        let mut row = self.constant_row(scope);
        match self.invoke(name, &lambda, owner, &call.args, Some(input), span, &mut row)? {
            super::Bound::Table(plan) => Ok(plan),
            super::Bound::Scalar(_) => fail("kql.type", format!("{name}() does not give a table"), span),
        }
    }

    fn top_hitters(
        &mut self,
        input: Plan,
        count: &ast::Expr,
        of: &ast::Expr,
        by: Option<&ast::Expr>,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let count = self.count(count, scope)?;
        let mut row = self.row(input.schema.clone(), scope);
        let key = self.scalar(of, &mut row)?;
        let key_name = name_of(of, &input.schema).unwrap_or_else(|| "Column1".to_owned());
        let (call, name) = match by {
            Some(by) => {
                let by_name = name_of(by, &input.schema).unwrap_or_default();
                let by = self.scalar(by, &mut row)?;
                (self.aggregate_of("sum", vec![by], span)?, format!("approximate_sum_{by_name}"))
            }
            None => (self.aggregate_of("count", Vec::new(), span)?, format!("approximate_count_{key_name}")),
        };
        let schema = Schema::from([(key_name, key.ty), (name, call.types[0])]);
        let ty = call.types[0];
        let node = Node::Aggregate { input: Box::new(input), keys: vec![key], aggregates: vec![call] };
        let plan = Plan::new(node, schema, span);
        let by = SortKey { expr: Expr::column(1, ty, span), descending: true, nulls_first: false };
        Ok(Plan::limit(Plan::sort(plan, vec![by], span), count, span))
    }
}

/// Names that the query gives.
pub(super) fn explicit(args: &[Arg]) -> impl Iterator<Item = &str> {
    args.iter().flat_map(|arg| arg.names.iter().map(|name| name.text.as_str()))
}

/// Names of columns that stand alone.
pub(super) fn direct(args: &[Arg]) -> impl Iterator<Item = &str> {
    args.iter().filter_map(|arg| match &arg.value.kind {
        ExprKind::Name(name) if arg.names.is_empty() => Some(name.as_str()),
        _ => None,
    })
}

/// `(a, b) = array`: its elements.
fn elements<'n>(names: &'n [ast::Name], expr: &Expr) -> impl Iterator<Item = (&'n str, Expr)> {
    let base = super::fold::convert(expr.clone(), Type::Dynamic);
    names.iter().enumerate().map(move |(at, name)| {
        let index = Box::new(Expr::literal(Value::Long(at as i64), name.span));
        let kind = kyma_plan::ExprKind::Element { base: Box::new(base.clone()), index };
        (name.text.as_str(), Expr { kind, ty: Type::Dynamic, span: name.span })
    })
}

fn reject_doubles(columns: &Columns, span: Span) -> Bind<()> {
    let mut seen = HashSet::new();
    match columns.iter().find(|(name, _)| !seen.insert(name.as_str())) {
        Some((name, _)) => fail("kql.duplicate_column", format!("the column '{name}' is given twice"), span),
        None => Ok(()),
    }
}

/// Every column as it is.
pub(super) fn all_columns(schema: &Schema, span: Span) -> Columns {
    let columns = schema.columns().iter().enumerate();
    columns.map(|(index, column)| (column.name.clone(), Expr::column(index, column.ty, span))).collect()
}

/// The columns at these places, in this order.
pub(super) fn keep_columns(input: Plan, places: &[usize], span: Span) -> Plan {
    if places.len() == input.schema.len() && places.iter().enumerate().all(|(at, place)| at == *place) {
        return input;
    }
    Plan::keep(input, places.iter().copied(), span)
}

/// A plan whose first columns are `base`'s; the rest is only for the new columns.
struct Extendable {
    plan: Plan,
    base: Schema,
}

fn with_windows_of(input: Plan, calls: Vec<WindowCall>) -> Extendable {
    let base = input.schema.clone();
    Extendable { plan: with_windows(input, calls), base }
}

/// The base columns, where new ones of the same name take their place, then the other new ones.
fn extended(input: Extendable, fresh: Columns, span: Span) -> Plan {
    let mut columns = all_columns(&input.base, span);
    for (name, expr) in fresh {
        match columns.iter_mut().find(|(existing, _)| *existing == name) {
            Some(place) => place.1 = expr,
            None => columns.push((name, expr)),
        }
    }
    Plan::project(input.plan, columns, span)
}

/// Adds columns to a plan, replacing those of the same name.
pub(super) fn add_columns(input: Plan, fresh: Columns, span: Span) -> Plan {
    let base = input.schema.clone();
    extended(Extendable { plan: input, base }, fresh, span)
}

/// One node per call, so that a call may use the result of the one before.
pub(super) fn with_windows(input: Plan, calls: Vec<WindowCall>) -> Plan {
    let mut plan = input;
    for call in calls {
        let mut columns = plan.schema.columns().to_vec();
        columns.push(Column::new(format!("$window{}", columns.len()), call.ty));
        let span = call.span;
        plan = Plan::new(Node::Window { input: Box::new(plan), calls: vec![call] }, Schema::new(columns), span);
    }
    plan
}

pub(super) fn count_rows(input: Plan, name: &str, span: Span) -> Plan {
    let call = AggregateCall { function: aggregate_name("count"), args: Vec::new(), types: vec![Type::Long], span };
    let node = Node::Aggregate { input: Box::new(input), keys: Vec::new(), aggregates: vec![call] };
    Plan::new(node, Schema::from([(name, Type::Long)]), span)
}

/// Names by their runs of digits, as numbers, and what stands between.
fn by_numbers(a: &str, b: &str) -> std::cmp::Ordering {
    let split = |text: &str| {
        let digits = text.starts_with(|c: char| c.is_ascii_digit());
        let end = text.find(|c: char| c.is_ascii_digit() != digits).unwrap_or(text.len());
        (digits, end)
    };
    let (mut a, mut b) = (a, b);
    while !a.is_empty() && !b.is_empty() {
        let ((a_digits, a_end), (b_digits, b_end)) = (split(a), split(b));
        let (a_run, a_rest) = a.split_at(a_end);
        let (b_run, b_rest) = b.split_at(b_end);
        let order = match a_digits && b_digits {
            true => {
                let (x, y) = (a_run.trim_start_matches('0'), b_run.trim_start_matches('0'));
                x.len().cmp(&y.len()).then_with(|| x.cmp(y))
            }
            false => a_run.cmp(b_run),
        };
        if order.is_ne() {
            return order;
        }
        (a, b) = (a_rest, b_rest);
    }
    a.len().cmp(&b.len())
}

/// Whether `name` fits a pattern of `*`.
pub(super) fn wildcard(pattern: &str, name: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = name.strip_prefix(parts.next().unwrap_or_default()) else { return false };
    let mut parts = parts.peekable();
    if parts.peek().is_none() {
        return rest.is_empty();
    }
    while let Some(part) = parts.next() {
        if parts.peek().is_none() {
            return rest.ends_with(part);
        }
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    true
}

fn getschema(input: &Plan, span: Span) -> Plan {
    let dotnet = |ty: Type| match ty {
        Type::Decimal => "System.Data.SqlTypes.SqlDecimal".to_owned(),
        other => format!("System.{}", other.dotnet_name()),
    };
    let rows = input.schema.columns().iter().enumerate().map(|(index, column)| {
        vec![
            Value::String(column.name.clone()),
            Value::Int(i32::try_from(index).unwrap_or(i32::MAX)),
            Value::String(dotnet(column.ty)),
            Value::String(column.ty.name().to_owned()),
        ]
    });
    let schema = Schema::from([
        ("ColumnName", Type::String),
        ("ColumnOrdinal", Type::Int),
        ("DataType", Type::String),
        ("ColumnType", Type::String),
    ]);
    Plan::new(Node::Values(rows.collect()), schema, span)
}

fn visualization(kind: &str, settings: &ast::Settings) -> Visualization {
    let text = |expr: &ast::Expr| match &expr.kind {
        ExprKind::Name(name) => name.clone(),
        ExprKind::Literal(Value::String(text)) => text.clone(),
        ExprKind::Literal(Value::Long(number)) => number.to_string(),
        ExprKind::Literal(Value::Real(number)) => number.to_string(),
        ExprKind::Literal(Value::Bool(truth)) => truth.to_string(),
        _ => String::new(),
    };
    let properties = settings.iter().map(|(name, value)| (name.text.clone(), text(value))).collect();
    Visualization { kind: kind.to_owned(), properties }
}
