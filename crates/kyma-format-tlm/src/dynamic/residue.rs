//! What remains of rows when their frequent leaves have been moved to sub-columns: the piece `RESIDUE`.
//!
//! ```text
//! head   = text bytes varint, blob of: keys, shapes; codes
//! keys   = paths varint, (parent varint, key text)*      a path's number is its place, from 1; 0 is the column's own
//! shapes = shapes varint, (leaves varint, path varint*)*       of ascending paths, after the first their differences
//! codes  = INTEGERS, integers | VARINTS, blob of varints       one per row: the number of its shape
//! frame  = blob of: tags' bytes varint, tags, texts       the leaves of path 0 row after row, then those of path 1, ...
//! tag    = NULL | FALSE | TRUE | LONG zigzag-varint | DECIMAL scale u8, zigzag-varint
//!          | TEXT bytes varint | JSON bytes varint
//! ```
//!
//! 1. The paths of a row's leaves are its *shape*. Few shapes occur, so a row costs a code, not its keys.
//! 2. The values of one path lie together: like compresses with like. Texts are stored without quotes and escapes.
//! 3. A row that is null has no leaf, neither here nor in a sub-column; every other row has one. So nulls are not told.
//! 4. A frame ends after at least 8,192 rows when it has 64 KiB of leaves, or with the row that passes 8 MiB. A block
//!    without leaves has no frames.
//! 5. Where it takes fewer bytes, a small residue is JSON text instead, in the encodings of text: repeated rows of many
//!    paths, few rows. Extents of version 1.0 have no others. There a row is null, or the text of its leaves, or `""`.

use std::collections::HashMap;

use arrow::array::{Array, StringViewArray, StringViewBuilder};
use arrow::buffer::BooleanBuffer;
use kyma_core::error::{Error, Result};
use kyma_core::types::Type;
use xxhash_rust::xxh3::Xxh3Builder;

use super::assemble::write_leaves;
use super::convert::Member;
use super::paths::{PathId, Paths};
use super::scan::{Kind, Leaf, Scanned, scan};
use crate::constants::residue::codes as layout;
use crate::constants::{encoding, residue as tag};
use crate::encoding::blob;
use crate::encoding::integers;
use crate::encoding::{Fetched, Packed, PackedFrame, Wanted};
use crate::limits::{BLOCK_TEXT_BYTES_MAX, FRAME_BYTES, FRAME_ROWS, TRACKED_PATHS_MAX};
use crate::wire::{Reader, Writer, corrupt, unzigzag, zigzag};

/// Up to this, every whole number is a real; a quotient of two such is the nearest real.
const DECIMAL_MAX: u64 = 1 << 53;
/// Codes of so few bytes are not compressed.
const CODES_SMALL_BYTES: usize = 64;
/// A frame is not cut before it has this many bytes of leaves.
const FRAME_BYTES_MIN: usize = 64 * 1024;
/// Residues with more bytes of leaves are not tried as text.
const TRIED_TEXT_BYTES: usize = 1 << 20;
/// The largest power of ten that is a real.
const DECIMAL_SCALE_MAX: u8 = 22;

/// Leaves that stay, row after row, in the texts that they came from.
#[derive(Debug, Default)]
pub(crate) struct Remains<'a> {
    /// The rows' texts; null where the row is null.
    pub(crate) rows: Vec<Option<&'a str>>,
    pub(crate) leaves: Vec<Leaf>,
    /// One past each row's last leaf.
    pub(crate) ends: Vec<usize>,
}

impl<'a> Remains<'a> {
    fn leaves_of(&self, row: usize) -> &[Leaf] {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        &self.leaves[start..self.ends[row]]
    }

    /// What remains of each row as JSON: null where the row is, `""` where nothing does.
    pub(crate) fn texts(&self, base: PathId, paths: &Paths) -> Result<StringViewArray> {
        let ranks = paths.ranks();
        let mut out = StringViewBuilder::with_capacity(self.rows.len());
        let (mut text, mut leaves) = (String::new(), Vec::new());
        for (row, whole) in self.rows.iter().enumerate() {
            text.clear();
            leaves.clear();
            leaves.extend(self.leaves_of(row).iter().map(|leaf| (leaf.path, self.text_of(row, leaf))));
            leaves.sort_by_key(|&(path, _)| ranks.rank(path));
            write_leaves(&leaves, base, paths, &mut text, |raw, out| {
                out.push_str(raw);
                Ok(())
            })?;
            out.append_option(whole.map(|_| text.as_str()));
        }
        Ok(out.finish())
    }

