//! Every bound of the format, in one place. A file that claims more is corrupt, a batch that needs more is refused.

/// Rows of one block.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << 20;
/// Rows of one row group, unless a block has more.
pub(crate) const GROUP_ROWS_MAX: usize = 1 << 20;
/// Row groups of one file: Parquet numbers them with 15 bits.
pub(crate) const GROUPS_MAX: usize = i16::MAX as usize;
/// Columns of one extent.
pub(crate) const COLUMNS_MAX: usize = 65_536;
/// A data page ends after this many rows.
pub(crate) const PAGE_ROWS: usize = 8_192;
/// A data page ends after about this many bytes before compression.
pub(crate) const PAGE_BYTES: usize = 1024 * 1024;
/// Values encoded between two looks at the size of a page.
pub(crate) const PAGE_STEP_ROWS: usize = 1_024;
/// Bytes of a chunk's dictionary; a chunk that needs more writes the rest without one.
pub(crate) const DICTIONARY_BYTES: usize = 512 * 1024;
/// Decompressed bytes of one page.
pub(crate) const PAGE_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Longest single value.
pub(crate) const VALUE_BYTES_MAX: usize = 32 * 1024 * 1024;
/// Bytes of the footer, and of the statistics in it before compression.
pub(crate) const FOOTER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Bloom filters of at most this many bytes together are part of the footer.
pub(crate) const FOOTER_FILTER_BYTES_MAX: usize = 64 * 1024;
/// Bytes of one Bloom filter.
pub(crate) const FILTER_BYTES_MAX: usize = 16 * 1024 * 1024;
/// A column with fewer distinct values has no Bloom filter: bounds and dictionary say as much.
pub(crate) const FILTER_DISTINCT_MIN: u64 = 16;
/// A column of longer texts, on average, has no Bloom filter: nobody looks for a whole log line.
pub(crate) const FILTER_VALUE_BYTES_MAX: usize = 64;
/// Key paths listed per extent; with more, the list is dropped and nothing is claimed about paths.
pub(crate) const LISTED_PATHS_MAX: usize = 4_096;
/// Nesting of a thrift structure.
pub(crate) const THRIFT_DEPTH_MAX: usize = 32;

const _: () =
    assert!(kyma_core::limits::BLOCK_ROWS.is_multiple_of(PAGE_ROWS) && PAGE_ROWS.is_multiple_of(PAGE_STEP_ROWS));
const _: () = assert!(kyma_core::limits::STRING_BYTES_MAX <= VALUE_BYTES_MAX);
const _: () =
    assert!(PAGE_BYTES + VALUE_BYTES_MAX < PAGE_BYTES_MAX && DICTIONARY_BYTES + VALUE_BYTES_MAX < PAGE_BYTES_MAX);
