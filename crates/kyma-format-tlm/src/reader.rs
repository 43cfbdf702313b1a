//! An open extent.
//!
//! A read of one block goes: plan every column (which pieces, see `Plan`) → fetch once → decode each column. Columns of a
//! shared dictionary need a second fetch: of the dictionary's pages that their codes lie in. A path of
//! a dynamic column is answered by the first of:
//!
//! 1. The block's list of paths lacks it: null, nothing is read.
//! 2. A complete sub-column: that alone is read.
//! 3. No sub-column below the path: the sub-column at the path, if there is one, and in its null rows the residue's member.
//! 4. Else the residue and the sub-columns at or below the path are read, the rows put together from these, and the
//!    path taken from each.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch, RecordBatchOptions, StringViewBuilder, new_null_array};
use arrow::buffer::BooleanBuffer;
use arrow::datatypes::{Field, Schema as ArrowSchema};
use async_trait::async_trait;
use kyma_core::error::{Error, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{OpenOptions, PruneRequest, Pruned, RangeReader, ReadColumn, SegmentReader, prune_by_stats};
use kyma_core::predicate::ColumnRef;
use kyma_core::schema::Schema;
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;

use crate::describe;
use crate::dynamic::assemble::Parts;
use crate::dynamic::convert;
use crate::encoding;
use crate::fetch::{Answer, Fetch, named};
use crate::footer::{Block, BlockColumn, Footer, SubPiece};
use crate::shared::Dictionary;
use crate::shared::reader::{Codes, WantedValues};
use crate::wire::corrupt;
use crate::writer::merge;

/// An open TLM extent.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) footer: Footer,
    pub(crate) length: u64,
    pub(crate) footer_length: u32,
    block_rows: Vec<u32>,
    columns: Vec<ColumnBounds>,
    memory_bytes: usize,
}

/// Reads and checks the footer.
pub(crate) async fn open(source: &dyn RangeReader, options: &OpenOptions) -> Result<Reader> {
    let corrupt = |why: &str| Error::corrupt(format!("extent footer is corrupt: extent={}: {why}", options.extent));
    let start = options
        .length
        .checked_sub(u64::from(options.footer_length))
        .ok_or_else(|| corrupt("the extent is shorter than its footer"))?;
    let bytes = match &options.footer {
        Some(bytes) => bytes.clone(),
        None => {
            let read = source.read(std::slice::from_ref(&(start..options.length))).await?;
            read.into_iter().next().ok_or_else(|| corrupt("the store gave nothing"))?
        }
    };
    if bytes.len() != options.footer_length as usize {
        return Err(corrupt("it has the wrong length"));
    }
    let footer = Footer::read(&bytes, start).map_err(|error| corrupt("section=footer").because(error))?;
    Ok(Reader::new(footer, options, bytes.len()))
}

