//! Relations: a tree of nodes, each with its output schema.
//!
//! **Order.** A Kusto pipeline keeps the order of its rows from `sort`, `top`, `range`, `datatable` and `print` on until
//! an operator that is free to reorder (`summarize`, `join`, `union`, `distinct`, `sample`). Every node here does
//! the same: `Filter`, `Project`, `Limit`, `MvExpand`, `Parse`, `Window`, `MvApply` keep their input's order.

use kyma_core::error::Span;
use kyma_core::ids::Sequence;
use kyma_core::{Column, Schema, Type, Value};

use crate::expr::{AggregateCall, Expr, WindowCall};
use crate::external::External;
use crate::table::TableFunction;

/// A relation.
#[derive(Debug, Clone, PartialEq)]
pub struct Plan {
    /// What it computes.
    pub node: Node,
    /// The columns it gives; names are distinct.
    pub schema: Schema,
    /// Its place in the query text.
    pub span: Span,
}

/// What a relation computes.
#[derive(Debug, Clone, PartialEq)]
pub enum Node {
    /// The rows of a stored table. The schema names the table's columns wanted (a subset, any order).
    Scan(Scan),
    /// Constant rows; `print` and `datatable`. Each row has one value per column, of its type or null.
    Values(Vec<Vec<Value>>),
    /// One row without columns: what `print` projects from.
    Unit,
    /// `range x from a to b step c`: one column. Bounds are constant expressions over no input.
    Range {
        /// First value.
        from: Expr,
        /// Last value, inclusive.
        to: Expr,
        /// Difference; long, real or timespan.
        step: Expr,
    },
    /// Rows for which the predicate is true.
    Filter {
        /// Rows.
        input: Box<Plan>,
        /// A `bool`.
        predicate: Expr,
    },
    /// One expression per output column.
    Project {
        /// Rows.
        input: Box<Plan>,
        /// Same length as the schema.
        exprs: Vec<Expr>,
    },
    /// `summarize`: one row per distinct combination of keys (nulls form a group). Columns: keys, then the results of each
    /// aggregate. Without keys: exactly one row, also over no rows.
    Aggregate {
        /// Rows.
        input: Box<Plan>,
        /// Group keys. Empty `aggregates` makes it `distinct`.
        keys: Vec<Expr>,
        /// Aggregates.
        aggregates: Vec<AggregateCall>,
    },
    /// Rows in order; ties in any order.
    Sort {
        /// Rows.
        input: Box<Plan>,
        /// Most significant first.
        keys: Vec<SortKey>,
    },
    /// The first rows, in the input's order where it has one.
    Limit {
        /// Rows.
        input: Box<Plan>,
        /// At most this many.
        count: u64,
    },
    /// `sample`: some rows.
    Sample {
        /// Rows.
        input: Box<Plan>,
        /// At most this many.
        count: u64,
    },
    /// A join. Columns: the left's, then the right's (none of the other side's for semi and anti), renamed as in the schema.
    Join {
        /// Left rows.
        left: Box<Plan>,
        /// Right rows.
        right: Box<Plan>,
        /// Which rows come out.
        kind: JoinKind,
        /// Pairs of equal keys: over the left's row and over the right's row, same type. Null keys match each other. Empty is a cross join.
        on: Vec<(Expr, Expr)>,
    },
    /// All rows of all inputs, which have the same schema.
    Union(Vec<Plan>),
    /// `mv-expand`: a row per element. Columns: the input's, where the expanded ones are replaced in place with their new type; then
    /// the index column, if one was asked for (a `long`).
    MvExpand {
        /// Rows.
        input: Box<Plan>,
        /// What to expand, in parallel: the longest counts, shorter ones give null.
        columns: Vec<MvExpandColumn>,
        /// Name of the `with_itemindex` column.
        item_index: Option<String>,
        /// `bagexpansion=array`: a bag gives `["key", value]` pairs instead of single-key bags.
        bags_as_arrays: bool,
        /// At most this many rows per input row.
        row_limit: Option<u64>,
    },
    /// `mv-apply`: for every input row, expand as `MvExpand`, then run `body`, whose leaf is `Input` with the expanded schema. Columns: the
    /// input's without the expanded ones, then the body's.
    MvApply {
        /// Rows.
        input: Box<Plan>,
        /// What to expand.
        columns: Vec<MvExpandColumn>,
        /// Name of the `with_itemindex` column.
        item_index: Option<String>,
        /// At most this many elements per input row.
        row_limit: Option<u64>,
        /// The sub-pipeline.
        body: Box<Plan>,
        /// Input columns (by place) that come before the body's columns in the output.
        keep: Vec<usize>,
    },
    /// `partition by key (body)`: the body over the rows of each distinct key; its leaf is `Input`. Columns: the body's.
    Partition {
        /// Rows.
        input: Box<Plan>,
        /// What distinguishes.
        key: Expr,
        /// The sub-pipeline.
        body: Box<Plan>,
    },
    /// The rows that an enclosing `MvApply` or `Partition` feeds in.
    Input,
    /// `parse` and `parse-where`: appends columns taken from text.
    Parse {
        /// Rows.
        input: Box<Plan>,
        /// The text.
        text: Expr,
        /// What it must look like.
        pattern: Vec<ParsePart>,
        /// How strictly.
        mode: ParseMode,
        /// `parse-where`: rows that do not match are dropped. Else their new columns are null.
        only_matching: bool,
        /// Places in the output schema of the captured columns, in pattern order.
        outputs: Vec<usize>,
    },
    /// `parse-kv`: appends columns taken from `key=value` text.
    ParseKv {
        /// Rows.
        input: Box<Plan>,
        /// The text.
        text: Expr,
        /// Output columns by key, of the schema's trailing columns in order.
        keys: Vec<Column>,
        /// Characters between pairs.
        pair_delimiter: Option<String>,
        /// Characters between key and value.
        kv_delimiter: Option<String>,
        /// Quoting characters: opening and closing.
        quote: Option<String>,
        /// Escape character.
        escape: Option<String>,
        /// A capital letter starts a new pair.
        greedy: bool,
        /// An expression whose first two groups are key and value; the settings above are of no account then.
        regex: Option<String>,
    },
    /// `serialize`, and functions over the whole ordered input. Columns: the input's, then one per call.
    Window {
        /// Ordered rows.
        input: Box<Plan>,
        /// The calls.
        calls: Vec<WindowCall>,
    },
    /// `make-series`: per group one row of arrays. Columns: keys, one dynamic array per aggregate, then the axis array.
    MakeSeries {
        /// Rows.
        input: Box<Plan>,
        /// Group keys.
        keys: Vec<Expr>,
        /// Aggregates with the value of empty bins.
        aggregates: Vec<(AggregateCall, Value)>,
        /// What is binned.
        axis: Expr,
        /// First bin (a constant expression), or the smallest value.
        from: Option<Expr>,
        /// End, exclusive; or the largest value, inclusive.
        to: Option<Expr>,
        /// Width of a bin.
        step: Expr,
    },
    /// `top-nested`: hierarchical top values. Columns: per level, value and aggregate.
    TopNested {
        /// Rows.
        input: Box<Plan>,
        /// Outermost first.
        levels: Vec<TopNestedLevel>,
    },
    /// A table function over whole inputs, in their order. Columns: as the function says.
    Table {
        /// What is computed.
        function: Box<TableFunction>,
        /// Its tables.
        inputs: Vec<Plan>,
    },
    /// `externaldata`: rows of files elsewhere.
    External(Box<External>),
    /// `materialize`: computed once however often the id occurs in one query.
    Materialize {
        /// Same id, same rows.
        id: usize,
        /// Rows.
        input: Box<Plan>,
    },
    /// A statement of DataFusion's SQL dialect, carried parsed; the adapter lowers it. `schema` is empty until then.
    Sql(Box<sqlparser::ast::Statement>),
}

