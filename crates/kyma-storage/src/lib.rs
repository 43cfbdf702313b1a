//! Opens an object store from a URL and decorates it.
