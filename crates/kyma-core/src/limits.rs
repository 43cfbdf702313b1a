//! Limits that more than one crate must agree on. Each crate names its own beside its settings.

/// Rows of a block: the unit of pruning and of column IO.
pub const BLOCK_ROWS: usize = 65_536;
/// Rows of a page: the unit of decoding, postings and selection.
pub const PAGE_ROWS: usize = 1_024;
/// Columns of a table; further keys go to `_unmapped`.
pub const TABLE_COLUMNS_MAX: usize = 1_000;
/// Longest single string value, in bytes; a longer one rejects its row.
pub const STRING_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest compiled regular expression, in bytes.
pub const REGEX_BYTES_MAX: usize = 10 * 1024 * 1024;
/// Longest query text, in bytes.
pub const QUERY_TEXT_BYTES_MAX: usize = 1024 * 1024;
/// Extents that one extent may say it replaces: sources of a compaction.
pub const EXTENT_REPLACES_MAX: usize = 16_384;
/// Writes that one extent may name, 16 bytes each; with more it names none.
pub const EXTENT_WRITES_MAX: usize = 1_024;
/// Rows of a query's answer unless asked otherwise.
pub const RESULT_ROWS_MAX: usize = 500_000;
/// Bytes of a query's answer unless asked otherwise.
pub const RESULT_BYTES_MAX: usize = 64 * 1024 * 1024;

const _: () = assert!(BLOCK_ROWS.is_multiple_of(PAGE_ROWS));
