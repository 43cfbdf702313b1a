//! What background work looks for.

use kyma_core::extent::LEVEL_FINAL;

use super::*;

const MANY: usize = 10_000;

async fn add_level(catalog: &Arc<dyn Catalog>, table: &Table, level: u8) -> ExtentId {
    let reservation = reserve(catalog).await;
    let new = NewExtent { level, ..extent(table, &reservation.object_key, 0, 9) };
    let commit = Commit { reservation: Some(reservation), extents: vec![new.clone()], receipts: vec![] };
    catalog.commit(&commit).await.expect("a commit");
    new.id
}

/// Visible extents below the last level, in the order of their commits; nothing of a dropped table.
pub(super) async fn what_may_be_merged_is_found(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let found = |limit| async move {
        let extents = catalog.uncompacted(table.id, limit).await.unwrap();
        extents.into_iter().map(|extent| extent.id).collect::<Vec<_>>()
    };
    let (first, second) = (add_level(catalog, &table, 0).await, add_level(catalog, &table, 1).await);
    let last = add_level(catalog, &table, LEVEL_FINAL).await;
    assert_eq!(found(MANY).await, [first, second]);
    assert_eq!(found(1).await, [first]);
    let of_table = |all: Vec<kyma_core::catalog::Uncompacted>| all.into_iter().find(|found| found.table == table.id);
    let summed = of_table(catalog.uncompacted_tables(MANY).await.unwrap()).unwrap();
    assert_eq!((summed.extents, summed.raw_bytes), (2, 2_000));
    let visible = catalog.still_visible(table.id, &[last, first, ExtentId::generate()]).await.unwrap();
    assert_eq!(visible.iter().map(|extent| extent.id).collect::<Vec<_>>(), [first, last]);
    catalog.replace(table.id, &[first], &Commit::default()).await.unwrap();
    assert_eq!(found(MANY).await, [second]);
    assert!(catalog.still_visible(table.id, &[first]).await.unwrap().is_empty());
    catalog.drop_table(table.id).await.unwrap();
    assert_eq!(of_table(catalog.uncompacted_tables(MANY).await.unwrap()), None);
}
