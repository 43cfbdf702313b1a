//! Tasks and nodes.

use std::collections::BTreeSet;

use futures::future::join_all;
use kyma_core::TaskId;
use kyma_core::catalog::{NewTask, Node, TaskStatus};

use super::*;

const LEASE: Duration = Duration::from_secs(60);

fn task(kind: &str, dedup_key: &str) -> NewTask {
    NewTask {
        kind: kind.to_owned(),
        dedup_key: dedup_key.to_owned(),
        payload: serde_json::json!({ "key": dedup_key }),
        priority: 0,
        delay: Duration::ZERO,
        attempts_max: 3,
    }
}

async fn status(catalog: &Arc<dyn Catalog>, task: TaskId) -> TaskStatus {
    let recent = catalog.recent(10_000).await.unwrap();
    recent.into_iter().find(|status| status.id == task).expect("a recent task")
}

/// Many claimers share many tasks: each is claimed by one, none is left.
pub(super) async fn tasks_are_claimed_exactly_once(catalog: &Arc<dyn Catalog>) {
    const TASKS: usize = 60;
    let kind = unique("kind");
    for i in 0..TASKS {
        assert!(catalog.enqueue(&task(&kind, &i.to_string())).await.unwrap());
    }
    assert!(!catalog.enqueue(&task(&kind, "0")).await.unwrap(), "one in flight per key");
    let claimer = || async {
        let (node, kinds, mut claimed) = (NodeId::generate(), [kind.clone()], Vec::new());
        while let Some(task) = catalog.claim(node, &kinds, LEASE).await.unwrap() {
            assert_eq!((task.token, task.attempt), (1, 1));
            claimed.push(task);
        }
        claimed
    };
    let claimed: Vec<_> = join_all((0..8).map(|_| claimer())).await.into_iter().flatten().collect();
    let keys: BTreeSet<String> = claimed.iter().map(|task| task.payload["key"].to_string()).collect();
    assert_eq!((claimed.len(), keys.len()), (TASKS, TASKS));
    assert!(!catalog.enqueue(&task(&kind, "0")).await.unwrap(), "also while running");
    for task in &claimed {
        catalog.complete(task.id, task.token).await.unwrap();
    }
    assert_eq!(status(catalog, claimed[0].id).await.state, "done");
    assert!(catalog.enqueue(&task(&kind, "0")).await.unwrap(), "again when done");
}

/// A worker that stalls past its lease loses the task to another, whose token counts.
pub(super) async fn a_stale_token_is_refused(catalog: &Arc<dyn Catalog>) {
    let kinds = [unique("kind")];
    catalog.enqueue(&task(&kinds[0], "only")).await.unwrap();
    let stalled = catalog.claim(NodeId::generate(), &kinds, Duration::from_millis(10)).await.unwrap().unwrap();
    a_moment().await;
    let current = catalog.claim(NodeId::generate(), &kinds, LEASE).await.unwrap().unwrap();
    assert_eq!((current.id, current.attempt), (stalled.id, 2));
    assert!(current.token > stalled.token);
    refused(catalog.renew(stalled.id, stalled.token, LEASE).await, Kind::Conflict, "catalog.token_stale");
    refused(catalog.complete(stalled.id, stalled.token).await, Kind::Conflict, "catalog.token_stale");
    refused(catalog.fail(stalled.id, stalled.token, "late").await, Kind::Conflict, "catalog.token_stale");
    refused(catalog.give_back(stalled.id, stalled.token).await, Kind::Conflict, "catalog.token_stale");
    catalog.renew(current.id, current.token, LEASE).await.unwrap();
    assert_eq!(catalog.claim(NodeId::generate(), &kinds, LEASE).await.unwrap(), None);
    catalog.complete(current.id, current.token).await.unwrap();
    refused(catalog.complete(current.id, current.token).await, Kind::Conflict, "catalog.token_stale");
}

