//! Which node a spawned future belongs to.
//!
//! In the product a node is a process and everything in it is its own: [`carried`] hands the future on. The simulator runs
//! several nodes in one thread. Each of them is a [`Scope`], which lets its futures run, holds them back as a stalled
//! process is held back, or ends them as `kill -9` does, at any point where they wait. What a node spawns must belong to the
//! node, too, and only the code that spawns can say so.

use std::cell::RefCell;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

/// Says when the futures of one node run.
pub trait Scope: Send + Sync {
    /// Whether a future runs now. `place` is the future's own, empty at first; until [`Scope::leave`] it is woken whenever
    /// the answer changes.
    fn enter(&self, place: &mut Option<usize>, waker: &Waker) -> Turn;

    /// The future at `place` has ended.
    fn leave(&self, place: usize);
}

/// What a future may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Turn {
    /// Run.
    Run,
    /// Nothing, for now.
    Wait,
    /// Never run again: it is dropped where it stands.
    End,
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Scope>>> = const { RefCell::new(None) };
}

/// A future that is about to be spawned, as part of the node whose code spawns it.
pub fn carried<F: Future>(future: F) -> impl Future<Output = F::Output> {
    let scope = CURRENT.with_borrow(Clone::clone);
    async move {
        match scope {
            None => future.await,
            Some(scope) => within(scope, future).await,
        }
    }
}

/// A future that runs when its scope says so. One that is ended never completes.
pub async fn within<F: Future>(scope: Arc<dyn Scope>, future: F) -> F::Output {
    let mut running = Some(Box::pin(future));
    let mut place = Place { scope, number: None };
    poll_fn(move |context: &mut Context<'_>| {
        match place.scope.enter(&mut place.number, context.waker()) {
            Turn::Run => {}
            Turn::Wait => return Poll::Pending,
            Turn::End => {
                let _current = Entered::new(&place.scope);
                running = None;
                return Poll::Pending;
            }
        }
        let _current = Entered::new(&place.scope);
        match &mut running {
            Some(future) => future.as_mut().poll(context),
            None => Poll::Pending,
        }
    })
    .await
}

/// A future's place in its scope, given back when dropped.
struct Place {
    scope: Arc<dyn Scope>,
    number: Option<usize>,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(number) = self.number {
            self.scope.leave(number);
        }
    }
}

/// The scope whose code runs now, until dropped.
struct Entered(Option<Arc<dyn Scope>>);

impl Entered {
    fn new(scope: &Arc<dyn Scope>) -> Self {
        Entered(CURRENT.replace(Some(Arc::clone(scope))))
    }
}

impl Drop for Entered {
    fn drop(&mut self) {
        CURRENT.set(self.0.take());
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};

    use super::*;

    /// Lets in by its number: 0 runs, 1 waits, 2 ends.
    #[derive(Default)]
    struct Gate {
        turn: AtomicU8,
        left: AtomicUsize,
    }

    impl Scope for Gate {
        fn enter(&self, place: &mut Option<usize>, _waker: &Waker) -> Turn {
            *place = Some(7);
            [Turn::Run, Turn::Wait, Turn::End][self.turn.load(Ordering::SeqCst) as usize]
        }

        fn leave(&self, place: usize) {
            self.left.store(place, Ordering::SeqCst);
        }
    }

    #[test]
    fn a_future_waits_runs_and_ends_with_its_scope_and_so_does_what_it_spawns() {
        let gate = Arc::new(Gate::default());
        let scope: Arc<dyn Scope> = gate.clone();
        let held = Arc::new(());
        let inner = Arc::clone(&held);
        let mut spawned = None;
        let future = within(scope, async {
            spawned = Some(Box::pin(carried(async move {
                let _inner = inner;
                std::future::pending::<()>().await;
            })));
        });
        let mut context = Context::from_waker(Waker::noop());
        {
            let mut future = pin!(future);
            gate.turn.store(1, Ordering::SeqCst);
            assert!(future.as_mut().poll(&mut context).is_pending());
            gate.turn.store(0, Ordering::SeqCst);
            assert!(future.as_mut().poll(&mut context).is_ready());
        }
        assert_eq!(gate.left.load(Ordering::SeqCst), 7);
        let mut spawned = spawned.expect("it ran");
        assert!(spawned.as_mut().poll(&mut context).is_pending());
        assert_eq!(Arc::strong_count(&held), 2);
        gate.turn.store(2, Ordering::SeqCst);
        assert!(spawned.as_mut().poll(&mut context).is_pending());
        assert_eq!(Arc::strong_count(&held), 1, "it is dropped where it stood");
        assert!(CURRENT.with_borrow(Option::is_none));
    }
}
