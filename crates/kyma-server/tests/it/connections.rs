//! Connections that take up room: the node parts with them, and others get their turn.

use std::time::{Duration, Instant};

use kyma_ingest::IngestSettings;
use kyma_server::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::node::TestNode;

/// Longer than anything here takes, so that a connection that is never closed fails the test.
const AT_MOST: Duration = Duration::from_secs(60);

const IDLE: Duration = Duration::from_secs(1);

async fn node(connections_max: usize) -> TestNode {
    let settings = Settings { connections_max, idle_seconds: IDLE.as_secs(), ..Settings::default() };
    TestNode::start_with(settings, IngestSettings::default()).await
}

async fn connect(node: &TestNode) -> TcpStream {
    TcpStream::connect(node.url.trim_start_matches("http://")).await.unwrap()
}

/// Connects and sends; then all that is answered until the node closes the connection.
async fn all_answered(node: &TestNode, sent: &[u8]) -> String {
    let mut stream = connect(node).await;
    stream.write_all(sent).await.unwrap();
    let mut answer = Vec::new();
    let ended = timeout(AT_MOST, stream.read_to_end(&mut answer)).await;
    // Closed with bytes unread is a reset, and closed as well.
    assert!(ended.is_ok(), "never closed: {:?}", String::from_utf8_lossy(sent));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_asks_nothing_is_closed_at_whatever_point_it_stops() {
    let node = node(100).await;
    // Nothing; what may become HTTP/1 or /2; half of a head; what begins HTTP/2 and is no request yet.
    for silent in [&b""[..], b"P", b"GET /healthz HTTP/1.1\r\nHost: k", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"] {
        let answer = all_answered(&node, silent).await;
        assert!(!answer.contains("200"), "{answer}");
    }
    let answered = all_answered(&node, b"GET /healthz HTTP/1.1\r\nHost: kyma\r\n\r\n").await;
    assert!(answered.starts_with("HTTP/1.1 200"), "{answered}");
    node.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_finds_no_room_waits_for_it() {
    let node = node(2).await;
    let began = Instant::now();
    let silent = [connect(&node).await, connect(&node).await];
    let reply = timeout(AT_MOST, node.get("/healthz").send()).await.expect("never answered").unwrap();
    assert_eq!(reply.status(), 200);
    assert!(began.elapsed() >= IDLE, "there was room for a third: {:?}", began.elapsed());
    drop(silent);
    node.stop().await;
}
