//! Rows to an extent.
//!
//! 1. Check the schema; bring strings to one Arrow type.
//! 2. Cut the rows into blocks of exactly `block_rows`, whatever the batches were.
//! 3. Per block and column: statistics, then the encoded piece, appended to the data. A dynamic column becomes its
//!    sub-columns and its residue. Two columns of a block with the same bytes share one piece. Columns that look like log
//!    lines come last, since their lines may repeat what the others say. What is text goes by the index collector too.
//! 4. At a thorough level, ids that recur across blocks are taken out first, see `shared`; the dictionaries follow the blocks.
//! 5. Append the indexes, bitmaps of paths and sketches of columns. Number only the paths and templates that are used, and
//!    write the footer.

use std::collections::{BTreeMap, HashMap};

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::buffer::ScalarBuffer;
use arrow::datatypes::DataType;
use bytes::Bytes;
use kyma_core::error::{Error, Result};
use kyma_core::extent::ColumnBounds;
use kyma_core::format::{DataChecksum, EncodeOptions, Encoded, stored_schema};
use kyma_core::schema::{Column, Schema};
use kyma_core::stats::ColumnStats;
use kyma_core::time::TimeRange;
use kyma_core::types::Type;
use kyma_core::value::Value;

use crate::dynamic::pack::{PackedColumn, PackedSub, shred_and_pack};
use crate::dynamic::paths::{PathId, Paths, ROOT};
use crate::dynamic::presence::{self, Presence};
use crate::encoding::template::slot::Base as Repeated;
use crate::encoding::template::{self, Learner, dictionary::Dictionary};
use crate::encoding::{self, Packed};
use crate::footer::{BaseColumn, Block, BlockColumn, Footer, Frame, ListPiece, Piece, SubPiece};
use crate::index::{self, collect::Collector};
use crate::limits::{
    BLOCK_ROWS_MAX, BLOCKS_MAX, COLUMNS_MAX, INLINE_HEAD_BYTES_MAX, LISTED_PATHS_MAX, TRACKED_PATHS_MAX,
};
use crate::shared;
use crate::sketches::Sketches;
use crate::stats;
use crate::tallies;
use crate::wire::checksum;

/// zstd level by extent level: quick at ingest, thorough when compacted. Measured on logs, spans and network records, level 12
/// saves 1 % more and takes half as much time again.
const ZSTD_LEVELS: [i32; 2] = [5, 9];

/// Columns of one block that differences are tried against.
const BASES_MAX: usize = 8;
/// Lines that shrink to this part as templates are not tried another way.
const SMALL_LINES: usize = 8;
/// A smaller column is not worth a second column's read.
const DIFFERENCE_BYTES_MIN: usize = 256;

/// Encodes `batches` into one extent.
pub(crate) fn encode(batches: &[RecordBatch], options: &EncodeOptions) -> Result<Encoded> {
    let arrow_schema = batches.first().map(RecordBatch::schema);
    let schema = arrow_schema.as_deref().map_or(Ok(Schema::default()), |schema| stored_schema(schema, COLUMNS_MAX))?;
    if options.block_rows == 0 || options.block_rows > BLOCK_ROWS_MAX {
        return Err(Error::invalid(
            "format.block_rows",
            format!("block rows are out of bounds: rows={}", options.block_rows),
        ));
    }
    options.check_lists()?;
    let mut writer = Writer {
        level: ZSTD_LEVELS[usize::from(options.level).min(ZSTD_LEVELS.len() - 1)],
        data: Vec::new(),
        shared: HashMap::new(),
        paths: schema.columns().iter().map(|_| Paths::new(TRACKED_PATHS_MAX)).collect(),
        learners: schema.columns().iter().map(|_| Learner::new()).collect(),
        repeated: Vec::new(),
        blocks: 0,
        presence: BTreeMap::new(),
        sketches: Sketches::new(schema.len()),
        tallies: tallies::Counter::new(&schema),
        index: Collector::new(options.level),
        plan: shared::writer::Plan::default(),
    };
    let cut = cut(batches, options.block_rows);
    if writer.level >= encoding::THOROUGH {
        writer.plan = shared::writer::Plan::of(&cut, &schema, &options.time_column, writer.level)?;
    }
    let mut blocks = Vec::new();
    for rows in cut {
        if blocks.len() == BLOCKS_MAX {
            return Err(Error::exhausted("format.too_many_blocks", "an extent has too many blocks"));
        }
        blocks.push(writer.block(&rows, &schema)?);
    }
    finish(writer, blocks, schema, options)
}

