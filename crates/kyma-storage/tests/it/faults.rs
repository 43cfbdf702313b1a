//! Stores that fail, hang or lose answers.

use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use kyma_core::Kind;
use kyma_storage::Store;
use kyma_storage::fault::{Call, Fault, Faults, FaultyStore};
use kyma_storage::object_store::memory::InMemory;

fn faulty() -> (Arc<Store>, Faults) {
    let (faulty, faults) = FaultyStore::new(Arc::new(InMemory::new()));
    (Store::with_deadlines(faulty, Duration::from_secs(1), Duration::from_millis(200)), faults)
}

#[tokio::test]
async fn a_put_whose_answer_was_lost_succeeds() {
    let (store, faults) = faulty();
    faults.plan(Call::Put, Fault::LostAnswer);
    store.put("a/b", Bytes::from_static(b"once")).await.unwrap();
    assert_eq!(faults.puts(), 2);
}

#[tokio::test]
async fn a_put_that_collides_with_nothing_is_tried_again() {
    let (store, faults) = faulty();
    faults.plan(Call::Put, Fault::Exists);
    store.put("a/b", Bytes::from_static(b"once")).await.unwrap();
    assert_eq!(faults.puts(), 2);
    assert_eq!(store.size("a/b").await.unwrap(), Some(4));
}

#[tokio::test]
async fn a_put_never_replaces_another_object() {
    let (store, faults) = faulty();
    store.put("a/b", Bytes::from_static(b"first")).await.unwrap();
    let error = store.put("a/b", Bytes::from_static(b"other")).await.unwrap_err();
    assert_eq!((error.kind(), error.code()), (Kind::Conflict, "store.object_exists"));
    faults.plan(Call::Put, Fault::Error);
    assert_eq!(store.put("a/b", Bytes::from_static(b"other")).await.unwrap_err().kind(), Kind::Conflict);
}

#[tokio::test]
async fn errors_and_hangs_are_retried_and_bounded() {
    let (store, faults) = faulty();
    faults.plan(Call::Put, Fault::Error);
    faults.plan(Call::Put, Fault::Hang);
    store.put("a/b", Bytes::from_static(b"x")).await.unwrap();

    for down in [true, false] {
        faults.set_down(down);
        faults.set_hang(!down);
        let started = Instant::now();
        assert_eq!(store.put("a/c", Bytes::from_static(b"x")).await.unwrap_err().code(), "store.unavailable");
        assert_eq!(store.exists("a/b").await.unwrap_err().kind(), Kind::Unavailable);
        assert_eq!(store.delete("a/b").await.unwrap_err().kind(), Kind::Unavailable);
        assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    }
    faults.set_hang(false);
    assert!(store.exists("a/b").await.unwrap());
}
