//! `ipv4_lookup` and `ipv6_lookup`: rows joined with the networks that hold their address.
//!
//! Networks are kept by the length of their prefix; an address asks each length there is once. IPv4 goes as mapped IPv6.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, UInt32Array};
use arrow::compute::take;
use arrow::row::{OwnedRow, RowConverter, SortField};
use kyma_core::{Error, Result, Value};

use super::PluginCall;
use crate::scalar::network::{Net6, mask6};

/// Rows of the lookup table by network and by what else must be equal.
type Networks = HashMap<(u128, Option<OwnedRow>), Vec<u32>>;

/// The first input ends with the address, then the extra keys; the second with its networks and extra keys in front of nothing:
/// constants are how many extra keys there are, and whether rows without a network stay.
pub(super) fn ip_lookup(call: &PluginCall<'_>) -> Result<RecordBatch> {
    let Value::Long(extra) = call.value(0)? else { return Err(Error::internal("a lookup without its keys")) };
    let keeps = matches!(call.value(1)?, Value::Bool(true));
    let (facts, networks) = (call.table.input(0)?, call.table.input(1)?);
    let keys = usize::try_from(*extra).unwrap_or_default() + 1;
    let split = |batch: &RecordBatch| batch.num_columns().checked_sub(keys);
    let (Some(fact_width), Some(network_width)) = (split(facts), split(networks)) else {
        return Err(Error::internal("a lookup lacks its keys"));
    };
    let by_length = index(&networks.columns()[network_width..])?;
    let (address, more) = facts.columns()[fact_width..].split_first().ok_or_else(|| Error::internal("no address"))?;
    let address = address.as_string_view();
    let more = rows_of(more)?;
    let (mut left, mut right): (Vec<u32>, Vec<Option<u32>>) = (Vec::new(), Vec::new());
    for row in 0..facts.num_rows() {
        let before = left.len();
        let found = address.is_valid(row).then(|| Net6::parse(address.value(row))).flatten();
        let same = more.as_ref().map(|rows| rows[row].clone());
        // The longest prefix first.
        for (bits, nets) in by_length.iter().rev() {
            let Some(net) = found.filter(|net| net.bits >= *bits) else { continue };
            let hits = nets.get(&(mask6(net.address, *bits), same.clone()));
            for hit in hits.into_iter().flatten() {
                left.push(row as u32);
                right.push(Some(*hit));
            }
        }
        if keeps && left.len() == before {
            left.push(row as u32);
            right.push(None);
        }
    }
    let (left, right) = (UInt32Array::from(left), UInt32Array::from(right));
    let ours = facts.columns()[..fact_width].iter().map(|column| take(column, &left, None));
    let theirs = networks.columns()[..network_width].iter().map(|column| taken(column, &right));
    call.table.batch(ours.chain(theirs).collect::<std::result::Result<Vec<_>, _>>()?)
}

/// The values at these rows; where there is none, null (`""` of strings).
pub(super) fn taken(column: &ArrayRef, rows: &UInt32Array) -> std::result::Result<ArrayRef, arrow::error::ArrowError> {
    let found = take(column, rows, None)?;
    match found.as_string_view_opt() {
        Some(texts) if found.null_count() > 0 => {
            let texts = texts.iter().map(|text| text.or(Some("")));
            Ok(Arc::new(texts.collect::<arrow::array::StringViewArray>()))
        }
        _ => Ok(found),
    }
}

/// The networks by the length of their prefix.
fn index(keys: &[ArrayRef]) -> Result<BTreeMap<u8, Networks>> {
    let (network, more) = keys.split_first().ok_or_else(|| Error::internal("no networks"))?;
    let network = network.as_string_view();
    let more = rows_of(more)?;
    let mut by_length: BTreeMap<u8, Networks> = BTreeMap::new();
    for row in (0..network.len()).filter(|row| network.is_valid(*row)) {
        let Some(net) = Net6::parse(network.value(row)) else { continue };
        let key = (net.network(), more.as_ref().map(|rows| rows[row].clone()));
        by_length.entry(net.bits).or_default().entry(key).or_default().push(row as u32);
    }
    Ok(by_length)
}

fn rows_of(columns: &[ArrayRef]) -> Result<Option<Vec<OwnedRow>>> {
    if columns.is_empty() {
        return Ok(None);
    }
    let fields = columns.iter().map(|column| SortField::new(column.data_type().clone())).collect();
    let rows = RowConverter::new(fields)?.convert_columns(columns)?;
    Ok(Some(rows.iter().map(|row| row.owned()).collect()))
}
