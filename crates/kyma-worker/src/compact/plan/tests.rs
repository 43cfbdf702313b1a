use std::collections::{BTreeMap, HashSet};

use kyma_core::extent::{NewExtent, ObjectRange};
use kyma_core::{DatabaseId, Sequence, TableId};
use proptest::prelude::*;
use uuid::{NoContext, Timestamp, Uuid};

use super::*;

const SECOND: i64 = 1_000_000_000;
const MIB: u64 = 1024 * 1024;

/// An extent made at a second, over a second of event time.
fn extent(made: i64, at: i64, raw_bytes: u64, level: u8) -> Extent {
    let made = u64::try_from(made).unwrap();
    Extent {
        new: NewExtent {
            id: ExtentId(Uuid::new_v7(Timestamp::from_unix(NoContext, made, 0))),
            database: DatabaseId(1),
            table: TableId(1),
            format: "tlm".into(),
            location: ObjectRange { key: "k".into(), offset: 0, length: 1 },
            footer_length: 1,
            rows: raw_bytes / 100,
            blocks: 1,
            raw_bytes,
            time: TimeRange::new(at * SECOND, (at + 1) * SECOND),
            level,
            sorted_by: vec![],
            tags: vec![],
            paths: None,
            columns: BTreeMap::new(),
        },
        added: Sequence(1),
        removed: None,
    }
}

fn settings() -> CompactSettings {
    CompactSettings { target_raw_bytes: 16 * MIB, gather_extents: 4, tier_extents: 4, ..CompactSettings::default() }
}

fn shown(merges: &[Merge]) -> Vec<(&'static str, usize, u8)> {
    merges.iter().map(|merge| (merge.reason.name(), merge.sources.len(), merge.level)).collect()
}

#[test]
fn extents_as_ingested_wait_for_company_and_not_for_long() {
    let day = 1_000 * 86_400;
    let few: Vec<Extent> = (0..3).map(|i| extent(day + i, day + i, MIB, 0)).collect();
    let at = |seconds: i64| (day + seconds) * SECOND;
    assert_eq!(shown(&plan(&few, &settings(), at(10))), []);
    assert_eq!(shown(&plan(&few, &settings(), at(15))), [("gather", 3, 1)]);
    assert_eq!(shown(&plan(&few[..1], &settings(), at(15))), [], "one alone gains nothing");
    let enough: Vec<Extent> = (0..4).map(|i| extent(day + i, day + i, MIB, 0)).collect();
    assert_eq!(shown(&plan(&enough, &settings(), at(4))), [("gather", 4, 1)]);
    let large: Vec<Extent> = (0..4).map(|i| extent(day + i, day + i, 10 * MIB, 0)).collect();
    assert_eq!(shown(&plan(&large, &settings(), at(4))), [("gather", 1, 2); 4]);
}

#[test]
fn merged_extents_meet_their_like_until_they_are_full() {
    let day = 1_000 * 86_400;
    let now = (day + 60) * SECOND;
    let like = |count: i64, bytes| (0..count).map(move |i| extent(day + i, day + i, bytes, 1));
    let mixed: Vec<Extent> = like(3, MIB).chain(like(3, 4 * MIB)).collect();
    assert_eq!(shown(&plan(&mixed, &settings(), now)), []);
    assert_eq!(shown(&plan(&like(4, MIB).collect::<Vec<_>>(), &settings(), now)), [("tier", 4, 1)]);
    assert_eq!(shown(&plan(&like(4, 4 * MIB).collect::<Vec<_>>(), &settings(), now)), [("fill", 4, 2)]);
    let done: Vec<Extent> = (0..50).map(|i| extent(day + i, day + i, MIB, LEVEL_FINAL)).collect();
    assert_eq!(shown(&plan(&done, &settings(), now)), []);
}

#[test]
fn days_and_tags_are_kept_apart_and_what_is_quiet_is_closed() {
    let day = 1_000 * 86_400;
    let mut extents: Vec<Extent> = (0..4).map(|i| extent(day + i, day + i % 2 * 86_400, MIB, 0)).collect();
    let later = (day + 3_700) * SECOND;
    assert_eq!(shown(&plan(&extents, &settings(), later)), [("close", 2, 2), ("close", 2, 2)]);
    extents[0].new.tags = vec!["mine".into()];
    assert_eq!(shown(&plan(&extents, &settings(), later)), [("close", 1, 2), ("close", 1, 2), ("close", 2, 2)]);
}

