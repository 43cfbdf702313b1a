//! Bounds what all queries of a node read from the store at one time, and is fair among them.
//!
//! 1. A read asks for one request and for its bytes. While both fit and nobody waits, it goes at once.
//! 2. Otherwise it waits in the line of its query, first come, first served.
//! 3. When a read ends, the waiting query with the fewest bytes in flight goes next; of equals, the one whose last turn
//!    is longest ago, where a new query counts as if its turn had been just before the last one. So a query that reads
//!    little waits for about one read of each other, however many these have in line, and many such starve no scan.
//! 4. When that one does not fit yet, nobody overtakes it: a large read is not starved by small ones.
//!
//! A waiter that goes away leaves its place; a permit gives back what it holds when it is dropped. A read larger than
//! all bytes counts as all of them, so it goes alone. Waiting has no deadline here: each read that is let in has one,
//! so the line moves, and how long a query may take is the query's own limit.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::Mutex;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::oneshot;

/// Who reads. The same number twice at a time is the same query.
pub(crate) type QueryId = usize;

/// What the gate counts of itself.
#[derive(Debug, Clone, Default)]
pub(crate) struct GateMetrics {
    pub(crate) requests: Gauge,
    pub(crate) bytes: Gauge,
    pub(crate) waits: Counter,
}

/// The gate; clones share it.
#[derive(Debug, Clone)]
pub(crate) struct Gate {
    lines: Arc<Mutex<Lines>>,
    metrics: GateMetrics,
}

#[derive(Debug)]
struct Lines {
    requests_free: usize,
    bytes_free: u64,
    bytes_max: u64,
    /// Counts turns, by two; a new query comes between two turns.
    turns: u64,
    /// Queries that hold or wait for something.
    queries: HashMap<QueryId, Line>,
}

#[derive(Debug)]
struct Line {
    last_turn: u64,
    held_requests: usize,
    held_bytes: u64,
    waiting: VecDeque<Waiter>,
}

#[derive(Debug)]
struct Waiter {
    bytes: u64,
    permit: oneshot::Sender<Permit>,
}

/// The right to have one request in flight. Gives it back when dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    gate: Gate,
    query: QueryId,
    bytes: u64,
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.gate.lines.lock().give_back(self.query, self.bytes);
        self.gate.metrics.requests.dec();
        self.gate.metrics.bytes.dec_by(gauge_value(self.bytes));
        self.gate.let_in();
    }
}

impl Gate {
    /// Lets in at most `requests` reads of at most `bytes` together; at least one.
    pub(crate) fn new(requests: usize, bytes: u64, metrics: GateMetrics) -> Self {
        let (requests_free, bytes_max) = (requests.max(1), bytes.max(1));
        let lines = Lines { requests_free, bytes_free: bytes_max, bytes_max, turns: 2, queries: HashMap::new() };
        Gate { lines: Arc::new(Mutex::new(lines)), metrics }
    }

    /// Waits for the turn of a read of `bytes`.
    pub(crate) async fn enter(&self, query: QueryId, bytes: u64) -> Permit {
        loop {
            let mut turn = self.lines.lock().line_up(query, bytes);
            self.let_in();
            if let Ok(permit) = turn.try_recv() {
                return permit;
            }
            self.metrics.waits.inc();
            if let Ok(permit) = turn.await {
                return permit;
            }
        }
    }

    /// A permit if there is room now and nobody waits for it.
    pub(crate) fn try_enter(&self, query: QueryId, bytes: u64) -> Option<Permit> {
        let mut lines = self.lines.lock();
        let bytes = bytes.min(lines.bytes_max);
        if lines.next().is_some() || !lines.fits(bytes) {
            return None;
        }
        lines.take(query, bytes);
        Some(self.permit(query, bytes))
    }

    /// Lets in whoever is next and fits.
    fn let_in(&self) {
        // Dropped only now, outside the lock: permits of waiters that left in the very moment.
        drop(self.let_in_fitting());
    }

    fn let_in_fitting(&self) -> Vec<Permit> {
        let mut lines = self.lines.lock();
        let mut unclaimed = Vec::new();
        while let Some((query, bytes)) = lines.next() {
            if !lines.fits(bytes) {
                break;
            }
            let Some(waiter) = lines.queries.get_mut(&query).and_then(|line| line.waiting.pop_front()) else { break };
            lines.take(query, bytes);
            unclaimed.extend(waiter.permit.send(self.permit(query, bytes)).err());
        }
        unclaimed
    }

    fn permit(&self, query: QueryId, bytes: u64) -> Permit {
        self.metrics.requests.inc();
        self.metrics.bytes.inc_by(gauge_value(bytes));
        Permit { gate: self.clone(), query, bytes }
    }
}

impl Lines {
    fn line_up(&mut self, query: QueryId, bytes: u64) -> oneshot::Receiver<Permit> {
        let (permit, turn) = oneshot::channel();
        let waiter = Waiter { bytes: bytes.min(self.bytes_max), permit };
        self.line(query).waiting.push_back(waiter);
        turn
    }

    fn line(&mut self, query: QueryId) -> &mut Line {
        let last_turn = self.turns - 1;
        let new = || Line { last_turn, held_requests: 0, held_bytes: 0, waiting: VecDeque::new() };
        self.queries.entry(query).or_insert_with(new)
    }

    /// Whose turn it is, and for how many bytes. Forgets waiters that left.
    fn next(&mut self) -> Option<(QueryId, u64)> {
        let mut next: Option<(u64, u64, QueryId, u64)> = None;
        self.queries.retain(|&query, line| {
            while line.waiting.front().is_some_and(|waiter| waiter.permit.is_closed()) {
                line.waiting.pop_front();
            }
            if let Some(first) = line.waiting.front() {
                let turn = (line.held_bytes, line.last_turn, query, first.bytes);
                next = Some(next.map_or(turn, |other| other.min(turn)));
            }
            line.held_requests > 0 || !line.waiting.is_empty()
        });
        next.map(|(_, _, query, bytes)| (query, bytes))
    }

    fn fits(&self, bytes: u64) -> bool {
        self.requests_free > 0 && bytes <= self.bytes_free
    }

    fn take(&mut self, query: QueryId, bytes: u64) {
        self.requests_free -= 1;
        self.bytes_free -= bytes;
        self.turns += 2;
        let turn = self.turns;
        let line = self.line(query);
        line.last_turn = turn;
        line.held_requests += 1;
        line.held_bytes += bytes;
    }

    fn give_back(&mut self, query: QueryId, bytes: u64) {
        self.requests_free += 1;
        self.bytes_free += bytes;
        if let Some(line) = self.queries.get_mut(&query) {
            line.held_requests -= 1;
            line.held_bytes -= bytes;
        }
    }
}

fn gauge_value(bytes: u64) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
