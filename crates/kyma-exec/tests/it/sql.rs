//! SQL over the same tables.

use kyma_core::{Kind, Type, Value};
use kyma_exec::QueryError;

use crate::world::{Row, World, failure, long, run, text, time};

async fn filled() -> World {
    let world = World::start().await;
    let logs = world.table("Logs", &[("n", Type::Long), ("message", Type::String), ("d", Type::Dynamic)]).await;
    for extent in 0..3 {
        let row = |at: i64| -> Row {
            let n = extent * 10 + at;
            let message = if n % 7 == 0 { Value::Null(Type::String) } else { text(&format!("user {n} signed in")) };
            vec![time(n), long(n), message, Value::Dynamic(format!(r#"{{"a":{{"b":{n}}}}}"#))]
        };
        world.extent(&logs, "tlm", &(0..10).map(row).collect::<Vec<_>>(), 4).await;
    }
    let owners = world.table("owner names", &[("n", Type::Long), ("Owner", Type::String)]).await;
    let rows: Vec<Row> = (0..5).map(|n| vec![time(n), long(n * 3), text(&format!("owner{n}"))]).collect();
    world.extent(&owners, "tlm", &rows, 4).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn queries() {
    let world = filled().await;
    for (query, expected) in [
        (r#"SELECT count(*) FROM "Logs""#, "30"),
        (r#"SELECT n FROM "Logs" WHERE n BETWEEN 9 AND 11 ORDER BY n"#, "9 10 11"),
        (r#"SELECT n FROM default."Logs" ORDER BY n DESC LIMIT 2"#, "29 28"),
        (r#"SELECT n FROM "default"."Logs" WHERE message LIKE '%user 1_ signed%' AND n < 13 ORDER BY 1"#, "10 11 12"),
        (r#"SELECT n FROM "Logs" WHERE message LIKE 'user 12%' "#, "12"),
        (r#"SELECT count(*), count(message) FROM "Logs""#, "30|25"),
        (r#"SELECT n FROM "Logs" WHERE message IS NULL ORDER BY n"#, "0 7 14 21 28"),
        (r#"SELECT count(*) FROM "Logs" WHERE message <> 'x'"#, "25"),
        (r#"SELECT count(*) FROM "Logs" WHERE has(message, 'USER') AND n > 20"#, "7"),
        (
            r#"SELECT l.n, o."Owner" FROM "Logs" l JOIN "owner names" o ON l.n = o.n WHERE l.n > 3 ORDER BY l.n"#,
            "6|owner2 9|owner3 12|owner4",
        ),
        (
            r#"SELECT n % 3 AS k, sum(n) AS total FROM "Logs" GROUP BY n % 3 HAVING sum(n) > 135 ORDER BY k"#,
            "1|145 2|155",
        ),
        (r#"SELECT n FROM "Logs" WHERE n IN (SELECT n FROM "owner names") ORDER BY n"#, "0 3 6 9 12"),
        (r#"WITH top AS (SELECT n FROM "Logs" ORDER BY n DESC LIMIT 3) SELECT sum(n) FROM top"#, "84"),
        (r#"SELECT n, row_number() OVER (ORDER BY n DESC) AS r FROM "Logs" ORDER BY r LIMIT 2"#, "29|1 28|2"),
        (r#"SELECT max("Timestamp") FROM "Logs""#, "2024-01-01T00:00:29.0000000Z"),
        (r#"SELECT count(*) FROM "Logs" WHERE "Timestamp" >= TIMESTAMP '2024-01-01 00:00:20'"#, "10"),
        (r#"SELECT n FROM "Logs" UNION ALL SELECT n FROM "owner names" ORDER BY n LIMIT 3"#, "0 0 1"),
        ("SELECT 1 AS one, 'x' AS two", "1|x"),
    ] {
        assert_eq!(world.sql(query).await.join(" "), expected, "{query}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_filter_prunes_as_in_kql() {
    let world = filled().await;
    let answer = run(&world.engine, "sql", r#"SELECT message FROM "Logs" WHERE n = 12"#).await.unwrap();
    assert_eq!((answer.profile.catalog.considered, answer.profile.catalog.kept), (3, 1), "{:?}", answer.profile);
    assert_eq!((answer.profile.blocks.considered, answer.profile.blocks.kept), (3, 1), "{:?}", answer.profile);
    let answer = run(&world.engine, "sql", r#"SELECT count(*) FROM "Logs""#).await.unwrap();
    assert_eq!(answer.profile.store_requests, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_say_what_and_where() {
    let world = filled().await;
    match run(&world.engine, "sql", "SELECT *\nFROM \"Logs\"\nWHERE n ==== 3").await {
        Err(QueryError::Invalid(diagnostics)) => {
            let first = &diagnostics.0[0];
            assert!(first.span.start >= 24, "{first:?}");
        }
        other => panic!("{other:?}"),
    }
    for (query, part) in [
        (r#"SELECT nope FROM "Logs""#, "nope"),
        (r#"SELECT * FROM "Nope""#, "Nope"),
        (r#"SELECT nofunction(n) FROM "Logs""#, "nofunction"),
        (r#"SELECT * FROM other."Logs""#, "other"),
    ] {
        let error = failure(run(&world.engine, "sql", query).await);
        assert!(matches!(error.kind(), Kind::Invalid | Kind::NotFound), "{query}: {error:?}");
        assert!(error.message().contains(part), "{query}: {error:?}");
    }
    for query in [
        r#"DROP TABLE "Logs""#,
        r#"INSERT INTO "Logs" VALUES (1)"#,
        "SELECT 1; SELECT 2",
        "SET datafusion.execution.batch_size = 1",
        "COPY (SELECT 1) TO '/tmp/x.csv'",
        "CREATE EXTERNAL TABLE t STORED AS CSV LOCATION '/etc/passwd'",
    ] {
        let error = failure(run(&world.engine, "sql", query).await);
        assert_eq!(error.kind(), Kind::Invalid, "{query}: {error:?}");
    }
    assert_eq!(world.sql(r#"SELECT count(*) FROM "Logs""#).await, ["30"]);
}
