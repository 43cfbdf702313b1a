//! The catalog from the bucket alone.
//!
//! 1. List the journals. One catalog's are used: the one that is named, or the only one that no other was made again from.
//! 2. Replay each database of it ([`crate::journal::replay`]). What a journal says was removed stays removed.
//! 3. List the extents' objects. Those that may be newer than the journals are opened, up to
//!    [`RebuildOptions::in_flight`] at a time: their footers say whose they are. An object that is far older than the journals'
//!    end, and that none knows, was never committed.
//! 4. Judge them ([`adopt`]), and add what was committed after its database's last sequence, in the order in which it
//!    was put. Tables and columns that came after the journal are made from the footers.
//! 5. Fill the empty catalog, all or nothing.
//!
//! Without journals all of it comes from footers. What they cannot tell is in the report: extents that were deleted or
//! dropped and whose objects are still there come back; functions, policies, mappings and receipts are gone.
//!
//! The past does not come back: of the extents that were removed only the objects are left, which `verify` finds. All extents
//! are in memory while this runs, about two kilobytes each.

mod adopt;
mod find;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kyma_core::catalog::{Database, DatabaseDefinition, NumberedReceipt, Recovery, Table, TableDefinition};
use kyma_core::extent::Extent;
use kyma_core::format::{Formats, write_hash};
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
    let (mut models, mut known, end) = replay_all(store, options, &mut report, progress).await?;
    let found = open_objects(store, formats, options, &known, end, &mut report, progress).await?;
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

/// Steps 1 and 2. Gives the databases, what is known, and until when journals were kept.
async fn replay_all(
    store: &Arc<Store>,
    options: &RebuildOptions,
    report: &mut RebuildReport,
    progress: &Progress,
) -> Result<(BTreeMap<DatabaseId, Model>, KnownObjects, i64)> {
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
        return Ok((BTreeMap::new(), known, i64::MIN));
    };
    report.journal_of = Some(chosen);
    let mut models = BTreeMap::new();
    let (mut end, mut flawed_end) = (i64::MIN, i64::MAX);
    let databases = replayed.remove(&chosen).unwrap_or_default();
    let chosen_from = databases.values().find_map(|database| database.rebuilt_from);
    for (database, replayed) in databases {
        end = end.max(replayed.written_at);
        let is_whole = replayed.definition.is_some() && !replayed.flaws.iter().any(is_loss);
        if !is_whole {
            flawed_end = flawed_end.min(if replayed.definition.is_some() { replayed.written_at } else { i64::MIN });
        }
        for flaw in &replayed.flaws {
            report.notes.push(Note::new("journal_flaw", format!("database={database}: {flaw:?}")));
        }
        if let Some(model) = model_of(replayed, is_whole, &mut known) {
            models.insert(database, model);
        }
    }
    add_ancestors(replayed, chosen_from, &mut known);
    Ok((models, known, end.min(flawed_end)))
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
    end: i64,
    report: &mut RebuildReport,
    progress: &Progress,
) -> Result<Vec<(String, Vec<FoundExtent>)>> {
    progress.begin("listing objects", 0);
    let unknown_age = i64::try_from(options.unknown_age.as_nanos()).unwrap_or(i64::MAX);
    let oldest = end.saturating_sub(unknown_age);
    let mut wanted: Vec<StoredObject> = Vec::new();
    let mut foreign = 0_u64;
    let mut listed = store.list(garbage::PREFIX);
    while let Some(object) = listed.try_next().await? {
        progress.add(1);
        if !garbage::is_ours(&object.key) {
            foreign += 1;
        } else if object.modified_nanos >= oldest {
            wanted.push(object);
        } else if !known.keys.contains(&object.key) {
            report.orphans.insert(object.key, "it is older than the journal, which does not know it".to_owned());
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
        Ok::<_, Error>((object.key, found))
    });
    let mut opened = opening.buffer_unordered(options.in_flight.max(1));
    let mut all = Vec::new();
    while let Some((key, found)) = opened.try_next().await? {
        match found {
            Ok(extents) => all.push((key, extents)),
            // The journal has the rows of what it knows; what is only in the object is lost, and that is told.
            Err(why) if !known.keys.contains(&key) => {
                report.notes.push(Note::new("unreadable_object", format!("object={key}: {why}")))
            }
            Err(_) => {}
        }
    }
    all.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(all)
}

fn judge_objects(known: &Known, found: &[(String, Vec<FoundExtent>)], report: &mut RebuildReport) -> Judged {
    let candidate = |(key, extents): &(String, Vec<FoundExtent>)| Candidate {
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

/// Step 4.
fn add_adopted(
    models: &mut BTreeMap<DatabaseId, Model>,
    known: &mut KnownObjects,
    found: Vec<(String, Vec<FoundExtent>)>,
    judged: &Judged,
    report: &mut RebuildReport,
) {
    for model in models.values_mut() {
        model.extents.retain(|id, _| !judged.replaced.contains(id));
    }
    let mut found: Vec<Option<Vec<FoundExtent>>> = found.into_iter().map(|(_, extents)| Some(extents)).collect();
    let mut gone: HashMap<(DatabaseId, TableId), u64> = HashMap::new();
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
            if !ensure_table(model, &extent) {
                *gone.entry((database, extent.identity.table)).or_default() += 1;
                continue;
            }
            let added = *touched.entry(database).or_insert_with(|| {
                model.definition.sequence.0 += 1;
                model.definition.sequence
            });
            model.adopted += 1;
            model.extents.insert(id, Extent { new: extent.row, added, removed: None });
        }
    }
    for ((database, table), extents) in gone {
        report.notes.push(Note::new("dropped_table", format!("database={database}, table={table}, extents={extents}")));
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

/// The extent's table, made or grown so that it has the extent's columns; false when it was dropped.
fn ensure_table(model: &mut Model, extent: &FoundExtent) -> bool {
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
        return true;
    }
    if identity.table <= model.tables_known {
        return false;
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
    true
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
