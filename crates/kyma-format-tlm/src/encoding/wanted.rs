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

    /// The wanted ones of the values from `start` to before `end`, counted from `start`; `None` for all.
    pub(crate) fn within(&self, start: usize, end: usize) -> Option<Vec<u32>> {
        let Wanted::Rows(list) = self else { return None };
        let from = list.partition_point(|&row| (row as usize) < start);
        let to = list.partition_point(|&row| (row as usize) < end);
        Some(list[from..to].iter().map(|&row| row - start as u32).collect())
    }
}
