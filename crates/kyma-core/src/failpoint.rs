//! Named places where a test makes the process fail.
//!
//! 1. Code calls [`reach`] where a crash would be interesting. Without the feature `failpoints` that is nothing at all:
//!    the product is built so, and a test says that it is.
//! 2. With the feature, a process reads `KYMA_FAILPOINTS` once, when it starts ([`arm_from_environment`]):
//!    `point=action`, more than one joined by `;`, each at the nth reach with `@n` (the first without):
//!    `ingest.after_put=kill@3;compact.before_replace=stop`. A name or action that is not known is an error.
//! 3. When a point is reached for the nth time, the process says so on standard error ([`REACHED`]) and then does it.
//!    Each armed action happens once.
//!
//! | action | what happens |
//! |---|---|
//! | `kill` | the process is killed as by `kill -9`; the thread that reached the point does nothing more |
//! | `panic` | the thread panics |
//! | `error` | [`reach`] returns an `Unavailable` error, code [`ERROR_CODE`] |
//! | `pause` | the thread that reached the point sleeps for a second and a half: what runs beside it goes on |
//! | `stop` | the whole process is stopped (SIGSTOP) until somebody continues it (SIGCONT) |

use crate::Result;

/// The variable that arms points.
pub const VARIABLE: &str = "KYMA_FAILPOINTS";
/// What a line on standard error starts with when an armed point is reached; the point's name follows.
pub const REACHED: &str = "failpoint reached: ";
/// The code of the errors that points return.
pub const ERROR_CODE: &str = "failpoint.error";

