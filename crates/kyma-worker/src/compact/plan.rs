//! Which extents of a table are merged with which. A pure function: the same extents, settings and time give the same plan.
//!
//! 1. Extents are grouped by their time: an extent that spans at most a partition belongs to the partition that it ends in,
//!    a longer one to one of the longer partitions, each four times as long as the one before. Extents with unlike tags never
//!    meet.
//! 2. **Gather.** Extents as ingested are merged in the order of their commits as soon as there are a few of them, or two and
//!    the older has waited for long enough: however small the flushes are, what a query opens stays few.
//! 3. **Tiers.** Merged extents that are still small wait until a handful of about the same size is there, so that each row is
//!    rewritten once per tier, not once per merge. The tiers are those of a log-structured merge tree with a fan-in of
//!    [`CompactSettings::tier_extents`] (O'Neil et al., "The log-structured merge-tree", 1996).
//! 4. **Fill.** When the small ones together make a full extent they become one. An extent of half the target is full: its
//!    level is [`LEVEL_FINAL`], and it is never merged again.
//! 5. **Close.** When a group got nothing for long enough, whatever is left of it becomes final, too.
//!
//! Of merges that are as urgent as each other those come first that empty the smallest objects: an object of a flush of many
//! tables goes only when all its extents are gone.
//!
//! No merge takes more than the target's input bytes, cells or number of sources, so that it fits in memory.

use std::collections::{BTreeMap, HashSet};

use kyma_core::ExtentId;
use kyma_core::extent::{Extent, LEVEL_FINAL};
use kyma_core::time::TimeRange;

use crate::settings::CompactSettings;

/// Partitions of the longest kind are this many times four as long as the shortest.
const LENGTHS_MAX: u32 = 8;
/// The unit that tiers count in: the lowest holds extents of less than the fan-in times this many input bytes.
const FIRST_TIER_BYTES: u64 = 64 * 1024;
/// Steps of priority between two reasons, each for objects four times as large as the one before.
const SMALLNESSES: i32 = 10;
/// Objects of less than four times this are of the first step.
const SMALL_OBJECT_BYTES: u64 = 4 * 1024;

/// Why extents are merged. Ordered by urgency, least first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Reason {
    /// Their group got nothing new for a while.
    Close,
    /// Enough of about one size.
    Tier,
    /// Together they are as large as an extent should be.
    Fill,
    /// They are as they were ingested.
    Gather,
}

impl Reason {
    /// Its name, for metrics and people.
    pub fn name(self) -> &'static str {
        match self {
            Reason::Close => "close",
            Reason::Tier => "tier",
            Reason::Fill => "fill",
            Reason::Gather => "gather",
        }
    }
}

/// Extents that become one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Merge {
    /// In the order of their commits.
    pub sources: Vec<ExtentId>,
    /// The level of the result.
    pub level: u8,
    /// Input bytes of the sources.
    pub raw_bytes: u64,
    /// Stored bytes of the sources in each of their objects, in the mean.
    pub bytes_per_object: u64,
    /// Why.
    pub reason: Reason,
}

impl Merge {
    /// Its task's priority: by reason, then small objects first.
    pub fn priority(&self) -> i32 {
        let quarters = (self.bytes_per_object / SMALL_OBJECT_BYTES).max(1).ilog(4) as i32;
        SMALLNESSES * self.reason as i32 + (SMALLNESSES - 1 - quarters).max(0)
    }
}

/// The time of extents that may be merged: how long a partition is, and which.
type Partition = (u32, i64);

/// Plans merges of a table's visible extents, which come in the order of their commits; `now` in nanoseconds. No extent is
/// in two merges.
pub fn plan(extents: &[Extent], settings: &CompactSettings, now: i64) -> Vec<Merge> {
    let mut groups: BTreeMap<(Partition, &[String]), Vec<&Extent>> = BTreeMap::new();
    for extent in extents.iter().filter(|extent| extent.level < LEVEL_FINAL) {
        groups.entry((partition(extent.time, settings), &extent.tags)).or_default().push(extent);
    }
    let mut merges: Vec<Merge> = groups.into_values().flat_map(|group| of_group(&group, settings, now)).collect();
    merges.sort_by_key(|merge| std::cmp::Reverse(merge.priority()));
    merges
}

/// Step 1.
fn partition(time: TimeRange, settings: &CompactSettings) -> Partition {
    let shortest = i64::try_from(settings.partition_seconds.max(1)).unwrap_or(i64::MAX).saturating_mul(1_000_000_000);
    let span = time.end.saturating_sub(time.start);
    for class in 0..LENGTHS_MAX {
        let length = shortest.saturating_mul(4_i64.saturating_pow(class));
        if span <= length {
            return (class, time.end.div_euclid(length));
        }
    }
    (LENGTHS_MAX, 0)
}

