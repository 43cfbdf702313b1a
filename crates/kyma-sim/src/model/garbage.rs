//! What may be deleted.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use kyma_core::catalog::{DoomedObject, Garbage};
use kyma_core::extent::Extent;
use kyma_core::planted::{self, Bug};
use kyma_core::{DatabaseId, ExtentId, NodeId, Result, Sequence};

use super::{ExtentRow, Model, ObjectRow, ObjectState, nanos};

#[async_trait]
impl Garbage for Model {
    async fn created(&self) -> Result<i64> {
        Ok(self.created)
    }

    async fn revoke_stale(&self, age: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        let mut state = self.state();
        let before = self.now().saturating_sub(nanos(age));
        let is_stale = |row: &ObjectRow| row.state == ObjectState::Reserved && row.reserved_at < before;
        let mut stale: Vec<_> = state.objects.iter_mut().filter(|(_, row)| is_stale(row)).collect();
        stale.sort_by_key(|(_, row)| row.reserved_at);
        let mut doomed = Vec::new();
        for (key, row) in stale.into_iter().take(limit) {
            row.state = ObjectState::Revoked;
            self.observer().doomed(key, row.reservation);
            doomed.push(DoomedObject { key: key.clone() });
        }
        Ok(doomed)
    }

    async fn hold(&self, node: NodeId, oldest: &BTreeMap<DatabaseId, Sequence>, time: Duration) -> Result<()> {
        let until = self.now().saturating_add(nanos(time));
        let mut state = self.state();
        state.holds.retain(|(holder, _), _| *holder != node);
        state.holds.extend(oldest.iter().map(|(database, at)| ((node, *database), (*at, until))));
        self.observer().held(node, oldest, until);
        Ok(())
    }

    async fn doom_removed(&self, grace: Duration, limit: usize) -> Result<Vec<DoomedObject>> {
        let mut state = self.state();
        let grace = if planted::is(Bug::DoomWithoutGrace) { Duration::ZERO } else { grace };
        let before = self.now().saturating_sub(nanos(grace));
        let now = self.now();
        let super::State { objects, extents, holds, .. } = &mut *state;
        let is_held = |extent: &Extent| {
            let shows = |(_, database): &(NodeId, DatabaseId), at: &Sequence, until: i64| {
                *database == extent.database && extent.removed.is_none_or(|removed| *at < removed) && until > now
            };
            !planted::is(Bug::DoomIgnoresHolds) && holds.iter().any(|(holder, (at, until))| shows(holder, at, *until))
        };
        let is_over = |row: &ObjectRow| {
            let is_past =
                |row: &ExtentRow| row.removed_at.is_some_and(|removed| removed < before) && !is_held(&row.extent);
            let ended = |id: &ExtentId| extents.get(id).is_none_or(is_past);
            row.state == ObjectState::Registered && !row.extents.is_empty() && row.extents.iter().all(ended)
        };
        let mut doomed = Vec::new();
        for (key, row) in objects.iter_mut() {
            if doomed.len() < limit && is_over(row) {
                row.state = ObjectState::Doomed;
                self.observer().doomed(key, None);
                doomed.push(DoomedObject { key: key.clone() });
            }
        }
        Ok(doomed)
    }

    async fn doom_unknown(&self, keys: &[String]) -> Result<Vec<DoomedObject>> {
        let mut state = self.state();
        let mut doomed = Vec::new();
        for key in keys {
            if state.objects.contains_key(key) {
                continue;
            }
            let row = ObjectRow {
                state: ObjectState::Doomed,
                reservation: None,
                reserved_at: self.now(),
                sequences: None,
                extents: Vec::new(),
            };
            state.objects.insert(key.clone(), row);
            self.observer().doomed(key, None);
            doomed.push(DoomedObject { key: key.clone() });
        }
        Ok(doomed)
    }

    async fn doomed(&self, limit: usize) -> Result<Vec<DoomedObject>> {
        let state = self.state();
        let doomed = state.objects.iter().filter(|(_, row)| is_doomed(row));
        Ok(doomed.take(limit).map(|(key, _)| DoomedObject { key: key.clone() }).collect())
    }

    async fn forget(&self, key: &str) -> Result<()> {
        let mut state = self.state();
        if !state.objects.get(key).is_some_and(is_doomed) {
            return Ok(());
        }
        let Some(row) = state.objects.remove(key) else { return Ok(()) };
        if let Some(reservation) = row.reservation {
            state.keys.remove(&reservation);
        }
        for id in row.extents {
            let Some(gone) = state.extents.remove(&id) else { continue };
            if let Some(table) = state.tables.get_mut(&gone.extent.new.table) {
                table.extents.retain(|extent| *extent != id);
                table.forgotten = table.forgotten.max(gone.extent.removed.unwrap_or(table.forgotten));
            }
        }
        self.observer().forgotten(key);
        Ok(())
    }
}

fn is_doomed(row: &ObjectRow) -> bool {
    matches!(row.state, ObjectState::Revoked | ObjectState::Doomed)
}
