//! Operators over stored tables and constants, against answers worked out by hand.

use kyma_core::{Type, Value};

use crate::world::{Row, World, long, text, time};

/// Every query gives its rows (sorted, unless it starts with `=`, where the order counts).
async fn check(world: &World, cases: &[(&str, &[&str])]) {
    for (query, expected) in cases {
        let mut rows = world.rows(query.trim_start_matches('=')).await;
        if !query.starts_with('=') {
            rows.sort();
        }
        assert_eq!(rows, *expected, "{query}");
    }
}

/// `L(k, a)` and `R(k, b)`, stored; both have a null key, a key of their own and a key twice.
async fn two_tables() -> World {
    let world = World::start().await;
    let left = world.table("L", &[("k", Type::Long), ("a", Type::String)]).await;
    let right = world.table("R", &[("k", Type::Long), ("b", Type::String)]).await;
    let rows = |side: &str, keys: &[Option<i64>]| -> Vec<Row> {
        let row = |(at, key): (usize, &Option<i64>)| {
            vec![time(at as i64), key.map_or(Value::Null(Type::Long), long), text(&format!("{side}{at}"))]
        };
        keys.iter().enumerate().map(row).collect()
    };
    let mut left_rows = rows("l", &[Some(1), Some(2), Some(2), None, Some(9)]);
    left_rows[4][2] = Value::Null(Type::String);
    world.extent(&left, "tlm", &left_rows[..3], 2).await;
    world.extent(&left, "toy", &left_rows[3..], 2).await;
    world.extent(&right, "tlm", &rows("r", &[Some(1), Some(2), Some(2), None, Some(7)]), 3).await;
    world
}

