//! The key paths of an extent's dynamic columns.

use std::collections::HashSet;

use arrow::array::{Array, AsArray};
use kyma_core::dynamic;

use crate::limits::LISTED_PATHS_MAX;

/// Collects paths until there are too many.
#[derive(Debug)]
pub(crate) struct Paths {
    found: Option<HashSet<String>>,
}

impl Paths {
    pub(crate) fn new() -> Self {
        Paths { found: Some(HashSet::new()) }
    }

    /// Adds the paths of a block of the dynamic column `name`. A value that is not JSON, or too many paths, end the list.
    pub(crate) fn add(&mut self, name: &str, array: &dyn Array) {
        let Some(found) = &mut self.found else { return };
        let mut dotted = String::new();
        let mut visit = |keys: &[String]| {
            dotted.clear();
            dotted.push_str(name);
            for key in keys {
                dotted.push('.');
                dotted.push_str(key);
            }
            if found.len() <= LISTED_PATHS_MAX && !found.contains(dotted.as_str()) {
                found.insert(dotted.clone());
            }
        };
        let is_complete = array.as_string_view().iter().flatten().all(|json| dynamic::for_each_path(json, &mut visit));
        if !is_complete || found.len() > LISTED_PATHS_MAX {
            self.found = None;
        }
    }

    /// Every path, ascending; `None` when some are not known.
    pub(crate) fn list(self) -> Option<Vec<String>> {
        let mut paths: Vec<String> = self.found?.into_iter().collect();
        paths.sort_unstable();
        Some(paths)
    }
}

/// Whether a path may occur: it, or one below it, is listed. Keys with dots make this a "maybe", never a wrong "no".
pub(crate) fn may_occur(listed: &[String], path: &str) -> bool {
    let from = listed.partition_point(|known| known.as_str() < path);
    let mut candidates = listed.iter().skip(from).take_while(|known| known.starts_with(path));
    candidates.any(|known| known.len() == path.len() || known.as_bytes().get(path.len()) == Some(&b'.'))
}

#[cfg(test)]
mod tests {
    use arrow::array::StringViewArray;

    use super::*;

    #[test]
    fn paths_are_listed_and_found() {
        let mut paths = Paths::new();
        let rows = StringViewArray::from(vec![Some(r#"{"a":{"b":1}}"#), None, Some("[1]"), Some(r#"{"a.c":null}"#)]);
        paths.add("d", &rows);
        let listed = paths.list().unwrap();
        assert_eq!(listed, ["d.a", "d.a.b", "d.a.c"]);
        assert!(["d.a", "d.a.b", "d"].iter().all(|path| may_occur(&listed, path)));
        assert!(!["d.a.bb", "d.b", "e", ""].iter().any(|path| may_occur(&listed, path)));
    }

    #[test]
    fn what_is_not_json_ends_the_list() {
        let mut paths = Paths::new();
        paths.add("d", &StringViewArray::from(vec![r#"{"a":1"#]));
        assert_eq!(paths.list(), None);
    }

    #[test]
    fn too_many_paths_end_the_list() {
        let mut paths = Paths::new();
        let rows = (0..=LISTED_PATHS_MAX).map(|row| Some(format!(r#"{{"k{row}":1}}"#)));
        paths.add("d", &rows.collect::<StringViewArray>());
        assert_eq!(paths.list(), None);
    }
}
