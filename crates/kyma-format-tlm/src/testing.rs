//! How many cases property tests draw.

use proptest::prelude::ProptestConfig;

/// So many cases, times `KYMA_CASES_FACTOR`.
pub(crate) fn cases(default: u32) -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(default * factor()) }
}

/// `KYMA_CASES_FACTOR`, 1 where it is not set.
pub(crate) fn factor() -> u32 {
    std::env::var("KYMA_CASES_FACTOR").ok().and_then(|factor| factor.parse().ok()).unwrap_or(1)
}