#[tokio::test(flavor = "multi_thread")]
async fn steps_and_patterns() {
    let world = two_tables().await;
    let scan = "L | sort by Timestamp asc | scan with_match_id=m declare (total: long) with \
                (step s: isnotnull(k) => total = k + coalesce(s.total, 0))";
    let known = "(step s: a in (R | project replace_string(b, 'r', 'l')))";
    let many = "(step s: k in (range x from 1 to 2000 step 1))";
    let of = |steps: &str| format!("L | sort by a asc | scan with {steps} | project a");
    check(
        &world,
        &[
            (&format!("={scan} | project a, total, m"), &["l0|1|0", "l1|3|0", "l2|5|0", "|14|0"]),
            (&format!("={}", of(known)), &["l0", "l1", "l2", "l3"]),
            // More values than the pruners look at.
            (&format!("={}", of(many)), &["", "l0", "l1", "l2"]),
            ("R | reduce by b", &["r*|5|r0"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn joins() {
    let world = two_tables().await;
    let of = |kind: &str, columns: &str| {
        format!("L | project k, a | join kind={kind} (R | project k, b) on k | project {columns}")
    };
    for (kind, columns, expected) in [
        (
            "inner",
            "k, a, k1, b",
            &["1|l0|1|r0", "2|l1|2|r1", "2|l1|2|r2", "2|l2|2|r1", "2|l2|2|r2", "null|l3|null|r3"][..],
        ),
        (
            "leftouter",
            "k, a, k1, b",
            &["1|l0|1|r0", "2|l1|2|r1", "2|l1|2|r2", "2|l2|2|r1", "2|l2|2|r2", "9||null|", "null|l3|null|r3"],
        ),
        (
            "rightouter",
            "k, a, k1, b",
            &["1|l0|1|r0", "2|l1|2|r1", "2|l1|2|r2", "2|l2|2|r1", "2|l2|2|r2", "null|l3|null|r3", "null||7|r4"],
        ),
        (
            "fullouter",
            "k, a, k1, b",
            &[
                "1|l0|1|r0",
                "2|l1|2|r1",
                "2|l1|2|r2",
                "2|l2|2|r1",
                "2|l2|2|r2",
                "9||null|",
                "null|l3|null|r3",
                "null||7|r4",
            ],
        ),
        ("leftsemi", "k, a", &["1|l0", "2|l1", "2|l2", "null|l3"]),
        ("rightsemi", "k, b", &["1|r0", "2|r1", "2|r2", "null|r3"]),
        ("leftanti", "k, a", &["9|"]),
        ("anti", "k, a", &["9|"]),
        ("rightanti", "k, b", &["7|r4"]),
    ] {
        let mut rows = world.rows(&of(kind, columns)).await;
        rows.sort();
        assert_eq!(rows, expected, "{kind}");
    }
    check(
        &world,
        &[
            ("L | join (R) on k | summarize count(), dcount(a)", &["4|3"]),
            ("L | sort by a asc | join kind=innerunique (R) on k | project a, b", &["l0|r0", "l1|r1", "l1|r2", "l3|r3"]),
            ("L | lookup (R | project k, b) on k | where isnotnull(k) | project k, a, b", &[
                "1|l0|r0", "2|l1|r1", "2|l1|r2", "2|l2|r1", "2|l2|r2", "9||",
            ]),
            ("L | lookup kind=inner (R | project k, b) on k | count", &["6"]),
            ("L | join kind=inner R on $left.a == $right.b | count", &["0"]),
            (
                "datatable(r:real, a:long) [-0.0,1, real(nan),2, 2.5,3] | join kind=inner (datatable(r:real, b:long) [0.0,1, real(nan),2, 3.5,3]) on r | project a, b",
                &["1|1", "2|2"],
            ),
            ("L | where a == '' | join kind=leftouter (R | where 1 == 2) on k | project k, b, isempty(b)", &["9||true"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn unions() {
    let world = two_tables().await;
    check(
        &world,
        &[
            ("union L, R | count", &["10"]),
            ("union L, R | where k == 2 | project a, b", &["l1|", "l2|", "|r1", "|r2"]),
            ("L | union (R | where k == 7) | where isempty(a) and k > 8 | project k", &["9"]),
            ("union kind=inner L, R | where k == 1 | count", &["2"]),
            ("union withsource=t L, R | summarize count() by t", &["L|5", "R|5"]),
            ("union L, (datatable(k:string) ['x']) | where k_string == 'x' | count", &["1"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn groups() {
    let world = two_tables().await;
    check(
        &world,
        &[
            ("L | summarize count() by k", &["1|1", "2|2", "9|1", "null|1"]),
            ("L | distinct k", &["1", "2", "9", "null"]),
            ("L | summarize sum(k), avg(k), min(k), max(k)", &["14|3.5|1|9"]),
            ("L | where k > 100 | summarize sum(k), avg(k), min(k), count()", &["0|NaN|null|0"]),
            ("L | where k > 100 | summarize sum(k) by a", &[]),
            ("L | summarize min(a), max(a), countif(a == '')", &["|l3|1"]),
            ("L | summarize arg_max(k, a), arg_min(k, a)", &["9||1|l0"]),
            ("L | summarize arg_max(Timestamp, *) by k | project k, a", &["1|l0", "2|l2", "9|", "null|l3"]),
            ("L | summarize s = make_set(k) | project array_sort_asc(s)", &["[1,2,9]"]),
            (
                "L | summarize count() by bin(Timestamp, 2s)",
                &["2024-01-01T00:00:00.0000000Z|2", "2024-01-01T00:00:02.0000000Z|2", "2024-01-01T00:00:04.0000000Z|1"],
            ),
            ("L | summarize percentiles(k, 50, 100)", &["2|9"]),
            ("L | summarize dcount(k), countif(k == 2), sumif(k, k < 9), take_any(1)", &["3|2|5|1"]),
            ("L | top-nested 1 of k by count()", &["2|2"]),
            (
                "=L | top-nested 2 of k with others=-1 by sum(k), top-nested 1 of a by max(Timestamp)",
                &["9|9||2024-01-01T00:00:04.0000000Z", "2|4|l2|2024-01-01T00:00:02.0000000Z", "-1|1||null"],
            ),
            ("L | count | extend x = Count + 1", &["5|6"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expansions() {
    let world = World::start().await;
    let table = world.table("T", &[("id", Type::Long), ("d", Type::Dynamic), ("s", Type::String)]).await;
    let row = |id: i64, d: &str, s: &str| vec![time(id), long(id), Value::Dynamic(d.to_owned()), text(s)];
    let rows = vec![
        row(1, r#"{"tags":["x","y"],"n":1}"#, "GET /a 200 took=5ms"),
        row(2, r#"{"tags":[],"n":2}"#, "POST /b 500 took=7ms"),
        row(3, r#"{"n":3}"#, "nonsense"),
    ];
    world.extent(&table, "tlm", &rows, 2).await;
    check(
        &world,
        &[
            ("T | mv-expand t = d.tags | project id, t", &["1|\"x\"", "1|\"y\"", "3|null"]),
            ("T | mv-expand t = d.tags to typeof(string) limit 1 | project id, t", &["1|x", "3|"]),
            ("T | mv-expand with_itemindex=i t = d.tags | where id == 1 | project i, t", &["0|\"x\"", "1|\"y\""]),
            ("T | parse s with verb ' ' path ' ' code:long ' took=' ms:long 'ms' | project verb, code, ms", &[
                "GET|200|5", "POST|500|7", "|null|null",
            ]),
            ("T | parse-where s with verb ' ' * ' ' code:int ' ' * | project verb, code", &["GET|200", "POST|500"]),
            ("T | extend code = toint(extract(@'(\\d{3})', 1, s)) | where code >= 500 | project id", &["2"]),
            ("T | where d.n > 1 and tolong(d.n) < 3 | project id", &["2"]),
            ("T | extend n = tolong(d.n) | where n >= 2 | summarize sum(n)", &["5"]),
            ("T | project d.n, x = tostring(d.tags[0]) | where isnotempty(x)", &["1|x"]),
            ("T | where d.tags has 'y' | project id", &["1"]),
            ("T | mv-apply t = d.tags to typeof(string) on (where isnotempty(t) and t != 'x' | project u = strcat(t, '!')) | project id, u", &["1|y!"]),
            ("T | partition by id (top 1 by Timestamp | project id)", &["1", "2", "3"]),
            ("T | parse-kv s as (took:string) with (pair_delimiter=' ', kv_delimiter='=') | project took", &["", "5ms", "7ms"]),
            ("T | project-reorder s, id | project-rename key = id | where key == 3 | project s", &["nonsense"]),
            ("T | sample 2 | count", &["2"]),
            ("T | getschema | count", &["4"]),
            ("T | where id in (toscalar(T | summarize max(id)), 1) | project id", &["1", "3"]),
            ("T | where id in ((T | where d.n >= 2 | project id)) | project id", &["2", "3"]),
            ("let f = (m: long) { T | where id > m | project id }; f(2)", &["3"]),
        ],
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn series_and_windows() {
    let world = World::start().await;
    let table = world.table("T", &[("k", Type::String), ("v", Type::Long)]).await;
    for extent in 0..2 {
        let rows: Vec<Row> = (0..3)
            .map(|at| vec![time(extent * 30 + at * 10), text(if at == 1 { "b" } else { "a" }), long(extent * 3 + at)])
            .collect();
        world.extent(&table, "tlm", &rows, 2).await;
    }
    let span = "from datetime(2024-01-01) to datetime(2024-01-01T00:01:00Z) step 20s";
    check(
        &world,
        &[
            (&format!("T | make-series total = sum(v) on Timestamp {span} by k | project k, total"), &[
                "a|[0,5,5]", "b|[1,0,4]",
            ]),
            (&format!("T | make-series c = count() default=-1 on Timestamp {span} | project c"), &["[2,2,2]"]),
            ("=T | sort by Timestamp asc | extend c = row_cumsum(v), r = row_number(), p = prev(v, 1, -1), n = next(v) | project v, c, r, p, n", &[
                "0|0|1|-1|1", "1|1|2|0|2", "2|3|3|1|3", "3|6|4|2|4", "4|10|5|3|5", "5|15|6|4|null",
            ]),
            ("=T | sort by k asc, v asc | extend r = row_number(1, prev(k) != k) | project k, r", &[
                "a|1", "a|2", "a|3", "a|4", "b|1", "b|2",
            ]),
            ("range x from 10 to 1 step -3", &["1", "10", "4", "7"]),
            ("range t from datetime(2024-01-01) to datetime(2024-01-02) step 12h | count", &["3"]),
            ("range x from 1 to 2 step 0.5", &["1", "1.5", "2"]),
            ("range x from 5 to 1 step 1", &[]),
            ("print a = 1, b = 'x' | extend c = strcat(b, tostring(a))", &["1|x|x1"]),
        ],
    )
    .await;
}

/// What an operator gives is the same whichever of its columns are used above it.
#[tokio::test(flavor = "multi_thread")]
async fn every_column_alone_is_as_in_the_whole_answer() {
    let world = World::start().await;
    let columns = [("n", Type::Long), ("s", Type::String), ("d", Type::Dynamic), ("k", Type::String)];
    let table = world.table("T", &columns).await;
    let row = |at: i64| -> Row {
        let bag = Value::Dynamic(format!(r#"[{at},"x{at}"]"#));
        vec![time(at), long(at), text(&format!("user=u{at} took={}ms", at % 7)), bag, text(["a", "b"][at as usize % 2])]
    };
    world.extent(&table, "tlm", &(0..12).map(row).collect::<Vec<_>>(), 5).await;
    world.extent(&table, "toy", &(12..20).map(row).collect::<Vec<_>>(), 5).await;
    let answer = |query: String| {
        let world = &world;
        async move {
            let mut rows = world.rows(&query).await;
            rows.sort();
            rows
        }
    };
    for (pipeline, columns) in [
        ("parse s with 'user=' user ' took=' took:long 'ms'", "n,s,d,k,user,took"),
        ("parse s with 'user=' n ' ' *", "n,s,k"),
        ("parse-where s with * 'took=' took:long 'ms' | where took > 3", "n,k,took"),
        ("parse-kv s as (user: string, took: string) with (pair_delimiter=' ', kv_delimiter='=')", "n,k,user,took"),
        ("mv-expand with_itemindex=at d, e = range(n, n + 2)", "n,s,d,k,e,at"),
        ("extend w = split(s, ' ') | mv-expand w to typeof(string)", "n,w,k"),
        ("sort by n asc | extend before = prev(n), r = row_number()", "n,k,before,r"),
        ("make-series total = sum(n), rows = count() on n from 0 to 20 step 5 by k", "k,total,rows,n"),
        ("top-nested 1 of k by sum(n), top-nested 2 of s by max(n)", "k,aggregated_k,s,aggregated_s"),
        ("where k == 'a' | union (T | where n > 15) | parse s with * 'took=' took 'ms'", "n,took"),
        ("join kind=leftouter (T | parse s with * 'took=' took 'ms' | project n, took) on n", "n,s,took"),
    ] {
        let whole = answer(format!("T | {pipeline} | project {columns}")).await;
        assert!(!whole.is_empty(), "{pipeline}");
        for (at, column) in columns.split(',').enumerate() {
            let mut expected: Vec<&str> = whole.iter().filter_map(|row| row.split('|').nth(at)).collect();
            expected.sort_unstable();
            assert_eq!(answer(format!("T | {pipeline} | project {column}")).await, expected, "{pipeline}: {column}");
        }
        let counted = world.rows(&format!("T | {pipeline} | count")).await;
        assert_eq!(counted, [whole.len().to_string()], "{pipeline}");
    }
}

/// `mv-apply` runs most bodies as one plan; an engine without that runs them row by row.
#[tokio::test(flavor = "multi_thread")]
async fn bodies_over_all_rows_are_as_row_by_row() {
    let world = World::start().await;
    let table = world.table("T", &[("k", Type::Long), ("d", Type::Dynamic), ("s", Type::String)]).await;
    let arrays = ["[1,2,3]", "[]", "[5]", "null", "[9,8,9,-1]", r#"["x",4]"#, "[2,2]"];
    let row = |at: i64| -> Row {
        let d = match arrays[at as usize % arrays.len()] {
            "null" => Value::Null(Type::Dynamic),
            text => Value::Dynamic(text.to_owned()),
        };
        vec![time(at), long(at), d, text(&format!("s{at}"))]
    };
    world.extent(&table, "tlm", &(0..15).map(row).collect::<Vec<_>>(), 4).await;
    world.extent(&table, "toy", &(15..30).map(row).collect::<Vec<_>>(), 4).await;
    let by_row = world.engine(kyma_exec::ExecSettings { prune: false, ..crate::world::settings() });
    for body in [
        "where x > 2",
        "where x > 100 | summarize n = count(), most = max(x), all = make_list(x), names = take_any(s)",
        "summarize total = sum(x)",
        "summarize n = count() by even = x % 2 == 0",
        "where x != 9 | summarize n = count() by even = x % 2 == 0 | where n > 1 | summarize groups = count(), sum(n)",
        "extend y = x * k | project y, k2 = k + 1",
        "top 2 by x asc",
        "sort by x desc | take 1 | project best = x",
        "take 0 | count",
        "where x > 1 | take 1 | extend z = strcat(s, x)",
        "sort by x desc | summarize in_order = make_list(x)",
        "distinct x",
        "where x in (toscalar(T | summarize min(k)), 9) | project x",
    ] {
        for with in ["", "with_itemindex = i "] {
            let query = format!("T | mv-apply {with}x = d to typeof(long) on ({body})");
            let (mut fast, slow) = (world.rows(&query).await, crate::world::run(&by_row, "kql", &query).await.unwrap());
            let mut slow = crate::world::shown(&slow);
            fast.sort();
            slow.sort();
            assert_eq!(fast, slow, "{query}");
        }
        let ordered = format!("T | sort by k desc | mv-apply x = d to typeof(long) on ({body}) | project k");
        if !body.contains("k2") {
            let keys: Vec<i64> = world.rows(&ordered).await.iter().map(|key| key.parse().unwrap()).collect();
            assert!(keys.is_sorted_by(|a, b| a >= b), "{ordered}: {keys:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn graphs_of_stored_edges() {
    let world = World::start().await;
    let calls = world.table("Calls", &[("caller", Type::String), ("callee", Type::String), ("ms", Type::Long)]).await;
    let row = |(at, (caller, callee, ms)): (usize, &(&str, &str, i64))| {
        vec![time(at as i64), text(caller), text(callee), long(*ms)]
    };
    let calls_made = [("web", "api", 5), ("api", "db", 2), ("api", "cache", 1), ("cache", "db", 1), ("job", "db", 9)];
    let rows: Vec<Row> = calls_made.iter().enumerate().map(row).collect();
    world.extent(&calls, "tlm", &rows[..3], 2).await;
    world.extent(&calls, "toy", &rows[3..], 2).await;
    let graph = "let G = Calls | make-graph caller --> callee with_node_id=name; G";
    let ask = |rest: &str| format!("{graph} | {rest}");
    let queries = [
        (
            ask("graph-match (a)-[p*1..3]->(b) where a.name == 'web' and b.name == 'db' project map(p, ms)"),
            &["[5,1,1]", "[5,2]"][..],
        ),
        (
            ask("graph-shortest-paths (a)-[p*1..3]->(b) where a.name == 'web' project b.name, n = array_length(p)"),
            &["api|1", "cache|2", "db|2"],
        ),
        // Sub-queries are answered before the pattern is matched, also one with more values than the engine lists.
        (
            ask(
                "graph-match (a)-->(b) where a.name in ((Calls | where ms > 4 | project caller)) project a.name, b.name",
            ),
            &["job|db", "web|api"],
        ),
        (ask("graph-match (a)-[e]->(b) where e.ms in (range x from 5 to 5000 step 1) project a.name"), &["job", "web"]),
        (ask("graph-match (a)-[e]->(b) where e.ms == toscalar(Calls | summarize max(ms)) project a.name"), &["job"]),
        (
            ask("graph-match (a)-[p*1..2]->(b) where any(p, ms in ((Calls | summarize max(ms)))) project a.name"),
            &["job"],
        ),
        (ask("graph-mark-components | graph-to-table nodes | summarize count() by ComponentId"), &["0|5"]),
        (ask("graph-where-nodes name != 'api' | graph-to-table edges | project ms"), &["1", "9"]),
        (ask("graph-to-table nodes | count"), &["5"]),
    ];
    let cases: Vec<(&str, &[&str])> = queries.iter().map(|(query, rows)| (query.as_str(), *rows)).collect();
    check(&world, &cases).await;
}
