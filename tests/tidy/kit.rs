//! What features ask of who uses them, as Cargo sees it: the test kit (`testing`), `metrics` and `nats`.

use std::collections::BTreeSet;
use std::process::Command;

/// What the test kit brings: points at which a store fails. It is a library, and no framework.
const BROUGHT: [&str; 1] = ["fail"];

/// What one of our packages depends on itself, for who uses it: what its own tests need is not among that.
fn dependencies(package: &str, features: &[&str]) -> BTreeSet<String> {
    let output = Command::new(env!("CARGO"))
        .args(["tree", "--offline", "--edges", "normal", "--depth", "1", "--prefix", "none"])
        .args(["--format", "{p}", "--package", package, "--no-default-features"])
        .args(features)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let tree = String::from_utf8(output.stdout).unwrap();
    tree.lines().filter_map(|line| line.split(' ').next()).map(str::to_owned).collect()
}

/// What both packages depend on because of a feature.
fn brought_by(feature: &str) -> BTreeSet<String> {
    let mut brought = BTreeSet::new();
    for package in ["millpond", "millpond-actors"] {
        let without = dependencies(package, &[]);
        assert!(without.contains("tokio") && !without.contains("proptest"), "{without:?}");
        brought.extend(&dependencies(package, &["--features", feature]) - &without);
    }
    brought
}

/// In eventsource-py 0.14 `import *` needed pytest on a plain install. That nothing in `src/testing` uses what only our own tests
/// have, the compiler sees: a program that has Millpond as a dependency has none of that, and `tests/torture` is one.
#[test]
fn w22_nothing_of_the_test_kit_needs_a_test_framework() {
    assert_eq!(brought_by("testing"), BROUGHT.map(str::to_owned).into());
}

#[test]
fn who_wants_no_metrics_gets_nothing_of_them_and_who_does_gets_the_facade_alone() {
    assert_eq!(brought_by("metrics"), BTreeSet::from(["metrics".to_owned()]));
}

#[test]
fn who_relays_to_nobody_has_no_client_of_a_broker() {
    let brought = &dependencies("millpond", &["--features", "nats"]) - &dependencies("millpond", &[]);
    assert_eq!(brought, BTreeSet::from(["async-nats".to_owned()]));
}
