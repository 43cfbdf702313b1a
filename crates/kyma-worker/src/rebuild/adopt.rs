//! Which of the objects that no journal knows were committed. Nothing here reads or writes anything.
//!
//! A commit is all or nothing, and one object holds all extents of one commit, so whole objects are judged:
//!
//! 1. An object is *certain* when one of its extents is known or replaced by another object (only what was committed is read),
//!    or when an extent that it replaces was collected since the journals' end (only what a commit replaced is deleted). So it is
//!    when that is neither known nor found, and the object came after the journals.
//! 2. An object is an *orphan* when a write in it has a receipt (the commit of that receipt is known, and is not this object's),
//!    or when what it replaces was removed by others (its commit would have been refused). So it is when it was put before the
//!    journals' end and that is neither known nor found: what its commit would have replaced was gone by then.
//! 3. Of objects that share writes at most one was committed, and others were put before a crash or a refusal: an object whose
//!    writes are all in others is left out, whichever is left. Where writes overlap only in part, both stay, and that is told: a
//!    row that was acknowledged is never dropped.
//! 4. Of objects that replace the same extent at most one was committed: a certain one, if there is one, else the newest. The
//!    other is an orphan.
//! 5. What an adopted object replaces is left out.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use kyma_core::ExtentId;

use super::Note;

/// Two uses of one key that lie further apart are two writes: receipts are forgotten after a day at the earliest.
const KEY_MILLIS_MAX: u64 = 12 * 3_600_000;

/// What journals know.
#[derive(Debug, Default)]
pub(crate) struct Known {
    pub(crate) live: HashSet<ExtentId>,
    pub(crate) removed: HashSet<ExtentId>,
    /// Told, and their objects are not there: collected after a commit that came after the journals replaced them.
    pub(crate) collected: HashSet<ExtentId>,
    /// With when they were stored, in milliseconds: a key may be used again when its receipt is forgotten.
    pub(crate) writes: HashMap<u128, u64>,
}

/// An object that may have been committed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Candidate {
    pub(crate) key: String,
    pub(crate) extents: Vec<ExtentId>,
    pub(crate) replaces: BTreeSet<ExtentId>,
    /// Of all its rows; `None` when some have no key.
    pub(crate) writes: Option<BTreeSet<u128>>,
    /// When it was made, in milliseconds.
    pub(crate) made: u64,
    /// Whether journals that are whole go further than to when it was put.
    pub(crate) is_past: bool,
}

/// What became of the candidates.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    /// Places of those that were committed, or may have been, in the order in which they were made.
    pub(crate) adopted: Vec<usize>,
    /// Extents that these replaced.
    pub(crate) replaced: HashSet<ExtentId>,
    /// Places of the others, and why.
    pub(crate) orphans: BTreeMap<usize, &'static str>,
    /// What could not be told for certain.
    pub(crate) notes: Vec<Note>,
}

/// Judges all candidates.
pub(crate) fn judge(known: &Known, candidates: &[Candidate]) -> Judged {
    let mut judged = Judged::default();
    let found: HashSet<ExtentId> = candidates.iter().flat_map(|candidate| candidate.extents.iter().copied()).collect();
    let is_known = |extent: &ExtentId| known.live.contains(extent) || known.removed.contains(extent);
    let read: HashSet<ExtentId> = candidates.iter().flat_map(|candidate| candidate.replaces.iter().copied()).collect();
    let is_gone = |source: &ExtentId| !is_known(source) && !known.collected.contains(source) && !found.contains(source);
    let is_certain = |candidate: &Candidate| {
        candidate.extents.iter().any(|extent| is_known(extent) || read.contains(extent))
            || candidate.replaces.iter().any(|source| known.collected.contains(source))
            || !candidate.is_past && candidate.replaces.iter().any(is_gone)
    };
    let certain: Vec<bool> = candidates.iter().map(is_certain).collect();

    // Step 2.
    for (at, candidate) in candidates.iter().enumerate().filter(|(at, _)| !certain[*at]) {
        let is_same =
            |write: &u128| known.writes.get(write).is_some_and(|at| at.abs_diff(candidate.made) < KEY_MILLIS_MAX);
        if candidate.writes.iter().flatten().any(is_same) {
            judged.orphans.insert(at, "its writes were stored by another commit");
        } else if candidate.replaces.iter().any(|source| known.removed.contains(source)) {
            judged.orphans.insert(at, "what it replaces was removed by another commit");
        } else if candidate.is_past && candidate.replaces.iter().any(is_gone) {
            judged.orphans.insert(at, "what it replaces was gone before the journal's end");
        }
    }
    drop_doubles(candidates, &certain, &mut judged);
    drop_rewritten(candidates, &certain, &mut judged);
    drop_rivals(candidates, &certain, &mut judged);

    judged.adopted = (0..candidates.len()).filter(|at| !judged.orphans.contains_key(at)).collect();
    judged.adopted.sort_by_key(|at| (candidates[*at].made, candidates[*at].key.clone()));
    judged.replaced = judged.adopted.iter().flat_map(|at| candidates[*at].replaces.iter().copied()).collect();
    judged
}

