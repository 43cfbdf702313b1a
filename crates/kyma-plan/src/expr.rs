//! Scalar expressions over one row, every one with its type and its place in the text.

use kyma_core::error::Span;
use kyma_core::{Type, Value};

use crate::node::Plan;

/// A typed expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it computes.
    pub kind: ExprKind,
    /// The type of the result.
    pub ty: Type,
    /// Its place in the query text.
    pub span: Span,
}

/// An operator on two values of one type (or of a pair the operator names).
///
/// Both sides have been brought to a common type by the frontend with explicit conversions, except for the arithmetic of
/// `datetime` and `timespan`: `datetime ± timespan`, `datetime - datetime`, `timespan * number`, `timespan / number`,
/// `timespan / timespan` (real), and `% `on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum BinaryOp {
    /// `+`; null when a side is null; integers wrap as in Kusto.
    Add,
    /// `-`
    Subtract,
    /// `*`
    Multiply,
    /// `/`: integral division of integers (null by zero), IEEE division of reals.
    Divide,
    /// `%`: the sign of the result follows Kusto (never negative for a positive divisor); null by zero.
    Modulo,
    /// `==`: null == null is null, null == value is false (Kusto);
    Equal,
    /// `!=`: null != null is null, null != value is true (Kusto).
    NotEqual,
    /// `<`: null when a side is null.
    Less,
    /// `<=`
    LessOrEqual,
    /// `>`
    Greater,
    /// `>=`
    GreaterOrEqual,
}

impl BinaryOp {
    /// Kusto's spelling.
    pub const fn symbol(self) -> &'static str {
        match self {
            BinaryOp::Add => "+",
            BinaryOp::Subtract => "-",
            BinaryOp::Multiply => "*",
            BinaryOp::Divide => "/",
            BinaryOp::Modulo => "%",
            BinaryOp::Equal => "==",
            BinaryOp::NotEqual => "!=",
            BinaryOp::Less => "<",
            BinaryOp::LessOrEqual => "<=",
            BinaryOp::Greater => ">",
            BinaryOp::GreaterOrEqual => ">=",
        }
    }

    /// Whether the result is a truth value.
    pub const fn is_comparison(self) -> bool {
        !matches!(self, BinaryOp::Add | BinaryOp::Subtract | BinaryOp::Multiply | BinaryOp::Divide | BinaryOp::Modulo)
    }
}

/// What an expression computes.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// A constant.
    Literal(Value),
    /// The input's column at this place.
    Column(usize),
    /// A scalar function of [`crate::functions`], by its canonical name. Arguments have the types that
    /// [`crate::functions::resolve_scalar`] asked for. Text operators are functions too: `has`, `contains_cs`, ...
    Call {
        /// Canonical name.
        function: &'static str,
        /// Arguments.
        args: Vec<Expr>,
    },
    /// An arithmetic operator or a comparison.
    Binary {
        /// Which.
        op: BinaryOp,
        /// Left side.
        left: Box<Expr>,
        /// Right side.
        right: Box<Expr>,
    },
    /// All hold (three-valued).
    And(Vec<Expr>),
    /// At least one holds (three-valued).
    Or(Vec<Expr>),
    /// Negation; null stays null.
    Not(Box<Expr>),
    /// `in`: equal (as `==`) to one of the list. Items have the type of `expr`.
    In {
        /// What is looked for.
        expr: Box<Expr>,
        /// Constants or expressions.
        list: Vec<Expr>,
        /// `in~`.
        ignore_case: bool,
    },
    /// `in (tabular)`: equal to a value of the plan's first column, which has the type of `expr`.
    InPlan {
        /// What is looked for.
        expr: Box<Expr>,
        /// One column.
        plan: Box<Plan>,
        /// `in~`.
        ignore_case: bool,
    },
    /// `toscalar(tabular)`: first column of the first row, null when there is none. Evaluated once, before the query.
    Scalar(Box<Plan>),
    /// A member reached by object keys from a dynamic: `a.b.c`. Type `dynamic`. See [`kyma_core::dynamic::get`].
    Path {
        /// The dynamic.
        base: Box<Expr>,
        /// The keys, at least one.
        keys: Vec<String>,
    },
    /// `base[index]` of a dynamic by a computed key (string) or position (long; negative from the end).
    Element {
        /// The dynamic.
        base: Box<Expr>,
        /// Key or position.
        index: Box<Expr>,
    },
    /// A conversion by the meaning of `tostring`, `tolong`, ...: what does not convert is null.
    Convert(Box<Expr>),
}