/// The rows of a stored table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Scan {
    /// Name of the database.
    pub database: String,
    /// Name of the table.
    pub table: String,
    /// Whether null strings read as `""`, as KQL does.
    pub null_strings_are_empty: bool,
    /// Which of its commits are read.
    pub added: Added,
}

/// Commits, by their sequence in the table's database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Added {
    /// Only those after this one.
    pub after: Option<Sequence>,
    /// Only this one and those before.
    pub up_to: Option<Sequence>,
}

impl Added {
    /// Whether some commit of `first..=last` may be among them.
    pub fn overlaps(&self, (first, last): (Sequence, Sequence)) -> bool {
        self.after.is_none_or(|after| last > after) && self.up_to.is_none_or(|up_to| first <= up_to)
    }
}

/// One key of a sort.
#[derive(Debug, Clone, PartialEq)]
pub struct SortKey {
    /// What is compared.
    pub expr: Expr,
    /// Largest first.
    pub descending: bool,
    /// Nulls before values.
    pub nulls_first: bool,
}

/// Which rows a join gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum JoinKind {
    /// Every matching pair.
    Inner,
    /// Every matching pair, after dropping left rows whose key an earlier left row had. Kusto's default.
    InnerUnique,
    /// Inner, and left rows without a match.
    LeftOuter,
    /// Inner, and right rows without a match.
    RightOuter,
    /// Inner, and rows of either side without a match.
    FullOuter,
    /// Left rows with a match.
    LeftSemi,
    /// Right rows with a match.
    RightSemi,
    /// Left rows without a match.
    LeftAnti,
    /// Right rows without a match.
    RightAnti,
}

