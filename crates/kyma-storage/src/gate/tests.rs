use std::pin::Pin;

use futures::FutureExt;

use super::*;

/// A read that asked to be let in.
type Read = Pin<Box<dyn Future<Output = Permit> + Send>>;

fn gate(requests: usize, bytes: u64) -> Gate {
    Gate::new(requests, bytes, GateMetrics::default())
}

/// Asks for a read and polls it once, so that it stands in line.
fn ask(gate: &Gate, query: QueryId, bytes: u64) -> (Read, Option<Permit>) {
    let gate = gate.clone();
    let mut read: Read = Box::pin(async move { gate.enter(query, bytes).await });
    let permit = read.as_mut().now_or_never();
    (read, permit)
}

#[test]
fn requests_and_bytes_are_bounded_and_given_back() {
    let gate = gate(2, 100);
    let (_, first) = ask(&gate, 1, 60);
    let (mut second, none) = ask(&gate, 1, 60);
    assert!(first.is_some() && none.is_none(), "too many bytes");
    assert_eq!((gate.metrics.requests.get(), gate.metrics.bytes.get(), gate.metrics.waits.get()), (1, 60, 1));
    drop(first);
    let second = second.as_mut().now_or_never();
    assert!(second.is_some());
    let (_, third) = ask(&gate, 1, 40);
    let (_, none) = ask(&gate, 1, 0);
    assert!(third.is_some() && none.is_none(), "too many requests");
    drop((second, third));
    assert_eq!((gate.metrics.requests.get(), gate.metrics.bytes.get()), (0, 0));
    assert!(gate.lines.lock().next().is_none() && gate.lines.lock().queries.is_empty(), "nothing is left behind");
}

#[test]
fn a_query_that_reads_little_overtakes_the_line_of_a_large_one() {
    let gate = gate(4, 1_000);
    let large: Vec<_> = (0..100).map(|_| ask(&gate, 1, 100)).collect();
    let (mut small, none) = ask(&gate, 2, 10);
    assert!(none.is_none());
    let mut held: Vec<_> = large.into_iter().collect();
    drop(held.remove(0).1);
    let small = small.as_mut().now_or_never();
    assert!(small.is_some(), "the first that ends makes room for the small query");
    let waiting = held.iter_mut().filter_map(|(read, permit)| permit.is_none().then_some(read));
    assert_eq!(waiting.filter_map(|read| read.as_mut().now_or_never()).count(), 0);
}

#[test]
fn a_large_read_is_not_overtaken_and_goes_alone() {
    let gate = gate(8, 100);
    let (_, small) = ask(&gate, 1, 10);
    let (mut large, none) = ask(&gate, 2, 5_000);
    assert!(none.is_none());
    let (mut later, none) = ask(&gate, 3, 10);
    assert!(none.is_none(), "10 bytes fit, but the large read came first");
    assert!(gate.try_enter(4, 1).is_none(), "a hedge does not overtake either");
    drop(small);
    let large = large.as_mut().now_or_never();
    assert!(large.is_some() && later.as_mut().now_or_never().is_none());
    drop(large);
    assert!(later.as_mut().now_or_never().is_some());
}

#[test]
fn a_waiter_that_leaves_leaves_its_place() {
    let gate = gate(1, 100);
    let (_, first) = ask(&gate, 1, 10);
    let (left, _) = ask(&gate, 2, 10);
    let (mut stays, _) = ask(&gate, 3, 10);
    drop(left);
    drop(first);
    let stays = stays.as_mut().now_or_never();
    assert!(stays.is_some());
    let (granted, _) = ask(&gate, 4, 10);
    drop(stays);
    drop(granted);
    assert!(gate.try_enter(5, 100).is_some(), "a permit that nobody took came back");
}

#[test]
fn who_holds_nothing_goes_in_turn() {
    let gate = gate(1, 100);
    let (_, mut holder) = ask(&gate, 1, 10);
    let mut waiting: Vec<_> = [1, 1, 1, 2, 3, 2].into_iter().map(|query| (query, ask(&gate, query, 10).0)).collect();
    let mut order = Vec::new();
    while !waiting.is_empty() {
        drop(holder.take());
        let next = |(at, (_, read)): (usize, &mut (QueryId, Read))| Some((at, read.as_mut().now_or_never()?));
        let (at, permit) = waiting.iter_mut().enumerate().find_map(next).expect("somebody goes");
        holder = Some(permit);
        order.push(waiting.remove(at).0);
    }
    assert_eq!(order, [2, 3, 1, 2, 1, 1]);
}
