//! Puts nulls back between the values of a column.

use arrow::buffer::NullBuffer;
use kyma_core::error::Result;

use crate::wire::corrupt;

/// Where the wanted rows are null.
#[derive(Debug)]
pub(crate) struct Filler {
    /// One bit per wanted row; `None` when no row is null.
    pub(crate) nulls: Option<NullBuffer>,
    /// How many rows are wanted.
    pub(crate) wanted_rows: usize,
}

impl Filler {
    /// One value per row: `values` in order where rows are valid, defaults elsewhere.
    pub(crate) fn fill<T: Copy + Default>(&self, values: Vec<T>) -> Result<Vec<T>> {
        let expected = self.nulls.as_ref().map_or(self.wanted_rows, |nulls| nulls.len() - nulls.null_count());
        if values.len() != expected {
            return Err(corrupt("a column has the wrong number of values"));
        }
        let Some(nulls) = &self.nulls else { return Ok(values) };
        let mut rows = vec![T::default(); nulls.len()];
        for (row, value) in nulls.inner().set_indices().zip(values) {
            rows[row] = value;
        }
        Ok(rows)
    }
}
