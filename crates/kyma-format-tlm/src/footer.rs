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
//! PATHS    = per column: paths varint, (parent varint, key text)*       a path's number is its place, from 1; 0 is the value
//! BLOCKS   = blocks varint, (rows varint, column*)*
//! column   = piece, sub-columns varint, (path varint, type u8, complete u8, piece)*,
//!            present varint (0 unknown, else one more than the count), (difference of ascending paths varint)*
//! piece    = encoding u8, [base column varint: DIFFERENCE, QUOTIENT], [dictionary varint: SHARED], offset varint, head bytes varint, head crc u32,
//!            frames varint, (rows varint, bytes varint, crc u32)*
//! DICTIONARIES = dictionaries varint, (type u8, values varint, piece)*       only when there are any
//! STATS    = per block and column: statistics, then those of its complete sub-columns; see `stats`
//! text     = bytes varint, UTF-8
//! ```
//!
//! The checksum covers the body and the tail before it. A section that is unknown is skipped, unless its `REQUIRED`
//! flag is set: then the reader is too old and says so.

use kyma_core::error::{Error, Result};
use kyma_core::format::EncodeOptions;
use kyma_core::ids::{DatabaseId, ExtentId, TableId};
use kyma_core::schema::{Column, Schema};
use kyma_core::stats::ColumnStats;
use kyma_core::types::Type;

use crate::constants::{MAGIC, TAIL_BYTES, VERSION_MAJOR, VERSION_MINOR, encoding, section};
use crate::dynamic::paths::{PathId, Paths};
use crate::limits::{
    BLOCK_ROWS_MAX, BLOCKS_MAX, COLUMNS_MAX, FOOTER_BYTES_MAX, SHARED_DICTIONARIES_MAX, SHARED_VALUES_MAX,
    TRACKED_PATHS_MAX,
};
use crate::shared::Dictionary;
use crate::stats;
use crate::wire::{Reader, Writer, checksum, corrupt};

/// zstd level of the footer.
const FOOTER_LEVEL: i32 = 3;

/// Where the bytes of one column of one block are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) struct Piece {
    pub(crate) offset: u64,
    pub(crate) encoding: u8,
    pub(crate) head_bytes: u32,
    pub(crate) head_crc: u32,
    pub(crate) frames: Vec<Frame>,
    /// Of differences: the column of the block that they are differences to; of quotients: whose differences they divide.
    pub(crate) base: Option<u32>,
    /// Of codes in a dictionary that the extent shares: which one.
    pub(crate) dictionary: Option<u32>,
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
    pub(crate) schema: Schema,
    pub(crate) blocks: Vec<Block>,
    /// Per column; only the root for columns that are not dynamic.
    pub(crate) paths: Vec<Paths>,
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
        if !self.dictionaries.is_empty() {
            sections.push((section::DICTIONARIES, self.write_dictionaries()));
        }
        for (kind, payload) in sections {
            body.u16(kind);
            body.u16(section::REQUIRED);
            body.u32(u32::try_from(payload.len()).map_err(|_| too_large())?);
            body.raw(&payload);
        }
        if body.bytes.len() > FOOTER_BYTES_MAX {
            return Err(too_large());
        }
        let mut out = Writer { bytes: crate::encoding::blob::compress(&body.bytes, FOOTER_LEVEL)? };
        let compressed = out.bytes.len();
        write_tail(compressed, body.bytes.len(), &mut out);
        Ok(out.bytes)
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
                out.varint(u64::from(paths.parent(id)));
                out.text(paths.key(id));
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
                out.length(column.shredded.len());
                for sub in &column.shredded {
                    out.varint(u64::from(sub.path));
                    out.u8(stats::type_tag(sub.ty));
                    out.u8(u8::from(sub.complete));
                    write_piece(&sub.piece, &mut out);
                }
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

    /// Reads a footer: the last bytes of an extent of `data_bytes` bytes before it.
    pub(crate) fn read(bytes: &[u8], data_bytes: u64) -> Result<Footer> {
        let body = read_tail(bytes)?;
        let mut reader = Reader::new(&body);
        let mut sections = std::collections::BTreeMap::new();
        while reader.remaining() > 0 {
            let (kind, flags) = (reader.u16()?, reader.u16()?);
            let length = reader.u32()? as usize;
            let payload = reader.raw(length)?;
            let is_known = (section::IDENTITY..=section::PATHS).contains(&kind) || kind == section::DICTIONARIES;
            if !is_known && flags & section::REQUIRED != 0 {
                return Err(too_new(&format!("section={kind}")));
            }
            sections.insert(kind, payload);
        }
        let part =
            |kind: u16| sections.get(&kind).copied().map(Reader::new).ok_or_else(|| corrupt("a section is missing"));
        let identity = read_identity(part(section::IDENTITY)?)?;
        let schema = read_schema(part(section::SCHEMA)?)?;
        let paths = read_paths(part(section::PATHS)?, schema.len())?;
        let mut blocks = read_blocks(part(section::BLOCKS)?, &paths, data_bytes)?;
        read_stats(part(section::STATS)?, &mut blocks)?;
        let dictionaries = match sections.get(&section::DICTIONARIES) {
            Some(payload) => read_dictionaries(Reader::new(payload), data_bytes)?,
            None => Vec::new(),
        };
        Ok(Footer { identity, schema, blocks, paths, dictionaries })
    }
}

