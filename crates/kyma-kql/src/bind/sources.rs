//! Where rows come from: tables, `print`, `range`, `datatable`, `union`.

use kyma_core::error::Span;
use kyma_core::{Column, Schema, Type, Value};
use kyma_plan::functions::{common_type, nearest};
use kyma_plan::node::{Added, Scan};
use kyma_plan::{Diagnostic, Expr, Node, Plan, Severity};

use super::naming::Names;
use super::operators::{Columns, explicit, wildcard};
use super::recover::{FOLLOWS, follows};
use super::{Bind, Binder, Binding, Bound, ScopeId, fail, fail_with_hint, fold, unsupported};
use crate::ast::{self, Arg, ExprKind, OperatorKind, Param, Settings};
use crate::limits::{STACK_PIECE, STACK_RED_ZONE};

impl Binder<'_> {
    /// A table.
    pub(super) fn table(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Plan> {
        stacker::maybe_grow(STACK_RED_ZONE, STACK_PIECE, || self.table_here(expr, scope))
    }

    fn table_here(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Plan> {
        match &expr.kind {
            ExprKind::Pipeline(_) => {
                let piped = self.piped(expr, scope)?;
                self.table_of(piped, expr.span)
            }
            ExprKind::Source(operator) => self.source(operator, scope),
            ExprKind::Member(base, name) => {
                let database = self.database_of(base, scope)?;
                self.stored(&name.text, database.as_deref(), expr.span)
            }
            ExprKind::Index(base, index) if self.is_database(base) => {
                let database = self.database_of(base, scope)?;
                match &index.kind {
                    ExprKind::Literal(Value::String(name)) => self.stored(name, database.as_deref(), expr.span),
                    _ => fail("kql.syntax", "expected a table's name", index.span),
                }
            }
            ExprKind::Name(name) => self.named_table(name, expr.span, scope),
            ExprKind::Wildcard(_) | ExprKind::Star => {
                self.union(None, &Vec::new(), std::slice::from_ref(expr), scope, expr.span)
            }
            _ => {
                let mut row = self.constant_row(scope);
                match self.value(expr, &mut row).map_err(|error| as_unknown_table(error, expr))? {
                    Bound::Table(plan) => Ok(plan),
                    Bound::Scalar(_) => fail("kql.type", "a scalar stands where a table is wanted", expr.span),
                }
            }
        }
    }

    /// A table by name: of a `let` first, then stored.
    pub(super) fn named_table(&mut self, name: &str, span: Span, scope: ScopeId) -> Bind<Plan> {
        if self.lookup(name, scope).is_none() {
            return self.stored(name, None, span);
        }
        let mut row = self.constant_row(scope);
        match self.named(name, span, &mut row)? {
            Bound::Table(plan) => Ok(plan),
            Bound::Scalar(_) => fail("kql.type", format!("'{name}' is not a table"), span),
        }
    }

    /// The rows of a stored table.
    pub(super) fn stored(&mut self, name: &str, database: Option<&str>, span: Span) -> Bind<Plan> {
        self.nodes += 1;
        self.check_nodes(span)?;
        let database = &database.unwrap_or(self.database()).to_owned();
        self.check_access(name, span)?;
        if let Some(table) = self.context.schemas.table(database, name) {
            if let Some(rows) = self.context.schemas.rows(database, name) {
                return Ok(Plan::new(Node::Values(rows), table.schema, span));
            }
            let scan = Scan {
                database: table.database,
                table: table.name,
                null_strings_are_empty: true,
                added: Added::default(),
            };
            return Ok(Plan::new(Node::Scan(scan), table.schema, span));
        }
        let mut row = self.constant_row(super::ROOT);
        match self.invoke_stored(name, Some(database), &[], None, span, &mut row)? {
            Some(Bound::Table(plan)) => return Ok(plan),
            Some(Bound::Scalar(_)) => return fail("kql.type", format!("{name}() does not give a table"), span),
            None => {}
        }
        if self.has_enough_errors() {
            return follows(span);
        }
        if self.context.schemas.databases().iter().all(|known| known != database) && database != self.context.database {
            let known = self.context.schemas.databases();
            let near =
                nearest(database, known.iter().map(String::as_str)).map(|near| format!("did you mean '{near}'?"));
            return fail_with_hint("kql.unknown_database", format!("unknown database '{database}'"), span, near);
        }
        let mut tables = self.context.schemas.tables(database);
        tables.extend(self.context.schemas.functions(database));
        let near = nearest(name, tables.iter().map(String::as_str)).map(|near| format!("did you mean '{near}'?"));
        fail_with_hint("kql.unknown_table", format!("unknown table or name '{name}'"), span, near)
    }

    /// Refuses a table that `restrict access to` does not list.
    pub(super) fn check_access(&self, name: &str, span: Span) -> Bind<()> {
        match &self.restricted {
            Some(allowed) if !allowed.iter().any(|pattern| wildcard(pattern, name)) => {
                let hint = Some("name it in 'restrict access to (...)'".to_owned());
                fail_with_hint("kql.restricted", format!("the query has no access to '{name}'"), span, hint)
            }
            _ => Ok(()),
        }
    }

    /// Whether it is `database(...)` or `cluster(...).database(...)`.
    pub(super) fn is_database(&self, expr: &ast::Expr) -> bool {
        match &expr.kind {
            ExprKind::Call(call) => {
                matches!(call.name.text.as_str(), "database" | "cluster" | "workspace" | "app" | "adx" | "arg")
            }
            ExprKind::Member(base, _) => self.is_database(base),
            ExprKind::Name(name) => self.entity(name).is_some(),
            _ => false,
        }
    }

    /// The name in `database("x")`; the cluster is ours, whatever it says.
    pub(super) fn database_of(&mut self, expr: &ast::Expr, scope: ScopeId) -> Bind<Option<String>> {
        if let ExprKind::Name(name) = &expr.kind
            && let Some(entity) = self.entity(name).cloned()
            && !matches!(entity.kind, ExprKind::Name(_))
        {
            return self.database_of(&entity, scope);
        }
        let ExprKind::Call(call) = &expr.kind else {
            return fail("kql.syntax", "expected database(\"name\")", expr.span);
        };
        match call.name.text.as_str() {
            "database" => {
                let mut row = self.constant_row(scope);
                let name = self.text_arg(call, 0, &mut row)?;
                Ok(Some(self.aliases.get(&name).cloned().unwrap_or(name)))
            }
            "cluster" | "workspace" | "app" | "adx" | "arg" => Ok(None),
            other => fail("kql.syntax", format!("'{other}' is not a database"), expr.span),
        }
    }

    fn source(&mut self, operator: &ast::Operator, scope: ScopeId) -> Bind<Plan> {
        self.nodes += 1;
        let span = operator.span;
        match &operator.kind {
            OperatorKind::Print(args) => self.print(args, scope, span),
            OperatorKind::Range { name, from, to, step } => self.range(name, from, to, step, scope, span),
            OperatorKind::Datatable { columns, values } => self.datatable(columns, values, scope, span),
            OperatorKind::Union { settings, inputs } => self.union(None, settings, inputs, scope, span),
            OperatorKind::Search { predicate, tables, case_sensitive } => {
                let found = self.found_in(predicate, tables, *case_sensitive, scope, span)?;
                Ok(united(found, Some(super::search::SOURCE_COLUMN), false, span))
            }
            OperatorKind::Find(clause) => self.find(clause, scope, span),
            OperatorKind::External { columns, urls, settings } => self.external(columns, urls, settings, scope, span),
            OperatorKind::MacroExpand { settings, group, name, body } => {
                self.macro_expand(settings, group, name, body, scope, span)
            }
            OperatorKind::Unsupported(word) if word.is_empty() => follows(span),
            OperatorKind::Unsupported(word) => unsupported(&format!("'{word}'"), span),
            _ => fail("kql.syntax", "this operator needs a table before it", span),
        }
    }

    fn print(&mut self, args: &[Arg], scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut row = self.constant_row(scope);
        let mut names = Names::declaring(explicit(args));
        let mut columns: Columns = Vec::new();
        for (at, arg) in args.iter().enumerate() {
            if let Some(several) = self.several(arg, &mut row)? {
                columns.extend(several.into_iter().map(|(name, expr)| (names.unique(&name), expr)));
                continue;
            }
            let value = self.scalar(&arg.value, &mut row);
            let name = match arg.names.first() {
                Some(name) => names.unique(&name.text),
                None => names.unique(&format!("print_{at}")),
            };
            let expr = self.value_or_poison(value, &name, arg.value.span)?;
            columns.push((name, expr));
        }
        let unit = Plan::new(Node::Unit, Schema::default(), span);
        Ok(Plan::project(unit, columns, span))
    }

    fn range(
        &mut self,
        name: &ast::Name,
        from: &ast::Expr,
        to: &ast::Expr,
        step: &ast::Expr,
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let mut row = self.constant_row(scope);
        let bounds = self.every([from, to, step], |binder, bound| binder.scalar(bound, &mut row))?;
        let Ok([from, to, step]) = <[Expr; 3]>::try_from(bounds) else { return follows(span) };
        let ints = [&from, &to, &step].iter().all(|bound| bound.ty == Type::Int);
        let ty = match (from.ty, to.ty, step.ty) {
            (Type::Datetime, _, Type::Timespan) => Type::Datetime,
            (Type::Timespan, _, Type::Timespan) => Type::Timespan,
            (Type::Datetime, ..) => return fail("kql.type", "the step of times is a timespan", step.span),
            (a, b, c) => {
                let a = if a == Type::Int || a == Type::Dynamic { Type::Long } else { a };
                let widened = [b, c].into_iter().filter(|ty| *ty != Type::Dynamic).try_fold(a, common_type);
                match widened.filter(|ty| ty.is_numeric()) {
                    Some(ty) => ty,
                    None => return fail("kql.type", format!("no range of a {a}, a {b} and a {c}"), span),
                }
            }
        };
        let step_ty = if ty == Type::Datetime { Type::Timespan } else { ty };
        let node = Node::Range {
            from: fold::convert(from, ty),
            to: fold::convert(to, ty),
            step: fold::convert(step, step_ty),
        };
        let plan = Plan::new(node, Schema::from([(name.text.as_str(), ty)]), span);
        if !ints {
            return Ok(plan);
        }
        let number = Expr::column(0, ty, span).convert(Type::Int);
        Ok(Plan::project(plan, vec![(name.text.clone(), number)], span))
    }

    fn datatable(&mut self, params: &[Param], values: &[ast::Expr], scope: ScopeId, span: Span) -> Bind<Plan> {
        let mut names = Names::default();
        let columns: Vec<Column> = params
            .iter()
            .map(|param| Column::new(names.unique(&param.name.text), param.ty.unwrap_or(Type::Dynamic)))
            .collect();
        if columns.is_empty() || !values.len().is_multiple_of(columns.len()) {
            let message = format!("{} values do not fill rows of {} columns", values.len(), columns.len());
            return fail("kql.datatable", message, span);
        }
        let mut row = self.constant_row(scope);
        let mut cells = Vec::with_capacity(values.len());
        for (at, value) in values.iter().enumerate() {
            let ty = columns[at % columns.len()].ty;
            let expr = self.scalar(value, &mut row)?;
            cells.push(match expr.as_literal().and_then(|value| fold::cell(value, ty)) {
                Some(value) => Expr::literal(value, expr.span),
                None => fold::convert(expr, ty),
            });
        }
        let schema = Schema::new(columns);
        let literals: Option<Vec<Value>> = cells.iter().map(|cell| cell.as_literal().cloned()).collect();
        let width = schema.len();
        Ok(match literals {
            Some(literals) => {
                let rows = literals.chunks(width).map(<[Value]>::to_vec).collect();
                Plan::new(Node::Values(rows), schema, span)
            }
            // Values to compute: a row of expressions each.
            None => {
                let rows = cells.chunks(width).map(|row| {
                    let unit = Plan::new(Node::Unit, Schema::default(), span);
                    let names = schema.columns().iter().map(|column| column.name.clone());
                    Plan::project(unit, names.zip(row.iter().cloned()).collect(), span)
                });
                Plan::new(Node::Union(rows.collect()), schema.clone(), span)
            }
        })
    }

    /// `union`: rows of all inputs, columns by name and type.
    pub(super) fn union(
        &mut self,
        first: Option<Plan>,
        settings: &Settings,
        inputs: &[ast::Expr],
        scope: ScopeId,
        span: Span,
    ) -> Bind<Plan> {
        let setting = |name: &str| {
            settings.iter().find(|(setting, _)| setting.text.eq_ignore_ascii_case(name)).and_then(|(_, value)| {
                match &value.kind {
                    ExprKind::Name(text) | ExprKind::Literal(Value::String(text)) => Some(text.clone()),
                    ExprKind::Literal(Value::Bool(truth)) => Some(truth.to_string()),
                    _ => None,
                }
            })
        };
        let source = setting("withsource").or_else(|| setting("with_source"));
        let inner = setting("kind").is_some_and(|kind| kind == "inner");
        let fuzzy = setting("isfuzzy").is_some_and(|fuzzy| fuzzy == "true");
        let label = self.piped_label.take();
        let mut plans: Vec<(String, Plan)> = Vec::new();
        if let Some(first) = first {
            plans.push((label.unwrap_or_else(|| union_arg(0)), first));
        }
        for input in inputs {
            match self.attempt(|binder| binder.union_input(input, scope)) {
                Ok(found) => {
                    for (label, plan) in found {
                        plans.push((label.unwrap_or_else(|| union_arg(plans.len())), plan));
                    }
                }
                Err(errors) if fuzzy && errors.iter().all(is_unknown) => {
                    let warnings = errors.into_iter().filter(|error| error.code != FOLLOWS);
                    self.warnings.extend(warnings.map(|error| Diagnostic { severity: Severity::Warning, ..error }));
                }
                Err(errors) => {
                    let table = self.give_up(errors, input.span);
                    plans.push((union_arg(plans.len()), self.table_or_open(table, input.span)?));
                }
            }
        }
        if plans.is_empty() {
            return fail("kql.unknown_table", "the union has no table", span);
        }
        Ok(united(plans, source.as_deref(), inner, span))
    }

    /// What `withsource` says of the rows of an expression that is just a table; else they have the place of the input.
    pub(super) fn label_of(&self, expr: &ast::Expr, scope: ScopeId) -> Option<String> {
        match &expr.kind {
            ExprKind::Name(name) => match self.lookup(name, scope) {
                Some(Binding::Table { label, .. }) => label.clone(),
                Some(Binding::Function { lambda, .. }) => lambda.view.then(|| name.clone()),
                Some(_) => None,
                None => Some(name.clone()),
            },
            ExprKind::Member(base, name) if self.is_database(base) => Some(name.text.clone()),
            ExprKind::Pipeline(pipeline) if pipeline.operators.is_empty() => self.label_of(&pipeline.source, scope),
            _ => None,
        }
    }

    /// As [`Binder::label_of`], of what `let` names: another name of a table keeps the table's, a table that stands in
    /// the query has the one it is given.
    pub(super) fn label_of_let(&self, name: &str, value: &ast::Expr, scope: ScopeId) -> Option<String> {
        match &value.kind {
            ExprKind::Source(operator) if matches!(operator.kind, OperatorKind::Datatable { .. }) => {
                Some(name.to_owned())
            }
            _ => self.label_of(value, scope),
        }
    }

    fn union_input(&mut self, input: &ast::Expr, scope: ScopeId) -> Bind<Vec<(Option<String>, Plan)>> {
        let pattern = match &input.kind {
            ExprKind::Star => "*",
            ExprKind::Wildcard(pattern) => pattern.as_str(),
            _ => {
                let label = self.label_of(input, scope);
                return self.table(input, scope).map(|plan| vec![(label, plan)]);
            }
        };
        let tables = self.tables_like(pattern, input.span, scope)?;
        Ok(tables.into_iter().map(|(name, plan)| (Some(name), plan)).collect())
    }

    /// Tables whose name fits: those of `let` in their order, then those stored.
    pub(super) fn tables_like(&mut self, pattern: &str, span: Span, scope: ScopeId) -> Bind<Vec<(String, Plan)>> {
        let mut local: Vec<String> = self.names_in(scope).into_iter().map(str::to_owned).collect();
        local.reverse();
        let mut plans = Vec::new();
        for name in local.iter().filter(|name| wildcard(pattern, name)) {
            let is_table = match self.lookup(name, scope) {
                Some(Binding::Table { .. }) => true,
                Some(Binding::Function { lambda, .. }) => lambda.params.is_empty() && lambda.view,
                _ => false,
            };
            if is_table {
                plans.push((name.clone(), self.named_table(name, span, scope)?));
            }
        }
        let database = self.database().to_owned();
        for name in self.context.schemas.tables(&database) {
            if wildcard(pattern, &name) && !local.contains(&name) {
                plans.push((name.clone(), self.stored(&name, None, span)?));
            }
        }
        Ok(plans)
    }
}

/// A call that stands for a table and is no function is a table that is not there.
fn as_unknown_table(mut error: Box<Diagnostic>, expr: &ast::Expr) -> Box<Diagnostic> {
    if let ExprKind::Call(call) = &expr.kind
        && error.code == "kql.unknown_function"
        && error.span == call.name.span
    {
        error.code = "kql.unknown_table".to_owned();
    }
    error
}

/// Whether an error is one of a table that is not there.
fn is_unknown(error: &Diagnostic) -> bool {
    matches!(error.code.as_str(), "kql.unknown_table" | "kql.unknown_database" | FOLLOWS)
}

/// What `withsource` says of rows without a table's name: the place among the inputs.
fn union_arg(at: usize) -> String {
    format!("union_arg{at}")
}

/// A column of a union: its name, its type, and the name it has in the inputs.
struct Target {
    name: String,
    ty: Type,
    source: String,
}

pub(super) fn united(plans: Vec<(String, Plan)>, source: Option<&str>, inner: bool, span: Span) -> Plan {
    let mut seen: Vec<(String, Type)> = Vec::new();
    for (_, plan) in &plans {
        for column in plan.schema.columns() {
            if seen.iter().any(|(name, ty)| *name == column.name && *ty == column.ty) {
                continue;
            }
            // One name with several types stands where it was first seen, type after type.
            let beside = seen.iter().rposition(|(name, _)| *name == column.name).map_or(seen.len(), |at| at + 1);
            seen.insert(beside, (column.name.clone(), column.ty));
        }
    }
    if inner {
        seen.retain(|(name, ty)| plans.iter().all(|(_, plan)| plan.schema.column(name).is_some_and(|c| c.ty == *ty)));
    }
    let mut names = Names::default();
    let source = source.map(|name| names.unique(name));
    let targets: Vec<Target> = seen
        .iter()
        .map(|(name, ty)| {
            // One name with several types becomes one column per type.
            let several = seen.iter().filter(|(other, _)| other == name).count() > 1;
            let wanted = if several { format!("{name}_{ty}") } else { name.clone() };
            Target { name: names.unique(&wanted), ty: *ty, source: name.clone() }
        })
        .collect();
    let schema: Schema = source
        .iter()
        .map(|name| Column::new(name, Type::String))
        .chain(targets.iter().map(|target| Column::new(&target.name, target.ty)))
        .collect();
    let inputs =
        plans.into_iter().map(|(name, plan)| aligned(plan, &name, source.as_deref(), &targets, span)).collect();
    Plan::new(Node::Union(inputs), schema, span)
}

fn aligned(plan: Plan, name: &str, source: Option<&str>, targets: &[Target], span: Span) -> Plan {
    let mut columns: Columns = Vec::new();
    if let Some(source) = source {
        columns.push((source.to_owned(), Expr::literal(Value::String(name.to_owned()), span)));
    }
    for target in targets {
        let found = plan.schema.index_of(&target.source).filter(|index| plan.schema.columns()[*index].ty == target.ty);
        let expr = match (found, target.ty) {
            (Some(index), ty) => Expr::column(index, ty, span),
            (None, Type::String) => Expr::literal(Value::String(String::new()), span),
            (None, ty) => Expr::literal(Value::Null(ty), span),
        };
        columns.push((target.name.clone(), expr));
    }
    let same = columns.len() == plan.schema.len()
        && columns.iter().enumerate().all(|(at, (name, expr))| {
            expr.kind == kyma_plan::ExprKind::Column(at) && plan.schema.columns()[at].name == *name
        });
    if same { plan } else { Plan::project(plan, columns, span) }
}
