//! Dynamic columns: taken apart into typed sub-columns and put together again.
//!
//! 1. [`scan`] cuts a row's JSON into *leaves*: everything that is not a non-empty object, under its key path.
//! 2. [`shred`] counts leaves per path and kind over a block. What occurs often becomes a sub-column of the path and the
//!    kind: longs, reals, truth values, strings, arrays, and other JSON as text. Several kinds under one path are
//!    several sub-columns, of which a row has a value in at most one. What remains of each row is its [`residue`].
//! 3. Arrays are tried as lists: a sub-column of lengths, and all elements of the block's rows as rows of their own,
//!    taken apart the same way below the path `path[]`. [`pack`] keeps them where that takes fewer bytes than their text.
//! 4. [`presence`] tells for paths that some rows have, and no sub-column knows wholly, which rows these are.
//! 5. [`read`] finds the pieces that answer a path, and [`assemble`] puts leaves together.
//!
//! What comes back is the value with its members in another order: each object's by first appearance in the extent.
//! Numbers, strings and the order of elements are as they were written: whatever would print differently (`1.50`,
//! `1e3`, `"\u0061"`) is kept as JSON text. A row that cannot be taken apart without loss (broken JSON, white space
//! between tokens, duplicate keys, too deep) is *opaque*: it is one leaf, byte for byte.

pub(crate) mod assemble;
pub(crate) mod convert;
pub(crate) mod pack;
pub(crate) mod paths;
pub(crate) mod presence;
pub(crate) mod read;
pub(crate) mod residue;
pub(crate) mod scan;
pub(crate) mod shred;
pub(crate) mod stats;

#[cfg(test)]
mod tests;