fn too_large() -> Error {
    Error::exhausted("format.footer_too_large", format!("an extent's footer is too large: limit={FOOTER_BYTES_MAX}"))
        .hint("write fewer rows, columns or key paths per extent")
}

fn too_new(what: &str) -> Error {
    Error::corrupt(format!("extent footer was written by a newer kyma: {what}"))
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

/// Checks the tail and gives the decompressed body.
fn read_tail(bytes: &[u8]) -> Result<Vec<u8>> {
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
    if checksum(&bytes[..covered]) != crc {
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
            let parent = reader.length(id - 1)? as PathId;
            let key = reader.text()?;
            if paths.intern(parent, key) != Some(id as PathId) {
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
            let mut shredded = Vec::new();
            for _ in 0..reader.length(paths.len() - 1)? {
                let path = reader.length(paths.len() - 1)? as PathId;
                let ty = stats::type_of(reader.u8()?)?;
                if !matches!(ty, Type::Long | Type::Real | Type::Bool | Type::String) {
                    return Err(corrupt("a sub-column has the wrong type"));
                }
                let complete = reader.u8()? != 0;
                let piece = read_piece(&mut reader, rows, data_bytes, 0)?;
                shredded.push(SubPiece { path, ty, complete, piece, stats: None });
            }
            let present = read_present(&mut reader, paths.len())?;
            columns.push(BlockColumn { piece, stats: ColumnStats::unknown(u64::from(rows)), shredded, present });
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

fn write_piece(piece: &Piece, out: &mut Writer) {
    out.u8(piece.encoding);
    if let Some(base) = piece.base {
        out.varint(u64::from(base));
    }
    if let Some(dictionary) = piece.dictionary {
        out.varint(u64::from(dictionary));
    }
    out.varint(piece.offset);
    out.varint(u64::from(piece.head_bytes));
    out.u32(piece.head_crc);
    out.length(piece.frames.len());
    for frame in &piece.frames {
        out.varint(u64::from(frame.rows));
        out.varint(u64::from(frame.bytes));
        out.u32(frame.crc);
    }
}

/// Reads a piece; a base is one of the `bases` columns before it.
fn read_piece(reader: &mut Reader<'_>, block_rows: u32, data_bytes: u64, bases: usize) -> Result<Piece> {
    let encoding = reader.u8()?;
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
    let offset = reader.varint()?;
    let head_bytes = reader.length(u32::MAX as usize)? as u32;
    let head_crc = reader.u32()?;
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
    let piece = Piece { offset, encoding, head_bytes, head_crc, frames, base, dictionary };
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
