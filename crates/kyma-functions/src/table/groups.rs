//! Rows by distinct keys.

use std::collections::HashMap;

use arrow::array::ArrayRef;
use arrow::row::{RowConverter, SortField};
use kyma_core::Result;

/// The groups of some rows, numbered by first appearance.
pub(in crate::table) struct Groups {
    /// The group of each row.
    pub(in crate::table) of: Vec<u32>,
    /// The first row of each group.
    pub(in crate::table) first: Vec<u32>,
}

/// Groups `rows` rows by the values of `keys`; without keys all are one group.
pub(in crate::table) fn groups(keys: &[ArrayRef], rows: usize) -> Result<Groups> {
    if keys.is_empty() {
        return Ok(Groups { of: vec![0; rows], first: if rows == 0 { Vec::new() } else { vec![0] } });
    }
    let fields = keys.iter().map(|key| SortField::new(key.data_type().clone())).collect();
    let encoded = RowConverter::new(fields)?.convert_columns(keys)?;
    let mut seen = HashMap::new();
    let (mut of, mut first) = (Vec::with_capacity(rows), Vec::new());
    for (row, key) in encoded.iter().enumerate() {
        let next = first.len() as u32;
        let group = *seen.entry(key).or_insert(next);
        if group == next {
            first.push(row as u32);
        }
        of.push(group);
    }
    Ok(Groups { of, first })
}
