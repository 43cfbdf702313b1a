//! What may never change: written files carry these values.

/// First and last eight bytes that say "this is TLM": the extent's last bytes.
pub(crate) const MAGIC: [u8; 8] = *b"kymaTLM1";
/// A reader refuses a larger major version.
pub(crate) const VERSION_MAJOR: u16 = 1;
/// A larger minor version adds only sections that may be skipped.
pub(crate) const VERSION_MINOR: u16 = 2;
/// Bytes of the tail: footer lengths, version, flags, checksum, magic.
pub(crate) const TAIL_BYTES: usize = 28;
/// Rows of a page of packed integers (fixed by FastLanes).
pub(crate) const PAGE_ROWS: usize = 1_024;

/// Kinds of footer sections.
pub(crate) mod section {
    /// Whose rows these are.
    pub(crate) const IDENTITY: u16 = 1;
    /// Columns by name and type.
    pub(crate) const SCHEMA: u16 = 2;
    /// Rows of each block, and where every piece of a column is.
    pub(crate) const BLOCKS: u16 = 3;
    /// Statistics per block, column and path.
    pub(crate) const STATS: u16 = 4;
    /// Key paths of dynamic columns.
    pub(crate) const PATHS: u16 = 5;
    /// Where indexes are, and what they cover. May be missing.
    pub(crate) const INDEXES: u16 = 6;
    /// Which rows have a path: where the bitmaps are.
    pub(crate) const PRESENCE: u16 = 7;
    /// How many distinct values columns have, and where their sketches are.
    pub(crate) const SKETCHES: u16 = 8;
    /// Templates of lines, and which each block has.
    pub(crate) const TEMPLATES: u16 = 9;
    /// Rows by value. May be missing.
    pub(crate) const TALLIES: u16 = 10;
    /// Where the rows came from, and a checksum of the data. May be missing.
    pub(crate) const PROVENANCE: u16 = 11;
    /// Dictionaries that columns of several blocks share.
    pub(crate) const DICTIONARIES: u16 = 20;
    /// Flag of a section that a reader must understand.
    pub(crate) const REQUIRED: u16 = 1;
}

/// How a column's values are laid out in one block.
pub(crate) mod encoding {
    /// Added to an encoding in the footer: the head follows there, and the data holds the frames alone.
    pub(crate) const INLINE_HEAD: u8 = 0x80;
    /// All rows are null: no bytes.
    pub(crate) const NULL: u8 = 0;
    /// Integers: constant, runs, or pages of frame-of-reference or delta.
    pub(crate) const INTEGERS: u8 = 1;
    /// Reals as scaled integers with exceptions.
    pub(crate) const DECIMAL_REAL: u8 = 2;
    /// Reals as eight byte planes.
    pub(crate) const PLANES_REAL: u8 = 3;
    /// Decimals that fit 64 bits after a power of ten is taken out.
    pub(crate) const SCALED_DECIMAL: u8 = 4;
    /// Decimals as 16 bytes each.
    pub(crate) const WIDE_DECIMAL: u8 = 5;
    /// One string for every row.
    pub(crate) const CONSTANT_TEXT: u8 = 6;
    /// A dictionary and integer codes.
    pub(crate) const DICTIONARY: u8 = 7;
    /// Lengths, and the bytes in frames.
    pub(crate) const FRAMES: u8 = 8;
    /// Integers: differences to an earlier column of the block, which the footer names.
    pub(crate) const DIFFERENCE: u8 = 9;
    /// Lines as templates and variables.
    pub(crate) const TEMPLATE: u8 = 10;
    /// Codes of a dictionary that the whole extent shares, which the footer names.
    pub(crate) const SHARED: u8 = 11;
    /// Integers: what remains when the differences of an earlier column are divided by a unit; the footer names it.
    pub(crate) const QUOTIENT: u8 = 12;
    /// Strings that spell integers.
    pub(crate) const SPELLED: u8 = 13;
    /// Reals as a dictionary and integer codes.
    pub(crate) const DICTIONARY_REAL: u8 = 14;
    /// Reals as integers of the same order.
    pub(crate) const ORDERED_REAL: u8 = 15;
    /// Reals as pages of their exclusive or with the value before.
    pub(crate) const XOR_REAL: u8 = 16;
    /// A dictionary of front-coded values and integer codes.
    pub(crate) const FRONT_DICTIONARY: u8 = 18;
    /// What remains of the rows of a dynamic column.
    pub(crate) const RESIDUE: u8 = 20;
}