/// Writes the enum of points with their names.
macro_rules! points {
    ($($(#[$doc:meta])* $point:ident = $name:literal,)*) => {
        /// A place that can fail.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Point {
            $($(#[$doc])* $point,)*
        }

        impl Point {
            /// Every point.
            pub const ALL: &[Point] = &[$(Point::$point,)*];

            /// Its name, for people and for [`VARIABLE`].
            pub const fn name(self) -> &'static str {
                match self {
                    $(Point::$point => $name,)*
                }
            }
        }
    };
}

points! {
    /// A table was made or grown in the catalog, and no row of it was encoded.
    IngestTableMade = "ingest.table_made",
    /// A flush took its units from the buffer.
    IngestBeforeSeal = "ingest.before_seal",
    /// Extents are encoded, and nobody knows of them.
    IngestBeforeReserve = "ingest.before_reserve",
    /// The object's key is reserved, and there is no object.
    IngestAfterReserve = "ingest.after_reserve",
    /// One attempt to put any object is about to be sent.
    StoreBeforePut = "store.before_put",
    /// One attempt to put any object was answered; an error here loses the answer.
    StoreAfterPut = "store.after_put",
    /// The object is durable, and no row of it is visible.
    IngestAfterPut = "ingest.after_put",
    /// The commit's transaction holds the locks on tables and databases.
    CommitLocked = "commit.locked",
    /// Everything is written in the commit's transaction, and COMMIT was not sent.
    CommitBeforeCommit = "commit.before_commit",
    /// COMMIT was answered; an error here loses the answer.
    CommitAfterCommit = "commit.after_commit",
    /// An unknown outcome is about to be asked for.
    OutcomeBeforeAsk = "outcome.before_ask",
    /// An unknown outcome is known, and the writer was not told.
    OutcomeAfterAsk = "outcome.after_ask",
    /// The object that takes the place of others is durable, or there is none, and nothing is replaced.
    ReplaceBeforeCommit = "replace.before_commit",
    /// A replacement is committed; an error here loses the answer.
    ReplaceAfterCommit = "replace.after_commit",
    /// The rows are committed, and nobody was told.
    IngestAfterCommit = "ingest.after_commit",
    /// The flush is over for the node, and one writer is about to be told.
    IngestBeforeAck = "ingest.before_ack",
    /// A worker is about to enqueue a periodic task.
    TaskBeforeEnqueue = "task.before_enqueue",
    /// A task was claimed, and nothing of it was done.
    TaskAfterClaim = "task.after_claim",
    /// A running task's lease is about to be renewed.
    TaskBeforeRenew = "task.before_renew",
    /// A task's work is done, and its end was not reported.
    TaskBeforeComplete = "task.before_complete",
    /// A task's end was reported.
    TaskAfterComplete = "task.after_complete",
    /// A planned merge was put into the queue.
    CompactAfterEnqueue = "compact.after_enqueue",
    /// The sources of a rewrite are in memory.
    CompactAfterRead = "compact.after_read",
    /// A rewritten extent is encoded, and nobody knows of it.
    CompactAfterSeal = "compact.after_seal",
    /// A rewritten extent took the place of its sources, and its task does not know.
    CompactAfterSwap = "compact.after_swap",
    /// Extents past their time are found, and none is removed.
    RetentionBeforeRemove = "retention.before_remove",
    /// A batch of extents past their time is removed.
    RetentionAfterRemove = "retention.after_remove",
    /// Garbage is about to be doomed in the catalog.
    GarbageBeforeDoom = "garbage.before_doom",
    /// Garbage is doomed in the catalog, and its objects are there.
    GarbageAfterDoom = "garbage.after_doom",
    /// A doomed object is about to be deleted.
    GarbageBeforeDelete = "garbage.before_delete",
    /// A doomed object is deleted, and its row is there.
    GarbageAfterDelete = "garbage.after_delete",
    /// A deleted object's row and extents are deleted in a transaction that is not committed.
    GarbageBeforeForgotten = "garbage.before_forgotten",
    /// A deleted object is forgotten.
    GarbageAfterForget = "garbage.after_forget",
    /// The sweep listed objects that may be unknown.
    SweepAfterList = "sweep.after_list",
    /// The sweep doomed objects that no row knew.
    SweepAfterDoom = "sweep.after_doom",
    /// The extents with rows to delete are known, and none is touched.
    DeleteBeforeReplace = "delete.before_replace",
    /// The rows to delete are gone from an extent, and its deletion does not know.
    DeleteAfterReplace = "delete.after_replace",
    /// All rows to delete are gone, and the operation has not ended.
    DeleteBeforeEnd = "delete.before_end",
    /// A part of the journal is about to be put.
    JournalBeforePut = "journal.before_put",
    /// A part of the journal is durable, and the next one is not.
    JournalAfterPut = "journal.after_put",
}

#[cfg(feature = "failpoints")]
pub use armed::{arm, arm_from_environment, reach};
#[cfg(not(feature = "failpoints"))]
pub use off::{arm_from_environment, reach};

/// What is left of it in the product.
#[cfg(not(feature = "failpoints"))]
mod off {
    use super::{Point, Result, VARIABLE};
    use crate::Error;

    /// Nothing.
    #[inline(always)]
    pub const fn reach(_: Point) -> Result<()> {
        Ok(())
    }

    /// Refuses a process that was told to fail and cannot.
    ///
    /// # Errors
    /// `Invalid` when the variable is set.
    pub fn arm_from_environment() -> Result<()> {
        match std::env::var_os(VARIABLE) {
            None => Ok(()),
            Some(_) => {
                Err(Error::invalid("failpoint.off", format!("this binary has no failpoints: {VARIABLE} is set"))
                    .hint("unset it; binaries for tests are built with `cargo build --workspace`"))
            }
        }
    }
}

#[cfg(feature = "failpoints")]
mod armed {
    use std::process::{Command, Stdio};
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::time::{Duration, Instant};

    use super::{ERROR_CODE, Point, REACHED, Result, VARIABLE};
    use crate::Error;

    /// How long a thread waits for the signal that it sent to its own process.
    const SIGNAL_WAIT_MAX: Duration = Duration::from_secs(10);
    /// How long a pause is.
    const PAUSE: Duration = Duration::from_millis(1_500);
    /// A short sleep that took longer than this was interrupted by a stop.
    const STOPPED_MIN: Duration = Duration::from_millis(300);

    /// What happens at a point.
    #[derive(Debug, Clone, Copy, PartialEq, Eq)]
    enum Action {
        Kill,
        Panic,
        Error,
        Pause,
        Stop,
    }

    #[derive(Debug)]
    struct Armed {
        point: Point,
        action: Action,
        at: u64,
        reaches: AtomicU64,
    }

    static ARMED: OnceLock<Vec<Armed>> = OnceLock::new();

    /// Arms what the environment says, if it says anything.
    ///
    /// # Errors
    /// As [`arm`].
    pub fn arm_from_environment() -> Result<()> {
        match std::env::var(VARIABLE) {
            Ok(text) => arm(&text),
            Err(std::env::VarError::NotPresent) => Ok(()),
            Err(error) => Err(invalid("it is not text").because(error)),
        }
    }

    /// Arms points for the rest of the process's life.
    ///
    /// # Errors
    /// `Invalid` when the text is not understood, names no known point or action, or points were armed before.
    pub fn arm(text: &str) -> Result<()> {
        let armed = text.split(';').filter(|part| !part.trim().is_empty()).map(parse).collect::<Result<Vec<_>>>()?;
        ARMED.set(armed).map_err(|_| invalid("points are armed already"))
    }

    /// Does what was armed for this reach of the point, if anything was.
    ///
    /// # Errors
    /// `Unavailable` with [`ERROR_CODE`], when that is the action.
    pub fn reach(point: Point) -> Result<()> {
        let Some(armed) = ARMED.get() else { return Ok(()) };
        armed
            .iter()
            .filter(|armed| armed.point == point && armed.is_due())
            .try_for_each(|armed| act(point, armed.action))
    }

    impl Armed {
        fn is_due(&self) -> bool {
            self.reaches.fetch_add(1, Ordering::SeqCst) + 1 == self.at
        }
    }

    fn parse(part: &str) -> Result<Armed> {
        let (name, action) =
            part.trim().split_once('=').ok_or_else(|| invalid(&format!("no action is named in {part:?}")))?;
        let (action, at) = action.split_once('@').unwrap_or((action, "1"));
        let known = Point::ALL.iter().copied().find(|point| point.name() == name.trim());
        let point = known.ok_or_else(|| invalid(&format!("there is no point {:?}", name.trim())))?;
        let action = match action.trim() {
            "kill" => Action::Kill,
            "panic" => Action::Panic,
            "error" => Action::Error,
            "pause" => Action::Pause,
            "stop" => Action::Stop,
            other => return Err(invalid(&format!("there is no action {other:?}"))),
        };
        let at = at.trim().parse().ok().filter(|at| *at > 0);
        let at = at.ok_or_else(|| invalid(&format!("a reach is a number from 1 in {part:?}")))?;
        Ok(Armed { point, action, at, reaches: AtomicU64::new(0) })
    }

    fn invalid(reason: &str) -> Error {
        let names: Vec<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        Error::invalid("failpoint.invalid", format!("{VARIABLE} is not understood: {reason}")).hint(format!(
            "write point=action@n, joined by ';'; actions are kill, panic, error, pause, stop; points are {}",
            names.join(", ")
        ))
    }

    #[allow(clippy::disallowed_methods)] // It stands for work that takes long, and blocks its thread on purpose.
    fn act(point: Point, action: Action) -> Result<()> {
        eprintln!("{REACHED}{} {action:?}", point.name());
        match action {
            Action::Kill => {
                signal("KILL");
                // Nothing after the point may happen, whatever became of the signal.
                std::process::abort();
            }
            Action::Stop => signal("STOP"),
            Action::Pause => std::thread::sleep(PAUSE),
            Action::Panic => panic!("a failpoint was told to panic: {}", point.name()),
            Action::Error => {
                let message = format!("a failpoint was told to fail: {}", point.name());
                return Err(Error::unavailable(ERROR_CODE, message));
            }
        }
        Ok(())
    }

    /// Sends a signal to this process and does not return before it took effect. A shell sends it: this workspace has no
    /// unsafe code.
    #[allow(clippy::disallowed_methods)] // It blocks its thread on purpose: nothing after the point may happen.
    fn signal(name: &str) {
        let sent = Command::new("/bin/sh").args(["-c", &format!("kill -{name} $PPID")]).stdin(Stdio::null()).status();
        if !sent.as_ref().is_ok_and(std::process::ExitStatus::success) {
            eprintln!("a failpoint cannot send SIG{name}: {sent:?}");
            std::process::abort();
        }
        // The signal may meet another thread first. Time goes on while a process is stopped: one sleep will be long.
        let started = Instant::now();
        while started.elapsed() < SIGNAL_WAIT_MAX {
            let asleep = Instant::now();
            std::thread::sleep(Duration::from_millis(5));
            if asleep.elapsed() > STOPPED_MIN {
                return;
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn what_is_armed_is_read_and_refused_clearly() {
            let armed = parse(" ingest.after_put = kill@3").unwrap();
            assert_eq!((armed.point, armed.action, armed.at), (Point::IngestAfterPut, Action::Kill, 3));
            assert_eq!(parse("task.after_claim=stop").unwrap().at, 1);
            for (text, reason) in [
                ("ingest.after_putt=kill", "there is no point \"ingest.after_putt\""),
                ("ingest.after_put=explode", "there is no action \"explode\""),
                ("ingest.after_put=kill@0", "a reach is a number from 1"),
                ("ingest.after_put", "no action is named"),
            ] {
                let error = arm(text).unwrap_err();
                assert_eq!(error.code(), "failpoint.invalid");
                assert!(error.message().contains(reason), "{error}");
                assert!(error.hint_text().unwrap().contains("ingest.after_put"), "the hint lists the points");
            }
        }

        #[test]
        fn an_action_happens_once_at_its_reach() {
            let armed = parse("sweep.after_list=error@2").unwrap();
            assert_eq!([armed.is_due(), armed.is_due(), armed.is_due()], [false, true, false]);
            let error = act(armed.point, armed.action).unwrap_err();
            assert_eq!((error.kind(), error.code()), (crate::Kind::Unavailable, ERROR_CODE));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_nothing_happens_unarmed() {
        let names: std::collections::BTreeSet<&str> = Point::ALL.iter().map(|point| point.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        for point in Point::ALL {
            reach(*point).unwrap();
        }
    }
}
