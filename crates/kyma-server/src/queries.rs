//! The queries of this node: those that run, and the latest that ended.
//!
//! A query is entered when it gets its turn. It leaves when its [`Watched`] is dropped, as what it was last said to be:
//! one that nobody said anything about was cancelled, or given up by its client.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use kyma_core::clock::Clock;
use kyma_core::profile::Profile;
use kyma_exec::{Answer, QueryError, QueryRequest, ResultTable};
use parking_lot::Mutex;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::settings::{RECENT_QUERIES_MAX, SHOWN_TEXT_BYTES_MAX};

tokio::task_local! {
    /// Who sent the request that the task answers.
    pub(crate) static CALLER: Caller;
}

/// Who asks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Caller {
    /// The client's id of its request, by which it can be cancelled.
    pub(crate) client_request_id: String,
    /// Who the client says it is.
    pub(crate) user: String,
    /// What the client says it is.
    pub(crate) application: String,
}

/// How a query is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum QueryState {
    Running,
    Completed,
    Failed,
    Cancelled,
}

impl QueryState {
    pub(crate) fn name(self) -> &'static str {
        match self {
            QueryState::Running => "InProgress",
            QueryState::Completed => "Completed",
            QueryState::Failed => "Failed",
            QueryState::Cancelled => "Canceled",
        }
    }
}

/// What a query cost, as far as it is known.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) tables: usize,
    pub(crate) rows: usize,
    pub(crate) rows_scanned: u64,
    pub(crate) rows_total: u64,
    pub(crate) cache_hits: u64,
    pub(crate) cache_bytes: u64,
    pub(crate) store_requests: u64,
    pub(crate) store_bytes: u64,
    pub(crate) memory_peak_bytes: u64,
    pub(crate) compute_micros: u64,
}

impl Cost {
    fn of(profile: &Profile, tables: &[ResultTable]) -> Self {
        Cost {
            tables: tables.len(),
            rows: tables.iter().map(ResultTable::rows).sum(),
            rows_scanned: profile.rows_scanned,
            rows_total: profile.rows_total,
            cache_hits: profile.cache_hits,
            cache_bytes: profile.cache_bytes,
            store_requests: profile.store_requests,
            store_bytes: profile.store_bytes,
            memory_peak_bytes: profile.memory_peak_bytes,
            compute_micros: profile.compute_micros(),
        }
    }
}

/// A query as it is listed.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) client_request_id: String,
    pub(crate) activity: Uuid,
    pub(crate) text: String,
    pub(crate) database: String,
    pub(crate) user: String,
    pub(crate) application: String,
    /// In nanoseconds.
    pub(crate) started: i64,
    /// In nanoseconds.
    pub(crate) ended: Option<i64>,
    pub(crate) state: QueryState,
    /// Why it failed, or "".
    pub(crate) failure: String,
    pub(crate) cost: Cost,
}

/// The list.
#[derive(Debug)]
pub(crate) struct Queries {
    clock: Arc<dyn Clock>,
    lists: Mutex<Lists>,
}

#[derive(Debug, Default)]
struct Lists {
    next: u64,
    running: BTreeMap<u64, (Entry, CancellationToken)>,
    /// The latest last.
    ended: VecDeque<Entry>,
}

impl Queries {
    pub(crate) fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        Arc::new(Queries { clock, lists: Mutex::default() })
    }

    /// Enters a query that is about to run; `cancel` stops it.
    pub(crate) fn enter(self: &Arc<Self>, request: &QueryRequest, cancel: CancellationToken) -> Watched {
        let caller = CALLER.try_with(Clone::clone).unwrap_or_default();
        let entry = Entry {
            client_request_id: caller.client_request_id,
            activity: Uuid::new_v4(),
            text: shortened(&request.text),
            database: request.database.clone(),
            user: caller.user,
            application: caller.application,
            started: self.clock.now(),
            ended: None,
            state: QueryState::Running,
            failure: String::new(),
            cost: Cost::default(),
        };
        let mut lists = self.lists.lock();
        lists.next += 1;
        let place = lists.next;
        lists.running.insert(place, (entry, cancel));
        Watched { queries: Arc::clone(self), place }
    }

    /// Those that run, the latest first, and unless `running`, those that ended.
    pub(crate) fn list(&self, running: bool) -> Vec<Entry> {
        let lists = self.lists.lock();
        let running_ones = lists.running.values().rev().map(|(entry, _)| entry);
        let ended = lists.ended.iter().rev().filter(|_| !running);
        running_ones.chain(ended).cloned().collect()
    }

    /// How many run.
    pub(crate) fn running_count(&self) -> u64 {
        self.lists.lock().running.len() as u64
    }

    /// Stops the queries of a client request id, and says what they asked.
    pub(crate) fn cancel(&self, client_request_id: &str) -> Vec<String> {
        let lists = self.lists.lock();
        let is_meant = |entry: &Entry| entry.client_request_id == client_request_id;
        let meant = lists.running.values().filter(|(entry, _)| is_meant(entry));
        meant
            .map(|(entry, cancel)| {
                cancel.cancel();
                entry.text.clone()
            })
            .collect()
    }
}

