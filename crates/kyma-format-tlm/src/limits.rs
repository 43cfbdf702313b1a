//! Every bound of the format, in one place. A file that claims more is corrupt, a batch that needs more is refused.

/// Rows of one block.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << 20;
/// Blocks of one extent.
pub(crate) const BLOCKS_MAX: usize = 1 << 20;
/// Columns of one extent.
pub(crate) const COLUMNS_MAX: usize = 65_536;
/// Decompressed bytes of the footer.
pub(crate) const FOOTER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Rows of one frame of text.
pub(crate) const FRAME_ROWS: usize = 8_192;
/// A frame ends after the row that reaches this many bytes.
pub(crate) const FRAME_BYTES: usize = 8 * 1024 * 1024;
/// Decompressed bytes of one frame or blob; a single string is shorter than this.
pub(crate) const FRAME_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Bytes of all values of one dictionary.
pub(crate) const DICTIONARY_BYTES_MAX: usize = 8 * 1024 * 1024;
/// Values of one dictionary.
pub(crate) const DICTIONARY_VALUES_MAX: usize = 65_536;
/// Values of one dictionary that an extent shares.
pub(crate) const SHARED_VALUES_MAX: usize = 1 << 22;
/// Dictionaries that one extent shares.
pub(crate) const SHARED_DICTIONARIES_MAX: usize = 128;
/// Shredded paths of one dynamic column in one block.
pub(crate) const SHREDDED_PATHS_MAX: usize = 256;
/// Keys of a shredded path.
pub(crate) const SHREDDED_DEPTH_MAX: usize = 16;
/// One row in this many must have a path before it is shredded.
pub(crate) const SHREDDED_ROWS_SHARE: usize = 20;
/// Key paths listed per extent; with more, the list is dropped and nothing is claimed about paths.
pub(crate) const LISTED_PATHS_MAX: usize = 4_096;
/// Key paths tracked while one block is shredded; further members stay in the residue.
pub(crate) const TRACKED_PATHS_MAX: usize = 65_536;

const _: () = assert!(FRAME_ROWS.is_multiple_of(crate::constants::PAGE_ROWS));
const _: () = assert!(FRAME_BYTES + kyma_core::limits::STRING_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(kyma_core::limits::BLOCK_ROWS <= BLOCK_ROWS_MAX);
