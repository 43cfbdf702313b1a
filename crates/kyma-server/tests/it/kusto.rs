//! The Kusto wire, as its documentation and the official clients have it.

use std::io::Write;

use serde_json::{Value, json};

use crate::node::{TestNode, body_of};

const EVERY_TYPE: &str = "print b = true, i = int(1), l = 9223372036854775807, r = 1.5, nan = real(nan), inf = real(-inf), \
     dec = decimal(2.00000000000001), dt = datetime(2015-01-01 01:01:01.0000001), ts = time(1.02:03:04.5), \
     g = guid(123e27de-1e4e-49d9-b579-fe0b331d3642), s = 'x', d = dynamic({\"a\":[1,\"b\"]}), \
     nul = long(null), nos = tostring(dynamic(null))";

async fn v2(node: &TestNode, csl: &str, properties: Value) -> (u16, Value) {
    let body = json!({ "db": "NetDefaultDB", "csl": csl, "properties": properties });
    body_of(node.post("/v2/rest/query").json(&body).send().await.unwrap()).await
}

fn primary(frames: &Value) -> &Value {
    frames.as_array().unwrap().iter().find(|frame| frame["TableKind"] == "PrimaryResult").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn values_of_every_type_in_v2() {
    let node = TestNode::start().await;
    let (status, frames) = v2(&node, EVERY_TYPE, Value::Null).await;
    assert_eq!(status, 200, "{frames}");
    let kinds: Vec<&Value> = frames.as_array().unwrap().iter().map(|frame| &frame["FrameType"]).collect();
    assert_eq!(kinds, ["DataSetHeader", "DataTable", "DataTable", "DataTable", "DataSetCompletion"]);
    assert_eq!(frames[0], json!({ "FrameType": "DataSetHeader", "IsProgressive": false, "Version": "v2.0" }));
    assert_eq!(frames[4], json!({ "FrameType": "DataSetCompletion", "HasErrors": false, "Cancelled": false }));
    let table = primary(&frames);
    let types: Vec<&str> =
        table["Columns"].as_array().unwrap().iter().map(|it| it["ColumnType"].as_str().unwrap()).collect();
    assert_eq!(
        types,
        [
            "bool", "int", "long", "real", "real", "real", "decimal", "datetime", "timespan", "guid", "string",
            "dynamic", "long", "string"
        ]
    );
    assert_eq!(
        table["Rows"],
        json!([[
            true, 1, 9_223_372_036_854_775_807_i64, 1.5, "NaN", "-Infinity", "2.00000000000001", "2015-01-01T01:01:01.0000001Z",
            "1.02:03:04.5000000", "123e27de-1e4e-49d9-b579-fe0b331d3642", "x", { "a": [1, "b"] }, null, ""
        ]])
    );
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_ends_with_a_table_of_contents() {
    let node = TestNode::start().await;
    let body = json!({ "db": "NetDefaultDB", "csl": "print x = 1, d = decimal(1.5) | render table" });
    let reply = node.post("/v1/rest/query").json(&body).send().await.unwrap();
    let (status, answer) = body_of(reply).await;
    assert_eq!(status, 200, "{answer}");
    let tables = answer["Tables"].as_array().unwrap();
    assert_eq!(tables.len(), 4);
    assert_eq!(
        tables[0]["Columns"],
        json!([
            { "ColumnName": "x", "DataType": "Int64", "ColumnType": "long" },
            { "ColumnName": "d", "DataType": "SqlDecimal", "ColumnType": "decimal" },
        ])
    );
    assert_eq!(tables[0]["Rows"], json!([[1, "1.5"]]));
    let kinds: Vec<&Value> = tables[3]["Rows"].as_array().unwrap().iter().map(|row| &row[1]).collect();
    assert_eq!(kinds, ["QueryResult", "QueryProperties", "QueryStatus"]);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn properties_options_and_parameters() {
    let node = TestNode::start().await;
    let text = r#"{"Options":{"servertimeout":"0:01:00","query_now":"2020-01-01"},"Parameters":{"p":5}}"#;
    let (status, frames) = v2(&node, "declare query_parameters(p:long); print p + 1, now()", json!(text)).await;
    assert_eq!(status, 200, "{frames}");
    assert_eq!(primary(&frames)["Rows"], json!([[6, "2020-01-01T00:00:00.0000000Z"]]));

    let options = json!({ "Options": { "query_take_max_records": 2 } });
    let (_, frames) = v2(&node, "range x from 1 to 9 step 1", options).await;
    assert_eq!(primary(&frames)["Rows"], json!([[1], [2]]));

    node.post("/v1/ingest/NetDefaultDB/T")
        .body("{\"Timestamp\":\"2020-01-01\"}\n{\"Timestamp\":\"2021-01-01\"}")
        .send()
        .await
        .unwrap();
    let options =
        json!({ "Options": { "query_datetimescope_column": "Timestamp", "query_datetimescope_from": "2020-06-01" } });
    let (_, frames) = v2(&node, "T | count", options).await;
    assert_eq!(primary(&frames)["Rows"], json!([[1]]));

    let options = json!({ "Options": { "truncationmaxrecords": 2 } });
    let (status, answer) = v2(&node, "range x from 1 to 9 step 1", options).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("LimitsExceeded")), "{answer}");

    let (_, frames) = v2(&node, "print x = 1 | render timechart with (title='t')", Value::Null).await;
    let shown: Value = serde_json::from_str(frames[1]["Rows"][0][2].as_str().unwrap()).unwrap();
    assert_eq!((&shown["Visualization"], &shown["Title"]), (&json!("timechart"), &json!("t")));

    let (_, frames) = v2(&node, "select 1 + 1 as two", json!({ "Options": { "query_language": "sql" } })).await;
    assert_eq!(primary(&frames)["Rows"], json!([[2]]));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn errors_as_clients_read_them() {
    let node = TestNode::start().await;
    let request = node.post("/v2/rest/query").header("x-ms-client-request-id", "KPC.execute;7");
    let reply = request.json(&json!({ "db": "NetDefaultDB", "csl": "print nosuch" })).send().await.unwrap();
    assert_eq!(reply.headers()["x-ms-client-request-id"], "KPC.execute;7");
    assert!(reply.headers()["x-ms-activity-id"].len() == 36);
    let (status, answer) = body_of(reply).await;
    assert_eq!(
        (status, &answer["error"]["code"], &answer["error"]["@permanent"]),
        (400, &json!("General_BadRequest"), &json!(true))
    );
    assert!(answer["error"]["@message"].as_str().unwrap().contains("Semantic error: SEM0100"), "{answer}");

    let (status, answer) = v2(&node, "print 1 +", Value::Null).await;
    assert_eq!(status, 400);
    assert!(answer["error"]["@message"].as_str().unwrap().contains("Syntax error: SYN0002"), "{answer}");

    // 404 would say that the endpoint is missing.
    let (status, _) = v2(&node, "Nowhere | count", Value::Null).await;
    assert_eq!(status, 400);
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn streaming_ingest_as_clients_do_it() {
    let node = TestNode::start().await;
    let create = json!({ "db": "prod", "csl": ".create table T (a:long, b:string)" });
    assert_eq!(node.post("/v1/rest/mgmt").json(&create).send().await.unwrap().status(), 200);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(b"1,x\n2,y\n").unwrap();
    let bodies: [(&str, Vec<u8>); 3] = [
        ("csv", gzip.finish().unwrap()),
        ("json", b"{\"a\":3,\"b\":\"z\"}".to_vec()),
        ("multijson", b"[{\"a\":4,\"b\":\"w\"}]".to_vec()),
    ];
    for (format, body) in bodies {
        // The header is there also when the body is not compressed.
        let request =
            node.post(&format!("/v1/rest/ingest/prod/T?streamFormat={format}")).header("Content-Encoding", "gzip");
        let (status, answer) = body_of(request.body(body).send().await.unwrap()).await;
        assert_eq!(status, 200, "{format}: {answer}");
        assert_eq!(answer["Tables"][0]["Columns"][0]["ColumnName"], "ConsumedRecordsCount");
    }
    let (_, answer) = node.query(json!({ "query": "T | summarize sum(a), count()", "database": "prod" })).await;
    assert_eq!(answer["rows"], json!([[10, 4]]), "{answer}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_statement_is_streamed_in_fragments() {
    let node = TestNode::start().await;
    let options = json!({ "Options": { "results_v2_fragment_primary_tables": true, "notruncation": true } });
    let text = "range x from 1 to 20000 step 1 | as Many; print y = 1 | where y == 2; print z = 'last'";
    let (status, frames) = v2(&node, text, options).await;
    assert_eq!(status, 200, "{frames}");
    let of =
        |kind: &str| frames.as_array().unwrap().iter().filter(|frame| frame["FrameType"] == kind).collect::<Vec<_>>();
    let names: Vec<&Value> = of("TableHeader").iter().map(|frame| &frame["TableName"]).collect();
    assert_eq!(names, ["Many", "PrimaryResult", "PrimaryResult"]);
    let counts: Vec<&Value> = of("TableCompletion").iter().map(|frame| &frame["RowCount"]).collect();
    assert_eq!(counts, [20_000, 0, 1]);
    let fragments = of("TableFragment");
    assert!(fragments.iter().all(|frame| frame["Rows"].as_array().unwrap().len() <= 4_096));
    assert_eq!(fragments.last().unwrap()["Rows"], json!([["last"]]));
    // What is wrong before the first row has its status.
    let options = json!({ "Options": { "results_progressive_enabled": true } });
    let (status, answer) = v2(&node, "print nosuch", options).await;
    assert_eq!((status, &answer["error"]["code"]), (400, &json!("General_BadRequest")));
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_read_only_request_writes_nothing() {
    let node = TestNode::start().await;
    let ask = async |csl: &str| {
        let body = json!({ "db": "default", "csl": csl, "properties": { "Options": { "request_readonly": true } } });
        body_of(node.post("/v1/rest/mgmt").json(&body).send().await.unwrap()).await
    };
    let (status, answer) = ask(".create table Never (a:long)").await;
    assert_eq!((status, &answer["error"]["innererror"]["code"]), (400, &json!("kusto.read_only")), "{answer}");
    let (status, answer) = ask(".show tables").await;
    assert_eq!((status, &answer["Tables"][0]["Rows"]), (200, &json!([])), "{answer}");
    node.stop().await;
}
