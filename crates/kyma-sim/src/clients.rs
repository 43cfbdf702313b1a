//! Who uses the nodes: writers that send again until they are answered, readers that hold on to snapshots, rewriters that
//! put extents together, and somebody who removes some. Those who drop tables and hold snapshots for long are in
//! [`crate::keepers`].

use std::sync::Arc;
use std::time::Duration;

use arrow::array::RecordBatch;
use arrow::datatypes::Schema as ArrowSchema;
use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{Commit, ExtentOrder, ExtentQuery, Table};
use kyma_core::extent::Extent;
use kyma_core::format::{OpenOptions, ReadColumn};
use kyma_core::profile::IoCounters;
use kyma_core::schema::HIDDEN_MARK;
use kyma_core::time::TimeRange;
use kyma_core::{Error, ExtentId, Kind, Result, Schema, Sequence};
use kyma_ingest::{BodyFormat, Encoding, IngestAnswer, IngestRequest};
use tokio::sync::oneshot;
use tokio::time::{sleep, timeout};

use crate::node::SimNode;
use crate::oracle::{NUMBER, ROWS_MAX, Repeats, TIME, read_rows};
use crate::plan::KEPT;
use crate::store::pause;
use crate::time::BEGIN;
use crate::world::{Fate, World};

/// The database that everybody uses.
pub const DATABASE: &str = "d";
/// Tries of one write in a calm world before it counts as lost.
const CALM_TRIES_MAX: usize = 40;
/// Tries of one read in a calm world.
const CALM_READS_MAX: usize = 40;

/// The name of a table.
pub fn table_name(place: u64) -> String {
    format!("t{place}")
}

/// A write as it is sent.
struct Sent {
    /// Its number with the oracle.
    number: usize,
    request: IngestRequest,
    body: Bytes,
    breaks_off: bool,
    /// Whether the very same may be sent again and is one write.
    is_repeatable: bool,
}

/// Sends writes, each until it is answered.
pub async fn writer(world: Arc<World>, place: usize) {
    for round in 0..world.plan.writes_each {
        world.gap(world.plan.writes_each).await;
        let (is_keyed, table) =
            world.draw(|rng| (rng.chance(world.plan.keyed), table_name(rng.below(world.plan.tables as u64))));
        let key = is_keyed.then(|| format!("key-{place}-{round}"));
        let repeats = match world.plan.deduplication {
            _ if is_keyed => Repeats::UnderKey,
            0 => Repeats::Never,
            seconds => Repeats::AsContent { window: i64::from(seconds) * 1_000_000_000 },
        };
        let Some((number, body)) = store(&world, &request(&table, key), repeats, None).await else { return };
        let is_mirrored = matches!(repeats, Repeats::AsContent { .. }) && world.draw(|rng| rng.chance(300));
        if is_mirrored && !mirror(&world, &table, number, body, repeats).await {
            return;
        }
    }
}

/// Sends a write until it is answered: the very same if that is one write, else another one each time. `None` when that
/// takes too long.
async fn store(
    world: &Arc<World>,
    request: &IngestRequest,
    repeats: Repeats,
    first: Option<(usize, Bytes)>,
) -> Option<(usize, Bytes)> {
    let is_repeatable = repeats != Repeats::Never;
    let mut last = first;
    let mut calm_tries = 0;
    loop {
        let (number, body) = match last.take().filter(|_| is_repeatable) {
            Some(sent) => sent,
            None => new_write(world, repeats),
        };
        last = Some((number, body.clone()));
        let breaks_off = world.strikes(world.plan.bodies_broken);
        if send(world, Sent { number, request: request.clone(), body, breaks_off, is_repeatable }).await {
            return last;
        }
        calm_tries += usize::from(world.is_calm());
        if calm_tries > CALM_TRIES_MAX {
            world.oracle.break_down("the backlog drains", format!("write {number} is not answered"));
            return None;
        }
        sleep(Duration::from_millis(world.draw(|rng| rng.between(50, 8_000)))).await;
    }
}

/// Sends the bytes of a write to another table, where they are a write of their own.
async fn mirror(world: &Arc<World>, table: &str, number: usize, body: Bytes, repeats: Repeats) -> bool {
    let other = table_name(world.draw(|rng| rng.below(world.plan.tables as u64)));
    let id = world.model.table_id(&other).filter(|_| other != table);
    let Some(id) = id else { return true };
    let number = world.oracle.mirror(number, id);
    store(world, &request(&other, None), repeats, Some((number, body))).await.is_some()
}