/// Steps 2 to 5.
fn of_group(group: &[&Extent], settings: &CompactSettings, now: i64) -> Vec<Merge> {
    let youngest = group.iter().map(|extent| millis_since(extent, now)).min();
    if youngest.is_some_and(|age| age >= settings.quiet_millis) {
        let cuts = cut(group, settings).into_iter();
        return cuts.map(|cut| merge(&cut, Reason::Close, settings)).collect();
    }
    let (ingested, merged): (Vec<&Extent>, Vec<&Extent>) = group.iter().partition(|extent| extent.level == 0);
    let waited = ingested.iter().map(|extent| millis_since(extent, now)).max().unwrap_or(0);
    let is_due =
        ingested.len() >= settings.gather_extents.max(2) || ingested.len() >= 2 && waited >= settings.gather_age_millis;
    let mut merges = Vec::new();
    if is_due {
        let cuts =
            cut(&ingested, settings).into_iter().filter(|cut| cut.len() > 1 || is_full(raw_bytes(cut), settings));
        merges.extend(cuts.map(|cut| merge(&cut, Reason::Gather, settings)));
    }
    merges.extend(of_merged(&merged, settings));
    merges
}

/// Steps 3 and 4.
fn of_merged(merged: &[&Extent], settings: &CompactSettings) -> Vec<Merge> {
    if raw_bytes(merged) >= settings.target_raw_bytes {
        let cuts = cut(merged, settings).into_iter().filter(|cut| is_full(raw_bytes(cut), settings));
        return cuts.map(|cut| merge(&cut, Reason::Fill, settings)).collect();
    }
    let mut tiers: BTreeMap<u32, Vec<&Extent>> = BTreeMap::new();
    for extent in merged {
        tiers.entry(tier(extent.raw_bytes, settings)).or_default().push(extent);
    }
    let due = tiers.into_values().filter(|tier| tier.len() >= settings.tier_extents.max(2));
    let cuts = due.flat_map(|tier| cut(&tier, settings)).filter(|cut| cut.len() > 1);
    cuts.map(|cut| merge(&cut, Reason::Tier, settings)).collect()
}

fn tier(raw_bytes: u64, settings: &CompactSettings) -> u32 {
    let fan_in = (settings.tier_extents as u64).max(2);
    (raw_bytes / FIRST_TIER_BYTES).max(1).ilog(fan_in)
}

/// Runs of extents, each as large as one merge may be.
fn cut<'e>(extents: &[&'e Extent], settings: &CompactSettings) -> Vec<Vec<&'e Extent>> {
    let mut cuts: Vec<Vec<&Extent>> = Vec::new();
    let (mut bytes, mut rows, mut columns) = (0_u64, 0_u64, 0_u64);
    for extent in extents {
        bytes = bytes.saturating_add(extent.raw_bytes);
        rows = rows.saturating_add(extent.rows);
        columns = columns.max(extent.columns.len() as u64);
        let fits = |cut: &Vec<&Extent>| {
            cut.len() < settings.sources_max.max(2)
                && bytes <= settings.target_raw_bytes
                && rows.saturating_mul(columns) <= settings.target_cells
        };
        match cuts.last_mut().filter(|cut| fits(cut)) {
            Some(cut) => cut.push(extent),
            None => {
                cuts.push(vec![extent]);
                (bytes, rows, columns) = (extent.raw_bytes, extent.rows, extent.columns.len() as u64);
            }
        }
    }
    cuts
}

fn merge(sources: &[&Extent], reason: Reason, settings: &CompactSettings) -> Merge {
    let raw_bytes = raw_bytes(sources);
    let is_final = reason == Reason::Close || is_full(raw_bytes, settings);
    Merge {
        sources: sources.iter().map(|extent| extent.id).collect(),
        level: if is_final { LEVEL_FINAL } else { LEVEL_FINAL - 1 },
        raw_bytes,
        bytes_per_object: bytes_per_object(sources),
        reason,
    }
}

fn bytes_per_object(extents: &[&Extent]) -> u64 {
    let objects: HashSet<&str> = extents.iter().map(|extent| &*extent.location.key).collect();
    let stored = extents.iter().map(|extent| extent.location.length).fold(0, u64::saturating_add);
    stored / (objects.len() as u64).max(1)
}

fn raw_bytes(extents: &[&Extent]) -> u64 {
    extents.iter().map(|extent| extent.raw_bytes).fold(0, u64::saturating_add)
}

fn is_full(raw_bytes: u64, settings: &CompactSettings) -> bool {
    raw_bytes >= settings.target_raw_bytes / 2
}

/// How long ago an extent was made; clocks that differ make it 0, not long ago.
fn millis_since(extent: &Extent, now: i64) -> u64 {
    let made = extent.id.made_at().unwrap_or(i64::MIN);
    u64::try_from(now.saturating_sub(made) / 1_000_000).unwrap_or(0)
}

#[cfg(test)]
mod tests;
