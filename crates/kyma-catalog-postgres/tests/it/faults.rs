//! PostgreSQL that refuses, kills and contends.

use std::sync::Arc;

use kyma_catalog_postgres::{CatalogSettings, PostgresCatalog};
use kyma_core::catalog::{Catalog, Commit, Extents, History, NewTable, Receipt, Tables};
use kyma_core::{Column, DatabaseId, Error, Kind, NodeId, Schema, Type};
use kyma_testkit::postgres::{self, TestDatabase};
use kyma_testkit::proxy::postgres::{Fault, PostgresProxy};

/// A commit of one receipt.
async fn commit(catalog: &PostgresCatalog, database: DatabaseId, key: &str) -> Result<(), Error> {
    let reservation = catalog.reserve(NodeId::generate(), &format!("extents/{key}.kyma")).await?;
    let receipt = Receipt { database, key: key.to_owned(), answer: 1.into(), window_seconds: None };
    let commit = Commit { reservation: Some(reservation), extents: vec![], receipts: vec![receipt] };
    catalog.commit(&commit).await.map(drop)
}

/// Makes so many of a hundred changes of a relation fail as a loser of a conflict does.
async fn storm(database: &TestDatabase, relation: &str, state: &str, percent: u32) {
    let function = format!(
        "CREATE OR REPLACE FUNCTION storm() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN \
         IF random() * 100 < {percent} THEN RAISE EXCEPTION 'as told' USING ERRCODE = '{state}'; END IF; RETURN NEW; END $$; \
         CREATE OR REPLACE TRIGGER storm BEFORE INSERT OR UPDATE ON {relation} FOR EACH ROW EXECUTE FUNCTION storm()"
    );
    database.execute(&function).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm_of_serialization_failures_is_sat_out() {
    let (catalog, database) = postgres::catalog().await;
    let home = catalog.ensure_database("logs").await.unwrap().id;
    for (state, percent) in [("40001", 40), ("40P01", 40)] {
        storm(&database, "receipts", state, percent).await;
        let all = (0..12).map(|number| {
            let (catalog, key) = (Arc::clone(&catalog), format!("{state}-{number}"));
            async move { commit(&catalog, home, &key).await }
        });
        for result in futures::future::join_all(all).await {
            result.unwrap();
        }
    }
    let stored = database.query("SELECT count(*), count(DISTINCT key) FROM receipts").await;
    assert_eq!(stored, [["24", "24"]]);

    storm(&database, "receipts", "40001", 100).await;
    let error = commit(&catalog, home, "never").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.contended"), "{error:?}");
    storm(&database, "receipts", "40001", 0).await;
    commit(&catalog, home, "never").await.unwrap_err();
    commit(&catalog, home, "again").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn changes_of_tables_sit_a_storm_out() {
    let (catalog, database) = postgres::catalog().await;
    let home = catalog.ensure_database("logs").await.unwrap().id;
    let new = NewTable {
        schema: Schema::from([("Timestamp", Type::Datetime), ("Message", Type::String)]),
        time_column: "Timestamp".to_owned(),
        sort_key: vec![],
        format: "tlm".to_owned(),
    };
    storm(&database, "tables", "40001", 40).await;
    for round in 0..10 {
        let name = format!("T{round}");
        let table = catalog.ensure_table(home, &name, &new).await.unwrap();
        let grown = catalog.grow_table(table.id, &[Column::new("Level", Type::String)]).await.unwrap();
        let columns = grown.schema.columns()[..2].to_vec();
        catalog.set_columns(table.id, grown.schema_version, &columns).await.unwrap();
        catalog.rename_tables(home, &[(name.clone(), format!("{name}-later"))]).await.unwrap();
        catalog.drop_table(table.id).await.unwrap();
        assert_eq!(catalog.undrop_table(table.id, &name).await.unwrap().name, name);
    }
    assert_eq!(catalog.tables(home).await.unwrap().len(), 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_takes_no_writes_is_unavailable_and_recovers() {
    let (catalog, database) = postgres::catalog().await;
    let home = catalog.ensure_database("logs").await.unwrap();
    let name = database.url.split('?').next().and_then(|url| url.rsplit('/').next()).unwrap().to_owned();
    let set = |what: &str| format!("BEGIN READ WRITE; ALTER DATABASE \"{name}\" {what}; COMMIT");
    database.execute(&set("SET default_transaction_read_only = on")).await;
    database.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND datname = current_database()").await;
    let error = commit(&catalog, home.id, "refused").await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.read_only"), "{error:?}");
    assert!(error.hint_text().is_some_and(|hint| hint.contains("standby")));
    assert_eq!(catalog.database("logs").await.unwrap(), Some(home.clone()), "reads go on");

    database.execute(&set("RESET default_transaction_read_only")).await;
    // Connections that were made meanwhile take no writes for as long as they live; none is kept.
    let mut left = 20;
    while let Err(error) = commit(&catalog, home.id, &format!("taken-{left}")).await {
        assert_eq!(error.code(), "catalog.read_only");
        left -= 1;
        assert!(left > 0, "it does not recover");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn terminated_backends_are_unavailable_and_leave_nothing_half_done() {
    let (catalog, database) = postgres::catalog().await;
    let home = catalog.ensure_database("logs").await.unwrap().id;
    let mut acked = 0;
    for round in 0..15 {
        let (one, other) = (format!("{round}-a"), format!("{round}-b"));
        let kill = database.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
             WHERE pid <> pg_backend_pid() AND datname = current_database()",
        );
        let (first, second, ()) = tokio::join!(commit(&catalog, home, &one), commit(&catalog, home, &other), kill);
        for result in [first, second] {
            match result {
                Ok(()) => acked += 1,
                Err(error) => assert_eq!(error.kind(), Kind::Unavailable, "{error:?}"),
            }
        }
        commit(&catalog, home, &format!("{round}-calm")).await.unwrap();
        acked += 1;
    }
    let stored: usize = database.query("SELECT count(*) FROM receipts").await[0][0].parse().unwrap();
    assert!(stored >= acked && stored <= 45, "{stored} stored, {acked} acknowledged");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_that_are_all_in_use_are_a_limit_with_a_name() {
    let database = postgres::database().await;
    let settings = CatalogSettings { connections_max: 1, statement_timeout_millis: 700, ..CatalogSettings::default() };
    let catalog = PostgresCatalog::connect(&database.url, &settings).await.unwrap();
    let home = catalog.ensure_database("logs").await.unwrap().id;
    let lock = database.execute("BEGIN; LOCK TABLE databases IN ACCESS EXCLUSIVE MODE; SELECT pg_sleep(2); COMMIT");
    let asks = async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        futures::future::join_all((0..4).map(|_| catalog.database("logs"))).await
    };
    let ((), answers) = tokio::join!(lock, asks);
    let codes: Vec<&str> = answers.iter().map(|answer| answer.as_ref().unwrap_err().code()).collect();
    assert!(codes.contains(&"catalog.connections"), "{codes:?}");
    assert!(codes.iter().all(|code| ["catalog.connections", "catalog.timeout"].contains(code)), "{codes:?}");
    commit(&catalog, home, "after").await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_hangs_or_ends_is_given_up_in_time() {
    let database = postgres::database().await;
    let proxy = PostgresProxy::before(&database, 7).await;
    let settings =
        CatalogSettings { connect_timeout_millis: 500, statement_timeout_millis: 500, ..CatalogSettings::default() };
    let catalog = PostgresCatalog::connect(&proxy.url, &settings).await.unwrap();
    let home = catalog.ensure_database("logs").await.unwrap().id;
    for fault in [Fault::Hang, Fault::Refuse] {
        proxy.set(fault);
        if fault == Fault::Refuse {
            proxy.cut();
        }
        let error = catalog.database("logs").await.unwrap_err();
        assert_eq!(error.kind(), Kind::Unavailable, "{fault:?}: {error:?}");
        proxy.set(Fault::None);
        catalog.ping().await.unwrap();
    }
    for (fault, took_place) in [(Fault::CutBeforeCommit(100), false), (Fault::CutAfterCommit(100), true)] {
        let key = format!("{fault:?}");
        proxy.set(fault);
        let error = commit(&catalog, home, &key).await.unwrap_err();
        assert_eq!((error.kind(), error.code()), (Kind::Unavailable, "catalog.commit_unknown"), "{error:?}");
        proxy.set(Fault::None);
        assert_eq!(catalog.receipt(home, &key, None).await.unwrap().is_some(), took_place, "{fault:?}");
    }
}
