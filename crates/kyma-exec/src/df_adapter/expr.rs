//! Expressions: native DataFusion where the meaning is the same, else a call of our kernel.
//!
//! Native are columns, literals, `and`/`or`/`not`, order comparisons of one type, `==` and `!=` where nulls cannot tell the
//! difference, and `in` likewise. Kusto's `null == 1` is false and `null != 1` is true, SQL's are null; as the condition of a
//! filter, false and null are one. The flag `filtering` says that an expression stands where only "true" counts.

use std::sync::Arc;

use datafusion::common::Column;
use datafusion::logical_expr::{BinaryExpr, Expr as DfExpr, Operator, expr::InList};
use kyma_core::{Error, Result, Type, Value};
use kyma_functions::EvalContext;
use kyma_plan::{BinaryOp, Expr, ExprKind};

use crate::df_adapter::literal::scalar_of;
use crate::df_adapter::paths::converted;
use crate::df_adapter::scalar::{Kernel, Op, ValueSet, literal_values};

/// Stack left that makes recursion go on elsewhere, and the size of the new stack.
const STACK: (usize, usize) = (128 * 1024, 4 * 1024 * 1024);

/// Lowers expressions over one input.
#[derive(Debug, Clone)]
pub(crate) struct Exprs<'a> {
    /// The input's columns.
    pub(crate) columns: &'a [Column],
    /// The query around.
    pub(crate) context: EvalContext,
    /// Sets of `in (tabular)`, by id.
    pub(crate) sets: Arc<[Arc<ValueSet>]>,
}

/// Name of the call that stands for `in (tabular)`: a value, and the id of its set. Not a name that a query can write.
pub(crate) const IN_SET: &str = "\u{1}in_set";

