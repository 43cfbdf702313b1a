//! Limits of this crate.

/// Regular expressions kept compiled during one call.
pub const REGEX_CACHE_MAX: usize = 64;
/// Elements of an array built by `range`, `repeat`, `make_list`, `make_set` and keys of `make_bag` unless asked for fewer.
pub const ARRAY_ELEMENTS_MAX: usize = 1_048_576;
/// Bytes of a string built by `strrep`, `strcat` and the like.
pub const STRING_BYTES_MAX: usize = kyma_core::limits::STRING_BYTES_MAX;
/// Bytes after decompression.
pub const DECOMPRESSED_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Distinct values counted exactly per group; beyond, `dcount` estimates.
pub const DISTINCT_EXACT_MAX: usize = 4_096;
/// Values kept exactly per group; beyond, `percentile` estimates.
pub const PERCENTILE_EXACT_MAX: usize = 4_096;
/// Bins of one series.
pub const SERIES_BINS_MAX: usize = 1_048_576;
/// Bins of all series of one `make-series` together.
pub const SERIES_ELEMENTS_MAX: usize = 64 * 1024 * 1024;
/// Rows that `mv-expand` makes of one row unless asked otherwise.
pub const EXPANDED_ROWS_MAX: usize = 2_147_483_647;
/// Networks that `ipv4_range_to_cidr_list` gives at most (a range needs at most 62).
pub const CIDR_LIST_MAX: usize = 64;
/// Positions of one geometry, given or built.
pub const GEO_VERTICES_MAX: usize = 1_048_576;
/// Positions of the border of a buffer before it is made of its parts, in the worst case.
pub const GEO_BUFFER_VERTICES_MAX: usize = 8_388_608;
/// Cells of one answer of `geo_line_to_s2cells` and `geo_polygon_to_s2cells`.
pub const GEO_S2_CELLS_MAX: usize = 65_536;
/// Cells of one answer of `geo_polygon_to_h3cells`.
pub const GEO_H3_CELLS_MAX: usize = 61_680;
/// Levels between an H3 cell and the children asked for.
pub const GEO_H3_CHILD_LEVELS_MAX: u8 = 5;
/// Distance of the outermost ring around an H3 cell.
pub const GEO_H3_RINGS_MAX: i64 = 142;
/// Shapes kept parsed during one call.
pub const GEO_SHAPES_CACHED_MAX: usize = 256;
/// Periods that `series_periods_detect` and `series_periods_validate` give.
pub const SERIES_PERIODS_MAX: usize = 16;
/// Degree of the polynomials of `series_fit_poly`.
pub const SERIES_POLY_DEGREE_MAX: usize = 15;
/// Coefficients of a filter: filtering takes so many steps a value.
pub const SERIES_COEFFICIENTS_MAX: usize = 1_024;
/// Bytes of a user agent that are looked at.
pub const USER_AGENT_BYTES_MAX: usize = 2_048;
/// Bins that a plugin with a range walks, per group.
pub const PLUGIN_BINS_MAX: usize = 1_048_576;
/// Patterns that `basket`, `autocluster` and `diffpatterns` give.
pub const PATTERNS_MAX: usize = 1_000;
/// Combinations of values that these look at.
pub const PATTERN_CANDIDATES_MAX: usize = 2_000_000;
/// Memory of the rows of these combinations.
pub const PATTERN_BYTES_MAX: usize = 256 * 1024 * 1024;
/// Nodes and edges of a graph.
pub const GRAPH_ELEMENTS_MAX: usize = 50_000_000;
/// Edges that one `graph-match` or `graph-shortest-paths` may try, counting again those behind them in a path.
pub const GRAPH_STEPS_MAX: u64 = 100_000_000;
/// Matches of one pattern.
pub const GRAPH_MATCHES_MAX: usize = 10_000_000;
/// Partial matches that are extended at a time.
pub const GRAPH_BATCH_ROWS: usize = 4_096;
