//! Log lines as templates and variables: `TEMPLATE`.
//!
//! A block's lines become codes (which template each line has) and, in frames of at most 4,096 rows, the values of each
//! template's variables. A read of few rows fetches the codes and the frames that hold them; a predicate that the static
//! texts decide needs the codes alone, or nothing where no template of the block can match.
//!
//! ```text
//! head  = codes                           place of each line's template in the block's list, which the footer has
//! frame = bytes of its lines varint, heap blob, ids, (bytes varint, slot)*, pool
//! ids   = count varint, lengths integers, blob
//! pool  = [tags codes, first varint, lengths codes]     when some template pools its values
//! ```
//!
//! 1. `token` cuts lines into words, `learn` says which of them vary.
//! 2. The line without its variables is the template; `dictionary` numbers it for the whole extent.
//! 3. Per frame and template, each variable's values are a column of their own (`slot`), in the order of the block's list
//!    of templates. Templates of at most three lines in the frame, or of more than 32 variables (lists, whose members recur
//!    in other lists), pool their values instead: per value a tag, 0 for a text in the heap and else one more than the base
//!    column that says the same.
//! 4. `matching` asks a template whether any line of it can meet a condition.
//!
//! A line that is too long, has too many variables, or comes when the dictionary is full is the template that is one
//! variable: nothing is refused, nothing is lost.

mod codes;
pub(crate) mod dictionary;
mod learn;
pub(crate) mod matching;
pub(crate) mod slot;
mod token;

use std::collections::HashMap;

use arrow::buffer::BooleanBuffer;
use kyma_core::error::{Error, Result};
use xxhash_rust::xxh3::{Xxh3Builder, xxh3_64};

use super::column::{Packed, PackedFrame};
use super::text::FrameBytes;
use super::views::{Content, Views};
use super::wanted::Wanted;
use crate::constants::slot::{COLUMNS_MAX, POOLED_LINES_MAX};
use crate::encoding::blob;
use crate::limits::{FRAME_BYTES_MAX, TEMPLATE_HOLES_MAX, TEMPLATE_LINE_BYTES_MAX};
use crate::wire::{Reader, Writer, corrupt};
use dictionary::{Dictionary, HOLE, Template};
use learn::{SAMPLE_LINES, Shape};
use slot::{Base, Bases, FrameParts, Shared, Slot};
use token::{Token, tokens};

/// Lines looked at before a column is taken for log lines.
const TRIED_LINES: usize = 128;
/// Words that lines have on average, at least.
const WORDS_MIN: usize = 3;
/// Lines of one frame.
const LINES_MAX: usize = 4_096;
/// A frame ends after the line that reaches so many bytes.
const LINE_BYTES: usize = 2 * 1024 * 1024;
/// Templates that a shape may get in one block beyond those sampled, by lines: more says that the sample missed what varies.
const LINES_PER_NEW_TEMPLATE: usize = 16;
/// New templates that a shape gets in any case.
const NEW_TEMPLATES_MIN: usize = 64;

/// Whether the texts of so many rows look like lines that templates are worth trying on.
pub(crate) fn is_worth_trying<'v>(rows: usize, text: impl Fn(usize) -> Option<&'v [u8]>) -> bool {
    let step = rows.div_ceil(TRIED_LINES).max(1);
    let mut words = Vec::new();
    let mut lines = 0;
    for value in (0..rows).step_by(step).filter_map(text) {
        tokens(&value[..value.len().min(TEMPLATE_LINE_BYTES_MAX)], &mut words);
        lines += 1;
    }
    lines > 0 && words.len() >= lines * WORDS_MIN
}

/// The templates of a column, and what was learned of its lines so far.
#[derive(Debug)]
pub(crate) struct Learner {
    pub(crate) dictionary: Dictionary,
    shapes: HashMap<u64, Learned, Xxh3Builder>,
}

#[derive(Debug)]
struct Learned {
    shape: Shape,
    /// Templates that lines of this shape may still add.
    room: usize,
}

/// A block of lines as bytes.
#[derive(Debug)]
pub(crate) struct PackedLines {
    pub(crate) packed: Packed,
    /// Places of the bases that the slots name, in the order of their numbers.
    pub(crate) bases: Vec<usize>,
    /// The block's templates with their lines, by code.
    pub(crate) templates: Vec<(u32, u32)>,
}

/// The lines of a block taken apart.
struct Lines<'v> {
    /// Template of each line.
    templates: Vec<u32>,
    /// The variables of all lines, and where those of each line end.
    variables: Vec<&'v [u8]>,
    ends: Vec<usize>,
}

