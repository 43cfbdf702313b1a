//! Every bound of the format, in one place. A file that claims more is corrupt, a batch that needs more is refused.

/// Rows of one block.
pub(crate) const BLOCK_ROWS_MAX: usize = 1 << 20;
/// Blocks of one extent.
pub(crate) const BLOCKS_MAX: usize = 1 << 20;
/// Columns of one extent.
pub(crate) const COLUMNS_MAX: usize = 65_536;
/// Decompressed bytes of the footer.
pub(crate) const FOOTER_BYTES_MAX: usize = 256 * 1024 * 1024;
/// A shorter head of a piece with frames stands in the footer: who wants one frame reads one range.
pub(crate) const INLINE_HEAD_BYTES_MAX: usize = 32;
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
/// Templates of one column of an extent.
pub(crate) const TEMPLATES_MAX: usize = 65_536;
/// Bytes of one template.
pub(crate) const TEMPLATE_BYTES_MAX: usize = 16 * 1024;
/// Bytes of all templates of one column.
pub(crate) const TEMPLATES_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Variables of one template; a line with more is one variable.
pub(crate) const TEMPLATE_HOLES_MAX: usize = 255;
/// A longer line is one variable.
pub(crate) const TEMPLATE_LINE_BYTES_MAX: usize = 64 * 1024;
/// Words that are kept of one variable of a template.
pub(crate) const HOLE_WORDS_MAX: usize = 128;
/// So many of them when they are but digits and hexadecimal letters.
pub(crate) const HOLE_NUMBERS_MAX: usize = 8;
/// A variable with a longer word keeps none.
pub(crate) const HOLE_WORD_BYTES_MAX: usize = 64;
/// Slots inside one another.
pub(crate) const SLOT_DEPTH_MAX: usize = 3;
/// Values of one dictionary that an extent shares.
pub(crate) const SHARED_VALUES_MAX: usize = 1 << 22;
/// Dictionaries that one extent shares.
pub(crate) const SHARED_DICTIONARIES_MAX: usize = 128;
/// Bytes of all texts of a dynamic column in one block.
pub(crate) const BLOCK_TEXT_BYTES_MAX: u64 = 1 << 33;
/// Sub-columns of one dynamic column in one block.
pub(crate) const SHREDDED_PATHS_MAX: usize = 256;
/// Keys of a shredded path.
pub(crate) const SHREDDED_DEPTH_MAX: usize = 16;
/// One row in this many must have a path before it is shredded.
pub(crate) const SHREDDED_ROWS_SHARE: usize = 20;
/// Arrays and other texts that take fewer bytes of JSON, keys included, are not worth a sub-column.
pub(crate) const SHREDDED_TEXT_BYTES_MIN: usize = 512;
/// Elements of all arrays of one list sub-column in one block.
pub(crate) const ELEMENTS_MAX: usize = 1 << 22;
/// Lists within lists that are taken apart.
pub(crate) const LIST_DEPTH_MAX: usize = 4;
/// Bytes of the bitmap of rows that have a path; with more, pages are told apart only.
pub(crate) const PRESENCE_BYTES_MAX: usize = 1_024;
/// Bitmaps of one extent.
pub(crate) const PRESENCE_ENTRIES_MAX: usize = 1 << 20;
/// Bytes of a column's sketch.
pub(crate) const SKETCH_BYTES_MAX: usize = 4_096;
/// Key paths listed per extent; with more, the list is dropped and nothing is claimed about paths.
pub(crate) const LISTED_PATHS_MAX: usize = 4_096;
/// Key paths tracked while one block is shredded; further members stay in the residue.
pub(crate) const TRACKED_PATHS_MAX: usize = 65_536;
/// Bytes of a term that a dictionary may hold.
pub(crate) const TERM_BYTES_MAX: usize = 64;
/// Fields of one extent that are indexed; further ones answer "maybe".
pub(crate) const INDEX_FIELDS_MAX: usize = 4_096;
/// Pages of one extent; a larger one has no index.
pub(crate) const INDEX_PAGES_MAX: u32 = 1 << 17;
/// Decompressed bytes at which a block of a dictionary is closed: compressed, one small range.
pub(crate) const DICTIONARY_BLOCK_BYTES: usize = 64 * 1024;
/// Decompressed bytes of a block of a dictionary; one term with its postings may pass [`DICTIONARY_BLOCK_BYTES`].
pub(crate) const DICTIONARY_BLOCK_BYTES_MAX: usize = 1024 * 1024;
/// Blocks of one dictionary, and shards of one filter.
pub(crate) const INDEX_PARTS_MAX: usize = 65_536;
/// Bytes of a filter's shard that writers aim at: one small range.
pub(crate) const SHARD_BYTES: usize = 40 * 1024;
/// Bytes that ranges of the index are joined up to: what one small request may fetch.
pub(crate) const INDEX_JOINED_BYTES: u64 = 64 * 1024;
/// Bytes of the index that one condition may fetch; beyond, it answers "maybe".
pub(crate) const INDEX_READ_BYTES_MAX: u64 = 8 * 1024 * 1024;
/// Decompressed bytes of dictionaries that one condition may look through, once for each test; beyond, it answers "maybe".
pub(crate) const INDEX_SEARCHED_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Tests of terms that one condition may have; beyond, it answers "maybe".
pub(crate) const INDEX_TESTS_MAX: usize = 1_024;
/// Runs of a needle that are made into tests; the others would tell little more.
pub(crate) const NEEDLE_TERMS_MAX: usize = 64;
/// Alternatives that the literals of a regular expression are spelled out to.
pub(crate) const REGEX_LITERALS_MAX: usize = 16;
/// Nesting of predicates and regular expressions that is looked into; deeper is "maybe".
pub(crate) const NEED_DEPTH_MAX: usize = 100;

const _: () = assert!(FRAME_ROWS.is_multiple_of(crate::constants::PAGE_ROWS));
const _: () = assert!(FRAME_BYTES + kyma_core::limits::STRING_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(kyma_core::limits::BLOCK_ROWS <= BLOCK_ROWS_MAX);
