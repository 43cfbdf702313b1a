//! Expressions of a scan, compiled: columns for what depends on the row at hand alone, a small tree for the rest.

use std::cmp::Ordering;
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use kyma_core::{Error, Result, Schema, Type, Value};
use kyma_plan::table::ScanColumn;
use kyma_plan::{BinaryOp, Expr, ExprKind};

use crate::eval::eval;
use crate::operators::binary;
use crate::{Arg, EvalContext, array_value, value_to_array};

/// A compiled expression.
#[derive(Debug)]
pub(super) enum Lean {
    Constant(Value),
    /// A column over the row at hand, by its place in [`Columns::arrays`].
    Row(usize),
    /// A declared column as assigned so far.
    Declared(usize),
    /// An input column of a step's row, by its place in [`Columns::arrays`].
    State {
        step: usize,
        at: usize,
    },
    /// A declared column of a step's row.
    StateDeclared {
        step: usize,
        at: usize,
    },
    Binary {
        op: BinaryOp,
        left: Box<Lean>,
        right: Box<Lean>,
        types: (Type, Type),
        out: Type,
    },
    /// All or any hold, three-valued; `decisive` is the truth value that decides alone.
    Junction {
        parts: Vec<Lean>,
        decisive: bool,
    },
    Not(Box<Lean>),
    If {
        condition: Box<Lean>,
        yes: Box<Lean>,
        no: Box<Lean>,
    },
    IsNull(Box<Lean>),
    IsEmpty(Box<Lean>),
    /// Anything else: `expr` over one row of `inputs`.
    Kernel {
        expr: Expr,
        inputs: Vec<Lean>,
    },
}

/// What compiled expressions read.
pub(super) struct Columns {
    /// The input's columns, then those computed beforehand.
    pub(super) arrays: Vec<(ArrayRef, Type)>,
    /// Values of declared columns where nothing assigns them.
    pub(super) defaults: Vec<Value>,
}

/// A row that matched a step: its number, and what the step assigned.
pub(super) type Entry = (u32, Rc<[Value]>);

/// What an expression is evaluated over, beside the columns.
pub(super) struct Frame<'a> {
    pub(super) row: u32,
    /// Declared columns as assigned so far.
    pub(super) declared: &'a [Value],
    /// By step, the row that matched, if one did.
    pub(super) state: &'a [Option<Entry>],
}

/// Compiles the expressions of one scan.
pub(super) struct Compiler<'a> {
    columns: Columns,
    /// Columns of the input.
    width: usize,
    /// Declared columns, with the types they have.
    declared: &'a [ScanColumn],
    rows: usize,
    context: &'a EvalContext,
}

impl<'a> Compiler<'a> {
    pub(super) fn new(
        input: &RecordBatch,
        schema: &Schema,
        declared: &'a [ScanColumn],
        context: &'a EvalContext,
    ) -> Self {
        let arrays = input.columns().iter().zip(schema.columns());
        let arrays: Vec<_> = arrays.map(|(array, column)| (Arc::clone(array), column.ty)).collect();
        let defaults = declared.iter().map(|declared| declared.default.clone()).collect();
        let width = arrays.len();
        Compiler { columns: Columns { arrays, defaults }, width, declared, rows: input.num_rows(), context }
    }

    pub(super) fn finish(self) -> Columns {
        self.columns
    }

    pub(super) fn compile(&mut self, expr: &Expr) -> Result<Lean> {
        if let ExprKind::Column(at) = &expr.kind {
            return self.column(*at);
        }
        if let Some(value) = expr.as_literal() {
            return Ok(Lean::Constant(filled(value.clone())));
        }
        let mut of_row = true;
        expr.for_each_column(&mut |at| of_row &= at < self.width);
        if of_row { self.beforehand(expr) } else { self.tree(expr) }
    }

    /// The column of an expression over the row at hand, for all rows.
    fn beforehand(&mut self, expr: &Expr) -> Result<Lean> {
        let arrays: Vec<ArrayRef> = self.columns.arrays[..self.width].iter().map(|(array, _)| array.clone()).collect();
        Ok(match eval(expr, &arrays, self.rows, self.context)? {
            Arg::Scalar(value) => Lean::Constant(filled(value)),
            Arg::Array(array) => {
                self.columns.arrays.push((array, expr.ty));
                Lean::Row(self.columns.arrays.len() - 1)
            }
        })
    }

