//! What the catalog knows of a row's extent: cursors, ingestion time, ids, tags. And files elsewhere.

use kyma_core::prune::Reason;
use kyma_core::schema::{INGESTED_COLUMN, SEQUENCE_COLUMN};
use kyma_core::{Column, Schema, Type, Value};

use crate::world::{DATABASE, World, long, settings, shown, time};

/// `T(n)`: three commits, of the rows 0 and 1, 2 and 3, 4 and 5.
async fn three_commits() -> World {
    let world = World::start().await;
    let table = world.table("T", &[("n", Type::Long)]).await;
    for commit in 0..3 {
        let rows: Vec<_> = (0..2).map(|at| vec![time(commit * 2 + at), long(commit * 2 + at)]).collect();
        world.extent(&table, if commit == 1 { "toy" } else { "tlm" }, &rows, 1).await;
    }
    world
}

async fn sorted(world: &World, query: &str) -> Vec<String> {
    let mut rows = world.rows(query).await;
    rows.sort();
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_opens_only_later_commits() {
    let world = three_commits().await;
    let last: i64 = world.rows("print current_cursor()").await[0].parse().unwrap();
    let after = format!("T | where cursor_after('{}')", last - 1);
    assert_eq!(sorted(&world, &format!("{after} | project n")).await, ["4", "5"]);
    assert_eq!(world.rows(&format!("{after} | count")).await, ["2"]);
    let between = format!("T | where n > 0 and cursor_after('{}') and cursor_before_or_at('{}')", last - 2, last - 1);
    assert_eq!(sorted(&world, &format!("{between} | project n")).await, ["2", "3"]);
    assert_eq!(world.rows("T | where cursor_after('') | count").await, ["6"]);
    assert_eq!(world.rows("T | where cursor_after(current_cursor()) | count").await, ["0"]);
    let profile = world.profile(&format!("{after} | project n")).await;
    assert_eq!((profile.catalog.kept, profile.catalog.pruned.get(&Reason::Cursor)), (1, Some(&2)), "{profile:?}");
}

/// Rows of an extent that took over others keep their commits and times: a cursor gives each once, whatever was merged.
#[tokio::test(flavor = "multi_thread")]
async fn a_cursor_tells_the_rows_of_a_merged_extent_apart() {
    for format in ["tlm", "toy"] {
        let world = three_commits().await;
        let database = world.catalog.database(DATABASE).await.unwrap().unwrap();
        let table = world.catalog.table(database.id, "T").await.unwrap().unwrap();
        let last: i64 = world.rows("print current_cursor()").await[0].parse().unwrap();
        let mut columns = table.schema.columns().to_vec();
        columns.extend([Column::new(SEQUENCE_COLUMN, Type::Long), Column::new(INGESTED_COLUMN, Type::Datetime)]);
        let origin = |n: i64| [time(n), long(n), long(last - 2 + n / 2), Value::Datetime(1_000_000_000 * n)];
        let rows: Vec<_> = [4, 0, 2, 5, 3, 1].map(|n| origin(n).to_vec()).into();
        world.merged(&table, &Schema::new(columns), format, &rows, 2).await;
        world.extent(&table, "tlm", &[vec![time(6), long(6)]], 1).await;

        let of = |cursor: &str| format!("T | where {cursor} | project n");
        let after = |back: i64| of(&format!("cursor_after('{}')", last - back));
        assert_eq!(sorted(&world, &after(0)).await, ["6"], "{format}: the merge is no news");
        assert_eq!(sorted(&world, &after(1)).await, ["4", "5", "6"], "{format}");
        assert_eq!(sorted(&world, &after(3)).await, ["0", "1", "2", "3", "4", "5", "6"], "{format}");
        assert_eq!(sorted(&world, &of(&format!("cursor_before_or_at('{}')", last - 1))).await, ["0", "1", "2", "3"]);
        assert_eq!(world.rows(&format!("{} | count", after(1))).await, ["3"], "{format}");
        let profile = world.profile(&after(0)).await;
        assert_eq!(profile.catalog.pruned.get(&Reason::Cursor), Some(&1), "{format}: bounds of commits prune");
        let ingested = "T | where ingestion_time() >= datetime(1970-01-01 00:00:04) | project n";
        assert_eq!(sorted(&world, ingested).await, ["4", "5", "6"], "{format}");
        let latest = "T | where n < 6 | summarize max(ingestion_time())";
        assert_eq!(world.rows(latest).await, ["1970-01-01T00:00:05.0000000Z"], "{format}");
        assert_eq!(world.rows("T | getschema | project ColumnName").await, ["Timestamp", "n"], "{format}");
        assert_eq!(world.rows("T | count").await, ["7"]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn facts_of_extents_are_columns() {
    let world = three_commits().await;
    let same = "T | extend id = extent_id() | summarize rows = count(), ids = dcount(id)";
    assert_eq!(world.rows(same).await, ["6|3"]);
    assert_eq!(world.rows("T | summarize c = count() by id = extent_id() | summarize count() by c").await, ["2|3"]);
    let recent = "T | where ingestion_time() between (ago(1h) .. 1h) | where n != 3 | count";
    assert_eq!(world.rows(recent).await, ["5"]);
    let old = world.kql("T | where ingestion_time() < ago(1d) | count").await;
    assert_eq!((shown(&old), old.profile.catalog.kept), (vec!["0".to_owned()], 0));
    assert_eq!(world.rows("T | top 1 by n | project tags = tostring(extent_tags()), n").await, ["[]|5"]);
    assert_eq!(world.rows("T | summarize late = max(ingestion_time()) | project late > ago(1h)").await, ["true"]);
    assert_eq!(
        world.rows("print isnull(ingestion_time()), tostring(extent_id())").await,
        ["true|00000000-0000-0000-0000-000000000000"]
    );
}

/// Also where an index, a limit or a sort picked the rows, and in any block.
#[tokio::test(flavor = "multi_thread")]
async fn a_row_knows_its_place_in_its_extent() {
    let world = World::start().await;
    for (name, format) in [("T", "tlm"), ("U", "toy")] {
        let table = world.table(name, &[("n", Type::Long)]).await;
        let rows: Vec<_> = (0..7).map(|at| vec![time(at), long(10 * at)]).collect();
        world.extent(&table, format, &rows, 2).await;
        for (query, places) in [
            ("where n in (20, 50) | project n, extent_row()", &["20|2", "50|5"][..]),
            ("where extent_row() in (0, 6) | project n, extent_row()", &["0|0", "60|6"]),
            ("top 2 by n | project extent_row(), n", &["5|50", "6|60"]),
            ("summarize sum(extent_row()), count()", &["21|7"]),
        ] {
            assert_eq!(sorted(&world, &format!("{name} | {query}")).await, places, "{name} | {query}");
        }
    }
    assert_eq!(world.rows("print isnull(extent_row())").await, ["true"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn files_elsewhere_are_read_where_allowed() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("x.csv"), "n,s\n1,a\n2,b\n").unwrap();
    let url = format!("file://{}", folder.path().display());
    let query = format!(
        "externaldata(n: long, s: string) ['{url}/x.csv'] with (format='csv', ignoreFirstRecord=true) | where n > 1"
    );
    let refused = World::start().await;
    assert_eq!(refused.error(&query).await.code(), "query.external_refused");
    let mut allowing = settings();
    allowing.external_urls = vec![format!("{url}/")];
    let world = World::with(allowing).await;
    assert_eq!(world.rows(&query).await, ["2|b"]);
    assert_eq!(world.error("externaldata(s: string) ['file:///etc/hosts']").await.code(), "query.external_refused");
}
