//! Turns gathered terms into sections: where each class of each field goes, and how much it may cost.
//!
//! Level 0: one filter of (term, block) pairs, nothing else.
//!
//! Higher levels:
//!
//! 1. Terms that look like identifiers are in the filter of pages already.
//! 2. Other terms are for the field's dictionary. A class with digits goes to the filter of pages instead where that takes
//!    clearly fewer bytes: terms that are many and rare. Words never do: substrings are searched for among them.
//! 3. When the dictionaries pass their budget, the largest one is degraded, until they fit: its postings name blocks instead of
//!    pages, then its terms go to a filter of blocks. It is never dropped.
//! 4. The filter's fingerprints are as wide as the number of pages asks for, or narrower when the budget is spent.

use kyma_core::error::Result;

use super::collect::{Collector, FieldTerms};
use super::dictionary::DictionaryWriter;
use super::directory::{Dictionary, Directory, Field};
use super::filter::{self, salted};
use super::terms::{Class, class_of, hash, is_pooled, kind_of};
use crate::constants::index::{CLASSES, kind, place};

/// A budget is never smaller, in bytes.
const BUDGET_BYTES_MIN: usize = 4 * 1024;
/// The index takes at most one byte for so many bytes of data, and of text.
const DATA_SHARE: usize = 8;
const TEXT_SHARE: usize = 20;
/// Dictionaries may take a third of the budget whatever filters take.
const DICTIONARY_SHARE: usize = 3;
/// With fewer terms of a class the dictionary always holds them.
const FILTERED_TERMS_MIN: usize = 64;

/// Appends the index sections to `data`; `None` when there is nothing to index.
pub(crate) fn write(mut collector: Collector, data: &mut Vec<u8>) -> Result<Option<Directory>> {
    if collector.fields.is_empty() || collector.is_too_large {
        return Ok(None);
    }
    let pages = collector.block_of_page.len() as u32;
    let blocks = collector.blocks;
    let budget = (data.len() / DATA_SHARE).min(collector.text_bytes as usize / TEXT_SHARE).max(BUDGET_BYTES_MIN);
    let mut page_pairs = std::mem::take(&mut collector.page_pairs);
    let mut block_pairs = std::mem::take(&mut collector.block_pairs);
    page_pairs.sort_unstable();
    page_pairs.dedup();

    let width = filter::width(page_pairs.len(), pages, budget);
    let mut fields: Vec<Built> = Vec::with_capacity(collector.fields.len());
    let terms = std::mem::take(&mut collector.fields);
    for (number, terms) in terms.into_iter().enumerate() {
        fields.push(Built::new(number, terms, &collector, width, &mut page_pairs)?);
    }
    let filtered = filter::estimate(page_pairs.len(), width);
    let for_dictionaries = budget.saturating_sub(filtered).max(budget / DICTIONARY_SHARE);
    while fields.iter().map(|field| field.writer.bytes.len()).sum::<usize>() > for_dictionaries {
        let largest = fields.iter_mut().max_by_key(|field| field.writer.bytes.len());
        let Some(field) = largest.filter(|field| !field.writer.bytes.is_empty()) else { break };
        field.degrade(&collector, &mut block_pairs)?;
    }

    let mut directory = Directory::default();
    for field in fields {
        directory.fields.push(field.finish(data));
    }
    if !block_pairs.is_empty() {
        let width = filter::width(block_pairs.len(), blocks, usize::MAX);
        directory.blocks = filter::write(block_pairs, width, data);
    }
    if !page_pairs.is_empty() {
        let left = budget.saturating_sub(directory.bytes() as usize);
        let width = filter::width(page_pairs.len(), pages, left);
        directory.pages = filter::write(page_pairs, width, data);
    }
    Ok(Some(directory))
}

/// A term with its pages, ascending.
struct Term {
    text: Box<[u8]>,
    class: Class,
    pages: std::ops::Range<usize>,
}

/// A field on its way.
struct Built {
    number: usize,
    terms: FieldTerms,
    places: [u8; CLASSES as usize],
    sorted: Vec<Term>,
    /// The pages of all terms.
    pages: Vec<u32>,
    has_page_postings: bool,
    writer: DictionaryWriter,
}

impl Built {
    fn new(
        number: usize,
        mut terms: FieldTerms,
        collector: &Collector,
        width: u8,
        page_pairs: &mut Vec<(u64, u32)>,
    ) -> Result<Built> {
        let (sorted, pages) = sorted(&mut terms);
        let mut places = [place::ABSENT; CLASSES as usize];
        let page_count = collector.block_of_page.len();
        for (class, place) in places.iter_mut().enumerate().filter(|(class, _)| terms.present[*class]) {
            *place = match () {
                () if collector.level == 0 => place::BLOCKS,
                () if is_pooled(class as Class) => place::PAGES,
                () if is_cheaper_filtered(&sorted, class as Class, width, page_count) => place::PAGES,
                () => place::DICTIONARY,
            };
        }
        for term in sorted.iter().filter(|term| places[usize::from(term.class)] == place::PAGES) {
            let key = salted(hash(&term.text), number, false);
            page_pairs.extend(pages[term.pages.clone()].iter().map(|&page| (key, page)));
        }
        let writer = DictionaryWriter::new(page_count as u32);
        let mut built = Built { number, terms, places, sorted, pages, has_page_postings: true, writer };
        built.write_dictionary(collector)?;
        Ok(built)
    }

