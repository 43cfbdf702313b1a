//! Bugs that are planted on purpose, to prove that the simulator finds bugs.
//!
//! With the feature `planted-bugs`, which only the simulator turns on, the simulator arms one of them for a run in its own
//! thread. Without it nothing can be armed: [`is`] is a constant, and the compiler takes the bug away.

/// A bug, named by what it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[allow(missing_docs)] // `Bug::what` says it.
pub enum Bug {
    AckBeforeCommit,
    RetryWithoutLookup,
    TimeoutIsFailure,
    KeyReused,
    StatisticsOffByOne,
    ReplaceDropsBatch,
    CompactionDropsSource,
    CollectByAge,
    SweepIgnoresCatalogAge,
    ForgetBeforeDelete,
    FailedDeleteForgotten,
    ZombieContinues,
    LeaseNotRenewed,
    CommitWithoutReservation,
    ReplaceWithoutSourceCheck,
    ReceiptOutsideTransaction,
    DoomWithoutGrace,
    ListLatestInsteadOfPinned,
    PinAheadOfCommit,
    CompleteWithoutToken,
    OutcomeWithoutRevocation,
    CompactionLeavesRest,
    RetentionByOldest,
    RetentionByIngestion,
    RetentionTrustsNode,
    UndropForgetsExtents,
    GiveUpWithoutGrace,
    CommitToDroppedTable,
    DoomIgnoresHolds,
    ContentNotCommitted,
    ContentIgnoresTable,
    JournalMarkBeforePut,
    JournalOmitsRemovals,
    JournalContinuesOthers,
    RebuildTrustsWriters,
    RebuildKeepsReplaced,
}

