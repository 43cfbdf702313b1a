//! Decides which words of lines are static and which vary.
//!
//! Words with digits always vary. Whether another word does is learned per *shape*: lines that agree in everything but
//! the spelling of their words.
//!
//! 1. Lines of a shape that was not seen before are sampled.
//! 2. Few distinct lines beside their number: every word is static.
//! 3. Else the word with the fewest spellings splits the sample, when these are few; each part is looked at again. This keeps
//!    statements apart that share a shape ("cache hit", "cache miss").
//! 4. Else every word with more than one spelling varies.
//!
//! Source: the splitting by the position with the fewest values is that of IPLoM (Makanju et al., KDD 2009).

use std::collections::{HashMap, HashSet};

use xxhash_rust::xxh3::Xxh3Builder;

/// Lines of a new shape that are looked at.
pub(crate) const SAMPLE_LINES: usize = 512;
/// Up to this many distinct lines are all templates.
const DISTINCT_STATIC: usize = 8;
/// More distinct lines are templates while each stands for this many.
const LINES_PER_TEMPLATE: usize = 16;
/// A word with more spellings never splits.
const SPLIT_MAX: usize = 32;
/// Lines that each part of a split must have on average.
const LINES_PER_PART: usize = 8;
/// Splits above one another.
const DEPTH_MAX: usize = 12;

/// What was learned of a shape: which words vary, by their place among the words without digits.
#[derive(Debug)]
pub(crate) enum Shape {
    /// The places that vary, ascending.
    Varying(Vec<u32>),
    /// Depends on the word at a place.
    Split {
        /// The place.
        word: u32,
        /// By spelling.
        parts: Box<Parts>,
        /// The places that vary in lines with any other spelling.
        rest: Vec<u32>,
    },
}

/// Shapes by the spelling of a word.
type Parts = HashMap<Box<[u8]>, Shape, Xxh3Builder>;

impl Shape {
    /// Learns from sampled lines, each the list of its words without digits.
    pub(crate) fn learn(lines: &[Vec<&[u8]>]) -> Self {
        let lines: Vec<&[&[u8]]> = lines.iter().map(Vec::as_slice).collect();
        learn(&lines, 0)
    }

    /// The places that vary in a line with these words.
    pub(crate) fn varying(&self, words: &[&[u8]]) -> &[u32] {
        match self {
            Shape::Varying(places) => places,
            Shape::Split { word, parts, rest } => match words.get(*word as usize).and_then(|word| parts.get(*word)) {
                Some(part) => part.varying(words),
                None => rest,
            },
        }
    }
}

fn learn(lines: &[&[&[u8]]], depth: usize) -> Shape {
    let words = lines.first().map_or(0, |line| line.len());
    let distinct_lines: HashSet<&[&[u8]], Xxh3Builder> = lines.iter().copied().collect();
    let few = DISTINCT_STATIC.max(lines.len() / LINES_PER_TEMPLATE);
    if distinct_lines.len() <= few {
        return Shape::Varying(Vec::new());
    }
    let mut spellings = Vec::with_capacity(words);
    for word in 0..words {
        let distinct: HashSet<&[u8], Xxh3Builder> =
            distinct_lines.iter().filter_map(|line| line.get(word).copied()).collect();
        spellings.push(distinct.len());
    }
    let varying: Vec<u32> = (0..words).filter(|&word| spellings[word] > 1).map(|word| word as u32).collect();
    let fewest = varying.iter().copied().min_by_key(|&word| spellings[word as usize]);
    let Some(word) = fewest else { return Shape::Varying(varying) };
    let parts = spellings[word as usize];
    if parts > SPLIT_MAX || parts * LINES_PER_PART > lines.len() || depth >= DEPTH_MAX {
        return Shape::Varying(varying);
    }
    let mut by_spelling: HashMap<&[u8], Vec<&[&[u8]]>, Xxh3Builder> = HashMap::default();
    for line in lines {
        if let Some(spelling) = line.get(word as usize) {
            by_spelling.entry(spelling).or_default().push(line);
        }
    }
    let parts: Parts =
        by_spelling.into_iter().map(|(spelling, lines)| (spelling.into(), learn(&lines, depth + 1))).collect();
    Shape::Split { word, parts: Box::new(parts), rest: varying }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn varying(lines: &[String], line: &str) -> Vec<u32> {
        let cut = |line: &'static str| line.split(' ').map(str::as_bytes).collect::<Vec<_>>();
        let lines: Vec<Vec<&[u8]>> = lines.iter().map(|line| cut(line.clone().leak())).collect();
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let shape = Shape::learn(&lines);
        shape.varying(&words).to_vec()
    }

    #[test]
    fn names_vary_and_statements_do_not() {
        let name =
            |at: usize| format!("{}{}", char::from(b'a' + (at % 26) as u8), char::from(b'a' + (at / 26 % 26) as u8));
        let mut lines: Vec<String> = (0..200).map(|at| format!("cache hit key {}", name(at))).collect();
        lines.extend((0..200).map(|at| format!("user {} logged in", name(at * 7))));
        assert_eq!(varying(&lines, "cache hit key zz"), [3]);
        assert_eq!(varying(&lines, "user bob logged in"), [1]);
        assert_eq!(varying(&lines, "never seen these words"), [0, 1, 2, 3]);
        let few: Vec<String> = (0..100).map(|at| format!("step {} done", name(at % 5))).collect();
        assert_eq!(varying(&few, "step aa done"), [0_u32; 0]);
    }
}
