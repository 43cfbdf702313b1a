//! The footer: what a reader holds of an open extent. [`Footer::write`] and [`Footer::read`].
//!
//! ```text
//! footer = body, tail
//! body   = one zstd frame of: section*            section = kind u16, flags u16, bytes u32, payload
//! tail   = body bytes u32, decompressed bytes u32, major u16, minor u16, flags u32, crc32c u32, magic [8]
//!
//! IDENTITY = extent [16], database u64, table u64, names of database, table and event-time column (text),
//!            level u8, block rows varint, sort columns (count varint, text*)
//! SCHEMA   = columns varint, (type u8, name text)*
//! PATHS    = per column: paths varint, path*       a path's number is its place, from 1; 0 is the value
//! path     = parent varint, key text; or of elements: parent + own number varint
//! BLOCKS   = blocks varint, (rows varint, column*)*
//! column   = piece, sub-columns varint, sub-column*,
//!            present varint (0 unknown, else one more than the count), (difference of ascending paths varint)*
//! sub-column = path varint, type u8, complete u8, piece; or a list: path varint, LIST u8, complete u8, piece of lengths,
//!            elements varint, piece of their residue, sub-columns varint, sub-column*
//! piece    = encoding u8, [base column varint: DIFFERENCE, QUOTIENT], [dictionary varint: SHARED],
//!            [bases varint, (column varint, sub-column varint)*: TEMPLATE], offset varint, head bytes varint, head crc u32,
//!            frames varint, (rows varint, bytes varint, crc u32)*
//!            a small head stands in the footer: encoding + INLINE_HEAD u8, ..., offset varint, head (bytes varint, bytes), frames ...
//!            a base's sub-column is 0 for the column itself, else one more than its place
//! DICTIONARIES = dictionaries varint, (type u8, values varint, piece)*       only when there are any
//! INDEXES  = what indexes there are; may be missing; see `index`
//! STATS    = per block and column: statistics, then those of its complete sub-columns; see `stats`
//! TEMPLATES = columns varint, (column varint, path varint, templates, per block: (templates varint, (template varint, lines varint)*))*
//!            where a column or path has lines stored as templates; see `encoding::template`
//! PRESENCE = where bitmaps of paths are, if there are any; see `dynamic::presence`
//! SKETCHES = distinct values of columns, if known; see `sketches`
//! TALLIES  = rows by value of columns with few values, and by time; may be missing; see `tallies`
//! PROVENANCE = where the rows came from, and a checksum of the data; may be missing; see `provenance`
//! text     = bytes varint, UTF-8
//! ```
//!
//! Version 1.0 has no elements, lists, PRESENCE, SKETCHES and TALLIES, version 1.1 no PROVENANCE. What they have is laid out
//! the same.
//!
//! The checksum covers the body and the tail before it. A section that is unknown is skipped, unless its `REQUIRED`
//! flag is set: then the reader is too old and says so.

use kyma_core::error::{Error, Result};
use kyma_core::format::{DataChecksum, EncodeOptions};
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::schema::{Column, Schema};
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;

use crate::constants::{MAGIC, TAIL_BYTES, VERSION_MAJOR, VERSION_MINOR, encoding, section, sub_column};
use crate::dynamic::paths::{PathId, Paths, ROOT};
use crate::dynamic::presence;
use crate::encoding::template::dictionary::Dictionary as Templates;
use crate::index::directory::Directory;
use crate::limits::{
    BLOCK_ROWS_MAX, BLOCKS_MAX, COLUMNS_MAX, ELEMENTS_MAX, FOOTER_BYTES_MAX, INLINE_HEAD_BYTES_MAX, LIST_DEPTH_MAX,
    SHARED_DICTIONARIES_MAX, SHARED_VALUES_MAX, SHREDDED_PATHS_MAX, TEMPLATES_MAX, TRACKED_PATHS_MAX,
};
use crate::provenance;
use crate::shared::Dictionary;
use crate::sketches;
use crate::stats;
use crate::tallies::Tallies;
use crate::wire::{Reader, Writer, checksum, corrupt, is_intact};

