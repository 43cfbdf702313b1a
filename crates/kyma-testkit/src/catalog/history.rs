//! Old snapshots, dropped tables, and rows past their time.

use kyma_core::catalog::ExpiryQuery;
use kyma_core::clock::{Clock, SystemClock};
use kyma_core::time::{HOUR, SECOND};

use super::*;

const MANY: usize = 10_000;

pub(super) async fn extents_past_their_time_are_the_old_ones(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let now = SystemClock.now();
    let (old, _) = add(catalog, &table, now - 9 * HOUR, now - 3 * HOUR).await;
    let (older, _) = add(catalog, &table, now - 9 * HOUR, now - 5 * HOUR).await;
    let (edge, _) = add(catalog, &table, now - 9 * HOUR, now - HOUR).await;
    let (unknown, _) = add(catalog, &table, i64::MIN, i64::MAX).await;
    let (gone, _) = add(catalog, &table, 0, 9).await;
    catalog.replace(table.id, &[gone.id], &Commit::default()).await.unwrap();
    let expired = async |now: i64, period: i64, limit: usize| -> Vec<ExtentId> {
        let query = ExpiryQuery { table: table.id, now, period, limit };
        catalog.expired(&query).await.unwrap().iter().map(|extent| extent.id).collect()
    };
    assert_eq!(expired(now, 2 * HOUR, MANY).await, [older.id, old.id]);
    assert_eq!(expired(now, 2 * HOUR, 1).await, [older.id], "the oldest first");
    assert_eq!(expired(now, HOUR, MANY).await, [older.id, old.id], "as old as the period is not older");
    assert_eq!(expired(now + 100 * HOUR, 2 * HOUR, MANY).await, [older.id, old.id], "a clock that ran ahead");
    assert!(expired(now - 4 * HOUR, 2 * HOUR, MANY).await.is_empty(), "a clock that is behind");
    a_moment().await;
    let all = expired(now + 100 * HOUR, 1_000_000, MANY).await;
    assert_eq!(all, [older.id, old.id, edge.id, unknown.id], "without event times that of the commit counts");
}

pub(super) async fn a_time_names_one_sequence_for_ever(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    // A time from which on the database has this sequence.
    let settled = async |sequence: Sequence| loop {
        let now = SystemClock.now();
        if catalog.sequence_at(table.database, now).await.is_ok_and(|found| found == sequence) {
            return now;
        }
        a_moment().await;
    };
    let (_, first) = add(catalog, &table, 0, 9).await;
    let early = settled(first).await;
    let (_, second) = add(catalog, &table, 0, 9).await;
    assert_eq!(catalog.sequence_at(table.database, early).await.unwrap(), first);
    let late = settled(second).await;
    assert_eq!(catalog.sequence_at(table.database, early).await.unwrap(), first);
    let ahead = catalog.sequence_at(table.database, late + HOUR).await;
    refused(ahead, Kind::Invalid, "catalog.time_ahead");
    let before = catalog.sequence_at(table.database, SECOND).await;
    refused(before, Kind::NotFound, "catalog.time_forgotten");
    catalog.forget_times(Duration::from_secs(3_600)).await.unwrap();
    assert_eq!(catalog.sequence_at(table.database, early).await.unwrap(), first, "within the grace period");
    assert!(catalog.forget_times(Duration::ZERO).await.unwrap() > 0);
    assert_eq!(catalog.sequence_at(table.database, late).await.unwrap(), second, "the last is never forgotten");
    refused(catalog.sequence_at(table.database, early).await, Kind::NotFound, "catalog.time_forgotten");
}

pub(super) async fn the_oldest_sequence_rises_with_what_is_doomed(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (first, _) = add(catalog, &table, 0, 9).await;
    let (second, before) = add(catalog, &table, 10, 19).await;
    let oldest = async || catalog.oldest(table.database).await.unwrap();
    assert_eq!(oldest().await, Sequence(0));
    let removed = catalog.replace(table.id, &[first.id], &Commit::default()).await.unwrap();
    let removed = removed.sequences[&table.database];
    a_moment().await;
    catalog.doom_removed(Duration::from_secs(3_600), MANY).await.unwrap();
    assert_eq!(oldest().await, Sequence(0), "within the grace period");
    catalog.doom_removed(Duration::from_millis(10), MANY).await.unwrap();
    assert_eq!(oldest().await, removed, "its object may be gone");
    catalog.forget(&first.location.key).await.unwrap();
    assert_eq!(oldest().await, removed, "it is forgotten");
    assert_eq!(visible(catalog, &table, removed).await, [second.id]);
    assert!(before < removed);
}