/// Cuts batches into runs of slices that hold `block_rows` rows together, the last one fewer.
fn cut(batches: &[RecordBatch], block_rows: usize) -> Vec<Vec<RecordBatch>> {
    let mut blocks = Vec::new();
    let (mut block, mut rows) = (Vec::new(), 0);
    for batch in batches {
        let mut start = 0;
        while start < batch.num_rows() {
            let count = (block_rows - rows).min(batch.num_rows() - start);
            block.push(batch.slice(start, count));
            start += count;
            rows += count;
            if rows == block_rows {
                blocks.push(std::mem::take(&mut block));
                rows = 0;
            }
        }
    }
    if rows > 0 {
        blocks.push(block);
    }
    blocks
}

/// A column that others may be differences to, or whose differences others may divide.
struct Base {
    column: u32,
    values: ScalarBuffer<i64>,
    is_difference: bool,
}

struct Writer {
    level: i32,
    data: Vec<u8>,
    /// Pieces of the block at hand, by their bytes.
    shared: HashMap<(u32, usize), Piece>,
    paths: Vec<Paths>,
    /// Per column: the templates of its lines.
    learners: Vec<Learner>,
    /// Columns of the block at hand that lines may repeat.
    repeated: Vec<(BaseColumn, Repeated)>,
    /// How many blocks are written.
    blocks: u32,
    /// Bitmaps of paths, by block and column.
    presence: BTreeMap<(u32, u32), Vec<Presence>>,
    sketches: Sketches,
    tallies: tallies::Counter,
    index: Collector,
    plan: shared::writer::Plan,
}

impl Writer {
    fn block(&mut self, slices: &[RecordBatch], schema: &Schema) -> Result<Block> {
        let rows = slices.iter().map(RecordBatch::num_rows).sum::<usize>();
        self.shared.clear();
        self.repeated.clear();
        let mut columns: Vec<Option<BlockColumn>> = Vec::with_capacity(schema.len());
        let mut bases = Vec::new();
        let named = schema.columns().iter().enumerate();
        let arrays: Vec<ArrayRef> = named.map(|(at, column)| gather(slices, at, column)).collect::<Result<_>>()?;
        let spans = if self.level >= encoding::THOROUGH { spans(schema, &arrays) } else { HashMap::new() };
        let mut lines = Vec::new();
        for (at, (column, array)) in schema.columns().iter().zip(arrays).enumerate() {
            self.sketches.add(at, column.ty, &array);
            self.tallies.add(at, column.ty, &array);
            match column.ty {
                Type::String => self.index.strings(at, array.as_string_view()),
                Type::Guid => self.index.guids(at, array.as_fixed_size_binary()),
                _ => {}
            }
            let planned = self.plan.take(self.blocks as usize, at);
            if planned.is_none() && column.ty == Type::String && is_lines(&array) {
                lines.push((at, array));
                columns.push(None);
                continue;
            }
            columns.push(Some(match column.ty {
                Type::Dynamic => self.dynamic(at, &array)?,
                ty => {
                    let piece = match planned {
                        Some((packed, dictionary)) => self.append_codes(packed, dictionary)?,
                        None => self.plain(at, ty, &array, spans.get(&at).copied(), &mut bases)?,
                    };
                    if let Ok(base) = Repeated::of(&array)
                        && piece.base.is_none()
                    {
                        self.repeated.push((BaseColumn { column: at as u32, sub: None }, base));
                    }
                    plain_column(piece, ty, &array)
                }
            }));
        }
        for (at, array) in lines {
            columns[at] = Some(self.lines(at, &array)?);
        }
        let columns = columns.into_iter().collect::<Option<Vec<_>>>();
        let columns = columns.ok_or_else(|| Error::internal("a column was not written"))?;
        self.blocks += 1;
        self.index.end_block(rows);
        Ok(Block { rows: rows as u32, columns })
    }