/// zstd level of the footer.
const FOOTER_LEVEL: i32 = 3;

/// Where the bytes of one column of one block are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) encoding: u8,
    pub(crate) head_bytes: u32,
    pub(crate) head_crc: u32,
    /// The head, when it stands in the footer; there is none in the data then.
    pub(crate) inline_head: Option<Vec<u8>>,
    pub(crate) frames: Vec<Frame>,
    /// Of differences: the column of the block that they are differences to; of quotients: whose differences they divide.
    pub(crate) base: Option<u32>,
    /// Of codes in a dictionary that the extent shares: which one.
    pub(crate) dictionary: Option<u32>,
    /// Of templates: the columns of the block whose values the lines repeat.
    pub(crate) repeats: Vec<BaseColumn>,
}

/// A column of a block that lines repeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BaseColumn {
    pub(crate) column: u32,
    /// Its sub-column by place; `None` for the column itself.
    pub(crate) sub: Option<u32>,
}

impl Piece {
    /// Bytes of head and frames.
    pub(crate) fn bytes(&self) -> u64 {
        u64::from(self.head_bytes) + self.frames.iter().map(|frame| u64::from(frame.bytes)).sum::<u64>()
    }
}

/// One frame of a piece; frames follow the head without gaps.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) rows: u32,
    pub(crate) bytes: u32,
    pub(crate) crc: u32,
}

/// A sub-column of a dynamic column in a block.
#[derive(Debug, Clone)]
pub(crate) struct SubPiece {
    pub(crate) path: PathId,
    pub(crate) ty: Type,
    pub(crate) complete: bool,
    pub(crate) piece: Piece,
    /// Only when complete.
    pub(crate) stats: Option<ColumnStats>,
    /// Of a list: its elements. The piece holds lengths.
    pub(crate) list: Option<Box<ListPiece>>,
}

impl SubPiece {
    /// Bytes of all of its pieces.
    pub(crate) fn bytes(&self) -> u64 {
        let elements =
            self.list.iter().map(|list| list.residue.bytes() + list.shredded.iter().map(SubPiece::bytes).sum::<u64>());
        self.piece.bytes() + elements.sum::<u64>()
    }

    /// It and the sub-columns of its elements.
    pub(crate) fn for_each(&mut self, visit: &mut impl FnMut(&mut SubPiece)) {
        visit(self);
        for sub in self.list.iter_mut().flat_map(|list| &mut list.shredded) {
            sub.for_each(visit);
        }
    }
}

/// The elements of a list sub-column in a block.
#[derive(Debug, Clone)]
pub(crate) struct ListPiece {
    pub(crate) elements: u32,
    pub(crate) residue: Piece,
    pub(crate) shredded: Vec<SubPiece>,
}

/// A column of a block.
#[derive(Debug, Clone)]
pub(crate) struct BlockColumn {
    /// The values, or a dynamic column's residue.
    pub(crate) piece: Piece,
    pub(crate) stats: ColumnStats,
    /// Of a dynamic column: its sub-columns.
    pub(crate) shredded: Vec<SubPiece>,
    /// Of a dynamic column: the paths that occur, when that is known.
    pub(crate) present: Option<Vec<PathId>>,
    /// The templates of its lines by code, with the number of lines; empty when it has none.
    pub(crate) templates: Vec<(u32, u32)>,
}

/// A block.
#[derive(Debug, Clone)]
pub(crate) struct Block {
    pub(crate) rows: u32,
    pub(crate) columns: Vec<BlockColumn>,
}

