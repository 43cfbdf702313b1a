//! From plain bytes to typed columns.
//!
//! 1. `split` cuts the stream into chunks of whole rows; a row longer than [`crate::settings::LINE_BYTES_MAX`] is thrown
//!    away while it passes, but for its first bytes.
//! 2. `json` and `csv` turn the rows of a chunk into [`cells::Cells`]: per key the places of its values in the text. A
//!    row that cannot be decoded is taken back and becomes a [`Rejected`].
//!    `mapped` does the same for rows that come with a mapping.
//! 3. `infer` looks at all cells of a chunk and says which columns the table should have.
//! 4. (The caller asks the catalog, whose answer is the truth about types.)
//! 5. `build` turns cells into Arrow arrays of the table's types; what does not fit goes to `_unmapped`.
//!
//! Steps 2, 3 and 5 compute and run on blocking threads. Nothing here does IO.
//!
//! Decisions: of duplicate keys in one object the first non-null counts and later ones go to `_unmapped`. JSON null is
//! the same as absence. A row without event time gets the time of ingestion as its event time, so that time bounds stay exact.

pub(crate) mod build;
pub(crate) mod cells;
pub(crate) mod csv;
pub(crate) mod infer;
pub(crate) mod json;
pub(crate) mod mapped;
pub(crate) mod split;

use crate::settings::RAW_BYTES_MAX;

/// A row that could not be decoded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rejected {
    /// Why, in words.
    pub(crate) reason: String,
    /// Its bytes, as far as they are kept, as text.
    pub(crate) raw: String,
}

impl Rejected {
    /// Keeps the first [`RAW_BYTES_MAX`] of `raw`; `bytes` is the whole row's length.
    pub(crate) fn new(reason: impl Into<String>, raw: &[u8], bytes: u64) -> Self {
        let kept = &raw[..raw.len().min(RAW_BYTES_MAX)];
        let mut reason = reason.into();
        if (kept.len() as u64) < bytes {
            reason.push_str(&format!(" (kept {} of {bytes} bytes)", kept.len()));
        }
        Rejected { reason, raw: String::from_utf8_lossy(kept).into_owned() }
    }
}

#[cfg(test)]
mod tests;
