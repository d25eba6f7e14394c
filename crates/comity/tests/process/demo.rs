//! The project's main job: `comity demo` plays through, and says so.

use super::support::comity;

#[test]
fn the_demo_plays_through_and_every_step_holds() {
    let steps = plays_through(&["demo", "--json"]);
    assert_eq!(steps.len(), 21, "{steps:#?}");
    for part in [
        "costs work; three vouches waive it",
        "A grant is handed on in part, and revoked",
        "a stranger verifies",
        "One byte of it is changed, and found",
        "goes back to an old copy",
        "begins another log, and node A notices",
    ] {
        assert!(steps.iter().any(|step| step.contains(part)), "{part}");
    }
}

#[test]
fn the_demo_plays_through_behind_a_relay_as_well() {
    let steps = plays_through(&["demo", "--relay", "--json"]);
    assert_eq!(steps.len(), 15, "{steps:#?}");
}

/// Plays it, and returns the names of its steps.
fn plays_through(args: &[&str]) -> Vec<String> {
    let run = comity(args);
    let report = run.ok();
    assert_eq!(report["ok"], true, "{run:?}");
    let steps = report["steps"].as_array().unwrap();
    let failed: Vec<_> = steps.iter().filter(|step| step["ok"] != true).collect();
    assert!(failed.is_empty(), "{failed:#?}");
    for step in steps {
        for member in ["name", "detail"] {
            assert!(step[member].as_str().is_some_and(|text| !text.is_empty()), "{step}");
        }
    }
    steps.iter().map(|step| step["name"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_demo_is_kept_in_an_empty_folder_only() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("mine"), "precious").unwrap();
    let path = folder.path().to_str().unwrap();
    let error = comity(&["demo", "--json", "--keep", path]).error(1);
    assert_eq!(error["code"], "folder");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
}
