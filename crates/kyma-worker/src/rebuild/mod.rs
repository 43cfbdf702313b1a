//! The catalog from the bucket alone.
//!
//! 1. List the journals. One catalog's are used: the one that is named, or the only one that no other was made again from.
//! 2. Replay each database of it ([`crate::journal::replay`]). What a journal says was removed stays removed.
//! 3. List the extents' objects. Those that may be newer than the journals are opened, up to
//!    [`RebuildOptions::in_flight`] at a time: their footers say whose they are. An object that is far older than the end of its
//!    databases' journals, and that none knows, was never committed. Old and new are by the clock of the store, which put them both.
//! 4. Leave out what is not in the bucket any more, and what was put for tables that were dropped.
//! 5. Judge the objects ([`adopt`]), and add what was committed after its database's last sequence, in the order in which it
//!    was put. Tables and columns that came after the journal are made from the footers.
//! 6. Fill the empty catalog, all or nothing.
//!
//! Without journals all of it comes from footers. What they cannot tell is in the report: extents that were deleted or
//! dropped and whose objects are still there come back; functions, policies, mappings and receipts are gone.
//!
//! The past does not come back: of the extents that were removed only the objects are left, which `verify` finds. All extents
//! are in memory while this runs, about two kilobytes each.

mod adopt;
mod find;

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{Database, DatabaseDefinition, NumberedReceipt, Recovery, Table, TableDefinition};
use kyma_core::extent::Extent;
use kyma_core::format::{Formats, write_hash};
use kyma_core::planted::{self, Bug};
use kyma_core::schema::HIDDEN_MARK;
use kyma_core::stats::can_promote;
use kyma_core::{DatabaseId, Error, ExtentId, Result, Schema, Sequence, TableId};
use kyma_storage::{Store, StoredObject};
use serde::Serialize;
use uuid::Uuid;

use crate::garbage;
use crate::journal::{self, replay::Replayed};
use crate::progress::Progress;
use adopt::{Candidate, Judged, Known, judge};
use find::FoundExtent;

/// Rows of one insert.
const PAGE: usize = 2_000;
/// Sequences that are passed over after a rebuild: the lost catalog may have given out some that nothing in the bucket tells of,
/// and whoever remembers one must not miss what comes now.
const SEQUENCES_SKIPPED: i64 = 1_000_000;
/// Why an object is an orphan.
const TOO_OLD: &str = "it is older than the journal, which does not know it";
/// Notes of one code that are kept word by word.
const NOTES_MAX: usize = 1_000;

/// How to rebuild.
#[derive(Debug, Clone)]
pub struct RebuildOptions {
    /// The catalog whose journal is used; found out when `None`.
    pub catalog: Option<Uuid>,
    /// Objects that are opened at a time.
    pub in_flight: usize,
    /// An object that is this much older than the journals' end, and that none knows, was never committed: longer than any
    /// reservation stands.
    pub unknown_age: Duration,
}

impl Default for RebuildOptions {
    fn default() -> Self {
        RebuildOptions { catalog: None, in_flight: 32, unknown_age: Duration::from_secs(2 * 3_600) }
    }
}

/// Something that could not be told for certain, or that is left to people.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Note {
    /// Which kind; stable.
    pub code: &'static str,
    /// What, in particular.
    pub detail: String,
}

impl Note {
    pub(crate) fn new(code: &'static str, detail: impl Into<String>) -> Note {
        Note { code, detail: detail.into() }
    }
}

/// A database that was made again.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RebuiltDatabase {
    /// Its name.
    pub name: String,
    /// Its tables.
    pub tables: usize,
    /// Its extents.
    pub extents: usize,
    /// Of these, those that only footers told of.
    pub adopted: usize,
    /// Its rows.
    pub rows: u64,
    /// Receipts of idempotent writes.
    pub receipts: usize,
    /// The sequence that it goes on from.
    pub sequence: i64,
    /// Whether a journal told of it.
    pub from_journal: bool,
}

