//! The crates of the workspace and what they depend on, as `cargo metadata --no-deps` tells it.
//!
//! Not a rule: what several rules look at.

use anyhow::{Context as _, Result};
use serde_json::Value;

/// All crates of the workspace.
#[derive(Debug, Default)]
pub(crate) struct Workspace {
    pub(crate) crates: Vec<Crate>,
}

/// One crate of the workspace.
#[derive(Debug)]
pub(crate) struct Crate {
    pub(crate) name: String,
    /// Path of its manifest from the root of the checkout.
    pub(crate) manifest: String,
    pub(crate) dependencies: Vec<Dependency>,
}

/// One direct dependency of a crate.
#[derive(Debug)]
pub(crate) struct Dependency {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) origin: Origin,
}

/// What a dependency is for; one for builds counts as normal, because it runs where the crate is
/// built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Dev,
    Normal,
}

/// Whose crate a dependency is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    External,
    Ours,
}

impl Workspace {
    /// Reads the JSON of `cargo metadata --no-deps --format-version 1`.
    pub(crate) fn parse(metadata: &[u8]) -> Result<Self> {
        let metadata: Value =
            serde_json::from_slice(metadata).context("cargo metadata is not JSON")?;
        let root = text(&metadata, "workspace_root")?;
        let packages = list(&metadata, "packages")?;
        let crates = packages.iter().map(|package| Crate::parse(package, root));
        Ok(Self { crates: crates.collect::<Result<_>>()? })
    }
}

impl Crate {
    fn parse(package: &Value, root: &str) -> Result<Self> {
        let manifest = text(package, "manifest_path")?;
        let manifest = manifest.strip_prefix(root).unwrap_or(manifest);
        let dependencies = list(package, "dependencies")?.iter().map(Dependency::parse);
        Ok(Self {
            name: text(package, "name")?.to_owned(),
            manifest: manifest.replace('\\', "/").trim_start_matches('/').to_owned(),
            dependencies: dependencies.collect::<Result<_>>()?,
        })
    }
}

impl Dependency {
    fn parse(dependency: &Value) -> Result<Self> {
        let kind = dependency.get("kind").and_then(Value::as_str);
        let source = dependency.get("source").and_then(Value::as_str);
        Ok(Self {
            name: text(dependency, "name")?.to_owned(),
            kind: if kind == Some("dev") { Kind::Dev } else { Kind::Normal },
            origin: if source.is_some() { Origin::External } else { Origin::Ours },
        })
    }
}

fn text<'a>(value: &'a Value, key: &str) -> Result<&'a str> {
    let text = value.get(key).and_then(Value::as_str);
    text.with_context(|| format!("cargo metadata has no text `{key}`"))
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    let list = value.get(key).and_then(Value::as_array);
    list.with_context(|| format!("cargo metadata has no list `{key}`"))
}

#[cfg(test)]
impl Workspace {
    /// Makes up a workspace: crates in `crates/`, their normal dependencies, `NAME dev` for one of
    /// tests.
    pub(crate) fn made_of(crates: &[(&str, &[&str])]) -> Self {
        let dependency = |text: &&str| {
            let (name, kind) = text.split_once(' ').unwrap_or((*text, ""));
            let origin = if name.starts_with("comity") { Origin::Ours } else { Origin::External };
            let kind = if kind == "dev" { Kind::Dev } else { Kind::Normal };
            Dependency { name: name.to_owned(), kind, origin }
        };
        let crates = crates.iter().map(|(name, dependencies)| Crate {
            name: (*name).to_owned(),
            manifest: format!("crates/{name}/Cargo.toml"),
            dependencies: dependencies.iter().map(dependency).collect(),
        });
        Self { crates: crates.collect() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metadata_is_read() {
        let metadata = br#"{"workspace_root": "/somewhere", "packages": [{
            "name": "comity-net", "manifest_path": "/somewhere/crates/comity-net/Cargo.toml",
            "dependencies": [
                {"name": "comity-didcomm", "kind": null, "source": null},
                {"name": "cc", "kind": "build", "source": "registry+x"},
                {"name": "tempfile", "kind": "dev", "source": "registry+x"}]}]}"#;
        let workspace = Workspace::parse(metadata).unwrap();
        let net = &workspace.crates[0];
        assert_eq!(net.name, "comity-net");
        assert_eq!(net.manifest, "crates/comity-net/Cargo.toml");
        let seen: Vec<_> =
            net.dependencies.iter().map(|it| (it.name.as_str(), it.kind, it.origin)).collect();
        assert_eq!(
            seen,
            [
                ("comity-didcomm", Kind::Normal, Origin::Ours),
                ("cc", Kind::Normal, Origin::External),
                ("tempfile", Kind::Dev, Origin::External),
            ]
        );
    }

    #[test]
    fn what_is_not_metadata_is_an_error() {
        assert!(Workspace::parse(b"{}").is_err());
        assert!(Workspace::parse(b"[").is_err());
    }
}
