//! What may be deleted, and what never.

use futures::future::join;
use kyma_core::catalog::ChangeQuery;

use super::*;

const MANY: usize = 10_000;

pub(super) async fn a_revoked_writer_cannot_commit(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let key = reservation.object_key.clone();
    let young = catalog.revoke_stale(Duration::from_secs(3_600), MANY).await.unwrap();
    assert!(!keys(&young).contains(&&*key));
    a_moment().await;
    let stale = catalog.revoke_stale(Duration::from_millis(10), MANY).await.unwrap();
    assert!(keys(&stale).contains(&&*key));
    let extents = vec![extent(&table, &key, 0, 9)];
    let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
    refused(catalog.commit(&commit).await, Kind::Conflict, "catalog.reservation_revoked");
    assert!(keys(&catalog.doomed(MANY).await.unwrap()).contains(&&*key));
    catalog.forget(&key).await.unwrap();
    catalog.forget(&key).await.unwrap();
    assert!(!keys(&catalog.doomed(MANY).await.unwrap()).contains(&&*key));
    refused(catalog.commit(&commit).await, Kind::Conflict, "catalog.reservation_revoked");
    let now = catalog.pin(table.database).await.unwrap();
    assert!(visible(catalog, &table, now).await.is_empty());
}

pub(super) async fn a_commit_and_a_revocation_never_both_win(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    for _ in 0..20 {
        let reservation = reserve(catalog).await;
        let key = reservation.object_key.clone();
        let extents = vec![extent(&table, &key, 0, 9)];
        let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
        let (committed, revoked) = join(catalog.commit(&commit), catalog.revoke_stale(Duration::ZERO, MANY)).await;
        let is_doomed = keys(&revoked.unwrap()).contains(&&*key);
        assert!(!(committed.is_ok() && is_doomed), "committed and doomed: {key}");
        if let Err(error) = committed {
            assert_eq!(error.code(), "catalog.reservation_revoked", "{error:?}");
            assert!(is_doomed);
        }
    }
}

/// An object that holds two extents lives until both were removed for longer than the grace period.
pub(super) async fn only_objects_without_visible_extents_are_doomed(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let key = reservation.object_key.clone();
    let pair = [extent(&table, &key, 0, 9), extent(&table, &key, 10, 19)];
    let commit = Commit { reservation: Some(reservation.clone()), extents: pair.to_vec(), receipts: vec![] };
    let before = catalog.commit(&commit).await.unwrap().sequences[&table.database];
    let doomed_now = |grace: Duration| {
        let key = &key;
        async move { keys(&catalog.doom_removed(grace, MANY).await.unwrap()).contains(&&**key) }
    };
    let short = Duration::from_millis(10);
    a_moment().await;
    assert!(!doomed_now(short).await, "nothing was removed");
    catalog.replace(table.id, &[pair[0].id], &Commit::default()).await.unwrap();
    a_moment().await;
    assert!(!doomed_now(short).await, "one extent is visible");
    catalog.forget(&key).await.unwrap();
    assert_eq!(visible(catalog, &table, before).await.len(), 2, "what is not doomed is not forgotten");
    catalog.replace(table.id, &[pair[1].id], &Commit::default()).await.unwrap();
    a_moment().await;
    assert!(!doomed_now(Duration::from_secs(3_600)).await, "within the grace period");
    assert_eq!(visible(catalog, &table, before).await.len(), 2, "the past is visible within the grace period");
    assert!(doomed_now(short).await);
    assert!(!doomed_now(short).await, "doomed once");
    assert!(catalog.outcome(&reservation).await.unwrap().is_some(), "a doomed object was committed all the same");
    let now = catalog.pin(table.database).await.unwrap();
    let since = |after| ChangeQuery { table: table.id, after, to: now, time: TimeRange::ALL, limit: 10 };
    assert_eq!(catalog.changes(&since(before)).await.unwrap().map(|changed| changed.len()), Some(2));
    catalog.forget(&key).await.unwrap();
    refused(catalog.outcome(&reservation).await, Kind::Conflict, "catalog.outcome_forgotten");
    assert!(visible(catalog, &table, before).await.is_empty());
    assert_eq!(catalog.changes(&since(before)).await.unwrap(), None, "the removals are forgotten");
    assert_eq!(catalog.changes(&since(now)).await.unwrap(), Some(vec![]));
}

pub(super) async fn unknown_objects_are_doomed_and_known_ones_are_not(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let reserved = reserve(catalog).await;
    let (registered, _) = add(catalog, &table, 0, 9).await;
    let unknown = unique("extents/stray");
    let found = [reserved.object_key, registered.location.key, unknown.clone()];
    let doomed = catalog.doom_unknown(&found).await.unwrap();
    assert_eq!(keys(&doomed), [&*unknown]);
    assert!(keys(&catalog.doomed(MANY).await.unwrap()).contains(&&*unknown));
    let late = catalog.reserve(NodeId::generate(), &unknown).await;
    refused(late, Kind::Conflict, "catalog.object_reserved");
    catalog.forget(&unknown).await.unwrap();
    let created = catalog.created().await.unwrap();
    assert!(created > 0 && created < i64::MAX);
}

fn keys(doomed: &[kyma_core::catalog::DoomedObject]) -> Vec<&str> {
    doomed.iter().map(|object| object.key.as_str()).collect()
}

/// What a node reads stays, also past the grace period; until the node says otherwise, or nothing any more.
pub(super) async fn what_a_snapshot_holds_is_not_doomed(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let (old, before) = add(catalog, &table, 0, 9).await;
    let node = NodeId::generate();
    let held = |at: Sequence, time: Duration| async move {
        catalog.hold(node, &BTreeMap::from([(table.database, at)]), time).await.unwrap();
    };
    let long = Duration::from_secs(600);
    held(before, long).await;
    let removed = catalog.replace(table.id, &[old.id], &Commit::default()).await.unwrap().sequences[&table.database];
    a_moment().await;
    let is_doomed = || async {
        let doomed = catalog.doom_removed(Duration::from_millis(1), MANY).await.unwrap();
        keys(&doomed).contains(&&*old.location.key)
    };
    assert!(!is_doomed().await, "the snapshot shows it");
    assert_eq!(visible(catalog, &table, before).await, [old.id]);
    held(removed, long).await;
    held(before, Duration::from_millis(1)).await;
    a_moment().await;
    assert!(is_doomed().await, "a node that is silent holds nothing");
    let (other, before) = add(catalog, &table, 0, 9).await;
    held(before, long).await;
    catalog.replace(table.id, &[other.id], &Commit::default()).await.unwrap();
    a_moment().await;
    catalog.hold(node, &BTreeMap::new(), long).await.unwrap();
    let doomed = catalog.doom_removed(Duration::from_millis(1), MANY).await.unwrap();
    assert!(keys(&doomed).contains(&&*other.location.key), "nothing is held any more");
}
