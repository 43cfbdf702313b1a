//! `reduce`: texts gathered under patterns.

/// How texts are gathered.
#[derive(Debug, Clone, PartialEq)]
pub struct Reduce {
    /// Share of all rows that a pattern must stand for; rows of smaller ones are gathered under `*`.
    pub threshold: f64,
    /// Characters that belong to terms beside letters and digits.
    pub characters: String,
}
