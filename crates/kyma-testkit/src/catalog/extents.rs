//! Snapshots, commits, receipts and lists.

use std::collections::BTreeSet;

use futures::future::join_all;
use kyma_core::catalog::{ChangeQuery, Receipt, TableChange, TableTotals};
use kyma_core::extent::ExtentStats;
use kyma_core::predicate::{ColumnRef, CompareOp, Predicate};
use kyma_core::prune::evaluate;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::*;

/// Every field survives, with values that JSON and SQL would like to change.
pub(super) async fn what_is_committed_is_read_back(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let mut plain = extent(&table, &reservation.object_key, i64::MIN, i64::MAX);
    plain.paths = None;
    let mut odd = extent(&table, &reservation.object_key, -5, 5);
    odd.paths = Some(vec!["a\0b.\"c\"".to_owned()]);
    odd.level = 255;
    odd.footer_length = u32::MAX;
    for (name, value) in [
        ("decimal\0", Value::Decimal(i128::MAX)),
        ("guid", Value::Guid(u128::MAX)),
        ("real", Value::Real(-0.0)),
        ("text", Value::String("\0'\"\\".to_owned())),
    ] {
        let stats = ColumnStats { min: Some(value.clone()), sum: Some(value.clone()), ..ColumnStats::unknown(10) };
        odd.columns.insert(name.to_owned(), ColumnBounds { ty: value.ty(), stats });
    }
    let commit = Commit { reservation: Some(reservation), extents: vec![plain.clone(), odd.clone()], receipts: vec![] };
    let at = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    let listed = list(catalog, &table, at, TimeRange::ALL, ExtentOrder::NewestFirst).await;
    let expected = [plain, odd].map(|new| Extent { new, added: at, removed: None });
    assert_eq!(listed, expected);
    let totals = catalog.totals(table.id, at).await.unwrap();
    assert_eq!(totals, TableTotals { extents: 2, rows: 20, bytes: 200, raw_bytes: 2_000 });
    let again = Commit { reservation: Some(reserve(catalog).await), ..commit };
    refused(catalog.commit(&again).await, Kind::Invalid, "catalog.object_mismatch");
}

pub(super) async fn a_snapshot_does_not_change(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let empty = catalog.pin(table.database).await.unwrap();
    let (first, after_first) = add(catalog, &table, 0, 9).await;
    let (second, after_second) = add(catalog, &table, 10, 19).await;
    let reservation = reserve(catalog).await;
    let merged = extent(&table, &reservation.object_key, 0, 19);
    let commit = Commit { reservation: Some(reservation), extents: vec![merged.clone()], receipts: vec![] };
    let sources = [first.id, second.id];
    let after_merge = catalog.replace(table.id, &sources, &commit).await.unwrap().sequences[&table.database];
    assert!(empty < after_first && after_first < after_second && after_second < after_merge);
    assert_eq!(catalog.pin(table.database).await.unwrap(), after_merge);
    assert!(visible(catalog, &table, empty).await.is_empty());
    assert_eq!(visible(catalog, &table, after_first).await, [first.id]);
    assert_eq!(visible(catalog, &table, after_second).await, [second.id, first.id]);
    assert_eq!(visible(catalog, &table, after_merge).await, [merged.id]);
    assert_eq!(catalog.totals(table.id, after_second).await.unwrap().extents, 2);
}

pub(super) async fn lists_are_in_order_and_overlap(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let ranges = [(0, 9), (10, 19), (5, 30), (20, 20), (i64::MIN, i64::MAX)];
    let extents: Vec<NewExtent> =
        ranges.iter().map(|&(start, end)| extent(&table, &reservation.object_key, start, end)).collect();
    let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
    let at = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    for (start, end) in [(0, 0), (9, 10), (20, 25), (31, 40), (i64::MIN, i64::MAX), (7, 3)] {
        let wanted = TimeRange::new(start, end);
        let overlaps = |range: &&(i64, i64)| !wanted.is_empty() && wanted.overlaps(&TimeRange::new(range.0, range.1));
        let mut expected: Vec<(i64, i64)> = ranges.iter().filter(overlaps).copied().collect();
        let times = |listed: Vec<Extent>| listed.iter().map(|e| (e.time.start, e.time.end)).collect::<Vec<_>>();
        expected.sort_by_key(|range| std::cmp::Reverse(range.1));
        let newest = times(list(catalog, &table, at, wanted, ExtentOrder::NewestFirst).await);
        assert_eq!(newest, expected, "newest first over {wanted:?}");
        expected.sort_by_key(|range| range.0);
        let oldest = times(list(catalog, &table, at, wanted, ExtentOrder::OldestFirst).await);
        assert_eq!(oldest, expected, "oldest first over {wanted:?}");
    }
}

