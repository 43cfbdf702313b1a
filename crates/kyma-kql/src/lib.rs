//! KQL text to a typed plan, with diagnostics.
