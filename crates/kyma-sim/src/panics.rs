//! Panics of the code that is simulated: tasks catch them, and somebody must hear of them.

use std::cell::RefCell;
use std::sync::Once;

thread_local! {
    static LAST: RefCell<Option<String>> = const { RefCell::new(None) };
}

static WATCH: Once = Once::new();

/// Takes note of panics from now on, in all threads; they are shown as before, too.
pub fn watch() {
    WATCH.call_once(|| {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            LAST.with_borrow_mut(|last| *last = Some(panic.to_string().replace('\n', " ")));
            before(panic);
        }));
    });
}

/// Forgets the panics of this thread.
pub fn forget() {
    LAST.set(None);
}

/// The last panic of this thread.
pub fn last() -> Option<String> {
    LAST.with_borrow(Clone::clone)
}
