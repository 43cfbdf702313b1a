//! Codes to values.

use arrow::array::{ArrayRef, UInt32Array};
use arrow::buffer::{BooleanBuffer, NullBuffer};
use kyma_core::error::Result;

use crate::wire::corrupt;

/// The codes of the wanted rows of a column.
#[derive(Debug)]
pub(crate) struct Codes {
    pub(crate) dictionary: u32,
    /// One per wanted row, 0 where it is null.
    pub(crate) codes: Vec<u32>,
    pub(crate) nulls: Option<NullBuffer>,
}

impl Codes {
    /// Checks what was decoded against the `values` of the dictionary.
    pub(crate) fn checked(dictionary: u32, codes: &[i64], nulls: Option<NullBuffer>, values: u32) -> Result<Codes> {
        let code = |&code: &i64| u32::try_from(code).ok().filter(|&code| code < values);
        let codes: Option<Vec<u32>> = codes.iter().map(code).collect();
        let codes = codes.ok_or_else(|| corrupt("a code passes the shared dictionary"))?;
        Ok(Codes { dictionary, codes, nulls })
    }
}

/// Which values of a dictionary all columns of a read want.
#[derive(Debug)]
pub(crate) struct WantedValues {
    /// Ascending.
    codes: Vec<u32>,
    values: u32,
}

impl WantedValues {
    pub(crate) fn new(values: u32) -> Self {
        WantedValues { codes: Vec::new(), values }
    }

    pub(crate) fn add(&mut self, codes: &Codes) {
        self.codes.extend_from_slice(&codes.codes);
        self.codes.sort_unstable();
        self.codes.dedup();
    }

    /// One bit per value of the dictionary.
    pub(crate) fn selection(&self) -> BooleanBuffer {
        let mut bits = vec![false; self.values as usize];
        self.codes.iter().for_each(|&code| bits[code as usize] = true);
        BooleanBuffer::from(bits)
    }

    /// The rows of a column; `values` are the wanted ones.
    pub(crate) fn rows(&self, codes: Codes, values: &ArrayRef) -> Result<ArrayRef> {
        let place = |code: &u32| self.codes.binary_search(code).unwrap_or_default() as u32;
        let places: Vec<u32> = match self.codes.len() == self.values as usize {
            true => codes.codes,
            false if codes.codes.len() < self.values as usize / 16 => codes.codes.iter().map(place).collect(),
            false => {
                let mut places = vec![0_u32; self.values as usize];
                self.codes.iter().enumerate().for_each(|(place, &code)| places[code as usize] = place as u32);
                codes.codes.iter().map(|&code| places[code as usize]).collect()
            }
        };
        Ok(arrow::compute::take(values, &UInt32Array::new(places.into(), codes.nulls), None)?)
    }
}
