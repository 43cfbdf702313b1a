//! Compiled regular expressions, kept for one call.

use std::collections::HashMap;

use kyma_core::pattern::compile;
use kyma_core::{Error, Result};
use regex::Regex;

use crate::limits::REGEX_CACHE_MAX;

/// Expressions compiled during one call.
#[derive(Debug, Default)]
pub(crate) struct Patterns {
    last: Option<(String, Regex)>,
    others: HashMap<String, Regex>,
}

impl Patterns {
    /// The compiled form of `pattern`.
    pub(crate) fn get(&mut self, pattern: &str) -> Result<&Regex> {
        let is_last = self.last.as_ref().is_some_and(|(last, _)| last == pattern);
        if !is_last {
            let regex = match self.others.get(pattern) {
                Some(regex) => regex.clone(),
                None => compile(pattern)?,
            };
            if self.others.len() < REGEX_CACHE_MAX {
                self.others.insert(pattern.to_owned(), regex.clone());
            }
            self.last = Some((pattern.to_owned(), regex));
        }
        self.last.as_ref().map(|(_, regex)| regex).ok_or_else(|| Error::internal("a compiled pattern was lost"))
    }
}
