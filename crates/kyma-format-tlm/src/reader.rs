//! An open extent.
//!
//! A read of one block goes: plan every column (which pieces, see `Plan`) → fetch once → decode each column. Columns of a
//! shared dictionary need a second fetch: of the dictionary's pages that their codes lie in. Lines are read after the
//! columns that they repeat. How a dynamic column is read says `dynamic::read`.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{DataType, Field, Schema as ArrowSchema};
use async_trait::async_trait;
use kyma_core::error::{Error, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{
    Identity, Narrowed, OpenOptions, Pattern, PruneRequest, Pruned, RangeReader, ReadColumn, SegmentReader,
    prune_by_stats,
};
use kyma_core::predicate::ColumnRef;
use kyma_core::prune::Reason;
use kyma_core::schema::Schema;
use kyma_core::sketch::Sketch;
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;
use kyma_core::value::Value;

use crate::constants::encoding as encoding_tag;
use crate::constants::index::source;
use crate::describe;
use crate::dynamic::paths::PathId;
use crate::dynamic::read::{self, Lookup, Pieces};
use crate::dynamic::{presence, stats as dynamic_stats};
use crate::encoding::template::slot::Base;
use crate::encoding::{self, template};
use crate::fetch::{Answer, Fetch, named};
use crate::footer::{BaseColumn, Block, Footer, SubPiece};
use crate::index::directory::{self, Directory};
use crate::index::search::{Searched, Sources, search};
use crate::narrow;
use crate::shared::Dictionary;
use crate::shared::reader::{Codes, WantedValues};
use crate::wire::corrupt;
use crate::writer::{columns_of, list_paths, merge, time_range};

/// An open TLM extent.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) footer: Footer,
    pub(crate) length: u64,
    pub(crate) footer_length: u32,
    pub(crate) verdicts: narrow::Verdicts,
    block_rows: Vec<u32>,
    columns: Vec<ColumnBounds>,
    memory_bytes: usize,
}

/// Reads and checks the footer.
pub(crate) async fn open(source: &dyn RangeReader, options: &OpenOptions) -> Result<Reader> {
    let (start, bytes) = options.read_footer(source).await?;
    let corrupt = |error| options.corrupt("section=footer").because(error);
    let footer = Footer::read(&bytes, start).map_err(corrupt)?;
    Ok(Reader::new(footer, options, bytes.len()))
}

impl Reader {
    fn new(footer: Footer, options: &OpenOptions, footer_bytes: usize) -> Self {
        let mut columns = Vec::with_capacity(footer.schema.len());
        for (at, column) in footer.schema.columns().iter().enumerate() {
            let stats = merge(footer.blocks.iter().map(|block| &block.columns[at].stats));
            let mut stats = stats.unwrap_or_else(|| ColumnStats::all_null(0));
            stats.distinct = footer.sketches.distinct(at).or(stats.distinct);
            columns.push(ColumnBounds { ty: column.ty, stats });
        }
        let pieces: usize =
            footer.blocks.iter().flat_map(|block| &block.columns).map(|column| 1 + column.shredded.len()).sum();
        let paths: usize = footer.paths.iter().map(crate::dynamic::paths::Paths::memory_bytes).sum();
        let templates: usize = footer.templates.iter().map(template::dictionary::Dictionary::memory_bytes).sum();
        let indexes = footer.indexes.as_ref().map_or(0, Directory::memory_bytes);
        Reader {
            verdicts: narrow::Verdicts::default(),
            block_rows: footer.blocks.iter().map(|block| block.rows).collect(),
            memory_bytes: footer_bytes * 4 + pieces * 320 + paths + templates + indexes + footer.tallies.memory_bytes(),
            length: options.length,
            footer_length: options.footer_length,
            columns,
            footer,
        }
    }

    fn block(&self, block: u32) -> Result<&Block> {
        let blocks = self.footer.blocks.len();
        self.footer.blocks.get(block as usize).ok_or_else(|| {
            Error::invalid(
                "format.no_such_block",
                format!("the extent has no such block: block={block}, blocks={blocks}"),
            )
        })
    }

    fn rows_of(&self, block: Option<u32>) -> u64 {
        match block {
            Some(block) => self.block_rows.get(block as usize).copied().map_or(0, u64::from),
            None => self.rows(),
        }
    }