impl Bug {
    /// Every bug.
    pub const ALL: &'static [Bug] = &[
        Bug::AckBeforeCommit,
        Bug::RetryWithoutLookup,
        Bug::TimeoutIsFailure,
        Bug::KeyReused,
        Bug::StatisticsOffByOne,
        Bug::ReplaceDropsBatch,
        Bug::CompactionDropsSource,
        Bug::CollectByAge,
        Bug::SweepIgnoresCatalogAge,
        Bug::ForgetBeforeDelete,
        Bug::FailedDeleteForgotten,
        Bug::ZombieContinues,
        Bug::LeaseNotRenewed,
        Bug::CommitWithoutReservation,
        Bug::ReplaceWithoutSourceCheck,
        Bug::ReceiptOutsideTransaction,
        Bug::DoomWithoutGrace,
        Bug::ListLatestInsteadOfPinned,
        Bug::PinAheadOfCommit,
        Bug::CompleteWithoutToken,
        Bug::OutcomeWithoutRevocation,
        Bug::CompactionLeavesRest,
        Bug::RetentionByOldest,
        Bug::RetentionByIngestion,
        Bug::RetentionTrustsNode,
        Bug::UndropForgetsExtents,
        Bug::GiveUpWithoutGrace,
        Bug::CommitToDroppedTable,
        Bug::DoomIgnoresHolds,
        Bug::ContentNotCommitted,
        Bug::ContentIgnoresTable,
        Bug::JournalMarkBeforePut,
        Bug::JournalOmitsRemovals,
        Bug::JournalContinuesOthers,
        Bug::RebuildTrustsWriters,
        Bug::RebuildKeepsReplaced,
    ];

    /// Its name on the command line, and what is wrong with it.
    pub fn describe(self) -> (&'static str, &'static str) {
        match self {
            Bug::AckBeforeCommit => ("ack-before-commit", "writers are answered before the catalog has their rows"),
            Bug::RetryWithoutLookup => ("retry-without-lookup", "a commit of unknown outcome is simply done again"),
            Bug::TimeoutIsFailure => ("timeout-is-failure", "a commit that is not answered in time counts as failed"),
            Bug::KeyReused => ("key-reused", "an object is put again under the key of its revoked reservation"),
            Bug::StatisticsOffByOne => ("statistics-off-by-one", "an extent's latest time is a nanosecond too early"),
            Bug::ReplaceDropsBatch => ("replace-drops-batch", "rewriting extents loses the last batch of rows"),
            Bug::CompactionDropsSource => ("compaction-drops-source", "merging extents loses the rows of the last one"),
            Bug::CollectByAge => ("collect-by-age", "the sweep deletes what is old without asking the catalog"),
            Bug::SweepIgnoresCatalogAge => {
                ("sweep-ignores-catalog-age", "the sweep deletes objects of an earlier catalog of the bucket")
            }
            Bug::ForgetBeforeDelete => ("forget-before-delete", "the catalog forgets an object before it is gone"),
            Bug::FailedDeleteForgotten => ("failed-delete-forgotten", "an object whose delete failed is forgotten"),
            Bug::ZombieContinues => ("zombie-continues", "a worker whose lease was lost goes on"),
            Bug::LeaseNotRenewed => ("lease-not-renewed", "a lease is counted as renewed without asking"),
            Bug::CommitWithoutReservation => {
                ("commit-without-reservation", "a commit does not check that its reservation stands")
            }
            Bug::ReplaceWithoutSourceCheck => {
                ("replace-without-source-check", "a replacement does not check that its sources are visible")
            }
            Bug::ReceiptOutsideTransaction => {
                ("receipt-outside-transaction", "an idempotency key is recorded after the commit, not in it")
            }
            Bug::DoomWithoutGrace => ("doom-without-grace", "removed extents are collected at once"),
            Bug::ListLatestInsteadOfPinned => ("list-latest", "a list shows the latest extents, not the pinned ones"),
            Bug::PinAheadOfCommit => ("pin-ahead-of-commit", "a pin is the sequence that the next commit will take"),
            Bug::CompleteWithoutToken => ("complete-without-token", "a task is ended by a worker that lost it"),
            Bug::OutcomeWithoutRevocation => {
                ("outcome-without-revocation", "a commit that did not happen may still happen after it was asked for")
            }
            Bug::CompactionLeavesRest => {
                ("compaction-leaves-rest", "what a quiet partition is left with is never merged")
            }
            Bug::RetentionByOldest => ("retention-by-oldest", "an extent is past its time when its oldest row is"),
            Bug::RetentionByIngestion => {
                ("retention-by-ingestion", "rows are past their time by when they were ingested")
            }
            Bug::RetentionTrustsNode => {
                ("retention-trusts-node", "a worker whose clock runs ahead removes what is not past its time")
            }
            Bug::UndropForgetsExtents => ("undrop-forgets-extents", "a table comes back without its latest extent"),
            Bug::GiveUpWithoutGrace => ("give-up-without-grace", "a drop is final at once"),
            Bug::CommitToDroppedTable => {
                ("commit-to-dropped-table", "a commit does not check that its tables are there")
            }
            Bug::DoomIgnoresHolds => ("doom-ignores-holds", "what a running query reads is collected"),
            Bug::ContentNotCommitted => {
                ("content-not-committed", "the digest of a content is not remembered by the commit of its rows")
            }
            Bug::ContentIgnoresTable => {
                ("content-ignores-table", "the same bytes for another table count as sent already")
            }
            Bug::JournalMarkBeforePut => {
                ("journal-mark-before-put", "the catalog counts an entry of its journal before the bucket has it")
            }
            Bug::JournalOmitsRemovals => {
                ("journal-omits-removals", "a journal does not tell of extents that were removed")
            }
            Bug::JournalContinuesOthers => (
                "journal-continues-others",
                "an entry of the journal goes on from the parts that a writer left who died",
            ),
            Bug::RebuildTrustsWriters => {
                ("rebuild-trusts-writers", "a rebuild tells old objects from new ones by the clocks of nodes")
            }
            Bug::RebuildKeepsReplaced => {
                ("rebuild-keeps-replaced", "a rebuild keeps what an extent replaced that only the bucket tells of")
            }
        }
    }

    /// The bug of this name.
    pub fn of_name(name: &str) -> Option<Bug> {
        Bug::ALL.iter().copied().find(|bug| bug.describe().0 == name)
    }
}

#[cfg(feature = "planted-bugs")]
thread_local! {
    static ARMED: std::cell::Cell<Option<Bug>> = const { std::cell::Cell::new(None) };
}

/// Arms a bug in this thread, or none.
#[cfg(feature = "planted-bugs")]
pub fn arm(bug: Option<Bug>) {
    ARMED.set(bug);
}

/// Whether this bug is to show.
#[cfg(feature = "planted-bugs")]
pub fn is(bug: Bug) -> bool {
    ARMED.get() == Some(bug)
}

/// Whether this bug is to show: never.
#[cfg(not(feature = "planted-bugs"))]
#[inline(always)]
pub const fn is(_bug: Bug) -> bool {
    false
}