/// Durations from nothing to everything, windows anywhere, against the slow and obvious test.
pub(super) async fn any_window_finds_extents_of_any_length(catalog: &Arc<dyn Catalog>) {
    const EXTENTS: usize = 1_500;
    let mut random = ChaCha8Rng::seed_from_u64(7);
    let mut any_time = move || match random.random_range(0..4) {
        0 => random.random_range(-1_000..1_000),
        1 => random.random_range(-(1_i64 << 40)..1 << 40),
        2 => random.random(),
        _ => [i64::MIN, i64::MIN + 1, -1, 0, i64::MAX - 1, i64::MAX][random.random_range(0..6)],
    };
    let mut any_range = move || {
        let (one, other) = (any_time(), any_time());
        TimeRange::new(one.min(other), one.max(other))
    };
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let ranges: Vec<TimeRange> = (0..EXTENTS).map(|_| any_range()).collect();
    let extents: Vec<NewExtent> =
        ranges.iter().map(|range| extent(&table, &reservation.object_key, range.start, range.end)).collect();
    let commit = Commit { reservation: Some(reservation), extents: extents.clone(), receipts: vec![] };
    let at = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    for _ in 0..60 {
        let wanted = any_range();
        let mut expected: Vec<&NewExtent> = extents.iter().filter(|extent| extent.time.overlaps(&wanted)).collect();
        let ids = |listed: Vec<Extent>| listed.iter().map(|extent| extent.id).collect::<Vec<_>>();
        let plain = |expected: &[&NewExtent]| expected.iter().map(|extent| extent.id).collect::<Vec<_>>();
        expected.sort_by_key(|extent| std::cmp::Reverse((extent.time.end, extent.id)));
        let newest = ids(list(catalog, &table, at, wanted, ExtentOrder::NewestFirst).await);
        assert_eq!(newest, plain(&expected), "newest first over {wanted:?}");
        expected.sort_by_key(|extent| (extent.time.start, extent.id));
        let oldest = ids(list(catalog, &table, at, wanted, ExtentOrder::OldestFirst).await);
        assert_eq!(oldest, plain(&expected), "oldest first over {wanted:?}");
    }
}