/// What a rebuild did.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct RebuildReport {
    /// The catalog whose journal was used.
    pub journal_of: Option<Uuid>,
    /// The databases, by identity.
    pub databases: Vec<RebuiltDatabase>,
    /// Objects that were opened.
    pub objects_opened: u64,
    /// Keys of objects that were never committed, and why that is so.
    pub orphans: BTreeMap<String, String>,
    /// What was ambiguous or is lost.
    pub notes: Vec<Note>,
}

/// An object that was opened.
#[derive(Debug)]
struct FoundObject {
    key: String,
    extents: Vec<FoundExtent>,
    /// Whether it was put before the ends of its databases' journals, which are whole.
    is_past: bool,
}

/// A database while it is put together.
#[derive(Debug)]
struct Model {
    definition: DatabaseDefinition,
    extents: BTreeMap<ExtentId, Extent>,
    receipts: Vec<NumberedReceipt>,
    from_journal: bool,
    /// Tables that are not in the definition and not above this were dropped.
    tables_known: TableId,
    adopted: usize,
}

impl Model {
    /// Whether a table was there and is not any more.
    fn dropped(&self, table: TableId) -> bool {
        let is_there = self.definition.tables.iter().any(|definition| definition.table.id == table);
        !is_there && table <= self.tables_known
    }
}

/// Makes the catalog again.
///
/// # Errors
/// `Conflict` with code `catalog.not_empty` when it is not empty, `Invalid` with code `rebuild.several_catalogs` when the bucket has
/// the journals of several and none is named; those of the store and the catalog. After any of them the catalog is as it was.
pub async fn rebuild(
    recovery: &dyn Recovery,
    store: &Arc<Store>,
    formats: &Formats,
    options: &RebuildOptions,
    progress: &Progress,
) -> Result<RebuildReport> {
    // Asked for at first, so that nobody waits for hours to hear that the catalog is not empty.
    drop(recovery.begin_import(None).await?);
    let mut report = RebuildReport::default();
    progress.begin("reading journals", 0);
    let (mut models, mut known, ends) = replay_all(store, options, &mut report, progress).await?;
    let (listed, mut found) = open_objects(store, formats, options, &known, &ends, &mut report, progress).await?;
    leave_out_gone(store, options, &mut models, &mut known, &listed, &mut report).await?;
    leave_out_dropped(&models, &known, &mut found, &mut report);
    let judged = judge_objects(&known.ids, &found, &mut report);
    add_adopted(&mut models, &mut known, found, &judged, &mut report);
    import(recovery, models, &mut report, progress).await?;
    Ok(report)
}

/// What journals know of objects and extents.
#[derive(Debug, Default)]
struct KnownObjects {
    ids: Known,
    keys: HashSet<String>,
}

/// Until when journals tell all, in nanoseconds by the store's clock.
#[derive(Debug, Default)]
struct Ends {
    /// Of each database that has a journal.
    of: BTreeMap<DatabaseId, i64>,
    /// The earliest of those that are not whole.
    flawed: Option<i64>,
}

impl Ends {
    /// Objects that were put since may hold what some journal does not tell, whether one knows them or not.
    fn all_since(&self, unknown_age: i64) -> i64 {
        let latest = self.of.values().max().copied().unwrap_or(i64::MIN);
        self.flawed.map_or(latest, |flawed| latest.min(flawed)).saturating_sub(unknown_age)
    }

    /// Objects that no journal knows and that were put since may be of a database whose journal is behind the others.
    fn unknown_since(&self, unknown_age: i64) -> i64 {
        self.of.values().min().copied().unwrap_or(i64::MIN).saturating_sub(unknown_age)
    }

    /// Whether all of an object, put at `modified`, would be told by now if it had been committed.
    fn would_tell(&self, extents: &[FoundExtent], modified: i64, unknown_age: i64) -> bool {
        let end = |extent: &FoundExtent| self.of.get(&extent.identity.database).copied().unwrap_or(i64::MIN);
        extents.iter().all(|extent| modified < end(extent).saturating_sub(unknown_age))
    }
}