    /// Lines as templates, or like any other text where that is smaller.
    fn lines(&mut self, at: usize, array: &ArrayRef) -> Result<BlockColumn> {
        let (head, places, valid) = encoding::start(array, self.level)?;
        let texts = array.as_string_view();
        let values: Vec<&[u8]> = places.iter().map(|&row| texts.value(row).as_bytes()).collect();
        let (names, bases): (Vec<BaseColumn>, Vec<Repeated>) = self.repeated.iter().cloned().unzip();
        let lines = self.learners[at].encode(&values, valid.as_ref(), &bases, self.level, head)?;
        let text_bytes: usize = values.iter().map(|value| value.len()).sum();
        if lines.packed.bytes() * SMALL_LINES > text_bytes {
            let plain = encoding::encode(Type::String, array, self.level)?;
            if plain.bytes() <= lines.packed.bytes() {
                return Ok(plain_column(self.append(plain)?, Type::String, array));
            }
        }
        let repeats = lines.bases.iter().map(|&place| names[place]).collect();
        let piece = Piece { repeats, ..self.append(lines.packed)? };
        Ok(BlockColumn { templates: lines.templates, ..plain_column(piece, Type::String, array) })
    }

    fn dynamic(&mut self, at: usize, array: &ArrayRef) -> Result<BlockColumn> {
        let (mut taken, packed) = shred_and_pack(array.as_string_view(), &mut self.paths[at], self.level)?;
        for (sub, column) in taken.columns.iter().enumerate() {
            if let (Type::String, Ok(base)) = (column.ty, Repeated::of(&column.values)) {
                self.repeated.push((BaseColumn { column: at as u32, sub: Some(sub as u32) }, base));
            }
        }
        self.index.residues(at, &taken.remains.texts(ROOT, &self.paths[at])?);
        for column in &taken.columns {
            if let (Type::String, Some(texts)) = (column.ty, column.values.as_string_view_opt()) {
                self.index.path(at, self.paths[at].keys(column.path), texts);
            }
        }
        let bitmaps = presence::affordable(std::mem::take(&mut taken.presence), packed.bytes());
        self.presence.insert((self.blocks, at as u32), bitmaps);
        let PackedColumn { residue, subs } = packed;
        Ok(BlockColumn {
            shredded: subs.into_iter().map(|sub| self.sub(sub)).collect::<Result<_>>()?,
            piece: self.append(residue)?,
            stats: stats::of(Type::Dynamic, array),
            present: taken.present,
            templates: Vec::new(),
        })
    }

    fn sub(&mut self, sub: PackedSub) -> Result<SubPiece> {
        let PackedSub { path, ty, complete, packed, stats, list } = sub;
        let piece = self.append(packed)?;
        let mut elements = None;
        if let Some((count, PackedColumn { residue, subs })) = list {
            let shredded = subs.into_iter().map(|sub| self.sub(sub)).collect::<Result<_>>()?;
            elements = Some(Box::new(ListPiece { elements: count, residue: self.append(residue)?, shredded }));
        }
        Ok(SubPiece { path, ty, complete, piece, stats, list: elements })
    }

    /// A column of 64-bit integers is stored as differences to an earlier one where that takes a quarter of the bytes; at a
    /// thorough level where it saves a sixth, or as what remains of the quotients of an earlier column's differences. An
    /// end is always stored as differences to its `start`.
    fn plain(
        &mut self,
        at: usize,
        ty: Type,
        array: &dyn Array,
        start: Option<usize>,
        bases: &mut Vec<Base>,
    ) -> Result<Piece> {
        let packed = encoding::encode(ty, array, self.level)?;
        let Some(values) = encoding::wide_integers(ty, array) else { return self.append(packed) };
        if packed.head.len() < DIFFERENCE_BYTES_MIN {
            return self.append(packed);
        }
        let is_thorough = self.level >= encoding::THOROUGH;
        let mut smallest: Option<(u32, Packed, Vec<i64>)> = None;
        let is_tried = |base: &&Base| start.is_none_or(|start| base.column as usize == start && !base.is_difference);
        for base in bases.iter().filter(is_tried) {
            let (packed, differences) = match base.is_difference {
                true => match encoding::encode_quotient(&values, &base.values, self.level)? {
                    Some(quotient) => (quotient, Vec::new()),
                    None => continue,
                },
                false => match encoding::encode_difference(&values, &base.values, !is_thorough, self.level)? {
                    Some(difference) => difference,
                    None => continue,
                },
            };
            if smallest.as_ref().is_none_or(|(_, smallest, _)| packed.head.len() < smallest.head.len()) {
                smallest = Some((base.column, packed, differences));
            }
        }
        let is_small = |it: &Packed| match is_thorough {
            _ if start.is_some() => true,
            true => it.head.len() * 6 <= packed.head.len() * 5,
            false => it.head.len() * 4 <= packed.head.len(),
        };
        let has_room = bases.len() < BASES_MAX;
        match smallest.filter(|(_, smallest, _)| is_small(smallest)) {
            Some((base, smallest, differences)) => {
                if is_thorough && has_room && !differences.is_empty() {
                    bases.push(Base { column: at as u32, values: differences.into(), is_difference: true });
                }
                Ok(Piece { base: Some(base), ..self.append(smallest)? })
            }
            None => {
                if has_room {
                    bases.push(Base { column: at as u32, values, is_difference: false });
                }
                self.append(packed)
            }
        }
    }

