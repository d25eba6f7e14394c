//! Rule: a crate depends only on crates above it in the house
//! (docs/adr/0018-flat-crates-one-direction.md).
//!
//! The table below is the house. A new crate or a new arrow is a row here and an ADR. Dependencies
//! of tests are free: a test may play any part.

use super::{
    Finding,
    workspace::{Crate, Kind, Workspace},
};

/// Each crate and those of ours that it may depend on.
const HOUSE: [(&str, &[&str]); 9] = [
    ("comity-didcomm", &[]),
    ("comity-core", &["comity-didcomm"]),
    ("comity-store", &["comity-core", "comity-didcomm"]),
    ("comity-net", &["comity-didcomm"]),
    ("comity-node", &["comity-core", "comity-didcomm", "comity-net", "comity-store"]),
    // The agents' API types live in comity-core: docs/adr/0017-api-types-in-core.md.
    ("comity-sdk", &["comity-core", "comity-didcomm"]),
    ("comity", &["comity-core", "comity-didcomm", "comity-node", "comity-sdk"]),
    ("comity-sim", &["comity-core", "comity-didcomm", "comity-net", "comity-node", "comity-store"]),
    ("xtask", &[]),
];

pub(super) fn check(workspace: &Workspace) -> Vec<Finding> {
    workspace.crates.iter().flat_map(|member| check_crate(member, workspace)).collect()
}

fn check_crate(member: &Crate, workspace: &Workspace) -> Vec<Finding> {
    let Some((_, allowed)) = HOUSE.iter().find(|(name, _)| *name == member.name) else {
        return vec![Finding {
            at: member.manifest.clone(),
            what: format!("crate `{}` is not in the house", member.name),
            why: "a new crate is a decision",
            fix: "write an ADR and add its row to xtask/src/tidy/direction.rs".to_owned(),
        }];
    };
    let mut findings = Vec::new();
    let folder = format!("/{}/Cargo.toml", member.name);
    if !format!("/{}", member.manifest).ends_with(&folder) {
        findings.push(Finding {
            at: member.manifest.clone(),
            what: format!("crate `{}` lies in a folder of another name", member.name),
            why: "a crate is found by its name",
            fix: format!("move it to crates/{}", member.name),
        });
    }
    let arrows = member.dependencies.iter().filter(|dependency| {
        let ours = workspace.crates.iter().any(|other| other.name == dependency.name);
        dependency.kind == Kind::Normal && ours && !allowed.contains(&dependency.name.as_str())
    });
    findings.extend(arrows.map(|arrow| {
        Finding {
            at: member.manifest.clone(),
            what: format!("`{}` depends on `{}`", member.name, arrow.name),
            why: "arrows between crates point one way",
            fix: "move what is shared up into the crate above, or write an ADR for a new arrow"
                .to_owned(),
        }
    }));
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_house_itself_is_in_order() {
        let whole: Vec<(&str, &[&str])> = HOUSE.to_vec();
        let mut workspace = Workspace::made_of(&whole);
        workspace.crates.last_mut().unwrap().manifest = "xtask/Cargo.toml".to_owned();
        assert_eq!(check(&workspace), []);
    }

    #[test]
    fn an_arrow_against_the_direction_is_found() {
        let workspace = Workspace::made_of(&[
            ("comity-core", &["comity-store", "serde"]),
            ("comity-store", &[]),
        ]);
        let findings = check(&workspace);
        assert_eq!(findings.len(), 1);
        assert_eq!(findings[0].at, "crates/comity-core/Cargo.toml");
        assert_eq!(findings[0].what, "`comity-core` depends on `comity-store`");
    }

    #[test]
    fn a_dependency_of_tests_is_free() {
        let workspace =
            Workspace::made_of(&[("comity-net", &["comity-node dev"]), ("comity-node", &[])]);
        assert_eq!(check(&workspace), []);
    }

    #[test]
    fn a_crate_without_a_row_and_a_misplaced_one_are_found() {
        let mut workspace = Workspace::made_of(&[("comity-extra", &[]), ("comity-net", &[])]);
        workspace.crates[1].manifest = "crates/net/Cargo.toml".to_owned();
        let whats: Vec<_> = check(&workspace).into_iter().map(|finding| finding.what).collect();
        assert_eq!(
            whats,
            [
                "crate `comity-extra` is not in the house",
                "crate `comity-net` lies in a folder of another name"
            ]
        );
    }
}