    fn plan<'a>(
        &'a self,
        fetch: &mut Fetch<'a>,
        block: u32,
        column: &ReadColumn,
        selection: Option<&BooleanBuffer>,
    ) -> Result<Plan<'a>> {
        let Some(at) = self.footer.schema.index_of(&column.source.column) else { return Ok(Plan::Null) };
        let block_columns = &self.block(block)?.columns;
        let stored = &block_columns[at];
        let ty = self.footer.schema.columns()[at].ty;
        let keys = &column.source.path;
        if ty != Type::Dynamic {
            if !keys.is_empty() || !kyma_core::stats::can_promote(ty, column.ty) {
                return Ok(Plan::Null);
            }
            let name = format!("data, block={block}, column={}", column.source.column);
            let place = fetch.add(&stored.piece, name, selection);
            if stored.piece.encoding == encoding_tag::TEMPLATE && ty == Type::String {
                return Ok(Plan::Lines { column: at, place, bases: 0..0 });
            }
            if let Some(dictionary) = stored.piece.dictionary {
                return self.plan_shared(place, dictionary, ty);
            }
            let base = stored.piece.base.and_then(|base| block_columns.get(base as usize));
            let base = base.map(|base| {
                let name = format!("data, block={block}, base of column={}", column.source.column);
                fetch.add(&base.piece, name, selection)
            });
            return Ok(Plan::Plain { place, base, ty });
        }
        if keys.is_empty() && column.ty != Type::Dynamic {
            return Ok(Plan::Null);
        }
        let paths = &self.footer.paths[at];
        let section = |path: Option<PathId>| match path {
            None => format!("data, block={block}, column={}", column.source.column),
            Some(path) => format!("data, block={block}, column={}", paths.dotted(&column.source.column, path)),
        };
        let pieces = read::plan(stored, read::lookup(stored, paths, keys), fetch, &section, selection);
        Ok(pieces.map_or(Plan::Null, |pieces| Plan::Dynamic { column: at, pieces }))
    }

    /// A column whose codes lie in a dictionary that the extent shares.
    fn plan_shared(&self, place: usize, dictionary: u32, ty: Type) -> Result<Plan<'_>> {
        let shared = self.footer.dictionaries.get(dictionary as usize).filter(|shared| shared.ty == ty);
        let shared = shared.ok_or_else(|| corrupt("a column's shared dictionary is missing"))?;
        Ok(Plan::Shared { place, dictionary, shared })
    }

    /// Plans `columns`, and after them those that lines among them repeat.
    fn plan_all<'a>(
        &'a self,
        fetch: &mut Fetch<'a>,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<Vec<(Plan<'a>, ReadColumn)>> {
        let mut plans = Vec::with_capacity(columns.len());
        for column in columns {
            plans.push((self.plan(fetch, block, column, selection)?, column.clone()));
        }
        for at in 0..columns.len() {
            let Plan::Lines { column, place, .. } = plans[at].0 else { continue };
            let start = plans.len();
            for base in &self.block(block)?.columns[column].piece.repeats {
                plans.push(self.plan_base(fetch, block, *base, selection)?);
            }
            plans[at].0 = Plan::Lines { column, place, bases: start..plans.len() };
        }
        Ok(plans)
    }

    /// A column that lines repeat.
    fn plan_base<'a>(
        &'a self,
        fetch: &mut Fetch<'a>,
        block: u32,
        base: BaseColumn,
        selection: Option<&BooleanBuffer>,
    ) -> Result<(Plan<'a>, ReadColumn)> {
        let at = base.column as usize;
        let stored = self.block(block)?.columns.get(at).ok_or_else(|| corrupt("lines repeat no column"))?;
        let column = &self.footer.schema.columns()[at];
        let (piece, ty) = match base.sub {
            None => (&stored.piece, column.ty),
            Some(sub) => {
                let sub = stored.shredded.get(sub as usize).ok_or_else(|| corrupt("lines repeat no column"))?;
                (&sub.piece, sub.ty)
            }
        };
        if piece.encoding == encoding_tag::TEMPLATE || piece.base.is_some() {
            return Err(corrupt("lines repeat a column that is itself made of others"));
        }
        let section = format!("data, block={block}, column={} that lines repeat", column.name);
        let place = fetch.add(piece, section, selection);
        let plan = match piece.dictionary {
            Some(dictionary) => self.plan_shared(place, dictionary, ty)?,
            None => Plan::Plain { place, base: None, ty },
        };
        Ok((plan, ReadColumn::column(&column.name, ty)))
    }

    /// Lines of the column and place `at`, over the columns that they repeat.
    fn decode_lines(
        &self,
        answer: &Answer<'_>,
        block: u32,
        at: (usize, usize),
        bases: &[Option<ArrayRef>],
        selection: Option<&BooleanBuffer>,
    ) -> Result<ArrayRef> {
        let (column, place) = at;
        let stored = self.block(block)?;
        let (rows, templates) = (stored.rows as usize, &stored.columns[column].templates);
        let bases = bases.iter().flatten().map(Base::of).collect::<Result<Vec<_>>>()?;
        let context = template::Context { dictionary: &self.footer.templates[column], templates, bases: &bases };
        answer.with_lines(place, &context, |fetched| {
            encoding::decode(fetched, rows, Type::String, Type::String, selection)
        })
    }

    fn decode(&self, answer: &Answer<'_>, plan: Plan<'_>, column: &ReadColumn, read: Read<'_>) -> Result<ArrayRef> {
        let Read { block, selection, .. } = read;
        let rows = self.block_rows[block as usize] as usize;
        if read.coded
            && column.ty == Type::String
            && let Some(coded) = decode_coded(answer, &plan, rows, selection)?
        {
            return Ok(coded);
        }
        let read_with = |place: usize, base: Option<usize>, from: Type, to: Type| {
            answer.with(place, base, |fetched| encoding::decode(fetched, rows, from, to, selection))
        };
        match plan {
            Plan::Null => Ok(new_null_array(&column.ty.arrow(), selection.map_or(rows, BooleanBuffer::count_set_bits))),
            Plan::Plain { place, base, ty } => read_with(place, base, ty, column.ty),
            Plan::Shared { .. } | Plan::Lines { .. } => Err(Error::internal("a column of several parts is read apart")),
            Plan::Dynamic { column: at, pieces } => pieces
                .read(answer, &self.footer.paths[at], &column.source.path, column.ty, rows, selection)
                .map_err(|error| named(error, &format!("data, block={block}, column={}", column.source.column))),
        }
    }
}

