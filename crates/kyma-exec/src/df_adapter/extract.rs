//! Filters turned back into predicates that every pruner understands.
//!
//! One extractor serves native comparisons, Kusto's operators (our kernels), SQL's `LIKE`, `IN` and `IS NULL`, and the filters
//! that DataFusion makes while a query runs. What it does not understand is opaque, which prunes nothing.
//!
//! Where our operators differ from three-valued logic (`null == 1` is false, not null), the predicate says so by adding
//! `not is_null`. Whether a *path*, converted to a type, is null cannot be told from statistics (a text may not convert):
//! it is opaque there.

use std::collections::BTreeMap;
use std::sync::Arc;

use datafusion::common::ScalarValue;
use datafusion::logical_expr::Operator;
use datafusion::physical_expr::expressions::{
    BinaryExpr, CastExpr, Column, InListExpr, IsNotNullExpr, IsNullExpr, LikeExpr, Literal, NotExpr,
};
use datafusion::physical_expr::{PhysicalExpr, ScalarFunctionExpr};
use kyma_core::format::ReadColumn;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate, TextOp};
use kyma_core::{Type, Value};
use kyma_plan::BinaryOp;

use crate::df_adapter::literal::plain_value;
use crate::df_adapter::scalar::{Kernel, Op};
use crate::scan::facts::Fact;
use crate::settings::IN_LIST_MAX;

type Physical = Arc<dyn PhysicalExpr>;

/// Deepest expression that is looked into; below it is opaque.
const DEPTH_MAX: usize = 200;

/// Reads expressions over columns of a scan.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Extractor<'a> {
    /// The columns.
    pub(crate) columns: &'a [ReadColumn],
    /// Whether null strings read as `""`.
    pub(crate) null_strings_are_empty: bool,
    /// Whether it reads what is said of the facts of extents, and nothing else; formats do not know these.
    pub(crate) facts: bool,
}

