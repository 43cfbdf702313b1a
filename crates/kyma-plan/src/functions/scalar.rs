//! Scalar functions, one table per family.

use super::ScalarFunction;

/// Every table.
pub(super) static TABLES: &[&[ScalarFunction]] = &[];
