//! The order in which Kusto lists a set of cells.
//!
//! Kusto collects neighbours and covering cells as tokens in a hash set and lists them as the set does. The set can be
//! told from its answers: chained, with one list through all entries, `n` entries reserved, as in GNU's C++ library.
//! 1. The number of buckets is the first of a fixed series of primes that is at least `n`.
//! 2. The bucket of a token is its MurmurHash64A (Appleby 2008; seed and final mix are that library's) modulo the
//!    buckets.
//! 3. An entry whose bucket is empty goes to the front of the list; another goes before the first of its bucket.

use std::collections::HashMap;

/// The tokens in the order of the set after they were inserted in the order given. Duplicates are dropped.
pub(super) fn as_listed(tokens: Vec<String>) -> Vec<String> {
    let buckets = bucket_count(tokens.len());
    // The list grows at its front: it is kept backwards, as runs of one bucket each.
    let mut run_of_bucket: HashMap<u64, usize> = HashMap::new();
    let mut runs: Vec<Vec<String>> = Vec::new();
    for token in tokens {
        let run = *run_of_bucket.entry(murmur(token.as_bytes()) % buckets).or_insert(runs.len());
        match runs.get_mut(run) {
            Some(entries) if entries.contains(&token) => {}
            Some(entries) => entries.push(token),
            None => runs.push(vec![token]),
        }
    }
    runs.into_iter().rev().flat_map(|entries| entries.into_iter().rev()).collect()
}

/// Primes of step 1, up to what the largest answer needs.
const PRIMES: &[u64] = &[
    2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97, 103, 109, 113, 127,
    137, 139, 149, 157, 167, 179, 193, 199, 211, 227, 241, 257, 277, 293, 313, 337, 359, 383, 409, 439, 467, 503, 541,
    577, 619, 661, 709, 761, 823, 887, 953, 1031, 1109, 1193, 1289, 1381, 1493, 1613, 1741, 1879, 2029, 2179, 2357,
    2549, 2753, 2971, 3209, 3469, 3739, 4027, 4349, 4703, 5087, 5503, 5953, 6427, 6949, 7517, 8123, 8783, 9497, 10273,
    11113, 12011, 12983, 14033, 15173, 16411, 17749, 19183, 20753, 22447, 24281, 26267, 28411, 30727, 33223, 35933,
    38873, 42043, 45481, 49201, 53201, 57557, 62233, 67307,
];

fn bucket_count(entries: usize) -> u64 {
    let entries = entries as u64;
    PRIMES.iter().copied().find(|prime| *prime >= entries).unwrap_or(67_307)
}

fn murmur(bytes: &[u8]) -> u64 {
    const MULTIPLIER: u64 = 0xc6a4_a793_5bd1_e995;
    const SEED: u64 = 0xc70f_6907;
    let mix = |value: u64| value ^ (value >> 47);
    let mut hash = SEED ^ (bytes.len() as u64).wrapping_mul(MULTIPLIER);
    let mut words = bytes.chunks_exact(8);
    for word in &mut words {
        let word = word.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        hash = (hash ^ mix(word.wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER)).wrapping_mul(MULTIPLIER);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let word = rest.iter().rev().fold(0, |sum, byte| sum << 8 | u64::from(*byte));
        hash = (hash ^ word).wrapping_mul(MULTIPLIER);
    }
    mix(mix(hash).wrapping_mul(MULTIPLIER))
}
