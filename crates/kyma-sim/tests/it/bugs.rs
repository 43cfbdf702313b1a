//! Planted bugs are found, and only what is armed is found.

use kyma_core::planted::Bug;

#[test]
fn bugs_have_names() {
    let names: std::collections::BTreeSet<&str> = Bug::ALL.iter().map(|bug| bug.describe().0).collect();
    assert_eq!(names.len(), Bug::ALL.len());
    assert!(Bug::ALL.iter().all(|bug| Bug::of_name(bug.describe().0) == Some(*bug)));
}

/// `kyma-sim --bugs` hunts all of them with 2,000 seeds each; here are those that few seeds show.
#[cfg(feature = "planted-bugs")]
#[test]
fn planted_bugs_are_found() {
    use kyma_sim::campaign::Campaign;
    for bug in [Bug::AckBeforeCommit, Bug::StatisticsOffByOne, Bug::CollectByAge, Bug::DoomWithoutGrace] {
        let campaign = Campaign { from: 0, seeds: 500, bug: Some(bug), replay: false, stop_at_first: true, threads: 2 };
        let report = campaign.run(&indicatif::ProgressBar::hidden());
        assert!(!report.violations.is_empty(), "{bug:?}");
    }
}

/// Without the feature there is no bug to arm.
#[cfg(not(feature = "planted-bugs"))]
#[test]
fn nothing_is_planted_without_the_feature() {
    assert!(Bug::ALL.iter().all(|bug| !kyma_core::planted::is(*bug)));
}
