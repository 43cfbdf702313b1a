//! What happens to nodes and services: crashes, stalls, drains, clocks that jump, restarts, outages.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;

use crate::node::SimNode;
use crate::world::World;

/// The longest stall.
const STALL_SECONDS_MAX: u64 = 600;

/// Makes trouble until the plan's events are used up.
pub async fn chaos(world: Arc<World>) {
    let weights = world.plan.chaos_weights;
    let total: u32 = weights.iter().sum();
    if total == 0 {
        return;
    }
    for _ in 0..world.plan.chaos {
        world.gap(world.plan.chaos).await;
        if world.is_calm() {
            return;
        }
        let (mut dice, slot) =
            world.draw(|rng| (rng.below(u64::from(total)) as u32, rng.below(world.plan.nodes as u64)));
        let kind = weights.iter().position(|weight| {
            let hit = dice < *weight;
            dice = dice.saturating_sub(*weight);
            hit
        });
        strike(&world, kind.unwrap_or(0), slot as usize);
    }
}

fn strike(world: &Arc<World>, kind: usize, slot: usize) {
    let seconds = |low, high| Duration::from_secs(world.draw(|rng| rng.between(low, high)));
    world.trace.note(
        "chaos",
        ["crash", "stall", "drain", "clock jump", "catalog restart", "store outage"][kind],
        slot as u64,
        || format!("slot {slot}"),
    );
    match kind {
        0 => {
            let pause = seconds(0, 60);
            let Some(node) = world.set_node(slot, None) else { return };
            node.scope.kill();
            start_later(world, slot, pause);
        }
        1 => {
            let pause = world.draw(|rng| rng.pick(&[3, 20, 90, STALL_SECONDS_MAX]));
            let Some(node) = world.node(slot) else { return };
            node.scope.stall(true);
            world.tasks.spawn(async move {
                sleep(Duration::from_secs(pause)).await;
                node.scope.stall(false);
            });
        }
        2 => {
            let pause = seconds(1, 20);
            let Some(node) = world.set_node(slot, None) else { return };
            node.shutdown.cancel();
            let own = Arc::clone(world);
            world.tasks.spawn(async move {
                let draining = Arc::clone(&node);
                let drained = async move { draining.ingester.shutdown().await };
                let _ = tokio::time::timeout(Duration::from_secs(60), node.run(&own, drained)).await;
                node.scope.kill();
            });
            start_later(world, slot, pause);
        }
        3 => {
            let nanos = world.draw(|rng| rng.pick(&[-3_600, -90, 90, 3_600, 86_400]) as i64) * 1_000_000_000;
            if let Some(node) = world.node(slot) {
                node.clock.jump(nanos);
            }
        }
        4 => world.restart_catalog(seconds(1, 40)),
        _ => world.break_store(seconds(1, 40)),
    }
}

fn start_later(world: &Arc<World>, slot: usize, pause: Duration) {
    let own = Arc::clone(world);
    world.tasks.spawn(async move {
        sleep(pause).await;
        if own.node(slot).is_none() {
            let node = SimNode::start(&own, slot, own.trace.hash().1).await;
            own.set_node(slot, Some(node));
        }
    });
}

/// Ends all trouble: everybody runs.
pub async fn heal(world: &Arc<World>) {
    world.calm_down();
    for slot in 0..world.plan.nodes {
        match world.node(slot) {
            Some(node) => {
                node.scope.stall(false);
                node.clock.repair();
            }
            None => {
                let node = SimNode::start(world, slot, world.trace.hash().1).await;
                world.set_node(slot, Some(node));
            }
        }
    }
}
