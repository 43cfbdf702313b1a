//! Export, import and audit: [`Recovery`]'s promises. They are of whole catalogs, so each catalog here is the check's own.

use kyma_core::catalog::{
    DatabaseDefinition, ExtentPage, IngestionMapping, JournalMark, NumberedReceipt, ObjectState, Policy, Receipt,
    ReceiptPage, Recovery, StoredFunction, TableTexts,
};
use kyma_core::{DatabaseId, TableId};

use super::*;

/// Runs every check. `source` is written to, `empty` must hold nothing.
pub async fn recovery_suite(
    source: (Arc<dyn Catalog>, Arc<dyn Recovery>),
    empty: (Arc<dyn Catalog>, Arc<dyn Recovery>),
) {
    journal_suite(&source).await;
    order_is_audited(&source).await;
    what_is_exported_is_imported(&source, &empty).await;
}

/// Runs the checks of what a journal is written from.
pub async fn journal_suite(source: &(Arc<dyn Catalog>, Arc<dyn Recovery>)) {
    marks_move_from_what_the_caller_knew(source).await;
    definitions_raise_their_version(source).await;
}

async fn marks_move_from_what_the_caller_knew((catalog, recovery): &(Arc<dyn Catalog>, Arc<dyn Recovery>)) {
    let id = database(catalog).await.id;
    let mark = async || {
        let states = recovery.journal_states().await.unwrap();
        states.into_iter().find(|state| state.database.id == id).unwrap().mark
    };
    let to = |revision| JournalMark { revision, sequence: Sequence(3), definitions_version: 2, full_revision: 1 };
    assert_eq!(mark().await.revision, 0);
    assert!(!recovery.advance_journal(id, 4, &to(5)).await.unwrap(), "there is no mark 4");
    assert!(recovery.advance_journal(id, 0, &to(1)).await.unwrap());
    assert!(!recovery.advance_journal(id, 0, &to(1)).await.unwrap(), "somebody else was here");
    assert!(recovery.advance_journal(id, 1, &to(2)).await.unwrap());
    assert_eq!(mark().await, to(2));
}

async fn definitions_raise_their_version((catalog, recovery): &(Arc<dyn Catalog>, Arc<dyn Recovery>)) {
    let id = database(catalog).await.id;
    let mut last = recovery.definition(id).await.unwrap().definitions_version;
    let mut raised = async |what: &str| {
        let now = recovery.definition(id).await.unwrap().definitions_version;
        assert!(now > std::mem::replace(&mut last, now), "{what}");
    };
    let table = catalog.ensure_table(id, "Logs", &new_table()).await.unwrap();
    raised("a table").await;
    catalog.grow_table(table.id, &[Column::new("n", Type::Long)]).await.unwrap();
    raised("a column").await;
    let mapping = IngestionMapping { table: table.id, name: "m".into(), kind: "csv".into(), json: "[]".into() };
    catalog.put_ingestion_mapping(&mapping, false).await.unwrap();
    raised("a mapping").await;
    catalog.put_table_texts(table.id, &TableTexts { docstring: "x".into(), ..TableTexts::default() }).await.unwrap();
    raised("a text").await;
    let policy = Policy { database: id, table: None, kind: "caching".into(), json: "{}".into() };
    catalog.put_policy(&policy).await.unwrap();
    raised("a policy").await;
    catalog.drop_policy(id, None, "caching").await.unwrap();
    raised("a policy that is gone").await;
    catalog.put_function(id, &function(), false).await.unwrap();
    raised("a function").await;
    catalog.drop_table(table.id).await.unwrap();
    raised("a drop").await;
    let definition = recovery.definition(id).await.unwrap();
    assert!(definition.tables.is_empty() && definition.tables_max >= table.id, "dropped tables are not told");
}

fn function() -> StoredFunction {
    StoredFunction {
        name: "f".into(),
        parameters: "()".into(),
        body: "{ 1 }".into(),
        folder: String::new(),
        docstring: String::new(),
    }
}

async fn order_is_audited((catalog, recovery): &(Arc<dyn Catalog>, Arc<dyn Recovery>)) {
    let table = table(catalog).await;
    let reservation = reserve(catalog).await;
    let key = reservation.object_key.clone();
    let unknown = format!("extents/{}.kyma", Uuid::now_v7());
    let state = async || {
        let mut states = recovery.object_states(&[key.clone(), unknown.clone()]).await.unwrap();
        assert!(!states.contains_key(&unknown));
        states.remove(&key)
    };
    assert_eq!(state().await, Some(ObjectState::Reserved));
    let one = extent(&table, &key, 0, 9);
    let commit = Commit { reservation: Some(reservation), extents: vec![one.clone()], receipts: vec![] };
    catalog.commit(&commit).await.unwrap();
    assert_eq!(state().await, Some(ObjectState::Registered));
    assert_eq!(recovery.audit(table.database, 10).await.unwrap(), kyma_core::catalog::Audit::default());
    assert_eq!(recovery.repair_totals(table.database).await.unwrap(), 0, "nothing to repair");
    catalog.replace(table.id, &[one.id], &Commit::default()).await.unwrap();
    assert_eq!(recovery.audit(table.database, 10).await.unwrap(), kyma_core::catalog::Audit::default());
    a_moment().await;
    catalog.doom_removed(Duration::from_millis(10), 10_000).await.unwrap();
    assert_eq!(state().await, Some(ObjectState::Doomed));
    assert!(!recovery.overdue(Duration::from_secs(3_600), 10_000).await.unwrap().contains(&key), "it is young");
    assert!(recovery.overdue(Duration::ZERO, 10_000).await.unwrap().contains(&key));
}

