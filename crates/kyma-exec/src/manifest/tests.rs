use super::*;

const SECOND: i64 = 1_000_000_000;
const HOUR: i64 = 3_600 * SECOND;
const NOW: i64 = 1_704_067_200 * SECOND;

#[test]
fn a_window_that_slides_keeps_its_key_for_a_while() {
    let sliding = |minutes: i64| {
        let now = NOW + minutes * 60 * SECOND;
        window(TimeRange::new(now - HOUR, now), now).unwrap()
    };
    let keys: std::collections::BTreeSet<i64> = (0..60).map(|minute| sliding(minute).start).collect();
    assert!(keys.len() <= 9, "an hour's refreshes of the last hour read {} lists", keys.len());
    assert_eq!(sliding(0).end, i64::MAX);
    assert_eq!(window(TimeRange::new(NOW - HOUR, i64::MAX), NOW), Some(sliding(0)), "open or until now is the same");
}

#[test]
fn a_window_covers_its_query_and_not_much_more() {
    for (start, end) in [(0, 0), (-5, 7), (NOW - 30 * HOUR, NOW - 29 * HOUR), (-HOUR, HOUR), (i64::MIN + 1, -HOUR)] {
        let Some(window) = window(TimeRange::new(start, end), NOW) else { continue };
        assert!(window.start <= start && end <= window.end, "{start}..={end}: {window:?}");
        let slack = (start - window.start).checked_add(window.end - end).unwrap();
        assert!(slack <= (end - start).max(4 * SECOND), "{start}..={end}: {window:?}");
    }
    assert_eq!(window(TimeRange::ALL, NOW), None);
    assert_eq!(window(TimeRange::new(i64::MIN, 0), NOW), None);
}
