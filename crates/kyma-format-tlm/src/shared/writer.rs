//! Decides which columns share a dictionary, and makes their codes. Only extents of a thorough level are worth it.
//!
//! 1. *Candidates* are columns of strings or guids that hold short values, many of them different.
//! 2. Every value of the candidates gets a number; candidates whose values overlap form a *group*.
//! 3. A group is tried when its blocks hold more values than the extent does, each order of the dictionary in turn.
//! 4. It is kept when dictionary and codes are smaller than the columns encoded block by block. The latter are kept
//!    otherwise, so that nothing is encoded twice.

use std::collections::{HashMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use kyma_core::error::Result;
use kyma_core::schema::Schema;
use kyma_core::types::Type;
use xxhash_rust::xxh3::{Xxh3Builder, xxh3_64};

use crate::encoding::{self, Packed};
use crate::limits::SHARED_VALUES_MAX;
use crate::writer::gather;

/// Values looked at before a column becomes a candidate.
const SAMPLE: usize = 4_096;
/// One in this many sampled values must be new.
const NEW_SHARE: usize = 5;
/// Longer values, on average, are text and not ids.
const VALUE_BYTES_MAX: usize = 64;
/// Columns that may be candidates: one bit each.
const CANDIDATES_MAX: usize = 64;
/// A shared dictionary must save one in this many bytes.
const SAVED_SHARE: usize = 16;
/// Columns join when one in this many of either's values is the other's.
const OVERLAP_SHARE: usize = 4;

/// A dictionary to be written.
#[derive(Debug)]
pub(crate) struct NewDictionary {
    pub(crate) ty: Type,
    pub(crate) values: u32,
    pub(crate) packed: Packed,
}

/// What was decided before the blocks are written.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    pub(crate) dictionaries: Vec<NewDictionary>,
    /// By block and column: the piece, and its dictionary if it has one.
    pieces: HashMap<(usize, usize), (Packed, Option<u32>)>,
}

impl Plan {
    /// Decides over all `blocks`. `level` is zstd's.
    pub(crate) fn of(blocks: &[Vec<RecordBatch>], schema: &Schema, time_column: &str, level: i32) -> Result<Plan> {
        let mut plan = Plan::default();
        let times = times(blocks, schema, time_column)?;
        for ty in [Type::String, Type::Guid] {
            let mut candidates = Vec::new();
            for (at, column) in schema.columns().iter().enumerate() {
                if column.ty != ty || candidates.len() == CANDIDATES_MAX {
                    continue;
                }
                let arrays: Vec<ArrayRef> =
                    blocks.iter().map(|slices| gather(slices, at, column)).collect::<Result<_>>()?;
                if looks_like_ids(&arrays) {
                    candidates.push(Candidate { column: at, arrays });
                }
            }
            plan.share(&candidates, ty, times.as_deref(), level)?;
        }
        Ok(plan)
    }

    /// The piece of a column in a block, if it was made, and the number of its dictionary.
    pub(crate) fn take(&mut self, block: usize, column: usize) -> Option<(Packed, Option<u32>)> {
        self.pieces.remove(&(block, column))
    }

    fn share(&mut self, candidates: &[Candidate], ty: Type, times: Option<&[Vec<i64>]>, level: i32) -> Result<()> {
        let numbered = Numbered::of(candidates, times);
        for group in numbered.groups() {
            if !self.try_group(candidates, &numbered, &group, ty, level)? && group.len() > 1 {
                for &member in &group {
                    self.try_group(candidates, &numbered, &[member], ty, level)?;
                }
            }
        }
        Ok(())
    }