impl<'v> Lines<'v> {
    fn variables(&self, line: usize) -> &[&'v [u8]] {
        let start = line.checked_sub(1).map_or(0, |before| self.ends[before]);
        &self.variables[start..self.ends[line]]
    }
}

impl Learner {
    pub(crate) fn new() -> Self {
        Learner { dictionary: Dictionary::default(), shapes: HashMap::default() }
    }

    /// Encodes `values`; `valid` marks the rows that they belong to, `out` holds the head so far.
    pub(crate) fn encode(
        &mut self,
        values: &[&[u8]],
        valid: Option<&BooleanBuffer>,
        bases: &[Base],
        level: i32,
        mut out: Writer,
    ) -> Result<PackedLines> {
        let lines = self.take_apart(values)?;
        let mut counts: HashMap<u32, u32, Xxh3Builder> = HashMap::default();
        lines.templates.iter().for_each(|&template| *counts.entry(template).or_default() += 1);
        let mut templates: Vec<(u32, u32)> = counts.into_iter().collect();
        templates.sort_unstable_by_key(|&(template, lines)| (std::cmp::Reverse(lines), template));
        let code_of: HashMap<u32, u32, Xxh3Builder> =
            templates.iter().enumerate().map(|(code, &(template, _))| (template, code as u32)).collect();
        let codes: Vec<u32> = lines.templates.iter().map(|template| code_of[template]).collect();
        codes::encode(&codes, level, &mut out)?;

        let mut bases = Bases::new(bases);
        let mut frames = Vec::new();
        let rows = valid.map_or(values.len(), BooleanBuffer::len);
        let (mut line, mut first_line, mut first_row, mut bytes) = (0, 0, 0, 0);
        let mut row_of = Vec::with_capacity(values.len());
        for row in 0..rows {
            if valid.is_none_or(|valid| valid.value(row)) {
                let value = values.get(line).ok_or_else(|| Error::internal("fewer values than valid rows"))?;
                row_of.push(row as u32);
                bytes += value.len();
                line += 1;
            }
            if row + 1 - first_row == LINES_MAX || bytes >= LINE_BYTES || row + 1 == rows {
                let frame = FrameLines { lines: &lines, codes: &codes, row_of: &row_of, templates: templates.len() };
                let bytes_of_frame = frame.encode(first_line, line, bytes, &mut bases, level)?;
                frames.push(PackedFrame { rows: (row + 1 - first_row) as u32, bytes: bytes_of_frame });
                (first_line, first_row, bytes) = (line, row + 1, 0);
            }
        }
        let packed = Packed { encoding: crate::constants::encoding::TEMPLATE, head: out.bytes, frames };
        Ok(PackedLines { packed, bases: bases.used, templates })
    }

    fn take_apart<'v>(&mut self, values: &[&'v [u8]]) -> Result<Lines<'v>> {
        let mut words = Vec::new();
        let mut word_ends = Vec::with_capacity(values.len());
        let mut shape_of = Vec::with_capacity(values.len());
        let mut new: HashMap<u64, Vec<usize>, Xxh3Builder> = HashMap::default();
        let mut shape = Vec::new();
        for (line, value) in values.iter().enumerate() {
            let first = words.len();
            shape.clear();
            if value.len() <= TEMPLATE_LINE_BYTES_MAX {
                tokens(value, &mut words);
                write_shape(value, &words[first..], &mut shape);
            }
            let hash = xxh3_64(&shape);
            if !self.shapes.contains_key(&hash) {
                new.entry(hash).or_default().push(line);
            }
            shape_of.push(hash);
            word_ends.push(words.len());
        }
        let words_of = |line: usize| {
            let start = line.checked_sub(1).map_or(0, |before| word_ends[before]);
            &words[start..word_ends[line]]
        };
        for (hash, lines) in new {
            let step = lines.len().div_ceil(SAMPLE_LINES).max(1);
            let sample = lines.iter().step_by(step);
            let sample: Vec<Vec<&[u8]>> = sample.map(|&line| steady_words(values[line], words_of(line))).collect();
            let room = NEW_TEMPLATES_MIN + lines.len() / LINES_PER_NEW_TEMPLATE;
            self.shapes.insert(hash, Learned { shape: Shape::learn(&sample), room });
        }

        let mut taken = Lines { templates: Vec::with_capacity(values.len()), variables: Vec::new(), ends: Vec::new() };
        let mut text = Vec::new();
        for (line, value) in values.iter().enumerate() {
            let first = taken.variables.len();
            let learned =
                self.shapes.get_mut(&shape_of[line]).ok_or_else(|| Error::internal("a shape was not learned"))?;
            let template = match value.len() <= TEMPLATE_LINE_BYTES_MAX {
                true => learned.template(value, words_of(line), &mut self.dictionary, &mut text, &mut taken.variables),
                false => None,
            };
            let template = match template {
                Some(template) => template,
                None => {
                    taken.variables.truncate(first);
                    taken.variables.push(value);
                    self.dictionary.intern_always(&[HOLE])
                }
            };
            if let Some(known) = self.dictionary.get_mut(template) {
                for (hole, variable) in known.holes.iter_mut().zip(&taken.variables[first..]) {
                    hole.add(variable);
                }
            }
            taken.templates.push(template);
            taken.ends.push(taken.variables.len());
        }
        Ok(taken)
    }
}