/// Steps 1 and 2. Gives the databases, what is known, and until when.
async fn replay_all(
    store: &Arc<Store>,
    options: &RebuildOptions,
    report: &mut RebuildReport,
    progress: &Progress,
) -> Result<(BTreeMap<DatabaseId, Model>, KnownObjects, Ends)> {
    let (catalogs, foreign) = journal::list(store).await?;
    if !foreign.is_empty() {
        report
            .notes
            .push(Note::new("foreign_journal_objects", format!("objects={}, first={}", foreign.len(), foreign[0])));
    }
    let mut replayed: BTreeMap<Uuid, BTreeMap<DatabaseId, Replayed>> = BTreeMap::new();
    for (id, databases) in &catalogs {
        for (database, parts) in databases {
            replayed.entry(*id).or_default().insert(*database, journal::replay::replay(store, parts).await?);
            progress.add(parts.len() as u64);
        }
    }
    let mut known = KnownObjects::default();
    let Some(chosen) = choose(&replayed, options, report)? else {
        report.notes.push(Note::new(
            "no_journal",
            "without a journal, what was deleted or dropped may be back, and functions, policies, mappings, texts and receipts are lost",
        ));
        return Ok((BTreeMap::new(), known, Ends::default()));
    };
    report.journal_of = Some(chosen);
    let (mut models, mut ends) = (BTreeMap::new(), Ends::default());
    let databases = replayed.remove(&chosen).unwrap_or_default();
    let chosen_from = databases.values().find_map(|database| database.rebuilt_from);
    for (database, replayed) in databases {
        let is_whole = replayed.definition.is_some() && !replayed.flaws.iter().any(is_loss);
        let end = if replayed.definition.is_some() { replayed.written_at } else { i64::MIN };
        ends.of.insert(database, end);
        if !is_whole {
            ends.flawed = Some(ends.flawed.map_or(end, |other| other.min(end)));
        }
        for flaw in &replayed.flaws {
            report.notes.push(Note::new("journal_flaw", format!("database={database}: {flaw:?}")));
        }
        if let Some(model) = model_of(replayed, is_whole, &mut known) {
            models.insert(database, model);
        }
    }
    add_ancestors(replayed, chosen_from, &mut known);
    Ok((models, known, ends))
}

/// What the catalogs before this one removed and left in the bucket stays removed.
fn add_ancestors(
    mut replayed: BTreeMap<Uuid, BTreeMap<DatabaseId, Replayed>>,
    mut from: Option<Uuid>,
    known: &mut KnownObjects,
) {
    while let Some(databases) = from.take().and_then(|id| replayed.remove(&id)) {
        for Replayed { definition, extents, removed, rebuilt_from, .. } in databases.into_values() {
            from = from.or(rebuilt_from);
            let tables: HashSet<TableId> =
                definition.iter().flat_map(|definition| &definition.tables).map(|table| table.table.id).collect();
            let dropped = extents.into_values().filter(|extent| !tables.contains(&extent.table));
            let gone = removed.into_iter().chain(dropped.map(|extent| (extent.id, extent.location.key.clone())));
            for (extent, key) in gone.filter(|(extent, _)| !known.ids.live.contains(extent)) {
                known.ids.removed.insert(extent);
                known.keys.insert(key);
            }
        }
    }
}

/// Whether a flaw means that commits may be missing. A crash of the writer leaves an incomplete entry, which is none.
fn is_loss(flaw: &journal::replay::Flaw) -> bool {
    use journal::replay::Flaw;
    matches!(flaw, Flaw::Corrupt(_) | Flaw::Gap(..) | Flaw::NoFull)
}