    /// Makes a dictionary for a group unless that is larger; says whether it has.
    fn try_group(
        &mut self,
        candidates: &[Candidate],
        numbered: &Numbered<'_>,
        group: &[usize],
        ty: Type,
        level: i32,
    ) -> Result<bool> {
        let is_in = |columns: u64| group.iter().any(|&member| columns >> member & 1 == 1);
        let mut appeared: Vec<u32> =
            (0..numbered.values.len() as u32).filter(|&id| is_in(numbered.columns[id as usize])).collect();
        let in_blocks: usize = group.iter().map(|&member| numbered.in_blocks[member]).sum();
        if in_blocks * 16 < appeared.len() * 17 || appeared.len() > SHARED_VALUES_MAX {
            return Ok(false);
        }
        let mut best = numbered.codes(candidates, group, &appeared, level)?;
        if let Some(first_times) = &numbered.first_times {
            let mut by_time = appeared.clone();
            by_time.sort_by_key(|&id| first_times[id as usize]);
            let timed = numbered.codes(candidates, group, &by_time, level)?;
            if bytes(&timed) < bytes(&best) {
                (best, appeared) = (timed, by_time);
            }
        }
        let values: Vec<&[u8]> = appeared.iter().map(|&id| numbered.values[id as usize]).collect();
        let packed = encoding::encode_pages(ty, &values, level)?;
        let shared_bytes = bytes(&best) + packed.bytes();
        let mut apart = Vec::new();
        for &member in group {
            for (block, array) in candidates[member].arrays.iter().enumerate() {
                let place = (block, candidates[member].column);
                let made = match self.pieces.remove(&place) {
                    Some((made, _)) => made,
                    None => encoding::encode(ty, array, level)?,
                };
                apart.push((place, made));
            }
        }
        let apart_bytes = bytes(&apart);
        let is_kept = shared_bytes + apart_bytes / SAVED_SHARE < apart_bytes;
        if is_kept {
            let number = self.dictionaries.len() as u32;
            self.dictionaries.push(NewDictionary { ty, values: values.len() as u32, packed });
            self.pieces.extend(best.into_iter().map(|(place, packed)| (place, (packed, Some(number)))));
        } else {
            self.pieces.extend(apart.into_iter().map(|(place, packed)| (place, (packed, None))));
        }
        Ok(is_kept)
    }
}

/// Pieces by block and column.
type Pieces = Vec<((usize, usize), Packed)>;

fn bytes(pieces: &Pieces) -> usize {
    pieces.iter().map(|(_, packed)| packed.bytes()).sum()
}

/// A column that may share, its rows by block.
struct Candidate {
    column: usize,
    arrays: Vec<ArrayRef>,
}

/// The bytes of a row of strings or guids.
fn value(array: &ArrayRef, row: usize) -> &[u8] {
    match array.as_string_view_opt() {
        Some(strings) => strings.value(row).as_bytes(),
        None => array.as_fixed_size_binary().value(row),
    }
}

fn valid_rows(array: &ArrayRef) -> impl Iterator<Item = usize> {
    (0..array.len()).filter(|&row| array.is_valid(row))
}

fn looks_like_ids(arrays: &[ArrayRef]) -> bool {
    let rows: usize = arrays.iter().map(|array| array.len()).sum();
    let step = rows.div_ceil(SAMPLE).max(1);
    let (mut seen, mut bytes, mut new) = (0, 0, HashSet::new());
    for array in arrays {
        for row in (0..array.len()).step_by(step).filter(|&row| array.is_valid(row)) {
            let value = value(array, row);
            seen += 1;
            bytes += value.len();
            new.insert(xxh3_64(value));
        }
    }
    new.len() > 64 && new.len() * NEW_SHARE > seen && bytes <= seen * VALUE_BYTES_MAX
}

/// The event time of every row, by block; null rows come last. `None` without such a column.
fn times(blocks: &[Vec<RecordBatch>], schema: &Schema, time_column: &str) -> Result<Option<Vec<Vec<i64>>>> {
    let Some(at) = schema.index_of(time_column) else { return Ok(None) };
    let column = &schema.columns()[at];
    let mut times = Vec::with_capacity(blocks.len());
    for slices in blocks {
        let array = gather(slices, at, column)?;
        let values = match column.ty {
            Type::Datetime => array.as_primitive::<TimestampNanosecondType>().values().clone(),
            Type::Long => array.as_primitive::<Int64Type>().values().clone(),
            _ => return Ok(None),
        };
        let time = |row: usize| if array.is_valid(row) { values[row] } else { i64::MAX };
        times.push((0..array.len()).map(time).collect());
    }
    Ok(Some(times))
}

