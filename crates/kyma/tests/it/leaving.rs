//! A node that is told to leave once, and twice.

use crate::process::{Dev, pause};

#[tokio::test(flavor = "multi_thread")]
async fn a_second_signal_ends_it_at_once() {
    let database = kyma_testkit::postgres::database().await;
    let folder = tempfile::tempdir().unwrap();
    // It would leave after twenty minutes; `Dev::end` waits for one.
    let patient = [("KYMA_SERVER__DRAIN_SECONDS", "3600"), ("KYMA_SERVER__LAME_DUCK_MILLIS", "1200000")];
    let node = Dev::serve(&database.url, &folder.path().join("objects"), &patient);
    node.signal("-TERM");
    while !node.output().contains("the node leaves") {
        pause();
    }
    assert!(node.end("-INT").success());
}