impl Extractor<'_> {
    /// The weakening of `expr`.
    pub(crate) fn predicate(&self, expr: &Physical) -> Predicate {
        self.visit(expr, 0)
    }

    /// The weakening of all of `exprs` together.
    pub(crate) fn all(&self, exprs: &[Physical]) -> Predicate {
        Predicate::and(exprs.iter().map(|expr| self.predicate(expr)))
    }

    fn visit(&self, expr: &Physical, depth: usize) -> Predicate {
        if depth > DEPTH_MAX {
            return Predicate::Opaque;
        }
        if let Some(literal) = expr.downcast_ref::<Literal>() {
            return match literal.value() {
                ScalarValue::Boolean(Some(true)) => Predicate::True,
                ScalarValue::Boolean(Some(false)) => Predicate::Or(Vec::new()),
                _ => Predicate::Opaque,
            };
        }
        if let Some(binary) = expr.downcast_ref::<BinaryExpr>() {
            return self.binary(binary, depth);
        }
        if let Some(not) = expr.downcast_ref::<NotExpr>() {
            return negate(self.visit(not.arg(), depth + 1));
        }
        if let Some(test) = expr.downcast_ref::<IsNullExpr>() {
            return self.is_null(test.arg());
        }
        if let Some(test) = expr.downcast_ref::<IsNotNullExpr>() {
            return negate(self.is_null(test.arg()));
        }
        if let Some(list) = expr.downcast_ref::<InListExpr>() {
            return self.in_list(list);
        }
        if let Some(like) = expr.downcast_ref::<LikeExpr>() {
            return self.like(like);
        }
        match expr.downcast_ref::<ScalarFunctionExpr>() {
            Some(call) => self.call(call),
            None => Predicate::Opaque,
        }
    }

    fn binary(&self, binary: &BinaryExpr, depth: usize) -> Predicate {
        let sides = || vec![self.visit(binary.left(), depth + 1), self.visit(binary.right(), depth + 1)];
        match binary.op() {
            Operator::And => Predicate::and(sides()),
            Operator::Or => flat_or(sides()),
            op => self.comparison(op, binary.left(), binary.right()),
        }
    }

    fn comparison(&self, op: &Operator, left: &Physical, right: &Physical) -> Predicate {
        let (column, value, flipped) = match (self.column(left), literal(right)) {
            (Some(column), Some(value)) => (column, value, false),
            _ => match (self.column(right), literal(left)) {
                (Some(column), Some(value)) => (column, value, true),
                _ => return Predicate::Opaque,
            },
        };
        let plain = |op: CompareOp| self.compare(column, if flipped { op.flip() } else { op }, value.clone());
        match op {
            Operator::Eq => plain(CompareOp::Equal),
            Operator::NotEq => plain(CompareOp::NotEqual),
            Operator::Lt => plain(CompareOp::Less),
            Operator::LtEq => plain(CompareOp::LessOrEqual),
            Operator::Gt => plain(CompareOp::Greater),
            Operator::GtEq => plain(CompareOp::GreaterOrEqual),
            Operator::IsNotDistinctFrom => self.known_equal(column, value),
            Operator::IsDistinctFrom => negate(self.known_equal(column, value)),
            _ => Predicate::Opaque,
        }
    }

    /// A comparison that is null where the column is.
    fn compare(&self, column: &ReadColumn, op: CompareOp, value: Value) -> Predicate {
        if column.ty == Type::Dynamic || value.ty() != column.ty {
            return Predicate::Opaque;
        }
        Predicate::Compare { column: column.source.clone(), op, value }
    }

    /// Equality that is false where the column is null.
    fn known_equal(&self, column: &ReadColumn, value: Value) -> Predicate {
        match self.compare(column, CompareOp::Equal, value) {
            Predicate::Opaque => Predicate::Opaque,
            equal => Predicate::and([equal, negate(self.null_of(column))]),
        }
    }

    fn null_of(&self, column: &ReadColumn) -> Predicate {
        if self.null_strings_are_empty && column.ty == Type::String {
            return Predicate::Or(Vec::new());
        }
        match column.source.path.is_empty() || column.ty == Type::Dynamic {
            true => Predicate::IsNull(column.source.clone()),
            false => Predicate::Opaque,
        }
    }

    fn is_null(&self, arg: &Physical) -> Predicate {
        self.column(arg).map_or(Predicate::Opaque, |column| self.null_of(column))
    }

    fn in_list(&self, list: &InListExpr) -> Predicate {
        let values: Option<Vec<Value>> = list.list().iter().map(literal).collect();
        let (Some(column), Some(values)) = (self.column(list.expr()), values) else { return Predicate::Opaque };
        let found = self.one_of(column, values);
        if list.negated() { negate(found) } else { found }
    }

    fn one_of(&self, column: &ReadColumn, values: Vec<Value>) -> Predicate {
        let fits = column.ty != Type::Dynamic && values.iter().all(|value| value.ty() == column.ty);
        match fits && !values.is_empty() {
            true => Predicate::In { column: column.source.clone(), values },
            false => Predicate::Opaque,
        }
    }

    fn like(&self, like: &LikeExpr) -> Predicate {
        let (Some(column), Some(Value::String(pattern))) = (self.column(like.expr()), literal(like.pattern())) else {
            return Predicate::Opaque;
        };
        let found = match like_text(&pattern) {
            Some((op, needle)) => self.text(column, op, needle, !like.case_insensitive()),
            None => Predicate::Opaque,
        };
        if like.negated() { negate(found) } else { found }
    }

    fn text(&self, column: &ReadColumn, op: TextOp, needle: String, case_sensitive: bool) -> Predicate {
        match column.ty {
            Type::String => Predicate::Text { column: column.source.clone(), op, needle, case_sensitive },
            _ => Predicate::Opaque,
        }
    }

    fn call(&self, call: &ScalarFunctionExpr) -> Predicate {
        let Some(kernel) = call.fun().inner().downcast_ref::<Kernel>() else { return Predicate::Opaque };
        match (&kernel.op, call.args()) {
            (Op::Binary { op, .. }, [left, right]) => self.kusto_binary(*op, left, right),
            (Op::In { ignore_case: false, .. }, [value, list @ ..]) => {
                let values: Option<Vec<Value>> = list.iter().map(literal).collect();
                let (Some(column), Some(values)) = (self.column(value), values) else { return Predicate::Opaque };
                match self.one_of(column, values) {
                    Predicate::Opaque => Predicate::Opaque,
                    found => Predicate::and([found, negate(self.null_of(column))]),
                }
            }
            (Op::Call { function, .. }, [value]) => match *function {
                "isnull" => self.is_null(value),
                "isnotnull" => negate(self.is_null(value)),
                _ => Predicate::Opaque,
            },
            (Op::In { ty: Type::String, ignore_case: true }, [value, list @ ..]) => {
                let needles = list.iter().map(text_literal).collect();
                flat_or(self.text_tests("equal_ci", value, needles))
            }
            (Op::Call { function: "has_any", types }, [text, terms @ ..]) => {
                flat_or(self.text_tests("has", text, needles(types.get(1..).unwrap_or_default(), terms)))
            }
            (Op::Call { function: "has_all", types }, [text, terms @ ..]) => {
                Predicate::and(self.text_tests("has", text, needles(types.get(1..).unwrap_or_default(), terms)))
            }
            (Op::Call { function, .. }, [text, needle]) => self.text_call(function, text, needle),
            _ => Predicate::Opaque,
        }
    }

    fn kusto_binary(&self, op: BinaryOp, left: &Physical, right: &Physical) -> Predicate {
        let native = match op {
            BinaryOp::Equal => Operator::IsNotDistinctFrom,
            BinaryOp::NotEqual => Operator::IsDistinctFrom,
            BinaryOp::Less => Operator::Lt,
            BinaryOp::LessOrEqual => Operator::LtEq,
            BinaryOp::Greater => Operator::Gt,
            BinaryOp::GreaterOrEqual => Operator::GtEq,
            _ => return Predicate::Opaque,
        };
        self.comparison(&native, left, right)
    }

    fn text_call(&self, function: &str, text: &Physical, needle: &Physical) -> Predicate {
        match (self.column(text), text_literal(needle)) {
            (Some(column), Some(needle)) => self.text_test(function, column, needle),
            _ => Predicate::Opaque,
        }
    }

    /// A test per needle; one opaque one where something of it is not known.
    fn text_tests(&self, function: &str, text: &Physical, needles: Option<Vec<String>>) -> Vec<Predicate> {
        let (Some(column), Some(needles)) = (self.column(text), needles) else { return vec![Predicate::Opaque] };
        if needles.is_empty() || needles.len() > IN_LIST_MAX {
            return vec![Predicate::Opaque];
        }
        needles.into_iter().map(|needle| self.text_test(function, column, needle)).collect()
    }

    fn text_test(&self, function: &str, column: &ReadColumn, needle: String) -> Predicate {
        let (op, case_sensitive) = match function {
            "has" => (TextOp::Has, false),
            "has_cs" => (TextOp::Has, true),
            "hasprefix" => (TextOp::HasPrefix, false),
            "hasprefix_cs" => (TextOp::HasPrefix, true),
            "hassuffix" => (TextOp::HasSuffix, false),
            "hassuffix_cs" => (TextOp::HasSuffix, true),
            "contains" => (TextOp::Contains, false),
            "contains_cs" => (TextOp::Contains, true),
            "startswith" => (TextOp::StartsWith, false),
            "startswith_cs" => (TextOp::StartsWith, true),
            "endswith" => (TextOp::EndsWith, false),
            "endswith_cs" => (TextOp::EndsWith, true),
            "equal_ci" => (TextOp::Equal, false),
            "matches_regex" => (TextOp::Regex, true),
            _ => return Predicate::Opaque,
        };
        if self.null_strings_are_empty {
            return self.text(column, op, needle, case_sensitive);
        }
        // Our kernels read null as "": false, unless the test holds for "".
        if needle.is_empty() || op == TextOp::Regex {
            return Predicate::Opaque;
        }
        match self.text(column, op, needle, case_sensitive) {
            Predicate::Opaque => Predicate::Opaque,
            found => Predicate::and([found, negate(self.null_of(column))]),
        }
    }

    /// The scanned column that an expression is, but for a cast between kinds of text.
    fn column(&self, expr: &Physical) -> Option<&ReadColumn> {
        if let Some(cast) = expr.downcast_ref::<CastExpr>() {
            let column = self.column(cast.expr())?;
            return (column.ty == Type::String && Type::of_arrow(cast.cast_type()) == Type::String).then_some(column);
        }
        let column = self.columns.get(expr.downcast_ref::<Column>()?.index())?;
        (Fact::of(column).is_some() == self.facts).then_some(column)
    }
}