    fn text_of(&self, row: usize, leaf: &Leaf) -> &'a str {
        &self.rows[row].unwrap_or_default()[leaf.start as usize..leaf.end as usize]
    }
}

/// Encodes what remains of the rows of the column at `base`.
pub(crate) fn encode(remains: &Remains<'_>, base: PathId, paths: &Paths, level: i32) -> Result<Packed> {
    if remains.rows.iter().all(Option::is_none) {
        return Ok(Packed::default());
    }
    let packed = encode_leaves(remains, base, paths, level)?;
    let leaf_bytes: usize = remains.leaves.iter().map(|leaf| (leaf.end - leaf.start) as usize).sum();
    if remains.leaves.is_empty() || leaf_bytes > TRIED_TEXT_BYTES {
        return Ok(packed);
    }
    let texts = crate::encoding::encode(Type::Dynamic, &remains.texts(base, paths)?, level)?;
    Ok(if texts.bytes() < packed.bytes() { texts } else { packed })
}

fn encode_leaves(remains: &Remains<'_>, base: PathId, paths: &Paths, level: i32) -> Result<Packed> {
    let text_bytes: u64 = remains.rows.iter().flatten().map(|text| text.len() as u64).sum();
    if text_bytes > BLOCK_TEXT_BYTES_MAX {
        return Err(Error::exhausted("format.block_too_large", "a dynamic column of a block is too large")
            .hint(format!("at most {BLOCK_TEXT_BYTES_MAX} bytes")));
    }
    let keys = Keys::of(remains, base, paths);
    let mut shapes = Shapes::default();
    let mut codes = Vec::with_capacity(remains.rows.len());
    let mut frames = Vec::new();
    let mut frame = FrameWriter::new(keys.list.len());
    let mut leaves: Vec<(u32, &Leaf)> = Vec::new();
    for row in 0..remains.rows.len() {
        leaves.clear();
        leaves.extend(remains.leaves_of(row).iter().map(|leaf| (keys.local(leaf.path), leaf)));
        leaves.sort_unstable_by_key(|&(path, _)| path);
        codes.push(shapes.code(leaves.iter().map(|&(path, _)| path)));
        for &(path, leaf) in &leaves {
            frame.push(path, leaf.kind, remains.text_of(row, leaf));
        }
        frame.rows += 1;
        let is_last = row + 1 == remains.rows.len();
        let is_full = frame.rows >= FRAME_ROWS && frame.bytes >= FRAME_BYTES_MIN || frame.bytes >= FRAME_BYTES;
        if is_last || is_full {
            frames.push(frame.finish(level)?);
        }
    }
    if remains.leaves.is_empty() {
        frames.clear();
    }
    let mut out = Writer::default();
    out.varint(text_bytes);
    let mut described = Writer::default();
    keys.write(&mut described);
    shapes.write(&mut described);
    blob::encode(&described.bytes, level, &mut out)?;
    write_codes(&codes, level, &mut out)?;
    Ok(Packed { encoding: encoding::RESIDUE, head: out.bytes, frames })
}

fn write_codes(codes: &[i64], level: i32, out: &mut Writer) -> Result<()> {
    let (mut packed, mut varints, mut compressed) = (Writer::default(), Writer::default(), Writer::default());
    integers::encode(codes, &mut packed);
    if packed.bytes.len() <= CODES_SMALL_BYTES {
        out.u8(layout::INTEGERS);
        out.raw(&packed.bytes);
        return Ok(());
    }
    codes.iter().for_each(|&code| varints.varint(code as u64));
    blob::encode(&varints.bytes, level, &mut compressed)?;
    let is_packed = packed.bytes.len() <= compressed.bytes.len();
    out.u8(if is_packed { layout::INTEGERS } else { layout::VARINTS });
    out.raw(if is_packed { &packed.bytes } else { &compressed.bytes });
    Ok(())
}

