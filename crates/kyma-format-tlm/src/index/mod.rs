//! Indexes of text: which pages or blocks may hold a term.
//!
//! ```text
//! indexes   = dictionary of each field, filter of blocks, filter of pages      after the last block's data
//! field     = the texts of a column, of a path of a dynamic column, or of a dynamic column's residues
//! directory = the footer's INDEXES section, see `directory`
//! ```
//!
//! Level 0 has a filter of (term, block) pairs. Higher levels keep words and short numbers in a dictionary per field, with the
//! pages they occur in, and identifiers in one filter of (term, page) pairs for all fields. Where a term is kept follows from its
//! class (`terms`) and the directory, so that a lookup reads one small range.
//!
//! An index answers "certainly not in this page" or "maybe"; `search` combines answers, `need` says what a condition asks of
//! terms. A null text has no terms, and neither has an empty one, so that both readings of a null string agree.

pub(crate) mod build;
pub(crate) mod collect;
pub(crate) mod dictionary;
pub(crate) mod directory;
pub(crate) mod filter;
pub(crate) mod fuse;
#[cfg(test)]
mod measure;
pub(crate) mod need;
pub(crate) mod postings;
pub(crate) mod search;
pub(crate) mod terms;
pub(crate) mod units;