fn request(table: &str, idempotency_key: Option<String>) -> IngestRequest {
    IngestRequest {
        database: DATABASE.to_owned(),
        table: table.to_owned(),
        format: BodyFormat::NdJson,
        encoding: Encoding::Identity,
        idempotency_key,
        source: "sim".to_owned(),
    }
}

fn new_write(world: &World, repeats: Repeats) -> (usize, Bytes) {
    let has_retention = world.plan.retention.is_some();
    let horizon = world.plan.horizon.as_millis() as u64;
    let times: Vec<i64> = world.draw(|rng| {
        let rows = rng.between(1, 4);
        let is_late = has_retention && rng.chance(500);
        (0..rows)
            .map(|_| match is_late && rng.chance(900) {
                // Past its time now, or soon.
                true => BEGIN - KEPT.as_nanos() as i64 + rng.below(horizon + 60_000) as i64 * 1_000_000,
                false => BEGIN + rng.below(3_600_000) as i64 * 1_000_000,
            })
            .collect()
    });
    let number = world.oracle.begin_write(times.clone(), repeats);
    let mut body = String::new();
    for (row, time) in times.iter().enumerate() {
        let shown = kyma_core::time::datetime_of(*time).format("%Y-%m-%dT%H:%M:%S%.3fZ");
        let row = number as i64 * ROWS_MAX + row as i64;
        body.push_str(&format!("{{\"{TIME}\":\"{shown}\",\"{NUMBER}\":{row},\"m\":\"write {number}\"}}\n"));
    }
    (number, Bytes::from(body))
}

/// Sends a write once; whether it was answered with success.
async fn send(world: &Arc<World>, sent: Sent) -> bool {
    let Some(node) = world.any_node() else { return false };
    let fate = world.fate(&world.plan.client_faults);
    world.trace.note("client", "write", sent.number as u64, || {
        format!(
            "write {} to {} of {} {:?} {fate:?}",
            sent.number, sent.request.table, node.name, sent.request.idempotency_key
        )
    });
    let patience = Duration::from_secs(world.draw(|rng| rng.pick(&[5, 30, 120])));
    let number = sent.number;
    let answered = match fate {
        Fate::RequestLost(wait) | Fate::Refused(wait) => {
            sleep(wait).await;
            None
        }
        Fate::Done { before, after } => {
            pause(before).await;
            let answer = timeout(patience, handle(world, &node, sent)).await.ok().flatten();
            pause(after).await;
            answer
        }
        Fate::ReplyLost(wait) => {
            let _ = timeout(patience, handle(world, &node, sent)).await;
            sleep(wait).await;
            None
        }
        Fate::Late(arrival, give_up) => {
            later(world, arrival, node, sent);
            sleep(give_up).await;
            None
        }
        // Something on the way sends it again. Where nothing recognises it that would be a write of its own.
        Fate::Twice(again) if sent.is_repeatable => {
            let (request, body) = (sent.request.clone(), sent.body.clone());
            let same = Sent { number, request, body, breaks_off: false, is_repeatable: true };
            later(world, again, Arc::clone(&node), same);
            timeout(patience, handle(world, &node, sent)).await.ok().flatten()
        }
        Fate::Twice(_) => timeout(patience, handle(world, &node, sent)).await.ok().flatten(),
    };
    let is_acked = matches!(answered, Some(Ok(_)));
    world.trace.note("client", "heard", number as u64 * 2 + u64::from(is_acked), || match &answered {
        Some(Ok(answer)) => format!("write {number} is stored at {}", answer.sequence),
        Some(Err(error)) => format!("write {number}: {error:?}"),
        None => format!("write {number}: nothing"),
    });
    is_acked
}

fn later(world: &Arc<World>, wait: Duration, node: Arc<SimNode>, sent: Sent) {
    let own = Arc::clone(world);
    world.tasks.spawn(async move {
        sleep(wait).await;
        let _ = handle(&own, &node, sent).await;
    });
}

/// The node's part: it takes the write, and the oracle hears the answer when the node gives it. When the caller goes away
/// the node's handler is dropped, or goes on.
async fn handle(world: &Arc<World>, node: &Arc<SimNode>, sent: Sent) -> Option<Result<IngestAnswer>> {
    let goes_on = world.draw(|rng| rng.chance(500));
    let handler = take(Arc::clone(world), Arc::clone(node), sent);
    if !goes_on {
        return node.run(world, handler).await;
    }
    let (sender, receiver) = oneshot::channel();
    let (own, node) = (Arc::clone(world), Arc::clone(node));
    world.tasks.spawn(async move {
        let _ = sender.send(node.run(&own, handler).await);
    });
    receiver.await.ok().flatten()
}