/// How the values of one variable of a template are laid out: see `encoding::template::slot`.
pub(crate) mod slot {
    /// One text.
    pub(crate) const CONSTANT: u8 = 0;
    /// Canonical whole numbers.
    pub(crate) const INTEGER: u8 = 1;
    /// Digits of one width.
    pub(crate) const PADDED: u8 = 2;
    /// Numbers with one count of digits after the dot.
    pub(crate) const DECIMAL: u8 = 3;
    /// Addresses of IPv4.
    pub(crate) const IPV4: u8 = 4;
    /// Times.
    pub(crate) const TIME: u8 = 5;
    /// Times near the row's.
    pub(crate) const TIME_NEAR: u8 = 6;
    /// Numbers that count time near the row's.
    pub(crate) const EPOCH_NEAR: u8 = 7;
    /// Ids of the frame.
    pub(crate) const ID: u8 = 8;
    /// Values that repeat.
    pub(crate) const DICTIONARY: u8 = 9;
    /// Any values.
    pub(crate) const TEXT: u8 = 10;
    /// What another column says.
    pub(crate) const SAME: u8 = 11;
    /// Mostly what another column says.
    pub(crate) const MIXED: u8 = 12;
    /// Between constant texts.
    pub(crate) const AFFIXED: u8 = 13;
    /// A template of at most this many lines in a frame shares its values' place with others.
    pub(crate) const POOLED_LINES_MAX: usize = 3;
    /// So does a template of more variables than this.
    pub(crate) const COLUMNS_MAX: usize = 32;
}

/// The type of a sub-column.
pub(crate) mod sub_column {
    /// Instead of a type: arrays, as lengths and elements.
    pub(crate) const LIST: u8 = 0x80;
}

/// Leaves of a residue.
pub(crate) mod residue {
    /// `null`.
    pub(crate) const NULL: u8 = 0;
    /// `false`.
    pub(crate) const FALSE: u8 = 1;
    /// `true`.
    pub(crate) const TRUE: u8 = 2;
    /// An integer of 64 bits.
    pub(crate) const LONG: u8 = 3;
    /// An integer over a power of ten.
    pub(crate) const DECIMAL: u8 = 4;
    /// A string.
    pub(crate) const TEXT: u8 = 5;
    /// JSON, as it is.
    pub(crate) const JSON: u8 = 6;

    /// How the shapes of rows are laid out.
    pub(crate) mod codes {
        /// As integers.
        pub(crate) const INTEGERS: u8 = 0;
        /// As one compressed run of variable-length integers.
        pub(crate) const VARINTS: u8 = 1;
    }
}

/// Which rows of a block have a path.
pub(crate) mod presence {
    /// A roaring bitmap of rows.
    pub(crate) const ROWS: u8 = 0;
    /// A roaring bitmap of pages that hold such rows.
    pub(crate) const PAGES: u8 = 1;
}

/// How strings became the bytes that an encoding stores.
pub(crate) mod transform {
    /// As they are.
    pub(crate) const NONE: u8 = 0;
    /// Pairs of lower-case hexadecimal digits became bytes.
    pub(crate) const HEX: u8 = 1;
    /// Lower-case hyphenated UUIDs became 16 bytes.
    pub(crate) const UUID: u8 = 2;
    /// Pairs of upper-case hexadecimal digits became bytes.
    pub(crate) const UPPER_HEX: u8 = 3;
    /// Upper-case hyphenated UUIDs became 16 bytes.
    pub(crate) const UPPER_UUID: u8 = 4;
}

/// What strings of [`encoding::SPELLED`] spell.
pub(crate) mod spelled {
    /// A decimal integer without leading zeros.
    pub(crate) const INTEGER: u8 = 0;
    /// A decimal integer with leading zeros up to a fixed number of digits.
    pub(crate) const PADDED: u8 = 1;
    /// A decimal number with a fixed number of digits after the point.
    pub(crate) const FIXED: u8 = 2;
    /// `YYYY-MM-DDThh:mm:ss` with a fixed number of digits of the second, as nanoseconds.
    pub(crate) const TIME: u8 = 3;
    /// The same with a blank between date and time.
    pub(crate) const BLANK_TIME: u8 = 4;
    /// An IPv4 address.
    pub(crate) const IPV4: u8 = 5;
}