#[test]
fn small_objects_are_emptied_first_among_the_equally_urgent() {
    let day = 1_000 * 86_400;
    let in_objects = |at: i64, key: &'static str, length: u64, level: u8| {
        (0..4).map(move |i| {
            let mut extent = extent(day + i, at + i, MIB, level);
            extent.new.location = ObjectRange { key: format!("{key}{i}"), offset: 0, length };
            extent
        })
    };
    let large = in_objects(day, "large", MIB, 0);
    let small = in_objects(day + 2 * 86_400, "small", 10_000, 0);
    let tiny = in_objects(day + 4 * 86_400, "tiny", 100, 1);
    let extents: Vec<Extent> = large.chain(small).chain(tiny).collect();
    let merges = plan(&extents, &settings(), (day + 10) * SECOND);
    let planned: Vec<_> = merges.iter().map(|merge| (merge.reason, merge.bytes_per_object)).collect();
    assert_eq!(planned, [(Reason::Gather, 10_000), (Reason::Gather, MIB), (Reason::Tier, 100)]);
    let one_object = Merge { bytes_per_object: u64::MAX, ..merges[0].clone() };
    assert!(one_object.priority() > merges[2].priority(), "the reason counts first");
}

/// Applies plans as workers would, until there is nothing to do. Gives the input bytes that were rewritten.
fn settle(extents: &mut Vec<Extent>, settings: &CompactSettings, now: i64) -> u64 {
    let mut rewritten = 0;
    for _ in 0..1_000 {
        let merges = plan(extents, settings, now);
        let mut taken = HashSet::new();
        for merge in &merges {
            assert!(!merge.sources.is_empty() && merge.sources.len() <= settings.sources_max);
            assert!(merge.sources.len() == 1 || merge.raw_bytes <= settings.target_raw_bytes);
            assert!(merge.sources.iter().all(|source| taken.insert(*source)), "an extent is in two merges");
            let of = |extent: &&Extent| merge.sources.contains(&extent.id);
            let sources: Vec<&Extent> = extents.iter().filter(of).collect();
            assert!(sources.iter().all(|source| source.level < LEVEL_FINAL));
            let mut whole = sources[0].clone();
            whole.new.id = ExtentId(Uuid::new_v7(Timestamp::from_unix(NoContext, (now / SECOND) as u64, 0)));
            whole.new.level = merge.level;
            whole.new.raw_bytes = sources.iter().map(|source| source.raw_bytes).sum();
            whole.new.rows = sources.iter().map(|source| source.rows).sum();
            whole.new.time.start = sources.iter().map(|source| source.time.start).min().unwrap();
            whole.new.time.end = sources.iter().map(|source| source.time.end).max().unwrap();
            assert_eq!(whole.raw_bytes, merge.raw_bytes);
            rewritten += whole.raw_bytes;
            extents.retain(|extent| !merge.sources.contains(&extent.id));
            extents.push(whole);
        }
        if merges.is_empty() {
            return rewritten;
        }
    }
    panic!("plans never end");
}

proptest! {
    /// Whatever is ingested: plans end, few extents are left, and no row is rewritten often.
    #[test]
    fn any_stream_settles(sizes in prop::collection::vec(1_000_u64..3 * MIB, 1..400), late in 1_i64..30) {
        let (settings, day) = (settings(), 1_000 * 86_400);
        let mut extents = Vec::new();
        let (mut ingested, mut rewritten) = (0, 0);
        for (second, raw_bytes) in sizes.iter().enumerate() {
            let second = day + second as i64;
            let at = if second % 10 == 0 { second - late * 86_400 } else { second };
            extents.push(extent(second, at, *raw_bytes, 0));
            ingested += raw_bytes;
            rewritten += settle(&mut extents, &settings, second * SECOND);
        }
        let open = extents.iter().filter(|extent| extent.level < LEVEL_FINAL).count();
        prop_assert!(open <= 2 * (4 + 3 * 5), "{open} extents may still be merged");
        prop_assert!(rewritten <= 6 * ingested, "{rewritten} of {ingested}");
        let end = (day + sizes.len() as i64 + 4_000) * SECOND;
        settle(&mut extents, &settings, end);
        prop_assert!(extents.iter().all(|extent| extent.level == LEVEL_FINAL));
        prop_assert_eq!(extents.iter().map(|extent| extent.raw_bytes).sum::<u64>(), ingested);
    }
}