/// What `mv-expand` expands.
#[derive(Debug, Clone, PartialEq)]
pub struct MvExpandColumn {
    /// Place of the column in the input, which the elements replace.
    pub index: usize,
    /// Type of the elements: `to typeof(...)`, else dynamic.
    pub ty: Type,
}

/// A piece of a `parse` pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParsePart {
    /// This text (in regex mode: this expression).
    Text(String),
    /// Skips to the next text: `*`.
    Skip,
    /// Takes up to the next text into a column of this type.
    Capture(Type),
}

/// How `parse` treats types.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ParseMode {
    /// Texts are literal; every capture must convert or the row does not match.
    Simple,
    /// Texts are literal; a capture that does not convert is null.
    Relaxed,
    /// Texts are regular expressions with these flags (`U`, `i`, `m`, `s`).
    Regex(String),
}

/// One level of `top-nested`.
#[derive(Debug, Clone, PartialEq)]
pub struct TopNestedLevel {
    /// How many; all when absent.
    pub count: Option<u64>,
    /// What is grouped.
    pub key: Expr,
    /// What it is ordered by.
    pub by: AggregateCall,
    /// Smallest first.
    pub ascending: bool,
    /// Value that stands for all others, if asked for.
    pub others: Option<Value>,
}

impl Plan {
    /// A relation with a given schema.
    pub fn new(node: Node, schema: Schema, span: Span) -> Plan {
        Plan { node, schema, span }
    }

    /// Rows of `input` for which `predicate` is true.
    pub fn filter(input: Plan, predicate: Expr) -> Plan {
        let (schema, span) = (input.schema.clone(), input.span.to(predicate.span));
        Plan::new(Node::Filter { input: Box::new(input), predicate }, schema, span)
    }

    /// One named expression per output column.
    pub fn project(input: Plan, columns: Vec<(String, Expr)>, span: Span) -> Plan {
        let schema = columns.iter().map(|(name, expr)| Column::new(name, expr.ty)).collect();
        let exprs = columns.into_iter().map(|(_, expr)| expr).collect();
        Plan::new(Node::Project { input: Box::new(input), exprs }, schema, span)
    }

    /// The columns of `input` at these places, in this order. Places that it lacks are left out.
    pub fn keep(input: Plan, places: impl IntoIterator<Item = usize>, span: Span) -> Plan {
        let column = |at: usize| {
            let column = input.schema.columns().get(at)?;
            Some((column.name.clone(), Expr::column(at, column.ty, span)))
        };
        let columns = places.into_iter().filter_map(column).collect();
        Plan::project(input, columns, span)
    }

    /// Rows of `input` ordered by `keys`.
    pub fn sort(input: Plan, keys: Vec<SortKey>, span: Span) -> Plan {
        let schema = input.schema.clone();
        Plan::new(Node::Sort { input: Box::new(input), keys }, schema, span)
    }

    /// The first `count` rows of `input`.
    pub fn limit(input: Plan, count: u64, span: Span) -> Plan {
        let schema = input.schema.clone();
        Plan::new(Node::Limit { input: Box::new(input), count }, schema, span)
    }

    /// Whether it stands on the rows that an operator around it feeds in.
    pub fn is_fed(&self) -> bool {
        let mut stack = vec![self];
        while let Some(at) = stack.pop() {
            if matches!(at.node, Node::Input) {
                return true;
            }
            stack.extend(at.inputs());
        }
        false
    }

    /// The direct inputs, bodies included.
    pub fn inputs(&self) -> Vec<&Plan> {
        match &self.node {
            Node::Scan(_)
            | Node::Values(_)
            | Node::Unit
            | Node::Range { .. }
            | Node::Input
            | Node::External(_)
            | Node::Sql(_) => Vec::new(),
            Node::Filter { input, .. }
            | Node::Project { input, .. }
            | Node::Aggregate { input, .. }
            | Node::Sort { input, .. }
            | Node::Limit { input, .. }
            | Node::Sample { input, .. }
            | Node::MvExpand { input, .. }
            | Node::Parse { input, .. }
            | Node::ParseKv { input, .. }
            | Node::Window { input, .. }
            | Node::MakeSeries { input, .. }
            | Node::TopNested { input, .. }
            | Node::Materialize { input, .. } => vec![input],
            Node::MvApply { input, body, .. } | Node::Partition { input, body, .. } => vec![input, body],
            Node::Join { left, right, .. } => vec![left, right],
            Node::Union(inputs) | Node::Table { inputs, .. } => inputs.iter().collect(),
        }
    }
}