fn read_codes(reader: &mut Reader<'_>, rows: usize) -> Result<Vec<u64>> {
    match reader.u8()? {
        layout::INTEGERS => {
            Ok(integers::decode(reader, rows, &Wanted::All)?.into_iter().map(|code| code as u64).collect())
        }
        layout::VARINTS => {
            let varints = blob::decode(reader)?;
            let mut varints = Reader::new(&varints);
            (0..rows).map(|_| varints.varint()).collect()
        }
        _ => Err(corrupt("unknown kind of shapes")),
    }
}

/// The paths that occur, numbered anew: parents before their members.
struct Keys<'a> {
    list: Vec<(u32, &'a str)>,
    /// By the extent's number.
    local: Vec<u32>,
}

impl<'a> Keys<'a> {
    fn of(remains: &Remains<'_>, base: PathId, paths: &'a Paths) -> Self {
        let mut is_used = vec![false; paths.len()];
        for leaf in &remains.leaves {
            let mut at = leaf.path;
            while at != base && !std::mem::replace(&mut is_used[at as usize], true) {
                at = paths.parent(at);
            }
        }
        let mut keys = Keys { list: Vec::new(), local: vec![0; paths.len()] };
        for id in (1..paths.len() as PathId).filter(|&id| is_used[id as usize]) {
            keys.list.push((keys.local(paths.parent(id)), paths.key(id)));
            keys.local[id as usize] = keys.list.len() as u32;
        }
        keys
    }

    fn local(&self, path: PathId) -> u32 {
        self.local.get(path as usize).copied().unwrap_or_default()
    }

    fn write(&self, out: &mut Writer) {
        out.length(self.list.len());
        for &(parent, key) in &self.list {
            out.varint(u64::from(parent));
            out.text(key);
        }
    }
}

/// Lists of paths that occur together, in order of first appearance.
#[derive(Default)]
struct Shapes {
    list: Vec<Vec<u32>>,
    codes: HashMap<Vec<u32>, i64, Xxh3Builder>,
    row: Vec<u32>,
    last: i64,
}

impl Shapes {
    fn code(&mut self, paths: impl Iterator<Item = u32>) -> i64 {
        self.row.clear();
        self.row.extend(paths);
        if self.list.get(self.last as usize) != Some(&self.row) {
            self.last = match self.codes.get(&self.row) {
                Some(&code) => code,
                None => {
                    self.list.push(self.row.clone());
                    let code = self.list.len() as i64 - 1;
                    self.codes.insert(self.row.clone(), code);
                    code
                }
            };
        }
        self.last
    }

    fn write(&self, out: &mut Writer) {
        out.length(self.list.len());
        for shape in &self.list {
            out.length(shape.len());
            let mut last = 0;
            for &path in shape {
                out.varint(u64::from(path - last));
                last = path;
            }
        }
    }
}

/// The leaves of a frame, apart by path.
struct FrameWriter {
    tags: Vec<Writer>,
    texts: Vec<Vec<u8>>,
    rows: usize,
    bytes: usize,
}

impl FrameWriter {
    fn new(keys: usize) -> Self {
        let tags = (0..=keys).map(|_| Writer::default()).collect();
        FrameWriter { tags, texts: vec![Vec::new(); keys + 1], rows: 0, bytes: 0 }
    }

    /// Appends a leaf; the scan has checked that `raw` is of this kind.
    fn push(&mut self, path: u32, kind: Kind, raw: &str) {
        self.bytes += raw.len() + 1;
        let (tags, texts) = (&mut self.tags[path as usize], &mut self.texts[path as usize]);
        let mut text = |tag: u8, text: &str| {
            tags.u8(tag);
            tags.length(text.len());
            texts.extend_from_slice(text.as_bytes());
        };
        match (kind, decimal(kind, raw)) {
            (Kind::Null, _) => tags.u8(tag::NULL),
            (Kind::Bool, _) => tags.u8(if raw == "true" { tag::TRUE } else { tag::FALSE }),
            (Kind::Text, _) => text(tag::TEXT, &kyma_core::dynamic::to_text(raw)),
            (Kind::Long, Some((0, digits))) => {
                tags.u8(tag::LONG);
                tags.varint(zigzag(digits));
            }
            (Kind::Real, Some((scale, digits))) => {
                tags.u8(tag::DECIMAL);
                tags.u8(scale);
                tags.varint(zigzag(digits));
            }
            _ => text(tag::JSON, raw),
        }
    }