/// What a read wants.
#[derive(Debug, Clone, Copy)]
struct Read<'a> {
    block: u32,
    columns: &'a [ReadColumn],
    selection: Option<&'a BooleanBuffer>,
    /// Strings may come as codes of a dictionary.
    coded: bool,
}

/// The strings of a plan as codes, where they are stored so.
fn decode_coded(
    answer: &Answer<'_>,
    plan: &Plan<'_>,
    rows: usize,
    selection: Option<&BooleanBuffer>,
) -> Result<Option<ArrayRef>> {
    match plan {
        Plan::Plain { place, base: None, ty: Type::String } => {
            answer.with(*place, None, |fetched| encoding::decode_coded(fetched, rows, selection))
        }
        Plan::Dynamic { pieces, .. } => pieces.read_coded(answer, rows, selection),
        _ => Ok(None),
    }
}

/// How a column of a read is answered; places are those of [`Fetch::add`].
enum Plan<'a> {
    Null,
    Plain {
        place: usize,
        base: Option<usize>,
        ty: Type,
    },
    Shared {
        place: usize,
        dictionary: u32,
        shared: &'a Dictionary,
    },
    /// The places of the plans of `bases`.
    Lines {
        column: usize,
        place: usize,
        bases: Range<usize>,
    },
    Dynamic {
        column: usize,
        pieces: Pieces<'a>,
    },
}

#[async_trait]
impl SegmentReader for Reader {
    fn schema(&self) -> &Schema {
        &self.footer.schema
    }

    fn rows(&self) -> u64 {
        self.block_rows.iter().copied().map(u64::from).sum()
    }

    fn block_rows(&self) -> &[u32] {
        &self.block_rows
    }

    fn memory_bytes(&self) -> usize {
        self.memory_bytes
    }

