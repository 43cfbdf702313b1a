//! Decimals, by way of integers where that loses nothing.
//!
//! ```text
//! SCALED_DECIMAL  power u8, integers
//! WIDE_DECIMAL    blob: 16 bytes each
//! ```

use kyma_core::error::Result;

use super::wanted::Wanted;
use super::{blob, integers};
use crate::constants::encoding;
use crate::wire::{Reader, Writer, corrupt};

/// Largest power of ten taken out of a decimal.
const DECIMAL_POWER_MAX: u8 = kyma_core::types::DECIMAL_SCALE as u8;

/// Appends decimals to `out`; gives the encoding.
pub(crate) fn encode_decimals(values: &[i128], level: i32, out: &mut Writer) -> Result<u8> {
    let mut power = DECIMAL_POWER_MAX;
    for value in values {
        while power > 0 && value % 10_i128.pow(u32::from(power)) != 0 {
            power -= 1;
        }
    }
    let scale = 10_i128.pow(u32::from(power));
    let whole: Option<Vec<i64>> = values.iter().map(|value| i64::try_from(value / scale).ok()).collect();
    if let Some(whole) = whole {
        out.u8(power);
        integers::encode_at(&whole, level, out)?;
        return Ok(encoding::SCALED_DECIMAL);
    }
    let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
    blob::encode(&bytes, level, out)?;
    Ok(encoding::WIDE_DECIMAL)
}

/// Reads the wanted decimals of a `SCALED_DECIMAL` column.
pub(crate) fn decode_scaled_decimals(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i128>> {
    let power = reader.u8()?;
    if power > DECIMAL_POWER_MAX {
        return Err(corrupt("a power of ten is too large"));
    }
    let scale = 10_i128.pow(u32::from(power));
    Ok(integers::decode(reader, rows, wanted)?.into_iter().map(|whole| i128::from(whole) * scale).collect())
}

/// Reads the wanted decimals of a `WIDE_DECIMAL` column.
pub(crate) fn decode_wide_decimals(reader: &mut Reader<'_>, rows: usize, wanted: &Wanted) -> Result<Vec<i128>> {
    let bytes = blob::decode(reader)?;
    let values: Vec<i128> = bytes.as_chunks::<16>().0.iter().map(|bytes| i128::from_le_bytes(*bytes)).collect();
    if values.len() != rows {
        return Err(corrupt("decimals have the wrong length"));
    }
    match wanted {
        Wanted::All => Ok(values),
        Wanted::Rows(list) => {
            let picked: Option<Vec<i128>> = list.iter().map(|&row| values.get(row as usize).copied()).collect();
            picked.ok_or_else(|| corrupt("a wanted row lies past the block"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(crate::testing::cases(64))]
        #[test]
        fn any_decimals(values in proptest::collection::vec(prop_oneof![any::<i128>(), (-9_i128..9).prop_map(|v| v * 1_000_000_000_000_000_000)], 1..100)) {
            let mut out = Writer::default();
            let encoding = encode_decimals(&values, 3, &mut out).unwrap();
            let reader = &mut Reader::new(&out.bytes);
            let back = match encoding {
                encoding::SCALED_DECIMAL => decode_scaled_decimals(reader, values.len(), &Wanted::All),
                _ => decode_wide_decimals(reader, values.len(), &Wanted::All),
            };
            prop_assert_eq!(back.unwrap(), values);
        }
    }
}