/// Column ranges may only leave out what the manifest's statistics exclude anyway.
pub(super) async fn ranges_leave_out_only_what_they_exclude(catalog: &Arc<dyn Catalog>) {
    let mut random = ChaCha8Rng::seed_from_u64(13);
    let table = table(catalog).await;
    let schema = Schema::from([("n", Type::Long), ("r", Type::Real), ("s", Type::String)]);
    let reservation = reserve(catalog).await;
    let any_value = |ty: Type, random: &mut ChaCha8Rng| match ty {
        Type::String => Value::String(["", "a", "ab", "abcdé", "abcde", "b\0"][random.random_range(0..6)].to_owned()),
        Type::Real => Value::Real(f64::from(random.random_range(-6..6)) / 2.0),
        _ => Value::Long([random.random_range(-6..6), random.random()][random.random_range(0..2)]),
    };
    let mut extents = Vec::new();
    for at in 0..300 {
        let mut new = extent(&table, &reservation.object_key, at, at);
        for (name, ty) in [("n", Type::Long), ("r", Type::Long), ("r", Type::Real), ("s", Type::String)] {
            let (one, other) = (any_value(ty, &mut random), any_value(ty, &mut random));
            let in_order = one.partial_compare(&other).unwrap().is_le();
            let (min, max) = if in_order { (one, other) } else { (other, one) };
            let known =
                ColumnStats { min: Some(min), max: Some(max), nulls: at as u64 % 3, ..ColumnStats::all_null(10) };
            let stats = [known.clone(), known, ColumnStats::all_null(10), ColumnStats::unknown(10)];
            if random.random_bool(0.8) {
                let stats = stats[random.random_range(0..4)].clone();
                new.columns.insert(name.to_owned(), ColumnBounds { ty, stats });
            }
        }
        extents.push(new);
    }
    let commit = Commit { reservation: Some(reservation), extents: extents.clone(), receipts: vec![] };
    let at = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    let ops =
        [CompareOp::Equal, CompareOp::Less, CompareOp::LessOrEqual, CompareOp::Greater, CompareOp::GreaterOrEqual];
    for round in 0..120 {
        let mut parts = Vec::new();
        for _ in 0..1 + round % 6 {
            let (name, ty) = [("n", Type::Long), ("n", Type::Real), ("r", Type::Real), ("s", Type::String)]
                [random.random_range(0..4)];
            let (column, value) = (ColumnRef::column(name), any_value(ty, &mut random));
            parts.push(match random.random_bool(0.2) {
                true => Predicate::In { column, values: vec![value, any_value(ty, &mut random)] },
                false => Predicate::Compare { column, op: ops[random.random_range(0..5)], value },
            });
        }
        let (predicate, order) =
            (Predicate::and(parts), [ExtentOrder::NewestFirst, ExtentOrder::OldestFirst][round % 2]);
        let ranges = predicate.ranges(&schema);
        let query = ExtentQuery { table: table.id, at, time: TimeRange::ALL, order, ranges };
        let listed: BTreeSet<ExtentId> = catalog.list(query).map(|extent| extent.unwrap().id).collect().await;
        for extent in extents.iter().filter(|extent| !listed.contains(&extent.id)) {
            // A null string that reads as "" is in no range either.
            let (time_column, null_strings_are_empty) = ("Timestamp", false);
            let stats = ExtentStats { extent, schema: &schema, time_column, null_strings_are_empty };
            assert!(evaluate(&predicate, &stats).is_none(), "{predicate:?} {:?}", extent.columns);
        }
    }
}

/// What a query asks first: one moment of every database, and what changed there.
pub(super) async fn a_pin_tells_what_changed(catalog: &Arc<dyn Catalog>) {
    let (one, other) = (table(catalog).await, table(catalog).await);
    let pin = |known: Option<Sequence>| {
        let known = known.map(|sequence| (one.database, sequence)).into_iter().collect();
        let database = one.database;
        async move {
            let pins = catalog.pins(&known).await.unwrap();
            assert!(pins.is_sorted_by_key(|pin| pin.database.name.clone()));
            pins.into_iter().find(|pin| pin.database.id == database).unwrap()
        }
    };
    let before = pin(Some(Sequence(0))).await;
    assert_eq!((before.sequence, &before.changed[..]), (Sequence(0), &[][..]));
    let (_, first) = add(catalog, &one, 0, 9).await;
    let (source, second) = add(catalog, &one, 10, 19).await;
    add(catalog, &other, 0, 9).await;
    let change = TableChange { table: one.id, sequence: second, extents: 2, rows: 20 };
    let after = pin(Some(first)).await;
    assert_eq!((after.sequence, &after.changed[..]), (second, &[change][..]));
    assert_eq!(pin(Some(second)).await.changed, []);
    assert_eq!(pin(None).await.changed, []);
    assert_eq!(after.schema_version, before.schema_version);
    let removed = catalog.replace(one.id, &[source.id], &Commit::default()).await.unwrap().sequences[&one.database];
    let change = TableChange { table: one.id, sequence: removed, extents: 1, rows: 10 };
    assert_eq!(pin(Some(second)).await.changed, [change]);

    let mut version = before.schema_version;
    let mut is_newer = async |what: &str| {
        let now = pin(None).await.schema_version;
        assert!(now > version, "{what}");
        version = now;
    };
    let again = catalog.ensure_table(one.database, "Again", &new_table()).await.unwrap();
    is_newer("a new table").await;
    catalog.grow_table(again.id, &[column("more", Type::Long)]).await.unwrap();
    is_newer("a new column").await;
    catalog.set_format(again.id, "other").await.unwrap();
    is_newer("another format").await;
    catalog.drop_table(again.id).await.unwrap();
    is_newer("a dropped table").await;
    catalog.grow_table(one.id, &[]).await.unwrap();
    assert_eq!(pin(None).await.schema_version, version, "nothing changed");
}