/// What lines must share to be of one shape: everything between words, and which words have digits.
fn write_shape(line: &[u8], words: &[Token], shape: &mut Vec<u8>) {
    let mut at = 0;
    for word in words {
        shape.extend_from_slice(line.get(at..word.start as usize).unwrap_or_default());
        shape.push(if word.is_variable { HOLE } else { HOLE - 1 });
        at = word.end as usize;
    }
    shape.extend_from_slice(line.get(at..).unwrap_or_default());
}

/// The words without digits.
fn steady_words<'v>(line: &'v [u8], words: &[Token]) -> Vec<&'v [u8]> {
    words.iter().filter(|word| !word.is_variable).map(|word| word.of(line)).collect()
}

impl Learned {
    /// The template of `line`, whose variables are appended; `None` when it cannot have one of its own.
    fn template<'v>(
        &mut self,
        line: &'v [u8],
        words: &[Token],
        dictionary: &mut Dictionary,
        text: &mut Vec<u8>,
        variables: &mut Vec<&'v [u8]>,
    ) -> Option<u32> {
        let is_plain = matches!(&self.shape, Shape::Varying(places) if places.is_empty());
        let steady = if is_plain { Vec::new() } else { steady_words(line, words) };
        let varying = self.shape.varying(&steady);
        let first = variables.len();
        cut(line, words, |place| varying.binary_search(&place).is_ok(), text, variables);
        if variables.len() - first > TEMPLATE_HOLES_MAX {
            return None;
        }
        if let Some(known) = dictionary.find(text) {
            return Some(known);
        }
        if self.room > 0 {
            self.room -= 1;
            return dictionary.intern(text);
        }
        variables.truncate(first);
        cut(line, words, |_| true, text, variables);
        if variables.len() - first > TEMPLATE_HOLES_MAX { None } else { dictionary.intern(text) }
    }
}

/// Puts the line's static text with holes into `text` and appends its variables.
fn cut<'v>(
    line: &'v [u8],
    words: &[Token],
    varies: impl Fn(u32) -> bool,
    text: &mut Vec<u8>,
    variables: &mut Vec<&'v [u8]>,
) {
    text.clear();
    let (mut at, mut steady) = (0, 0);
    for word in words {
        if !word.is_variable {
            steady += 1;
            if !varies(steady - 1) {
                continue;
            }
        }
        text.extend_from_slice(&line[at..word.start as usize]);
        text.push(HOLE);
        variables.push(word.of(line));
        at = word.end as usize;
    }
    text.extend_from_slice(&line[at..]);
}

/// Whether a template's values in a frame are pooled.
fn is_pooled(lines: usize, holes: usize) -> bool {
    lines <= POOLED_LINES_MAX || holes > COLUMNS_MAX
}

/// The lines of one frame on their way to bytes.
struct FrameLines<'l, 'v> {
    lines: &'l Lines<'v>,
    codes: &'l [u32],
    row_of: &'l [u32],
    templates: usize,
}