    fn write_dictionary(&mut self, collector: &Collector) -> Result<()> {
        let units = if self.has_page_postings { collector.block_of_page.len() as u32 } else { collector.blocks };
        let mut writer = DictionaryWriter::new(units);
        let mut blocks: Vec<u32> = Vec::new();
        for term in self.sorted.iter().filter(|term| self.places[usize::from(term.class)] == place::DICTIONARY) {
            let pages = &self.pages[term.pages.clone()];
            if self.has_page_postings {
                writer.push(&term.text, pages)?;
                continue;
            }
            blocks.clear();
            blocks.extend(pages.iter().map(|&page| collector.block_of_page[page as usize]));
            blocks.dedup();
            writer.push(&term.text, &blocks)?;
        }
        writer.close()?;
        self.writer = writer;
        Ok(())
    }

    /// Pages to blocks, then the dictionary to a filter.
    fn degrade(&mut self, collector: &Collector, block_pairs: &mut Vec<(u64, u32)>) -> Result<()> {
        if std::mem::take(&mut self.has_page_postings) {
            return self.write_dictionary(collector);
        }
        for term in self.sorted.iter().filter(|term| self.places[usize::from(term.class)] == place::DICTIONARY) {
            let key = salted(hash(&term.text), self.number, false);
            let pages = self.pages[term.pages.clone()].iter();
            block_pairs.extend(pages.map(|&page| (key, collector.block_of_page[page as usize])));
        }
        self.places.iter_mut().filter(|place| **place == place::DICTIONARY).for_each(|place| *place = place::BLOCKS);
        self.writer = DictionaryWriter::new(collector.blocks);
        Ok(())
    }

    fn finish(self, data: &mut Vec<u8>) -> Field {
        let offset = data.len() as u64;
        data.extend_from_slice(&self.writer.bytes);
        let is_empty = self.writer.blocks.is_empty();
        let dictionary = Dictionary { terms: self.writer.terms_total, offset, blocks: self.writer.blocks };
        Field {
            column: self.terms.name.column,
            source: self.terms.name.source,
            keys: self.terms.name.keys,
            left_out_uuid_parts: self.terms.left_out_uuid_parts,
            has_page_postings: self.has_page_postings && !is_empty,
            letters: self.terms.letters,
            places: self.places,
            dictionary: if is_empty { Dictionary::default() } else { dictionary },
        }
    }
}

/// The interned terms in order, and their pages.
fn sorted(terms: &mut FieldTerms) -> (Vec<Term>, Vec<u32>) {
    let texts = terms.interned.sorted();
    let pairs = std::mem::take(&mut terms.interned.pairs);
    let mut ends = vec![0_usize; texts.len() + 1];
    pairs.iter().for_each(|&(number, _)| ends[number as usize + 1] += 1);
    for at in 1..ends.len() {
        ends[at] += ends[at - 1];
    }
    let starts = ends.clone();
    let mut pages = vec![0_u32; pairs.len()];
    for (number, page) in pairs {
        pages[ends[number as usize]] = page;
        ends[number as usize] += 1;
    }
    let term = |(text, number): (Box<[u8]>, u32)| Term {
        class: class_of(&text),
        text,
        pages: starts[number as usize]..ends[number as usize],
    };
    (texts.into_iter().map(term).collect(), pages)
}

/// Whether the terms of a class take clearly fewer bytes in a filter than in a dictionary.
fn is_cheaper_filtered(sorted: &[Term], class: Class, width: u8, pages: usize) -> bool {
    if !matches!(kind_of(class), kind::DIGITS | kind::HEX | kind::MIXED | kind::ADDRESS) {
        return false;
    }
    let (mut terms, mut pairs, mut bytes) = (0, 0, 0);
    for term in sorted.iter().filter(|term| term.class == class) {
        terms += 1;
        pairs += term.pages.len();
        // Heads and half the text, since neighbours share the rest; then a list or a bitmap.
        bytes += 2 + term.text.len() / 2 + 1 + term.pages.len().min(pages.div_ceil(8));
    }
    // zstd takes about a quarter; what remains must be a quarter more than the filter.
    terms >= FILTERED_TERMS_MIN && filter::estimate(pairs, width) * 5 / 4 < bytes * 3 / 4
}
