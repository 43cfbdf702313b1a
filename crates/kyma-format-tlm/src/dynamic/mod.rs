//! Dynamic columns: taken apart into typed sub-columns and put together again.
//!
//! 1. [`scan`] cuts a row's JSON into *leaves*: everything that is not a non-empty object, under its key path.
//! 2. [`shred`] counts leaves per path and kind over a block; paths that occur often become sub-columns of their most
//!    frequent kind (long, real, bool, string); what remains of each row is its *residue*.
//! 3. [`assemble`] puts leaves and residue together. Members come back in this order: shredded paths by first
//!    appearance, then the residue's. A value whose text is not canonical is never shredded, so every text comes back as it was.
//!
//! A row that cannot be taken apart without loss (broken JSON, white space between tokens, duplicate keys, too deep)
//! is *opaque*: it is its own residue, byte for byte.

pub(crate) mod assemble;
pub(crate) mod convert;
pub(crate) mod paths;
pub(crate) mod scan;
pub(crate) mod shred;
