//! Expressions of the engine as people write them.

use std::sync::Arc;

use datafusion::physical_expr::expressions::{BinaryExpr, CastExpr, Column, InListExpr, Literal, NotExpr};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use kyma_core::{Value, time};

use crate::df_adapter::literal::plain_value;
use crate::df_adapter::scalar::{Kernel, Op};

type Physical = Arc<dyn PhysicalExpr>;

/// Deepest expression that is spelled out.
const DEPTH_MAX: usize = 60;

/// The expression in words; what has none of ours in the engine's.
pub(crate) fn words(expr: &Physical) -> String {
    spell(expr, 0)
}

fn spell(expr: &Physical, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return "…".to_owned();
    }
    if let Some(column) = expr.downcast_ref::<Column>() {
        return column.name().to_owned();
    }
    if let Some(literal) = expr.downcast_ref::<Literal>() {
        return value(literal);
    }
    if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
        let operand = |side: &Physical| match side.downcast_ref::<BinaryExpr>() {
            Some(inner) if inner.op() != binary.op() => format!("({})", spell(side, depth + 1)),
            _ => spell(side, depth + 1),
        };
        let symbol = binary.op().to_string().to_lowercase();
        return format!("{} {symbol} {}", operand(binary.left()), operand(binary.right()));
    }
    if let Some(cast) = expr.downcast_ref::<CastExpr>() {
        return spell(cast.expr(), depth + 1);
    }
    if let Some(not) = expr.downcast_ref::<NotExpr>() {
        return format!("not({})", spell(not.arg(), depth + 1));
    }
    if let Some(list) = expr.downcast_ref::<InListExpr>() {
        let not = if list.negated() { "not " } else { "" };
        return format!("{} {not}in ({})", spell(list.expr(), depth + 1), commas(list.list(), depth));
    }
    let call = expr.downcast_ref::<ScalarFunctionExpr>();
    match call.and_then(|call| Some((call.fun().inner().downcast_ref::<Kernel>()?, call.args()))) {
        Some((kernel, args)) => kernel_words(kernel, args, depth),
        None => without_places(&expr.to_string()),
    }
}

fn kernel_words(kernel: &Kernel, args: &[Physical], depth: usize) -> String {
    let first = args.first().map(|arg| spell(arg, depth + 1)).unwrap_or_default();
    let rest = commas(args.get(1..).unwrap_or_default(), depth);
    match &kernel.op {
        Op::Call { function, .. } if args.is_empty() => (*function).to_owned(),
        Op::Call { function, .. } => format!("{function}({})", commas(args, depth)),
        Op::Binary { op, .. } => format!("{first} {} {rest}", op.symbol()),
        Op::Convert { .. } => format!("to{}({first})", kernel.out),
        Op::Path { keys } => format!("{first}.{}", keys.join(".")),
        Op::Element { .. } => format!("{first}[{rest}]"),
        Op::In { ignore_case, .. } => format!("{first} in{} ({rest})", if *ignore_case { "~" } else { "" }),
        Op::InSet(_) => format!("{first} in (sub-query)"),
        Op::Field(_) | Op::RealOrder { .. } | Op::RealBits => first,
    }
}

fn commas(args: &[Physical], depth: usize) -> String {
    args.iter().map(|arg| spell(arg, depth + 1)).collect::<Vec<_>>().join(", ")
}

fn value(literal: &Literal) -> String {
    match plain_value(literal.value()) {
        Some(Value::String(text)) => format!("'{text}'"),
        Some(Value::Datetime(at)) => format!("datetime({})", time::format_datetime(at)),
        Some(Value::Timespan(nanos)) => format!("timespan({})", time::format_timespan(nanos)),
        _ => literal.value().to_string(),
    }
}

/// The engine's text without the places of columns: `n@1` is `n`.
pub(crate) fn without_places(text: &str) -> String {
    let mut parts = text.split('@');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_place = rest.len() < part.len() && !rest.starts_with(|c: char| c.is_alphanumeric() || c == '.');
        if !is_place {
            plain.push('@');
        }
        plain.push_str(if is_place { rest } else { part });
    }
    plain
}

#[cfg(test)]
mod tests {
    use datafusion::common::ScalarValue;
    use datafusion::logical_expr::Operator;

    use super::*;

    #[test]
    fn places_of_columns_are_left_out() {
        assert_eq!(without_places("[k0@0 as k, a@12 DESC]"), "[k0 as k, a DESC]");
        assert_eq!(without_places("mail = me@1st.example, b@x"), "mail = me@1st.example, b@x");
    }

    #[test]
    fn operators_stand_between_their_sides() {
        let column = |name: &str| Arc::new(Column::new(name, 0)) as Physical;
        let literal = |value: ScalarValue| Arc::new(Literal::new(value)) as Physical;
        let binary = |a: Physical, op, b: Physical| Arc::new(BinaryExpr::new(a, op, b)) as Physical;
        let seven = binary(column("n"), Operator::Eq, literal(ScalarValue::Int64(Some(7))));
        let web = binary(column("d.host"), Operator::NotEq, literal(ScalarValue::Utf8View(Some("web".into()))));
        assert_eq!(words(&binary(seven, Operator::Or, web)), "(n = 7) or (d.host != 'web')");
    }
}