/// Everything a reader knows without reading data.
#[derive(Debug, Clone)]
pub(crate) struct Footer {
    pub(crate) identity: EncodeOptions,
    /// Of the data; with it, where the rows came from is known.
    pub(crate) checksum: Option<DataChecksum>,
    pub(crate) schema: Schema,
    pub(crate) blocks: Vec<Block>,
    /// Per column; only the root for columns that are not dynamic.
    pub(crate) paths: Vec<Paths>,
    /// Per column: the templates of its lines.
    pub(crate) templates: Vec<Templates>,
    /// Where bitmaps of paths are.
    pub(crate) presence: presence::Directory,
    /// Where sketches of columns are.
    pub(crate) sketches: sketches::Directory,
    /// Rows by value.
    pub(crate) tallies: Tallies,
    /// Where the indexes are, if there are any.
    pub(crate) indexes: Option<Directory>,
    /// What columns of several blocks share.
    pub(crate) dictionaries: Vec<Dictionary>,
}

impl Footer {
    /// The footer's bytes, tail included.
    pub(crate) fn write(&self) -> Result<Vec<u8>> {
        let mut body = Writer::default();
        let mut sections = vec![
            (section::IDENTITY, self.write_identity()),
            (section::SCHEMA, self.write_schema()),
            (section::PATHS, self.write_paths()),
            (section::BLOCKS, self.write_blocks()),
            (section::STATS, self.write_stats()),
        ];
        let mut optional = Vec::new();
        if !self.presence.is_empty() {
            let columns: Vec<u32> = self.dynamic_columns().map(|(column, _)| column).collect();
            optional.push((section::PRESENCE, self.presence.write_section(self.blocks.len(), &columns)));
        }
        if !self.sketches.is_empty() {
            optional.push((section::SKETCHES, self.sketches.write_section()));
        }
        if !self.tallies.is_empty() {
            optional.push((section::TALLIES, self.tallies.write_section()));
        }
        if let Some(checksum) = self.checksum {
            optional.push((section::PROVENANCE, provenance::write_section(&self.identity, checksum)));
        }
        if self.templates.iter().any(|templates| templates.len() > 0) {
            sections.push((section::TEMPLATES, self.write_templates()));
        }
        if !self.dictionaries.is_empty() {
            sections.push((section::DICTIONARIES, self.write_dictionaries()));
        }
        let required = sections.into_iter().map(|(kind, payload)| (kind, section::REQUIRED, payload));
        for (kind, flags, payload) in required.chain(optional.into_iter().map(|(kind, payload)| (kind, 0, payload))) {
            body.u16(kind);
            body.u16(flags);
            body.u32(u32::try_from(payload.len()).map_err(|_| too_large())?);
            body.raw(&payload);
        }
        if let Some(indexes) = &self.indexes {
            let payload = indexes.write();
            body.u16(section::INDEXES);
            body.u16(0);
            body.u32(u32::try_from(payload.len()).map_err(|_| too_large())?);
            body.raw(&payload);
        }
        if body.bytes.len() > FOOTER_BYTES_MAX {
            return Err(too_large());
        }
        seal(&body.bytes)
    }

    fn write_identity(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let identity = &self.identity;
        out.raw(identity.extent.0.as_bytes());
        out.u64(identity.database.0 as u64);
        out.u64(identity.table.0 as u64);
        out.text(&identity.database_name);
        out.text(&identity.table_name);
        out.text(&identity.time_column);
        out.u8(identity.level);
        out.length(identity.block_rows);
        out.length(identity.sorted_by.len());
        identity.sorted_by.iter().for_each(|name| out.text(name));
        out.bytes
    }

    fn write_schema(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.length(self.schema.len());
        for column in self.schema.columns() {
            out.u8(stats::type_tag(column.ty));
            out.text(&column.name);
        }
        out.bytes
    }

    fn write_paths(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for paths in &self.paths {
            out.length(paths.len() - 1);
            for id in 1..paths.len() as PathId {
                if paths.is_elements(id) {
                    out.varint(u64::from(paths.parent(id)) + u64::from(id));
                } else {
                    out.varint(u64::from(paths.parent(id)));
                    out.text(paths.key(id));
                }
            }
        }
        out.bytes
    }

