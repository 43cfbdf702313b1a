//! One node's hold of its futures: it runs, is stalled, or is dead.

use std::future::poll_fn;
use std::task::{Poll, Waker};
use std::time::Duration;

use kyma_core::scope::{Scope, Turn};
use parking_lot::Mutex;
use tokio::time::Instant;

/// The hold.
#[derive(Debug)]
pub struct NodeScope(Mutex<State>);

#[derive(Debug)]
struct State {
    turn: Turn,
    /// Since when it has run without a stall.
    running_since: Instant,
    wakers: Vec<Option<Waker>>,
    free: Vec<usize>,
}

impl NodeScope {
    /// A node that runs.
    pub fn running() -> NodeScope {
        let state = State { turn: Turn::Run, running_since: Instant::now(), wakers: Vec::new(), free: Vec::new() };
        NodeScope(Mutex::new(state))
    }

    /// Stalls the node, as a stopped process or a machine that swaps, or lets it go on. Nothing happens to a dead one.
    pub fn stall(&self, is_stalled: bool) {
        self.set(if is_stalled { Turn::Wait } else { Turn::Run });
    }

    /// Kills the node.
    pub fn kill(&self) {
        self.set(Turn::End);
    }

    /// Whether it is dead.
    pub fn is_dead(&self) -> bool {
        self.0.lock().turn == Turn::End
    }

    /// For how long it has run since it last stalled; `None` when it does not.
    pub fn running_for(&self) -> Option<Duration> {
        let state = self.0.lock();
        (state.turn == Turn::Run).then(|| state.running_since.elapsed())
    }

    fn set(&self, turn: Turn) {
        let mut state = self.0.lock();
        if state.turn == Turn::End || state.turn == turn {
            return;
        }
        state.turn = turn;
        state.running_since = Instant::now();
        let wakers: Vec<Waker> = state.wakers.iter().flatten().cloned().collect();
        drop(state);
        wakers.into_iter().for_each(Waker::wake);
    }

    /// Waits until the node runs: for code that is the node's but was not spawned as such.
    pub async fn running_now(&self) {
        let mut place = Place { scope: self, number: None };
        poll_fn(|context| match self.enter(&mut place.number, context.waker()) {
            Turn::Run => Poll::Ready(()),
            Turn::Wait | Turn::End => Poll::Pending,
        })
        .await;
    }
}

struct Place<'a> {
    scope: &'a NodeScope,
    number: Option<usize>,
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.scope.leave(number);
        }
    }
}

impl Scope for NodeScope {
    fn enter(&self, place: &mut Option<usize>, waker: &Waker) -> Turn {
        let mut state = self.0.lock();
        let number = match *place {
            Some(number) => number,
            None => state.free.pop().unwrap_or_else(|| {
                state.wakers.push(None);
                state.wakers.len() - 1
            }),
        };
        *place = Some(number);
        let known = &mut state.wakers[number];
        if !known.as_ref().is_some_and(|known| known.will_wake(waker)) {
            *known = Some(waker.clone());
        }
        state.turn
    }

    fn leave(&self, place: usize) {
        let mut state = self.0.lock();
        state.wakers[place] = None;
        state.free.push(place);
    }
}