    fn tree(&mut self, expr: &Expr) -> Result<Lean> {
        let boxed = |this: &mut Self, inner: &Expr| this.compile(inner).map(Box::new);
        Ok(match &expr.kind {
            ExprKind::Binary { op, left, right } => Lean::Binary {
                op: *op,
                types: (left.ty, right.ty),
                out: expr.ty,
                left: boxed(self, left)?,
                right: boxed(self, right)?,
            },
            ExprKind::And(parts) => Lean::Junction { parts: self.all(parts)?, decisive: false },
            ExprKind::Or(parts) => Lean::Junction { parts: self.all(parts)?, decisive: true },
            ExprKind::Not(inner) => Lean::Not(boxed(self, inner)?),
            ExprKind::Call { function, args } => match (*function, args.as_slice()) {
                ("iff", [condition, yes, no]) => {
                    Lean::If { condition: boxed(self, condition)?, yes: boxed(self, yes)?, no: boxed(self, no)? }
                }
                ("isnull", [inner]) => Lean::IsNull(boxed(self, inner)?),
                ("isempty", [inner]) if inner.ty != Type::Dynamic => Lean::IsEmpty(boxed(self, inner)?),
                _ => self.kernel(expr)?,
            },
            _ => self.kernel(expr)?,
        })
    }

    fn all(&mut self, parts: &[Expr]) -> Result<Vec<Lean>> {
        parts.iter().map(|part| self.compile(part)).collect()
    }

    /// An expression that a kernel computes over one row: its columns are numbered anew.
    fn kernel(&mut self, expr: &Expr) -> Result<Lean> {
        let mut used = Vec::new();
        expr.for_each_column(&mut |at| {
            if !used.contains(&at) {
                used.push(at);
            }
        });
        let inputs = used.iter().map(|at| self.column(*at)).collect::<Result<Vec<Lean>>>()?;
        let place = |at: usize| used.iter().position(|used| *used == at).unwrap_or_default();
        Ok(Lean::Kernel { expr: renumbered(expr, &place), inputs })
    }

    fn column(&self, at: usize) -> Result<Lean> {
        if at < self.width {
            return Ok(Lean::Row(at));
        }
        let of_step = self.width + self.declared.len();
        if at < of_step {
            return Ok(Lean::Declared(at - self.width));
        }
        let (step, at) = ((at - of_step) / of_step, at % of_step);
        Ok(if at < self.width { Lean::State { step, at } } else { Lean::StateDeclared { step, at: at - self.width } })
    }
}

/// A null string is the empty one.
fn filled(value: Value) -> Value {
    if value == Value::Null(Type::String) { Value::String(String::new()) } else { value }
}

fn renumbered(expr: &Expr, place: &impl Fn(usize) -> usize) -> Expr {
    let again = |inner: &Expr| Box::new(renumbered(inner, place));
    let all = |parts: &[Expr]| parts.iter().map(|part| renumbered(part, place)).collect();
    let kind = match &expr.kind {
        ExprKind::Column(at) => ExprKind::Column(place(*at)),
        ExprKind::Call { function, args } => ExprKind::Call { function, args: all(args) },
        ExprKind::Binary { op, left, right } => ExprKind::Binary { op: *op, left: again(left), right: again(right) },
        ExprKind::And(parts) => ExprKind::And(all(parts)),
        ExprKind::Or(parts) => ExprKind::Or(all(parts)),
        ExprKind::Not(inner) => ExprKind::Not(again(inner)),
        ExprKind::Convert(inner) => ExprKind::Convert(again(inner)),
        ExprKind::In { expr, list, ignore_case } => {
            ExprKind::In { expr: again(expr), list: all(list), ignore_case: *ignore_case }
        }
        ExprKind::Path { base, keys } => ExprKind::Path { base: again(base), keys: keys.clone() },
        ExprKind::Element { base, index } => ExprKind::Element { base: again(base), index: again(index) },
        leaf @ (ExprKind::Literal(_) | ExprKind::InPlan { .. } | ExprKind::Scalar(_)) => leaf.clone(),
    };
    Expr { kind, ty: expr.ty, span: expr.span }
}

impl Columns {
    fn at(&self, at: usize, row: u32) -> Value {
        self.arrays.get(at).map_or(Value::Null(Type::Dynamic), |(array, ty)| array_value(&**array, row as usize, *ty))
    }

    fn absent(&self, at: usize) -> Value {
        filled(Value::Null(self.arrays.get(at).map_or(Type::Dynamic, |(_, ty)| *ty)))
    }
}

impl Lean {
    /// Whether it is true; null is not.
    pub(super) fn holds(&self, columns: &Columns, frame: &Frame<'_>, context: &EvalContext) -> Result<bool> {
        Ok(self.value(columns, frame, context)? == Value::Bool(true))
    }