/// The candidates' values by number.
struct Numbered<'a> {
    /// In order of appearance, column after column.
    values: Vec<&'a [u8]>,
    /// Per value: a bit per candidate that has it.
    columns: Vec<u64>,
    /// Per value: the earliest time of its rows.
    first_times: Option<Vec<i64>>,
    /// Per candidate: how many values its blocks hold, each block counted apart.
    in_blocks: Vec<usize>,
    /// Per candidate and block: the numbers of its valid rows.
    numbers: Vec<Vec<Vec<u32>>>,
}

impl<'a> Numbered<'a> {
    fn of(candidates: &'a [Candidate], times: Option<&[Vec<i64>]>) -> Self {
        let mut places: HashMap<&[u8], u32, Xxh3Builder> = HashMap::with_hasher(Xxh3Builder::new());
        let mut numbered = Numbered {
            values: Vec::new(),
            columns: Vec::new(),
            first_times: times.map(|_| Vec::new()),
            in_blocks: vec![0; candidates.len()],
            numbers: Vec::with_capacity(candidates.len()),
        };
        // Where a value was seen last, one more than block and candidate together.
        let mut seen_in: Vec<u32> = Vec::new();
        for (member, candidate) in candidates.iter().enumerate() {
            let mut blocks = Vec::with_capacity(candidate.arrays.len());
            for (block, array) in candidate.arrays.iter().enumerate() {
                let here = (member * candidate.arrays.len() + block + 1) as u32;
                let mut numbers = Vec::with_capacity(array.len() - array.null_count());
                for row in valid_rows(array) {
                    let value = value(array, row);
                    let id = *places.entry(value).or_insert_with(|| {
                        numbered.values.push(value);
                        numbered.columns.push(0);
                        numbered.first_times.iter_mut().for_each(|times| times.push(i64::MAX));
                        seen_in.push(0);
                        numbered.values.len() as u32 - 1
                    });
                    numbers.push(id);
                    let id = id as usize;
                    if std::mem::replace(&mut seen_in[id], here) != here {
                        numbered.columns[id] |= 1 << member;
                        numbered.in_blocks[member] += 1;
                    }
                    if let (Some(firsts), Some(times)) = (&mut numbered.first_times, times) {
                        firsts[id] = firsts[id].min(times[block][row]);
                    }
                }
                blocks.push(numbers);
            }
            numbered.numbers.push(blocks);
        }
        numbered
    }

    /// Candidates whose values overlap.
    fn groups(&self) -> Vec<Vec<usize>> {
        let candidates = self.numbers.len();
        let mut overlaps = vec![vec![0_usize; candidates]; candidates];
        for &columns in &self.columns {
            let members: Vec<usize> = (0..candidates).filter(|&member| columns >> member & 1 == 1).collect();
            for &a in &members {
                members.iter().for_each(|&b| overlaps[a][b] += 1);
            }
        }
        let mut groups: Vec<Vec<usize>> = Vec::new();
        for member in 0..candidates {
            let joins = |other: usize| {
                let overlap = overlaps[member][other] * OVERLAP_SHARE;
                overlap > overlaps[member][member].min(overlaps[other][other])
            };
            match groups.iter_mut().find(|group| group.iter().any(|&other| joins(other))) {
                Some(group) => group.push(member),
                None => groups.push(vec![member]),
            }
        }
        groups
    }

    /// The pieces of a group whose dictionary is `order`.
    fn codes(&self, candidates: &[Candidate], group: &[usize], order: &[u32], level: i32) -> Result<Pieces> {
        let mut codes_by_id = vec![0_i64; self.values.len()];
        order.iter().enumerate().for_each(|(code, &id)| codes_by_id[id as usize] = code as i64);
        let mut pieces = Vec::new();
        for &member in group {
            for (block, numbers) in self.numbers[member].iter().enumerate() {
                let codes: Vec<i64> = numbers.iter().map(|&id| codes_by_id[id as usize]).collect();
                let packed = encoding::encode_codes(&candidates[member].arrays[block], &codes, level)?;
                pieces.push(((block, candidates[member].column), packed));
            }
        }
        Ok(pieces)
    }
}