/// A query in the list; dropping it ends the query there.
#[derive(Debug)]
pub(crate) struct Watched {
    queries: Arc<Queries>,
    place: u64,
}

impl Watched {
    /// Notes how the query ended.
    pub(crate) fn note(&self, answer: &Result<Answer, QueryError>, profile: &Profile) {
        self.change(|entry| match answer {
            Ok(answer) => {
                entry.state = QueryState::Completed;
                entry.cost = Cost::of(profile, &answer.tables);
            }
            Err(error) => {
                entry.cost = Cost::of(profile, &[]);
                entry.fail(error);
            }
        });
    }

    /// Notes that a stream of rows failed.
    pub(crate) fn note_failure(&self, error: &QueryError) {
        self.change(|entry| entry.fail(error));
    }

    /// Notes that the last row of a stream was sent.
    pub(crate) fn note_end(&self) {
        self.change(|entry| entry.state = QueryState::Completed);
    }

    fn change(&self, change: impl FnOnce(&mut Entry)) {
        if let Some((entry, _)) = self.queries.lists.lock().running.get_mut(&self.place) {
            change(entry);
        }
    }
}

impl Entry {
    fn fail(&mut self, error: &QueryError) {
        let is_cancelled = matches!(error, QueryError::Failed(error) if error.kind() == kyma_core::Kind::Cancelled);
        self.state = if is_cancelled { QueryState::Cancelled } else { QueryState::Failed };
        self.failure = error.to_string();
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let now = self.queries.clock.now();
        let mut lists = self.queries.lists.lock();
        let Some((mut entry, _)) = lists.running.remove(&self.place) else { return };
        entry.ended = Some(now);
        if entry.state == QueryState::Running {
            entry.state = QueryState::Cancelled;
        }
        if lists.ended.len() >= RECENT_QUERIES_MAX {
            lists.ended.pop_front();
        }
        lists.ended.push_back(entry);
    }
}

/// The beginning of a text that is too long to keep.
fn shortened(text: &str) -> String {
    if text.len() <= SHOWN_TEXT_BYTES_MAX {
        return text.to_owned();
    }
    let end = (0..=SHOWN_TEXT_BYTES_MAX).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}...", &text[..end])
}

#[cfg(test)]
mod tests {
    use kyma_core::clock::SystemClock;
    use kyma_core::{Error, Kind};

    use super::*;

    fn states(queries: &Queries) -> Vec<&'static str> {
        queries.list(false).iter().map(|entry| entry.state.name()).collect()
    }

    #[tokio::test]
    async fn a_query_is_listed_from_its_turn_to_its_end() {
        let queries = Queries::new(Arc::new(SystemClock));
        let request = QueryRequest::new("kql", "db", "T | count");
        let cancel = CancellationToken::new();
        let caller = Caller { client_request_id: "c;1".to_owned(), ..Caller::default() };
        let watched = CALLER.scope(caller, async { queries.enter(&request, cancel.clone()) }).await;
        let other = queries.enter(&request, CancellationToken::new());
        assert_eq!(queries.list(true).len(), 2);
        assert_eq!(queries.cancel("nobody's"), Vec::<String>::new());
        assert_eq!(queries.cancel("c;1"), ["T | count"]);
        assert!(cancel.is_cancelled());
        watched.note_failure(&QueryError::Failed(Error::new(Kind::Cancelled, "query.cancelled", "it was cancelled")));
        drop(watched);
        other.note_end();
        drop(other);
        assert_eq!((queries.list(true).len(), states(&queries)), (0, vec!["Completed", "Canceled"]));
        drop(queries.enter(&request, CancellationToken::new()));
        assert_eq!(states(&queries)[0], "Canceled", "nobody said how it ended");
    }

    #[test]
    fn the_list_of_what_ended_is_bounded() {
        let queries = Queries::new(Arc::new(SystemClock));
        let request = QueryRequest::new("kql", "db", "ä".repeat(SHOWN_TEXT_BYTES_MAX));
        for _ in 0..RECENT_QUERIES_MAX + 5 {
            queries.enter(&request, CancellationToken::new()).note_end();
        }
        let listed = queries.list(false);
        assert_eq!(listed.len(), RECENT_QUERIES_MAX);
        assert!(listed[0].text.len() <= SHOWN_TEXT_BYTES_MAX + 3);
    }
}