/// The catalog whose journal is used; `None` when there is none.
fn choose(
    replayed: &BTreeMap<Uuid, BTreeMap<DatabaseId, Replayed>>,
    options: &RebuildOptions,
    report: &mut RebuildReport,
) -> Result<Option<Uuid>> {
    if let Some(wanted) = options.catalog {
        let missing = || {
            Error::not_found(
                "rebuild.no_journal",
                format!("the bucket has no journal of this catalog: catalog={wanted}"),
            )
        };
        return if replayed.contains_key(&wanted) { Ok(Some(wanted)) } else { Err(missing()) };
    }
    let superseded: HashSet<Uuid> = replayed
        .values()
        .flat_map(|databases| databases.values().filter_map(|database| database.rebuilt_from))
        .collect();
    let current: Vec<Uuid> = replayed.keys().filter(|id| !superseded.contains(id)).copied().collect();
    for id in &superseded {
        report.notes.push(Note::new("superseded_journal", format!("catalog={id}")));
    }
    match current.as_slice() {
        [] => Ok(None),
        [one] => Ok(Some(*one)),
        several => {
            let list: Vec<String> = several.iter().map(Uuid::to_string).collect();
            Err(Error::invalid(
                "rebuild.several_catalogs",
                format!("the bucket has journals of several catalogs: {}", list.join(", ")),
            )
            .hint("name the one to make again: --catalog-id"))
        }
    }
}

/// What a journal tells; notes what is known by it. `None` when it tells nothing.
fn model_of(replayed: Replayed, is_whole: bool, known: &mut KnownObjects) -> Option<Model> {
    let Replayed { definition, extents, removed, receipts, .. } = replayed;
    let definition = definition?;
    let tables: HashSet<TableId> = definition.tables.iter().map(|table| table.table.id).collect();
    let (extents, dropped): (BTreeMap<_, _>, BTreeMap<_, _>) =
        extents.into_iter().partition(|(_, extent)| tables.contains(&extent.table));
    known.keys.extend(extents.values().chain(dropped.values()).map(|extent| extent.location.key.clone()));
    known.keys.extend(removed.values().cloned());
    known.ids.live.extend(extents.keys());
    known.ids.removed.extend(removed.keys().chain(dropped.keys()));
    for receipt in receipts.values().map(|receipt| &receipt.receipt) {
        // The answer names the extents, and these tell when they were made.
        let extent = receipt.answer.get("extents").and_then(|extents| extents.get(0));
        let extent = extent.and_then(|id| id.as_str()).and_then(|id| id.parse().ok()).map(ExtentId);
        if let Some(extent) = extent {
            known.ids.writes.insert(write_hash(receipt.database, &receipt.key), made(extent));
        }
    }
    Some(Model {
        tables_known: if is_whole { definition.tables_max } else { TableId(0) },
        definition,
        extents,
        receipts: receipts.into_values().collect(),
        from_journal: true,
        adopted: 0,
    })
}

/// When an extent was made, in milliseconds: its identity tells.
fn made(extent: ExtentId) -> u64 {
    extent.made_at().and_then(|nanos| u64::try_from(nanos / 1_000_000).ok()).unwrap_or_default()
}