/// How a blob of bytes is compressed.
pub(crate) mod blob {
    /// Not at all.
    pub(crate) const RAW: u8 = 0;
    /// One zstd frame.
    pub(crate) const ZSTD: u8 = 1;
}

/// How integers are laid out.
pub(crate) mod integers {
    /// One value.
    pub(crate) const CONSTANT: u8 = 0;
    /// Values of runs, then lengths of runs.
    pub(crate) const RUNS: u8 = 1;
    /// Pages.
    pub(crate) const PAGES: u8 = 2;
    /// Byte planes, compressed.
    pub(crate) const PLANES: u8 = 3;
    /// Page of differences to the page's minimum.
    pub(crate) const PAGE_FRAME: u8 = 0;
    /// Page of differences to the value before.
    pub(crate) const PAGE_DELTA: u8 = 1;
    /// Page that never falls, of differences to the value before: without their sign.
    pub(crate) const PAGE_RISE: u8 = 2;
}

/// Indexes: see `index`.
pub(crate) mod index {
    /// Layout of the index sections; a reader ignores those of another.
    pub(crate) const VERSION: u8 = 1;
    /// Lengths that classes of terms tell apart; the last one is "this or longer".
    pub(crate) const LENGTHS: u8 = 16;
    /// Classes of terms.
    pub(crate) const CLASSES: u8 = 97;

    /// Kinds of characters of a term.
    pub(crate) mod kind {
        /// ASCII digits only.
        pub(crate) const DIGITS: u8 = 0;
        /// Digits and letters up to `f`.
        pub(crate) const HEX: u8 = 1;
        /// ASCII digits and letters.
        pub(crate) const MIXED: u8 = 2;
        /// ASCII letters only.
        pub(crate) const WORD: u8 = 3;
        /// Other characters too.
        pub(crate) const OTHER: u8 = 4;
        /// Anything too long for a dictionary; one class for all lengths.
        pub(crate) const LONG: u8 = 5;
        /// Four runs of at most three digits with a dot between them: beside its runs, an address is a term of its own.
        pub(crate) const ADDRESS: u8 = 6;
    }

    /// Where the terms of one class of one field are.
    pub(crate) mod place {
        /// There are none.
        pub(crate) const ABSENT: u8 = 0;
        /// In the field's dictionary.
        pub(crate) const DICTIONARY: u8 = 1;
        /// In the filter of pages.
        pub(crate) const PAGES: u8 = 2;
        /// In the filter of blocks.
        pub(crate) const BLOCKS: u8 = 3;
    }

    /// What a field's texts are.
    pub(crate) mod source {
        /// The values of a column.
        pub(crate) const COLUMN: u8 = 0;
        /// The texts of a sub-column of a dynamic column.
        pub(crate) const PATH: u8 = 1;
        /// The residues of a dynamic column, as JSON text and with their strings' escapes undone.
        pub(crate) const RESIDUE: u8 = 2;
    }

    /// Flag of a field: parts of UUIDs are left out.
    pub(crate) const UUID_PARTS: u8 = 1;
    /// Flag of a field: its dictionary's postings are pages, not blocks.
    pub(crate) const PAGE_POSTINGS: u8 = 2;
    /// Kind of a filter's shard: answers nothing but "maybe".
    pub(crate) const SHARD_OPEN: u8 = 0;
    /// Kind of a filter's shard: a binary-fuse filter.
    pub(crate) const SHARD_FUSE: u8 = 1;
}

