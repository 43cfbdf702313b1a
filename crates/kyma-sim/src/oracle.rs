//! Who judges: keeps its own account of what was written, answered, made visible and deleted, and compares.
//!
//! It sees each change of the catalog and of the bucket in the step that makes it, and each answer when a node gives it.
//! Rows carry numbers, so that it knows what an extent holds by reading it, once, when it is committed. The invariants are
//! the names in [`Broken`]. What may go, and when, is in [`lifecycle`].

mod lifecycle;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use arrow::array::AsArray;
use arrow::datatypes::{Int64Type, TimestampNanosecondType};
use bytes::Bytes;
use futures::FutureExt;
use kyma_core::clock::Clock;
use kyma_core::extent::NewExtent;
use kyma_core::format::{Formats, OpenOptions, RangeReader, ReadColumn};
use kyma_core::time::TimeRange;
use kyma_core::{DatabaseId, ExtentId, NodeId, ReservationId, Result, Sequence, TableId, TaskId, Type};
use kyma_ingest::IngestAnswer;
use parking_lot::Mutex;

use crate::bucket::Bucket;
use crate::model::{Change, Observer};
use crate::time::SimClock;

/// Rows of one write at most; a row's number is its write's times this, and its place.
pub const ROWS_MAX: i64 = 16;
/// The column with a row's number.
pub const NUMBER: &str = "n";
/// The column with a row's time.
pub const TIME: &str = "Timestamp";
/// How keys of journals begin.
const JOURNAL: &str = "journal/";
/// How long a worker may go on after its lease was taken, while it runs.
const ZOMBIE_MAX: Duration = Duration::from_secs(1);

/// An invariant that broke.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: &'static str,
    /// What was seen.
    pub seen: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.invariant, self.seen)
    }
}

/// The judge.
pub struct Oracle {
    clock: Arc<SimClock>,
    bucket: Arc<Bucket>,
    formats: Arc<Formats>,
    grace: i64,
    state: Mutex<State>,
    broken: Mutex<Option<Broken>>,
    /// Told when something broke.
    pub alarm: tokio::sync::Notify,
}

#[derive(Default)]
struct State {
    writes: Vec<Write>,
    extents: BTreeMap<ExtentId, Known>,
    by_key: BTreeMap<String, Vec<ExtentId>>,
    reserved: BTreeSet<String>,
    revoked: BTreeSet<ReservationId>,
    doomed: BTreeSet<String>,
    delete_sent: BTreeSet<String>,
    deleted: BTreeSet<String>,
    put: BTreeMap<String, Bytes>,
    sacred: BTreeSet<String>,
    tokens: BTreeMap<TaskId, i64>,
    /// Writes whose bytes are those of another one, by that one and by their table.
    mirrors: BTreeMap<(usize, TableId), usize>,
    lifecycle: lifecycle::State,
}

/// Whether a write may be sent again and is one all the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Repeats {
    /// No: each is another write.
    Never,
    /// Under its idempotency key.
    UnderKey,
    /// Its table recognises it by its content, for so many nanoseconds.
    AsContent {
        /// So many.
        window: i64,
    },
}

struct Write {
    rows: usize,
    times: Vec<i64>,
    repeats: Repeats,
    acked: bool,
    refused: bool,
    visible: Vec<i8>,
    deleted: Vec<bool>,
    /// When its rows were committed last.
    stored_at: Option<i64>,
    /// Whether it came again after its window, and was rightly stored again.
    is_doubled: bool,
}

impl Write {
    fn new(times: Vec<i64>, repeats: Repeats) -> Write {
        let rows = times.len();
        let (visible, deleted) = (vec![0; rows], vec![false; rows]);
        let (acked, refused, stored_at, is_doubled) = (false, false, None, false);
        Write { rows, times, repeats, acked, refused, visible, deleted, stored_at, is_doubled }
    }

    /// Whether its content is not recognised any more.
    fn is_past_window(&self, now: i64) -> bool {
        match (self.repeats, self.stored_at) {
            (Repeats::AsContent { window }, Some(stored_at)) => stored_at < now - window,
            _ => false,
        }
    }
}

struct Known {
    table: TableId,
    database: DatabaseId,
    rows: Vec<(i64, i64)>,
    key: String,
    added: Sequence,
    removed: Option<(Sequence, i64)>,
}