impl Exprs<'_> {
    /// An expression whose value is used.
    pub(crate) fn value(&self, expr: &Expr) -> Result<DfExpr> {
        self.lower(expr, false)
    }

    /// A condition of which only "true" counts.
    pub(crate) fn condition(&self, expr: &Expr) -> Result<DfExpr> {
        self.lower(expr, true)
    }

    /// Several values.
    pub(crate) fn values(&self, exprs: &[Expr]) -> Result<Vec<DfExpr>> {
        exprs.iter().map(|expr| self.value(expr)).collect()
    }

    fn lower(&self, expr: &Expr, filtering: bool) -> Result<DfExpr> {
        stacker::maybe_grow(STACK.0, STACK.1, || self.lower_here(expr, filtering))
    }

    fn lower_here(&self, expr: &Expr, filtering: bool) -> Result<DfExpr> {
        if let Some(same) = converted(expr).filter(|inner| inner.ty == expr.ty) {
            return self.lower(same, filtering);
        }
        match &expr.kind {
            ExprKind::Literal(value) => Ok(literal(value)),
            ExprKind::Column(at) => match self.columns.get(*at) {
                Some(column) => Ok(DfExpr::Column(column.clone())),
                None => Err(Error::internal(format!("the plan names a column that its input lacks: {at}"))),
            },
            ExprKind::And(parts) => self.junction(parts, Operator::And, filtering),
            ExprKind::Or(parts) => self.junction(parts, Operator::Or, filtering),
            ExprKind::Not(inner) => Ok(DfExpr::Not(Box::new(self.lower(inner, false)?))),
            ExprKind::Binary { op, left, right } => self.binary(expr, *op, left, right, filtering),
            ExprKind::In { expr: value, list, ignore_case } => self.in_list(value, list, *ignore_case, filtering),
            ExprKind::Call { function, args } if *function == IN_SET => self.in_set(args),
            ExprKind::Call { function, args } => {
                let types = args.iter().map(|arg| arg.ty).collect();
                Ok(self.kernel(Op::Call { function, types }, expr.ty, self.values(args)?))
            }
            ExprKind::Path { base, keys } => {
                Ok(self.kernel(Op::Path { keys: keys.clone() }, Type::Dynamic, vec![self.value(base)?]))
            }
            ExprKind::Element { base, index } => {
                let args = vec![self.value(base)?, self.value(index)?];
                Ok(self.kernel(Op::Element { index: index.ty }, Type::Dynamic, args))
            }
            ExprKind::Convert(inner) => {
                Ok(self.kernel(Op::Convert { from: inner.ty }, expr.ty, vec![self.value(inner)?]))
            }
            ExprKind::InPlan { .. } | ExprKind::Scalar(_) => {
                Err(Error::internal("a sub-query was not evaluated before the query").at(expr.span))
            }
        }
    }

    fn in_set(&self, args: &[Expr]) -> Result<DfExpr> {
        let [value, id] = args else { return Err(Error::internal("a set without a value")) };
        let Some(Value::Long(id)) = id.as_literal() else { return Err(Error::internal("a set without an id")) };
        let set = usize::try_from(*id).ok().and_then(|id| self.sets.get(id));
        let set = set.ok_or_else(|| Error::internal("a set is missing"))?;
        Ok(self.kernel(Op::InSet(Arc::clone(set)), Type::Bool, vec![self.value(value)?]))
    }

    fn kernel(&self, op: Op, out: Type, args: Vec<DfExpr>) -> DfExpr {
        Kernel::call(op, out, self.context, args)
    }

    /// A balanced tree, so that its depth stays small whatever its length.
    fn junction(&self, parts: &[Expr], op: Operator, filtering: bool) -> Result<DfExpr> {
        let mut level = parts.iter().map(|part| self.lower(part, filtering)).collect::<Result<Vec<_>>>()?;
        if level.is_empty() {
            return Ok(literal(&Value::Bool(op == Operator::And)));
        }
        while level.len() > 1 {
            let mut pairs = Vec::with_capacity(level.len().div_ceil(2));
            let mut rest = level.into_iter();
            while let Some(left) = rest.next() {
                pairs.push(match rest.next() {
                    Some(right) => native(left, op, right),
                    None => left,
                });
            }
            level = pairs;
        }
        level.pop().ok_or_else(|| Error::internal("an empty junction"))
    }

    fn binary(&self, expr: &Expr, op: BinaryOp, left: &Expr, right: &Expr, filtering: bool) -> Result<DfExpr> {
        let (a, b) = (self.value(left)?, self.value(right)?);
        match native_operator(op, left, right, filtering) {
            Some(operator) => Ok(native(a, operator, b)),
            None => Ok(self.kernel(Op::Binary { op, left: left.ty, right: right.ty }, expr.ty, vec![a, b])),
        }
    }

    fn in_list(&self, value: &Expr, list: &[Expr], ignore_case: bool, filtering: bool) -> Result<DfExpr> {
        let lowered = self.value(value)?;
        let items = self.values(list)?;
        let no_nulls = literal_values(list).is_some_and(|values| values.iter().all(|value| !value.is_null()));
        let same = !ignore_case && no_nulls && comparable(value.ty) && (filtering || value.ty == Type::String);
        if same && !items.is_empty() {
            return Ok(DfExpr::InList(InList::new(Box::new(lowered), items, false)));
        }
        let args = std::iter::once(lowered).chain(items).collect();
        Ok(self.kernel(Op::In { ty: value.ty, ignore_case }, Type::Bool, args))
    }
}

/// A constant.
pub(crate) fn literal(value: &Value) -> DfExpr {
    DfExpr::Literal(scalar_of(value), None)
}

fn native(left: DfExpr, op: Operator, right: DfExpr) -> DfExpr {
    DfExpr::BinaryExpr(BinaryExpr::new(Box::new(left), op, Box::new(right)))
}

/// Types whose Arrow comparison is Kusto's. (Reals differ at NaN and -0.0, dynamics compare by value.)
fn comparable(ty: Type) -> bool {
    !matches!(ty, Type::Dynamic | Type::Real)
}

fn native_operator(op: BinaryOp, left: &Expr, right: &Expr, filtering: bool) -> Option<Operator> {
    if left.ty != right.ty || !op.is_comparison() || !comparable(left.ty) {
        return None;
    }
    let never_null = |expr: &Expr| expr.ty == Type::String || expr.as_literal().is_some_and(|value| !value.is_null());
    let one_literal = never_null(left) || never_null(right);
    match op {
        BinaryOp::Less => Some(Operator::Lt),
        BinaryOp::LessOrEqual => Some(Operator::LtEq),
        BinaryOp::Greater => Some(Operator::Gt),
        BinaryOp::GreaterOrEqual => Some(Operator::GtEq),
        BinaryOp::Equal if filtering || left.ty == Type::String => Some(Operator::Eq),
        BinaryOp::Equal if one_literal => Some(Operator::IsNotDistinctFrom),
        BinaryOp::NotEqual if left.ty == Type::String => Some(Operator::NotEq),
        BinaryOp::NotEqual if one_literal => Some(Operator::IsDistinctFrom),
        _ => None,
    }
}
