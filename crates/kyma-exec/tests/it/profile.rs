//! The profile says what each level pruned and why; metadata answers read no data.

use kyma_core::prune::Reason;
use kyma_core::{Type, Value};

use kyma_exec::QueryRequest;
use tokio_util::sync::CancellationToken;

use crate::world::{EPOCH, Row, World, failure, long, run, settings, shown, text, time};

/// Five extents of 100 rows in blocks of 10: `n` and `Timestamp` rise together, `scatter` does not.
async fn rising(world: &World) {
    let columns =
        [("n", Type::Long), ("scatter", Type::Long), ("s", Type::String), ("d", Type::Dynamic), ("k", Type::Long)];
    let table = world.table("T", &columns).await;
    for extent in 0..5 {
        let row = |at: i64| -> Row {
            let n = extent * 100 + at;
            let path = if extent == 3 { r#"{"pod":{"name":"web"},"code":7}"# } else { r#"{"host":"a"}"# };
            let scatter = if at == 55 { n } else { at % 2 * 1000 };
            vec![
                time(n),
                long(n),
                long(scatter),
                text(&format!("user{n} logged in")),
                Value::Dynamic(path.to_owned()),
                long(at % 2),
            ]
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
    let plan = world.engine.explain(request("kql", "T | where s startswith_cs 'user123' | project n")).await.unwrap();
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
async fn groups_are_answered_by_tallies_and_only_edges_are_read() {
    let world = World::start().await;
    rising(&world).await;
    // Times, a column with two values, and what is a function of them.
    for (query, groups) in [
        ("T | summarize n = count() by bin(Timestamp, 1m)", 9),
        ("T | summarize count() by bin(Timestamp, 10s), hour = bin(Timestamp, 1h)", 50),
        ("T | summarize count(), dcount(k), min(k) by k", 2),
        ("T | summarize count() by odd = k % 2 == 1", 2),
    ] {
        let answer = world.kql(query).await;
        assert_eq!(shown(&answer).len(), groups, "{query}");
        let profile = &answer.profile;
        assert_eq!((profile.rows_scanned, profile.metadata_answers), (0, 5), "{query}: {profile:?}");
        assert_eq!(profile.metadata_blocks, 50, "{query}: {profile:?}");
    }
    // Of the extent that the bound cuts, only the block that it cuts is read: two more lie after it, and three extents.
    let edges =
        world.profile("T | where Timestamp >= datetime(2024-01-01T00:02:55Z) | summarize sum(n), count()").await;
    assert_eq!((edges.metadata_blocks, edges.rows_scanned), (32, 10), "{edges:?}");
    // More than tallies know is read.
    let read = world.profile("T | summarize sum(n) by k").await;
    assert_eq!((read.metadata_blocks, read.rows_scanned), (0, 500), "{read:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn top_reads_wide_columns_for_its_rows_alone() {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Long), ("wide", Type::String), ("d", Type::Dynamic)]).await;
    let noise = |at: i64| format!("{:x}", (at as u128).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835));
    let row = |at: i64| -> Row {
        let wide: String = (0..40).map(|part| noise(at * 31 + part)).collect();
        vec![time(at), long(at * 7919 % 4_000), text(&wide), Value::Dynamic(format!(r#"{{"a":{at}}}"#))]
    };
    for extent in 0..8 {
        let rows: Vec<Row> = (extent * 500..extent * 500 + 500).map(row).collect();
        world.extent(&table, "tlm", &rows, 500).await;
    }
    world.kql("T | where n == -1 or n == 5 | project n").await; // The footers are open from here on.
    let whole = world.profile("T | summarize max(wide)").await.store_bytes;
    let top = world.kql("T | top 2 by n | project n, d, wide, Timestamp").await;
    assert!(top.profile.store_bytes < whole / 3, "{} of {whole}", top.profile.store_bytes);
    let slow = world.engine(kyma_exec::ExecSettings { prune: false, ..settings() });
    for query in [
        "T | top 2 by n | project n, d, wide, Timestamp",
        "T | top 150 by Timestamp asc | project wide, n",
        "T | where n > 100 | top 10 by n asc, Timestamp",
        "T | top 5 by wide | project n",
        "T | where wide has 'nothing' | top 5 by n",
    ] {
        let expected = shown(&crate::world::run(&slow, "kql", query).await.unwrap());
        assert_eq!(world.rows(query).await, expected, "{query}");
    }
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
    for operator in [
        "make-series sum(n) on Timestamp step 1h",
        "serialize r = row_number() | summarize max(r)",
        "extend s = strcat('x', n + 1) | parse s with 'x' y:long | summarize sum(y)",
        "mv-expand e = range(n + 1, n + 3) to typeof(long) | summarize sum(e)",
    ] {
        let read = world.profile(&format!("T | {operator}")).await.store_bytes;
        assert!(read < whole / 10, "{operator}: {read} of {whole}");
    }
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

fn request(language: &str, text: &str) -> QueryRequest {
    QueryRequest::new(language, "default", text)
}

#[tokio::test(flavor = "multi_thread")]
async fn explain_says_how_a_query_runs() {
    let world = World::start().await;
    rising(&world).await;
    let question = request("kql", "T | where n == 217 and d.host == 'a' | project s");
    let text = world.engine.explain(question).await.unwrap().to_string();
    for part in [
        "scan: default.T",
        "pushed filter: n = 217 and ",
        "read to filter: n, d.host\n",
        "pushed columns: s\n",
        "catalog: considered=5, kept=1, pruned by bounds=4",
        "estimate: at most 1 extents, 10 blocks, 100 rows",
        "(whole extents)",
    ] {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(!text.contains("kyma.") && !text.contains('@'), "{text}");
    let question = request("sql", "SELECT s FROM \"T\" WHERE n = 217");
    assert!(world.engine.explain(question).await.unwrap().to_string().contains("kept=1"));

    let limited = world.engine.explain(request("kql", "T | take 5 | project n")).await.unwrap();
    let scan = limited.operators.iter().find_map(|operator| operator.scan.as_ref()).unwrap();
    assert_eq!((scan.limit, scan.order.as_str()), (Some(5), "newest first"));
    assert!(limited.estimate.extents < 5, "{limited}");

    let counted = world.engine.explain(request("kql", "T | count")).await.unwrap();
    assert_eq!((counted.metadata_answers, counted.estimate.requests), (5, 0), "{counted}");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_bounds_what_a_query_reads() {
    let world = World::start().await;
    rising(&world).await;
    for footers in ["closed", "open"] {
        for text in [
            "T",
            "T | count",
            "T | take 5",
            "T | where n == 217",
            "T | where s has 'user123'",
            "T | where d.pod.name == 'web' | project s, d",
            "T | summarize sum(n) by tostring(d.host)",
            "T | top 3 by Timestamp desc",
            "T | where Timestamp >= datetime(2024-01-01T00:06:55Z) | project n",
            "T | where n in ((T | where n > 490 | project n)) | count",
            "T | where n == toscalar(T | summarize max(n + 1)) | count",
            "T | join kind=inner (T | where n < 10) on n | count",
        ] {
            // An engine of its own: its footers are closed until its own queries open them.
            let engine = world.engine(settings());
            if footers == "open" {
                run(&engine, "kql", "T | where n == -1 or s has 'user' | project s").await.unwrap();
            }
            let explained = engine.explain(request("kql", text)).await.unwrap();
            let profile = run(&engine, "kql", text).await.unwrap().profile;
            let (most, took) = (&explained.estimate, profile.store_requests);
            assert!(took <= most.requests, "{text}, {footers}: {took} requests\n{explained}");
            assert!(profile.extents.kept <= most.extents, "{text}, {footers}: {profile:?}\n{explained}");
            assert!(profile.rows_scanned <= most.rows, "{text}, {footers}: {profile:?}\n{explained}");
            assert!((most.dollars - most.requests as f64 * 0.4e-6).abs() < 1e-12, "{text}\n{explained}");
            let known = if footers == "open" { most.extents } else { 0 };
            assert_eq!(most.extents_known, known, "{text}, {footers}\n{explained}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn explaining_reads_nothing() {
    let world = World::start().await;
    rising(&world).await;
    world.faults.set_down(true);
    for text in ["T | where n == 217", "T | where n == toscalar(T | summarize max(n + 1)) | top 3 by n"] {
        let explained = world.engine.explain(request("kql", text)).await.unwrap();
        assert!(explained.estimate.requests > 0, "{explained}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_and_phases_are_in_the_profile() {
    let world = World::start().await;
    rising(&world).await;
    let profile = world.profile("T | where n % 3 == 0 | project m = n + 1, s | order by m asc").await;
    let scan = profile.operators.iter().find(|operator| operator.name == "scan").unwrap();
    assert_eq!((scan.rows, profile.operators[0].rows), (Some(167), Some(167)), "{profile:?}");
    assert_eq!(profile.operators[0].depth, 0);
    assert!(scan.depth > 0 && scan.compute_micros > Some(0) && scan.detail.contains("default.T"), "{scan:?}");
    assert!(profile.scan.read_micros > 0 && profile.scan.wait_micros > 0, "{profile:?}");
    assert_eq!((profile.rows_total, profile.time_kept.map(|time| time.start)), (500, Some(EPOCH)), "{profile:?}");
    assert_eq!(profile.store_dollars, profile.store_requests as f64 * 0.4 / 1e6);

    use kyma_core::profile::PhaseName::{Execute, Parse, Plan, Prune, Snapshot};
    let names: Vec<_> = profile.phases.iter().map(|phase| phase.name).collect();
    assert_eq!(names, [Snapshot, Parse, Plan, Prune, Execute]);
    let [_, _, plan, prune, execute] = &profile.phases[..] else { panic!("{profile:?}") };
    let end = |phase: &kyma_core::profile::Phase| phase.start_micros + phase.micros;
    assert!(prune.start_micros >= plan.start_micros && end(prune) <= end(plan), "{profile:?}");
    assert!(execute.start_micros >= end(plan), "{profile:?}");

    // Operators of ours, and what stands below them; sub-queries come first.
    let whole = world.profile("T | order by n asc | extend before = prev(n) | where before > 490").await;
    let names: Vec<&str> = whole.operators.iter().map(|operator| operator.name.as_str()).collect();
    assert!(names.contains(&"serialize") && names.contains(&"scan"), "{names:?}");
    let nested = world.profile("T | where n == toscalar(T | summarize max(n + 0)) | project n").await;
    assert_eq!(nested.operators.iter().filter(|operator| operator.depth == 0).count(), 2, "{nested:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_query_that_fails_says_what_it_cost() {
    let world = World::start().await;
    rising(&world).await;
    let mut question = request("kql", "T | project s");
    question.limits.rows = Some(10);
    let (answer, profile) = world.engine.run_profiled(question, CancellationToken::new()).await;
    assert_eq!(failure(answer).code(), "query.result_too_large");
    assert!(profile.store_requests > 0 && profile.catalog.kept == 5, "{profile:?}");
    assert!(profile.operators.iter().any(|operator| operator.rows > Some(0)), "{profile:?}");

    let cancel = CancellationToken::new();
    let question = request("kql", "range a from 1 to 100000000 step 1 | summarize sum(a * 2)");
    let (answer, profile) = tokio::join!(world.engine.run_profiled(question, cancel.clone()), async {
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        cancel.cancel();
    })
    .0;
    assert_eq!(failure(answer).code(), "query.cancelled");
    assert!(profile.phases.last().is_some_and(|phase| phase.micros > 10_000), "{profile:?}");
    assert!(!profile.operators.is_empty(), "{profile:?}");
}