/// What a snapshot must show.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Expected {
    /// Numbers of rows, sorted.
    pub rows: Vec<i64>,
    /// Whether nothing of it was doomed.
    pub is_kept: bool,
}

impl Oracle {
    /// A judge of this bucket.
    pub fn new(clock: Arc<SimClock>, bucket: Arc<Bucket>, formats: Arc<Formats>, grace: Duration) -> Arc<Oracle> {
        Arc::new(Oracle {
            clock,
            bucket,
            formats,
            grace: grace.as_nanos() as i64,
            state: Mutex::default(),
            broken: Mutex::new(None),
            alarm: tokio::sync::Notify::new(),
        })
    }

    /// Says that an invariant broke. The first one counts.
    pub fn break_down(&self, invariant: &'static str, seen: impl Into<String>) {
        self.broken.lock().get_or_insert_with(|| Broken { invariant, seen: seen.into() });
        self.alarm.notify_one();
    }

    /// What broke.
    pub fn broken(&self) -> Option<Broken> {
        self.broken.lock().clone()
    }

    /// Takes note of a write that is about to be sent, and gives its number.
    pub fn begin_write(&self, times: Vec<i64>, repeats: Repeats) -> usize {
        let mut state = self.state.lock();
        state.writes.push(Write::new(times, repeats));
        state.writes.len() - 1
    }

    /// The bytes of a write are about to be sent to another table. Gives the number of that write.
    pub fn mirror(&self, write: usize, table: TableId) -> usize {
        let mut state = self.state.lock();
        let of = &state.writes[write];
        let mirrored = Write::new(of.times.clone(), of.repeats);
        state.writes.push(mirrored);
        let number = state.writes.len() - 1;
        state.mirrors.insert((write, table), number);
        number
    }

    /// An object that nobody may delete.
    pub fn hold_sacred(&self, key: &str) {
        self.state.lock().sacred.insert(key.to_owned());
    }

    /// Whether nobody may delete it.
    pub fn is_sacred(&self, key: &str) -> bool {
        self.state.lock().sacred.contains(key)
    }