/// Whether rows are null.
pub(crate) mod validity {
    /// No row is null.
    pub(crate) const ALL: u8 = 0;
    /// A bitmap follows: one bit per row, least significant first, set where there is a value.
    pub(crate) const BITMAP: u8 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_on_disk_never_change() {
        assert_eq!((&MAGIC, VERSION_MAJOR, TAIL_BYTES, PAGE_ROWS), (b"kymaTLM1", 1, 28, 1024));
        assert_eq!(
            [section::IDENTITY, section::SCHEMA, section::BLOCKS, section::STATS, section::PATHS, section::INDEXES],
            [1, 2, 3, 4, 5, 6]
        );
        assert_eq!([section::PRESENCE, section::SKETCHES, section::TALLIES, section::PROVENANCE], [7, 8, 10, 11]);
        assert_eq!([residue::codes::INTEGERS, residue::codes::VARINTS], [0, 1]);
        assert_eq!((encoding::RESIDUE, presence::ROWS, presence::PAGES, sub_column::LIST), (20, 0, 1, 0x80));
        assert_eq!(
            [
                residue::NULL,
                residue::FALSE,
                residue::TRUE,
                residue::LONG,
                residue::DECIMAL,
                residue::TEXT,
                residue::JSON
            ],
            [0, 1, 2, 3, 4, 5, 6]
        );
        assert_eq!((section::REQUIRED, encoding::INLINE_HEAD), (1, 0x80));
        assert_eq!(
            [
                encoding::NULL,
                encoding::INTEGERS,
                encoding::DECIMAL_REAL,
                encoding::PLANES_REAL,
                encoding::SCALED_DECIMAL,
                encoding::WIDE_DECIMAL,
                encoding::CONSTANT_TEXT,
                encoding::DICTIONARY,
                encoding::FRAMES,
                encoding::DIFFERENCE,
                encoding::TEMPLATE
            ],
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10]
        );
        assert_eq!((section::TEMPLATES, slot::POOLED_LINES_MAX, slot::COLUMNS_MAX), (9, 3, 32));
        let slots = [
            slot::CONSTANT,
            slot::INTEGER,
            slot::PADDED,
            slot::DECIMAL,
            slot::IPV4,
            slot::TIME,
            slot::TIME_NEAR,
            slot::EPOCH_NEAR,
            slot::ID,
            slot::DICTIONARY,
            slot::TEXT,
            slot::SAME,
            slot::MIXED,
            slot::AFFIXED,
        ];
        assert_eq!(slots, std::array::from_fn(|at| at as u8));
        assert_eq!((index::VERSION, index::LENGTHS, index::CLASSES), (1, 16, 97));
        let kinds = [index::kind::DIGITS, index::kind::HEX, index::kind::MIXED, index::kind::WORD];
        assert_eq!((kinds, index::kind::OTHER), ([0, 1, 2, 3], 4));
        assert_eq!((index::kind::LONG, index::kind::ADDRESS), (5, 6));
        let places = [index::place::ABSENT, index::place::DICTIONARY, index::place::PAGES, index::place::BLOCKS];
        assert_eq!(places, [0, 1, 2, 3]);
        assert_eq!([index::source::COLUMN, index::source::PATH, index::source::RESIDUE], [0, 1, 2]);
        assert_eq!([index::UUID_PARTS, index::PAGE_POSTINGS, index::SHARD_OPEN, index::SHARD_FUSE], [1, 2, 0, 1]);
        assert_eq!(
            [
                encoding::SHARED,
                encoding::QUOTIENT,
                encoding::SPELLED,
                encoding::DICTIONARY_REAL,
                encoding::ORDERED_REAL,
                encoding::XOR_REAL,
                encoding::FRONT_DICTIONARY
            ],
            [11, 12, 13, 14, 15, 16, 18]
        );
        assert_eq!(section::DICTIONARIES, 20);
        assert_eq!([transform::NONE, transform::HEX, transform::UUID], [0, 1, 2]);
        assert_eq!([transform::UPPER_HEX, transform::UPPER_UUID], [3, 4]);
        assert_eq!([spelled::INTEGER, spelled::PADDED, spelled::FIXED], [0, 1, 2]);
        assert_eq!([spelled::TIME, spelled::BLANK_TIME, spelled::IPV4], [3, 4, 5]);
        assert_eq!([blob::RAW, blob::ZSTD, validity::ALL, validity::BITMAP], [0, 1, 0, 1]);
        assert_eq!([integers::CONSTANT, integers::RUNS, integers::PAGES, integers::PLANES], [0, 1, 2, 3]);
        assert_eq!([integers::PAGE_FRAME, integers::PAGE_DELTA, integers::PAGE_RISE], [0, 1, 2]);
    }

    #[test]
    fn types_on_disk_never_change() {
        let names = kyma_core::types::Type::ALL.map(kyma_core::types::Type::name).join(" ");
        assert_eq!(names, "bool int long real decimal datetime timespan guid string dynamic");
    }
}
