//! Kernels of whole operators: they change the number of rows, or give several columns at once.

mod expand;
mod function;
mod graph;
mod groups;
mod key_value;
mod parse;
mod plugin;
mod reduce;
mod scan;
mod series;

pub use expand::mv_expand;
pub use function::{TableCall, table};
pub use key_value::{KeyValueOptions, parse_kv};
pub use parse::parse;
pub use series::{Series, SeriesValue, make_series, series_bins};
