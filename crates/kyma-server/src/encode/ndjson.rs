//! One JSON object per line; a null is written, so that every line has every column.

use ::arrow::array::RecordBatch;
use bytes::Bytes;
use kyma_core::{Result, Schema};

use super::body::cells_of;
use super::cell::{NullStrings, write_text};

/// The lines of a batch.
pub(crate) fn encode(schema: &Schema, batch: &RecordBatch, null_strings: NullStrings) -> Result<Bytes> {
    let cells = cells_of(schema, batch)?;
    let names: Vec<Vec<u8>> = schema.columns().iter().map(|column| quoted_name(&column.name)).collect();
    let mut out = Vec::new();
    for row in 0..batch.num_rows() {
        out.push(b'{');
        for (nth, (cell, name)) in cells.iter().zip(&names).enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            out.extend_from_slice(name);
            cell.write_json(row, null_strings, &mut out);
        }
        out.extend_from_slice(b"}\n");
    }
    Ok(Bytes::from(out))
}

fn quoted_name(name: &str) -> Vec<u8> {
    let mut out = Vec::new();
    write_text(name, &mut out);
    out.push(b':');
    out
}
