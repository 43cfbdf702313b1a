//! Seeds without a planted bug break nothing, and run the same way twice.

use kyma_sim::run::run;

#[test]
fn seeds_break_nothing() {
    for seed in 0..60 {
        let outcome = run(seed, false);
        assert_eq!(outcome.broken, None, "kyma-sim --verbose {seed}");
        assert!(outcome.events > 0);
    }
}

/// Two runs of a seed agree to the bit, in one thread, in another, and when somebody reads along.
#[test]
fn a_seed_runs_the_same_way_twice() {
    for seed in 1_000..1_030 {
        let first = run(seed, false);
        assert_eq!(run(seed, false), first, "seed {seed}");
        let elsewhere = std::thread::spawn(move || run(seed, false)).join().expect("it runs");
        assert_eq!(elsewhere, first, "seed {seed} in another thread");
        assert_eq!(run(seed, true).hash, first.hash, "seed {seed} with a log");
    }
}

/// Different seeds are different worlds, in which something happens.
#[test]
fn seeds_differ_and_writes_are_acked() {
    let outcomes: Vec<_> = (2_000..2_020).map(|seed| run(seed, false)).collect();
    let hashes: std::collections::BTreeSet<u64> = outcomes.iter().map(|outcome| outcome.hash).collect();
    assert_eq!(hashes.len(), outcomes.len());
    assert!(outcomes.iter().all(|outcome| outcome.writes.0 > 0), "{outcomes:?}");
}
