//! Sets of units: pages or blocks of an extent.

/// A set of units below a count.
#[derive(Debug, Clone)]
pub(crate) struct Units {
    words: Vec<u64>,
    count: u32,
    /// Whether all are known to be in it: filling it again costs nothing.
    is_full: bool,
}

impl Units {
    pub(crate) fn none(count: u32) -> Self {
        Units { words: vec![0; count.div_ceil(64) as usize], count, is_full: false }
    }

    #[cfg(test)]
    pub(crate) fn all(count: u32) -> Self {
        let mut all = Units::none(count);
        all.fill();
        all
    }

    /// Adds every unit.
    pub(crate) fn fill(&mut self) {
        if !std::mem::replace(&mut self.is_full, true) {
            (0..self.count).for_each(|unit| self.set(unit));
        }
    }

    #[cfg(test)]
    pub(crate) fn is_empty(&self) -> bool {
        self.words.iter().all(|&word| word == 0)
    }

    /// Adds a unit; one that is not below the count is not there.
    pub(crate) fn set(&mut self, unit: u32) {
        if let Some(word) = self.words.get_mut(unit as usize / 64).filter(|_| unit < self.count) {
            *word |= 1 << (unit % 64);
        }
    }

    pub(crate) fn has(&self, unit: u32) -> bool {
        self.words.get(unit as usize / 64).is_some_and(|word| word & (1 << (unit % 64)) != 0)
    }

    pub(crate) fn count(&self) -> u32 {
        self.count
    }

    pub(crate) fn and(&mut self, other: &Units) {
        self.is_full &= other.is_full;
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word &= other);
    }

    pub(crate) fn or(&mut self, other: &Units) {
        self.words.iter_mut().zip(&other.words).for_each(|(word, other)| *word |= other);
    }
}
