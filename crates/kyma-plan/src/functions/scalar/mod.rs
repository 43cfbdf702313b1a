//! Scalar functions, one table per family.
//!
//! A row is `row(name, aliases, parameters, (fewest, most), result, naming, sentence)`.

mod analysis;
mod bits;
mod conversion;
mod datetime;
mod digest;
mod dynamic;
mod encoding;
mod geo;
mod geo_shapes;
mod hash;
mod logic;
mod math;
mod network;
mod parse;
mod predicate;
mod principal;
mod series;
mod text;

use super::{Class, Naming, Nulls, Returns, ScalarFunction};

/// Most arguments of a function that takes any number.
const MANY: usize = 64;

/// Every table.
pub(super) static TABLES: &[&[ScalarFunction]] = &[
    predicate::TABLE,
    logic::TABLE,
    conversion::TABLE,
    text::TABLE,
    encoding::TABLE,
    datetime::TABLE,
    dynamic::TABLE,
    math::TABLE,
    bits::TABLE,
    network::TABLE,
    parse::TABLE,
    hash::TABLE,
    digest::TABLE,
    principal::TABLE,
    series::TABLE,
    analysis::TABLE,
    geo::TABLE,
    geo_shapes::TABLE,
];

/// One row of a table.
pub(super) const fn row(
    name: &'static str,
    aliases: &'static [&'static str],
    params: &'static [Class],
    (min_args, max_args): (usize, usize),
    returns: Returns,
    naming: Naming,
    doc: &'static str,
) -> ScalarFunction {
    ScalarFunction {
        name,
        aliases,
        params,
        min_args,
        max_args,
        returns,
        naming,
        doc,
        nulls: Nulls::Propagate,
        example: "",
    }
}
