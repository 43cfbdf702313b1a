//! The typed, language-neutral query plan and the QueryFrontend trait.