/// Changes between any two sequences lead from what was visible to what is; totals agree with the list at each.
pub(super) async fn changes_lead_from_one_snapshot_to_the_next(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let mut random = ChaCha8Rng::seed_from_u64(11);
    let mut snapshots = vec![(catalog.pin(table.database).await.unwrap(), BTreeSet::new())];
    for round in 0..20 {
        let mut now: BTreeSet<ExtentId> = snapshots[round].1.clone();
        let sources: Vec<ExtentId> = now.iter().filter(|_| random.random_bool(0.3)).copied().collect();
        let reservation = reserve(catalog).await;
        let extents: Vec<NewExtent> =
            (0..random.random_range(1..4)).map(|at| extent(&table, &reservation.object_key, at, at + 10)).collect();
        now.retain(|id| !sources.contains(id));
        now.extend(extents.iter().map(|extent| extent.id));
        let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
        let at = catalog.replace(table.id, &sources, &commit).await.unwrap().sequences[&table.database];
        snapshots.push((at, now));
    }
    let query = |after, to| ChangeQuery { table: table.id, after, to, time: TimeRange::ALL, limit: 1_000 };
    for (at, visible) in &snapshots {
        assert_eq!(catalog.totals(table.id, *at).await.unwrap().extents, visible.len() as u64, "at {at}");
        for (later, expected) in snapshots.iter().filter(|(later, _)| later >= at) {
            let mut known = visible.clone();
            for extent in catalog.changes(&query(*at, *later)).await.unwrap().unwrap() {
                match extent.removed.is_none_or(|removed| removed > *later) {
                    true => known.insert(extent.id),
                    false => known.remove(&extent.id),
                };
            }
            assert_eq!(&known, expected, "from {at} to {later}");
        }
    }
    let (first, last) = (snapshots[0].0, snapshots[20].0);
    assert_eq!(catalog.changes(&ChangeQuery { limit: 3, ..query(first, last) }).await.unwrap(), None);
    let nowhere = ChangeQuery { time: TimeRange::new(100, 200), ..query(first, last) };
    assert_eq!(catalog.changes(&nowhere).await.unwrap(), Some(vec![]));
}

/// Many extents, many of them with equal times, each exactly once; and a reader that stops early.
pub(super) async fn ten_thousand_extents_are_streamed(catalog: &Arc<dyn Catalog>) {
    const EXTENTS: i64 = 10_000;
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let extents: Vec<NewExtent> =
        (0..EXTENTS).map(|i| extent(&table, &reservation.object_key, i / 700, i / 700 + 5)).collect();
    let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
    let at = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    for order in [ExtentOrder::NewestFirst, ExtentOrder::OldestFirst] {
        let listed = list(catalog, &table, at, TimeRange::ALL, order).await;
        let distinct: BTreeSet<ExtentId> = listed.iter().map(|extent| extent.id).collect();
        assert_eq!((listed.len(), distinct.len()), (EXTENTS as usize, EXTENTS as usize));
        let in_order = match order {
            ExtentOrder::NewestFirst => listed.is_sorted_by_key(|extent| std::cmp::Reverse(extent.time.end)),
            ExtentOrder::OldestFirst => listed.is_sorted_by_key(|extent| extent.time.start),
        };
        assert!(in_order, "{order:?}");
    }
    let query =
        ExtentQuery { table: table.id, at, time: TimeRange::ALL, order: ExtentOrder::NewestFirst, ranges: Vec::new() };
    let first: Vec<_> = catalog.list(query).take(3).collect().await;
    assert_eq!(first.len(), 3);
}