    /// A node answers a write. This is what its client may hear.
    pub fn answered(&self, write: usize, answer: &Result<IngestAnswer>) {
        let mut state = self.state.lock();
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let write_of = &mut state.writes[write];
                // Another try may have stored what may be sent again.
                if error.code() != "ingest.outcome_unknown" && write_of.repeats == Repeats::Never {
                    write_of.refused = true;
                    if write_of.visible.iter().any(|count| *count > 0) {
                        let seen = format!("write {write} was refused with {} and is visible", error.code());
                        self.break_down("a refused write stores nothing", seen);
                    }
                }
                return;
            }
        };
        state.writes[write].acked = true;
        let is_there = |state: &State| {
            let of = &state.writes[write];
            (0..of.rows).find(|&row| of.visible[row] != 1 && !of.deleted[row] && !of.is_doubled)
        };
        if let Some(row) = is_there(&state) {
            let count = state.writes[write].visible[row];
            let seen =
                format!("row {row} of write {write} was acked at {} and is visible {count} times", answer.sequence);
            self.break_down("an acked row is visible once", seen);
        }
        if answer.rows != state.writes[write].rows as u64 {
            let seen = format!("write {write} has {} rows, its answer says {}", state.writes[write].rows, answer.rows);
            self.break_down("an answer counts its rows", seen);
        }
        for id in &answer.extents {
            if let Some(known) = state.extents.get(id)
                && known.added > answer.sequence
            {
                let seen = format!("extent {id} came at {}, the answer says {}", known.added, answer.sequence);
                self.break_down("an answer's sequence shows its rows", seen);
            }
        }
    }

    /// Bytes were put under a key. What a journal says under one key may be said again, at another time.
    pub fn put(&self, key: &str, bytes: &Bytes) {
        if is_journals(key) {
            return;
        }
        let mut state = self.state.lock();
        if let Some(before) = state.put.insert(key.to_owned(), bytes.clone())
            && before != *bytes
        {
            self.break_down("a key is never used again", format!("other bytes were put under {key}"));
        }
    }

    /// Somebody sends a delete. What is not doomed by then never may be deleted.
    pub fn delete_sent(&self, key: &str) {
        if is_journals(key) {
            return;
        }
        let mut state = self.state.lock();
        state.delete_sent.insert(key.to_owned());
        if !state.doomed.contains(key) {
            self.break_down("only what the catalog doomed is deleted", format!("a delete of {key} was sent"));
        }
    }

    /// A delete arrives.
    pub fn deleted(&self, key: &str) {
        let mut state = self.state.lock();
        state.deleted.insert(key.to_owned());
        if state.sacred.contains(key) {
            self.break_down("what is not this catalog's is left alone", format!("{key} was deleted"));
        }
        let now = self.clock.now();
        for id in state.by_key.get(key).into_iter().flatten() {
            let Some(known) = state.extents.get(id) else { continue };
            match known.removed {
                None => self.break_down("a live extent has its object", format!("{key} of extent {id} was deleted")),
                Some((_, at)) if now - at < self.grace => {
                    let seen =
                        format!("{key} of extent {id} was deleted {} s after its removal", (now - at) / 1_000_000_000);
                    self.break_down("what was removed is kept for the grace period", seen);
                }
                Some(_) => {}
            }
        }
    }

    /// A task's handler is at work under a token, on a node that has run for so long.
    pub fn still_working(&self, task: TaskId, token: i64, running_for: Option<Duration>) {
        let latest = self.state.lock().tokens.get(&task).copied().unwrap_or(token);
        if latest > token && running_for.is_some_and(|running| running > ZOMBIE_MAX) {
            let seen = format!("task {task} is worked on under token {token}, its token is {latest}");
            self.break_down("a worker that lost its lease stops", seen);
        }
    }

    /// The rows of a table that a snapshot shows within a closed range of time.
    pub fn expected(&self, table: TableId, at: Sequence, time: TimeRange) -> Expected {
        let state = self.state.lock();
        let mut expected = Expected { rows: Vec::new(), is_kept: true };
        for known in state.extents.values().filter(|known| known.table == table) {
            if known.added > at || known.removed.is_some_and(|(removed, _)| removed <= at) {
                continue;
            }
            expected.is_kept &= !state.doomed.contains(&known.key);
            let within = known.rows.iter().filter(|(_, row_time)| time.start <= *row_time && *row_time <= time.end);
            expected.rows.extend(within.map(|(number, _)| *number));
        }
        expected.rows.sort_unstable();
        expected
    }

    /// The extents of a table that a snapshot shows.
    pub fn extents_at(&self, table: TableId, at: Sequence) -> BTreeSet<ExtentId> {
        let state = self.state.lock();
        let is_shown = |known: &Known| {
            known.table == table && known.added <= at && known.removed.is_none_or(|(removed, _)| removed > at)
        };
        state.extents.iter().filter(|(_, known)| is_shown(known)).map(|(id, _)| *id).collect()
    }

    /// Writes that were answered, and all of them.
    pub fn acked(&self) -> (usize, usize) {
        let state = self.state.lock();
        (state.writes.iter().filter(|write| write.acked).count(), state.writes.len())
    }

    /// Every table that ever had extents.
    pub fn tables(&self) -> BTreeSet<(DatabaseId, TableId)> {
        self.state.lock().extents.values().map(|known| (known.database, known.table)).collect()
    }

    /// The numbers of an extent's rows, whether it was committed or not.
    pub fn rows(&self, extent: &NewExtent) -> Result<Vec<i64>, String> {
        let known = self.state.lock().extents.get(&extent.id).map(|known| known.rows.clone());
        let rows = known.map_or_else(|| self.rows_of(extent), Ok)?;
        Ok(rows.into_iter().map(|(number, _)| number).collect())
    }

    /// Reads the rows of an extent from the bucket: their numbers and times.
    fn rows_of(&self, extent: &NewExtent) -> Result<Vec<(i64, i64)>, String> {
        let object = self.bucket.get(&extent.location.key).ok_or("its object is not there")?;
        let (start, length) = (extent.location.offset as usize, extent.location.length as usize);
        let end = start.saturating_add(length);
        if end > object.bytes.len() {
            return Err("its object is too short".to_owned());
        }
        let source: Arc<dyn RangeReader> = Arc::new(object.bytes.slice(start..end));
        let read = read_rows(&self.formats, extent, source).now_or_never().ok_or("its format waits")?;
        read.map_err(|error| error.chain())
    }

    fn judge_extent(&self, extent: &NewExtent, rows: &[(i64, i64)]) {
        if extent.rows != rows.len() as u64 {
            let seen = format!("extent {} has {} rows, the catalog says {}", extent.id, rows.len(), extent.rows);
            self.break_down("statistics are sound", seen);
        }
        if let Some((number, time)) = rows.iter().find(|(_, time)| *time < extent.time.start || extent.time.end < *time)
        {
            let seen = format!("row {number} of extent {} is at {time}, outside of {:?}", extent.id, extent.time);
            self.break_down("statistics are sound", seen);
        }
    }
}