async fn take(world: Arc<World>, node: Arc<SimNode>, sent: Sent) -> Result<IngestAnswer> {
    let half = sent.body.slice(..sent.body.len() / 2);
    let end = || Err(Error::cancelled("client.gone", "the client went away"));
    let pieces = if sent.breaks_off { vec![Ok(half), end()] } else { vec![Ok(sent.body)] };
    let body: BoxStream<'static, Result<Bytes>> = futures::stream::iter(pieces).boxed();
    let answer = node.ingester.ingest(&sent.request, body).await;
    world.oracle.answered(sent.number, &answer);
    answer
}

/// Does something so many times, spread over the run, each time on any node; it may fail, or end with its node.
pub async fn now_and_then<W>(world: &Arc<World>, times: usize, work: impl Fn(Arc<World>, Arc<SimNode>) -> W)
where
    W: Future<Output = Result<()>> + Send + 'static,
{
    for _ in 0..times {
        world.gap(times).await;
        let Some(node) = world.any_node() else { continue };
        let _ = node.run(world, work(Arc::clone(world), Arc::clone(&node))).await;
    }
}

/// Pins a snapshot, reads it, holds it, and reads it again.
pub async fn reader(world: Arc<World>) {
    now_and_then(&world, 3, |world, node| async move { read_twice(&world, &node).await }).await;
}

async fn read_twice(world: &World, node: &SimNode) -> Result<()> {
    let (table, at) = pinned(world, node).await?;
    let window = world.draw(|rng| {
        let start = BEGIN + rng.below(3_600_000) as i64 * 1_000_000;
        if rng.chance(500) { TimeRange::ALL } else { TimeRange::new(start, start + 900_000_000_000) }
    });
    // What the snapshot shows now it shows for good.
    let held = world.oracle.expected(table.id, at, window).rows;
    for _ in 0..2 {
        check_snapshot(world, node, &table, at, window, Some(&held)).await?;
        let grace = world.plan.worker.garbage.removed_grace_millis;
        sleep(Duration::from_millis(world.draw(|rng| rng.below(grace)))).await;
    }
    check_snapshot(world, node, &table, at, window, Some(&held)).await
}

/// Remembers what a table shows, and asks later what it showed then.
pub async fn traveller(world: Arc<World>) {
    now_and_then(&world, 2, |world, node| async move { look_back(&world, &node).await }).await;
}

async fn look_back(world: &World, node: &SimNode) -> Result<()> {
    let (table, at) = pinned(world, node).await?;
    let then = world.oracle.expected(table.id, at, TimeRange::ALL).rows;
    let grace = world.plan.worker.garbage.removed_grace_millis;
    sleep(Duration::from_millis(world.draw(|rng| rng.below(2 * grace)))).await;
    let told = read_snapshot(world, node, &table, at, TimeRange::ALL).await?;
    // As a query as of earlier does: what was listed counts when nothing of that sequence was forgotten by then.
    let is_complete = node.catalog.oldest(table.database).await? <= at;
    world.trace.note(&node.name, "look back", u64::from(is_complete), || format!("{} at {at}", table.name));
    if is_complete && told != then {
        let seen = format!("{} showed {then:?} at {at}, and now {told:?}", table.name);
        world.oracle.break_down("what was stays as it was", seen);
    }
    Ok(())
}

/// A snapshot, and some table that it sees: one that was dropped since is seen, too, but not asked for.
pub async fn pinned(world: &World, node: &SimNode) -> Result<(Table, Sequence)> {
    let missing = || Error::not_found("sim.nothing", "nothing is there yet");
    let database = node.catalog.database(DATABASE).await?.ok_or_else(missing)?;
    let at = node.catalog.pin(database.id).await?;
    let tables = node.catalog.tables(database.id).await?;
    let place = world.draw(|rng| rng.below(tables.len() as u64)) as usize;
    let table = tables.into_iter().nth(place).ok_or_else(missing)?;
    Ok((table, at))
}

async fn list(node: &SimNode, table: &Table, at: Sequence, time: TimeRange) -> Result<Vec<Extent>> {
    let query = ExtentQuery { table: table.id, at, time, order: ExtentOrder::NewestFirst, ranges: Vec::new() };
    node.catalog.list(query).try_collect().await
}

