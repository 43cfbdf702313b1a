//! The profile says what each level pruned and why; metadata answers read no data.

use kyma_core::prune::Reason;
use kyma_core::{Type, Value};

use crate::world::{Row, World, long, shown, text, time};

/// Five extents of 100 rows in blocks of 10: `n` and `Timestamp` rise together, `scatter` does not.
async fn rising(world: &World) {
    let columns = [("n", Type::Long), ("scatter", Type::Long), ("s", Type::String), ("d", Type::Dynamic)];
    let table = world.table("T", &columns).await;
    for extent in 0..5 {
        let row = |at: i64| -> Row {
            let n = extent * 100 + at;
            let path = if extent == 3 { r#"{"pod":{"name":"web"},"code":7}"# } else { r#"{"host":"a"}"# };
            let scatter = if at == 55 { n } else { at % 2 * 1000 };
            vec![time(n), long(n), long(scatter), text(&format!("user{n} logged in")), Value::Dynamic(path.to_owned())]
        };
        world.extent(&table, "tlm", &(0..100).map(row).collect::<Vec<_>>(), 10).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_level_counts_what_it_pruned() {
    let world = World::start().await;
    rising(&world).await;

    let time = world.profile("T | where Timestamp >= datetime(2024-01-01T00:06:55Z) | project n").await;
    assert_eq!((time.catalog.considered, time.catalog.kept), (5, 1), "{time:?}");
    assert_eq!(time.catalog.pruned.get(&Reason::Time), Some(&4), "{time:?}");
    assert_eq!((time.blocks.considered, time.blocks.kept), (10, 9), "{time:?}");
    assert_eq!(time.blocks.pruned.get(&Reason::Time), Some(&1), "{time:?}");
    assert_eq!((time.rows_matched, time.rows_returned), (85, 85), "{time:?}");

    let bounds = world.profile("T | where n == 217 | project s").await;
    assert_eq!(bounds.catalog.pruned.get(&Reason::Bounds), Some(&4), "{bounds:?}");
    assert_eq!(bounds.blocks.pruned.get(&Reason::Bounds), Some(&9), "{bounds:?}");
    assert_eq!((bounds.rows_scanned, bounds.rows_matched), (10, 1), "{bounds:?}");

    for condition in ["d.pod.name == 'web'", "tostring(d.pod.name) has 'web'", "d.code == 7", "tolong(d.code) > 5"] {
        let missing = world.kql(&format!("T | where {condition} | count")).await;
        assert_eq!(shown(&missing), ["100"], "{condition}");
        let catalog = &missing.profile.catalog;
        assert_eq!(catalog.pruned.get(&Reason::Missing), Some(&4), "{condition}: {catalog:?}");
    }

    let prefix = world.kql("T | where s startswith_cs 'user123' | project n").await;
    assert_eq!(shown(&prefix), ["123"]);
    let request = kyma_exec::QueryRequest::new("kql", "default", "T | where s startswith_cs 'user123' | project n");
    let plan = world.engine.explain(request).await.unwrap();
    assert_eq!(prefix.profile.catalog.pruned.get(&Reason::Bounds), Some(&3), "{plan}");

    let nothing = world.profile("T | where Timestamp > datetime(2030-01-01) | project n").await;
    assert_eq!((nothing.catalog.kept, nothing.store_requests), (0, 0), "{nothing:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn metadata_answers_read_nothing() {
    let world = World::start().await;
    rising(&world).await;
    for (query, expected) in [
        ("T | count", "500"),
        ("T | summarize count()", "500"),
        (
            "T | summarize min(Timestamp), max(Timestamp), count()",
            "2024-01-01T00:00:00.0000000Z|2024-01-01T00:08:19.0000000Z|500",
        ),
        ("T | summarize min(n), max(n)", "0|499"),
        ("T | where Timestamp >= datetime(2024-01-01T00:05:00Z) | count", "200"),
        ("T | where n >= 100 and n <= 199 | count", "100"),
        ("T | where n >= 1000 | count", "0"),
    ] {
        let answer = world.kql(query).await;
        assert_eq!(shown(&answer), [expected], "{query}");
        assert_eq!(answer.profile.store_requests, 0, "{query}: {:?}", answer.profile);
    }
    let profile = world.profile("T | count").await;
    assert_eq!(profile.metadata_answers, 5, "{profile:?}");
    assert_eq!(world.sql("SELECT count(*), min(n) FROM \"T\"").await, ["500|0"]);
    // The edges of a filter are read.
    assert_eq!(world.rows("T | where n >= 150 | count").await, ["350"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn columns_and_paths_that_are_not_asked_for_are_not_read() {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Long), ("wide", Type::String), ("d", Type::Dynamic)]).await;
    let noise = |at: i64| format!("{:x}", (at as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    let row = |at: i64| -> Row {
        let wide: String = (0..20).map(|part| noise(at * 31 + part)).collect();
        vec![time(at), long(at), text(&wide), Value::Dynamic(format!(r#"{{"a":{at},"big":"{wide}"}}"#))]
    };
    world.extent(&table, "tlm", &(0..1000).map(row).collect::<Vec<_>>(), 1000).await;
    world.kql("T | where n == -1 or n == 5 | project n").await; // The footer is open from here on.
    let whole = world.profile("T | project wide, d").await.store_bytes;
    let narrow = world.profile("T | summarize sum(n + 1)").await;
    let path = world.profile("T | summarize sum(tolong(d.a) + 1)").await;
    assert!(whole > 200_000, "{whole}");
    assert!(narrow.store_bytes < whole / 10, "{} of {whole}", narrow.store_bytes);
    assert!(path.store_bytes < whole / 10, "{} of {whole}", path.store_bytes);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_join_prunes_its_larger_side_while_it_runs() {
    let world = World::start().await;
    rising(&world).await;
    let answer = world.kql("datatable(n:long) [217, 218] | join kind=inner T on n | project n").await;
    assert_eq!(shown(&answer).len(), 2);
    let pruned = answer.profile.extents.pruned_total() + answer.profile.blocks.pruned_total();
    assert!(pruned >= 10, "{:?}", answer.profile);
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_how_a_query_runs() {
    let world = World::start().await;
    rising(&world).await;
    let request = kyma_exec::QueryRequest::new("kql", "default", "T | where n == 217 and d.host == 'a' | project s");
    let text = world.engine.explain(request).await.unwrap();
    for part in ["extents of default.T: 1", "columns=[s]", "d.host", "catalog: considered=5, kept=1"] {
        assert!(text.contains(part), "{part} in {text}");
    }
    let request = kyma_exec::QueryRequest::new("sql", "default", "SELECT s FROM \"T\" WHERE n = 217");
    assert!(world.engine.explain(request).await.unwrap().contains("kept=1"));
}