    fn write_blocks(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.length(self.blocks.len());
        for block in &self.blocks {
            out.varint(u64::from(block.rows));
            for column in &block.columns {
                write_piece(&column.piece, &mut out);
                write_subs(&column.shredded, &mut out);
                write_present(column.present.as_deref(), &mut out);
            }
        }
        out.bytes
    }

    fn write_dictionaries(&self) -> Vec<u8> {
        let mut out = Writer::default();
        out.length(self.dictionaries.len());
        for dictionary in &self.dictionaries {
            out.u8(stats::type_tag(dictionary.ty));
            out.varint(u64::from(dictionary.values));
            write_piece(&dictionary.piece, &mut out);
        }
        out.bytes
    }

    fn write_stats(&self) -> Vec<u8> {
        let mut out = Writer::default();
        for column in self.blocks.iter().flat_map(|block| &block.columns) {
            stats::write(&column.stats, &mut out);
            column.shredded.iter().filter_map(|sub| sub.stats.as_ref()).for_each(|known| stats::write(known, &mut out));
        }
        out.bytes
    }

    fn write_templates(&self) -> Vec<u8> {
        let mut out = Writer::default();
        let used = self.templates.iter().enumerate().filter(|(_, dictionary)| dictionary.len() > 0);
        out.length(used.clone().count());
        for (at, dictionary) in used {
            out.length(at);
            out.varint(u64::from(ROOT));
            dictionary.write(&mut out);
            for block in &self.blocks {
                let templates = &block.columns[at].templates;
                out.length(templates.len());
                for &(template, lines) in templates {
                    out.varint(u64::from(template));
                    out.varint(u64::from(lines));
                }
            }
        }
        out.bytes
    }

    /// Reads a footer: the last bytes of an extent of `data_bytes` bytes before it.
    pub(crate) fn read(bytes: &[u8], data_bytes: u64) -> Result<Footer> {
        Footer::parse(&read_tail(bytes)?, data_bytes)
    }

    /// Reads the decompressed body of a footer.
    pub(crate) fn parse(body: &[u8], data_bytes: u64) -> Result<Footer> {
        let mut reader = Reader::new(body);
        let mut sections = std::collections::BTreeMap::new();
        while reader.remaining() > 0 {
            let (kind, flags) = (reader.u16()?, reader.u16()?);
            let length = reader.u32()? as usize;
            let payload = reader.raw(length)?;
            let is_known = (section::IDENTITY..=section::PATHS).contains(&kind)
                || matches!(kind, section::TEMPLATES | section::DICTIONARIES);
            if !is_known && flags & section::REQUIRED != 0 {
                return Err(too_new(&format!("section={kind}")));
            }
            sections.insert(kind, payload);
        }
        let part =
            |kind: u16| sections.get(&kind).copied().map(Reader::new).ok_or_else(|| corrupt("a section is missing"));
        let mut identity = read_identity(part(section::IDENTITY)?)?;
        let checksum = match sections.get(&section::PROVENANCE) {
            Some(payload) => Some(provenance::read_section(Reader::new(payload), &mut identity, data_bytes)?),
            None => None,
        };
        let schema = read_schema(part(section::SCHEMA)?)?;
        let paths = read_paths(part(section::PATHS)?, schema.len())?;
        let mut blocks = read_blocks(part(section::BLOCKS)?, &paths, data_bytes)?;
        read_stats(part(section::STATS)?, &mut blocks)?;
        let mut templates = vec![Templates::default(); schema.len()];
        if let Some(payload) = sections.get(&section::TEMPLATES) {
            read_templates(Reader::new(payload), &mut templates, &mut blocks)?;
        }
        let dictionaries = match sections.get(&section::DICTIONARIES) {
            Some(payload) => read_dictionaries(Reader::new(payload), data_bytes)?,
            None => Vec::new(),
        };
        let indexes = match sections.get(&section::INDEXES) {
            Some(payload) => Directory::read(Reader::new(payload), schema.len(), data_bytes)?,
            None => None,
        };
        let (presence, sketches, tallies) = Default::default();
        let mut footer = Footer {
            identity,
            checksum,
            schema,
            blocks,
            paths,
            templates,
            presence,
            sketches,
            tallies,
            indexes,
            dictionaries,
        };
        if let Some(payload) = sections.get(&section::PRESENCE) {
            let columns: Vec<(u32, usize)> = footer.dynamic_columns().collect();
            let blocks = footer.blocks.len();
            footer.presence = presence::Directory::read_section(Reader::new(payload), blocks, &columns, data_bytes)?;
        }
        if let Some(payload) = sections.get(&section::SKETCHES) {
            footer.sketches = sketches::Directory::read_section(Reader::new(payload), footer.schema.len(), data_bytes)?;
        }
        if let Some(payload) = sections.get(&section::TALLIES) {
            let rows = footer.blocks.iter().map(|block| u64::from(block.rows)).sum();
            footer.tallies = Tallies::read_section(Reader::new(payload), &footer.schema, rows)?;
        }
        Ok(footer)
    }

