//! Mappings, functions, texts, policies, operations.

use kyma_core::catalog::{IngestionMapping, Policy, StoredFunction, TableTexts};

use super::*;

pub(super) async fn mappings_have_one_name(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    let mapping = |kind: &str, json: &str| IngestionMapping {
        table: table.id,
        name: "m".to_owned(),
        kind: kind.to_owned(),
        json: json.to_owned(),
    };
    let first = mapping("json", r#"[{"column":"a", "Properties":{"Path":"$.a"}}]"#);
    catalog.put_ingestion_mapping(&first, false).await.unwrap();
    refused(catalog.put_ingestion_mapping(&first, false).await, Kind::Conflict, "catalog.mapping_exists");
    refused(catalog.put_ingestion_mapping(&mapping("csv", "[]"), true).await, Kind::Conflict, "catalog.mapping_exists");
    refused(catalog.put_ingestion_mapping(&mapping("json", "{"), true).await, Kind::Invalid, "catalog.json_invalid");
    assert_eq!(catalog.ingestion_mapping(table.id, "m").await.unwrap().as_ref(), Some(&first));
    let second = mapping("json", "[]");
    catalog.put_ingestion_mapping(&second, true).await.unwrap();
    assert_eq!(catalog.ingestion_mappings(table.id).await.unwrap(), [second]);
    assert!(!catalog.drop_ingestion_mapping(table.id, "csv", "m").await.unwrap(), "of another kind");
    assert!(catalog.drop_ingestion_mapping(table.id, "json", "m").await.unwrap());
    assert_eq!(catalog.ingestion_mapping(table.id, "m").await.unwrap(), None);
    let nowhere = IngestionMapping { table: kyma_core::TableId(i64::MAX), ..first };
    refused(catalog.put_ingestion_mapping(&nowhere, true).await, Kind::NotFound, "catalog.table_unknown");
}

pub(super) async fn functions_and_policies_raise_the_schema_version(catalog: &Arc<dyn Catalog>) {
    let database = database(catalog).await;
    let version = || async {
        let pins = catalog.pins(&BTreeMap::new()).await.unwrap();
        pins.into_iter().find(|pin| pin.database == database).unwrap().schema_version
    };
    let function = |body: &str| StoredFunction {
        name: "f".to_owned(),
        parameters: "(a:long)".to_owned(),
        body: body.to_owned(),
        folder: "x/y".to_owned(),
        docstring: "it's \"so\"".to_owned(),
    };
    let before = version().await;
    catalog.put_function(database.id, &function("{ a }"), false).await.unwrap();
    let created = version().await;
    assert!(created > before);
    let again = catalog.put_function(database.id, &function("{ 1 }"), false).await;
    refused(again, Kind::Conflict, "catalog.function_exists");
    catalog.put_function(database.id, &function("{ 2 }"), true).await.unwrap();
    let changed = version().await;
    assert!(changed > created);
    assert_eq!(catalog.functions(database.id).await.unwrap(), [function("{ 2 }")]);
    assert!(catalog.drop_function(database.id, "f").await.unwrap());
    assert!(!catalog.drop_function(database.id, "f").await.unwrap());
    let mut before = version().await;
    assert!(before > changed);
    let policy =
        |json: &str| Policy { database: database.id, table: None, kind: "caching".to_owned(), json: json.to_owned() };
    for json in [r#"{"DataHotSpan":"1.00:00:00"}"#, r#"{"DataHotSpan":"2.00:00:00"}"#] {
        catalog.put_policy(&policy(json)).await.unwrap();
        let after = version().await;
        assert!(after > before, "{json}");
        before = after;
    }
    assert!(catalog.drop_policy(database.id, None, "caching").await.unwrap());
    assert!(version().await > before);
    let nowhere = kyma_core::DatabaseId(i64::MAX);
    refused(catalog.put_function(nowhere, &function("{ 1 }"), true).await, Kind::NotFound, "catalog.database_unknown");
}

pub(super) async fn texts_and_policies_are_kept_as_written(catalog: &Arc<dyn Catalog>) {
    let table = table(catalog).await;
    assert!(catalog.table_texts(table.database).await.unwrap().is_empty());
    let columns = BTreeMap::from([("Message".to_owned(), "what was said".to_owned())]);
    let texts = TableTexts { folder: "f".to_owned(), docstring: "d".to_owned(), columns };
    catalog.put_table_texts(table.id, &TableTexts::default()).await.unwrap();
    catalog.put_table_texts(table.id, &texts).await.unwrap();
    assert_eq!(catalog.table_texts(table.database).await.unwrap(), BTreeMap::from([(table.id, texts)]));

    let policy = |of, json: &str| Policy {
        database: table.database,
        table: of,
        kind: "retention".to_owned(),
        json: json.to_owned(),
    };
    let (whole, one) = (policy(None, r#"{ "a": 1 }"#), policy(Some(table.id), "{}"));
    for kept in [policy(None, "{}"), whole.clone(), one.clone()] {
        catalog.put_policy(&kept).await.unwrap();
    }
    assert_eq!(catalog.policies(table.database).await.unwrap(), [whole, one.clone()]);
    assert!(catalog.drop_policy(table.database, None, "retention").await.unwrap());
    assert!(!catalog.drop_policy(table.database, None, "retention").await.unwrap());
    assert_eq!(catalog.policies(table.database).await.unwrap(), [one]);
}

pub(super) async fn operations_end_once(catalog: &Arc<dyn Catalog>) {
    let (node, good, bad) = (NodeId::generate(), Uuid::new_v4(), Uuid::new_v4());
    for id in [good, bad] {
        catalog.begin_operation(id, "db", "TableAppend", node).await.unwrap();
    }
    let running = catalog.operations(Some(good), 10).await.unwrap();
    assert_eq!((running.len(), running[0].state.as_str(), running[0].node), (1, "InProgress", node));
    let other = NodeId::generate();
    catalog.note_operation(good, other, r#"{"rows":1}"#).await.unwrap();
    catalog.begin_operation(good, "db", "TableAppend", node).await.unwrap();
    let noted = catalog.operations(Some(good), 10).await.unwrap();
    assert_eq!((noted[0].node, noted[0].details.as_str()), (other, r#"{"rows":1}"#), "begun once");
    catalog.end_operation(good, None).await.unwrap();
    catalog.end_operation(bad, Some("no\0")).await.unwrap();
    refused(catalog.end_operation(good, Some("late")).await, Kind::Conflict, "catalog.operation_ended");
    refused(catalog.note_operation(good, node, "").await, Kind::Conflict, "catalog.operation_ended");
    let all = catalog.operations(None, 1_000).await.unwrap();
    let state = |id| all.iter().find(|operation| operation.id == id).map(|it| (it.state.as_str(), it.status.as_str()));
    assert_eq!((state(good), state(bad)), (Some(("Completed", "")), Some(("Failed", "no\u{fffd}"))));
}