/// Step 3.
async fn open_objects(
    store: &Arc<Store>,
    formats: &Formats,
    options: &RebuildOptions,
    known: &KnownObjects,
    ends: &Ends,
    report: &mut RebuildReport,
    progress: &Progress,
) -> Result<(HashSet<String>, Vec<FoundObject>)> {
    progress.begin("listing objects", 0);
    let unknown_age = i64::try_from(options.unknown_age.as_nanos()).unwrap_or(i64::MAX);
    let (all_since, unknown_since) = (ends.all_since(unknown_age), ends.unknown_since(unknown_age));
    let mut wanted: Vec<StoredObject> = Vec::new();
    let mut foreign = 0_u64;
    let mut listed = HashSet::new();
    let mut listing = store.list(garbage::PREFIX);
    while let Some(object) = listing.try_next().await? {
        progress.add(1);
        listed.insert(object.key.clone());
        if !garbage::is_ours(&object.key) {
            foreign += 1;
        } else if object.modified_nanos >= all_since
            || object.modified_nanos >= unknown_since && !known.keys.contains(&object.key)
        {
            wanted.push(object);
        } else if !known.keys.contains(&object.key) {
            report.orphans.insert(object.key, TOO_OLD.to_owned());
        }
    }
    if foreign > 0 {
        report.notes.push(Note::new("foreign_objects", format!("objects={foreign}")));
    }
    progress.begin("opening objects", wanted.len() as u64);
    report.objects_opened = wanted.len() as u64;
    let opening = futures::stream::iter(wanted).map(|object| async move {
        let found = find::find(store, formats, &object).await?;
        progress.add(1);
        Ok::<_, Error>((object, found))
    });
    let mut opened = opening.buffer_unordered(options.in_flight.max(1));
    let mut all = Vec::new();
    while let Some((object, found)) = opened.try_next().await? {
        let (key, modified) = (object.key, object.modified_nanos);
        match found {
            Ok(extents) if !known.keys.contains(&key) && ends.would_tell(&extents, modified, unknown_age) => {
                report.orphans.insert(key, TOO_OLD.to_owned());
            }
            Ok(extents) => {
                let is_past = ends.flawed.is_none() && ends.would_tell(&extents, modified, 0);
                all.push(FoundObject { key, extents, is_past });
            }
            // The journal has the rows of what it knows; what is only in the object is lost, and that is told.
            Err(why) if !known.keys.contains(&key) => {
                report.notes.push(Note::new("unreadable_object", format!("object={key}: {why}")))
            }
            Err(_) => {}
        }
    }
    all.sort_by(|a, b| a.key.cmp(&b.key));
    Ok((listed, all))
}

/// Step 4: what a journal tells and the bucket does not have. It was replaced and collected after the journal's end, which
/// the extent tells that took its place; or it is lost.
async fn leave_out_gone(
    store: &Arc<Store>,
    options: &RebuildOptions,
    models: &mut BTreeMap<DatabaseId, Model>,
    known: &mut KnownObjects,
    listed: &HashSet<String>,
    report: &mut RebuildReport,
) -> Result<()> {
    let told = models.values().flat_map(|model| model.extents.values()).map(|extent| &extent.location.key);
    let missing: BTreeSet<String> = told.filter(|key| !listed.contains(*key)).cloned().collect();
    let asked = futures::stream::iter(missing).map(|key| async move { Ok::<_, Error>((store.size(&key).await?, key)) });
    let asked = asked.buffer_unordered(options.in_flight.max(1));
    let gone: BTreeSet<String> =
        asked.try_filter_map(async |(size, key)| Ok(size.is_none().then_some(key))).try_collect().await?;
    for (database, model) in models {
        let before = model.extents.len();
        let collected = model.extents.extract_if(.., |_, extent| gone.contains(&extent.location.key));
        for (id, _) in collected {
            known.ids.live.remove(&id);
            known.ids.collected.insert(id);
        }
        if model.extents.len() < before {
            let extents = before - model.extents.len();
            report.notes.push(Note::new("object_gone", format!("database={database}, extents={extents}")));
        }
    }
    Ok(())
}

/// Step 4: what was put for a table that its journal knows to be dropped. No commit can have added it since.
fn leave_out_dropped(
    models: &BTreeMap<DatabaseId, Model>,
    known: &KnownObjects,
    found: &mut Vec<FoundObject>,
    report: &mut RebuildReport,
) {
    let mut left_out: BTreeMap<(DatabaseId, TableId), u64> = BTreeMap::new();
    for object in found.iter_mut() {
        object.extents.retain(|FoundExtent { identity, .. }| {
            let is_dropped = models.get(&identity.database).is_some_and(|model| model.dropped(identity.table));
            let is_kept = !is_dropped || known.ids.removed.contains(&identity.extent);
            if !is_kept {
                *left_out.entry((identity.database, identity.table)).or_default() += 1;
            }
            is_kept
        });
    }
    found.retain(|FoundObject { key, extents, .. }| {
        if extents.is_empty() {
            report.orphans.insert(key.clone(), "its tables were dropped".to_owned());
        }
        !extents.is_empty()
    });
    for ((database, table), extents) in left_out {
        report.notes.push(Note::new("dropped_table", format!("database={database}, table={table}, extents={extents}")));
    }
}

