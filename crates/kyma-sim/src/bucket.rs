//! The bucket: what the object store holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;
use kyma_core::clock::Clock;
use parking_lot::Mutex;

use crate::time::SimClock;

/// One object.
#[derive(Debug, Clone)]
pub struct Object {
    /// Its bytes.
    pub bytes: Bytes,
    /// When it was put, in nanoseconds.
    pub modified: i64,
}

/// What a listing may show.
#[derive(Debug, Clone)]
pub struct Listed {
    /// The object's key.
    pub key: String,
    /// Its size.
    pub size: u64,
    /// When it was put.
    pub modified: i64,
    /// When it came or went, if a stale listing may not know: true when it is there.
    pub is_there: bool,
    /// When that changed last.
    pub since: i64,
}

/// The objects, and those that are gone.
#[derive(Debug)]
pub struct Bucket {
    clock: Arc<SimClock>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: BTreeMap<String, Object>,
    gone: BTreeMap<String, (Object, i64)>,
}

impl Bucket {
    /// An empty bucket.
    pub fn new(clock: Arc<SimClock>) -> Arc<Bucket> {
        Arc::new(Bucket { clock, state: Mutex::default() })
    }

    /// Puts an object; false when there is one and `is_new` forbids that.
    pub fn put(&self, key: &str, bytes: Bytes, is_new: bool) -> bool {
        let modified = self.clock.now();
        self.put_at(key, bytes, is_new, modified)
    }

    /// Puts an object as of some time.
    pub fn put_at(&self, key: &str, bytes: Bytes, is_new: bool, modified: i64) -> bool {
        let mut state = self.state.lock();
        if is_new && state.objects.contains_key(key) {
            return false;
        }
        state.gone.remove(key);
        state.objects.insert(key.to_owned(), Object { bytes, modified });
        true
    }

    /// The object under a key.
    pub fn get(&self, key: &str) -> Option<Object> {
        self.state.lock().objects.get(key).cloned()
    }

    /// Deletes an object.
    pub fn delete(&self, key: &str) {
        let mut state = self.state.lock();
        if let Some(object) = state.objects.remove(key) {
            state.gone.insert(key.to_owned(), (object, self.clock.now()));
        }
    }

    /// Every key.
    pub fn keys(&self) -> Vec<String> {
        self.state.lock().objects.keys().cloned().collect()
    }

    /// What is there below a prefix, and what went since a time.
    pub fn list(&self, prefix: &str, gone_since: i64) -> Vec<Listed> {
        let state = self.state.lock();
        let listed = |key: &String, object: &Object, is_there, since| Listed {
            key: key.clone(),
            size: object.bytes.len() as u64,
            modified: object.modified,
            is_there,
            since,
        };
        let there = state.objects.iter().map(|(key, object)| listed(key, object, true, object.modified));
        let gone = state.gone.iter().filter(|(_, (_, at))| *at >= gone_since);
        let gone = gone.map(|(key, (object, at))| listed(key, object, false, *at));
        let mut all: Vec<Listed> = there.chain(gone).filter(|listed| is_below(&listed.key, prefix)).collect();
        all.sort_by(|one, other| one.key.cmp(&other.key));
        all
    }
}

fn is_below(key: &str, prefix: &str) -> bool {
    prefix.is_empty() || key.strip_prefix(prefix).is_some_and(|rest| rest.starts_with('/'))
}
