//! Setting weights: only the numbers of the named route change.

use sluice::domain::ids::Kind;

use super::support::{World, entries, reviews, set, shown, three, usual};

/// After the command, the destinations of `spec.http[0]` of VirtualService `reviews`.
fn check(world: &World, command: &str, expected: &str) {
    let planned = world.plan(&set(command)).expect("a plan");
    let after = world.after(&planned);
    assert_eq!(entries(&after.spec(Kind::VirtualService, "reviews"), "http", 0), expected, "{command}");
    let again = after.plan(&set(command)).expect("a plan");
    assert!(again.plan.is_empty(), "{command} is not idempotent: {:?}", again.plan);
}

#[test]
fn weights_are_written_where_they_belong() {
    check(&usual(), "v1=30 v2=70", "reviews/v1:30 reviews/v2:70");
    check(&usual(), "v1=100", "reviews/v1:!");
    check(&usual(), "v2=100", "reviews/v1:0 reviews/v2:100");
    check(&usual(), "v3=100 v1=0 v2=0", "reviews/v1:0 reviews/v3:100");
}

#[test]
fn objects_are_created_where_none_exist() {
    let world = three();
    let planned = world.plan(&set("v1=90 v2=10 v3=0")).expect("a plan");
    let after = world.after(&planned);
    assert_eq!(shown(after.read().declared()), "v1=90 v2=10 v3=0");
    assert_eq!(planned.plan.stages().count(), 2);
    let _ = reviews();
}
