//! Parsed shapes, kept for the length of one call.

use std::collections::HashMap;
use std::rc::Rc;

use crate::limits::GEO_SHAPES_CACHED_MAX;

/// What a parser made of the texts seen so far; of most columns' texts there are few.
pub(super) struct Shapes<'a, T> {
    parse: fn(&str) -> Option<T>,
    known: HashMap<&'a str, Option<Rc<T>>>,
    /// The text asked for last, often asked for again: it is known by its address.
    last: Option<(&'a str, Option<Rc<T>>)>,
}

impl<'a, T> Shapes<'a, T> {
    pub(super) fn new(parse: fn(&str) -> Option<T>) -> Shapes<'a, T> {
        Shapes { parse, known: HashMap::new(), last: None }
    }

    pub(super) fn get(&mut self, text: &'a str) -> Option<Rc<T>> {
        if let Some((last, shape)) = &self.last
            && std::ptr::eq(*last, text)
        {
            return shape.clone();
        }
        if self.known.len() >= GEO_SHAPES_CACHED_MAX {
            self.known.clear();
        }
        let parse = self.parse;
        let shape = self.known.entry(text).or_insert_with(|| parse(text).map(Rc::new)).clone();
        self.last = Some((text, shape.clone()));
        shape
    }
}
