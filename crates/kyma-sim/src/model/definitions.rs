//! Mappings, functions, texts, policies, operations.

use std::collections::BTreeMap;

use async_trait::async_trait;
use kyma_core::catalog::{Definitions, IngestionMapping, Operation, Operations, Policy, StoredFunction, TableTexts};
use kyma_core::ids::check_name;
use kyma_core::{DatabaseId, Error, NodeId, Result, TableId};
use uuid::Uuid;

use super::{Model, State};

#[async_trait]
impl Definitions for Model {
    async fn ingestion_mapping(&self, table: TableId, name: &str) -> Result<Option<IngestionMapping>> {
        Ok(self.state().mappings.get(&(table, name.to_owned())).cloned())
    }

    async fn ingestion_mappings(&self, table: TableId) -> Result<Vec<IngestionMapping>> {
        let state = self.state();
        Ok(state.mappings.values().filter(|mapping| mapping.table == table).cloned().collect())
    }

    async fn put_ingestion_mapping(&self, mapping: &IngestionMapping, replace: bool) -> Result<()> {
        check_name("mapping", &mapping.name)?;
        check_json(&mapping.json)?;
        let mut state = self.state();
        state.live_table(mapping.table)?;
        let place = (mapping.table, mapping.name.clone());
        if state.mappings.get(&place).is_some_and(|known| !replace || known.kind != mapping.kind) {
            return Err(Error::conflict("catalog.mapping_exists", "the mapping exists already"));
        }
        state.mappings.insert(place, mapping.clone());
        state.said_of(mapping.table);
        Ok(())
    }

    async fn drop_ingestion_mapping(&self, table: TableId, kind: &str, name: &str) -> Result<bool> {
        let mut state = self.state();
        let place = (table, name.to_owned());
        let is_there = state.mappings.get(&place).is_some_and(|mapping| mapping.kind == kind);
        let dropped = is_there && state.mappings.remove(&place).is_some();
        if dropped {
            state.said_of(table);
        }
        Ok(dropped)
    }

    async fn functions(&self, database: DatabaseId) -> Result<Vec<StoredFunction>> {
        let state = self.state();
        let own = state.functions.iter().filter(|((owner, _), _)| *owner == database);
        Ok(own.map(|(_, function)| function.clone()).collect())
    }

    async fn put_function(&self, database: DatabaseId, function: &StoredFunction, replace: bool) -> Result<()> {
        check_name("function", &function.name)?;
        let mut state = self.state();
        state.database(database)?;
        let place = (database, function.name.clone());
        if !replace && state.functions.contains_key(&place) {
            return Err(Error::conflict("catalog.function_exists", "the function exists already"));
        }
        state.functions.insert(place, function.clone());
        state.schema_changed(database);
        Ok(())
    }

    async fn drop_function(&self, database: DatabaseId, name: &str) -> Result<bool> {
        let mut state = self.state();
        let dropped = state.functions.remove(&(database, name.to_owned())).is_some();
        if dropped {
            state.schema_changed(database);
        }
        Ok(dropped)
    }

    async fn table_texts(&self, database: DatabaseId) -> Result<BTreeMap<TableId, TableTexts>> {
        let state = self.state();
        let is_own = |id: &TableId| {
            state.tables.get(id).is_some_and(|row| row.dropped.is_none() && row.table.database == database)
        };
        Ok(state.texts.iter().filter(|(id, _)| is_own(id)).map(|(id, texts)| (*id, texts.clone())).collect())
    }

    async fn put_table_texts(&self, table: TableId, texts: &TableTexts) -> Result<()> {
        let mut state = self.state();
        state.live_table(table)?;
        state.texts.insert(table, texts.clone());
        state.said_of(table);
        Ok(())
    }

    async fn policies(&self, database: DatabaseId) -> Result<Vec<Policy>> {
        let state = self.state();
        Ok(state.policies.values().filter(|policy| policy.database == database).cloned().collect())
    }

    async fn put_policy(&self, policy: &Policy) -> Result<()> {
        check_json(&policy.json)?;
        let place = (policy.database, policy.table, policy.kind.clone());
        let mut state = self.state();
        state.policies.insert(place, policy.clone());
        state.schema_changed(policy.database);
        Ok(())
    }

    async fn drop_policy(&self, database: DatabaseId, table: Option<TableId>, kind: &str) -> Result<bool> {
        let mut state = self.state();
        let dropped = state.policies.remove(&(database, table, kind.to_owned())).is_some();
        if dropped {
            state.schema_changed(database);
        }
        Ok(dropped)
    }
}

#[async_trait]
impl Operations for Model {
    async fn begin_operation(&self, id: Uuid, database: &str, kind: &str, node: NodeId) -> Result<()> {
        let now = self.now();
        let operation = Operation {
            id,
            database: database.to_owned(),
            kind: kind.to_owned(),
            node,
            state: "InProgress".to_owned(),
            status: String::new(),
            details: String::new(),
            started: now,
            changed: now,
        };
        self.state().operations.entry(id).or_insert(operation);
        Ok(())
    }

    async fn note_operation(&self, id: Uuid, node: NodeId, details: &str) -> Result<()> {
        let now = self.now();
        let mut state = self.state();
        let operation = running(&mut state, id)?;
        (operation.node, operation.changed) = (node, now);
        operation.details = details.replace('\0', "\u{fffd}");
        Ok(())
    }

    async fn end_operation(&self, id: Uuid, error: Option<&str>) -> Result<()> {
        let now = self.now();
        let mut state = self.state();
        let operation = running(&mut state, id)?;
        operation.state = if error.is_some() { "Failed" } else { "Completed" }.to_owned();
        operation.status = error.unwrap_or_default().replace('\0', "\u{fffd}");
        operation.changed = now;
        Ok(())
    }

    async fn operations(&self, id: Option<Uuid>, limit: usize) -> Result<Vec<Operation>> {
        let state = self.state();
        let wanted = state.operations.values().filter(|operation| id.is_none_or(|id| operation.id == id));
        let mut operations: Vec<Operation> = wanted.cloned().collect();
        operations.sort_by_key(|operation| (std::cmp::Reverse(operation.started), operation.id));
        operations.truncate(limit);
        Ok(operations)
    }
}

fn running(state: &mut State, id: Uuid) -> Result<&mut Operation> {
    let running = state.operations.get_mut(&id).filter(|operation| operation.state == "InProgress");
    running.ok_or_else(|| Error::conflict("catalog.operation_ended", "it is not running"))
}

fn check_json(json: &str) -> Result<()> {
    let read = serde_json::from_str::<&serde_json::value::RawValue>(json);
    read.map(drop).map_err(|error| Error::invalid("catalog.json_invalid", "a definition is not JSON").because(error))
}
