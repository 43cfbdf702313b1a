//! Dictionaries that columns of several blocks share: ids that recur across blocks, or in another column.
//!
//! A trace's id occurs once per line it has written, and sorting by stream scatters these lines over the blocks; a span's
//! parent is another row's span. No code is smaller than such an id's first occurrence, so each is stored once per extent:
//!
//! ```text
//! dictionary = a piece like that of a column without nulls: FRAMES of 1,024 values each
//! column     = SHARED: validity, codes integers               the footer says to which dictionary
//! ```
//!
//! The values stand in the order of their first row's event time, or of their first appearance, whichever makes the codes
//! smaller: rows of one stream are in order of time, so their codes rise by small steps.
//!
//! Reading takes two rounds: the codes, and then those pages of the dictionary that the wanted codes lie in. A block's
//! whole read touches most pages, a needle's only one.

pub(crate) mod reader;
pub(crate) mod writer;

use kyma_core::types::Type;

use crate::footer::Piece;

/// A dictionary as the footer knows it.
#[derive(Debug, Clone)]
pub(crate) struct Dictionary {
    /// Type of the values, and of every column that has codes.
    pub(crate) ty: Type,
    /// How many values.
    pub(crate) values: u32,
    /// Where they are.
    pub(crate) piece: Piece,
}

#[cfg(test)]
mod tests;
