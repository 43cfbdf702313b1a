//! What the journal in the bucket says, compared with what the judge saw: a catalog that is made again from it holds no
//! row that was not there, and none twice.

use std::collections::BTreeSet;
use std::sync::Arc;

use kyma_core::catalog::{JournalState, Recovery};
use kyma_core::{ExtentId, Result};
use kyma_worker::journal::replay::{Flaw, Replayed, replay};
use kyma_worker::journal::{ListedParts, has_moved, list};

use crate::node::sound_store;
use crate::rebuild::judge_rebuild;
use crate::world::World;

/// Looks at the journal now and then.
pub async fn auditor(world: Arc<World>) {
    for _ in 0..3 {
        world.gap(2).await;
        judge_journal(&world).await;
        judge_rebuild(&world, false).await;
    }
}

/// Whether some database is not written down as it is.
pub async fn is_behind(world: &World) -> bool {
    world.plan.has_journal && world.model.journal_states().await.is_ok_and(|states| states.iter().any(has_moved))
}

/// Reads the journal of each database, and compares. Nothing else happens meanwhile: this way takes no time.
pub async fn judge_journal(world: &Arc<World>) {
    if !world.plan.has_journal {
        return;
    }
    let states = world.model.journal_states().await.unwrap_or_default();
    for state in states.iter().filter(|state| state.mark.revision > 0) {
        match replayed(world, state).await {
            Ok(replayed) => judge(world, state, &replayed),
            Err(error) => world.oracle.break_down("what is stored can be read", error.chain()),
        }
    }
}

async fn replayed(world: &Arc<World>, state: &JournalState) -> Result<Replayed> {
    let store = sound_store(world);
    let identity = world.model.identity().await?.id;
    let (catalogs, _) = list(&store).await?;
    let parts = catalogs.get(&identity).and_then(|databases| databases.get(&state.database.id));
    replay(&store, parts.unwrap_or(&ListedParts::new())).await
}

fn judge(world: &World, state: &JournalState, replayed: &Replayed) {
    let broken = |seen: String| world.oracle.break_down("the journal says what was", seen);
    // An entry that nobody finished is no flaw as long as no mark counts it.
    if let Some(flaw) = replayed.flaws.iter().find(|flaw| !matches!(flaw, Flaw::Incomplete(_))) {
        return broken(format!("{flaw:?}"));
    }
    let (at, mark) = (replayed.sequence(), state.mark.sequence);
    if at < mark || at > state.sequence {
        return broken(format!("it leads to {at}, the mark says {mark}, the catalog is at {}", state.sequence));
    }
    let Some(definition) = &replayed.definition else { return broken("it has no definition".to_owned()) };
    for table in definition.tables.iter().map(|definition| &definition.table) {
        let told = replayed.extents.values().filter(|extent| extent.table == table.id);
        let told: BTreeSet<ExtentId> = told.map(|extent| extent.id).collect();
        let was = world.oracle.extents_at(table.id, at);
        if told != was {
            let (more, less): (Vec<_>, Vec<_>) = (told.difference(&was).collect(), was.difference(&told).collect());
            return broken(format!("{} at {at}: it tells too much {more:?}, and too little {less:?}", table.name));
        }
    }
    let state_of = world.model.state();
    let receipts =
        state_of.receipts.iter().filter(|((owner, _), row)| *owner == state.database.id && row.sequence <= at);
    if let Some(((_, key), _)) = receipts.into_iter().find(|((_, key), _)| !replayed.receipts.contains_key(key)) {
        broken(format!("it does not tell of the write {key:?}"));
    }
}