    /// The dynamic columns by place, with the number of their paths.
    fn dynamic_columns(&self) -> impl Iterator<Item = (u32, usize)> {
        let columns = self.schema.columns().iter().zip(&self.paths).enumerate();
        let dynamic = columns.filter(|(_, (column, _))| column.ty == Type::Dynamic);
        dynamic.map(|(at, (_, paths))| (at as u32, paths.len()))
    }
}

fn too_large() -> Error {
    Error::exhausted("format.footer_too_large", format!("an extent's footer is too large: limit={FOOTER_BYTES_MAX}"))
        .hint("write fewer rows, columns or key paths per extent")
}

fn too_new(what: &str) -> Error {
    Error::corrupt(format!("extent footer was written by a newer kyma: {what}"))
}

/// A footer of this body: compressed, with its tail.
pub(crate) fn seal(body: &[u8]) -> Result<Vec<u8>> {
    let mut out = Writer { bytes: crate::encoding::blob::compress(body, FOOTER_LEVEL)? };
    let compressed = out.bytes.len();
    write_tail(compressed, body.len(), &mut out);
    Ok(out.bytes)
}

/// Appends the tail to a compressed body.
fn write_tail(compressed: usize, decompressed: usize, out: &mut Writer) {
    out.u32(compressed as u32);
    out.u32(decompressed as u32);
    out.u16(VERSION_MAJOR);
    out.u16(VERSION_MINOR);
    out.u32(0);
    out.u32(checksum(&out.bytes));
    out.raw(&MAGIC);
}

/// Bytes of the footer that ends with `tail`, if it is one.
pub(crate) fn length(tail: &[u8]) -> Option<u32> {
    let mut reader = Reader::new(tail);
    let body = reader.u32().ok()?;
    (tail.len() == TAIL_BYTES && tail.ends_with(&MAGIC)).then(|| body.checked_add(TAIL_BYTES as u32)).flatten()
}

/// Checks the tail and gives the decompressed body.
pub(crate) fn read_tail(bytes: &[u8]) -> Result<Vec<u8>> {
    let (body, tail) = bytes
        .len()
        .checked_sub(TAIL_BYTES)
        .and_then(|at| bytes.split_at_checked(at))
        .ok_or_else(|| corrupt("the footer is too short"))?;
    let mut reader = Reader::new(tail);
    let (compressed, length) = (reader.u32()? as usize, reader.u32()? as usize);
    let (major, minor) = (reader.u16()?, reader.u16()?);
    let _flags = reader.u32()?;
    let crc = reader.u32()?;
    if reader.raw(MAGIC.len())? != MAGIC {
        return Err(corrupt("the magic is not TLM's"));
    }
    let covered = bytes.len() - MAGIC.len() - size_of::<u32>();
    if !is_intact(&bytes[..covered], crc) {
        return Err(corrupt("the checksum does not match"));
    }
    if major > VERSION_MAJOR {
        return Err(too_new(&format!("version={major}.{minor}")));
    }
    if compressed != body.len() || length > FOOTER_BYTES_MAX {
        return Err(corrupt("the footer has the wrong length"));
    }
    crate::encoding::blob::decompress(body, length)
}