impl Observer for Oracle {
    fn reserved(&self, key: &str, _id: ReservationId) {
        if !self.state.lock().reserved.insert(key.to_owned()) {
            self.break_down("a key is never used again", format!("{key} was reserved twice"));
        }
    }

    fn doomed(&self, key: &str, reservation: Option<ReservationId>) {
        let mut state = self.state.lock();
        state.doomed.insert(key.to_owned());
        state.revoked.extend(reservation);
        self.judge_doom(&state, key);
    }

    fn dropped(&self, table: TableId, sequence: Sequence, at: i64) {
        self.state.lock().lifecycle.drop_table(table, sequence, at);
    }

    fn undropped(&self, table: TableId) {
        self.judge_undrop(&mut self.state.lock(), table);
    }

    fn held(&self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, until: i64) {
        self.state.lock().lifecycle.hold(node, oldest, until);
    }

    fn forgotten(&self, key: &str) {
        if !self.state.lock().deleted.contains(key) {
            self.break_down(
                "an object is forgotten after it is gone",
                format!("{key} was forgotten and never deleted"),
            );
        }
    }

    fn committed(&self, change: &Change<'_>) {
        let mut state = self.state.lock();
        if let Some(id) = change.reservation
            && state.revoked.contains(&id)
        {
            self.break_down("a revoked writer is refused", format!("reservation {id} was revoked and committed"));
        }
        let mut touched = BTreeSet::new();
        for id in change.removed {
            let loses = change.added.is_empty() && self.judge_removal(&state, *id, change);
            let State { extents, writes, mirrors, .. } = &mut *state;
            let Some(known) = extents.get_mut(id) else { continue };
            let sequence = change.sequences.get(&known.database).copied().unwrap_or(Sequence(0));
            known.removed = Some((sequence, change.at));
            for (number, _) in &known.rows {
                let Some((write, row)) = place(writes, mirrors, known.table, *number) else { continue };
                writes[write].visible[row] -= 1;
                writes[write].deleted[row] |= loses;
                touched.insert((write, row));
            }
        }
        let mut stored = BTreeSet::new();
        for extent in change.added {
            let key = &extent.location.key;
            if state.doomed.contains(key) {
                self.break_down(
                    "a live extent has its object",
                    format!("{key} was doomed before extent {} came", extent.id),
                );
            }
            self.judge_table(&state, extent);
            let rows = match self.rows_of(extent) {
                Ok(rows) => rows,
                Err(why) => {
                    self.break_down("a live extent has its object", format!("extent {} in {key}: {why}", extent.id));
                    continue;
                }
            };
            self.judge_extent(extent, &rows);
            for (number, time) in &rows {
                let Some((write, row)) = place(&state.writes, &state.mirrors, extent.table, *number) else {
                    self.break_down("an acked row is visible once", format!("nobody wrote row {number}"));
                    continue;
                };
                if state.writes[write].times[row] != *time {
                    self.break_down("rows are what was written", format!("row {number} is at {time}"));
                }
                let of = &mut state.writes[write];
                let is_again = of.visible[row] > 0 || of.deleted[row];
                of.is_doubled |= is_again && of.is_past_window(change.at);
                of.visible[row] += 1;
                touched.insert((write, row));
                if change.removed.is_empty() {
                    stored.insert(write);
                }
            }
            let added = change.sequences.get(&extent.database).copied().unwrap_or(Sequence(0));
            state.by_key.entry(key.clone()).or_default().push(extent.id);
            let known =
                Known { table: extent.table, database: extent.database, rows, key: key.clone(), added, removed: None };
            state.extents.insert(extent.id, known);
        }
        for write in stored {
            state.writes[write].stored_at = Some(change.at);
        }
        for (write, row) in touched {
            let of = &state.writes[write];
            match of.visible[row] {
                _ if of.is_doubled => {}
                1 if of.deleted[row] => {
                    let seen = format!("row {row} of write {write} was removed for good and is back");
                    self.break_down("what was removed stays so", seen);
                }
                1 if of.refused => {
                    let seen = format!("write {write} was refused and became visible");
                    self.break_down("a refused write stores nothing", seen);
                }
                1 => {}
                0 if of.deleted[row] => {}
                0 => self.break_down("an acked row is visible once", format!("row {row} of write {write} vanished")),
                count => {
                    let seen = format!("row {row} of write {write} is visible {count} times");
                    self.break_down("no row is stored twice", seen);
                }
            }
        }
    }