impl Expr {
    /// A constant.
    pub fn literal(value: Value, span: Span) -> Expr {
        Expr { ty: value.ty(), kind: ExprKind::Literal(value), span }
    }

    /// The input's column `index` of type `ty`.
    pub fn column(index: usize, ty: Type, span: Span) -> Expr {
        Expr { kind: ExprKind::Column(index), ty, span }
    }

    /// A call whose arguments are already of the right types.
    pub fn call(function: &'static str, args: Vec<Expr>, ty: Type, span: Span) -> Expr {
        Expr { kind: ExprKind::Call { function, args }, ty, span }
    }

    /// `left op right`.
    pub fn binary(op: BinaryOp, left: Expr, right: Expr, ty: Type) -> Expr {
        let span = left.span.to(right.span);
        Expr { kind: ExprKind::Binary { op, left: Box::new(left), right: Box::new(right) }, ty, span }
    }

    /// The expression converted to `ty`; itself when it has that type.
    pub fn convert(self, ty: Type) -> Expr {
        if self.ty == ty {
            return self;
        }
        let span = self.span;
        Expr { kind: ExprKind::Convert(Box::new(self)), ty, span }
    }

    /// The constant, if this is one.
    pub fn as_literal(&self) -> Option<&Value> {
        match &self.kind {
            ExprKind::Literal(value) => Some(value),
            _ => None,
        }
    }

    /// The direct sub-expressions, without those inside nested plans.
    pub fn children(&self) -> Vec<&Expr> {
        match &self.kind {
            ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Scalar(_) => Vec::new(),
            ExprKind::Call { args, .. } => args.iter().collect(),
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter().collect(),
            ExprKind::Not(inner) | ExprKind::Convert(inner) | ExprKind::Path { base: inner, .. } => vec![inner],
            ExprKind::InPlan { expr, .. } => vec![expr],
            ExprKind::In { expr, list, .. } => std::iter::once(&**expr).chain(list).collect(),
            ExprKind::Element { base, index } => vec![base, index],
        }
    }

    /// As [`Expr::children`], to change them.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        match &mut self.kind {
            ExprKind::Literal(_) | ExprKind::Column(_) | ExprKind::Scalar(_) => Vec::new(),
            ExprKind::Call { args, .. } => args.iter_mut().collect(),
            ExprKind::Binary { left, right, .. } => vec![left, right],
            ExprKind::And(parts) | ExprKind::Or(parts) => parts.iter_mut().collect(),
            ExprKind::Not(inner) | ExprKind::Convert(inner) | ExprKind::Path { base: inner, .. } => vec![inner],
            ExprKind::InPlan { expr, .. } => vec![expr],
            ExprKind::In { expr, list, .. } => std::iter::once(&mut **expr).chain(list).collect(),
            ExprKind::Element { base, index } => vec![base, index],
        }
    }

    /// Calls `visit` with the places of every input column used, to change them.
    pub fn for_each_column_mut(&mut self, visit: &mut impl FnMut(&mut usize)) {
        if let ExprKind::Column(index) = &mut self.kind {
            visit(index);
        }
        self.children_mut().into_iter().for_each(|child| child.for_each_column_mut(visit));
    }

    /// Calls `visit` with the places of every input column used.
    pub fn for_each_column(&self, visit: &mut impl FnMut(usize)) {
        if let ExprKind::Column(index) = &self.kind {
            visit(*index);
        }
        self.children().into_iter().for_each(|child| child.for_each_column(visit));
    }
}

/// One aggregate of a `summarize`.
#[derive(Debug, Clone, PartialEq)]
pub struct AggregateCall {
    /// Canonical name of an aggregate of [`crate::functions`].
    pub function: &'static str,
    /// Arguments, evaluated per row. For `arg_max`/`arg_min`: the compared one, then the returned ones. A trailing
    /// predicate of `countif`, `sumif`, ... is an argument.
    pub args: Vec<Expr>,
    /// Types of the results: one for most; several for `arg_max(x, a, b)` and `percentiles(x, 50, 95)`.
    pub types: Vec<Type>,
    /// Its place in the query text.
    pub span: Span,
}

/// One function over the whole, ordered input: `prev`, `next`, `row_number`, `row_cumsum`, ...
#[derive(Debug, Clone, PartialEq)]
pub struct WindowCall {
    /// Canonical name of a window function of [`crate::functions`].
    pub function: &'static str,
    /// Arguments, evaluated per row; offsets and defaults are constants.
    pub args: Vec<Expr>,
    /// The type of the result.
    pub ty: Type,
    /// Its place in the query text.
    pub span: Span,
}