fn literal(expr: &Physical) -> Option<Value> {
    plain_value(expr.downcast_ref::<Literal>()?.value())
}

fn text_literal(expr: &Physical) -> Option<String> {
    match literal(expr)? {
        Value::String(text) => Some(text),
        _ => None,
    }
}

/// The texts that constants are, and those in arrays of texts.
fn needles(types: &[Type], exprs: &[Physical]) -> Option<Vec<String>> {
    let mut needles = Vec::new();
    for (ty, expr) in types.iter().zip(exprs) {
        let text = text_literal(expr)?;
        match ty {
            Type::String => needles.push(text),
            Type::Dynamic => needles.extend(serde_json::from_str::<Vec<String>>(&text).ok()?),
            _ => return None,
        }
    }
    Some(needles)
}

fn negate(predicate: Predicate) -> Predicate {
    match predicate {
        Predicate::Opaque => Predicate::Opaque,
        other => Predicate::Not(Box::new(other)),
    }
}

/// The disjunction, where equalities of one column are one `in`: a query with thousands of them looks its column up once.
fn flat_or(parts: Vec<Predicate>) -> Predicate {
    let mut flat = Vec::new();
    let mut sets: BTreeMap<ColumnRef, Vec<Value>> = BTreeMap::new();
    let mut add = |part: Predicate| match part {
        Predicate::Compare { column, op: CompareOp::Equal, value } => sets.entry(column).or_default().push(value),
        Predicate::In { column, values } => sets.entry(column).or_default().extend(values),
        other => flat.push(other),
    };
    for part in parts {
        match part {
            Predicate::Or(inner) => inner.into_iter().for_each(&mut add),
            other => add(other),
        }
    }
    flat.extend(sets.into_iter().map(|(column, values)| Predicate::In { column, values }));
    match flat.len() {
        1 => flat.remove(0),
        _ => Predicate::Or(flat),
    }
}

/// The text test that `LIKE pattern` is, when it is one exactly.
fn like_text(pattern: &str) -> Option<(TextOp, String)> {
    if pattern.contains(['_', '\\']) {
        return None;
    }
    let inner = pattern.trim_start_matches('%').trim_end_matches('%');
    if inner.is_empty() || inner.contains('%') {
        return None;
    }
    let (open, closed) = (pattern.starts_with('%'), pattern.ends_with('%'));
    let op = match (open, closed) {
        (true, true) => TextOp::Contains,
        (false, true) => TextOp::StartsWith,
        (true, false) => TextOp::EndsWith,
        (false, false) => return None,
    };
    Some((op, inner.to_owned()))
}