    fn stats(&self, block: Option<u32>, column: &ColumnRef) -> Option<(Type, ColumnStats)> {
        let Some(at) = self.footer.schema.index_of(&column.column) else {
            let ty = if column.path.is_empty() { Type::String } else { Type::Dynamic };
            return Some((ty, ColumnStats::all_null(self.rows_of(block))));
        };
        let ty = self.footer.schema.columns()[at].ty;
        if column.path.is_empty() {
            return match block {
                None => self.columns.get(at).map(|bounds| (bounds.ty, bounds.stats.clone())),
                Some(block) => Some((ty, self.footer.blocks.get(block as usize)?.columns[at].stats.clone())),
            };
        }
        if ty != Type::Dynamic {
            return Some((Type::Dynamic, ColumnStats::all_null(self.rows_of(block))));
        }
        match block {
            Some(block) => self.path_stats(self.footer.blocks.get(block as usize)?, at, &column.path),
            None => self.extent_path_stats(at, &column.path),
        }
    }

    async fn prune(&self, source: &dyn RangeReader, request: &PruneRequest<'_>) -> Result<Pruned> {
        let mut pruned = prune_by_stats(self, request);
        let before = pruned.blocks.len();
        pruned.blocks.retain(|&block| !narrow::excludes(self, block, request.predicate));
        let fallen = (before - pruned.blocks.len()) as u64;
        if fallen > 0 {
            *pruned.reasons.entry(Reason::Templates).or_default() += fallen;
        }
        if let Some(indexes) = &self.footer.indexes {
            pruned = search(indexes, self, &self.block_rows, source, request, pruned).await?;
        }
        presence::narrow(&self.footer, source, request, &mut pruned).await?;
        Ok(pruned)
    }

    async fn narrow(
        &self,
        source: &dyn RangeReader,
        block: u32,
        request: &PruneRequest<'_>,
        rows: Option<&BooleanBuffer>,
    ) -> Result<Option<Narrowed>> {
        narrow::rows(self, source, block, request, rows).await
    }

    fn patterns(&self, column: &str) -> Vec<Pattern> {
        let Some(at) = self.footer.schema.index_of(column) else { return Vec::new() };
        let dictionary = &self.footer.templates[at];
        let mut rows = vec![0_u64; dictionary.len()];
        for &(template, lines) in self.footer.blocks.iter().flat_map(|block| &block.columns[at].templates) {
            rows[template as usize] += u64::from(lines);
        }
        let pattern = |(template, rows): (usize, u64)| {
            let text = dictionary.get(template as u32).map(|template| template.pattern()).unwrap_or_default();
            Pattern { text, rows }
        };
        let mut patterns: Vec<Pattern> = rows.into_iter().enumerate().map(pattern).collect();
        patterns.sort_by(|a, b| b.rows.cmp(&a.rows).then_with(|| a.text.cmp(&b.text)));
        patterns
    }

    async fn sketch(&self, source: &dyn RangeReader, column: &ColumnRef) -> Result<Option<Sketch>> {
        match self.footer.schema.index_of(&column.column) {
            Some(at) if column.path.is_empty() => self.footer.sketches.read(source, at).await,
            _ => Ok(None),
        }
    }

    async fn read(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        self.read_as(source, Read { block, columns, selection, coded: false }).await
    }

    async fn read_coded(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        self.read_as(source, Read { block, columns, selection, coded: true }).await
    }

    fn counts(&self, column: &ColumnRef, bin: Option<i64>) -> Option<Vec<(Value, u64)>> {
        let at = self.footer.schema.index_of(&column.column).filter(|_| column.path.is_empty())?;
        self.footer.tallies.counts(at, self.footer.schema.columns()[at].ty, bin)
    }

    fn identity(&self) -> Option<Identity> {
        let options = self.footer.identity.clone();
        let columns = columns_of(&self.footer);
        Some(Identity {
            extent: options.extent,
            database: options.database,
            database_name: options.database_name,
            table: options.table,
            table_name: options.table_name,
            sorted_by: options.sorted_by,
            level: options.level,
            rows: self.rows(),
            blocks: self.block_rows.len() as u32,
            raw_bytes: self.footer.checksum.map(|_| options.raw_bytes),
            time: time_range(&columns, &options.time_column, &self.footer),
            time_column: options.time_column,
            columns,
            paths: list_paths(&self.footer),
            replaces: options.replaces,
            writes: options.writes,
            checksum: self.footer.checksum,
        })
    }

    fn read_bytes(&self, block: u32, columns: &[ReadColumn]) -> u64 {
        let mut fetch = Fetch::default();
        if self.plan_all(&mut fetch, block, columns, None).is_err() {
            return 0;
        }
        self.add_dictionaries(&mut fetch, block, columns);
        fetch.bytes()
    }

