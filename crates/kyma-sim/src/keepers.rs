//! Who keeps and throws away: long queries that hold on to a snapshot, and people who drop tables and undo it.

use std::sync::Arc;
use std::time::Duration;

use kyma_core::time::TimeRange;
use kyma_core::{Error, Result};
use tokio::time::sleep;

use crate::clients::{DATABASE, check_snapshot, now_and_then, pinned};
use crate::node::SimNode;
use crate::world::World;

/// Reads of one long query.
const READS: usize = 3;
/// Tries to undo one drop: names may be taken, the catalog away.
const UNDROPS_MAX: usize = 4;

/// Long queries: each holds a snapshot for longer than removed extents are kept, and reads all of it now and then.
pub async fn holder(world: Arc<World>) {
    now_and_then(&world, 2, |world, node| async move { read_for_long(&world, &node).await }).await;
}

async fn read_for_long(world: &World, node: &SimNode) -> Result<()> {
    let (table, at) = pinned(world, node).await?;
    let _hold = node.holds.take(table.database, at);
    let shown = world.oracle.expected(table.id, at, TimeRange::ALL).rows;
    let grace = world.plan.worker.garbage.removed_grace_millis;
    for _ in 0..READS {
        check_snapshot(world, node, &table, at, TimeRange::ALL, Some(&shown)).await?;
        sleep(Duration::from_millis(world.draw(|rng| rng.below(2 * grace)))).await;
    }
    check_snapshot(world, node, &table, at, TimeRange::ALL, Some(&shown)).await
}

/// Drops tables, and undoes most of it.
pub async fn dropper(world: Arc<World>) {
    for _ in 0..world.plan.drops {
        world.gap(world.plan.drops).await;
        let Some(node) = world.any_node() else { continue };
        let (own, of) = (Arc::clone(&world), Arc::clone(&node));
        let _ = node.run(&world, async move { drop_one(&own, &of).await }).await;
        if world.draw(|rng| rng.chance(300)) {
            continue;
        }
        let grace = world.plan.worker.garbage.removed_grace_millis;
        sleep(Duration::from_millis(world.draw(|rng| rng.below(grace * 5 / 4)))).await;
        for _ in 0..UNDROPS_MAX {
            let Some(node) = world.any_node() else { continue };
            let (own, of) = (Arc::clone(&world), Arc::clone(&node));
            let undone = node.run(&world, async move { undrop_one(&own, &of).await }).await;
            if let Some(Ok(())) = undone {
                break;
            }
            sleep(Duration::from_millis(world.draw(|rng| rng.below(5_000)))).await;
        }
    }
}

async fn drop_one(world: &World, node: &SimNode) -> Result<()> {
    let (table, _) = pinned(world, node).await?;
    world.trace.note(&node.name, "drop", table.id.0 as u64, || table.name.clone());
    let dropped = node.catalog.drop_table(table.id).await;
    node.ingester.forget_table(DATABASE, &table.name);
    dropped
}

/// Undoes some drop, under its name if that is free.
async fn undrop_one(world: &World, node: &SimNode) -> Result<()> {
    let missing = || Error::not_found("sim.nothing", "nothing is there yet");
    let database = node.catalog.database(DATABASE).await?.ok_or_else(missing)?;
    let dropped = node.catalog.dropped_tables(database.id).await?;
    if dropped.is_empty() {
        return Ok(());
    }
    let table = &dropped[world.draw(|rng| rng.below(dropped.len() as u64)) as usize].table;
    let aside = format!("{}_{}", table.name, world.draw(|rng| rng.below(1_000)));
    let name = if world.draw(|rng| rng.chance(800)) { &table.name } else { &aside };
    world.trace.note(&node.name, "undrop", table.id.0 as u64, || name.clone());
    let undone = node.catalog.undrop_table(table.id, name).await.map(drop);
    node.ingester.forget_table(DATABASE, name);
    undone
}