fn judge_objects(known: &Known, found: &[FoundObject], report: &mut RebuildReport) -> Judged {
    let candidate = |FoundObject { key, extents, is_past }: &FoundObject| Candidate {
        is_past: *is_past,
        key: key.clone(),
        extents: extents.iter().map(|extent| extent.identity.extent).collect(),
        replaces: extents.iter().flat_map(|extent| extent.identity.replaces.iter().copied()).collect(),
        writes: extents
            .iter()
            .map(|extent| (!extent.identity.writes.is_empty()).then_some(&extent.identity.writes))
            .collect::<Option<Vec<_>>>()
            .map(|writes| writes.into_iter().flatten().copied().collect()),
        made: extents.first().map_or(0, |extent| made(extent.identity.extent)),
    };
    let candidates: Vec<Candidate> = found.iter().map(candidate).collect();
    let judged = judge(known, &candidates);
    for (at, why) in &judged.orphans {
        report.orphans.insert(candidates[*at].key.clone(), (*why).to_owned());
    }
    report.notes.extend(judged.notes.iter().cloned());
    judged
}

/// Step 5.
fn add_adopted(
    models: &mut BTreeMap<DatabaseId, Model>,
    known: &mut KnownObjects,
    found: Vec<FoundObject>,
    judged: &Judged,
    report: &mut RebuildReport,
) {
    for model in models.values_mut().filter(|_| !planted::is(Bug::RebuildKeepsReplaced)) {
        model.extents.retain(|id, _| !judged.replaced.contains(id));
    }
    let mut found: Vec<Option<Vec<FoundExtent>>> = found.into_iter().map(|object| Some(object.extents)).collect();
    for at in &judged.adopted {
        let mut touched: BTreeMap<DatabaseId, Sequence> = BTreeMap::new();
        for extent in found.get_mut(*at).and_then(Option::take).unwrap_or_default() {
            let id = extent.identity.extent;
            let is_known = known.ids.live.contains(&id) || known.ids.removed.contains(&id);
            if is_known || judged.replaced.contains(&id) {
                continue;
            }
            let database = extent.identity.database;
            let model = models.entry(database).or_insert_with(|| new_model(&extent));
            ensure_table(model, &extent);
            let added = *touched.entry(database).or_insert_with(|| {
                model.definition.sequence.0 += 1;
                model.definition.sequence
            });
            model.adopted += 1;
            model.extents.insert(id, Extent { new: extent.row, added, removed: None });
        }
    }
    for model in models.values_mut() {
        name_apart(model, report);
    }
}

/// A database that only footers tell of.
fn new_model(extent: &FoundExtent) -> Model {
    let identity = &extent.identity;
    Model {
        definition: DatabaseDefinition {
            database: Database { id: identity.database, name: identity.database_name.clone() },
            sequence: Sequence(0),
            definitions_version: 1,
            forgotten: Sequence(0),
            tables_max: TableId(0),
            tables: Vec::new(),
            functions: Vec::new(),
            policies: Vec::new(),
        },
        extents: BTreeMap::new(),
        receipts: Vec::new(),
        from_journal: false,
        tables_known: TableId(0),
        adopted: 0,
    }
}