fn read_identity(mut reader: Reader<'_>) -> Result<EncodeOptions> {
    let extent: [u8; 16] = reader.raw(16)?.try_into().map_err(|_| corrupt("an id is too short"))?;
    Ok(EncodeOptions {
        extent: ExtentId(uuid::Uuid::from_bytes(extent)),
        database: DatabaseId(reader.u64()? as i64),
        table: TableId(reader.u64()? as i64),
        database_name: reader.text()?.to_owned(),
        table_name: reader.text()?.to_owned(),
        time_column: reader.text()?.to_owned(),
        level: reader.u8()?,
        block_rows: reader.length(BLOCK_ROWS_MAX)?,
        sorted_by: {
            let count = reader.length(COLUMNS_MAX)?;
            (0..count).map(|_| reader.text().map(str::to_owned)).collect::<Result<_>>()?
        },
        raw_bytes: 0,
        replaces: Vec::new(),
        writes: Vec::new(),
    })
}

fn read_schema(mut reader: Reader<'_>) -> Result<Schema> {
    let count = reader.length(COLUMNS_MAX)?;
    let mut columns = Vec::new();
    for _ in 0..count {
        let ty = stats::type_of(reader.u8()?)?;
        columns.push(Column::new(reader.text()?, ty));
    }
    Ok(Schema::new(columns))
}

fn read_paths(mut reader: Reader<'_>, columns: usize) -> Result<Vec<Paths>> {
    let mut all = Vec::new();
    for _ in 0..columns {
        let count = reader.length(TRACKED_PATHS_MAX)?;
        let mut paths = Paths::new(count);
        for id in 1..=count {
            let parent = reader.length(2 * id - 1)?;
            let interned = match parent.checked_sub(id) {
                Some(parent) => paths.intern_elements(parent as PathId),
                None => paths.intern(parent as PathId, reader.text()?),
            };
            if interned != Some(id as PathId) {
                return Err(corrupt("a key path is listed twice"));
            }
        }
        all.push(paths);
    }
    Ok(all)
}

fn read_blocks(mut reader: Reader<'_>, paths: &[Paths], data_bytes: u64) -> Result<Vec<Block>> {
    let count = reader.length(BLOCKS_MAX)?;
    let mut blocks = Vec::new();
    for _ in 0..count {
        let rows = reader.length(BLOCK_ROWS_MAX)? as u32;
        let mut columns = Vec::new();
        for (at, paths) in paths.iter().enumerate() {
            let piece = read_piece(&mut reader, rows, data_bytes, at)?;
            let shredded = read_subs(&mut reader, rows, data_bytes, paths, ROOT, 0)?;
            let present = read_present(&mut reader, paths.len())?;
            columns.push(BlockColumn {
                piece,
                stats: ColumnStats::unknown(u64::from(rows)),
                shredded,
                present,
                templates: Vec::new(),
            });
        }
        blocks.push(Block { rows, columns });
    }
    Ok(blocks)
}

fn read_dictionaries(mut reader: Reader<'_>, data_bytes: u64) -> Result<Vec<Dictionary>> {
    let count = reader.length(SHARED_DICTIONARIES_MAX)?;
    let mut dictionaries = Vec::new();
    for _ in 0..count {
        let ty = stats::type_of(reader.u8()?)?;
        let values = reader.length(SHARED_VALUES_MAX)? as u32;
        if !matches!(ty, Type::String | Type::Guid) {
            return Err(corrupt("a shared dictionary has the wrong type"));
        }
        dictionaries.push(Dictionary { ty, values, piece: read_piece(&mut reader, values, data_bytes, 0)? });
    }
    Ok(dictionaries)
}