    fn finish(&mut self, level: i32) -> Result<PackedFrame> {
        let (mut all, mut out) = (Writer::default(), Writer::default());
        all.length(self.tags.iter().map(|tags| tags.bytes.len()).sum());
        self.tags.iter().for_each(|tags| all.raw(&tags.bytes));
        self.texts.iter().for_each(|texts| all.raw(texts));
        blob::encode(&all.bytes, level, &mut out)?;
        let rows = self.rows as u32;
        self.tags.iter_mut().for_each(|tags| tags.bytes.clear());
        self.texts.iter_mut().for_each(Vec::clear);
        (self.rows, self.bytes) = (0, 0);
        Ok(PackedFrame { rows, bytes: out.bytes })
    }
}

/// Scale and digits of a number that come back as they were written.
fn decimal(kind: Kind, raw: &str) -> Option<(u8, i64)> {
    match kind {
        Kind::Long => Some((0, raw.parse().ok()?)),
        Kind::Real => {
            let (whole, fraction) = raw.split_once('.')?;
            let scale = u8::try_from(fraction.len()).ok().filter(|&scale| scale <= DECIMAL_SCALE_MAX)?;
            let (is_negative, whole) = whole.strip_prefix('-').map_or((false, whole), |whole| (true, whole));
            let mut digits = 0_i64;
            for digit in whole.bytes().chain(fraction.bytes()) {
                let digit = digit.checked_sub(b'0').filter(|&digit| digit < 10)?;
                digits = digits.checked_mul(10)?.checked_add(i64::from(digit))?;
            }
            let is_same = digits != 0 || !is_negative;
            let digits = if is_negative { -digits } else { digits };
            (is_same && digits.unsigned_abs() <= DECIMAL_MAX).then_some((scale, digits))
        }
        _ => None,
    }
}

/// A leaf that was read.
#[derive(Debug, Clone, Copy)]
enum Item {
    Null,
    Bool(bool),
    Long(i64),
    Real(f64),
    /// Buffer, first byte and one past the last.
    Text(u32, u32, u32),
    Json(u32, u32, u32),
}

/// The leaves of the wanted rows.
#[derive(Debug, Default)]
pub(crate) struct Rest {
    leaves: Vec<(PathId, Item)>,
    /// One past each row's last leaf, and whether the row is an empty text of an old extent.
    ends: Vec<(usize, bool)>,
    buffers: Vec<String>,
    /// What the rows' texts take together at most.
    pub(crate) text_bytes: u64,
}

impl Rest {
    /// How many rows were wanted.
    pub(crate) fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether no row has a leaf here.
    pub(crate) fn is_nothing(&self) -> bool {
        self.leaves.is_empty()
    }

    /// Whether the row is `""` if no sub-column has a leaf of it: broken JSON that an old extent kept as it was.
    pub(crate) fn is_blank(&self, row: usize) -> bool {
        self.ends.get(row).is_some_and(|&(_, is_blank)| is_blank)
    }

    /// The leaves of a row.
    pub(crate) fn leaves_of(&self, row: usize) -> impl Iterator<Item = (PathId, Member<'_>)> {
        let start = row.checked_sub(1).and_then(|before| self.ends.get(before)).map_or(0, |&(end, _)| end);
        let end = self.ends.get(row).map_or(start, |&(end, _)| end);
        let leaves = self.leaves.get(start..end).unwrap_or_default();
        leaves.iter().map(|&(path, item)| (path, self.member(item)))
    }

