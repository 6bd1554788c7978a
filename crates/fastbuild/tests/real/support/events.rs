//! What the events of a build that succeeded must say, whatever went wrong on the way.

use std::collections::BTreeSet;

use serde_json::Value;

/// Checks that a build's events are numbered on from one without a gap, and tell of one success with
/// one image; how many attempts it took. A test says what it was `at` when that is not so.
pub(crate) fn attempts_of_a_success(events: &[Value], at: &str) -> i64 {
    let numbers: Vec<i64> = events
        .iter()
        .filter_map(|event| event["seq"].as_i64())
        .collect();
    let expected: Vec<i64> = (1..).take(numbers.len()).collect();
    assert_eq!(numbers, expected, "{at}");
    let results: Vec<&Value> = events
        .iter()
        .filter(|event| event["event"] == "result")
        .collect();
    let digests: BTreeSet<&str> = results
        .iter()
        .filter_map(|result| result["digest"].as_str())
        .collect();
    assert_eq!((results.len(), digests.len()), (1, 1), "{at}: {results:?}");
    assert_eq!(results[0]["state"], "PUSH_SUCCESS", "{at}: {results:?}");
    let begun = events
        .iter()
        .filter(|event| event["event"] == "state" && event["state"] == "STARTED")
        .count();
    let last = events
        .iter()
        .filter_map(|event| event["attempt"].as_i64())
        .max();
    assert_eq!(i64::try_from(begun).ok(), last, "{at}");
    last.unwrap()
}
