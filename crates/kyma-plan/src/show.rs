//! Prints plans as an indented tree, for snapshots and `explain`.

use std::fmt;

use kyma_core::Value;

use crate::expr::{AggregateCall, Expr, ExprKind};
use crate::node::{Node, Plan};

impl fmt::Display for Plan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        show(self, 0, f)
    }
}

fn show(plan: &Plan, depth: usize, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    let columns: Vec<String> =
        plan.schema.columns().iter().map(|column| format!("{}:{}", column.name, column.ty)).collect();
    writeln!(f, "{}{} [{}]", "  ".repeat(depth), title(&plan.node), columns.join(", "))?;
    plan.inputs().into_iter().try_for_each(|input| show(input, depth + 1, f))
}

fn title(node: &Node) -> String {
    match node {
        Node::Scan(scan) => format!("scan {}.{}", scan.database, scan.table),
        Node::Values(rows) => format!("values rows={}", rows.len()),
        Node::Unit => "unit".to_owned(),
        Node::Range { from, to, step } => format!("range {from} to {to} step {step}"),
        Node::Filter { predicate, .. } => format!("filter {predicate}"),
        Node::Project { exprs, .. } => format!("project {}", list(exprs)),
        Node::Aggregate { keys, aggregates, .. } => format!("aggregate by={} {}", list(keys), list(aggregates)),
        Node::Sort { keys, .. } => {
            let keys: Vec<String> = keys
                .iter()
                .map(|key| {
                    format!(
                        "{} {}{}",
                        key.expr,
                        if key.descending { "desc" } else { "asc" },
                        if key.nulls_first { " nulls first" } else { "" }
                    )
                })
                .collect();
            format!("sort {}", keys.join(", "))
        }
        Node::Limit { count, .. } => format!("limit {count}"),
        Node::Sample { count, .. } => format!("sample {count}"),
        Node::Join { kind, on, .. } => {
            let on: Vec<String> = on.iter().map(|(left, right)| format!("{left}={right}")).collect();
            format!("join {kind:?} on {}", on.join(", "))
        }
        Node::Union(inputs) => format!("union inputs={}", inputs.len()),
        Node::MvExpand { columns, .. } => format!(
            "mv-expand {}",
            columns.iter().map(|c| format!("#{}:{}", c.index, c.ty)).collect::<Vec<_>>().join(", ")
        ),
        Node::MvApply { columns, .. } => format!(
            "mv-apply {}",
            columns.iter().map(|c| format!("#{}:{}", c.index, c.ty)).collect::<Vec<_>>().join(", ")
        ),
        Node::Partition { key, .. } => format!("partition {key}"),
        Node::Input => "input".to_owned(),
        Node::Parse { text, pattern, .. } => format!("parse {text} {pattern:?}"),
        Node::ParseKv { text, .. } => format!("parse-kv {text}"),
        Node::Window { calls, .. } => format!(
            "window {}",
            calls.iter().map(|call| format!("{}({})", call.function, list(&call.args))).collect::<Vec<_>>().join(", ")
        ),
        Node::MakeSeries { axis, keys, .. } => format!("make-series {axis} by={}", list(keys)),
        Node::TopNested { levels, .. } => format!("top-nested levels={}", levels.len()),
        Node::Table { function, .. } => format!("table {}", function.name()),
        Node::Materialize { id, .. } => format!("materialize {id}"),
        Node::Sql(statement) => format!("sql {statement}"),
    }
}

fn list<T: fmt::Display>(items: &[T]) -> String {
    items.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for AggregateCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}({})", self.function, list(&self.args))
    }
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.kind {
            ExprKind::Literal(value) => show_value(value, f),
            ExprKind::Column(index) => write!(f, "#{index}"),
            ExprKind::Call { function, args } => write!(f, "{function}({})", list(args)),
            ExprKind::Binary { op, left, right } => write!(f, "({left} {} {right})", op.symbol()),
            ExprKind::And(parts) => {
                write!(f, "({})", parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" and "))
            }
            ExprKind::Or(parts) => {
                write!(f, "({})", parts.iter().map(ToString::to_string).collect::<Vec<_>>().join(" or "))
            }
            ExprKind::Not(inner) => write!(f, "not({inner})"),
            ExprKind::In { expr, list: items, ignore_case } => {
                write!(f, "({expr} in{} ({}))", if *ignore_case { "~" } else { "" }, list(items))
            }
            ExprKind::InPlan { expr, .. } => write!(f, "({expr} in (plan))"),
            ExprKind::Scalar(_) => f.write_str("toscalar(plan)"),
            ExprKind::Path { base, keys } => write!(f, "{base}.{}", keys.join(".")),
            ExprKind::Element { base, index } => write!(f, "{base}[{index}]"),
            ExprKind::Convert(inner) => write!(f, "to_{}({inner})", self.ty),
        }
    }
}

fn show_value(value: &Value, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match value {
        Value::Null(ty) => write!(f, "{ty}(null)"),
        Value::Bool(v) => write!(f, "{v}"),
        Value::Int(v) => write!(f, "int({v})"),
        Value::Long(v) => write!(f, "{v}"),
        Value::Real(v) => write!(f, "{v:?}"),
        Value::Decimal(v) => write!(f, "decimal({v}e-18)"),
        Value::Datetime(v) => write!(f, "datetime({})", kyma_core::time::format_datetime(*v)),
        Value::Timespan(v) => write!(f, "time({})", kyma_core::time::format_timespan(*v)),
        Value::Guid(v) => write!(f, "guid({v:032x})"),
        Value::String(v) => write!(f, "{v:?}"),
        Value::Dynamic(v) => write!(f, "dynamic({v})"),
    }
}