    fn member(&self, item: Item) -> Member<'_> {
        let text = |buffer: u32, start: u32, end: u32| {
            let buffer = self.buffers.get(buffer as usize).map(String::as_str).unwrap_or_default();
            buffer.get(start as usize..end as usize).unwrap_or_default()
        };
        match item {
            Item::Null => Member::json("null"),
            Item::Bool(truth) => Member::Bool(truth),
            Item::Long(long) => Member::Long(long),
            Item::Real(real) => Member::Real(real),
            Item::Text(buffer, start, end) => Member::Text(text(buffer, start, end)),
            Item::Json(buffer, start, end) => Member::json(text(buffer, start, end)),
        }
    }

    /// The leaves of residues that are JSON texts. What cannot be taken apart is one leaf.
    pub(crate) fn of_texts(texts: &StringViewArray, base: PathId, paths: &mut Paths) -> Result<Rest> {
        let mut rest = Rest { text_bytes: BLOCK_TEXT_BYTES_MAX, ..Rest::default() };
        let (mut leaves, mut objects) = (Vec::new(), Vec::new());
        let mut buffer = String::new();
        for row in 0..texts.len() {
            let text = if texts.is_valid(row) { texts.value(row) } else { "" };
            if buffer.len() + text.len() > u32::MAX as usize {
                rest.buffers.push(std::mem::take(&mut buffer));
            }
            let (at, start) = (rest.buffers.len() as u32, buffer.len() as u32);
            if !text.is_empty() {
                leaves.clear();
                objects.clear();
                if scan(text, base, paths, &mut leaves, &mut objects) != Scanned::Leaves {
                    leaves.clear();
                    leaves.push(Leaf { path: base, kind: Kind::Raw, start: 0, end: text.len() as u32 });
                }
                let json = |leaf: &Leaf| (leaf.path, Item::Json(at, start + leaf.start, start + leaf.end));
                rest.leaves.extend(leaves.iter().map(json));
                buffer.push_str(text);
            }
            rest.ends.push((rest.leaves.len(), texts.is_valid(row) && text.is_empty()));
        }
        rest.buffers.push(buffer);
        Ok(rest)
    }

    /// Reads the leaves of the rows that `selection` has set, of `rows`; their paths are numbered in `paths`.
    pub(crate) fn decode(
        fetched: &Fetched<'_>,
        rows: usize,
        selection: Option<&BooleanBuffer>,
        base: PathId,
        paths: &mut Paths,
    ) -> Result<Rest> {
        let is_wanted = |row: usize| selection.is_none_or(|bits| bits.value(row));
        if fetched.encoding == encoding::NULL {
            let wanted = (0..rows).filter(|&row| is_wanted(row));
            return Ok(Rest { ends: wanted.map(|_| (0, false)).collect(), ..Rest::default() });
        }
        let mut reader = Reader::new(fetched.head);
        let text_bytes = reader.varint()?;
        if text_bytes > BLOCK_TEXT_BYTES_MAX {
            return Err(corrupt("a block's texts pass their limit"));
        }
        let described = blob::decode(&mut reader)?;
        let mut described = Reader::new(&described);
        let keys = read_keys(&mut described, base, paths)?;
        let shapes = read_shapes(&mut described, keys.len())?;
        let mut row_shapes = Vec::with_capacity(rows);
        for code in read_codes(&mut reader, rows)? {
            let shape = usize::try_from(code).ok().and_then(|code| shapes.get(code));
            row_shapes.push(shape.ok_or_else(|| corrupt("a row has an unknown shape"))?.as_slice());
        }
        let mut rest = Rest { text_bytes, ..Rest::default() };
        let mut start = 0;
        for &(count, bytes) in &fetched.frames {
            let frame_rows = row_shapes.get(start..start + count as usize);
            let frame_rows = frame_rows.ok_or_else(|| corrupt("frames hold more rows than the block"))?;
            let wanted: Vec<bool> = (start..start + frame_rows.len()).map(is_wanted).collect();
            match bytes {
                Some(bytes) => rest.read_frame(bytes, frame_rows, &wanted, &keys)?,
                None if wanted.contains(&true) => return Err(corrupt("a frame with wanted rows is missing")),
                None => {}
            }
            start += frame_rows.len();
        }
        for row in (start..rows).filter(|&row| is_wanted(row)) {
            if row_shapes.get(row).is_none_or(|shape| !shape.is_empty()) {
                return Err(corrupt("leaves without a frame"));
            }
            rest.ends.push((rest.leaves.len(), false));
        }
        Ok(rest)
    }

    fn read_frame(&mut self, bytes: &[u8], rows: &[&[u32]], wanted: &[bool], keys: &[PathId]) -> Result<()> {
        let all = blob::decode(&mut Reader::new(bytes))?;
        let mut all = Reader::new(&all);
        let tag_bytes = all.length(all.remaining())?;
        let tags = all.raw(tag_bytes)?;
        let texts = String::from_utf8(all.raw(all.remaining())?.to_vec())
            .map_err(|error| corrupt("texts are not UTF-8").because(error))?;
        // Every leaf takes a byte: this bounds the memory below.
        let leaves: usize = rows.iter().map(|shape| shape.len()).sum();
        if leaves > tags.len() {
            return Err(corrupt("a frame holds fewer leaves than its rows"));
        }
        // Where each path's leaves go: the places of wanted rows among all leaves, none for others.
        let mut places: Vec<Vec<Option<usize>>> = vec![Vec::new(); keys.len()];
        let mut next = self.leaves.len();
        for (shape, &is_wanted) in rows.iter().zip(wanted) {
            for &path in *shape {
                places[path as usize].push(is_wanted.then_some(next));
                next += usize::from(is_wanted);
            }
            if is_wanted {
                self.ends.push((next, false));
            }
        }
        self.leaves.resize(next, (0, Item::Null));
        let mut tags = Reader::new(tags);
        let mut at = 0;
        for (&path, places) in keys.iter().zip(&places) {
            for place in places {
                let item = read_item(&mut tags, &texts, self.buffers.len() as u32, &mut at)?;
                if let Some(slot) = place.and_then(|place| self.leaves.get_mut(place)) {
                    *slot = (path, item);
                }
            }
        }
        if tags.remaining() > 0 || at != texts.len() {
            return Err(corrupt("a frame holds more than its rows"));
        }
        self.buffers.push(texts);
        Ok(())
    }
}