pub(super) async fn a_drop_can_be_undone(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (one, before) = add(catalog, &table, 0, 9).await;
    let named = async |at: Sequence| -> Vec<_> {
        let tables = catalog.tables_at(table.database, at).await.unwrap();
        tables.into_iter().map(|table| (table.name, table.id)).collect()
    };
    let logs = |id| vec![("Logs".to_owned(), id)];
    catalog.drop_table(table.id).await.unwrap();
    let dropped = catalog.dropped_tables(table.database).await.unwrap();
    assert_eq!(dropped.iter().map(|it| &it.table).collect::<Vec<_>>(), [&table]);
    let at_drop = dropped[0].dropped;
    assert_eq!(named(before).await, logs(table.id));
    assert!(named(at_drop).await.is_empty());

    let other = catalog.ensure_table(table.database, "Logs", &new_table()).await.unwrap();
    assert_eq!(named(before).await, logs(table.id), "a later table of the name does not hide it");
    refused(catalog.undrop_table(table.id, "Logs").await, Kind::Conflict, "catalog.table_exists");
    catalog.drop_table(other.id).await.unwrap();

    let pins = async || {
        let pins = catalog.pins(&BTreeMap::new()).await.unwrap();
        pins.into_iter().find(|pin| pin.database.id == table.database).unwrap()
    };
    let (pinned, version) = (pins().await.sequence, pins().await.schema_version);
    let back = catalog.undrop_table(table.id, "Back").await.unwrap();
    assert_eq!((back.id, back.name.as_str(), &back.schema), (table.id, "Back", &table.schema));
    let now = pins().await;
    assert!(now.sequence > pinned && now.schema_version > version, "caches of tables hear of it");
    assert_eq!(visible(catalog, &table, now.sequence).await, [one.id]);
    assert_eq!(named(now.sequence).await, [("Back".to_owned(), table.id)]);
    assert!(named(pinned).await.is_empty(), "what a sequence saw does not change");
    add(catalog, &back, 10, 19).await;
    refused(catalog.undrop_table(table.id, "Back").await, Kind::NotFound, "catalog.drop_final");
}

/// Giving up removes the extents as of the drop; their objects go, then the rows of the table.
pub(super) async fn a_drop_is_given_up_after_the_grace_period(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (one, before) = add(catalog, &table, 0, 9).await;
    catalog.drop_table(table.id).await.unwrap();
    let dropped = catalog.dropped_tables(table.database).await.unwrap()[0].dropped;
    a_moment().await;
    catalog.give_up_dropped(Duration::from_secs(3_600), MANY).await.unwrap();
    assert_eq!(catalog.dropped_tables(table.database).await.unwrap().len(), 1, "within the grace period");
    let given_up = catalog.give_up_dropped(Duration::from_millis(10), MANY).await.unwrap();
    assert!(given_up.tables >= 1 && given_up.extents >= 1, "{given_up:?}");
    assert!(catalog.dropped_tables(table.database).await.unwrap().is_empty());
    refused(catalog.undrop_table(table.id, "Logs").await, Kind::NotFound, "catalog.drop_final");
    assert_eq!(visible(catalog, &table, before).await, [one.id], "the past is complete until it is doomed");
    assert_eq!(catalog.tables_at(table.database, before).await.unwrap().len(), 1);
    assert!(visible(catalog, &table, dropped).await.is_empty(), "removed as of the drop");
    catalog.doom_removed(Duration::from_millis(10), MANY).await.unwrap();
    assert_eq!(catalog.oldest(table.database).await.unwrap(), dropped);
    catalog.forget(&one.location.key).await.unwrap();
    assert!(catalog.give_up_dropped(Duration::from_millis(10), MANY).await.unwrap().forgotten >= 1);
    assert!(catalog.tables_at(table.database, before).await.unwrap().is_empty());
    assert_eq!(catalog.oldest(table.database).await.unwrap(), dropped, "it is known that more was there");
}

pub(super) async fn answers_are_found_by_the_beginning_of_their_keys(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let receipt = |key: &str| kyma_core::catalog::Receipt {
        database: table.database,
        key: key.to_owned(),
        answer: serde_json::json!({ "rows": 3 }),
        window_seconds: None,
    };
    let receipts = vec![receipt("a_b/2"), receipt("a_b/1"), receipt("axb/1")];
    let committed = catalog.commit(&Commit { receipts, ..Commit::default() }).await.unwrap();
    let at = committed.sequences[&table.database];
    let answer = |key: &str| (key.to_owned(), serde_json::json!({ "rows": 3 }), at);
    assert_eq!(catalog.receipts(table.database, "a_b/").await.unwrap(), [answer("a_b/1"), answer("a_b/2")]);
    assert!(catalog.receipts(table.database, "b").await.unwrap().is_empty());
}
