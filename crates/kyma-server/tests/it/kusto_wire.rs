//! Requests that real clients sent, and answers of the real service: every request is answered, and our bodies have the
//! shape of theirs. Both lie in the shared folder (`KYMA_SHARED`).

use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::node::{TestNode, body_of};

/// A file of the shared conformance folder, or `None`, said loudly, where it is absent.
fn shared(path: &str) -> Option<String> {
    let beside = || PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared");
    let file = std::env::var_os("KYMA_SHARED").map_or_else(beside, PathBuf::from).join("conformance").join(path);
    match std::fs::read_to_string(&file) {
        Ok(text) => Some(text),
        Err(error) => {
            eprintln!("NOT RUN: {} is absent ({error}); set KYMA_SHARED to the shared folder", file.display());
            None
        }
    }
}

fn fixture(path: &str) -> Option<Value> {
    // The files have a byte order mark here and there.
    shared(&format!("kusto-wire/{path}")).map(|text| serde_json::from_str(text.trim_start_matches('\u{feff}')).unwrap())
}

/// A captured request.
#[derive(Deserialize)]
struct Captured {
    #[serde(rename = "m")]
    method: String,
    #[serde(rename = "p")]
    path: String,
    #[serde(rename = "h")]
    headers: Map<String, Value>,
    #[serde(rename = "b64")]
    body: String,
}

impl Captured {
    /// The request as the client would send it to a service that calls its places as kyma does.
    fn readdressed(mut self, node: &TestNode, day: &str) -> Self {
        let blob = "prod__T1__23133450-956b-4f6a-a5a5-00b2eaaafc3b__stream.gz";
        if self.method == "PUT" {
            self.path = format!("/kusto-blobs/{day}/{blob}?sv=1");
        }
        if let Some(rest) = self.path.strip_prefix("/q/acct/messages") {
            self.path = format!("/kusto-queues/ready/messages{rest}");
            let document = String::from_utf8(BASE64.decode(&self.body).unwrap()).unwrap();
            let (head, rest) = document.split_once("<MessageText>").unwrap();
            let (text, tail) = rest.split_once("</MessageText>").unwrap();
            let mut message: Value = serde_json::from_slice(&BASE64.decode(text).unwrap()).unwrap();
            message["BlobPath"] = json!(format!("{}/kusto-blobs/{day}/{blob}?sv=1", node.url));
            let text = BASE64.encode(message.to_string());
            self.body = BASE64.encode(format!("{head}<MessageText>{text}</MessageText>{tail}"));
        }
        self
    }