async fn what_is_exported_is_imported(
    (catalog, recovery): &(Arc<dyn Catalog>, Arc<dyn Recovery>),
    (empty, import_into): &(Arc<dyn Catalog>, Arc<dyn Recovery>),
) {
    let table = table(catalog).await;
    let id = table.database;
    catalog.put_function(id, &function(), false).await.unwrap();
    let mut committed = Vec::new();
    for n in 0..7 {
        let reservation = reserve(catalog).await;
        let new = extent(&table, &reservation.object_key, n, n + 5);
        let receipt = Receipt {
            database: id,
            key: format!("key {n}"),
            answer: serde_json::json!({ "n": n, "text": "a\u{0}b" }),
            window_seconds: None,
        };
        let commit = Commit { reservation: Some(reservation), extents: vec![new.clone()], receipts: vec![receipt] };
        catalog.commit(&commit).await.unwrap();
        committed.push(new.id);
    }
    catalog.replace(table.id, &committed[..1], &Commit::default()).await.unwrap();
    let definition = recovery.definition(id).await.unwrap();
    let extents = all_extents(recovery, &definition).await;
    assert_eq!(extents.iter().map(|extent| extent.id).collect::<Vec<_>>(), committed, "each once, in order");
    assert_eq!(extents.iter().filter(|extent| extent.removed.is_some()).count(), 1);
    let receipts = all_receipts(recovery, &definition).await;
    assert_eq!(receipts.len(), 7);

    let visible: Vec<Extent> = extents.into_iter().filter(|extent| extent.removed.is_none()).collect();
    for finish in [false, true] {
        let mut import = import_into.begin_import(Some(Uuid::from_u128(5))).await.unwrap();
        import.database(&definition).await.unwrap();
        import.extents(&visible).await.unwrap();
        import.receipts(&receipts).await.unwrap();
        if finish {
            import.finish(DatabaseId(id.0 + 7), TableId(table.id.0 + 9)).await.unwrap();
        } else {
            drop(import);
            assert!(empty.databases().await.unwrap().is_empty(), "what is not finished is not there");
        }
    }
    let refusal = import_into.begin_import(None).await.map(drop);
    refused(refusal, Kind::Conflict, "catalog.not_empty");
    assert_eq!(import_into.identity().await.unwrap().rebuilt_from, Some(Uuid::from_u128(5)));
    assert_ne!(import_into.identity().await.unwrap().id, recovery.identity().await.unwrap().id);
    assert_eq!(import_into.audit(id, 10).await.unwrap(), kyma_core::catalog::Audit::default());

    let now = empty.pin(id).await.unwrap();
    assert_eq!(now, definition.sequence);
    let listed = super::list(empty, &table, now, TimeRange::ALL, ExtentOrder::OldestFirst).await;
    assert_eq!(listed, visible);
    let imported = import_into.definition(id).await.unwrap();
    assert_eq!((imported.tables, imported.functions), (definition.tables, definition.functions));
    let totals = empty.totals(table.id, now).await.unwrap();
    assert_eq!((totals.extents, totals.rows), (6, visible.iter().map(|extent| extent.rows).sum()));
    let (answer, sequence) = empty.receipt(id, "key 3", None).await.unwrap().unwrap();
    assert_eq!((answer, sequence), (receipts[3].receipt.answer.clone(), receipts[3].sequence));
    let next = empty.ensure_database(&unique("db")).await.unwrap();
    assert!(next.id.0 > id.0 + 7);
    assert!(empty.ensure_table(next.id, "Logs", &new_table()).await.unwrap().id.0 > table.id.0 + 9);
    let reservation = reserve(empty).await;
    let extents = vec![extent(&table, &reservation.object_key, 0, 1)];
    let commit = Commit { reservation: Some(reservation), extents, receipts: vec![] };
    assert_eq!(empty.commit(&commit).await.unwrap().sequences[&id], Sequence(now.0 + 1), "writes go on");
}

async fn all_extents(recovery: &Arc<dyn Recovery>, definition: &DatabaseDefinition) -> Vec<Extent> {
    let mut page = ExtentPage { database: definition.database.id, to: definition.sequence, after: None, limit: 3 };
    let mut all: Vec<Extent> = Vec::new();
    loop {
        let extents = recovery.extent_page(&page).await.unwrap();
        assert!(extents.len() <= page.limit);
        let Some(last) = extents.last() else { return all };
        page.after = Some((last.table, last.added, last.id));
        all.extend(extents);
    }
}

async fn all_receipts(recovery: &Arc<dyn Recovery>, definition: &DatabaseDefinition) -> Vec<NumberedReceipt> {
    let after = (Sequence(0), String::new());
    let mut page = ReceiptPage { database: definition.database.id, after, to: definition.sequence, limit: 3 };
    let mut all: Vec<NumberedReceipt> = Vec::new();
    loop {
        let receipts = recovery.receipt_page(&page).await.unwrap();
        let Some(last) = receipts.last() else { return all };
        page.after = (last.sequence, last.receipt.key.clone());
        all.extend(receipts);
    }
}
