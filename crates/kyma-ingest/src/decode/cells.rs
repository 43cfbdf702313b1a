//! The values of a chunk, by column, as places in its text.

use std::collections::HashMap;

use bytes::Bytes;
use kyma_core::ids::NAME_BYTES_MAX;
use kyma_core::schema::UNMAPPED_COLUMN;
use xxhash_rust::xxh3::Xxh3DefaultBuilder;

use super::Rejected;
use crate::settings::CHUNK_COLUMNS_MAX;

/// What a value looks like before it has a type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Shape {
    /// `true`
    True = 1,
    /// `false`
    False = 2,
    /// A JSON number without point and exponent that fits 64 bits.
    Integer = 4,
    /// Any other JSON number.
    Real = 8,
    /// An integer that does not fit 64 bits.
    BigInteger = 16,
    /// The content of a JSON string without escapes.
    String = 32,
    /// A JSON array or object.
    Nested = 64,
    /// A CSV field, whose type is a guess.
    Field = 128,
}

/// The shapes that occur in a column.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Shapes(u8);

impl Shapes {
    pub(crate) fn add(&mut self, shape: Shape) {
        self.0 |= shape as u8;
    }

    pub(crate) fn has(self, shape: Shape) -> bool {
        self.0 & shape as u8 != 0
    }

    /// Whether something occurs, and nothing but `shapes`.
    pub(crate) fn only(self, shapes: &[Shape]) -> bool {
        let allowed = shapes.iter().fold(0, |mask, shape| mask | *shape as u8);
        self.0 != 0 && self.0 & !allowed == 0
    }
}

/// One value: a place in the chunk's text, or in its arena when `in_arena`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Cell {
    pub(crate) row: u32,
    start: u32,
    length: u32,
    pub(crate) shape: Shape,
    in_arena: bool,
}

/// A value that belongs to no column.
#[derive(Debug, Clone)]
pub(crate) struct Extra {
    pub(crate) name: String,
    pub(crate) cell: Cell,
}

/// The cells of one key.
#[derive(Debug, Default)]
pub(crate) struct CellColumn {
    pub(crate) name: String,
    pub(crate) cells: Vec<Cell>,
    pub(crate) shapes: Shapes,
}

/// The values of some rows.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    text: Bytes,
    arena: String,
    pub(crate) columns: Vec<CellColumn>,
    pub(crate) extras: Vec<Extra>,
    pub(crate) rows: u32,
    pub(crate) rejected: Vec<Rejected>,
    places: HashMap<String, u32, Xxh3DefaultBuilder>,
    /// Which column came at which position of the row before: keys mostly come in the same order.
    order: Vec<u32>,
    /// Columns that have a cell of the row being decoded.
    touched: Vec<u32>,
    arena_mark: usize,
    extras_mark: usize,
}

/// The text of a chunk, checked once.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Text<'a> {
    text: &'a str,
    arena: &'a str,
}

impl<'a> Text<'a> {
    /// No text.
    pub(crate) const EMPTY: Text<'static> = Text { text: "", arena: "" };

    /// The text of a cell: a string's content, a number's digits, a nested value's JSON.
    pub(crate) fn of(self, cell: &Cell) -> &'a str {
        let from = if cell.in_arena { self.arena } else { self.text };
        let (start, end) = (cell.start as usize, cell.start as usize + cell.length as usize);
        from.get(start..end).unwrap_or_default()
    }
}

/// Where the value of a cell is.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Place<'a> {
    /// At this offset of the chunk's text, with this length.
    Chunk(usize, usize),
    /// Not in the text: to be copied.
    Copy(&'a str),
}

impl Cells {
    /// No rows yet, of a text that is UTF-8.
    pub(crate) fn new(text: Bytes) -> Self {
        debug_assert!(text.len() <= u32::MAX as usize);
        Cells { text, ..Cells::default() }
    }