    async fn send(&self, node: &TestNode) -> reqwest::Response {
        let method = self.method.parse().unwrap();
        let mut request = node.client.request(method, format!("{}{}", node.url, self.path));
        for (name, value) in &self.headers {
            // The client's own, and those that would compress what the test reads.
            if !["host", "content-length", "accept-encoding"].contains(&name.to_ascii_lowercase().as_str()) {
                request = request.header(name, value.as_str().unwrap());
            }
        }
        request.body(BASE64.decode(&self.body).unwrap()).send().await.unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_captured_request_is_answered() {
    let node = TestNode::start().await;
    for csl in [".create table T1 (a:long, b:string)", ".create table OTelLogs (Timestamp:datetime)"] {
        let reply = node.post("/v1/rest/mgmt").json(&json!({ "db": "prod", "csl": csl })).send().await.unwrap();
        assert_eq!(reply.status(), 200);
    }
    let mut sent = 0;
    for file in ["kusto_ingest_py", "kusto_py", "kusto_js"] {
        let Some(lines) = shared(&format!("wire/{file}.jsonl")) else { return node.stop().await };
        for line in lines.lines() {
            let captured: Captured = serde_json::from_str(line).unwrap();
            let captured = captured.readdressed(&node, "20990101");
            let reply = captured.send(&node).await;
            let (path, status) = (captured.path.clone(), reply.status().as_u16());
            let wanted = match path.as_str() {
                // Nobody signs in.
                "/v1/rest/auth/metadata" => 404,
                path if path.starts_with("/kusto-") => 201,
                _ => 200,
            };
            let echoed = reply.headers().get("x-ms-client-request-id").cloned();
            let (_, body) = body_of(reply).await;
            assert_eq!(status, wanted, "{path}: {body}");
            if wanted == 200 {
                let asked = captured.headers["x-ms-client-request-id"].as_str().unwrap();
                assert_eq!(echoed.unwrap(), asked, "{path}");
                check_parses(&path, &body);
            }
            sent += 1;
        }
    }
    assert_eq!(sent, 19);
    // Three streams of two rows or one, a managed one, and the queued blob.
    let (_, answer) = node.query(json!({ "query": "T1 | summarize count()", "database": "prod" })).await;
    assert!(answer["rows"][0][0].as_i64().unwrap() >= 5, "{answer}");
    node.stop().await;
}

/// What the clients' parsers go through.
fn check_parses(path: &str, body: &Value) {
    if path.starts_with("/v2") {
        let frames = body.as_array().unwrap();
        assert_eq!((&frames[0]["Version"], &frames[frames.len() - 1]["HasErrors"]), (&json!("v2.0"), &json!(false)));
        return;
    }
    let table = &body["Tables"][0];
    let columns = table["Columns"].as_array().unwrap();
    assert!(columns.iter().all(|column| column["ColumnType"].is_string() && column["DataType"].is_string()));
    assert!(table["Rows"].as_array().unwrap().iter().all(|row| row.as_array().unwrap().len() == columns.len()));
}

/// The members of an object, sorted.
fn members(value: &Value) -> Vec<&str> {
    let mut names: Vec<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    names.sort_unstable();
    names
}

/// What clients find their way by: per frame its members, its kind of table, and the columns where they are the protocol's.
fn shape(frames: &Value) -> Vec<Value> {
    let of = |frame: &Value| {
        let own = frame["TableKind"] == "PrimaryResult";
        let columns = if own { Value::Null } else { frame["Columns"].clone() };
        json!([frame["FrameType"], members(frame), frame["TableId"], frame["TableKind"], columns])
    };
    frames.as_array().unwrap().iter().map(of).collect()
}

async fn v2(node: &TestNode, csl: &str, options: Value) -> Value {
    let body = json!({ "db": "default", "csl": csl, "properties": { "Options": options } });
    let (status, frames) = body_of(node.post("/v2/rest/query").json(&body).send().await.unwrap()).await;
    assert_eq!(status, 200, "{frames}");
    frames
}

#[tokio::test(flavor = "multi_thread")]
async fn frames_have_the_shape_of_the_service() {
    let node = TestNode::start().await;
    let fragments = json!({
        "results_v2_fragment_primary_tables": true,
        "results_v2_newlines_between_frames": true,
        "results_error_reporting_placement": "end_of_table",
    });
    let cases = [
        ("python/zero_results.json", "print a = 1 | where a == 2", json!({})),
        ("python/dynamic.json", "print a = dynamic({})", json!({})),
        ("python/query_partial_results_defer_is_true.json", "print 1", json!({})),
        ("python/progressive_result.json", "print a = 1", json!({ "results_progressive_enabled": true })),
        ("go/v2/validFrames.json", "print a = 1", fragments.clone()),
        ("go/v2/aliases.json", "print a = 1 | as AllDataTypes", fragments.clone()),
    ];
    for (path, csl, options) in cases {
        let Some(theirs) = fixture(path) else { return node.stop().await };
        let ours = v2(&node, csl, options.clone()).await;
        let (mut ours, mut theirs) = (shape(&ours), shape(&theirs));
        if path.contains("progressive") {
            // Later services add two members to the header; the fixture is older.
            (ours[0], theirs[0]) = (Value::Null, Value::Null);
        }
        if path.contains("aliases") {
            // It calls types by their other names.
            let last = theirs.len() - 2;
            theirs[last] = ours[last].clone();
        }
        assert_eq!(ours, theirs, "{path}");
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn partial_failures_have_the_shape_of_the_service() {
    let node = TestNode::start().await;
    let text = "range A from 1 to 9 step 1";
    let options = |placement: &str| {
        json!({
            "truncationmaxrecords": 1,
            "results_v2_fragment_primary_tables": placement == "end_of_table",
            "results_error_reporting_placement": placement,
        })
    };
    let cases =
        [("go/v2/partialError.json", "end_of_table"), ("python/query_partial_results_defer_is_false.json", "in_data")];
    for (path, placement) in cases {
        let Some(theirs) = fixture(path) else { return node.stop().await };
        let ours = v2(&node, text, options(placement)).await;
        let (ours_shape, mut theirs_shape) = (shape(&ours), shape(&theirs));
        if placement == "in_data" {
            theirs_shape[0] = ours_shape[0].clone();
        }
        assert_eq!(ours_shape, theirs_shape, "{path}");
        let last = |frames: &Value| frames.as_array().unwrap().last().unwrap()["OneApiErrors"][0]["error"].clone();
        let (ours, theirs) = (last(&ours), last(&theirs));
        assert_eq!(
            (&ours["code"], &ours["@type"], &ours["@permanent"]),
            (&theirs["code"], &theirs["@type"], &theirs["@permanent"])
        );
        for member in members(&theirs) {
            assert!(ours.get(member).is_some(), "{path}: {member}");
        }
    }
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn v1_has_the_shape_of_the_service() {
    let node = TestNode::start().await;
    let (Some(query), Some(command)) = (fixture("go/v1/success.json"), fixture("python/versionshowcommandresult.json"))
    else {
        return node.stop().await;
    };
    let ask = async |path: &str, csl: &str| {
        let reply = node.post(path).json(&json!({ "db": "default", "csl": csl })).send().await.unwrap();
        body_of(reply).await.1
    };
    let tables = |answer: &Value| -> Vec<Value> {
        let tables = answer["Tables"].as_array().unwrap();
        tables
            .iter()
            .map(|table| {
                json!([table["TableName"], members(table), table["Columns"], table["Rows"].as_array().unwrap().len()])
            })
            .collect()
    };
    let text = "datatable(a:int)[1,2,3]; datatable(a:string, b:int)['a',1,'b',2,'c',3]";
    let ours = ask("/v1/rest/query", text).await;
    assert_eq!(tables(&ours), tables(&query));
    let contents = |answer: &Value| -> Vec<Value> {
        let rows = answer["Tables"].as_array().unwrap().last().unwrap()["Rows"].as_array().unwrap().clone();
        rows.iter().map(|row| json!([row[0], row[1], row[2], row[4]])).collect()
    };
    assert_eq!(contents(&ours), contents(&query));
    let ours = ask("/v1/rest/mgmt", ".show version").await;
    let names = |answer: &Value| -> Vec<Value> {
        answer["Tables"][0]["Columns"].as_array().unwrap().iter().map(|column| column["ColumnName"].clone()).collect()
    };
    assert_eq!((&ours["Tables"][0]["TableName"], names(&ours)), (&command["Tables"][0]["TableName"], names(&command)));
    node.stop().await;
}