/// An extent that two objects hold is counted once: that of the first key.
fn drop_doubles(candidates: &[Candidate], certain: &[bool], judged: &mut Judged) {
    let mut seen = HashSet::new();
    for at in in_order(candidates, judged, |at| (!certain[at], candidates[at].key.clone())) {
        let candidate = &candidates[at];
        if candidate.extents.iter().all(|extent| seen.contains(extent)) && !candidate.extents.is_empty() {
            judged.orphans.insert(at, "another object holds the same extents");
            judged.notes.push(Note::new("duplicate_extent", format!("object={}", candidate.key)));
        }
        seen.extend(candidate.extents.iter().copied());
    }
}

/// Step 3: objects with the most writes first, so that what they cover falls.
fn drop_rewritten(candidates: &[Candidate], certain: &[bool], judged: &mut Judged) {
    let mut covered: HashSet<u128> = HashSet::new();
    let size = |at: usize| candidates[at].writes.as_ref().map_or(0, BTreeSet::len);
    for at in in_order(candidates, judged, |at| (!certain[at], usize::MAX - size(at), candidates[at].key.clone())) {
        let Some(writes) = &candidates[at].writes else { continue };
        let doubled = writes.iter().filter(|write| covered.contains(write)).count();
        if doubled == writes.len() && !certain[at] {
            judged.orphans.insert(at, "its writes are all in other objects");
            continue;
        }
        if doubled > 0 {
            let detail = format!("object={}, writes={}, doubled={doubled}", candidates[at].key, writes.len());
            judged.notes.push(Note::new("writes_overlap", detail));
        }
        covered.extend(writes);
    }
}

/// Step 4.
fn drop_rivals(candidates: &[Candidate], certain: &[bool], judged: &mut Judged) {
    let newest_first = |at: usize| (!certain[at], std::cmp::Reverse((candidates[at].made, candidates[at].key.clone())));
    let mut claimed: HashSet<ExtentId> = HashSet::new();
    for at in in_order(candidates, judged, newest_first) {
        let candidate = &candidates[at];
        if candidate.replaces.iter().any(|source| claimed.contains(source)) {
            judged.orphans.insert(at, "another object replaces the same extents");
            judged.notes.push(Note::new("rival_replacements", format!("object={}", candidate.key)));
            continue;
        }
        claimed.extend(candidate.replaces.iter().copied());
    }
}