    fn describe(&self) -> serde_json::Value {
        describe::describe(self)
    }
}

impl Searched for Reader {
    fn sources(&self, block: u32, column: &ColumnRef) -> Sources {
        let at = self.footer.schema.index_of(&column.column);
        let Some((at, stored)) = at.zip(self.footer.blocks.get(block as usize)) else { return Sources::Unknown };
        let field = |source: u8, keys: &[String]| {
            let fields = self.footer.indexes.iter().flat_map(|indexes| &indexes.fields);
            let is_wanted = |field: &directory::Field| {
                field.column as usize == at && field.source == source && field.keys.as_slice() == keys
            };
            fields.enumerate().find(|(_, field)| is_wanted(field)).map(|(number, _)| number)
        };
        let fields = match (self.footer.schema.columns()[at].ty, column.path.as_slice()) {
            (Type::String | Type::Guid, []) => vec![field(source::COLUMN, &[])],
            (Type::Dynamic, [_, ..]) => {
                let paths = &self.footer.paths[at];
                let path = |subs: &[&SubPiece]| match subs {
                    [] => Some(Vec::new()),
                    [sub] if sub.ty == Type::String && paths.find(&column.path) == Some(sub.path) => {
                        Some(vec![field(source::PATH, &column.path)])
                    }
                    _ => None,
                };
                let (known, rest) = match read::lookup(&stored.columns[at], paths, &column.path) {
                    Lookup::Absent => return Sources::None,
                    Lookup::Complete(subs) => (path(&subs), None),
                    Lookup::Parts(subs) => (path(&subs), Some(field(source::RESIDUE, &[]))),
                };
                let Some(known) = known else { return Sources::Unknown };
                known.into_iter().chain(rest).collect()
            }
            _ => return Sources::Unknown,
        };
        fields.into_iter().collect::<Option<Vec<_>>>().map_or(Sources::Unknown, Sources::Fields)
    }

    fn field_name(&self, field: &directory::Field) -> String {
        let column = self.footer.schema.columns().get(field.column as usize).map_or("?", |column| &column.name);
        let name = ColumnRef::path(column, field.keys.clone());
        if field.source == source::RESIDUE { format!("residues of {name}") } else { name.to_string() }
    }
}

impl Reader {
    async fn read_as(&self, source: &dyn RangeReader, read: Read<'_>) -> Result<RecordBatch> {
        let Read { block, columns, selection, coded } = read;
        let rows = self.block(block)?.rows as usize;
        if let Some(bits) = selection.filter(|bits| bits.len() != rows) {
            let detail = format!("bits={}, rows={rows}", bits.len());
            return Err(Error::invalid("format.selection", format!("a selection has the wrong length: {detail}")));
        }
        let wanted_rows = selection.map_or(rows, BooleanBuffer::count_set_bits);
        let mut fetch = Fetch::default();
        let wanted: &[ReadColumn] = if wanted_rows == 0 { &[] } else { columns };
        let plans = self.plan_all(&mut fetch, block, wanted, selection)?;
        let answer = fetch.run(source).await?;
        let mut shared = self.read_shared(source, &answer, &plans, rows, selection).await?;
        let (mut arrays, mut lines) = (Vec::with_capacity(plans.len()), Vec::new());
        for (at, (plan, column)) in plans.into_iter().enumerate() {
            // What lines repeat comes after what was asked for, and is needed as it is.
            let coded = coded && at < columns.len();
            let is_shared = shared.remove(&at);
            arrays.push(match (is_shared, plan) {
                (Some(array), _) => Some(array),
                (None, Plan::Lines { column, place, bases }) => {
                    lines.push((at, column, place, bases));
                    None
                }
                (None, plan) => Some(self.decode(&answer, plan, &column, Read { block, columns, selection, coded })?),
            });
        }
        // Lines come after what they repeat.
        for (at, column, place, bases) in lines {
            let bases = arrays.get(bases).unwrap_or_default();
            arrays[at] = Some(self.decode_lines(&answer, block, (column, place), bases, selection)?);
        }
        arrays.truncate(columns.len());
        arrays.resize(columns.len(), None);
        let arrays = columns.iter().zip(arrays);
        let null = |column: &ReadColumn| new_null_array(&column.ty.arrow(), wanted_rows);
        let arrays: Vec<ArrayRef> = arrays.map(|(column, array)| array.unwrap_or_else(|| null(column))).collect();
        let field = |(at, (column, array)): (usize, (&ReadColumn, &ArrayRef))| match array.data_type() {
            coded @ DataType::Dictionary(..) => Field::new(format!("c{at}"), coded.clone(), true),
            _ => column.ty.field(format!("c{at}")),
        };
        let fields: Vec<Field> = columns.iter().zip(&arrays).enumerate().map(field).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(wanted_rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?)
    }

