//! The diff shows the lines that will change, and few others.

use sluice::domain::overview::Sign;
use sluice::routing::diff;

use super::support::{World, set, three, usual};

fn lines(world: &World, command: &str) -> Vec<String> {
    let planned = world.plan(&set(command)).expect("a plan");
    let edit = planned.plan.edits().last().expect("an edit").clone();
    diff::yaml(&edit)
        .into_iter()
        .map(|line| {
            let sign = match line.sign {
                Sign::Same => ' ',
                Sign::Add => '+',
                Sign::Del => '-',
                Sign::Hidden => '?',
            };
            format!("{sign}{}", line.text)
        })
        .collect()
}

#[test]
fn a_change_shows_what_changes() {
    let told = lines(&usual(), "v1=30 v2=70");
    let changed: Vec<&str> =
        told.iter().filter(|line| !line.starts_with(' ')).map(|line| line.trim()).collect();
    assert!(changed.iter().any(|line| line.contains("weight: 70")), "{told:#?}");
    assert!(changed.iter().all(|line| line.starts_with('+')), "nothing goes: {told:#?}");
    assert!(told.len() < 40, "{told:#?}");
    let same = usual();
    let planned = same.plan(&set("v1=100")).expect("a plan");
    assert_eq!(planned.plan.edits().count(), 0);
}

#[test]
fn a_creation_is_all_added() {
    let told = lines(&three(), "v1=30 v2=70");
    assert!(told.iter().all(|line| line.starts_with('+')), "{told:#?}");
    assert!(told.iter().any(|line| line.contains("hosts:")));
}

#[test]
fn what_the_server_adds_is_not_shown() {
    let noisy = super::support::ALL_V1
        .replace("{name: reviews}", "{name: reviews, managedFields: [{manager: somebody}]}")
        .replace("spec:", "status: {observed: 1}\nspec:");
    let world = three().with(super::support::SUBSETS).with(&noisy);
    let told = lines(&world, "v1=30 v2=70").join("\n");
    assert!(!told.contains("somebody") && !told.contains("observed"), "{told}");
}

#[test]
fn a_deletion_is_all_gone() {
    let object = serde_json::json!({"hosts": ["reviews"]});
    let told = diff::specs(Some(&object), None);
    assert!(told.iter().all(|line| line.sign == Sign::Del) && !told.is_empty());
    assert!(diff::specs(None, None).is_empty());
    assert!(diff::specs(Some(&object), Some(&object)).is_empty());
}
