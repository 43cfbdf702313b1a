//! One column of one block, to bytes and back.
//!
//! A column is a *head*, which every read fetches, and for long strings *frames*, of which a read fetches those that hold
//! wanted rows. `column` starts and ends the work, the other modules know one kind of value each, always as a writer
//! (`encode`) and a reader (`decode`) side by side.

mod bitpack;
pub(crate) mod blob;
mod column;
mod filler;
pub(crate) mod integers;
mod numbers;
mod reals;
mod spelled;
mod spelling;
pub(crate) mod template;
mod text;
mod transform;
mod views;
mod wanted;

/// zstd levels from here on say that bytes matter more than time: more layouts are tried.
pub(crate) const THOROUGH: i32 = 9;

pub(crate) use column::{
    Fetched, Packed, PackedFrame, decode, decode_coded, decode_codes, encode, encode_codes, encode_difference,
    encode_pages, encode_quotient, find_equal, is_span, name, start, template_codes, wide_integers,
};
pub(crate) use wanted::Wanted;