/// Sees to it that the extent's table is there and has the extent's columns.
fn ensure_table(model: &mut Model, extent: &FoundExtent) {
    let identity = &extent.identity;
    let definition = &mut model.definition;
    if let Some(known) = definition.tables.iter_mut().find(|table| table.table.id == identity.table) {
        let grown = grown(&known.table.schema, &extent.schema);
        if grown != known.table.schema {
            known.table.schema = grown;
            known.table.schema_version += 1;
        }
        if !model.from_journal {
            // The newest name counts.
            known.table.name.clone_from(&identity.table_name);
        }
        return;
    }
    let sort_key = identity.sorted_by.iter().filter(|column| **column != identity.time_column).cloned().collect();
    let mut schema = grown(&Schema::default(), &extent.schema);
    if schema.column(&identity.time_column).is_none() {
        schema = grown(&schema, &Schema::from([(identity.time_column.as_str(), kyma_core::Type::Datetime)]));
    }
    let table = Table {
        id: identity.table,
        database: identity.database,
        database_name: definition.database.name.clone(),
        name: identity.table_name.clone(),
        schema,
        schema_version: 1,
        time_column: identity.time_column.clone(),
        sort_key,
        format: extent.row.format.clone(),
        deduplication_seconds: 0,
    };
    definition.tables_max = definition.tables_max.max(table.id);
    definition.tables.push(TableDefinition { table, texts: None, mappings: Vec::new() });
}

/// The columns of both that people see, each with the wider type.
fn grown(known: &Schema, found: &Schema) -> Schema {
    let mut columns = known.columns().to_vec();
    for column in found.columns().iter().filter(|column| !column.name.starts_with(HIDDEN_MARK)) {
        match columns.iter_mut().find(|known| known.name == column.name) {
            Some(known) if can_promote(known.ty, column.ty) => known.ty = column.ty,
            Some(_) => {}
            None => columns.push(column.clone()),
        }
    }
    Schema::new(columns)
}

/// Of tables with one name the newest keeps it: the others were dropped or renamed, nobody knows.
fn name_apart(model: &mut Model, report: &mut RebuildReport) {
    model.definition.tables.sort_by_key(|table| table.table.id);
    let mut taken = HashSet::new();
    for table in model.definition.tables.iter_mut().rev() {
        if !taken.insert(table.table.name.clone()) {
            let name = format!("{}_{}", table.table.name, table.table.id);
            let detail =
                format!("database={}, table={}, named={name}", model.definition.database.name, table.table.name);
            report.notes.push(Note::new("table_name_taken", detail));
            taken.insert(name.clone());
            table.table.name = name;
        }
    }
}

/// Step 5.
async fn import(
    recovery: &dyn Recovery,
    models: BTreeMap<DatabaseId, Model>,
    report: &mut RebuildReport,
    progress: &Progress,
) -> Result<()> {
    progress.begin("filling the catalog", models.values().map(|model| model.extents.len() as u64).sum());
    let mut import = recovery.begin_import(report.journal_of).await?;
    let databases_max = models.keys().next_back().copied().unwrap_or(DatabaseId(0));
    let tables_max = models.values().map(|model| model.definition.tables_max).max().unwrap_or(TableId(0));
    let mut names = HashSet::new();
    for (id, mut model) in models {
        let name = &mut model.definition.database.name;
        if !names.insert(name.clone()) {
            let apart = format!("{name}_{id}");
            report.notes.push(Note::new("database_name_taken", format!("database={name}, named={apart}")));
            *name = apart;
        }
        model.definition.sequence.0 = model.definition.sequence.0.saturating_add(SEQUENCES_SKIPPED);
        import.database(&model.definition).await?;
        let extents: Vec<Extent> = model.extents.into_values().collect();
        for page in extents.chunks(PAGE) {
            import.extents(page).await?;
            progress.add(page.len() as u64);
        }
        for page in model.receipts.chunks(PAGE) {
            import.receipts(page).await?;
        }
        report.databases.push(RebuiltDatabase {
            name: model.definition.database.name.clone(),
            tables: model.definition.tables.len(),
            extents: extents.len(),
            adopted: model.adopted,
            rows: extents.iter().map(|extent| extent.rows).sum(),
            receipts: model.receipts.len(),
            sequence: model.definition.sequence.0,
            from_journal: model.from_journal,
        });
    }
    import.finish(databases_max, tables_max).await?;
    let left_out = report.notes.len().saturating_sub(NOTES_MAX);
    report.notes.truncate(NOTES_MAX);
    if left_out > 0 {
        report.notes.push(Note::new("more_notes", format!("left_out={left_out}")));
    }
    Ok(())
}