impl Reader {
    fn new(footer: Footer, options: &OpenOptions, footer_bytes: usize) -> Self {
        let mut columns = Vec::with_capacity(footer.schema.len());
        for (at, column) in footer.schema.columns().iter().enumerate() {
            let stats = merge(footer.blocks.iter().map(|block| &block.columns[at].stats));
            columns.push(ColumnBounds { ty: column.ty, stats: stats.unwrap_or_else(|| ColumnStats::all_null(0)) });
        }
        let pieces: usize =
            footer.blocks.iter().flat_map(|block| &block.columns).map(|column| 1 + column.shredded.len()).sum();
        let paths: usize = footer.paths.iter().map(crate::dynamic::paths::Paths::memory_bytes).sum();
        Reader {
            block_rows: footer.blocks.iter().map(|block| block.rows).collect(),
            memory_bytes: footer_bytes * 4 + pieces * 320 + paths,
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
        let mut add = |piece: &'a crate::footer::Piece, sub: Option<&SubPiece>| {
            let mut name = format!("data, block={block}, column={}", column.source.column);
            if let Some(sub) = sub {
                name = format!(
                    "data, block={block}, column={}",
                    self.footer.paths[at].dotted(&column.source.column, sub.path)
                );
            }
            fetch.add(piece, name, selection)
        };
        if ty != Type::Dynamic {
            if !keys.is_empty() || !kyma_core::stats::can_promote(ty, column.ty) {
                return Ok(Plan::Null);
            }
            let place = add(&stored.piece, None);
            if let Some(dictionary) = stored.piece.dictionary {
                let shared = self.footer.dictionaries.get(dictionary as usize).filter(|shared| shared.ty == ty);
                let shared = shared.ok_or_else(|| corrupt("a column's shared dictionary is missing"))?;
                return Ok(Plan::Shared { place, dictionary, shared });
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
        match self.lookup(at, stored, keys) {
            Lookup::Absent => Ok(Plan::Null),
            Lookup::Complete(sub) => Ok(Plan::Typed { place: add(&sub.piece, Some(sub)), ty: sub.ty }),
            Lookup::Member(sub) => Ok(Plan::Member {
                residue: add(&stored.piece, None),
                sub: sub.map(|sub| (sub, add(&sub.piece, Some(sub)))),
            }),
            Lookup::Parts(subs) => Ok(Plan::Parts {
                column: at,
                residue: add(&stored.piece, None),
                subs: subs.into_iter().map(|sub| (sub, add(&sub.piece, Some(sub)))).collect(),
            }),
        }
    }

    fn lookup<'a>(&'a self, column: usize, stored: &'a BlockColumn, keys: &[String]) -> Lookup<'a> {
        let paths = &self.footer.paths[column];
        let wanted = paths.find(keys);
        let is_listed = |present: &Vec<_>| wanted.is_some_and(|path| present.binary_search(&path).is_ok());
        if !keys.is_empty() && !stored.present.as_ref().is_none_or(is_listed) {
            return Lookup::Absent;
        }
        let Some(wanted) = wanted else { return Lookup::Member(None) };
        let subs: Vec<&SubPiece> = stored.shredded.iter().filter(|sub| paths.is_within(sub.path, wanted)).collect();
        match subs.as_slice() {
            _ if keys.is_empty() => Lookup::Parts(subs),
            [] => Lookup::Member(None),
            [sub] if sub.path == wanted && sub.complete => Lookup::Complete(sub),
            [sub] if sub.path == wanted => Lookup::Member(Some(sub)),
            _ => Lookup::Parts(subs),
        }
    }

    fn decode(
        &self,
        answer: &Answer<'_>,
        plan: Plan<'_>,
        block: u32,
        column: &ReadColumn,
        selection: Option<&BooleanBuffer>,
    ) -> Result<ArrayRef> {
        let rows = self.block_rows[block as usize] as usize;
        let read_with = |place: usize, base: Option<usize>, from: Type, to: Type| {
            answer.with(place, base, |fetched| encoding::decode(fetched, rows, from, to, selection))
        };
        let read = |place: usize, from: Type, to: Type| read_with(place, None, from, to);
        match plan {
            Plan::Null => Ok(new_null_array(&column.ty.arrow(), selection.map_or(rows, BooleanBuffer::count_set_bits))),
            Plan::Shared { .. } => Err(Error::internal("a shared dictionary is read apart")),
            Plan::Plain { place, base, ty } => read_with(place, base, ty, column.ty),
            Plan::Typed { place, ty } => match column.ty {
                Type::Real if ty == Type::Long => read(place, ty, column.ty),
                to => convert::typed(&read(place, ty, ty)?, ty, to),
            },
            Plan::Member { sub, residue } => {
                let residue = read(residue, Type::Dynamic, Type::Dynamic)?;
                let typed = match sub {
                    Some((sub, place)) => Some((read(place, sub.ty, sub.ty)?, sub.ty)),
                    None => None,
                };
                let typed = typed.as_ref().map(|(values, ty)| (values, *ty));
                convert::member(typed, residue.as_string_view(), &column.source.path, column.ty)
            }
            Plan::Parts { column: at, residue, subs } => {
                let mut columns = Vec::with_capacity(subs.len());
                for (sub, place) in subs {
                    columns.push((sub.path, sub.ty, read(place, sub.ty, sub.ty)?));
                }
                let residue = read(residue, Type::Dynamic, Type::Dynamic)?.as_string_view().clone();
                let parts = Parts { paths: self.footer.paths[at].tracking(), columns, residue };
                let whole = parts
                    .rows()
                    .map_err(|error| named(error, &format!("data, block={block}, column={}", column.source.column)))?;
                if column.source.path.is_empty() {
                    return Ok(Arc::new(whole));
                }
                let mut members = StringViewBuilder::with_capacity(whole.len());
                for json in &whole {
                    members.append_option(json.and_then(|json| kyma_core::dynamic::get(json, &column.source.path)));
                }
                convert::texts(&members.finish(), column.ty)
            }
        }
    }
}

/// How a column of a read is answered; places are those of [`Fetch::add`].
enum Plan<'a> {
    Null,
    Plain { place: usize, base: Option<usize>, ty: Type },
    Shared { place: usize, dictionary: u32, shared: &'a Dictionary },
    Typed { place: usize, ty: Type },
    Member { sub: Option<(&'a SubPiece, usize)>, residue: usize },
    Parts { column: usize, residue: usize, subs: Vec<(&'a SubPiece, usize)> },
}

enum Lookup<'a> {
    Absent,
    Complete(&'a SubPiece),
    Member(Option<&'a SubPiece>),
    Parts(Vec<&'a SubPiece>),
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

    async fn prune(&self, _source: &dyn RangeReader, request: &PruneRequest<'_>) -> Result<Pruned> {
        Ok(prune_by_stats(self, request))
    }

    async fn read(
        &self,
        source: &dyn RangeReader,
        block: u32,
        columns: &[ReadColumn],
        selection: Option<&BooleanBuffer>,
    ) -> Result<RecordBatch> {
        let rows = self.block(block)?.rows as usize;
        if let Some(bits) = selection.filter(|bits| bits.len() != rows) {
            let detail = format!("bits={}, rows={rows}", bits.len());
            return Err(Error::invalid("format.selection", format!("a selection has the wrong length: {detail}")));
        }
        let wanted_rows = selection.map_or(rows, BooleanBuffer::count_set_bits);
        let mut fetch = Fetch::default();
        let mut plans = Vec::with_capacity(columns.len());
        for column in columns {
            plans.push(if wanted_rows == 0 { Plan::Null } else { self.plan(&mut fetch, block, column, selection)? });
        }
        let answer = fetch.run(source).await?;
        let mut shared = self.read_shared(source, &answer, &plans, rows, selection).await?;
        let mut arrays = Vec::with_capacity(columns.len());
        for (at, (plan, column)) in plans.into_iter().zip(columns).enumerate() {
            arrays.push(match shared.remove(&at) {
                Some(array) => array,
                None => self.decode(&answer, plan, block, column, selection)?,
            });
        }
        let fields: Vec<Field> =
            columns.iter().enumerate().map(|(at, column)| column.ty.field(format!("c{at}"))).collect();
        let options = RecordBatchOptions::new().with_row_count(Some(wanted_rows));
        Ok(RecordBatch::try_new_with_options(Arc::new(ArrowSchema::new(fields)), arrays, &options)?)
    }

    fn read_bytes(&self, block: u32, columns: &[ReadColumn]) -> u64 {
        let mut fetch = Fetch::default();
        for column in columns {
            if self.plan(&mut fetch, block, column, None).is_err() {
                return 0;
            }
        }
        self.add_dictionaries(&mut fetch, block, columns);
        fetch.bytes()
    }

    fn describe(&self) -> serde_json::Value {
        describe::describe(self)
    }
}

impl Reader {
    /// The columns of `plans` that have codes in a shared dictionary, by place.
    async fn read_shared(
        &self,
        source: &dyn RangeReader,
        answer: &Answer<'_>,
        plans: &[Plan<'_>],
        rows: usize,
        selection: Option<&BooleanBuffer>,
    ) -> Result<HashMap<usize, ArrayRef>> {
        let mut columns = Vec::new();
        let mut wanted: BTreeMap<u32, (&Dictionary, WantedValues)> = BTreeMap::new();
        for (at, plan) in plans.iter().enumerate() {
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
        match self.lookup(at, &block.columns[at], keys) {
            Lookup::Absent => Some((Type::Dynamic, ColumnStats::all_null(u64::from(block.rows)))),
            Lookup::Complete(sub) => sub.stats.clone().map(|stats| (sub.ty, stats)),
            Lookup::Member(_) | Lookup::Parts(_) => None,
        }
    }

    /// Blocks of one type merge; a block without the path has no say in the type.
    fn extent_path_stats(&self, at: usize, keys: &[String]) -> Option<(Type, ColumnStats)> {
        let mut merged: Option<(Type, ColumnStats)> = None;
        for block in &self.footer.blocks {
            let (ty, stats) = self.path_stats(block, at, keys)?;
            merged = Some(match merged {
                None => (ty, stats),
                Some((known, sum)) if known == ty || ty == Type::Dynamic => (known, sum.merge(&stats)),
                Some((Type::Dynamic, sum)) => (ty, sum.merge(&stats)),
                Some(_) => return None,
            });
        }
        merged.or_else(|| Some((Type::Dynamic, ColumnStats::all_null(0))))
    }
}
