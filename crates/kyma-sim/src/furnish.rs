//! What a world holds before its nodes start: objects that are not this catalog's, and tables whose policies the plan wants.

use bytes::Bytes;
use kyma_core::catalog::{Definitions, NewTable, Policy, Table, Tables};
use kyma_core::policy::RETENTION;
use kyma_core::{Column, DatabaseId, Result, Schema, Type};

use crate::clients::{DATABASE, table_name};
use crate::oracle::TIME;
use crate::plan::{KEPT, Retention};
use crate::time::BEGIN;
use crate::world::World;

/// Furnishes it. Nothing fails: the model is asked without a way between.
pub async fn furnish(world: &World) -> Result<()> {
    strange_objects(world);
    if world.plan.retention.is_none() && world.plan.deduplication == 0 {
        return Ok(());
    }
    let database = world.model.ensure_database(DATABASE).await?.id;
    if world.plan.deduplication > 0 {
        for place in 0..world.plan.tables as u64 {
            let table = make(world, database, &table_name(place)).await?;
            world.model.set_deduplication(table.id, world.plan.deduplication).await?;
        }
    }
    let of_table = match world.plan.retention {
        None => return Ok(()),
        Some(Retention::OfDatabase) => None,
        Some(Retention::OfTable) => Some(make(world, database, &table_name(0)).await?.id),
    };
    let json = format!("{{\"SoftDeletePeriod\":\"{:02}:00:00\"}}", KEPT.as_secs() / 3_600);
    let policy = Policy { database, table: of_table, kind: RETENTION.to_owned(), json };
    world.model.put_policy(&policy).await?;
    world.oracle.keep_for(database, of_table, KEPT);
    Ok(())
}

/// Objects that no collector may touch: of an earlier catalog of this bucket, and of other people.
fn strange_objects(world: &World) {
    let earlier = "extents/2025/12/31/0190f0f0-0000-7000-8000-000000000000.kyma";
    for (key, age_hours) in [(earlier, 24), ("extents/notes.txt", 48), ("backups/a.kyma", 48)] {
        world.bucket.put_at(key, Bytes::from_static(b"mine"), true, BEGIN - age_hours * 3_600_000_000_000);
        world.oracle.hold_sacred(key);
    }
}

/// A table that writes find.
async fn make(world: &World, database: DatabaseId, name: &str) -> Result<Table> {
    let new = NewTable {
        schema: Schema::new(vec![Column::new(TIME, Type::Datetime)]),
        time_column: TIME.to_owned(),
        sort_key: Vec::new(),
        format: world.plan.format.to_owned(),
    };
    world.model.ensure_table(database, name, &new).await
}