pub(super) async fn one_of_many_commits_with_a_key_succeeds(catalog: &Arc<dyn Catalog>) {
    const RACERS: usize = 16;
    let table = table(catalog).await;
    let mut commits = Vec::new();
    for racer in 0..RACERS {
        let reservation = reserve(catalog).await;
        let extents = vec![extent(&table, &reservation.object_key, 0, 9)];
        let receipt = Receipt {
            database: table.database,
            key: "key-1".to_owned(),
            answer: serde_json::json!({ "racer": racer }),
            window_seconds: None,
        };
        commits.push(Commit { reservation: Some(reservation), extents, receipts: vec![receipt] });
    }
    assert_eq!(catalog.receipt(table.database, "key-1", None).await.unwrap(), None);
    let results = join_all(commits.iter().map(|commit| catalog.commit(commit))).await;
    let mut won = Vec::new();
    for (racer, result) in results.into_iter().enumerate() {
        match result {
            Ok(committed) => won.push((racer, committed.sequences[&table.database])),
            Err(error) => {
                assert_eq!((error.kind(), error.code()), (Kind::Conflict, "catalog.receipt_exists"), "{error:?}");
                assert!(error.message().contains("key-1"), "{error:?}");
            }
        }
    }
    let [(winner, sequence)] = won[..] else { panic!("one commit wins: {won:?}") };
    let receipt = catalog.receipt(table.database, "key-1", None).await.unwrap();
    assert_eq!(receipt, Some((serde_json::json!({ "racer": winner }), sequence)));
    let now = catalog.pin(table.database).await.unwrap();
    assert_eq!(visible(catalog, &table, now).await, [commits[winner].extents[0].id]);
    // A loser's reservation still stands: the writer may commit the rest of its flush.
    let loser = &commits[(winner + 1) % RACERS];
    catalog.commit(&Commit { receipts: vec![], ..loser.clone() }).await.unwrap();
}

pub(super) async fn a_refused_commit_changes_nothing(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let receipt = |key: &str| Receipt {
        database: table.database,
        key: key.to_owned(),
        answer: serde_json::json!(1),
        window_seconds: None,
    };
    let first = Commit { receipts: vec![receipt("taken")], ..Commit::default() };
    let before = catalog.commit(&first).await.unwrap().sequences[&table.database];
    let reservation = reserve(catalog).await;
    let extents = vec![extent(&table, &reservation.object_key, 0, 9)];
    let receipts = vec![receipt("free"), receipt("taken")];
    let refused_commit = Commit { reservation: Some(reservation.clone()), extents, receipts };
    refused(catalog.commit(&refused_commit).await, Kind::Conflict, "catalog.receipt_exists");
    assert_eq!(catalog.pin(table.database).await.unwrap(), before);
    assert_eq!(catalog.receipt(table.database, "free", None).await.unwrap(), None);
    assert!(visible(catalog, &table, before).await.is_empty());
    assert_eq!(catalog.outcome(&reservation).await.unwrap(), None);
    let twice = Commit { receipts: vec![receipt("twice"), receipt("twice")], ..Commit::default() };
    refused(catalog.commit(&twice).await, Kind::Conflict, "catalog.receipt_exists");
}

pub(super) async fn concurrent_commits_take_distinct_sequences(catalog: &Arc<dyn Catalog>) {
    const WRITERS: usize = 24;
    let table = table(catalog).await;
    let before = catalog.pin(table.database).await.unwrap();
    let added = join_all((0..WRITERS).map(|i| add(catalog, &table, i as i64, i as i64))).await;
    let sequences: BTreeSet<Sequence> = added.iter().map(|(_, sequence)| *sequence).collect();
    let expected: BTreeSet<Sequence> = (1..=WRITERS as i64).map(|i| Sequence(before.0 + i)).collect();
    assert_eq!(sequences, expected);
    for (extent, sequence) in &added {
        assert!(visible(catalog, &table, *sequence).await.contains(&extent.id));
        assert!(!visible(catalog, &table, Sequence(sequence.0 - 1)).await.contains(&extent.id));
    }
}

/// Commits that touch the same databases in opposite orders all end.
pub(super) async fn commits_over_several_databases_do_not_block_each_other_for_ever(catalog: &Arc<dyn Catalog>) {
    let (left, right) = (table(catalog).await, table(catalog).await);
    let one = |forwards: bool, round: usize| {
        let (left, right) = (&left, &right);
        async move {
            let reservation = reserve(catalog).await;
            let mut extents: Vec<NewExtent> =
                [left, right].iter().map(|table| extent(table, &reservation.object_key, 0, 9)).collect();
            let mut receipts: Vec<Receipt> = [left, right]
                .iter()
                .map(|table| Receipt {
                    database: table.database,
                    key: format!("{forwards}{round}"),
                    answer: round.into(),
                    window_seconds: None,
                })
                .collect();
            if !forwards {
                extents.reverse();
                receipts.reverse();
            }
            catalog.commit(&Commit { reservation: Some(reservation), extents, receipts }).await
        }
    };
    let commits = (0..20).map(|round| one(round % 2 == 0, round));
    for committed in join_all(commits).await {
        assert_eq!(committed.unwrap().sequences.len(), 2);
    }
}

