//! A pipeline keeps its order, and stops early where the order allows.

use kyma_core::Type;
use kyma_core::catalog::Table;
use kyma_core::prune::Reason;

use crate::world::{Row, World, long, text, time};

/// Extents of twenty rows each; `n` is scattered over all of them, `Timestamp` rises.
async fn scattered(world: &World, extents: i64) -> Table {
    let table = world.table("T", &[("n", Type::Long), ("s", Type::String)]).await;
    let rows = extents * 20;
    for extent in 0..extents {
        let row = |at: i64| -> Row {
            let n = (extent * 20 + at) * 7 % rows;
            vec![time(extent * 20 + at), long(n), text(&format!("n={n};"))]
        };
        let rows: Vec<Row> = (0..20).map(row).collect();
        world.extent(&table, "tlm", &rows, 100).await;
    }
    table
}

#[tokio::test(flavor = "multi_thread")]
async fn operators_keep_the_order_of_a_sort() {
    let world = World::start().await;
    scattered(&world, 9).await; // n is 0..180
    for (query, expected) in [
        ("T | sort by n desc | where n % 3 == 0 | extend m = n * 2 | project m | take 4", "354 348 342 336"),
        ("T | sort by n asc | where n > 10 | project-away Timestamp, s | where n != 12 | take 3", "11 13 14"),
        ("T | top 3 by n asc | project n", "0 1 2"),
        ("T | top 3 by n | project n", "179 178 177"),
        ("T | sort by n asc | take 100 | where n >= 98 | project n", "98 99"),
        (
            "T | sort by n asc | serialize r = row_number() | where r in (1, 90, 180) | project x = n * 1000 + r",
            "1 89090 179180",
        ),
        (
            "T | sort by n asc | mv-expand x = pack_array(1, 2) to typeof(long) | project y = n * 10 + x | take 4",
            "1 2 11 12",
        ),
        ("T | sort by n asc | parse s with 'n=' m:long ';' | where m % 50 == 0 | project m", "0 50 100 150"),
        ("T | sort by n desc | extend p = prev(n) | where p - n != 1 or isnull(p) | project n", "179"),
        ("T | sort by n asc | where n < 4 | summarize make_list(n)", "[0,1,2,3]"),
        ("T | sort by n desc | take 3 | summarize make_list(n)", "[179,178,177]"),
        ("T | sort by n desc | take 3 | extend k = 1 | summarize make_list(n) by k | project list_n", "[179,178,177]"),
        ("T | sort by s asc | take 4 | project n", "0 100 101 102"),
        ("T | sort by n % 3 desc, n asc | take 3 | project n", "2 5 8"),
        (
            "T | sort by n asc | mv-apply x = pack_array(2, 1) to typeof(long) on (sort by x asc | take 1) | project y = n * 10 + x | take 3",
            "1 11 21",
        ),
        (
            "range x from 1 to 50000 step 1 | where x % 10000 == 0 | extend y = x + 1 | project y",
            "10001 20001 30001 40001 50001",
        ),
        (
            "range x from 1 to 50000 step 1 | extend d = x - prev(x) | summarize count() by d | sort by d asc | project count_",
            "1 49999",
        ),
        ("let M = materialize(T | sort by n asc); M | where n >= 3 | take 2 | project n", "3 4"),
        ("T | sort by n asc | as X | where n > 5 | take 2 | project n", "6 7"),
        ("T | sort by n asc | distinct n | count", "180"),
    ] {
        assert_eq!(world.rows(query).await.join(" "), expected, "{query}");
    }
    let all: Vec<String> = (0..180).map(|n| n.to_string()).collect();
    assert_eq!(world.rows("T | sort by n asc | project n").await, all);
}

#[tokio::test(flavor = "multi_thread")]
async fn nulls_sort_as_kusto_does() {
    let world = World::start().await;
    let rows = "datatable(n:long, s:string) [2,'b', long(null),'', 1,'a']";
    for (order, expected) in [
        ("n asc", "null 1 2"),
        ("n desc", "2 1 null"),
        ("n", "2 1 null"),
        ("n asc nulls last", "1 2 null"),
        ("n desc nulls first", "null 2 1"),
        ("s asc", "null 1 2"),
    ] {
        let query = format!("{rows} | sort by {order} | project n");
        assert_eq!(world.rows(&query).await.join(" "), expected, "{order}");
    }
    let reals = "datatable(r:real) [1.0, real(nan), real(null), real(-inf), real(+inf)]";
    assert_eq!(world.rows(&format!("{reals} | sort by r asc")).await.join(" "), "null NaN -inf 1 inf");
    assert_eq!(world.rows(&format!("{reals} | sort by r desc")).await.join(" "), "inf 1 -inf NaN null");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_newest_rows_of_fifty_extents_open_a_few() {
    let world = World::start().await;
    scattered(&world, 50).await;
    let answer = world.kql("T | top 10 by Timestamp | project Timestamp").await;
    let times = crate::world::shown(&answer);
    assert_eq!((times.len(), times[0].as_str()), (10, "2024-01-01T00:16:39.0000000Z"));
    let extents = &answer.profile.extents;
    assert!(extents.kept <= 4, "{extents:?}");
    assert!(extents.pruned.get(&Reason::Dynamic).is_some_and(|count| *count >= 46), "{extents:?}");

    let profile = world.profile("T | where n % 2 == 0 | top 3 by Timestamp desc").await;
    assert!(profile.extents.kept <= 4, "{:?}", profile.extents);
    let profile = world.profile("T | sort by Timestamp asc | take 3").await;
    assert!(profile.extents.kept <= 4, "{:?}", profile.extents);
    assert_eq!(world.rows("T | sort by Timestamp asc | take 2 | project n").await, ["0", "7"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn take_opens_one_extent() {
    let world = World::start().await;
    scattered(&world, 50).await;
    let answer = world.kql("T | take 5").await;
    assert_eq!(crate::world::shown(&answer).len(), 5);
    assert_eq!(answer.profile.extents.kept, 1, "{:?}", answer.profile.extents);
    let answer = world.kql("T | where n >= 0 | take 5").await;
    assert_eq!(crate::world::shown(&answer).len(), 5);
    assert!(answer.profile.extents.kept <= 2, "{:?}", answer.profile.extents);
    assert_eq!(world.rows("T | take 5 | count").await, ["5"]);
    assert_eq!(world.rows("T | take 70 | summarize count(), dcount(n) > 60, countif(n >= 0)").await, ["70|true|70"]);
    assert_eq!(world.rows("T | where n >= 10 | take 990 | count").await, ["990"]);
    assert_eq!(world.rows("T | take 30 | union (T | take 20) | count").await, ["50"]);
    assert_eq!(world.rows("T | take 0").await.len(), 0);
    assert_eq!(world.rows("T | take 100000").await.len(), 1000);
}
