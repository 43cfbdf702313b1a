//! Objects of which something wrong was read.
//!
//! A bit may flip between the store and this node. A format's checksum finds it, but what the caches keep of the object
//! would be found wrong for as long as it is kept. So an object that is distrusted is known to the caches under another
//! name from then on: what is kept under the old one is never asked for again, and leaves by and by.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use parking_lot::Mutex;

/// Objects that are remembered; past it all are forgotten, and found out about again.
const OBJECTS_MAX: usize = 4_096;

/// The distrusted objects with their other names.
#[derive(Debug, Default)]
pub(crate) struct Distrusted {
    names: Mutex<HashMap<Arc<str>, Arc<str>>>,
    /// How often something was distrusted: names are never used twice, and nobody looks while it is 0.
    times: AtomicU64,
}

impl Distrusted {
    /// Gives the object a new name.
    pub(crate) fn add(&self, object: &Arc<str>) {
        let time = self.times.fetch_add(1, Ordering::SeqCst) + 1;
        let mut names = self.names.lock();
        if names.len() >= OBJECTS_MAX {
            names.clear();
        }
        // No object is called so: `key` refuses this character.
        names.insert(Arc::clone(object), format!("{object}\u{1}{time}").into());
    }

    /// What the caches call the object.
    pub(crate) fn name(&self, object: &Arc<str>) -> Arc<str> {
        if self.times.load(Ordering::SeqCst) == 0 {
            return Arc::clone(object);
        }
        self.names.lock().get(object).unwrap_or(object).clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_distrusted_object_never_has_an_old_name_again() {
        let (distrusted, object): (Distrusted, Arc<str>) = (Distrusted::default(), "a/b".into());
        let mut names = vec![distrusted.name(&object)];
        for _ in 0..3 {
            distrusted.add(&object);
            names.push(distrusted.name(&object));
        }
        assert_eq!(names.iter().collect::<std::collections::HashSet<_>>().len(), 4, "{names:?}");
        assert_eq!(&*distrusted.name(&"a/c".into()), "a/c");
    }
}
