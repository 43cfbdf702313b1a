//! Bytes of rows, not of the buffers that they share with other rows.

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};

/// Bytes that the rows of a batch take: cut from a larger batch, they count for themselves only.
pub fn batch_bytes(batch: &RecordBatch) -> usize {
    batch.columns().iter().map(array_bytes).sum()
}

fn array_bytes(array: &ArrayRef) -> usize {
    match array.as_string_view_opt() {
        Some(texts) => texts.lengths().map(|length| length as usize + size_of::<u128>()).sum(),
        None => array.to_data().get_slice_memory_size().unwrap_or_else(|_| array.get_array_memory_size()),
    }
}