fn read_stats(mut reader: Reader<'_>, blocks: &mut [Block]) -> Result<()> {
    for column in blocks.iter_mut().flat_map(|block| &mut block.columns) {
        column.stats = stats::read(&mut reader)?;
        for sub in column.shredded.iter_mut().filter(|sub| sub.complete) {
            sub.stats = Some(stats::read(&mut reader)?);
        }
    }
    Ok(())
}

fn read_templates(mut reader: Reader<'_>, dictionaries: &mut [Templates], blocks: &mut [Block]) -> Result<()> {
    for _ in 0..reader.length(dictionaries.len())? {
        let at = reader.length(dictionaries.len().saturating_sub(1))?;
        let path = reader.varint()?;
        let dictionary = Templates::read(&mut reader)?;
        let Some(slot) = dictionaries.get_mut(at).filter(|slot| slot.len() == 0 && path == u64::from(ROOT)) else {
            return Err(corrupt("templates of no column"));
        };
        for block in blocks.iter_mut() {
            let mut templates = Vec::new();
            for _ in 0..reader.length(TEMPLATES_MAX)? {
                let template = reader.length(dictionary.len().saturating_sub(1))? as u32;
                templates.push((template, reader.length(block.rows as usize)? as u32));
            }
            let column = block.columns.get_mut(at).ok_or_else(|| corrupt("templates of no column"))?;
            column.templates = templates;
        }
        *slot = dictionary;
    }
    Ok(())
}

fn write_subs(subs: &[SubPiece], out: &mut Writer) {
    out.length(subs.len());
    for sub in subs {
        out.varint(u64::from(sub.path));
        out.u8(if sub.list.is_some() { sub_column::LIST } else { stats::type_tag(sub.ty) });
        out.u8(u8::from(sub.complete));
        write_piece(&sub.piece, out);
        if let Some(list) = &sub.list {
            out.varint(u64::from(list.elements));
            write_piece(&list.residue, out);
            write_subs(&list.shredded, out);
        }
    }
}

/// Reads the sub-columns of the column at `base`, `depth` lists deep.
fn read_subs(
    reader: &mut Reader<'_>,
    rows: u32,
    data_bytes: u64,
    paths: &Paths,
    base: PathId,
    depth: usize,
) -> Result<Vec<SubPiece>> {
    let count = reader.length(SHREDDED_PATHS_MAX.max(paths.len()))?;
    let mut subs = Vec::new();
    for _ in 0..count {
        let path = reader.length(paths.len() - 1)? as PathId;
        if paths.base(path) != base {
            return Err(corrupt("a sub-column lies elsewhere"));
        }
        let tag = reader.u8()?;
        let ty = if tag == sub_column::LIST { Type::Dynamic } else { stats::type_of(tag)? };
        if !matches!(ty, Type::Long | Type::Real | Type::Bool | Type::String | Type::Dynamic) {
            return Err(corrupt("a sub-column has the wrong type"));
        }
        let complete = reader.u8()? != 0;
        let piece = read_piece(reader, rows, data_bytes, 0)?;
        let mut list = None;
        if tag == sub_column::LIST {
            let base = paths.elements(path).filter(|_| depth < LIST_DEPTH_MAX);
            let base = base.ok_or_else(|| corrupt("a list has no elements, or too many lists are in it"))?;
            let elements = reader.length(ELEMENTS_MAX)? as u32;
            let residue = read_piece(reader, elements, data_bytes, 0)?;
            let shredded = read_subs(reader, elements, data_bytes, paths, base, depth + 1)?;
            list = Some(Box::new(ListPiece { elements, residue, shredded }));
        }
        subs.push(SubPiece { path, ty, complete, piece, stats: None, list });
    }
    Ok(subs)
}