/// Places of candidates that are no orphans, by `rank`.
fn in_order<R: Ord>(candidates: &[Candidate], judged: &Judged, rank: impl Fn(usize) -> R) -> Vec<usize> {
    let mut places: Vec<usize> = (0..candidates.len()).filter(|at| !judged.orphans.contains_key(at)).collect();
    places.sort_by_cached_key(|at| rank(*at));
    places
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn id(number: u128) -> ExtentId {
        ExtentId(Uuid::from_u128(number))
    }

    fn candidate(key: &str, extents: &[u128], replaces: &[u128], writes: &[u128]) -> Candidate {
        Candidate {
            key: key.to_owned(),
            extents: extents.iter().copied().map(id).collect(),
            replaces: replaces.iter().copied().map(id).collect(),
            writes: (!writes.is_empty()).then(|| writes.iter().copied().collect()),
            made: 1_000,
            is_past: false,
        }
    }

    /// Keys of what is adopted, and of orphans.
    fn check(known: &Known, candidates: &[Candidate], adopted: &[&str], notes: &[&str]) -> Judged {
        let judged = judge(known, candidates);
        let keys: Vec<&str> = judged.adopted.iter().map(|at| candidates[*at].key.as_str()).collect();
        assert_eq!(keys, adopted, "{judged:?}");
        assert_eq!(judged.notes.iter().map(|note| note.code).collect::<Vec<_>>(), notes, "{judged:?}");
        judged
    }

    #[test]
    fn a_write_with_a_receipt_is_elsewhere() {
        let known = Known { writes: HashMap::from([(1, 900)]), ..Known::default() };
        let candidates =
            [candidate("a", &[1], &[], &[1, 2]), candidate("b", &[2], &[], &[2]), candidate("c", &[3], &[], &[])];
        check(&known, &candidates, &["b", "c"], &[]);
    }

    #[test]
    fn a_key_may_be_used_again_after_a_day() {
        let known = Known { writes: HashMap::from([(1, 900)]), ..Known::default() };
        let late = Candidate { made: 1_000 + 24 * 3_600_000, ..candidate("a", &[1], &[], &[1]) };
        check(&known, &[late], &["a"], &[]);
    }

    /// Its commit would be in the journal, or what it would have replaced still there: another one replaced that, was replaced
    /// itself, and is gone, too.
    #[test]
    fn what_is_older_than_the_journal_and_replaces_nothing_known_was_never_committed() {
        let old = |candidate: Candidate| Candidate { is_past: true, ..candidate };
        check(&Known::default(), &[old(candidate("a", &[2], &[1], &[]))], &[], &[]);
        check(&Known::default(), &[candidate("a", &[2], &[1], &[])], &["a"], &[]);
        let known = Known { live: HashSet::from([id(1), id(2)]), ..Known::default() };
        check(&known, &[old(candidate("a", &[3], &[1], &[]))], &["a"], &[]);
        check(&known, &[old(candidate("a", &[2], &[9], &[]))], &["a"], &[]);
        let known = Known { collected: HashSet::from([id(1)]), ..Known::default() };
        check(&known, &[old(candidate("a", &[2], &[1, 9], &[]))], &["a"], &[]);
    }

    #[test]
    fn a_write_that_was_put_twice_is_counted_once() {
        let candidates = [candidate("a", &[1], &[], &[1]), candidate("b", &[2], &[], &[1])];
        check(&Known::default(), &candidates, &["a"], &[]);
        let candidates = [candidate("a", &[1], &[], &[1]), candidate("b", &[2], &[], &[1, 2])];
        check(&Known::default(), &candidates, &["b"], &[]);
    }

    #[test]
    fn no_write_is_dropped_when_writes_overlap() {
        let candidates = [candidate("a", &[1], &[], &[1, 2]), candidate("b", &[2], &[], &[2, 3])];
        check(&Known::default(), &candidates, &["a", "b"], &["writes_overlap"]);
    }

    /// 1 was read by a merge, so it was committed, although its writes are in a larger object, too.
    #[test]
    fn what_was_read_was_committed() {
        let candidates =
            [candidate("a", &[1], &[], &[1]), candidate("b", &[2], &[], &[1, 2]), candidate("c", &[3], &[1], &[])];
        check(&Known::default(), &candidates, &["a", "b", "c"], &["writes_overlap"]);
    }

    #[test]
    fn what_was_replaced_is_left_out() {
        let known = Known { live: HashSet::from([id(1)]), ..Known::default() };
        let candidates = [candidate("b", &[2], &[], &[]), candidate("c", &[3], &[1, 2], &[])];
        let judged = check(&known, &candidates, &["b", "c"], &[]);
        assert_eq!(judged.replaced, HashSet::from([id(1), id(2)]));
    }

    #[test]
    fn a_replacement_of_what_others_removed_never_committed() {
        let known = Known { live: HashSet::from([id(1)]), removed: HashSet::from([id(2)]), ..Known::default() };
        let judged = check(&known, &[candidate("c", &[3], &[1, 2], &[])], &[], &[]);
        assert!(judged.replaced.is_empty());
    }

    /// 4 was merged further, so it was committed, although 5 is newer.
    #[test]
    fn of_rivals_the_one_that_was_read_won() {
        let candidates = [
            candidate("a", &[1], &[], &[]),
            candidate("b", &[2], &[], &[]),
            candidate("d", &[4], &[1], &[]),
            candidate("e", &[5], &[1, 2], &[]),
            candidate("f", &[6], &[4], &[]),
        ];
        let judged = check(&Known::default(), &candidates, &["a", "b", "d", "f"], &["rival_replacements"]);
        assert_eq!(judged.replaced, HashSet::from([id(1), id(4)]), "2 stays");
    }

    /// Its database's journal tells of one extent: the commit took place, whatever a receipt seems to say.
    #[test]
    fn an_object_of_which_one_extent_is_known_was_committed() {
        let known = Known { live: HashSet::from([id(1)]), writes: HashMap::from([(7, 0)]), ..Known::default() };
        check(&known, &[candidate("a", &[1, 2], &[], &[7])], &["a"], &[]);
    }

    #[test]
    fn the_same_extents_twice_count_once() {
        let candidates = [candidate("b", &[1], &[], &[]), candidate("a", &[1], &[], &[])];
        check(&Known::default(), &candidates, &["a"], &["duplicate_extent"]);
    }
}
