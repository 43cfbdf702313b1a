//! Aggregate functions.

use super::AggregateFunction;

/// Every aggregate function.
pub(super) static TABLE: &[AggregateFunction] = &[];