fn write_piece(piece: &Piece, out: &mut Writer) {
    out.u8(piece.encoding | if piece.inline_head.is_some() { encoding::INLINE_HEAD } else { 0 });
    if let Some(base) = piece.base {
        out.varint(u64::from(base));
    }
    if let Some(dictionary) = piece.dictionary {
        out.varint(u64::from(dictionary));
    }
    if piece.encoding == encoding::TEMPLATE {
        out.length(piece.repeats.len());
        for base in &piece.repeats {
            out.varint(u64::from(base.column));
            out.varint(base.sub.map_or(0, |sub| u64::from(sub) + 1));
        }
    }
    out.varint(piece.offset);
    match &piece.inline_head {
        Some(head) => {
            out.length(head.len());
            out.raw(head);
        }
        None => {
            out.varint(u64::from(piece.head_bytes));
            out.u32(piece.head_crc);
        }
    }
    out.length(piece.frames.len());
    for frame in &piece.frames {
        out.varint(u64::from(frame.rows));
        out.varint(u64::from(frame.bytes));
        out.u32(frame.crc);
    }
}

/// Reads a piece; a base is one of the `bases` columns before it.
fn read_piece(reader: &mut Reader<'_>, block_rows: u32, data_bytes: u64, bases: usize) -> Result<Piece> {
    let tag = reader.u8()?;
    let (encoding, is_inline) = (tag & !encoding::INLINE_HEAD, tag & encoding::INLINE_HEAD != 0);
    let base = match encoding {
        encoding::DIFFERENCE | encoding::QUOTIENT => {
            let last = bases.checked_sub(1).ok_or_else(|| corrupt("differences to no column"))?;
            Some(reader.length(last)? as u32)
        }
        _ => None,
    };
    let dictionary = match encoding {
        encoding::SHARED => Some(reader.length(SHARED_DICTIONARIES_MAX)? as u32),
        _ => None,
    };
    let mut repeats = Vec::new();
    if encoding == encoding::TEMPLATE {
        for _ in 0..reader.length(COLUMNS_MAX)? {
            let column = reader.length(COLUMNS_MAX)? as u32;
            let sub = reader.length(TRACKED_PATHS_MAX + 1)?.checked_sub(1).map(|sub| sub as u32);
            repeats.push(BaseColumn { column, sub });
        }
    }
    let offset = reader.varint()?;
    let (mut head_bytes, mut head_crc, mut inline_head) = (0, checksum(&[]), None);
    if is_inline {
        let length = reader.length(INLINE_HEAD_BYTES_MAX)?;
        inline_head = Some(reader.raw(length)?.to_vec());
    } else {
        head_bytes = reader.length(u32::MAX as usize)? as u32;
        head_crc = reader.u32()?;
    }
    let count = reader.length(block_rows as usize)?;
    let mut frames = Vec::new();
    let mut rows = 0;
    for _ in 0..count {
        let frame = Frame {
            rows: reader.length(block_rows as usize - rows)? as u32,
            bytes: reader.length(u32::MAX as usize)? as u32,
            crc: reader.u32()?,
        };
        rows += frame.rows as usize;
        frames.push(frame);
    }
    let piece = Piece { offset, encoding, head_bytes, head_crc, inline_head, frames, base, dictionary, repeats };
    let is_inside = offset.checked_add(piece.bytes()).is_some_and(|end| end <= data_bytes);
    if is_inside { Ok(piece) } else { Err(corrupt("a piece lies outside the extent")) }
}

/// 0 for unknown, else one more than the count and the differences of ascending numbers.
fn write_present(present: Option<&[PathId]>, out: &mut Writer) {
    let Some(present) = present else { return out.varint(0) };
    out.length(present.len() + 1);
    let mut last = 0;
    for &path in present {
        out.varint(u64::from(path - last));
        last = path;
    }
}

fn read_present(reader: &mut Reader<'_>, paths: usize) -> Result<Option<Vec<PathId>>> {
    let Some(count) = reader.length(paths)?.checked_sub(1) else { return Ok(None) };
    let (mut present, mut last) = (Vec::new(), 0);
    for _ in 0..count {
        last += reader.length(paths - 1 - last)?;
        present.push(last as PathId);
    }
    Ok(Some(present))
}

#[cfg(test)]
mod tests;
