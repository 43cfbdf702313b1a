//! The syntax tree: what was written, with places, before anything is known about names and types.

pub(crate) mod graph;

use kyma_core::error::Span;
use kyma_core::{Type, Value};
use kyma_plan::BinaryOp;

/// A name and its place.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Name {
    pub(crate) text: String,
    pub(crate) span: Span,
}

/// An expression; scalar or tabular, only binding can tell.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expr {
    pub(crate) kind: ExprKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum ExprKind {
    Literal(Value),
    Name(String),
    /// `T*`, `*_x` where names are listed.
    Wildcard(String),
    Star,
    /// `base.name`
    Member(Box<Expr>, Name),
    /// `base[index]`
    Index(Box<Expr>, Box<Expr>),
    Call(Call),
    Binary(BinaryOp, Box<Expr>, Box<Expr>),
    And(Vec<Expr>),
    Or(Vec<Expr>),
    Negative(Box<Expr>),
    /// A text operator by the canonical name of its function: `has`, `matches_regex`, ...
    Text {
        function: &'static str,
        negated: bool,
        left: Box<Expr>,
        right: Vec<Expr>,
    },
    In {
        left: Box<Expr>,
        list: Vec<Expr>,
        negated: bool,
        ignore_case: bool,
    },
    Between {
        left: Box<Expr>,
        from: Box<Expr>,
        to: Box<Expr>,
        negated: bool,
    },
    /// `typeof(long)` or `typeof(a:long, b:string)` as written.
    Typeof(String),
    Pipeline(Box<Pipeline>),
    /// An operator that is a source: `print`, `range`, `datatable`, ...
    Source(Box<Operator>),
    /// `(a: long) { ... }`
    Lambda(std::rc::Rc<Lambda>),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Call {
    pub(crate) name: Name,
    /// `database("x").T()` and such.
    pub(crate) base: Option<Box<Expr>>,
    pub(crate) args: Vec<Arg>,
}

/// `value` or `name = value` or `(a, b) = value`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Arg {
    pub(crate) names: Vec<Name>,
    /// Whether the names stood in brackets.
    pub(crate) tuple: bool,
    pub(crate) value: Expr,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Pipeline {
    pub(crate) source: Expr,
    pub(crate) operators: Vec<Operator>,
}

/// `name: type [= default]`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Param {
    pub(crate) name: Name,
    /// Absent for a table: `T:(*)` or `T:(a:long)`.
    pub(crate) ty: Option<Type>,
    pub(crate) default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Lambda {
    pub(crate) params: Vec<Param>,
    /// Whether it counts as a table in `union *` and `search`.
    pub(crate) view: bool,
    pub(crate) body: Vec<Statement>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Operator {
    pub(crate) kind: OperatorKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SortItem {
    pub(crate) expr: Expr,
    pub(crate) descending: bool,
    pub(crate) nulls_first: Option<bool>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ExpandItem {
    pub(crate) arg: Arg,
    pub(crate) ty: Option<Type>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Expand {
    pub(crate) items: Vec<ExpandItem>,
    pub(crate) item_index: Option<Name>,
    pub(crate) bags_as_arrays: bool,
    pub(crate) limit: Option<u64>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum PatternPart {
    Skip,
    Text(String),
    Column(Name, Type),
}

/// `: (a: long, *)` after a plugin: its columns.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Declared {
    pub(crate) columns: Vec<Param>,
    /// Whether the input's columns are kept.
    pub(crate) star: bool,
}

/// `name=value` settings of an operator.
pub(crate) type Settings = Vec<(Name, Expr)>;

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct SeriesItem {
    pub(crate) arg: Arg,
    pub(crate) default: Option<Expr>,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Level {
    pub(crate) count: Option<Expr>,
    pub(crate) key: Arg,
    pub(crate) others: Option<Expr>,
    pub(crate) by: Arg,
    pub(crate) ascending: bool,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum OperatorKind {
    Where(Expr),
    Project(Vec<Arg>),
    Extend(Vec<Arg>),
    ProjectAway(Vec<Expr>),
    ProjectKeep(Vec<Expr>),
    ProjectRename(Vec<Arg>),
    ProjectReorder(Vec<SortItem>),
    Summarize {
        aggregates: Vec<Arg>,
        by: Vec<Arg>,
    },
    Distinct(Vec<Arg>),
    Sort(Vec<SortItem>),
    Top {
        count: Expr,
        by: Vec<SortItem>,
    },
    Take(Expr),
    /// `count as n`
    Count(Option<Name>),
    Join {
        settings: Settings,
        right: Expr,
        on: Vec<Expr>,
        lookup: bool,
    },
    Union {
        settings: Settings,
        inputs: Vec<Expr>,
    },
    MvExpand(Expand),
    MvApply {
        expand: Expand,
        body: Vec<Operator>,
    },
    Parse {
        text: Expr,
        kind: String,
        flags: String,
        pattern: Vec<PatternPart>,
        only_matching: bool,
    },
    ParseKv {
        text: Expr,
        columns: Vec<Param>,
        settings: Settings,
    },
    Render {
        kind: String,
        settings: Settings,
    },
    Range {
        name: Name,
        from: Expr,
        to: Expr,
        step: Expr,
    },
    Print(Vec<Arg>),
    Datatable {
        columns: Vec<Param>,
        values: Vec<Expr>,
    },
    Getschema,
    As(Name),
    Serialize(Vec<Arg>),
    Sample(Expr),
    SampleDistinct {
        count: Expr,
        of: Arg,
    },
    TopNested(Vec<Level>),
    TopHitters {
        count: Expr,
        of: Expr,
        by: Option<Expr>,
    },
    MakeSeries {
        items: Vec<SeriesItem>,
        axis: Arg,
        from: Option<Expr>,
        to: Option<Expr>,
        step: Expr,
        by: Vec<Arg>,
    },
    Invoke(Call),
    Partition {
        key: Expr,
        body: Vec<Operator>,
    },
    /// A body with a table of its own, in which the key is a value.
    PartitionOf {
        key: Expr,
        body: Expr,
    },
    Fork(Vec<(Option<Name>, Vec<Operator>)>),
    Facet(Vec<Expr>),
    Search {
        predicate: Expr,
        tables: Vec<Expr>,
    },
    Find {
        predicate: Expr,
        tables: Vec<Expr>,
        project: Vec<Expr>,
        source: Option<Name>,
    },
    Evaluate(Call, Option<Declared>),
    Consume,
    /// `make-graph`, `graph-match`, ...
    Graph(graph::GraphOperator),
    /// Read, but not supported: `scan`, `externaldata`, ...
    Unsupported(String),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Statement {
    pub(crate) kind: StatementKind,
    pub(crate) span: Span,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum StatementKind {
    Let(Name, Expr),
    Set(Name, Option<Expr>),
    Parameters(Vec<Param>),
    /// `declare pattern`, `alias`, `restrict`: read, not supported.
    Unsupported(String),
    /// `alias database name = database(...)`
    Alias(Name, Expr),
    /// `restrict access to (names and patterns)`
    Restrict(Vec<Expr>),
    Query(Expr),
}