pub(super) async fn failures_are_retried_then_parked(catalog: &Arc<dyn Catalog>) {
    let kinds = [unique("kind")];
    let node = NodeId::generate();
    catalog.enqueue(&NewTask { attempts_max: 2, ..task(&kinds[0], "only") }).await.unwrap();
    let first = catalog.claim(node, &kinds, LEASE).await.unwrap().unwrap();
    catalog.fail(first.id, first.token, "no\0 luck").await.unwrap();
    assert_eq!(catalog.claim(node, &kinds, LEASE).await.unwrap(), None, "it waits for its backoff");
    let queued = status(catalog, first.id).await;
    assert_eq!((&*queued.state, queued.attempts), ("queued", 1));
    assert!(queued.error.unwrap().contains("luck"));
    let second = loop {
        if let Some(task) = catalog.claim(node, &kinds, Duration::from_millis(10)).await.unwrap() {
            break task;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    assert_eq!(second.attempt, 2);
    // The lease runs out at the last attempt: parked, not claimed for ever.
    a_moment().await;
    assert_eq!(catalog.claim(node, &kinds, LEASE).await.unwrap(), None);
    assert_eq!(status(catalog, second.id).await.state, "parked");
    assert!(catalog.enqueue(&task(&kinds[0], "only")).await.unwrap(), "a parked task does not block its key");
    let again = catalog.claim(node, &kinds, LEASE).await.unwrap().unwrap();
    for _ in 0..3 {
        let _ = catalog.fail(again.id, again.token, "given up").await;
    }
    assert_eq!(status(catalog, again.id).await.attempts, 1, "a token fails once");
}

/// A node that stops gives back what it has: the next one begins at once, with as many attempts.
pub(super) async fn a_task_that_is_given_back_was_not_tried(catalog: &Arc<dyn Catalog>) {
    let kinds = [unique("kind")];
    catalog.enqueue(&NewTask { attempts_max: 1, ..task(&kinds[0], "only") }).await.unwrap();
    for _ in 0..3 {
        let claimed = catalog.claim(NodeId::generate(), &kinds, LEASE).await.unwrap().unwrap();
        assert_eq!(claimed.attempt, 1);
        catalog.give_back(claimed.id, claimed.token).await.unwrap();
        let waiting = status(catalog, claimed.id).await;
        assert_eq!((&*waiting.state, waiting.attempts), ("queued", 0));
    }
}

pub(super) async fn tasks_wait_for_their_time_and_go_by_priority(catalog: &Arc<dyn Catalog>) {
    let kinds = [unique("kind")];
    let node = NodeId::generate();
    catalog.enqueue(&task(&kinds[0], "plain")).await.unwrap();
    catalog.enqueue(&NewTask { priority: 5, ..task(&kinds[0], "urgent") }).await.unwrap();
    catalog
        .enqueue(&NewTask { priority: 9, delay: Duration::from_secs(3_600), ..task(&kinds[0], "later") })
        .await
        .unwrap();
    let mut order = Vec::new();
    while let Some(task) = catalog.claim(node, &kinds, LEASE).await.unwrap() {
        order.push(task.payload["key"].as_str().unwrap().to_owned());
    }
    assert_eq!(order, ["urgent", "plain"]);
}

pub(super) async fn nodes_come_and_go(catalog: &Arc<dyn Catalog>) {
    let node = Node {
        id: NodeId::generate(),
        roles: vec!["ingest".to_owned(), "query".to_owned()],
        http_address: "10.0.0.1:8080".to_owned(),
        grpc_address: "10.0.0.1:8081".to_owned(),
        version: "0.1.0".to_owned(),
        zone: String::new(),
    };
    catalog.heartbeat(&node).await.unwrap();
    assert!(catalog.live(Duration::from_secs(60)).await.unwrap().contains(&node));
    a_moment().await;
    assert!(!catalog.live(Duration::from_millis(10)).await.unwrap().contains(&node), "its heart has stopped");
    let moved = Node { http_address: "10.0.0.2:8080".to_owned(), ..node };
    catalog.heartbeat(&moved).await.unwrap();
    assert!(catalog.live(Duration::from_secs(60)).await.unwrap().contains(&moved));
    catalog.leave(moved.id).await.unwrap();
    assert!(!catalog.live(Duration::from_secs(60)).await.unwrap().contains(&moved));
}

pub(super) async fn open_tasks_are_listed_and_parked_ones_are_queued_anew(catalog: &Arc<dyn Catalog>) {
    let (kind, node) = (unique("kind"), NodeId::generate());
    let kinds = [kind.clone()];
    let once = |key: &str| NewTask { attempts_max: 1, ..task(&kind, key) };
    for key in ["parked", "running", "queued"] {
        catalog.enqueue(&once(key)).await.unwrap();
    }
    let parked = catalog.claim(node, &kinds, LEASE).await.unwrap().unwrap();
    catalog.fail(parked.id, parked.token, "no luck").await.unwrap();
    let running = catalog.claim(node, &kinds, LEASE).await.unwrap().unwrap();
    let open = |within: Duration| {
        let kind = &kind;
        async move {
            let tasks = catalog.open_tasks(kind, within, 100).await.unwrap();
            tasks.into_iter().map(|task| (task.dedup_key, task.state, task.node)).collect::<Vec<_>>()
        }
    };
    let row = |key: &str, state: &str, node| (key.to_owned(), state.to_owned(), node);
    let all =
        [row("queued", "queued", None), row("running", "running", Some(node)), row("parked", "parked", Some(node))];
    assert_eq!(open(LEASE).await, all);
    a_moment().await;
    assert_eq!(open(Duration::ZERO).await, all[..2]);
    let counts = catalog.task_counts().await.unwrap();
    let counted: Vec<_> =
        counts.iter().filter(|count| count.kind == kind).map(|count| (&*count.state, count.tasks)).collect();
    assert_eq!(counted, [("parked", 1), ("queued", 1), ("running", 1)]);
    assert_eq!(catalog.unpark(running.id).await.unwrap(), None, "it is not parked");
    catalog.enqueue(&once("parked")).await.unwrap();
    refused(catalog.unpark(parked.id).await, Kind::Conflict, "catalog.task_open");
    while let Some(task) = catalog.claim(node, &kinds, LEASE).await.unwrap() {
        catalog.complete(task.id, task.token).await.unwrap();
    }
    let anew = catalog.unpark(parked.id).await.unwrap().unwrap();
    assert_eq!((anew.id, &*anew.state, anew.attempts, &*anew.dedup_key), (parked.id, "queued", 0, "parked"));
    let again = catalog.claim(node, &kinds, LEASE).await.unwrap().unwrap();
    assert_eq!((again.id, again.attempt), (parked.id, 1));
    assert!(again.token > parked.token);
}
