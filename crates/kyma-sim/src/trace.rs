//! What happened, as a hash that two runs of a seed must agree on, and as text when somebody wants to read it.

use std::collections::VecDeque;

use parking_lot::Mutex;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// Events that a log keeps.
const KEPT: usize = 400;

/// The trace of a run.
#[derive(Debug)]
pub struct Trace {
    start: Instant,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    hash: u64,
    events: u64,
    log: Option<VecDeque<String>>,
}

impl Trace {
    /// A trace that begins now; with a log if its text is wanted.
    pub fn new(has_log: bool) -> Trace {
        let state = State { hash: 0, events: 0, log: has_log.then(VecDeque::new) };
        Trace { start: Instant::now(), state: Mutex::new(state) }
    }

    /// Notes that `who` met `what`, with a number that two runs must agree on, and words for people.
    pub fn note(&self, who: &str, what: &str, number: u64, words: impl FnOnce() -> String) {
        let millis = self.start.elapsed().as_millis() as u64;
        let mut state = self.state.lock();
        let mut bytes = [0_u8; 96];
        bytes[..8].copy_from_slice(&millis.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        let mut end = 16;
        for byte in who.bytes().chain(what.bytes()).take(80) {
            bytes[end] = byte;
            end += 1;
        }
        state.hash = xxh3_64_with_seed(&bytes[..end], state.hash);
        state.events += 1;
        if let Some(log) = &mut state.log {
            if log.len() == KEPT {
                log.pop_front();
            }
            log.push_back(format!("{:>9.3} s  {who:<10} {what:<18} {}", millis as f64 / 1e3, words()));
        }
    }

    /// The hash so far, and of how many events.
    pub fn hash(&self) -> (u64, u64) {
        let state = self.state.lock();
        (state.hash, state.events)
    }

    /// The last events.
    pub fn last(&self, count: usize) -> Vec<String> {
        let state = self.state.lock();
        let log = state.log.iter().flatten();
        let skipped = state.log.as_ref().map_or(0, VecDeque::len).saturating_sub(count);
        log.skip(skipped).cloned().collect()
    }
}

/// A number that stands for bytes.
pub fn number(bytes: &[u8]) -> u64 {
    xxh3_64_with_seed(bytes, 0)
}