    /// The text that cells point into. Checks the UTF-8 once.
    pub(crate) fn text(&self) -> Text<'_> {
        Text { text: std::str::from_utf8(&self.text).unwrap_or_default(), arena: &self.arena }
    }

    /// Starts a row.
    pub(crate) fn begin(&mut self) {
        self.touched.clear();
        self.arena_mark = self.arena.len();
        self.extras_mark = self.extras.len();
    }

    /// Keeps the row begun last.
    pub(crate) fn keep(&mut self) {
        self.rows += 1;
    }

    /// Takes back every cell of the row begun last.
    pub(crate) fn take_back(&mut self) {
        for &column in &self.touched {
            self.columns[column as usize].cells.pop();
        }
        self.arena.truncate(self.arena_mark);
        self.extras.truncate(self.extras_mark);
    }

    /// Adds the value of `key`, which came at `position` of its row.
    pub(crate) fn add(&mut self, position: usize, key: &str, shape: Shape, place: Place<'_>) {
        let cell = self.cell(shape, place);
        let Some(column) = self.column(position, key) else {
            self.extras.push(Extra { name: key.to_owned(), cell });
            return;
        };
        let target = &mut self.columns[column as usize];
        if target.cells.last().is_some_and(|last| last.row == self.rows) {
            self.extras.push(Extra { name: key.to_owned(), cell });
            return;
        }
        target.cells.push(cell);
        target.shapes.add(shape);
        self.touched.push(column);
    }

    /// Makes room at the end of the arena and gives it for writing.
    pub(crate) fn arena(&mut self) -> &mut String {
        &mut self.arena
    }

    /// Adds a value that was written to the arena from `start` on.
    pub(crate) fn add_from_arena(&mut self, position: usize, key: &str, shape: Shape, start: usize) {
        let length = self.arena.len() - start;
        let cell = Cell { row: self.rows, start: start as u32, length: length as u32, shape, in_arena: true };
        let column = self.column(position, key);
        let free = column
            .filter(|&column| self.columns[column as usize].cells.last().is_none_or(|last| last.row != self.rows));
        match free {
            Some(column) => {
                let target = &mut self.columns[column as usize];
                target.cells.push(cell);
                target.shapes.add(shape);
                self.touched.push(column);
            }
            None => self.extras.push(Extra { name: key.to_owned(), cell }),
        }
    }

    fn cell(&mut self, shape: Shape, place: Place<'_>) -> Cell {
        match place {
            Place::Chunk(start, length) => {
                Cell { row: self.rows, start: start as u32, length: length as u32, shape, in_arena: false }
            }
            Place::Copy(text) => {
                let start = self.arena.len();
                self.arena.push_str(text);
                Cell { row: self.rows, start: start as u32, length: text.len() as u32, shape, in_arena: true }
            }
        }
    }

    /// The column of `key`; `None` when it can have none.
    fn column(&mut self, position: usize, key: &str) -> Option<u32> {
        let expected = self.order.get(position).copied();
        if let Some(column) = expected
            && self.columns.get(column as usize).is_some_and(|column| column.name == key)
        {
            return Some(column);
        }
        let column = match self.places.get(key) {
            Some(&column) => column,
            None => self.new_column(key)?,
        };
        if self.order.len() <= position && position < CHUNK_COLUMNS_MAX {
            self.order.resize(position + 1, u32::MAX);
        }
        if let Some(slot) = self.order.get_mut(position) {
            *slot = column;
        }
        Some(column)
    }

    fn new_column(&mut self, key: &str) -> Option<u32> {
        if self.columns.len() >= CHUNK_COLUMNS_MAX || !is_column_name(key) {
            return None;
        }
        let column = self.columns.len() as u32;
        self.columns.push(CellColumn { name: key.to_owned(), ..CellColumn::default() });
        self.places.insert(key.to_owned(), column);
        Some(column)
    }
}

/// Whether a key can name a column. Others, and the bag's own name, live in the bag.
fn is_column_name(key: &str) -> bool {
    !key.is_empty() && key.len() <= NAME_BYTES_MAX && !key.chars().any(char::is_control) && key != UNMAPPED_COLUMN
}