/// Reads what a snapshot shows, and compares it with what it showed when it was pinned. Without that it is the last read of
/// all, which must succeed. Before, an error counts when what is missing must be there.
pub async fn check_snapshot(
    world: &World,
    node: &SimNode,
    table: &Table,
    at: Sequence,
    time: TimeRange,
    held: Option<&[i64]>,
) -> Result<()> {
    let mut tries = 0;
    loop {
        let read = read_snapshot(world, node, table, at, time).await;
        let expected = world.oracle.expected(table.id, at, time);
        let held_rows = held.unwrap_or(&expected.rows);
        match read {
            Ok(rows) if rows != held_rows && expected.is_kept => {
                let seen = format!("{} at {at} shows {rows:?}, not {held_rows:?}", table.name);
                world.oracle.break_down("a snapshot does not change", seen);
                return Ok(());
            }
            Ok(_) => return Ok(()),
            Err(error) if error.kind() == Kind::NotFound && expected.is_kept => {
                let seen = format!("{} at {at} cannot be read: {error:?}", table.name);
                world.oracle.break_down("a snapshot does not change", seen);
                return Ok(());
            }
            Err(error) if held.is_none() && tries > CALM_READS_MAX => {
                let seen = format!("{} at {at} cannot be read: {error:?}", table.name);
                world.oracle.break_down("what is stored can be read", seen);
                return Ok(());
            }
            Err(error) if held.is_some() => return Err(error),
            Err(_) => tries += 1,
        }
    }
}

async fn read_snapshot(
    world: &World,
    node: &SimNode,
    table: &Table,
    at: Sequence,
    time: TimeRange,
) -> Result<Vec<i64>> {
    let mut rows = Vec::new();
    for extent in list(node, table, at, time).await? {
        let source = node.store.reader(&extent.location, Arc::new(IoCounters::default()));
        let found = read_rows(&world.formats, &extent, source).await?;
        let within = found.into_iter().filter(|(_, row)| time.start <= *row && *row <= time.end);
        rows.extend(within.map(|(number, _)| number));
    }
    rows.sort_unstable();
    Ok(rows)
}

/// Puts some extents together, as compaction and commands do.
pub async fn rewriter(world: Arc<World>) {
    now_and_then(&world, 3, |world, node| async move { rewrite(&world, &node).await }).await;
}

async fn rewrite(world: &World, node: &SimNode) -> Result<()> {
    let (table, at) = pinned(world, node).await?;
    let mut extents = list(node, &table, at, TimeRange::ALL).await?;
    extents.truncate(world.draw(|rng| rng.between(1, 4)) as usize);
    if extents.is_empty() {
        return Ok(());
    }
    let mut batches = Vec::new();
    for extent in &extents {
        batches.extend(read_batches(world, node, extent).await?);
    }
    let sources: Vec<ExtentId> = extents.iter().map(|extent| extent.id).collect();
    world.trace.note(&node.name, "rewrite", sources.len() as u64, || format!("{sources:?}"));
    node.ingester.replace_batches(&request(&table.name, None), &sources, batches).await.map(drop)
}

async fn read_batches(world: &World, node: &SimNode, extent: &Extent) -> Result<Vec<RecordBatch>> {
    let source = node.store.reader(&extent.location, Arc::new(IoCounters::default()));
    let options = OpenOptions::of(extent);
    let reader = world.formats.get(&extent.format)?.open(Arc::clone(&source), &options).await?;
    let stored = reader.schema().columns().iter().filter(|column| !column.name.starts_with(HIDDEN_MARK));
    let schema: Schema = stored.cloned().collect();
    let columns: Vec<ReadColumn> =
        schema.columns().iter().map(|column| ReadColumn::column(&column.name, column.ty)).collect();
    let fields: Vec<_> = schema.columns().iter().map(|column| column.ty.field(&column.name)).collect();
    let named = Arc::new(ArrowSchema::new(fields));
    let mut batches = Vec::new();
    for block in 0..reader.block_rows().len() as u32 {
        let batch = reader.read(source.as_ref(), block, &columns, None).await?;
        batches.push(RecordBatch::try_new(Arc::clone(&named), batch.columns().to_vec())?);
    }
    Ok(batches)
}

/// Removes extents, as a command does.
pub async fn remover(world: Arc<World>) {
    now_and_then(&world, world.plan.removals, |world, node| async move { remove(&world, &node).await }).await;
}

async fn remove(world: &World, node: &SimNode) -> Result<()> {
    let (table, at) = pinned(world, node).await?;
    let mut extents = list(node, &table, at, TimeRange::ALL).await?;
    extents.truncate(world.draw(|rng| rng.between(1, 3)) as usize);
    let ids: Vec<ExtentId> = extents.iter().map(|extent| extent.id).collect();
    world.oracle.condemn(ids.iter().copied());
    world.trace.note(&node.name, "remove", ids.len() as u64, || format!("{ids:?}"));
    node.catalog.replace(table.id, &ids, &Commit::default()).await.map(drop)
}
