//! Which values of a column a read asks for.

/// Values by their place among the non-null ones of a block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Wanted {
    /// Every value.
    All,
    /// These, ascending.
    Rows(Vec<u32>),
}

impl Wanted {
    /// How many of `rows` values are wanted.
    pub(crate) fn count(&self, rows: usize) -> usize {
        match self {
            Wanted::All => rows,
            Wanted::Rows(list) => list.len(),
        }
    }
}