    /// A piece that was made before; one that is null everywhere has no dictionary.
    fn append_codes(&mut self, packed: Packed, dictionary: Option<u32>) -> Result<Piece> {
        let dictionary = dictionary.filter(|_| packed.encoding == crate::constants::encoding::SHARED);
        Ok(Piece { dictionary, ..self.append(packed)? })
    }

    /// Writes what the blocks share, after them.
    fn dictionaries(&mut self) -> Result<Vec<shared::Dictionary>> {
        let mut written = Vec::new();
        self.shared.clear();
        for new in std::mem::take(&mut self.plan.dictionaries) {
            written.push(shared::Dictionary { ty: new.ty, values: new.values, piece: self.append(new.packed)? });
        }
        Ok(written)
    }

    fn append(&mut self, packed: Packed) -> Result<Piece> {
        let head_crc = checksum(&packed.head);
        let key = (head_crc, packed.head.len());
        if let Some(piece) = self.shared.get(&key).filter(|piece| self.is_same(piece, &packed)) {
            return Ok(Piece { encoding: packed.encoding, ..piece.clone() });
        }
        let offset = self.data.len() as u64;
        let is_inline = !packed.frames.is_empty() && packed.head.len() <= INLINE_HEAD_BYTES_MAX;
        if !is_inline {
            self.data.extend_from_slice(&packed.head);
        }
        let mut frames = Vec::with_capacity(packed.frames.len());
        for frame in &packed.frames {
            self.data.extend_from_slice(&frame.bytes);
            frames.push(Frame { rows: frame.rows, bytes: length(&frame.bytes)?, crc: checksum(&frame.bytes) });
        }
        let piece = Piece { offset, encoding: packed.encoding, frames, ..Piece::default() };
        if is_inline {
            return Ok(Piece { head_crc: checksum(&[]), inline_head: Some(packed.head), ..piece });
        }
        let piece = Piece { head_bytes: length(&packed.head)?, head_crc, ..piece };
        self.shared.insert(key, piece.clone());
        Ok(piece)
    }

    /// Whether the bytes of `packed` are in the data already; frames are too unlike to look.
    fn is_same(&self, piece: &Piece, packed: &Packed) -> bool {
        let start = piece.offset as usize;
        piece.frames.is_empty()
            && packed.frames.is_empty()
            && self.data.get(start..start + packed.head.len()) == Some(packed.head.as_slice())
    }
}

/// Whether a column of text looks like log lines.
fn is_lines(array: &ArrayRef) -> bool {
    let texts = array.as_string_view();
    template::is_worth_trying(texts.len(), |row| texts.is_valid(row).then(|| texts.value(row).as_bytes()))
}

/// A column without sub-columns.
fn plain_column(piece: Piece, ty: Type, array: &ArrayRef) -> BlockColumn {
    BlockColumn { piece, stats: stats::of(ty, array), shredded: Vec::new(), present: None, templates: Vec::new() }
}

/// By the place of an end's column, the place of its start's: pairs whose difference a later column holds in some unit.
fn spans(schema: &Schema, arrays: &[ArrayRef]) -> HashMap<usize, usize> {
    let mut wide = Vec::new();
    for (at, (column, array)) in schema.columns().iter().zip(arrays).enumerate() {
        if wide.len() < BASES_MAX {
            wide.extend(encoding::wide_integers(column.ty, array).map(|values| (at, values)));
        }
    }
    let mut spans = HashMap::new();
    for (third, (_, durations)) in wide.iter().enumerate() {
        for (second, (end, ends)) in wide[..third].iter().enumerate() {
            for (start, starts) in &wide[..second] {
                if !spans.contains_key(start) && encoding::is_span(starts, ends, durations) {
                    spans.entry(*end).or_insert(*start);
                }
            }
        }
    }
    spans
}