pub(super) async fn a_replacement_revalidates_its_sources(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (first, _) = add(catalog, &table, 0, 9).await;
    let (second, _) = add(catalog, &table, 10, 19).await;
    let both = [first.id, second.id];
    let mut commits = Vec::new();
    for _ in 0..6 {
        let reservation = reserve(catalog).await;
        let extents = vec![extent(&table, &reservation.object_key, 0, 19)];
        commits.push(Commit { reservation: Some(reservation), extents, receipts: vec![] });
    }
    let results = join_all(commits.iter().map(|commit| catalog.replace(table.id, &both, commit))).await;
    let won: Vec<usize> = (0..results.len()).filter(|&i| results[i].is_ok()).collect();
    assert_eq!(won.len(), 1, "{results:?}");
    for error in results.into_iter().filter_map(Result::err) {
        assert_eq!((error.kind(), error.code()), (Kind::Conflict, "catalog.sources_changed"), "{error:?}");
    }
    let now = catalog.pin(table.database).await.unwrap();
    assert_eq!(visible(catalog, &table, now).await, [commits[won[0]].extents[0].id]);
    let elsewhere = super::table(catalog).await;
    let (foreign, _) = add(catalog, &elsewhere, 0, 9).await;
    let foreign_source = catalog.replace(table.id, &[foreign.id], &Commit::default()).await;
    refused(foreign_source, Kind::Conflict, "catalog.sources_changed");
    let removal_only = catalog.replace(elsewhere.id, &[foreign.id], &Commit::default()).await.unwrap();
    assert!(visible(catalog, &elsewhere, removal_only.sequences[&elsewhere.database]).await.is_empty());
}

/// Asking for the outcome answers with the sequences, or makes the commit impossible.
pub(super) async fn an_outcome_is_final(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let extents = vec![extent(&table, &reservation.object_key, 0, 9)];
    let commit = Commit { reservation: Some(reservation.clone()), extents, receipts: vec![] };
    let committed = catalog.commit(&commit).await.unwrap();
    assert_eq!(catalog.outcome(&reservation).await.unwrap(), Some(committed.clone()));
    assert_eq!(catalog.outcome(&reservation).await.unwrap(), Some(committed));
    refused(catalog.commit(&commit).await, Kind::Conflict, "catalog.reservation_revoked");

    let abandoned = reserve(catalog).await;
    assert_eq!(catalog.outcome(&abandoned).await.unwrap(), None);
    let extents = vec![extent(&table, &abandoned.object_key, 0, 9)];
    let late = Commit { reservation: Some(abandoned), extents, receipts: vec![] };
    refused(catalog.commit(&late).await, Kind::Conflict, "catalog.reservation_revoked");
}

/// A key that stands for a content is free again when its receipt is older than the window; a client's key is not.
pub(super) async fn a_content_gives_way_after_its_window(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let write = |round: u64, window_seconds: Option<u32>| {
        let table = &table;
        async move {
            let reservation = reserve(catalog).await;
            let extents = vec![extent(table, &reservation.object_key, 0, 9)];
            let key = if window_seconds.is_some() { "content" } else { "key" }.to_owned();
            let receipt = Receipt { database: table.database, key, answer: round.into(), window_seconds };
            catalog.commit(&Commit { reservation: Some(reservation), extents, receipts: vec![receipt] }).await
        }
    };
    let first = write(1, Some(600)).await.unwrap().sequences[&table.database];
    write(1, None).await.unwrap();
    a_moment().await;
    refused(write(2, Some(600)).await, Kind::Conflict, "catalog.receipt_exists");
    let found = catalog.receipt(table.database, "content", Some(600)).await.unwrap();
    assert_eq!(found, Some((1.into(), first)));
    assert_eq!(catalog.receipt(table.database, "content", Some(0)).await.unwrap(), None, "it is older than that");
    let second = write(2, Some(0)).await.unwrap().sequences[&table.database];
    assert_eq!(catalog.receipt(table.database, "content", Some(600)).await.unwrap(), Some((2.into(), second)));
    refused(write(2, None).await, Kind::Conflict, "catalog.receipt_exists");
}
