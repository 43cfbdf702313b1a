//! JSON bodies in pieces: text as it is, and rows that are encoded when the client is ready for them.
//!
//! An answer of many megabytes is thus never in memory twice: its batches are encoded [`ENCODE_ROWS`] rows at a
//! time while the body is sent.

use ::arrow::array::RecordBatch;
use axum::body::Body;
use bytes::Bytes;
use futures::stream;
use kyma_core::{Result, Schema};

use super::cell::{Cells, NullStrings};
use crate::settings::ENCODE_ROWS;

/// A part of a JSON body.
pub(crate) enum Piece {
    /// Literal JSON text.
    Text(String),
    /// The rows of a table: `[..],[..]`, without the brackets around them.
    Rows { schema: Schema, batches: Vec<RecordBatch>, null_strings: NullStrings },
}

impl Piece {
    pub(crate) fn text(text: impl Into<String>) -> Self {
        Piece::Text(text.into())
    }
}

/// A body that sends `pieces` one after the other.
pub(crate) fn stream_body(pieces: Vec<Piece>) -> Body {
    let chunks = pieces.into_iter().flat_map(chunks);
    Body::from_stream(stream::iter(chunks))
}

/// The whole body at once, for tests and small answers.
#[cfg(test)]
pub(crate) fn collect(pieces: Vec<Piece>) -> Result<Vec<u8>> {
    pieces.into_iter().flat_map(chunks).try_fold(Vec::new(), |mut all, chunk| {
        all.extend_from_slice(&chunk?);
        Ok(all)
    })
}

fn chunks(piece: Piece) -> Box<dyn Iterator<Item = Result<Bytes>> + Send> {
    match piece {
        Piece::Text(text) => Box::new(std::iter::once(Ok(Bytes::from(text)))),
        Piece::Rows { schema, batches, null_strings } => {
            let slices = batches.into_iter().flat_map(slices).enumerate();
            Box::new(slices.map(move |(nth, slice)| encode_rows(&schema, &slice, null_strings, nth == 0)))
        }
    }
}

/// Cuts a batch into slices of at most [`ENCODE_ROWS`] rows; no slice is empty.
pub(crate) fn slices(batch: RecordBatch) -> impl Iterator<Item = RecordBatch> + Send {
    let rows = batch.num_rows();
    (0..rows).step_by(ENCODE_ROWS).map(move |from| batch.slice(from, ENCODE_ROWS.min(rows - from)))
}

/// The cells of each column of a batch.
pub(crate) fn cells_of(schema: &Schema, batch: &RecordBatch) -> Result<Vec<Cells>> {
    batch.columns().iter().zip(schema.columns()).map(|(array, column)| Cells::new(array, column.ty)).collect()
}

/// The rows of a batch as JSON lists; a comma goes before them unless they are the first.
pub(crate) fn encode_rows(
    schema: &Schema,
    batch: &RecordBatch,
    null_strings: NullStrings,
    first: bool,
) -> Result<Bytes> {
    let cells = cells_of(schema, batch)?;
    let mut out = Vec::with_capacity(batch.num_rows() * (2 + 16 * cells.len()));
    for row in 0..batch.num_rows() {
        if !(first && row == 0) {
            out.push(b',');
        }
        out.push(b'[');
        for (nth, cell) in cells.iter().enumerate() {
            if nth > 0 {
                out.push(b',');
            }
            cell.write_json(row, null_strings, &mut out);
        }
        out.push(b']');
    }
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use ::arrow::array::{ArrayRef, Int64Array};
    use kyma_core::Type;

    use super::*;

    #[test]
    fn rows_of_many_batches_become_one_list() {
        let schema = Schema::from([("n", Type::Long)]);
        let batch = |values: Vec<i64>| {
            RecordBatch::try_new(schema.arrow(), vec![Arc::new(Int64Array::from(values)) as ArrayRef]).unwrap()
        };
        let batches = vec![batch(vec![]), batch(vec![1, 2]), batch((0..5_000).collect())];
        let rows = Piece::Rows { schema: schema.clone(), batches, null_strings: NullStrings::Empty };
        let text = collect(vec![Piece::text("["), rows, Piece::text("]")]).unwrap();
        let rows: Vec<[i64; 1]> = serde_json::from_slice(&text).unwrap();
        assert_eq!(rows.len(), 5_002);
        assert_eq!(rows[..3], [[1], [2], [0]]);
    }
}