fn length(bytes: &[u8]) -> Result<u32> {
    u32::try_from(bytes.len())
        .map_err(|_| Error::exhausted("format.piece_too_large", "a column of a block is too large"))
}

pub(crate) fn gather(slices: &[RecordBatch], at: usize, column: &Column) -> Result<ArrayRef> {
    let mut arrays = Vec::with_capacity(slices.len());
    for slice in slices {
        let array = slice
            .columns()
            .get(at)
            .ok_or_else(|| Error::invalid("format.schema", "batches differ in their columns"))?;
        let wanted = column.ty.arrow();
        let is_text = matches!(array.data_type(), DataType::Utf8 | DataType::LargeUtf8);
        arrays.push(match *array.data_type() == wanted {
            true => array.clone(),
            false if is_text => arrow::compute::cast(array, &wanted)?,
            false => {
                return Err(Error::invalid("format.schema", format!("batches differ in type: column={}", column.name)));
            }
        });
    }
    match arrays.as_slice() {
        [array] => Ok(array.clone()),
        arrays => Ok(arrow::compute::concat(&arrays.iter().map(AsRef::as_ref).collect::<Vec<_>>())?),
    }
}

fn finish(mut writer: Writer, mut blocks: Vec<Block>, schema: Schema, options: &EncodeOptions) -> Result<Encoded> {
    let dictionaries = writer.dictionaries()?;
    let Writer { mut data, paths, learners, mut presence, sketches, tallies, index, level, .. } = writer;
    let indexes = index::build::write(index, &mut data)?;
    let paths = keep_paths(&mut blocks, &mut presence, paths);
    let templates = keep_templates(&mut blocks, learners);
    let presence = presence::Directory::write(presence, &mut data);
    let sketches = sketches.write(&blocks, level, &mut data)?;
    let footer = Footer {
        identity: options.clone(),
        checksum: Some(DataChecksum { bytes: data.len() as u64, crc32c: checksum(&data) }),
        schema,
        blocks,
        paths,
        templates,
        presence,
        sketches,
        tallies: tallies.finish(),
        indexes,
        dictionaries,
    };
    let columns = columns_of(&footer);
    let footer_bytes = footer.write()?;
    let mut bytes = data;
    bytes.extend_from_slice(&footer_bytes);
    Ok(Encoded {
        bytes: Bytes::from(bytes),
        footer_length: length(&footer_bytes)?,
        rows: footer.blocks.iter().map(|block| u64::from(block.rows)).sum(),
        blocks: footer.blocks.len() as u32,
        time: time_range(&columns, &options.time_column, &footer),
        columns,
        paths: list_paths(&footer),
    })
}

/// Drops the numbers of paths that no block speaks of, after dropping lists that are too long.
fn keep_paths(
    blocks: &mut [Block],
    presence: &mut BTreeMap<(u32, u32), Vec<Presence>>,
    tracked: Vec<Paths>,
) -> Vec<Paths> {
    let mut kept = Vec::with_capacity(tracked.len());
    for (at, paths) in tracked.into_iter().enumerate() {
        if paths.len() > LISTED_PATHS_MAX + 1 {
            blocks.iter_mut().for_each(|block| block.columns[at].present = None);
        }
        let mut is_used = vec![false; paths.len()];
        let mut mark = |path: PathId| {
            let mut at = path;
            while at != ROOT && !std::mem::replace(&mut is_used[at as usize], true) {
                at = paths.parent(at);
            }
        };
        for column in blocks.iter_mut().map(|block| &mut block.columns[at]) {
            column.present.iter().flatten().copied().for_each(&mut mark);
            for sub in &mut column.shredded {
                sub.for_each(&mut |sub| {
                    mark(sub.path);
                    sub.list.iter().filter_map(|_| paths.elements(sub.path)).for_each(&mut mark);
                });
            }
        }
        let mut renumbered = vec![ROOT; paths.len()];
        let mut fewer = Paths::new(paths.len());
        for id in (1..paths.len() as PathId).filter(|&id| is_used[id as usize]) {
            let parent = renumbered[paths.parent(id) as usize];
            let kept = match paths.is_elements(id) {
                true => fewer.intern_elements(parent),
                false => fewer.intern(parent, paths.key(id)),
            };
            renumbered[id as usize] = kept.unwrap_or(ROOT);
        }
        for column in blocks.iter_mut().map(|block| &mut block.columns[at]) {
            let mut renumber = |sub: &mut SubPiece| sub.path = renumbered[sub.path as usize];
            column.shredded.iter_mut().for_each(|sub| sub.for_each(&mut renumber));
            column.present.iter_mut().flatten().for_each(|path| *path = renumbered[*path as usize]);
        }
        let bitmaps = presence.iter_mut().filter(|((_, column), _)| *column as usize == at);
        for bitmaps in bitmaps.map(|(_, bitmaps)| bitmaps) {
            bitmaps.iter_mut().for_each(|bitmap| bitmap.path = renumbered[bitmap.path as usize]);
            bitmaps.retain(|bitmap| bitmap.path != ROOT);
        }
        kept.push(fewer);
    }
    kept
}