/// The paths of a residue, by their place in it.
fn read_keys(reader: &mut Reader<'_>, base: PathId, paths: &mut Paths) -> Result<Vec<PathId>> {
    let count = reader.length(TRACKED_PATHS_MAX)?;
    let mut keys = vec![base];
    for _ in 0..count {
        let parent = reader.length(keys.len() - 1)?;
        let key = reader.text()?;
        keys.push(paths.intern(keys[parent], key).ok_or_else(|| corrupt("there are too many key paths"))?);
    }
    Ok(keys)
}

fn read_shapes(reader: &mut Reader<'_>, keys: usize) -> Result<Vec<Vec<u32>>> {
    let count = reader.length(reader.remaining())?;
    let mut shapes = Vec::new();
    for _ in 0..count {
        let leaves = reader.length(reader.remaining())?;
        let (mut shape, mut last) = (Vec::new(), 0);
        for _ in 0..leaves {
            last += reader.length(keys - 1 - last)?;
            shape.push(last as u32);
        }
        shapes.push(shape);
    }
    Ok(shapes)
}

/// Reads one leaf; `at` is where its text starts, and moves past it.
fn read_item(tags: &mut Reader<'_>, texts: &str, buffer: u32, at: &mut usize) -> Result<Item> {
    let tag = tags.u8()?;
    let mut text = |tags: &mut Reader<'_>| {
        let start = *at;
        let end = start + tags.length(texts.len() - start)?;
        if !texts.is_char_boundary(end) {
            return Err(corrupt("a text ends inside a character"));
        }
        *at = end;
        Ok((start as u32, end as u32))
    };
    Ok(match tag {
        tag::NULL => Item::Null,
        tag::FALSE => Item::Bool(false),
        tag::TRUE => Item::Bool(true),
        tag::LONG => Item::Long(unzigzag(tags.varint()?)),
        tag::DECIMAL => {
            let scale = tags.u8()?;
            let digits = unzigzag(tags.varint()?);
            if scale > DECIMAL_SCALE_MAX || digits.unsigned_abs() > DECIMAL_MAX {
                return Err(corrupt("a decimal is out of bounds"));
            }
            // Both sides are exact, so that the quotient is the real that the text spells.
            Item::Real(digits as f64 / 10_f64.powi(i32::from(scale)))
        }
        tag::TEXT => text(tags).map(|(start, end)| Item::Text(buffer, start, end))?,
        tag::JSON => text(tags).map(|(start, end)| Item::Json(buffer, start, end))?,
        _ => return Err(corrupt("unknown kind of leaf")),
    })
}