impl FrameLines<'_, '_> {
    fn encode(&self, from: usize, to: usize, text_bytes: usize, bases: &mut Bases<'_>, level: i32) -> Result<Vec<u8>> {
        let mut by_template: Vec<Vec<u32>> = vec![Vec::new(); self.templates];
        (from..to).for_each(|line| by_template[self.codes[line] as usize].push(line as u32));
        let mut shared = Shared::new(bases, level);
        let mut slots = Writer::default();
        let (mut tags, mut texts) = (Vec::new(), Vec::new());
        for lines in by_template.iter().filter(|lines| !lines.is_empty()) {
            let holes = self.lines.variables(lines[0] as usize).len();
            if is_pooled(lines.len(), holes) {
                for &line in lines {
                    for &variable in self.lines.variables(line as usize) {
                        let same = shared.same(variable, self.row_of[line as usize] as usize);
                        tags.push(same.map_or(0, |base| base as u32 + 1));
                        if same.is_none() {
                            texts.push(variable);
                        }
                    }
                }
                continue;
            }
            let rows: Vec<u32> = lines.iter().map(|&line| self.row_of[line as usize]).collect();
            for hole in 0..holes {
                let values: Vec<&[u8]> = lines.iter().map(|&line| self.lines.variables(line as usize)[hole]).collect();
                let slot = shared.encode(&values, &rows)?;
                slots.length(slot.len());
                slots.raw(&slot);
            }
        }
        if !tags.is_empty() {
            codes::encode(&tags, level, &mut slots)?;
            slots.length(shared.heap.len());
            let lengths: Vec<u32> = texts.iter().map(|text| text.len() as u32).collect();
            codes::encode(&lengths, level, &mut slots)?;
            texts.iter().for_each(|text| shared.heap.extend_from_slice(text));
        }
        let mut frame = Writer::default();
        frame.length(text_bytes);
        blob::encode(&shared.heap, level, &mut frame)?;
        shared.write_ids(&mut frame)?;
        frame.raw(&slots.bytes);
        Ok(frame.bytes)
    }
}

/// What a column of templates needs beside its bytes.
#[derive(Debug)]
pub(crate) struct Context<'a> {
    /// The extent's templates of this column.
    pub(crate) dictionary: &'a Dictionary,
    /// The block's templates with their lines, by code.
    pub(crate) templates: &'a [(u32, u32)],
    /// The base columns, row by row of what is read.
    pub(crate) bases: &'a [Base],
}

/// Reads the codes of `count` lines.
pub(crate) fn decode_codes(reader: &mut Reader<'_>, count: usize) -> Result<Vec<u32>> {
    codes::decode(reader, count)
}

/// Reads the wanted lines. `row_of` gives, for each wanted line, the row of the bases.
pub(crate) fn decode(
    reader: &mut Reader<'_>,
    frames: &[FrameBytes<'_>],
    count: usize,
    wanted: &Wanted,
    row_of: impl Fn(usize) -> usize,
    context: &Context<'_>,
) -> Result<Views> {
    let codes = codes::decode(reader, count)?;
    let templates: Vec<&Template> = context
        .templates
        .iter()
        .map(|&(template, _)| context.dictionary.get(template).ok_or_else(|| corrupt("a template is out of range")))
        .collect::<Result<_>>()?;
    if codes.iter().any(|&code| code as usize >= templates.len()) {
        return Err(corrupt("a line's template is out of range"));
    }
    let mut views = Views::new(Content::Text, wanted.count(count));
    let (mut start, mut read) = (0, 0);
    for &(lines, bytes) in frames {
        let end = start + lines;
        let codes = codes.get(start..end).ok_or_else(|| corrupt("frames hold more values than rows"))?;
        if let Some(bytes) = bytes {
            let wanted = wanted.within(start, end);
            let frame = Frame { templates: &templates, codes, context };
            let first = read;
            let (text, lengths) = frame.decode(bytes, wanted.as_deref(), |nth| row_of(first + nth))?;
            read += lengths.len();
            views.append(text, lengths.into_iter().map(Ok), None)?;
        }
        start = end;
    }
    if start != count || views.len() != wanted.count(count) {
        return Err(corrupt("frames do not hold the wanted rows"));
    }
    Ok(views)
}

/// One frame on its way from bytes.
struct Frame<'a> {
    templates: &'a [&'a Template],
    codes: &'a [u32],
    context: &'a Context<'a>,
}

/// Where the values of a template are.
enum Values<'b> {
    /// No wanted line has this template, or it has no variables.
    Unread,
    /// A slot per variable.
    Slots(Vec<Slot<'b>>),
    /// In the pool, from this place on.
    Pooled(usize),
}

