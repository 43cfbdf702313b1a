//! Calls: functions that only planning can do, then user functions, aggregates, functions over the order, scalars.

use kyma_core::error::Span;
use kyma_core::{Type, Value};
use kyma_plan::functions::{self, CallError, nearest, resolve_aggregate, resolve_window};
use kyma_plan::{AggregateCall, BinaryOp, Expr, ExprKind, Node, Plan, WindowCall};

use super::expr::{binary, column, converted, named_columns, not, resolved, truth};
use super::recover::follows;
use super::{Bind, Binder, Binding, Bound, Row, fail, fail_with_hint, fold};
use crate::ast::{self, Call};

impl Binder<'_> {
    pub(super) fn call(&mut self, call: &Call, span: Span, row: &mut Row) -> Bind<Bound> {
        if let Some(base) = &call.base {
            return self.call_of(base, call, span, row);
        }
        let name = call.name.text.as_str();
        if let Some(Binding::Function { lambda, scope }) = self.lookup(name, row.scope).cloned() {
            return self.invoke(name, &lambda, scope, &call.args, None, span, row);
        }
        if call.args.is_empty() && matches!(self.lookup(name, row.scope), Some(Binding::Table { .. })) {
            return self.named(name, span, row);
        }
        if let Some(bound) = self.graph_call(name, call, span, row)? {
            return Ok(Bound::Scalar(bound));
        }
        if let Some(bound) = self.special(name, call, span, row)? {
            return Ok(bound);
        }
        if !is_builtin(name)
            && let Some(bound) = self.invoke_stored(name, None, &call.args, None, span, row)?
        {
            return Ok(bound);
        }
        self.builtin(name, call, span, row).map(Bound::Scalar)
    }

    /// `database("x").table("T")`.
    fn call_of(&mut self, base: &ast::Expr, call: &Call, span: Span, row: &mut Row) -> Bind<Bound> {
        if matches!(call.name.text.as_str(), "table" | "materialized_view" | "external_table") {
            let database = self.database_of(base, row.scope)?;
            let name = self.text_arg(call, 0, row)?;
            return self.stored(&name, database.as_deref(), span).map(Bound::Table);
        }
        if self.is_database(base) {
            let database = self.database_of(base, row.scope)?;
            let name = call.name.text.as_str();
            if let Some(bound) = self.invoke_stored(name, database.as_deref(), &call.args, None, span, row)? {
                return Ok(bound);
            }
        }
        fail("kql.unknown_function", format!("unknown function '{}'", call.name.text), call.name.span)
    }

    /// Functions that only planning can do; `None` for others.
    fn special(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<Option<Bound>> {
        let arg = |at: usize| -> Bind<&ast::Expr> {
            match call.args.get(at) {
                Some(arg) => Ok(&arg.value),
                None => fail("kql.arguments", format!("{name}() needs more arguments"), span),
            }
        };
        let scalar = match name {
            "toscalar" => self.toscalar(arg(0)?, span, row)?,
            "materialize" => {
                let plan = self.table(arg(0)?, row.scope)?;
                return Ok(Some(Bound::Table(self.materialize(plan))));
            }
            "table" | "materialized_view" | "external_table" => {
                let table = self.text_arg(call, 0, row)?;
                return self.named_table(&table, span, row.scope).map(|plan| Some(Bound::Table(plan)));
            }
            "now" => {
                let now = Expr::literal(Value::Datetime(self.context.now), span);
                match call.args.first() {
                    Some(offset) => binary(BinaryOp::Add, now, self.timespan(&offset.value, row)?)?,
                    None => now,
                }
            }
            "ago" => {
                let now = Expr::literal(Value::Datetime(self.context.now), span);
                binary(BinaryOp::Subtract, now, self.timespan(arg(0)?, row)?)?
            }
            "not" => not(truth(self.scalar(arg(0)?, row)?)?),
            "iscolumnexists" => {
                let name = self.text_arg(call, 0, row)?;
                Expr::literal(Value::Bool(row.schema.index_of(&name).is_some()), span)
            }
            "column_ifexists" | "columnifexists" => return self.column_ifexists(call, span, row).map(Some),
            "pack_all" | "bag_pack_columns" => self.pack(name, call, span, row)?,
            "around" => self.around(call, span, row)?,
            "bin_auto" => self.bin_auto(call, span, row)?,
            "current_database" => Expr::literal(Value::String(self.database().to_owned()), span),
            "current_cursor" | "cursor_current" => {
                let sequence = self.context.schemas.sequence(self.database());
                let text = sequence.map_or_else(String::new, |sequence| sequence.0.to_string());
                Expr::literal(Value::String(text), span)
            }
            name if super::cursor::CURSOR_TESTS.contains(&name) => return super::cursor::misplaced(name, span),
            "ingestion_time" => match column(&row.schema, kyma_core::schema::INGESTION_TIME_COLUMN, span) {
                Some(column) => column,
                None => resolved(name, Vec::new(), span)?,
            },
            "extract" | "extract_json" | "extractjson" | "percentile_tdigest" if typed_by(call).is_some() => {
                let position = call.args.len() - 1;
                let args = self.args(&call.args[..position], row)?;
                let found = resolved(name, args, span)?;
                match typed_by(call) {
                    Some(ty) => fold::convert(found, ty),
                    None => found,
                }
            }
            "datetime" if is_now(call, row) => Expr::literal(Value::Datetime(self.context.now), span),
            "make_datetime" if call.args.len() == 1 => {
                let args = self.args(&call.args, row)?;
                resolved("todatetime", args, span)?
            }
            "datetime" | "date" | "time" | "timespan" | "long" | "int" | "real" | "double" | "bool" | "boolean"
            | "decimal" | "guid" | "dynamic"
                if call.args.len() == 1 =>
            {
                let ty = name.parse().unwrap_or(Type::Dynamic);
                let inner = self.scalar(arg(0)?, row)?;
                fold::convert(inner, ty)
            }
            "column_names_of" => {
                let plan = self.table(arg(0)?, row.scope)?;
                let names: Vec<String> =
                    plan.schema.columns().iter().map(|column| kyma_core::dynamic::quote(&column.name)).collect();
                Expr::literal(Value::Dynamic(format!("[{}]", names.join(","))), span)
            }
            _ => return Ok(None),
        };
        Ok(Some(Bound::Scalar(scalar)))
    }

    fn timespan(&mut self, expr: &ast::Expr, row: &mut Row) -> Bind<Expr> {
        let expr = self.scalar(expr, row)?;
        match expr.ty {
            Type::Timespan => Ok(expr),
            Type::Dynamic | Type::String => Ok(fold::convert(expr, Type::Timespan)),
            other => fail("kql.type", format!("expected a timespan, found a {other}"), expr.span),
        }
    }

    /// A constant string argument.
    pub(super) fn text_arg(&mut self, call: &Call, at: usize, row: &mut Row) -> Bind<String> {
        let Some(arg) = call.args.get(at) else {
            return fail("kql.arguments", format!("{}() needs a string", call.name.text), call.name.span);
        };
        match self.scalar(&arg.value, row)?.as_literal() {
            Some(Value::String(text)) => Ok(text.clone()),
            _ => fail("kql.not_constant", "expected a constant string", arg.value.span),
        }
    }

    fn toscalar(&mut self, expr: &ast::Expr, span: Span, row: &mut Row) -> Bind<Expr> {
        match self.value(expr, row)? {
            Bound::Scalar(expr) => Ok(expr),
            Bound::Table(plan) => {
                if self.is_first_unknown(&plan.schema) {
                    return follows(span);
                }
                let Some(first) = plan.schema.columns().first() else {
                    return fail("kql.type", "the table has no columns", plan.span);
                };
                let ty = first.ty;
                Ok(Expr { kind: ExprKind::Scalar(Box::new(plan)), ty, span })
            }
        }
    }

    /// The first column of a table as an array, computed before the query.
    pub(super) fn array_of(&mut self, plan: Plan, span: Span) -> Bind<Expr> {
        if self.is_first_unknown(&plan.schema) {
            return follows(span);
        }
        let Some(first) = plan.schema.columns().first().cloned() else {
            return fail("kql.type", "the table has no columns", plan.span);
        };
        let call = AggregateCall {
            function: aggregate_name("make_set"),
            args: vec![Expr::column(0, first.ty, span)],
            types: vec![Type::Dynamic],
            span,
        };
        let node = Node::Aggregate { input: Box::new(plan), keys: Vec::new(), aggregates: vec![call] };
        let plan = Plan::new(node, kyma_core::Schema::from([("set_", Type::Dynamic)]), span);
        Ok(Expr { kind: ExprKind::Scalar(Box::new(plan)), ty: Type::Dynamic, span })
    }

    fn column_ifexists(&mut self, call: &Call, span: Span, row: &mut Row) -> Bind<Bound> {
        let name = self.text_arg(call, 0, row)?;
        if row.schema.index_of(&name).is_some() {
            return self.name(&name, span, row).map(Bound::Scalar);
        }
        match call.args.get(1) {
            Some(default) => self.scalar(&default.value, row).map(Bound::Scalar),
            None => fail("kql.arguments", "column_ifexists() needs a name and a default", span),
        }
    }

    /// `around(value, centre, delta)`: a closed range, which pruning understands.
    fn around(&mut self, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        let args = self.args(&call.args, row)?;
        let [value, centre, delta] = args.as_slice() else {
            return fail("kql.arguments", "around() needs a value, a centre and a delta", span);
        };
        let low = binary(BinaryOp::Subtract, centre.clone(), delta.clone())?;
        let high = binary(BinaryOp::Add, centre.clone(), delta.clone())?;
        let above = binary(BinaryOp::GreaterOrEqual, value.clone(), low)?;
        let below = binary(BinaryOp::LessOrEqual, value.clone(), high)?;
        Ok(Expr { kind: ExprKind::And(vec![above, below]), ty: Type::Bool, span })
    }

    /// `bin_auto(x)`: a bin whose size, and optionally start, `set` statements before the query give.
    fn bin_auto(&mut self, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        let mut args = self.args(&call.args, row)?;
        if args.len() != 1 {
            return fail("kql.arguments", "bin_auto() takes 1 argument", span);
        }
        let Some(size) = self.setting("query_bin_auto_size", row.scope) else {
            let hint = Some("put 'set query_bin_auto_size = 1h;' before the query".to_owned());
            return fail_with_hint("kql.arguments", "bin_auto() needs the option query_bin_auto_size", span, hint);
        };
        args.push(Expr::literal(size, span));
        match self.setting("query_bin_auto_at", row.scope) {
            Some(at) => {
                args.push(Expr::literal(at, span));
                resolved("bin_at", args, span)
            }
            None => resolved("bin", args, span),
        }
    }

    /// `pack_all()`, `bag_pack_columns(a, b)`: names and values alternating.
    fn pack(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        let mut args = Vec::new();
        if name == "bag_pack_columns" {
            for arg in &call.args {
                let value = self.scalar(&arg.value, row)?;
                let key = super::naming::name_of(&arg.value, &row.schema).unwrap_or_default();
                args.push(Expr::literal(Value::String(key), span));
                args.push(value);
            }
        } else {
            args.extend(named_columns(&row.schema, |_| true, span));
            // `pack_all(true)` leaves out what is null or empty.
            if let Some(flag) = call.args.first() {
                args.push(truth(self.scalar(&flag.value, row)?)?);
            }
        }
        resolved("pack_all", args, span)
    }

    pub(super) fn args(&mut self, args: &[ast::Arg], row: &mut Row) -> Bind<Vec<Expr>> {
        let bound = self.every(args, |binder, arg| {
            if !matches!(arg.value.kind, ast::ExprKind::Star) {
                return Ok(vec![binder.scalar(&arg.value, row)?]);
            }
            let columns = row.schema.columns().iter().enumerate();
            Ok(columns.map(|(index, column)| Expr::column(index, column.ty, arg.value.span)).collect())
        })?;
        Ok(bound.into_iter().flatten().collect())
    }

    fn builtin(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        if row.aggregates.is_some() && functions::aggregate(name).is_some() {
            return self.aggregate(name, call, span, row);
        }
        if functions::window(name).is_some() {
            return self.window(name, call, span, row);
        }
        if functions::scalar(name).is_none() && functions::aggregate(name).is_some() {
            let hint = Some("aggregates stand in 'summarize'".to_owned());
            return fail_with_hint("kql.aggregate", format!("the aggregate {name}() cannot stand here"), span, hint);
        }
        if let Some(bag) = super::several::bag_of(name) {
            let args = self.args(&call.args, row)?;
            return resolved(bag, args, span);
        }
        if functions::scalar(name).is_none() {
            // What is wrong in its arguments is wrong anyway.
            let aggregates = row.aggregates.take();
            if let Err(error) = self.args(&call.args, row) {
                self.report(*error);
            }
            row.aggregates = aggregates;
            return self.unknown_function(name, call.name.span, row);
        }
        let args = self.args(&call.args, row)?;
        let weeks = name == "datetime_diff" && is_week(args.first());
        let called = resolved(name, args, span)?;
        // Weeks between two times are a real, unlike every other part.
        Ok(if weeks { fold::convert(called, Type::Real) } else { called })
    }

    fn unknown_function<T>(&self, name: &str, span: Span, row: &Row) -> Bind<T> {
        if self.has_enough_errors() {
            return follows(span);
        }
        let aggregates = || functions::aggregates().map(|function| function.name);
        let known = functions::scalars()
            .map(|function| function.name)
            .chain(aggregates())
            .chain(functions::windows().map(|function| function.name))
            .chain(functions::planned().map(|function| function.name));
        let stored = self.context.schemas.functions(self.database());
        let known = known.chain(stored.iter().map(String::as_str));
        // Where aggregates are wanted, they are meant.
        let aggregate = if row.aggregates.is_some() { nearest(name, aggregates()) } else { None };
        let near = aggregate.or_else(|| nearest(name, known.chain(self.names_in(row.scope))));
        let near = near.map(|near| format!("did you mean '{near}'?"));
        fail_with_hint("kql.unknown_function", format!("unknown function '{name}'"), span, near)
    }

    fn window(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        if row.windows.is_none() {
            let message = format!("{name}() needs ordered rows and cannot stand here");
            return fail("kql.not_serialized", message, span);
        }
        let args = self.args(&call.args, row)?;
        let types: Vec<Type> = args.iter().map(|arg| arg.ty).collect();
        let found = match resolve_window(name, &types) {
            Ok(found) => found,
            Err(error) => return call_error(name, error, &args, span),
        };
        let call = WindowCall { function: found.function.name, args: converted(args, &found.args), ty: found.ty, span };
        let columns = row.width;
        let Some(windows) = &mut row.windows else { return fail("kql.not_serialized", "no order here", span) };
        windows.push(call);
        Ok(Expr::column(columns + windows.len() - 1, found.ty, span))
    }

    /// An aggregate inside an expression of `summarize`: a column of its result.
    fn aggregate(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<Expr> {
        let Some(mut aggregates) = row.aggregates.take() else {
            return fail("kql.aggregate", "no aggregate here", span);
        };
        let bound = self.aggregate_call(name, call, span, row);
        let result = bound.map(|call| {
            let column = Expr::column(aggregates.next, call.types[0], span);
            aggregates.next += call.types.len();
            aggregates.calls.push(call);
            column
        });
        row.aggregates = Some(aggregates);
        result
    }

    /// An aggregate over the input row.
    pub(super) fn aggregate_call(&mut self, name: &str, call: &Call, span: Span, row: &mut Row) -> Bind<AggregateCall> {
        let counts_rows = name.eq_ignore_ascii_case("count");
        let args = if counts_rows { Vec::new() } else { self.args(&call.args, row)? };
        if counts_rows && call.args.len() > 1 {
            return fail("kql.arguments", "count() takes no arguments", span);
        }
        self.aggregate_of(name, args, span)
    }

    pub(super) fn aggregate_of(&mut self, name: &str, args: Vec<Expr>, span: Span) -> Bind<AggregateCall> {
        let types: Vec<Type> = args.iter().map(|arg| arg.ty).collect();
        let found = match resolve_aggregate(name, &types) {
            Ok(found) => found,
            Err(error) => return call_error(name, error, &args, span),
        };
        let args = converted(args, &found.args);
        let function = found.function.name;
        let types = match function {
            "arg_max" | "arg_min" | "take_any" | "any" => args.iter().map(|arg| arg.ty).collect(),
            "percentiles" => vec![found.ty; args.len() - 1],
            "percentilesw" => vec![found.ty; args.len() - 2],
            _ => vec![found.ty],
        };
        Ok(AggregateCall { function, args, types, span })
    }
}

/// `datetime(now)`, where `now` is no column.
fn is_now(call: &Call, row: &Row) -> bool {
    match call.args.as_slice() {
        [arg] => {
            matches!(&arg.value.kind, ast::ExprKind::Name(name) if name == "now" && row.schema.index_of(name).is_none())
        }
        _ => false,
    }
}

/// Whether the language has a function of this name, which then counts.
fn is_builtin(name: &str) -> bool {
    functions::scalar(name).is_some()
        || functions::aggregate(name).is_some()
        || functions::window(name).is_some()
        || super::several::bag_of(name).is_some()
}

fn is_week(part: Option<&Expr>) -> bool {
    let part = part.and_then(Expr::as_literal);
    matches!(part, Some(Value::String(part)) if matches!(part.to_ascii_lowercase().as_str(), "week" | "weeks"))
}

/// The canonical spelling of an aggregate that the tables must have.
pub(super) fn aggregate_name(name: &'static str) -> &'static str {
    functions::aggregate(name).map_or(name, |function| function.name)
}

/// The type in a last argument `typeof(...)`.
fn typed_by(call: &Call) -> Option<Type> {
    let last = call.args.last()?;
    match &last.value.kind {
        ast::ExprKind::Typeof(text) => text.trim().parse().ok(),
        _ => None,
    }
}

pub(super) fn call_error<T>(name: &str, error: CallError, args: &[Expr], span: Span) -> Bind<T> {
    let at = |index: usize| args.get(index).map_or(span, |arg| arg.span);
    match error {
        CallError::Unknown { near } => {
            let hint = near.map(|near| format!("did you mean '{near}'?"));
            fail_with_hint("kql.unknown_function", format!("unknown function '{name}'"), span, hint)
        }
        CallError::Count { min, max } => {
            let wanted = match (min, max) {
                (min, max) if min == max => format!("{min}"),
                (min, usize::MAX) => format!("at least {min}"),
                (min, max) => format!("{min} to {max}"),
            };
            let message = format!("{name}() takes {wanted} arguments, not {}", args.len());
            fail("kql.arguments", message, span)
        }
        CallError::Argument { index, wanted, given } => {
            let message = format!("argument {} of {name}() must be {wanted:?}, not {given}", index + 1).to_lowercase();
            let hint = "convert it: tolong(), toreal(), tostring(), todatetime(), ...".to_owned();
            fail_with_hint("kql.type", message, at(index), Some(hint))
        }
        CallError::NoCommonType { index, given, others } => {
            let message = format!("argument {} of {name}() is a {given} where the others are {others}", index + 1);
            fail("kql.type", message, at(index))
        }
    }
}
