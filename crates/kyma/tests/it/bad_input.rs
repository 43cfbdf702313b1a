//! Input that would kill a careless process.

use std::io::{BufWriter, Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::process::{Dev, row};

const GIBIBYTE: u64 = 1 << 30;

#[tokio::test]
async fn a_line_of_a_gibibyte_is_rejected_without_being_held() {
    let database = kyma_testkit::postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    let objects = folder.path().join("objects");
    let larger = [("KYMA_INGEST__BODY_BYTES_MAX", "2147483648")];
    let node = Dev::serve(&database.url, &objects, &larger);
    node.ingest("T", &[row(1)]);
    let before = node.peak_bytes();

    let (start, end) = (&b"{\"n\":2}\n{\"s\":\""[..], &b"\"}\n{\"n\":3}\n"[..]);
    let length = start.len() as u64 + GIBIBYTE + end.len() as u64;
    let mut connection = BufWriter::new(TcpStream::connect(&node.address).unwrap());
    write!(
        connection,
        "POST /v1/ingest/default/T HTTP/1.1\r\nHost: kyma\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    connection.write_all(start).unwrap();
    let piece = vec![b'x'; 1 << 20];
    for _ in 0..GIBIBYTE >> 20 {
        connection.write_all(&piece).unwrap();
    }
    connection.write_all(end).unwrap();
    connection.flush().unwrap();
    let mut reply = String::new();
    connection.get_mut().read_to_string(&mut reply).unwrap();

    let (head, body) = reply.split_once("\r\n\r\n").unwrap();
    let answer: Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{reply}");
    assert_eq!((&answer["rows"], &answer["rejected"]), (&json!(2), &json!(1)), "{reply}");
    let grown = node.peak_bytes().saturating_sub(before);
    assert!(grown < GIBIBYTE / 4, "the line was held: {grown} bytes");
    assert_eq!(node.rows("T | project n | order by n asc"), json!([[1], [2], [3]]));
    // What was rejected says why, and how it began.
    let kept = node.rows("_rejected | project why = tostring(Reason), raw = substring(Raw, 0, 8)");
    assert!(kept[0][0].as_str().is_some_and(|why| why.contains("longer than")), "{kept}");
    assert_eq!(kept[0][1], "{\"s\":\"xx");
    node.stop("-TERM");
}