impl Frame<'_> {
    fn decode(
        &self,
        bytes: &[u8],
        wanted: Option<&[u32]>,
        row_of: impl Fn(usize) -> usize,
    ) -> Result<(Vec<u8>, Vec<usize>)> {
        let mut lines_of = vec![0_usize; self.templates.len()];
        self.codes.iter().for_each(|&code| lines_of[code as usize] += 1);
        let mut is_wanted = vec![wanted.is_none(); self.templates.len()];
        for &line in wanted.unwrap_or_default() {
            let code = self.codes.get(line as usize).ok_or_else(|| corrupt("a wanted row lies past the frame"))?;
            is_wanted[*code as usize] = true;
        }
        let mut reader = Reader::new(bytes);
        let text_bytes = reader.length(FRAME_BYTES_MAX)?;
        let parts = FrameParts::read(&mut reader, self.codes.len(), self.context.bases)?;
        let mut values = Vec::with_capacity(self.templates.len());
        let (mut pooled, mut is_pool_wanted) = (0, false);
        for (code, template) in self.templates.iter().enumerate() {
            let lines = lines_of[code];
            values.push(match lines {
                0 => Values::Unread,
                _ if is_pooled(lines, template.holes.len()) => {
                    pooled += lines * template.holes.len();
                    is_pool_wanted |= is_wanted[code];
                    Values::Pooled(pooled - lines * template.holes.len())
                }
                _ => {
                    let mut slots = Vec::new();
                    for _ in &template.holes {
                        let length = reader.length(reader.remaining())?;
                        let slot = reader.raw(length)?;
                        if is_wanted[code] {
                            slots.push(Slot::read(&mut Reader::new(slot), lines, &parts)?);
                        }
                    }
                    if is_wanted[code] { Values::Slots(slots) } else { Values::Unread }
                }
            });
        }
        let pool = if is_pool_wanted && pooled > 0 { Some(Pool::read(&mut reader, pooled, &parts)?) } else { None };
        let segments = self.templates.iter().zip(&is_wanted);
        let segments: Vec<Vec<&[u8]>> = segments
            .map(|(template, is_wanted)| if *is_wanted { template.segments().collect() } else { Vec::new() })
            .collect();

        let count = wanted.map_or(self.codes.len(), <[u32]>::len);
        let mut text = Vec::with_capacity(if wanted.is_none() { text_bytes } else { 0 });
        let mut lengths = Vec::with_capacity(count);
        let mut seen = vec![0_usize; self.templates.len()];
        let mut next_wanted = wanted.unwrap_or_default().iter().copied().peekable();
        for (line, &code) in self.codes.iter().enumerate() {
            let code = code as usize;
            let nth = seen[code];
            seen[code] += 1;
            if wanted.is_some() && next_wanted.next_if_eq(&(line as u32)).is_none() {
                continue;
            }
            let (start, row) = (text.len(), row_of(lengths.len()));
            let mut segments = segments[code].iter();
            text.extend_from_slice(segments.next().copied().unwrap_or_default());
            for (hole, segment) in segments.enumerate() {
                match &values[code] {
                    Values::Slots(slots) => {
                        let slot = slots.get(hole).ok_or_else(|| corrupt("a slot is missing"))?;
                        slot.write(nth, row, &parts, &mut text)?;
                    }
                    Values::Pooled(first) => {
                        let pool = pool.as_ref().ok_or_else(|| corrupt("the pool is missing"))?;
                        pool.write(first + nth * self.templates[code].holes.len() + hole, row, &parts, &mut text)?;
                    }
                    Values::Unread => return Err(corrupt("a template's values were not read")),
                }
                text.extend_from_slice(segment);
            }
            if text.len() > FRAME_BYTES_MAX {
                return Err(corrupt("a frame's lines are too long"));
            }
            lengths.push(text.len() - start);
        }
        if wanted.is_none() && text.len() != text_bytes {
            return Err(corrupt("a frame's lines have the wrong length"));
        }
        Ok((text, lengths))
    }
}

/// The values of templates that have few lines in the frame.
struct Pool {
    first: usize,
    ends: Vec<usize>,
    /// Per value: the base that says the same, or its place among the texts.
    places: Vec<Result<usize, usize>>,
}

impl Pool {
    fn read(reader: &mut Reader<'_>, count: usize, parts: &FrameParts<'_>) -> Result<Self> {
        let tags = codes::decode(reader, count)?;
        let mut texts = 0;
        let mut place = |tag: u32| match tag {
            0 => {
                texts += 1;
                Ok(texts - 1)
            }
            base => Err(base as usize - 1),
        };
        let places: Vec<Result<usize, usize>> = tags.into_iter().map(&mut place).collect();
        let first = reader.length(parts.heap_length())?;
        let lengths = codes::decode(reader, texts)?;
        let ends = slot::ends(lengths.into_iter().map(i64::from), first, parts.heap_length())?;
        Ok(Pool { first, ends, places })
    }

    fn write(&self, at: usize, row: usize, parts: &FrameParts<'_>, out: &mut Vec<u8>) -> Result<()> {
        match self.places.get(at).ok_or_else(|| corrupt("the pool has too few values"))? {
            Ok(place) => {
                let text = slot::heap_value(parts.heap()?, self.first, &self.ends, *place);
                out.extend_from_slice(text.ok_or_else(|| corrupt("the pool has too few texts"))?);
                Ok(())
            }
            Err(base) => Slot::Same(*base).write(0, row, parts, out),
        }
    }
}

#[cfg(test)]
mod tests;
