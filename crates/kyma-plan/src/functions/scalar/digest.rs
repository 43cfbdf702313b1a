//! Sketches that the aggregates `hll` and `tdigest` give.

use kyma_core::Type;

use super::Class::*;
use super::Naming::*;
use super::Returns::*;
use super::{MANY, ScalarFunction, row};

/// Sketches that the aggregates `hll` and `tdigest` give.
pub(super) static TABLE: &[ScalarFunction] = &[
    row("dcount_hll", &[], &[ToDynamic], (1, 1), Is(Type::Long), Prefixed("dcount_hll"), "How many distinct values the sketch of `hll` has seen.").example("range x from 1 to 10 step 1 | summarize h = hll(x) | project dcount_hll(h)"),
    row("hll_merge", &[], &[ToDynamic], (1, MANY), Is(Type::Dynamic), Numbered, "The sketch of the values that any of several sketches has seen.").own_nulls().example("range x from 1 to 10 step 1 | summarize a = hll(x), b = hll(-x) | project dcount_hll(hll_merge(a, b))"),
    row("merge_tdigest", &["tdigest_merge"], &[ToDynamic], (1, MANY), Is(Type::Dynamic), Numbered, "The digest of the values of several digests.").own_nulls().example("range x from 1 to 10 step 1 | summarize a = tdigest(x), b = tdigest(-x) | project percentile_tdigest(merge_tdigest(a, b), 50)"),
    row("percentile_tdigest", &[], &[ToDynamic, Real], (2, 2), Is(Type::Dynamic), Prefixed("percentile_tdigest"), "The percentile of a digest's values; `typeof(...)` as third argument says its type.").example("range x from 1 to 100 step 1 | summarize t = tdigest(x) | project percentile_tdigest(t, 95)"),
    row("percentiles_array_tdigest", &[], &[ToDynamic, ToDynamic], (2, MANY), Is(Type::Dynamic), Prefixed("percentile_tdigest"), "Several percentiles of a digest's values, in an array.").example("range x from 1 to 100 step 1 | summarize t = tdigest(x) | project percentiles_array_tdigest(t, 50, 95)"),
    row("rank_tdigest", &[], &[ToDynamic, Any], (2, 2), Is(Type::Real), Numbered, "How many of a digest's values are at most the value.").example("range x from 1 to 100 step 1 | summarize t = tdigest(x) | project rank_tdigest(t, 42)"),
    row("percentrank_tdigest", &[], &[ToDynamic, Any], (2, 2), Is(Type::Real), Numbered, "How many percent of a digest's values are at most the value.").example("range x from 1 to 100 step 1 | summarize t = tdigest(x) | project percentrank_tdigest(t, 42)"),
];