/// Drops the templates that no block uses.
fn keep_templates(blocks: &mut [Block], learners: Vec<Learner>) -> Vec<Dictionary> {
    let mut kept = Vec::with_capacity(learners.len());
    for (at, learner) in learners.into_iter().enumerate() {
        let mut dictionary = learner.dictionary;
        let mut is_used = vec![false; dictionary.len()];
        for column in blocks.iter().map(|block| &block.columns[at]) {
            column.templates.iter().for_each(|&(template, _)| is_used[template as usize] = true);
        }
        let renumbered = dictionary.retain(&is_used);
        for column in blocks.iter_mut().map(|block| &mut block.columns[at]) {
            column.templates.iter_mut().for_each(|(template, _)| *template = renumbered[*template as usize]);
        }
        kept.push(dictionary);
    }
    kept
}

/// The columns that occur, with statistics over all blocks.
pub(crate) fn columns_of(footer: &Footer) -> BTreeMap<String, ColumnBounds> {
    let mut columns = BTreeMap::new();
    for (at, column) in footer.schema.columns().iter().enumerate() {
        let merged = merge(footer.blocks.iter().map(|block| &block.columns[at].stats));
        if let Some(mut stats) = merged.filter(|stats| stats.nulls < stats.rows) {
            stats.distinct = footer.sketches.distinct(at).or(stats.distinct);
            columns.insert(column.name.clone(), ColumnBounds { ty: column.ty, stats });
        }
    }
    columns
}

/// The statistics of all parts together.
pub(crate) fn merge<'a>(mut parts: impl Iterator<Item = &'a ColumnStats>) -> Option<ColumnStats> {
    let first = parts.next()?.clone();
    Some(parts.fold(first, |merged, part| merged.merge(part)))
}

pub(crate) fn time_range(columns: &BTreeMap<String, ColumnBounds>, name: &str, footer: &Footer) -> TimeRange {
    let Some(stats) = columns.get(name).map(|bounds| &bounds.stats) else { return TimeRange::ALL };
    let is_time = footer.schema.column(name).is_some_and(|column| column.ty == Type::Datetime);
    match (&stats.min, &stats.max) {
        (Some(Value::Datetime(min)), Some(Value::Datetime(max))) if is_time && stats.nulls == 0 => {
            TimeRange::new(*min, *max)
        }
        _ => TimeRange::ALL,
    }
}

pub(crate) fn list_paths(footer: &Footer) -> Option<Vec<String>> {
    let mut listed = Vec::new();
    for (at, column) in footer.schema.columns().iter().enumerate() {
        if column.ty != Type::Dynamic {
            continue;
        }
        if footer.blocks.iter().any(|block| block.columns[at].present.is_none()) {
            return None;
        }
        let paths = &footer.paths[at];
        let keyed = (1..paths.len() as PathId).filter(|&id| paths.base(id) == ROOT);
        listed.extend(keyed.map(|id| paths.dotted(&column.name, id)));
    }
    listed.sort_unstable();
    listed.dedup();
    (listed.len() <= LISTED_PATHS_MAX).then_some(listed)
}