    /// The columns of `plans` that have codes in a shared dictionary, by place.
    async fn read_shared(
        &self,
        source: &dyn RangeReader,
        answer: &Answer<'_>,
        plans: &[(Plan<'_>, ReadColumn)],
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<HashMap<usize, ArrayRef>> {
        let mut columns = Vec::new();
        let mut wanted: BTreeMap<u32, (&Dictionary, WantedValues)> = BTreeMap::new();
        for (at, (plan, _)) in plans.iter().enumerate() {
            let Plan::Shared { place, dictionary, shared } = plan else { continue };
            let codes = answer.with(*place, None, |fetched| {
                let (codes, nulls) = encoding::decode_codes(fetched, rows, selection)?;
                Codes::checked(*dictionary, &codes, nulls, shared.values)
            })?;
            let entry = wanted.entry(*dictionary);
            entry.or_insert_with(|| (*shared, WantedValues::new(shared.values))).1.add(&codes);
            columns.push((at, codes));
        }
        let mut fetch = Fetch::default();
        let mut places = BTreeMap::new();
        for (&dictionary, (shared, wanted)) in &wanted {
            let selection = wanted.selection();
            let place = fetch.add(&shared.piece, format!("data, dictionary={dictionary}"), Some(&selection));
            places.insert(dictionary, (place, selection));
        }
        let answer = fetch.run(source).await?;
        let mut values = BTreeMap::new();
        for (dictionary, (place, selection)) in places {
            let (shared, _) = &wanted[&dictionary];
            let decoded = answer.with(place, None, |fetched| {
                encoding::decode(fetched, shared.values as usize, shared.ty, shared.ty, Some(&selection))
            })?;
            values.insert(dictionary, decoded);
        }
        let rows = |codes: Codes| {
            let dictionary = codes.dictionary;
            wanted[&dictionary].1.rows(codes, &values[&dictionary])
        };
        columns.into_iter().map(|(at, codes)| Ok((at, rows(codes)?))).collect()
    }

    /// Asks for the whole of each dictionary that a read of `columns` may touch.
    fn add_dictionaries<'a>(&'a self, fetch: &mut Fetch<'a>, block: u32, columns: &[ReadColumn]) {
        let Some(block) = self.footer.blocks.get(block as usize) else { return };
        for column in columns.iter().filter(|column| column.source.path.is_empty()) {
            let stored = self.footer.schema.index_of(&column.source.column).and_then(|at| block.columns.get(at));
            let dictionary = stored.and_then(|stored| stored.piece.dictionary);
            if let Some(shared) = dictionary.and_then(|number| self.footer.dictionaries.get(number as usize)) {
                fetch.add(&shared.piece, String::new(), None);
            }
        }
    }

    fn path_stats(&self, block: &Block, at: usize, keys: &[String]) -> Option<(Type, ColumnStats)> {
        match read::lookup(&block.columns[at], &self.footer.paths[at], keys) {
            Lookup::Absent => Some((Type::Dynamic, ColumnStats::all_null(u64::from(block.rows)))),
            Lookup::Complete(subs) => dynamic_stats::unite(subs.into_iter().map(|sub| (sub.ty, sub.stats.as_ref()))),
            Lookup::Parts(_) => None,
        }
    }

    /// Blocks of one type merge, of others only their counts; a block without the path has no say in the type.
    fn extent_path_stats(&self, at: usize, keys: &[String]) -> Option<(Type, ColumnStats)> {
        let mut merged: Option<(Type, ColumnStats)> = None;
        for block in &self.footer.blocks {
            let (ty, stats) = self.path_stats(block, at, keys)?;
            merged = Some(match merged {
                None => (ty, stats),
                Some(known) => dynamic_stats::join(known, (ty, stats)),
            });
        }
        merged.or_else(|| Some((Type::Dynamic, ColumnStats::all_null(0))))
    }
}