    fn claimed(&self, task: TaskId, token: i64) {
        let before = self.state.lock().tokens.insert(task, token);
        if before.is_some_and(|before| before >= token) {
            self.break_down("a token is never given twice", format!("task {task}, token {token}"));
        }
    }

    fn kept(&self, task: TaskId, token: i64) {
        let latest = self.state.lock().tokens.get(&task).copied();
        if latest != Some(token) {
            let seen = format!("task {task} was ended or renewed under token {token}, its token is {latest:?}");
            self.break_down("a stale worker is refused", seen);
        }
    }
}

impl Oracle {
    /// What must hold when all is over: `keys` are those of the bucket, `registered` those that the catalog needs, `tables`
    /// those that are there.
    pub fn judge_end(&self, keys: &[String], registered: &BTreeSet<String>, tables: &BTreeSet<TableId>) {
        let state = self.state.lock();
        let is_ours = |key: &&String| !state.sacred.contains(*key) && !is_journals(key);
        let kept: BTreeSet<&String> = keys.iter().filter(is_ours).collect();
        if let Some(orphan) = kept.iter().find(|key| !registered.contains(**key)) {
            self.break_down("no orphan is left", format!("{orphan} is in the bucket and nobody needs it"));
        }
        if let Some(lost) = registered.iter().find(|key| !kept.contains(key)) {
            self.break_down("a live extent has its object", format!("{lost} is not in the bucket"));
        }
        if let Some(lost) = state.sacred.iter().find(|key| !keys.contains(key)) {
            self.break_down("what is not this catalog's is left alone", format!("{lost} is gone"));
        }
        let live = || state.extents.values().filter(|known| known.removed.is_none());
        if let Some(lost) = live().find(|known| !tables.contains(&known.table)) {
            let seen = format!("table {} is gone, its rows in {} are not", lost.table, lost.key);
            self.break_down("an acked row is visible once", seen);
        }
        if let Some(lost) = live().map(|known| &known.key).find(|key| !registered.contains(*key)) {
            self.break_down("a live extent has its object", format!("the catalog does not know {lost}"));
        }
    }
}

/// Whether an object is part of a journal: no row of the catalog knows it.
pub fn is_journals(key: &str) -> bool {
    key.starts_with(JOURNAL)
}

/// The write and the place of a row of a table.
fn place(
    writes: &[Write],
    mirrors: &BTreeMap<(usize, TableId), usize>,
    table: TableId,
    number: i64,
) -> Option<(usize, usize)> {
    let (sent, row) = (usize::try_from(number / ROWS_MAX).ok()?, usize::try_from(number % ROWS_MAX).ok()?);
    let write = mirrors.get(&(sent, table)).copied().unwrap_or(sent);
    (row < writes.get(write)?.rows).then_some((write, row))
}

/// The numbers and times of an extent's rows, by the real format.
pub async fn read_rows(formats: &Formats, extent: &NewExtent, source: Arc<dyn RangeReader>) -> Result<Vec<(i64, i64)>> {
    let format = formats.get(&extent.format)?;
    let options = OpenOptions::of(extent);
    let reader = format.open(Arc::clone(&source), &options).await?;
    let columns = [ReadColumn::column(NUMBER, Type::Long), ReadColumn::column(TIME, Type::Datetime)];
    let mut rows = Vec::new();
    for block in 0..reader.block_rows().len() as u32 {
        let batch = reader.read(source.as_ref(), block, &columns, None).await?;
        let numbers = batch.column(0).as_primitive::<Int64Type>();
        let times = batch.column(1).as_primitive::<TimestampNanosecondType>();
        rows.extend(numbers.values().iter().copied().zip(times.values().iter().copied()));
    }
    Ok(rows)
}