    /// Its value. The height of the tree is bounded by the frontend.
    pub(super) fn value(&self, columns: &Columns, frame: &Frame<'_>, context: &EvalContext) -> Result<Value> {
        let of = |inner: &Lean| inner.value(columns, frame, context);
        Ok(match self {
            Lean::Constant(value) => value.clone(),
            Lean::Row(at) => columns.at(*at, frame.row),
            Lean::Declared(at) => frame.declared.get(*at).cloned().unwrap_or(Value::Null(Type::Dynamic)),
            Lean::State { step, at } => match frame.state.get(*step) {
                Some(Some((row, _))) => columns.at(*at, *row),
                _ => columns.absent(*at),
            },
            Lean::StateDeclared { step, at } => {
                let values = match frame.state.get(*step) {
                    Some(Some((_, declared))) => declared,
                    _ => columns.defaults.as_slice(),
                };
                values.get(*at).cloned().unwrap_or(Value::Null(Type::Dynamic))
            }
            Lean::Binary { op, left, right, types, out } => {
                let (left, right) = (of(left)?, of(right)?);
                match quick(*op, &left, &right) {
                    Some(value) => value,
                    None => {
                        let (left, right) = (Arg::Scalar(left), Arg::Scalar(right));
                        let array = binary(*op, (&left, types.0), (&right, types.1), *out, 1)?;
                        array_value(&*array, 0, *out)
                    }
                }
            }
            Lean::Junction { parts, decisive } => {
                let mut known = true;
                for part in parts {
                    match of(part)? {
                        Value::Bool(truth) if truth == *decisive => return Ok(Value::Bool(*decisive)),
                        Value::Bool(_) => {}
                        _ => known = false,
                    }
                }
                if known { Value::Bool(!decisive) } else { Value::Null(Type::Bool) }
            }
            Lean::Not(inner) => match of(inner)? {
                Value::Bool(truth) => Value::Bool(!truth),
                other => other,
            },
            Lean::If { condition, yes, no } => {
                if of(condition)? == Value::Bool(true) {
                    of(yes)?
                } else {
                    of(no)?
                }
            }
            Lean::IsNull(inner) => Value::Bool(of(inner)?.is_null()),
            Lean::IsEmpty(inner) => Value::Bool(match of(inner)? {
                Value::String(text) => text.is_empty(),
                value => value.is_null(),
            }),
            Lean::Kernel { expr, inputs } => {
                let arrays = inputs.iter().map(|input| Ok(value_to_array(&of(input)?, 1)));
                let arrays = arrays.collect::<Result<Vec<ArrayRef>>>()?;
                let array = eval(expr, &arrays, 1, context)?.to_array(1);
                if array.len() != 1 {
                    return Err(Error::internal("a kernel gave another number of rows than it was asked for"));
                }
                array_value(&*array, 0, expr.ty)
            }
        })
    }
}

/// The frequent operators on values that are there; the others go through the kernel.
fn quick(op: BinaryOp, left: &Value, right: &Value) -> Option<Value> {
    use Value::{Datetime, Long, String, Timespan};
    if op.is_comparison() {
        let order = match (left, right) {
            (Long(a), Long(b)) | (Datetime(a), Datetime(b)) | (Timespan(a), Timespan(b)) => a.cmp(b),
            (Value::Int(a), Value::Int(b)) => a.cmp(b),
            (String(a), String(b)) => a.as_str().cmp(b.as_str()),
            (Value::Bool(a), Value::Bool(b)) => a.cmp(b),
            _ => return None,
        };
        return Some(Value::Bool(compares(op, order)));
    }
    match (op, left, right) {
        (BinaryOp::Add, Long(a), Long(b)) => Some(Long(a.wrapping_add(*b))),
        (BinaryOp::Subtract, Long(a), Long(b)) => Some(Long(a.wrapping_sub(*b))),
        (BinaryOp::Subtract, Datetime(a), Datetime(b)) => Some(Timespan(a.saturating_sub(*b))),
        (BinaryOp::Add, Datetime(a), Timespan(b)) => Some(Datetime(a.saturating_add(*b))),
        (BinaryOp::Subtract, Datetime(a), Timespan(b)) => Some(Datetime(a.saturating_sub(*b))),
        (BinaryOp::Add, Timespan(a), Timespan(b)) => Some(Timespan(a.saturating_add(*b))),
        (BinaryOp::Subtract, Timespan(a), Timespan(b)) => Some(Timespan(a.saturating_sub(*b))),
        (BinaryOp::Add, Value::Real(a), Value::Real(b)) => Some(Value::Real(a + b)),
        _ => None,
    }
}

fn compares(op: BinaryOp, order: Ordering) -> bool {
    match op {
        BinaryOp::Equal => order.is_eq(),
        BinaryOp::NotEqual => order.is_ne(),
        BinaryOp::Less => order.is_lt(),
        BinaryOp::LessOrEqual => order.is_le(),
        BinaryOp::Greater => order.is_gt(),
        BinaryOp::GreaterOrEqual => order.is_ge(),
        _ => false,
    }
}
