//! Functions over the whole ordered input.

use super::ScalarFunction;

/// Every window function.
pub(super) static TABLE: &[ScalarFunction] = &[];
