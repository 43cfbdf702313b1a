//! Every limit of this crate. Hitting one is a diagnostic, never a crash.

/// Deepest nesting of brackets, calls and sub-queries in a text.
pub const DEPTH_MAX: usize = 200;
/// Tallest expression tree, `a + b + c` being two high; `and`, `or` and lists are flat.
pub const EXPR_HEIGHT_MAX: usize = 500;
/// Tallest plan, after functions and `let` are expanded.
pub const PLAN_HEIGHT_MAX: usize = 1_000;
/// Most tabular operators in one text.
pub const OPERATORS_MAX: usize = 1_000;
/// Deepest nesting of calls of functions that the query defines.
pub const CALL_DEPTH_MAX: usize = 32;
/// Most relations of a plan, after functions and `let` are expanded.
pub const PLAN_NODES_MAX: usize = 4_000;
/// Most scalar expressions of a plan, after functions and `let` are expanded.
pub const PLAN_EXPRS_MAX: usize = 400_000;
/// Most columns that a plugin makes of rows.
pub const PLUGIN_COLUMNS_MAX: usize = 2_000;
/// Most columns of a row, after joins and unions.
pub const COLUMNS_MAX: usize = 10_000;
/// Most errors reported for one text.
pub const ERRORS_MAX: usize = 20;
/// Most warnings about types of one text.
pub const WARNINGS_MAX: usize = 20;
/// Stack that planning begins with at least, and what it gets otherwise: some 5 KiB for each of [`PLAN_HEIGHT_MAX`] nodes.
pub(crate) const PLAN_STACK_MIN: usize = 8 * 1024 * 1024;
/// See [`PLAN_STACK_MIN`].
pub(crate) const PLAN_STACK: usize = 16 * 1024 * 1024;
/// Stack that must be left before a recursive step; else a new piece is allocated.
pub(crate) const STACK_RED_ZONE: usize = 256 * 1024;
/// Size of such a new piece.
pub(crate) const STACK_PIECE: usize = 2 * 1024 * 1024;
