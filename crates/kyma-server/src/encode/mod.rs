//! Rows out: cells as JSON, and bodies in each format a client may accept.

pub(crate) mod arrow;
pub(crate) mod body;
pub(crate) mod cell;
pub(crate) mod csv;
pub(crate) mod ndjson;
